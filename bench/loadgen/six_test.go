package loadgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// server6 is a small DHCPv6 server over another implementation of the wire
// format, with mistakes on demand.
type server6 struct {
	t       *testing.T
	mistake func(s *server6, q, r *dhcpv6.Message) (answer bool)
	byDUID  map[string]int
	count   map[dhcpv6.MessageType]int
	relayed int
	lenient bool
	bad     int
}

var server6ID = &dhcpv6.DUIDEN{EnterpriseNumber: 1, EnterpriseIdentifier: []byte("six")}

// wrong fails the test, unless junk is expected.
func (s *server6) wrong(format string, args ...any) {
	if !s.lenient {
		s.t.Errorf(format, args...)
	}
}

func (s *server6) reply(msg []byte) []byte {
	d, err := dhcpv6.FromBytes(msg)
	if err != nil {
		if s.bad++; !s.lenient {
			s.t.Errorf("the generator sent nonsense: %v", err)
		}
		return nil
	}
	q, err := d.GetInnerMessage()
	if err != nil || q.Options.ClientID() == nil {
		if s.bad++; !s.lenient {
			s.t.Errorf("no client or no message: %v", err)
		}
		return nil
	}
	switch q.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind, dhcpv6.MessageTypeRelease:
	default:
		if s.bad++; !s.lenient {
			s.t.Errorf("a message of type %v", q.MessageType)
		}
		return nil
	}
	s.count[q.MessageType]++
	duid := string(q.Options.ClientID().ToBytes())
	n, ok := s.byDUID[duid]
	if !ok {
		n = len(s.byDUID)
		s.byDUID[duid] = n
	}
	r := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: q.TransactionID}
	if q.MessageType == dhcpv6.MessageTypeSolicit {
		r.MessageType = dhcpv6.MessageTypeAdvertise
		if q.GetOneOption(dhcpv6.OptionRapidCommit) != nil {
			r.MessageType = dhcpv6.MessageTypeReply
			r.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
		}
	} else if id := q.Options.ServerID(); (id == nil) != (q.MessageType == dhcpv6.MessageTypeRebind) || id != nil && !id.Equal(server6ID) {
		s.wrong("%v: server %v", q.MessageType, id)
	}
	r.AddOption(dhcpv6.OptClientID(q.Options.ClientID()))
	r.AddOption(dhcpv6.OptServerID(server6ID))
	addr := net.ParseIP("2001:db8::")
	binary.BigEndian.PutUint32(addr[12:], uint32(n)+0x10000)
	prefix := &net.IPNet{IP: net.ParseIP("2001:db8:8000::"), Mask: net.CIDRMask(64, 128)}
	binary.BigEndian.PutUint32(prefix.IP[4:], uint32(n)<<4+0x80000000)
	asked := q.MessageType != dhcpv6.MessageTypeSolicit
	if ia := q.Options.OneIANA(); ia != nil {
		if a := ia.Options.OneAddress(); asked && (a == nil || !a.IPv6Addr.Equal(addr)) || !asked && a != nil || ia.IaId != [4]byte{0, 0, 0, 1} || ia.T1 != time.Hour || ia.T2 != 90*time.Minute {
			s.wrong("%v: %v", q.MessageType, ia)
		}
		out := &dhcpv6.OptIANA{IaId: ia.IaId}
		out.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: addr, PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour})
		r.AddOption(out)
	}
	if ia := q.Options.OneIAPD(); ia != nil {
		if p := ia.Options.Prefixes(); asked && (len(p) != 1 || p[0].Prefix.String() != prefix.String()) {
			s.wrong("%v: %v", q.MessageType, ia)
		}
		out := &dhcpv6.OptIAPD{IaId: ia.IaId}
		out.Options.Add(&dhcpv6.OptIAPrefix{Prefix: prefix, PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour})
		r.AddOption(out)
	}
	if s.mistake != nil && !s.mistake(s, q, r) {
		return nil
	}
	if relay, ok := d.(*dhcpv6.RelayMessage); ok {
		s.relayed++
		out, err := dhcpv6.NewRelayReplFromRelayForw(relay, r)
		if err != nil {
			s.t.Error(err)
			return nil
		}
		return out.ToBytes()
	}
	return r.ToBytes()
}

