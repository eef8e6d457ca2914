package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The addresses of DHCPv6's part of the bench, and what is leased.
const (
	serverAddr6 = "2001:db8:67::1"
	relayAddr6  = "2001:db8:67::2"
	subnet6     = "2001:db8:67::/64"
	pool6       = "2001:db8:67:0:1::/80"
	prefixes6   = "2001:db8:8000::"
)

// isV6 says that a scenario is one of DHCPv6.
func isV6(scenario string) bool { return scenario == "sarr" || scenario == "renew6" }

// addresses6 gives both ends IPv6 addresses of the bench.
func (b *bencher) addresses6() error {
	return errors.Join(
		command("ip", "-n", b.t.server, "-6", "addr", "replace", serverAddr6+"/64", "dev", b.t.serverIf, "nodad"),
		command("ip", "-n", b.t.client, "-6", "addr", "replace", relayAddr6+"/64", "dev", b.t.clientIf, "nodad"),
	)
}

// dhcp6 is the DHCPv6 part of a configuration, alike for both servers.
func dhcp6(iface, more string) string {
	return fmt.Sprintf(`"Dhcp6": {
		"interfaces-config": { "interfaces": [ %q ] },
		%s
		"valid-lifetime": 86400, "preferred-lifetime": 80000,
		"subnet6": [ { "id": 1, "subnet": %q, "pools": [ { "pool": %q } ],
			"pd-pools": [ { "prefix": %q, "prefix-len": 36, "delegated-len": 60 } ],
			"option-data": [ { "name": "dns-servers", "data": "2001:db8:67::1, 2001:db8:67::2" } ] } ]
	}`, iface, more, subnet6, pool6, prefixes6)
}

// both starts a server of both families. Both come out of one process, so that one
// yardstick holds for both.
func (b *bencher) both(name, extra string) (*under, error) {
	dir, err := os.MkdirTemp(b.dir, "server-")
	if err != nil {
		return nil, err
	}
	four := b.config(dir, "group", bigPool, true)
	six := dhcp6(b.t.serverIf+"/"+serverAddr6, `"lease-database": { "type": "memfile", "persist": true }, "cache-threshold": 0.0,
		"loggers": [ { "name": "kea-dhcp6", "severity": "WARN", "output-options": [ { "output": "stdout" } ] } ],`)
	text := strings.Replace(four, "\t\"Dataplane\": {", "\t"+six+",\n\t\"Dataplane\": { "+extra, 1)
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s, err := startServerArgs(b.ctx, b.t.server, dir, b.pinned(0, filepath.Join(b.bin, "peregrine"), "serve", "-c", config))
	if err != nil {
		return nil, err
	}
	return &under{name: name, pid: s.pid(), s: s, stop: func() { _ = s.stop() }}, nil
}

// askBoth asks for an address and a prefix.
var askBoth = []string{"-e", "address-and-prefix"}

// rate6 is at what rate the families are compared. The lower it is, the more of the
// cost is waking up, which is alike for all, and the better the ratios look.
const rate6 = 40_000

// six measures DHCPv6 beside DHCPv4 in one process, one relay in front of each.
func (b *bencher) six() error {
	say("\nDHCPv6 and DHCPv4 in one process, every REPLY and ACK after fdatasync")
	if err := b.addresses6(); err != nil {
		return err
	}
	u, err := b.both("peregrine 4+6", "")
	if err != nil {
		return err
	}
	err = b.sarrs(u)
	u.stop()
	if err != nil {
		return err
	}
	return b.steer6()
}

