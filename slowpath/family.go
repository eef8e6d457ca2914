package slowpath

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// family is what there is once for DHCPv4 and once for DHCPv6, because Kea has a
// daemon for each: who manages them sees two, with control sockets, statistics
// and a service of their own, although both are served by the same workers.
type family struct {
	s        *Server
	v        stat.Family
	service  service
	stats    *stat.Registry
	registry *control.Registry
	channels *control.Channels
}

// newFamily makes a family with its commands. source: see stat.Registry.
func (s *Server) newFamily(v stat.Family, snap *config.Snapshot, source stat.Source) *family {
	p := partOf(v, snap)
	f := &family{s: s, v: v, stats: stat.NewRegistry(v, p.sampleCount, p.sampleAge, s.started, source)}
	f.registry = control.NewRegistry(control.RegistryOptions{Audit: f.audit, OnPanic: func(command string, value any, stack []byte) {
		f.root().WithGroup("commands").Error("COMMAND_PROCESS_ERROR a command failed", "command", command, "value", value, "stack", string(stack))
	}})
	return f
}

// part is the key of the family's part of a configuration.
func (f *family) part() string { return partName(f.v) }

func partName(v stat.Family) string {
	if v == stat.V6 {
		return "Dhcp6"
	}
	return "Dhcp4"
}

// protocol is the family as texts have it.
func (f *family) protocol() string {
	if f.v == stat.V6 {
		return "DHCPv6"
	}
	return "DHCPv4"
}

// logName is the name of the family's logger, and idPrefix what ids of its
// messages begin with.
func (f *family) logName() string {
	if f.v == stat.V6 {
		return "dhcp6"
	}
	return "dhcp4"
}

// log is the family's logger.
func (f *family) log() *slog.Logger { return f.root().WithGroup(f.logName()) }

// root is the family's root logger.
func (f *family) root() *slog.Logger {
	if f.v == stat.V6 {
		return f.s.opt.Log6
	}
	return f.s.log
}

func (f *family) idPrefix() string {
	if f.v == stat.V6 {
		return "DHCP6_"
	}
	return "DHCP4_"
}

// familyPart is what both families' parts of a configuration have.
type familyPart struct {
	serverTag      string
	multiThreading config.MultiThreading
	controlSockets []config.ControlSocket
	hooksLibraries []config.HooksLibrary
	sampleCount    int
	sampleAge      time.Duration
}

// partOf reads a family's part; it is zero if the configuration has none.
func partOf(v stat.Family, snap *config.Snapshot) (p familyPart) {
	if v == stat.V6 {
		if d := snap.Dhcp6; d != nil {
			p = familyPart{d.ServerTag, d.MultiThreading, d.ControlSockets, d.HooksLibraries, d.SampleCount, d.SampleAge}
		}
		return p
	}
	if d := snap.Dhcp4; d != nil {
		p = familyPart{d.ServerTag, d.MultiThreading, d.ControlSockets, d.HooksLibraries, d.SampleCount, d.SampleAge}
	}
	return p
}

// shown is what a family shows of a configuration, all but the other family's
// part, and the hash of that.
func (f *family) shown(snap *config.Snapshot) (json.RawMessage, string, error) {
	if !HasDhcp4(snap) || snap.Dhcp6 == nil {
		return snap.Get, snap.Hash, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(snap.Get, &m); err != nil {
		return nil, "", err
	}
	for _, v := range []stat.Family{stat.V4, stat.V6} {
		if v != f.v {
			delete(m, partName(v))
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, "", err
	}
	b := bytes.TrimRight(out.Bytes(), "\n")
	sum := sha256.Sum256(b)
	return b, hex.EncodeToString(sum[:]), nil
}

// WithDhcp4 gives a configuration that serves DHCPv6 alone an empty Dhcp4 part,
// so that what concerns DHCPv4 need not ask everywhere whether there is one. Its
// text (Get) stays as it is. HasDhcp4 tells the two apart.
func WithDhcp4(snap *config.Snapshot) *config.Snapshot {
	if snap.Dhcp4 != nil || snap.Dhcp6 == nil {
		return snap
	}
	c := *snap
	c.Dhcp4 = &absentDhcp4
	return &c
}

var absentDhcp4 = config.Dhcp4{SampleCount: 1}

// HasDhcp4 says whether the configuration itself has a Dhcp4 part.
func HasDhcp4(snap *config.Snapshot) bool { return snap.Dhcp4 != nil && snap.Dhcp4 != &absentDhcp4 }
