package loadgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"time"

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
	Release // has no answer
	numExchanges
)

var exchangeNames = [numExchanges]string{"DISCOVER-OFFER", "REQUEST-ACK", "REQUEST-ACK (renewal)", "RELEASE"}

// String is perfdhcp's name.
func (x Exchange) String() string { return exchangeNames[x] }

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
	// DuplicateAddresses: an address was acknowledged to a client while
	// another one of ours had it.
	DuplicateAddresses uint64 `json:"duplicate-addresses"`
	// AckDiffers: an ACK has another address than its OFFER, or a renewal than
	// the lease.
	AckDiffers uint64 `json:"ack-differs"`
	// RAIMissing: option 82 did not come back as it was sent.
	RAIMissing uint64 `json:"relay-agent-information-missing"`
	// WrongClient: the chaddr is not that of the question.
	WrongClient uint64 `json:"wrong-client"`
	// WrongVLAN: an answer came with other VLAN tags than the questions have.
	WrongVLAN uint64 `json:"wrong-vlan"`
}

// Failed reports whether any check failed.
func (c *Checks) Failed() bool { return *c != Checks{} }

// stages of a slot.
const (
	idle uint8 = iota
	waitOffer
	waitAck
	waitRenewal
	released // stands for a RELEASE, which has no slot
)

// slot is an exchange that waits for an answer, or has had it.
type slot struct {
	sentNs, dueNs   int64
	xid, client     uint32
	offered, server uint32
	giaddr          uint32
	stage           uint8
	expired         bool // TimedOut was counted
}

// Generator runs a scenario. It belongs to the goroutine that calls Run.
type Generator struct {
	opt   Options
	conns []netio.Conn

	discover, request, renew, release *template
	out                               frame.Out4
	headLen                           int
	baseMAC                           uint64

	// slots[(xid-xidBase)&mask] is the exchange of xid; head is how many were
	// begun, those before tail are all over.
	slots       []slot
	mask        uint32
	xidBase     uint32
	head, tail  uint32
	outstanding uint32

	leases []lease           // by client
	owner  map[uint32]uint32 // address → client
	seen   [2]map[uint32]struct{}

	next    uint32 // client of the next exchange
	random  *rand.Rand
	macs    []uint64 // Options.MACs
	held    []acked  // leases to renew or release, each once
	streams [2]stream
	server  uint32 // of the first OFFER
	hdr     frame.Headers
	view    dhcp4.View
	raiWant []byte
	pkts    [netio.BatchSize]netio.Packet
	toSend  [netio.BatchSize]netio.Packet
	toFree  [netio.BatchSize]netio.Packet
	preload bool
	most    uint64   // exchanges to begin; 0: no limit
	pending []uint32 // clients the preload still has to serve

	// The results, readable after Run and in OnReport.
	Stats     [numExchanges]Stats
	Checks    Checks
	Malformed uint64
	// Other are packets to our port that are no answers: requests of others.
	Other uint64
	// NoRoom counts how often an exchange was due and could not begin yet,
	// since too many were outstanding or no frame was free.
	NoRoom uint64
	// Resent are repetitions, in scenarios that have them.
	Resent uint64
	// StartNs and EndNs are the measured time, by the clock of time.Now.
	StartNs, EndNs int64
	// Reason says why the run ended, in perfdhcp's words.
	Reason string
	// WithoutLease are clients the preload of scenario Renew could not serve.
	WithoutLease uint32
}

// lease is what a client has; addr 0: nothing.
type lease struct{ addr, server uint32 }

// acked is a lease as it was acknowledged.
type acked struct{ client, addr, server, giaddr uint32 }

