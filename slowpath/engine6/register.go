package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

const (
	// maxRegisteredS bounds how long a registration is kept, unless the subnet's
	// max-valid-lifetime, which bounds it for the addresses of pools, is greater:
	// the lifetime that routers advertise if nobody
	// tells them another (RFC 4861 §6.2.1). Clients refresh a registration when four
	// fifths of the lifetime are over, or every four hours if it is infinite (RFC
	// 9686 §4.6), so none is lost by it that somebody wants.
	maxRegisteredS = 30 * 24 * 3600
	// maxRegistered is how many addresses can be registered: who makes them up as
	// he goes takes no memory, nor room in the table, away from leases.
	maxRegistered = 4 << 20
)

// register takes note of an address that its client has made itself (RFC 9686,
// V6-015).
func (w *Worker) register(q *Query6, r *Reply6) Reason {
	v := q.Msg
	if !q.cfg.Snapshot.Dhcp6.AllowRegistration {
		return ReasonRegisterDisabled
	}
	if q.rules == nil {
		return ReasonRegisterNoSubnet
	}
	if v.Has(dhcp6.OptIANA) || v.Has(dhcp6.OptIATA) || v.Has(dhcp6.OptIAPD) {
		return ReasonRegisterIA
	}
	if v.Count(dhcp6.OptIAAddr) != 1 {
		return ReasonRegisterAddresses
	}
	x := dhcp6.ParseIAAddr(v.Option(dhcp6.OptIAAddr))
	from := q.Src
	if n := v.Relays(); n > 0 {
		from = v.PeerAddr(n - 1)
	}
	switch {
	case x.Addr != from:
		return ReasonRegisterMismatch
	case !q.rules.contains(x.Addr):
		return ReasonRegisterOffLink
	case w.reservedIn(q, q.rules, lease6.TypeNA, x.Addr, 128),
		q.cfg.Hosts.ByAddr(0, x.Addr.Netip()) != nil:
		return ReasonRegisterReserved
	}
	w.clientName(q)
	reason := ReasonConflict
	for range conflictTries {
		if reason = w.registerOnce(q, r, &x); reason != ReasonConflict {
			break
		}
	}
	if reason != ReasonOK {
		return reason
	}
	q.addAllocated(x.Addr, 128, lease6.TypeNA)
	w.lateClasses(q)
	r.Type = dhcp6.MsgAddrRegReply
	return ReasonOK
}

func (w *Worker) registerOnce(q *Query6, r *Reply6, x *dhcp6.Resource) Reason {
	old, next := &w.exist, &w.next
	old.Version = 0
	found := w.t.Get(lease6.IPv6(x.Addr), old)
	// An offer that nobody has taken holds nothing against who has the address;
	// but a lease below it does.
	if found && old.State != lease.StateRegistered &&
		(old.State != lease.StateOffered || w.t.Covered(lease6.IPv6(x.Addr), &w.under)) {
		return ReasonRegisterInUse
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	w.ia.typ, w.ia.iaid = lease6.TypeNA, 0 // there is no IAID in the message
	next.UserContext = ""
	w.fill(q, next, x.Addr, 128)
	next.SetRelays(nil)
	next.PoolID = 0
	longest := max(q.Subnet.Valid.Max, q.Subnet.Valid.Default)
	if q.rules.poolOf(lease6.TypeNA, x.Addr) == nil {
		longest = max(longest, maxRegisteredS)
	}
	next.ValidLifetimeS = min(x.ValidS, longest)
	next.PreferredLifetimeS = min(x.PreferredS, next.ValidLifetimeS)
	next.State = lease.StateRegistered
	var version uint64
	if found {
		version = old.Version
	}
	registered := found && old.State == lease.StateRegistered
	if !registered && q.cfg.Alloc.Registered() >= w.maxRegistered {
		return ReasonRegisterFull
	}
	if f := q.cfg.Callouts.AddrRegister; f != nil {
		before := old
		if !registered {
			before = nil
		}
		switch f(q, before, next) {
		case Skip:
			return ReasonOK
		case Drop:
			return ReasonRegisterRefused
		}
		next.Addr, next.PrefixLen, next.Type, next.State = lease6.IPv6(x.Addr), 128, lease6.TypeNA, lease.StateRegistered
	}
	c, err := w.t.Put(next, version, w.j)
	if err != nil {
		return w.putReason(err)
	}
	r.CommitPos = max(r.CommitPos, c.Pos)
	r.Leases = appendLease(r.Leases, next)
	return ReasonOK
}
