// Package perfmon measures how long queries take (HK-PM-1 to HK-PM-4): the time
// between two events of a query, by message types, for each subnet and for all.
// It shows them by command, as statistics, as metrics, and raises alarms.
//
// The worker's time is read twice for each query while the library is loaded:
// when its processing begins and when its answer is ready.
package perfmon

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// library is one configuration of the library.
type library struct {
	log        *slog.Logger
	now        func() int64 // Unix ns
	stats      hooks.Stats  // nil: none
	slot       hooks.Slot
	v6         bool
	monitoring atomic.Bool
	reporting  atomic.Bool
	intervalNs int64
	repeatNs   int64 // between two reports of an alarm
	store      store
	alarms     []*alarm
}

// New returns the library.
func New() hooks.Library { return &library{} }

// Name implements hooks.Library.
func (l *library) Name() string { return "perfmon" }

// Close implements hooks.Library.
func (l *library) Close() error { return nil }

// Load implements hooks.Library.
func (l *library) Load(env *hooks.Env, params json.RawMessage) error {
	l.log, l.now, l.stats, l.slot = env.Logger(), env.NowUnixNs, env.Stats(), env.Slot()
	l.v6 = env.Config6() != nil
	if err := l.parse(params); err != nil {
		return err
	}
	l.store.init()
	if l.v6 {
		env.On6(hooks.ContextCreate, l.begin6)
		env.On6(hooks.Pkt6Send, l.end6)
	} else {
		env.On(hooks.ContextCreate, l.begin4)
		env.On(hooks.Pkt4Send, l.end4)
	}
	env.Command(hooks.Command{Name: "perfmon-control", Mutates: true, Run: l.control})
	env.Command(hooks.Command{Name: "perfmon-get-all-durations", Run: l.getAllDurations})
	env.Histograms(l.histograms)
	return nil
}

func (l *library) begin4(q *hooks.Query4) hooks.Status {
	q.SetWord(l.slot, uint64(l.now()))
	return hooks.Continue
}

func (l *library) begin6(q *hooks.Query6) hooks.Status {
	q.SetWord(l.slot, uint64(l.now()))
	return hooks.Continue
}

func (l *library) end4(q *hooks.Query4) hooks.Status {
	if q.Reply == nil || !monitored4(q.Msg.Type(), q.Reply.Type) {
		return hooks.Continue
	}
	m := message{uint8(q.Msg.Type()), uint8(q.Reply.Type), 0, q.NowUnixNs, int64(q.Word(l.slot)), l.now()}
	if q.Subnet != nil {
		m.subnet = q.Subnet.ID
	}
	if l.log.Enabled(context.Background(), traceLevel) {
		l.log.Log(context.Background(), traceLevel, "PERFMON_DHCP4_PKT_EVENTS query: "+label4(q.Msg)+" events="+m.events())
	}
	l.add(&m)
	return hooks.Continue
}

func (l *library) end6(q *hooks.Query6) hooks.Status {
	if q.Reply == nil || !monitored6(q.Msg.Type(), q.Reply.Type) {
		return hooks.Continue
	}
	m := message{uint8(q.Msg.Type()), uint8(q.Reply.Type), 0, q.NowUnixNs, int64(q.Word(l.slot)), l.now()}
	if q.Subnet != nil {
		m.subnet = q.Subnet.ID
	}
	if l.log.Enabled(context.Background(), traceLevel) {
		l.log.Log(context.Background(), traceLevel, "PERFMON_DHCP6_PKT_EVENTS query: "+label6(q.Msg)+" events="+m.events())
	}
	l.add(&m)
	return hooks.Continue
}

// monitored4 and monitored6 are the pairs of messages that Kea measures.
func monitored4(query, response dhcp4.MsgType) bool {
	switch query {
	case dhcp4.MsgDiscover:
		return response == dhcp4.MsgOffer || response == dhcp4.MsgNak
	case dhcp4.MsgRequest:
		return response == dhcp4.MsgAck || response == dhcp4.MsgNak
	case dhcp4.MsgInform:
		return response == dhcp4.MsgAck
	}
	return false
}

func monitored6(query, response dhcp6.MsgType) bool {
	switch query {
	case dhcp6.MsgSolicit:
		return response == dhcp6.MsgAdvertise || response == dhcp6.MsgReply
	case dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind, dhcp6.MsgConfirm:
		return response == dhcp6.MsgReply
	}
	return false
}

// message is a query that has been answered, with the times of its events in
// Unix nanoseconds. It was received and read at the time of the worker's batch:
// nothing else is known of a frame that comes out of a ring.
type message struct {
	query, response          uint8
	subnet                   uint32 // 0: none
	readNs, startedNs, endNs int64
}

// add counts a message in its durations.
func (l *library) add(m *message) {
	if !l.monitoring.Load() {
		return
	}
	// Clocks that were set back, and a batch's time that is a moment ahead.
	waited, worked := max(m.startedNs-m.readNs, 0), max(m.endNs-m.startedNs, 0)
	for _, subnet := range [...]uint32{m.subnet, 0} {
		for pair, ns := range [numPairs]int64{pairReceived: 0, pairWaited: waited, pairWorked: worked, pairTotal: waited + worked} {
			d := l.store.find(key{m.query, m.response, uint8(pair), subnet})
			if d == nil {
				continue // counted there
			}
			if done, ok := d.add(ns, m.endNs, l.intervalNs); ok {
				l.report(d, &done, m.endNs)
			}
		}
		if subnet == 0 {
			break // a query without subnet counts once
		}
	}
}

// report is what happens when an interval is over.
func (l *library) report(d *duration, done *interval, nowNs int64) {
	meanNs := done.meanNs()
	if l.stats != nil && l.reporting.Load() {
		l.stats.Set(d.statName(l.v6), meanNs/1000)
	}
	for _, a := range l.alarms {
		if a.key.matches(d.key) {
			a.check(l, d, meanNs, nowNs)
		}
	}
}
