package engine

import (
	"fmt"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

func TestCalloutLeaseSelect(t *testing.T) {
	var log []string
	status := Continue
	l := newLab(t, simple, Callouts{LeaseSelect: func(q *Query4, x *lease.Lease4, fake bool) Status {
		log = append(log, fmt.Sprintf("%v %v %d", x.Addr, fake, x.ValidLifetimeS))
		x.UserContext = `{"seen":true}`
		x.ValidLifetimeS = 1200
		return status
	}})
	a := l.dora(mac(1))
	if got := fmt.Sprint(log); got != "[192.0.2.10 true 3600 192.0.2.10 false 3600]" {
		t.Errorf("called with %s", got)
	}
	if s, _ := l.answer.LeaseTime(); s != 1200 {
		t.Errorf("told %d s", s)
	}
	if got := l.lease(a); got.UserContext != `{"seen":true}` || got.ValidLifetimeS != 1200 {
		t.Errorf("stored %+v", got)
	}
	for _, status = range []Status{Skip, Drop} {
		log = nil
		l.silent(ReasonLeaseRefused, nt.Discover(mac(2)))
		l.nak(ReasonLeaseRefused, nt.Request(mac(2), ip("192.0.2.15"), l.ifAddr))
		// Once by the allocator, which does not go on (V4-062), once for the
		// requested address.
		if len(log) != 2 {
			t.Errorf("called %d times: %v", len(log), log)
		}
	}
	status = Continue
	for i := range 9 {
		l.dora(mac(10 + i)) // no claim was left behind
	}
}

func TestCalloutLeaseRenew(t *testing.T) {
	status := Continue
	n := 0
	l := newLab(t, simple, Callouts{LeaseRenew: func(q *Query4, x *lease.Lease4) Status { n++; return status }})
	a := l.dora(mac(1))
	l.now += 2000
	status = Skip
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	if s, _ := l.answer.LeaseTime(); s != 1600 || l.lease(a).CLTTUnixS != labStart || n != 1 || l.r.CommitPos != 0 {
		t.Errorf("told %d s, stored %+v, %d calls", s, l.lease(a).CLTTUnixS, n)
	}
	status = Continue
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	if l.lease(a).CLTTUnixS != l.now {
		t.Error("not renewed")
	}
	// With Skip an ended lease is not promised again.
	status = Skip
	l.now += 4000
	l.nak(ReasonLeaseRefused, nt.Renew(mac(1), a, l.ifAddr))
	// Nor one that is not on disk yet.
	status = Continue
	l.j.Hold = true
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	status = Skip
	l.now += 2000
	l.silent(ReasonNotDurable, nt.Renew(mac(1), a, l.ifAddr))
}

func TestCalloutReleaseAndDecline(t *testing.T) {
	status := Skip
	l := newLab(t, simple, Callouts{
		LeaseRelease: func(q *Query4, x *lease.Lease4) Status { return status },
		LeaseDecline: func(q *Query4, x *lease.Lease4) Status { return status },
	})
	a := l.dora(mac(1))
	for _, status = range []Status{Skip, Drop} {
		l.silent(ReasonReleaseRefused, nt.Release(mac(1), a, l.ifAddr))
		l.silent(ReasonDeclineRefused, nt.Decline(mac(1), a, l.ifAddr))
	}
	status = Continue
	l.handled(nt.Release(mac(1), a, l.ifAddr))
	if !l.r.HaveLease || !l.r.HaveOld || l.r.Lease.State != lease.StateReleased || l.r.OldLease.State != lease.StateDefault || l.r.CommitPos == 0 {
		t.Errorf("reply %+v", l.r.Lease.State)
	}
	l.dora(mac(1))
	l.handled(nt.Decline(mac(1), a, l.ifAddr))
	if l.r.Lease.State != lease.StateDeclined || l.r.OldLease.HWLen != 6 {
		t.Errorf("reply %+v", l.r.Lease.State)
	}
}

func TestCalloutExpireAndRecover(t *testing.T) {
	expire, recover := Continue, Continue
	var log []string
	l := newLab(t, `"decline-probation-period": 100,`+simple, Callouts{
		LeaseExpire: func(x *lease.Lease4, remove bool) Status {
			log = append(log, fmt.Sprintf("expire %v %v", x.Addr, remove))
			return expire
		},
		LeaseRecover: func(x *lease.Lease4) Status { log = append(log, fmt.Sprintf("recover %v", x.Addr)); return recover },
		Reclaimed:    func(x *lease.Lease4) { log = append(log, fmt.Sprintf("reclaimed %v %d", x.Addr, x.State)) },
	})
	want := func(s string) {
		t.Helper()
		if got := fmt.Sprint(log); got != s {
			t.Errorf("called: %s\nwant:   %s", got, s)
		}
		log = nil
	}
	a := l.dora(mac(1), nt.With(12, 'h'))
	b := l.dora(mac(2))
	l.handled(nt.Decline(mac(2), b, l.ifAddr))
	l.now += 4000
	expire = Skip
	if n := l.w.Reclaim(l.now, 0, false, nil); n != 2 {
		t.Errorf("handled %d", n)
	}
	if len(log) != 2 {
		t.Errorf("called: %v", log)
	}
	log = nil
	expire, recover = Continue, Skip
	l.w.Reclaim(l.now, 0, false, nil)
	if l.lease(a).State != lease.StateExpiredReclaimed || l.lease(a).HostnameLen != 0 || l.lease(b).State != lease.StateDeclined {
		t.Errorf("leases %d and %d", l.lease(a).State, l.lease(b).State)
	}
	log, recover = nil, Continue
	l.w.Reclaim(l.now, 0, false, nil)
	want("[expire 192.0.2.11 true recover 192.0.2.11 reclaimed 192.0.2.11 1]")
	if l.lease(b) != nil {
		t.Error("the declined record is kept")
	}
	// Inline, when the address is given to another (V4-071): once, when the
	// lease is made and not when it is offered; not again for a reclaimed one.
	c := l.dora(mac(3))
	l.now += 4000
	l.want(dhcp4.MsgOffer, nt.Discover(mac(4), nt.WithIP(50, c)))
	want("[]")
	l.want(dhcp4.MsgAck, nt.Request(mac(4), c, l.ifAddr))
	want("[expire " + c.String() + " false reclaimed " + c.String() + " 0]")
	if !l.r.HaveOld || string(l.r.OldLease.HW()) == string(l.r.Lease.HW()) {
		t.Error("the old lease is not reported")
	}
	l.want(dhcp4.MsgAck, nt.Request(mac(5), a, l.ifAddr))
	want("[]")
	// leases-reclaim with remove.
	l.now += 4000
	l.w.Reclaim(l.now, 0, true, nil)
	if l.table.Len() != 0 {
		t.Errorf("%d records left", l.table.Len())
	}
}

func TestReclaimStops(t *testing.T) {
	l := newLab(t, simple)
	for i := range 10 {
		l.dora(mac(i))
	}
	l.now += 4000
	if n := l.w.Reclaim(l.now, 3, false, nil); n != 3 {
		t.Errorf("handled %d, want 3", n)
	}
	i := 0
	if n := l.w.Reclaim(l.now, 0, false, func() bool { i++; return i == 2 }); n != 2 {
		t.Errorf("handled %d, want 2", n)
	}
	l.j.Full = true
	if n := l.w.Reclaim(l.now, 0, false, nil); n != 0 || l.w.Reclaimed().Stopped != 1 {
		t.Errorf("handled %d without room, %+v", n, l.w.Reclaimed())
	}
	l.j.Full = false
	if n := l.w.Reclaim(l.now, 0, false, nil); n != 5 {
		t.Errorf("handled %d, want 5", n)
	}
	if c := l.w.Reclaimed(); c.Leases != 10 {
		t.Errorf("%+v", c)
	}
}

func TestCalloutHostIdentifier(t *testing.T) {
	body := `"valid-lifetime": 3600, %s
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "reservations": [ { "flex-id": "'line-5'", "ip-address": "192.0.2.100" } ] } ]`
	n := 0
	c := Callouts{HostIdentifier: func(q *Query4) ([]byte, config.IdentifierType, bool) {
		n++
		return q.Msg.Option(12), config.IdentFlexID, q.Msg.Has(12)
	}}
	l := newLab(t, fmt.Sprintf(body, `"host-reservation-identifiers": [ "flex-id", "hw-address" ],`), c)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(12, []byte("line-5")...)))
	wantAddr(t, "by flex-id", l.r.YIAddr, ip("192.0.2.100"))
	l.nak(ReasonAddressReserved, nt.Request(mac(2), ip("192.0.2.100"), l.ifAddr, nt.With(12, []byte("line-6")...)))
	l.want(dhcp4.MsgAck, nt.Request(mac(2), ip("192.0.2.100"), l.ifAddr, nt.With(12, []byte("line-5")...)))
	if n != 3 {
		t.Errorf("asked %d times", n)
	}
	l.reload(fmt.Sprintf(body, ``), c)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(3), nt.With(12, []byte("line-5")...)))
	if n != 3 {
		t.Error("asked though flex-id is not listed")
	}
}

