package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// crowd is a number of clients that obtain and renew leases, and the promises
// they were made.
type crowd struct {
	w *wire

	mu    sync.Mutex
	acked map[netiotest.MAC]dhcp4.IPv4 // the last ACK of each client
	owner map[dhcp4.IPv4]netiotest.MAC
	lost  []string // promises that contradict each other

	acks    atomic.Int64
	timeout atomic.Int64
}

func newCrowd(w *wire) *crowd {
	return &crowd{w: w, acked: map[netiotest.MAC]dhcp4.IPv4{}, owner: map[dhcp4.IPv4]netiotest.MAC{}}
}

// promised notes an ACK.
func (c *crowd) promised(mac netiotest.MAC, a dhcp4.IPv4) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks.Add(1)
	if had, ok := c.acked[mac]; ok && had != a {
		c.lost = append(c.lost, fmt.Sprintf("client %s had %v and was given %v", macText(mac), had, a))
	}
	if by, ok := c.owner[a]; ok && by != mac {
		c.lost = append(c.lost, fmt.Sprintf("address %v of %s was given to %s", a, macText(by), macText(mac)))
	}
	c.acked[mac], c.owner[a] = a, mac
}

func (c *crowd) leaseOf(mac netiotest.MAC) (dhcp4.IPv4, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.acked[mac]
	return a, ok
}

// turn is one client's try to have or keep an address; a server that does not
// answer is no fault here.
func (c *crowd) turn(mac netiotest.MAC, wait time.Duration) (answered bool) {
	var a *netiotest.Answer
	if had, ok := c.leaseOf(mac); ok {
		a = c.w.once(netiotest.Renew(mac, had, serverIP), wait)
	} else if o := c.w.once(netiotest.Discover(mac), wait); o != nil && o.View.Type() == dhcp4.MsgOffer {
		a = c.w.once(netiotest.Request(mac, o.View.YIAddr(), serverIP), wait)
	}
	switch {
	case a == nil:
		c.timeout.Add(1)
	case a.View.Type() == dhcp4.MsgAck:
		c.promised(mac, a.View.YIAddr())
	case a.View.Type() == dhcp4.MsgNak:
		if had, ok := c.leaseOf(mac); ok {
			c.mu.Lock()
			c.lost = append(c.lost, fmt.Sprintf("client %s was refused its own %v", macText(mac), had))
			c.mu.Unlock()
		}
	}
	return a != nil
}

// A client of a crowd waits for its answer for so long; when none comes, for
// twice as long the next time.
const (
	firstWait = 150 * time.Millisecond
	lastWait  = 3 * time.Second
)

// nextWait is how long to wait after a turn.
func nextWait(wait time.Duration, answered bool) time.Duration {
	if answered {
		return max(wait/2, firstWait)
	}
	return min(2*wait, lastWait)
}

// run lets n clients (the row's first..first+n-1) take turns on several
// goroutines until stop is closed.
func (c *crowd) run(first, n uint32, seed uint64, stop <-chan struct{}) (join func()) {
	const goroutines = 8
	var wg sync.WaitGroup
	for g := range uint32(goroutines) {
		wg.Go(func() {
			r, wait := rand.New(rand.NewPCG(seed, uint64(g))), firstWait
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Each goroutine has its own clients, so that a client is one at a time.
				wait = nextWait(wait, c.turn(netiotest.ClientMAC(first+r.Uint32N(n/goroutines)*goroutines+g), wait))
			}
		})
	}
	return wg.Wait
}

// check compares every promise with what the server knows.
func (c *crowd) check(t testing.TB, b *bed) {
	t.Helper()
	all := b.leases()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.lost {
		t.Error(s)
	}
	missing := 0
	for mac, a := range c.acked {
		if l, ok := all[a.String()]; !ok || l.HW != macText(mac) || l.State != 0 {
			if missing++; missing <= 5 {
				t.Errorf("ACKed lease %v of %s: the server has %+v (found %v)", a, macText(mac), l, ok)
			}
		}
	}
	owners := map[string]string{}
	for a, l := range all {
		if other, twice := owners[l.HW]; twice && l.State == 0 {
			t.Errorf("client %s has two leases, %s and %s", l.HW, a, other)
		}
		owners[l.HW] = a
	}
}

func testSeed(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return seed
}

