package engine6

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine/enginetest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// journal is an enginetest.Journal as a worker sees it.
type journal struct {
	enginetest.Journal[lease6.IPv6, lease6.Lease6]
}

func newJournal() *journal { return &journal{enginetest.NewJournal[lease6.IPv6, lease6.Lease6]()} }

func (j *journal) Append6(op lease.Op, l *lease6.Lease6) (uint64, bool) {
	return j.Record(op, l.Addr, l.State, l.Version, l)
}
func (j *journal) Room6() int              { return j.Free() }
func (j *journal) DurableVersion6() uint64 { return j.Durable }

const labStart = enginetest.StartUnixS

// serverID is the DUID of the lab's server.
var serverID = []byte{0, 3, 0, 1, 0x0a, 0, 0, 0, 0, 1}

// lab is an engine with one worker, a clock and everything a test wants to turn.
type lab struct {
	t     testing.TB
	now   int64
	table *lease6.Table
	eng   *Engine
	w     *Worker
	j     *journal

	view   dhcp6.View
	answer dhcp6.View
	q      Query6
	r      Reply6
	out    []byte
}

// newLab parses a Dhcp6 configuration, without the braces around it.
func newLab(t testing.TB, body string, c ...Callouts) *lab {
	t.Helper()
	l := &lab{
		t: t, now: labStart,
		table: lease6.NewTable(lease6.Options{}),
		j:     newJournal(),
	}
	c = append(c, Callouts{})
	cfg := parseConfig(t, body, c[0])
	l.eng = New(l.table, cfg)
	l.table.SetObserver(cfg.Alloc, true)
	l.w = l.eng.NewWorker(l.j)
	return l
}

func parseConfig(t testing.TB, body string, c Callouts) *Config {
	t.Helper()
	s, err := config.Parse("test.conf", []byte(`{ "Dhcp6": {`+body+`} }`), config.LoadOptions{})
	if err != nil {
		t.Fatalf("parse the test's configuration: %v", err)
	}
	return NewConfig(s, serverID, c)
}

// reload swaps the configuration.
func (l *lab) reload(body string, c ...Callouts) {
	l.t.Helper()
	c = append(c, Callouts{})
	cfg := parseConfig(l.t, body, c[0])
	cfg.Alloc.ContinueFrom(l.eng.Config().Alloc)
	l.table.SetObserver(cfg.Alloc, true)
	l.eng.SetConfig(cfg)
}

func ip(s string) dhcp6.IPv6 { return dhcp6.FromNetip(netip.MustParseAddr(s)) }

func duidOf(n int) []byte { return []byte{0, 3, 0, 1, 0x02, 0xc1, 0, 0, byte(n >> 8), byte(n)} }

// query is a message to send.
type query struct {
	typ      dhcp6.MsgType
	opts     []byte
	relays   []relayForw // the one nearest to the client first
	src, dst dhcp6.IPv6
	srcPort  uint16
}

type relayForw struct {
	link, peer dhcp6.IPv6
	opts       []byte
}

type part func(*query)

func opt(code uint16, bodies ...[]byte) []byte {
	b := []byte{byte(code >> 8), byte(code), 0, 0}
	for _, x := range bodies {
		b = append(b, x...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-4))
	return b
}

func with(code uint16, bodies ...[]byte) part {
	return func(q *query) { q.opts = append(q.opts, opt(code, bodies...)...) }
}

func u32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func oro(codes ...uint16) part {
	var b []byte
	for _, c := range codes {
		b = binary.BigEndian.AppendUint16(b, c)
	}
	return with(dhcp6.OptORO, b)
}

// res is an address, or a prefix as "2001:db8::/56", with lifetimes.
type res struct {
	s          string
	pref, vali uint32
}

func inside(code uint16, rs []res) (b []byte) {
	for _, r := range rs {
		if code == dhcp6.OptIANA {
			a := ip(r.s)
			b = append(b, opt(dhcp6.OptIAAddr, a[:], u32(r.pref, r.vali))...)
			continue
		}
		p := netip.MustParsePrefix(r.s)
		a := p.Addr().As16()
		b = append(b, opt(dhcp6.OptIAPrefix, u32(r.pref, r.vali), []byte{byte(p.Bits())}, a[:])...)
	}
	return b
}

func named(l []string) (rs []res) {
	for _, s := range l {
		rs = append(rs, res{s: s})
	}
	return rs
}

func na(iaid uint32, addrs ...string) part { return naRes(iaid, named(addrs)...) }
func pd(iaid uint32, pfx ...string) part   { return pdRes(iaid, named(pfx)...) }
func naRes(iaid uint32, rs ...res) part {
	return with(dhcp6.OptIANA, u32(iaid, 0, 0), inside(dhcp6.OptIANA, rs))
}
func pdRes(iaid uint32, rs ...res) part {
	return with(dhcp6.OptIAPD, u32(iaid, 0, 0), inside(dhcp6.OptIAPD, rs))
}

func relayed(link string, opts ...[]byte) part {
	return func(q *query) {
		r := relayForw{link: ip(link), peer: ip("fe80::99")}
		for _, o := range opts {
			r.opts = append(r.opts, o...)
		}
		q.relays = append(q.relays, r)
		q.src, q.dst = ip("2001:db8:ffff::1"), ip("2001:db8:ffff::2")
	}
}

func from(src string) part { return func(q *query) { q.src = ip(src) } }
func to(dst string) part   { return func(q *query) { q.dst = ip(dst) } }

