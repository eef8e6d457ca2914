package engine6

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random conversations, 0: a new one")

// owner is whom a REPLY has promised an address or prefix.
type owner struct {
	client int
	iaid   uint32
	untilS int64
	length uint8
	code   uint16 // of the IA
	// declined: nobody's until then.
	declined bool
}

// checker follows a conversation from outside: queries and answers only.
type checker struct {
	*lab
	owners map[dhcp6.IPv6]*owner
	trace  []string
	probeS int64
}

func (c *checker) failf(format string, args ...any) {
	c.t.Helper()
	for _, s := range c.trace[max(0, len(c.trace)-40):] {
		c.t.Log(s)
	}
	c.t.Fatalf(format, args...)
}

// holds reports whether somebody has what the prefix overlaps, other than the
// client's IA.
func (c *checker) taken(a dhcp6.IPv6, length uint8, client int, iaid uint32) *owner {
	p := netip.PrefixFrom(a.Netip(), int(length))
	for x, o := range c.owners {
		if o.untilS < c.now || !p.Overlaps(netip.PrefixFrom(x.Netip(), int(o.length))) {
			continue
		}
		if o.declined || o.client != client || o.iaid != iaid {
			return o
		}
	}
	return nil
}

var reservedFor = map[dhcp6.IPv6]int{
	ip("2001:db8:1::11"): 1, ip("2001:db8:1::1:1"): 2, ip("2001:db8:8::"): 1,
}

// exchange sends one query and checks the answer against all promises.
func (c *checker) exchange(client int, q *query) {
	c.t.Helper()
	reason := c.send(q)
	line := fmt.Sprintf("%d client %d: %v", c.now-labStart, client, reason)
	c.trace = append(c.trace, line+"\n"+string(dhcp6.AppendText(nil, q.message())))
	if reason != ReasonOK {
		return
	}
	c.trace = append(c.trace, string(dhcp6.AppendText(nil, c.out)))
	for i := range c.r.Deleted {
		d := &c.r.Deleted[i]
		if !bytes.Equal(d.ID(), duidOf(client)) {
			c.failf("%v of another client was deleted", d.Addr)
		}
		delete(c.owners, dhcp6.IPv6(d.Addr))
	}
	for i := range c.answer.IAs() {
		g := c.ia(i)
		if (q.typ == dhcp6.MsgRelease || q.typ == dhcp6.MsgDecline) && len(g.res) > 0 {
			c.failf("a %v is answered with addresses", q.typ)
		}
		if g.T1S > g.T2S {
			c.failf("T1 %d, T2 %d", g.T1S, g.T2S)
		}
		for _, x := range g.res {
			if x.ValidS == 0 {
				if o := c.owners[x.Addr]; o != nil && o.client == client && o.iaid == g.IAID && o.code == g.Code && q.typ != dhcp6.MsgSolicit {
					delete(c.owners, x.Addr) // taken back
				}
				continue
			}
			if x.PreferredS > x.ValidS {
				c.failf("%v: preferred %d, valid %d", x.Addr, x.PreferredS, x.ValidS)
			}
			if o := c.taken(x.Addr, x.PrefixLen, client, g.IAID); o != nil {
				c.failf("%v/%d is promised to client %d, IA %d until %d (declined: %v)", x.Addr, x.PrefixLen, o.client, o.iaid, o.untilS-labStart, o.declined)
			}
			if n, ok := reservedFor[x.Addr]; ok && n != client {
				c.failf("%v is reserved for client %d", x.Addr, n)
			}
			if c.r.Offer {
				continue
			}
			c.owners[x.Addr] = &owner{client: client, iaid: g.IAID, untilS: c.now + int64(x.ValidS), length: x.PrefixLen, code: g.Code}
			// What is promised is in the journal as long as it is promised.
			rec, ok := c.j.State[lease6.IPv6(x.Addr)]
			if !ok || rec.State != lease.StateDefault || !bytes.Equal(rec.ID(), duidOf(client)) || rec.IAID != g.IAID || rec.PrefixLen != x.PrefixLen {
				c.failf("%v is promised, the journal has it: %v %+v", x.Addr, ok, rec.State)
			}
			if rec.ExpiresUnixS() < c.now+int64(x.ValidS) {
				c.failf("%v is promised until %d, the journal says %d", x.Addr, c.now+int64(x.ValidS)-labStart, rec.ExpiresUnixS()-labStart)
			}
		}
	}
	if q.typ == dhcp6.MsgDecline {
		for i := range c.r.Leases {
			a := dhcp6.IPv6(c.r.Leases[i].Addr)
			if o := c.owners[a]; o == nil || o.client != client {
				c.failf("%v was declined by client %d", a, client)
			}
			c.owners[a] = &owner{untilS: c.now + c.probeS, length: 128, declined: true}
		}
	}
}

