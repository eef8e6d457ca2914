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
	"strings"
	"syscall"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// server is a peregrine process in a namespace.
type server struct {
	cmd    *exec.Cmd
	log    string
	socket string
	done   chan error
}

// startServer starts `peregrine serve` and waits until its control socket
// answers. ns "" is the present namespace.
func startServer(ctx context.Context, bin, ns, dir, config string, extra ...string) (*server, error) {
	return startServerArgs(ctx, ns, dir, append([]string{filepath.Join(bin, "peregrine"), "serve", "-c", config}, extra...))
}

// startServerArgs starts a command line that runs the server.
func startServerArgs(ctx context.Context, ns, dir string, args []string, env ...string) (*server, error) {
	s := &server{log: filepath.Join(dir, "server.log"), socket: filepath.Join(dir, "control.sock"), done: make(chan error, 1)}
	if ns != "" {
		s.cmd = in(ns, args...)
	} else {
		s.cmd = exec.Command(args[0], args[1:]...)
	}
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s.cmd.Stdout, s.cmd.Stderr = f, f
	s.cmd.Env = append(os.Environ(), env...)
	// Its own process group, so that a Ctrl-C meant for the lab leaves the end of
	// the server to the lab; and it dies with the lab whatever happens.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if s.serves(ctx) {
			return s, nil
		}
		select {
		case err := <-s.done:
			return nil, fmt.Errorf("server ended at start: %v\n%s", err, tail(s.log, 15))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("server does not answer on its control socket after 20 s\n%s", tail(s.log, 15)), s.stop())
		}
	}
}

// serves says whether every interface is served: the control socket answers a
// moment before the XDP program is attached.
func (s *server) serves(ctx context.Context) bool {
	st, err := s.status(ctx)
	if err != nil || len(st.Dataplane.Interfaces) == 0 {
		return false
	}
	for _, i := range st.Dataplane.Interfaces {
		if i.Mode == "none" {
			return false
		}
	}
	return true
}

// labStatus is what the lab reads of status-get.
type labStatus struct {
	PID       int
	Dataplane struct {
		Interfaces []struct {
			Name, Mode, Reason string
			Queues, Sockets    int
		}
	}
}

func (s *server) status(ctx context.Context) (st labStatus, err error) {
	a, err := s.command(ctx, "status-get", nil)
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(a.Arguments, &st)
}

// pid is the server's: `ip netns exec` replaces itself by the program.
func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the server gently, then firmly.
func (s *server) stop() error {
	if s == nil || s.cmd.Process == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	return nil
}

// kill is the power cut: SIGKILL, no chance to write anything.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *server) command(ctx context.Context, name string, args any) (*control.Answer, error) {
	req := map[string]any{"command": name}
	if args != nil {
		req["arguments"] = args
	}
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	c := control.Client{Target: s.socket, Timeout: 10 * time.Second}
	a, err := c.Send(ctx, b)
	if err != nil {
		return nil, err
	}
	if a.Result != 0 && a.Result != 3 {
		return a, fmt.Errorf("%s: %s", name, a.Text)
	}
	return a, nil
}

type labLease struct {
	Address string `json:"ip-address"`
	HW      string `json:"hw-address"`
	State   int    `json:"state"`
}

// leases fetches all leases page by page.
func (s *server) leases(ctx context.Context) (map[string]labLease, error) {
	all := map[string]labLease{}
	from := "start"
	for {
		a, err := s.command(ctx, "lease4-get-page", map[string]any{"from": from, "limit": 1000})
		if err != nil {
			return nil, err
		}
		var p struct{ Leases []labLease }
		if len(a.Arguments) > 0 {
			if err := json.Unmarshal(a.Arguments, &p); err != nil {
				return nil, err
			}
		}
		for _, l := range p.Leases {
			all[l.Address] = l
			from = l.Address
		}
		if len(p.Leases) < 1000 {
			return all, nil
		}
	}
}

// tail returns the last n lines of a file.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
