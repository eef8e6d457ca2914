package slowpath

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverIP dhcp4.IPv4 = 0x0A430001 // 10.67.0.1
	relayIP  dhcp4.IPv4 = 0x0A430002
)

// bed is a server with one worker, driven by hand: what a loop does, without a
// thread.
type bed struct {
	t    *testing.T
	s    *Server
	w    *Worker
	now  int64
	woke chan struct{}
}

func testConfig(dir, extra, dataplane string) string {
	persist := dir != ""
	socket := fmt.Sprintf(`{ "socket-type": "unix", "socket-name": %q }`, filepath.Join(dir, "ctl.sock"))
	if !persist {
		socket = ""
		dir = "/nowhere" // nothing is written there
	}
	return fmt.Sprintf(`{
	"Dhcp4": {
		"interfaces-config": { "interfaces": [ "dhcp0" ] },
		"lease-database": { "type": "memfile", "persist": %v },
		"control-sockets": [ %s ],
		"valid-lifetime": 3600,
		%s
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16",
			"pools": [ { "pool": "10.67.1.0 - 10.67.1.255" } ],
			"option-data": [ { "name": "routers", "data": "10.67.0.1" } ] } ]
	},
	"Dataplane": { %s "lease-directory": %q }
}`, persist, socket, extra, dataplane, filepath.Join(dir, "leases"))
}

func parse(t *testing.T, text string) *config.Snapshot {
	t.Helper()
	snap, err := config.Parse("test.json", []byte(text), config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func newBed(t *testing.T, text string, opt Options) *bed {
	t.Helper()
	opt.Snapshot = parse(t, text)
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, Up: true,
		Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 16}}}})
	b := &bed{t: t, s: s, w: s.NewWorker("test"), now: 1_800_000_000_000_000_000, woke: make(chan struct{}, 1)}
	b.w.Attach(func() {
		select {
		case b.woke <- struct{}{}:
		default:
		}
	})
	return b
}

func (b *bed) close() {
	b.t.Helper()
	if err := b.w.Close(); err != nil {
		b.t.Error(err)
	}
	if err := b.s.Close(); err != nil {
		b.t.Error(err)
	}
}

// send gives one frame to the worker and returns what it decided.
func (b *bed) send(f []byte) netio.Packet {
	p := []netio.Packet{{Data: append(make([]byte, 0, 2048), f...), IfIndex: 7}}
	b.w.HandleBatch(p, b.now)
	return p[0]
}

// settle waits until a held reply may leave.
func (b *bed) settle(p netio.Packet) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for p.Action == netio.Hold && b.w.DurablePos() < p.CommitPos {
		if time.Now().After(deadline) {
			b.t.Fatal("a reply is still held after a minute")
		}
		select {
		case <-b.woke:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (b *bed) ask(q *netiotest.Query) *netiotest.Answer {
	b.t.Helper()
	p := b.send(q.Frame())
	if p.Action == netio.Drop {
		return nil
	}
	b.settle(p)
	return netiotest.ParseReply(b.t, p.Data)
}

// lease does a whole exchange and returns the address.
func (b *bed) lease(mac netiotest.MAC, opts ...netiotest.Option) dhcp4.IPv4 {
	b.t.Helper()
	o := b.ask(netiotest.Discover(mac, opts...))
	if o == nil || o.View.Type() != dhcp4.MsgOffer {
		b.t.Fatalf("no OFFER for %x: %s", mac, b.drops())
	}
	a := b.ask(netiotest.Request(mac, o.View.YIAddr(), serverIP, opts...))
	if a == nil || a.View.Type() != dhcp4.MsgAck {
		b.t.Fatalf("no ACK for %x: %s", mac, b.drops())
	}
	if a.View.YIAddr() != o.View.YIAddr() {
		b.t.Fatalf("ACK for %v after an OFFER of %v", a.View.YIAddr(), o.View.YIAddr())
	}
	return a.View.YIAddr()
}

func (b *bed) drops() string {
	var out []string
	b.s.EachDrop(func(layer, reason string, n uint64) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%s/%s=%d", layer, reason, n))
		}
	})
	return strings.Join(out, " ")
}

