package differential

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// packet is a message and whence it is sent.
type packet struct {
	srcMAC, dstMAC   [6]byte
	src, dst         netip.Addr
	srcPort, dstPort uint16
	msg              []byte
}

var (
	broadcastMAC  = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	broadcastAddr = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	noAddr        = netip.IPv4Unspecified()
	relayMAC      = [6]byte{0x02, 0xfe, 0, 0, 0, 1}
)

// header offsets (RFC 2131 §2).
const (
	offHops   = 3
	offXID    = 4
	offSecs   = 8
	offFlags  = 10
	offCIAddr = 12
	offYIAddr = 16
	offSIAddr = 20
	offGIAddr = 24
	offCHAddr = 28
	offSName  = 44
	offFile   = 108
	offCookie = 236
	headerLen = 240
)

var magicCookie = []byte{99, 130, 83, 99}

// aliases are the arguments that mean an option.
var aliases = map[string]int{
	"req": 50, "lifetime": 51, "overload": 52, "sid": 54, "prl": 55, "max": 57, "t1": 58, "t2": 59,
	"vendor": 60, "cid": 61, "host": 12, "link": 118,
}

// errUnset says that a variable has no value, because no reply gave it one.
var errUnset = errors.New("no reply gave a value for")

// clientMAC is client n of a conversation.
func clientMAC(conversation, n int) [6]byte {
	return [6]byte{0x02, byte(conversation >> 8), byte(conversation), 0, 0, byte(n)}
}

