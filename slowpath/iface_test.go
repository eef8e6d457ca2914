package slowpath

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Interfaces are found by index and answer from the right address, however many
// there are.
func TestIfaces(t *testing.T) {
	six := func(s string) [16]byte { return netip.MustParseAddr(s).As16() }
	for _, n := range []int{3, 2000} {
		var in []netio.Interface
		for i := range n {
			in = append(in, netio.Interface{
				Index: uint32(10 + 2*i), Name: fmt.Sprintf("eth0.%d", i),
				Addrs4: []netio.Prefix4{{Addr: 0x0A000001 + uint32(i)<<8, Len: 24}, {Addr: 0x0A000002 + uint32(i)<<8, Len: 24}},
				Addrs6: []netio.Prefix6{{Addr: six("2001:db8::1"), Len: 64}, {Addr: six("fe80::1"), Len: 64}},
			})
		}
		in = append(in, netio.Interface{Index: 1, Name: "lo", Loopback: true, Addrs4: []netio.Prefix4{{Addr: 0xC0000201, Len: 32}}})
		in = append(in, netio.Interface{Index: 2, Name: "bare"})
		x := newIfaces(in, func(v stat.Family, name string) bool { return v == stat.V6 || name == "eth0.1" })
		for i := range in {
			f := x.find(in[i].Index)
			if f == nil || f.name != in[i].Name || f.serve4 != (in[i].Name == "eth0.1") || !f.serve6 {
				t.Fatalf("%d interfaces: index %d is %+v", n, in[i].Index, f)
			}
		}
		if f := x.find(3); f != nil {
			t.Errorf("%d interfaces: an index that is none is %+v", n, f)
		}
		f, bare := x.find(12), x.find(2)
		for _, tc := range []struct {
			f         *iface
			dst, want dhcp4.IPv4
		}{
			{f, 0x0A000101, 0x0A000101}, {f, 0x0A000102, 0x0A000102},
			{f, 0xFFFFFFFF, 0x0A000101}, {f, 0x0A0001FF, 0x0A000101},
			{f, 0xC0000201, 0xC0000201}, // of the loopback
			{f, 0x0A000201, 0x0A000201}, // of another
			{f, 0x0A010101 + 0x00F00000, 0x0A000101},
			{bare, 0xFFFFFFFF, 0}, {bare, 0xC0000201, 0},
		} {
			if got := tc.f.addrFor(tc.dst); got != tc.want {
				t.Errorf("%d interfaces: %s answers %v from %v, want %v", n, tc.f.name, tc.dst, got, tc.want)
			}
		}
		for dst, want := range map[string]string{
			"ff02::1:2": "fe80::1", "ff05::1:3": "fe80::1", "2001:db8::1": "2001:db8::1", "fe80::1": "fe80::1",
			"2001:db8:77::1": "2001:db8:77::1", // of another
		} {
			if got := f.addr6For(six(dst)); got != six(want) {
				t.Errorf("%s is answered from %v, want %s", dst, netip.AddrFrom16(got), want)
			}
		}
	}
}
