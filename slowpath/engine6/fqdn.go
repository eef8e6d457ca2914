package engine6

import (
	"bytes"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Flags of option 39 (RFC 4704 §4.1).
const (
	fqdnS = 1 // the server does the forward update
	fqdnO = 2 // the server has overridden the client's S
	fqdnN = 4 // no updates
)

// maxName is the longest domain name in text, its trailing dot included, and
// in wire form (RFC 1035 §2.3.4).
const maxName = 255

// fqdn is option 39: what the client sent, and after clientName what it gets.
type fqdn struct {
	flags uint8
	full  bool // the name ends with the root
	n     uint8
	name  [maxName]byte // text, small letters; with a trailing dot if full
	wire  [1 + maxName]byte
}

// parse reads the value of the option; ok is false if it is malformed.
func (f *fqdn) parse(b []byte) (ok bool) {
	f.n, f.full = 0, false
	if f.flags = b[0] & 7; f.flags&(fqdnN|fqdnS) == fqdnN|fqdnS {
		return false
	}
	b = b[1:]
	if len(b) > maxName {
		return false
	}
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 {
			f.full = true
			if len(b) > 1 {
				return false
			}
			if f.n == 0 {
				f.name[0] = '.'
				f.n = 1
			}
			break
		}
		if n > 63 || 1+n > len(b) || int(f.n)+n+1 > len(f.name) {
			return false
		}
		for _, c := range b[1 : 1+n] {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			f.name[f.n] = c
			f.n++
		}
		f.name[f.n] = '.'
		f.n++
		b = b[1+n:]
	}
	if !f.full && f.n > 0 {
		f.n-- // the dot
	}
	return true
}

// set makes name, a full one, the option's; ok is false if it is none.
func (f *fqdn) set(name []byte) (ok bool) {
	f.full = true
	f.n = uint8(copy(f.name[:], name))
	return len(name) <= maxName && f.encode() != nil
}

