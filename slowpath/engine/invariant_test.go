package engine

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random conversations, 0: a new one")

// promise is what an acknowledgement has told a client.
type promise struct {
	hw, cid  []byte
	untilS   int64
	declined bool
}

func (p *promise) holds(now int64) bool { return p.untilS >= now }

// sameClient is V4-068 written once more, without looking at the engine's.
func (p *promise) sameClient(hw, cid []byte) bool {
	if len(p.cid) > 0 && len(cid) > 0 {
		return bytes.Equal(p.cid, cid)
	}
	return bytes.Equal(p.hw, hw)
}

// checker follows a conversation from outside: queries and answers only.
type checker struct {
	*lab
	promises map[dhcp4.IPv4]*promise
	offers   map[string]dhcp4.IPv4
	trace    []string
	reserved map[dhcp4.IPv4]byte // address → last octet of the MAC
}

func (c *checker) failf(format string, args ...any) {
	c.t.Helper()
	n := max(0, len(c.trace)-40)
	for _, s := range c.trace[n:] {
		c.t.Log(s)
	}
	c.t.Fatalf(format, args...)
}

// exchange sends one query and checks the answer against all promises.
func (c *checker) exchange(what string, hw, cid []byte, q *nt.Query) {
	c.t.Helper()
	reason := c.send(q)
	r := &c.r
	line := fmt.Sprintf("%d %s hw=%x cid=%x: %v %v yiaddr %v (%v)", c.now-labStart, what, hw[4:], cid, reason, r.Type, r.YIAddr, r.NAKReason)
	c.trace = append(c.trace, line)
	if reason != ReasonOK {
		return
	}
	if r.HaveDeleted && q.Type == dhcp4.MsgRequest {
		if p := c.promises[r.Deleted.Addr]; p != nil && p.holds(c.now) && !p.sameClient(hw, cid) {
			c.failf("%v of another client was deleted", r.Deleted.Addr)
		}
		delete(c.promises, r.Deleted.Addr)
	}
	switch q.Type {
	case dhcp4.MsgRelease, dhcp4.MsgDecline:
		a := r.Lease.Addr
		p := c.promises[a]
		if p == nil || !p.sameClient(hw, cid) {
			c.failf("%s of %v was taken, which is not the client's", what, a)
		}
		delete(c.promises, a)
		if q.Type == dhcp4.MsgDecline {
			c.promises[a] = &promise{untilS: c.now + int64(r.Lease.ValidLifetimeS), declined: true}
		}
		return
	}
	a := r.YIAddr
	switch r.Type {
	case dhcp4.MsgOffer, dhcp4.MsgAck:
		if q.Type == dhcp4.MsgInform {
			return
		}
		if o, ok := c.reserved[a]; ok && o != hw[5] {
			c.failf("%v is reserved for another client", a)
		}
		if _, ok := c.reserved[a]; !ok && (a < ip("192.0.2.10") || a > ip("192.0.2.17")) {
			c.failf("%v is in no pool", a)
		}
		if p := c.promises[a]; p != nil && p.holds(c.now) {
			if p.declined {
				c.failf("%v is declined", a)
			}
			if !p.sameClient(hw, cid) {
				c.failf("%v is promised to hw=%x cid=%x until %d", a, p.hw, p.cid, p.untilS-labStart)
			}
		}
	}
	if r.Type == dhcp4.MsgOffer {
		c.offers[string(hw)+string(cid)] = a
		return
	}
	if r.Type != dhcp4.MsgAck {
		return
	}
	told, ok := c.answer.LeaseTime()
	if !ok {
		c.failf("an acknowledgement without lease time")
	}
	// The latest acknowledgement counts, also when it is of a shorter lease.
	until := c.now + int64(told)
	c.promises[a] = &promise{hw: bytes.Clone(hw), cid: bytes.Clone(cid), untilS: until}
	// What is promised is in the journal as long as it is promised.
	rec, ok := c.j.State[a]
	if !ok || rec.State != lease.StateDefault {
		c.failf("%v is promised for %d s, the journal has it: %v, in state %d", a, told, ok, rec.State)
	}
	if rec.ExpiresUnixS() < c.now+int64(told) {
		c.failf("%v is promised until %d, the journal says %d", a, until-labStart, rec.ExpiresUnixS()-labStart)
	}
}