// serve answers on c until stop is closed.
func (s *server6) serve(c netio.Conn, stop <-chan struct{}) {
	var pkts [netio.BatchSize]netio.Packet
	for {
		n := c.Recv(pkts[:])
		for i := range pkts[:n] {
			var h frame.Headers
			r := frame.Decode(pkts[i].Data, &h)
			if r != frame.ReasonOK {
				if s.bad++; !s.lenient {
					s.t.Errorf("the generator sent a bad frame: %v", r)
				}
				c.Release(pkts[i : i+1])
				continue
			}
			b := s.reply(pkts[i].Data[h.PayloadOff:][:h.PayloadLen])
			if b == nil {
				c.Release(pkts[i : i+1])
				continue
			}
			o := frame.Out6{DstMAC: h.SrcMAC, SrcMAC: h.DstMAC, VLANs: h.VLANs, VLANCount: h.VLANCount, Src6: h.Dst6, Dst6: h.Src6, SrcPort: h.DstPort, DstPort: h.SrcPort}
			f := pkts[i].Data[:cap(pkts[i].Data)]
			copy(f[frame.HeaderLen6(o.VLANCount):], b)
			pkts[i].Data = f[:frame.Write6(f, &o, len(b))]
			c.Send(pkts[i : i+1])
		}
		c.Flush()
		select {
		case <-stop:
			return
		default:
		}
		c.Wait(int64(time.Millisecond))
	}
}

func options6(s Scenario) Options {
	return Options{
		Scenario: s, V6: true, Rate: 5000, Clients: 200, Exchanges: [2]uint64{200},
		Local6: netip.MustParseAddr("fe80::2").As16(), Server6: netip.MustParseAddr("ff02::1:2").As16(), LocalPort: ClientPort6, ServerPort: ServerPort6,
		DropTime: never,
	}
}

func run6(t *testing.T, o Options, s *server6) *Generator {
	t.Helper()
	a, b := netiotest.NewPair(netiotest.Options{Frames: 1 << 16})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	s.t, s.byDUID, s.count = t, map[string]int{}, map[dhcpv6.MessageType]int{}
	wg.Go(func() { s.serve(b, stop) })
	g, err := New(o, []netio.Conn{a})
	if err == nil {
		err = g.Run()
	}
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	a.CheckLoans(t)
	return g
}

func clean6(t *testing.T, g *Generator) {
	t.Helper()
	if g.Checks.Failed() || g.Malformed != 0 || g.Other != 0 || g.ExitCode() != 0 {
		t.Errorf("%+v, malformed %d, other %d, exit %d", g.Checks, g.Malformed, g.Other, g.ExitCode())
	}
}

// TP-051: what perfdhcp sends in DHCPv6.
func TestSARR(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		na, pd bool
	}{
		{"addresses", func(o *Options) {}, true, false},
		{"prefixes", func(o *Options) { o.Prefixes, o.NoAddresses = true, true }, false, true},
		{"both", func(o *Options) { o.Prefixes = true }, true, true},
		{"relayed", func(o *Options) {
			o.Relayed, o.LocalPort = true, ServerPort6
			o.RelayOptions = []ExtraOption{{38, []byte("1234")}}
			o.Links6 = [][16]byte{netip.MustParseAddr("2001:db8:1::1").As16(), netip.MustParseAddr("2001:db8:2::1").As16()}
		}, true, false},
		{"tagged", func(o *Options) { o.VLANs = []uint16{5, 6} }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options6(Basic)
			o.Unique, o.Keep = true, true
			o.ExtraOptions = []ExtraOption{{32000, []byte("extra")}}
			o.Pools, _ = ParsePools("2001:db8::1:0-2001:db8::1:ffff,2001:db8:8000::/36")
			c.change(&o)
			xids := map[dhcpv6.TransactionID]bool{}
			duids := map[string]bool{}
			s := &server6{mistake: func(_ *server6, q, r *dhcpv6.Message) bool {
				if xids[q.TransactionID] {
					t.Errorf("%v: a transaction identifier was used again", q.MessageType)
				}
				xids[q.TransactionID] = true
				duids[string(q.Options.ClientID().ToBytes())] = true
				oro := q.Options.RequestedOptions()
				if solicit := q.MessageType == dhcpv6.MessageTypeSolicit; solicit != (len(oro) == 2 && oro[0] == dhcpv6.OptionDNSRecursiveNameServer && oro[1] == dhcpv6.OptionDomainSearchList) ||
					(q.Options.OneIANA() != nil) != c.na || (q.Options.OneIAPD() != nil) != c.pd || q.GetOneOption(dhcpv6.OptionElapsedTime) == nil ||
					!bytes.Equal(q.GetOneOption(32000).ToBytes(), []byte("extra")) {
					t.Errorf("%s", q.Summary())
				}
				return true
			}}
			g := run6(t, o, s)
			wantStats(t, g, SolicitAdvertise, 200, 200)
			wantStats(t, g, RequestReply, 200, 200)
			clean6(t, g)
			if len(duids) != 200 || (s.relayed > 0) != o.Relayed || g.Stats[RequestReply].NonUnique != 0 {
				t.Errorf("%d clients, %d relayed", len(duids), s.relayed)
			}
			if id := g.ServerDUID(); id != "000200000001736978" {
				t.Error(id)
			}
			for d := range duids {
				if !strings.HasPrefix(d, "\x00\x01\x00\x01") || len(d) != 14 {
					t.Errorf("%x is no DUID-LLT", d)
				}
			}
			var b bytes.Buffer
			g.WriteReport(&b)
			g.WriteLeases(&b)
			if out := b.String(); !strings.Contains(out, " 4-way exchanges/second, expected rate: 5000\n") || !strings.Contains(out, "***Statistics for: SOLICIT-ADVERTISE***\nsent packets: 200") ||
				c.na && !strings.Contains(out, ",2001:db8::1:0,") || c.pd && !strings.Contains(out, ",2001:db8:8000::\n") {
				t.Error(out)
			}
		})
	}
}