// TestKill: the server is killed at random moments while clients are served.
// Every ACK that left it must be true afterwards.
func TestKill(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		seed := testSeed(t)
		r := rand.New(rand.NewPCG(seed, 99))
		c.dhcp4["cache-threshold"] = 0.0 // renewals are written, too
		b.startWith(c)
		crowd := newCrowd(b.newWire())
		const rounds, clients = 4, 800
		for round := range rounds {
			stop := make(chan struct{})
			join := crowd.run(uint32(round*clients/2), clients, seed+uint64(round), stop)
			before := crowd.acks.Load()
			until(t, "some ACKs", func() bool { return crowd.acks.Load() >= before+20 })
			time.Sleep(time.Duration(r.IntN(200_000)) * time.Microsecond)
			b.p.kill()
			close(stop)
			join()
			b.start()
			crowd.check(t, b)
			if t.Failed() {
				t.Fatalf("round %d, seed %d", round, seed)
			}
		}
		// Everybody keeps the address, and a second power cut at rest loses nothing.
		n := 0
		crowd.mu.Lock()
		acked := crowd.acked
		crowd.mu.Unlock()
		for mac, a := range acked {
			if n++; n > 100 {
				break
			}
			ack := crowd.w.ask("renewal after restart", netiotest.Renew(mac, a, serverIP), dhcp4.MsgAck)
			if ack.View.YIAddr() != a {
				t.Errorf("client %s renewed %v and got %v", macText(mac), a, ack.View.YIAddr())
			}
		}
		if crowd.acks.Load() < rounds*20 {
			t.Errorf("only %d ACKs: nothing was tested", crowd.acks.Load())
		}
		t.Logf("%d ACKs of %d clients, %d turns without answer, %d kills", crowd.acks.Load(), len(acked), crowd.timeout.Load(), rounds)
		b.p.terminate()
		b.start()
		crowd.check(t, b)
	})
}

// TestDiskFull: while nothing can be written nothing is promised, the operator
// is told once, and service comes back by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	disk := filepath.Join(b.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	b.lease = filepath.Join(disk, "leases")
	c := b.newConf("auto")
	b.startWith(c)
	w := b.newWire()
	crowd := newCrowd(w)
	for i := range uint32(20) {
		crowd.promised(netiotest.ClientMAC(i), w.lease(netiotest.ClientMAC(i)).View.YIAddr())
	}
	up := func() float64 { return b.metrics().sum("peregrine_lease_store_up") }
	if up() != 1 {
		t.Error("peregrine_lease_store_up is not 1 on a good disk")
	}

	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	// The journal may have some room left in its last page or what it has
	// preallocated; clients use that up.
	next, wait := uint32(1000), firstWait
	until(t, "the disk to be felt", func() bool {
		wait = nextWait(wait, crowd.turn(netiotest.ClientMAC(next), wait))
		next++
		return up() == 0
	})
	for i := range uint32(5) {
		mac := netiotest.ClientMAC(9000 + i)
		w.silence("disk full: new client", netiotest.Discover(mac))
		a, _ := crowd.leaseOf(netiotest.ClientMAC(i))
		w.silence("disk full: renewal", netiotest.Renew(netiotest.ClientMAC(i), a, serverIP))
	}
	var st struct {
		Store struct {
			OK       bool
			Error    string
			Since    string
			Attempts int
		} `json:"lease-store"`
	}
	b.command("status-get", nil, &st)
	if st.Store.OK || !strings.Contains(st.Store.Error, "no space left") || st.Store.Since == "" || st.Store.Attempts == 0 {
		t.Errorf("status-get: lease-store %+v", st.Store)
	}
	if n := b.logs(`ERROR .*PEREGRINE_LEASE_STORE`); n != 1 {
		t.Errorf("%d log lines about the full disk, want one\n%s", n, b.p.text())
	}
	until(t, "10 packets to be dropped for want of a journal", func() bool {
		return b.metrics().sum("peregrine_packets_dropped_total", `reason="journal-f`) >= 10
	})

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "the lease store to come back", func() bool { return up() == 1 })
	for i := range uint32(20) {
		mac := netiotest.ClientMAC(20_000 + i)
		crowd.promised(mac, w.lease(mac).View.YIAddr())
	}
	for i := range uint32(20) {
		mac := netiotest.ClientMAC(i)
		a, _ := crowd.leaseOf(mac)
		crowd.promised(mac, w.ask("renewal after the disk is free", netiotest.Renew(mac, a, serverIP), dhcp4.MsgAck).View.YIAddr())
	}
	if n := b.logs(`PEREGRINE_LEASE_STORE`); n != 2 {
		t.Errorf("%d log lines about the store, want one of the fault and one of its end\n%s", n, b.p.text())
	}
	crowd.check(t, b)
	b.p.kill()
	b.start()
	crowd.check(t, b)
}

// fillDisk writes a file until nothing more fits.
func fillDisk(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

// TestDiskFullAtStart: a server that cannot write its journal says so instead of
// starting without it.
func TestDiskFullAtStart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	disk := filepath.Join(b.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	fillDisk(t, filepath.Join(disk, "ballast"))
	b.lease = filepath.Join(disk, "leases")
	b.write(b.newConf("socket"))
	b.startNoWait()
	if code := b.p.wait(); code != 1 || !strings.Contains(b.p.text(), "no space left") || !strings.Contains(b.p.text(), disk) {
		t.Errorf("exit status %d\n%s", code, b.p.text())
	}
}
