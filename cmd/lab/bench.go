package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// resultSchema is the version of the bench's JSON file.
const resultSchema = 2

// report is everything one `lab bench` measured.
type report struct {
	Schema  int             `json:"schema"`
	Time    time.Time       `json:"time"`
	Commit  string          `json:"commit"`
	Machine loadgen.Machine `json:"machine"`
	Pinned  bool            `json:"pinned"`
	Rows    []row           `json:"rows"`
	Trials  []trial         `json:"trials"`
}

// row is one line of the table: what was measured against what must be reached.
type row struct {
	Measure string  `json:"measure"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Must    string  `json:"must,omitempty"`
	Met     *bool   `json:"met,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// trial is one run of the generator against one server.
type trial struct {
	Server    string  `json:"server"`
	Scenario  string  `json:"scenario"`
	Offered   float64 `json:"offered-per-second"`
	Done      float64 `json:"done-per-second"` // exchanges completed
	Begun     uint64  `json:"begun"`
	Completed uint64  `json:"completed"`
	CPUUs     float64 `json:"server-cpu-us-per-exchange"`
	LossPct   float64 `json:"loss-percent"`
	// Disturbance above some per cent means that a trial says little about the
	// server.
	Disturbance disturbance     `json:"disturbance"`
	junk        bool            // came beside garbage
	Result      *loadgen.Result `json:"result"`
}

// ends are the first and the last exchange of the scenario's conversation: those
// of one message, like a renewal, are both.
func (t *trial) ends() (first, last *loadgen.ExchangeResult) {
	ex := t.Result.Exchanges
	first = &ex[0]
	for i := range ex {
		if n := ex[i].Name; strings.HasPrefix(n, "DISCOVER-OFFER") || strings.HasPrefix(n, "SOLICIT-ADVERTISE") {
			first = &ex[i]
			break
		}
	}
	last = first
	for i := range ex {
		if n := ex[i].Name; (strings.HasPrefix(n, "REQUEST-ACK") || strings.HasPrefix(n, "REQUEST-REPLY")) && ex[i].Sent > 0 {
			last = &ex[i]
			if first.Name != "DISCOVER-OFFER" && first.Name != "SOLICIT-ADVERTISE" {
				first = last
			}
			break
		}
	}
	return first, last
}

// bencher runs trials in a topology.
type bencher struct {
	ctx  context.Context
	bin  string
	dir  string
	t    *topology
	pin  bool
	secs float64
	// tries is how often a disturbed trial is made at most.
	tries int
	rep   report
	want  map[string]bool
	// probe watches the server's core.
	probe coreProbe
	// sarrPeak and sarrCPU are what a SARR reached and cost, if it was measured.
	sarrPeak, sarrCPU float64
	// extra are further keys of Dataplane for the next server.
	extra string
}

func benchMain(ctx context.Context, bin string, args []string) (err error) {
	fs := flag.NewFlagSet("lab bench", flag.ContinueOnError)
	out := fs.String("o", "", "write the results to this JSON `file`")
	secs := fs.Float64("s", 3, "`seconds` per trial")
	pin := fs.Bool("pin", true, "server on one core, generator on another")
	tries := fs.Int("tries", 3, "how often a disturbed trial is made at most")
	only := fs.String("only", "", "comma-separated parts: reflector,dora,none,overload,junk,latency,steer,edge,six,paging,full,million,kea,kea6 (default all but those of kea)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("bench needs root: it measures AF_XDP in network namespaces")
	}
	if *only == "" {
		*only = "reflector,dora,none,overload,junk,latency,steer,edge,six,paging,full,million"
	}
	b := &bencher{ctx: ctx, bin: bin, pin: *pin, secs: *secs, tries: max(*tries, 1), want: map[string]bool{}, probe: coreProbe{core: -1}}
	if b.pin {
		b.probe.core = 0
	}
	for _, p := range strings.Split(*only, ",") {
		b.want[p] = true
	}
	if b.dir, err = os.MkdirTemp("", "peregrine-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.t, err = newTopology(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.t.remove()) }()
	if err := command("ip", "-n", b.t.client, "addr", "add", relayAddr+"/12", "dev", b.t.clientIf); err != nil {
		return err
	}
	if err := command("ip", "-n", b.t.server, "addr", "replace", "10.67.0.1/12", "dev", b.t.serverIf); err != nil {
		return err
	}
	b.rep = report{Schema: resultSchema, Time: time.Now().UTC(), Commit: commit(bin), Machine: loadgen.ThisMachine(), Pinned: b.pin}
	m := b.rep.Machine
	say("Peregrine bench: %s, %d cores, Linux %s, %s, commit %s", m.CPU, m.CPUs, m.Kernel, m.Go, b.rep.Commit)
	if err := b.run(); err != nil {
		return err
	}
	b.print()
	if *out != "" {
		j, err := json.MarshalIndent(b.rep, "", "  ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(*out, append(j, '\n'), 0o644); err != nil {
			return err
		}
		say("written to %s", *out)
		if err := b.chart(strings.TrimSuffix(*out, ".json") + ".svg"); err != nil {
			return err
		}
	}
	return nil
}

// commit asks the program what it was built from.
func commit(bin string) string {
	out, err := exec.Command(filepath.Join(bin, "peregrine"), "version").Output()
	if err != nil {
		return "unknown"
	}
	_, after, _ := strings.Cut(string(out), "Peregrine ")
	c, _, _ := strings.Cut(after, ")")
	return c
}

// pinned prefixes a command with a core to run on.
func (b *bencher) pinned(core int, args ...string) []string {
	if !b.pin {
		return args
	}
	return append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
}

// serverName is the server with its defaults.
const serverName = "peregrine"

// under is a server under test.
type under struct {
	name string
	pid  int
	stop func()
	s    *server
}

// config of the server under test: one /12 with pools of pool.
func (b *bencher) config(dir, sync, pool string, persist bool) string {
	return fmt.Sprintf(`{
	"Dhcp4": {
		"interfaces-config": { "interfaces": [ %q ] },
		"lease-database": { "type": "memfile", "persist": %v },
		"control-sockets": [ { "socket-type": "unix", "socket-name": %q } ],
		"loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output-options": [ { "output": "stdout" } ] } ],
		"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so" } ],
		"valid-lifetime": 86400,
		"cache-threshold": 0.0,
		"subnet4": [ { "id": 1, "subnet": "10.64.0.0/12", "pools": [ { "pool": %q } ],
			"option-data": [ { "name": "routers", "data": "10.67.0.1" }, { "name": "domain-name-servers", "data": "10.67.0.1, 10.67.0.2" } ] } ]
	},
	"Dataplane": { "sync": %q, "metrics-address": %q, %s "lease-directory": %q }
}
`, b.t.serverIf, persist, filepath.Join(dir, "control.sock"), pool, sync, metricsAddr, b.extra, filepath.Join(dir, "leases"))
}

const (
	// bigPool is more than any part but the last uses up: it begins beside the
	// bench's own addresses.
	bigPool = "10.68.0.0 - 10.79.255.255"
	// oneMPool is a whole /12 but for its ends.
	oneMPool      = "10.64.0.16 - 10.79.255.254"
	oneMAddresses = 1<<20 - 17
)

func (b *bencher) peregrine(name, sync, pool string) (*under, error) {
	dir, err := os.MkdirTemp(b.dir, "server-")
	if err != nil {
		return nil, err
	}
	return b.peregrineIn(name, dir, sync, pool)
}

func (b *bencher) peregrineIn(name, dir, sync, pool string) (*under, error) {
	return b.peregrineWith(name, dir, []byte(b.config(dir, sync, pool, true)))
}

// peregrineWith starts the server with a configuration of its own.
func (b *bencher) peregrineWith(name, dir string, text []byte) (*under, error) {
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	s, err := startServerArgs(b.ctx, b.t.server, dir, b.pinned(0, filepath.Join(b.bin, "peregrine"), "serve", "-c", config))
	if err != nil {
		return nil, err
	}
	return &under{name: name, pid: s.pid(), s: s, stop: func() { _ = s.stop() }}, nil
}

// reflector is the machine's limit: whatever comes in goes out again.
func (b *bencher) reflector() (*under, error) {
	args := b.pinned(0, filepath.Join(b.bin, "dhcpgun"), "--reflect", b.t.serverIf)
	cmd := in(b.t.server, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // attaching an XDP program to a veth takes the kernel about one
	return &under{name: "reflector", pid: cmd.Process.Pid, stop: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}}, nil
}

// cpu is the process's user and system time so far.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, fmt.Errorf("read /proc/%d/stat: unexpected form", pid)
	}
	var ticks int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 everywhere
}