func TestTwoWay6(t *testing.T) {
	o := options6(Basic)
	o.TwoWay = true
	wantStats(t, run6(t, o, &server6{}), SolicitAdvertise, 200, 200)
	o.RapidCommit = true
	s := &server6{}
	g := run6(t, o, s)
	wantStats(t, g, SolicitAdvertise, 200, 200)
	clean6(t, g)
	var b bytes.Buffer
	if g.WriteReport(&b); !strings.Contains(b.String(), " Solicit-Reply/second, ") {
		t.Error(b.String())
	}
}

func TestRenew6(t *testing.T) {
	for sc, e := range map[Scenario]Exchange{Renew6: RenewReply, Renew: RenewReply, Rebind: RebindReply} {
		o := options6(sc)
		o.Exchanges[0], o.Prefixes = 500, true
		g := run6(t, o, &server6{})
		wantStats(t, g, e, 500, 500)
		clean6(t, g)
	}
	o := options6(ReleaseAll)
	o.Exchanges[0] = 0
	g := run6(t, o, &server6{})
	wantStats(t, g, ReleaseReply, 200, 200)
	clean6(t, g)

	// perfdhcp's -f and -F, and -b duid=.
	o = options6(Basic)
	o.Rate, o.Exchanges[0], o.RenewRate, o.ReleaseRate = 1000, 300, 400, 200
	o.DUID = []byte("0123456789abcdef")
	s := &server6{mistake: func(_ *server6, q, _ *dhcpv6.Message) bool {
		return strings.HasPrefix(string(q.Options.ClientID().ToBytes()), "0123456789")
	}}
	g = run6(t, o, s)
	clean6(t, g)
	wantStats(t, g, RequestReply, 300, 300)
	if n := uint64(s.count[dhcpv6.MessageTypeRenew]); n == 0 || g.Stats[RenewReply].Received != n {
		t.Errorf("%v", s.count)
	}
	if n := uint64(s.count[dhcpv6.MessageTypeRelease]); n == 0 || g.Stats[ReleaseReply].Received != n {
		t.Errorf("%v", s.count)
	}
}

func TestMixed6(t *testing.T) {
	o := options6(Mixed)
	o.Rate, o.Exchanges[0], o.JunkRate = 3000, 3000, 2000
	o.Mix, _ = ParseMix("sarr=10,renew=50,rebind=20,release=20")
	s := &server6{lenient: true}
	s.mistake = func(_ *server6, q, _ *dhcpv6.Message) bool { return q.Options.ServerID() == nil || len(s.byDUID) > 0 }
	g := run6(t, o, s)
	sum := uint64(0)
	for _, e := range g.Exchanges() {
		if st := &g.Stats[e]; e != Junk {
			if st.Received != st.Sent || st.Sent < 100 {
				t.Errorf("%v: %d of %d", e, st.Received, st.Sent)
			}
			if e != RequestReply {
				sum += st.Sent
			}
		}
	}
	if sum != 3000 || g.Checks.Failed() || g.Stats[Junk].Sent < 500 || g.Stats[Junk].Received == 0 || s.bad == 0 {
		t.Errorf("%d exchanges, %+v, junk %d answered %d", sum, g.Checks, g.Stats[Junk].Sent, g.Stats[Junk].Received)
	}
}

