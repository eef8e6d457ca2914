package fastpath_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// pair6 is pair with addresses of both families.
func pair6(tb testing.TB, queues int) (*fastpathtest.Veth, *fastpathtest.Wire) {
	tb.Helper()
	v, w := pair(tb, queues)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+v.Server.Name+"/disable_ipv6", []byte("0"), 0); err != nil {
		tb.Skipf("the kernel has no IPv6: %v", err)
	}
	fastpathtest.AddAddr(tb, v.Server.Name, "fe80::1/64")
	fastpathtest.AddAddr(tb, v.Server.Name, "2001:db8::1/64")
	waitFor(tb, "usable addresses", func() bool {
		b, err := os.ReadFile("/proc/thread-self/net/if_inet6")
		if err != nil {
			tb.Fatal(err)
		}
		n := 0
		for l := range strings.Lines(string(b)) { // address, index, prefix length, scope, flags, device
			if f := strings.Fields(l); len(f) == 6 && f[5] == v.Server.Name {
				flags, err := strconv.ParseUint(f[4], 16, 32)
				if err == nil && flags&unix.IFA_F_TENTATIVE == 0 {
					n++
				}
			}
		}
		return n >= 2
	})
	return v, w
}

// solicit is a SOLICIT from port 546 of fe80::9 to port 547 of dst.
func solicit(v *fastpathtest.Veth, dst string) []byte {
	msg := append([]byte{1, 0, 0, 7, 0, 1, 0, 10, 0, 3, 0, 1}, v.Client.MAC[:]...)
	o := frame.Out6{DstMAC: v.Server.MAC, SrcMAC: v.Client.MAC, Src6: netip.MustParseAddr("fe80::9").As16(),
		Dst6: netip.MustParseAddr(dst).As16(), SrcPort: 546, DstPort: 547}
	if o.Dst6[0] == 0xff {
		copy(o.DstMAC[:], []byte{0x33, 0x33})
		copy(o.DstMAC[2:], o.Dst6[12:])
	}
	b := make([]byte, frame.HeaderLen6(0)+len(msg))
	copy(b[frame.HeaderLen6(0):], msg)
	return b[:frame.Write6(b, &o, len(msg))]
}

// extended puts extension headers of eight octets, padding inside, into an
// untagged IPv6 frame.
func extended(b []byte, headers ...byte) []byte {
	var chain []byte
	for i := range headers {
		next := byte(unix.IPPROTO_UDP)
		if i+1 < len(headers) {
			next = headers[i+1]
		}
		chain = append(chain, next, 0, 0, 0, 0, 0, 0, 0)
	}
	out := append(append(bytes.Clone(b[:54]), chain...), b[54:]...)
	out[20] = headers[0]
	binary.BigEndian.PutUint16(out[18:], uint16(len(out)-54))
	return out
}

// What is not an ordinary IPv6 frame for us is served once, or not at all, in
// every mode alike.
func TestOddFrames6(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			v, w := pair6(t, 1)
			r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: mode, Enable6: true, WorkersPerQueue: 2, ServeTagged: true})
			q := func() []byte { return solicit(v, "ff02::1:2") }
			otherPort := q()
			otherPort[57]++
			mldPort := extended(otherPort, 0)
			for _, tc := range []struct {
				name  string
				frame []byte
				want  uint64
			}{
				{"ff02::1:2", q(), 1},
				{"ff05::1:3", solicit(v, "ff05::1:3"), 1},
				{"global address", solicit(v, "2001:db8::1"), 1},
				{"link-local address", solicit(v, "fe80::1"), 1},
				{"another host", solicit(v, "2001:db8::2"), 0},
				{"all nodes", solicit(v, "ff02::1"), 0},
				{"hop-by-hop", extended(q(), 0), 1},
				{"destination options and routing", extended(q(), 60, 43, 60), 1},
				{"extension header, another host", extended(solicit(v, "2001:db8::2"), 60), 0},
				{"extension header, another port", mldPort, 0},
				{"fragment", extended(q(), 44), 0},
				{"another port", otherPort, 0},
				{"VLAN", tagged(q(), 0x8100_0005), 1},
				{"QinQ", tagged(q(), 0x88A8_0007, 0x8100_0005), 1},
				{"QinQ, hop-by-hop", tagged(extended(q(), 0), 0x88A8_0007, 0x8100_0005), 1},
				{"IPv4", fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 3, 4), 1},
				{"ff02::1:2 again", q(), 1},
			} {
				r.expect(t, tc.name, tc.want, w, tc.frame)
			}
		})
	}
}

