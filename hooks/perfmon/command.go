package perfmon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// traceLevel is Kea's debug level 50.
const traceLevel = slog.LevelDebug - 50

func failed(err error) hooks.Response {
	return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
}

// booleans reads arguments that are booleans and optional. What is wrong is said
// in Kea's words: a type first, then a name that is not known.
func booleans(args json.RawMessage, into map[string]**bool) error {
	if len(args) == 0 {
		return nil
	}
	m := arguments.Parse(args)
	if !m.IsMap() {
		return errors.New("'arguments' parameter is not a map")
	}
	var names []string
	m.Each(func(name string, _ json.RawMessage) { names = append(names, name) })
	slices.Sort(names)
	for _, name := range names {
		p, known := into[name]
		if !known {
			continue
		}
		b, ok := arguments.BoolOf(m.Raw(name))
		if !ok {
			return fmt.Errorf("'%s' parameter is not a boolean", name)
		}
		*p = &b
	}
	for _, name := range names {
		if into[name] == nil {
			return fmt.Errorf("spurious '%s' parameter", name)
		}
	}
	return nil
}

// control answers perfmon-control: it sets what is given and shows both flags.
func (l *library) control(_ context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
	var monitoring, reporting *bool
	if err := booleans(args, map[string]**bool{"enable-monitoring": &monitoring, "stats-mgr-reporting": &reporting}); err != nil {
		return failed(err)
	}
	if monitoring != nil {
		l.monitoring.Store(*monitoring)
	}
	if reporting != nil {
		l.reporting.Store(*reporting)
	}
	return hooks.Response{Text: "perfmon-control success", Arguments: map[string]any{
		"enable-monitoring": l.monitoring.Load(), "stats-mgr-reporting": l.reporting.Load(),
	}}
}

var resultColumns = []string{"query-type", "response-type", "start-event", "end-event", "subnet-id", "interval-start", "occurrences",
	"min-duration-usecs", "max-duration-usecs", "total-duration-usecs", "mean-duration-usecs"}

// getAllDurations answers perfmon-get-all-durations with the last intervals that
// are complete.
func (l *library) getAllDurations(_ context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
	var resultSet *bool
	if err := booleans(args, map[string]**bool{"result-set-format": &resultSet}); err != nil {
		return failed(err)
	}
	asRows := resultSet != nil && *resultSet
	all := l.store.all()
	list, rows := []any{}, [][]any{}
	for _, d := range all {
		k, i := d.key, d.last()
		start := "<none>"
		if i.n > 0 {
			start = timeText(i.startNs)
		}
		query, response := typeName(l.v6, k.query), typeName(l.v6, k.response)
		if asRows {
			rows = append(rows, []any{query, response, pairs[k.pair][0], pairs[k.pair][1], k.subnet, start, i.n,
				i.minNs / 1000, i.maxNs / 1000, i.sumNs / 1000, i.meanNs() / 1000})
			continue
		}
		list = append(list, map[string]any{
			"duration-key": map[string]any{"query-type": query, "response-type": response, "start-event": pairs[k.pair][0],
				"stop-event": pairs[k.pair][1], "subnet-id": k.subnet},
			"start-time": start, "occurrences": i.n, "min-duration-usecs": i.minNs / 1000, "max-duration-usecs": i.maxNs / 1000,
			"total-duration-usecs": i.sumNs / 1000, "mean-duration-usecs": i.meanNs() / 1000,
		})
	}
	out := map[string]any{"interval-width-secs": l.intervalNs / 1e9, "timestamp": timeText(l.now()), "result-set-format": asRows}
	if asRows {
		out["durations-result-set"] = map[string]any{"columns": resultColumns, "rows": rows}
	} else {
		out["durations"] = list
	}
	r := hooks.Response{Text: fmt.Sprintf("perfmon-get-all-durations: %d found", len(all)), Arguments: out}
	if len(all) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r
}

// histograms yields what was measured of all subnets together since the library
// was loaded; by subnet there could be too many.
func (l *library) histograms(yield func(hooks.Histogram)) {
	for _, d := range l.store.all() {
		if d.key.subnet != 0 {
			continue
		}
		h := hooks.Histogram{
			Name: "peregrine_perfmon_seconds", Help: "Time between two events of answered queries (hook library perfmon).",
			Labels: [][2]string{{"query", typeName(l.v6, d.key.query)}, {"response", typeName(l.v6, d.key.response)},
				{"from", pairs[d.key.pair][0]}, {"to", pairs[d.key.pair][1]}},
			Bounds: bounds,
		}
		d.mu.Lock()
		h.Counts = append(h.Counts, d.mu.counts...)
		h.SumS = float64(d.mu.sumNs) / 1e9
		d.mu.Unlock()
		yield(h)
	}
}

// events is the list of a message's events as Kea logs it.
func (m *message) events() string {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-Jan-02 15:04:05.000000") }
	var b strings.Builder
	for i, e := range []struct {
		ns   int64
		name string
	}{{m.readNs, "socket_received"}, {m.readNs, "buffer_read"}, {m.startedNs, "process_started"}, {m.endNs, "process_completed"}} {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(at(e.ns) + " : " + e.name)
	}
	return "[" + b.String() + "]"
}

// label4 and label6 name a query as Kea's log does.
func label4(v *dhcp4.View) string {
	cid := "no info"
	if c := v.ClientID(); c != nil {
		cid = arguments.ColonHex(c)
	}
	return fmt.Sprintf("[hwtype=%d %s], cid=[%s], tid=0x%x", v.HType(), arguments.ColonHex(v.CHAddr()), cid, v.XID())
}

func label6(v *dhcp6.View) string {
	return fmt.Sprintf("duid=[%s], [no hwaddr info], tid=0x%x", arguments.ColonHex(v.ClientID()), v.XID())
}
