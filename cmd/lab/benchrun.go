package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// add appends a row; must is a bound: "<= 10" or ">= 0.35", or "" for none.
func (b *bencher) add(measure string, value float64, unit, must, note string) {
	r := row{Measure: measure, Value: value, Unit: unit, Must: must, Note: note}
	if must != "" {
		var bound float64
		if _, err := fmt.Sscanf(must[3:], "%g", &bound); err == nil {
			met := must[:2] == "<=" && value <= bound || must[:2] == ">=" && value >= bound
			r.Met = &met
		}
	}
	b.rep.Rows = append(b.rep.Rows, r)
}

// print writes the table.
func (b *bencher) print() {
	say("\n%-58s %12s %-10s %-10s %s", "measure", "value", "unit", "must be", "")
	for _, r := range b.rep.Rows {
		mark := ""
		if r.Met != nil {
			mark = "missed"
			if *r.Met {
				mark = "ok"
			}
		}
		say("%-58s %12.4g %-10s %-10s %-7s %s", r.Measure, r.Value, r.Unit, r.Must, mark, r.Note)
	}
}

const (
	benchClients = 50_000
	allocClients = 20_000
	kneeClients  = 200_000
)

// run measures what is wanted.
func (b *bencher) run() error {
	var refl, dora, doraCPU float64
	if b.want["reflector"] {
		say("\nreflector: the zero-logic limit of this machine for this traffic")
		u, err := b.reflector()
		if err != nil {
			return err
		}
		tr, err := b.peak(u, "discover-flood", 100_000, kneeClients)
		u.stop()
		if err != nil {
			return err
		}
		refl = tr.Done / 2
		b.add("reflector, exchanges of two packet pairs", refl, "1/s", "", "")
		b.add("reflector, CPU per exchange", 2*tr.CPUUs, "us", "", "")
	}
	if b.want["dora"] || b.want["overload"] || b.want["junk"] || b.want["latency"] || b.want["none"] {
		say("\nDORA, every ACK after fdatasync")
		u, err := b.peregrine(serverName, "group", bigPool)
		if err != nil {
			return err
		}
		err = b.doras(u, refl, &dora, &doraCPU)
		u.stop()
		if err != nil {
			return err
		}
	}
	if b.want["none"] {
		if err := b.durability(); err != nil {
			return err
		}
	}
	if b.want["steer"] {
		if err := b.steer(); err != nil {
			return err
		}
	}
	if b.want["edge"] {
		if err := b.edge(); err != nil {
			return err
		}
	}
	if b.want["six"] {
		if err := b.six(); err != nil {
			return err
		}
	}
	if b.want["paging"] {
		if err := b.paging(); err != nil {
			return err
		}
	}
	if b.want["kea6"] {
		if err := b.kea6(); err != nil {
			return err
		}
	}
	if b.want["kea"] {
		if err := b.kea(dora, doraCPU); err != nil {
			return err
		}
	}
	if b.want["full"] || b.want["million"] {
		if err := b.million(); err != nil {
			return err
		}
	}
	return nil
}

