package fastpath_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// fragmented cuts an untagged IP packet into fragments of at most size octets of
// payload, a multiple of eight, with the identification id.
func fragmented(b []byte, size int, id uint16) (out [][]byte) {
	be := binary.BigEndian
	six := b[12] == 0x86
	l3, hl := 14, 20
	if six {
		hl = 40
	}
	payload := b[l3+hl:]
	for off := 0; off < len(payload); off += size {
		n, more := min(size, len(payload)-off), uint16(0)
		if off+n < len(payload) {
			more = 1
		}
		f := slices.Clone(b[:l3+hl])
		ip := f[l3:]
		if six {
			h := make([]byte, 8)
			h[0] = ip[6]
			be.PutUint16(h[2:], uint16(off)|more)
			be.PutUint32(h[4:], uint32(id))
			ip[6] = unix.IPPROTO_FRAGMENT
			be.PutUint16(ip[4:], uint16(8+n))
			f = append(f, h...)
		} else {
			be.PutUint16(ip[2:], uint16(hl+n))
			be.PutUint16(ip[4:], id)
			be.PutUint16(ip[6:], more<<13|uint16(off/8))
			setChecksum(ip[:20])
		}
		out = append(out, append(f, payload[off:off+n]...))
	}
	return out
}

// long is a query of n octets of UDP payload.
func long(v *fastpathtest.Veth, n int) []byte {
	q := fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 5, 6)
	o := frame.Out4{DstMAC: v.Server.MAC, SrcMAC: v.Client.MAC, Src4: binary.BigEndian.Uint32(relay[:]), Dst4: binary.BigEndian.Uint32(server[:]),
		SrcPort: 67, DstPort: 67}
	b := make([]byte, 42+n)
	copy(b[42:], q[42:])
	return b[:frame.Write4(b, &o, n)]
}

// long6 is a RELAY-FORW, as to its size, to an address of ours or a group.
func long6(v *fastpathtest.Veth, dst string, n int) []byte {
	q := solicit(v, dst)
	var h frame.Headers
	frame.Decode(q, &h)
	o := frame.Out6{DstMAC: [6]byte(q), SrcMAC: v.Client.MAC, Src6: h.Src6, Dst6: h.Dst6, SrcPort: 547, DstPort: 547}
	off := frame.HeaderLen6(0)
	b := make([]byte, off+n)
	b[off] = 12
	return b[:frame.Write6(b, &o, n)]
}

// What comes in IP fragments is served once, in every mode and both families, and
// its answer leaves, in fragments too if it is longer than the MTU.
func TestFragments(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  fastpath.Options
	}{
		{"native", fastpath.Options{Mode: fastpath.ModeNative}},
		{"generic", fastpath.Options{Mode: fastpath.ModeGeneric}},
		{"packet", fastpath.Options{Mode: fastpath.ModeSocket}},
		{"udp", fastpath.Options{UDPOnly: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "native" || tc.name == "generic" {
				fastpathtest.RequireXDP(t)
			}
			v, w := pair6(t, 1)
			tc.opt.Interfaces, tc.opt.Enable6, tc.opt.WorkersPerQueue = []string{v.Server.Name}, true, 2
			r := mustRig(t, tc.opt)
			id := uint16(0)
			for _, q := range []struct {
				name  string
				frame []byte
				size  int
				want  uint64
			}{
				{"IPv4, two", long(v, 1600), 1480, 1},
				{"IPv4, of a tunnel", long(v, 800), 552, 1},
				{"IPv4, many", long(v, 1800), 64, 1},
				{"IPv4, whole", long(v, 1400), 1480, 1},
				{"IPv4, too long", long(v, 2100), 1480, 0},
				{"IPv6, group", long6(v, "ff05::1:3", 1600), 1448, 1},
				{"IPv6, unicast", long6(v, "fe80::1", 1300), 1232, 1},
				{"IPv6, many", long6(v, "ff02::1:2", 1900), 240, 1},
				{"IPv6, another host", long6(v, "2001:db8::2", 1600), 1448, 0},
				{"IPv6, too long", long6(v, "ff02::1:2", 2100), 1448, 0},
				{"IPv4, two, again", long(v, 1600), 1480, 1},
			} {
				id++
				frames := [][]byte{q.frame}
				if len(q.frame) > 14+20+q.size {
					frames = fragmented(q.frame, q.size, id)
				}
				slices.Reverse(frames) // the order that comes when paths differ
				r.expect(t, q.name, q.want, w, frames...)
				if q.want == 0 || q.frame[12] == 0x86 {
					continue
				}
				n := 0 // octets of IP payload in the answer
				for n < len(q.frame)-34 {
					f := w.Recv(t, fastpathtest.Patience)
					if f == nil {
						t.Fatalf("%s: %d octets of the answer, want %d", q.name, n, len(q.frame)-34)
					}
					if len(f) > 14+1500 || [4]byte(f[26:]) != server || [4]byte(f[30:]) != relay {
						t.Fatalf("%s: answer is %x", q.name, f)
					}
					n += int(binary.BigEndian.Uint16(f[16:])) - 20
				}
			}
			// What never becomes whole is not served, and bothers nobody. (The kernel
			// keeps a few thousand for up to a minute.)
			for i := range uint16(50) {
				w.Send(t, fragmented(long(v, 1600), 1480, 1000+i)[0])
				w.Send(t, fragmented(long6(v, "ff02::1:2", 1600), 1448, 1000+i)[0])
			}
			before := r.handled()
			w.Send(t, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 1, 2))
			waitFor(t, "an ordinary query", func() bool { return r.handled() == before+1 })
		})
	}
}
