package slowpath

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/control/controltest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// commandLoad is how long the tests that give random commands do so: a few
// seconds, or what PEREGRINE_COMMAND_LOAD says (such as 30s).
func commandLoad(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PEREGRINE_COMMAND_LOAD")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run is how controltest gives a family commands.
func (f *family) run(command string, args any) (result int, text string, arguments json.RawMessage, err error) {
	var raw json.RawMessage
	if args != nil {
		if raw, err = json.Marshal(args); err != nil {
			return 0, "", nil, err
		}
	}
	r := f.registry.Run(context.Background(), &control.Call{Command: command, Arguments: raw})
	if r.Arguments != nil {
		arguments, err = json.Marshal(r.Arguments)
	}
	return r.Result, r.Text, arguments, err
}

// TestCommandsBesideService: 50 clients give random commands of every library to
// both families. Meanwhile every DHCP client is answered, and afterwards leases,
// indexes, statistics and hosts are those of a slow recount, also after a restart.
func TestCommandsBesideService(t *testing.T) {
	t.Chdir(t.TempDir()) // where config-write writes without a start-up file
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	names := []string{"lease_cmds", "class_cmds", "stat_cmds", "host_cmds", "host_cache", "subnet_cmds", "perfmon"}
	four := fmt.Sprintf(`{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": true }, "valid-lifetime": 3600, %s
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0 - 10.67.1.255" } ] } ] }`, librariesKey(append(names, "limits")...))
	text := testConfig6(dir, four, librariesKey(names...), true)
	b := newBed(t, text, hookOptions())
	closed := false
	defer func() {
		if !closed {
			b.close()
		}
	}()
	fields := map[*family]*controltest.Field{
		b.s.family: {Family: 4, SubnetID: 1, Subnet: "10.67.0.0/16", Addrs: 20, Addr: func(i int) string { return fmt.Sprintf("10.67.200.%d", i) }, Wipe: true, Files: true},
		b.s.six.family: {Family: 6, SubnetID: 1, Subnet: "2001:db8:1::/64", Addrs: 20, Addr: func(i int) string { return fmt.Sprintf("2001:db8:1::c:%x", i) },
			Wipe: true, Files: true},
	}
	const givers = 50
	end := time.Now().Add(commandLoad(t))
	var wg sync.WaitGroup
	var mu sync.Mutex
	did, had := map[string]int{}, map[string]int{}
	for g := range givers {
		f := b.s.family
		if g%2 == 1 {
			f = b.s.six.family
		}
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			for time.Now().Before(end) {
				name, args := fields[f].Random(r)
				result, answer, _, err := f.run(name, args)
				if err != nil || result == control.ResultUnsupported || result == control.ResultFatal || strings.Contains(answer, "internal") {
					t.Errorf("%s %v: %d %s, %v", name, args, result, answer, err)
				}
				mu.Lock()
				had[name]++
				if result == control.ResultSuccess {
					did[name]++
				}
				mu.Unlock()
			}
		})
	}
	// A client of each family at a time, on workers of their own; what is not
	// answered fails the test.
	six := &bed{t: t, s: b.s, w: b.s.NewWorker("six"), now: b.now, woke: make(chan struct{}, 1)}
	six.w.Attach(func() {
		select {
		case six.woke <- struct{}{}:
		default:
		}
	})
	clients6 := make([]*client6, 100)
	for i := range clients6 {
		clients6[i] = newClient6(six, byte(i))
	}
	n6 := 0
	wg.Go(func() {
		for ; time.Now().Before(end); n6++ {
			clients6[n6%len(clients6)].lease()
		}
	})
	n4 := uint32(0)
	for ; time.Now().Before(end); n4++ {
		b.lease(netiotest.ClientMAC(n4 % 100))
	}
	wg.Wait()
	if err := six.w.Close(); err != nil {
		t.Error(err)
	}
	total := 0
	for _, n := range had {
		total += n
	}
	t.Logf("%d and %d exchanges beside %d commands, with success %v", n4, n6, total, did)
	if t.Failed() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if had[name] > 200 && did[name] == 0 {
			t.Errorf("%s was never done in %d tries", name, had[name])
		}
	}
	recount(t, b)
	b.close()
	b = newBed(t, text, hookOptions())
	recount(t, b)
	b.close()
	closed = true
}

// recount checks leases, indexes, statistics and hosts of a server at rest.
func recount(t *testing.T, b *bed) {
	t.Helper()
	for _, f := range []*family{b.s.family, b.s.six.family} {
		family := 4
		if f != b.s.family {
			family = 6
		}
		for _, check := range []func() ([]string, error){
			func() ([]string, error) { return controltest.Statistics(f.run, family) },
			func() ([]string, error) { return controltest.Indexes(f.run, family, 100) },
		} {
			wrong, err := check()
			if err != nil {
				t.Errorf("DHCPv%d: %v", family, err)
			}
			for _, w := range wrong {
				t.Errorf("DHCPv%d: %s", family, w)
			}
		}
	}
	// What commands are shown is what look-ups of the engines find.
	var all4 []lease.Lease4
	b.s.table.Walk(func(l *lease.Lease4) bool { all4 = append(all4, *l); return true })
	for i := range all4 {
		l := &all4[i]
		var got lease.Lease4
		if !b.s.table.Get(l.Addr, &got) || got.SubnetID != l.SubnetID || got.State != l.State {
			t.Errorf("%v is walked over and not found by address", l.Addr)
		}
	}
	var all6 []lease6.Lease6
	b.s.table6.Walk(func(l *lease6.Lease6) bool { all6 = append(all6, *l); return true })
	for i := range all6 {
		l := &all6[i]
		var got lease6.Lease6
		if !b.s.table6.Get(l.Addr, &got) || got.SubnetID != l.SubnetID || got.State != l.State {
			t.Errorf("%v is walked over and not found by address", l.Addr)
		}
	}
	h := &b.s.hosts
	h.mu.Lock()
	stored, served := h.mu.store.Len(), len(h.mu.byID)+len(h.mu.six.byID)
	n4, n6 := len(h.mu.byID), len(h.mu.six.byID)
	h.mu.Unlock()
	if stored != served || h.set.Len() != n4 || h.set6.Len() != n6 {
		t.Errorf("%d hosts are stored, %d and %d served, %d and %d looked up", stored, n4, n6, h.set.Len(), h.set6.Len())
	}
	cached := 0
	b.s.cache.each(func(e *cachedHost) {
		if e.r4.SubnetID != 1<<32-1 {
			cached++
			if b.s.cache.set.ByIdentifier(e.r4.SubnetID, e.r4.Type, e.r4.Identifier) != e.r4 {
				t.Errorf("the cached host %x is not looked up", e.r4.Identifier)
			}
		}
	})
	if b.s.cache.use().Len() != cached {
		t.Errorf("%d cached hosts are looked up, want %d", b.s.cache.use().Len(), cached)
	}
	cached = 0
	b.s.cache6.each(func(e *cachedHost) {
		if e.r6.SubnetID != 1<<32-1 {
			cached++
			if b.s.cache6.set6.ByIdentifier(e.r6.SubnetID, e.r6.Type, e.r6.Identifier) != e.r6 {
				t.Errorf("the cached host %x is not looked up", e.r6.Identifier)
			}
		}
	})
	if b.s.cache6.use6().Len() != cached {
		t.Errorf("%d cached DHCPv6 hosts are looked up, want %d", b.s.cache6.use6().Len(), cached)
	}
}
