package config

import (
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/hostname"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// ReplaceName says when a name made from the address takes the place of the
// client's own (DN-008).
type ReplaceName uint8

const (
	ReplaceNever ReplaceName = iota
	ReplaceAlways
	ReplaceWhenPresent
	ReplaceWhenNotPresent
)

var replaceNames = []string{"never", "always", "when-present", "when-not-present"}

// String is Kea's word.
func (r ReplaceName) String() string { return replaceNames[r] }

// DDNS are the ddns- parameters of a scope, resolved (V4-129, V6-069). The names that
// clients are told follow from them whether updates are sent or not.
type DDNS struct {
	// Enabled: updates are sent for this scope: dhcp-ddns.enable-updates and
	// ddns-send-updates.
	Enabled              bool
	OverrideNoUpdate     bool
	OverrideClientUpdate bool
	UpdateOnRenew        bool
	ReplaceClientName    ReplaceName
	GeneratedPrefix      string
	QualifyingSuffix     string
	Sanitizer            *hostname.Sanitizer // nil: names are left as they are
	ConflictMode         string
	TTLS                 uint32  // ddns-ttl, 0: none
	TTLMinS, TTLMaxS     uint32  // 0: none
	TTLPercent           float64 // 0: none

	charSet, charReplacement string
}

// ddnsDefaults are Kea's.
func ddnsDefaults() DDNS {
	return DDNS{
		Enabled:         true, // ddns-send-updates; ddns looks at enable-updates
		GeneratedPrefix: "myhost",
		ConflictMode:    "check-with-dhcid",
		charSet:         "[^A-Za-z0-9.-]",
	}
}

// hasDDNS says whether n gives any of the parameters.
func hasDDNS(n *keajson.Node) bool {
	for i := range n.Kids {
		if k := n.Kids[i].Key; strings.HasPrefix(k, "ddns-") || strings.HasPrefix(k, "hostname-char-") {
			return true
		}
	}
	return false
}

// poolDDNS are the parameters of pool n over those of its subnet, nil if it gives
// none.
func (d *decoder) poolDDNS(n *keajson.Node, outer DDNS) *DDNS {
	if !hasDDNS(n) {
		return nil
	}
	p := d.ddns(n, outer)
	return &p
}

// ddns decodes the parameters of scope n over those of the scope around it.
func (d *decoder) ddns(n *keajson.Node, outer DDNS) DDNS {
	p := outer
	p.Enabled = n.Bool("ddns-send-updates", p.Enabled) && d.ddnsUpdates
	p.OverrideNoUpdate = n.Bool("ddns-override-no-update", p.OverrideNoUpdate)
	p.OverrideClientUpdate = n.Bool("ddns-override-client-update", p.OverrideClientUpdate)
	p.UpdateOnRenew = n.Bool("ddns-update-on-renew", p.UpdateOnRenew)
	mode := n.Text("ddns-replace-client-name", p.ReplaceClientName.String())
	for i, s := range replaceNames {
		if s == mode {
			p.ReplaceClientName = ReplaceName(i)
		}
	}
	p.GeneratedPrefix = n.Text("ddns-generated-prefix", p.GeneratedPrefix)
	p.QualifyingSuffix = n.Text("ddns-qualifying-suffix", p.QualifyingSuffix)
	p.ConflictMode = n.Text("ddns-conflict-resolution-mode", p.ConflictMode)
	if v := n.Get("ddns-use-conflict-resolution"); v != nil {
		if n.Get("ddns-conflict-resolution-mode") != nil {
			d.errorKey(v, `"ddns-use-conflict-resolution" is the old form of "ddns-conflict-resolution-mode": give one of them`)
		}
		p.ConflictMode = "no-check-with-dhcid"
		if v.IsTrue() {
			p.ConflictMode = "check-with-dhcid"
		}
	}
	d.ddnsTTL(n, &p)
	set, repl := n.Get("hostname-char-set"), n.Get("hostname-char-replacement")
	p.charSet = n.Text("hostname-char-set", p.charSet)
	p.charReplacement = n.Text("hostname-char-replacement", p.charReplacement)
	if set != nil || repl != nil || p.Sanitizer == nil && p.charSet != "" {
		p.Sanitizer = nil
		if p.charSet != "" {
			p.Sanitizer = d.sanitizer(n, p.charSet, p.charReplacement)
		}
	}
	return p
}

// sanitizer compiles a set of scope n, once for all scopes that give the same.
func (d *decoder) sanitizer(n *keajson.Node, charSet, replacement string) *hostname.Sanitizer {
	key := charSet + "\x00" + replacement
	if s, ok := d.sanitizers[key]; ok {
		return s
	}
	s, err := hostname.NewSanitizer(charSet, replacement)
	if err != nil {
		d.errorf(at(n, "hostname-char-set", "hostname-char-replacement"), `"hostname-char-set" must be a POSIX extended regular expression: %v`, err)
		return nil
	}
	if d.sanitizers == nil {
		d.sanitizers = map[string]*hostname.Sanitizer{}
	}
	d.sanitizers[key] = s
	return s
}

// ddnsTTL decodes what the time to live in DNS is made of (DN-010).
func (d *decoder) ddnsTTL(n *keajson.Node, p *DDNS) {
	ttl := n.Get("ddns-ttl")
	for _, name := range []string{"ddns-ttl-percent", "ddns-ttl-min", "ddns-ttl-max"} {
		if v := n.Get(name); v != nil && ttl != nil {
			d.errorKey(v, `%q has no effect beside "ddns-ttl": give one of them`, name)
		}
	}
	p.TTLS = n.Uint32("ddns-ttl", p.TTLS)
	p.TTLPercent = n.Float("ddns-ttl-percent", p.TTLPercent)
	p.TTLMinS, p.TTLMaxS = n.Uint32("ddns-ttl-min", p.TTLMinS), n.Uint32("ddns-ttl-max", p.TTLMaxS)
	lo, hi := n.Get("ddns-ttl-min"), n.Get("ddns-ttl-max")
	if lo != nil && hi != nil && p.TTLMinS > p.TTLMaxS {
		d.errorf(lo, "ddns-ttl-min %d must not be above ddns-ttl-max %d", p.TTLMinS, p.TTLMaxS)
	}
}
