package netio

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// The classic BPF filters of the socket backends. They only keep out what is
// surely not for us; everything they let through is looked at again.

// cbpf is a tiny assembler: jumps name labels, which resolve adds up.
type cbpf struct {
	ins    []cbpfIns
	labels map[string]int
}

type cbpfIns struct {
	code   uint16
	k      uint32
	jt, jf string // "" means the next instruction
}

func (c *cbpf) op(code uint16, k uint32) { c.ins = append(c.ins, cbpfIns{code: code, k: k}) }

func (c *cbpf) jump(code uint16, k uint32, jt, jf string) {
	c.ins = append(c.ins, cbpfIns{code: unix.BPF_JMP | code | unix.BPF_K, k: k, jt: jt, jf: jf})
}

func (c *cbpf) label(name string) {
	if c.labels == nil {
		c.labels = map[string]int{}
	}
	c.labels[name] = len(c.ins)
}

func (c *cbpf) resolve() []unix.SockFilter {
	out := make([]unix.SockFilter, len(c.ins))
	for i, in := range c.ins {
		dist := func(l string) uint8 {
			if l == "" {
				return 0
			}
			at, ok := c.labels[l]
			if !ok || at <= i || at-i-1 > 255 {
				panic("netio: filter jumps to " + l)
			}
			return uint8(at - i - 1)
		}
		out[i] = unix.SockFilter{Code: in.code, K: in.k, Jt: dist(in.jt), Jf: dist(in.jf)}
	}
	return out
}

const (
	ldB   = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
	ldH   = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	ldBX  = unix.BPF_LD | unix.BPF_B | unix.BPF_IND
	ldHX  = unix.BPF_LD | unix.BPF_H | unix.BPF_IND
	ldxIH = unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH
	retK  = unix.BPF_RET | unix.BPF_K
)

// dropAll rejects every packet.
func dropAll() []unix.SockFilter {
	return []unix.SockFilter{{Code: retK, K: 0}}
}

// longerThan rejects what has no more than n octets.
func longerThan(n uint32) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: n, Jt: 1},
		{Code: retK, K: 0},
		{Code: retK, K: 0x40000},
	}
}

// dhcpFilter accepts UDP to port4 over IPv4 and to port6 over IPv6 (0: none),
// with up to two VLAN tags still in the frame. (The kernel has taken the outer
// one out before a packet socket's filter runs, drivers permitting.) Of an IPv4
// datagram in fragments it lets the first through, to be counted; the others have
// no port to tell them by. Of IPv6 extension headers it looks behind those, and as
// many, as frame.Decode walks; what they say is not its matter.
func dhcpFilter(port4, port6 uint16) []unix.SockFilter {
	var c cbpf
	for depth, n := range []string{"0", "1", "2"} {
		l3 := uint32(14 + 4*depth)
		if depth > 0 {
			c.label("tag" + n)
		}
		c.op(ldH, l3-2)
		c.jump(unix.BPF_JEQ, unix.ETH_P_IP, "v4_"+n, "")
		if port6 != 0 {
			c.jump(unix.BPF_JEQ, unix.ETH_P_IPV6, "v6_"+n, "")
		}
		if depth < 2 {
			next := "tag" + string('1'+rune(depth))
			c.jump(unix.BPF_JEQ, unix.ETH_P_8021Q, next, "")
			c.jump(unix.BPF_JEQ, unix.ETH_P_8021AD, next, "")
		}
		c.op(retK, 0)
	}
	for depth, n := range []string{"0", "1", "2"} {
		l3 := uint32(14 + 4*depth)
		c.label("v4_" + n)
		c.op(ldB, l3+9)
		c.jump(unix.BPF_JEQ, unix.IPPROTO_UDP, "", "drop")
		c.op(ldH, l3+6)
		c.jump(unix.BPF_JSET, 0x1FFF, "drop", "")
		c.op(ldxIH, l3)
		c.op(ldHX, l3+2)
		c.jump(unix.BPF_JEQ, uint32(port4), "accept", "drop")
	}
	if port6 != 0 {
		walk6(&c, port6)
	}
	c.label("drop")
	c.op(retK, 0)
	c.label("accept")
	c.op(retK, 0x40000)
	return c.resolve()
}

