package engine6

import (
	"bytes"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func TestLeaseSelect(t *testing.T) {
	var fakes []bool
	status := Continue
	l := newLab(t, simple, Callouts{LeaseSelect: func(q *Query6, x *lease6.Lease6, fake bool) Status {
		fakes = append(fakes, fake)
		x.ValidLifetimeS = 77
		x.PreferredLifetimeS = 66
		x.Addr = lease6.IPv6(ip("2001:db8:1::bad")) // not its business
		return status
	}})
	a := l.sarr(1)
	if len(fakes) != 2 || !fakes[0] || fakes[1] {
		t.Errorf("called with %v", fakes)
	}
	if x := l.ia(0).res[0]; x.ValidS != 77 || x.PreferredS != 66 || a == "2001:db8:1::bad" || l.lease(a).ValidLifetimeS != 77 {
		t.Errorf("%+v", x)
	}
	for _, status = range []Status{Skip, Drop} {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1)))
		if l.ia(0).status != stNoAddrs || l.r.Failures()[0].Reason != ReasonLeaseRefused {
			t.Errorf("status %v: %+v", status, l.ia(0))
		}
	}
}

func TestLeaseRenewAndRebind(t *testing.T) {
	renews, rebinds := 0, 0
	status := Continue
	l := newLab(t, simple, Callouts{
		LeaseRenew:  func(q *Query6, x *lease6.Lease6) Status { renews++; return status },
		LeaseRebind: func(q *Query6, x *lease6.Lease6) Status { rebinds++; x.ValidLifetimeS = 9; return status },
	})
	a := l.sarr(1)
	l.now += 1500
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRebind, 1, na(1, a)))
	if rebinds != 1 || renews != 0 || l.ia(0).res[0].ValidS != 9 {
		t.Errorf("%d %d %+v", renews, rebinds, l.ia(0))
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a)))
	if renews != 1 || l.ia(0).res[0].ValidS != 4000 {
		t.Errorf("%d %+v", renews, l.ia(0))
	}
	// Skip: the lease stays, and the client is told what remains of it.
	status = Skip
	l.now += 1000
	before := l.lease(a).Version
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a)))
	if l.lease(a).Version != before || l.ia(0).res[0].ValidS != 3000 || l.ia(0).res[0].PreferredS != 2000 {
		t.Errorf("%+v", l.ia(0))
	}
	// Nothing remains.
	l.now += 4000
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a)))
	if l.ia(0).res[0].ValidS != 0 && l.ia(0).res[0].Addr == ip(a) && l.lease(a).Version == before {
		t.Errorf("an expired lease is promised: %+v", l.ia(0))
	}
}

func TestLeaseReleaseAndDecline(t *testing.T) {
	status := Skip
	l := newLab(t, simple, Callouts{
		LeaseRelease: func(*Query6, *lease6.Lease6) Status { return status },
		LeaseDecline: func(*Query6, *lease6.Lease6) Status { return status },
	})
	a := l.sarr(1)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, a)))
	if l.ia(0).status != int(dhcp6.StatusUnspecFail) || l.lease(a).State != lease.StateDefault {
		t.Error("released against the callout's will")
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgDecline, 1, na(1, a)))
	if l.ia(0).status != stNone || l.lease(a).State != lease.StateDefault {
		t.Error("declined against the callout's will")
	}
	status = Drop
	l.silent(ReasonDeclineRefused, ask(dhcp6.MsgDecline, 1, na(1, a)))
}

func TestAddrRegister(t *testing.T) {
	status := Continue
	var olds []bool
	l := newLab(t, simple, Callouts{AddrRegister: func(q *Query6, old, x *lease6.Lease6) Status {
		olds = append(olds, old != nil)
		return status
	}})
	self := ip("2001:db8:1::77")
	q := ask(dhcp6.MsgAddrRegInform, 1, from("2001:db8:1::77"), with(dhcp6.OptIAAddr, self[:], u32(10, 20)))
	l.want(dhcp6.MsgAddrRegReply, q)
	l.want(dhcp6.MsgAddrRegReply, q)
	if len(olds) != 2 || olds[0] || !olds[1] || l.lease("2001:db8:1::77").State != lease.StateRegistered {
		t.Errorf("%v", olds)
	}
	before := l.lease("2001:db8:1::77").Version
	status = Skip
	l.want(dhcp6.MsgAddrRegReply, q)
	status = Drop
	l.silent(ReasonRegisterRefused, q)
	if l.lease("2001:db8:1::77").Version != before {
		t.Error("stored against the callout's will")
	}
	l = newLab(t, `"allow-address-registration": false, `+simple)
	l.silent(ReasonRegisterDisabled, q)
}

