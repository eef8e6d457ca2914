package loadgen

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Well-known UDP ports and addresses of DHCPv6 (RFC 8415 §7.1 and §7.2).
const (
	ClientPort6 = 546
	ServerPort6 = 547
)

const (
	// sixIndexMask are the bits of a transaction identifier that number the
	// exchange; the highest tells the second message of an exchange from the
	// first, for each has an identifier of its own (RFC 8415 §16.1).
	sixIndexMask = 1<<23 - 1
	sixSecond    = 1 << 23
	// maxServers6 is how many servers' identifiers are kept.
	maxServers6 = 64
	maxPayload6 = 1452
)

// six is what a Generator has for DHCPv6.
type six struct {
	out       frame.Out6
	duid      []byte // of the first client
	servers   [][]byte
	leases    []lease6            // by client
	offers    []lease6            // by slot: what its REQUEST asks for
	addrs     map[[16]byte]uint32 // → client
	prefixes  map[[16]byte]uint32
	seen      [2]map[[16]byte]struct{}
	view      view6
	duidBuf   [maxDUID6]byte
	templates []Template
	randomLen int // octets of the client's address in the first template
	// The options of the answer a templated REQUEST is made from.
	clientID, serverID, iaNA []byte
}

// lease6 is what a client has or is offered.
type lease6 struct {
	addr, prefix       [16]byte
	server             uint16
	plen               uint8
	held               bool
	hasAddr, hasPrefix bool
}

// DefaultDUID is a DUID-LLT with the time given and mac (RFC 8415 §11.2).
func DefaultDUID(t time.Time, mac [6]byte) []byte {
	b := []byte{0, 1, 0, 1}
	b = binary.BigEndian.AppendUint32(b, uint32(t.Unix()-946684800)) // since 2000
	return append(b, mac[:]...)
}

// newSix prepares what only DHCPv6 needs.
func (g *Generator) newSix() error {
	o := &g.opt
	s := &six{duid: slices.Clone(o.DUID), templates: slices.Clone(o.Templates)}
	if len(s.duid) == 0 {
		s.duid = DefaultDUID(time.Now(), o.BaseMAC)
	}
	if len(o.MACs) > 0 {
		s.duid = append([]byte{0, 3, 0, 1}, make([]byte, 6)...) // DUID-LL
	}
	if len(s.duid) < 6 || len(s.duid) > maxDUID6 {
		return fmt.Errorf("check options: a DUID of %d octets", len(s.duid))
	}
	if o.NoAddresses && !o.Prefixes {
		return errors.New("check options: neither addresses nor prefixes are asked for")
	}
	if len(o.VLANs) > 0 && g.opt.RAI {
		return errors.New("check options: option 82 is one of DHCPv4")
	}
	s.out = frame.Out6{
		DstMAC: o.ServerMAC, SrcMAC: o.LocalMAC, Src6: o.Local6, Dst6: o.Server6,
		SrcPort: o.LocalPort, DstPort: o.ServerPort, VLANCount: g.out.VLANCount, VLANs: g.out.VLANs,
	}
	if o.Server6[0] == 0xff {
		s.out.DstMAC = [6]byte{0x33, 0x33, o.Server6[12], o.Server6[13], o.Server6[14], o.Server6[15]} // RFC 2464 §7
	}
	g.headLen = frame.HeaderLen6(g.out.VLANCount)
	g.six = s
	s.leases = make([]lease6, o.Clients)
	s.addrs = make(map[[16]byte]uint32, o.Clients)
	s.prefixes = make(map[[16]byte]uint32)
	if o.Unique {
		for i := range s.seen {
			s.seen[i] = make(map[[16]byte]struct{}, o.Clients)
		}
	}
	// The longest message is a REQUEST with everything, from a server with the
	// longest identifier.
	longest := &slot{stage: stageOf(RequestReply), xid: g.xidBase}
	s.servers = [][]byte{make([]byte, maxDUID6)}
	s.offers = []lease6{{hasAddr: true, hasPrefix: true}}
	if n := len(s.appendMessage(nil, g, RequestReply, longest, 0)); n > maxPayload6 {
		return fmt.Errorf("build REQUEST: %d octets do not fit a packet of %d", n, maxPayload6)
	}
	s.servers, s.offers = nil, nil
	for i := range s.templates {
		if err := s.prepare(&s.templates[i], i, o); err != nil {
			return err
		}
		g.wrongClient = false
	}
	return nil
}

