package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// tourClients6 is how many simulated DHCPv6 clients the tour has.
const tourClients6 = 500

// dhcp6Config is the DHCPv6 part of the tour's configuration.
func dhcp6Config(dir, iface string) string {
	return fmt.Sprintf(`
	"Dhcp6": {
		"interfaces-config": { "interfaces": [ %q ] },
		"lease-database": { "type": "memfile", "persist": true },
		"control-sockets": [ { "socket-type": "unix", "socket-name": %q } ],
		"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so" } ],
		"preferred-lifetime": 3000,
		"valid-lifetime": 4000,
		"subnet6": [ {
			"id": 1,
			"subnet": "2001:db8:67::/64",
			"interface": %q,
			"pools": [ { "pool": "2001:db8:67:0:1::/80" } ],
			"pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 36, "delegated-len": 56 } ]
		} ]
	},`, iface, socket6(dir), iface)
}

func socket6(dir string) string { return filepath.Join(dir, "control6.sock") }

// linkLocal waits until an interface may use its link-local address, which takes
// duplicate address detection a second or two.
func linkLocal(ctx context.Context, ns, iface string) error {
	deadline := time.Now().Add(clientTimeout)
	for {
		out, err := exec.CommandContext(ctx, "ip", "-n", ns, "-6", "addr", "show", "dev", iface, "scope", "link").Output()
		if err != nil {
			return fmt.Errorf("look at %s: %w", iface, err)
		}
		switch {
		case bytes.Contains(out, []byte("fe80::")) && !bytes.Contains(out, []byte("tentative")):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s has no link-local address after %v: is IPv6 disabled?", iface, clientTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dhclient6 asks for an address and a prefix with a real client and returns them.
// It ends as soon as it has both.
func dhclient6(ctx context.Context, ns, iface, dir string) (addr, prefix string, err error) {
	script := filepath.Join(dir, "dhclient6.sh")
	text := "#!/bin/sh\n" +
		"[ \"$reason\" = BOUND6 ] || exit 0\n" +
		"[ -n \"$new_ip6_address\" ] && echo \"address $new_ip6_address\"\n" +
		"[ -n \"$new_ip6_prefix\" ] && echo \"prefix $new_ip6_prefix\"\n" +
		"exit 0\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		return "", "", err
	}
	c := in(ns, "dhclient", "-6", "-1", "-N", "-P", "-D", "LL", "-d", "-sf", script, "-cf", "/dev/null",
		"-lf", filepath.Join(dir, "dhclient6.leases"), "-pf", filepath.Join(dir, "dhclient6.pid"), iface)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log := filepath.Join(dir, "dhclient6.log")
	f, err := os.Create(log)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	c.Stdout, c.Stderr = f, f
	if err := c.Start(); err != nil {
		return "", "", fmt.Errorf("start dhclient: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	defer func() { _ = c.Process.Kill(); <-ended }()
	got := regexp.MustCompile(`(?m)^(address|prefix) (\S+)$`)
	for deadline := time.Now().Add(clientTimeout); time.Now().Before(deadline); {
		b, err := os.ReadFile(log)
		if err != nil {
			return "", "", err
		}
		for _, m := range got.FindAllSubmatch(b, -1) {
			if string(m[1]) == "address" {
				addr = string(m[2])
			} else {
				prefix = string(m[2])
			}
		}
		if addr != "" && prefix != "" {
			return addr, prefix, nil
		}
		select {
		case <-ctx.Done():
			return "", "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", "", fmt.Errorf("dhclient -6 has no address and prefix within %v\n%s", clientTimeout, tail(log, 10))
}

// tour6 shows DHCPv6: a real client, if there is one, and simulated ones.
func tour6(ctx context.Context, bin string, t *topology, dir string) error {
	if err := linkLocal(ctx, t.client, t.clientIf); err != nil {
		return err
	}
	if _, err := exec.LookPath("dhclient"); err == nil {
		addr, prefix, err := dhclient6(ctx, t.client, t.clientIf, dir)
		if err != nil {
			return err
		}
		say("   dhclient -6 got address %s and prefix %s", addr, prefix)
	} else {
		say("   (dhclient, of the package isc-dhcp-client, would be the real one; it is not installed)")
	}
	gun := in(t.client, filepath.Join(bin, "dhcpgun"), "-6", "-l", t.clientIf, "-R", fmt.Sprint(tourClients6),
		"-n", fmt.Sprint(tourClients6), "-r", "500", "-d", "5", "-e", "address-and-prefix", "-u")
	var out bytes.Buffer
	gun.Stdout, gun.Stderr = &out, &out
	if err := progress(fmt.Sprintf("%d simulated ones: SOLICIT, ADVERTISE, REQUEST, REPLY", tourClients6),
		func() error { return runUntil(ctx, gun) }); err != nil {
		return fmt.Errorf("dhcpgun -6: %w\n%s", err, out.String())
	}
	return nil
}

// leases6 fetches all DHCPv6 leases: the owner's DUID and IAID by type and address.
func (s *server) leases6(ctx context.Context, dir string) (map[string]string, error) {
	all := map[string]string{}
	six := &server{socket: socket6(dir)}
	for from := "start"; ; {
		a, err := six.command(ctx, "lease6-get-page", map[string]any{"from": from, "limit": 1000})
		if err != nil {
			return nil, err
		}
		var p struct {
			Leases []struct {
				Address string `json:"ip-address"`
				Type    string `json:"type"`
				DUID    string `json:"duid"`
				IAID    uint32 `json:"iaid"`
			}
		}
		if len(a.Arguments) > 0 {
			if err := json.Unmarshal(a.Arguments, &p); err != nil {
				return nil, err
			}
		}
		for _, l := range p.Leases {
			all[l.Type+" "+l.Address] = fmt.Sprintf("%s %d", l.DUID, l.IAID)
			from = l.Address
		}
		if len(p.Leases) < 1000 {
			return all, nil
		}
	}
}

// count6 says how many addresses and prefixes there are.
func count6(leases map[string]string) string {
	pd := 0
	for k := range leases {
		if strings.HasPrefix(k, "IA_PD") {
			pd++
		}
	}
	return fmt.Sprintf("%d IPv6 addresses and %d prefixes", len(leases)-pd, pd)
}

// kept says whether all leases of before are there, with their owners.
func kept(before, after map[string]string) error {
	for k, owner := range before {
		if after[k] != owner {
			return errors.New("the DHCPv6 lease of " + k + " was lost: this must never happen")
		}
	}
	return nil
}
