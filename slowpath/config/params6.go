package config

import (
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// params6 decodes the inherited parameters of scope n. What it does not give is
// taken from outer, or where that is nil from Kea's defaults.
func (d *decoder) params6(n *keajson.Node, outer *Params6) Params6 {
	p := Params6{
		valid:                lifetime6{def: 7200, hasDef: true},
		CalculateTee:         true,
		T1Percent:            0.5,
		T2Percent:            0.8,
		CacheThreshold:       0.25,
		CacheMaxAgeS:         -1,
		ReservationsInSubnet: true,
		Allocator:            "iterative",
		PDAllocator:          "iterative",
		DDNS:                 ddnsDefaults(),
	}
	if outer != nil {
		p = *outer
	}
	d.lifetime6(n, "valid-lifetime", &p.valid)
	d.lifetime6(n, "preferred-lifetime", &p.preferred)
	p.Valid, _ = p.valid.triplet("valid-lifetime")
	p.Preferred, _ = p.preferred.triplet("preferred-lifetime")
	p.PreferredSet = p.preferred.given()
	if v := n.Get("valid-lifetime"); v != nil && v.Kind == keajson.Integer && p.Valid.Default == 0 {
		d.warnf(v, noLifetime)
	}
	if v := n.Get("renew-timer"); v != nil {
		p.RenewTimerS, p.RenewTimerSet = n.Uint32("renew-timer", 0), true
	}
	if v := n.Get("rebind-timer"); v != nil {
		p.RebindTimerS, p.RebindTimerSet = n.Uint32("rebind-timer", 0), true
	}
	if v := n.Get("renew-timer"); v != nil && n.Get("rebind-timer") != nil && p.RenewTimerS > p.RebindTimerS {
		d.warnf(v, "renew-timer %d is above rebind-timer %d: clients are told 0 for T1", p.RenewTimerS, p.RebindTimerS)
	}
	p.CalculateTee = n.Bool("calculate-tee-times", p.CalculateTee)
	p.T1Percent = d.percent(n, "t1-percent", p.T1Percent)
	p.T2Percent = d.percent(n, "t2-percent", p.T2Percent)
	if p.T1Percent >= p.T2Percent {
		for _, name := range []string{"t1-percent", "t2-percent"} {
			if at := n.Get(name); at != nil {
				d.errorf(at, "t1-percent %v must be below t2-percent %v", p.T1Percent, p.T2Percent)
				break
			}
		}
	}
	if v := n.Get("cache-threshold"); v != nil {
		p.CacheThreshold = n.Float("cache-threshold", p.CacheThreshold)
		if !(p.CacheThreshold >= 0 && p.CacheThreshold < 1) {
			d.errorf(v, `"cache-threshold" must be at least 0 and below 1, not %s`, describe(v))
		}
	}
	p.CacheMaxAgeS = n.Int("cache-max-age", p.CacheMaxAgeS)
	if v := n.Get("adaptive-lease-time-threshold"); v != nil {
		p.AdaptiveThreshold = n.Float("adaptive-lease-time-threshold", p.AdaptiveThreshold)
		if !(p.AdaptiveThreshold > 0 && p.AdaptiveThreshold <= 1) || math.IsNaN(p.AdaptiveThreshold) {
			d.errorf(v, `"adaptive-lease-time-threshold" must be above 0 and at most 1, not %s`, describe(v))
		}
	}
	p.ReservationsGlobal = n.Bool("reservations-global", p.ReservationsGlobal)
	p.ReservationsInSubnet = n.Bool("reservations-in-subnet", p.ReservationsInSubnet)
	p.ReservationsOutOfPool = n.Bool("reservations-out-of-pool", p.ReservationsOutOfPool)
	if v := n.Get("reservations-out-of-pool"); v != nil && p.ReservationsOutOfPool && !p.ReservationsInSubnet {
		d.errorf(v, `"reservations-out-of-pool" true needs "reservations-in-subnet" true`)
	}
	p.RapidCommit = n.Bool("rapid-commit", p.RapidCommit)
	p.StoreExtendedInfo = n.Bool("store-extended-info", p.StoreExtendedInfo)
	p.Allocator = n.Text("allocator", p.Allocator)
	p.PDAllocator = n.Text("pd-allocator", p.PDAllocator)
	p.DDNS = d.ddns(n, p.DDNS)
	return p
}
