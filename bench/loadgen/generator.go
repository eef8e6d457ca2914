package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Exchange is one kind of question and answer.
type Exchange int

const (
	DiscoverOffer Exchange = iota
	RequestAck
	RequestAckRenewal
	RequestAckRebinding
	RequestAckReboot
	Release // has no answer in DHCPv4
	Decline // has no answer in DHCPv4
	SolicitAdvertise
	RequestReply
	RenewReply
	RebindReply
	ReleaseReply
	Junk // wants no answer
	numExchanges
)

var exchangeNames = [numExchanges]string{
	"DISCOVER-OFFER", "REQUEST-ACK", "REQUEST-ACK (renewal)", "REQUEST-ACK (rebinding)", "REQUEST-ACK (init-reboot)", "RELEASE", "DECLINE",
	"SOLICIT-ADVERTISE", "REQUEST-REPLY", "RENEW-REPLY", "REBIND-REPLY", "RELEASE-REPLY", "MALFORMED",
}

// String is perfdhcp's name, or one in its manner.
func (x Exchange) String() string { return exchangeNames[x] }

// answered says that the message has an answer.
func (x Exchange) answered() bool { return x != Release && x != Decline && x != Junk }

// Stats are the counters of one exchange.
type Stats struct {
	Sent, Received uint64
	// Late answers came after the drop time; they are not in Received.
	Late uint64
	// TimedOut messages had no answer within the drop time.
	TimedOut uint64
	// Orphans are answers nobody asked for: not, or not any more.
	Orphans uint64
	// Rejected leases were refused: a NAK, or no address.
	Rejected  uint64
	NonUnique uint64
	// RTT is from the sending of a message to its answer.
	RTT Hist
	// Response is from the time the message was due to its answer: what a
	// client sees if the generator or the server falls behind.
	Response Hist
}

// Drops is perfdhcp's: what is unanswered just now.
func (s *Stats) Drops() uint64 {
	if s.Sent > s.Received {
		return s.Sent - s.Received
	}
	return 0
}

// Checks count what a correct server never does.
type Checks struct {
	// DuplicateAddresses: an address or prefix was acknowledged to a client
	// while another one of ours had it.
	DuplicateAddresses uint64 `json:"duplicate-addresses"`
	// AckDiffers: an ACK has another address than its OFFER, or a renewal than
	// the lease.
	AckDiffers uint64 `json:"ack-differs"`
	// RAIMissing: option 82 did not come back as it was sent.
	RAIMissing uint64 `json:"relay-agent-information-missing"`
	// WrongClient: the chaddr or DUID is not that of the question.
	WrongClient uint64 `json:"wrong-client"`
	// WrongVLAN: an answer came with other VLAN tags than the questions have.
	WrongVLAN uint64 `json:"wrong-vlan"`
	// OutsidePools: an address or prefix is in none of Options.Pools.
	OutsidePools uint64 `json:"outside-pools"`
}

// Failed reports whether any check failed.
func (c *Checks) Failed() bool { return *c != Checks{} }

// stages of a slot: idle, or 1 + the Exchange whose answer is waited for.
const idle uint8 = 0

func stageOf(x Exchange) uint8        { return uint8(x) + 1 }
func exchangeOf(stage uint8) Exchange { return Exchange(stage - 1) }

// slot is an exchange that waits for an answer, or has had it.
type slot struct {
	begunNs, sentNs, dueNs int64
	xid, client            uint32
	offered, server        uint32 // server: in DHCPv6 a number from six.servers
	giaddr                 uint32 // in DHCPv6 1 + the place in Options.Links6
	stage                  uint8
	op                     Op
	epoch                  uint8
	expired                bool // TimedOut was counted
}

