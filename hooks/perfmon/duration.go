package perfmon

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// The pairs of events that are measured.
const (
	pairReceived = iota
	pairWaited
	pairWorked
	pairTotal
	numPairs
)

var pairs = [numPairs][2]string{
	pairReceived: {"socket_received", "buffer_read"},
	pairWaited:   {"buffer_read", "process_started"},
	pairWorked:   {"process_started", "process_completed"},
	pairTotal:    {"composite", "total_response"},
}

// key names a duration. In an alarm's key a type of 0 is any.
type key struct {
	query, response, pair uint8
	subnet                uint32 // 0: all
}

func (k key) matches(d key) bool {
	return (k.query == 0 || k.query == d.query) && (k.response == 0 || k.response == d.response) && k.pair == d.pair && k.subnet == d.subnet
}

func typeName(v6 bool, t uint8) string {
	switch {
	case t == 0:
		return "*"
	case v6:
		return dhcp6.MsgType(t).String()
	}
	return dhcp4.MsgType(t).String()
}

// String is Kea's label of the key, without the subnet.
func (k key) label(v6 bool) string {
	return typeName(v6, k.query) + "-" + typeName(v6, k.response) + "." + pairs[k.pair][0] + "-" + pairs[k.pair][1]
}

// interval is what was counted in a span of time.
type interval struct {
	startNs             int64 // Unix; 0: there was none
	n                   uint64
	minNs, maxNs, sumNs int64
}

func (i *interval) meanNs() int64 {
	if i.n == 0 {
		return 0
	}
	return i.sumNs / int64(i.n)
}

// bounds are the upper bounds of the histograms' buckets in seconds.
var bounds = func() (b []float64) {
	for x := 1e-6; x < 1.1; x *= 2 {
		b = append(b, x)
	}
	return b
}()

// duration is what is known of a key. Its mutex is held for some additions.
type duration struct {
	key key

	mu struct {
		sync.Mutex
		current, previous interval
		counts            []uint64
		sumNs             int64
	}
}

// add counts one; when the interval is over it returns what was counted in it.
func (d *duration) add(ns, nowNs, widthNs int64) (done interval, ok bool) {
	m := &d.mu
	m.Lock()
	defer m.Unlock()
	if m.current.n > 0 && nowNs-m.current.startNs > widthNs {
		m.previous = m.current
		done, ok = m.previous, true
		m.current = interval{}
	}
	if m.current.n == 0 {
		m.current = interval{startNs: nowNs, minNs: math.MaxInt64}
	}
	m.current.n++
	m.current.minNs = min(m.current.minNs, ns)
	m.current.maxNs = max(m.current.maxNs, ns)
	m.current.sumNs += ns
	i, _ := slices.BinarySearch(bounds, float64(ns)/1e9)
	m.counts[i]++
	m.sumNs += ns
	return done, ok
}

func (d *duration) last() interval {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.previous
}

// statName is Kea's name of the statistic.
func (d *duration) statName(v6 bool) string {
	name := "perfmon." + d.key.label(v6) + ".mean-usecs"
	if d.key.subnet != 0 {
		return fmt.Sprintf("subnet-id[%d].%s", d.key.subnet, name)
	}
	return name
}

// maxDurations bounds the store: some message types, four pairs, and a few
// thousand subnets.
const maxDurations = 100_000

// store holds the durations. Looking up takes no lock; a new key copies the map.
type store struct {
	byKey   atomic.Pointer[map[key]*duration]
	mu      sync.Mutex // adding
	refused atomic.Uint64
}

func (s *store) init() { s.byKey.Store(&map[key]*duration{}) }

// find returns the duration of a key, nil if there are too many.
func (s *store) find(k key) *duration {
	if d := (*s.byKey.Load())[k]; d != nil {
		return d
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.byKey.Load()
	if d := old[k]; d != nil {
		return d
	}
	if len(old) >= maxDurations {
		s.refused.Add(1)
		return nil
	}
	d := &duration{key: k}
	d.mu.counts = make([]uint64, len(bounds)+1)
	next := maps.Clone(old)
	next[k] = d
	s.byKey.Store(&next)
	return d
}

// all returns the durations in the order of their keys.
func (s *store) all() []*duration {
	m := *s.byKey.Load()
	l := make([]*duration, 0, len(m))
	for _, d := range m {
		l = append(l, d)
	}
	slices.SortFunc(l, func(a, b *duration) int {
		x, y := a.key, b.key
		return slices.Compare([]uint32{x.subnet, uint32(x.query), uint32(x.response), uint32(x.pair)},
			[]uint32{y.subnet, uint32(y.query), uint32(y.response), uint32(y.pair)})
	})
	return l
}

// timeText is how Kea prints a time: local, without a zone.
func timeText(unixNs int64) string {
	return time.Unix(0, unixNs).Local().Format("2006-01-02 15:04:05.000000")
}
