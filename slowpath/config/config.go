package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
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
		read = keajson.ReadFile
	}
	b, err := read(path, keajson.MaxText)
	if err != nil {
		return nil, &Errors{Errors: keajson.Errors{List: []*keajson.Error{{Pos: keajson.Position{File: path}, Msg: err.Error()}}}}
	}
	return Parse(path, b, opts)
}

// Parse reads text as the file called name. The error is *Errors.
func Parse(name string, text []byte, opts LoadOptions) (*Snapshot, error) {
	return load(name, string(text), keajson.TreeOptions{ReadFile: opts.ReadFile}, &opts)
}

// FromJSON reads the argument of config-set and config-test, a map with Dhcp4 or
// Dhcp6 and perhaps Dataplane: no includes, other top-level keys refused (OP-004,
// OP-007). name stands in positions, as "config-set". The error is *Errors.
func FromJSON(name string, raw []byte, opts LoadOptions) (*Snapshot, error) {
	return load(name, string(raw), keajson.TreeOptions{Command: true}, &opts)
}

func load(name, text string, to keajson.TreeOptions, opts *LoadOptions) (*Snapshot, error) {
	r, unserved := keajson.NewReport(opts.MaxErrors), keajson.NewReport(opts.MaxErrors)
	t := keajson.Parse(name, text, to, r)
	faults := func() *Errors {
		return &Errors{Errors: keajson.Errors{List: r.Faults(), Full: r.Full()}, Warnings: r.Warnings(), NotServed: unserved.Faults()}
	}
	if t == nil {
		return nil, faults()
	}
	d := &decoder{t: t, r: r, unserved: unserved, o: opts, fam: family4, subnets: map[*keajson.Node]*Subnet4{}, networks: map[*keajson.Node]*Network4{},
		byID: map[uint32]*keajson.Node{}, byText: map[string]*keajson.Node{}}
	s := d.top(to.Command)
	if e := faults(); len(e.List) > 0 {
		if s.Dhcp4 != nil {
			e.Loggers = append(e.Loggers, s.Dhcp4.Loggers...)
		}
		if s.Dhcp6 != nil {
			e.Loggers = append(e.Loggers, s.Dhcp6.Loggers...)
		}
		return nil, e
	}
	g := &getter{d: d, snap: s}
	s.Get = g.top(t.Root)
	s.Given = given(t.Root)
	sum := sha256.Sum256(s.Get)
	s.Hash = hex.EncodeToString(sum[:])
	s.Warnings = r.Warnings()
	s.NotServed = unserved.Faults()
	return s, nil
}

// given is the parts of root that are served.
func given(root *keajson.Node) json.RawMessage {
	served := keajson.Node{Kind: keajson.Map}
	for _, n := range root.Kids {
		if n.Key == "Dhcp4" || n.Key == "Dhcp6" || n.Key == "Dataplane" {
			served.Kids = append(served.Kids, n)
		}
	}
	return served.AppendJSON(nil)
}

