package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostname"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Flags of option 81 (RFC 4702 §2.1).
const (
	fqdnS = 1 // the server updates the name's address
	fqdnO = 2 // the server has overridden the client's S
	fqdnE = 4 // the name is in wire form
	fqdnN = 8 // the server updates nothing

	fqdnFixed = 3 // flags and two result codes in front of the name
)

// clientName is the name that a client has, wants or is given.
type clientName struct {
	// name is what the lease keeps: lower case, of option 81 with a dot at the
	// end.
	name    [lease.MaxHostnameLen]byte
	nameLen uint8
	tellFQN bool // the reply has option 81
	tell    bool // the reply has option 12
	fwd     bool // updates that the server owes (RFC 4702 §4)
	rev     bool

	// option is the reply's option 81.
	option [fqdnFixed + lease.MaxHostnameLen + 1]byte
	// scratch holds what the client sent while it is cleaned.
	scratch [lease.MaxHostnameLen]byte
}

func (n *clientName) reset() {
	n.nameLen, n.tellFQN, n.tell, n.fwd, n.rev = 0, false, false, false, false
}

// nameLease finds the client's name for a lease (V4-112, V4-113, DN-006): the
// reserved one, that of option 81, that of option 12, one made from the address.
// It depends on the subnet, and the pool if that has parameters of its own.
func (w *Worker) nameLease(q *Query4, l *lease.Lease4) {
	n, d := &q.clientName, &q.Subnet.DDNS
	if p := poolOf(q.Subnet, l.Addr); p >= 0 && q.Subnet.Pools[p].DDNS != nil {
		d = q.Subnet.Pools[p].DDNS
	}
	n.reset()
	reserved := ""
	if q.Host != nil {
		reserved = q.Host.Hostname
	}
	if o := q.Msg.Option(dhcp4.OptClientFQDN); o != nil && readableFQDN(o) {
		n.fromFQDN(o, reserved, d, l.Addr)
	} else {
		n.fromHostName(q.Msg.Option(dhcp4.OptHostName), reserved, d, l.Addr)
	}
	l.FQDNFwd, l.FQDNRev = n.fwd, n.rev
	l.SetHost(n.name[:n.nameLen])
}

// tellName adds option 81 or 12.
func (q *Query4) tellName(r *Reply4) {
	n := &q.clientName
	switch {
	case n.tellFQN:
		size := fqdnFixed
		if n.option[0]&fqdnE != 0 {
			size += wireName(n.option[fqdnFixed:], n.name[:n.nameLen])
		} else {
			size += copy(n.option[fqdnFixed:], n.name[:n.nameLen])
		}
		r.Set(dhcp4.OptClientFQDN, n.option[:size:size])
	case n.tell && n.nameLen > 0:
		r.Set(dhcp4.OptHostName, n.name[:n.nameLen])
	}
}

// fromFQDN takes the name of option 81, which checkFQDN has found good.
func (n *clientName) fromFQDN(o []byte, reserved string, d *config.DDNS, a dhcp4.IPv4) {
	flags := o[0]
	if flags&fqdnS != 0 {
		flags &^= fqdnN // only lenient parsing lets both through
	}
	raw, partial, _ := fqdnName(n.scratch[:0], o)
	n.option[0], n.option[1], n.option[2] = fqdnAnswer(flags, d)|flags&fqdnE, o[1], o[2]
	n.fwd, n.rev = n.option[0]&fqdnS != 0, n.option[0]&fqdnN == 0
	n.tellFQN = true
	replace := d.ReplaceClientName == config.ReplaceAlways || d.ReplaceClientName == config.ReplaceWhenPresent
	switch {
	case reserved != "":
		n.qualify(append(n.name[:0], reserved...), d, true)
	case replace || len(raw) == 0:
		n.generate(d, a, true)
	default:
		lower(raw) // before it is cleaned, unlike a name of option 12
		b := n.name[:0]
		if d.Sanitizer != nil {
			b = scrubLabels(b, raw, d.Sanitizer)
		} else {
			b = append(b, raw...)
		}
		// Of a name that nothing is left of, or only dots, is not spoken.
		if len(b) == 0 || len(b) == 1 && b[0] == '.' || countLabels(b) == 0 {
			n.reset()
			return
		}
		if partial {
			n.qualify(bytes.TrimSuffix(b, []byte{'.'}), d, true)
		} else {
			n.finish(b, true)
		}
	}
	if n.nameLen == 0 {
		n.reset()
	}
}