func TestStorm6(t *testing.T) {
	o := options6(Avalanche)
	o.Rate = 0
	lost := map[string]bool{}
	g := run6(t, o, &server6{mistake: func(_ *server6, q, _ *dhcpv6.Message) bool {
		d := q.Options.ClientID().ToBytes()
		key := q.MessageType.String() + string(d)
		if d[len(d)-1]%50 == 0 && !lost[key] {
			lost[key] = true
			return false
		}
		return true
	}})
	if len(lost) == 0 || g.Resent < uint64(len(lost)) || g.Reason != "Every client is served." || g.ExitCode() != 0 {
		t.Errorf("lost %d, resent %d, %s", len(lost), g.Resent, g.Reason)
	}
	wantStats(t, g, RequestReply, 200, 200)
}

// Every mistake of a server is seen.
func TestChecks6(t *testing.T) {
	address := func(r *dhcpv6.Message, change func(net.IP)) {
		if a := r.Options.OneIANA().Options.OneAddress(); a != nil {
			change(a.IPv6Addr)
		}
	}
	short := [2]time.Duration{3 * time.Second, 3 * time.Second}
	for _, c := range []struct {
		name    string
		mistake func(s *server6, q, r *dhcpv6.Message) bool
		want    func(g *Generator) bool
		drop    [2]time.Duration
	}{
		{"one address for two clients", func(_ *server6, q, r *dhcpv6.Message) bool {
			if r.MessageType == dhcpv6.MessageTypeReply {
				address(r, func(ip net.IP) { copy(ip, net.ParseIP("2001:db8::77")) })
			}
			return true
		}, func(g *Generator) bool { return g.Checks.DuplicateAddresses == 199 && g.Checks.AckDiffers == 200 }, never},
		{"another client's", func(_ *server6, q, r *dhcpv6.Message) bool {
			r.UpdateOption(dhcpv6.OptClientID(&dhcpv6.DUIDEN{EnterpriseNumber: 7, EnterpriseIdentifier: []byte("x")}))
			return true
		}, func(g *Generator) bool { return g.Checks.WrongClient > 0 && g.Stats[SolicitAdvertise].Received == 0 }, short},
		{"no address", func(_ *server6, q, r *dhcpv6.Message) bool {
			r.Options.Del(dhcpv6.OptionIANA)
			r.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail})
			return true
		}, func(g *Generator) bool {
			return g.Stats[SolicitAdvertise].Rejected == 200 && g.Stats[RequestReply].Sent == 0
		}, never},
		{"no server identifier", func(_ *server6, q, r *dhcpv6.Message) bool {
			r.Options.Del(dhcpv6.OptionServerID)
			return true
		}, func(g *Generator) bool { return g.Malformed == 200 && g.Stats[RequestReply].Sent == 0 }, never},
		{"the first message's transaction identifier", func(_ *server6, q, r *dhcpv6.Message) bool {
			r.TransactionID[0] ^= 0x80
			return true
		}, func(g *Generator) bool {
			return g.Stats[SolicitAdvertise].Received == 0 && g.Stats[SolicitAdvertise].Orphans > 0
		}, short},
		{"silence", func(_ *server6, q, r *dhcpv6.Message) bool { return q.MessageType == dhcpv6.MessageTypeSolicit },
			func(g *Generator) bool {
				return g.Stats[RequestReply].TimedOut == 200 && !g.Checks.Failed() && g.ExitCode() == 3
			}, short},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options6(SARR)
			o.DropTime = c.drop
			if c.drop != never {
				o.DropTime[0] = never[0]
				if c.name != "silence" {
					o.DropTime[0] = c.drop[0]
				}
			}
			g := run6(t, o, &server6{mistake: c.mistake})
			if !c.want(g) {
				t.Errorf("%+v, malformed %d, rejected %d", g.Checks, g.Malformed, g.Stats[SolicitAdvertise].Rejected)
				g.WriteReport(testWriter{t})
			}
		})
	}
}

