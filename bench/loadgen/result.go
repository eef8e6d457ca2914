package loadgen

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SchemaVersion is raised when a field of Result changes its meaning or goes.
const SchemaVersion = 1

// Result is what --json writes.
type Result struct {
	Schema    int              `json:"schema"`
	Program   string           `json:"program"`
	Time      time.Time        `json:"time"`
	Machine   Machine          `json:"machine"`
	Scenario  Scenario         `json:"scenario"`
	Backend   string           `json:"backend"`
	Interface string           `json:"interface"`
	Rate      uint64           `json:"rate"`
	Clients   uint32           `json:"clients"`
	Seconds   float64          `json:"seconds"`
	EndReason string           `json:"end-reason"`
	Exchanges []ExchangeResult `json:"exchanges"`
	Checks    Checks           `json:"checks"`
	Malformed uint64           `json:"malformed"`
	Other     uint64           `json:"other"`
	NoRoom    uint64           `json:"not-ready"`
	// CPU time of this process per packet sent or received, from the start of
	// the program.
	UserNsPerPacket   float64 `json:"user-ns-per-packet"`
	SystemNsPerPacket float64 `json:"system-ns-per-packet"`
	TxDropped         uint64  `json:"tx-dropped"`
	RxDropped         uint64  `json:"rx-dropped"`
	// RxRefused came and was not looked at: fragments, or longer than any answer.
	RxRefused uint64 `json:"rx-refused"`
	ExitCode  int    `json:"exit-code"`
	// LateSends are exchanges begun more than a millisecond after they were due;
	// SendLag is how much later each was begun.
	LateSends uint64     `json:"late-sends"`
	SendLag   Quantiles  `json:"send-lag-ns"`
	Resent    uint64     `json:"resent"`
	Junk      JunkResult `json:"junk"`
	// ClientsWithoutLease could not be given one before the measured part.
	ClientsWithoutLease uint32 `json:"clients-without-lease"`
	// Sweep are the points of --sweep; the rest is then of the last of them.
	Sweep []Point `json:"sweep,omitempty"`
}

// JunkResult is what was sent beside the exchanges.
type JunkResult struct {
	Rate uint64 `json:"rate"`
	Sent uint64 `json:"sent"`
	// Answered were well-formed enough for the server to answer.
	Answered uint64 `json:"answered"`
	// Missed could not be sent in time.
	Missed uint64 `json:"missed"`
}

// ExchangeResult is one exchange; times are nanoseconds.
type ExchangeResult struct {
	Name           string    `json:"name"`
	Sent           uint64    `json:"sent"`
	Received       uint64    `json:"received"`
	ReceivedPerSec float64   `json:"received-per-second"`
	Drops          uint64    `json:"drops"`
	Unanswered     uint64    `json:"unanswered"`
	Late           uint64    `json:"late"`
	Orphans        uint64    `json:"orphans"`
	Rejected       uint64    `json:"rejected"`
	NonUnique      uint64    `json:"non-unique"`
	RTT            Quantiles `json:"rtt-ns"`
	Response       Quantiles `json:"response-ns"`
}

// Quantiles of a Hist in nanoseconds.
type Quantiles struct {
	Min  int64   `json:"min"`
	Mean float64 `json:"mean"`
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p99.9"`
	Max  int64   `json:"max"`
}

func quantiles(h *Hist) Quantiles {
	return Quantiles{h.Min(), h.Mean(), h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.99), h.Quantile(0.999), h.Max()}
}

// Result gathers the results after Run.
func (g *Generator) Result(program string, k *Link, c *Conns) *Result {
	r := &Result{
		Schema: SchemaVersion, Program: program, Time: time.Now().UTC(), Machine: ThisMachine(),
		Scenario: g.opt.Scenario, Rate: g.opt.Rate, Clients: g.opt.Clients, Seconds: g.seconds(), EndReason: g.Reason,
		Checks: g.Checks, Malformed: g.Malformed, Other: g.Other, NoRoom: g.NoRoom, ExitCode: g.ExitCode(),
		Backend: c.Mode, LateSends: g.LateSends, SendLag: quantiles(&g.Lag), Resent: g.Resent, ClientsWithoutLease: g.WithoutLease,
	}
	if g.junk != nil {
		r.Junk = JunkResult{g.junk.rate, g.Stats[Junk].Sent, g.Stats[Junk].Received, g.junk.Missed}
	}
	if k != nil {
		r.Interface = k.Driver
	}
	packets := uint64(0)
	for _, n := range c.List {
		s := n.ConnStats()
		packets += s.RxPackets + s.TxPackets
		r.TxDropped += s.TxDropped
		r.RxDropped += s.RxDropped
		r.RxRefused += s.RxRefused
	}
	if packets > 0 {
		u, s := cpuNs()
		r.UserNsPerPacket, r.SystemNsPerPacket = float64(u)/float64(packets), float64(s)/float64(packets)
	}
	for _, e := range g.Exchanges() {
		s := &g.Stats[e]
		r.Exchanges = append(r.Exchanges, ExchangeResult{
			Name: e.String(), Sent: s.Sent, Received: s.Received, ReceivedPerSec: float64(s.Received) / g.seconds(),
			Drops: s.Drops(), Unanswered: s.TimedOut, Late: s.Late, Orphans: s.Orphans, Rejected: s.Rejected, NonUnique: s.NonUnique,
			RTT: quantiles(&s.RTT), Response: quantiles(&s.Response),
		})
	}
	return r
}

// Machine are the facts without which a figure means nothing.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
}

// ThisMachine reads the facts.
func ThisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Arch: runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return m
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "model name"); ok {
			m.CPU = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(v), ":"))
			break
		}
	}
	return m
}
