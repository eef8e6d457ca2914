package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
)

// PressureAll is the level of a Pressure at which every message that starts
// something is dropped.
const PressureAll = 256

// Pressure is what one entry of the socket table has shed for it, in memory that
// the program reads. It is for one goroutine, and not after Close of the Objects.
type Pressure struct {
	mem *ebpf.Memory
	off int64
	buf [8]byte
}

// Pressure returns that of the socket at index, at level 0.
func (o *Objects) Pressure(index uint32) (*Pressure, error) {
	if index >= o.opts.MaxSockets {
		return nil, fmt.Errorf("share pressure of socket %d: MaxSockets is %d", index, o.opts.MaxSockets)
	}
	mem, err := o.objs.Pressures.Memory()
	if err != nil {
		return nil, fmt.Errorf("share pressure of socket %d: %w", index, err)
	}
	p := &Pressure{mem: mem, off: 8 * int64(index)}
	return p, p.set(0)
}

// Set makes the program drop level of PressureAll of the DISCOVER, INFORM, SOLICIT
// and INFORMATION-REQUEST messages for the socket, at random. It allocates nothing
// and makes no system call.
func (p *Pressure) Set(level uint32) { _ = p.set(level) } // cannot fail: Pressure has written there

func (p *Pressure) set(level uint32) error {
	binary.NativeEndian.PutUint64(p.buf[:], uint64(level))
	_, err := p.mem.WriteAt(p.buf[:], p.off)
	return err
}