func TestTemplates6(t *testing.T) {
	duid := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{0, 12, 1, 2, 3, 4}}
	ia := &dhcpv6.OptIANA{IaId: [4]byte{0, 0, 0, 1}, T1: time.Hour, T2: 90 * time.Minute}
	solicit := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeSolicit}
	solicit.AddOption(dhcpv6.OptClientID(duid))
	solicit.AddOption(dhcpv6.OptElapsedTime(0))
	solicit.AddOption(ia)
	request := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeRequest}
	request.AddOption(dhcpv6.OptClientID(duid))
	request.AddOption(dhcpv6.OptElapsedTime(0))
	request.AddOption(dhcpv6.OptServerID(server6ID))
	withAddr := &dhcpv6.OptIANA{IaId: ia.IaId}
	withAddr.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: make(net.IP, 16)})
	request.AddOption(withAddr)
	s, r := solicit.ToBytes(), request.ToBytes()
	last := 4 + 4 + 10 - 1 // of the DUID-LL
	o := options6(Basic)
	o.Clients = 100
	o.Templates = []Template{
		{Name: "s", Data: s, RandomOffset: last},
		{Name: "r", Data: r, RandomOffset: last, ElapsedOffset: last + 1, ServerIDOffset: last + 7, IPOffset: last + 7 + 4 + len(server6ID.ToBytes())},
	}
	srv := &server6{lenient: false, mistake: func(_ *server6, q, r *dhcpv6.Message) bool {
		for _, o := range r.Options.Options { // the place of IA_NA is of this T1 and T2
			if x, ok := o.(*dhcpv6.OptIANA); ok {
				x.T1, x.T2 = time.Hour, 90*time.Minute
			}
		}
		return q.GetOneOption(dhcpv6.OptionORO) == nil
	}}
	g := run6(t, o, srv)
	wantStats(t, g, SolicitAdvertise, 200, 200)
	wantStats(t, g, RequestReply, 200, 200)
	clean6(t, g)
	if len(srv.byDUID) != 100 {
		t.Errorf("%d clients", len(srv.byDUID))
	}
	var b bytes.Buffer
	o.Samples = true
	g = run6(t, o, srv)
	if g.WriteTemplates(&b); !strings.Contains(b.String(), "xid-offset=1\nrandom-offset=17\nsrvid-offset=24\ntime-offset=18\nip-offset=37\ncontents: \n0000   03") {
		t.Error(b.String())
	}
	for _, bad := range []Template{{Data: s[:3]}, {Data: s, RandomOffset: len(s)}, {Data: make([]byte, maxPayload6+1)}} {
		o.Templates = []Template{bad}
		if _, err := New(o, []netio.Conn{nil}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	o.Templates = []Template{{Data: s}, {Data: r, IPOffset: len(r)}}
	if _, err := New(o, []netio.Conn{nil}); err == nil {
		t.Error("an offset out of bounds was accepted")
	}
}

func TestOptionsRefused6(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Scenario = DORA },
		func(o *Options) { o.Scenario = InitReboot },
		func(o *Options) { o.DUID = make([]byte, maxDUID6+1) },
		func(o *Options) { o.DUID = make([]byte, 5) },
		func(o *Options) { o.NoAddresses = true },
		func(o *Options) {
			o.ExtraOptions = []ExtraOption{{5000, make([]byte, 1000)}, {5000, make([]byte, 1000)}}
		},
		func(o *Options) { o.ExtraOptions = []ExtraOption{{0, nil}} },
		func(o *Options) { o.Scenario, o.Mix = Mixed, []Weight{{OpDecline, 1}} },
		func(o *Options) {
			o.Pools = []Range{{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}}
		},
		func(o *Options) { o.Relayed, o.Templates = true, []Template{{Data: make([]byte, 100)}} },
	} {
		o := options6(Basic)
		change(&o)
		if _, err := New(o, []netio.Conn{&memory{}}); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestNoAllocs6(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	o := options6(SARR)
	o.Prefixes, o.Relayed = true, true
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		t.Fatal(err)
	}
	g.begin(0, 1)
	var h frame.Headers
	// A memory Conn does not know how much was written, the IPv6 header does.
	n := g.headLen + int(binary.BigEndian.Uint16(m.buf[14+4:])) - 8
	if r := frame.Decode(m.buf[:n], &h); r != frame.ReasonOK {
		t.Fatal(r)
	}
	s := server6{t: t, byDUID: map[string]int{}, count: map[dhcpv6.MessageType]int{}}
	msg := s.reply(m.buf[h.PayloadOff:][:h.PayloadLen])
	kept := make([]byte, 2048)
	copy(kept[frame.HeaderLen6(0):], msg)
	kept = kept[:frame.Write6(kept, &frame.Out6{Dst6: h.Src6, SrcPort: 547, DstPort: ClientPort6}, len(msg))]
	p := netio.Packet{Data: make([]byte, 0, 2048)}
	requests := 0
	if n := testing.AllocsPerRun(200, func() {
		g.begin(0, 1)
		s := &g.slots[0]
		s.stage, s.sentNs = stageOf(SolicitAdvertise), 0
		p.Data = append(p.Data[:0], kept...)
		if g.handle(&p, 1) {
			requests++
		}
		g.expire(1)
	}); n != 0 || requests != 201 {
		t.Errorf("%v allocations, %d requests", n, requests)
	}
}

