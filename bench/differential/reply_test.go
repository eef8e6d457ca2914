package differential

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// reply is one answer of a server.
type reply struct {
	dstMAC, srcMAC   [6]byte
	src, dst         netip.Addr
	srcPort, dstPort uint16
	msg              []byte
	opts             []option
	rest             []byte // behind END
	ended            bool
}

// option is one as it stands on the wire; pieces are not put together.
type option struct {
	code byte
	data []byte
}

func readReply(msg []byte) (*reply, error) {
	if len(msg) < headerLen || !bytes.Equal(msg[offCookie:headerLen], magicCookie) {
		return nil, errors.New("no DHCP message")
	}
	r := &reply{msg: msg}
	b := msg[headerLen:]
	for len(b) > 0 {
		code := b[0]
		if code == 0 {
			r.opts = append(r.opts, option{})
			b = b[1:]
			continue
		}
		if code == 255 {
			r.ended, r.rest = true, b[1:]
			return r, nil
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return nil, fmt.Errorf("option %d is cut off", code)
		}
		r.opts = append(r.opts, option{code, b[2 : 2+int(b[1])]})
		b = b[2+int(b[1]):]
	}
	return r, nil
}

func (r *reply) addr(off int) netip.Addr {
	return netip.AddrFrom4([4]byte(r.msg[off : off+4]))
}

func (r *reply) option(code byte) ([]byte, bool) {
	for _, o := range r.opts {
		if o.code == code {
			return o.data, true
		}
	}
	return nil, false
}

func (r *reply) typeName() string {
	t, _ := r.option(53)
	if len(t) == 1 {
		for name, n := range conversationVerbs {
			if n == int(t[0]) && n > 0 {
				return name
			}
		}
	}
	return "type " + hex.EncodeToString(t)
}

// side is what is remembered of one server in a conversation.
type side struct {
	seen map[netip.Addr]string // addresses by order of appearance
	vars map[string]string
}

func newSide() *side {
	return &side{seen: map[netip.Addr]string{}, vars: map[string]string{"server": serverAddr.String()}}
}

