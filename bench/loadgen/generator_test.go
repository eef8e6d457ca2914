package loadgen

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

func TestMain(m *testing.M) { os.Exit(fastpathtest.Main(fastpathtest.NoLeaks(m.Run))) }

// server is a small DHCP server with mistakes on demand.
type server struct {
	mistake func(s *server, q *dhcp4.View, r *dhcp4.Reply) (answer bool)
	byMAC   map[string]dhcp4.IPv4
	n       int // messages so far
	// gives says that released addresses go to whoever asks next.
	gives bool
	free  []dhcp4.IPv4
	used  uint32
	// lenient servers pass over nonsense.
	lenient bool
	bad     int
}

const (
	serverIP = dhcp4.IPv4(0x0A630001)
	relayIP  = dhcp4.IPv4(0x0A630002)
)

// reply answers a message; nil: not at all.
func (s *server) reply(msg []byte) []byte {
	var q dhcp4.View
	if q.Parse(msg) != dhcp4.ReasonOK {
		if s.lenient {
			s.bad++
			return nil
		}
		panic("the generator sent nonsense: " + string(dhcp4.AppendText(nil, msg)))
	}
	s.n++
	mac := string(q.CHAddr())
	addr, ok := s.byMAC[mac]
	if !ok && q.Type() == dhcp4.MsgDiscover || !ok && !s.gives {
		addr = 0x0A640000 + dhcp4.IPv4(s.used)
		if len(s.free) > 0 {
			addr, s.free = s.free[0], s.free[1:]
		} else {
			s.used++
		}
		s.byMAC[mac] = addr
	}
	var r dhcp4.Reply
	r.CopyHeader(&q)
	r.YIAddr = addr
	r.SetIP(dhcp4.OptServerIdentifier, serverIP)
	if rai := q.Option(dhcp4.OptRelayAgentInformation); rai != nil {
		r.Set(dhcp4.OptRelayAgentInformation, rai)
	}
	r.Type = dhcp4.MsgAck
	if q.Type() == dhcp4.MsgDiscover {
		r.Type = dhcp4.MsgOffer
	} else if want, ok := q.RequestedIP(); ok && want != addr || !ok && q.CIAddr() != addr {
		r.Type, r.YIAddr = dhcp4.MsgNak, 0
	}
	if s.mistake != nil && !s.mistake(s, &q, &r) {
		return nil
	}
	if t := q.Type(); t == dhcp4.MsgRelease || t == dhcp4.MsgDecline {
		if ok && s.gives {
			delete(s.byMAC, mac)
			if t == dhcp4.MsgRelease {
				s.free = append(s.free, addr)
			}
		}
		return nil
	}
	b, _ := r.Append(nil, 1472, nil)
	return b
}

// serve answers on c until stop is closed.
func (s *server) serve(c *netiotest.Conn, stop <-chan struct{}) {
	var pkts [netio.BatchSize]netio.Packet
	for {
		n := c.Recv(pkts[:])
		for i := range pkts[:n] {
			var h frame.Headers
			if r := frame.Decode(pkts[i].Data, &h); r != frame.ReasonOK {
				if s.lenient {
					s.bad++
					c.Release(pkts[i : i+1])
					continue
				}
				panic("the generator sent a bad frame: " + r.String())
			}
			if b := s.reply(pkts[i].Data[h.PayloadOff:][:h.PayloadLen]); b != nil {
				o := frame.Out4{DstMAC: h.SrcMAC, SrcMAC: h.DstMAC, VLANs: h.VLANs, VLANCount: h.VLANCount, Src4: h.Dst4, Dst4: h.Src4, SrcPort: h.DstPort, DstPort: h.SrcPort}
				pkts[i].Data = append(pkts[i].Data[:0], netiotest.Frame(&o, b)...)
				c.Send(pkts[i : i+1])
			} else {
				c.Release(pkts[i : i+1])
			}
		}
		c.Flush()
		if n > 0 {
			continue // what was sent before the end is received
		}
		select {
		case <-stop:
			return
		default:
		}
		c.Wait(int64(time.Millisecond))
	}
}

func options(s Scenario) Options {
	return Options{
		Scenario: s, Rate: 5000, Clients: 200, Exchanges: [2]uint64{200},
		GIAddr: uint32(relayIP), LocalAddr: uint32(relayIP), ServerAddr: uint32(serverIP), LocalPort: 67, ServerPort: 67,
		// Nothing is lost unless a test means it, however slow the machine is.
		DropTime: never,
	}
}

