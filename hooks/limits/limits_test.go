package limits

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// conf is the members of "limits" by class and subnet.
type conf struct {
	classes map[string]string
	subnets map[uint32]string
}

func (c conf) config4() *hooks.Config4 {
	uc := func(members string) json.RawMessage {
		return json.RawMessage(`{"limits":{` + members + `}}`)
	}
	cfg := &hooks.Config4{}
	for name, m := range c.classes {
		name, template := strings.CutPrefix(name, "template ")
		cfg.Classes = append(cfg.Classes, hooks.ClassInfo{Name: name, Template: template, UserContext: uc(m)})
	}
	slices.SortFunc(cfg.Classes, func(a, b hooks.ClassInfo) int { return strings.Compare(a.Name, b.Name) })
	for id, m := range c.subnets {
		cfg.Subnets = append(cfg.Subnets, hooks.SubnetInfo{ID: id, UserContext: uc(m)})
	}
	slices.SortFunc(cfg.Subnets, func(a, b hooks.SubnetInfo) int { return int(a.ID) - int(b.ID) })
	return cfg
}

func load(t testing.TB, c conf, more ...hooks.Configured) *hooks.Pipeline {
	return hookstest.Load(t, &hooks.Server{Config4: c.config4()}, append(more, hooks.Configured{Library: New()})...)
}

const now = int64(1_700_000_000_000_000_000)

func TestClassRateLimits(t *testing.T) {
	const s = int64(time.Second)
	type pkt struct {
		at      int64
		classes string
		drop    bool
	}
	for _, tc := range []struct {
		name    string
		classes map[string]string
		pkts    []pkt
	}{
		{"one class", map[string]string{"gold": `"rate-limit":"2 packets per second"`}, []pkt{
			{0, "ALL gold", false}, {0, "ALL gold", false}, {0, "ALL gold", true},
			{0, "ALL", false}, {s + 2, "ALL gold", false},
		}},
		{"zero", map[string]string{"gold": `"rate-limit":"0 packets per year"`}, []pkt{
			{0, "gold", true}, {s, "silver", false}, {1000 * s, "gold", true},
		}},
		// A packet refused by one class is not counted in the other.
		{"all or none", map[string]string{"a": `"rate-limit":"1 packet per hour"`, "b": `"rate-limit":"3 packets per hour"`}, []pkt{
			{0, "a b", false}, {0, "b a", true}, {0, "a b", true}, {0, "b", false}, {0, "b", false}, {0, "b", true},
		}},
		{"second class full", map[string]string{"a": `"rate-limit":"3 packets per hour"`, "b": `"rate-limit":"1 packet per hour"`}, []pkt{
			{0, "a b", false}, {0, "a b", true}, {0, "a", false}, {0, "a", false}, {0, "a", true},
		}},
		{"zero wins", map[string]string{"a": `"rate-limit":"3 packets per hour"`, "b": `"rate-limit":"0 packets per hour"`}, []pkt{
			{0, "a b", true}, {0, "a", false}, {0, "a", false}, {0, "a", false}, {0, "a", true},
		}},
		{"three classes", map[string]string{"a": `"rate-limit":"9 packets per hour"`, "b": `"rate-limit":"9 packets per hour"`, "c": `"rate-limit":"1 packet per hour"`}, []pkt{
			{0, "x a b c", false}, {0, "a b c", true}, {0, "a b", false},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pl := load(t, conf{classes: tc.classes})
			for i, p := range tc.pkts {
				q := hookstest.Query4(now+p.at, strings.Fields(p.classes)...)
				want := hooks.Continue
				if p.drop {
					want = hooks.Drop
				}
				if got := pl.Run(hooks.Pkt4Receive, q); got != want {
					t.Errorf("packet %d of %s: %v", i, p.classes, got)
				}
				if p.drop && q.DropReason() != hooks.DropLimitExceeded {
					t.Errorf("packet %d: reason %v", i, q.DropReason())
				}
			}
		})
	}
}