// UDP sockets serve both families where nothing else does: multicast of the two
// groups, unicast to every address, fragments put together by the kernel.
func TestUDP6(t *testing.T) {
	for _, workers := range []int{1, 3} {
		v, w := pair6(t, 1)
		other := fastpathtest.NewVeth(t, 1) // whose groups are not this interface's
		r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, UDPOnly: true, Enable6: true, WorkersPerQueue: workers})
		if st := statusOf(t, r, v.Server.Name); st.Mode != fastpath.ModeUDP || st.Sockets != 2*workers {
			t.Fatalf("status is %+v", st)
		}
		w2 := fastpathtest.OpenWire(t, other.Client)
		plain := solicit(v, "ff02::1:2")
		badSum := solicit(v, "ff02::1:2")
		badSum[60]++
		for _, tc := range []struct {
			name  string
			w     *fastpathtest.Wire
			frame []byte
			want  uint64
		}{
			{"ff02::1:2", w, plain, 1},
			{"ff05::1:3", w, solicit(v, "ff05::1:3"), 1},
			{"global address", w, solicit(v, "2001:db8::1"), 1},
			{"link-local address", w, solicit(v, "fe80::1"), 1},
			{"another host", w, solicit(v, "2001:db8::2"), 0},
			{"all nodes", w, solicit(v, "ff02::1"), 0},
			{"wrong checksum", w, badSum, 0},
			{"destination options", w, extended(plain, 60), 1},
			{"another interface", w2, solicit(other, "ff02::1:2"), 0},
			{"IPv4", w, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 3, 4), 1},
			{"ff02::1:2 again", w, plain, 1},
		} {
			r.expect(t, fmt.Sprintf("%d workers, %s", workers, tc.name), tc.want, tc.w, tc.frame)
		}
		r.d.Close()
	}
	// Of IPv6 alone.
	v, w := pair6(t, 1)
	r := mustRig(t, fastpath.Options{Interfaces: []string{"none"}, Interfaces6: []string{v.Server.Name, "lo"}, UDPOnly: true, Enable6: true, WorkersPerQueue: 1})
	if st := statusOf(t, r, v.Server.Name); st.Mode != fastpath.ModeUDP || st.Sockets != 1 {
		t.Errorf("status is %+v", st)
	}
	w.Send(t, solicit(v, "ff02::1:2"))
	waitFor(t, "a SOLICIT", func() bool { return r.handled() == 1 })
	c, err := net.ListenPacket("udp4", "0.0.0.0:67")
	if err != nil {
		t.Errorf("the port of DHCPv4 is taken though only DHCPv6 is served: %v", err)
	} else {
		c.Close()
	}
}

// IPv6 unicast is taken on the addresses that are named alone, and on link-local
// ones, by every kind of socket; what is named may change while it is served.
func TestUnicast6(t *testing.T) {
	named, other := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::7").As16()
	for _, opt := range []fastpath.Options{
		{Mode: fastpath.ModeNative}, {Mode: fastpath.ModeGeneric}, {Mode: fastpath.ModeSocket}, {UDPOnly: true},
	} {
		t.Run(string(opt.Mode), func(t *testing.T) {
			if opt.Mode == fastpath.ModeNative || opt.Mode == fastpath.ModeGeneric {
				fastpathtest.RequireXDP(t)
			}
			v, w := pair6(t, 1)
			opt.Interfaces, opt.Enable6, opt.WorkersPerQueue = []string{v.Server.Name}, true, 2
			opt.Unicast6 = [][16]byte{}
			r := mustRig(t, opt)
			global := solicit(v, "2001:db8::1")
			whole := fragmented(long6(v, "2001:db8::1", 1600), 1448, 77)
			for _, step := range []struct {
				addrs [][16]byte
				want  uint64
			}{{[][16]byte{}, 0}, {[][16]byte{other}, 0}, {[][16]byte{other, named}, 1}, {[][16]byte{}, 0}, {nil, 1}} {
				o := r.opt
				o.Unicast6 = step.addrs
				if err := r.d.Apply(o); err != nil {
					t.Fatal(err)
				}
				list := fmt.Sprintf("%x, ", step.addrs)
				r.expect(t, list+"global address", step.want, w, global)
				r.expect(t, list+"global address, in fragments", step.want, w, whole...)
				r.expect(t, list+"link-local address", 1, w, solicit(v, "fe80::1"))
				r.expect(t, list+"group", 1, w, solicit(v, "ff05::1:3"))
			}
		})
	}
}