// prepare completes and checks a template.
func (x *six) prepare(t *Template, i int, o *Options) error {
	if o.Relayed {
		return errors.New("check options: templates are sent as they are, so without a relay's header")
	}
	orDefault(&t.XIDOffset, 1)
	orDefault(&t.RandomOffset, 21)
	if len(t.Data) > maxPayload6 {
		return fmt.Errorf("use template %s: %d octets do not fit a packet of %d", t.Name, len(t.Data), maxPayload6)
	}
	if err := t.place("the transaction identifier", t.XIDOffset, 3); err != nil {
		return err
	}
	if i == 0 {
		for n := o.Clients; n > 1 && x.randomLen < 6; n >>= 8 {
			x.randomLen++
		}
		return t.place("what is randomised", t.RandomOffset-x.randomLen+1, x.randomLen)
	}
	orDefault(&t.ElapsedOffset, 84)
	orDefault(&t.ServerIDOffset, 22)
	orDefault(&t.IPOffset, 40)
	for what, off := range map[string]int{"the elapsed time": t.ElapsedOffset, "the server identifier": t.ServerIDOffset, "the IA_NA": t.IPOffset} {
		if err := t.place(what, off, 6); err != nil {
			return err
		}
	}
	return t.place("the client identifier", t.RandomOffset, 1)
}

// duidOf writes the DUID of a client; valid until the next call.
func (x *six) duidOf(g *Generator, client uint32) []byte {
	b := x.duidBuf[:copy(x.duidBuf[:], x.duid)]
	if g.opt.Clients > 1 || g.macs != nil {
		putMAC(b[len(b)-6:], g.mac(client))
	}
	return b
}

// appendMessage appends the message that begins the exchange e, of slot s, at
// time t, with the header of a relay if there is one.
func (x *six) appendMessage(b []byte, g *Generator, e Exchange, s *slot, t int64) []byte {
	o := &g.opt
	start := -1
	if o.Relayed {
		b = append(b, msg6RelayForward, 0)
		link := &o.Local6
		if s.giaddr != 0 {
			link = &o.Links6[s.giaddr-1]
		}
		b = append(b, link[:]...)
		b = append(b, o.Local6[:]...)
		for i := range o.RelayOptions {
			b = appendOption6(b, o.RelayOptions[i].Code, o.RelayOptions[i].Data)
		}
		b = append(b, 0, opt6RelayMessage, 0, 0)
		start = len(b)
	}
	typ, xid, elapsed := uint8(0), s.xid, uint16(0)
	switch e {
	case SolicitAdvertise:
		typ = msg6Solicit
		elapsed = uint16(min(uint64(t-s.begunNs)/uint64(10*time.Millisecond), 65535))
		elapsed = uint16(max(uint32(elapsed), min(100*uint32(g.secs), 65535)))
	case RequestReply:
		typ, xid = msg6Request, xid|sixSecond
	case RenewReply:
		typ = msg6Renew
	case RebindReply:
		typ = msg6Rebind
	case ReleaseReply:
		typ = msg6Release
	}
	b = append(b, typ, byte(xid>>16), byte(xid>>8), byte(xid))
	b = append(b, 0, opt6ElapsedTime, 0, 2, byte(elapsed>>8), byte(elapsed))
	if e == SolicitAdvertise && o.RapidCommit {
		b = append(b, 0, opt6RapidCommit, 0, 0)
	}
	b = appendOption6(b, opt6ClientID, x.duidOf(g, s.client))
	var l *lease6
	switch e {
	case SolicitAdvertise:
		b = append(b, 0, opt6ORO, 0, 4, 0, opt6DNSServers, 0, opt6DomainSearch)
	case RequestReply:
		l = x.offer(g, s)
	default:
		l = &x.leases[s.client]
	}
	if l != nil && e != RebindReply {
		b = appendOption6(b, opt6ServerID, x.servers[l.server])
	}
	if !o.NoAddresses {
		if l != nil && l.hasAddr {
			b = appendIA6(b, opt6IANA, 4+iaAddr6Len)
			b = appendIAAddr6(b, &l.addr)
		} else {
			b = appendIA6(b, opt6IANA, 0)
		}
	}
	if o.Prefixes {
		if l != nil && l.hasPrefix {
			b = appendIA6(b, opt6IAPD, 4+iaPrefix6Len)
			b = appendIAPrefix6(b, &l.prefix, l.plen)
		} else {
			b = appendIA6(b, opt6IAPD, 0)
		}
	}
	for i := range o.ExtraOptions {
		b = appendOption6(b, o.ExtraOptions[i].Code, o.ExtraOptions[i].Data)
	}
	if start >= 0 {
		binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	}
	return b
}