func (b *bed) command(text string) control.Response {
	b.t.Helper()
	req, err := control.ParseRequest([]byte(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.s.registry.Run(context.Background(), &control.Call{Command: req.Command, Arguments: req.Arguments})
}

func (b *bed) arguments(text string, into any) {
	b.t.Helper()
	r := b.command(text)
	if r.Result != control.ResultSuccess {
		b.t.Fatalf("%s: result %d: %s", text, r.Result, r.Text)
	}
	raw, err := json.Marshal(r.Arguments)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		b.t.Fatalf("%s: %v in %s", text, err, raw)
	}
}

func TestExchangeIsDurableBeforeTheAck(t *testing.T) {
	dir := t.TempDir()
	text := testConfig(dir, "", "")
	b := newBed(t, text, Options{})
	mac := netiotest.ClientMAC(1)
	o := b.send(netiotest.Discover(mac).Frame())
	if o.Action != netio.Send {
		t.Fatalf("OFFER has action %d, want Send: %s", o.Action, b.drops())
	}
	offer := netiotest.ParseReply(t, o.Data)
	a := b.send(netiotest.Request(mac, offer.View.YIAddr(), serverIP).Frame())
	if a.Action != netio.Hold || a.CommitPos == 0 {
		t.Fatalf("ACK has action %d and position %d: it would leave before its lease is durable", a.Action, a.CommitPos)
	}
	b.settle(a)
	ack := netiotest.ParseReply(t, a.Data)
	if ack.View.Type() != dhcp4.MsgAck || ack.View.YIAddr() != offer.View.YIAddr() {
		t.Fatalf("got %v %v", ack.View.Type(), ack.View.YIAddr())
	}
	b.close()

	b = newBed(t, text, Options{})
	defer b.close()
	if r := b.s.Recovery(); r.Leases != 1 {
		t.Fatalf("%d leases recovered, want 1", r.Leases)
	}
	renewed := b.ask(netiotest.Renew(mac, ack.View.YIAddr(), serverIP))
	if renewed == nil || renewed.View.Type() != dhcp4.MsgAck || renewed.View.YIAddr() != ack.View.YIAddr() {
		t.Fatalf("renewal after a restart: %v", b.drops())
	}
	if got := b.lease(netiotest.ClientMAC(2)); got == ack.View.YIAddr() {
		t.Fatal("a recovered lease was given to another client")
	}
}

func TestEveryDropHasOneReason(t *testing.T) {
	b := newBed(t, testConfig("", "", ""), Options{})
	defer b.close()
	good := netiotest.Discover(netiotest.ClientMAC(1)).Frame()
	cut := func(n int) []byte { return good[:n] }
	flip := func(i int) []byte {
		f := append([]byte(nil), good...)
		f[i] ^= 0xff
		return f
	}
	cases := map[string][]byte{
		"empty": {}, "ethernet only": cut(14), "half a header": cut(30), "half a message": cut(150),
		"wrong IP checksum": flip(24), "wrong UDP checksum": flip(40), "wrong cookie": flip(14 + 28 + 236),
		"to another port":    flip(37),
		"for another server": netiotest.Request(netiotest.ClientMAC(1), 0x0A430105, 0xC0000201).Frame(),
		"release of nothing": netiotest.Release(netiotest.ClientMAC(1), 0x0A430105, serverIP).Frame(),
	}
	for name, f := range cases {
		sum := func() (n uint64) {
			b.s.EachDrop(func(_, _ string, v uint64) { n += v })
			return n
		}
		before := sum()
		if p := b.send(f); p.Action != netio.Drop {
			t.Errorf("%s: action %d, want Drop", name, p.Action)
		}
		if got := sum() - before; got != 1 {
			t.Errorf("%s: %d reasons counted, want 1 (%s)", name, got, b.drops())
		}
	}
}

func TestCommands(t *testing.T) {
	b := newBed(t, testConfig(t.TempDir(), "", ""), Options{Version: "3.2.0", Extended: "long", Build: "report"})
	defer b.close()
	for i := range 5 {
		b.lease(netiotest.ClientMAC(uint32(i)))
	}
	var stats map[string][][2]any
	b.arguments(`{"command":"statistic-get-all"}`, &stats)
	for name, want := range map[string]float64{"pkt4-discover-received": 5, "pkt4-ack-sent": 5, "assigned-addresses": 5,
		"subnet[1].assigned-addresses": 5, "subnet[1].total-addresses": 256, "subnet[1].pool[0].assigned-addresses": 5, "pkt4-nak-sent": 0} {
		if v := stats[name]; len(v) == 0 || v[0][0] != want {
			t.Errorf("statistic %s is %v, want %v", name, v, want)
		}
	}
	var st struct {
		PID        int
		DHCPState  map[string]any    `json:"dhcp-state"`
		LeaseStore struct{ OK bool } `json:"lease-store"`
	}
	b.arguments(`{"command":"status-get"}`, &st)
	if st.PID == 0 || !st.LeaseStore.OK || st.DHCPState["globally-disabled"] != false {
		t.Errorf("status is %+v", st)
	}
	for text, want := range map[string]int{
		`{"command":"no-such-command"}`:                                      control.ResultUnsupported,
		`{"command":"statistic-get","arguments":{"name":"nothing"}}`:         control.ResultSuccess,
		`{"command":"statistic-reset","arguments":{"name":"nothing"}}`:       control.ResultError,
		`{"command":"statistic-reset","arguments":{"name":"pkt4-received"}}`: control.ResultSuccess,
		`{"command":"leases-reclaim"}`:                                       control.ResultError,
		`{"command":"leases-reclaim","arguments":{"remove":true}}`:           control.ResultSuccess,
		`{"command":"version-get"}`:                                          control.ResultSuccess,
		`{"command":"build-report"}`:                                         control.ResultSuccess,
		`{"command":"config-get"}`:                                           control.ResultSuccess,
		`{"command":"config-hash-get"}`:                                      control.ResultSuccess,
		`{"command":"list-commands"}`:                                        control.ResultSuccess,
		`{"command":"kea-lfc-start"}`:                                        control.ResultSuccess,
		`{"command":"dhcp-disable","arguments":{"max-period":-1}}`:           control.ResultError,
		`{"command":"dhcp-disable","arguments":{"origin":"somebody"}}`:       control.ResultError,
	} {
		if r := b.command(text); r.Result != want {
			t.Errorf("%s: result %d (%s), want %d", text, r.Result, r.Text, want)
		}
	}
}

func TestDisableAndEnable(t *testing.T) {
	b := newBed(t, testConfig("", "", ""), Options{})
	defer b.close()
	d := netiotest.Discover(netiotest.ClientMAC(1))
	b.command(`{"command":"dhcp-disable","arguments":{"origin":"ha-partner"}}`)
	b.command(`{"command":"dhcp-disable"}`)
	b.command(`{"command":"dhcp-enable"}`)
	if b.ask(d) != nil {
		t.Error("enabling one origin must not enable the other's")
	}
	b.command(`{"command":"dhcp-enable","arguments":{"origin":"ha-partner"}}`)
	if b.ask(d) == nil {
		t.Errorf("service is not back: %s", b.drops())
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, testConfig(dir, "", ""), Options{
		FromJSON: func(raw []byte) (*config.Snapshot, error) {
			return config.FromJSON("config-set", raw, config.LoadOptions{})
		},
	})
	defer b.close()
	mac := netiotest.ClientMAC(1)
	first := b.lease(mac)
	set := func(text string) control.Response {
		return b.command(`{"command":"config-set","arguments":` + text + `}`)
	}
	before := b.s.Snapshot().Hash
	if r := set(`{"Dhcp4":{"valid-lifetime":"x"}}`); r.Result != control.ResultError || b.s.Snapshot().Hash != before {
		t.Fatalf("a bad configuration: %+v", r)
	}
	if r := set(`{"Dhcp4":{},"Dhcp6":{}}`); r.Result != control.ResultError || !strings.Contains(r.Text, "Dhcp6") {
		t.Fatalf("a configuration with another daemon's part: %+v", r)
	}
	good := strings.Replace(testConfig(dir, `"renew-timer": 77,`, ""), `"routers", "data": "10.67.0.1"`, `"routers", "data": "10.67.0.9"`, 1)
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &m); err != nil {
		t.Fatal(err)
	}
	r := set(`{"Dhcp4":` + string(m["Dhcp4"]) + `}`)
	if r.Result != control.ResultSuccess || b.s.Snapshot().Hash == before {
		t.Fatalf("a good configuration: %+v", r)
	}
	a := b.ask(netiotest.Renew(mac, first, serverIP))
	if a == nil || a.View.YIAddr() != first || string(a.View.Option(dhcp4.OptRouter)) != "\x0a\x43\x00\x09" {
		t.Fatalf("renewal after the change: %s", b.drops())
	}
	if got := b.lease(netiotest.ClientMAC(2)); got == first {
		t.Error("after the change the allocator gave an address that is leased")
	}
}