// Whatever lifetime a client claims, its registration ends some day; and nobody
// fills the table with addresses that he makes up.
func TestRegistrationBounds(t *testing.T) {
	l := newLab(t, simple) // leases of 4000 s
	register := func(addr string, preferredS, validS uint32) *query {
		a := ip(addr)
		return ask(dhcp6.MsgAddrRegInform, 1, with(dhcp6.OptIAAddr, a[:], u32(preferredS, validS)), from(addr))
	}
	const month = 30 * 86400
	for _, c := range []struct {
		addr                             string
		preferredS, validS, wantP, wantV uint32
	}{
		{"2001:db8:1::77", 500, 600, 500, 600}, // in the pool
		{"2001:db8:1::78", 5000, 6000, 4000, 4000},
		{"2001:db8:1:1::1", 5000, 6000, 5000, 6000},
		{"2001:db8:1:1::2", month, month, month, month},
		{"2001:db8:1:1::3", 5000, dhcp6.InfiniteLifetime, 5000, month},
		{"2001:db8:1:1::4", dhcp6.InfiniteLifetime, dhcp6.InfiniteLifetime, month, month},
	} {
		l.want(dhcp6.MsgAddrRegReply, register(c.addr, c.preferredS, c.validS))
		if x := l.lease(c.addr); x == nil || x.PreferredLifetimeS != c.wantP || x.ValidLifetimeS != c.wantV {
			t.Errorf("%s with %d and %d: %+v", c.addr, c.preferredS, c.validS, x)
		}
		// RFC 9686 §4.3: the reply has the client's option as it came.
		if b := l.answer.Option(dhcp6.OptIAAddr); len(b) != 24 || !bytes.Equal(b[16:], u32(c.preferredS, c.validS)) {
			t.Errorf("%s: the reply has %x", c.addr, b)
		}
	}
	l.w.maxRegistered = 7
	l.want(dhcp6.MsgAddrRegReply, register("2001:db8:1:1::5", 1, 1000))
	l.silent(ReasonRegisterFull, register("2001:db8:1:1::6", 1, 1000))
	l.want(dhcp6.MsgAddrRegReply, register("2001:db8:1:1::5", 2, 2000)) // again
	l.sarr(9)
	l.now += 4000
	l.w.Reclaim(l.now, 0, false, nil)
	l.want(dhcp6.MsgAddrRegReply, register("2001:db8:1:1::6", 1, 1000))
	l.now += month + 1
	l.w.Reclaim(l.now, 0, true, nil)
	if n := l.table.Len(); n != 0 || l.eng.Config().Alloc.Registered() != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestExpireAndRecover(t *testing.T) {
	var expired, recovered, told int
	expire, rec := Continue, Continue
	l := newLab(t, simple+`, "decline-probation-period": 50`, Callouts{
		LeaseExpire:  func(*lease6.Lease6, bool) Status { expired++; return expire },
		LeaseRecover: func(*lease6.Lease6) Status { recovered++; return rec },
		Reclaimed:    func(*lease6.Lease6) { told++ },
	})
	a, b := l.sarr(1), l.sarr(2)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgDecline, 2, na(1, b)))
	l.now += 5000
	expire = Skip
	l.w.Reclaim(l.now, 0, false, nil)
	if c := l.w.Reclaimed(); c.Leases != 0 || c.Skipped == 0 || l.lease(a).State != lease.StateDefault || told != 0 {
		t.Errorf("%+v", c)
	}
	expire, rec = Continue, Skip
	l.w.Reclaim(l.now, 0, false, nil)
	if l.lease(a).State != lease.StateExpiredReclaimed || l.lease(b) == nil || l.lease(b).State != lease.StateDeclined || recovered == 0 {
		t.Errorf("%+v", l.w.Reclaimed())
	}
	rec = Continue
	l.w.Reclaim(l.now, 0, false, nil)
	if l.lease(b) != nil || told != 2 || l.w.Reclaimed().Declined != 1 || expired == 0 {
		t.Errorf("%+v, told %d", l.w.Reclaimed(), told)
	}
}

