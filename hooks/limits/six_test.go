package limits

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func load6(t testing.TB, c conf) *hooks.Pipeline {
	return hookstest.Load(t, &hooks.Server{Config6: (*hooks.Config6)(c.config4())}, hooks.Configured{Library: New()})
}

// bed6 is a lease table that the library observes.
type bed6 struct {
	t     *testing.T
	pl    *hooks.Pipeline
	table *lease6.Table
}

func newBed6(t *testing.T, c conf) *bed6 {
	b := &bed6{t: t, pl: load6(t, c), table: lease6.NewTable(lease6.Options{})}
	b.observe()
	return b
}

func (b *bed6) observe() {
	for _, o := range b.pl.Observers6() {
		b.table.SetObserver(o, true)
	}
}

// lease of an address, or of a prefix as "2001:db8::/56".
func lease6Of(s string, subnet uint32) *lease6.Lease6 {
	l := &lease6.Lease6{SubnetID: subnet, PrefixLen: 128, ValidLifetimeS: 100, CLTTUnixS: 1000, IAID: 1}
	if p, err := netip.ParsePrefix(s); err == nil {
		l.Type, l.PrefixLen, l.Addr = lease6.TypePD, uint8(p.Bits()), lease6.AddrFromNetip(p.Addr())
	} else {
		l.Addr = lease6.AddrFromNetip(netip.MustParseAddr(s))
	}
	l.SetID([]byte("duid"))
	return l
}

// grant selects and stores a lease as the engine does; it reports whether it may.
func (b *bed6) grant(s string, subnet uint32, classes ...string) bool {
	b.t.Helper()
	q := hookstest.Query6(now, classes...)
	q.Lease = lease6Of(s, subnet)
	old := new(lease6.Lease6)
	version := uint64(0)
	if b.table.Get(q.Lease.Addr, old) {
		q.OldLease, version = old, old.Version
	}
	if b.pl.Run6(hooks.Lease6Select, q) != hooks.Continue {
		return false
	}
	if _, err := b.table.Put(q.Lease, version, nil); err != nil {
		b.t.Fatal(err)
	}
	return true
}