// doras measures the running server at and above its peak.
func (b *bencher) doras(u *under, refl float64, dora, doraCPU *float64) error {
	best, err := b.peak(u, "dora", 40_000, kneeClients)
	if err != nil {
		return err
	}
	*dora, *doraCPU = best.Done, best.CPUUs
	b.add("durable DORA at <= 1 % loss", best.Done, "1/s", "", "")
	b.add("server CPU per durable DORA", best.CPUUs, "us", "<= 10", "at that rate; "+best.Disturbance.String())
	if refl > 0 {
		b.add("share of the reflector", best.Done/refl, "", ">= 0.35", "")
	}
	if err := b.allocations(u, best.Done/2); err != nil {
		return err
	}
	if b.want["latency"] {
		tr, err := b.fire(u, "dora", best.Done/2, b.secs, kneeClients)
		if err != nil {
			return err
		}
		offer, ack := tr.ends()
		b.add("OFFER p99 at half load", float64(offer.Response.P99)/1e6, "ms", "<= 0.5", "")
		b.add("durable ACK p99 at half load", float64(ack.Response.P99)/1e6, "ms", "<= 4", "")
		b.add("ACK p50 at half load", float64(ack.Response.P50)/1e6, "ms", "", "")
		// The clients get their leases first; what that costs is the difference of
		// a short and a long run.
		short, err := b.fire(u, "renew", best.Done, 1, benchClients)
		if err != nil {
			return err
		}
		long, err := b.fire(u, "renew", best.Done, 1+b.secs, benchClients)
		if err != nil {
			return err
		}
		if n := float64(long.Completed) - float64(short.Completed); n > 0 {
			us := (long.CPUUs*float64(long.Completed) - short.CPUUs*float64(short.Completed)) / n
			b.add("server CPU per renewal", us, "us", "", fmt.Sprintf("at %.0f/s", long.Done))
		}
	}
	if b.want["junk"] {
		if err := b.junk(u); err != nil {
			return err
		}
	}
	if b.want["overload"] {
		for _, x := range []struct {
			factor float64
			must   string
		}{{2, ">= 0.95"}, {5, ">= 0.90"}, {10, ">= 0.80"}} {
			// Of the peak just now: the machine may be another than it was then.
			peak, err := b.fire(u, "dora", best.Done, b.secs, 2*kneeClients)
			if err != nil {
				return err
			}
			tr, err := b.fire(u, "dora", best.Done*x.factor, b.secs, 2*kneeClients)
			if err != nil {
				return err
			}
			b.add(fmt.Sprintf("goodput at %g times the load", x.factor), tr.Done/peak.Done, "of peak", x.must,
				fmt.Sprintf("%.0f/s of %.0f/s just before; %.0f/s begun; %s", tr.Done, peak.Done, float64(tr.Begun)/tr.Result.Seconds, tr.Disturbance))
		}
	}
	return nil
}

// turnRounds is how often servers that are compared take turns: the machine
// changes from minute to minute, so the median of the rounds' ratios counts.
const turnRounds = 5

// inTurns has two servers carry the same load one after the other, turnRounds
// times, and returns the CPU time per exchange of each.
func (b *bencher) inTurns(first, second func() (*under, error), rate float64, extra ...string) (a, c []float64, err error) {
	lost := 0.0
	for range turnRounds {
		for i, start := range []func() (*under, error){first, second} {
			u, err := start()
			if err != nil {
				return nil, nil, err
			}
			b.probe.await(b.ctx)
			tr, err := b.fireOnce(u, "dora", rate, b.secs, kneeClients, extra...)
			u.stop()
			if err != nil {
				return nil, nil, err
			}
			b.record(u, &tr)
			lost = max(lost, tr.LossPct)
			if i == 0 {
				a = append(a, tr.CPUUs)
			} else {
				c = append(c, tr.CPUUs)
			}
		}
	}
	if lost > 10 {
		return nil, nil, fmt.Errorf("compare two servers: %.1f %% of the exchanges were lost in a trial, the machine is too busy", lost)
	}
	return a, c, nil
}

// ratios divides each of a by that of b.
func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}

// durableRate is what both servers carry on a slow core, too.
const durableRate = 50_000

// durability says what part of its CPU time a server saves that does not wait for
// the disk; where the processor is the limit, it is what the rate would gain.
func (b *bencher) durability() error {
	say("\nDORA with fdatasync and without, in turns: the price of durability")
	group, none, err := b.inTurns(
		func() (*under, error) { return b.peregrine(serverName, "group", bigPool) },
		func() (*under, error) { return b.peregrine("peregrine sync none", "none", bigPool) }, durableRate)
	if err != nil {
		return err
	}
	r := ratios(none, group)
	note := fmt.Sprintf("%.2f and %.2f us at %d/s; none against group %.2f", median(group), median(none), durableRate, r)
	b.add("price of durability", 100*(1-median(r)), "%", "<= 10", note)
	return nil
}

