package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// packet6 is a message and whence it is sent.
type packet6 struct {
	src, dst netip.Addr
	srcPort  uint16
	msg      []byte
}

var aliases6 = map[string]int{"oro": 6, "pref": 7, "status": 13, "userclass": 15, "vendor": 17, "vclass": 16, "fqdn": 39}

// clientDUID is client n of a conversation, a DUID-LL.
func clientDUID(conversation, n int) []byte {
	m := clientMAC(conversation, n)
	return append([]byte{0, 3, 0, 1}, m[:]...)
}

// clientLL is that client's link-local address, by EUI-64.
func clientLL(conversation, n int) netip.Addr {
	m := clientMAC(conversation, n)
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

func putOption6(b []byte, code int, val []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = binary.BigEndian.AppendUint16(b, uint16(len(val)))
	return append(b, val...)
}

// build6 makes the packet of a step, see testdata/v6/README.md.
func build6(st *step, conversation int, xid uint32, vars func(string) (string, error)) (*packet6, error) {
	n := 1
	for _, t := range st.args {
		if t.key == "client" {
			v, err := strconv.ParseUint(t.val, 0, 8)
			if err != nil {
				return nil, fmt.Errorf("client=%s: %w", t.val, err)
			}
			n = int(v)
		}
	}
	p := &packet6{src: clientLL(conversation, n), dst: allServers6, srcPort: 546}
	duid := clientDUID(conversation, n)
	m := binary.BigEndian.AppendUint32(nil, uint32(conversationVerbs6[st.verb])<<24|xid)
	var opts, raw []byte
	var relays []func([]byte) []byte
	cut, withCID := -1, true
	for _, t := range st.args {
		val, err := substitute(t.val, vars)
		if err != nil {
			return nil, err
		}
		octets := func() []byte {
			b, e := value(val, 0)
			if e != nil {
				err = fmt.Errorf("%s: %w", t.key, e)
			}
			return b
		}
		switch t.key {
		case "client":
		case "duid":
			duid = octets()
		case "nocid":
			withCID = false
		case "sid":
			if id := octets(); val != "" {
				opts = putOption6(opts, 2, id)
			} else {
				opts = putOption6(opts, 2, []byte(serverDUID6))
			}
		case "rapid":
			opts = putOption6(opts, 14, nil)
		case "reconf":
			opts = putOption6(opts, 20, nil)
		case "na", "pd", "ta":
			var b []byte
			if b, err = identityAssociation(t.key, val); err == nil {
				opts = append(opts, b...)
			}
		case "oro":
			var b []byte
			for _, f := range strings.Split(val, ",") {
				c, e := strconv.ParseUint(f, 0, 16)
				err = errors.Join(err, e)
				b = binary.BigEndian.AppendUint16(b, uint16(c))
			}
			opts = putOption6(opts, 6, b)
		case "elapsed":
			c, e := strconv.ParseUint(val, 0, 16)
			err = e
			opts = putOption6(opts, 8, binary.BigEndian.AppendUint16(nil, uint16(c)))
		case "raw":
			opts = append(opts, octets()...)
		case "msg":
			raw = octets()
		case "from":
			p.src, err = netip.ParseAddr(val)
		case "to":
			p.dst, err = netip.ParseAddr(val)
		case "sport":
			c, e := strconv.ParseUint(val, 0, 16)
			err, p.srcPort = e, uint16(c)
		case "cut":
			cut, err = strconv.Atoi(val)
		case "relay":
			var f func([]byte) []byte
			if f, err = relay6(val, p.src, len(relays)); err == nil {
				relays = append(relays, f)
			}
		default:
			code, ok := aliases6[t.key]
			if !ok {
				c, e := strconv.ParseUint(t.key, 10, 16)
				if e != nil {
					return nil, fmt.Errorf("%q is no argument", t.key)
				}
				code = int(c)
			}
			opts = putOption6(opts, code, octets())
		}
		if err != nil {
			return nil, err
		}
	}
	if withCID {
		m = putOption6(m, 1, duid)
	}
	p.msg = append(m, opts...)
	if raw != nil {
		p.msg = raw
	}
	for _, wrap := range relays {
		p.msg = wrap(p.msg)
	}
	if len(relays) > 0 {
		p.src = relaySource
		if p.srcPort == 546 {
			p.srcPort = 547
		}
	}
	if cut >= 0 {
		p.msg = p.msg[:min(cut, len(p.msg))]
	}
	return p, nil
}

// identityAssociation reads IAID@RESOURCE;RESOURCE, each ADDRESS[/PREFERRED/VALID]
// or PREFIX/LENGTH[/PREFERRED/VALID].
func identityAssociation(kind, val string) ([]byte, error) {
	id, list, _ := strings.Cut(val, "@")
	iaid, err := strconv.ParseUint(id, 0, 32)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", kind, val, err)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(iaid))
	code := map[string]int{"na": 3, "ta": 4, "pd": 25}[kind]
	if code != 4 {
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	for _, r := range strings.FieldsFunc(list, func(c rune) bool { return c == ';' }) {
		f := strings.Split(r, "/")
		a, err := netip.ParseAddr(f[0])
		if err != nil {
			return nil, err
		}
		var nums []uint64
		for _, x := range f[1:] {
			n, err := strconv.ParseUint(x, 0, 32)
			if err != nil {
				return nil, err
			}
			nums = append(nums, n)
		}
		length := uint64(0)
		if kind == "pd" {
			if len(nums) == 0 {
				return nil, fmt.Errorf("prefix %s has no length", r)
			}
			length, nums = nums[0], nums[1:]
		}
		nums = append(nums, 0, 0)
		var o []byte
		if kind != "pd" {
			o = append(o, a.AsSlice()...)
		}
		o = binary.BigEndian.AppendUint32(o, uint32(nums[0]))
		o = binary.BigEndian.AppendUint32(o, uint32(nums[1]))
		if kind != "pd" {
			b = putOption6(b, 5, o)
			continue
		}
		b = putOption6(b, 26, append(append(o, byte(length)), a.AsSlice()...))
	}
	return putOption6(nil, code, b), nil
}

// relay6 reads LINK,CODE=VALUE,...: what a relay puts around a message. hops= and
// peer= are header fields; "late" puts the relayed message before the options.
func relay6(val string, client netip.Addr, level int) (func([]byte) []byte, error) {
	parts := splitOutside(val, ',')
	link, err := netip.ParseAddr(parts[0])
	if err != nil {
		return nil, err
	}
	hops, peer, late := level, client, false
	if level > 0 {
		peer = netip.MustParseAddr(fmt.Sprintf("fe80::fff%d", level))
	}
	var opts []byte
	for _, part := range parts[1:] {
		k, v, _ := strings.Cut(part, "=")
		switch k {
		case "hops":
			hops, err = strconv.Atoi(v)
		case "peer":
			peer, err = netip.ParseAddr(v)
		case "late":
			late = true
		default:
			var code uint64
			var b []byte
			if code, err = strconv.ParseUint(k, 10, 16); err == nil {
				b, err = value(v, 0)
			}
			opts = putOption6(opts, int(code), b)
		}
		if err != nil {
			return nil, fmt.Errorf("relay=%s: %w", val, err)
		}
	}
	return func(msg []byte) []byte {
		b := []byte{12, byte(hops)}
		b = append(append(b, link.AsSlice()...), peer.AsSlice()...)
		if late {
			return append(putOption6(b, 9, msg), opts...)
		}
		return putOption6(append(b, opts...), 9, msg)
	}, nil
}