// parkLibrary parks every query at a point until the test resumes it.
type parkLibrary struct {
	at   hooks.Point
	refs chan *hooks.Parked
	wait int64
}

func (*parkLibrary) Name() string { return "park" }
func (p *parkLibrary) Load(env *hooks.Env, _ json.RawMessage) error {
	env.On(p.at, func(q *hooks.Query4) hooks.Status {
		p.refs <- q.Park(q.NowUnixNs + p.wait)
		return hooks.Park
	})
	return nil
}
func (*parkLibrary) Close() error { return nil }

// resume runs the worker's Resume until it hands out a packet or n turns passed.
func (b *bed) resume() *netio.Packet {
	out := make([]netio.Packet, 4)
	n := b.w.Resume(func(p *netio.Packet) bool {
		p.Data = make([]byte, 0, 2048)
		return true
	}, out, b.now)
	if n == 0 {
		return nil
	}
	return &out[0]
}

func TestParking(t *testing.T) {
	for _, at := range []hooks.Point{hooks.Subnet4Select, hooks.Lease4Offer} {
		t.Run(at.String(), func(t *testing.T) {
			lib := &parkLibrary{at: at, refs: make(chan *hooks.Parked, 100), wait: 1e9}
			b := newBed(t, testConfig("", `"parked-packet-limit": 2, "hooks-libraries": [ { "library": "libdhcp_park.so" } ],`, ""),
				Options{Hooks: func(string) hooks.Library { return lib }})
			defer b.close()
			ask := func(i uint32) netio.Packet { return b.send(netiotest.Discover(netiotest.ClientMAC(i)).Frame()) }
			if p := ask(1); p.Action != netio.Drop {
				t.Fatal("a parked query's frame must go back")
			}
			if b.resume() != nil {
				t.Fatal("a parked query went on before it was resumed")
			}
			if ask(1); !strings.Contains(b.drops(), "server/duplicate=1") {
				t.Errorf("the client's next query while one is parked: %s, want a duplicate", b.drops())
			}
			ask(2)
			if ask(3); !strings.Contains(b.drops(), "server/parked-limit=1") {
				t.Errorf("above parked-packet-limit: %s", b.drops())
			}
			(<-lib.refs).Resume(nil)
			p := b.resume()
			if p == nil || p.Action != netio.Send {
				t.Fatalf("a resumed query gave no answer: %s", b.drops())
			}
			if a := netiotest.ParseReply(t, p.Data); a.View.Type() != dhcp4.MsgOffer {
				t.Fatalf("it was answered by %v", a.View.Type())
			}
			b.now += 2e9
			b.resume() // finds the deadline passed
			b.resume() // takes it off
			if !strings.Contains(b.drops(), "server/parked-expired=1") || b.s.Parked() != 0 {
				t.Errorf("after the deadline: %s, %d parked", b.drops(), b.s.Parked())
			}
			if len(b.w.parked) != 0 || len(b.s.clients.set.keys) != 0 {
				t.Error("something of the parked queries is left")
			}
		})
	}
}