// top decodes the whole tree.
func (d *decoder) top(command bool) *Snapshot {
	s := &Snapshot{}
	root := d.t.Root
	if root.Kind != keajson.Map {
		d.errorf(root, "a configuration must be a map, not %s", describe(root))
		return s
	}
	for i := range root.Kids {
		n := &root.Kids[i]
		switch {
		case n.Key == "Dhcp4":
			d.push("Dhcp4", -1)
			d.check(n, scopeDhcp4)
			if n.Kind == keajson.Map {
				s.Dhcp4 = d.dhcp4(n)
			}
			d.pop()
		case n.Key == "Dhcp6":
			d.fam = family6
			d.push("Dhcp6", -1)
			d.check(n, scopeDhcp6)
			if n.Kind == keajson.Map {
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
			if near := keajson.Nearest(n.Key, topNames()); near != "" && near != n.Key {
				d.errorKey(n, "unknown top-level key %q; did you mean %q?", keajson.Clip(n.Key), near)
			} else if scopeDhcp4.key(n.Key) != nil {
				d.errorKey(n, "unknown top-level key %q; it belongs in Dhcp4", keajson.Clip(n.Key))
			} else if scopeDhcp6.key(n.Key) != nil {
				d.errorKey(n, "unknown top-level key %q; it belongs in Dhcp6", keajson.Clip(n.Key))
			} else {
				d.errorKey(n, "unknown top-level key %q: expected \"Dhcp4\", \"Dhcp6\" or \"Dataplane\"", keajson.Clip(n.Key))
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
func rawJSON(n *keajson.Node) json.RawMessage {
	if n == nil {
		return nil
	}
	return n.AppendJSON(nil)
}

// userContext is the user-context of n with its comment folded in (OP-002), nil
// where it has neither.
func userContext(n *keajson.Node) json.RawMessage {
	uc, c := n.Get("user-context"), n.Get("comment")
	if uc != nil && uc.Kind != keajson.Map {
		uc = nil
	}
	if c == nil || c.Kind != keajson.String {
		return rawJSON(uc)
	}
	b := append([]byte(nil), `{"comment":`...)
	b = keajson.AppendString(b, c.Str)
	if uc != nil {
		for i := range uc.Kids {
			b = append(b, ',')
			b = keajson.AppendString(b, uc.Kids[i].Key)
			b = append(b, ':')
			b = uc.Kids[i].AppendJSON(b)
		}
	}
	return append(b, '}')
}

// dataplane decodes the key Dataplane; n is nil where it is absent.
func (d *decoder) dataplane(n *keajson.Node, db *LeaseDatabase) Dataplane {
	dp := Dataplane{
		Mode:              Mode(n.Text("mode", string(ModeAuto))),
		WorkersPerQueue:   int(n.Int("workers-per-queue", 0)),
		BusyPollUs:        int(n.Int("busy-poll-us", 0)),
		SpinUs:            int(n.Int("spin-us", 20)),
		ServeUnknownVLANs: n.Text("unknown-vlans", "pass") == "serve",
		MetricsAddress:    n.Text("metrics-address", ""),
		Sync:              SyncMode(n.Text("sync", string(SyncGroup))),
		SnapshotIntervalS: 3600,
		JournalSizeMB:     int(n.Int("journal-size", 1024)),
		OfferHoldS:        int(n.Int("offer-hold", 10)),
		MaxLeases:         int(n.Int("max-leases", 0)),
		LeaseDirectory:    n.Text("lease-directory", ""),
		LeaseFileMirror:   n.Text("lease-file-mirror", ""),
	}
	dp.LeaseDirectorySet = dp.LeaseDirectory != ""
	if db != nil {
		dp.SnapshotIntervalS = db.LFCIntervalS
	}
	dp.SnapshotIntervalS = int(n.Int("snapshot-interval", int64(dp.SnapshotIntervalS)))
	if dp.MetricsAddress != "" {
		if err := checkHostPort(dp.MetricsAddress); err != nil {
			d.errorf(n.Get("metrics-address"), `"metrics-address" must be "HOST:PORT": %v`, err)
		}
	}
	if dp.LeaseDirectory != "" && !filepath.IsAbs(dp.LeaseDirectory) {
		d.errorf(n.Get("lease-directory"), `"lease-directory" must be an absolute path, not %q`, keajson.Clip(dp.LeaseDirectory))
	}
	if dp.LeaseFileMirror != "" && dp.LeaseFileMirror != NoLeaseFile && !filepath.IsAbs(dp.LeaseFileMirror) {
		d.errorf(n.Get("lease-file-mirror"), `"lease-file-mirror" must be an absolute path or "none", not %q`, keajson.Clip(dp.LeaseFileMirror))
	}
	if dp.LeaseDirectory == "" {
		dp.LeaseDirectory = DefaultLeaseDirectory
		if db != nil && filepath.IsAbs(db.Name) {
			dp.LeaseDirectory = filepath.Dir(db.Name)
		}
	}
	l := n.Get("limits")
	dp.Limits = Limits{
		ClientPerS: l.Uint32("client-rate", 0), ClientBurst: l.Uint32("client-burst", 0),
		RelayPerS: l.Uint32("relay-rate", 0), RelayBurst: l.Uint32("relay-burst", 0),
		NewClientsPerS: l.Uint32("new-clients", 0), DiscoverPerS: l.Uint32("discover-rate", 0),
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