// checkTable compares journal and table: all that is not an offer must be the
// same in both.
func (c *checker) checkTable() {
	c.t.Helper()
	n := 0
	c.table.Walk(func(l *lease6.Lease6) bool {
		if l.State == lease.StateOffered {
			return true
		}
		n++
		if rec, ok := c.j.State[l.Addr]; !ok || rec.State != l.State || rec.Version != l.Version || rec.IAID != l.IAID || rec.Type != l.Type ||
			rec.PrefixLen != l.PrefixLen || rec.ValidLifetimeS != l.ValidLifetimeS || rec.CLTTUnixS != l.CLTTUnixS ||
			!bytes.Equal(rec.ID(), l.ID()) || !bytes.Equal(rec.Host(), l.Host()) {
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
	"expired-leases-processing": { "hold-reclaimed-time": %d }, "cache-threshold": %s,
	"shared-networks": [ { "name": "net", "interface": "eth0", "rapid-commit": true, "subnet6": [
	  { "id": 1, "subnet": "2001:db8:1::/64", "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::13" } ],
	    "pd-pools": [ { "prefix": "2001:db8:8::", "prefix-len": 46, "delegated-len": 48 } ],
	    "reservations": [
	      { "duid": "00:03:00:01:02:c1:00:00:00:01", "ip-addresses": [ "2001:db8:1::11" ], "prefixes": [ "2001:db8:8::/48" ] },
	      { "duid": "00:03:00:01:02:c1:00:00:00:02", "ip-addresses": [ "2001:db8:1::1:1" ] } ] },
	  { "id": 2, "subnet": "2001:db8:2::/64", "pools": [ { "pool": "2001:db8:2::10 - 2001:db8:2::11" } ],
	    "pd-pools": [ { "prefix": "2001:db8:20::", "prefix-len": 54, "delegated-len": 56 } ] } ] } ]`

// randomQuery is what some client might say.
func randomQuery(rnd *rand.Rand, client int, owners map[dhcp6.IPv6]*owner) *query {
	var own, any []dhcp6.IPv6
	for a, o := range owners {
		any = append(any, a)
		if o.client == client && !o.declined {
			own = append(own, a)
		}
	}
	resource := func(pd bool) string {
		var a dhcp6.IPv6
		switch k := rnd.IntN(10); {
		case k < 5 && len(own) > 0:
			a = own[rnd.IntN(len(own))]
		case k < 7 && len(any) > 0:
			a = any[rnd.IntN(len(any))]
		case pd:
			a = ip([]string{"2001:db8:8::", "2001:db8:9::", "2001:db8:20:200::", "::"}[rnd.IntN(4)])
		default:
			a = ip([]string{"2001:db8:1::10", "2001:db8:1::1:1", "2001:db8:2::11", "2001:db8:9::9"}[rnd.IntN(4)])
		}
		if !pd {
			return a.String()
		}
		return fmt.Sprintf("%v/%d", a, []int{0, 48, 48, 56, 56, 52, 64, 128}[rnd.IntN(8)])
	}
	var parts []part
	for range 1 + rnd.IntN(3) {
		iaid := uint32(1 + rnd.IntN(2))
		var rs []res
		isPD := rnd.IntN(2) == 0
		for range rnd.IntN(3) {
			r := res{s: resource(isPD)}
			if rnd.IntN(4) == 0 {
				r.pref, r.vali = uint32(rnd.IntN(3000)), uint32(rnd.IntN(3000))
			}
			rs = append(rs, r)
		}
		if isPD {
			parts = append(parts, pdRes(iaid, rs...))
		} else {
			parts = append(parts, naRes(iaid, rs...))
		}
	}
	if rnd.IntN(5) == 0 {
		parts = append(parts, with(dhcp6.OptRapidCommit))
	}
	if rnd.IntN(6) == 0 {
		parts = append(parts, with(dhcp6.OptClientFQDN, []byte{1, 1, byte('a' + rnd.IntN(3))}))
	}
	types := []dhcp6.MsgType{
		dhcp6.MsgSolicit, dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRequest, dhcp6.MsgRequest, dhcp6.MsgRenew,
		dhcp6.MsgRenew, dhcp6.MsgRebind, dhcp6.MsgRelease, dhcp6.MsgDecline, dhcp6.MsgConfirm,
	}
	return ask(types[rnd.IntN(len(types))], client, parts...)
}

// TestInvariants holds random conversations of honest, confused and hostile
// clients with several workers against what must always be so: an address or
// prefix belongs to one IA of one client at a time; what a REPLY grants stays
// the client's until it ends, is released, declined or taken back from that
// client, and is in the journal.
func TestInvariants(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-args -seed %d repeats it)", seed, seed)
	rounds := 60
	if testing.Short() || raceEnabled {
		rounds = 10
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		l := newLab(t, fmt.Sprintf(invariantConfig, 3600*rnd.IntN(2), []string{"0.25", "0.9", "0.0"}[rnd.IntN(3)]))
		c := &checker{lab: l, owners: map[dhcp6.IPv6]*owner{}, probeS: 500}
		workers := []*Worker{l.w, l.eng.NewWorker(l.j), l.eng.NewWorker(l.j)}
		for range 400 {
			l.w = workers[rnd.IntN(len(workers))]
			client := 1 + rnd.IntN(7)
			switch k := rnd.IntN(100); {
			case k < 90:
				c.exchange(client, randomQuery(rnd, client, c.owners))
			case k < 96:
				l.now += int64(rnd.IntN(300))
			case k < 98:
				l.now += int64(rnd.IntN(3000))
			default:
				c.trace = append(c.trace, fmt.Sprintf("%d reclaim", l.now-labStart))
				l.w.Reclaim(l.now, 0, rnd.IntN(2) == 0, nil)
			}
		}
		c.checkTable()
	}
}

// TestWorkersTogether has workers race for a few addresses and prefixes: after
// all, each has one owner, and what the last REPLYs say is in the journal.
func TestWorkersTogether(t *testing.T) {
	l := newLab(t, fmt.Sprintf(invariantConfig, 3600, "0.0"))
	j := &lockedJournal{j: l.j}
	const workers, rounds = 4, 300
	var wg sync.WaitGroup
	var mu sync.Mutex
	granted := map[lease6.IPv6]string{}
	for n := range workers {
		wg.Go(func() {
			x := &lab{t: t, now: labStart, table: l.table, eng: l.eng, j: l.j}
			x.w = l.eng.NewWorker(j)
			rnd := rand.New(rand.NewPCG(1, uint64(n)))
			for range rounds {
				client := 10*(n+1) + rnd.IntN(3) // a client always meets the same worker
				typ := []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRebind}[rnd.IntN(3)]
				if x.send(ask(typ, client, na(1), pd(1))) != ReasonOK || x.r.Offer {
					continue
				}
				mu.Lock()
				for i := range x.r.Leases {
					k := &x.r.Leases[i]
					if o, ok := granted[k.Addr]; ok && o != string(k.ID()) {
						t.Errorf("%v was granted to %x and %x", k.Addr, o, k.ID())
					}
					granted[k.Addr] = string(k.ID())
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(granted) == 0 {
		t.Fatal("nothing was granted")
	}
	for a, id := range granted {
		if rec, ok := l.j.State[a]; !ok || string(rec.ID()) != id {
			t.Errorf("%v of %x: journal %v", a, id, ok)
		}
	}
}

type lockedJournal struct {
	sync.Mutex
	j *journal
}

func (j *lockedJournal) Append6(op lease.Op, l *lease6.Lease6) (uint64, bool) {
	j.Lock()
	defer j.Unlock()
	return j.j.Append6(op, l)
}
func (j *lockedJournal) Room6() int    { return 1000 }
func (j *lockedJournal) Healthy() bool { return true }
func (j *lockedJournal) DurableVersion6() uint64 {
	j.Lock()
	defer j.Unlock()
	return j.j.DurableVersion6()
}
