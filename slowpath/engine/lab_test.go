package engine

import (
	"fmt"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine/enginetest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// journal is an enginetest.Journal as a worker sees it.
type journal struct {
	enginetest.Journal[dhcp4.IPv4, lease.Lease4]
}

func newJournal() *journal { return &journal{enginetest.NewJournal[dhcp4.IPv4, lease.Lease4]()} }

func (j *journal) Append(op lease.Op, l *lease.Lease4) (uint64, bool) {
	return j.Record(op, l.Addr, l.State, l.Version, l)
}
func (j *journal) Room() int              { return j.Free() }
func (j *journal) DurableVersion() uint64 { return j.Durable }

const labStart = enginetest.StartUnixS

// lab is an engine with one worker, a clock and everything a test wants to turn.
type lab struct {
	t     testing.TB
	now   int64
	table *lease.Table
	eng   *Engine
	w     *Worker
	j     *journal

	ifName string
	ifAddr dhcp4.IPv4
	local  []dhcp4.IPv4

	view   dhcp4.View
	answer dhcp4.View
	q      Query4
	r      Reply4
	out    []byte
}

// newLab parses a Dhcp4 configuration, without the braces around it.
func newLab(t testing.TB, dhcp4Body string, c ...Callouts) *lab {
	t.Helper()
	l := &lab{
		t: t, now: labStart, ifName: "eth0", ifAddr: ip("192.0.2.1"),
		table: lease.NewTable(lease.Options{}),
		j:     newJournal(),
	}
	l.local = []dhcp4.IPv4{l.ifAddr}
	c = append(c, Callouts{})
	cfg := parseConfig(t, dhcp4Body, c[0])
	l.eng = New(l.table, cfg)
	l.table.SetObserver(cfg.Alloc, true)
	l.w = l.eng.NewWorker(l.j)
	return l
}

func parseConfig(t testing.TB, dhcp4Body string, c Callouts) *Config {
	t.Helper()
	s, err := config.Parse("test.conf", []byte(`{ "Dhcp4": {`+dhcp4Body+`} }`), config.LoadOptions{})
	if err != nil {
		t.Fatalf("parse the test's configuration: %v", err)
	}
	return NewConfig(s, c)
}

// reload swaps the configuration.
func (l *lab) reload(dhcp4Body string, c ...Callouts) {
	l.t.Helper()
	c = append(c, Callouts{})
	cfg := parseConfig(l.t, dhcp4Body, c[0])
	l.table.SetObserver(cfg.Alloc, true)
	l.eng.SetConfig(cfg)
}

func ip(s string) dhcp4.IPv4 {
	var a, b, c, d byte
	if n, err := fmt.Sscanf(s, "%d.%d.%d.%d", &a, &b, &c, &d); n != 4 || err != nil {
		panic("not an address: " + s)
	}
	return dhcp4.AddrFrom4([4]byte{a, b, c, d})
}

func mac(i int) netiotest.MAC { return netiotest.ClientMAC(uint32(i)) }

// send has the engine decide about a query; the answer, if any, is in l.r and,
// encoded and decoded again, in l.answer.
func (l *lab) send(q *netiotest.Query) Reason {
	l.t.Helper()
	return l.sendRaw(q.Message(), q)
}

func (l *lab) sendRaw(msg []byte, q *netiotest.Query) Reason {
	l.t.Helper()
	if r := l.view.Parse(msg); r != dhcp4.ReasonOK {
		l.t.Fatalf("parse the test's query: %v", r)
	}
	l.q.Msg = &l.view
	l.q.NowUnixS = l.now
	l.q.IfIndex, l.q.IfName, l.q.IfAddr, l.q.LocalAddrs = 2, l.ifName, l.ifAddr, l.local
	l.q.Src, l.q.Dst, l.q.SrcPort = dhcp4.IPv4(q.Out.Src4), dhcp4.IPv4(q.Out.Dst4), q.Out.SrcPort
	return l.process()
}

// process is what package slowpath does with a query, hooks aside.
func (l *lab) process() Reason {
	w := l.w
	w.Begin()
	l.r.Type = 0
	if r := w.Accept4(&l.q); r != ReasonOK {
		return r
	}
	if r := w.SelectSubnet4(&l.q); r != ReasonOK {
		return r
	}
	if r := w.Process4(&l.q, &l.r); r != ReasonOK {
		return r
	}
	if r := w.Finish4(&l.q, &l.r); r != ReasonOK {
		return r
	}
	if l.r.Type != 0 {
		l.out, _ = l.r.Append(l.out[:0], l.r.MaxLen, l.r.PRL)
		if r := l.answer.ParseReply(l.out); r != dhcp4.ReasonOK {
			l.t.Fatalf("parse our own reply: %v", r)
		}
	}
	return ReasonOK
}

// want sends q and fails the test unless the answer has that type.
func (l *lab) want(t dhcp4.MsgType, q *netiotest.Query) *lab {
	l.t.Helper()
	if r := l.send(q); r != ReasonOK {
		l.t.Fatalf("%v: no answer: %v; want %v", q.Type, r, t)
	}
	if l.r.Type != t {
		l.t.Fatalf("%v: answered with %v (%v), want %v", q.Type, l.r.Type, l.r.NAKReason, t)
	}
	return l
}

// nak sends q and fails the test unless it is answered with a DHCPNAK for that
// reason.
func (l *lab) nak(why Reason, q *netiotest.Query) {
	l.t.Helper()
	l.want(dhcp4.MsgNak, q)
	if l.r.NAKReason != why {
		l.t.Fatalf("%v: DHCPNAK because of %v, want %v", q.Type, l.r.NAKReason, why)
	}
}

// silent sends q and fails the test unless there is no answer for that reason.
func (l *lab) silent(why Reason, q *netiotest.Query) {
	l.t.Helper()
	if r := l.send(q); r != why {
		l.t.Fatalf("%v: reason %v (answer %v, %v), want silence because of %v", q.Type, r, l.r.Type, l.r.NAKReason, why)
	}
}

// handled sends a RELEASE or DECLINE that must be taken.
func (l *lab) handled(q *netiotest.Query) {
	l.t.Helper()
	if r := l.send(q); r != ReasonOK || l.r.Type != 0 {
		l.t.Fatalf("%v: reason %v, answer %v; want it handled without answer", q.Type, r, l.r.Type)
	}
}

// dora leases an address to a client and returns it.
func (l *lab) dora(m netiotest.MAC, opts ...netiotest.Option) dhcp4.IPv4 {
	l.t.Helper()
	l.want(dhcp4.MsgOffer, netiotest.Discover(m, opts...))
	a := l.r.YIAddr
	l.want(dhcp4.MsgAck, netiotest.Request(m, a, l.r.ServerID, opts...))
	if l.r.YIAddr != a {
		l.t.Fatalf("offered %v, acknowledged %v", a, l.r.YIAddr)
	}
	return a
}

func (l *lab) lease(a dhcp4.IPv4) *lease.Lease4 {
	l.t.Helper()
	x := &lease.Lease4{}
	if !l.table.Get(a, x) {
		return nil
	}
	return x
}

// simple is a subnet with ten addresses.
const simple = `
	"valid-lifetime": 3600,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "option-data": [ { "name": "routers", "data": "192.0.2.254" } ] } ]`

func wantAddr(t testing.TB, what string, got, want dhcp4.IPv4) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
