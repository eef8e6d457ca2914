package loadgen

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// RFC 2131 §4.3.2 and table 5: which fields a client fills in in which state.
func TestMessagesOfStates(t *testing.T) {
	for _, c := range []struct {
		scenario                  Scenario
		typ                       dhcp4.MsgType
		requested, server, ciaddr bool
		answered                  bool
		exchange                  Exchange
		lasts                     uint64
		reason                    string
	}{
		{Renew, dhcp4.MsgRequest, false, false, true, true, RequestAckRenewal, 300, "Reached max requests limit."},
		{Rebind, dhcp4.MsgRequest, false, false, true, true, RequestAckRebinding, 300, "Reached max requests limit."},
		{InitReboot, dhcp4.MsgRequest, true, false, false, true, RequestAckReboot, 300, "Reached max requests limit."},
		{ReleaseAll, dhcp4.MsgRelease, false, true, true, false, Release, 200, "No client has a lease left."},
		{DeclineAll, dhcp4.MsgDecline, true, true, false, false, Decline, 200, "No client has a lease left."},
	} {
		t.Run(string(c.scenario), func(t *testing.T) {
			o := options(c.scenario)
			o.Exchanges[0] = 300
			leases := map[string]dhcp4.IPv4{}
			seen := uint64(0)
			g := runAgainst(t, o, func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
				mac := string(q.CHAddr())
				addr, leased := leases[mac]
				_, hasServer := q.ServerID()
				if !leased { // the preload
					if q.Type() == dhcp4.MsgRequest {
						leases[mac] = r.YIAddr
					}
					return true
				}
				want, requested := q.RequestedIP()
				if q.Type() != c.typ || requested != c.requested || requested && want != addr || hasServer != c.server ||
					(q.CIAddr() != 0) != c.ciaddr || c.ciaddr && q.CIAddr() != addr || q.GIAddr() != relayIP {
					t.Errorf("%s", dhcp4.AppendText(nil, q.Raw()))
				}
				seen++
				return true
			})
			received := uint64(0)
			if c.answered {
				received = c.lasts
			}
			wantStats(t, g, c.exchange, c.lasts, received)
			if seen != c.lasts || g.Reason != c.reason || g.ExitCode() != 0 || g.Checks.Failed() || g.WithoutLease != 0 {
				t.Errorf("seen %d, %q, exit %d, %+v", seen, g.Reason, g.ExitCode(), g.Checks)
			}
		})
	}
}

// A rebinding client that has no relay asks everybody.
func TestRebindIsBroadcast(t *testing.T) {
	o := options(Rebind)
	o.GIAddr = 0
	g, err := New(o, []netio.Conn{&memory{}})
	if err != nil {
		t.Fatal(err)
	}
	g.leases[0] = lease{addr: 5, server: 6}
	g.bound.add(0)
	m := g.conns[0].(*memory)
	if g.begin(0, 1) != 1 {
		t.Fatal("nothing was begun")
	}
	var h frame.Headers
	if r := frame.Decode(m.buf[:g.headLen+len(g.messages[RequestAckRebinding].msg)], &h); r != frame.ReasonOK || h.Dst4 != 0xFFFFFFFF || h.DstMAC != broadcastMAC {
		t.Errorf("%v %+v", r, h)
	}
	if g.out.Dst4 != uint32(serverIP) {
		t.Error("the next packets are broadcast too")
	}
}

// Everything at once against a server that gives released addresses to others:
// the checks must not take that for a mistake.
func TestMixed(t *testing.T) {
	o := options(Mixed)
	o.Rate, o.Exchanges[0] = 3000, 4000
	o.Mix, _ = ParseMix("dora=10,discover=5,renew=40,rebind=10,init-reboot=10,release=20,decline=5")
	s := &server{gives: true}
	g := runServer(t, o, s)
	x := g.Exchanges()
	if len(x) != 7 || x[0] != DiscoverOffer || x[6] != Decline {
		t.Errorf("%v", x)
	}
	sum := uint64(0)
	for _, e := range x {
		st := &g.Stats[e]
		if e != RequestAck {
			sum += st.Sent
		}
		if st.Sent < 100 || e.answered() && st.Received+st.Rejected != st.Sent {
			t.Errorf("%v: sent %d received %d rejected %d", e, st.Sent, st.Received, st.Rejected)
		}
	}
	if sum != 4000 || g.Checks.Failed() || g.Reason != "Reached max requests limit." {
		t.Errorf("%d exchanges, %+v, %s", sum, g.Checks, g.Reason)
	}
	// And a mistake is still seen.
	o.Exchanges[0] = 2000
	n := 0
	g = runServer(t, o, &server{gives: true, mistake: func(_ *server, q *dhcp4.View, r *dhcp4.Reply) bool {
		if n++; n > 1000 && r.Type == dhcp4.MsgOffer {
			r.YIAddr = 0x0A640001
		}
		if n > 1000 && r.Type == dhcp4.MsgNak {
			r.Type = dhcp4.MsgAck
			r.YIAddr, _ = q.RequestedIP()
		}
		return true
	}})
	if g.Checks.DuplicateAddresses == 0 || g.ExitCode() != 3 {
		t.Errorf("%+v, exit %d", g.Checks, g.ExitCode())
	}
}

