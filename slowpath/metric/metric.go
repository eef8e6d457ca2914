// Package metric shows a server to Prometheus. A Collector reads counters where
// they are kept when it is scraped; nothing on the hot path knows of it.
// docs/metrics.md lists every metric, and a test keeps it equal to what is
// collected here.
package metric

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Dataplane is what the way packets come in has to say.
type Dataplane struct {
	Interfaces []Interface
	Workers    []Worker
	XDP        []XDPCounter
}

// Interface is one interface and the mode really in use.
type Interface struct {
	Name string
	Mode string // "native-zero-copy", "native-copy", "generic", "socket"
}

// Worker is one loop.
type Worker struct {
	Name, Interface string
	Conn            netio.ConnStats
	Loop            netio.LoopStats
}

// XDPCounter counts packets that left the XDP program by one exit.
type XDPCounter struct {
	Family, Action, Reason string
	Packets                uint64
}

// Collector implements prometheus.Collector for a server and its dataplane.
type Collector struct {
	server    *slowpath.Server
	dataplane func() Dataplane
	version   string
}

// New returns a collector; dataplane may be nil. version is of the build.
func New(s *slowpath.Server, dataplane func() Dataplane, version string) *Collector {
	return &Collector{server: s, dataplane: dataplane, version: version}
}

type desc struct {
	d    *prometheus.Desc
	typ  prometheus.ValueType
	hist bool
}

var all []struct{ Name, Type, Labels, Help string }

func define(name, help string, typ prometheus.ValueType, labels ...string) desc {
	word := "gauge"
	if typ == prometheus.CounterValue {
		word = "counter"
	}
	all = append(all, struct{ Name, Type, Labels, Help string }{name, word, fmt.Sprint(labels), help})
	return desc{d: prometheus.NewDesc(name, help, labels, nil), typ: typ}
}