// Generator runs a scenario. It belongs to the goroutine that calls Run.
type Generator struct {
	opt   Options
	conns []netio.Conn

	messages    [numExchanges]*template // by the exchange they begin
	out         frame.Out4
	headLen     int
	baseMAC     uint64
	wrongClient bool // the client can be told from the answer
	// What Options.Scenario says, for every packet.
	op                                Op
	flood, mixed, leased, retransmits bool
	six                               *six // of DHCPv6, else nil

	// slots[(xid-xidBase)&mask] is the exchange of xid; head is how many were
	// begun, those before tail are all over. mask grows to len(slots)-1 as needed.
	slots       []slot
	mask        uint32
	xidBase     uint32
	head, tail  uint32
	outstanding uint32

	leases []lease           // by client; of DHCPv4
	owner  map[uint32]uint32 // address → client
	epochs []uint8           // by client: changes when it gives its lease up
	seen   [2]map[uint32]struct{}
	pools  pools

	next     uint32 // client of the next exchange
	bound    clientSet
	unbound  clientSet
	mix      mixer
	random   *rand.Rand
	macs     []uint64 // Options.MACs
	held     []acked  // leases to renew or release, each once
	streams  [2]stream
	junk     *junk
	server   uint32 // of the first OFFER
	secs     uint16 // pretended for first messages (perfdhcp -y)
	hdr      frame.Headers
	view     dhcp4.View
	raiWant  []byte
	pkts     [netio.BatchSize]netio.Packet
	toSend   [netio.BatchSize]netio.Packet
	toFree   [netio.BatchSize]netio.Packet
	preload  bool
	most     uint64            // exchanges to begin; 0: no limit
	pending  []uint32          // clients the preload still has to serve
	begun    uint64            // exchanges of this phase
	retrying [numExchanges]int // exchanges sent again in a storm
	kept     *records
	samples  [numExchanges][]byte // first message sent of each kind
	exchange []Exchange           // Exchanges()

	// The results, readable after Run and in OnReport.
	Stats     [numExchanges]Stats
	Checks    Checks
	Malformed uint64
	// Other are packets to our port that are no answers: requests of others.
	Other uint64
	// NoRoom counts how often an exchange was due and could not begin yet,
	// since too many were outstanding or no frame was free.
	NoRoom uint64
	// LateSends are exchanges begun more than LateSend after they were due; Lag
	// is how much later each was begun. Without a rate there are none.
	LateSends uint64
	Lag       Hist
	// ShortWaits counts turns of the loop in which nothing was due (perfdhcp -x i).
	ShortWaits uint64
	// Resent are repetitions, in scenarios that have them.
	Resent uint64
	// StartNs and EndNs are the measured time, by the clock of time.Now.
	StartNs, EndNs int64
	// Reason says why the run ended, in perfdhcp's words.
	Reason string
	// WithoutLease are clients the preload could not serve.
	WithoutLease uint32
}

// LateSend is how late the beginning of an exchange may be before it is counted.
const LateSend = time.Millisecond

// lease is what a client has; addr 0: nothing.
type lease struct{ addr, server uint32 }

// acked is a lease as it was acknowledged.
type acked struct {
	client, addr, server, giaddr uint32
	epoch                        uint8
}

// stream is a second schedule beside that of the exchanges.
type stream struct {
	rate  uint64
	begun uint64
	op    Op
}

// New prepares a run over conns, which the caller closes after it.
func New(opt Options, conns []netio.Conn) (*Generator, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(conns) == 0 {
		return nil, errors.New("check options: no connection")
	}
	g := &Generator{opt: opt, conns: conns, out: headers(&opt), xidBase: rand.Uint32(), baseMAC: macNumber(opt.BaseMAC[:]), wrongClient: true}
	g.op, g.flood, g.mixed = opt.Scenario.op(), opt.Scenario == DiscoverFlood, opt.Scenario == Mixed
	g.leased, g.retransmits = opt.Scenario.leased(), opt.Scenario.retransmits()
	g.headLen = frame.HeaderLen4(g.out.VLANCount)
	seed := opt.Seed
	if seed == 0 {
		seed = rand.Uint64()
	} else {
		g.xidBase = uint32(seed * 0x9E3779B97F4A7C15 >> 32)
	}
	g.random = rand.New(rand.NewPCG(seed, 0))
	for i := range opt.MACs {
		g.macs = append(g.macs, macNumber(opt.MACs[i][:]))
	}
	if g.pools, err = newPools(opt.Pools, opt.V6); err != nil {
		return nil, err
	}
	if opt.V6 {
		g.xidBase &= sixIndexMask
		err = g.newSix()
	} else {
		err = g.newFour()
	}
	if err != nil {
		return nil, err
	}
	g.epochs = make([]uint8, opt.Clients)
	g.streams = [2]stream{{rate: opt.RenewRate, op: OpRenew}, {rate: opt.ReleaseRate, op: OpRelease}}
	if opt.RenewRate+opt.ReleaseRate > 0 {
		g.held = make([]acked, 0, max(opt.Clients, 1<<16))
	}
	if g.leased {
		g.bound, g.unbound = newClientSet(opt.Clients), newClientSet(opt.Clients)
		for c := range opt.Clients {
			g.unbound.add(c)
		}
	}
	g.mix = newMixer(opt.Mix)
	if opt.JunkRate > 0 || opt.Scenario == MalformedFlood {
		g.junk = newJunk(g)
	}
	if opt.Keep {
		g.kept = newRecords(opt.V6)
	}
	g.exchange = opt.exchanges()
	// An exchange without an answer holds up the reuse of the slots behind it
	// for the drop time, so there are many more of them than may be outstanding.
	want := max(uint64(opt.Window), 1<<19)
	if opt.Rate > 0 {
		// All that can be outstanding when nothing is answered, with some room.
		want = uint64(float64(opt.Rate+opt.RenewRate+opt.ReleaseRate) * (opt.DropTime[0] + opt.DropTime[1]).Seconds() * 1.25)
		want = max(want, 2*uint64(opt.Window))
	}
	if g.retransmits {
		want = uint64(opt.Clients)
	}
	want = min(max(want, 1024), maxOutstanding)
	n := uint32(1) << bits.Len64(want-1)
	g.slots = make([]slot, n)
	// Fewer to begin with: those in use take turns, and as long as all is answered
	// soon, a few that stay in the cache are enough.
	g.mask = min(n, max(firstSlots, uint32(1)<<bits.Len32(2*opt.Window-1))) - 1
	if g.retransmits {
		g.mask = n - 1
	}
	if g.six != nil {
		g.six.offers = make([]lease6, n)
	}
	return g, nil
}