// V4-025.
func TestServerDecline(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	a := l.r.YIAddr
	if r := l.w.ServerDecline4(&l.q, &l.r); r != ReasonOK {
		t.Fatal(r)
	}
	if got := l.lease(a); got.State != lease.StateDeclined || got.HWLen != 0 {
		t.Errorf("%+v", got)
	}
	if _, ok := l.j.State[a]; !ok {
		t.Error("not journaled")
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if l.r.YIAddr == a {
		t.Error("offered again")
	}
	// Somebody took the address while it was probed.
	b := l.r.YIAddr
	q, r := l.q, l.r
	l.want(dhcp4.MsgAck, nt.Request(mac(2), b, l.ifAddr))
	m := nt.Discover(mac(1)).Message()
	l.view.Parse(m)
	if got := l.w.ServerDecline4(&q, &r); got != ReasonAddressInUse {
		t.Errorf("reason %v", got)
	}
}

// A lease that changes between look and put: the decision is taken anew, a few
// times, and then the query is dropped.
func TestConflicts(t *testing.T) {
	var l *lab
	var interfere func(x *lease.Lease4)
	c := Callouts{
		LeaseSelect: func(q *Query4, x *lease.Lease4, fake bool) Status {
			if interfere != nil {
				interfere(x)
			}
			return Continue
		},
		LeaseRenew: func(q *Query4, x *lease.Lease4) Status {
			if interfere != nil {
				interfere(x)
			}
			return Continue
		},
	}
	l = newLab(t, simple, c)
	// Another worker gives the address away under our hands.
	other := 200
	steal := func(x *lease.Lease4) {
		var y, z lease.Lease4
		version := uint64(0)
		if l.table.Get(x.Addr, &y) {
			version = y.Version
		}
		z = *x
		other++
		z.SetHW(1, []byte{2, 0xc1, 0, 0, 0, byte(other)})
		z.SetCID(nil)
		z.State = lease.StateDefault
		if _, err := l.table.Put(&z, version, nil); err != nil {
			t.Fatal(err)
		}
	}
	interfere = func(x *lease.Lease4) { interfere = nil; steal(x) }
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	wantAddr(t, "after one conflict the offer", l.r.YIAddr, ip("192.0.2.11"))
	interfere = func(x *lease.Lease4) { interfere = nil; steal(x) }
	l.nak(ReasonAddressInUse, nt.Request(mac(1), ip("192.0.2.11"), l.ifAddr))
	// A renewal whose lease is touched each time.
	a := l.dora(mac(3))
	l.now += 1800
	calls := 0
	interfere = func(x *lease.Lease4) {
		calls++
		var y lease.Lease4
		l.table.Get(x.Addr, &y)
		y.CLTTUnixS++
		if _, err := l.table.Put(&y, y.Version, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.silent(ReasonConflict, nt.Renew(mac(3), a, l.ifAddr))
	if calls != conflictTries {
		t.Errorf("tried %d times, want %d", calls, conflictTries)
	}
	interfere = nil
	l.want(dhcp4.MsgAck, nt.Renew(mac(3), a, l.ifAddr))
}

// A query that began with one configuration ends with it; Process4 and Finish4
// read the message anew, so that a parked query may be moved.
func TestParkedQuery(t *testing.T) {
	l := newLab(t, guarded)
	msg := nt.Discover(mac(7), nt.WithClientID(1, 2, 3), nt.With(60, []byte("cpe")...), nt.With(82, 1, 1, 'x')).Message()
	step := func() *dhcp4.View {
		v := &dhcp4.View{}
		c := append([]byte(nil), msg...)
		if r := v.Parse(c); r != dhcp4.ReasonOK {
			t.Fatal(r)
		}
		return v
	}
	l.send(nt.Discover(mac(1)))
	poison := func(v *dhcp4.View) {
		b := v.Raw()
		for i := range b {
			b[i] = 0xdb
		}
	}
	v := step()
	l.q.Msg = v
	l.w.Begin()
	if r := l.w.Accept4(&l.q); r != ReasonOK {
		t.Fatal(r)
	}
	l.w.SelectSubnet4(&l.q)
	l.reload(simple)
	l.w.Begin()
	poison(v)
	v = step()
	l.q.Msg = v
	if r := l.w.Process4(&l.q, &l.r); r != ReasonOK {
		t.Fatal(r)
	}
	if !l.q.Classes.Has("gold") || !l.q.Classes.Has("VENDOR_CLASS_cpe") {
		t.Error("classes are lost")
	}
	poison(v)
	l.q.Msg = step()
	if r := l.w.Finish4(&l.q, &l.r); r != ReasonOK {
		t.Fatal(r)
	}
	out, _ := l.r.Append(nil, l.r.MaxLen, l.r.PRL)
	if r := l.answer.ParseReply(out); r != dhcp4.ReasonOK {
		t.Fatal(r)
	}
	if string(l.answer.Option(61)) != "\x01\x02\x03" || string(l.answer.Option(82)) != "\x01\x01x" || l.answer.Has(3) {
		t.Errorf("%s", dhcp4.AppendText(nil, out))
	}
}
