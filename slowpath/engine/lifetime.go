package engine

import (
	"bytes"
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// validLifetime is the lifetime of a lease of addr for the client, in seconds:
// what it asks for within the bounds of the first of its classes that has any,
// else of the subnet, else the default (V4-075). Where the pools are nearly used
// up it is the least that may be, or what remains of the present lease (V4-067).
func (w *Worker) validLifetime(q *Query4, addr dhcp4.IPv4, remainS uint32) uint32 {
	if q.Classes.InClass(classBOOTP) {
		return lease.InfiniteLifetime
	}
	v := &q.Subnet.Valid
	if q.cfg.classes.lifetimes {
		for _, i := range q.Classes.Order() {
			if c := q.cfg.classes.def(i); c != nil && c.HasValid {
				v = &c.Valid
				break
			}
		}
	}
	if v.Default == 0 { // a class's 0 is none
		v = &q.Subnet.Valid
	}
	if t := q.Subnet.AdaptiveThreshold; t > 0 && t < 1 {
		w.q = q
		if q.cfg.Alloc.Occupancy(q.Subnet, addr, w.usable) >= t {
			return max(v.Min, remainS)
		}
	}
	req, ok := q.Msg.LeaseTime()
	if !ok || req == 0 {
		return v.Default
	}
	return max(v.Min, min(req, v.Max))
}

// usablePool is for alloc.Set.Occupancy, of w.q.
func (w *Worker) usablePool(p int) bool { return w.q.Classes.InAny(w.q.rules.pools[p]) }

// offerLifetime is for how many seconds an offer is stored as a lease, 0 if it
// is not: of the first class that says so, else of the subnet (V4-074).
func (q *Query4) offerLifetime() uint32 {
	if q.cfg.classes.lifetimes {
		for _, i := range q.Classes.Order() {
			if c := q.cfg.classes.def(i); c != nil && c.HasOfferLifetime {
				return c.OfferLifetimeS
			}
		}
	}
	if q.Classes.InClass(classBOOTP) {
		return 0
	}
	return q.Subnet.OfferLifetimeS
}

// sameLease reports that renewing changes nothing but the time (V4-073).
func sameLease(old, next *lease.Lease4) bool {
	return old.SubnetID == next.SubnetID &&
		old.ValidLifetimeS == next.ValidLifetimeS &&
		old.FQDNFwd == next.FQDNFwd && old.FQDNRev == next.FQDNRev &&
		old.HWType == next.HWType && bytes.Equal(old.HW(), next.HW()) &&
		bytes.Equal(old.CID(), next.CID()) &&
		bytes.Equal(old.Host(), next.Host()) &&
		old.UserContext == next.UserContext
}

// remainingS is what remains of an assigned lease, 0 if nothing or if time runs
// backwards.
func remainingS(l *lease.Lease4, nowUnixS int64) uint32 {
	if l.ValidLifetimeS == lease.InfiniteLifetime {
		return lease.InfiniteLifetime
	}
	age := nowUnixS - l.CLTTUnixS
	if age < 0 || age >= int64(l.ValidLifetimeS) {
		return 0
	}
	return l.ValidLifetimeS - uint32(age)
}

// reusable returns the remaining lifetime to answer with instead of storing the
// unchanged lease l anew, 0 if it is to be stored (V4-073, WR-12).
func reusable(s *config.Subnet4, l *lease.Lease4, nowUnixS int64) uint32 {
	if l.State != lease.StateDefault {
		return 0
	}
	left := remainingS(l, nowUnixS)
	if left == 0 || left == lease.InfiniteLifetime {
		return left
	}
	age := nowUnixS - l.CLTTUnixS
	switch {
	case s.CacheMaxAgeS >= 0 && (s.CacheMaxAgeS == 0 || age > s.CacheMaxAgeS),
		s.CacheThreshold <= 0 || s.CacheThreshold > 1,
		age > int64(float64(l.ValidLifetimeS)*s.CacheThreshold),
		int64(float64(l.ValidLifetimeS)*s.CacheThreshold) == 0:
		return 0
	}
	return left
}

// setTimers sets options 58 and 59: configured values before calculated ones,
// and only in the order T1 < T2 < lifetime (V4-076, WR-13).
func setTimers(s *config.Subnet4, r *Reply4) {
	limit := r.ValidLifetimeS
	if t2 := timer(s, s.RebindTimerS, s.T2Percent, r.ValidLifetimeS); t2 > 0 && t2 < limit {
		r.SetU32(dhcp4.OptRebindingTime, t2)
		limit = t2
	}
	if t1 := timer(s, s.RenewTimerS, s.T1Percent, r.ValidLifetimeS); t1 > 0 && t1 < limit {
		r.SetU32(dhcp4.OptRenewalTime, t1)
	}
}

func timer(s *config.Subnet4, configured uint32, percent float64, validS uint32) uint32 {
	if configured == 0 && s.CalculateTee {
		return uint32(math.Round(percent * float64(validS)))
	}
	return configured
}