// allocations looks at the Go heap while the server answers.
func (b *bencher) allocations(u *under, rate float64) error {
	// Known clients, so that no table grows, and so slowly that each has had its
	// answer; what a scrape and the clock of the background allocate is measured
	// by a scrape after the trial, which shows as much as the one that ended it,
	// with nothing but as much time between.
	if _, err := b.fireOnce(u, "dora", rate/2, b.secs, allocClients); err != nil {
		return err
	}
	if _, err := b.metrics(); err != nil { // the first one makes what the others use again
		return err
	}
	before, err := b.metrics()
	if err != nil {
		return err
	}
	tr, err := b.fireOnce(u, "dora", rate, b.secs, allocClients)
	if err != nil {
		return err
	}
	after, err := b.metrics()
	if err != nil {
		return err
	}
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(time.Duration(b.secs * float64(time.Second))):
	}
	idle, err := b.metrics()
	if err != nil {
		return err
	}
	scrape := idle["go_memstats_mallocs_total"] - after["go_memstats_mallocs_total"]
	d := func(name string) float64 { return after[name] - before[name] }
	packets := float64(2 * tr.Completed)
	allocs := math.Max(d("go_memstats_mallocs_total")-scrape, 0)
	b.add("allocations per packet", allocs/packets, "", "<= 0.01", fmt.Sprintf("%.0f in all for %.0f packets", allocs, packets))
	b.add("GC, share of the server's CPU time", 100*d("go_cpu_classes_gc_total_cpu_seconds_total")/math.Max(tr.CPUUs*float64(tr.Completed)/1e6, 1e-9), "%", "<= 1", "")
	b.add("garbage collections", d("go_gc_duration_seconds_count"), "", "", fmt.Sprintf("in %.0f s", tr.Result.Seconds))
	b.add("GC pauses, share of the time", 100*d("go_gc_duration_seconds_sum")/tr.Result.Seconds, "%", "<= 1", "")
	return nil
}

// steer sends one relay's traffic, one flow, to a queue that two workers share.
func (b *bencher) steer() error {
	say("\none relay, one flow, two workers on its queue")
	b.extra = `"workers-per-queue": 2,`
	u, err := b.peregrine("peregrine 2 workers", "group", bigPool)
	b.extra = ""
	if err != nil {
		return err
	}
	defer u.stop()
	if _, err := b.fireOnce(u, "dora", 5_000, b.secs, benchClients); err != nil {
		return err
	}
	most, least, err := b.shares()
	if err != nil {
		return err
	}
	b.add("one 5-tuple over two workers, max/min", most/math.Max(least, 1), "x", "<= 1.2", fmt.Sprintf("%.0f and %.0f packets", most, least))
	return nil
}

// shares are how many packets the busiest and the idlest of the AF_XDP workers
// that have work received.
func (b *bencher) shares() (most, least float64, err error) {
	m, err := b.metrics()
	if err != nil {
		return 0, 0, err
	}
	least = math.Inf(1)
	for name, v := range m {
		if strings.HasPrefix(name, "peregrine_worker_received_packets_total") && strings.Contains(name, `worker="dhcp0/`) && !strings.Contains(name, "/packet") && v > 100 {
			most, least = math.Max(most, v), math.Min(least, v)
		}
	}
	if math.IsInf(least, 1) || most == least {
		least = 0
	}
	return most, least, nil
}

// junk has real clients served while garbage pours in.
func (b *bencher) junk(u *under) error {
	tr, err := b.fire(u, "dora", 5_000, b.secs, kneeClients, "--junk", "300000")
	if err != nil {
		return err
	}
	_, req := tr.ends()
	b.add("REQUESTs answered beside 300,000 junk packets/s", 100*float64(req.Received)/math.Max(float64(req.Sent), 1), "%", ">= 95",
		fmt.Sprintf("%d of %d", req.Received, req.Sent))
	b.add("their p99", float64(req.Response.P99)/1e6, "ms", "<= 10", "")
	return nil
}