// newFour prepares what only DHCPv4 needs.
func (g *Generator) newFour() (err error) {
	opt := &g.opt
	for _, x := range []Exchange{DiscoverOffer, RequestAck, RequestAckRenewal, RequestAckRebinding, RequestAckReboot, Release, Decline} {
		if g.messages[x], err = newTemplate(opt, x); err != nil {
			return err
		}
		g.messages[x].assemble(opt, &g.out)
	}
	for i := range opt.Templates {
		x := []Exchange{DiscoverOffer, RequestAck}[i]
		if g.messages[x], err = fileTemplate(&opt.Templates[i], i); err != nil {
			return err
		}
		// The answer has the template's chaddr, which need not be the client's.
		if opt.Templates[i].RandomOffset != offCHAddr+5 {
			g.wrongClient = false
		}
	}
	g.owner = make(map[uint32]uint32, opt.Clients)
	if opt.Unique {
		for i := range g.seen {
			g.seen[i] = make(map[uint32]struct{}, opt.Clients)
		}
	}
	g.leases = make([]lease, opt.Clients)
	if opt.RAI {
		x := g.messages[DiscoverOffer]
		g.raiWant = bytes.Clone(x.msg[x.rai-4-len(circuitID) : x.rai+6])
	}
	return nil
}

// ServerID is the server identifier of the first OFFER, if one came; of DHCPv6
// see ServerDUID.
func (g *Generator) ServerID() (dhcp4.IPv4, bool) { return dhcp4.IPv4(g.server), g.server != 0 }

// Exchanges are the kinds the scenario has, in perfdhcp's order.
func (g *Generator) Exchanges() []Exchange { return g.exchange }

var epoch = time.Now()

// now is nanoseconds of the monotonic clock.
func now() int64 { return int64(time.Since(epoch)) }

// Run runs the scenario to its end. It locks its thread, to Options.CPUs if
// there are any.
func (g *Generator) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	restore, err := pin(g.opt.CPUs)
	if err != nil {
		return err
	}
	defer restore()
	if err := g.preloadLeases(); err != nil {
		return err
	}
	if g.opt.Started != nil {
		g.opt.Started()
	}
	if g.retransmits {
		g.storm()
		return nil
	}
	g.StartNs = now()
	g.most = g.opt.Exchanges[0]
	g.loop(g.checkEnd)
	g.EndNs = now()
	g.settle()
	return nil
}

// pin binds the calling thread to cpus; restore undoes it.
func pin(cpus []int) (restore func(), err error) {
	if len(cpus) == 0 {
		return func() {}, nil
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read affinity: %w", err)
	}
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("bind thread to cpus %v: %w", cpus, err)
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil
}

// firstSlots is how many slots there are in use at first, unless the window is
// greater.
const firstSlots = 1 << 13

// preloadWindow is how many exchanges of a preload are outstanding at a time.
const preloadWindow = 256