// sarrs compares SARR with DORA. The machine changes from second to second, so each
// round tries all of them in turn, with clients never seen before, and the median
// of the rounds counts.
func (b *bencher) sarrs(u *under) error {
	kinds := []struct {
		scenario string
		extra    []string
		us       []float64
	}{{scenario: "dora"}, {scenario: "sarr"}, {scenario: "sarr", extra: askBoth}}
	var na, pd []float64
	lost := 0.0
	rounds := 2*b.tries - 1
	for round := range rounds {
		for i := range kinds {
			k := &kinds[i]
			b.probe.await(b.ctx)
			mac := fmt.Sprintf("mac=02:%02x:%02x:00:00:00", round, i)
			tr, err := b.fireOnce(u, k.scenario, rate6, b.secs, kneeClients, append([]string{"-b", mac}, k.extra...)...)
			if err != nil {
				return err
			}
			b.record(u, &tr)
			k.us = append(k.us, tr.CPUUs)
			lost = max(lost, tr.LossPct)
		}
		na = append(na, kinds[1].us[round]/kinds[0].us[round])
		pd = append(pd, kinds[2].us[round]/kinds[0].us[round])
	}
	note := fmt.Sprintf("%d rounds at %d/s, loss up to %.2f %%", rounds, rate6, lost)
	b.add("server CPU per DORA, both families served", median(kinds[0].us), "us", "", note)
	b.add("server CPU per SARR with IA_NA", median(kinds[1].us), "us", "", "")
	b.add("server CPU per SARR with IA_NA and IA_PD", median(kinds[2].us), "us", "", "")
	b.add("SARR with IA_NA against DORA, CPU", median(na), "x", "<= 1.3", fmt.Sprintf("%.2f", na))
	b.add("SARR with IA_NA and IA_PD against DORA, CPU", median(pd), "x", "<= 1.6", fmt.Sprintf("%.2f", pd))

	// The clients get their leases first; what that costs is the difference of a
	// short and a long run.
	short, err := b.fire(u, "renew6", rate6, 1, benchClients)
	if err != nil {
		return err
	}
	long, err := b.fire(u, "renew6", rate6, 1+b.secs, benchClients)
	if err != nil {
		return err
	}
	if n := float64(long.Completed) - float64(short.Completed); n > 0 {
		us := (long.CPUUs*float64(long.Completed) - short.CPUUs*float64(short.Completed)) / n
		b.add("server CPU per DHCPv6 renewal", us, "us", "", fmt.Sprintf("at %.0f/s", long.Done))
	}
	best, err := b.peak(u, "sarr", 40_000, kneeClients)
	if err != nil {
		return err
	}
	b.add("durable SARR with IA_NA at <= 1 % loss", best.Done, "1/s", "", fmt.Sprintf("%.2f us each", best.CPUUs))
	b.sarrPeak, b.sarrCPU = best.Done, best.CPUUs
	return nil
}

// median sorts x.
func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// steer6 is steer for DHCPv6: one relay's RELAY-FORWs over two workers.
func (b *bencher) steer6() error {
	say("\none DHCPv6 relay, one flow, two workers on its queue")
	u, err := b.both("peregrine 6, 2 workers", `"workers-per-queue": 2,`)
	if err != nil {
		return err
	}
	defer u.stop()
	if _, err := b.fireOnce(u, "sarr", 5_000, b.secs, benchClients); err != nil {
		return err
	}
	most, least, err := b.shares()
	if err != nil {
		return err
	}
	b.add("one DHCPv6 relay over two workers, max/min", most/math.Max(least, 1), "x", "<= 1.2", fmt.Sprintf("%.0f and %.0f packets", most, least))
	return nil
}

// startKea6 is startKea for DHCPv6.
func (b *bencher) startKea6() (*under, error) {
	exe, err := exec.LookPath("kea-dhcp6")
	if err != nil {
		return nil, errors.New("kea-dhcp6 is not installed: apt-get install --no-install-recommends kea-dhcp6-server (nothing else needs it)")
	}
	dir, err := os.MkdirTemp(b.dir, "kea6-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "kea.json")
	text := "{ " + dhcp6(b.t.serverIf+"/"+serverAddr6, fmt.Sprintf(`"lease-database": { "type": "memfile", "persist": true, "name": %q, "lfc-interval": 0 },
		"server-id": { "type": "LL", "persist": false, "identifier": "0200c0ffee67" },
		"multi-threading": { "enable-multi-threading": true, "thread-pool-size": 2, "packet-queue-size": 64 },
		"loggers": [ { "name": "kea-dhcp6", "severity": "ERROR", "output_options": [ { "output": "stdout" } ] } ],`,
		filepath.Join(dir, "leases.csv"))) + " }\n"
	return b.launchKea("kea6", exe, config, text)
}

// kea6 compares with what six measured.
func (b *bencher) kea6() error {
	say("\nKea's kea-dhcp6, memfile, the same configuration and generator (its answers do not wait for the disk)")
	if err := b.addresses6(); err != nil {
		return err
	}
	u, err := b.startKea6()
	if err != nil {
		return err
	}
	defer u.stop()
	best, err := b.peak(u, "sarr", 4_000, kneeClients)
	if err != nil {
		return err
	}
	b.add("Kea: SARR with IA_NA at <= 1 % loss", best.Done, "1/s", "", "")
	b.add("Kea: server CPU per SARR with IA_NA", best.CPUUs, "us", "", "at that rate")
	pd, err := b.fire(u, "sarr", best.Done/2, b.secs, kneeClients, append([]string{"-b", "mac=02:11:00:00:00:00"}, askBoth...)...)
	if err != nil {
		return err
	}
	b.add("Kea: server CPU per SARR with IA_NA and IA_PD", pd.CPUUs, "us", "", fmt.Sprintf("at %.0f/s", pd.Done))
	if b.sarrPeak > 0 {
		b.add("SARR/s against Kea", b.sarrPeak/best.Done, "x", "", "")
		b.add("server CPU per SARR against Kea", b.sarrCPU/best.CPUUs, "x", "", "")
	}
	return nil
}