func TestSubnetRateLimit(t *testing.T) {
	pl := load(t, conf{subnets: map[uint32]string{1: `"rate-limit":"2 packets per minute"`, 2: `"rate-limit":"0 packets per second"`}})
	subnets := hookstest.Subnets{{ID: 1}, {ID: 2}, {ID: 3}}
	run := func(id uint32) hooks.Status {
		q := hookstest.Query4(now)
		q.Subnets = subnets
		if !q.SelectSubnet(id) {
			t.Fatal("no subnet")
		}
		return pl.Run(hooks.Subnet4Select, q)
	}
	var got []hooks.Status
	for _, id := range []uint32{1, 0, 3, 1, 1, 2, 3} {
		got = append(got, run(id))
	}
	if fmt.Sprint(got) != "[CONTINUE CONTINUE CONTINUE CONTINUE DROP DROP CONTINUE]" {
		t.Error(got)
	}
}

// What an earlier library refused is not counted.
func TestRefusedEarlierIsNotCounted(t *testing.T) {
	for _, s := range []hooks.Status{hooks.Skip, hooks.Drop} {
		rec := &hookstest.Recorder{Answer: map[hooks.Point]hooks.Status{hooks.Pkt4Receive: s, hooks.Subnet4Select: s, hooks.Lease4Select: s}}
		pl := load(t, conf{
			classes: map[string]string{"a": `"rate-limit":"1 packet per hour","address-limit":0`},
			subnets: map[uint32]string{1: `"rate-limit":"1 packet per hour"`},
		}, hooks.Configured{Library: rec})
		q := hookstest.Query4(now, "a")
		q.Subnet = &hooks.SubnetInfo{ID: 1}
		for _, p := range []hooks.Point{hooks.Pkt4Receive, hooks.Subnet4Select, hooks.Lease4Select} {
			for range 2 {
				if got := pl.Run(p, q); got != s || q.DropReason() != hooks.DropUnspecified {
					t.Errorf("%v: %v %v", p, got, q.DropReason())
				}
			}
		}
		rec.Answer = nil
		if pl.Run(hooks.Pkt4Receive, q) != hooks.Continue || pl.Run(hooks.Subnet4Select, q) != hooks.Continue {
			t.Error("a refused packet was counted")
		}
		if q.Lease.UserContext != "" {
			t.Errorf("a refused lease was changed: %s", q.Lease.UserContext)
		}
	}
}

// table is a lease table small enough to see through: it tells the observers.
type table struct {
	t      testing.TB
	pl     *hooks.Pipeline
	leases map[dhcp4.IPv4]lease.Lease4
}

func newTable(t testing.TB, pl *hooks.Pipeline) *table {
	return &table{t, pl, map[dhcp4.IPv4]lease.Lease4{}}
}

func (tb *table) put(l lease.Lease4) {
	var old *lease.Lease4
	if o, ok := tb.leases[l.Addr]; ok {
		old = &o
	}
	tb.leases[l.Addr] = l
	for _, ob := range tb.pl.Observers() {
		ob.LeaseChanged(old, &l)
	}
}

func (tb *table) del(addr dhcp4.IPv4) {
	old := tb.leases[addr]
	delete(tb.leases, addr)
	for _, ob := range tb.pl.Observers() {
		ob.LeaseChanged(&old, nil)
	}
}

// request asks for a lease and stores it, as the engine does.
func (tb *table) request(addr dhcp4.IPv4, subnet uint32, classes ...string) bool {
	q := hookstest.Query4(now, classes...)
	q.Lease.Addr, q.Lease.SubnetID = addr, subnet
	if o, ok := tb.leases[addr]; ok {
		q.OldLease = &o
	}
	if s := tb.pl.Run(hooks.Lease4Select, q); s == hooks.Skip {
		return false
	} else if s != hooks.Continue {
		tb.t.Errorf("status %v", s)
	}
	tb.put(*q.Lease)
	return true
}

func (tb *table) renew(addr dhcp4.IPv4, classes ...string) {
	q := hookstest.Query4(now, classes...)
	l := tb.leases[addr]
	q.Lease = &l
	if s := tb.pl.Run(hooks.Lease4Renew, q); s != hooks.Continue {
		tb.t.Errorf("renewal: %v", s)
	}
	tb.put(l)
}

