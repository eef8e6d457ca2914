package optiondef

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// SvcParamKeys of RFC 9460 §14.3.2 and RFC 9461: what option 162 may carry
// (RFC 9463 §3.1), and what has a name but no place there.
const (
	svcALPN    = 1
	svcPort    = 3
	svcDoHPath = 7
)

var svcKeys = map[string]int{
	"mandatory": 0, "alpn": svcALPN, "no-default-alpn": 2, "port": svcPort, "ipv4hint": 4, "ech": 5, "ipv6hint": 6, "dohpath": svcDoHPath, "ohttp": 8,
}

// alpnIDs are the protocols of the IANA registry "TLS ALPN Protocol IDs".
var alpnIDs = []string{
	"acme-tls/1", "c-webrtc", "coap", "dicom", "doq", "dot", "ftp", "h2", "h2c", "h3", "http/0.9", "http/1.0", "http/1.1", "imap", "irc",
	"managesieve", "mqtt", "nnsp", "nntp", "ntske/1", "pop3", "sip/2", "smb", "spdy/1", "spdy/2", "spdy/3", "stun.nat-discovery", "stun.turn",
	"sunrpc", "tds/8.0", "webrtc", "xmpp-client", "xmpp-server",
}

// encodeDNR encodes option 162 from Kea's notation (V4-103): instances divided by
// |, each "PRIORITY, NAME[, ADDRESS ADDRESS ...[, KEY=VALUE KEY=VALUE ...]]". Commas
// and bars inside values are escaped with a backslash.
func encodeDNR(text string) ([]byte, error) {
	// Kea splits at commas before it looks for bars, so that what is empty
	// between commas vanishes first.
	vals := splitEscaped(text, ',')
	for i := range vals {
		vals[i] = strings.ReplaceAll(vals[i], ",", `\,`)
	}
	b := []byte{}
	for _, inst := range splitEscaped(strings.Join(vals, ","), '|') {
		one, err := encodeDNRInstance(inst, false)
		if err != nil {
			return nil, err
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(one)))
		b = append(b, one...)
	}
	if len(b) == 0 {
		return nil, errors.New(`data must be "PRIORITY, NAME, ADDRESSES, PARAMETERS", instances divided by |`)
	}
	return b, nil
}

// encodeDNRInstance encodes one instance, without its length: in DHCPv6 (RFC 9463
// §4.1) an option has one of them, and lengths of two octets in it.
func encodeDNRInstance(text string, v6 bool) ([]byte, error) {
	f := splitEscaped(text, ',')
	if len(f) < 2 || len(f) > 4 {
		return nil, fmt.Errorf("an instance has a priority and a name, then perhaps addresses and parameters, not %d fields", len(f))
	}
	prio, err := strconv.ParseUint(strings.TrimSpace(f[0]), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("expected %s as priority, not %q", expected(Uint16), keajson.Clip(strings.TrimSpace(f[0])))
	}
	name, err := appendName(nil, strings.ToLower(strings.TrimSpace(f[1])))
	if err != nil {
		return nil, err
	}
	size, family, most := 4, IPv4, 63
	appendLen := func(b []byte, n int) []byte { return append(b, byte(n)) }
	if v6 {
		size, family, most = 16, IPv6, 4095
		appendLen = func(b []byte, n int) []byte { return binary.BigEndian.AppendUint16(b, uint16(n)) }
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(prio))
	b = append(appendLen(b, len(name)), name...)
	if len(f) == 2 {
		return b, nil // the name alone: ADN-only mode
	}
	addrs := strings.Fields(f[2])
	if len(addrs) == 0 || len(addrs) > most {
		return nil, fmt.Errorf("an instance has 1 to %d addresses, not %d", most, len(addrs))
	}
	b = appendLen(b, size*len(addrs))
	for _, s := range addrs {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4() == v6 || a.Zone() != "" {
			return nil, fmt.Errorf("expected %s, not %q", expected(family), keajson.Clip(s))
		}
		b = append(b, a.AsSlice()...)
	}
	if len(f) == 4 {
		return appendSvcParams(b, f[3])
	}
	return b, nil
}