// stream is a second schedule beside that of the exchanges.
type stream struct {
	rate  uint64
	begun uint64
	stage uint8
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
	g := &Generator{opt: opt, conns: conns, out: headers(&opt), xidBase: rand.Uint32(), baseMAC: macNumber(opt.BaseMAC[:])}
	g.headLen = frame.HeaderLen4(g.out.VLANCount)
	if g.discover, err = newTemplate(&opt, dhcp4.MsgDiscover, false); err != nil {
		return nil, err
	}
	if g.request, err = newTemplate(&opt, dhcp4.MsgRequest, true); err != nil {
		return nil, err
	}
	if g.renew, err = newTemplate(&opt, dhcp4.MsgRequest, false); err != nil {
		return nil, err
	}
	if g.release, err = newTemplate(&opt, dhcp4.MsgRelease, false); err != nil {
		return nil, err
	}
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
	g.streams = [2]stream{{rate: opt.RenewRate, stage: waitRenewal}, {rate: opt.ReleaseRate, stage: released}}
	if opt.RenewRate+opt.ReleaseRate > 0 {
		g.held = make([]acked, 0, max(opt.Clients, 1<<16))
	}
	// An exchange without an answer holds up the reuse of the slots behind it
	// for the drop time, so there are many more of them than may be outstanding.
	want := max(uint64(opt.Window), 1<<19)
	if opt.Rate > 0 {
		// All that can be outstanding when nothing is answered, with some room.
		want = uint64(float64(opt.Rate+opt.RenewRate) * (opt.DropTime[0] + opt.DropTime[1]).Seconds() * 1.25)
	}
	if opt.Scenario.retransmits() {
		want = uint64(opt.Clients)
	}
	want = min(max(want, 1024), maxOutstanding)
	n := uint32(1) << bits.Len64(want-1)
	g.slots = make([]slot, n)
	g.mask = n - 1
	g.owner = make(map[uint32]uint32, opt.Clients)
	if opt.Unique {
		for i := range g.seen {
			g.seen[i] = make(map[uint32]struct{}, opt.Clients)
		}
	}
	g.leases = make([]lease, opt.Clients)
	if opt.RAI {
		rai := g.discover.rai
		g.raiWant = bytes.Clone(g.discover.msg[rai-4-len(circuitID) : rai+6])
	}
	return g, nil
}

// ServerID is the server identifier of the first OFFER, if one came.
func (g *Generator) ServerID() (dhcp4.IPv4, bool) { return dhcp4.IPv4(g.server), g.server != 0 }

// Exchanges are the kinds the scenario has, in perfdhcp's order.
func (g *Generator) Exchanges() []Exchange {
	switch {
	case g.opt.Scenario == Renew:
		return []Exchange{RequestAckRenewal}
	case g.opt.TwoWay || g.opt.Scenario == DiscoverFlood:
		return []Exchange{DiscoverOffer}
	}
	x := []Exchange{DiscoverOffer, RequestAck}
	if g.opt.RenewRate > 0 {
		x = append(x, RequestAckRenewal)
	}
	if g.opt.ReleaseRate > 0 {
		x = append(x, Release)
	}
	return x
}

// Options are those in force, with their defaults.
func (g *Generator) Options() Options { return g.opt }

var epoch = time.Now()

// now is nanoseconds of the monotonic clock.
func now() int64 { return int64(time.Since(epoch)) }

