package loadgen

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// begin sends the first messages of up to n exchanges and returns of how many.
func (g *Generator) begin(t int64, n uint64) uint64 {
	conn := g.conns[0]
	k := uint64(0)
	for ; k < n; k++ {
		p := &g.toSend[k]
		if !conn.Alloc(p) {
			break
		}
		op, client, ok := g.nextOp()
		due := t
		if g.opt.Rate > 0 && !g.retransmits {
			due = g.dueNs(g.begun + k)
		}
		a := acked{client: client}
		if ok && op.leased() && g.six == nil {
			a.addr, a.server = g.leases[client].addr, g.leases[client].server
		}
		if !ok || !g.start(p, t, due, a, op) {
			conn.Release(g.toSend[k : k+1])
			break
		}
		if g.opt.Rate > 0 && !g.preload && !g.retransmits {
			g.Lag.Add(t - due)
			if t-due > int64(LateSend) {
				g.LateSends++
			}
		}
	}
	if k > 0 {
		conn.Send(g.toSend[:k])
	}
	return k
}

// start writes the first message of an exchange to p, about the lease a if it
// has an address. It reports false if there is no slot for it.
func (g *Generator) start(p *netio.Packet, t, due int64, a acked, op Op) bool {
	// The slot about to be used again must be over.
	if g.head-g.tail > g.mask && !g.moreSlots() {
		return false
	}
	s := &g.slots[g.head&g.mask]
	e := op.first(g.opt.V6)
	xid := g.xidBase + g.head
	if g.six != nil {
		xid &= sixIndexMask
	}
	// One by one, for a literal would be made elsewhere and copied.
	s.begunNs, s.sentNs, s.dueNs = t, t, due
	s.xid, s.client, s.offered, s.server = xid, a.client, a.addr, a.server
	s.stage, s.op, s.epoch, s.expired = stageOf(e), op, g.epochs[a.client], false
	if s.giaddr = a.giaddr; s.giaddr == 0 {
		s.giaddr = g.relayOf(a.client)
	}
	if g.six != nil {
		g.fill6(p, e, s, t)
	} else {
		g.fill(p, g.messages[e], s, t)
	}
	g.sample(e, p)
	g.Stats[e].Sent++
	g.head++
	if op.gives() {
		g.giveUp(a)
	}
	if !e.answered() {
		s.stage = idle
		return true
	}
	g.outstanding++
	return true
}

// moreSlots doubles the slots in use, as far as there are more. The exchanges
// begun last keep theirs or move to the new half.
func (g *Generator) moreSlots() bool {
	n := g.mask + 1
	if uint64(n)*2 > uint64(len(g.slots)) {
		return false
	}
	for j := range n {
		i := g.head - n + (j-g.head)&g.mask // the exchange in slot j
		if i&n == 0 {
			continue
		}
		g.slots[j+n] = g.slots[j]
		if g.six != nil {
			g.six.offers[j+n] = g.six.offers[j]
		}
	}
	g.mask = 2*n - 1
	return true
}

// relayOf is the relay of an exchange of the client: of Options.Relays, the
// client's own or any, 0 if there are none. In DHCPv6 it is 1 + the place in
// Options.Links6.
func (g *Generator) relayOf(client uint32) uint32 {
	n := len(g.opt.Relays)
	if g.six != nil {
		n = len(g.opt.Links6)
	}
	if n == 0 {
		return 0
	}
	i := int(client) % n
	if !g.opt.RelayByClient {
		i = g.random.IntN(n)
	}
	if g.six != nil {
		return uint32(i) + 1
	}
	return g.opt.Relays[i]
}

// giveUp forgets the lease a, which its client just released or declined.
func (g *Generator) giveUp(a acked) {
	g.epochs[a.client]++
	if g.six != nil {
		g.six.giveUp(a.client)
	} else {
		if owner, ok := g.owner[a.addr]; ok && owner == a.client {
			delete(g.owner, a.addr)
			for i := range g.seen { // it may be given again
				delete(g.seen[i], a.addr)
			}
		}
		if l := &g.leases[a.client]; l.addr == a.addr {
			l.addr = 0
		}
	}
	if g.leased {
		g.bound.remove(a.client)
		g.unbound.add(a.client)
	}
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
		g.held[i] = g.held[len(g.held)-1]
		g.held = g.held[:len(g.held)-1]
		if a.epoch != g.epochs[a.client] || !g.start(p, t, t, a, st.op) {
			conn.Release(g.toSend[k : k+1])
			break
		}
	}
	if k > 0 {
		conn.Send(g.toSend[:k])
	}
}