func histogram(name, help string, labels ...string) desc {
	all = append(all, struct{ Name, Type, Labels, Help string }{name, "histogram", fmt.Sprint(labels), help})
	return desc{d: prometheus.NewDesc(name, help, labels, nil), hist: true}
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var (
	mReceived = define("peregrine_packets_received_total", "DHCP messages received, by family and message type.", counter, "family", "type")
	mSent     = define("peregrine_packets_sent_total", "DHCP messages sent or waiting for their commit, by family and message type.", counter, "family", "type")
	mDropped  = define("peregrine_packets_dropped_total", "Packets not answered, by the layer that refused them and its reason.", counter, "layer", "reason")
	mNAKs     = define("peregrine_naks_total", "DHCPNAKs, by reason.", counter, "reason")
	mNotes    = define("peregrine_message_peculiarities_total", "Messages accepted though something about them is odd, by what.", counter, "kind")
	mKea      = define("peregrine_statistic_total", "Kea's packet and lease statistics under their own names.", counter, "family", "name")
	mScoped   = define("peregrine_lease_statistic", "Kea's statistics of leases under their own names, at every scope: global, subnet, pool, pd-pool. Those that are 0 are left out.", gauge, "family", "scope", "subnet_id", "pool_id", "name")
	mXDP      = define("peregrine_xdp_packets_total", "Packets that left the XDP program, by family, action and reason.", counter, "family", "action", "reason")
	mMode     = define("peregrine_interface_mode", "1 for the mode in use on an interface.", gauge, "interface", "mode")

	mRx       = define("peregrine_worker_received_packets_total", "Packets a worker took from its rings or sockets.", counter, "worker", "interface")
	mTx       = define("peregrine_worker_sent_packets_total", "Packets a worker gave to its rings or sockets.", counter, "worker", "interface")
	mRing     = define("peregrine_ring_dropped_packets_total", "Packets lost at a ring or socket buffer: rx (kernel found no room), tx (no room to send), no-frame, invalid.", counter, "worker", "interface", "kind")
	mBatches  = define("peregrine_worker_batches_total", "Batches a worker handled.", counter, "worker", "interface")
	mSleeps   = define("peregrine_worker_sleeps_total", "Times a worker went to sleep for want of packets.", counter, "worker", "interface")
	mNaps     = define("peregrine_worker_naps_total", "Times a busy worker slept a moment so that packets come in batches.", counter, "worker", "interface")
	mHeld     = define("peregrine_worker_held_replies", "Replies that wait for their commit now.", gauge, "worker", "interface")
	mHoldDrop = define("peregrine_worker_held_dropped_total", "Replies given up before their commit: timeout, overflow, abandoned at the end.", counter, "worker", "interface", "kind")

	mPool     = define("peregrine_pool_addresses", "Addresses of a pool by state: total, assigned (declined ones included, as Kea counts), declined, offered, stale.", gauge, "subnet_id", "pool", "state")
	mSubnet   = define("peregrine_subnet_addresses", "Addresses of a subnet by state, those outside its pools included.", gauge, "subnet_id", "state")
	mAssigned = define("peregrine_subnet_assignments_total", "Addresses assigned since start.", counter, "subnet_id")
	mPool6    = define("peregrine_pool6_leases", "Addresses or prefixes of a DHCPv6 pool by state: total, assigned (declined ones included), declined, registered, offered, stale.", gauge, "subnet_id", "pool", "type", "state")
	mSubnet6  = define("peregrine_subnet6_leases", "Addresses (type na) and prefixes (pd) of a DHCPv6 subnet by state, those outside its pools included.", gauge, "subnet_id", "type", "state")
	mAssign6  = define("peregrine_subnet6_assignments_total", "Addresses and prefixes assigned since start.", counter, "subnet_id", "type")
	mLeases6  = define("peregrine_lease6_records", "Records in the DHCPv6 lease table, offers included.", gauge)
	mMemory6  = define("peregrine_lease6_memory_bytes", "Memory of the DHCPv6 lease table and its indexes.", gauge)
	mLeases   = define("peregrine_lease_records", "Records in the lease table, offers included.", gauge)
	mMemory   = define("peregrine_lease_memory_bytes", "Memory of the lease table and its indexes.", gauge)
	mParked   = define("peregrine_parked_queries", "Queries that wait for a hook library.", gauge)
	mClass    = define("peregrine_class_evaluation_failures_total", "Expressions of client classes that could not be evaluated; the query is then not in the class.", counter, "family")
	mCut      = define("peregrine_replies_truncated_total", "Replies that left options out for want of room.", counter)

	mStoreUp  = define("peregrine_lease_store_up", "1 while lease changes can be made durable.", gauge)
	mCommits  = define("peregrine_journal_commits_total", "Group commits.", counter)
	mRecords  = define("peregrine_journal_records_total", "Lease changes written.", counter)
	mBytes    = define("peregrine_journal_written_bytes_total", "Octets written to the journal.", counter)
	mErrors   = define("peregrine_journal_errors_total", "Failed writes and syncs.", counter)
	mRingFull = define("peregrine_journal_refused_total", "Lease changes refused because the journal could take no more.", counter)
	mJournal  = define("peregrine_journal_bytes", "Journal since the last snapshot.", gauge)
	mSnaps    = define("peregrine_snapshots_total", "Snapshots written.", counter)
	mSnapAt   = define("peregrine_last_snapshot_timestamp_seconds", "When the last snapshot was written, 0 before the first.", gauge)
	mBatch    = histogram("peregrine_journal_commit_records", "Lease changes of one commit.")
	mLatency  = histogram("peregrine_journal_commit_seconds", "Time of one commit: write and sync.")
	mResponse = histogram("peregrine_response_seconds", "Time from a batch's receipt to the sending of the reply.", "worker")

	mPanics = define("peregrine_hook_panics_total", "Callouts that failed, by library.", counter, "library")
	mBuild  = define("peregrine_build_info", "1; the build in its labels.", gauge, "version")
	mConfig = define("peregrine_config_info", "1; the hash of the configuration in force.", gauge, "hash")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []desc{mReceived, mSent, mDropped, mNAKs, mNotes, mKea, mScoped, mXDP, mMode, mRx, mTx, mRing, mBatches, mSleeps, mNaps, mHeld, mHoldDrop,
		mPool, mSubnet, mAssigned, mPool6, mSubnet6, mAssign6, mLeases6, mMemory6, mLeases, mMemory, mParked, mClass, mCut, mStoreUp, mCommits, mRecords, mBytes, mErrors, mRingFull, mJournal, mSnaps, mSnapAt,
		mBatch, mLatency, mResponse, mPanics, mBuild, mConfig} {
		ch <- d.d
	}
}

var receivedTypes = []struct {
	label string
	c     stat.Counter
}{
	{"discover", stat.Pkt4DiscoverReceived}, {"offer", stat.Pkt4OfferReceived}, {"request", stat.Pkt4RequestReceived},
	{"ack", stat.Pkt4AckReceived}, {"nak", stat.Pkt4NakReceived}, {"release", stat.Pkt4ReleaseReceived},
	{"decline", stat.Pkt4DeclineReceived}, {"inform", stat.Pkt4InformReceived}, {"lease-query", stat.Pkt4LeaseQueryReceived},
	{"unknown", stat.Pkt4UnknownReceived},
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	put := func(d desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d.d, d.typ, v, labels...)
	}
	s := c.server
	st := s.Stats()
	for _, t := range receivedTypes {
		put(mReceived, float64(st.Total(t.c)), "dhcp4", t.label)
	}
	put(mSent, float64(st.Total(stat.Pkt4OfferSent)), "dhcp4", "offer")
	put(mSent, float64(st.Total(stat.Pkt4AckSent)), "dhcp4", "ack")
	put(mSent, float64(st.Total(stat.Pkt4NakSent)), "dhcp4", "nak")
	for k, end := stat.V4.Counters(); k < end; k++ {
		put(mKea, float64(st.Total(k)), "dhcp4", k.String())
	}
	if s.Stats6() != nil {
		c.collect6(put)
	}
	s.EachLeaseStatistic(func(family string, k stat.Key, v stat.Value) {
		if n := float64(v.Hi)*(1<<64) + float64(v.Lo); n != 0 {
			scope, subnet, pool := scoped(k)
			put(mScoped, n, family, scope, subnet, pool, k.Kind.String())
		}
	})
	s.EachDrop(func(layer, reason string, n uint64) { put(mDropped, float64(n), layer, reason) })
	s.EachNAK(func(reason string, n uint64) { put(mNAKs, float64(n), reason) })
	s.EachNote(func(note string, n uint64) { put(mNotes, float64(n), note) })

	a := s.Alloc()
	a.EachPool(func(p *alloc.PoolStats) {
		id, pool := strconv.FormatUint(uint64(p.SubnetID), 10), p.First.String()+"-"+p.Last.String()
		put(mPool, float64(p.Total), id, pool, "total")
		put(mPool, float64(p.Assigned), id, pool, "assigned")
		put(mPool, float64(p.Declined), id, pool, "declined")
		put(mPool, float64(p.Offered), id, pool, "offered")
		put(mPool, float64(p.Stale), id, pool, "stale")
	})
	a.EachSubnet(func(x *alloc.SubnetStats) {
		id := strconv.FormatUint(uint64(x.SubnetID), 10)
		put(mSubnet, float64(x.Total), id, "total")
		put(mSubnet, float64(x.Assigned), id, "assigned")
		put(mSubnet, float64(x.Declined), id, "declined")
		put(mAssigned, float64(x.Cumulative), id)
	})
	records, memory := s.LeaseTable()
	put(mLeases, float64(records))
	put(mMemory, float64(memory))
	put(mParked, float64(s.Parked()))
	put(mCut, float64(s.Truncated()))
	class4, class6 := s.ClassFailures()
	put(mClass, float64(class4), "dhcp4")
	if s.Stats6() != nil {
		put(mClass, float64(class6), "dhcp6")
	}
	c.collectStore(ch, put)
	for lib, n := range s.HookPanics() {
		put(mPanics, float64(n), lib)
	}
	put(mConfig, 1, s.Snapshot().Hash)
	put(mBuild, 1, c.version)
	if c.dataplane != nil {
		c.collectDataplane(ch, put)
	}
}

