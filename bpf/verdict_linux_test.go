package bpf

import (
	"encoding/binary"
	"slices"
	"testing"
)

// chain applies mutations in turn.
func chain(mutations ...func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, m := range mutations {
			b = m(b)
		}
		return b
	}
}

// withIPOptions puts IPv4 options behind the header of an untagged frame.
func withIPOptions(b []byte) []byte {
	b = slices.Insert(b, offUDP4, 1, 1, 1, 1)
	b[offIP] = 0x46
	binary.BigEndian.PutUint16(b[offIP+2:], binary.BigEndian.Uint16(b[offIP+2:])+4)
	return b
}

func pad(b []byte) []byte { return append(b, make([]byte, 10)...) }

func TestVerdict4(t *testing.T) {
	p := load(t, Options{})
	drop := func(r Reason) outcome { return outcome{FamilyIPv4, ActionDrop, r} }
	pass := func(r Reason) outcome { return outcome{FamilyIPv4, ActionPass, r} }
	served := pass(ReasonNoSocket) // with a socket there it is redirected
	const none = -1                // no message counted

	to := func(dst [4]byte) []byte { q := discover(); q.dst = dst; return q.bytes() }
	tags := func(tpids ...uint16) []byte { q := discover(); q.tags = tpids; return q.bytes() }
	options := func(opts ...[]byte) []byte { q := discover(); q.opts = slices.Concat(opts...); return q.bytes() }
	many := func(n int) []byte {
		q := discover()
		q.opts = nil
		for range n {
			q.opts = append(q.opts, opt4(12, 'x')...)
		}
		q.opts = append(q.opts, opts4(opt4(53, typeReq))...)
		return q.bytes()
	}
	lenIP := func(b []byte) int { return len(b) - offIP }
	base := discover().bytes()

	for _, tt := range []struct {
		name    string
		packet  []byte
		mutate  func([]byte) []byte
		want    outcome
		msgType int
	}{
		{"discover", base, nil, served, typeDisc},
		{"to our address", to(serverAddr4), nil, served, typeDisc},
		{"to our subnet broadcast", to(serverBcast), nil, served, typeDisc},
		{"renewal", renewal().bytes(), nil, served, typeReq},
		{"relayed", relayed([4]byte{10, 0, 0, 1}).bytes(), nil, served, typeDisc},
		{"ethernet padding", base, pad, served, typeDisc},
		{"vlan", tags(0x8100), nil, served, typeDisc},
		{"service vlan", tags(0x88a8), nil, served, typeDisc},
		{"qinq", tags(0x88a8, 0x8100), nil, served, typeDisc},
		{"two customer vlans", tags(0x8100, 0x8100), nil, served, typeDisc},
		{"don't fragment", base, resum(put(offIP+6, 0x40)), served, typeDisc},
		{"udp length below ip's", base, resum(put16(offIP+2, uint16(lenIP(base)+10)), pad), served, typeDisc},
		{"hlen 16", base, put(offDHCP4+2, 16), served, typeDisc},
		{"hlen 20", base, put(offDHCP4+2, 20), served, typeDisc},
		{"hlen 0", base, put(offDHCP4+2, 0), served, typeDisc},
		{"no options at all", base, resum(cut(offOpts4), put16(offIP+2, 268), put16(offUDP4+4, 248)), served, 0},
		{"source port", base, put16(offUDP4, 12345), served, typeDisc},

		{"type behind pads", options([]byte{0, 0, 0}, opts4(opt4(53, typeReq))), nil, served, typeReq},
		{"type at the very end", options(opt4(55, 1), opt4(53, typeReq)), nil, served, typeReq},
		{"first type counts", options(opts4(opt4(53, typeReq), opt4(53, typeDisc))), nil, served, typeReq},
		{"type inside another option", options(opts4(opt4(43, 53, 1, 1))), nil, served, 0},
		{"type behind the end", options([]byte{255}, opt4(53, typeDisc)), nil, served, 0},
		{"type of length 2", options(opts4(opt4(53, 1, 1))), nil, served, 0},
		{"type of length 0", options(opts4(opt4(53))), nil, served, 0},
		{"type cut off", options([]byte{53, 1}), nil, served, 0},
		{"option longer than the message", options([]byte{12, 200}, opts4(opt4(53, typeDisc))), nil, served, 0},
		{"type behind padding of the frame", base, chain(cut(offOpts4), func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[offIP+2:], 268)
			binary.BigEndian.PutUint16(b[offUDP4+4:], 248)
			sumIP(b[offIP : offIP+20])
			return append(b, 53, 1, 1, 255)
		}), served, 0},
		{"type's value behind the message", options([]byte{53, 1}), func(b []byte) []byte { return append(b, typeDisc) }, served, 0},
		{"type as 64th option", many(63), nil, served, typeReq},
		{"type as 65th option", many(64), nil, served, 0},
		{"large type", options(opts4(opt4(53, 200))), nil, served, 63},

		{"arp", base, put16(12, 0x0806), outcome{FamilyNone, ActionPass, ReasonNotIP}, none},
		{"three tags", tags(0x88a8, 0x8100, 0x8100), nil, outcome{FamilyNone, ActionPass, ReasonVLANDepth}, none},
		{"unknown tag", tags(0x9100), nil, outcome{FamilyNone, ActionPass, ReasonNotIP}, none},
		{"cut in the first tag", tags(0x8100), cut(16), outcome{FamilyNone, ActionPass, ReasonTruncatedFrame}, none},
		{"cut in the second tag", tags(0x88a8, 0x8100), cut(21), outcome{FamilyNone, ActionPass, ReasonTruncatedFrame}, none},
		{"cut behind ethernet", base, cut(14), pass(ReasonTruncatedFrame), none},
		{"cut in the ip header", base, cut(offUDP4 - 1), pass(ReasonTruncatedFrame), none},
		{"tcp", base, resum(put(offIP+9, 6)), pass(ReasonNotUDP), none},
		{"dns", base, put16(offUDP4+2, 53), pass(ReasonOtherPort), none},
		{"to a client's port", base, put16(offUDP4+2, 68), pass(ReasonOtherPort), none},
		{"to another address", to([4]byte{192, 0, 2, 2}), nil, pass(ReasonOtherAddress), none},
		{"bad header to another address", to([4]byte{192, 0, 2, 2}), put(offIP, 0x44), pass(ReasonOtherAddress), none},
		{"malformed to another port", base, chain(put16(offUDP4+2, 53), put16(offIP+2, 1)), pass(ReasonOtherPort), none},
		{"first fragment", base, resum(put(offIP+6, 0x20, 0)), pass(ReasonFragment), none},
		{"later fragment", base, resum(put(offIP+6, 0, 0x10)), pass(ReasonFragment), none},
		{"fragment to another address", to([4]byte{192, 0, 2, 2}), resum(put(offIP+6, 0x20, 0)), pass(ReasonOtherAddress), none},
		{"ip options", base, withIPOptions, pass(ReasonIPOptions), none},
		{"ip options, another port", base, chain(put16(offUDP4+2, 53), withIPOptions), pass(ReasonOtherPort), none},

		{"version 5", base, resum(put(offIP, 0x55)), drop(ReasonBadIPHeader), none},
		{"ihl 4", base, resum(put(offIP, 0x44)), drop(ReasonBadIPHeader), none},
		{"ihl 0", base, resum(put(offIP, 0x40)), drop(ReasonBadIPHeader), none},
		{"ihl beyond the frame", base, chain(cut(60), put(offIP, 0x4f)), drop(ReasonBadIPLength), none},
		{"total length beyond the frame", base, resum(put16(offIP+2, uint16(lenIP(base)+1))), drop(ReasonBadIPLength), none},
		{"total length below headers", base, resum(put16(offIP+2, 27)), drop(ReasonBadIPLength), none},
		{"cut in the udp header", base, cut(offUDP4 + 4), drop(ReasonBadIPLength), none},
		{"cut in the message", base, cut(offDHCP4 + 100), drop(ReasonBadIPLength), none},
		{"cut by one", base, cut(len(base) - 1), drop(ReasonBadIPLength), none},
		{"ip checksum", base, put(offIP+10, 0xab, 0xcd), drop(ReasonBadIPChecksum), none},
		{"ttl changed", base, put(offIP+8, 63), drop(ReasonBadIPChecksum), none},
		{"udp length beyond ip's", base, put16(offUDP4+4, uint16(lenIP(base)-19)), drop(ReasonBadUDPLength), none},
		{"udp length 7", base, put16(offUDP4+4, 7), drop(ReasonBadUDPLength), none},
		{"message of 239 bytes", base, put16(offUDP4+4, 8+239), drop(ReasonShortMessage), none},
		{"no message", base, resum(cut(offDHCP4), put16(offIP+2, 28), put16(offUDP4+4, 8)), drop(ReasonShortMessage), none},
		{"bootreply", base, put(offDHCP4, 2), drop(ReasonBadOp), none},
		{"op 0", base, put(offDHCP4, 0), drop(ReasonBadOp), none},
		{"hlen 21", base, put(offDHCP4+2, 21), drop(ReasonBadHLen), none},
		{"cookie", base, put(offDHCP4+236, 0), drop(ReasonBadCookie), none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			b := slices.Clone(tt.packet)
			if tt.mutate != nil {
				b = tt.mutate(b)
			}
			got, msgType := p.run(b)
			if got != tt.want || msgType != tt.msgType {
				t.Fatalf("%v, type %d; want %v, type %d", got, msgType, tt.want, tt.msgType)
			}
			if r, m := (&twin{}).decide(b); (outcome{r.family, r.action, r.reason}) != tt.want || m != tt.msgType {
				t.Fatalf("the twin says %v, type %d; want %v, type %d", r, m, tt.want, tt.msgType)
			}
		})
	}
}

