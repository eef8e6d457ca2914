package loadgen

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// hostile is a generator with exchanges under way, and who answers them as badly
// as he can.
type hostile struct {
	g    *Generator
	nowT int64
}

func newHostile(tb testing.TB, v6 bool, change func(*Options)) *hostile {
	o := options(DORA)
	o.RAI = true
	if v6 {
		o = options6(SARR)
	}
	o.Clients, o.Rate, o.DropTime = 16, 100, [2]time.Duration{time.Second, time.Second}
	o.Unique = true
	change(&o)
	g, err := New(o, []netio.Conn{&memory{}})
	if err != nil {
		tb.Fatal(err)
	}
	return &hostile{g: g}
}

// counted is how many packets have left a trace.
func (h *hostile) counted() (n uint64) {
	g := h.g
	n = g.Malformed + g.Other + g.NoRoom + g.Checks.WrongClient + g.Checks.WrongVLAN
	for i := range g.Stats {
		s := &g.Stats[i]
		n += s.Received + s.Late + s.Orphans + s.Rejected
	}
	return n
}

// take hands the generator a frame and checks what must hold after it.
func (h *hostile) take(tb testing.TB, b []byte) {
	tb.Helper()
	g := h.g
	h.nowT += 50_000_000
	if due := g.due(h.nowT); due > 0 {
		g.begun += g.begin(h.nowT, due)
	}
	before, asked := h.counted(), g.Stats[RequestAck].Sent+g.Stats[RequestReply].Sent
	p := netio.Packet{Data: append(make([]byte, 0, 2048), b...)}
	touch([]netio.Packet{p})
	if g.handle(&p, h.nowT) {
		var hd frame.Headers
		if r := frame.Decode(p.Data, &hd); r != frame.ReasonOK || g.Stats[RequestAck].Sent+g.Stats[RequestReply].Sent != asked+1 {
			tb.Fatalf("sent %x: %v", p.Data, r)
		}
	}
	if h.counted() == before {
		tb.Fatalf("nothing counts %x", b)
	}
	g.expire(h.nowT)
	waiting := uint32(0)
	for i := g.tail; i != g.head; i++ {
		if s := &g.slots[i&g.mask]; s.stage != idle && !s.expired {
			waiting++
		}
	}
	if g.outstanding != waiting || g.outstanding > g.mask+1 {
		tb.Fatalf("%d outstanding, %d wait", g.outstanding, waiting)
	}
}

// answer is a right answer to the exchange begun ago before the last, to be
// spoiled.
func (h *hostile) answer(tb testing.TB, ago uint32) []byte {
	g := h.g
	s := &g.slots[(g.head-1-ago)&g.mask]
	p := netio.Packet{Data: make([]byte, 0, 2048)}
	e := exchangeOf(max(s.stage, 1))
	if g.six != nil {
		if s.stage == idle {
			e = SolicitAdvertise
		}
		g.fill6(&p, e, s, h.nowT)
	} else {
		g.fill(&p, g.messages[e], s, h.nowT)
	}
	var hd frame.Headers
	if r := frame.Decode(p.Data, &hd); r != frame.ReasonOK {
		tb.Fatal(r)
	}
	msg := p.Data[hd.PayloadOff:][:hd.PayloadLen]
	if g.six != nil {
		return (&server6{lenient: true, byDUID: map[string]int{}, count: map[dhcpv6.MessageType]int{}}).reply(msg)
	}
	return (&server{byMAC: map[string]dhcp4.IPv4{}}).reply(msg)
}

func (h *hostile) packet(payload []byte) []byte {
	o := &h.g.opt
	if h.g.six != nil {
		b := append(make([]byte, frame.HeaderLen6(0)), payload...)
		return b[:frame.Write6(b, &frame.Out6{Src6: o.Server6, Dst6: o.Local6, SrcPort: o.ServerPort, DstPort: o.LocalPort}, len(payload))]
	}
	return netiotest.Frame(&frame.Out4{Src4: o.ServerAddr, Dst4: o.LocalAddr, SrcPort: 67, DstPort: o.LocalPort}, payload)
}

var hostileKinds = []func(*Options){
	func(*Options) {},
	func(o *Options) { o.TwoWay = true },
	func(o *Options) { o.Scenario, o.JunkRate = Basic, 10; o.RAI = false },
	func(o *Options) { o.Keep, o.FirstServer, o.ExtraOptions = true, true, []ExtraOption{{Code: 80}} },
}