// checkTable compares journal and table: all that is not an offer must be the
// same in both.
func (c *checker) checkTable() {
	c.t.Helper()
	n := 0
	c.table.Walk(func(l *lease.Lease4) bool {
		if l.State == lease.StateOffered {
			return true
		}
		n++
		rec, ok := c.j.State[l.Addr]
		if !ok || rec.State != l.State || rec.Version != l.Version || !bytes.Equal(rec.HW(), l.HW()) {
			c.t.Errorf("%v: table has state %d version %d, journal %v %d %d", l.Addr, l.State, l.Version, ok, rec.State, rec.Version)
		}
		return true
	})
	if n != len(c.j.State) {
		c.t.Errorf("table has %d leases, journal %d", n, len(c.j.State))
	}
	if c.t.Failed() {
		c.failf("table and journal differ")
	}
}

const invariantConfig = `
	"valid-lifetime": 1000, "min-valid-lifetime": 100, "max-valid-lifetime": 2000, "decline-probation-period": 500,
	"expired-leases-processing": { "hold-reclaimed-time": %d },
	"match-client-id": %v, "authoritative": %v, "cache-threshold": %v,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.14" }, { "pool": "192.0.2.15 - 192.0.2.17" } ],
	  "reservations": [
	    { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.11" },
	    { "hw-address": "02:c1:00:00:00:02", "ip-address": "192.0.2.100" } ] } ]`

// TestInvariants holds random conversations of honest, confused and hostile
// clients with several workers against what must always be so: an address
// belongs to one client at a time; what is acknowledged stays the client's until
// it ends, is released or declined, and is in the journal.
func TestInvariants(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-args -seed %d repeats it)", seed, seed)
	rounds := 60
	if testing.Short() || raceEnabled {
		rounds = 15
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		match := rnd.IntN(4) != 0
		body := fmt.Sprintf(invariantConfig, 3600*rnd.IntN(2), match, rnd.IntN(2) == 0, []string{"0.25", "0.9", "0.0"}[rnd.IntN(3)])
		l := newLab(t, body)
		c := &checker{lab: l, promises: map[dhcp4.IPv4]*promise{}, offers: map[string]dhcp4.IPv4{},
			reserved: map[dhcp4.IPv4]byte{ip("192.0.2.11"): 1, ip("192.0.2.100"): 2}}
		workers := []*Worker{l.w, l.eng.NewWorker(l.j), l.eng.NewWorker(l.j)}
		for range 600 {
			l.w = workers[rnd.IntN(len(workers))]
			n := 1 + rnd.IntN(12)
			m := mac(n)
			hw := m[:]
			// Most clients are faithful to one identity; some change the
			// identifier, or borrow another's.
			var cid []byte
			switch {
			case n%3 == 0:
				cid = []byte{1, byte(n)}
			case rnd.IntN(20) == 0:
				cid = []byte{1, byte(3 * rnd.IntN(5))}
			}
			var opts []nt.Option
			mcid := cid
			if cid != nil {
				opts = append(opts, nt.WithClientID(cid...))
			}
			if !match {
				mcid = nil
			}
			if rnd.IntN(8) == 0 {
				v := uint32(rnd.IntN(4000))
				opts = append(opts, nt.With(51, 0, 0, byte(v>>8), byte(v)))
			}
			any := ip("192.0.2.8") + dhcp4.IPv4(rnd.IntN(12))
			if rnd.IntN(30) == 0 {
				any = ip("192.0.2.100")
			}
			own := c.offers[string(hw)+string(mcid)]
			for a, p := range c.promises {
				if p.holds(l.now) && p.sameClient(hw, mcid) && rnd.IntN(2) == 0 {
					own = a
				}
			}
			switch k := rnd.IntN(100); {
			case k < 25:
				if rnd.IntN(3) == 0 {
					opts = append(opts, nt.WithIP(50, any))
				}
				c.exchange("DISCOVER", hw, mcid, nt.Discover(m, opts...))
			case k < 50:
				c.exchange("REQUEST "+own.String(), hw, mcid, nt.Request(m, own, l.ifAddr, opts...))
			case k < 58:
				c.exchange("REQUEST "+any.String(), hw, mcid, nt.Request(m, any, l.ifAddr, opts...))
			case k < 63:
				c.exchange("RENEW "+any.String(), hw, mcid, nt.Renew(m, any, l.ifAddr, opts...))
			case k < 69:
				c.exchange("RENEW "+own.String(), hw, mcid, nt.Renew(m, own, l.ifAddr, opts...))
			case k < 72:
				c.exchange("REBIND "+own.String(), hw, mcid, nt.Rebind(m, own, opts...))
			case k < 77:
				a := any
				if rnd.IntN(2) == 0 {
					a = own
				}
				c.exchange("REBOOT "+a.String(), hw, mcid, nt.InitReboot(m, a, opts...))
			case k < 80:
				c.exchange("INFORM", hw, mcid, nt.Inform(m, any, opts...))
			case k < 84:
				// RELEASE and DECLINE do not know match-client-id.
				c.exchange("RELEASE "+own.String(), hw, mcid, nt.Release(m, own, l.ifAddr, opts...))
			case k < 86:
				c.exchange("RELEASE "+any.String(), hw, mcid, nt.Release(m, any, l.ifAddr, opts...))
			case k < 87:
				c.exchange("DECLINE "+own.String(), hw, mcid, nt.Decline(m, own, l.ifAddr, opts...))
			case k < 89:
				c.exchange("DECLINE "+any.String(), hw, mcid, nt.Decline(m, any, l.ifAddr, opts...))
			case k < 90:
				l.j.Full = !l.j.Full && rnd.IntN(3) == 0
			case k < 96:
				l.now += int64([]int{1, 5, 11, 100, 600, 3000}[rnd.IntN(6)])
			default:
				l.w.Reclaim(l.now, rnd.IntN(4), rnd.IntN(5) == 0, nil)
			}
		}
		c.checkTable()
	}
}