// offer is what the slot was offered.
func (x *six) offer(g *Generator, s *slot) *lease6 {
	return &x.offers[(s.xid-g.xidBase)&sixIndexMask&g.mask]
}

// fill6 writes the packet of an exchange of DHCPv6.
func (g *Generator) fill6(p *netio.Packet, e Exchange, s *slot, t int64) {
	b := p.Data[:cap(p.Data)]
	m := b[g.headLen:g.headLen]
	switch {
	case e == SolicitAdvertise && len(g.six.templates) > 0:
		m = g.six.fromTemplate(m, g, s)
	case e == RequestReply && len(g.six.templates) > 1:
		m = g.six.requestTemplate(m, s)
	default:
		m = g.six.appendMessage(m, g, e, s, t)
	}
	p.Data = b[:frame.Write6(b, &g.six.out, len(m))]
	p.IfIndex = g.opt.IfIndex
}

func (x *six) fromTemplate(m []byte, g *Generator, s *slot) []byte {
	t := &x.templates[0]
	m = append(m, t.Data...)
	putXID6(m[t.XIDOffset:], s.xid)
	var mac [8]byte
	binary.BigEndian.PutUint64(mac[:], g.mac(s.client))
	copy(m[t.RandomOffset-x.randomLen+1:], mac[8-x.randomLen:])
	return m
}

// requestTemplate writes the options of the ADVERTISE over the second template;
// what does not fit there is cut off.
func (x *six) requestTemplate(m []byte, s *slot) []byte {
	t := &x.templates[1]
	m = append(m, t.Data...)
	putXID6(m[t.XIDOffset:], s.xid|sixSecond)
	copy(m[t.ElapsedOffset:], []byte{0, opt6ElapsedTime, 0, 2, 0, 0})
	putOption6(m[t.ServerIDOffset:], opt6ServerID, x.serverID)
	putOption6(m[t.IPOffset:], opt6IANA, x.iaNA)
	if at := t.RandomOffset - (4 + len(x.clientID)) + 1; at >= 0 {
		putOption6(m[at:], opt6ClientID, x.clientID)
	}
	return m
}

func putXID6(b []byte, xid uint32) { b[0], b[1], b[2] = byte(xid>>16), byte(xid>>8), byte(xid) }

func putOption6(b []byte, code uint16, val []byte) {
	n := copy(b, []byte{byte(code >> 8), byte(code), byte(len(val) >> 8), byte(len(val))})
	copy(b[n:], val)
}

