package alloc6

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// number is an unsigned integer of 128 bits: an address, or the position of an
// address or prefix in a pool.
type number struct{ hi, lo uint64 }

func addrNumber(a lease6.IPv6) number {
	return number{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

func (n number) addr() (a lease6.IPv6) {
	binary.BigEndian.PutUint64(a[:8], n.hi)
	binary.BigEndian.PutUint64(a[8:], n.lo)
	return a
}

func (n number) isZero() bool { return n.hi|n.lo == 0 }

func (n number) less(m number) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

func (n number) add(m number) number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	return number{n.hi + m.hi + carry, lo}
}

func (n number) sub(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	return number{n.hi - m.hi - borrow, lo}
}

// shr and shl shift by up to 128 bits.
func (n number) shr(s uint) number {
	if s >= 64 {
		return number{0, n.hi >> (s - 64)}
	}
	return number{n.hi >> s, n.lo>>s | n.hi<<(64-s)}
}

func (n number) shl(s uint) number {
	if s >= 64 {
		return number{n.lo << (s - 64), 0}
	}
	return number{n.hi<<s | n.lo>>(64-s), n.lo << s}
}

// len is the number of bits n needs.
func (n number) len() uint {
	if n.hi != 0 {
		return uint(64 + bits.Len64(n.hi))
	}
	return uint(bits.Len64(n.lo))
}

// ones is the number of s bits, all of them set.
func ones(s uint) number { return number{^uint64(0), ^uint64(0)}.shr(128 - s) }

// Size is how many addresses or prefixes there are: up to 2^128 minus one; what
// has more counts as that.
type Size struct{ Hi, Lo uint64 }

// Add returns the sum, at most the largest Size.
func (s Size) Add(t Size) Size {
	a := number{s.Hi, s.Lo}
	n := a.add(number{t.Hi, t.Lo})
	if n.less(a) {
		return Size{^uint64(0), ^uint64(0)}
	}
	return Size{n.hi, n.lo}
}

// Int64 returns s, or the largest int64 if it is above that.
func (s Size) Int64() int64 {
	if s.Hi != 0 || s.Lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(s.Lo)
}

// Float64 returns the nearest floating-point number.
func (s Size) Float64() float64 { return float64(s.Hi)*(1<<64) + float64(s.Lo) }

// String returns decimal digits.
func (s Size) String() string {
	b := new(big.Int).SetUint64(s.Hi)
	return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(s.Lo)).String()
}
