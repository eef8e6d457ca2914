package lease

import (
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// TestClientSubnetsTwin: every subnet is given in which one of the look-ups finds a
// record, or the table says that there may be more.
func TestClientSubnetsTwin(t *testing.T) {
	r := newRand(t)
	tab := NewTable(Options{})
	cids := []string{"", "a", "b", "c"}
	incomplete := 0
	for step := range 20000 {
		l := lease(dhcp4.IPv4(1+r.IntN(120)), StateDefault, byte(r.IntN(4)), cids[r.IntN(4)])
		l.SubnetID = uint32(1 + r.IntN(12))
		if r.IntN(10) == 0 {
			l.State = StateDeclined
		}
		var old Lease4
		tab.Get(l.Addr, &old)
		if r.IntN(3) > 0 {
			tab.Delete(l.Addr, old.Version, nil)
			continue
		}
		mustPut(t, tab, l, old.Version, nil)
		hw, cid := l.HW(), []byte(cids[r.IntN(4)])
		hwAny := len(cid) == 0 || r.IntN(2) == 0
		var ids [MaxClientSubnets]uint32
		n, all := tab.ClientSubnets(1, hw, cid, hwAny, &ids)
		for i, id := range ids[:n] {
			if slices.Contains(ids[:i], id) {
				t.Fatalf("step %d: subnet %d is given twice", step, id)
			}
		}
		if !all {
			incomplete++
			continue
		}
		for id := range uint32(13) {
			found := tab.FindByClientID(cid, id, &old) || tab.FindByHWAddr(1, hw, cid, id, &old) ||
				tab.FindWithoutClientID(1, hw, id, &old) || hwAny && tab.FindByHWAddr(1, hw, nil, id, &old)
			if found && !slices.Contains(ids[:n], id) {
				t.Fatalf("step %d: %x %q has %v in subnet %d; given are %v", step, hw, cid, old.Addr, id, ids[:n])
			}
		}
	}
	if incomplete == 0 || incomplete > 6000 {
		t.Errorf("%d times there may have been more", incomplete)
	}
}
