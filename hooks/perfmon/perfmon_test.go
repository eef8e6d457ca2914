package perfmon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

const t0 = 1_800_000_000_000_000_000

// fakeStats remembers what was set last.
type fakeStats map[string]int64

func (s fakeStats) Set(name string, v int64) bool { s[name] = v; return true }

// bed is the library with a clock of its own.
type bed struct {
	pl    *hooks.Pipeline
	stats fakeStats
	now   int64
	log   fmt.Stringer
	q     *hooks.Query4
}

func newBed(t *testing.T, params string) *bed {
	t.Helper()
	log, buf := hookstest.Logger()
	b := &bed{stats: fakeStats{}, now: t0, log: buf}
	b.pl = hookstest.Load(t, &hooks.Server{Config4: &hooks.Config4{}, Stats: b.stats, NowUnixNs: func() int64 { return b.now }, Logger: func(string) *slog.Logger { return log }},
		hooks.Configured{Library: New(), Params: json.RawMessage(params)})
	b.q = hookstest.Query4(t0)
	discover := make([]byte, 300)
	discover[0], discover[1], discover[2] = 1, 1, 6
	copy(discover[236:], []byte{99, 130, 83, 99, 53, 1, 1, 255})
	if why := b.q.Msg.Parse(discover); why != dhcp4.ReasonOK {
		t.Fatal(why)
	}
	return b
}

// exchange is a DISCOVER in a subnet that waits and is worked on so long, in
// microseconds.
func (b *bed) exchange(subnet uint32, waitUs, workUs int64) {
	q := b.q
	msg := q.Msg
	classes := q.Classes
	q.Reset()
	q.Msg, q.Classes, q.NowUnixNs = msg, classes, b.now
	b.now += waitUs * 1000
	b.pl.Run(hooks.ContextCreate, q)
	if subnet != 0 {
		q.Subnet = &hooks.SubnetInfo{ID: subnet}
	}
	b.now += workUs * 1000
	q.Reply = &dhcp4.Reply{Type: dhcp4.MsgOffer}
	b.pl.Run(hooks.Pkt4Send, q)
}

func (b *bed) command(t *testing.T, name, args string) (int, string) {
	t.Helper()
	for _, c := range b.pl.Commands() {
		if c.Name == name {
			r := c.Run(t.Context(), json.RawMessage(args), nil)
			out, err := json.Marshal(r.Arguments)
			if err != nil {
				t.Fatal(err)
			}
			return r.Result, r.Text + " " + string(out)
		}
	}
	t.Fatalf("there is no command %s", name)
	return 0, ""
}