// handle6 is handle for DHCPv6, behind the frame's headers.
func (g *Generator) handle6(p *netio.Packet, t int64) bool {
	x := g.six
	if g.hdr.Family != 6 || g.hdr.DstPort != g.opt.LocalPort {
		g.Other++
		return false
	}
	v := &x.view
	if !v.parse(p.Data[g.hdr.PayloadOff:][:g.hdr.PayloadLen]) {
		g.Malformed++
		return false
	}
	if v.Type != msg6Advertise && v.Type != msg6Reply {
		g.Other++
		return false
	}
	ago := (g.xidBase + g.head - 1 - v.XID) & sixIndexMask
	if d := (v.XID - g.xidBase - g.head) & sixIndexMask; g.junk != nil && d < junkAhead {
		g.Stats[Junk].Received++
		return false
	}
	s := &g.slots[(g.head-1-ago)&g.mask]
	if ago > g.mask || s.stage == idle || !v.answers(s, g.opt.RapidCommit) || (v.Relays == 1) != g.opt.Relayed || v.Relays > 1 {
		e := RequestReply
		if v.Type == msg6Advertise {
			e = SolicitAdvertise
		}
		g.Stats[e].Orphans++
		return false
	}
	e := exchangeOf(s.stage)
	st := &g.Stats[e]
	if t-s.sentNs > g.dropNs(s.stage) {
		st.Late++
		if !s.expired {
			st.TimedOut++
		}
		g.over(s)
		return false
	}
	if g.wrongClient && !bytes.Equal(v.ClientID, x.duidOf(g, s.client)) {
		g.Checks.WrongClient++
		return false
	}
	st.Received++
	st.RTT.Add(t - s.sentNs)
	st.Response.Add(t - s.dueNs)
	if g.kept != nil {
		g.kept.add6(e, s, t, v)
	}
	if e == ReleaseReply {
		g.over(s)
		return false
	}
	if !v.HasAddr && !g.opt.NoAddresses || !v.HasPrefix && g.opt.Prefixes {
		st.Rejected++
		if s.op.leased() && s.epoch == g.epochs[s.client] {
			g.giveUp(acked{client: s.client})
		}
		if g.retransmits && e == RequestReply {
			s.stage, s.sentNs = stageOf(SolicitAdvertise), t
			return false
		}
		if !g.retransmits {
			g.over(s)
		}
		return false
	}
	if v.HasAddr && !g.pools.has6(&v.Addr) || v.HasPrefix && !g.pools.has6(&v.Prefix) {
		g.Checks.OutsidePools++
	}
	if v.ServerID == nil {
		g.Malformed++ // RFC 8415 §16.3 and §16.10: MUST
		g.over(s)
		return false
	}
	server, ok := x.serverOf(v.ServerID)
	if !ok {
		g.Other++
		g.over(s)
		return false
	}
	l := lease6{server: server, hasAddr: v.HasAddr, addr: v.Addr, hasPrefix: v.HasPrefix, prefix: v.Prefix, plen: v.PrefixLen}
	if e == SolicitAdvertise {
		g.unique6(0, &l, st)
		if g.opt.TwoWay || s.op == OpDiscover {
			if v.Type == msg6Reply {
				g.acknowledged6(s, &l)
			}
			g.over(s)
			return false
		}
		if v.Type == msg6Advertise {
			return g.advertised(p, t, s, &l)
		}
	} else {
		g.unique6(1, &l, st)
		want := &x.leases[s.client]
		if e == RequestReply {
			want = x.offer(g, s)
		}
		if s.epoch == g.epochs[s.client] && (want.hasAddr && l.hasAddr && want.addr != l.addr || want.hasPrefix && l.hasPrefix && (want.prefix != l.prefix || want.plen != l.plen)) {
			g.Checks.AckDiffers++
		}
	}
	if s.epoch == g.epochs[s.client] {
		g.acknowledged6(s, &l)
	}
	g.over(s)
	return false
}

// answers says that the message is one the slot waits for.
func (v *view6) answers(s *slot, rapid bool) bool {
	xid := s.xid
	e := exchangeOf(s.stage)
	if e == RequestReply {
		xid |= sixSecond
	}
	if v.XID != xid {
		return false
	}
	if e == SolicitAdvertise {
		return v.Type == msg6Advertise || rapid && v.Rapid
	}
	return v.Type == msg6Reply
}