// TestLeaseFileMirror: the leases follow into Kea's file, and a reload moves it.
func TestLeaseFileMirror(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv")
	text := func(path string) string { return testConfig(dir, "", fmt.Sprintf(`"lease-file-mirror": %q,`, path)) }
	b := newBed(t, text(first), Options{})
	addr := b.lease(netiotest.ClientMAC(1))
	if err := b.s.Apply(parse(t, text(second))); err != nil {
		t.Fatal(err)
	}
	other := b.lease(netiotest.ClientMAC(2))
	var status map[string]any
	if b.arguments(`{"command":"status-get"}`, &status); status["csv-lease-file"] != second { // Stork follows it
		t.Errorf("csv-lease-file of status-get is %v, want %s", status["csv-lease-file"], second)
	}
	b.close()
	for path, want := range map[string][]string{first: {addr.String()}, second: {addr.String(), other.String()}} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range want {
			if !strings.Contains(string(data), "\n"+a+",") {
				t.Errorf("%s lacks %s:\n%s", filepath.Base(path), a, data)
			}
		}
	}
}

// TestOverloadShedsDiscoversFirst: under pressure a growing share of DISCOVERs
// goes, REQUESTs never.
func TestOverloadShedsDiscoversFirst(t *testing.T) {
	b := newBed(t, testConfig("", "", ""), Options{})
	defer b.close()
	mac := netiotest.ClientMAC(1)
	addr := b.lease(mac)
	for _, c := range []struct {
		level    uint8
		min, max int // of 100 DISCOVERs shed
	}{{0, 0, 0}, {63, 0, 0}, {112, 45, 55}, {160, 100, 100}, {255, 100, 100}} {
		b.w.SetPressure(c.level)
		shed := 0
		for range 100 {
			if b.send(netiotest.Discover(mac).Frame()).Action == netio.Drop {
				shed++
			}
			if b.send(netiotest.Renew(mac, addr, serverIP).Frame()).Action == netio.Drop {
				t.Fatalf("a renewal was shed at pressure %d: %s", c.level, b.drops())
			}
		}
		if shed < c.min || shed > c.max {
			t.Errorf("at pressure %d %d of 100 DISCOVERs are shed, want %d to %d", c.level, shed, c.min, c.max)
		}
	}
}