func (s *side) value(name string) (string, error) {
	if v, ok := s.vars[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("%w $%s", errUnset, name)
}

// learn takes what later steps may refer to.
func (s *side) learn(sc *script, r *reply) {
	if r == nil {
		return
	}
	if a := r.addr(offYIAddr); a != noAddr {
		s.name(sc, a)
		s.vars["yiaddr"] = a.String()
	}
	if b, ok := r.option(54); ok && len(b) == 4 {
		s.vars["sid"] = netip.AddrFrom4([4]byte(b)).String()
	}
}

// name is an address as it is compared: by order of appearance where the
// allocator chooses it.
func (s *side) name(sc *script, a netip.Addr) string {
	if !sc.isMapped(a) {
		return a.String()
	}
	n, ok := s.seen[a]
	if !ok {
		n = "a" + strconv.Itoa(len(s.seen)+1)
		s.seen[a] = n
		s.vars[n] = a.String()
	}
	return n
}

type field struct{ name, value string }

// fields are a reply's parts but for the options.
func (s *side) fields(sc *script, r *reply) []field {
	m := r.msg
	at := func(off int) string { return s.name(sc, r.addr(off)) }
	return []field{
		{"ethernet source", hex.EncodeToString(r.srcMAC[:])},
		{"ethernet destination", hex.EncodeToString(r.dstMAC[:])},
		{"source address", r.src.String()},
		{"source port", strconv.Itoa(int(r.srcPort))},
		{"destination address", s.name(sc, r.dst)},
		{"destination port", strconv.Itoa(int(r.dstPort))},
		{"op", strconv.Itoa(int(m[0]))},
		{"htype", strconv.Itoa(int(m[1]))},
		{"hlen", strconv.Itoa(int(m[2]))},
		{"hops", strconv.Itoa(int(m[offHops]))},
		{"xid", hex.EncodeToString(m[offXID:offSecs])},
		{"secs", strconv.Itoa(int(binary.BigEndian.Uint16(m[offSecs:])))},
		{"flags", fmt.Sprintf("%#04x", binary.BigEndian.Uint16(m[offFlags:]))},
		{"ciaddr", at(offCIAddr)},
		{"yiaddr", at(offYIAddr)},
		{"siaddr", at(offSIAddr)},
		{"giaddr", at(offGIAddr)},
		{"chaddr", hex.EncodeToString(m[offCHAddr:offSName])},
		{"sname", fixed(m[offSName:offFile])},
		{"file", fixed(m[offFile:offCookie])},
		{"END", fmt.Sprint(r.ended)},
		{"octets behind END", hex.EncodeToString(r.rest)},
	}
}

// fixed shows a field that zeros fill.
func fixed(b []byte) string {
	b = bytes.TrimRight(b, "\x00")
	if printable(b) {
		return strconv.Quote(string(b))
	}
	return hex.EncodeToString(b)
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (o option) String() string {
	switch {
	case o.code == 1 || o.code == 54 || o.code == 50 || o.code == 118:
		if len(o.data) == 4 {
			return netip.AddrFrom4([4]byte(o.data)).String()
		}
	case o.code == 51 || o.code == 58 || o.code == 59:
		if len(o.data) == 4 {
			return strconv.FormatUint(uint64(binary.BigEndian.Uint32(o.data)), 10)
		}
	case len(o.data) > 2 && printable(o.data):
		return strconv.Quote(string(o.data))
	}
	return "0x" + hex.EncodeToString(o.data)
}

// sameOption compares two values; times may differ by a second, as the servers'
// clocks tick between them.
func sameOption(a, b option) bool {
	if bytes.Equal(a.data, b.data) {
		return true
	}
	if timed(a, b) {
		x, y := int64(binary.BigEndian.Uint32(a.data)), int64(binary.BigEndian.Uint32(b.data))
		return x-y <= 1 && y-x <= 1
	}
	return false
}

// everywhere are the differences that so many replies have that they are not
// listed with each.
var everywhere = []string{"broadcast-station-address", "relayed-nak-broadcast-flag"}

// common reports whether the replies differ in the field as everywhere says.
func common(field string, k, p *reply) bool {
	switch field {
	case "ethernet destination":
		return p.dst == broadcastAddr && p.dstMAC == broadcastMAC
	case "flags":
		const broadcast = 0x8000
		of := func(r *reply) uint16 { return binary.BigEndian.Uint16(r.msg[offFlags:]) }
		return p.typeName() == "NAK" && p.addr(offGIAddr) != noAddr && of(p) == of(k)|broadcast
	}
	return false
}

// unlike says how two values differ. Of times, which may be what remains of a
// lease, it says only which is the greater.
func unlike(k, p option) string {
	if timed(k, p) {
		if bytes.Compare(k.data, p.data) < 0 {
			return "kea less, peregrine more"
		}
		return "kea more, peregrine less"
	}
	return fmt.Sprintf("kea %v, peregrine %v", k, p)
}

// timed reports whether both are the same time option.
func timed(a, b option) bool {
	return (a.code == 51 || a.code == 58 || a.code == 59) && a.code == b.code && len(a.data) == 4 && len(b.data) == 4
}

// compare says how the replies differ; nil replies are silence.
func compare(sc *script, kea, ours *side, k, p *reply) []string {
	switch {
	case k == nil && p == nil:
		return nil
	case k == nil:
		return []string{"answer: kea none, peregrine " + p.typeName()}
	case p == nil:
		return []string{"answer: kea " + k.typeName() + ", peregrine none"}
	}
	if a, b := k.typeName(), p.typeName(); a != b {
		return []string{"answer: kea " + a + ", peregrine " + b}
	}
	var out []string
	kf, pf := kea.fields(sc, k), ours.fields(sc, p)
	for i := range kf {
		if kf[i] != pf[i] && !common(kf[i].name, k, p) {
			out = append(out, fmt.Sprintf("%s: kea %s, peregrine %s", kf[i].name, kf[i].value, pf[i].value))
		}
	}
	return append(out, compareOptions(k.opts, p.opts)...)
}

func compareOptions(k, p []option) []string {
	type key struct {
		code byte
		nth  int
	}
	index := func(l []option) (map[key]option, []key) {
		m, order, count := map[key]option{}, []key(nil), map[byte]int{}
		for _, o := range l {
			x := key{o.code, count[o.code]}
			count[o.code]++
			m[x] = o
			order = append(order, x)
		}
		return m, order
	}
	name := func(x key) string {
		if x.nth == 0 {
			return fmt.Sprintf("option %d", x.code)
		}
		return fmt.Sprintf("option %d piece %d", x.code, x.nth+1)
	}
	km, korder := index(k)
	pm, porder := index(p)
	var out []string
	var kcommon, pcommon []string
	for _, x := range korder {
		o, ok := pm[x]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%s: kea %v, peregrine none", name(x), km[x]))
			continue
		case !sameOption(km[x], o):
			out = append(out, name(x)+": "+unlike(km[x], o))
		}
		kcommon = append(kcommon, strconv.Itoa(int(x.code)))
	}
	for _, x := range porder {
		if _, ok := km[x]; !ok {
			out = append(out, fmt.Sprintf("%s: kea none, peregrine %v", name(x), pm[x]))
			continue
		}
		pcommon = append(pcommon, strconv.Itoa(int(x.code)))
	}
	if a, b := strings.Join(kcommon, ","), strings.Join(pcommon, ","); a != b {
		out = append(out, fmt.Sprintf("option order: kea %s, peregrine %s", a, b))
	}
	return out
}
