package leasestore

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// readBytes is how much of a file is read at once; a block always fits.
const readBytes = 4 << 20

// chunk is a piece of a file with the blocks that lie completely in it. It is
// shared by the loaders and goes back to the pool with the last of them.
type chunk struct {
	buf      []byte
	payloads [][]byte
	refs     atomic.Int32
}

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, readBytes)} }}

func (c *chunk) release() {
	if c.refs.Add(-1) == 0 {
		c.payloads = c.payloads[:0]
		chunks.Put(c)
	}
}

// span is what readBlocks saw.
type span struct {
	end      int64 // of the last good block
	bad      int64 // offset of what is wrong, if err is not nil; at or after end
	err      error // why reading stopped before the limit
	durable  int64 // the greatest durable of the block headers
	greatest versions
	records  int
	blocks   int
	ended    bool   // an end block was seen; reading stopped behind it
	endCount uint64 // its durable field
}

// readBlocks reads the blocks of f from offset from up to limit, checks them
// completely, and passes them on in chunks with one reference. ioErr is a
// failure to read, not damage.
func readBlocks(f File, salt uint64, from, limit int64, emit func(*chunk)) (sp span, ioErr error) {
	sp.end = from
	for sp.end < limit && !sp.ended {
		c := chunks.Get().(*chunk)
		c.refs.Store(1)
		c.payloads = c.payloads[:0]
		want := min(int64(len(c.buf)), limit-sp.end)
		n, err := f.ReadAt(c.buf[:want], sp.end)
		if err != nil && !errors.Is(err, io.EOF) {
			c.release()
			return sp, err
		}
		base, p := sp.end, 0
		for p < n && !sp.ended {
			h, err := decodeBlockHeader(c.buf[p:n], salt, uint64(base)+uint64(p))
			if err != nil {
				if errors.Is(err, errBlockShort) && int64(n) == want && base+want < limit && p > 0 {
					break // goes on in the next chunk
				}
				sp.bad, sp.err = base+int64(p), err
				break
			}
			q := p + blockHeaderLen + int(h.length)
			if q > n {
				if base+int64(q) <= limit && p > 0 {
					break
				}
				sp.bad, sp.err = base+int64(p), errBlockShort
				break
			}
			payload := c.buf[p+blockHeaderLen : q]
			v, at, err := checkBlock(h, payload)
			if err != nil {
				sp.bad, sp.err = base+int64(p+blockHeaderLen+at), err
				break
			}
			if h.kind == kindEnd {
				sp.ended, sp.endCount = true, h.durable
			} else {
				sp.blocks++
				sp.records += int(h.records)
				sp.greatest.raise(v)
				c.payloads = append(c.payloads, payload)
			}
			sp.durable = max(sp.durable, int64(h.durable))
			p = q
			sp.end = base + int64(p)
		}
		if len(c.payloads) > 0 {
			emit(c)
		} else {
			c.release()
		}
		if sp.err != nil {
			return sp, nil
		}
		if p == 0 {
			sp.bad, sp.err = base, errBlockShort // the file is shorter than limit
			return sp, nil
		}
	}
	return sp, nil
}

// tailScan is what stands behind the last good block of the newest segment.
type tailScan struct {
	attested int64 // greatest durable of blocks found behind the damage
	blocks   bool  // there are such blocks
	used     int64 // end of the last byte that is not zero
}

// scanTail looks for valid block headers at any offset in [from, size). The
// salt in their checksum keeps a client's bytes from passing for one.
func scanTail(f File, salt uint64, from, size int64) (t tailScan, err error) {
	t.used = from
	c := chunks.Get().(*chunk)
	c.refs.Store(1)
	defer c.release()
	magic := le.AppendUint32(nil, blockMagic)
	for off := from; off < size; {
		n, err := f.ReadAt(c.buf[:min(int64(len(c.buf)), size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return t, err
		}
		if n == 0 {
			break
		}
		b := c.buf[:n]
		if k := usedLen(b); k > 0 {
			t.used = max(t.used, off+int64(k))
		}
		for p := 0; ; p++ {
			k := bytes.Index(b[p:], magic)
			if k < 0 {
				break
			}
			p += k
			if h, err := decodeBlockHeader(b[p:], salt, uint64(off)+uint64(p)); err == nil {
				t.blocks = true
				t.attested = max(t.attested, int64(h.durable))
			}
		}
		if n < len(c.buf) {
			break
		}
		off += int64(n - blockHeaderLen) // a header may lie across
	}
	return t, nil
}

// usedLen is the length of b without zeroes at its end.
func usedLen(b []byte) int {
	n := len(b)
	for n >= 8 && le.Uint64(b[n-8:]) == 0 {
		n -= 8
	}
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return n
}

// zeroFrom reports whether the file holds nothing but zeroes from off on.
func zeroFrom(f File, off, size int64) (bool, error) {
	t, err := scanTail(f, 0, off, size)
	return t.used == off, err
}