// Run runs the scenario to its end. It locks its thread.
func (g *Generator) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if g.opt.Scenario == Renew {
		if err := g.preloadLeases(); err != nil {
			return err
		}
	}
	if g.opt.Scenario.retransmits() {
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

// preloadLeases gives every client a lease with ordinary exchanges and forgets
// their statistics.
func (g *Generator) preloadLeases() error {
	const rounds = 5
	g.pending = make([]uint32, g.opt.Clients)
	for i := range g.pending {
		g.pending[i] = uint32(i)
	}
	for range rounds {
		g.preload = true
		g.StartNs, g.Reason = now(), ""
		n := uint64(len(g.pending))
		g.Stats = [numExchanges]Stats{}
		g.next = 0
		g.most = n
		g.loop(func(int64) bool { return g.Stats[DiscoverOffer].Sent >= n || g.interrupted() })
		g.settle()
		left := g.pending[:0]
		for _, c := range g.pending {
			if g.leases[c].addr == 0 {
				left = append(left, c)
			}
		}
		g.pending = left
		if len(left) == 0 || g.Reason != "" {
			break
		}
	}
	g.WithoutLease = uint32(len(g.pending))
	if g.WithoutLease == g.opt.Clients {
		return fmt.Errorf("preload: none of %d clients got a lease", g.opt.Clients)
	}
	g.pending = nil
	g.preload = false
	g.next = 0
	g.Stats = [numExchanges]Stats{}
	g.Malformed, g.Other, g.NoRoom = 0, 0, 0
	return nil
}

// loop sends what is due and takes what comes until end says so.
func (g *Generator) loop(end func(nowNs int64) bool) {
	begun := uint64(0)
	lastReport := g.StartNs
	idle := 0
	for turn := uint(0); ; turn++ {
		t := now()
		got := g.receive(t)
		g.expire(t)
		if end(t) {
			return
		}
		due := g.due(t, begun)
		if g.most > 0 {
			due = min(due, g.most-min(begun, g.most))
		}
		if due > 0 {
			n := g.begin(t, begun, due)
			begun += n
			// What there was no room for stays due, and shows in Response.
			if n < due && g.opt.Rate > 0 {
				g.NoRoom++
			}
		}
		for i := range g.streams {
			g.follow(&g.streams[i], t)
		}
		for _, c := range g.conns {
			c.Flush()
		}
		if g.opt.Report > 0 && t-lastReport >= int64(g.opt.Report) && !g.preload {
			lastReport = t
			g.opt.OnReport(g)
		}
		if got > 0 || due > 0 {
			idle = 0
		} else if idle++; idle > spinTurns {
			g.rest(t, begun)
		}
	}
}

// due is how many exchanges should have begun by now and have not, at most a
// batch.
func (g *Generator) due(t int64, begun uint64) uint64 {
	if g.opt.Rate == 0 {
		if g.outstanding >= g.opt.Window {
			return 0
		}
		return min(uint64(g.opt.Window-g.outstanding), netio.BatchSize)
	}
	want := mulDiv(uint64(t-g.StartNs), g.opt.Rate, uint64(time.Second)) + 1
	if want <= begun {
		return 0
	}
	return min(want-begun, netio.BatchSize)
}

// dueNs is when exchange i should begin.
func (g *Generator) dueNs(i uint64) int64 {
	return g.StartNs + int64(mulDiv(i, uint64(time.Second), g.opt.Rate))
}

const (
	// spinTurns is how many empty turns pass before the thread sleeps: some
	// 20 µs, in which most answers come.
	spinTurns = 200
	// wakeNs is how much later than asked for a sleep may end.
	wakeNs = 100_000
	// restNs bounds a sleep, so that further connections, time-outs and
	// interrupts are looked after.
	restNs = 1_000_000
)

// rest sleeps until a packet comes or the next exchange is nearly due. A
// generator that spins all the time would take its core from a server on the
// same machine.
func (g *Generator) rest(t int64, begun uint64) {
	ns := int64(restNs)
	if g.opt.Rate > 0 {
		ns = min(ns, g.dueNs(begun)-t-wakeNs)
	}
	if len(g.conns) > 1 { // it is woken by the first only
		ns = min(ns, wakeNs)
	}
	if ns > 0 {
		g.conns[0].Wait(ns)
	}
}

// mulDiv is a*b/c without overflow; the quotient fits.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// begin sends the first messages of up to n exchanges and returns of how many.
func (g *Generator) begin(t int64, begun, n uint64) uint64 {
	conn := g.conns[0]
	k := uint64(0)
	for ; k < n; k++ {
		p := &g.toSend[k]
		if !conn.Alloc(p) {
			break
		}
		client, ok := g.nextClient()
		due := t
		if g.opt.Rate > 0 {
			due = g.dueNs(begun + k)
		}
		stage := waitOffer
		if g.opt.Scenario == Renew && !g.preload {
			stage = waitRenewal
		}
		a := acked{client: client}
		if stage == waitRenewal {
			a.addr, a.server = g.leases[client].addr, g.leases[client].server
		}
		if !ok || !g.start(p, t, due, a, stage) {
			conn.Release(g.toSend[k : k+1])
			break
		}
	}
	if k > 0 {
		conn.Send(g.toSend[:k])
	}
	return k
}

// start writes the first message of an exchange to p, about the lease a if it
// has an address. It reports false if there is no slot for it.
func (g *Generator) start(p *netio.Packet, t, due int64, a acked, stage uint8) bool {
	// The slot about to be used again must be over.
	if g.head-g.tail > g.mask {
		return false
	}
	i := g.head & g.mask
	s := &g.slots[i]
	*s = slot{sentNs: t, dueNs: due, xid: g.xidBase + g.head, client: a.client, offered: a.addr, server: a.server, giaddr: a.giaddr, stage: stage}
	if r := g.opt.Relays; len(r) > 0 && a.giaddr == 0 {
		s.giaddr = r[g.random.IntN(len(r))]
	}
	x := g.discover
	switch stage {
	case waitRenewal:
		x = g.renew
	case released:
		x = g.release
	}
	g.fill(p, x, s)
	g.Stats[exchangeOf(stage)].Sent++
	g.head++
	if stage == released {
		s.stage = idle
		return true
	}
	g.outstanding++
	return true
}

// follow sends what is due of the renewals or releases. What there is no lease
// for is not made up for.
func (g *Generator) follow(st *stream, t int64) {
	if st.rate == 0 || g.preload {
		return
	}
	want := mulDiv(uint64(t-g.StartNs), st.rate, uint64(time.Second))
	n := min(want-st.begun, netio.BatchSize)
	st.begun = want
	conn := g.conns[0]
	k := uint64(0)
	for ; k < n && len(g.held) > 0; k++ {
		p := &g.toSend[k]
		if !conn.Alloc(p) {
			break
		}
		i := g.random.IntN(len(g.held))
		a := g.held[i]
		if !g.start(p, t, t, a, st.stage) {
			conn.Release(g.toSend[k : k+1])
			break
		}
		g.held[i] = g.held[len(g.held)-1]
		g.held = g.held[:len(g.held)-1]
		if st.stage == released {
			if owner, ok := g.owner[a.addr]; ok && owner == a.client {
				delete(g.owner, a.addr)
			}
			if l := &g.leases[a.client]; l.addr == a.addr {
				l.addr = 0
			}
		}
	}
	if k > 0 {
		conn.Send(g.toSend[:k])
	}
}

// nextClient is whose turn it is.
func (g *Generator) nextClient() (uint32, bool) {
	if g.preload {
		if int(g.next) == len(g.pending) {
			return 0, false
		}
		g.next++
		return g.pending[g.next-1], true
	}
	if g.macs != nil && g.opt.Scenario != Renew && !g.opt.Scenario.retransmits() {
		return uint32(g.random.IntN(len(g.macs))), true
	}
	for range g.opt.Clients {
		c := g.next
		if g.next++; g.next == g.opt.Clients {
			g.next = 0
		}
		if g.opt.Scenario != Renew || g.leases[c].addr != 0 {
			return c, true
		}
	}
	return 0, false
}

// mac is the hardware address of a client.
func (g *Generator) mac(client uint32) uint64 {
	if g.macs != nil {
		return g.macs[client]
	}
	return g.baseMAC + uint64(client)
}

// fill writes the packet of an exchange.
func (g *Generator) fill(p *netio.Packet, x *template, s *slot) {
	b := p.Data[:g.headLen+len(x.msg)]
	m := b[g.headLen:]
	n := x.put(m, s.xid, g.mac(s.client))
	if s.giaddr != 0 {
		binary.BigEndian.PutUint32(m[offGIAddr:], s.giaddr)
	}
	if x.requested != 0 {
		binary.BigEndian.PutUint32(m[x.requested:], s.offered)
	} else if s.offered != 0 {
		binary.BigEndian.PutUint32(m[offCIAddr:], s.offered)
	}
	if x.server != 0 {
		binary.BigEndian.PutUint32(m[x.server:], s.server)
	}
	p.Data = b[:frame.Write4(b, &g.out, n)]
	p.IfIndex = g.opt.IfIndex
}

func exchangeOf(stage uint8) Exchange {
	switch stage {
	case waitAck:
		return RequestAck
	case waitRenewal:
		return RequestAckRenewal
	case released:
		return Release
	}
	return DiscoverOffer
}

func (g *Generator) dropNs(stage uint8) int64 {
	if g.opt.Scenario.retransmits() {
		return math.MaxInt64
	}
	if stage == waitAck {
		return int64(g.opt.DropTime[1])
	}
	return int64(g.opt.DropTime[0])
}

// receive handles what has come and answers offers, in the frames they came in.
func (g *Generator) receive(t int64) int {
	total := 0
	for _, c := range g.conns {
		n := c.Recv(g.pkts[:])
		if n == 0 {
			continue
		}
		total += n
		ns, nf := 0, 0
		for i := range g.pkts[:n] {
			if g.handle(&g.pkts[i], t) {
				g.toSend[ns] = g.pkts[i]
				ns++
			} else {
				g.toFree[nf] = g.pkts[i]
				nf++
			}
		}
		if nf > 0 {
			c.Release(g.toFree[:nf])
		}
		if ns > 0 {
			c.Send(g.toSend[:ns])
		}
	}
	return total
}

// handle takes one packet; it reports true if p is now a message to be sent.
func (g *Generator) handle(p *netio.Packet, t int64) bool {
	g.hdr.VLANs = [frame.MaxVLANs]frame.VLAN{} // Decode writes only those there are
	if frame.Decode(p.Data, &g.hdr) != frame.ReasonOK {
		g.Malformed++
		return false
	}
	if g.hdr.VLANs != g.out.VLANs || g.hdr.VLANCount != g.out.VLANCount {
		g.Checks.WrongVLAN++
		return false
	}
	if g.hdr.Family != 4 || g.hdr.DstPort != dhcp4.ClientPort && g.hdr.DstPort != g.opt.LocalPort {
		g.Other++
		return false
	}
	v := &g.view
	switch v.ParseReply(p.Data[g.hdr.PayloadOff:][:g.hdr.PayloadLen]) {
	case dhcp4.ReasonOK:
	case dhcp4.ReasonNotBootRequest:
		g.Other++
		return false
	default:
		g.Malformed++
		return false
	}
	typ := v.Type()
	if g.opt.Scenario == DiscoverFlood {
		typ = dhcp4.MsgOffer
	}
	xid := v.XID()
	i := xid - g.xidBase
	s := &g.slots[i&g.mask]
	if g.head-i-1 > g.mask || s.xid != xid || s.stage == idle || !stageTakes(s.stage, typ) {
		g.Stats[orphanExchange(typ)].Orphans++
		return false
	}
	st := &g.Stats[exchangeOf(s.stage)]
	if t-s.sentNs > g.dropNs(s.stage) {
		st.Late++
		if !s.expired {
			st.TimedOut++
		}
		g.over(s)
		return false
	}
	if mac := v.CHAddr(); len(mac) != 6 || macNumber(mac) != g.mac(s.client) {
		g.Checks.WrongClient++
		return false
	}
	if g.raiWant != nil {
		putMAC(g.raiWant[len(g.raiWant)-6:], g.mac(s.client))
		if !bytes.Equal(v.Option(dhcp4.OptRelayAgentInformation), g.raiWant) {
			g.Checks.RAIMissing++
		}
	}
	addr := uint32(v.YIAddr())
	if typ == dhcp4.MsgNak {
		// As perfdhcp, for which it is no answer: it stays a drop.
		st.Rejected++
		if g.opt.Scenario.retransmits() {
			s.stage, s.offered, s.sentNs = waitOffer, 0, t // RFC 2131 §3.1: begin again
			return false
		}
		g.over(s)
		return false
	}
	st.Received++
	st.RTT.Add(t - s.sentNs)
	st.Response.Add(t - s.dueNs)
	if g.opt.Scenario == DiscoverFlood {
		g.over(s)
		return false
	}
	if addr == 0 {
		st.Rejected++
		g.over(s)
		return false
	}
	switch s.stage {
	case waitOffer:
		g.unique(0, addr, st)
		server, ok := v.ServerID()
		if g.opt.TwoWay {
			g.over(s)
			return false
		}
		if !ok {
			g.Malformed++ // RFC 2131 table 3: MUST
			g.over(s)
			return false
		}
		if g.headLen+len(g.request.msg) > cap(p.Data) {
			g.NoRoom++
			g.over(s)
			return false
		}
		if g.server == 0 {
			g.server = uint32(server)
		}
		s.offered, s.server = addr, uint32(server)
		if g.opt.FirstServer {
			s.server = g.server
		}
		s.stage = waitAck
		s.sentNs, s.dueNs = t, t
		g.fill(p, g.request, s)
		g.Stats[RequestAck].Sent++
		return true
	default:
		g.unique(1, addr, st)
		if addr != s.offered {
			g.Checks.AckDiffers++
		}
		if old, had := g.owner[addr]; had && old != s.client {
			g.Checks.DuplicateAddresses++
		}
		l := &g.leases[s.client]
		if l.addr != 0 && l.addr != addr && g.owner[l.addr] == s.client {
			delete(g.owner, l.addr)
		}
		g.owner[addr] = s.client
		*l = lease{addr, s.server}
		if s.stage == waitAck && len(g.held) < cap(g.held) {
			g.held = append(g.held, acked{s.client, addr, s.server, s.giaddr})
		}
		g.over(s)
		return false
	}
}

// stageTakes reports whether a message of that type answers that stage.
func stageTakes(stage uint8, t dhcp4.MsgType) bool {
	if stage == waitOffer {
		return t == dhcp4.MsgOffer
	}
	return t == dhcp4.MsgAck || t == dhcp4.MsgNak
}

func orphanExchange(t dhcp4.MsgType) Exchange {
	if t == dhcp4.MsgOffer {
		return DiscoverOffer
	}
	return RequestAck
}

// unique counts addresses that were seen before (perfdhcp -u).
func (g *Generator) unique(stage int, addr uint32, st *Stats) {
	if g.seen[stage] == nil {
		return
	}
	if _, ok := g.seen[stage][addr]; ok {
		st.NonUnique++
		return
	}
	g.seen[stage][addr] = struct{}{}
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
	x := g.Exchanges()
	switch {
	case g.interrupted():
		return true
	case o.Period > 0 && t-g.StartNs >= int64(o.Period):
		g.Reason = "reached test-period."
		return true
	}
	for i, e := range x[:min(len(x), 2)] {
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
	wait := int64(g.opt.Wait)
	if wait == 0 {
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