// stackSocket is an ordinary socket of the family on a port of a device.
func stackSocket(t *testing.T, family int, port int, device string) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: port}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			t.Fatal(err)
		}
		sa = &unix.SockaddrInet6{Port: port}
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(fastpathtest.Patience / time.Second)}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatalf("the port is taken though its family is not served: %v", err)
	}
	return fd
}

// An interface that is served for one family leaves the other to the stack as it
// came: here another server has its socket.
func TestFamiliesOnInterfacesOfTheirOwn(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			v4, w4 := pair6(t, 1)
			v6 := fastpathtest.NewVeth(t, 1)
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+v6.Server.Name+"/disable_ipv6", []byte("0"), 0); err != nil {
				t.Fatal(err)
			}
			fastpathtest.AddAddr(t, v6.Server.Name, "203.0.113.1/24")
			fastpathtest.AddAddr(t, v6.Server.Name, "fe80::1/64")
			w6 := fastpathtest.OpenWire(t, v6.Client)
			r := mustRig(t, fastpath.Options{Interfaces: []string{v4.Server.Name}, Interfaces6: []string{v6.Server.Name}, Mode: mode, Enable6: true})
			six, four := stackSocket(t, unix.AF_INET6, 547, v4.Server.Name), stackSocket(t, unix.AF_INET, 67, v6.Server.Name)
			query := func(v *fastpathtest.Veth, dst [4]byte) []byte {
				return fastpathtest.Query(v.Server.MAC, v.Client.MAC, [4]byte{dst[0], dst[1], dst[2], 9}, dst, 3, 4)
			}
			for _, tc := range []struct {
				name   string
				w      *fastpathtest.Wire
				frame  []byte
				socket int // that gets it, -1: we do
			}{
				{"IPv4 where it is served", w4, query(v4, server), -1},
				{"IPv6 where it is served", w6, solicit(v6, "fe80::1"), -1},
				{"IPv6 where IPv4 is served", w4, solicit(v4, "fe80::1"), six},
				{"IPv6 with extension header where IPv4 is served", w4, extended(solicit(v4, "2001:db8::1"), 60), six},
				{"IPv4 where IPv6 is served", w6, query(v6, [4]byte{203, 0, 113, 1}), four},
			} {
				before := r.handled()
				tc.w.Send(t, tc.frame)
				if tc.socket < 0 {
					for end := time.Now().Add(fastpathtest.Patience); time.Now().Before(end) && r.handled() == before; {
						time.Sleep(time.Millisecond)
					}
					if got := r.handled() - before; got != 1 {
						t.Errorf("%s: handled %d times", tc.name, got)
					}
					continue
				}
				b := make([]byte, 2048)
				n, _, err := unix.Recvfrom(tc.socket, b, 0)
				if err != nil {
					t.Errorf("%s: the other server gets nothing: %v", tc.name, err)
				} else if want := tc.frame[len(tc.frame)-n:]; !bytes.Equal(b[:n], want) {
					t.Errorf("%s: the other server gets\n%x, want\n%x", tc.name, b[:n], want)
				}
				if got := r.handled() - before; got != 0 {
					t.Errorf("%s: we handled it too", tc.name)
				}
			}
		})
	}
}
