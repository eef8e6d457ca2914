package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestPerfdhcpExamples runs the command lines that perfdhcp's manual page gives as
// examples, with the addresses of the bed, against the server, and ends them as
// one does: with Ctrl-C.
func TestPerfdhcpExamples(t *testing.T) {
	t.Parallel()
	gun := loadGenerator(t)
	interim := regexp.MustCompile(`(?m)^sent: \d+/\d+; received: \d+/\d+; drops: \d+/\d+; rejected: \d+/\d+$`)
	run := func(t *testing.T, b *bed, lines int, args string) (code int, text string) {
		t.Helper()
		p := spawn(t, b.cli, filepath.Join(tempDir(t), "dhcpgun.log"), append([]string{gun}, strings.Fields(args)...)...)
		until(t, "reports of dhcpgun "+args, func() bool { return p.ended() || len(interim.FindAllString(p.text(), -1)) >= lines })
		p.signal(syscall.SIGINT)
		code = p.wait()
		return code, p.text()
	}
	sentReceived := regexp.MustCompile(`sent packets: (\d+)\s+received packets: (\d+)`)
	check := func(t *testing.T, code int, text, first string, answered bool) {
		t.Helper()
		got := sentReceived.FindAllStringSubmatch(text, -1)
		if len(got) != 2 || !strings.HasPrefix(text, first) || !strings.Contains(text, "\nShort waits for packets: ") || !strings.Contains(text, "exchanges/second, expected rate: ") {
			t.Fatalf("exit status %d\n%s", code, text)
		}
		if sent, received := atoi(t, got[0][1]), atoi(t, got[0][2]); sent == 0 || (received > 0) != answered || (code == 3) != (sent != received || got[1][1] != got[1][2]) || code != 0 && code != 3 {
			t.Errorf("exit status %d\n%s", code, text)
		}
	}
	t.Run("v4", func(t *testing.T) {
		b := newBed(t)
		b.cli.addAddr(t, clientIf, relayIP.String()+"/16")
		b.startWith(b.newConf("auto"))
		code, text := run(t, b, 2, "-xi -t 2 -r 10 -R 100 "+serverIP.String())
		check(t, code, text, "Running: dhcpgun -x i -t 2 -r 10 -R 100 "+serverIP.String()+"\nScenario: basic.\n", true)
		code, text = run(t, b, 5, "-xi -t 1 -r 1 -y 10 -Y 3 "+serverIP.String())
		check(t, code, text, "Running: dhcpgun -x i -t 1 -r 1 -y 10 -Y 3 ", true)
		b.p.terminate()
	})
	t.Run("v6", func(t *testing.T) {
		b := newBed6(t)
		b.cli.addAddr(t, clientIf, "2001:db8:77::2/64")
		b.start6(b.newConf6("auto"))
		code, text := run(t, b, 3, "-6 -xi -t 1 -r 1 -R 10 -l "+clientIf+" all")
		check(t, code, text, "Running: dhcpgun -6 -x i -t 1 -r 1 -R 10 -l "+clientIf+" all\nScenario: basic.\n", true)
		// To the server's own address: since RFC 9915 that has no answer.
		code, text = run(t, b, 2, "-6 -xi -t 1 -r 1 -y 10 -Y 3 "+serverIP6)
		check(t, code, text, "Running: dhcpgun -6 -x i -t 1 -r 1 -y 10 -Y 3 ", false)
		b.p.terminate()
	})
}