// runAgainst runs a scenario against a server with that mistake.
func runAgainst(t *testing.T, o Options, mistake func(*server, *dhcp4.View, *dhcp4.Reply) bool) *Generator {
	t.Helper()
	return runServer(t, o, &server{mistake: mistake})
}

func runServer(t *testing.T, o Options, s *server) *Generator {
	t.Helper()
	a, b := netiotest.NewPair(netiotest.Options{Frames: 1 << 16})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	s.byMAC = map[string]dhcp4.IPv4{}
	wg.Go(func() { s.serve(b, stop) })
	g, err := New(o, []netio.Conn{a})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	a.CheckLoans(t)
	return g
}

func wantStats(t *testing.T, g *Generator, e Exchange, sent, received uint64) {
	t.Helper()
	s := &g.Stats[e]
	if s.Sent != sent || s.Received != received || s.RTT.Count() != received {
		t.Errorf("%v: sent %d received %d (%d timed), want %d and %d", e, s.Sent, s.Received, s.RTT.Count(), sent, received)
	}
}

func TestBasic(t *testing.T) {
	o := options(Basic)
	o.Unique = true
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		// TP-050: a relay with hops 1, options 53, 55 and 61, and 54 and 50 in
		// the request.
		want := map[uint8]bool{53: true, 55: true, 61: true}
		if q.Type() == dhcp4.MsgRequest {
			want[54], want[50] = true, true
		}
		for c := range 256 {
			if q.Has(uint8(c)) != want[uint8(c)] {
				t.Errorf("%v with option %d: %v", q.Type(), c, q.Has(uint8(c)))
			}
		}
		if q.Hops() != 1 || q.GIAddr() != relayIP || string(q.PRL()) != "\x01\x1c\x02\x03\x0f\x06\x0c" || string(q.ClientID()) != "\x01"+string(q.CHAddr()) {
			t.Errorf("%s", dhcp4.AppendText(nil, q.Raw()))
		}
		return true
	})
	wantStats(t, g, DiscoverOffer, 200, 200)
	wantStats(t, g, RequestAck, 200, 200)
	if g.ExitCode() != 0 || g.Stats[RequestAck].NonUnique != 0 || g.Checks.Failed() || g.Reason != "Reached max requests limit." {
		t.Errorf("exit %d, %+v, %s", g.ExitCode(), g.Checks, g.Reason)
	}
	var b bytes.Buffer
	g.WriteReport(&b)
	for _, line := range []string{
		"***Rate statistics***\nRate: ", " 4-way exchanges/second, expected rate: 5000\n\n***Malformed Packets***\nMalformed packets: 0\n",
		"***Statistics for: DISCOVER-OFFER***\nsent packets: 200\nreceived packets: 200\ndrops: 0\ndrops ratio: 0 %\norphans: 0\nrejected leases: 0\nnon unique addresses: 0\n\nmin delay: ",
		"***Statistics for: REQUEST-ACK***\nsent packets: 200\n", "collected packets: 0\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in\n%s", line, b.String())
		}
	}
	b.Reset()
	g.WriteInterim(&b, "")
	g.WriteInterim(&b, ";")
	if want := "sent: 200/200; received: 200/200; drops: 0/0; rejected: 0/0\n200;200;200;200;0;0;0;0\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	j, err := json.Marshal(g.Result("test", nil, &Conns{Mode: "memory"}))
	if err != nil || !strings.Contains(string(j), `"schema":1`) || !strings.Contains(string(j), `"REQUEST-ACK","sent":200`) {
		t.Errorf("%v %s", err, j)
	}
}

func TestTwoWay(t *testing.T) {
	o := options(Basic)
	o.TwoWay = true
	o.Broadcast = true
	o.VLANs = []uint16{100, 200}
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool { return q.Broadcast() })
	wantStats(t, g, DiscoverOffer, 200, 200)
	wantStats(t, g, RequestAck, 0, 0)
}

func TestRenew(t *testing.T) {
	o := options(Renew)
	o.Exchanges[0] = 500
	o.DropTime[0] = 5 * time.Second // the lost ones are waited for
	lost := 0
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		if q.Type() == dhcp4.MsgDiscover && lost < 3 { // the preload tries again
			lost++
			return false
		}
		return true
	})
	wantStats(t, g, RequestAckRenewal, 500, 500)
	if g.ExitCode() != 0 || g.WithoutLease != 0 {
		t.Errorf("exit %d, %d clients without lease", g.ExitCode(), g.WithoutLease)
	}
}

