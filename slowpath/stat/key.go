package stat

import (
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Kind is what a statistic shows: a Counter, or one of the kinds below, which
// are known by whoever keeps the leases.
type Kind uint16

// Kinds of lease statistics (ST-015, ST-016, ST-024), of a subnet, a pool or all.
const (
	TotalAddresses Kind = Kind(numCounters) + iota
	AssignedAddresses
	CumulativeAssignedAddresses
	DeclinedAddresses
	TotalNAs
	AssignedNAs
	CumulativeAssignedNAs
	RegisteredNAs
	CumulativeRegisteredNAs
	TotalPDs
	AssignedPDs
	CumulativeAssignedPDs

	numKinds
)

var kindNames = [...]string{
	TotalAddresses - Kind(numCounters):              "total-addresses",
	AssignedAddresses - Kind(numCounters):           "assigned-addresses",
	CumulativeAssignedAddresses - Kind(numCounters): "cumulative-assigned-addresses",
	DeclinedAddresses - Kind(numCounters):           "declined-addresses",
	TotalNAs - Kind(numCounters):                    "total-nas",
	AssignedNAs - Kind(numCounters):                 "assigned-nas",
	CumulativeAssignedNAs - Kind(numCounters):       "cumulative-assigned-nas",
	RegisteredNAs - Kind(numCounters):               "registered-nas",
	CumulativeRegisteredNAs - Kind(numCounters):     "cumulative-registered-nas",
	TotalPDs - Kind(numCounters):                    "total-pds",
	AssignedPDs - Kind(numCounters):                 "assigned-pds",
	CumulativeAssignedPDs - Kind(numCounters):       "cumulative-assigned-pds",
}

// String is the name without scope.
func (k Kind) String() string {
	if k < Kind(numCounters) {
		return names[k]
	}
	return kindNames[k-Kind(numCounters)]
}

// Scope is what a Key is about.
type Scope uint8

const (
	Global Scope = iota
	OfSubnet
	OfPool   // subnet[S].pool[P]
	OfPDPool // subnet[S].pd-pool[P]
)

// Key is a statistic: a kind in a scope. Subnet and Pool are 0 where the scope
// has none.
type Key struct {
	Kind   Kind
	Scope  Scope
	Subnet uint32
	Pool   uint32
}

// String is Kea's name, such as "subnet[1].pool[0].assigned-addresses".
func (k Key) String() string {
	if k.Scope == Global {
		return k.Kind.String()
	}
	b := strconv.AppendUint(append(make([]byte, 0, 64), "subnet["...), uint64(k.Subnet), 10)
	switch k.Scope {
	case OfPool:
		b = strconv.AppendUint(append(b, "].pool["...), uint64(k.Pool), 10)
	case OfPDPool:
		b = strconv.AppendUint(append(b, "].pd-pool["...), uint64(k.Pool), 10)
	}
	return string(append(append(b, "]."...), k.Kind.String()...))
}

// ParseKey finds a statistic of a family by Kea's name. That there is such a
// name does not say that there is such a subnet.
func ParseKey(f Family, name string) (k Key, ok bool) {
	rest, scoped := strings.CutPrefix(name, "subnet[")
	if scoped {
		k.Scope = OfSubnet
		if k.Subnet, rest, ok = cutIndex(rest); !ok {
			return Key{}, false
		}
		if r, found := strings.CutPrefix(rest, "pool["); found {
			k.Scope, rest = OfPool, r
		} else if r, found := strings.CutPrefix(rest, "pd-pool["); found {
			k.Scope, rest = OfPDPool, r
		}
		if k.Scope != OfSubnet {
			if k.Pool, rest, ok = cutIndex(rest); !ok {
				return Key{}, false
			}
		}
	}
	if c, found := ByName(f, rest); found {
		k.Kind = Kind(c)
		return k, true
	}
	for i, n := range kindNames {
		if n == rest {
			k.Kind = Kind(numCounters) + Kind(i)
			return k, true
		}
	}
	return Key{}, false
}

// cutIndex reads "17]." in the only way that String writes it.
func cutIndex(s string) (n uint32, rest string, ok bool) {
	num, rest, found := strings.Cut(s, "].")
	v, err := strconv.ParseUint(num, 10, 32)
	if !found || err != nil || strconv.FormatUint(v, 10) != num {
		return 0, "", false
	}
	return uint32(v), rest, true
}

// Value is a signed number of 128 bits: the addresses of an IPv6 pool do not fit
// fewer, and what was reset can become negative, as in Kea.
type Value struct {
	Hi int64
	Lo uint64
}

// Of makes a Value.
func Of(v uint64) Value { return Value{Lo: v} }

// Sub is v - w, Add v + w; both wrap around.
func (v Value) Sub(w Value) Value {
	lo, borrow := bits.Sub64(v.Lo, w.Lo, 0)
	return Value{Hi: v.Hi - w.Hi - int64(borrow), Lo: lo}
}

// Add is v + w.
func (v Value) Add(w Value) Value {
	lo, carry := bits.Add64(v.Lo, w.Lo, 0)
	return Value{Hi: v.Hi + w.Hi + int64(carry), Lo: lo}
}

// String is the decimal number.
func (v Value) String() string {
	switch {
	case v.Hi == 0:
		return strconv.FormatUint(v.Lo, 10)
	case v.Hi == -1 && v.Lo >= 1<<63:
		return strconv.FormatInt(int64(v.Lo), 10)
	}
	n := big.NewInt(v.Hi)
	n.Lsh(n, 64)
	return n.Add(n, new(big.Int).SetUint64(v.Lo)).String()
}

// MarshalJSON is the decimal number.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(v.String()), nil }

// Float is the nearest float64.
func (v Value) Float() float64 {
	if v.Hi == -1 && v.Lo >= 1<<63 {
		return float64(int64(v.Lo))
	}
	return float64(v.Hi)*(1<<64) + float64(v.Lo)
}