// preloadLeases gives every client a lease where the scenario needs it, begins
// Options.Preload exchanges, and forgets the statistics of both.
func (g *Generator) preloadLeases() error {
	const rounds = 5
	if !g.opt.needsLeases() && g.opt.Preload == 0 {
		return nil
	}
	rate, window, wait := g.opt.Rate, g.opt.Window, g.opt.Wait
	g.opt.Rate, g.opt.Window, g.opt.Wait = 0, min(window, preloadWindow), 0
	g.preload = true
	phase := func(n uint64) {
		g.StartNs, g.Reason = now(), ""
		g.next = 0
		g.most = n
		g.loop(func(int64) bool { return g.begun >= n || g.interrupted() })
		g.settle()
	}
	if g.opt.needsLeases() {
		g.pending = make([]uint32, g.opt.Clients)
		for i := range g.pending {
			g.pending[i] = uint32(i)
		}
		for range rounds {
			phase(uint64(len(g.pending)))
			left := g.pending[:0]
			for _, c := range g.pending {
				if !g.hasLease(c) {
					left = append(left, c)
				}
			}
			g.pending = left
			if len(left) == 0 || g.Reason != "" {
				break
			}
		}
		g.WithoutLease = uint32(len(g.pending))
		if g.WithoutLease == g.opt.Clients && !g.mix.begins() && g.Reason == "" {
			return fmt.Errorf("preload: none of %d clients got a lease", g.opt.Clients)
		}
		g.pending = nil
	}
	if g.opt.Preload > 0 {
		phase(g.opt.Preload)
	}
	g.preload = false
	g.opt.Rate, g.opt.Window, g.opt.Wait = rate, window, wait
	g.next = 0
	g.Stats = [numExchanges]Stats{}
	g.Malformed, g.Other, g.NoRoom, g.ShortWaits = 0, 0, 0, 0
	if g.kept != nil {
		g.kept.clear()
	}
	for i := range g.seen {
		clear(g.seen[i])
	}
	return nil
}

func (g *Generator) hasLease(client uint32) bool {
	if g.six != nil {
		return g.six.leases[client].held
	}
	return g.leases[client].addr != 0
}

func (g *Generator) dropNs(stage uint8) int64 {
	if g.retransmits {
		return math.MaxInt64
	}
	switch exchangeOf(stage) {
	case RequestAck, RequestReply:
		return int64(g.opt.DropTime[1])
	}
	return int64(g.opt.DropTime[0])
}

// over ends the exchange of s.
func (g *Generator) over(s *slot) {
	if !s.expired {
		g.outstanding--
	}
	s.stage = idle
}

// expire passes over what is done and counts what waits too long. A late answer
// is known as such until its slot is used again.
func (g *Generator) expire(t int64) {
	for g.tail != g.head {
		s := &g.slots[g.tail&g.mask]
		if s.stage != idle {
			if t-s.sentNs <= g.dropNs(s.stage) {
				return
			}
			g.Stats[exchangeOf(s.stage)].TimedOut++
			s.expired = true
			g.outstanding--
		}
		g.tail++
	}
}

func (g *Generator) interrupted() bool {
	select {
	case <-g.opt.Interrupt:
		g.Reason = "Interrupted"
		return true
	default:
		return false
	}
}

// checkEnd is perfdhcp's list of conditions, in its order.
func (g *Generator) checkEnd(t int64) bool {
	o := &g.opt
	switch {
	case g.interrupted():
		return true
	case o.Period > 0 && t-g.StartNs >= int64(o.Period):
		g.Reason = "reached test-period."
		return true
	case g.opt.Scenario.gives() && len(g.bound.list) == 0:
		g.Reason = "No client has a lease left."
		return true
	case g.mixed || g.opt.Scenario == MalformedFlood:
		if o.Exchanges[0] > 0 && g.begun >= o.Exchanges[0] {
			g.Reason = "Reached max requests limit."
			return true
		}
	}
	for i, e := range g.exchange[:min(len(g.exchange), 2)] {
		s := &g.Stats[e]
		switch {
		case o.Exchanges[i] > 0 && s.Sent >= o.Exchanges[i]:
			g.Reason = "Reached max requests limit."
			return true
		case o.MaxDrops[i] > 0 && g.lost(s) >= o.MaxDrops[i]:
			g.Reason = "Reached maximum drops number."
			return true
		case o.MaxDropPercent[i] > 0 && s.Sent > 10 && 100*float64(g.lost(s))/float64(s.Sent) >= o.MaxDropPercent[i]:
			g.Reason = "Reached maximum percentage of drops."
			return true
		}
	}
	return false
}

// lost are the messages for which no answer is to be expected any more.
func (g *Generator) lost(s *Stats) uint64 { return s.TimedOut + s.Rejected }

// settle takes answers until nothing is outstanding or the time is up.
func (g *Generator) settle() {
	wait := int64(max(g.opt.Wait, 0))
	if g.opt.Wait == 0 {
		wait = int64(g.opt.DropTime[0] + g.opt.DropTime[1])
	}
	for end := now() + wait; ; {
		t := now()
		got := g.receive(t)
		g.expire(t)
		for _, c := range g.conns {
			c.Flush()
		}
		if g.outstanding == 0 || t >= end || g.Reason == "Interrupted" {
			return
		}
		if got == 0 {
			g.conns[0].Wait(int64(100 * time.Microsecond))
		}
	}
}