// nextOp is whose turn it is, and for what.
func (g *Generator) nextOp() (Op, uint32, bool) {
	if g.pending != nil {
		if int(g.next) == len(g.pending) {
			return 0, 0, false
		}
		g.next++
		return OpDORA, g.pending[g.next-1], true
	}
	op := g.op
	if g.preload {
		op = OpDORA
	} else if g.mixed {
		op = g.mix.pick(g.random)
		if op.leased() {
			if c, ok := g.bound.pick(g.random); ok {
				return op, c, true
			}
			op = OpDORA
		}
		c, ok := g.unbound.turn()
		if !ok { // all have a lease: one begins anew
			c, ok = g.bound.pick(g.random)
		}
		return op, c, ok
	}
	if op.leased() {
		c, ok := g.bound.turn()
		return op, c, ok
	}
	if g.macs != nil && !g.retransmits {
		return op, uint32(g.random.IntN(len(g.macs))), true
	}
	c := g.next
	if g.next++; g.next == g.opt.Clients {
		g.next = 0
	}
	return op, c, true
}

// mac is the hardware address of a client.
func (g *Generator) mac(client uint32) uint64 {
	if g.macs != nil {
		return g.macs[client]
	}
	return g.baseMAC + uint64(client)
}

// fill writes the packet of an exchange of DHCPv4.
func (g *Generator) fill(p *netio.Packet, x *template, s *slot, t int64) {
	secs := uint16(min(uint64(t-s.begunNs)/uint64(time.Second), 65535))
	if exchangeOf(s.stage) == DiscoverOffer {
		secs = max(secs, g.secs)
	}
	f := fields{xid: s.xid, secs: secs, mac: g.mac(s.client), giaddr: s.giaddr, offered: s.offered, server: s.server}
	if g.opt.RelayByClient { // every relay speaks for itself
		f.src = s.giaddr
	}
	p.IfIndex = g.opt.IfIndex
	if x.packet == nil {
		g.fillFrom(p, x, &f)
		return
	}
	b := p.Data[:len(x.packet)]
	x.write(b, &f)
	p.Data = b
}

// fillFrom writes the packet of a template that is a file's, whose fields may lie
// anywhere.
func (g *Generator) fillFrom(p *netio.Packet, x *template, f *fields) {
	b := p.Data[:g.headLen+len(x.msg)]
	m := b[g.headLen:]
	n := x.put(m, f.xid, f.mac, f.secs)
	if f.giaddr != 0 && x.giaddr != 0 {
		binary.BigEndian.PutUint32(m[x.giaddr:], f.giaddr)
	}
	if x.ciaddr != 0 {
		binary.BigEndian.PutUint32(m[x.ciaddr:], f.offered)
	}
	if x.requested != 0 {
		binary.BigEndian.PutUint32(m[x.requested:], f.offered)
	}
	if x.server != 0 {
		binary.BigEndian.PutUint32(m[x.server:], f.server)
	}
	out := g.out
	if f.src != 0 {
		out.Src4 = f.src
	}
	if x.broadcast {
		out.Dst4, out.DstMAC = 0xFFFFFFFF, broadcastMAC
	}
	p.Data = b[:frame.Write4(b, &out, n)]
}

var broadcastMAC = [6]byte{255, 255, 255, 255, 255, 255}

