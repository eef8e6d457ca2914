package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// startKea starts Debian's kea-dhcp4 with the same subnet, pools, options and
// lifetimes, memfile, multi-threaded as its defaults have it in 3.x. Its leases
// are not durable when it answers; nothing can make them so.
func (b *bencher) startKea() (*under, error) {
	exe, err := exec.LookPath("kea-dhcp4")
	if err != nil {
		return nil, errors.New("kea-dhcp4 is not installed: apt-get install --no-install-recommends kea-dhcp4-server (nothing else needs it)")
	}
	dir, err := os.MkdirTemp(b.dir, "kea-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "kea.json")
	text := fmt.Sprintf(`{ "Dhcp4": {
	"interfaces-config": { "interfaces": [ %q ], "dhcp-socket-type": "raw" },
	"lease-database": { "type": "memfile", "persist": true, "name": %q, "lfc-interval": 0 },
	"multi-threading": { "enable-multi-threading": true, "thread-pool-size": 2, "packet-queue-size": 64 },
	"loggers": [ { "name": "kea-dhcp4", "severity": "ERROR", "output_options": [ { "output": "stdout" } ] } ],
	"valid-lifetime": 86400,
	"subnet4": [ { "id": 1, "subnet": "10.64.0.0/12", "pools": [ { "pool": %q } ],
		"option-data": [ { "name": "routers", "data": "10.67.0.1" }, { "name": "domain-name-servers", "data": "10.67.0.1, 10.67.0.2" } ] } ]
} }
`, b.t.serverIf, filepath.Join(dir, "leases.csv"), bigPool)
	return b.launchKea("kea", exe, config, text)
}

// launchKea writes the configuration of one of Kea's daemons and starts it on the
// server's core.
func (b *bencher) launchKea(name, exe, config, text string) (*under, error) {
	dir := filepath.Dir(config)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := in(b.t.server, b.pinned(0, exe, "-c", config)...)
	cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return nil, fmt.Errorf("%s ended at start: %v\n%s", filepath.Base(exe), err, out.String())
	case <-time.After(3 * time.Second):
	}
	return &under{name: name, pid: cmd.Process.Pid, stop: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	}}, nil
}

// kea compares with ours, which reached dora exchanges per second at ourCPU each.
func (b *bencher) kea(dora, ourCPU float64) error {
	say("\nKea, memfile, the same configuration and generator (its answers do not wait for the disk)")
	u, err := b.startKea()
	if err != nil {
		return err
	}
	defer u.stop()
	best, err := b.peak(u, "dora", 4_000, kneeClients)
	if err != nil {
		return err
	}
	b.add("Kea: DORA at <= 1 % loss", best.Done, "1/s", "", "")
	b.add("Kea: server CPU per DORA", best.CPUUs, "us", "", "at that rate")
	if dora > 0 {
		b.add("DORA/s against Kea", dora/best.Done, "x", ">= 6", "")
		b.add("server CPU per DORA against Kea", ourCPU/best.CPUUs, "x", "<= 0.1", "")
	}
	for _, f := range []float64{2, 5} {
		tr, err := b.fire(u, "dora", best.Done*f, b.secs, 2*kneeClients)
		if err != nil {
			return err
		}
		b.add(fmt.Sprintf("Kea: goodput at %g times the load", f), tr.Done/best.Done, "of peak", "", "")
	}
	return nil
}