// scoped is where a statistic is from, in labels.
func scoped(k stat.Key) (scope, subnet, pool string) {
	if k.Scope == stat.Global {
		return "global", "", ""
	}
	subnet = strconv.FormatUint(uint64(k.Subnet), 10)
	if k.Scope == stat.OfSubnet {
		return "subnet", subnet, ""
	}
	scope = "pool"
	if k.Scope == stat.OfPDPool {
		scope = "pd-pool"
	}
	return scope, subnet, strconv.FormatUint(uint64(k.Pool), 10)
}

func (c *Collector) collectStore(ch chan<- prometheus.Metric, put func(desc, float64, ...string)) {
	st, h, ok := c.server.Store()
	if !ok {
		return
	}
	up := 0.0
	if h.OK {
		up = 1
	}
	put(mStoreUp, up)
	put(mCommits, float64(st.Commits))
	put(mRecords, float64(st.Records))
	put(mBytes, float64(st.Bytes))
	put(mErrors, float64(st.Errors))
	put(mRingFull, float64(st.RingFull))
	put(mJournal, float64(st.JournalBytes))
	put(mSnaps, float64(st.Snapshots))
	at := 0.0
	if !st.LastSnapshot.IsZero() {
		at = float64(st.LastSnapshot.UnixNano()) / 1e9
	}
	put(mSnapAt, at)
	recordBounds, secondBounds := slowpath.CommitBounds()
	ch <- buckets(mBatch, recordBounds, st.CommitRecords, float64(st.Records))
	ch <- buckets(mLatency, secondBounds, st.CommitSeconds, st.CommitSecondsSum)
}

