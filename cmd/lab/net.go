package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// topology is a veth pair between two network namespaces: the server's and the
// clients'. Both ends have several queues, so that AF_XDP has what it has on a
// real NIC.
type topology struct {
	server, client string // namespace names
	serverIf       string
	clientIf       string
}

const (
	labQueues  = 2
	serverAddr = "10.67.0.1/16"
	relayAddr  = "10.67.0.2"
)

// command runs a program and returns its error with what it printed.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// newTopology builds it; its names carry the pid, so that labs do not meet.
func newTopology() (_ *topology, err error) {
	id := os.Getpid()
	t := &topology{
		server: fmt.Sprintf("pglab%ds", id), client: fmt.Sprintf("pglab%dc", id),
		serverIf: "dhcp0", clientIf: "client0",
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.remove())
		}
	}()
	q := fmt.Sprint(labQueues)
	for _, c := range [][]string{
		{"netns", "add", t.server},
		{"netns", "add", t.client},
		{"link", "add", t.serverIf, "netns", t.server, "numrxqueues", q, "numtxqueues", q, "type", "veth",
			"peer", "name", t.clientIf, "netns", t.client, "numrxqueues", q, "numtxqueues", q},
		{"-n", t.server, "addr", "add", serverAddr, "dev", t.serverIf},
		{"-n", t.server, "link", "set", "lo", "up"},
		{"-n", t.server, "link", "set", t.serverIf, "up"},
		{"-n", t.client, "link", "set", "lo", "up"},
		{"-n", t.client, "link", "set", t.clientIf, "up"},
	} {
		if err := command("ip", c...); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(moderate(t.server, t.serverIf), moderate(t.client, t.clientIf)); err != nil {
		return nil, err
	}
	return t, nil
}

// moderationUs is how long the kernel gathers packets before it looks at them.
const moderationUs = 50

// moderate gives an end what network cards have: without it a veth interrupts
// its peer for every packet, and each end pays for the other's.
func moderate(ns, iface string) error {
	dir := "/sys/class/net/" + iface + "/"
	return command("ip", "netns", "exec", ns, "sh", "-c", fmt.Sprintf(
		"[ ! -e %[1]snapi_defer_hard_irqs ] || { echo 2 > %[1]snapi_defer_hard_irqs && echo %[2]d > %[1]sgro_flush_timeout; }",
		dir, moderationUs*1000))
}

// remove deletes the namespaces and with them the pair.
func (t *topology) remove() error {
	var errs []error
	for _, ns := range []string{t.server, t.client} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			errs = append(errs, command("ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}

// in is the command that runs a program in a namespace.
func in(ns string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...)
}
