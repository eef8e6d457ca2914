package slowpath

import (
	"hash/maphash"
	"math"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/prefetch"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Worker handles the packets of one netio.Loop; it implements netio.Handler.
// Everything in it belongs to the loop's goroutine, except where said.
type Worker struct {
	s       *Server
	name    string
	engine  *engine.Worker
	six     *worker6           // nil where DHCPv6 is not served
	journal *leasestore.Writer // nil if leases are not persisted
	stats   *stat.Shard
	drops   dropBlocks

	cfg    *engine.Config // of this batch
	rt     *runtime       // of this batch
	ifs    *ifaces
	nowNs  int64
	trace  traceSet // which loggers want lines about packets
	cur    *query
	free   []*query // spare queries, at most as many as may be parked
	parked []*query
	// pressure is how full the receive ring still is behind this batch, shed what
	// was decided of a DISCOVER by it so far (see overloaded).
	pressure uint8
	shed     uint32
	warnedNs int64 // when warn wrote last
	// nextExpiryNs is when the parked queries' deadlines are looked at next.
	nextExpiryNs int64
	ready        chan *query
	wake         atomic.Pointer[func()]

	classFailures [2]uint64 // of the engines' workers that are counted already

	// queued are averages of the lengths of batches, see queueSpans; float32 bits.
	queued [len(queueSpans)]atomic.Uint32

	// seen is the runtime generation the worker has taken up; a reload waits
	// for it before it unloads what the old one used.
	seen atomic.Uint64

	out [maxFrame]byte // the reply before it is put over the query
}

// dropBlocks are a worker's counters by reason, one set for each package that
// refuses packets.
type dropBlocks struct {
	frame, parse, notes, engine, nak, server *stat.Block
}

// NewWorker adds a worker. name says whose it is ("eth0/0.1"), for logs and
// metrics. Close ends it.
func (s *Server) NewWorker(name string) *Worker {
	w := &Worker{
		s: s, name: name, stats: s.stats.NewShard(),
		drops: dropBlocks{
			frame: s.drops.frame.NewBlock(), parse: s.drops.parse.NewBlock(), notes: s.drops.notes.NewBlock(),
			engine: s.drops.engine.NewBlock(), nak: s.drops.nak.NewBlock(), server: s.drops.server.NewBlock(),
		},
		cur:   newQuery(),
		ready: make(chan *query, hardParkedLimit),
	}
	var j lease.Journal
	if s.store != nil {
		w.journal = s.store.NewWriter(name)
		j = w.journal
	}
	w.engine = s.engine.NewWorker(j)
	if s.six != nil {
		w.six = s.six.newWorker(w)
	}
	w.seen.Store(s.runtime.Load().generation)
	s.mu.Lock()
	s.mu.workers[w] = struct{}{}
	s.mu.Unlock()
	return w
}

// Close ends the worker: parked queries are dropped, counters stay in the sums.
// Not while its loop runs.
func (w *Worker) Close() error {
	for len(w.parked) > 0 {
		q := w.parked[len(w.parked)-1]
		q.parking.Expire()
		w.forget(q)
	}
	if w.six != nil {
		w.six.close()
	}
	w.s.mu.Lock()
	delete(w.s.mu.workers, w)
	w.s.mu.Unlock()
	w.s.stats.Retire(w.stats)
	w.s.retireDrops(&w.drops)
	if w.journal != nil {
		w.journal.Retire()
	}
	return nil
}

// Attach implements netio.Handler.
func (w *Worker) Attach(wake func()) {
	w.wake.Store(&wake)
	if w.journal != nil {
		w.journal.SetWake(wake)
	}
}

// DurablePos implements netio.Handler.
func (w *Worker) DurablePos() uint64 {
	if w.journal == nil {
		return ^uint64(0)
	}
	return w.journal.Durable()
}

// begin takes up what may have changed since the last batch.
func (w *Worker) begin(nowUnixNs int64) {
	w.nowNs = nowUnixNs
	rt := w.s.runtime.Load()
	if rt != w.rt {
		w.rt = rt
		w.seen.Store(rt.generation)
	}
	w.cfg = w.engine.Begin()
	if w.six != nil {
		w.six.begin()
	}
	w.ifs = w.s.ifaces.Load()
	w.trace = traceSet(w.s.traced.Load())
}

func (w *Worker) end() {
	if w.six != nil {
		w.six.end()
	}
	w.countClassFailures()
	w.stats.PublishAt(w.nowNs)
	w.drops.publish()
	if w.journal != nil {
		w.journal.Kick()
	}
}

// queueSpans are over how many batches Worker.queued go; Kea's are of packets.
var queueSpans = [3]float32{10, 100, 1000}

// HandleBatch implements netio.Handler.
func (w *Worker) HandleBatch(pkts []netio.Packet, nowUnixNs int64) {
	w.begin(nowUnixNs)
	for i := range w.queued {
		avg := math.Float32frombits(w.queued[i].Load())
		w.queued[i].Store(math.Float32bits(avg + (float32(len(pkts))-avg)/queueSpans[i]))
	}
	for i := range min(lookAhead, len(pkts)) {
		prefetch.Bytes(pkts[i].Data)
	}
	for i := range pkts {
		if j := i + lookAhead; j < len(pkts) {
			prefetch.Bytes(pkts[j].Data)
		}
		w.handle(&pkts[i])
	}
	w.end()
}

// lookAhead is how many packets before its turn the octets of one are asked for:
// another core has written them.
const lookAhead = 4

// handle takes one packet as far as it goes: to an answer, a counted reason, or
// the car park.
func (w *Worker) handle(p *netio.Packet) {
	p.Action = netio.Drop
	c := w.cur
	why := frame.Decode(p.Data, &c.hdr)
	if w.six != nil && c.hdr.Family == 6 {
		w.six.receive(p, &c.hdr, why)
		return
	}
	w.stats.Inc(stat.Pkt4Received)
	if why != frame.ReasonOK {
		w.drops.frame.Inc(int(why))
		w.stats.Inc(stat.Pkt4ReceiveDrop)
		w.stats.Inc(stat.Pkt4ParseFailed)
		return
	}
	c.rt = w.rt
	c.ifindex, c.synthetic, c.receivedAtNs = p.IfIndex, p.Synthetic, w.nowNs
	c.iface = w.ifs.find(p.IfIndex)
	if c.hdr.Family != 4 || c.hdr.DstPort != w.s.port4 || c.iface != nil && !c.iface.serve4 {
		w.drop(ReasonNotDHCP)
		return
	}
	c.frame = p.Data
	if w.rt.mayPark && len(p.Data) <= len(c.buf) {
		c.frame = c.buf[:copy(c.buf[:], p.Data)]
	}
	msg := c.frame[c.hdr.PayloadOff : int(c.hdr.PayloadOff)+int(c.hdr.PayloadLen)]
	rt := w.rt
	if w.trace != 0 {
		w.traceReceived(c)
	}
	c.view.Lenient = w.cfg.Snapshot.Dhcp4.Compatibility.LenientOptionParsing
	parsed := false
	if rt.any {
		w.fillHook(c)
		c.hq.Msg, c.hq.Raw = &c.view, msg
		rt.run(hooks.ContextCreate, &c.hq)
		switch rt.run(hooks.Buffer4Receive, &c.hq) {
		case hooks.Continue:
		case hooks.Skip:
			parsed = true
		default:
			w.hookDrop(c, ReasonHookBuffer4Receive)
			return
		}
		msg = c.hq.Raw
	}
	if !parsed {
		if why := c.view.Parse(msg); why != dhcp4.ReasonOK {
			if w.trace != 0 {
				w.traceBad(c, msg, why)
			}
			w.drops.parse.Inc(int(why))
			w.stats.Inc(stat.Pkt4ReceiveDrop)
			w.stats.Inc(stat.Pkt4ParseFailed)
			w.done(c)
			return
		}
	}
	if n := c.view.Notes(); n != 0 {
		w.note(n)
	}
	w.stats.Inc(receivedCounter(c.view.Type()))
	if w.trace != 0 {
		w.traceParsed(c)
	}
	if w.pressure >= shedFrom && w.overloaded(c.view.Type()) {
		w.refuse(c, ReasonOverload)
		w.done(c)
		return
	}
	if w.s.service.disabled.Load() {
		w.refuse(c, ReasonServiceDisabled)
		w.done(c)
		return
	}

	q := &c.q
	q.Msg = &c.view
	q.NowUnixS = w.nowNs / 1e9
	q.IfIndex = p.IfIndex
	if c.iface != nil {
		q.IfName = c.iface.name
		q.IfAddr = c.iface.addrFor(dhcp4.IPv4(c.hdr.Dst4))
	}
	q.LocalAddrs = w.ifs.local
	q.Src, q.Dst, q.SrcPort = dhcp4.IPv4(c.hdr.Src4), dhcp4.IPv4(c.hdr.Dst4), c.hdr.SrcPort
	q.Ext = c
	if why := w.engine.Accept4(q); why != engine.ReasonOK {
		w.engineDrop(c, why)
		w.done(c)
		return
	}
	if rt.any {
		c.hq.Raw = nil
		if rt.run(hooks.Pkt4Receive, &c.hq) != hooks.Continue {
			w.hookDrop(c, ReasonHookPkt4Receive)
			return
		}
	}

	// One query of a client at a time, on whatever worker it arrives (V4-029).
	a, b := w.s.clients.keys(&c.view)
	if w.s.clients.parked.Load() > 0 && w.s.clients.inFlight(a, b) {
		w.refuse(c, ReasonDuplicate)
		w.done(c)
		return
	}
	unlock := w.s.clients.lock(a, b)
	w.decide(p, c)
	w.s.clients.unlock(unlock)
}

// A worker that falls behind sheds DISCOVER and INFORM before the kernel has to
// drop whatever comes: a client whose DISCOVER is lost asks again, but a lost
// REQUEST wastes the work its OFFER was. From shedFrom of 256 of the ring on a
// growing share of them goes, from shedAll on all.
const (
	shedFrom = 64
	shedAll  = 160
)

// SetPressure implements netio.Pressed.
func (w *Worker) SetPressure(level uint8) { w.pressure = level }

// overloaded says whether to shed a message of that type.
func (w *Worker) overloaded(t dhcp4.MsgType) bool {
	if t != dhcp4.MsgDiscover && t != dhcp4.MsgInform {
		return false
	}
	return shedNow(&w.shed, w.pressure)
}

// shedNow says whether to shed the next of the messages that may be: shed is
// what was decided so far, and pressure is at least shedFrom.
func shedNow(shed *uint32, pressure uint8) bool {
	if pressure >= shedAll {
		return true
	}
	*shed += uint32(pressure - shedFrom)
	if *shed < shedAll-shedFrom {
		return false
	}
	*shed -= shedAll - shedFrom
	return true
}

// decide runs subnet selection and what follows.
func (w *Worker) decide(p *netio.Packet, c *query) {
	if why := w.engine.SelectSubnet4(&c.q); why != engine.ReasonOK {
		w.engineDrop(c, why)
		w.done(c)
		return
	}
	if c.rt.has[hooks.Subnet4Select] {
		c.setHookSubnet()
		st := c.rt.run(hooks.Subnet4Select, &c.hq)
		w.takeHookSubnet(c)
		switch st {
		case hooks.Continue:
		case hooks.Skip:
			c.q.Subnet = nil
		case hooks.Park:
			w.park(c, hooks.Subnet4Select, stageSelected, ReasonHookSubnet4Select)
			return
		default:
			w.hookDrop(c, ReasonHookSubnet4Select)
			return
		}
	}
	w.process(p, c)
}

// process makes the decision and runs the points after it.
func (w *Worker) process(p *netio.Packet, c *query) {
	if w.trace != 0 {
		w.traceSubnet(c)
	}
	if c.rt.any {
		c.setHookSubnet()
	}
	if why := w.engine.Process4(&c.q, &c.r); why != engine.ReasonOK {
		w.engineDrop(c, why)
		w.done(c)
		return
	}
	w.count(c)
	if w.trace != 0 {
		w.traceDecision(c)
	} else if c.r.Type == dhcp4.MsgNak {
		w.warnNoLease(c, c.r.NAKReason)
	}
	point, reason := hooks.Leases4Committed, ReasonHookLeases4Committed
	if c.view.Type() == dhcp4.MsgDiscover {
		point, reason = hooks.Lease4Offer, ReasonHookLease4Offer
	}
	if c.rt.has[point] && (point == hooks.Lease4Offer && c.r.Type == dhcp4.MsgOffer || point == hooks.Leases4Committed && isCommitted(c.view.Type())) {
		w.setHookLeases(c)
		switch c.rt.run(point, &c.hq) {
		case hooks.Continue, hooks.Skip:
		case hooks.Park:
			w.park(c, point, stageProcessed, reason)
			return
		default:
			w.hookDrop(c, reason)
			return
		}
		if point == hooks.Lease4Offer && c.hq.OfferAddressInUse {
			w.serverDecline(c)
			return
		}
	}
	w.answer(p, c)
}

// isCommitted: the messages after which leases4_committed runs (HP-018).
func isCommitted(t dhcp4.MsgType) bool {
	return t == dhcp4.MsgRequest || t == dhcp4.MsgRelease || t == dhcp4.MsgDecline
}

// answer finishes the reply and writes it over the packet.
func (w *Worker) answer(p *netio.Packet, c *query) {
	if c.r.Type == 0 { // RELEASE, DECLINE: done, and nobody waits
		w.done(c)
		return
	}
	if why := w.engine.Finish4(&c.q, &c.r); why != engine.ReasonOK {
		w.engineDrop(c, why)
		w.done(c)
		return
	}
	packed := false
	if c.rt.has[hooks.Pkt4Send] {
		w.setHookLeases(c)
		c.hq.Raw = nil
		switch c.rt.run(hooks.Pkt4Send, &c.hq) {
		case hooks.Continue:
		case hooks.Skip:
			packed = true
		default:
			w.hookDrop(c, ReasonHookPkt4Send)
			return
		}
	}
	var msg []byte
	if packed {
		msg = c.hq.Raw
	} else {
		var dropped int
		msg, dropped = c.r.Append(w.out[:0], min(c.r.MaxLen, c.iface.fullLen(c.synthetic, minMTU4)-headers4), c.r.PRL)
		if dropped+c.r.LeftOut > 0 {
			w.s.truncated.Add(1)
		}
	}
	if c.rt.has[hooks.Buffer4Send] {
		w.setHookLeases(c)
		c.hq.Raw = msg
		if c.rt.run(hooks.Buffer4Send, &c.hq) != hooks.Continue {
			w.hookDrop(c, ReasonHookBuffer4Send)
			return
		}
		msg = c.hq.Raw
	}
	if w.trace != 0 {
		w.traceSend(c, msg)
	}
	if !w.put(p, c, msg) {
		w.done(c)
		return
	}
	w.stats.Inc(stat.Pkt4Sent)
	w.stats.Inc(sentCounter(c.r.Type))
	w.done(c)
}

// headers4 is the length of the IPv4 and UDP headers of a reply.
const headers4 = 20 + 8

// put writes the reply frame over p and sets its action.
func (w *Worker) put(p *netio.Packet, c *query, msg []byte) bool {
	src := c.r.ServerID
	if src == 0 {
		src = c.q.IfAddr
	}
	if src == 0 {
		w.drop(ReasonNoServerAddress)
		return false
	}
	o := frame.Out4{
		DstMAC: c.hdr.SrcMAC, VLANs: c.hdr.VLANs, VLANCount: c.hdr.VLANCount,
		Src4: uint32(src), Dst4: uint32(c.r.Dst), SrcPort: w.s.port4, DstPort: c.r.DstPort,
	}
	if c.iface != nil {
		o.SrcMAC = c.iface.mac
	} else if !c.synthetic {
		w.drop(ReasonUnknownInterface)
		return false
	}
	switch c.r.L2 {
	case engine.L2CHAddr:
		o.DstMAC = [6]byte{}
		copy(o.DstMAC[:], c.view.CHAddr())
	case engine.L2Broadcast:
		o.DstMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	if w.s.opt.AnswerSource {
		o.DstMAC, o.Dst4, o.DstPort = c.hdr.SrcMAC, c.hdr.Src4, c.hdr.SrcPort
	}
	off := frame.HeaderLen4(o.VLANCount)
	if off+len(msg) > cap(p.Data) || !c.iface.carries(c.synthetic, headers4+len(msg)) {
		w.drop(ReasonReplyTooLong)
		return false
	}
	p.Data = p.Data[:off+len(msg)]
	copy(p.Data[off:], msg)
	p.Data = p.Data[:frame.Write4(p.Data, &o, len(msg))]
	p.IfIndex, p.Synthetic, p.Relayed = c.ifindex, c.synthetic, c.q.Relayed()
	p.Action, p.CommitPos = netio.Send, 0
	if c.r.CommitPos != 0 {
		p.Action, p.CommitPos = netio.Hold, c.r.CommitPos
	}
	return true
}

// done is the last thing that happens to a query.
func (w *Worker) done(c *query) {
	c.rt.run(hooks.ContextDestroy, &c.hq)
}

func (w *Worker) drop(why Reason) {
	w.drops.server.Inc(int(why))
	w.stats.Inc(stat.Pkt4ReceiveDrop)
	if c, ok := why.keaStat(); ok {
		w.stats.Inc(c)
	}
}

func (w *Worker) hookDrop(c *query, why Reason) {
	w.drops.server.Inc(int(why))
	w.stats.Inc(stat.Pkt4ReceiveDrop)
	if m := hookStats[c.hq.DropReason()]; m.ok {
		w.stats.Inc(m.c)
	}
	w.done(c)
}

// refuse drops a message for a reason of the server's.
func (w *Worker) refuse(c *query, why Reason) {
	if w.trace != 0 {
		w.traceRefused(c, why)
	}
	w.drop(why)
}

func (w *Worker) engineDrop(c *query, why engine.Reason) {
	w.traceDrop(c, why)
	w.drops.engine.Inc(int(why))
	w.stats.Inc(stat.Pkt4ReceiveDrop)
	if m := engineStats[why]; m.ok {
		w.stats.Inc(m.c)
	}
	w.allocationFailed(c, why)
}

// allocationFailed counts Kea's statistics of an allocation that failed, whether
// the client was told or not (V4-080).
func (w *Worker) allocationFailed(c *query, why engine.Reason) {
	if m := allocStats[why]; m.ok {
		w.countSubnet(c, m.c)
		if s := c.q.Subnet; s != nil && s.Network != nil {
			w.countSubnet(c, stat.V4AllocationFailSharedNetwork)
		} else {
			w.countSubnet(c, stat.V4AllocationFailSubnet)
		}
		w.countSubnet(c, stat.V4AllocationFailClasses)
	}
}

// note counts what was accepted though it is not quite right.
func (w *Worker) note(n dhcp4.Notes) {
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			w.drops.notes.Inc(i)
		}
	}
}

