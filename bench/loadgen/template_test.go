package loadgen

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// A packet of a template is what is got by writing the message and all headers
// anew, octet for octet.
func TestTemplateTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, change := range []func(*Options){
		func(o *Options) {},
		func(o *Options) { o.Scenario, o.RAI = DORA, true },
		func(o *Options) {
			o.Scenario, o.RAI, o.ExtraOptions = DORA, true, []ExtraOption{{Code: 12, Data: []byte("odd")}}
		},
		func(o *Options) { o.GIAddr, o.Scenario = 0, DORA }, // REBINDING is a broadcast
		func(o *Options) { o.Relays = []uint32{0x0A000001, 0xFFFFFFFE, 0x00010000} },
		func(o *Options) { o.Relays, o.RelayByClient = []uint32{0x0A000001, 0xFFFFFFFE}, true },
		func(o *Options) { o.VLANs, o.Broadcast = []uint16{100, 200}, true },
		func(o *Options) {
			o.LocalAddr, o.ServerAddr, o.LocalPort, o.ServerPort = 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF, 0xFFFF
		},
	} {
		o := options(Basic)
		o.Clients = 1 << 16
		change(&o)
		g, err := New(o, []netio.Conn{&memory{}})
		if err != nil {
			t.Fatal(err)
		}
		for x, m := range g.messages {
			if m == nil {
				continue
			}
			for range 2000 {
				s := slot{xid: r.Uint32(), client: r.Uint32N(o.Clients), offered: r.Uint32(), server: r.Uint32(), stage: stageOf(Exchange(x))}
				switch r.IntN(8) { // the sums that carry, or are nothing
				case 0:
					s.xid, s.offered, s.server = 0, 0, 0
				case 1:
					s.xid, s.offered, s.server = 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF
				}
				s.giaddr = g.relayOf(s.client)
				now := r.Int64N(70_000) * 1_000_000_000
				quick, slow := netio.Packet{Data: make([]byte, 0, 2048)}, netio.Packet{Data: make([]byte, 0, 2048)}
				g.fill(&quick, m, &s, now)
				anew := *m
				anew.packet = nil
				g.fill(&slow, &anew, &s, now)
				var h frame.Headers
				if why := frame.Decode(quick.Data, &h); !bytes.Equal(quick.Data, slow.Data) || why != frame.ReasonOK || h.ChecksumPartial {
					t.Fatalf("%v %+v: %v\n%x\n%x", Exchange(x), s, why, quick.Data, slow.Data)
				}
			}
		}
	}
}

// A sum that comes out as nothing is written as its other form (RFC 768), which
// a random packet meets once in 65,536.
func TestTemplateChecksumZero(t *testing.T) {
	g, err := New(options(Basic), []netio.Conn{&memory{}})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for xid := range uint32(1 << 16) {
		p := netio.Packet{Data: make([]byte, 0, 2048)}
		g.fill(&p, g.messages[DiscoverOffer], &slot{xid: xid, stage: stageOf(DiscoverOffer)}, 0)
		at := g.headLen - 2
		if p.Data[at] == 0 && p.Data[at+1] == 0 {
			t.Fatalf("xid %d: no checksum", xid)
		}
		found = found || p.Data[at] == 0xff && p.Data[at+1] == 0xff
	}
	if !found {
		t.Error("no sum came out as nothing")
	}
}

// The slots in use grow when exchanges stay open, and every one of these keeps
// its own.
func TestMoreSlots(t *testing.T) {
	o := options(Basic)
	o.Rate, o.Clients, o.DropTime = 20_000, 1<<15, [2]time.Duration{time.Second, time.Second}
	m := &memory{}
	g, err := New(o, []netio.Conn{m})
	if err != nil {
		t.Fatal(err)
	}
	if g.mask != firstSlots-1 || len(g.slots) < 4*firstSlots {
		t.Fatalf("%d of %d slots", g.mask+1, len(g.slots))
	}
	g.head, g.tail = 3*firstSlots/2, 3*firstSlots/2 // begun and over
	first := g.head
	for n := 0; n < len(g.slots); {
		n += int(g.begin(0, 64))
		for i := first; i-first < g.head-first; i += 97 {
			if s := &g.slots[i&g.mask]; s.xid != g.xidBase+i || s.client != (i-first)%o.Clients || s.stage != stageOf(DiscoverOffer) {
				t.Fatalf("%d slots, exchange %d: %+v", g.mask+1, i-first, *s)
			}
		}
	}
	if g.begin(0, 64) != 0 || int(g.mask) != len(g.slots)-1 {
		t.Errorf("%d of %d slots", g.mask+1, len(g.slots))
	}
}