func (tb *table) state(addr dhcp4.IPv4, s lease.State) {
	l := tb.leases[addr]
	l.State = s
	tb.put(l)
}

func TestAddressLimitOfSubnet(t *testing.T) {
	tb := newTable(t, load(t, conf{subnets: map[uint32]string{1: `"address-limit":2`, 2: `"address-limit":0`}}))
	expect := func(step string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", step, got)
		}
	}
	expect("zero", tb.request(1, 2), false)
	expect("no limit", tb.request(2, 3), true)
	expect("first", tb.request(11, 1), true)
	expect("second", tb.request(12, 1), true)
	expect("third", tb.request(13, 1), false)
	tb.renew(11)
	expect("after a renewal", tb.request(13, 1), false)
	tb.state(11, lease.StateDeclined)
	expect("a declined address is assigned", tb.request(13, 1), false)
	tb.state(11, lease.StateExpiredReclaimed)
	expect("reclaimed", tb.request(13, 1), true)
	expect("full again", tb.request(14, 1), false)
	tb.state(12, lease.StateReleased)
	expect("released", tb.request(14, 1), true)
	tb.del(14)
	expect("deleted by a command", tb.request(15, 1), true)
	expect("full once more", tb.request(16, 1), false)
	// An expired lease that is not reclaimed yet makes room for its successor.
	expect("takes over an address", tb.request(15, 1), true)
	// An offer is no lease.
	tb.put(lease.Lease4{Addr: 17, SubnetID: 1, State: lease.StateOffered})
	tb.del(15)
	expect("beside an offer", tb.request(17, 1), true)
	expect("beside an offer, full", tb.request(18, 1), false)
	// A lease that moves to another subnet.
	l := tb.leases[17]
	l.SubnetID = 3
	tb.put(l)
	expect("moved away", tb.request(18, 1), true)
}

func TestAddressLimitOfClass(t *testing.T) {
	tb := newTable(t, load(t, conf{classes: map[string]string{"gold": `"address-limit":2`, "x&\"y": `"address-limit":1`, "none": `"address-limit":0`}}))
	expect := func(step string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", step, got)
		}
	}
	context := func(addr dhcp4.IPv4, want string) {
		t.Helper()
		if got := tb.leases[addr].UserContext; got != want {
			t.Errorf("user-context of %d is %s, want %s", addr, got, want)
		}
	}
	expect("zero", tb.request(1, 1, "ALL", "none"), false)
	expect("unlimited", tb.request(1, 1, "ALL"), true)
	context(1, "")
	expect("first", tb.request(2, 1, "ALL", "gold"), true)
	context(2, `{"ISC":{"client-classes":["gold"]}}`)
	expect("second", tb.request(3, 1, "gold", `x&"y`), true)
	context(3, `{"ISC":{"client-classes":["gold","x&\"y"]}}`)
	expect("third", tb.request(4, 1, "gold"), false)
	expect("other class full", tb.request(4, 1, `x&"y`), false)
	tb.renew(3, "gold")
	context(3, `{"ISC":{"client-classes":["gold"]}}`)
	expect("left a class by renewal", tb.request(4, 1, `x&"y`), true)
	tb.renew(4)
	context(4, "")
	tb.renew(1, "gold", `x&"y`) // a renewal is never refused
	context(1, `{"ISC":{"client-classes":["gold","x&\"y"]}}`)
	expect("one over", tb.request(5, 1, "gold"), false)
	tb.state(1, lease.StateDeclined)
	expect("still at the limit", tb.request(5, 1, "gold"), false)
	tb.state(2, lease.StateExpiredReclaimed)
	expect("reclaimed", tb.request(5, 1, "gold"), true)
	expect("takes over in the same class", tb.request(5, 1, "gold"), true)
	tb.del(5)
	tb.del(3)
	expect("deleted", tb.request(6, 1, "gold"), true)
	expect("deleted", tb.request(7, 1, "gold"), true)
	expect("full", tb.request(8, 1, "gold"), false)
}