// end changes a lease's state, or deletes it.
func (b *bed6) end(s string, state lease.State, del bool) {
	b.t.Helper()
	l := new(lease6.Lease6)
	if !b.table.Get(lease6Of(s, 0).Addr, l) {
		b.t.Fatalf("no lease of %s", s)
	}
	var err error
	if l.State = state; del {
		_, err = b.table.Delete(l.Addr, l.Version, nil)
	} else {
		_, err = b.table.Put(l, l.Version, nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed6) want(ok bool, s string, subnet uint32, classes ...string) {
	b.t.Helper()
	if b.grant(s, subnet, classes...) != ok {
		b.t.Errorf("%s in subnet %d and classes %q: granted %v", s, subnet, classes, !ok)
	}
}

func TestRateLimits6(t *testing.T) {
	pl := load6(t, conf{
		classes: map[string]string{"gold": `"rate-limit":"2 packets per second"`, "template t": `"rate-limit":"1 packet per second"`},
		subnets: map[uint32]string{1: `"rate-limit":"1 packet per minute"`},
	})
	receive := func(drop bool, classes ...string) {
		t.Helper()
		q := hookstest.Query6(now, classes...)
		if got := pl.Run6(hooks.Pkt6Receive, q); (got == hooks.Drop) != drop || drop && q.DropReason() != hooks.DropLimitExceeded {
			t.Errorf("%q: %v, %v", classes, got, q.DropReason())
		}
	}
	receive(false, "ALL", "gold")
	receive(false, "gold")
	receive(true, "gold")
	receive(false, "ALL")
	receive(false, "SPAWN_t_a")
	receive(false, "SPAWN_t_b")
	receive(true, "SPAWN_t_a")
	for i, subnet := range []uint32{1, 1, 2, 2} {
		q := hookstest.Query6(now)
		q.Subnet = &hooks.SubnetInfo{ID: subnet}
		if got := pl.Run6(hooks.Subnet6Select, q); (got == hooks.Drop) != (i == 1) {
			t.Errorf("packet %d: %v", i, got)
		}
	}
}

// Addresses and prefixes count apart, by subnet and by class, and follow whatever
// becomes of a lease.
func TestLeaseLimits6(t *testing.T) {
	c := conf{
		classes: map[string]string{"gold": `"address-limit":2,"prefix-limit":1`, "none": `"prefix-limit":0`, "template t": `"prefix-limit":1`},
		subnets: map[uint32]string{1: `"address-limit":3`, 2: `"prefix-limit":1`},
	}
	b := newBed6(t, c)
	b.want(true, "2001:db8::1", 1, "gold")
	b.want(true, "2001:db8::2", 1, "gold")
	b.want(false, "2001:db8::3", 1, "gold")
	b.want(false, "2001:db8::3", 9, "gold") // wherever
	b.want(true, "2001:db8::2", 1, "gold")  // what counts already
	b.want(true, "2001:db8::3", 1)
	b.want(false, "2001:db8::4", 1) // the subnet is full
	b.want(true, "2001:db8:1::/56", 1, "gold")
	b.want(false, "2001:db8:2::/56", 1, "gold")
	b.want(false, "2001:db8:2::/56", 1, "none")
	b.want(true, "2001:db8::8", 3, "none")
	b.want(true, "2001:db8:3::/56", 2)
	b.want(false, "2001:db8:4::/56", 2)
	b.want(true, "2001:db8::9", 2)
	b.want(true, "2001:db8:5::/56", 5, "SPAWN_t_x")
	b.want(true, "2001:db8:6::/56", 5, "SPAWN_t_y")
	b.want(false, "2001:db8:7::/56", 5, "SPAWN_t_x")

	b.end("2001:db8::2", lease.StateDeclined, false) // still the subnet's, not the class's
	b.want(false, "2001:db8::4", 1)
	b.want(true, "2001:db8::5", 7, "gold")
	b.want(false, "2001:db8::6", 7, "gold")
	b.end("2001:db8::3", lease.StateExpiredReclaimed, false)
	b.want(true, "2001:db8::4", 1)
	b.end("2001:db8:1::", 0, true)
	b.want(true, "2001:db8:2::/56", 1, "gold")
	b.end("2001:db8:3::", lease.StateReleased, false)
	b.want(true, "2001:db8:4::/56", 2)

	// The next configuration counts anew what the leases say.
	b.pl = load6(t, c)
	b.observe()
	b.want(false, "2001:db8::66", 8, "gold")
	b.want(false, "2001:db8:66::/56", 8, "gold")
	b.want(false, "2001:db8:66::/56", 8, "SPAWN_t_y")
	b.want(false, "2001:db8:66::/56", 2)
}

// A renewal keeps its lease, in whatever classes it is by now, and says which.
func TestRenewalNotesClasses6(t *testing.T) {
	b := newBed6(t, conf{classes: map[string]string{"a": `"address-limit":1`, "b": `"prefix-limit":0`}})
	b.want(true, "2001:db8::1", 1, "a")
	for _, p := range []hooks.Point{hooks.Lease6Renew, hooks.Lease6Rebind} {
		for _, c := range []struct{ classes, want string }{
			{"a b", `{"ISC":{"client-classes":["a","b"]}}`}, {"x", ""}, {"b", `{"ISC":{"client-classes":["b"]}}`},
		} {
			q := hookstest.Query6(now, strings.Fields(c.classes)...)
			b.table.Get(lease6Of("2001:db8::1", 0).Addr, q.Lease)
			if got := b.pl.Run6(p, q); got != hooks.Continue || q.Lease.UserContext != c.want {
				t.Errorf("%s: %v, %q, want %q", c.classes, got, q.Lease.UserContext, c.want)
			}
		}
	}
}

func TestBadLimits6(t *testing.T) {
	for _, c := range []conf{
		{classes: map[string]string{"a": `"prefix-limit":-1`}},
		{subnets: map[uint32]string{7: `"rate-limit":"7 packets"`}},
	} {
		_, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(`{}`)}}, &hooks.Server{Config6: (*hooks.Config6)(c.config4())})
		if err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestHotPath6AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under -race")
	}
	pl := load6(t, conf{
		classes: map[string]string{"gold": `"rate-limit":"1000000 packets per second","address-limit":1000,"prefix-limit":1000`},
		subnets: map[uint32]string{1: `"rate-limit":"1000000 packets per second","address-limit":1000`},
	})
	q := hookstest.Query6(now, "ALL", "gold")
	q.Subnet = &hooks.SubnetInfo{ID: 1}
	q.Lease = lease6Of("2001:db8::1", 1)
	if n := testing.AllocsPerRun(1000, func() {
		q.Lease.UserContext = ""
		for _, p := range []hooks.Point{hooks.Pkt6Receive, hooks.Subnet6Select, hooks.Lease6Select, hooks.Lease6Renew} {
			pl.Run6(p, q)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