// max-reclaim-leases bounds leases; offers that nobody took go beside them.
func TestReclaimCountsLeases(t *testing.T) {
	l := newLab(t, simple)
	for i := range 3 {
		l.sarr(1 + i)
	}
	for i := range 5 {
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 10+i, na(1)))
	}
	l.now += 5000
	for i := range 3 {
		if n := l.w.Reclaim(l.now, 1, true, nil); n != 1 || l.w.Reclaimed().Leases != uint64(i+1) {
			t.Fatalf("run %d: %d handled, %+v", i, n, l.w.Reclaimed())
		}
	}
	if n := l.w.Reclaim(l.now, 1, true, nil); n != 0 || l.w.Reclaimed().Offers != 5 || l.table.Len() != 0 {
		t.Errorf("%d handled, %+v, %d records left", n, l.w.Reclaimed(), l.table.Len())
	}
	// A query that finds the pools exhausted does only so much.
	for i := range 2 * spaceBatch {
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 100+i, na(1)))
	}
	l.now += 5000
	before := l.w.Reclaimed().Offers
	l.w.Begin()
	l.q.cfg, l.q.NowUnixS = l.eng.Config(), l.now
	if !l.w.reclaimForSpace(&l.q) || l.w.Reclaimed().Offers-before != spaceBatch {
		t.Errorf("%d offers at once", l.w.Reclaimed().Offers-before)
	}
}

func TestFlexID(t *testing.T) {
	asked := 0
	body := `"host-reservation-identifiers": [ "flex-id", "duid" ], "valid-lifetime": 4000,
		"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::ff" } ],
		  "reservations": [ { "flex-id": "'port-7'", "ip-addresses": [ "2001:db8:1::abc" ] } ] } ]`
	l := newLab(t, body, Callouts{HostIdentifier: func(q *Query6) ([]byte, config.IdentifierType, bool) {
		asked++
		return q.Msg.InnermostRelayOption(dhcp6.OptInterfaceID), config.IdentFlexID, q.Msg.Relays() > 0
	}})
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), relayed("2001:db8:1::1", opt(dhcp6.OptInterfaceID, []byte("port-7")))))
	if l.addr(0) != "2001:db8:1::abc" || asked != 1 {
		t.Errorf("%s, asked %d times", l.addr(0), asked)
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1)))
	if l.addr(0) == "2001:db8:1::abc" {
		t.Error("somebody else's reservation")
	}
}

// A query may be parked between any two steps: its message then lies elsewhere,
// and where it was there is something else.
func TestMovedMessage(t *testing.T) {
	l := newLab(t, `"early-global-reservations-lookup": true, `+busy)
	q := ask(dhcp6.MsgRequest, 5, na(1), pd(2), oro(23, 67), with(dhcp6.OptClientFQDN, []byte{1, 1, 'x'}),
		relayed("2001:db8:2::1", opt(dhcp6.OptInterfaceID, []byte("port"))))
	m := q.message()
	move := func() {
		next := append([]byte(nil), m...)
		for i := range m {
			m[i] = 0xEE
		}
		if m = next; l.view.Parse(m) != dhcp6.ReasonOK {
			t.Fatal("not parsed")
		}
	}
	if l.view.Parse(m) != dhcp6.ReasonOK {
		t.Fatal("not parsed")
	}
	l.q.Msg, l.q.NowUnixS, l.q.IfName = &l.view, l.now, "eth0"
	l.q.Src, l.q.Dst = q.src, q.dst
	w := l.w
	w.Begin()
	if r := w.Accept6(&l.q); r != ReasonOK {
		t.Fatal(r)
	}
	move()
	w.SelectSubnet6(&l.q)
	move()
	if r := w.Process6(&l.q, &l.r); r != ReasonOK {
		t.Fatal(r)
	}
	move()
	if r := w.Finish6(&l.q, &l.r); r != ReasonOK {
		t.Fatal(r)
	}
	out, _ := l.r.Append(nil, l.r.MaxLen, l.r.ORO)
	moved := string(dhcp6.AppendText(nil, out))
	l2 := newLab(t, `"early-global-reservations-lookup": true, `+busy)
	l2.want(dhcp6.MsgReply, q)
	if want := string(dhcp6.AppendText(nil, l2.out)); moved != want {
		t.Errorf("moved:\n%swant:\n%s", moved, want)
	}
}