// What is read is what another implementation reads.
func FuzzView6(f *testing.F) {
	s := server6{t: &testing.T{}, byDUID: map[string]int{}, count: map[dhcpv6.MessageType]int{}}
	for _, relayed := range []bool{false, true} {
		o := options6(SARR)
		o.Prefixes, o.Relayed = true, relayed
		g, err := New(o, []netio.Conn{&memory{}})
		if err != nil {
			f.Fatal(err)
		}
		q := g.six.appendMessage(nil, g, SolicitAdvertise, &slot{stage: stageOf(SolicitAdvertise)}, 0)
		f.Add(q)
		r := s.reply(q)
		f.Add(r)
		f.Add(r[:len(r)-1])
	}
	f.Add([]byte{msg6RelayReply})
	f.Fuzz(func(t *testing.T, b []byte) {
		var v view6
		if !v.parse(b) || v.Relays > 0 {
			return
		}
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			return // it reads more options than we do
		}
		if uint8(m.MessageType) != v.Type || m.TransactionID != [3]byte{byte(v.XID >> 16), byte(v.XID >> 8), byte(v.XID)} {
			t.Errorf("%v, want %v", v, m)
		}
		if ia := m.Options.OneIANA(); (ia != nil) != (v.IANA != nil) {
			t.Errorf("IA_NA %v, want %v", v.IANA, ia)
		}
	})
}

