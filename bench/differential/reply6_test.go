package differential

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reply6 is one answer of a server.
type reply6 struct {
	from netip.AddrPort
	msg  []byte
}

// part is something in a reply that can be compared: where it is and what it
// says. Numbers are compared apart, with a second of tolerance.
type part struct {
	path, text string
	seconds    []uint32
}

func (p part) String() string {
	var b strings.Builder
	b.WriteString(p.text)
	for _, s := range p.seconds {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(int(s)))
	}
	return b.String()
}

func (p part) same(q part) bool {
	if p.text != q.text || len(p.seconds) != len(q.seconds) {
		return false
	}
	for i, s := range p.seconds {
		if q.seconds[i] != s && (s == 0 || q.seconds[i] == 0 || max(s, q.seconds[i])-min(s, q.seconds[i]) > 1) {
			return false
		}
	}
	return true
}

// side6 is what is remembered of one server in a conversation.
type side6 struct {
	seen map[string]string
	vars map[string]string
}

func newSide6() *side6 { return &side6{seen: map[string]string{}, vars: map[string]string{}} }

func (s *side6) value(name string) (string, error) {
	if v, ok := s.vars[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("%w $%s", errUnset, name)
}

// name is an address or prefix as it is compared, see side.name.
func (s *side6) name(sc *script, a netip.Addr, text, kind string) string {
	if !sc.isMapped(a) {
		return text
	}
	n, ok := s.seen[text]
	if !ok {
		count := 1
		for _, v := range s.seen {
			if v[0] == kind[0] {
				count++
			}
		}
		n = kind + strconv.Itoa(count)
		s.seen[text] = n
		s.vars[n] = text
	}
	return n
}

var typeNames6 = func() map[byte]string {
	m := map[byte]string{}
	for name, n := range conversationVerbs6 {
		m[byte(n)] = name
	}
	return m
}()

// parts takes a reply apart; naming addresses as they appear.
func (s *side6) parts(sc *script, r *reply6) (out []part, typ string, err error) {
	add := func(path, text string, seconds ...uint32) { out = append(out, part{path, text, seconds}) }
	from := "link-local address"
	if !r.from.Addr().IsLinkLocalUnicast() {
		from = r.from.Addr().String()
	}
	add("source", fmt.Sprintf("%s port %d", from, r.from.Port()))
	b, path := r.msg, ""
	for len(b) > 0 && b[0] == 13 {
		if len(b) < 34 {
			return nil, "", errors.New("a short RELAY-REPL")
		}
		path += "relay "
		add(path+"hops", strconv.Itoa(int(b[1])))
		add(path+"link", netip.AddrFrom16([16]byte(b[2:18])).String())
		add(path+"peer", netip.AddrFrom16([16]byte(b[18:34])).String())
		var inner []byte
		if err := walk6(b[34:], func(code int, data []byte) error {
			if code == 9 {
				inner = data
			} else {
				add(path+"option "+strconv.Itoa(code), hex.EncodeToString(data))
			}
			return nil
		}); err != nil {
			return nil, "", err
		}
		if inner == nil {
			return nil, "", errors.New("a RELAY-REPL without message")
		}
		b = inner
	}
	if len(b) < 4 {
		return nil, "", errors.New("a short message")
	}
	typ = typeNames6[b[0]]
	add(path+"type", typ)
	err = walk6(b[4:], func(code int, data []byte) error {
		p := path + "option " + strconv.Itoa(code)
		switch code {
		case 3, 25:
			if len(data) < 12 {
				return errors.New("a short IA")
			}
			p += fmt.Sprintf(" iaid %d", binary.BigEndian.Uint32(data))
			add(p, "T1 T2", binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:]))
			return walk6(data[12:], func(code int, data []byte) error { return s.iaPart(sc, add, p, code, data) })
		case 13:
			if len(data) < 2 {
				return errors.New("a short status")
			}
			add(p, strconv.Itoa(int(binary.BigEndian.Uint16(data))))
		default:
			add(p, hex.EncodeToString(data))
		}
		return nil
	})
	// What appears twice is numbered.
	count := map[string]int{}
	for i := range out {
		count[out[i].path]++
		if c := count[out[i].path]; c > 1 {
			out[i].path += " again " + strconv.Itoa(c-1)
		}
	}
	return out, typ, err
}

func (s *side6) iaPart(sc *script, add func(string, string, ...uint32), p string, code int, data []byte) error {
	switch {
	case code == 5 && len(data) >= 24:
		a := netip.AddrFrom16([16]byte(data))
		s.vars["addr"] = a.String()
		p += " address " + s.name(sc, a, a.String(), "a")
		add(p, "lifetimes", binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:]))
		return walk6(data[24:], func(code int, data []byte) error { return s.iaPart(sc, add, p, code, data) })
	case code == 26 && len(data) >= 25:
		a := netip.AddrFrom16([16]byte(data[9:]))
		text := fmt.Sprintf("%v/%d", a, data[8])
		s.vars["prefix"] = text
		p += " prefix " + s.name(sc, a, text, "p")
		add(p, "lifetimes", binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]))
		return walk6(data[25:], func(code int, data []byte) error { return s.iaPart(sc, add, p, code, data) })
	case code == 13 && len(data) >= 2:
		// The texts are each server's own.
		add(p+" status", strconv.Itoa(int(binary.BigEndian.Uint16(data))))
	default:
		add(p+" option "+strconv.Itoa(code), hex.EncodeToString(data))
	}
	return nil
}

func walk6(b []byte, f func(code int, data []byte) error) error {
	for len(b) > 0 {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			return fmt.Errorf("an option is cut off: %x", b)
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if err := f(int(binary.BigEndian.Uint16(b)), b[4:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// compare6 lists how two replies differ, nil being silence.
func compare6(sc *script, kea, ours *side6, k, p *reply6) ([]string, error) {
	name := func(s *side6, r *reply6) ([]part, string, error) {
		if r == nil {
			return nil, "none", nil
		}
		return s.parts(sc, r)
	}
	kp, kt, kerr := name(kea, k)
	pp, pt, perr := name(ours, p)
	if err := errors.Join(kerr, perr); err != nil {
		return nil, err
	}
	if kt != pt {
		return []string{"answer: kea " + kt + ", peregrine " + pt}, nil
	}
	find := func(l []part, path string) int {
		return slices.IndexFunc(l, func(x part) bool { return x.path == path })
	}
	var out, korder, porder []string
	for _, x := range kp {
		switch i := find(pp, x.path); {
		case i < 0:
			out = append(out, fmt.Sprintf("%s: kea %v, peregrine none", x.path, x))
		case !x.same(pp[i]):
			out = append(out, fmt.Sprintf("%s: kea %v, peregrine %v", x.path, x, pp[i]))
			korder = append(korder, x.path)
		default:
			korder = append(korder, x.path)
		}
	}
	for _, x := range pp {
		if find(kp, x.path) < 0 {
			out = append(out, fmt.Sprintf("%s: kea none, peregrine %v", x.path, x))
			continue
		}
		porder = append(porder, x.path)
	}
	if a, b := strings.Join(korder, ", "), strings.Join(porder, ", "); a != b {
		out = append(out, fmt.Sprintf("order: kea %s; peregrine %s", a, b))
	}
	return out, nil
}

func describe6(sc *script, s *side6, r *reply6) string {
	if r == nil {
		return "none"
	}
	parts, _, err := s.parts(sc, r)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, " %s=%v;", p.path, p)
	}
	return b.String()
}
