package engine6

import (
	"bytes"
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// clamp is the lifetime for a client that asks for one, 0 if it does not.
func clamp(t *config.Triplet, hint uint32) uint32 {
	if hint == 0 {
		return t.Default
	}
	return max(t.Min, min(hint, t.Max))
}

func (q *Query6) triplets() (preferred, valid config.Triplet) {
	havePreferred, haveValid := false, false
	for _, n := range q.Classes.Order() {
		if n >= uint32(len(q.cfg.byClass)) || q.cfg.byClass[n] == nil {
			continue
		}
		c := q.cfg.byClass[n]
		if !havePreferred && c.preferred.Set {
			preferred, havePreferred = c.preferred.Triplet, true
		}
		if !haveValid && c.valid.Set {
			valid, haveValid = c.valid.Triplet, true
		}
	}
	// As in Kea a class's lifetime of 0 is none.
	if preferred.Default == 0 {
		preferred = q.rules.s.Preferred
	}
	if valid.Default == 0 {
		valid = q.rules.s.Valid
	}
	return preferred, valid
}

// lifetimes are those of a lease of the IA in hand, in seconds: what the client
// asks for within the bounds, else the defaults; of classes, else of the subnet
// (V6-037).
func (w *Worker) lifetimes(q *Query6) (preferredS, validS uint32) {
	p, v := q.triplets()
	var hint dhcp6.Resource
	if w.ia.nHints > 0 {
		hint = w.ia.hints[0]
	}
	preferredS = p.Default
	if hint.PreferredS != 0 {
		preferredS = clamp(&p, hint.PreferredS)
	}
	validS = clamp(&v, hint.ValidS)
	return saneLifetimes(preferredS, validS)
}

// minLifetimes are the lifetimes while the pools are fuller than
// adaptive-lease-time-threshold: the least ones, but nothing is taken away of
// what remains of the lease.
func (w *Worker) minLifetimes(q *Query6, remainingPreferredS, remainingValidS uint32) (preferredS, validS uint32) {
	p, v := q.triplets()
	return saneLifetimes(max(p.Min, remainingPreferredS), max(v.Min, remainingValidS))
}

func saneLifetimes(preferredS, validS uint32) (uint32, uint32) {
	if preferredS == 0 || preferredS > validS {
		preferredS = uint32(uint64(validS) * 5 / 8)
		if validS == dhcp6.InfiniteLifetime {
			preferredS = validS / 8 * 5
		}
	}
	return preferredS, validS
}

// remainingS is what remains of an assigned lease, nothing if time runs
// backwards.
func remainingS(l *lease6.Lease6, nowUnixS int64) (preferredS, validS uint32) {
	age := nowUnixS - l.CLTTUnixS
	if l.State != lease.StateDefault || age < 0 {
		return 0, 0
	}
	left := func(s uint32) uint32 {
		switch {
		case s == lease.InfiniteLifetime:
			return s
		case age >= int64(s):
			return 0
		}
		return s - uint32(age)
	}
	if validS = left(l.ValidLifetimeS); validS == 0 {
		return 0, 0
	}
	return left(l.PreferredLifetimeS), validS
}

// reusable returns the remaining lifetimes to answer with instead of storing the
// unchanged lease l anew; ok is false if it is to be stored (V6-039). validS is
// the lifetime that it would get.
func reusable(s *config.Subnet6, l *lease6.Lease6, validS uint32, nowUnixS int64) (preferredS, remainS uint32, ok bool) {
	age := nowUnixS - l.CLTTUnixS
	if l.State != lease.StateDefault || age < 0 || l.ValidLifetimeS != lease.InfiniteLifetime && age >= int64(l.ValidLifetimeS) {
		return 0, 0, false
	}
	switch {
	case s.CacheMaxAgeS >= 0 && (s.CacheMaxAgeS == 0 || age > s.CacheMaxAgeS),
		s.CacheThreshold <= 0 || s.CacheThreshold > 1,
		age > int64(float64(validS)*s.CacheThreshold),
		int64(float64(validS)*s.CacheThreshold) == 0:
		return 0, 0, false
	}
	preferredS = l.PreferredLifetimeS
	if preferredS != lease.InfiniteLifetime && preferredS != 0 {
		if int64(preferredS) <= age {
			return 0, 0, false
		}
		preferredS -= uint32(age)
	}
	remainS = l.ValidLifetimeS
	if remainS != lease.InfiniteLifetime {
		remainS -= uint32(age)
	}
	return preferredS, remainS, true
}

// setTimers sets T1 and T2 of an IA by the shortest preferred lifetime in it
// (V6-038).
func setTimers(s *config.Subnet6, x *dhcp6.ReplyIA, preferredS uint32) {
	x.T2S = timer(s, s.RebindTimerSet, s.RebindTimerS, s.T2Percent, preferredS)
	x.T1S = timer(s, s.RenewTimerSet, s.RenewTimerS, s.T1Percent, preferredS)
	if x.T1S >= x.T2S {
		x.T1S = 0
	}
}

func timer(s *config.Subnet6, set bool, configured uint32, percent float64, preferredS uint32) uint32 {
	switch {
	case set:
		return configured
	case s.CalculateTee:
		return uint32(math.Round(percent * float64(preferredS)))
	}
	return 0
}

// sameName reports whether the lease has the client's name.
func (q *Query6) sameName(l *lease6.Lease6) bool {
	return l.FQDNFwd == q.fwd && l.FQDNRev == q.rev && bytes.Equal(l.Host(), q.name[:q.nameLen])
}