func TestFlood(t *testing.T) {
	o := options(DiscoverFlood)
	o.Rate, o.Exchanges[0], o.Clients = 0, 3000, 1000
	g := runAgainst(t, o, nil)
	wantStats(t, g, DiscoverOffer, 3000, 3000)
}

// never is a drop time that no answer takes.
var never = [2]time.Duration{time.Minute, time.Minute}

// Every mistake of a server is seen.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name    string
		mistake func(*server, *dhcp4.View, *dhcp4.Reply) bool
		want    func(g *Generator) bool
		drop    [2]time.Duration // where answers are meant to be missing
	}{
		{"one address for two clients", func(_ *server, _ *dhcp4.View, r *dhcp4.Reply) bool {
			if r.Type == dhcp4.MsgNak {
				r.Type = dhcp4.MsgAck
			}
			r.YIAddr = 0x0A640001
			return true
		}, func(g *Generator) bool { return g.Checks.DuplicateAddresses == 199 && g.Checks.AckDiffers == 0 }, never},
		{"ack differs", func(_ *server, _ *dhcp4.View, r *dhcp4.Reply) bool {
			if r.Type == dhcp4.MsgAck {
				r.YIAddr += 0x1000
			}
			return true
		}, func(g *Generator) bool { return g.Checks.AckDiffers == 200 && g.Checks.DuplicateAddresses == 0 }, never},
		{"no option 82", func(s *server, _ *dhcp4.View, r *dhcp4.Reply) bool {
			if s.n%4 == 0 {
				r.Del(dhcp4.OptRelayAgentInformation)
			}
			return true
		}, func(g *Generator) bool { return g.Checks.RAIMissing == 100 }, never},
		{"another client's", func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
			r.CHAddr[5] ^= 1
			return true
		}, func(g *Generator) bool { return g.Checks.WrongClient > 0 && g.Stats[DiscoverOffer].TimedOut == 200 }, [2]time.Duration{3 * time.Second, time.Minute}},
		{"silence", func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool { return q.Type() == dhcp4.MsgDiscover },
			func(g *Generator) bool {
				return g.Stats[RequestAck].TimedOut == 200 && g.Stats[RequestAck].Drops() == 200 && !g.Checks.Failed()
			}, [2]time.Duration{time.Minute, 50 * time.Millisecond}},
		{"nak", func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
			if q.Type() == dhcp4.MsgRequest {
				r.Type, r.YIAddr = dhcp4.MsgNak, 0
			}
			return true
		}, func(g *Generator) bool {
			return g.Stats[RequestAck].Rejected == 200 && g.Stats[RequestAck].Received == 0
		}, never},
		{"no server identifier", func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
			r.Del(dhcp4.OptServerIdentifier)
			return true
		}, func(g *Generator) bool { return g.Malformed == 200 && g.Stats[RequestAck].Sent == 0 }, never},
		{"wrong xid", func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
			r.XID += 0x40000000
			return true
		}, func(g *Generator) bool {
			return g.Stats[DiscoverOffer].Orphans > 0 && g.Stats[DiscoverOffer].Received == 0
		}, [2]time.Duration{3 * time.Second, time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(DORA)
			o.RAI = true
			o.DropTime = c.drop
			g := runAgainst(t, o, c.mistake)
			if !c.want(g) {
				t.Errorf("checks %+v, malformed %d, stats %d/%d", g.Checks, g.Malformed, g.Stats[0].Received, g.Stats[1].Received)
				g.WriteReport(testWriter{t})
			}
			if g.ExitCode() != 3 && g.Malformed == 0 {
				t.Errorf("exit %d", g.ExitCode())
			}
		})
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) { w.t.Log(string(b)); return len(b), nil }

func TestEndsAtDrops(t *testing.T) {
	silent := func(*server, *dhcp4.View, *dhcp4.Reply) bool { return false }
	o := options(Basic)
	o.Exchanges[0], o.Rate, o.DropTime[0] = 1_000_000, 1000, 20*time.Millisecond
	o.MaxDrops[0] = 5
	if g := runAgainst(t, o, silent); g.Reason != "Reached maximum drops number." || g.ExitCode() != 3 {
		t.Errorf("%q", g.Reason)
	}
	o.MaxDrops[0], o.MaxDropPercent[0] = 0, 10
	if g := runAgainst(t, o, silent); g.Reason != "Reached maximum percentage of drops." {
		t.Errorf("%q", g.Reason)
	}
	stop := make(chan struct{})
	close(stop)
	o.Interrupt = stop
	if g := runAgainst(t, o, silent); g.Reason != "Interrupted" {
		t.Errorf("%q", g.Reason)
	}
}

