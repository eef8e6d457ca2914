package config

import (
	"regexp"
	"strings"
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

// DDNS are the ddns- parameters of a scope, resolved (V4-129). The names that
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
	Sanitizer            *Sanitizer // nil: names are left as they are
	ConflictMode         string
	TTLS                 uint32  // ddns-ttl, 0: none
	TTLMinS, TTLMaxS     uint32  // 0: none
	TTLPercent           float64 // 0: none

	charSet, charReplacement string
}

// Sanitizer replaces what a name may not have (DN-009). It is immutable.
type Sanitizer struct {
	charSet, replacement string
	// bad are the octets to replace where the pattern is one bracket
	// expression, which is all that anybody uses; else pattern is used, and
	// each replacement allocates.
	bad     [256]bool
	pattern *regexp.Regexp
}

// newSanitizer compiles a POSIX extended regular expression.
func newSanitizer(charSet, replacement string) (*Sanitizer, error) {
	re, err := regexp.CompilePOSIX(charSet)
	if err != nil {
		return nil, err
	}
	s := &Sanitizer{charSet: charSet, replacement: replacement}
	if !isBracket(charSet) {
		s.pattern = re
	} else {
		for b := range 128 {
			s.bad[b] = re.Match([]byte{byte(b)})
		}
		// Beyond ASCII a set speaks of octets, as in Kea: they are in it only by
		// negation.
		for b := 128; b < 256; b++ {
			s.bad[b] = strings.HasPrefix(charSet, "[^")
		}
	}
	s.bad[0] = true
	return s, nil
}

// isBracket says whether the pattern is one bracket expression of ASCII.
func isBracket(p string) bool {
	for i := range len(p) {
		if p[i] >= 128 {
			return false
		}
	}
	if len(p) < 3 || p[0] != '[' {
		return false
	}
	i := 1
	if p[i] == '^' {
		i++
	}
	if p[i] == ']' {
		i++
	}
	for ; i < len(p); i++ {
		switch {
		case p[i] == ']':
			return i == len(p)-1
		case p[i] == '[' && i+1 < len(p) && strings.IndexByte(":.=", p[i+1]) >= 0:
			end := strings.Index(p[i+2:], p[i+1:i+2]+"]")
			if end < 0 {
				return false
			}
			i += 2 + end + 1
		}
	}
	return false
}

// Equal says whether both do the same; either may be nil.
func (s *Sanitizer) Equal(o *Sanitizer) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.charSet == o.charSet && s.replacement == o.replacement
}

// Append appends name to dst with what it may not have replaced. No memory is
// allocated for sets of characters, beyond what dst has no room for.
func (s *Sanitizer) Append(dst, name []byte) []byte {
	if s.pattern != nil {
		b := s.pattern.ReplaceAllLiteral(name, []byte(s.replacement))
		for _, c := range b {
			if c != 0 {
				dst = append(dst, c)
			}
		}
		return dst
	}
	for _, c := range name {
		if s.bad[c] {
			dst = append(dst, s.replacement...)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// ddnsDefaults are Kea's.
func ddnsDefaults() DDNS {
	return DDNS{
		Enabled:         true, // ddns-send-updates; dhcp4 looks at enable-updates
		GeneratedPrefix: "myhost",
		ConflictMode:    "check-with-dhcid",
		charSet:         "[^A-Za-z0-9.-]",
	}
}

// hasDDNS says whether n gives any of the parameters.
func hasDDNS(n *Node) bool {
	for i := range n.Kids {
		if k := n.Kids[i].Key; strings.HasPrefix(k, "ddns-") || strings.HasPrefix(k, "hostname-char-") {
			return true
		}
	}
	return false
}

// ddns decodes the parameters of scope n over those of the scope around it.
func (d *decoder) ddns(n *Node, outer DDNS) DDNS {
	p := outer
	p.Enabled = n.bool("ddns-send-updates", p.Enabled) && d.ddnsUpdates
	p.OverrideNoUpdate = n.bool("ddns-override-no-update", p.OverrideNoUpdate)
	p.OverrideClientUpdate = n.bool("ddns-override-client-update", p.OverrideClientUpdate)
	p.UpdateOnRenew = n.bool("ddns-update-on-renew", p.UpdateOnRenew)
	mode := n.str("ddns-replace-client-name", p.ReplaceClientName.String())
	for i, s := range replaceNames {
		if s == mode {
			p.ReplaceClientName = ReplaceName(i)
		}
	}
	p.GeneratedPrefix = n.str("ddns-generated-prefix", p.GeneratedPrefix)
	p.QualifyingSuffix = n.str("ddns-qualifying-suffix", p.QualifyingSuffix)
	p.ConflictMode = n.str("ddns-conflict-resolution-mode", p.ConflictMode)
	if v := n.Get("ddns-use-conflict-resolution"); v != nil {
		if n.Get("ddns-conflict-resolution-mode") != nil {
			d.errorKey(v, `"ddns-use-conflict-resolution" is the old form of "ddns-conflict-resolution-mode": give one of them`)
		}
		p.ConflictMode = "no-check-with-dhcid"
		if v.isTrue() {
			p.ConflictMode = "check-with-dhcid"
		}
	}
	d.ddnsTTL(n, &p)
	set, repl := n.Get("hostname-char-set"), n.Get("hostname-char-replacement")
	p.charSet = n.str("hostname-char-set", p.charSet)
	p.charReplacement = n.str("hostname-char-replacement", p.charReplacement)
	if set != nil || repl != nil || p.Sanitizer == nil && p.charSet != "" {
		p.Sanitizer = nil
		if p.charSet != "" {
			var err error
			if p.Sanitizer, err = newSanitizer(p.charSet, p.charReplacement); err != nil {
				d.errorf(at(n, "hostname-char-set"), `"hostname-char-set" must be a regular expression: %v`, err)
			}
		}
	}
	return p
}

// ddnsTTL decodes what the time to live in DNS is made of (DN-010).
func (d *decoder) ddnsTTL(n *Node, p *DDNS) {
	ttl := n.Get("ddns-ttl")
	for _, name := range []string{"ddns-ttl-percent", "ddns-ttl-min", "ddns-ttl-max"} {
		if v := n.Get(name); v != nil && ttl != nil {
			d.errorKey(v, `%q has no effect beside "ddns-ttl": give one of them`, name)
		}
	}
	p.TTLS = n.u32("ddns-ttl", p.TTLS)
	p.TTLPercent = n.real("ddns-ttl-percent", p.TTLPercent)
	p.TTLMinS, p.TTLMaxS = n.u32("ddns-ttl-min", p.TTLMinS), n.u32("ddns-ttl-max", p.TTLMaxS)
	lo, hi := n.Get("ddns-ttl-min"), n.Get("ddns-ttl-max")
	if lo != nil && hi != nil && p.TTLMinS > p.TTLMaxS {
		d.errorf(lo, "ddns-ttl-min %d must not be above ddns-ttl-max %d", p.TTLMinS, p.TTLMaxS)
	}
}