func TestDurations(t *testing.T) {
	b := newBed(t, `{"enable-monitoring": true, "interval-width-secs": 5}`)
	if r, text := b.command(t, "perfmon-get-all-durations", ""); r != hooks.ResultEmpty || !strings.Contains(text, "0 found") {
		t.Errorf("%d %s", r, text)
	}
	b.exchange(7, 100, 1000)
	b.exchange(7, 200, 3000)
	b.exchange(8, 300, 2000)
	_, text := b.command(t, "perfmon-get-all-durations", `{"result-set-format": true}`)
	if !strings.Contains(text, "12 found") || !strings.Contains(text, `["DHCPDISCOVER","DHCPOFFER","process_started","process_completed",7,"\u003cnone\u003e",0,0,0,0,0]`) {
		t.Errorf("before the interval is over: %s", text)
	}
	if len(b.stats) != 0 {
		t.Errorf("statistics before the interval is over: %v", b.stats)
	}
	b.now += 6e9
	b.exchange(7, 1, 1)
	_, text = b.command(t, "perfmon-get-all-durations", `{"result-set-format": true}`)
	for _, want := range []string{
		`"process_started","process_completed",7,`, `,2,1000,3000,4000,2000]`, // subnet 7
		`,3,1000,3000,6000,2000]`, // all
		`,2,100,200,300,150]`,     // waited, subnet 7
		`,3,1100,3200,6600,2200]`, // total, all
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	for name, want := range map[string]int64{
		"subnet-id[7].perfmon.DHCPDISCOVER-DHCPOFFER.process_started-process_completed.mean-usecs": 2000,
		"perfmon.DHCPDISCOVER-DHCPOFFER.composite-total_response.mean-usecs":                       2200,
		"perfmon.DHCPDISCOVER-DHCPOFFER.socket_received-buffer_read.mean-usecs":                    0,
	} {
		if got, ok := b.stats[name]; !ok || got != want {
			t.Errorf("%s is %d, %v; want %d", name, got, ok, want)
		}
	}
	_, text = b.command(t, "perfmon-get-all-durations", "")
	if !strings.Contains(text, `"duration-key":{"query-type":"DHCPDISCOVER","response-type":"DHCPOFFER","start-event":"composite","stop-event":"total_response","subnet-id":0}`) {
		t.Errorf("%s", text)
	}
	var total uint64
	b.pl.EachHistogram(func(h hooks.Histogram) {
		if len(h.Counts) != len(h.Bounds)+1 {
			t.Errorf("%d counts for %d bounds", len(h.Counts), len(h.Bounds))
		}
		for _, n := range h.Counts {
			total += n
		}
	})
	if total != 4*numPairs {
		t.Errorf("the histograms have %d, want %d", total, 4*numPairs)
	}
}

func TestControl(t *testing.T) {
	b := newBed(t, ``)
	b.exchange(7, 1, 1)
	if r, _ := b.command(t, "perfmon-get-all-durations", ""); r != hooks.ResultEmpty {
		t.Error("measured though monitoring is off by default")
	}
	for _, c := range []struct{ args, want string }{
		{``, `{"enable-monitoring":false,"stats-mgr-reporting":true}`},
		{`{"enable-monitoring": true}`, `{"enable-monitoring":true,"stats-mgr-reporting":true}`},
		{`{"stats-mgr-reporting": false}`, `{"enable-monitoring":true,"stats-mgr-reporting":false}`},
	} {
		if r, text := b.command(t, "perfmon-control", c.args); r != 0 || text != "perfmon-control success "+c.want {
			t.Errorf("%s: %d %s", c.args, r, text)
		}
	}
	for _, args := range []string{`{"enable": true}`, `{"enable-monitoring": 1}`, `[]`} {
		if r, text := b.command(t, "perfmon-control", args); r != hooks.ResultError {
			t.Errorf("%s: %d %s", args, r, text)
		}
	}
	b.exchange(7, 1, 1)
	b.now += 61e9
	b.exchange(7, 1, 1)
	if len(b.stats) != 0 {
		t.Errorf("reported though that is off: %v", b.stats)
	}
}

func TestAlarm(t *testing.T) {
	b := newBed(t, `{"enable-monitoring": true, "interval-width-secs": 1, "alarm-report-secs": 10, "alarms": [
		{"duration-key": {"query-type": "DHCPDISCOVER", "response-type": "*", "start-event": "composite", "stop-event": "total_response", "subnet-id": 0}, "high-water-ms": 50, "low-water-ms": 20},
		{"duration-key": {"query-type": "", "response-type": "", "start-event": "process-started", "stop-event": "process-completed"}, "enable-alarm": false, "high-water-ms": 2, "low-water-ms": 1} ]}`)
	count := func() (triggered, cleared int) {
		return strings.Count(b.log.String(), "PERFMON_ALARM_TRIGGERED"), strings.Count(b.log.String(), "PERFMON_ALARM_CLEARED")
	}
	// interval is one of a second in which one query takes so long.
	interval := func(ms int64) {
		b.exchange(1, 0, ms*1000)
		b.now += 2e9
	}
	for i, c := range []struct {
		ms                 int64
		triggered, cleared int // after the interval before it was reported
	}{
		{60, 0, 0}, {60, 1, 0}, {30, 1, 0}, {30, 1, 0}, {30, 1, 0}, {30, 1, 0}, {30, 2, 0}, // repeated after 10 s, still above low water
		{10, 2, 0}, {30, 2, 1}, {30, 2, 1}, {60, 2, 1}, {10, 3, 1}, {10, 3, 2},
	} {
		interval(c.ms)
		if a, z := count(); a != c.triggered || z != c.cleared {
			t.Fatalf("interval %d: %d triggered, %d cleared; want %d and %d\n%s", i, a, z, c.triggered, c.cleared, b.log)
		}
	}
}

func TestRefused(t *testing.T) {
	alarm := func(s string) string { return `{"alarms": [ {` + s + `} ]}` }
	const good = `"duration-key": {"query-type": "DHCPDISCOVER", "response-type": "DHCPOFFER", "start-event": "composite", "stop-event": "total_response"}`
	for params, want := range map[string]string{
		`{"enable": true}`:                             "unknown field",
		`{"interval-width-secs": 0}`:                   "between 1 and",
		`{"alarm-report-secs": -1}`:                    "between 1 and",
		alarm(`"high-water-ms": 5, "low-water-ms": 1`): "duration-key is missing",
		alarm(good): "mandatory",
		alarm(good + `, "high-water-ms": 5, "low-water-ms": 5`):                                             "must be above 0 and below",
		alarm(good + `, "high-water-ms": 5, "low-water-ms": 0`):                                             "must be above 0 and below",
		alarm(strings.Replace(good, "DHCPOFFER", "DHCPACK", 1) + `, "high-water-ms": 5, "low-water-ms": 1`): "never answered",
		alarm(strings.Replace(good, "DHCPOFFER", "REPLY", 1) + `, "high-water-ms": 5, "low-water-ms": 1`):   "no message type",
		alarm(strings.Replace(good, "composite", "begin", 1) + `, "high-water-ms": 5, "low-water-ms": 1`):   "no time is measured",
	} {
		_, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(params)}}, &hooks.Server{Config4: &hooks.Config4{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
}

func TestDHCPv6(t *testing.T) {
	now := int64(t0)
	pl := hookstest.Load(t, &hooks.Server{Config6: &hooks.Config6{}, NowUnixNs: func() int64 { now += 1e6; return now }},
		hooks.Configured{Library: New(), Params: json.RawMessage(`{"enable-monitoring": true}`)})
	q := hookstest.Query6(t0)
	if why := q.Msg.Parse([]byte{1, 0, 0, 1}); why != dhcp6.ReasonOK {
		t.Fatal(why)
	}
	pl.Run6(hooks.ContextCreate, q)
	q.Reply = &dhcp6.Reply{Type: dhcp6.MsgAdvertise}
	pl.Run6(hooks.Pkt6Send, q)
	found := false
	pl.EachHistogram(func(h hooks.Histogram) {
		found = found || fmt.Sprint(h.Labels) == "[[query SOLICIT] [response ADVERTISE] [from process_started] [to process_completed]]" && h.SumS == 0.001
	})
	if !found {
		t.Error("a SOLICIT was not measured")
	}
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBed(t, `{"enable-monitoring": true, "interval-width-secs": 86400}`)
	b.log = nil
	reply := &dhcp4.Reply{Type: dhcp4.MsgOffer}
	subnet := &hooks.SubnetInfo{ID: 1}
	run := func() {
		b.q.NowUnixNs = b.now
		b.pl.Run(hooks.ContextCreate, b.q)
		b.q.Subnet, b.q.Reply = subnet, reply
		b.pl.Run(hooks.Pkt4Send, b.q)
	}
	b.pl = hookstest.Load(t, &hooks.Server{Config4: &hooks.Config4{}, Stats: b.stats, NowUnixNs: func() int64 { return b.now }},
		hooks.Configured{Library: New(), Params: json.RawMessage(`{"enable-monitoring": true}`)})
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations a query", n)
	}
}

func TestStoreIsBounded(t *testing.T) {
	var s store
	s.init()
	full := make(map[key]*duration, maxDurations)
	for i := range uint32(maxDurations) {
		full[key{subnet: i}] = nil
	}
	s.byKey.Store(&full)
	if s.find(key{query: 1, subnet: 1}) != nil || s.refused.Load() != 1 {
		t.Errorf("more than %d durations", maxDurations)
	}
}