func TestVerdict6(t *testing.T) {
	p := load(t, Options{})
	drop := func(r Reason) outcome { return outcome{FamilyIPv6, ActionDrop, r} }
	pass := func(r Reason) outcome { return outcome{FamilyIPv6, ActionPass, r} }
	served := pass(ReasonNoSocket)
	const none = -1

	to := func(dst [16]byte) []byte { q := solicit(); q.dst = dst; return q.bytes() }
	tags := func(tpids ...uint16) []byte { q := solicit(); q.tags = tpids; return q.bytes() }
	msg := func(m []byte) []byte { return packet6{msg: m}.bytes() }
	nested := func(depth int) []byte {
		m := solicit().msg
		for range depth {
			m = relay6([16]byte{}, [16]byte{0xfe, 0x80}, m, opt6(18, 'e', '0'))
		}
		return m
	}
	base := solicit().bytes()
	forw := msg(nested(1))

	for _, tt := range []struct {
		name    string
		packet  []byte
		mutate  func([]byte) []byte
		want    outcome
		msgType int
	}{
		{"solicit", base, nil, served, typeSol},
		{"to our address", to(serverAddr6), nil, served, typeSol},
		{"to all servers", to(allServers5), nil, served, typeSol},
		{"vlan", tags(0x8100), nil, served, typeSol},
		{"qinq", tags(0x88a8, 0x8100), nil, served, typeSol},
		{"ethernet padding", base, pad, served, typeSol},
		{"header only", msg(msg6(typeInf6)), nil, served, typeInf6},
		{"unknown type", msg(msg6(99)), nil, served, 63},
		{"relayed", forw, nil, served, typeSol},
		{"relayed four times", msg(nested(4)), nil, served, typeSol},
		{"relayed five times", msg(nested(5)), nil, served, typeRelay},
		{"relayed without a message", msg(relay6([16]byte{}, [16]byte{}, nil)[:34]), nil, served, typeRelay},
		{"relayed, empty message", msg(relay6([16]byte{}, [16]byte{}, nil)), nil, served, typeRelay},
		{"relayed, message beyond the end", forw, put16(offDHCP6+34+6+2, 0xffff), served, typeRelay},
		{"relayed, message into ethernet padding", forw, chain(put16(offDHCP6+34+6+2, uint16(len(nested(0))+1)), pad), served, typeRelay},
		{"relayed, option beyond the end", forw, put16(offDHCP6+34+2, 0xffff), served, typeRelay},
		{"relayed, inner relay short", msg(relay6([16]byte{}, [16]byte{}, []byte{typeRelay, 0, 0, 0})), nil, served, typeRelay},

		{"cut in the ip header", base, cut(offUDP6 - 1), pass(ReasonTruncatedFrame), none},
		{"cut behind ethernet", base, cut(14), pass(ReasonTruncatedFrame), none},
		{"tcp", base, put(offIP+6, 6), pass(ReasonNotUDP), none},
		{"icmpv6", base, put(offIP+6, 58), pass(ReasonNotUDP), none},
		{"to a client's port", base, put16(offUDP6+2, 546), pass(ReasonOtherPort), none},
		{"to another address", to([16]byte{0x20, 1, 0xd, 0xb8, 15: 2}), nil, pass(ReasonOtherAddress), none},
		{"to another group", to([16]byte{0xff, 2, 13: 1, 15: 3}), nil, pass(ReasonOtherAddress), none},
		{"fragment", base, put(offIP+6, 44), pass(ReasonFragment), none},
		{"hop by hop", base, put(offIP+6, 0), pass(ReasonIPOptions), none},
		{"destination options", base, put(offIP+6, 60), pass(ReasonIPOptions), none},
		{"routing", base, put(offIP+6, 43), pass(ReasonIPOptions), none},
		{"hop by hop to another address", to([16]byte{0xff, 2, 15: 0x16}), put(offIP+6, 0), pass(ReasonOtherAddress), none},

		{"version 4", base, put(offIP, 0x40), drop(ReasonBadIPHeader), none},
		{"payload beyond the frame", base, put16(offIP+4, uint16(len(base)-offUDP6+1)), drop(ReasonBadIPLength), none},
		{"payload 0", base, put16(offIP+4, 0), drop(ReasonBadIPLength), none},
		{"payload 7", base, put16(offIP+4, 7), drop(ReasonBadIPLength), none},
		{"cut in the udp header", base, cut(offUDP6 + 4), drop(ReasonBadIPLength), none},
		{"cut by one", base, cut(len(base) - 1), drop(ReasonBadIPLength), none},
		{"udp length beyond ip's", base, put16(offUDP6+4, uint16(len(base)-offUDP6+1)), drop(ReasonBadUDPLength), none},
		{"udp length 7", base, put16(offUDP6+4, 7), drop(ReasonBadUDPLength), none},
		{"message of 3 bytes", base, put16(offUDP6+4, 11), drop(ReasonShortMessage), none},
		{"relay message of 33 bytes", forw, put16(offUDP6+4, 8+33), drop(ReasonShortMessage), none},
		{"advertise", base, put(offDHCP6, 2), drop(ReasonBadOp), none},
		{"reply", base, put(offDHCP6, 7), drop(ReasonBadOp), none},
		{"reconfigure", base, put(offDHCP6, 10), drop(ReasonBadOp), none},
		{"relay-repl", base, put(offDHCP6, 13), drop(ReasonBadOp), none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			b := slices.Clone(tt.packet)
			if tt.mutate != nil {
				b = tt.mutate(b)
			}
			got, msgType := p.run(b)
			if got != tt.want || msgType != tt.msgType {
				t.Fatalf("%v, type %d; want %v, type %d", got, msgType, tt.want, tt.msgType)
			}
			if r, m := (&twin{}).decide(b); r != tt.want || m != tt.msgType {
				t.Fatalf("the twin says %v, type %d; want %v, type %d", r, m, tt.want, tt.msgType)
			}
		})
	}
}