// walk6 is the end of dhcpFilter for IPv6: it finds the UDP header of the packet
// that v6_0, v6_1 or v6_2 says.
func walk6(c *cbpf, port6 uint16) {
	const next = 0 // of the scratch memory: the type of the header at X
	always := func(label string) { c.jump(unix.BPF_JEQ, 0, label, label) }
	for depth, n := range []string{"0", "1", "2"} {
		l3 := uint32(14 + 4*depth)
		c.label("v6_" + n)
		c.op(unix.BPF_LDX|unix.BPF_W|unix.BPF_IMM, l3+40)
		c.op(ldB, l3+6)
		if depth < 2 {
			always("ext0")
		}
	}
	for i := range frame.MaxExtHeaders + 1 {
		this, following := "ext"+strconv.Itoa(i), "ext"+strconv.Itoa(i+1)
		c.label(this)
		c.jump(unix.BPF_JEQ, unix.IPPROTO_UDP, "udp", "")
		c.jump(unix.BPF_JEQ, unix.IPPROTO_FRAGMENT, "fragment", "")
		if i == frame.MaxExtHeaders {
			always("drop")
			break
		}
		c.jump(unix.BPF_JEQ, unix.IPPROTO_HOPOPTS, this+"_skip", "")
		c.jump(unix.BPF_JEQ, unix.IPPROTO_DSTOPTS, this+"_skip", "")
		c.jump(unix.BPF_JEQ, unix.IPPROTO_ROUTING, "", "drop")
		c.label(this + "_skip")
		c.op(ldBX, 0)
		c.op(unix.BPF_ST, next)
		// X += 8 + 8 * the length, which counts eight octets and not the first.
		c.op(ldBX, 1)
		c.op(unix.BPF_ALU|unix.BPF_LSH|unix.BPF_K, 3)
		c.op(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_K, 8)
		c.op(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_X, 0)
		c.op(unix.BPF_MISC|unix.BPF_TAX, 0)
		c.op(unix.BPF_LD|unix.BPF_W|unix.BPF_MEM, next)
		always(following)
	}
	// The first of several; only that has a port.
	c.label("fragment")
	c.op(ldHX, 2)
	c.jump(unix.BPF_JSET, 0xFFF8, "drop", "")
	c.op(ldBX, 0)
	c.jump(unix.BPF_JEQ, unix.IPPROTO_UDP, "", "drop")
	c.op(ldHX, 8+2)
	c.jump(unix.BPF_JEQ, uint32(port6), "accept", "drop")
	c.label("udp")
	c.op(ldHX, 2)
	c.jump(unix.BPF_JEQ, uint32(port6), "accept", "drop")
}

// fanoutFilter chooses one of the sockets of a packet fanout group as steerFilter
// does among UDP sockets. It sees the packet from behind the Ethernet header,
// where one VLAN tag may be left; the kernel takes the result modulo the number of
// sockets. IPv6 goes by the end of the source address.
func fanoutFilter() []unix.SockFilter {
	const ldW, ldWX = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_LD | unix.BPF_W | unix.BPF_IND
	var c cbpf
	// SKF_AD_OFF + SKF_AD_PROTOCOL
	c.op(ldW, 0xFFFFF000)
	c.jump(unix.BPF_JEQ, unix.ETH_P_IP, "v4", "")
	c.jump(unix.BPF_JEQ, unix.ETH_P_IPV6, "v6", "")
	c.op(ldxIH, 4)
	c.op(ldWX, 4+8+30)
	c.jump(unix.BPF_JA, 0, "", "")
	ja := len(c.ins) - 1
	c.label("v6")
	c.op(ldW, 20)
	c.jump(unix.BPF_JA, 0, "", "")
	ja6 := len(c.ins) - 1
	c.label("v4")
	c.op(ldxIH, 0)
	c.op(ldWX, 8+30)
	end := len(c.ins)
	c.ins[ja].k, c.ins[ja6].k = uint32(end-ja-1), uint32(end-ja6-1)
	c.op(unix.BPF_ALU|unix.BPF_MUL|unix.BPF_K, 0x9E3779B1)
	c.op(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, 16)
	c.op(unix.BPF_RET|unix.BPF_A, 0)
	return c.resolve()
}

// steerFilter chooses one of n sockets of a SO_REUSEPORT group by the last four
// octets of chaddr, so that a client always meets the same worker. It sees the
// UDP payload. A packet too short for a chaddr goes to the first socket.
func steerFilter(n int) []unix.SockFilter {
	const chaddrTail = 28 + 2
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: chaddrTail},
		{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: 0x9E3779B1},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 16},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
}

// steerFilter6 chooses one of n sockets of a SO_REUSEPORT group by the last octets
// of the peer-address of a RELAY-FORW, else of the source address. It sees the UDP
// payload.
func steerFilter6(n int) []unix.SockFilter {
	const (
		relayForw = 12
		peerTail  = 2 + 16 + 12
		netHeader = 0xFFF00000 // SKF_NET_OFF: from the IPv6 header on
		srcTail   = 8 + 12
	)
	return []unix.SockFilter{
		{Code: ldB, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: relayForw, Jt: 0, Jf: 2},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: peerTail},
		{Code: unix.BPF_JMP | unix.BPF_JA, K: 1},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: netHeader + srcTail},
		{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: 0x9E3779B1},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 16},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
}