func TestMixer(t *testing.T) {
	list, err := ParseMix("sarr=1,renew=8,release=1,decline=0")
	if err != nil || fmt.Sprint(list) != "[{dora 1} {renew 8} {release 1} {decline 0}]" {
		t.Fatal(list, err)
	}
	m := newMixer(list)
	r := rand.New(rand.NewPCG(1, 2))
	var n [numOps]int
	for range 10000 {
		n[m.pick(r)]++
	}
	if n[OpDORA] < 800 || n[OpDORA] > 1200 || n[OpRenew] < 7500 || n[OpRelease] < 800 || n[OpDecline]+n[OpRebind]+n[OpDiscover] != 0 {
		t.Error(n)
	}
	for _, bad := range []string{"", "dora", "dora=", "dora=-1", "dora=1000001", "x=1", "renew=1,renew=2"} {
		if _, err := ParseMix(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// clientSet against a map.
func TestClientSet(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s, twin := newClientSet(50), map[uint32]bool{}
	for range 5000 {
		c := r.Uint32N(50)
		if r.IntN(2) == 0 {
			s.add(c)
			twin[c] = true
		} else {
			s.remove(c)
			delete(twin, c)
		}
		if len(s.list) != len(twin) {
			t.Fatalf("%d clients, want %d", len(s.list), len(twin))
		}
		got := map[uint32]bool{}
		for range s.list { // a whole turn meets all
			c, ok := s.turn()
			got[c] = ok
		}
		if p, ok := s.pick(r); ok != (len(twin) > 0) || ok && !twin[p] {
			t.Fatal(p, ok)
		}
		for c := range twin {
			if !got[c] && s.cursor == uint32(len(s.list)) {
				t.Fatalf("client %d has no turn", c)
			}
		}
	}
}

// Junk does not disturb what it is sent beside, and is counted apart.
func TestJunk(t *testing.T) {
	o := options(DORA)
	o.Rate, o.Exchanges[0], o.JunkRate = 1000, 500, 20000
	s := &server{lenient: true}
	g := runServer(t, o, s)
	wantStats(t, g, DiscoverOffer, 500, 500)
	wantStats(t, g, RequestAck, 500, 500)
	if x := g.Exchanges(); len(x) != 2 || x[1] != RequestAck {
		t.Errorf("junk is among the exchanges: %v", x)
	}
	st := &g.Stats[Junk]
	// Never more than is due. How much less depends on how long the last turn
	// waited for a processor: what came due in it is not counted as missed.
	onSchedule := func(g *Generator) {
		t.Helper()
		took := float64(g.EndNs-g.StartNs) / 1e9
		if got, want := float64(g.Stats[Junk].Sent+g.junk.Missed), 20000*took; got < want/10 || got > want+1 {
			t.Errorf("%v junk packets in %v s", got, took)
		}
	}
	onSchedule(g)
	if st.Received == 0 || st.Received >= st.Sent || s.bad == 0 || g.Checks.Failed() || g.ExitCode() != 0 || g.Stats[DiscoverOffer].Orphans+g.Stats[RequestAck].Orphans > st.Sent/20 {
		t.Errorf("junk %d answered %d bad %d, %+v, exit %d, orphans %d and %d", st.Sent, st.Received, s.bad, g.Checks, g.ExitCode(), g.Stats[DiscoverOffer].Orphans, g.Stats[RequestAck].Orphans)
	}
	var b bytes.Buffer
	g.WriteDetails(&b)
	if want := fmt.Sprintf("malformed packets sent: %d answered: %d ", st.Sent, st.Received); !strings.Contains(b.String(), want) {
		t.Error(b.String())
	}
	if r := g.Result("test", nil, &Conns{}); r.Junk.Rate != 20000 || r.Junk.Sent != st.Sent || r.Junk.Answered != st.Received {
		t.Errorf("%+v", r.Junk)
	}

	o = options(MalformedFlood)
	o.Rate, o.Exchanges[0], o.Period = 20000, 0, 200*time.Millisecond
	g = runServer(t, o, &server{lenient: true})
	onSchedule(g)
	if n := g.Stats[Junk].Sent; n == 0 || g.ExitCode() != 0 || g.Stats[DiscoverOffer].Sent != 0 {
		t.Errorf("%d packets, exit %d", n, g.ExitCode())
	}
	b.Reset()
	g.WriteReport(&b)
	if !strings.Contains(b.String(), " MALFORMED/second, expected rate: 20000\n") {
		t.Error(b.String())
	}
}

// Every kind of junk is there, most of it no message, and all of it fits a packet.
func TestMutate(t *testing.T) {
	o := options(DORA)
	o.JunkRate = 1
	for _, six := range []bool{false, true} {
		if six {
			o = options6(SARR)
			o.JunkRate = 1
		}
		g, err := New(o, []netio.Conn{&memory{}})
		if err != nil {
			t.Fatal(err)
		}
		good := 0
		for _, p := range g.junk.payloads {
			if len(p) > 1400 {
				t.Errorf("%d octets", len(p))
			}
			var v dhcp4.View
			var v6 view6
			if six && v6.parse(p) || !six && v.Parse(p) == dhcp4.ReasonOK {
				good++
			}
		}
		if good > junkVariants*2/3 || good == 0 {
			t.Errorf("%d of %d can be parsed", good, junkVariants)
		}
	}
}

func TestPools(t *testing.T) {
	list, err := ParsePools("10.0.0.10-10.0.0.20, 10.0.1.0/24,10.0.0.15-10.0.0.30")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPools(list, false)
	if err != nil || len(p.four) != 2 {
		t.Fatal(p, err)
	}
	within := func(list []Range, a netip.Addr) bool { // the twin
		for _, r := range list {
			if !a.Less(r.First) && !r.Last.Less(a) {
				return true
			}
		}
		return false
	}
	for n := uint32(0x0A000000); n < 0x0A000300; n++ {
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		if p.has4(n) != within(list, a) {
			t.Errorf("%v: %v", a, p.has4(n))
		}
	}
	list6, err := ParsePools("2001:db8::10-2001:db8::1f,2001:db8:1::/48,2001:db8::18-2001:db8::18")
	if err != nil {
		t.Fatal(err)
	}
	p6, err := newPools(list6, true)
	if err != nil || len(p6.six) != 2 {
		t.Fatal(p6, err)
	}
	for _, s := range []string{"2001:db8::f", "2001:db8::10", "2001:db8::1f", "2001:db8::20", "2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::", "::"} {
		a := netip.MustParseAddr(s)
		b := a.As16()
		if p6.has6(&b) != within(list6, a) {
			t.Errorf("%v: %v", a, p6.has6(&b))
		}
	}
	if none := (pools{}); !none.has4(1) || !none.has6(&[16]byte{}) {
		t.Error("without pools an address is outside")
	}
	for _, bad := range []string{"", "10.0.0.1", "10.0.0.2-10.0.0.1", "10.0.0.1-2001:db8::1", "10.0.0.0/33"} {
		if _, err := ParsePools(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := newPools(list, true); err == nil {
		t.Error("pools of the other version were accepted")
	}

	o := options(DORA)
	o.Pools = []Range{{netip.MustParseAddr("10.100.0.0"), netip.MustParseAddr("10.100.0.99")}}
	if g := runAgainst(t, o, nil); g.Checks.OutsidePools != 200 || g.ExitCode() != 3 { // 100 clients, OFFER and ACK
		t.Errorf("%+v", g.Checks)
	}
}

func TestRelaysByClient(t *testing.T) {
	o := options(DORA)
	o.Relays, o.RelayByClient = []uint32{0x0A630002, 0x0A630003, 0x0A630004}, true
	o.Exchanges[0] = 600
	of := map[string]dhcp4.IPv4{}
	count := map[dhcp4.IPv4]int{}
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		mac := string(q.CHAddr())
		if was, ok := of[mac]; ok && was != q.GIAddr() {
			t.Errorf("client %x changed its relay", mac)
		}
		of[mac] = q.GIAddr()
		count[q.GIAddr()]++
		return true
	})
	wantStats(t, g, RequestAck, 600, 600)
	if len(count) != 3 || count[0x0A630002] != 402 {
		t.Errorf("%v", count)
	}
}

// perfdhcp's -y and -Y, -P and -x.
func TestPretendPreloadKeep(t *testing.T) {
	o := options(Basic)
	o.Exchanges[0], o.Preload, o.Keep, o.Samples = 100, 70, true, true
	o.SecsFor, o.Unique = 10*time.Second, true
	started := false
	o.Started = func() { started = true }
	discovers := 0
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		if q.Type() == dhcp4.MsgDiscover {
			if discovers++; q.Secs() < 1 || q.Secs() > 9 {
				t.Errorf("secs %d", q.Secs())
			}
		}
		return true
	})
	wantStats(t, g, DiscoverOffer, 100, 100)
	wantStats(t, g, RequestAck, 100, 100)
	if discovers != 170 || !started || g.Stats[RequestAck].NonUnique != 0 {
		t.Errorf("%d DISCOVERs, %v, %d twice", discovers, started, g.Stats[RequestAck].NonUnique)
	}
	var b bytes.Buffer
	g.WriteLeases(&b)
	if s := b.String(); strings.Count(s, "\n010") != 200 || !strings.HasPrefix(s, "***Leases for DISCOVER-OFFER***\nclient_id,adrress,prefix\n01000c01020304,10.100.0.0,\n") ||
		!strings.Contains(s, "\n\n\n***Leases for REQUEST-ACK***\nclient_id,adrress,prefix\n") {
		t.Error(s)
	}
	b.Reset()
	g.WriteTimestamps(&b)
	if s := b.String(); strings.Count(s, "\nsent / received: 00") != 200 || !strings.HasPrefix(s, "***Timestamps for packets: DISCOVER-OFFER***\n") {
		t.Error(s)
	}
	b.Reset()
	g.WriteTemplates(&b)
	if s := b.String(); !strings.HasPrefix(s, "xid-offset=4\nrandom-offset=35\ncontents: \n0000   01010601") ||
		!strings.Contains(s, "\n\nxid-offset=4\nrandom-offset=35\nsrvid-offset=54\ntime-offset=8\nip-offset=240\ncontents: \n0000   01010601") || !strings.Contains(s, "\n0020   ") {
		t.Error(s)
	}
	g.pretendAt(t, 3*time.Second, 4*time.Second, map[time.Duration]uint16{0: 0, 2999 * time.Millisecond: 0, 3 * time.Second: 1, 6999 * time.Millisecond: 4, 7 * time.Second: 0})
	if d := isoDuration(int64(3*time.Hour + 4*time.Minute + 5*time.Second + 6*time.Microsecond)); d != "030405.000006" {
		t.Error(d)
	}
	if d := isoDuration(int64(5 * time.Second)); d != "000005" {
		t.Error(d)
	}
}

func (g *Generator) pretendAt(t *testing.T, after, during time.Duration, want map[time.Duration]uint16) {
	t.Helper()
	g.opt.SecsAfter, g.opt.SecsFor, g.StartNs = after, during, 1000
	for d, w := range want {
		if g.pretend(1000 + int64(d)); g.secs != w {
			t.Errorf("after %v: %d s, want %d", d, g.secs, w)
		}
	}
}

// perfdhcp's -T: messages are sent as they are but for the fields named.
func TestTemplates(t *testing.T) {
	message := func(typ dhcp4.MsgType) []byte {
		var r dhcp4.Reply
		r.Op, r.HType, r.HLen, r.Hops = dhcp4.BootRequest, 1, 6, 1
		r.Type, r.GIAddr = typ, relayIP
		r.Set(dhcp4.OptHostName, []byte("templated"))
		if typ == dhcp4.MsgRequest {
			r.Set(224, make([]byte, 4)) // where the server identifier
			r.Set(225, make([]byte, 4)) // and the requested address go
		}
		b, _ := r.Append(nil, 1400, nil)
		return b
	}
	discover, request := message(dhcp4.MsgDiscover), message(dhcp4.MsgRequest)
	o := options(Basic)
	o.Templates = []Template{
		{Name: "d", Data: discover, RandomOffset: 33},
		{Name: "r", Data: request, RandomOffset: 33, ServerIDOffset: bytes.Index(request, []byte{224, 4}), IPOffset: bytes.Index(request, []byte{225, 4})},
	}
	g := runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		if string(q.Option(dhcp4.OptHostName)) != "templated" || q.Has(dhcp4.OptClientIdentifier) {
			t.Errorf("%s", dhcp4.AppendText(nil, q.Raw()))
		}
		if q.Type() == dhcp4.MsgRequest {
			if id, ok := q.ServerID(); !ok || id != serverIP {
				t.Errorf("%s", dhcp4.AppendText(nil, q.Raw()))
			}
		}
		return true
	})
	wantStats(t, g, DiscoverOffer, 200, 200)
	wantStats(t, g, RequestAck, 200, 200)
	if g.Checks.Failed() || g.ExitCode() != 0 {
		t.Errorf("%+v", g.Checks)
	}
	// One template alone: the REQUEST is our own.
	o.Templates = o.Templates[:1]
	g = runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		return q.Has(dhcp4.OptClientIdentifier) == (q.Type() == dhcp4.MsgRequest)
	})
	wantStats(t, g, RequestAck, 200, 200)
	for _, bad := range []Template{
		{Data: discover[:30]}, {Data: discover, XIDOffset: len(discover) - 3}, {Data: discover, RandomOffset: 4}, {Data: discover, RandomOffset: len(discover)},
		{Data: make([]byte, 1473)},
	} {
		o.Templates = []Template{bad}
		if _, err := New(o, []netio.Conn{nil}); err == nil {
			t.Errorf("a template of %d octets, %d, %d was accepted", len(bad.Data), bad.XIDOffset, bad.RandomOffset)
		}
	}
	for _, bad := range []Template{{ElapsedOffset: 1470}, {ServerIDOffset: len(request)}, {IPOffset: len(request) - 5}} {
		bad.Data = request
		o.Templates = []Template{{Data: discover}, bad}
		if _, err := New(o, []netio.Conn{nil}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// Beginnings are compared to when they were due.
func TestLateSends(t *testing.T) {
	o := options(Basic)
	o.Rate = 1000
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		t.Fatal(err)
	}
	// Ten were due at 0, 1, … 9 ms; at 8.5 ms, the first eight are late.
	if n := g.begin(8_500_000, 10); n != 10 || g.LateSends != 8 || g.Lag.Count() != 10 || g.Lag.Max() != 8_500_000 {
		t.Errorf("%d begun, %d late, %d, %d", n, g.LateSends, g.Lag.Count(), g.Lag.Max())
	}
	r := g.Result("test", nil, &Conns{})
	if r.LateSends != 8 || r.SendLag.Max != 8_500_000 {
		t.Errorf("%+v", r)
	}
}

func TestPinned(t *testing.T) {
	o := options(Basic)
	o.CPUs = []int{0}
	wantStats(t, runAgainst(t, o, nil), RequestAck, 200, 200)
	o.CPUs = []int{1023}
	g, err := New(o, []netio.Conn{&memory{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(); err == nil {
		t.Error("CPU 1023 was taken")
	}
}

// A display sees progress, also of the preload.
func TestTick(t *testing.T) {
	o := options(Renew)
	o.Rate, o.Exchanges[0], o.Tick = 1000, 1000, 10*time.Millisecond
	o.Clients = 1000 // more than the preload has under way at a time
	phases := map[bool]int{}
	var last Snapshot
	o.OnTick = func(g *Generator) {
		s := g.Snapshot()
		phases[s.Preloading]++
		if s.Progress < 0 || s.Progress > 1 || !s.Preloading && s.Begun < last.Begun {
			t.Errorf("%+v after %+v", s, last)
		}
		if !s.Preloading {
			last = s
		}
	}
	slow := 0
	runAgainst(t, o, func(_ *server, q *dhcp4.View, _ *dhcp4.Reply) bool {
		if q.Type() == dhcp4.MsgDiscover {
			slow++
			time.Sleep(200 * time.Microsecond) // else the preload is over at once
		}
		return true
	})
	if phases[true] == 0 || phases[false] < 10 || last.Completed == 0 || len(last.Exchanges) != 1 || last.Exchanges[0].P50 == 0 {
		t.Errorf("%v %+v", phases, last)
	}
}
