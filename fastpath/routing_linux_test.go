package fastpath_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
)

// With use-routing the answer to a relay leaves where routing says and with the
// address of that interface, as Kea's does; that to a client on the link leaves
// where the query came from. Nothing is received by the socket it is sent from.
func TestUseRouting(t *testing.T) {
	const far = "198.51.100.0/24"
	farRelay := [4]byte{198, 51, 100, 9}
	local := [4]byte{192, 0, 2, 77} // on the link, no relay
	for _, tc := range []struct {
		name    string
		workers int
		routing bool
	}{
		{"one worker", 1, true}, {"three workers", 3, true}, {"same as inbound", 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, inWire := pair(t, 1)
			out := fastpathtest.NewVeth(t, 1)
			fastpathtest.AddAddr(t, out.Server.Name, "203.0.113.1/24")
			outWire := fastpathtest.OpenWire(t, out.Client)
			gw := [4]byte{203, 0, 113, 2}
			fastpathtest.AddNeighbour(t, out.Server, gw, out.Client.MAC)
			fastpathtest.AddNeighbour(t, in.Server, local, in.Client.MAC)
			fastpathtest.AddNeighbour(t, in.Server, farRelay, in.Client.MAC)
			_, dst, _ := net.ParseCIDR(far)
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: int(out.Server.Index), Dst: dst, Gw: gw[:]}); err != nil {
				t.Fatal(err)
			}
			mustRig(t, fastpath.Options{
				Interfaces: []string{in.Server.Name}, UDPOnly: true, UseRouting: tc.routing, WorkersPerQueue: tc.workers,
			})
			query := func(from [4]byte, relayed bool, n uint32) []byte {
				f := fastpathtest.Query(in.Server.MAC, in.Client.MAC, from, server, n, n)
				if !relayed {
					clear(f[66:70]) // giaddr
					clear(f[40:42]) // no checksum
				}
				return f
			}
			for n := range uint32(20) {
				inWire.Send(t, query(farRelay, true, n))
				w, src, dstMAC := outWire, [4]byte{203, 0, 113, 1}, out.Client.MAC
				if !tc.routing {
					w, src, dstMAC = inWire, server, in.Client.MAC
				}
				f := w.Recv(t, fastpathtest.Patience)
				if f == nil || [4]byte(f[26:]) != src || [4]byte(f[30:]) != farRelay || [6]byte(f) != dstMAC ||
					binary.BigEndian.Uint16(f[34:]) != 67 || binary.BigEndian.Uint16(f[36:]) != 67 {
					t.Fatalf("answer %d to the relay is %x", n, f)
				}
				if c, _ := fastpathtest.ClientSeq(f); c != n {
					t.Fatalf("answer to client %d, want %d", c, n)
				}
			}
			inWire.Send(t, query(local, false, 99))
			if f := inWire.Recv(t, fastpathtest.Patience); f == nil || [4]byte(f[26:]) != server || [4]byte(f[30:]) != local {
				t.Errorf("answer to the client on the link is %x", f)
			}
			if f := outWire.Recv(t, 20*time.Millisecond); f != nil {
				t.Errorf("one answer too many: %x", f)
			}
		})
	}
}