// countSubnet counts for all and for the query's subnet.
func (w *Worker) countSubnet(c *query, k stat.Counter) {
	w.stats.Inc(k)
	if s := c.q.Subnet; s != nil {
		w.s.subnets.count(s.ID, k)
	}
}

// count counts what the engine decided.
func (w *Worker) count(c *query) {
	if c.r.Reused {
		w.countSubnet(c, stat.V4LeaseReuses)
	}
	if c.r.ReservationConflict {
		w.countSubnet(c, stat.V4ReservationConflicts)
	}
	if c.r.Type == dhcp4.MsgNak {
		w.drops.nak.Inc(int(c.r.NAKReason))
		w.allocationFailed(c, c.r.NAKReason)
	}
}

func receivedCounter(t dhcp4.MsgType) stat.Counter {
	switch t {
	case dhcp4.MsgDiscover:
		return stat.Pkt4DiscoverReceived
	case dhcp4.MsgOffer:
		return stat.Pkt4OfferReceived
	case dhcp4.MsgRequest:
		return stat.Pkt4RequestReceived
	case dhcp4.MsgDecline:
		return stat.Pkt4DeclineReceived
	case dhcp4.MsgAck:
		return stat.Pkt4AckReceived
	case dhcp4.MsgNak:
		return stat.Pkt4NakReceived
	case dhcp4.MsgRelease:
		return stat.Pkt4ReleaseReceived
	case dhcp4.MsgInform:
		return stat.Pkt4InformReceived
	case dhcp4.MsgLeaseQuery:
		return stat.Pkt4LeaseQueryReceived
	}
	return stat.Pkt4UnknownReceived
}