// million fills a /12 and looks at memory, restart and a full pool.
func (b *bencher) million() error {
	say("\na million leases with client identifiers")
	dir, err := os.MkdirTemp(b.dir, "million-")
	if err != nil {
		return err
	}
	u, err := b.peregrineIn("peregrine /12", dir, "group", oneMPool)
	if err != nil {
		return err
	}
	defer func() { u.stop() }()
	before, err := rss(u.pid)
	if err != nil {
		return err
	}
	want := 1_047_500
	for have := 0; have < want; {
		n := min(want-have, 250_000)
		mac := fmt.Sprintf("mac=02:00:%02x:%02x:%02x:%02x", have>>24&255, have>>16&255, have>>8&255, have&255)
		if _, err := b.fire(u, "dora", 15_000, 0, n, "-n", fmt.Sprint(n), "-b", mac); err != nil {
			return err
		}
		have += n
	}
	a, err := u.s.command(b.ctx, "statistic-get", map[string]string{"name": "assigned-addresses"})
	if err != nil {
		return err
	}
	var st map[string][][2]any
	if err := json.Unmarshal(a.Arguments, &st); err != nil {
		return err
	}
	leases := 0.0
	if v := st["assigned-addresses"]; len(v) > 0 {
		leases, _ = v[0][0].(float64)
	}
	after, err := rss(u.pid)
	if err != nil {
		return err
	}
	b.add("leases", leases, "", ">= 1000000", "")
	b.add("resident memory per lease", float64(after-before)/math.Max(leases, 1), "bytes", "<= 200", "RSS of the process, everything in it")
	free := oneMAddresses - leases
	full, err := b.fire(u, "dora", 2_000, 0, int(math.Max(free-200, 100)), "-n", fmt.Sprint(int(math.Max(free-200, 100))), "-b", "mac=0e:00:00:00:00:00")
	if err != nil {
		return err
	}

	u.s.kill()
	began := time.Now()
	u2, err := b.peregrineIn("peregrine /12 again", dir, "group", oneMPool)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	u.stop = u2.stop
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	if err != nil {
		return err
	}
	note := "process start to first answer, journal replayed after kill -9"
	if strings.Contains(string(log), "TAIL_CUT") {
		note += ", torn tail cut"
	}
	b.add("restart with that many leases", took, "s", "<= 2", note)
	if _, err := u2.s.command(b.ctx, "kea-lfc-start", nil); err != nil {
		return err
	}
	u2.s.kill()
	began = time.Now()
	u3, err := b.peregrineIn("peregrine /12 from snapshot", dir, "group", oneMPool)
	if err != nil {
		return err
	}
	u.stop = u3.stop
	b.add("restart from a snapshot", time.Since(began).Seconds(), "s", "<= 2", "")
	u3.stop()
	base, err := b.empty(full)
	if err != nil {
		return err
	}
	u.stop = func() {} // it is stopped
	b.add("DORA cost, /12 99.9 % full against empty", full.CPUUs/base.CPUUs, "x", "<= 1.2", fmt.Sprintf("%.2f against %.2f us", full.CPUUs, base.CPUUs))
	return nil
}

// empty repeats the last trial against an empty server of the same kind.
func (b *bencher) empty(like trial) (trial, error) {
	u, err := b.peregrine("peregrine /12 empty", "group", oneMPool)
	if err != nil {
		return trial{}, err
	}
	defer u.stop()
	n := fmt.Sprint(like.Begun)
	return b.fire(u, "dora", like.Offered, 0, int(like.Begun), "-n", n, "-b", "mac=0e:00:00:00:00:00")
}
