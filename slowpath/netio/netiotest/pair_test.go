package netiotest

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

func send(t *testing.T, c *Conn, data ...byte) {
	t.Helper()
	var p [1]netio.Packet
	if !c.Alloc(&p[0]) {
		t.Fatal("no frame")
	}
	p[0].Data = append(p[0].Data, data...)
	c.Send(p[:])
	c.Flush()
}

func TestPairCarriesFrames(t *testing.T) {
	a, b := NewPair(Options{})
	send(t, a, 1, 2, 3)
	send(t, a, 4)
	var p [8]netio.Packet
	if n := b.Recv(p[:]); n != 2 {
		t.Fatalf("received %d frames, want 2", n)
	}
	if !bytes.Equal(p[0].Data, []byte{1, 2, 3}) || !bytes.Equal(p[1].Data, []byte{4}) {
		t.Fatalf("received %v and %v", p[0].Data, p[1].Data)
	}
	if p[0].IfIndex != 1 {
		t.Errorf("IfIndex %d", p[0].IfIndex)
	}
	kept := p[0].Data
	b.Release(p[:1])
	if kept[0] != 0xdb {
		t.Error("a released frame still has its octets")
	}
	if b.Loans() != 1 || b.Close() == nil {
		t.Error("a lent frame is not noticed")
	}
	b.Send(p[1:2]) // answers in the frame it got
	b.Flush()
	if n := a.Recv(p[:]); n != 1 || p[0].Data[0] != 4 {
		t.Fatalf("the answer did not arrive: %d", n)
	}
	a.Release(p[:1])
	a.CheckLoans(t)
	b.CheckLoans(t)
	if s := b.ConnStats(); s.RxPackets != 2 || s.TxPackets != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPairIsBounded(t *testing.T) {
	a, b := NewPair(Options{Frames: 4, FrameSize: 16})
	for range 6 {
		send(t, a, 9)
	}
	if s := b.ConnStats(); s.RxDropped != 2 {
		t.Errorf("dropped %d, want 2", s.RxDropped)
	}
	if b.Inject(make([]byte, 17)) {
		t.Error("a frame too long was taken")
	}
	var p [5]netio.Packet
	for i := range 4 {
		if !a.Alloc(&p[i]) {
			t.Fatal("no frame")
		}
	}
	if a.Alloc(&p[4]) || a.ConnStats().NoFrame != 1 {
		t.Error("a fifth frame of four")
	}
	a.Release(p[:4])
}

func TestPairRefusesSecondEnd(t *testing.T) {
	a, _ := NewPair(Options{})
	var p [1]netio.Packet
	a.Alloc(&p[0])
	again := p[0]
	a.Release(p[:])
	for _, q := range []netio.Packet{again, {}, {Token: 1 << 40}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("token %d: no panic", q.Token)
				}
			}()
			a.Release([]netio.Packet{q})
		}()
	}
}

func TestPairWait(t *testing.T) {
	a, b := NewPair(Options{})
	b.Wake()
	b.Wait(int64(time.Hour)) // a Wake before the Wait ends it
	var wg sync.WaitGroup
	wg.Go(func() { b.Wait(int64(time.Hour)) })
	send(t, a, 1)
	wg.Wait()
	b.Wait(int64(time.Hour)) // something is there
	var p [1]netio.Packet
	b.Recv(p[:])
	b.Release(p[:])
	b.Wait(1) // times out
}

func TestQueries(t *testing.T) {
	mac := ClientMAC(7)
	const addr, server, relay = dhcp4.IPv4(0xC0000205), dhcp4.IPv4(0xC0000201), dhcp4.IPv4(0x0A000001)
	for _, q := range []*Query{
		Discover(mac), Request(mac, addr, server), InitReboot(mac, addr), Renew(mac, addr, server),
		Rebind(mac, addr), Release(mac, addr, server), Decline(mac, addr, server), Inform(mac, addr),
		Discover(mac, Relayed(relay, server), WithRAI([]byte("port 1"), []byte{1, 2}), VLAN(100), VLAN(200),
			WithBroadcast(), WithClientID(1, 2, 3), WithXID(5), Without(dhcp4.OptParameterRequestList)),
	} {
		var h frame.Headers
		b := q.Frame()
		if r := frame.Decode(b, &h); r != frame.ReasonOK {
			t.Fatalf("%v: frame: %v", q.Type, r)
		}
		var v dhcp4.View
		if r := v.Parse(b[h.PayloadOff:][:h.PayloadLen]); r != dhcp4.ReasonOK || v.Notes() != 0 {
			t.Fatalf("%v: message: %v %v", q.Type, r, v.Notes())
		}
		if v.Type() != q.Type || !bytes.Equal(v.CHAddr(), mac[:]) {
			t.Errorf("%v: %s", q.Type, dhcp4.AppendText(nil, v.Raw()))
		}
		if h.VLANCount == 2 && (string(v.RAI(dhcp4.RAICircuitID)) != "port 1" || h.VLANs[0].TPID != frame.EtherTypeQinQ ||
			v.GIAddr() != relay || v.XID() != 5 || v.PRL() != nil) {
			t.Errorf("%s", dhcp4.AppendText(nil, v.Raw()))
		}
	}
}
