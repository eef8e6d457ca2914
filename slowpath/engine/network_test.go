package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// walkFind is findClient by going through all subnets of the network.
func walkFind(w *Worker, q *Query4) (addr dhcp4.IPv4, in *config.Subnet4) {
	first := q.Subnet
	for _, find := range [...]func(*Worker, *Query4, *config.Subnet4) bool{(*Worker).findByClientID, (*Worker).findByHWAddr} {
		for s := first; s != nil; s = q.nextSubnet(first, s) {
			if find(w, q, s) {
				if !isOffer(&w.cur) {
					return w.cur.Addr, s
				}
				if in == nil {
					addr, in = w.cur.Addr, s
				}
			}
		}
	}
	return addr, in
}

// begin brings a query to where its lease is looked for.
func (l *lab) begin(q *netiotest.Query) {
	l.t.Helper()
	if r := l.view.Parse(q.Message()); r != dhcp4.ReasonOK {
		l.t.Fatal(r)
	}
	l.q.Msg, l.q.NowUnixS = &l.view, l.now
	l.q.IfIndex, l.q.IfName, l.q.IfAddr, l.q.LocalAddrs = 2, l.ifName, l.ifAddr, l.local
	l.w.Begin()
	if r := l.w.Accept4(&l.q); r != ReasonOK {
		l.t.Fatal(r)
	}
	if r := l.w.SelectSubnet4(&l.q); r != ReasonOK || l.q.Subnet == nil {
		l.t.Fatalf("no subnet: %v", r)
	}
	l.q.identify()
}