// fromHostName takes the name of option 12, nil if there is none.
func (n *clientName) fromHostName(o []byte, reserved string, d *config.DDNS, a dhcp4.IPv4) {
	mode := d.ReplaceClientName
	if len(o) == 0 {
		o = nil // Kea skips one without octets
	}
	name := trimName(o)
	labels := countLabels(name)
	switch {
	case reserved != "":
		n.qualify(append(n.name[:0], reserved...), d, false)
	case o == nil:
		if mode != config.ReplaceAlways && mode != config.ReplaceWhenNotPresent {
			return
		}
		n.generate(d, a, false)
	case string(name) == ".", labels > 0 && (mode == config.ReplaceAlways || mode == config.ReplaceWhenPresent):
		n.generate(d, a, false)
	case labels == 0:
		return // no name at all
	default:
		b := append(n.name[:0], name...)
		if d.Sanitizer != nil {
			b = d.Sanitizer.Append(n.name[:0], name)
		}
		switch countLabels(b) {
		case 0:
			if string(b) != "." {
				return
			}
			n.generate(d, a, false)
		case 1:
			n.qualify(b, d, false)
		default:
			if len(b) > len(n.name) {
				return
			}
			n.nameLen = uint8(len(b)) // clients may not know what to do with a dot at the end
			lower(n.name[:n.nameLen])
		}
	}
	n.tell = n.nameLen > 0
	n.fwd, n.rev = n.tell && d.Enabled, n.tell && d.Enabled
}

// generate makes a name from the address (DN-007).
func (n *clientName) generate(d *config.DDNS, a dhcp4.IPv4, dot bool) {
	if len(d.GeneratedPrefix)+16 > len(n.name) {
		return
	}
	b := append(n.name[:0], d.GeneratedPrefix...)
	from := len(b)
	b = append(b, '-')
	b = a.Netip().AppendTo(b)
	for i := range b[from:] {
		if b[from+i] == '.' {
			b[from+i] = '-'
		}
	}
	n.qualify(b, d, dot)
}

// qualify adds the suffix to a name in n.name, unless it ends in it or in a dot.
func (n *clientName) qualify(b []byte, d *config.DDNS, dot bool) {
	suffix := d.QualifyingSuffix
	if len(b)+len(suffix)+2 > len(n.name) {
		n.nameLen = 0
		return
	}
	if s := suffix; s != "" && len(b) > 0 && b[len(b)-1] != '.' {
		if s[len(s)-1] == '.' {
			s = s[:len(s)-1]
		}
		at := len(b) - len(s)
		if at < 0 || string(b[at:]) != s || at > 0 && b[at-1] != '.' {
			b = append(b, '.')
			b = append(b, suffix...)
		}
	}
	n.finish(b, dot)
}

// finish makes b, which lies in n.name, the name: with or without a dot at the
// end, in lower case.
func (n *clientName) finish(b []byte, dot bool) {
	b = bytes.TrimSuffix(b, []byte{'.'})
	if dot {
		b = append(b, '.')
	}
	if len(b) > len(n.name) || countLabels(b) == 0 {
		n.nameLen = 0
		return
	}
	n.nameLen = uint8(len(b))
	lower(n.name[:n.nameLen])
}

