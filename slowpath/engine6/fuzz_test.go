package engine6

import (
	"bytes"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// FuzzProcess gives the engine whatever parses, over leases and reservations of
// others. Whatever it is: no panic, no answer that is none, nothing from outside
// the pools, and no lease of the bystander's is touched.
func FuzzProcess(f *testing.F) {
	for _, q := range []*query{
		ask(dhcp6.MsgSolicit, 9, na(1, "2001:db8:2::20"), pd(2, "::/56"), oro(23, 67, 17), with(dhcp6.OptRapidCommit)),
		ask(dhcp6.MsgRequest, 9, na(1, "2001:db8:2::20"), pd(2, "2001:db8:8000::/56"), with(dhcp6.OptClientFQDN, []byte{1, 1, 'x'})),
		ask(dhcp6.MsgRenew, 9, na(1, "2001:db8:2::20", "2001:db8:2::10"), pd(2)),
		ask(dhcp6.MsgRebind, 9, naRes(1, res{"2001:db8:2::10", 0xffffffff, 0xffffffff})),
		ask(dhcp6.MsgRelease, 9, na(1, "2001:db8:2::10"), pd(1, "2001:db8:8000::/56")),
		ask(dhcp6.MsgDecline, 9, na(1, "2001:db8:2::10")),
		ask(dhcp6.MsgConfirm, 9, na(1, "2001:db8:2::10")),
		ask(dhcp6.MsgInformationRequest, 9, oro(23, 31, 255, 65535)),
		ask(dhcp6.MsgAddrRegInform, 9, with(dhcp6.OptIAAddr, make([]byte, 24))),
		ask(dhcp6.MsgSolicit, 5, na(1), na(2), pd(3), relayed("2001:db8:2::1", opt(18, []byte("a")), opt(66, opt(110, []byte("b"))), opt(135, []byte{1, 2})), relayed("::")),
		ask(dhcp6.MsgSolicit, 9, with(16, u32(4491), []byte{0, 2, 'a', 'b', 0, 9}), with(17, u32(4491), []byte{0, 1, 0, 4, 0, 33, 0, 32})),
	} {
		f.Add(q.message(), q.src[:], q.dst[0])
	}
	l := newLab(f, busy)
	f.Fuzz(func(t *testing.T, msg, src []byte, dst byte) {
		// The same engine, emptied: to build one takes much longer than a query.
		l.t = t
		var left []lease6.Due
		l.table.Walk(func(x *lease6.Lease6) bool {
			left = append(left, lease6.Due{Addr: x.Addr, Version: x.Version})
			return true
		})
		for _, x := range left {
			if _, err := l.table.Delete(x.Addr, x.Version, l.j); err != nil && err != lease.ErrConflict {
				t.Fatal(err)
			}
		}
		clear(l.j.State)
		const bystander = 0x7777
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, bystander, na(1), pd(1)))
		a, p := l.r.Leases[0], l.r.Leases[1]
		var v dhcp6.View
		if v.Parse(msg) != dhcp6.ReasonOK || bytes.Equal(v.ClientID(), duidOf(bystander)) {
			return
		}
		q := query{typ: v.Type(), dst: dhcp6.IPv6{dst}, srcPort: 546}
		copy(q.src[:], src)
		reason := l.sendRaw(msg, &q)
		if reason >= NumReasons || reason.String() == "" {
			t.Fatalf("reason %d", reason)
		}
		for _, before := range []lease6.Lease6{a, p} {
			var after lease6.Lease6
			if !l.table.Get(before.Addr, &after) || after.Version != before.Version {
				t.Errorf("the bystander's lease of %v changed", before.Addr)
			}
		}
		if reason != ReasonOK {
			return
		}
		switch l.r.Type {
		case dhcp6.MsgAdvertise, dhcp6.MsgReply, dhcp6.MsgAddrRegReply:
		default:
			t.Errorf("answer of type %v", l.r.Type)
		}
		for i := range l.answer.IAs() {
			ia := l.answer.IA(i)
			for x, ok := ia.Next(); ok; x, ok = ia.Next() {
				if x.ValidS == 0 {
					continue
				}
				if lease6.IPv6(x.Addr) == a.Addr || lease6.IPv6(x.Addr) == p.Addr {
					t.Errorf("%v is the bystander's", x.Addr)
				}
				in := x.Addr.Masked(64) == ip("2001:db8:2::") || x.Addr == ip("2001:db8:ff00::") || x.Addr.Masked(33) == ip("2001:db8:8000::")
				if !in {
					t.Errorf("%v/%d is in no pool", x.Addr, x.PrefixLen)
				}
				if got := l.j.State[lease6.IPv6(x.Addr)]; !l.r.Offer && (got.State != lease.StateDefault || got.ExpiresUnixS() < l.now+int64(x.ValidS)) {
					t.Errorf("%v is granted and not journaled", x.Addr)
				}
			}
		}
		if l.r.Dst != q.src || l.r.DstPort == 0 {
			t.Errorf("goes to %v:%d", l.r.Dst, l.r.DstPort)
		}
	})
}