// perfdhcp's -f, -F, -J, -M, -1 and -o.
func TestRenewalsAndReleases(t *testing.T) {
	o := options(Basic)
	o.Rate, o.Exchanges[0], o.RenewRate, o.ReleaseRate = 1000, 300, 400, 400
	o.MACs = [][6]byte{{2, 9, 0, 0, 0, 1}, {2, 9, 0, 0, 0, 2}, {2, 9, 0, 0, 0, 3}}
	o.Relays = []uint32{0x0A630002, 0x0A630003}
	o.Seed, o.FirstServer = 42, true
	o.ExtraOptions = []ExtraOption{{12, []byte("a")}, {12, []byte("b")}, {77, []byte("c")}}
	count := map[dhcp4.MsgType]uint64{}
	relays, clients := map[dhcp4.IPv4]int{}, map[string]int{}
	g := runAgainst(t, o, func(s *server, q *dhcp4.View, r *dhcp4.Reply) bool {
		typ := q.Type()
		_, requested := q.RequestedIP()
		id, hasID := q.ServerID()
		want := serverIP + 7
		if typ == dhcp4.MsgRequest && !requested {
			typ = 100 // a renewal
		}
		if hasID != (typ == dhcp4.MsgRequest || typ == dhcp4.MsgRelease) || hasID && id != want ||
			(q.CIAddr() != 0) != (typ == 100 || typ == dhcp4.MsgRelease) ||
			string(q.Option(12)) != "ab" || string(q.Option(77)) != "c" {
			t.Errorf("%s", dhcp4.AppendText(nil, q.Raw()))
		}
		count[typ]++
		relays[q.GIAddr()]++
		clients[string(q.CHAddr())]++
		if count[dhcp4.MsgDiscover] == 1 && typ == dhcp4.MsgDiscover { // the first server is another
			r.SetIP(dhcp4.OptServerIdentifier, want)
		}
		return typ != dhcp4.MsgRelease
	})
	wantStats(t, g, DiscoverOffer, 300, 300)
	wantStats(t, g, RequestAck, 300, 300)
	wantStats(t, g, RequestAckRenewal, count[100], count[100])
	wantStats(t, g, Release, count[dhcp4.MsgRelease], 0)
	if count[100] == 0 || count[dhcp4.MsgRelease] == 0 || len(relays) != 2 || len(clients) != 3 || g.Checks.Failed() || g.ExitCode() != 3 {
		t.Errorf("%v, relays %v, %d clients, %+v, exit %d", count, relays, len(clients), g.Checks, g.ExitCode())
	}
	if id, ok := g.ServerID(); !ok || id != serverIP+7 {
		t.Error(id, ok)
	}
	var b bytes.Buffer
	g.WriteReport(&b)
	if s := b.String(); !strings.Contains(s, "4-way exchanges/second") || !strings.Contains(s, "***Statistics for: REQUEST-ACK (renewal)***") ||
		!strings.Contains(s, "***Statistics for: RELEASE***") {
		t.Error(s)
	}
}

// Clients that got no answer ask again until they have one.
func TestAvalanche(t *testing.T) {
	o := options(Avalanche)
	o.Rate = 0
	lost := map[string]bool{}
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
		key := string(q.CHAddr()) + q.Type().String()
		if q.CHAddr()[5]%40 == 0 && !lost[key] {
			lost[key] = true
			return false
		}
		return true
	})
	if len(lost) == 0 || g.Resent < uint64(len(lost)) || g.ExitCode() != 0 || g.Checks.Failed() || g.Reason != "Every client is served." {
		t.Errorf("lost %d, resent %d, %s", len(lost), g.Resent, g.Reason)
	}
	wantStats(t, g, DiscoverOffer, 200, 200)
	wantStats(t, g, RequestAck, 200, 200)
	var b bytes.Buffer
	g.WriteStorm(&b)
	if s := b.String(); !strings.HasPrefix(s, "It took 00:00:0") || !strings.Contains(s, " to provision 200 clients. \nRequests sent + resent: ") {
		t.Error(s)
	}
}