// fqdnAnswer are the flags of the reply: what the server does of what the client
// wishes (DN-003, RFC 4702 §4).
func fqdnAnswer(client byte, d *config.DDNS) byte {
	var s byte
	switch client & (fqdnS | fqdnN) {
	case 0:
		// The client updates its name itself.
		if !d.Enabled {
			return fqdnN
		}
		if d.OverrideClientUpdate {
			s = fqdnS
		}
		return s | overridden(client, s)
	case fqdnS:
		if d.Enabled {
			s = fqdnS
		}
	default:
		if d.Enabled && d.OverrideNoUpdate {
			s = fqdnS
		}
	}
	if s == 0 {
		return fqdnN | overridden(client, s)
	}
	return s | overridden(client, s)
}

func overridden(client, s byte) byte {
	if client&fqdnS != s {
		return fqdnO
	}
	return 0
}

// checkFQDN reports whether option 81 can be read (V4-113). Lenient parsing
// takes N for not set where S is, and an option with a bad name for not sent
// (V4-116).
func checkFQDN(o []byte, lenient bool) bool {
	if len(o) < fqdnFixed {
		return false
	}
	return lenient || o[0]&(fqdnN|fqdnS) != fqdnN|fqdnS && readableFQDN(o)
}

func readableFQDN(o []byte) bool {
	var b [lease.MaxHostnameLen]byte
	_, _, ok := fqdnName(b[:0], o)
	return ok
}

// fqdnName appends the name in option 81 as text; partial: it is not said to be
// complete. ok is false if it is no domain name.
func fqdnName(dst, o []byte) (name []byte, partial, ok bool) {
	b := o[fqdnFixed:]
	if len(b) == 0 {
		return dst, true, true
	}
	if o[0]&fqdnE == 0 {
		if len(b) > cap(dst)-len(dst) || string(b) != "." && countLabels(b) == 0 {
			return dst, true, false
		}
		return append(dst, b...), b[len(b)-1] != '.', true
	}
	partial = b[len(b)-1] != 0
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || n+1 > len(b) || len(dst)+n+1 > cap(dst) {
			return dst, true, false
		}
		if bytes.IndexByte(b[1:1+n], '.') >= 0 {
			return dst, true, false // would be another name as text
		}
		dst = append(dst, b[1:1+n]...)
		dst = append(dst, '.')
		b = b[1+n:]
	}
	if len(b) > 1 {
		return dst, true, false
	}
	if len(dst) == 0 {
		dst = append(dst, '.')
	}
	return dst, partial, len(dst) == 1 && dst[0] == '.' || countLabels(dst) > 0
}

// wireName writes a name with a dot at the end in wire form (RFC 1035 §3.1) and
// returns its length. dst has room for one octet more than the name has.
func wireName(dst, name []byte) int {
	n := 0
	for len(name) > 0 {
		i := bytes.IndexByte(name, '.')
		dst[n] = byte(i)
		n += 1 + copy(dst[n+1:], name[:i])
		name = name[i+1:]
	}
	dst[n] = 0
	return n + 1
}

// scrubLabels cleans a name label by label: the set of characters may not have
// the dot (DN-009).
func scrubLabels(dst, name []byte, s *hostname.Sanitizer) []byte {
	for {
		i := bytes.IndexByte(name, '.')
		if i < 0 {
			return s.Append(dst, name)
		}
		dst = append(s.Append(dst, name[:i]), '.')
		name = name[i+1:]
	}
}

// trimName takes blanks, tabs and NULs away from both ends.
func trimName(b []byte) []byte {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == 0 }
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// countLabels counts the labels of a domain name, a trailing dot aside; 0 if it
// is none (RFC 1035 §2.3.4).
func countLabels(name []byte) int {
	name = bytes.TrimSuffix(name, []byte{'.'})
	if len(name) > 253 {
		return 0
	}
	for labels := 1; ; labels++ {
		i := bytes.IndexByte(name, '.')
		last := i < 0
		if last {
			i = len(name)
		}
		if i == 0 || i > 63 {
			return 0
		}
		if last {
			return labels
		}
		name = name[i+1:]
	}
}

func lower(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}
