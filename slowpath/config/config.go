package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
)

// LoadOptions are what a configuration is held against besides itself. The zero
// value is ready to use.
type LoadOptions struct {
	// KnownHook says whether a hook library of that name (HooksLibrary.Name) is
	// built in. nil accepts every name.
	KnownHook func(name string) bool
	// Lenient turns faults of security policy into warnings, as Kea's -X does:
	// HTTP control without authentication beyond loopback.
	Lenient bool
	// ListNotServed lists parts of Kea that are not served in Snapshot.NotServed, or
	// Errors.NotServed, instead of refusing them: to check a file, not to serve it.
	ListNotServed bool
	// MaxErrors bounds the report, 0 means 100.
	MaxErrors int
	// ReadFile reads include, user and password files; nil reads from the file
	// system, relative names from the working directory, at most limit bytes.
	ReadFile func(name string, limit int64) ([]byte, error)
}

// Load reads the configuration file at path. The error is *Errors for faults of
// its content, else of the file system.
func Load(path string, opts LoadOptions) (*Snapshot, error) {
	read := opts.ReadFile
	if read == nil {
		read = readFile
	}
	b, err := read(path, maxText)
	if err != nil {
		return nil, &Errors{List: []*Error{{Pos: Position{File: path}, Msg: err.Error()}}}
	}
	return Parse(path, b, opts)
}

// Parse reads text as the file called name. The error is *Errors.
func Parse(name string, text []byte, opts LoadOptions) (*Snapshot, error) {
	return load(name, string(text), TreeOptions{ReadFile: opts.ReadFile}, &opts)
}

// FromJSON reads the argument of config-set and config-test, a map with Dhcp4 or
// Dhcp6 and perhaps Dataplane: no includes, other top-level keys refused (OP-004,
// OP-007). name stands in positions, as "config-set". The error is *Errors.
func FromJSON(name string, raw []byte, opts LoadOptions) (*Snapshot, error) {
	return load(name, string(raw), TreeOptions{Command: true}, &opts)
}

func load(name, text string, to TreeOptions, opts *LoadOptions) (*Snapshot, error) {
	r := &report{max: opts.MaxErrors}
	if r.max <= 0 {
		r.max = defaultMaxErrors
	}
	t := parseTree(name, text, to, r)
	if t == nil {
		return nil, r.err()
	}
	d := &decoder{t: t, r: r, o: opts, fam: family4, subnets: map[*Node]*Subnet4{}, networks: map[*Node]*Network4{},
		byID: map[uint32]*Node{}, byText: map[string]*Node{}}
	s := d.top(to.Command)
	if err := r.err(); err != nil {
		e := AsErrors(err)
		if s.Dhcp4 != nil {
			e.Loggers = append(e.Loggers, s.Dhcp4.Loggers...)
		}
		if s.Dhcp6 != nil {
			e.Loggers = append(e.Loggers, s.Dhcp6.Loggers...)
		}
		return nil, err
	}
	g := &getter{d: d, snap: s}
	s.Get = g.top(t.Root)
	s.Given = given(t.Root)
	sum := sha256.Sum256(s.Get)
	s.Hash = hex.EncodeToString(sum[:])
	s.Warnings = r.warnings()
	sortErrors(r.notServed)
	s.NotServed = r.notServed
	return s, nil
}

// given is the parts of root that are served.
func given(root *Node) json.RawMessage {
	served := Node{Kind: Map}
	for _, n := range root.Kids {
		if n.Key == "Dhcp4" || n.Key == "Dhcp6" || n.Key == "Dataplane" {
			served.Kids = append(served.Kids, n)
		}
	}
	return served.AppendJSON(nil)
}

