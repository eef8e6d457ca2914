package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// crowd6 is crowd for DHCPv6: clients behind relays, each with an address and a
// prefix, and the promises they were made.
type crowd6 struct {
	relays []*net.UDPConn

	mu    sync.Mutex
	had   map[uint32]*dhcpv6.Message // the last REPLY of each client
	owner map[string]uint32
	lost  []string // promises that contradict each other

	replies atomic.Int64
}

func duid6(client uint32) *dhcpv6.DUIDLL {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(mac[2:], client)
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}
}

// newCrowd6 has n relays in the clients' namespace.
func (b *bed) newCrowd6(n int) *crowd6 {
	b.t.Helper()
	c := &crowd6{had: map[uint32]*dhcpv6.Message{}, owner: map[string]uint32{}}
	for i := range n {
		addr := fmt.Sprintf("2001:db8:77::ff:%x", i+1)
		b.cli.addAddr(b.t, clientIf, addr+"/64")
		// A new address is tentative for a moment.
		until(b.t, "a relay at "+addr, func() bool {
			return b.cli.In(func() error {
				conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(addr), Port: 547})
				if err == nil {
					c.relays = append(c.relays, conn)
				}
				return err
			}) == nil
		})
		b.t.Cleanup(func() { c.relays[i].Close() })
	}
	return c
}

// resources are the addresses and prefixes that a message grants.
func resources(m *dhcpv6.Message) (l []string) {
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			if a.ValidLifetime > 0 {
				l = append(l, a.IPv6Addr.String())
			}
		}
	}
	for _, ia := range m.Options.IAPD() {
		for _, p := range ia.Options.Prefixes() {
			if p.ValidLifetime > 0 {
				l = append(l, p.Prefix.IP.String())
			}
		}
	}
	return l
}

// once sends a message through a relay and waits a moment for the answer.
func (c *crowd6) once(relay int, m *dhcpv6.Message, wait time.Duration) *dhcpv6.Message {
	fwd, err := dhcpv6.EncapsulateRelay(m, dhcpv6.MessageTypeRelayForward, net.ParseIP(serverIP6), net.ParseIP("fe80::1"))
	if err != nil {
		return nil
	}
	conn := c.relays[relay]
	if _, err := conn.WriteTo(fwd.ToBytes(), &net.UDPAddr{IP: net.ParseIP(serverIP6), Port: 547}); err != nil {
		return nil
	}
	buf := make([]byte, 4096)
	deadline := time.Now().Add(wait)
	for conn.SetReadDeadline(deadline) == nil {
		n, err := conn.Read(buf)
		if ne, ok := err.(net.Error); ok && !ne.Timeout() {
			continue // ICMP: nobody serves just now
		} else if err != nil {
			return nil
		}
		r, err := dhcpv6.RelayMessageFromBytes(buf[:n])
		if err != nil {
			continue
		}
		if in, err := r.GetInnerMessage(); err == nil && in.TransactionID == m.TransactionID {
			return in
		}
	}
	return nil
}

// turn is one client's try to get leases or to keep them.
func (c *crowd6) turn(relay int, client uint32, wait time.Duration) (answered bool) {
	c.mu.Lock()
	had := c.had[client]
	c.mu.Unlock()
	var m *dhcpv6.Message
	if had == nil {
		s, err := dhcpv6.NewMessage(dhcpv6.WithClientID(duid6(client)), dhcpv6.WithIAID([4]byte{0, 0, 0, 1}),
			dhcpv6.WithIAPD([4]byte{0, 0, 0, 1}))
		if err != nil {
			return false
		}
		a := c.once(relay, s, wait)
		if a == nil || a.MessageType != dhcpv6.MessageTypeAdvertise {
			return false
		}
		if m, err = dhcpv6.NewRequestFromAdvertise(a); err != nil {
			return false
		}
	} else {
		var err error
		if m, err = dhcpv6.NewMessage(); err != nil {
			return false
		}
		m.MessageType = dhcpv6.MessageTypeRenew
		for _, o := range had.Options.Options {
			switch o.Code() {
			case dhcpv6.OptionClientID, dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionIAPD:
				m.AddOption(o)
			}
		}
	}
	r := c.once(relay, m, wait)
	if r == nil || r.MessageType != dhcpv6.MessageTypeReply {
		return false
	}
	c.promised(client, r)
	return true
}