// advertised answers an ADVERTISE, in its frame.
func (g *Generator) advertised(p *netio.Packet, t int64, s *slot, l *lease6) bool {
	x := g.six
	if g.headLen+maxPayload6 > cap(p.Data) {
		g.NoRoom++
		g.over(s)
		return false
	}
	if g.opt.FirstServer {
		l.server = 0
	}
	*x.offer(g, s) = *l
	if len(x.templates) > 1 { // the REQUEST is written over the ADVERTISE
		x.clientID = append(x.clientID[:0], x.view.ClientID...)
		x.serverID = append(x.serverID[:0], x.servers[l.server]...)
		x.iaNA = append(x.iaNA[:0], x.view.IANA...)
	}
	s.stage = stageOf(RequestReply)
	s.sentNs, s.dueNs = t, t
	g.fill6(p, RequestReply, s, t)
	g.sample(RequestReply, p)
	g.Stats[RequestReply].Sent++
	return true
}

// serverOf is the number of a server by its identifier.
func (x *six) serverOf(id []byte) (uint16, bool) {
	for i := range x.servers {
		if bytes.Equal(x.servers[i], id) {
			return uint16(i), true
		}
	}
	if len(x.servers) == maxServers6 {
		return 0, false
	}
	x.servers = append(x.servers, bytes.Clone(id))
	return uint16(len(x.servers) - 1), true
}

// acknowledged6 notes the lease a REPLY gives.
func (g *Generator) acknowledged6(s *slot, l *lease6) {
	x := g.six
	old := &x.leases[s.client]
	take := func(m map[[16]byte]uint32, has bool, now *[16]byte, had bool, before *[16]byte) {
		if !has {
			return
		}
		if c, ok := m[*now]; ok && c != s.client {
			g.Checks.DuplicateAddresses++
		}
		if had && *before != *now && m[*before] == s.client {
			delete(m, *before)
		}
		m[*now] = s.client
	}
	take(x.addrs, l.hasAddr, &l.addr, old.held && old.hasAddr, &old.addr)
	take(x.prefixes, l.hasPrefix, &l.prefix, old.held && old.hasPrefix, &old.prefix)
	l.held = true
	*old = *l
	if g.leased {
		g.unbound.remove(s.client)
		g.bound.add(s.client)
	}
	if exchangeOf(s.stage) == RequestReply && len(g.held) < cap(g.held) {
		g.held = append(g.held, acked{client: s.client, giaddr: s.giaddr, epoch: s.epoch})
	}
}

// giveUp forgets a client's lease, but not what it was: a RELEASE sent again says
// it once more.
func (x *six) giveUp(client uint32) {
	l := &x.leases[client]
	if !l.held {
		return
	}
	for i := range x.seen { // what is given up may be given again
		delete(x.seen[i], l.addr)
		delete(x.seen[i], l.prefix)
	}
	if c, ok := x.addrs[l.addr]; l.hasAddr && ok && c == client {
		delete(x.addrs, l.addr)
	}
	if c, ok := x.prefixes[l.prefix]; l.hasPrefix && ok && c == client {
		delete(x.prefixes, l.prefix)
	}
	l.held = false
}

func (g *Generator) unique6(stage int, l *lease6, st *Stats) {
	seen := g.six.seen[stage]
	if seen == nil {
		return
	}
	again := false
	for _, a := range [...]struct {
		has  bool
		addr *[16]byte
	}{{l.hasAddr, &l.addr}, {l.hasPrefix, &l.prefix}} {
		if a.has {
			_, was := seen[*a.addr]
			again = again || was
			if len(seen) < maxRecords {
				seen[*a.addr] = struct{}{}
			}
		}
	}
	if again {
		st.NonUnique++
	}
}

// ServerDUID is the identifier of the first server of DHCPv6 in hexadecimal, ""
// if there is none.
func (g *Generator) ServerDUID() string {
	if g.six == nil || len(g.six.servers) == 0 {
		return ""
	}
	return hex.EncodeToString(g.six.servers[0])
}