// After a restart, or from Kea, counts come from the user-context.
func TestCountsSurviveARestart(t *testing.T) {
	tb := newTable(t, load(t, conf{
		classes: map[string]string{"gold": `"address-limit":3`},
		subnets: map[uint32]string{1: `"address-limit":5`},
	}))
	for i, uc := range []string{
		`{"ISC":{"client-classes":["gold"]}}`,
		`{ "ISC": { "relay-agent-info": { "sub-options": "0x0104AABBCCDD" }, "client-classes": [ "ALL", "gold", "UNKNOWN" ] }, "note": "gold" }`,
		`{"ISC":{"client-classes":["\u0067old"]}}`,
		`{"ISC":{"client-classes":["silver"]},"x":{"ISC":{"client-classes":["gold"]}}}`,
	} {
		tb.put(lease.Lease4{Addr: dhcp4.IPv4(i + 1), SubnetID: 1, UserContext: uc})
	}
	if tb.request(20, 1, "gold") {
		t.Error("class: granted")
	}
	if !tb.request(20, 1) || tb.request(21, 1) {
		t.Error("subnet: not counted")
	}
}

func TestOtherPartsOfTheUserContextAreKept(t *testing.T) {
	lib := New()
	lib.leasesByClass = map[string]*classLimit{"gold": newClassLimit("gold", 9), "a<b": newClassLimit("a<b", 9)}
	for _, tc := range []struct{ uc, classes, want string }{
		{`{"note":"x"}`, "", `{"note":"x"}`},
		{`{"note":"x"}`, "gold", `{"ISC":{"client-classes":["gold"]},"note":"x"}`},
		{`{"note":"<&>"}`, "gold a<b", `{"ISC":{"client-classes":["gold","a<b"]},"note":"<&>"}`},
		{`{"ISC":{"relay-agent-info":{"a":1}}}`, "gold", `{"ISC":{"client-classes":["gold"],"relay-agent-info":{"a":1}}}`},
		{`{"ISC":{"client-classes":["gold"],"relay-agent-info":{"a":1}}}`, "gold", `{"ISC":{"client-classes":["gold"],"relay-agent-info":{"a":1}}}`},
		{`{"ISC":{"client-classes":["gold"],"relay-agent-info":{"a":1}}}`, "", `{"ISC":{"client-classes":[],"relay-agent-info":{"a":1}}}`},
		{`{ "ISC": { "client-classes": [ "ALL", "old" ] } }`, "gold", `{"ISC":{"client-classes":["gold"]}}`},
		{`{"ISC":7,"b":2}`, "gold", `{"ISC":{"client-classes":["gold"]},"b":2}`},
		{`{"ISC":{"client-classes":["old"]}}`, "", ``},
		{`{"ISC":{"client-classes":["old"]}}`, "gold", `{"ISC":{"client-classes":["gold"]}}`},
		{`not json`, "gold", `not json`},
		{`[1]`, "gold", `[1]`},
		{`null`, "gold", `null`},
	} {
		q := hookstest.Query4(now, strings.Fields(tc.classes)...)
		q.Lease.UserContext = tc.uc
		lib.writeClasses(q)
		if q.Lease.UserContext != tc.want {
			t.Errorf("%s with %q gives %s, want %s", tc.uc, tc.classes, q.Lease.UserContext, tc.want)
		}
	}
}

