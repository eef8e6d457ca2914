package loadgen

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Reflector answers every packet with itself: addresses and ports exchanged, op
// set to BOOTREPLY, the UDP checksum set to "none". It looks at nothing else and
// decides nothing: the yardstick of a machine, an end without a server.
type Reflector struct {
	// CPUs are those the threads are bound to, in turn; none: all.
	CPUs    []int
	Packets atomic.Uint64
	// Short are packets too short to be turned around.
	Short atomic.Uint64
}

// Run reflects on all conns, each in a locked thread, until stop is closed.
func (r *Reflector) Run(conns []netio.Conn, stop <-chan struct{}) error {
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var cpus []int
			if n := len(r.CPUs); n > 0 {
				cpus = r.CPUs[i%n : i%n+1]
			}
			restore, err := pin(cpus)
			if err != nil {
				errs[i] = err
				return
			}
			defer restore()
			r.serve(c, stop)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *Reflector) serve(c netio.Conn, stop <-chan struct{}) {
	var pkts, out [netio.BatchSize]netio.Packet
	idle := 0
	for {
		n := c.Recv(pkts[:])
		if n == 0 {
			select {
			case <-stop:
				return
			default:
			}
			if idle++; idle > 64 {
				c.Wait(int64(10 * time.Millisecond))
			}
			continue
		}
		idle = 0
		touched := byte(0)
		for i := range pkts[:n] { // the cache misses of a batch overlap here; in turn they would not
			if b := pkts[i].Data; len(b) > 0 {
				touched += b[0]
			}
		}
		runtime.KeepAlive(touched)
		sent := 0
		for i := range pkts[:n] {
			if turn(pkts[i].Data) {
				out[sent] = pkts[i]
				sent++
			} else {
				r.Short.Add(1)
				c.Release(pkts[i : i+1])
			}
		}
		c.Send(out[:sent])
		c.Flush()
		r.Packets.Add(uint64(sent))
	}
}

// turn exchanges the ends of an IPv4 UDP frame in place. It takes up to two tags
// and no IP options, which is what the generator sends.
func turn(b []byte) bool {
	l3 := 14
	for l3 <= 22 && len(b) >= l3 && b[l3-2] != 8 {
		l3 += 4
	}
	if l3 > 22 || len(b) < l3+20+8+1 {
		return false
	}
	be := binary.BigEndian
	dst, src := [6]byte(b), [6]byte(b[6:])
	copy(b, src[:])
	copy(b[6:], dst[:])
	ip := b[l3 : l3+29 : len(b)]
	be.PutUint64(ip[12:], bits.RotateLeft64(be.Uint64(ip[12:]), 32)) // addresses
	be.PutUint32(ip[20:], bits.RotateLeft32(be.Uint32(ip[20:]), 16)) // ports
	ip[26], ip[27] = 0, 0
	ip[28] = 2
	return true
}