// TestParallelWorkers: many clients on few addresses, several goroutines. Run
// with -race. Nobody's time passes and nobody releases, so an address that was
// acknowledged once may never be another client's.
func TestParallelWorkers(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.73" } ] } ]`)
	const workers, clients = 4, 50 // 200 clients, 64 addresses
	type grant struct {
		client int
		addr   dhcp4.IPv4
	}
	grants := make([][]grant, workers)
	offered := make([]int, workers)
	var wg sync.WaitGroup
	for g := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := *l // its own query, reply, journal and worker over the common table
			w.j = newJournal()
			w.w = l.eng.NewWorker(w.j)
			rnd := rand.New(rand.NewPCG(uint64(g), 7))
			for step := range clients * 20 {
				n := g*clients + step%clients
				if w.send(nt.Discover(mac(n))) != ReasonOK {
					continue
				}
				offered[g]++
				a := w.r.YIAddr
				if rnd.IntN(10) == 0 {
					a = ip("192.0.2.10") + dhcp4.IPv4(rnd.IntN(64))
				}
				if w.send(nt.Request(mac(n), a, w.ifAddr)) == ReasonOK && w.r.Type == dhcp4.MsgAck {
					grants[g] = append(grants[g], grant{n, a})
				}
			}
		}()
	}
	wg.Wait()
	// A client may have moved, so only the table says who has what now; but at
	// no time may two have one address, which the final owner and the table's
	// versions show for each client's last grant.
	last := map[int]dhcp4.IPv4{}
	for _, gs := range grants {
		for _, g := range gs {
			last[g.client] = g.addr
		}
	}
	owner := map[dhcp4.IPv4]int{}
	for n, a := range last {
		if o, ok := owner[a]; ok {
			t.Errorf("clients %d and %d were both given %v last", o, n, a)
		}
		owner[a] = n
		rec := l.lease(a)
		m := mac(n)
		if rec == nil || rec.State != lease.StateDefault || !bytes.Equal(rec.HW(), m[:]) {
			t.Errorf("client %d was given %v, the table has %+v", n, a, rec)
		}
	}
	if len(owner) != 64 {
		t.Errorf("%d of 64 addresses are leased", len(owner))
	}
}
