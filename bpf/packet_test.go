package bpf

import (
	"encoding/binary"
	"slices"
)

// Offsets in the frames of packet4 and packet6 without tags.
const (
	offIP     = 14
	offUDP4   = offIP + 20
	offDHCP4  = offUDP4 + 8
	offOpts4  = offDHCP4 + 240
	offUDP6   = offIP + 40
	offDHCP6  = offUDP6 + 8
	testIf    = 1 // the interface of BPF_PROG_RUN: loopback
	typeDisc  = 1
	typeReq   = 3
	typeInf   = 8
	typeSol   = 1
	typeReq6  = 3
	typeInf6  = 11
	typeRelay = 12
)

// packet4 describes a DHCPv4 request. The zero value is a broadcast without
// options.
type packet4 struct {
	tags           []uint16 // TPIDs
	src, dst       [4]byte
	hlen           uint8
	chaddr         [16]byte
	ciaddr, giaddr [4]byte
	opts           []byte
}

var (
	serverAddr4 = [4]byte{192, 0, 2, 1}
	serverBcast = [4]byte{192, 0, 2, 255}
	serverAddr6 = [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}
	allServers  = [16]byte{0xff, 2, 13: 1, 15: 2}
	allServers5 = [16]byte{0xff, 5, 13: 1, 15: 3}
	clientMAC   = [6]byte{2, 0, 0, 0, 0, 1}
)

// discover is a DISCOVER as clients send it.
func discover() packet4 {
	return packet4{
		hlen:   6,
		chaddr: [16]byte{2, 0, 0, 0, 0, 1},
		opts:   opts4(opt4(53, typeDisc), opt4(61, 1, 2, 0, 0, 0, 0, 1), opt4(55, 1, 3, 6, 15, 51, 58, 59)),
	}
}

// request is a REQUEST, unicast by a client that renews.
func renewal() packet4 {
	p := discover()
	p.opts = opts4(opt4(53, typeReq))
	p.ciaddr = [4]byte{192, 0, 2, 50}
	p.src, p.dst = p.ciaddr, serverAddr4
	return p
}

// relayed is a DISCOVER through a relay.
func relayed(giaddr [4]byte) packet4 {
	p := discover()
	p.giaddr, p.src, p.dst = giaddr, giaddr, serverAddr4
	p.opts = opts4(opt4(53, typeDisc), opt4(82, 1, 2, 'a', 'b', 2, 1, 'c'))
	return p
}

func opt4(code byte, value ...byte) []byte {
	return append([]byte{code, byte(len(value))}, value...)
}

// opts4 joins options and ends them.
func opts4(opts ...[]byte) []byte {
	return append(slices.Concat(opts...), 255)
}

// tagged puts tags with the given TPIDs into an Ethernet header of the EtherType.
func ethernet(tags []uint16, etherType uint16) []byte {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	b = append(b, clientMAC[:]...)
	for i, tpid := range tags {
		b = binary.BigEndian.AppendUint16(b, tpid)
		b = binary.BigEndian.AppendUint16(b, uint16(100+i))
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}

func (p packet4) bytes() []byte {
	b := ethernet(p.tags, 0x0800)
	if p.dst == ([4]byte{}) {
		p.dst = [4]byte{255, 255, 255, 255}
	}
	dhcp := make([]byte, 240)
	dhcp[0], dhcp[1], dhcp[2] = 1, 1, p.hlen
	copy(dhcp[4:], []byte{0xde, 0xad, 0xbe, 0xef})
	copy(dhcp[12:], p.ciaddr[:])
	copy(dhcp[24:], p.giaddr[:])
	copy(dhcp[28:], p.chaddr[:])
	copy(dhcp[236:], []byte{99, 130, 83, 99})
	dhcp = append(dhcp, p.opts...)

	ip := make([]byte, 20)
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(dhcp)))
	ip[8], ip[9] = 64, 17
	copy(ip[12:], p.src[:])
	copy(ip[16:], p.dst[:])
	sumIP(ip)

	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, 68)
	binary.BigEndian.PutUint16(udp[2:], 67)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(dhcp)))
	return slices.Concat(b, ip, udp, dhcp)
}

// sumIP sets the checksum of an IPv4 header of 20 bytes.
func sumIP(h []byte) {
	h[10], h[11] = 0, 0
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
}

// packet6 describes a DHCPv6 packet around a message.
type packet6 struct {
	tags     []uint16
	src, dst [16]byte
	msg      []byte
}

func (p packet6) bytes() []byte {
	b := ethernet(p.tags, 0x86dd)
	if p.src == ([16]byte{}) {
		p.src = [16]byte{0xfe, 0x80, 15: 9}
	}
	if p.dst == ([16]byte{}) {
		p.dst = allServers
	}
	ip := make([]byte, 40)
	ip[0] = 0x60
	binary.BigEndian.PutUint16(ip[4:], uint16(8+len(p.msg)))
	ip[6], ip[7] = 17, 1
	copy(ip[8:], p.src[:])
	copy(ip[24:], p.dst[:])
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, 546)
	binary.BigEndian.PutUint16(udp[2:], 547)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(p.msg)))
	return slices.Concat(b, ip, udp, p.msg)
}

func opt6(code uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// msg6 is a client's message.
func msg6(msgType byte, opts ...[]byte) []byte {
	return append([]byte{msgType, 1, 2, 3}, slices.Concat(opts...)...)
}

// relay6 is a RELAY-FORW around msg.
func relay6(link, peer [16]byte, msg []byte, before ...[]byte) []byte {
	b := []byte{typeRelay, 0}
	b = append(b, link[:]...)
	b = append(b, peer[:]...)
	b = append(b, slices.Concat(before...)...)
	return append(b, opt6(9, msg...)...)
}

func duid(last byte) []byte { return []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, last} }

// solicit is a SOLICIT as clients send it.
func solicit() packet6 {
	return packet6{msg: msg6(typeSol, opt6(8, 0, 0), opt6(1, duid(1)...), opt6(3, make([]byte, 12)...))}
}

// put16 returns a mutation that writes a big-endian word.
func put16(off int, v uint16) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[off:], v)
		return b
	}
}

// put returns a mutation that writes bytes.
func put(off int, v ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[off:], v)
		return b
	}
}

// cut returns a mutation that keeps the first n bytes of the frame.
func cut(n int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:n] }
}

// resum corrects the IPv4 checksum after mutations.
func resum(mutations ...func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, m := range mutations {
			b = m(b)
		}
		sumIP(b[offIP : offIP+20])
		return b
	}
}
