package leasefile

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// queue takes changes from whoever holds a lock of the lease table to the
// mirror's goroutine. It is divided by address, so that the changes of an address
// stay in order and callers hardly ever meet; what does not fit is lost, and the
// part remembers that.
type queue struct {
	parts []queuePart
	kick  chan struct{} // signalled when a part is half full, and for the first change while the taker rests
	// rests says that the taker waits and nothing is queued: the next change
	// wakes it.
	rests atomic.Bool
	spare []byte // the taker's
}

type queuePart struct {
	mu   sync.Mutex
	buf  []byte // records; its capacity is the limit
	half int
	// lost counts changes that did not fit since it was last taken.
	lost uint64
	_    [128 - 8 - 24 - 8 - 8]byte // neighbours are on other cache lines
}

// queueParts is a power of two.
const queueParts = 64

func newQueue(bytes int) *queue {
	q := &queue{parts: make([]queuePart, queueParts), kick: make(chan struct{}, 1)}
	each := max(bytes/queueParts, queueRecord6)
	for i := range q.parts {
		q.parts[i].buf = make([]byte, 0, each)
		q.parts[i].half = each / 2
	}
	q.spare = make([]byte, 0, each)
	return q
}

// room calls fill with n octets in the part of an address, if there are that
// many.
func (q *queue) room(part uint32, n int, fill func(b []byte)) {
	p := &q.parts[part*0x9E3779B1>>26&(queueParts-1)]
	p.mu.Lock()
	at := len(p.buf)
	if n > cap(p.buf)-at {
		p.lost++
		p.mu.Unlock()
		return
	}
	p.buf = p.buf[:at+n]
	b := p.buf[at:]
	binary.LittleEndian.PutUint32(b, uint32(n))
	fill(b)
	p.mu.Unlock()
	if at < p.half && at+n >= p.half || q.rests.Load() && q.rests.CompareAndSwap(true, false) {
		select {
		case q.kick <- struct{}{}:
		default:
		}
	}
}

// A queued record, little endian:
//
//	 0 u32 length of the whole record
//	 4 u8  flags, 5 u8 state, 6 u8 hwlen, 7 u8 client-id length, 8 u8 host name length
//	12 u32 address, 16 u32 subnet, 20 u32 pool, 24 u32 valid lifetime
//	28 i64 CLTT
//	36     hardware address, client-id, host name, user context (the rest)
const queueRecord = 36

const (
	queuedFwd = 1 << iota
	queuedRev
)

func fqdnFlags(fwd, rev bool) (flags byte) {
	if fwd {
		flags |= queuedFwd
	}
	if rev {
		flags |= queuedRev
	}
	return flags
}

// put queues that valid is now the lifetime of l, which is otherwise as given.
func (q *queue) put(l *lease.Lease4, valid uint32) {
	n := queueRecord + int(l.HWLen) + int(l.ClientIDLen) + int(l.HostnameLen) + len(l.UserContext)
	q.room(uint32(l.Addr), n, func(b []byte) {
		b[4], b[5], b[6], b[7], b[8] = fqdnFlags(l.FQDNFwd, l.FQDNRev), byte(l.State), l.HWLen, l.ClientIDLen, l.HostnameLen
		binary.LittleEndian.PutUint32(b[12:], uint32(l.Addr))
		binary.LittleEndian.PutUint32(b[16:], l.SubnetID)
		binary.LittleEndian.PutUint32(b[20:], l.PoolID)
		binary.LittleEndian.PutUint32(b[24:], valid)
		binary.LittleEndian.PutUint64(b[28:], uint64(l.CLTTUnixS))
		i := queueRecord
		i += copy(b[i:], l.HW())
		i += copy(b[i:], l.CID())
		i += copy(b[i:], l.Host())
		copy(b[i:], l.UserContext)
	})
}

// queuedRow reads a record of put; the row's slices are the record's.
func queuedRow(r []byte) row4 {
	hw := r[queueRecord:]
	cid := hw[r[6]:]
	host := cid[r[7]:]
	context := host[r[8]:]
	return row4{
		addr: binary.LittleEndian.Uint32(r[12:]), subnet: binary.LittleEndian.Uint32(r[16:]),
		pool: binary.LittleEndian.Uint32(r[20:]), valid: binary.LittleEndian.Uint32(r[24:]),
		cltt: int64(binary.LittleEndian.Uint64(r[28:])),
		fwd:  r[4]&queuedFwd != 0, rev: r[4]&queuedRev != 0, state: lease.State(r[5]),
		hw: hw[:r[6]], cid: cid[:r[7]], host: host[:r[8]], context: string(context),
	}
}

// rest arms the wake-up by the next change. It reports false if there is one
// already.
func (q *queue) rest() bool {
	q.rests.Store(true)
	for i := range q.parts {
		p := &q.parts[i]
		p.mu.Lock()
		n := len(p.buf)
		p.mu.Unlock()
		if n > 0 {
			q.rests.Store(false)
			return false
		}
	}
	return true
}

// take gives f each change of part i, in order, and returns how many were lost.
// The record is valid until f returns. One goroutine takes at a time.
func (q *queue) take(i int, f func(rec []byte)) (lost uint64) {
	p := &q.parts[i]
	p.mu.Lock()
	lost, p.lost = p.lost, 0
	if len(p.buf) == 0 {
		p.mu.Unlock()
		return lost
	}
	full := p.buf
	p.buf = q.spare
	p.mu.Unlock()
	q.spare = full[:0]
	for b := full; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b)
		f(b[:n])
		b = b[n:]
	}
	return lost
}
