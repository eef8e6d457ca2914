package differential

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func requireKea6(t *testing.T) {
	t.Helper()
	requireKea(t)
	if _, err := exec.LookPath("kea-dhcp6"); err != nil {
		t.Skip("kea-dhcp6 is not installed (Debian: kea-dhcp6-server)")
	}
}

// TestDifferential6 is TestDifferential for DHCPv6.
func TestDifferential6(t *testing.T) {
	requireKea6(t)
	bin, err := buildPeregrine()
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range corpus6(t) {
		if *only != "" && !slices.ContainsFunc(sc.convs, func(c *conversation) bool { return strings.Contains(c.name, *only) }) {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed6(t, sc, bin)
			for _, c := range sc.convs {
				if strings.Contains(c.name, *only) {
					b.hold(t, c)
				}
			}
		})
	}
}

// wire6 is a server and the sockets of its clients and relays, one for each
// source, made when they are needed.
type wire6 struct {
	*server
	index int // of the clients' interface

	mu      sync.Mutex
	waiting map[uint32]chan *reply6
	sockets map[string]*net.UDPConn
	wg      sync.WaitGroup
}

// prepare6 turns IPv6 on, without duplicate address detection.
func prepare6(n *netNS) error {
	return n.in(func() error {
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

func newWire6(t testing.TB, name string) *wire6 {
	t.Helper()
	w := &wire6{server: newServerAt(t, name, serverCIDR6, prepare6), waiting: map[uint32]chan *reply6{}, sockets: map[string]*net.UDPConn{}}
	w.awaitLinkLocal()
	w.index = w.peer.link(t, "clients").Attrs().Index
	t.Cleanup(func() {
		w.mu.Lock()
		for _, c := range w.sockets {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.wg.Wait()
		for _, b := range w.bad {
			t.Errorf("%s sent something invalid: %s", w.name, b)
		}
	})
	return w
}

// awaitLinkLocal waits until the server can use its link-local address.
func (w *wire6) awaitLinkLocal() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		list, err := w.ns.nl.AddrList(w.ns.link(w.t, "eth0"), netlink.FAMILY_V6)
		if err != nil {
			w.t.Fatalf("list addresses: %v", err)
		}
		for _, a := range list {
			if !a.IP.IsLinkLocalUnicast() {
				continue
			}
			err := w.ns.in(func() error {
				c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: a.IP, Zone: fmt.Sprint(w.ns.link(w.t, "eth0").Attrs().Index)})
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
	w.mu.Lock()
	c := w.sockets[key]
	w.mu.Unlock()
	if c != nil {
		return c
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: src.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: 0x02 /* IFA_F_NODAD */}
	if err := w.peer.nl.AddrReplace(w.peer.link(w.t, "clients"), addr); err != nil {
		w.t.Fatalf("give clients %v: %v", src, err)
	}
	// The address can be asked for only when the kernel has joined its group,
	// some time from now; the server had better know where it is.
	neighbor := &netlink.Neigh{LinkIndex: w.ns.link(w.t, "eth0").Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_PERMANENT,
		IP: src.AsSlice(), HardwareAddr: w.peer.link(w.t, "clients").Attrs().HardwareAddr}
	if err := w.ns.nl.NeighSet(neighbor); err != nil {
		w.t.Fatalf("tell %s where %v is: %v", w.name, src, err)
	}
	zone := ""
	if src.IsLinkLocalUnicast() {
		zone = "clients"
	}
	err := w.peer.in(func() (err error) {
		// Scoped to the interface by its number, as names are looked up elsewhere.
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
	w.mu.Lock()
	w.sockets[key] = c
	w.mu.Unlock()
	w.wg.Go(func() { w.read(c) })
	return c
}

// awaitRoute waits until the kernel delivers what is sent to a new address,
// which it does a moment after it says that the address is there.
func (w *wire6) awaitRoute(addr netip.Addr) {
	w.t.Helper()
	dst := &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(128, 128)}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		list, err := w.peer.nl.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: 255 /* local */, Dst: dst}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
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
		w.mu.Lock()
		ch := w.waiting[xid]
		w.mu.Unlock()
		if ch != nil {
			select {
			case ch <- r:
			default:
			}
		}
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

func (w *wire6) post(p *packet6, xid uint32) chan *reply6 {
	c := make(chan *reply6, 4)
	w.mu.Lock()
	w.waiting[xid] = c
	w.mu.Unlock()
	w.send(p)
	return c
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

// bed6 is both servers with one configuration.
type bed6 struct {
	sc        *script
	kea, ours *wire6
}

func newBed6(t *testing.T, sc *script, bin string) *bed6 {
	t.Helper()
	keaConf, err := sc.config(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed6{sc: sc, kea: newWire6(t, "kea"), ours: newWire6(t, "peregrine")}
	ourConf, err := sc.config(map[string]any{"Dataplane": map[string]any{"mode": *mode, "lease-directory": b.ours.path("leases"), "lease-file-mirror": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	b.kea.argv = []string{"kea-dhcp6", "-c", b.kea.path("conf.json")}
	b.kea.env = []string{"KEA_PIDFILE_DIR=" + b.kea.dir, "KEA_LOCKFILE_DIR=" + b.kea.dir}
	b.ours.argv = []string{bin, "serve", "-c", b.ours.path("conf.json")}
	if err := errors.Join(os.WriteFile(b.kea.path("conf.json"), keaConf, 0o600), os.WriteFile(b.ours.path("conf.json"), ourConf, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "check", "-c", b.ours.path("conf.json")).CombinedOutput(); err != nil {
		t.Fatalf("peregrine refuses the configuration: %v\n%s", err, out)
	}
	b.kea.run()
	b.ours.run()
	return b
}

// hold holds one conversation with both and compares.
func (b *bed6) hold(t *testing.T, c *conversation) {
	kea, ours := newSide6(), newSide6()
	differed := false
	for _, st := range c.steps {
		where := fmt.Sprintf("testdata/v6/%s.txt:%d: %s: %s", b.sc.name, st.line, c.name, st.verb)
		switch st.verb {
		case "wait":
			time.Sleep(st.wait)
			continue
		case "restart":
			b.kea.end()
			b.ours.end()
			b.kea.run()
			b.ours.run()
			continue
		}
		xid := xids.Add(1) & 0xFFFFFF
		kp, kerr := build6(st, c.index, xid, kea.value)
		pp, perr := build6(st, c.index, xid, ours.value)
		if err := errors.Join(kerr, perr); err != nil {
			// Where the servers have parted one may lack what the other has.
			if !differed || !errors.Is(err, errUnset) || kerr != nil && perr != nil {
				t.Errorf("%s: %v", where, err)
			}
			return
		}
		k, p, extra := b.exchange(t, kp, pp, xid, st.expectsSilence())
		got, err := compare6(b.sc, kea, ours, k, p)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		got = append(got, extra...)
		if *show {
			t.Logf("%s\n  kea       %s\n  peregrine %s", where, describe6(b.sc, kea, k), describe6(b.sc, ours, p))
		}
		differed = differed || len(got) > 0
		if text := explain(got, st); text != "" {
			t.Errorf("%s\n%s", where, text)
		}
	}
}

// exchange sends a message to each server and returns their replies, see
// bed.exchange.
func (b *bed6) exchange(t *testing.T, kp, pp *packet6, xid uint32, sure bool) (k, p *reply6, extra []string) {
	kc, pc := b.kea.post(kp, xid), b.ours.post(pp, xid)
	defer func() {
		for _, s := range []*wire6{b.kea, b.ours} {
			s.mu.Lock()
			delete(s.waiting, xid)
			s.mu.Unlock()
		}
		if len(kc) > 0 || len(pc) > 0 {
			extra = append(extra, fmt.Sprintf("further answers: kea %d, peregrine %d", len(kc), len(pc)))
		}
	}()
	collect := func(d time.Duration) bool {
		timeout := time.After(d)
		for k == nil || p == nil {
			kw, pw := kc, pc
			if k != nil {
				kw = nil
			}
			if p != nil {
				pw = nil
			}
			select {
			case k = <-kw:
			case p = <-pw:
			case <-timeout:
				return false
			}
		}
		return true
	}
	if collect(quick) {
		return k, p, nil
	}
	b.sync(t, b.kea)
	b.sync(t, b.ours)
	if !collect(grace) && (k != nil || p != nil) && !sure {
		collect(doubt)
	}
	return k, p, nil
}

// sync waits until the server has handled everything sent before: until it
// answers an INFORMATION-REQUEST.
func (b *bed6) sync(t *testing.T, s *wire6) {
	xid := xids.Add(1) & 0xFFFFFF
	probe, err := build6(&step{verb: "INFORMATION-REQUEST", args: b.sc.sentinel}, 0xffff, xid, newSide6().value)
	if err != nil {
		t.Fatalf("sentinel: %v", err)
	}
	c := s.post(probe, xid)
	defer func() {
		s.mu.Lock()
		delete(s.waiting, xid)
		s.mu.Unlock()
	}()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); s.send(probe) {
		select {
		case <-c:
			return
		case <-time.After(time.Second):
		}
	}
	t.Fatalf("%s answers nothing any more:\n%s", s.name, s.log())
}