// What is set decides what is ours.
func TestInterfaceAndAddresses(t *testing.T) {
	p := load(t, Options{})
	v4, v6 := renewal().bytes(), func() []byte { q := solicit(); q.dst = serverAddr6; return q.bytes() }()

	set := func(c InterfaceConfig) { t.Helper(); p.check(p.SetInterface(testIf, c)) }
	both := InterfaceConfig{Queues: 1, SocketsPerQueue: 1, Enabled4: true, Enabled6: true}

	only4 := both
	only4.Enabled6 = false
	set(only4)
	p.wantReasons(v4, ReasonNoSocket)
	p.wantReasons(v6, ReasonInterfaceOff)
	only6 := both
	only6.Enabled4 = false
	set(only6)
	p.wantReasons(v4, ReasonInterfaceOff)
	p.wantReasons(v6, ReasonNoSocket)
	set(InterfaceConfig{Enabled4: true, Enabled6: true})
	p.wantReasons(v4, ReasonQueueUnused)
	p.wantReasons(v6, ReasonQueueUnused)

	set(both)
	p.check(p.SetAddrs4(testIf, [][4]byte{{10, 0, 0, 1}, {10, 0, 0, 1}}))
	p.wantReasons(v4, ReasonOtherAddress)
	p.check(p.SetAddrs4(testIf, [][4]byte{{10, 0, 0, 2}, serverAddr4}))
	p.wantReasons(v4, ReasonNoSocket)
	p.check(p.SetAddrs4(testIf+1, [][4]byte{{10, 0, 0, 3}}))
	p.wantReasons(v4, ReasonNoSocket)
	p.check(p.SetAddrs4(testIf, nil))
	p.wantReasons(v4, ReasonOtherAddress)
	p.check(p.SetAddrs4(testIf+1, [][4]byte{serverAddr4}))
	p.wantReasons(v4, ReasonOtherAddress) // another interface's
	p.check(p.SetAddrs6(testIf, nil))
	p.wantReasons(v6, ReasonOtherAddress)
	p.check(p.SetAddrs6(testIf, [][16]byte{serverAddr6}))
	p.wantReasons(v6, ReasonNoSocket)

	p.check(p.DeleteInterface(testIf))
	p.check(p.DeleteInterface(testIf))
	p.wantReasons(v4, ReasonInterfaceOff)
	set(both)
	p.wantReasons(v6, ReasonOtherAddress) // its addresses are gone with it
}

func TestPorts(t *testing.T) {
	p := load(t, Options{Port4: 10067, Port6: 10547})
	p.wantReasons(discover().bytes(), ReasonOtherPort)
	p.wantReasons(put16(offUDP4+2, 10067)(discover().bytes()), ReasonNoSocket)
	p.wantReasons(solicit().bytes(), ReasonOtherPort)
	p.wantReasons(put16(offUDP6+2, 10547)(solicit().bytes()), ReasonNoSocket)
}

// Before anything is set everything passes.
func TestFreshlyLoaded(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skipf("cannot load XDP programs here: %v", err)
	}
	x, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	p := &program{x, t}
	p.wantReasons(discover().bytes(), ReasonInterfaceOff)
	p.wantReasons(put(offDHCP4, 2)(discover().bytes()), ReasonInterfaceOff)
	p.wantReasons(solicit().bytes(), ReasonInterfaceOff)
}