// buckets makes a histogram of counts per bucket; the last count is of what is
// above every bound.
func buckets(d desc, bounds []float64, counts []uint64, sum float64, labels ...string) prometheus.Metric {
	m := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, c := range counts {
		n += c
		if i < len(bounds) {
			m[bounds[i]] = n
		}
	}
	return prometheus.MustNewConstHistogram(d.d, n, sum, m, labels...)
}

func (c *Collector) collectDataplane(ch chan<- prometheus.Metric, put func(desc, float64, ...string)) {
	dp := c.dataplane()
	for _, i := range dp.Interfaces {
		put(mMode, 1, i.Name, i.Mode)
	}
	for _, x := range dp.XDP {
		put(mXDP, float64(x.Packets), x.Family, x.Action, x.Reason)
	}
	for i := range dp.Workers {
		w := &dp.Workers[i]
		put(mRx, float64(w.Conn.RxPackets), w.Name, w.Interface)
		put(mTx, float64(w.Conn.TxPackets), w.Name, w.Interface)
		put(mRing, float64(w.Conn.RxDropped), w.Name, w.Interface, "rx")
		put(mRing, float64(w.Conn.TxDropped), w.Name, w.Interface, "tx")
		put(mRing, float64(w.Conn.NoFrame), w.Name, w.Interface, "no-frame")
		put(mRing, float64(w.Conn.RxInvalid), w.Name, w.Interface, "invalid")
		put(mBatches, float64(w.Loop.Batches), w.Name, w.Interface)
		put(mSleeps, float64(w.Loop.Sleeps), w.Name, w.Interface)
		put(mNaps, float64(w.Loop.Naps), w.Name, w.Interface)
		put(mHeld, float64(w.Loop.Held), w.Name, w.Interface)
		put(mHoldDrop, float64(w.Loop.HoldTimeouts), w.Name, w.Interface, "timeout")
		put(mHoldDrop, float64(w.Loop.HoldOverflow), w.Name, w.Interface, "overflow")
		put(mHoldDrop, float64(w.Loop.HoldAbandoned), w.Name, w.Interface, "abandoned")
		ch <- buckets(mResponse, netio.ResponseBounds(), w.Loop.Response[:], float64(w.Loop.ResponseSumNs)/1e9, w.Name)
	}
}