// Over real sockets on loopback, of both versions, also with a receiving thread.
func TestDatagram(t *testing.T) {
	loopbackUp(t)
	for _, c := range []struct {
		name   string
		v6     bool
		thread bool
	}{{"v4 in a thread", false, true}, {"v6", true, false}, {"v6 in a thread", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			local := netip.MustParseAddr("127.0.0.1")
			if c.v6 {
				local = netip.IPv6Loopback()
			}
			far, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
			if err != nil {
				t.Fatal(err)
			}
			s4 := server{byMAC: map[string]dhcp4.IPv4{}}
			s6 := server6{t: t, byDUID: map[string]int{}, count: map[dhcpv6.MessageType]int{}}
			var wg sync.WaitGroup
			wg.Go(func() {
				b := make([]byte, 2048)
				for long := make([]byte, 3000); ; long = nil {
					n, from, err := far.ReadFromUDPAddrPort(b)
					if err != nil {
						return
					}
					if long != nil {
						_, _ = far.WriteToUDPAddrPort(long, from)
					}
					var r []byte
					if c.v6 {
						r = s6.reply(b[:n])
					} else {
						r = s4.reply(b[:n])
					}
					_, _ = far.WriteToUDPAddrPort(r, from)
				}
			})
			k := &Link{Name: "lo", Index: 1, Addr: local, Addr6: local, Queues: 1}
			conns, err := OpenConns(OpenOptions{Backend: UDP, Link: k, Addr: local, Port: freePort(t, local), V6: c.v6, ReceiveThread: c.thread})
			if err != nil {
				t.Fatal(err)
			}
			o := options(Basic)
			if c.v6 {
				o = options6(Basic)
				o.Local6, o.Server6 = local.As16(), local.As16()
			}
			d := conns.List[0].(*datagram)
			o.LocalAddr, o.ServerAddr, o.LocalPort = 0x7F000001, 0x7F000001, d.port
			o.ServerPort = uint16(far.LocalAddr().(*net.UDPAddr).Port)
			o.Rate, o.Window = 0, 32 // what fits the far socket's buffer however slow its reader is
			g, err := New(o, conns.List)
			if err == nil {
				err = g.Run()
			}
			if err != nil {
				t.Fatal(err)
			}
			x := g.Exchanges()
			wantStats(t, g, x[0], 200, 200)
			wantStats(t, g, x[1], 200, 200)
			if st := conns.List[0].ConnStats(); st.RxPackets != 400 || st.TxPackets != 400 || st.TxDropped != 0 || st.RxRefused != 1 {
				t.Errorf("%+v", st)
			}
			far.Close() // it would allocate beside
			wg.Wait()
			if !raceEnabled && !c.thread {
				var p [1]netio.Packet
				if n := testing.AllocsPerRun(100, func() {
					d.Recv(p[:])
					d.Alloc(&p[0])
					g.fill6(&p[0], SolicitAdvertise, &g.slots[0], 0)
					d.Send(p[:1])
				}); n > 0 {
					t.Errorf("%v allocations", n)
				}
			}
			if err := conns.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	k := &Link{Name: "lo", Index: 1}
	if _, err := OpenConns(OpenOptions{Backend: AFPacket, Link: k, Port: 547, V6: true}); err == nil {
		t.Error("AF_PACKET was opened for DHCPv6")
	}
	if _, err := OpenConns(OpenOptions{Backend: AFXDP, Link: k, Port: 67, ReceiveThread: true}); err == nil {
		t.Error("a receiving thread was promised for AF_XDP")
	}
}

// DHCPv6 over a veth with AF_XDP on both ends.
func TestXDP6(t *testing.T) {
	fastpathtest.RequireXDP(t)
	for _, vlans := range [][]uint16{nil, {7, 8}} {
		v := fastpathtest.NewVeth(t, 1)
		addr := netip.MustParseAddr("2001:db8:1::2")
		// The test's network has it off, so that nothing speaks unasked.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+v.Client.Name+"/disable_ipv6", []byte("0"), 0o600); err != nil {
			t.Skip("IPv6 cannot be turned on:", err)
		}
		fastpathtest.AddAddr(t, v.Client.Name, addr.String()+"/64")
		far, err := OpenConns(OpenOptions{Backend: AFXDP, Link: &Link{Name: v.Server.Name, Index: int(v.Server.Index), Queues: 1}, Port: ServerPort6, V6: true})
		if err != nil {
			t.Fatal(err)
		}
		k, err := FindLink(v.Client.Name, netip.MustParseAddr("2001:db8:1::1"))
		if err != nil || k.Addr6 != addr {
			t.Fatal(k, err)
		}
		if local, err := FindLink(v.Client.Name, netip.MustParseAddr("ff02::1:2")); err != nil || !local.Addr6.IsLinkLocalUnicast() {
			t.Fatal(local, err)
		}
		near, err := OpenConns(OpenOptions{Backend: AFXDP, Link: k, Port: ClientPort6, V6: true})
		if err != nil {
			t.Fatal(err)
		}
		s := &server6{t: t, byDUID: map[string]int{}, count: map[dhcpv6.MessageType]int{}}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { s.serve(far.List[0], stop) })
		o := options6(SARR)
		o.Exchanges[0], o.Clients, o.Prefixes, o.VLANs = 1000, 1000, true, vlans
		o.Rate, o.Window = 0, 64 // the veth's ring takes 256 frames
		o.LocalMAC, o.IfIndex = k.MAC, uint32(k.Index)
		g, err := New(o, near.List)
		if err == nil {
			err = g.Run()
		}
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		wantStats(t, g, SolicitAdvertise, 1000, 1000)
		wantStats(t, g, RequestReply, 1000, 1000)
		clean6(t, g)
		if err := errors.Join(near.Close(), far.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A queue that another process still holds is waited for.
func TestXDPBusy(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v := fastpathtest.NewVeth(t, 1)
	k := &Link{Name: v.Client.Name, Index: int(v.Client.Index), Queues: 1}
	first, err := Open(AFXDP, k, netip.Addr{}, 67)
	if err != nil {
		t.Fatal(err)
	}
	// The XDP program goes at once, the queue a moment later.
	steered := first.closers[0]
	if err := steered(); err != nil {
		t.Fatal(err)
	}
	first.closers = first.closers[1:]
	closed := make(chan error, 1)
	timer := time.AfterFunc(400*time.Millisecond, func() { closed <- first.Close() })
	defer timer.Stop()
	second, err := Open(AFXDP, k, netip.Addr{}, 67)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-closed, second.Close()); err != nil {
		t.Error(err)
	}
}