func sentCounter(t dhcp4.MsgType) stat.Counter {
	switch t {
	case dhcp4.MsgOffer:
		return stat.Pkt4OfferSent
	case dhcp4.MsgNak:
		return stat.Pkt4NakSent
	}
	return stat.Pkt4AckSent
}

// fillHook prepares the hook query with what is known before parsing.
func (w *Worker) fillHook(c *query) {
	h := &c.hq
	h.Reset()
	h.NowUnixNs = w.nowNs
	h.IfIndex = c.ifindex
	if c.iface != nil {
		h.IfName = c.iface.name
	}
	h.Src, h.Dst = dhcp4.IPv4(c.hdr.Src4), dhcp4.IPv4(c.hdr.Dst4)
	h.SrcPort, h.DstPort = c.hdr.SrcPort, c.hdr.DstPort
	h.Classes = &c.classes
	h.Subnets = c.rt
	c.w, h.Updater = w, c
}

// setHookSubnet shows the engine's choice to callouts.
func (c *query) setHookSubnet() {
	if c.q.Subnet == nil {
		c.hq.Subnet = nil
		return
	}
	c.hq.Subnet = c.rt.SubnetByID(c.q.Subnet.ID)
}

// takeHookSubnet takes over what callouts chose.
func (w *Worker) takeHookSubnet(c *query) {
	switch {
	case c.hq.Subnet == nil:
		c.q.Subnet = nil
	case c.q.Subnet == nil || c.q.Subnet.ID != c.hq.Subnet.ID:
		c.q.Subnet = w.cfg.Subnets.ByID(c.hq.Subnet.ID)
	}
}

func (w *Worker) setHookLeases(c *query) {
	h := &c.hq
	h.Reply, h.Lease, h.OldLease, h.Deleted = nil, nil, nil, nil
	if c.r.Type != 0 {
		h.Reply = &c.r.Reply
	}
	if c.r.HaveLease {
		h.Lease = &c.r.Lease
	}
	if c.r.HaveOld {
		h.OldLease = &c.r.OldLease
	}
	if c.r.HaveDeleted {
		h.Deleted = &c.r.Deleted
	}
	if h.Fake = c.r.Type == dhcp4.MsgOffer; h.Fake {
		h.OfferLifetimeS = c.q.OfferLifetimeS()
	}
}

var (
	_ netio.Handler = (*Worker)(nil)
	_ netio.Pressed = (*Worker)(nil)
)

// clientSeed makes the in-flight keys unpredictable to clients.
var clientSeed = maphash.MakeSeed()
