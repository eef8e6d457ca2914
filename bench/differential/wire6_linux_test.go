package differential

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
)

// wire6 is a server and the sockets of its clients and relays, one for each
// source, made when they are needed.
type wire6 struct {
	*server
	waiting[reply6]
	index int // of the clients' interface

	open    sync.Mutex
	sockets map[string]*net.UDPConn
	wg      sync.WaitGroup
}

// prepare6 turns IPv6 on, without duplicate address detection.
func prepare6(n *fastpathtest.NS) error {
	return n.In(func() error {
		for _, f := range [][2]string{{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"accept_ra", "0"}} {
			for _, scope := range []string{"all", "default"} {
				if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/"+f[0], []byte(f[1]), 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func newWire6(t testing.TB, name string) wire[packet6, reply6] {
	t.Helper()
	w := &wire6{server: newServer(t, name, serverCIDR6, prepare6), sockets: map[string]*net.UDPConn{}}
	w.awaitLinkLocal()
	w.index = w.peer.Link(t, "clients").Attrs().Index
	t.Cleanup(func() {
		w.open.Lock()
		for _, c := range w.sockets {
			_ = c.Close()
		}
		w.open.Unlock()
		w.wg.Wait()
	})
	return w
}

// awaitLinkLocal waits until the server can use its link-local address.
func (w *wire6) awaitLinkLocal() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		list, err := w.ns.NL.AddrList(w.ns.Link(w.t, "eth0"), netlink.FAMILY_V6)
		if err != nil {
			w.t.Fatalf("list addresses: %v", err)
		}
		for _, a := range list {
			if !a.IP.IsLinkLocalUnicast() {
				continue
			}
			err := w.ns.In(func() error {
				c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: a.IP, Zone: fmt.Sprint(w.ns.Link(w.t, "eth0").Attrs().Index)})
				if err == nil {
					err = c.Close()
				}
				return err
			})
			if err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatal("eth0 gets no link-local address")
		}
	}
}

// socket is bound to a source, whose address is given to the interface.
func (w *wire6) socket(src netip.Addr, port uint16) *net.UDPConn {
	key := netip.AddrPortFrom(src, port).String()
	w.open.Lock()
	c := w.sockets[key]
	w.open.Unlock()
	if c != nil {
		return c
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: src.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: 0x02 /* IFA_F_NODAD */}
	if err := w.peer.NL.AddrReplace(w.peer.Link(w.t, "clients"), addr); err != nil {
		w.t.Fatalf("give clients %v: %v", src, err)
	}
	// The address can be asked for only when the kernel has joined its group,
	// some time from now; the server had better know where it is.
	neighbor := &netlink.Neigh{LinkIndex: w.ns.Link(w.t, "eth0").Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_PERMANENT,
		IP: src.AsSlice(), HardwareAddr: w.peer.Link(w.t, "clients").Attrs().HardwareAddr}
	if err := w.ns.NL.NeighSet(neighbor); err != nil {
		w.t.Fatalf("tell %s where %v is: %v", w.name, src, err)
	}
	zone := ""
	if src.IsLinkLocalUnicast() {
		// The number: names are looked up in whatever namespace asked last.
		zone = fmt.Sprint(w.index)
	}
	err := w.peer.In(func() (err error) {
		lc := net.ListenConfig{}
		p, err := lc.ListenPacket(context.Background(), "udp6", netip.AddrPortFrom(src.WithZone(zone), port).String())
		if err == nil {
			c = p.(*net.UDPConn)
		}
		return err
	})
	if err != nil {
		w.t.Fatalf("open socket on %s: %v", key, err)
	}
	w.awaitRoute(src)
	w.open.Lock()
	w.sockets[key] = c
	w.open.Unlock()
	w.wg.Go(func() { w.read(c) })
	return c
}

// awaitRoute waits until the kernel delivers what is sent to a new address,
// which it does a moment after it says that the address is there.
func (w *wire6) awaitRoute(addr netip.Addr) {
	w.t.Helper()
	dst := &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(128, 128)}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		list, err := w.peer.NL.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: 255 /* local */, Dst: dst}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		if err != nil {
			w.t.Fatalf("list routes: %v", err)
		}
		if len(list) > 0 {
			return
		}
	}
	w.t.Fatalf("%v cannot be used", addr)
}

func (w *wire6) read(c *net.UDPConn) {
	buf := make([]byte, 8192)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		r := &reply6{from, append([]byte(nil), buf[:n]...)}
		xid, ok := innermostXID(r.msg)
		if !ok {
			w.note("message: %x", r.msg)
			continue
		}
		w.deliver(xid, r)
	}
}

// innermostXID is the transaction id inside of relayed messages.
func innermostXID(b []byte) (uint32, bool) {
	for len(b) >= 34 && (b[0] == 13 || b[0] == 12) {
		var inner []byte
		if err := walk6(b[34:], func(code int, data []byte) error {
			if code == 9 {
				inner = data
			}
			return nil
		}); err != nil {
			return 0, false
		}
		b = inner
	}
	if len(b) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b) & 0xFFFFFF, true
}

func (w *wire6) send(p *packet6) {
	dst := p.dst
	if dst.IsLinkLocalUnicast() || dst.IsLinkLocalMulticast() || dst.IsMulticast() {
		dst = dst.WithZone("clients")
	}
	c := w.socket(p.src, p.srcPort)
	to := &net.UDPAddr{IP: dst.AsSlice(), Port: 547}
	if dst.Zone() != "" {
		to.Zone = fmt.Sprint(w.index)
	}
	if _, err := c.WriteToUDP(p.msg, to); err != nil {
		w.t.Errorf("send %d octets: %v", len(p.msg), err)
	}
}