// AsErrors returns err as *Errors, nil if it is none.
func AsErrors(err error) *Errors {
	var e *Errors
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// top decodes the whole tree.
func (d *decoder) top(command bool) *Snapshot {
	s := &Snapshot{}
	root := d.t.Root
	if root.Kind != Map {
		d.errorf(root, "a configuration must be a map, not %s", describe(root))
		return s
	}
	for i := range root.Kids {
		n := &root.Kids[i]
		switch {
		case n.Key == "Dhcp4":
			d.push("Dhcp4", -1)
			d.check(n, scopeDhcp4)
			if n.Kind == Map {
				s.Dhcp4 = d.dhcp4(n)
			}
			d.pop()
		case n.Key == "Dhcp6":
			d.fam = family6
			d.push("Dhcp6", -1)
			d.check(n, scopeDhcp6)
			if n.Kind == Map {
				s.Dhcp6 = d.dhcp6(n)
			}
			d.pop()
			d.fam = family4
		case n.Key == "Dataplane":
			d.push("Dataplane", -1)
			d.check(n, scopeDataplane)
			d.pop()
		case otherParts[n.Key] && !command:
			d.warnKey(n, "%q is not served: it is ignored", n.Key)
		case n.Key == "Logging":
			d.errorKey(n, `"Logging" was removed from Kea: use "loggers" in Dhcp4 or Dhcp6`)
		default:
			if near := nearest(n.Key, topNames()); near != "" && near != n.Key {
				d.errorKey(n, "unknown top-level key %q; did you mean %q?", clip(n.Key), near)
			} else if scopeDhcp4.key(n.Key) != nil {
				d.errorKey(n, "unknown top-level key %q; it belongs in Dhcp4", clip(n.Key))
			} else if scopeDhcp6.key(n.Key) != nil {
				d.errorKey(n, "unknown top-level key %q; it belongs in Dhcp6", clip(n.Key))
			} else {
				d.errorKey(n, "unknown top-level key %q: expected \"Dhcp4\", \"Dhcp6\" or \"Dataplane\"", clip(n.Key))
			}
		}
	}
	var db *LeaseDatabase
	switch {
	case s.Dhcp4 != nil:
		db = &s.Dhcp4.LeaseDatabase
	case s.Dhcp6 != nil:
		db = &s.Dhcp6.LeaseDatabase
	}
	s.Dataplane = d.dataplane(root.Get("Dataplane"), db)
	d.oneSocketEach(s)
	return s
}

// rawJSON is n as compact JSON of its own memory, nil if n is absent.
func rawJSON(n *Node) json.RawMessage {
	if n == nil {
		return nil
	}
	return n.AppendJSON(nil)
}

// userContext is the user-context of n with its comment folded in (OP-002), nil
// where it has neither.
func userContext(n *Node) json.RawMessage {
	uc, c := n.Get("user-context"), n.Get("comment")
	if uc != nil && uc.Kind != Map {
		uc = nil
	}
	if c == nil || c.Kind != String {
		return rawJSON(uc)
	}
	b := append([]byte(nil), `{"comment":`...)
	b = appendString(b, c.Str)
	if uc != nil {
		for i := range uc.Kids {
			b = append(b, ',')
			b = appendString(b, uc.Kids[i].Key)
			b = append(b, ':')
			b = uc.Kids[i].AppendJSON(b)
		}
	}
	return append(b, '}')
}

// dataplane decodes the key Dataplane; n is nil where it is absent.
func (d *decoder) dataplane(n *Node, db *LeaseDatabase) Dataplane {
	dp := Dataplane{
		Mode:              Mode(n.str("mode", string(ModeAuto))),
		WorkersPerQueue:   int(n.int("workers-per-queue", 0)),
		BusyPollUs:        int(n.int("busy-poll-us", 0)),
		SpinUs:            int(n.int("spin-us", 20)),
		ServeUnknownVLANs: n.str("unknown-vlans", "pass") == "serve",
		MetricsAddress:    n.str("metrics-address", ""),
		Sync:              SyncMode(n.str("sync", string(SyncGroup))),
		SnapshotIntervalS: 3600,
		JournalSizeMB:     int(n.int("journal-size", 1024)),
		OfferHoldS:        int(n.int("offer-hold", 10)),
		MaxLeases:         int(n.int("max-leases", 0)),
		LeaseDirectory:    n.str("lease-directory", ""),
		LeaseFileMirror:   n.str("lease-file-mirror", ""),
	}
	dp.LeaseDirectorySet = dp.LeaseDirectory != ""
	if db != nil {
		dp.SnapshotIntervalS = db.LFCIntervalS
	}
	dp.SnapshotIntervalS = int(n.int("snapshot-interval", int64(dp.SnapshotIntervalS)))
	if dp.MetricsAddress != "" {
		if err := checkHostPort(dp.MetricsAddress); err != nil {
			d.errorf(n.Get("metrics-address"), `"metrics-address" must be "HOST:PORT": %v`, err)
		}
	}
	if dp.LeaseDirectory != "" && !filepath.IsAbs(dp.LeaseDirectory) {
		d.errorf(n.Get("lease-directory"), `"lease-directory" must be an absolute path, not %q`, clip(dp.LeaseDirectory))
	}
	if dp.LeaseFileMirror != "" && dp.LeaseFileMirror != NoLeaseFile && !filepath.IsAbs(dp.LeaseFileMirror) {
		d.errorf(n.Get("lease-file-mirror"), `"lease-file-mirror" must be an absolute path or "none", not %q`, clip(dp.LeaseFileMirror))
	}
	if dp.LeaseDirectory == "" {
		dp.LeaseDirectory = DefaultLeaseDirectory
		if db != nil && filepath.IsAbs(db.Name) {
			dp.LeaseDirectory = filepath.Dir(db.Name)
		}
	}
	l := n.Get("limits")
	dp.Limits = Limits{
		ClientPerS: l.u32("client-rate", 0), ClientBurst: l.u32("client-burst", 0),
		RelayPerS: l.u32("relay-rate", 0), RelayBurst: l.u32("relay-burst", 0),
		NewClientsPerS: l.u32("new-clients", 0), DiscoverPerS: l.u32("discover-rate", 0),
	}
	for _, b := range []struct {
		rate  uint32
		burst *uint32
		key   string
	}{
		{dp.Limits.ClientPerS, &dp.Limits.ClientBurst, "client"},
		{dp.Limits.RelayPerS, &dp.Limits.RelayBurst, "relay"},
	} {
		if b.rate == 0 && *b.burst > 0 {
			d.errorf(l.Get(b.key+"-burst"), "%q without %q has no effect", b.key+"-burst", b.key+"-rate")
		}
		if *b.burst == 0 {
			*b.burst = b.rate
		}
	}
	return dp
}