func TestUnknownHookLibraryRefusesToStart(t *testing.T) {
	_, err := New(Options{Snapshot: parse(t, testConfig("", `"hooks-libraries": [ { "library": "/usr/lib/kea/hooks/libdhcp_nothing.so" } ],`, ""))})
	if err == nil || !strings.Contains(err.Error(), "libdhcp_nothing.so") {
		t.Fatalf("error is %v, want one that names the library", err)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBed(t, testConfig(t.TempDir(), `"cache-threshold": 0.0,`, ""), Options{})
	defer b.close()
	mac := netiotest.ClientMAC(1)
	addr := b.lease(mac)
	frames := [][]byte{
		netiotest.Discover(mac).Frame(), netiotest.Request(mac, addr, serverIP).Frame(), netiotest.Renew(mac, addr, serverIP).Frame(),
		netiotest.Discover(mac, netiotest.Relayed(relayIP, serverIP), netiotest.WithRAI([]byte("port1"), nil)).Frame(),
	}
	buf := make([]byte, 2048)
	p := make([]netio.Packet, 1)
	for i, f := range frames {
		n := testing.AllocsPerRun(200, func() {
			p[0] = netio.Packet{Data: buf[:copy(buf, f)], IfIndex: 7}
			b.w.HandleBatch(p, b.now)
			if p[0].Action == netio.Drop {
				t.Fatalf("frame %d was dropped: %s", i, b.drops())
			}
			for b.w.DurablePos() < p[0].CommitPos {
				goruntime.Gosched()
			}
		})
		if n != 0 {
			t.Errorf("frame %d costs %v allocations, want 0", i, n)
		}
	}
}

func BenchmarkDORA(b *testing.B) {
	for _, sync := range []string{"none", "group"} {
		b.Run(sync, func(b *testing.B) {
			snap, err := config.Parse("bench", []byte(strings.Replace(testConfig(b.TempDir(), "", fmt.Sprintf(`"sync": %q,`, sync)),
				"10.67.1.0 - 10.67.1.255", "10.67.1.0 - 10.67.254.255", 1)), config.LoadOptions{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := New(Options{Snapshot: snap})
			if err != nil {
				b.Fatal(err)
			}
			s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 16}}}})
			w := s.NewWorker("bench")
			w.Attach(func() {})
			const clients = 20000
			discover, request := make([][]byte, clients), make([][]byte, clients)
			p := make([]netio.Packet, netio.BatchSize)
			bufs := make([][2048]byte, netio.BatchSize)
			give := func(f []byte, i int) { p[i] = netio.Packet{Data: bufs[i][:copy(bufs[i][:], f)], IfIndex: 7} }
			now := int64(1_800_000_000_000_000_000)
			for i := range clients {
				discover[i] = netiotest.Discover(netiotest.ClientMAC(uint32(i)), netiotest.Relayed(relayIP, serverIP)).Frame()
				give(discover[i], 0)
				w.HandleBatch(p[:1], now)
				var v dhcp4.View
				if v.ParseReply(p[0].Data[42:]) != dhcp4.ReasonOK {
					b.Fatal("no OFFER")
				}
				request[i] = netiotest.Request(netiotest.ClientMAC(uint32(i)), v.YIAddr(), serverIP, netiotest.Relayed(relayIP, serverIP)).Frame()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += netio.BatchSize / 2 {
				for j := range netio.BatchSize / 2 {
					c := (i + j) % clients
					give(discover[c], 2*j)
					give(request[c], 2*j+1)
				}
				w.HandleBatch(p, now)
				last := uint64(0)
				for k := range p {
					last = max(last, p[k].CommitPos)
				}
				for w.DurablePos() < last {
					time.Sleep(20 * time.Microsecond)
				}
			}
			b.StopTimer()
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