// rss is the resident memory in octets.
func rss(pid int) (uint64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// fire runs the generator against u, again if the machine was disturbed
// meanwhile, and keeps the run that was disturbed least.
func (b *bencher) fire(u *under, scenario string, rate float64, secs float64, clients int, extra ...string) (best trial, err error) {
	tries := b.tries
	if secs == 0 {
		tries = 1 // a run of a fixed number of exchanges changes the server's state
	}
	for i := range tries {
		if tries > 1 {
			b.probe.await(b.ctx)
		}
		tr, err := b.fireOnce(u, scenario, rate, secs, clients, extra...)
		if err != nil {
			return tr, err
		}
		b.record(u, &tr)
		if i == 0 || tr.Disturbance.score() < best.Disturbance.score() {
			best = tr
		}
		if tr.Disturbance.quiet() {
			break
		}
	}
	return best, nil
}

// record prints a trial and keeps it for the file.
func (b *bencher) record(u *under, tr *trial) {
	_, last := tr.ends()
	say("   %-20s %-15s offered %7.0f/s done %7.0f/s loss %5.2f %%  server %5.2f us/exchange  p99 %-9s %s",
		u.name, tr.Scenario, tr.Offered, tr.Done, tr.LossPct, tr.CPUUs, time.Duration(last.Response.P99).Round(time.Microsecond), tr.Disturbance)
	b.rep.Trials = append(b.rep.Trials, *tr)
}

// fireOnce runs the generator once against u.
func (b *bencher) fireOnce(u *under, scenario string, rate float64, secs float64, clients int, extra ...string) (trial, error) {
	tr := trial{Server: u.name, Scenario: scenario, Offered: rate, junk: slices.Contains(extra, "--junk")}
	file := filepath.Join(b.dir, "gun.json")
	family, server := []string{"-4"}, strings.Split(serverAddr, "/")[0]
	if isV6(scenario) {
		family, server = []string{"-6", "-A", "1"}, serverAddr6
	}
	args := append(append([]string{filepath.Join(b.bin, "dhcpgun")}, family...), "-l", b.t.clientIf, "--xdp", "--scenario", scenario, "--json", file, "-R", strconv.Itoa(clients))
	if secs > 0 {
		args = append(args, "-p", strconv.Itoa(int(math.Ceil(secs))))
	}
	if rate > 0 {
		args = append(args, "-r", strconv.Itoa(int(rate)))
	}
	args = append(append(args, extra...), server)
	_ = os.Remove(file)
	var out bytes.Buffer
	cmd := in(b.t.client, b.pinned(1, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	before, err := cpu(u.pid)
	if err != nil {
		return tr, err
	}
	watched := b.watchTrial(u.pid, cmd)
	runErr := runUntil(b.ctx, cmd)
	after, err := cpu(u.pid)
	tr.Disturbance = watched()
	if b.ctx.Err() != nil {
		return tr, b.ctx.Err()
	}
	if err != nil {
		return tr, fmt.Errorf("%s died: %w", u.name, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return tr, fmt.Errorf("dhcpgun: %w\n%s", runErr, out.String())
	}
	tr.Result = new(loadgen.Result)
	if err := json.Unmarshal(text, tr.Result); err != nil {
		return tr, err
	}
	ex := tr.Result.Exchanges
	if len(ex) == 0 {
		return tr, fmt.Errorf("dhcpgun reported no exchange\n%s", out.String())
	}
	first, last := tr.ends()
	tr.Begun, tr.Completed = first.Sent, last.Received
	if tr.Result.Seconds > 0 {
		tr.Done = float64(tr.Completed) / tr.Result.Seconds
	}
	if tr.Begun > 0 {
		tr.LossPct = 100 * (1 - float64(tr.Completed)/float64(tr.Begun))
	}
	if tr.Completed > 0 {
		tr.CPUUs = float64((after - before).Microseconds()) / float64(tr.Completed)
	}
	return tr, nil
}

// peak finds the greatest rate served at no more than 1 % loss: doubling, then
// halving the interval.
func (b *bencher) peak(u *under, scenario string, start float64, clients int) (best trial, err error) {
	good, bad := 0.0, 0.0
	rate := start
	for range 14 {
		tr, err := b.fire(u, scenario, rate, b.secs, clients)
		if err != nil {
			return best, err
		}
		if tr.Completed == 0 {
			return best, fmt.Errorf("find the peak of %s: nothing is answered at %.0f/s", u.name, rate)
		}
		// The generator may itself be the limit: then what it began counts.
		if ok := tr.LossPct <= 1 && float64(tr.Begun) >= 0.97*rate*tr.Result.Seconds; ok {
			good = rate
			if tr.Done > best.Done {
				best = tr
			}
		} else {
			bad = rate
			if tr.LossPct <= 1 && tr.Done > best.Done {
				best = tr
			}
		}
		switch {
		case bad == 0:
			rate *= 2
		case good == 0:
			rate /= 2
		case bad/good < 1.08:
			return best, nil
		default:
			rate = math.Sqrt(good * bad)
		}
	}
	return best, nil
}

// metrics fetches the server's metrics and returns those with a value, by name
// with labels.
func (b *bencher) metrics() (map[string]float64, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := in(b.t.server, exe, "fetch", "http://"+metricsAddr+"/metrics").Output()
	if err != nil {
		return nil, fmt.Errorf("fetch metrics: %w", err)
	}
	m := map[string]float64{}
	for _, l := range strings.Split(string(out), "\n") {
		name, value, ok := strings.Cut(l, "} ")
		if ok {
			name += "}"
		} else if name, value, ok = strings.Cut(l, " "); !ok {
			continue
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			m[name] = v
		}
	}
	return m, nil
}
