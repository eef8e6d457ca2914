package slowpath

import (
	"hash/maphash"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// worker6 is a Worker's DHCPv6 half: the same steps with the other engine. It
// shares the loop, the journal and the packets' batches with the DHCPv4 half.
type worker6 struct {
	w      *Worker
	s      *server6
	engine *engine6.Worker
	stats  *stat.Shard
	drops  drops6

	cfg    *engine6.Config // of this batch
	rt     *runtime6       // of this batch
	cur    *query6
	free   []*query6
	parked []*query6
	ready  chan *query6
	shed   uint32
	trace  traceSet // which loggers want lines about packets

	nextExpiryNs int64
}

// drops6 are a worker's counters by reason of DHCPv6.
type drops6 struct {
	parse, notes, engine, server *stat.Block
}

func (d *drops6) publish() {
	d.parse.Publish()
	d.notes.Publish()
	d.engine.Publish()
	d.server.Publish()
}

func (s *server6) newWorker(w *Worker) *worker6 {
	x := &worker6{
		w: w, s: s, stats: s.stats.NewShard(), cur: newQuery6(), ready: make(chan *query6, hardParkedLimit),
		drops: drops6{s.drops.parse.NewBlock(), s.drops.notes.NewBlock(), s.drops.engine.NewBlock(), s.drops.server.NewBlock()},
	}
	var j lease6.Journal
	if w.journal != nil && s.persist {
		j = w.journal
	}
	x.engine = s.engine.NewWorker(j)
	return x
}

func (x *worker6) close() {
	for len(x.parked) > 0 {
		q := x.parked[len(x.parked)-1]
		q.parking.Expire()
		x.forget(q)
	}
	x.s.stats.Retire(x.stats)
	x.s.drops.parse.Retire(x.drops.parse)
	x.s.drops.notes.Retire(x.drops.notes)
	x.s.drops.engine.Retire(x.drops.engine)
	x.s.drops.server.Retire(x.drops.server)
}

// begin takes up what may have changed since the last batch.
func (x *worker6) begin() {
	x.rt = x.s.runtime.Load()
	x.cfg = x.engine.Begin()
	x.trace = traceSet(x.s.traced.Load())
}

func (x *worker6) end() {
	x.stats.PublishAt(x.w.nowNs)
	x.drops.publish()
}

// receive takes one packet with its headers h, whose decoding ended with why.
func (x *worker6) receive(p *netio.Packet, h *frame.Headers, why frame.Reason) {
	x.stats.Inc(stat.Pkt6Received)
	if why != frame.ReasonOK {
		x.w.drops.frame.Inc(int(why))
		x.stats.Inc(stat.Pkt6ReceiveDrop)
		x.stats.Inc(stat.Pkt6ParseFailed)
		return
	}
	iface := x.w.ifs.find(p.IfIndex)
	if h.DstPort != x.s.port || iface != nil && !iface.serve6 {
		x.drop(ReasonNotDHCP)
		return
	}
	x.handle(p, h, iface)
}

// handle takes one packet as far as it goes: to an answer, a counted reason, or
// the car park.
func (x *worker6) handle(p *netio.Packet, h *frame.Headers, iface *iface) {
	c := x.cur
	c.rt = x.rt
	c.ifindex, c.synthetic = p.IfIndex, p.Synthetic
	c.frame = p.Data
	c.hdr = *h
	if x.rt.mayPark && len(p.Data) <= len(c.buf) {
		c.frame = c.buf[:copy(c.buf[:], p.Data)]
	}
	c.iface = iface
	if x.trace != 0 {
		x.traceReceived(c)
	}
	msg := c.frame[c.hdr.PayloadOff : int(c.hdr.PayloadOff)+int(c.hdr.PayloadLen)]
	parsed := false
	if x.rt.any {
		x.fillHook(c)
		c.hq.Msg, c.hq.Raw = &c.view, msg
		x.rt.run(hooks.ContextCreate, &c.hq)
		switch x.rt.run(hooks.Buffer6Receive, &c.hq) {
		case hooks.Continue:
		case hooks.Skip:
			parsed = true
		default:
			x.hookDrop(c, ReasonHookBuffer6Receive)
			return
		}
		msg = c.hq.Raw
	}
	if !parsed {
		c.view.Lenient = x.cfg.Snapshot.Dhcp6.LenientOptions
		if why := c.view.Parse(msg); why != dhcp6.ReasonOK {
			x.drops.parse.Inc(int(why))
			x.stats.Inc(stat.Pkt6ReceiveDrop)
			x.stats.Inc(stat.Pkt6ParseFailed)
			if x.trace != 0 {
				x.traceBad(c, msg, why)
			}
			x.done(c)
			return
		}
	}
	if x.trace != 0 {
		x.traceParsed(c)
	}
	if n := c.view.Notes(); n != 0 {
		for i := 0; n != 0; i, n = i+1, n>>1 {
			if n&1 != 0 {
				x.drops.notes.Inc(i)
			}
		}
	}
	x.stats.Inc(received6(c.view.Type()))
	if x.w.pressure >= shedFrom && x.overloaded(c.view.Type()) {
		x.refuse(c, ReasonOverload)
		return
	}
	if x.s.service.disabled.Load() {
		x.refuse(c, ReasonServiceDisabled)
		return
	}

	q := &c.q
	q.Msg = &c.view
	q.NowUnixS = x.w.nowNs / 1e9
	q.IfIndex = p.IfIndex
	q.IfName = ""
	if c.iface != nil {
		q.IfName, q.IfHWType = c.iface.name, 1
	}
	q.HWAddr = nil
	q.Src, q.Dst, q.SrcPort = c.hdr.Src6, c.hdr.Dst6, c.hdr.SrcPort
	q.Ext = c
	if why := x.engine.Accept6(q); why != engine6.ReasonOK {
		x.engineDrop(c, why)
		return
	}
	if x.rt.any {
		c.hq.Raw = nil
		if x.rt.run(hooks.Pkt6Receive, &c.hq) != hooks.Continue {
			x.hookDrop(c, ReasonHookPkt6Receive)
			return
		}
	}

	// One query of a client at a time, on whatever worker it arrives.
	key := c.clientKey()
	if x.s.clients.parked.Load() > 0 && x.s.clients.inFlight(key, 0) {
		x.refuse(c, ReasonDuplicate)
		return
	}
	c.key = key
	unlock := x.s.clients.lock(key, 0)
	x.decide(p, c)
	x.s.clients.unlock(unlock)
}

// clientKey is the client's in clients. An INFORMATION-REQUEST may come without
// a client identifier; then the address is all that tells clients apart.
func (c *query6) clientKey() uint64 {
	if id := c.view.ClientID(); len(id) > 0 {
		return maphash.Bytes(clientSeed, id) | 1
	}
	from := dhcp6.IPv6(c.hdr.Src6)
	if n := c.view.Relays(); n > 0 {
		from = c.view.PeerAddr(n - 1)
	}
	return maphash.Bytes(clientSeed, from[:]) | 1
}

// overloaded says whether to shed a message of that type: those that ask for
// nothing that the client has been promised.
func (x *worker6) overloaded(t dhcp6.MsgType) bool {
	if t != dhcp6.MsgSolicit && t != dhcp6.MsgInformationRequest {
		return false
	}
	return shedNow(&x.shed, x.w.pressure)
}

// decide runs subnet selection and what follows.
func (x *worker6) decide(p *netio.Packet, c *query6) {
	x.engine.SelectSubnet6(&c.q)
	if c.rt.has[hooks.Subnet6Select] {
		c.setHookSubnet()
		st := c.rt.run(hooks.Subnet6Select, &c.hq)
		x.takeHookSubnet(c)
		switch st {
		case hooks.Continue:
		case hooks.Skip:
			c.q.Subnet = nil
		case hooks.Park:
			x.park(c, hooks.Subnet6Select, stageSelected)
			return
		default:
			x.hookDrop(c, ReasonHookSubnet6Select)
			return
		}
	}
	x.process(p, c)
}

// process makes the decision and runs the point after it.
func (x *worker6) process(p *netio.Packet, c *query6) {
	if c.rt.any {
		c.setHookSubnet()
	}
	if x.trace != 0 {
		x.traceSubnet(c)
	}
	why := x.engine.Process6(&c.q, &c.r)
	x.countFailures(c)
	x.warnFailures(c)
	if why != engine6.ReasonOK {
		x.engineDrop(c, why)
		return
	}
	if x.trace != 0 {
		x.traceDecision(c)
	}
	x.countReuses(c, stat.V6NALeaseReuses, c.r.ReusedNA)
	x.countReuses(c, stat.V6PDLeaseReuses, c.r.ReusedPD)
	if c.rt.has[hooks.Leases6Committed] && !c.r.Offer && len(c.r.Leases)+len(c.r.Deleted) > 0 {
		x.setHookReply(c)
		c.hq.Committed, c.hq.Deleted = c.r.Leases, c.r.Deleted
		switch c.rt.run(hooks.Leases6Committed, &c.hq) {
		case hooks.Continue, hooks.Skip:
		case hooks.Park:
			x.park(c, hooks.Leases6Committed, stageProcessed)
			return
		default:
			x.hookDrop(c, ReasonHookLeases6Committed)
			return
		}
	}
	x.answer(p, c)
}

// answer finishes the reply and writes it over the packet.
func (x *worker6) answer(p *netio.Packet, c *query6) {
	if c.r.Type == 0 {
		x.done(c)
		return
	}
	if why := x.engine.Finish6(&c.q, &c.r); why != engine6.ReasonOK {
		x.engineDrop(c, why)
		return
	}
	packed := false
	if c.rt.has[hooks.Pkt6Send] {
		x.setHookReply(c)
		c.hq.Raw = nil
		switch c.rt.run(hooks.Pkt6Send, &c.hq) {
		case hooks.Continue:
		case hooks.Skip:
			packed = true
		default:
			x.hookDrop(c, ReasonHookPkt6Send)
			return
		}
	}
	var msg []byte
	if packed {
		msg = c.hq.Raw
	} else {
		var dropped int
		msg, dropped = c.r.Append(x.w.out[:0], min(c.r.MaxLen, c.iface.fullLen(c.synthetic, minMTU6)-headers6), c.r.ORO)
		if dropped+c.r.LeftOut > 0 {
			x.w.s.truncated.Add(1)
		}
	}
	if c.rt.has[hooks.Buffer6Send] {
		x.setHookReply(c)
		if !c.r.Offer {
			c.hq.Committed = c.r.Leases
		}
		c.hq.Raw = msg
		if c.rt.run(hooks.Buffer6Send, &c.hq) != hooks.Continue {
			x.hookDrop(c, ReasonHookBuffer6Send)
			return
		}
		msg = c.hq.Raw
	}
	if x.trace != 0 { // before the reply is written over the query
		x.traceSend(c, msg)
	}
	if !x.put(p, c, msg) {
		x.done(c)
		return
	}
	x.stats.Inc(stat.Pkt6Sent)
	if k, ok := sent6(c.r.Type); ok {
		x.stats.Inc(k)
	}
	x.done(c)
}

// headers6 is the length of the IPv6 and UDP headers of a reply.
const headers6 = 40 + 8

// put writes the reply frame over p and sets its action. It leaves by the way
// the query came.
func (x *worker6) put(p *netio.Packet, c *query6, msg []byte) bool {
	o := frame.Out6{
		DstMAC: c.hdr.SrcMAC, VLANs: c.hdr.VLANs, VLANCount: c.hdr.VLANCount,
		Dst6: c.r.Dst, SrcPort: x.s.port, DstPort: c.r.DstPort,
	}
	switch {
	case c.iface != nil:
		o.SrcMAC = c.iface.mac
		o.Src6 = c.iface.addr6For(c.hdr.Dst6)
	case !c.synthetic:
		x.drop(ReasonUnknownInterface)
		return false
	}
	if o.Src6 == ([16]byte{}) {
		x.drop(ReasonNoServerAddress)
		return false
	}
	if x.w.s.opt.AnswerSource {
		o.Dst6, o.DstPort = c.hdr.Src6, c.hdr.SrcPort
	}
	off := frame.HeaderLen6(o.VLANCount)
	if off+len(msg) > cap(p.Data) || !c.iface.carries(c.synthetic, headers6+len(msg)) {
		x.drop(ReasonReplyTooLong)
		return false
	}
	p.Data = p.Data[:off+len(msg)]
	copy(p.Data[off:], msg)
	p.Data = p.Data[:frame.Write6(p.Data, &o, len(msg))]
	p.IfIndex, p.Synthetic = c.ifindex, c.synthetic
	p.Action, p.CommitPos = netio.Send, 0
	if c.r.CommitPos != 0 {
		p.Action, p.CommitPos = netio.Hold, c.r.CommitPos
	}
	return true
}

// done is the last thing that happens to a query.
func (x *worker6) done(c *query6) { c.rt.run(hooks.ContextDestroy, &c.hq) }

func (x *worker6) drop(why Reason) {
	x.drops.server.Inc(int(why))
	x.stats.Inc(stat.Pkt6ReceiveDrop)
	if m := serverStats6[why]; m.ok {
		x.stats.Inc(m.c)
	}
}

// refuse ends a query that the server does not take.
func (x *worker6) refuse(c *query6, why Reason) {
	x.drop(why)
	if x.trace != 0 {
		x.traceRefused(c, why)
	}
	x.done(c)
}

func (x *worker6) hookDrop(c *query6, why Reason) {
	x.drops.server.Inc(int(why))
	x.stats.Inc(stat.Pkt6ReceiveDrop)
	if m := hookStats6[c.hq.DropReason()]; m.ok {
		x.stats.Inc(m.c)
	}
	x.done(c)
}

// engineDrop counts a query that the engine does not answer, and ends it.
func (x *worker6) engineDrop(c *query6, why engine6.Reason) {
	x.drops.engine.Inc(int(why))
	if m := engineStats6[why]; m.ok {
		x.stats.Inc(stat.Pkt6ReceiveDrop)
		if m.c != stat.Pkt6ReceiveDrop {
			x.stats.Inc(m.c)
		}
	}
	if x.trace != 0 {
		x.traceDrop(c, why)
	}
	x.done(c)
}

// countReuses counts leases answered from the cache, for all and for the subnet.
func (x *worker6) countReuses(c *query6, k stat.Counter, n uint8) {
	for range n {
		x.stats.Inc(k)
		if s := c.q.Subnet; s != nil {
			x.s.subnets.count(s.ID, k)
		}
	}
}

// countFailures counts IAs that got no lease (ST-023).
func (x *worker6) countFailures(c *query6) {
	for i := range c.r.Failures() {
		f := &c.r.Failures()[i]
		x.drops.engine.Inc(int(f.Reason))
		if f.Reason != engine6.ReasonPoolExhausted && f.Reason != engine6.ReasonNoPools {
			continue
		}
		count := func(k stat.Counter) {
			x.stats.Inc(k)
			x.s.subnets.count(f.SubnetID, k)
		}
		if f.Network {
			count(stat.V6AllocationFailSharedNetwork)
		} else {
			count(stat.V6AllocationFailSubnet)
		}
		if f.Reason == engine6.ReasonNoPools {
			count(stat.V6AllocationFailNoPools)
		} else {
			count(stat.V6AllocationFail)
		}
		if f.Classes {
			count(stat.V6AllocationFailClasses)
		}
	}
}

// fillHook prepares the hook query with what is known before parsing.
func (x *worker6) fillHook(c *query6) {
	h := &c.hq
	h.Reset()
	h.NowUnixNs = x.w.nowNs
	h.IfIndex = c.ifindex
	if c.iface != nil {
		h.IfName = c.iface.name
	}
	h.Src, h.Dst = c.hdr.Src6, c.hdr.Dst6
	h.SrcPort, h.DstPort = c.hdr.SrcPort, c.hdr.DstPort
	h.Classes = &c.classes
	h.Subnets = c.rt
	c.x, h.Updater = x, c
}

// setHookSubnet shows the engine's choice to callouts.
func (c *query6) setHookSubnet() {
	if c.q.Subnet == nil {
		c.hq.Subnet = nil
		return
	}
	c.hq.Subnet = c.rt.SubnetByID(c.q.Subnet.ID)
}

// takeHookSubnet takes over what callouts chose.
func (x *worker6) takeHookSubnet(c *query6) {
	switch {
	case c.hq.Subnet == nil:
		c.q.Subnet = nil
	case c.q.Subnet == nil || c.q.Subnet.ID != c.hq.Subnet.ID:
		c.q.Subnet = x.cfg.Subnets.ByID(c.hq.Subnet.ID)
	}
}

func (x *worker6) setHookReply(c *query6) {
	h := &c.hq
	h.Reply, h.Lease, h.OldLease, h.Committed, h.Deleted = nil, nil, nil, nil, nil
	if c.r.Type != 0 {
		h.Reply = &c.r.Reply
	}
	h.Fake = c.r.Offer
}