// RFC 2131 §4.1: 4, 8, 16, 32, 64 seconds, give or take one.
func TestBackOff(t *testing.T) {
	for s, want := range map[Scenario][]int64{Storm: {4, 8, 16, 32, 64, 64, 64}, Avalanche: {1, 2, 4, 8, 16, 32, 64, 64, 64}} {
		g, err := New(options(s), []netio.Conn{&memory{}})
		if err != nil {
			t.Fatal(err)
		}
		for tries, w := range want {
			low, high := int64(1<<62), int64(0)
			for range 1000 {
				d := g.backOff(uint8(tries))
				low, high = min(low, d), max(high, d)
			}
			mid := w * int64(time.Second)
			if low < mid-int64(time.Second) || high > mid+int64(time.Second) || high-low < int64(time.Second) {
				t.Errorf("%s, try %d: %d to %d, want %d s", s, tries, low, high, w)
			}
		}
		if d := g.backOff(255); d > 65*int64(time.Second) {
			t.Error(d)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Scenario = "unknown" },
		func(o *Options) { o.Clients = MaxClients + 1 },
		func(o *Options) { o.Rate = MaxRate + 1 },
		func(o *Options) { o.Window = maxOutstanding + 1 },
		func(o *Options) { o.LocalPort = 0 },
		func(o *Options) { o.DropTime[1] = -1 },
		func(o *Options) { o.Scenario, o.TwoWay = Renew, true },
		func(o *Options) { o.Scenario, o.RenewRate = Renew, 1 },
		func(o *Options) { o.VLANs = []uint16{1, 2, 3} },
		func(o *Options) { o.VLANs = []uint16{4095} },
		func(o *Options) { o.TwoWay, o.ReleaseRate = true, 1 },
		func(o *Options) { o.Scenario, o.Clients = Storm, maxOutstanding+1 },
		func(o *Options) { o.ExtraOptions = []ExtraOption{{0, nil}} },
		func(o *Options) { o.ExtraOptions = []ExtraOption{{12, make([]byte, 256)}} },
		func(o *Options) {
			for range 8 {
				o.ExtraOptions = append(o.ExtraOptions, ExtraOption{12, make([]byte, 255)})
			}
		},
	} {
		o := options(Basic)
		change(&o)
		if _, err := New(o, []netio.Conn{nil}); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := New(options(Basic), nil); err == nil {
		t.Error("no connection was accepted")
	}
}

// memory is a Conn without an other end: it never runs out and keeps nothing.
type memory struct {
	buf  [4096]byte
	sent int
}

func (m *memory) Recv(p []netio.Packet) int { return 0 }
func (m *memory) Alloc(p *netio.Packet) bool {
	p.Data = m.buf[:0]
	return true
}
func (m *memory) Send(p []netio.Packet)      { m.sent += len(p) }
func (m *memory) Release([]netio.Packet)     {}
func (m *memory) Flush()                     {}
func (m *memory) Wait(int64)                 {}
func (m *memory) Wake()                      {}
func (m *memory) ConnStats() netio.ConnStats { return netio.ConnStats{} }
func (m *memory) Close() error               { return nil }

// offerAll answers what begin just wrote.
func offerFrame(tb testing.TB, g *Generator, m *memory) []byte {
	tb.Helper()
	var h frame.Headers
	b := m.buf[:g.headLen+len(g.messages[DiscoverOffer].msg)]
	if r := frame.Decode(b, &h); r != frame.ReasonOK {
		tb.Fatal(r)
	}
	s := server{byMAC: map[string]dhcp4.IPv4{}}
	msg := s.reply(b[h.PayloadOff:][:h.PayloadLen])
	return netiotest.Frame(&frame.Out4{Src4: h.Dst4, Dst4: h.Src4, SrcPort: 67, DstPort: 67}, msg)
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	o := options(DORA)
	o.RAI = true
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		t.Fatal(err)
	}
	g.begin(0, 1)
	p := netio.Packet{Data: append(make([]byte, 0, 2048), offerFrame(t, g, m)...)}
	kept := bytes.Clone(p.Data)
	requests := 0
	if n := testing.AllocsPerRun(200, func() {
		g.begin(0, 1)
		// The first exchange again and again: its slot is set back.
		s := &g.slots[0]
		s.stage, s.sentNs = stageOf(DiscoverOffer), 0
		p.Data = append(p.Data[:0], kept...)
		if g.handle(&p, 1) {
			requests++
		}
		g.expire(1)
	}); n != 0 || requests != 201 {
		t.Errorf("%v allocations, %d requests", n, requests)
	}
}