// encode returns the value of the option, nil if the name is none; it is valid
// until the next call.
func (f *fqdn) encode() []byte {
	b := append(f.wire[:0], f.flags)
	rest := f.name[:f.n]
	for len(rest) > 0 {
		label := rest
		if i := bytes.IndexByte(rest, '.'); i >= 0 {
			label, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(label) == 0 || len(label) > 63 || len(b)+1+len(label) > len(f.wire)-1 {
			return nil
		}
		b = append(append(b, byte(len(label))), label...)
	}
	if f.full && f.n > 0 {
		b = append(b, 0)
	}
	return b
}

// noDDNS is what counts without a subnet.
var noDDNS config.DDNS

func (q *Query6) ddns() *config.DDNS {
	if q.rules == nil {
		return &noDDNS
	}
	return &q.rules.s.DDNS
}

// clientName decides on the client's name and on option 39 of the reply
// (V6-069, V6-071).
func (w *Worker) clientName(q *Query6) { w.clientNameBy(q, q.ddns()) }

func (w *Worker) clientNameBy(q *Query6, d *config.DDNS) {
	q.nameLen, q.fwd, q.rev, q.fqdnPresent = 0, false, false, false
	updates := d.Enabled
	f := &q.fqdn
	b := q.Msg.Option(dhcp6.OptClientFQDN)
	host := q.currentHost()
	switch {
	case b != nil && f.parse(b):
	case updates && (d.ReplaceClientName == config.ReplaceAlways || d.ReplaceClientName == config.ReplaceWhenNotPresent):
		f.flags, f.full, f.n = fqdnS, false, 0
	default:
		if host != nil {
			q.nameLen = uint8(copy(q.name[:], host.Hostname))
		}
		return
	}
	// RFC 4704 §6: who does the updates.
	s := false
	n := true
	switch f.flags & (fqdnS | fqdnN) {
	case 0:
		if updates {
			s, n = d.OverrideClientUpdate, false
		}
	case fqdnS:
		s, n = updates, !updates
	default:
		s = updates && d.OverrideNoUpdate
		n = !s
	}
	clientS := f.flags&fqdnS != 0
	f.flags = 0
	if s {
		f.flags |= fqdnS
	}
	if n {
		f.flags |= fqdnN
	}
	if clientS != s {
		f.flags |= fqdnO
	}
	q.fwd, q.rev = s, !n
	var buf [2 * maxName]byte
	switch {
	case host != nil && host.Hostname != "":
		if !f.set(qualify(append(buf[:0], host.Hostname...), d)) {
			return
		}
	case d.ReplaceClientName == config.ReplaceAlways || d.ReplaceClientName == config.ReplaceWhenPresent || f.n == 0:
		f.n, f.full = 0, false
	default:
		name, ok := w.clean(q, buf[:0], d)
		if !ok {
			return
		}
		if !f.full {
			name = qualify(bytes.TrimSuffix(name, []byte{'.'}), d)
		}
		if !f.set(name) {
			return
		}
	}
	q.fqdnPresent = true
	q.nameLen = uint8(copy(q.name[:], f.name[:f.n]))
}

// clean appends the client's name without the characters that
// hostname-char-set matches; ok is false if nothing sensible is left.
func (w *Worker) clean(q *Query6, dst []byte, d *config.DDNS) (name []byte, ok bool) {
	f := &q.fqdn
	s := d.Sanitizer
	if s == nil {
		return append(dst, f.name[:f.n]...), true
	}
	rest := f.name[:f.n]
	for {
		i := bytes.IndexByte(rest, '.')
		if i < 0 {
			dst = s.Append(dst, rest)
			break
		}
		dst = append(s.Append(dst, rest[:i]), '.')
		rest = rest[i+1:]
	}
	if len(dst) == 0 || len(dst) == 1 && dst[0] == '.' || bytes.Contains(dst, []byte("..")) || len(dst) > maxName {
		return dst, false
	}
	return dst, true
}

// qualify appends ddns-qualifying-suffix unless the name ends in a dot or has
// the suffix, and the trailing dot.
func qualify(name []byte, d *config.DDNS) []byte {
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
	suffix := strings.TrimSuffix(d.QualifyingSuffix, ".")
	if suffix != "" && len(name) > 0 && name[len(name)-1] != '.' {
		n := len(name) - len(suffix)
		if n < 0 || string(name[n:]) != suffix || n > 0 && name[n-1] != '.' {
			name = append(append(name, '.'), suffix...)
		}
	}
	if len(name) > 0 && name[len(name)-1] != '.' {
		name = append(name, '.')
	}
	return name
}

// firstAddress is the first address of the reply's first IA_NA, which is the
// one that names are about.
func firstAddress(r *Reply6) (a dhcp6.IPv6, ok bool) {
	for i := range r.IAs() {
		x := r.IA(i)
		if x.Code != dhcp6.OptIANA {
			continue
		}
		l := r.Resources(x)
		if len(l) == 0 || l[0].ValidS == 0 {
			return a, false
		}
		return l[0].Addr, true
	}
	return a, false
}

// renameLeases decides on the name again when the leases came from another
// subnet than the selected one, or from a pool that has a say in it.
func (w *Worker) renameLeases(q *Query6, r *Reply6, selected *subnetRules) Reason {
	d := q.ddns()
	again := q.rules != selected
	if q.rules != nil {
		if a, ok := firstAddress(r); ok {
			if p := q.rules.poolOf(lease6.TypeNA, a); p != nil && p.ddns != nil {
				d, again = p.ddns, true
			}
		}
	}
	if !again {
		return ReasonOK
	}
	w.clientNameBy(q, d)
	if r.Offer {
		return ReasonOK
	}
	for i := range r.Leases {
		if l := &r.Leases[i]; !q.sameName(l) {
			q.setName(l)
			if reason := w.restore(r, l); reason != ReasonOK {
				return reason
			}
		}
	}
	return ReasonOK
}

// restore stores a lease that was stored in this query once more.
func (w *Worker) restore(r *Reply6, l *lease6.Lease6) Reason {
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	c, err := w.t.Put(l, l.Version, w.j)
	if err != nil {
		return w.putReason(err)
	}
	r.CommitPos = max(r.CommitPos, c.Pos)
	return ReasonOK
}

// generateName makes a name of the first address for a client that is to have
// one and has not (V6-069): the address with hyphens behind
// ddns-generated-prefix.
func (w *Worker) generateName(q *Query6, r *Reply6) Reason {
	if !q.fqdnPresent || q.fqdn.n > 0 || q.Msg.Type() == dhcp6.MsgSolicit {
		return ReasonOK
	}
	a, ok := firstAddress(r)
	if !ok {
		return ReasonOK
	}
	d := q.ddns()
	var buf [2 * maxName]byte
	b := append(append(buf[:0], d.GeneratedPrefix...), '-')
	at := len(b)
	b = a.Netip().AppendTo(b)
	for i := at; i < len(b); i++ {
		if b[i] == ':' {
			b[i] = '-'
		}
	}
	if b[len(b)-1] == '-' {
		b = append(b, '0')
	}
	if !q.fqdn.set(qualify(b, d)) {
		q.fqdn.n, q.fqdn.full = 0, false
		return ReasonOK
	}
	q.nameLen = uint8(copy(q.name[:], q.fqdn.name[:q.fqdn.n]))
	for i := range r.Leases {
		if l := &r.Leases[i]; l.Type == lease6.TypeNA && dhcp6.IPv6(l.Addr) == a && l.State == lease.StateDefault {
			l.SetHost(q.name[:q.nameLen])
			return w.restore(r, l)
		}
	}
	return ReasonOK
}