// sample keeps the first message of its kind, for -x T.
func (g *Generator) sample(e Exchange, p *netio.Packet) {
	if !g.opt.Samples || g.samples[e] != nil {
		return
	}
	if n := g.headLen; len(p.Data) > n {
		g.samples[e] = bytes.Clone(p.Data[n:])
	}
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
		touch(g.pkts[:n])
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

// touch reads from every packet what will be looked at: its headers, the fixed
// part and the first options. Another core has written them, so they are in none
// of this one's caches; here the misses of a batch overlap, in handle they would
// come one after another.
func touch(pkts []netio.Packet) {
	x := byte(0)
	for i := range pkts {
		b := pkts[i].Data
		if n := len(b); n > 256 {
			x += b[min(n-1, 320)] + b[256] + b[64] + b[0]
		}
	}
	runtime.KeepAlive(x)
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
	if g.six != nil {
		return g.handle6(p, t)
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
	if g.flood {
		typ = dhcp4.MsgOffer
	}
	xid := v.XID()
	i := xid - g.xidBase
	s := &g.slots[i&g.mask]
	if g.junk != nil && i-g.head < junkAhead {
		g.Stats[Junk].Received++ // it was well-formed enough for the server
		return false
	}
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
	if mac := v.CHAddr(); g.wrongClient && (len(mac) != 6 || macNumber(mac) != g.mac(s.client)) {
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
		if g.retransmits {
			s.stage, s.offered, s.sentNs = stageOf(DiscoverOffer), 0, t // RFC 2131 §3.1: begin again
			return false
		}
		if s.op.leased() && s.epoch == g.epochs[s.client] {
			g.giveUp(acked{client: s.client, addr: s.offered})
		}
		g.over(s)
		return false
	}
	st.Received++
	st.RTT.Add(t - s.sentNs)
	st.Response.Add(t - s.dueNs)
	if g.kept != nil {
		g.kept.add(exchangeOf(s.stage), g.record(s, t, addr))
	}
	if g.flood {
		g.over(s)
		return false
	}
	if addr == 0 {
		st.Rejected++
		g.over(s)
		return false
	}
	if !g.pools.has4(addr) {
		g.Checks.OutsidePools++
	}
	if exchangeOf(s.stage) == DiscoverOffer {
		return g.offered(p, t, s, st, addr)
	}
	g.unique(1, addr, st)
	if addr != s.offered {
		g.Checks.AckDiffers++
	}
	if s.epoch == g.epochs[s.client] { // else it has given the lease up meanwhile
		g.acknowledged(s, addr)
	}
	g.over(s)
	return false
}

// offered answers an OFFER, in its frame.
func (g *Generator) offered(p *netio.Packet, t int64, s *slot, st *Stats, addr uint32) bool {
	g.unique(0, addr, st)
	server, ok := g.view.ServerID()
	if g.opt.TwoWay || s.op == OpDiscover {
		g.over(s)
		return false
	}
	if !ok {
		g.Malformed++ // RFC 2131 table 3: MUST
		g.over(s)
		return false
	}
	request := g.messages[RequestAck]
	if g.headLen+len(request.msg) > cap(p.Data) {
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
	s.stage = stageOf(RequestAck)
	s.sentNs, s.dueNs = t, t
	g.fill(p, request, s, t)
	g.sample(RequestAck, p)
	g.Stats[RequestAck].Sent++
	return true
}

// acknowledged notes the lease an ACK gives.
func (g *Generator) acknowledged(s *slot, addr uint32) {
	if old, had := g.owner[addr]; had && old != s.client {
		g.Checks.DuplicateAddresses++
	}
	l := &g.leases[s.client]
	if l.addr != 0 && l.addr != addr && g.owner[l.addr] == s.client {
		delete(g.owner, l.addr)
	}
	g.owner[addr] = s.client
	*l = lease{addr, s.server}
	if g.leased {
		g.unbound.remove(s.client)
		g.bound.add(s.client)
	}
	if exchangeOf(s.stage) == RequestAck && len(g.held) < cap(g.held) {
		g.held = append(g.held, acked{s.client, addr, s.server, s.giaddr, s.epoch})
	}
}

// stageTakes reports whether a message of that type answers that stage.
func stageTakes(stage uint8, t dhcp4.MsgType) bool {
	if exchangeOf(stage) == DiscoverOffer {
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
	if len(g.seen[stage]) < maxRecords {
		g.seen[stage][addr] = struct{}{}
	}
}