// Nor does a packet of any other kind.
func TestNoAllocsMixedAndJunk(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	for _, v6 := range []bool{false, true} {
		o := options(Mixed)
		o.Mix, _ = ParseMix("dora=1,discover=1,renew=2,rebind=1,init-reboot=1,release=2,decline=1")
		if v6 {
			o = options6(Mixed)
			o.Mix, _ = ParseMix("sarr=1,renew=1,rebind=1,release=1")
		}
		o.JunkRate, o.DropTime = 1_000_000, [2]time.Duration{time.Millisecond, time.Millisecond}
		m := &memory{}
		g, err := New(o, []netio.Conn{m})
		if err != nil {
			t.Fatal(err)
		}
		if v6 {
			g.six.servers = [][]byte{{1, 2, 3}}
		}
		clock, sent := int64(0), m.sent
		if n := testing.AllocsPerRun(500, func() {
			for c := range uint32(8) { // what a server would have given
				if v6 {
					g.six.leases[c].held = true
				} else {
					g.leases[c] = lease{addr: 5 + c, server: 1}
				}
				g.unbound.remove(c)
				g.bound.add(c)
			}
			clock += 1_000_000
			g.begin(clock, 4)
			if g.junk.send(g, clock) == 0 {
				t.Error("no junk")
			}
			g.expire(clock)
		}); n != 0 || m.sent-sent < 501*60 {
			t.Errorf("DHCPv6 %v: %v allocations for %d packets", v6, n, m.sent-sent)
		}
	}
}

func BenchmarkBegin(b *testing.B) {
	o := options(Basic)
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		g.begin(0, 64)
		g.tail = g.head
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(m.sent), "ns/packet")
}

func BenchmarkHandleOffer(b *testing.B) {
	o := options(Basic)
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		b.Fatal(err)
	}
	g.begin(0, 1)
	kept := offerFrame(b, g, m)
	p := netio.Packet{Data: make([]byte, 0, 2048)}
	b.ReportAllocs()
	for b.Loop() {
		g.slots[0].stage = stageOf(DiscoverOffer)
		p.Data = append(p.Data[:0], kept...)
		g.handle(&p, 1)
	}
}

// loopbackUp makes lo usable: in a network namespace of its own it is down at
// first.
func loopbackUp(t *testing.T) {
	t.Helper()
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
}

// freePort is a UDP port nobody has just now.
func freePort(t *testing.T, addr netip.Addr) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

// Over real sockets on loopback.
func TestUDP(t *testing.T) {
	loopbackUp(t)
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := server{byMAC: map[string]dhcp4.IPv4{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(s.reply(b[:n]), from)
		}
	})
	local := netip.MustParseAddr("127.0.0.1")
	k := &Link{Name: "lo", Index: 1, Addr: local, Queues: 1}
	port := freePort(t, local)
	conns, err := Open(UDP, k, local, port)
	if err != nil {
		t.Fatal(err)
	}
	o := options(Basic)
	o.LocalAddr, o.ServerAddr, o.LocalPort = 0x7F000001, 0x7F000001, port
	o.ServerPort = uint16(c.LocalAddr().(*net.UDPAddr).Port)
	o.Rate, o.Window = 0, 32 // what fits a socket's buffer however slow its reader is
	g, err := New(o, conns.List)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(); err != nil {
		t.Fatal(err)
	}
	wantStats(t, g, DiscoverOffer, 200, 200)
	wantStats(t, g, RequestAck, 200, 200)
	if err := conns.Close(); err != nil {
		t.Error(err)
	}
	c.Close()
	wg.Wait()
}

func TestTurn(t *testing.T) {
	for _, opts := range [][]netiotest.Option{nil, {netiotest.VLAN(5)}, {netiotest.VLAN(5), netiotest.VLAN(6)}} {
		q := netiotest.Discover(netiotest.ClientMAC(1), append(opts, netiotest.Relayed(relayIP, serverIP))...)
		b := q.Frame()
		if !turn(b) {
			t.Fatal("not turned")
		}
		a := netiotest.ParseReply(t, b)
		if a.Src4 != uint32(serverIP) || a.Dst4 != uint32(relayIP) || a.SrcMAC != netiotest.ServerMAC || a.DstMAC != netiotest.RelayMAC ||
			int(a.VLANCount) != len(opts) {
			t.Errorf("%+v", a.Headers)
		}
		for n := range int(a.L3Off) + 29 {
			if turn(bytes.Clone(b[:n])) {
				t.Errorf("%d octets were turned", n)
			}
		}
	}
}
