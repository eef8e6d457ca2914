package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// server answers DHCPv4 on loopback until the test ends, and returns its port. It
// answers nothing if silent.
func server(t *testing.T, silent bool) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			var q dhcp4.View
			if silent || q.Parse(b[:n]) != dhcp4.ReasonOK {
				continue
			}
			var r dhcp4.Reply
			r.CopyHeader(&q)
			mac := q.CHAddr()
			r.YIAddr = 0x0A640000 + dhcp4.IPv4(mac[4])<<8 + dhcp4.IPv4(mac[5])
			r.SetIP(dhcp4.OptServerIdentifier, 0x7F000001)
			r.Type = dhcp4.MsgAck
			if q.Type() == dhcp4.MsgDiscover {
				r.Type = dhcp4.MsgOffer
			}
			out, _ := r.Append(nil, 1472, nil)
			_, _ = c.WriteToUDPAddrPort(out, from)
		}
	})
	t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
	return fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
}

func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
}

// gun runs the program and returns its exit status and output.
func gun(t *testing.T, port string, args ...string) (int, string) {
	t.Helper()
	var b bytes.Buffer
	line := append([]string{"dhcpgun", "-l", "127.0.0.1", "-L", freePort(t), "-N", port, "-d", "60", "-d", "60"}, args...)
	code := start(append(line, "127.0.0.1"), &b)
	return code, b.String()
}

func wantAll(t *testing.T, s string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(s, w) {
			t.Errorf("no %q in\n%s", w, s)
		}
	}
}