// ask is a message of client n with the identifiers that its type needs.
func ask(t dhcp6.MsgType, n int, parts ...part) *query {
	q := bare(t)
	with(dhcp6.OptClientID, duidOf(n))(q)
	switch t {
	case dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRelease, dhcp6.MsgDecline:
		with(dhcp6.OptServerID, serverID)(q)
	}
	q.src[15], q.src[14] = byte(n), byte(n>>8)
	for _, p := range parts {
		p(q)
	}
	return q
}

// bare is a message with nothing but what is given.
func bare(t dhcp6.MsgType, parts ...part) *query {
	q := &query{typ: t, src: ip("fe80::"), dst: dhcp6.AllRelayAgentsAndServers, srcPort: 546}
	for _, p := range parts {
		p(q)
	}
	return q
}

func (q *query) message() []byte {
	m := append([]byte{byte(q.typ), 0, 0, 7}, q.opts...)
	for i, r := range q.relays {
		f := append([]byte{byte(dhcp6.MsgRelayForw), byte(i)}, r.link[:]...)
		f = append(append(f, r.peer[:]...), r.opts...)
		m = append(f, opt(dhcp6.OptRelayMsg, m)...)
	}
	return m
}

// send has the engine decide about a query; the answer, if any, is in l.r and,
// encoded and decoded again, in l.answer.
func (l *lab) send(q *query) Reason {
	l.t.Helper()
	return l.sendRaw(q.message(), q)
}

func (l *lab) sendRaw(msg []byte, q *query) Reason {
	l.t.Helper()
	if r := l.view.Parse(msg); r != dhcp6.ReasonOK {
		l.t.Fatalf("parse the test's query: %v", r)
	}
	l.q.Msg = &l.view
	l.q.NowUnixS = l.now
	l.q.IfIndex, l.q.IfName = 2, "eth0"
	l.q.Src, l.q.Dst, l.q.SrcPort = q.src, q.dst, q.srcPort
	return l.process()
}

// process is what package slowpath does with a query, hooks aside.
func (l *lab) process() Reason {
	w := l.w
	w.Begin()
	l.r.Type = 0
	if r := w.Accept6(&l.q); r != ReasonOK {
		return r
	}
	w.SelectSubnet6(&l.q)
	if r := w.Process6(&l.q, &l.r); r != ReasonOK {
		return r
	}
	if r := w.Finish6(&l.q, &l.r); r != ReasonOK {
		return r
	}
	if l.r.Type != 0 {
		l.out, _ = l.r.Append(l.out[:0], l.r.MaxLen, l.r.ORO)
		inner := l.out
		for inner[0] == byte(dhcp6.MsgRelayRepl) {
			inner = dhcp6.Options(inner[dhcp6.RelayHeaderLen:]).Find(dhcp6.OptRelayMsg)
		}
		if r := l.answer.Parse(inner); r != dhcp6.ReasonOK {
			l.t.Fatalf("parse our own reply: %v\n%s", r, dhcp6.AppendText(nil, inner))
		}
	}
	return ReasonOK
}

// want sends q and fails the test unless the answer has that type.
func (l *lab) want(t dhcp6.MsgType, q *query) *lab {
	l.t.Helper()
	if r := l.send(q); r != ReasonOK {
		l.t.Fatalf("%v: no answer: %v; want %v", q.typ, r, t)
	}
	if l.r.Type != t {
		l.t.Fatalf("%v: answered with %v, want %v", q.typ, l.r.Type, t)
	}
	return l
}

// silent sends q and fails the test unless there is no answer for that reason.
func (l *lab) silent(why Reason, q *query) {
	l.t.Helper()
	if r := l.send(q); r != why {
		l.t.Fatalf("%v: reason %v (answer %v), want silence because of %v", q.typ, r, l.r.Type, why)
	}
}

// got is the answer's i-th IA with what is in it.
type got struct {
	dhcp6.IA
	res    []dhcp6.Resource
	status int // -1: none
}

func (l *lab) ia(i int) got {
	l.t.Helper()
	if i >= l.answer.IAs() {
		l.t.Fatalf("the answer has %d IAs\n%s", l.answer.IAs(), dhcp6.AppendText(nil, l.out))
	}
	g := got{IA: l.answer.IA(i), status: -1}
	if b := g.Options.Find(dhcp6.OptStatusCode); b != nil {
		g.status = int(binary.BigEndian.Uint16(b))
	}
	ia := g.IA
	for x, ok := ia.Next(); ok; x, ok = ia.Next() {
		g.res = append(g.res, x)
	}
	return g
}

// addr is the address or prefix of the answer's i-th IA, which must have one.
func (l *lab) addr(i int) string {
	l.t.Helper()
	g := l.ia(i)
	if len(g.res) == 0 || g.res[0].ValidS == 0 {
		l.t.Fatalf("IA %d has nothing\n%s", i, dhcp6.AppendText(nil, l.out))
	}
	if g.Code == dhcp6.OptIAPD {
		return netip.PrefixFrom(g.res[0].Addr.Netip(), int(g.res[0].PrefixLen)).String()
	}
	return g.res[0].Addr.String()
}

// status is the status code of the answer, or of its i-th IA; -1 if it has none.
func (l *lab) status() int {
	if b := l.answer.Option(dhcp6.OptStatusCode); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return -1
}

// sarr does SOLICIT, ADVERTISE, REQUEST, REPLY with one IA_NA and returns the
// address.
func (l *lab) sarr(n int, parts ...part) string {
	l.t.Helper()
	parts = append([]part{na(1)}, parts...)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, n, parts...))
	parts[0] = na(1, l.addr(0))
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, n, parts...))
	return l.addr(0)
}

// lease returns the record of an address, nil if there is none.
func (l *lab) lease(a string) *lease6.Lease6 {
	x := new(lease6.Lease6)
	if !l.table.Get(lease6.IPv6(ip(a)), x) {
		return nil
	}
	return x
}
