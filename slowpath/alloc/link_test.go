package alloc

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// newLinkOf is a shared network of n subnets with two pools of three addresses.
func newLinkOf(n int) []*config.Subnet4 {
	net := &config.Network4{}
	for i := range n {
		first := ip("10.0.0.0") + dhcp4.IPv4(i)<<8
		net.Subnets = append(net.Subnets, &config.Subnet4{
			ID: uint32(i + 1), Network: net, Position: i, Index: i, Params: config.Params{Allocator: "iterative"},
			Pools: []*config.Pool4{{First: first + 1, Last: first + 3}, {First: first + 11, Last: first + 13}},
		})
	}
	return net.Subnets
}

// TestNextSubnetTwin: the subnets that are given in a circle are those with an
// address that can be picked, and perhaps some that have had one.
func TestNextSubnetTwin(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{1, 2, 64, 65, 200} {
		subnets := newLinkOf(n)
		a := newSet(subnets...)
		states := map[dhcp4.IPv4]lease.State{}
		for step := range 6000 {
			// In turns nearly all is taken and nearly all is given back.
			s := subnets[r.IntN(n)]
			p := s.Pools[r.IntN(2)]
			addr := p.First + dhcp4.IPv4(r.IntN(3))
			old, had := states[addr]
			var before *lease.Lease4
			if had {
				before = record(s.ID, addr, old)
			}
			if now := [...]lease.State{lease.StateDefault, lease.StateReleased, lease.StateOffered}[r.IntN(3)]; r.IntN(100) < 95-step/1000%2*75 {
				states[addr] = now
				a.LeaseChanged(before, record(s.ID, addr, now))
			} else if had {
				delete(states, addr)
				a.LeaseChanged(before, nil)
			}
			if r.IntN(20) == 0 {
				a.Spent(s, r.IntN(2) == 0) // does no harm where it is not true
			}
			if step%50 != 0 {
				continue
			}
			first := subnets[r.IntN(n)]
			for _, offered := range []bool{false, true} {
				given := map[*config.Subnet4]bool{first: true}
				last := -1
				for x := a.NextSubnet(first, first, offered); x != nil; x = a.NextSubnet(first, x, offered) {
					order := (x.Position - first.Position + n) % n
					if order <= last || x == first {
						t.Fatalf("%d subnets, step %d: subnet %d out of order in the circle from %d", n, step, x.ID, first.ID)
					}
					last, given[x] = order, true
				}
				for _, x := range subnets {
					if can := hasAny(states, x, offered); can && !given[x] {
						t.Fatalf("%d subnets, step %d: subnet %d has addresses (offered: %v) and is not given", n, step, x.ID, offered)
					} else if before := subnets[(x.Position-1+n)%n]; !can && before != x {
						a.Spent(x, offered)
						if a.NextSubnet(before, before, offered) == x {
							t.Fatalf("%d subnets, step %d: subnet %d has none (offered: %v) and is still given", n, step, x.ID, offered)
						}
					}
				}
			}
		}
		for _, s := range subnets { // take all that is left
			for p := range s.Pools {
				for {
					if _, k := a.Pick(s, p); k == None {
						break
					}
				}
			}
			a.Spent(s, false)
			a.Spent(s, true)
		}
		for _, offered := range []bool{false, true} {
			if x := a.NextSubnet(subnets[0], subnets[0], offered); x != nil {
				t.Errorf("%d subnets: subnet %d is given when all is taken", n, x.ID)
			}
		}
	}
}

func hasAny(states map[dhcp4.IPv4]lease.State, s *config.Subnet4, offered bool) bool {
	for _, p := range s.Pools {
		for addr := p.First; addr <= p.Last; addr++ {
			st, taken := states[addr]
			if offered && taken && st == lease.StateOffered || !offered && (!taken || st == lease.StateReleased) {
				return true
			}
		}
	}
	return false
}