// TP-052 to TP-063, and that a file never gets what is for a terminal.
func TestReport(t *testing.T) {
	port := server(t, false)
	json1 := filepath.Join(t.TempDir(), "out.json")
	for _, mode := range []string{"single", "multi"} {
		code, out := gun(t, port, "-r", "500", "-R", "100", "-n", "100", "-x", "aeilstT", "-g", mode, "--json", json1)
		if code != 0 {
			t.Errorf("exit %d", code)
		}
		wantAll(t, out, "IPv4\nlease-type=address-only (IA_NA option added to the client's request)\nrate[1/s]=500\nclients=100\n", "diagnostic-selectors=aeilstT\n", mode+"-thread-mode\n", "Set MAC to 00::0c::01::02::03::04\n",
			"Running: dhcpgun -l 127.0.0.1", "Scenario: basic.\n", "Reached max requests limit.\n", "***Rate statistics***\n", "\ncollected packets: 0\n\nShort waits for packets: ",
			"***Timestamps for packets: REQUEST-ACK***\nsent / received: ", "Server id: 7f000001\nInterrupted\nxid-offset=4\n", "***Leases for DISCOVER-OFFER***\nclient_id,adrress,prefix\n01000c01020304,10.100.3.4,\n")
		if strings.Contains(out, "\x1b") || strings.Contains(out, "Multi-thread mode enabled.\n") != (mode == "multi") {
			t.Errorf("%q", out)
		}
	}
	var r loadgen.Result
	b, err := os.ReadFile(json1)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil || r.Schema != loadgen.SchemaVersion || r.Exchanges[1].Received != 100 || r.Rate != 500 {
		t.Errorf("%v %s", err, b)
	}
	code, out := gun(t, port, "-r", "300", "-R", "100", "-p", "1", "-t", "1", "-C", ";", "-W", "1000")
	if code != 0 && code != 3 || !strings.HasPrefix(out, "***Rate") && strings.Count(strings.SplitN(out, "\n", 2)[0], ";") != 7 || strings.Contains(out, "Running:") {
		t.Errorf("%d %q", code, out)
	}
	code, out = gun(t, port, "--scenario", "avalanche", "-R", "50")
	if code != 0 {
		t.Error(code)
	}
	wantAll(t, out, "Scenario: avalanche.\n", "It took 00:00:0", " to provision 50 clients. \nRequests sent + resent: 1", "\nResponses received: 100\n")
	// On a slow machine a client may have asked again before its answer was read.
	var sent, resent int
	if _, err := fmt.Sscanf(out[strings.Index(out, "Requests sent"):], "Requests sent + resent: %d\nRequests resent: %d\n", &sent, &resent); err != nil || sent-resent != 100 {
		t.Errorf("%d sent, %d of them again: %v", sent, resent, err)
	}
	// Anything dropped makes it 3, and an address outside the pools too.
	if code, _ := gun(t, server(t, true), "-r", "100", "-n", "5", "-W", "1000"); code != 3 {
		t.Errorf("exit %d", code)
	}
	if code, out := gun(t, port, "-n", "5", "--pools", "10.200.0.0/16"); code != 3 || !strings.Contains(out, "addresses outside the pools: 10\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestSweepAndPlot(t *testing.T) {
	dir := t.TempDir()
	svg, js := filepath.Join(dir, "s.svg"), filepath.Join(dir, "s.json")
	code, out := gun(t, server(t, false), "--scenario", "dora", "--sweep", "200:600:3", "-n", "60", "-R", "100", "--plot", svg, "--json", js)
	if code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	wantAll(t, out, "   offered/s ", "\n         200 ", "\n         400 ", "\n         600 ")
	b, err := os.ReadFile(svg)
	if err != nil || xml.Unmarshal(b, new(struct{ XMLName xml.Name })) != nil || !bytes.Contains(b, []byte("dora, udp")) {
		t.Errorf("%v %s", err, b)
	}
	var r loadgen.Result
	if b, err = os.ReadFile(js); err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil || len(r.Sweep) != 3 || r.Sweep[2].Offered != 600 || r.Sweep[0].Goodput <= 0 || r.Rate != 600 {
		t.Errorf("%v %+v", err, r.Sweep)
	}
	if code, _ := gun(t, server(t, false), "--sweep", "200:600:3", "-n", "10", "--plot", filepath.Join(dir, "none", "s.svg")); code != 1 {
		t.Errorf("exit %d", code)
	}
}

// -w: the command runs with "start" when the measurement begins and with "stop"
// after it.
func TestScript(t *testing.T) {
	dir := t.TempDir()
	log, script := filepath.Join(dir, "log"), filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $1 >>"+log+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	port := server(t, false)
	if code, out := gun(t, port, "-n", "5", "-w", script); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	var b []byte
	for range 3000 { // the first is not waited for
		if b, _ = os.ReadFile(log); bytes.Count(b, []byte("\n")) == 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s := string(b); s != "start\nstop\n" && s != "stop\nstart\n" {
		t.Errorf("%q", s)
	}
	if code, _ := gun(t, port, "-n", "5", "-w", filepath.Join(dir, "none")); code != 1 {
		t.Errorf("exit %d", code)
	}
}

// The display: lines stay, the block is taken away before anything else is
// written, and it is never wider than the terminal.
func TestLive(t *testing.T) {
	var b bytes.Buffer
	l := &live{out: &b, in: make(chan message, 64), width: func() int { return 40 }}
	l.done.Go(l.write)
	s := loadgen.Snapshot{ElapsedNs: 2e9, Progress: 0.5, Offered: 1000, Begun: 2000, Completed: 1990, LateSends: 3,
		Exchanges: []loadgen.ExchangeSnapshot{{Exchange: loadgen.DiscoverOffer, Sent: 2000, Received: 1990, Lost: 10, P50: 40_000, P99: 2_345_678, Max: 3e9}},
		Junk:      loadgen.JunkResult{Rate: 5, Sent: 10}, Checks: loadgen.Checks{WrongVLAN: 1}}
	l.in <- message{block: &s}
	l.line("a line that stays\n")
	s2 := s
	s2.ElapsedNs, s2.Begun, s2.Progress = 3e9, 3500, -1
	l.in <- message{block: &s2}
	l.close()
	l.close() // again does nothing
	out := b.String()
	const erase = "\x1b[5A\r\x1b[J"
	if parts := strings.Split(out, erase); len(parts) != 4 || !strings.HasPrefix(parts[1], "a line that stays\n   2.0 s [###") || parts[3] != "" || !strings.Contains(parts[2], "begun 1500/s") || !strings.Contains(parts[0], "begun 1000/s") {
		t.Errorf("%q", out)
	}
	for _, line := range strings.Split(strings.ReplaceAll(out, erase, ""), "\n") {
		if len([]rune(line)) >= 40 {
			t.Errorf("%q is too long", line)
		}
	}
	full := strings.Join(blockOf(&s, nil), "\n")
	wantAll(t, full, "50 %", "wanted 1000/s", "late sends 3", "sent 2000  received 1990  lost 10 (0.50 %)  p50 40µs  p99 2.35ms", "max 3s", "malformed 5/s  answered 0", "CHECKS FAILED", "WrongVLAN:1")
	if pre := blockOf(&loadgen.Snapshot{Preloading: true, Done: 5, Wanted: 10, Progress: 0.5}, nil); len(pre) != 2 || pre[1] != "giving leases: 5 of 10" {
		t.Error(pre)
	}
	if newLive(&b, &config{}).on() {
		t.Error("a buffer was taken for a terminal")
	}
}