// appendSvcParams encodes "alpn=dot,doq port=853 dohpath=/q{?dns}" by ascending key.
func appendSvcParams(b []byte, text string) ([]byte, error) {
	vals := map[int][]byte{}
	http := false
	for _, pair := range strings.Fields(text) {
		name, val, ok := strings.Cut(pair, "=")
		key, known := svcKeys[name]
		switch {
		case !ok || name == "" || val == "" || strings.Contains(val, "="):
			return nil, fmt.Errorf("expected a parameter as KEY=VALUE, not %q", keajson.Clip(pair))
		case !known:
			return nil, fmt.Errorf("unknown parameter %q: alpn, port and dohpath are possible", keajson.Clip(name))
		case key != svcALPN && key != svcPort && key != svcDoHPath:
			return nil, fmt.Errorf("parameter %q has no place here: alpn, port and dohpath are possible", name)
		case vals[key] != nil:
			return nil, fmt.Errorf("parameter %q is given twice", name)
		}
		switch key {
		case svcALPN:
			ids := []byte{}
			for _, id := range strings.Split(val, ",") {
				if id == "" {
					continue
				}
				if !slices.Contains(alpnIDs, id) {
					return nil, fmt.Errorf("alpn: %q is not in the registry of ALPN protocol identifiers", keajson.Clip(id))
				}
				http = http || id[0] == 'h'
				ids = append(append(ids, byte(len(id))), id...)
			}
			vals[key] = ids
		case svcPort:
			p, err := strconv.ParseUint(val, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("port: expected %s, not %q", expected(Uint16), keajson.Clip(val))
			}
			vals[key] = binary.BigEndian.AppendUint16(nil, uint16(p))
		case svcDoHPath:
			if !strings.Contains(val, "{?dns}") {
				return nil, fmt.Errorf("dohpath: %q must have the variable {?dns} (RFC 9461 §5)", keajson.Clip(val))
			}
			vals[key] = []byte(val)
		}
	}
	if http && vals[svcDoHPath] == nil {
		return nil, errors.New("alpn names HTTP, so dohpath must be there too (RFC 9461 §5)")
	}
	for _, key := range []int{svcALPN, svcPort, svcDoHPath} {
		if v := vals[key]; v != nil {
			b = binary.BigEndian.AppendUint16(b, uint16(key))
			b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
			b = append(b, v...)
		}
	}
	return b, nil
}

// checkDNR holds the wire form of option 162 against RFC 9463 §5.1.
func checkDNR(b []byte) error {
	for len(b) > 0 {
		if len(b) < 5 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return errors.New("data ends inside an instance")
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		inst := b[2:n]
		b = b[n:]
		if len(inst) < 3 || len(inst) < 3+int(inst[2]) {
			return errors.New("the name reaches past its instance")
		}
		l := 3 + int(inst[2])
		if end, err := nameLen(inst[3:l]); err != nil {
			return err
		} else if end != l-3 {
			return errors.New("the length of a name is not that of its labels")
		}
		if inst = inst[l:]; len(inst) == 0 {
			continue // ADN-only mode
		}
		if a := int(inst[0]); a == 0 || a%4 != 0 || len(inst) < 1+a {
			return fmt.Errorf("addresses of %d bytes, expected a multiple of 4 inside the instance", a)
		}
		if err := checkSvcParams(inst[1+int(inst[0]):]); err != nil {
			return err
		}
	}
	return nil
}

func checkSvcParams(b []byte) error {
	last := -1
	for len(b) > 0 {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			return errors.New("data ends inside a parameter")
		}
		key := int(binary.BigEndian.Uint16(b))
		switch {
		case key != svcALPN && key != svcPort && key != svcDoHPath:
			return fmt.Errorf("parameter key %d has no place here: 1 (alpn), 3 (port) and 7 (dohpath) are possible", key)
		case key <= last:
			return errors.New("parameters must stand by ascending key, each once")
		}
		last = key
		b = b[4+int(binary.BigEndian.Uint16(b[2:])):]
	}
	return nil
}