// promised notes a REPLY.
func (c *crowd6) promised(client uint32, r *dhcpv6.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies.Add(1)
	now := resources(r)
	if had := c.had[client]; len(now) != 2 || had != nil && fmt.Sprint(resources(had)) != fmt.Sprint(now) {
		c.lost = append(c.lost, fmt.Sprintf("client %d was given %v: %s", client, now, r.Summary()))
		return
	}
	for _, a := range now {
		if by, ok := c.owner[a]; ok && by != client {
			c.lost = append(c.lost, fmt.Sprintf("%s of client %d was given to %d", a, by, client))
		}
		c.owner[a] = client
	}
	c.had[client] = r
}

// run lets the clients first..first+n-1 take turns, a goroutine for each relay,
// until stop is closed.
func (c *crowd6) run(first, n uint32, seed uint64, stop <-chan struct{}) (join func()) {
	var wg sync.WaitGroup
	of := uint32(len(c.relays))
	for g := range of {
		wg.Go(func() {
			r, wait := rand.New(rand.NewPCG(seed, uint64(g))), firstWait
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Each goroutine has its own clients, so that a client is one at a time.
				wait = nextWait(wait, c.turn(int(g), (first/of+r.Uint32N(n/of))*of+g, wait))
			}
		})
	}
	return wg.Wait
}

// check compares every promise with what the server knows.
func (c *crowd6) check(t testing.TB, b *bed) {
	t.Helper()
	type record struct {
		Address string `json:"ip-address"`
		DUID    string
		State   int
	}
	all := map[string]record{}
	for from := "start"; ; {
		var p struct{ Leases []record }
		b.command("lease6-get-page", object{"from": from, "limit": 500}, &p)
		for _, l := range p.Leases {
			if _, twice := all[l.Address]; twice {
				t.Fatalf("lease6-get-page gives %s twice", l.Address)
			}
			all[l.Address], from = l, l.Address
		}
		if len(p.Leases) < 500 {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.lost {
		t.Error(s)
	}
	missing := 0
	for a, client := range c.owner {
		want := hex.EncodeToString(duid6(client).ToBytes())
		if l, ok := all[a]; !ok || strings.ReplaceAll(l.DUID, ":", "") != want || l.State != 0 {
			if missing++; missing <= 5 {
				t.Errorf("granted lease %s of client %d: the server has %+v (found %v)", a, client, l, ok)
			}
		}
	}
}

// TestKill6: the server is killed at random moments while clients get and renew
// addresses and prefixes. Every REPLY that left it must be true afterwards, and
// nothing has two owners.
func TestKill6(t *testing.T) {
	t.Parallel()
	eachMode6(t, func(t *testing.T, b *bed, c *conf6) {
		seed := testSeed(t)
		r := rand.New(rand.NewPCG(seed, 99))
		c.dhcp6["cache-threshold"] = 0.0 // renewals are written, too
		c.dhcp6["hooks-libraries"] = []any{object{"library": "/usr/lib/kea/hooks/libdhcp_lease_cmds.so"}}
		b.start6(c)
		crowd := b.newCrowd6(8)
		const rounds, clients = 4, 400
		for round := range rounds {
			stop := make(chan struct{})
			join := crowd.run(uint32(round*clients/2), clients, seed+uint64(round), stop)
			before := crowd.replies.Load()
			until(t, "some REPLYs", func() bool { return crowd.replies.Load() >= before+20 })
			time.Sleep(time.Duration(r.IntN(200_000)) * time.Microsecond)
			b.p.kill()
			close(stop)
			join()
			b.again6()
			crowd.check(t, b)
			if t.Failed() {
				t.Fatalf("round %d, seed %d", round, seed)
			}
		}
		t.Logf("%d REPLYs, %d addresses and prefixes, %d kills", crowd.replies.Load(), len(crowd.owner), rounds)
		b.p.terminate()
		b.again6()
		crowd.check(t, b)
	})
}