// build makes the packet of a step. vars gives the value of a variable.
func build(st *step, conversation int, xid uint32, serverMAC [6]byte, vars func(string) (string, error)) (*packet, error) {
	p := &packet{src: noAddr, dst: broadcastAddr, srcPort: 68, dstPort: 67}
	m := make([]byte, headerLen)
	m[0], m[1], m[2] = 1, 1, 6
	binary.BigEndian.PutUint32(m[offXID:], xid)
	copy(m[offCookie:], magicCookie)
	mac := clientMAC(conversation, 1)
	var opts []byte
	msgType := conversationVerbs[st.verb]
	if msgType > 0 {
		opts = append(opts, 53, 1, byte(msgType))
	}
	end := true
	pad, cut := 0, -1
	var srcMACSet, relayed bool
	var fromSet, toSet, unicast bool
	var raw []byte

	for _, t := range st.args {
		val, err := substitute(t.val, vars)
		if err != nil {
			return nil, err
		}
		number := func(bits int) uint64 {
			var n uint64
			if n, err = strconv.ParseUint(val, 0, bits); err != nil {
				err = fmt.Errorf("%s=%s: %w", t.key, val, err)
			}
			return n
		}
		address := func() netip.Addr {
			var a netip.Addr
			if a, err = netip.ParseAddr(val); err != nil || !a.Is4() {
				err = fmt.Errorf("%s=%s is no IPv4 address", t.key, val)
				a = noAddr
			}
			return a
		}
		putAddr := func(off int) {
			a := address().As4()
			copy(m[off:], a[:])
		}
		octets := func() []byte {
			var b []byte
			if b, err = value(val, 0); err != nil {
				err = fmt.Errorf("%s: %w", t.key, err)
			}
			return b
		}
		switch t.key {
		case "client":
			mac = clientMAC(conversation, int(number(8)))
		case "mac":
			b := octets()
			if len(b) != 6 && err == nil {
				err = fmt.Errorf("mac=%s has not six octets", val)
			}
			copy(mac[:], b)
		case "chaddr": // all sixteen octets, beside hlen
			copy(m[offCHAddr:offSName], octets())
			srcMACSet = true
		case "op":
			m[0] = byte(number(8))
		case "htype":
			m[1] = byte(number(8))
		case "hlen":
			m[2] = byte(number(8))
		case "hops":
			m[offHops] = byte(number(8))
		case "secs":
			binary.BigEndian.PutUint16(m[offSecs:], uint16(number(16)))
		case "flags":
			binary.BigEndian.PutUint16(m[offFlags:], uint16(number(16)))
		case "bcast":
			m[offFlags] |= 0x80
		case "ciaddr":
			putAddr(offCIAddr)
		case "yiaddr":
			putAddr(offYIAddr)
		case "siaddr":
			putAddr(offSIAddr)
		case "giaddr":
			putAddr(offGIAddr)
			relayed = true
			if !fromSet {
				p.src = address()
			}
		case "from":
			p.src, fromSet = address(), true
		case "to":
			p.dst, toSet = address(), true
		case "unicast":
			unicast = true
		case "sport":
			p.srcPort = uint16(number(16))
		case "sname":
			copy(m[offSName:offFile], octets())
		case "file":
			copy(m[offFile:offCookie], octets())
		case "cookie":
			copy(m[offCookie:headerLen], octets())
		case "raw": // octets among the options
			opts = append(opts, octets()...)
		case "msg": // the whole message, of a hex step
			raw = octets()
		case "noend":
			end = false
		case "pad": // octets behind END
			pad = int(number(10))
		case "cut": // length of the message
			cut = int(number(12))
		case "rai":
			var b []byte
			if b, err = subOptions(val); err == nil {
				opts = appendOption(opts, 82, b)
			}
		default:
			code, ok := aliases[t.key]
			if !ok {
				n, perr := strconv.ParseUint(t.key, 10, 8)
				if perr != nil {
					return nil, fmt.Errorf("%q is no argument", t.key)
				}
				code = int(n)
			}
			var b []byte
			if b, err = value(val, code); err == nil {
				opts = appendOption(opts, byte(code), b)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if !srcMACSet {
		copy(m[offCHAddr:], mac[:])
	}
	if end {
		opts = append(opts, 255)
	}
	p.msg = append(m, opts...)
	p.msg = append(p.msg, make([]byte, pad)...)
	if raw != nil {
		p.msg = raw
	}
	if cut >= 0 {
		p.msg = p.msg[:min(cut, len(p.msg))]
	}
	p.srcMAC, p.dstMAC = mac, broadcastMAC
	if relayed {
		p.srcMAC = relayMAC
		if p.srcPort == 68 {
			p.srcPort = 67
		}
	}
	if (relayed || unicast) && !toSet {
		p.dst = serverAddr
	}
	if p.dst != broadcastAddr {
		p.dstMAC = serverMAC
	}
	return p, nil
}

// substitute replaces $name by the variable's value; quoted text stays.
func substitute(s string, vars func(string) (string, error)) (string, error) {
	if !strings.Contains(s, "$") || strings.HasPrefix(s, `"`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' {
			b.WriteByte(s[i])
			continue
		}
		j := i + 1
		for j < len(s) && (s[j] >= 'a' && s[j] <= 'z' || s[j] >= '0' && s[j] <= '9') {
			j++
		}
		v, err := vars(s[i+1 : j])
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		i = j - 1
	}
	return b.String(), nil
}

// value reads the octets of an option: "text", 0x hexadecimal, hexadecimal pairs
// with colons, addresses, or numbers with commas, of one octet each but for the
// options that have wider ones. A "+" puts parts together and "*N" repeats one.
func value(s string, code int) ([]byte, error) {
	var out []byte
	for _, part := range splitOutside(s, '+') {
		times := 1
		if i := strings.LastIndexByte(part, '*'); i > 0 && !strings.HasSuffix(part, `"`) {
			n, err := strconv.Atoi(part[i+1:])
			if err != nil || n > 4096 {
				return nil, fmt.Errorf("bad count in %q", part)
			}
			part, times = part[:i], n
		}
		b, err := plain(part, code)
		if err != nil {
			return nil, err
		}
		for range times {
			out = append(out, b...)
		}
	}
	return out, nil
}

func plain(s string, code int) ([]byte, error) {
	switch {
	case s == "":
		return nil, nil
	case len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"':
		return []byte(s[1 : len(s)-1]), nil
	case strings.HasPrefix(s, "0x"):
		return hex.DecodeString(s[2:])
	case strings.Contains(s, ":"):
		return hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	}
	var out []byte
	for _, f := range strings.Split(s, ",") {
		if strings.Count(f, ".") == 3 {
			a, err := netip.ParseAddr(f)
			if err != nil {
				return nil, err
			}
			out = append(out, a.AsSlice()...)
			continue
		}
		n, err := strconv.ParseUint(f, 0, 32)
		if err != nil {
			return nil, err
		}
		switch width := numberWidth(code); {
		case width == 4:
			out = binary.BigEndian.AppendUint32(out, uint32(n))
		case width == 2 && n <= 0xffff:
			out = binary.BigEndian.AppendUint16(out, uint16(n))
		case width == 1 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("%d is too great for option %d", n, code)
		}
	}
	return out, nil
}

func numberWidth(code int) int {
	switch code {
	case 51, 58, 59, 2, 24, 35, 38, 91, 108:
		return 4
	case 57, 13, 22, 26:
		return 2
	}
	return 1
}

// subOptions reads code:value parts with semicolons, as in 1:"port 7";5:10.0.0.1.
func subOptions(s string) ([]byte, error) {
	var out []byte
	for _, part := range splitOutside(s, ';') {
		if part == "" {
			continue
		}
		if v, ok := strings.CutPrefix(part, "raw:"); ok {
			b, err := value(v, 0)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
			continue
		}
		c, v, ok := strings.Cut(part, ":")
		code, err := strconv.ParseUint(c, 10, 8)
		if !ok || err != nil {
			return nil, fmt.Errorf("bad sub-option %q", part)
		}
		b, err := value(v, 0)
		if err != nil {
			return nil, err
		}
		if len(b) > 255 {
			return nil, fmt.Errorf("sub-option %d is too long", code)
		}
		out = append(append(out, byte(code), byte(len(b))), b...)
	}
	return out, nil
}

func splitOutside(s string, sep byte) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// appendOption writes an option, in pieces of 255 octets if it is longer (RFC
// 3396).
func appendOption(b []byte, code byte, val []byte) []byte {
	for len(val) > 255 {
		b = append(append(b, code, 255), val[:255]...)
		val = val[255:]
	}
	return append(append(b, code, byte(len(val))), val...)
}