// FuzzReceive: whatever a server sends costs a counter and nothing else. how
// chooses the generator and what is done with data: a frame as it is, a message
// with proper headers, or octets that are put over a right answer.
func FuzzReceive(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for how := range 24 {
		for range 4 {
			data := make([]byte, r.IntN(700))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			f.Add(byte(how), data)
		}
		f.Add(byte(how), []byte{})
	}
	f.Fuzz(func(t *testing.T, how byte, data []byte) {
		if len(data) > 1900 {
			return
		}
		h := newHostile(t, how&1 != 0, hostileKinds[how>>1&3])
		h.take(t, nil)
		switch how >> 3 % 3 {
		case 0:
			h.take(t, data)
		case 1:
			h.take(t, h.packet(data))
		default:
			for len(data) > 2 { // where, how much, what
				b := h.answer(t, uint32(data[0]%8))
				at, n := int(data[1]), int(data[2]%8)
				data = data[3:]
				n = copy(b[min(at, len(b)):], data[:min(n, len(data))])
				data = data[n:]
				h.take(t, h.packet(b))
			}
		}
	})
}

// A server with bad manners, for long: garbage, answers too long, to nobody, to
// somebody else, twice, too late, from another address, of the wrong kind.
func TestHostileServer(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for kind, change := range hostileKinds {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			h := newHostile(t, v6, change)
			h.take(t, nil)
			for range 5_000 {
				b := h.answer(t, r.Uint32N(10))
				switch r.IntN(9) {
				case 0:
					b = b[:r.IntN(len(b))]
				case 1:
					b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				case 2:
					b = append(b, make([]byte, 1400-len(b))...)
				case 3: // to nobody
					b[4+r.IntN(4)]++
					b[1+r.IntN(3)]++
				case 4:
					h.take(t, h.packet(b)) // twice
				case 5:
					h.nowT += int64(r.IntN(3)) * int64(time.Second)
				case 6:
					for range 20 {
						b[r.IntN(len(b))] = byte(r.Uint32())
					}
				case 7: // what clients send
					b[0] = 1
				}
				p := h.packet(b)
				if r.IntN(20) == 0 {
					p[r.IntN(len(p))] ^= 0x10
				}
				h.take(t, p)
			}
			g := h.g
			var stats uint64
			for i := range g.Stats {
				stats += g.Stats[i].Received
			}
			if g.Malformed == 0 || g.Other == 0 || stats == 0 || g.Stats[g.exchange[0]].Orphans == 0 || g.Stats[g.exchange[0]].Late == 0 {
				t.Errorf("DHCPv6 %v, kind %d: %d malformed, %d others, %d received, %+v", v6, kind, g.Malformed, g.Other, stats, g.Stats[g.exchange[0]].Orphans)
			}
		}
	}
}

// An answer with tags the questions have not, without those they have, or in
// another order is of another network.
func TestWrongVLAN(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, tags := range [][]uint16{nil, {7}, {7, 8}} {
			h := newHostile(t, v6, func(o *Options) { o.VLANs = tags })
			g := h.g
			g.begin(0, 1)
			right := append([]byte(nil), g.out.SrcMAC[:]...)
			right = append(right, g.out.DstMAC[:]...)
			for _, v := range g.out.VLANs[:g.out.VLANCount] {
				right = append(right, byte(v.TPID>>8), byte(v.TPID), byte(v.TCI>>8), byte(v.TCI))
			}
			body := h.packet(h.answer(t, 0))[12:]
			wrong := uint64(0)
			for _, b := range [][]byte{
				append(append([]byte(nil), right[:12]...), 0x81, 0, 0, 9),
				append(append([]byte(nil), right...), 0x81, 0, 0, 9),
				append(append([]byte(nil), right[:12]...), 0x81, 0, 0, 8, 0x88, 0xa8, 0, 7),
			} {
				if len(b) > 20 { // more than a frame may have
					b = b[:20]
				}
				if len(b) == len(right) && string(b) == string(right) {
					b = b[:len(b)-4]
				}
				wrong++
				p := netio.Packet{Data: append(append(make([]byte, 0, 2048), b...), body...)}
				if g.handle(&p, 1) || g.Checks.WrongVLAN != wrong {
					t.Errorf("DHCPv6 %v, tags %v: %x: %+v", v6, tags, b, g.Checks)
				}
			}
			p := netio.Packet{Data: append(append(make([]byte, 0, 2048), right...), body...)}
			if !g.handle(&p, 1) || g.Checks.WrongVLAN != wrong || g.ExitCode() != 3 {
				t.Errorf("DHCPv6 %v, tags %v: %+v, exit %d", v6, tags, g.Checks, g.ExitCode())
			}
		}
	}
}

// An address or prefix from elsewhere is counted in DHCPv6 as well.
func TestOutsidePools6(t *testing.T) {
	for pools, want := range map[string]uint64{"2001:db8:ffff::/64": 1, "::/0": 0} {
		h := newHostile(t, true, func(o *Options) {
			var err error
			if o.Pools, err = ParsePools(pools); err != nil {
				t.Fatal(err)
			}
		})
		h.g.begin(0, 1)
		p := netio.Packet{Data: append(make([]byte, 0, 2048), h.packet(h.answer(t, 0))...)}
		if !h.g.handle(&p, 1) || h.g.Checks.OutsidePools != want {
			t.Errorf("%s: %+v", pools, h.g.Checks)
		}
	}
}
