package engine

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// FuzzProcess gives the engine whatever parses, over leases and reservations of
// others. Whatever it is: no panic, no answer that is none, no address from
// outside the pools, no reply that is too long, and no lease of the bystanders'
// is touched.
func FuzzProcess(f *testing.F) {
	l0 := newLab(f, busy)
	for _, q := range []*nt.Query{
		nt.Discover(mac(9), nt.WithIP(50, ip("192.0.2.20")), nt.With(60, []byte("cpe")...), nt.With(12, []byte("h.example")...)),
		nt.Request(mac(9), ip("192.0.2.20"), l0.ifAddr, nt.WithClientID(255, 0, 0, 0, 1, 0, 1, 2)),
		nt.InitReboot(mac(9), ip("192.0.2.10")),
		nt.Renew(mac(9), ip("192.0.2.10"), l0.ifAddr),
		nt.Rebind(mac(9), ip("192.0.2.10"), nt.With(51, 0xff, 0xff, 0xff, 0xff)),
		nt.Release(mac(9), ip("192.0.2.10"), l0.ifAddr),
		nt.Decline(mac(9), ip("192.0.2.10"), l0.ifAddr),
		nt.Inform(mac(9), ip("192.0.2.77"), nt.With(55, 1, 3, 6, 51, 53, 82, 255, 0)),
		nt.Discover(mac(5), nt.Relayed(ip("192.0.2.254"), l0.ifAddr), nt.With(82, 1, 1, 'a', 5, 4, 192, 0, 2, 0, 11, 4, 1, 2, 3, 4, 19, 0)),
		nt.Discover(mac(9), nt.With(118, 10, 0, 0, 0), nt.With(57, 0, 1)),
	} {
		f.Add(q.Message(), uint32(q.Out.Src4), uint32(q.Out.Dst4))
	}
	l := newLab(f, busy)
	f.Fuzz(func(t *testing.T, msg []byte, src, dst uint32) {
		// The same engine, emptied: to build one takes much longer than a query.
		l.t = t
		var left []lease.Due
		l.table.Walk(func(x *lease.Lease4) bool {
			left = append(left, lease.Due{Addr: x.Addr, Version: x.Version})
			return true
		})
		for _, x := range left {
			if _, err := l.table.Delete(x.Addr, x.Version, l.j); err != nil {
				t.Fatal(err)
			}
		}
		bystander := nt.MAC{0x02, 0xee, 0xee, 0xee, 0xee, 0x77}
		id := nt.WithClientID(0, 'b', 'y', 's', 't', 'a', 'n', 'd', 'e', 'r')
		a := l.dora(bystander, id)
		before := *l.lease(a)
		q := nt.Query{}
		q.Out.Src4, q.Out.Dst4, q.Out.SrcPort = src, dst, 68
		var v dhcp4.View
		if v.Parse(msg) != dhcp4.ReasonOK || string(v.ClientID()) == string(before.CID()) {
			return
		}
		reason := l.sendRaw(msg, &q)
		if reason.String() == "" || reason >= NumReasons {
			t.Fatalf("reason %d", reason)
		}
		if after := l.lease(a); after == nil || *after != before {
			t.Errorf("the bystander's lease changed: %+v", after)
		}
		if reason != ReasonOK || l.r.Type == 0 {
			return
		}
		switch l.r.Type {
		case dhcp4.MsgOffer, dhcp4.MsgAck, dhcp4.MsgNak:
		default:
			t.Errorf("answer of type %v", l.r.Type)
		}
		if y := l.answer.YIAddr(); y != 0 && (y < ip("192.0.2.5") || y > ip("192.0.2.250") || y == a) {
			t.Errorf("yiaddr %v", y)
		}
		if l.r.Type == dhcp4.MsgAck && l.r.YIAddr != 0 {
			if got := l.j.State[l.r.YIAddr]; got.State != lease.StateDefault || got.ExpiresUnixS() < l.now+int64(l.r.ValidLifetimeS) {
				t.Errorf("acknowledged %v is not journaled: %+v", l.r.YIAddr, got.State)
			}
		}
		if n := len(l.out); n > l.r.MaxLen && len(v.Option(82))+len(v.ClientID()) < 200 {
			t.Errorf("%d octets, the client takes %d", n, l.r.MaxLen)
		}
		if l.r.Dst == 0 || l.r.DstPort == 0 || l.r.ServerID == 0 {
			t.Errorf("goes from %v to %v:%d", l.r.ServerID, l.r.Dst, l.r.DstPort)
		}
	})
}