// TestNetworkTwin: what is looked up in a shared network by address or client is
// what going through its subnets finds.
func TestNetworkTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, overlap := range []bool{false, true} {
		var b strings.Builder
		b.WriteString(`"client-classes": [ { "name": "none", "test": "not member('ALL')" }, { "name": "all", "test": "member('ALL')" } ],
			"reservations-global": true, "shared-networks": [ { "name": "n", "interface": "eth0", "subnet4": [ `)
		for i := range 12 {
			guard := [...]string{"", "", `"client-classes": [ "all" ],`, `"client-classes": [ "none" ],`}[i%4]
			prefix := fmt.Sprintf("10.0.%d.0/24", i)
			if overlap && i == 7 {
				prefix = "10.0.0.0/20"
			}
			fmt.Fprintf(&b, `{ "id": %d, "subnet": "%s", %s "match-client-id": %v, "reservations-global": %v, "pools": [ { "pool": "10.0.%d.10 - 10.0.%d.19" }, { "pool": "10.0.%d.30 - 10.0.%d.39", "client-classes": [ "%s" ] } ] },`,
				20-i, prefix, guard, i%5 != 0, i%3 != 0, i, i, i, i, []string{"all", "none"}[i%2])
		}
		l := newLab(t, strings.TrimSuffix(b.String(), ",")+` ] } ], "subnet4": [ { "id": 99, "subnet": "10.9.0.0/24" } ]`)
		l.j.Quiet = true
		cids := []string{"", "one", "two"}
		met := 0
		for step := range 4000 {
			x := &lease.Lease4{Addr: dhcp4.AddrFrom4([4]byte{10, 0, byte(r.IntN(12)), byte(r.IntN(6))}), CLTTUnixS: labStart, ValidLifetimeS: 100}
			x.SubnetID = uint32(9 + r.IntN(12))
			if r.IntN(10) == 0 {
				x.SubnetID = 99
			}
			x.State = [...]lease.State{lease.StateDefault, lease.StateOffered, lease.StateReleased, lease.StateDeclined}[r.IntN(4)]
			m := mac(r.IntN(5))
			x.SetHW(1, m[:])
			x.SetCID([]byte(cids[r.IntN(3)]))
			var old lease.Lease4
			if l.table.Get(x.Addr, &old); old.Version != 0 {
				l.table.Delete(x.Addr, old.Version, nil)
			}
			if r.IntN(6) == 0 {
				if _, err := l.table.Put(x, 0, nil); err != nil && old.Version == 0 {
					t.Fatal(err)
				}
			}

			m = mac(r.IntN(5))
			q := netiotest.Discover(m)
			if cid := cids[r.IntN(3)]; cid != "" {
				q = netiotest.Discover(m, netiotest.WithClientID([]byte(cid)...))
			}
			l.begin(q)
			w, first := l.w, l.q.Subnet
			if all := l.q.cfg.Snapshot.Dhcp4.Networks[0].Subnets; r.IntN(2) == 0 {
				if s := all[r.IntN(len(all))]; l.q.allowed(s) {
					first = s
				}
			}
			from := func() { l.q.Subnet, l.q.rules = first, l.q.cfg.rulesOf(first) }
			from()
			wantAddr, wantIn := walkFind(w, &l.q)
			from()
			if have := w.findClient(&l.q); have != (wantIn != nil) || have && (w.cur.Addr != wantAddr || l.q.Subnet != wantIn) {
				t.Fatalf("step %d: found %v %v in %d, want %v", step, have, w.cur.Addr, l.q.Subnet.ID, wantAddr)
			} else if have {
				met++
			}

			a := dhcp4.AddrFrom4([4]byte{10, 0, byte(r.IntN(14)), byte(r.IntN(48))})
			var allowed, global *config.Subnet4
			any := false
			for s := first; s != nil; s = l.q.nextSubnet(first, s) {
				if p := poolOf(s, a); allowed == nil && p >= 0 && l.q.Classes.InAny(l.q.cfg.rulesOf(s).pools[p]) {
					allowed = s
				}
				if global == nil && s.ReservationsGlobal && a >= s.First && a <= s.Last {
					global = s
				}
			}
			for s := first; s != nil; s = nextMember(first, s) {
				any = any || poolOf(s, a) >= 0
			}
			from()
			if got := l.q.inAnyPool(first, a); got != any {
				t.Fatalf("step %d: %v in any pool: %v", step, a, got)
			}
			if got := w.inAllowedPool(&l.q, a); got != (allowed != nil) || got && l.q.Subnet != allowed {
				t.Fatalf("step %d: %v in an allowed pool: %v, of subnet %d", step, a, got, l.q.Subnet.ID)
			}
			from()
			l.q.hosts, l.q.global = l.q.hosts[:0], &config.Reservation4{Addr: a}
			if _, got := w.reservedAddr(&l.q); got != (global != nil) || got && l.q.Subnet != global {
				t.Fatalf("step %d: global address %v counts: %v, in subnet %d", step, a, got, l.q.Subnet.ID)
			}
			from()
			l.q.global = nil
			var wantHost *config.Reservation4
			for _, i := range r.Perm(12)[:r.IntN(4)] {
				l.q.hosts = append(l.q.hosts, &config.Reservation4{SubnetID: uint32(9 + i), Addr: dhcp4.IPv4(i + 1)})
			}
			for s := first; s != nil && wantHost == nil; s = l.q.nextSubnet(first, s) {
				wantHost = l.q.hostOf(s)
			}
			if got, ok := w.reservedAddr(&l.q); ok != (wantHost != nil) || ok && (got != wantHost.Addr || l.q.Subnet.ID != wantHost.SubnetID) {
				t.Fatalf("step %d: reserved %v, %v", step, got, ok)
			}
			l.q.hosts = l.q.hosts[:0]
		}
		if met < 500 {
			t.Errorf("only %d clients had a lease", met)
		}
	}
}

// TestNetworkAllocations: nor does a network of many subnets cost allocations, of
// clients that are new, that have a lease, and that find all full.
func TestNetworkAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const subnets = 300
	l := newLab(t, manySubnets(subnets, 1, ""))
	l.j.Quiet = true
	discover := prepare(netiotest.Discover(mac(1)))
	round := func() {
		l.run(&discover, dhcp4.MsgOffer)
		l.now += 3600
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for a new client", n)
	}
	for i := range subnets {
		p := prepare(netiotest.Request(mac(i+1), 0, l.ifAddr, netiotest.Without(50), netiotest.Without(54)))
		l.run(&p, dhcp4.MsgAck)
	}
	discover = prepare(netiotest.Discover(mac(subnets)))
	if n := testing.AllocsPerRun(100, func() { l.run(&discover, dhcp4.MsgOffer) }); n != 0 {
		t.Errorf("%v allocations for a client with a lease", n)
	}
	// All is leased: nothing but a few bitmaps is looked at.
	l.silent(ReasonPoolExhausted, netiotest.Discover(mac(subnets+1)))
	first := l.q.cfg.Snapshot.Dhcp4.Subnets[0]
	if s := l.q.cfg.Alloc.NextSubnet(first, first, false); s != nil {
		t.Errorf("subnet %d is said to have addresses", s.ID)
	}
}