func TestInternedTextsAreLimited(t *testing.T) {
	var in interned
	for i := range maxTexts + 100 {
		if got := in.get(fmt.Appendf(nil, "%d", i)); got != fmt.Sprint(i) {
			t.Fatalf("%d gave %s", i, got)
		}
	}
	if n := len(*in.texts.Load()); n != maxTexts {
		t.Errorf("%d texts kept", n)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	pl := load(t, conf{
		classes: map[string]string{
			"ALL":  `"rate-limit":"1000000 packets per second"`,
			"gold": `"rate-limit":"1000 packets per second","address-limit":100`,
			"zero": `"rate-limit":"0 packets per second"`,
		},
		subnets: map[uint32]string{1: `"rate-limit":"1 packet per year","address-limit":9`},
	})
	q := hookstest.Query4(now, "ALL", "gold")
	q.Subnet = &hooks.SubnetInfo{ID: 1}
	var fresh, stored lease.Lease4
	fresh.SubnetID = 1
	stored = fresh
	stored.UserContext = `{"note":"x","ISC":{"client-classes":["gold"]}}`
	f := func() {
		q.NowUnixNs += 1000
		pl.Run(hooks.Pkt4Receive, q)
		pl.Run(hooks.Subnet4Select, q)
		*q.Lease = fresh
		q.OldLease = &stored
		pl.Run(hooks.Lease4Select, q)
		if q.Lease.UserContext == "" {
			t.Fatal("no classes noted")
		}
		*q.Lease = stored
		pl.Run(hooks.Lease4Renew, q)
		for _, ob := range pl.Observers() {
			ob.LeaseChanged(nil, q.Lease)
			ob.LeaseChanged(q.Lease, nil)
		}
	}
	f()
	if raceEnabled {
		t.Skip("allocations are not counted under -race")
	}
	if n := testing.AllocsPerRun(2000, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCountingIsSafeForWorkers(t *testing.T) {
	lib := New()
	pl := hookstest.Load(t, &hooks.Server{Config4: conf{
		classes: map[string]string{"gold": `"address-limit":1000000,"rate-limit":"7 packets per second"`},
		subnets: map[uint32]string{1: `"address-limit":1000000`},
	}.config4()}, hooks.Configured{Library: lib})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			q := hookstest.Query4(now, "gold")
			q.Lease.SubnetID = 1
			for i := range 2000 {
				pl.Run(hooks.Pkt4Receive, q)
				pl.Run(hooks.Lease4Select, q)
				lib.LeaseChanged(nil, q.Lease)
				if i%2 == 0 {
					lib.LeaseChanged(q.Lease, nil)
				}
			}
		})
	}
	wg.Wait()
	if n, m := lib.leasesByClass["gold"].leases.Load(), lib.leasesBySubnet[1].leases.Load(); n != 4000 || m != 4000 {
		t.Errorf("counted %d and %d", n, m)
	}
}

// Whatever stands in a user-context, it is walked without a crash, and what is
// found agrees with encoding/json.
func FuzzEachClass(f *testing.F) {
	for _, s := range []string{
		"", "{", `{"ISC":{"client-classes":["a","b"]}}`, `{"ISC":{"client-classes":["a",]}}`, `{"ISC":[`, `{"a":{"b":[1,{}]},"ISC":{"x":"\"","client-classes":["\u0041"]}}`,
		`{"ISC":{"client-classes":"a"}}`, `{"ISC" : {"client-classes" :[ ] } }`, `{"a":}`, `{"ISC":{"client-classes":["a" "b"]}}`, `{"\\":1,"ISC":{"client-classes":["x\\"]}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uc string) {
		var got []string
		eachClass(uc, func(name string) bool { got = append(got, name); return true })
		isOwn(uc)
		sameClasses(uc, []byte("[]"))
		var v struct {
			ISC map[string]json.RawMessage
		}
		var names []string
		dup := strings.Count(uc, `ISC`)+strings.Count(uc, `client-classes`) > 2 || strings.Contains(strings.ToLower(uc), `\u`)
		if dup || json.Unmarshal([]byte(uc), &v) != nil || !strings.Contains(uc, `"ISC"`) {
			return
		}
		if json.Unmarshal(v.ISC["client-classes"], &names) != nil {
			return
		}
		if len(got) != len(names) {
			t.Fatalf("%q: %q, want %q", uc, got, names)
		}
	})
}

func BenchmarkCallouts(b *testing.B) {
	pl := load(b, conf{
		classes: map[string]string{"gold": `"rate-limit":"1000 packets per second"`},
		subnets: map[uint32]string{1: `"rate-limit":"1000 packets per second"`},
	})
	q := hookstest.Query4(now, "ALL", "gold", "UNKNOWN")
	q.Subnet = &hooks.SubnetInfo{ID: 1}
	b.ReportAllocs()
	for b.Loop() {
		q.NowUnixNs += 1000
		pl.Run(hooks.Pkt4Receive, q)
		pl.Run(hooks.Subnet4Select, q)
	}
}
