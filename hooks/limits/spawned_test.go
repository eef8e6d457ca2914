package limits

import (
	"fmt"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// A rate limit of a template class is the limit of each class that it spawns,
// and not of the template.
func TestRateLimitOfTemplate(t *testing.T) {
	pl := load(t, conf{classes: map[string]string{
		"template vendor":   `"rate-limit":"2 packets per second"`,
		"template vendor_x": `"rate-limit":"1 packets per second"`,
	}})
	for i, x := range []struct {
		classes []string
		want    hooks.Status
	}{
		{[]string{"vendor", "SPAWN_vendor_a"}, hooks.Continue},
		{[]string{"vendor", "SPAWN_vendor_a"}, hooks.Continue},
		{[]string{"vendor", "SPAWN_vendor_a"}, hooks.Drop},
		{[]string{"vendor", "SPAWN_vendor_b"}, hooks.Continue},
		{[]string{"vendor", "SPAWN_vendor_"}, hooks.Continue}, // the expression gave nothing
		{[]string{"vendor"}, hooks.Continue},
		{[]string{"vendor"}, hooks.Continue},
		{[]string{"vendor"}, hooks.Continue},
		{[]string{"SPAWN_other_a"}, hooks.Continue},
		{[]string{"SPAWN_vendor_x_a"}, hooks.Continue}, // vendor_x's, whose name is longer
		{[]string{"SPAWN_vendor_x_a"}, hooks.Drop},
		{[]string{"SPAWN_vendor_x_b", "SPAWN_vendor_a"}, hooks.Drop},
		{[]string{"SPAWN_vendor_x_b"}, hooks.Continue}, // what was dropped was not counted
	} {
		if got := pl.Run(hooks.Pkt4Receive, hookstest.Query4(now, x.classes...)); got != x.want {
			t.Errorf("packet %d in %v: %v, want %v", i, x.classes, got, x.want)
		}
	}
}

// The same for leases; the counts are there again after a restart, from what the
// leases' user-contexts say.
func TestAddressLimitOfTemplate(t *testing.T) {
	c := conf{classes: map[string]string{"template vendor": `"address-limit":2`}}
	tb := newTable(t, load(t, c))
	for i, x := range []struct {
		class string
		want  bool
	}{{"SPAWN_vendor_a", true}, {"SPAWN_vendor_a", true}, {"SPAWN_vendor_a", false}, {"SPAWN_vendor_b", true}, {"vendor", true}, {"vendor", true}, {"vendor", true}} {
		if got := tb.request(dhcp4.IPv4(i+1), 1, "vendor", x.class); got != x.want {
			t.Errorf("lease %d of %s: %v", i, x.class, got)
		}
	}
	tb.del(1)
	if !tb.request(1, 1, "SPAWN_vendor_a") || tb.request(9, 1, "SPAWN_vendor_a") {
		t.Error("after a lease has gone")
	}
	after := newTable(t, load(t, c))
	after.put(lease.Lease4{Addr: 20, SubnetID: 1, UserContext: `{"ISC":{"client-classes":["SPAWN_vendor_a"]}}`})
	after.put(lease.Lease4{Addr: 21, SubnetID: 1, UserContext: `{"ISC":{"client-classes":["vendor","SPAWN_vendor_a"]}}`})
	if after.request(22, 1, "SPAWN_vendor_a") || !after.request(22, 1, "SPAWN_vendor_b") {
		t.Error("after a restart")
	}
}

// Clients that make up classes do not make the server's memory grow: beyond so
// many, all share one counter, in which they are counted up and down alike.
func TestSpawnedClassesAreLimited(t *testing.T) {
	var s spawned[classLimit]
	others := s.add("t", 3, func(name string) *classLimit { return newClassLimit(name, 1) })
	seen := map[*classLimit]string{}
	for i := range 10 {
		name := fmt.Sprintf("SPAWN_t_%d", i)
		c := s.get(name)
		if again := s.get(name); again != c {
			t.Errorf("%s has another counter the next time", name)
		}
		if i < 3 && (c.name != name || seen[c] != "") || i >= 3 && c != others {
			t.Errorf("%s is counted as %s", name, c.name)
		}
		seen[c] = name
	}
	if s.get("SPAWN_t") != nil || s.get("SPAWN_u_1") != nil || s.get("t") != nil {
		t.Error("another class is counted")
	}
	if n := maxWindows(rateLimit{packets: maxExact}); n*8*maxExact > maxWindowBytes || n < 1 {
		t.Errorf("%d windows of the largest limit", n)
	}
}

func TestSpawnedClassesAreSafeForWorkers(t *testing.T) {
	var s spawned[classLimit]
	s.add("t", 100, func(name string) *classLimit { return newClassLimit(name, 1) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				s.get(fmt.Sprintf("SPAWN_t_%d", i%200)).leases.Add(1)
			}
		})
	}
	wg.Wait()
	sum := s.templates[0].others.leases.Load()
	for i := range s.shards {
		for _, c := range s.shards[i].byName {
			sum += c.leases.Load()
		}
	}
	if n := s.templates[0].n.Load(); sum != 4000 || n != 100 {
		t.Errorf("counted %d in %d classes", sum, n)
	}
}

func TestSpawnedHotPathDoesNotAllocate(t *testing.T) {
	pl := load(t, conf{classes: map[string]string{"template vendor": `"rate-limit":"1000 packets per second","address-limit":9`}})
	q := hookstest.Query4(now, "vendor", "SPAWN_vendor_a")
	f := func() {
		q.NowUnixNs += 1_000_000_000
		pl.Run(hooks.Pkt4Receive, q)
		*q.Lease = lease.Lease4{}
		pl.Run(hooks.Lease4Select, q)
	}
	f()
	if raceEnabled {
		t.Skip("allocations are not counted under -race")
	}
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
