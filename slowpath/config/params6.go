package config

import (
	"math"
	"regexp"
)

// params6 decodes the inherited parameters of scope n. What it does not give is
// taken from outer, or where that is nil from Kea's defaults.
func (d *decoder) params6(n *Node, outer *Params6) Params6 {
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
	}
	if outer != nil {
		p = *outer
	}
	d.lifetime6(n, "valid-lifetime", &p.valid)
	d.lifetime6(n, "preferred-lifetime", &p.preferred)
	p.Valid, _ = p.valid.triplet("valid-lifetime")
	p.Preferred, _ = p.preferred.triplet("preferred-lifetime")
	p.PreferredSet = p.preferred.given()
	if v := n.Get("valid-lifetime"); v != nil && v.Kind == Integer && p.Valid.Default == 0 {
		d.warnf(v, noLifetime)
	}
	if v := n.Get("renew-timer"); v != nil {
		p.RenewTimerS, p.RenewTimerSet = n.u32("renew-timer", 0), true
	}
	if v := n.Get("rebind-timer"); v != nil {
		p.RebindTimerS, p.RebindTimerSet = n.u32("rebind-timer", 0), true
	}
	if v := n.Get("renew-timer"); v != nil && n.Get("rebind-timer") != nil && p.RenewTimerS > p.RebindTimerS {
		d.warnf(v, "renew-timer %d is above rebind-timer %d: clients are told 0 for T1", p.RenewTimerS, p.RebindTimerS)
	}
	p.CalculateTee = n.bool("calculate-tee-times", p.CalculateTee)
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
		p.CacheThreshold = n.real("cache-threshold", p.CacheThreshold)
		if !(p.CacheThreshold >= 0 && p.CacheThreshold < 1) {
			d.errorf(v, `"cache-threshold" must be at least 0 and below 1, not %s`, describe(v))
		}
	}
	p.CacheMaxAgeS = n.int("cache-max-age", p.CacheMaxAgeS)
	if v := n.Get("adaptive-lease-time-threshold"); v != nil {
		p.AdaptiveThreshold = n.real("adaptive-lease-time-threshold", p.AdaptiveThreshold)
		if !(p.AdaptiveThreshold > 0 && p.AdaptiveThreshold <= 1) || math.IsNaN(p.AdaptiveThreshold) {
			d.errorf(v, `"adaptive-lease-time-threshold" must be above 0 and at most 1, not %s`, describe(v))
		}
	}
	p.ReservationsGlobal = n.bool("reservations-global", p.ReservationsGlobal)
	p.ReservationsInSubnet = n.bool("reservations-in-subnet", p.ReservationsInSubnet)
	p.ReservationsOutOfPool = n.bool("reservations-out-of-pool", p.ReservationsOutOfPool)
	if v := n.Get("reservations-out-of-pool"); v != nil && p.ReservationsOutOfPool && !p.ReservationsInSubnet {
		d.errorf(v, `"reservations-out-of-pool" true needs "reservations-in-subnet" true`)
	}
	p.RapidCommit = n.bool("rapid-commit", p.RapidCommit)
	p.StoreExtendedInfo = n.bool("store-extended-info", p.StoreExtendedInfo)
	p.Allocator = n.str("allocator", p.Allocator)
	p.PDAllocator = n.str("pd-allocator", p.PDAllocator)
	var ddns *DDNS6
	if outer != nil {
		ddns = &outer.DDNS
	}
	p.DDNS = d.ddns6(n, ddns)
	return p
}

// ddns6 decodes the DDNS keys of scope n.
func (d *decoder) ddns6(n *Node, outer *DDNS6) DDNS6 {
	p := DDNS6{
		SendUpdates:            true,
		ReplaceClientName:      "never",
		GeneratedPrefix:        "myhost",
		ConflictResolutionMode: "check-with-dhcid",
		HostnameCharSet:        "[^A-Za-z0-9.-]",
	}
	if outer != nil {
		p = *outer
	}
	p.SendUpdates = n.bool("ddns-send-updates", p.SendUpdates)
	p.OverrideNoUpdate = n.bool("ddns-override-no-update", p.OverrideNoUpdate)
	p.OverrideClientUpdate = n.bool("ddns-override-client-update", p.OverrideClientUpdate)
	p.UpdateOnRenew = n.bool("ddns-update-on-renew", p.UpdateOnRenew)
	p.ReplaceClientName = n.str("ddns-replace-client-name", p.ReplaceClientName)
	p.GeneratedPrefix = n.str("ddns-generated-prefix", p.GeneratedPrefix)
	p.QualifyingSuffix = n.str("ddns-qualifying-suffix", p.QualifyingSuffix)
	if v := n.Get("ddns-use-conflict-resolution"); v != nil && v.Kind == Bool {
		if n.Get("ddns-conflict-resolution-mode") != nil {
			d.errorKey(v, `"ddns-use-conflict-resolution" is the old form of "ddns-conflict-resolution-mode": give one of them`)
		} else {
			d.warnKey(v, `"ddns-use-conflict-resolution" is deprecated: use "ddns-conflict-resolution-mode"`)
		}
		p.ConflictResolutionMode = "no-check-with-dhcid"
		if v.isTrue() {
			p.ConflictResolutionMode = "check-with-dhcid"
		}
	}
	p.ConflictResolutionMode = n.str("ddns-conflict-resolution-mode", p.ConflictResolutionMode)
	p.HostnameCharSet = n.str("hostname-char-set", p.HostnameCharSet)
	p.HostnameCharReplace = n.str("hostname-char-replacement", p.HostnameCharReplace)
	if v := n.Get("hostname-char-set"); v != nil && v.Kind == String {
		if _, err := regexp.CompilePOSIX(v.Str); err != nil {
			d.errorf(v, `"hostname-char-set" must be a POSIX regular expression: %v`, err)
		}
	}
	p.TTLPercent = n.real("ddns-ttl-percent", p.TTLPercent)
	p.TTLS = n.u32("ddns-ttl", p.TTLS)
	p.TTLMinS = n.u32("ddns-ttl-min", p.TTLMinS)
	p.TTLMaxS = n.u32("ddns-ttl-max", p.TTLMaxS)
	if v := n.Get("ddns-ttl"); v != nil {
		for _, other := range []string{"ddns-ttl-percent", "ddns-ttl-min", "ddns-ttl-max"} {
			if n.Get(other) != nil {
				d.errorKey(v, `"ddns-ttl" and %q are both given`, other)
			}
		}
	}
	if v := n.Get("ddns-ttl-max"); v != nil && n.Get("ddns-ttl-min") != nil && p.TTLMaxS < p.TTLMinS {
		d.errorf(v, "ddns-ttl-max %d must not be below ddns-ttl-min %d", p.TTLMaxS, p.TTLMinS)
	}
	return p
}
