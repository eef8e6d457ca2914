package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// Command lines as perfdhcp's manual page has them, in its examples and in what it
// says about each option: they mean here what they mean there.
func TestPerfdhcpCommandLines(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	macs, relays, relays6 := file("macs", "00:0c:01:02:03:04\n"), file("relays", "10.0.0.1\n10.0.0.2\n"), file("relays6", "2001:db8::1\n")
	hex4, hex6 := file("discover.hex", strings.Repeat("12 B4 1 2 B 4\n", 40)), file("solicit.hex", strings.Repeat("01", 60))
	for _, c := range []struct {
		line string
		want func(c *config) bool
	}{
		// The four examples.
		{"-xi -t 2 -r 10 -R 100 192.0.2.1", func(c *config) bool {
			return !c.V6 && c.diag("i") && c.Report == 2*time.Second && c.Rate == 10 && c.Clients == 100 && c.server == "192.0.2.1" && c.LocalPort == 67 && c.ServerPort == 67
		}},
		{"-6 -xi -t 1 -r 1 -R 10 -l eth0 all", func(c *config) bool {
			return c.V6 && c.diag("i") && c.Report == time.Second && c.Rate == 1 && c.Clients == 10 && c.local == "eth0" && c.server == "" && c.LocalPort == 546 && c.ServerPort == 547
		}},
		{"-xi -t 1 -r 1 -y 10 -Y 3 192.0.2.1", func(c *config) bool { return c.SecsFor == 10*time.Second && c.SecsAfter == 3*time.Second }},
		{"-6 -xi -t 1 -r 1 -y 10 -Y 3 2001:db8::1", func(c *config) bool {
			return c.V6 && c.SecsFor == 10*time.Second && c.SecsAfter == 3*time.Second && c.server == "2001:db8::1"
		}},
		// Arguments.
		{"-l eth0", func(c *config) bool { return c.server == "" }},
		{"-6 -l eth0 servers", func(c *config) bool { return c.server == "servers" }},
		{"-4 -l 192.0.2.2 192.0.2.1", func(c *config) bool { return c.local == "192.0.2.2" }},
		// Options.
		{"-1 s", func(c *config) bool { return c.FirstServer }},
		{"-b mac=00:0c:01:02:03:04 s", func(c *config) bool { return c.BaseMAC == [6]byte{0, 12, 1, 2, 3, 4} }},
		{"-b ether=00::0C::01::02::03::05 s", func(c *config) bool { return c.BaseMAC == [6]byte{0, 12, 1, 2, 3, 5} }},
		{"-6 -b duid=0101010101010101010110111F14 -b mac=00:0c:01:02:03:06 s", func(c *config) bool {
			return fmt.Sprintf("%x", c.DUID) == "0101010101010101010110111f14" && c.BaseMAC[5] == 6
		}},
		{"-d 0.25 s", func(c *config) bool { return c.DropTime[0] == 250*time.Millisecond }},
		{"-D 1 s", func(c *config) bool { return c.MaxDrops[0] == 1 }},
		{"-D 5% -D 10% s", func(c *config) bool { return c.MaxDropPercent == [2]float64{5, 10} }},
		{"-e address-only s", func(c *config) bool { return !c.Prefixes && !c.NoAddresses }},
		{"-6 -e prefix-only s", func(c *config) bool { return c.Prefixes && c.NoAddresses }},
		{"-6 -e address-and-prefix s", func(c *config) bool { return c.Prefixes && !c.NoAddresses }},
		{"-r 100 -f 30 -F 70 s", func(c *config) bool { return c.RenewRate == 30 && c.ReleaseRate == 70 }},
		{"-g single s", func(c *config) bool { return !c.multi }},
		{"-g multi s", func(c *config) bool { return c.multi }},
		{"-i -c -6 s", func(c *config) bool { return c.TwoWay && c.RapidCommit }},
		{"-J " + relays + " s", func(c *config) bool { return len(c.Relays) == 2 && !c.RelayByClient }},
		{"-6 -A 1 -J " + relays6 + " s", func(c *config) bool { return len(c.Links6) == 1 && c.Relayed && c.LocalPort == 547 }},
		{"-L 0 -N 0 s", func(c *config) bool { return c.LocalPort == 67 && c.ServerPort == 67 }},
		{"-L 10067 -N 10547 s", func(c *config) bool { return c.LocalPort == 10067 && c.ServerPort == 10547 }},
		{"-M " + macs + " s", func(c *config) bool { return len(c.MACs) == 1 }},
		{"-4 -o 60,646f63736973 s", func(c *config) bool {
			return len(c.ExtraOptions) == 1 && c.ExtraOptions[0].Code == 60 && string(c.ExtraOptions[0].Data) == "docsis"
		}},
		{"-6 -A1 --or 38,31323334 s", func(c *config) bool {
			return len(c.RelayOptions) == 1 && c.RelayOptions[0].Code == 38 && string(c.RelayOptions[0].Data) == "1234"
		}},
		{"-6 -A1 --or 1:38,31323334 --or 37,ff s", func(c *config) bool { return len(c.RelayOptions) == 2 && c.RelayOptions[0].Code == 38 }},
		{"-P 0 s", func(c *config) bool { return c.Preload == 0 }},
		{"-P 500 s", func(c *config) bool { return c.Preload == 500 }},
		{"-R 0 s", func(c *config) bool { return c.Clients == 0 }}, // is 1
		{"-s 0 s", func(c *config) bool { return c.Seed == 0 }},
		{"--scenario avalanche -R 100 s", func(c *config) bool { return c.Scenario == loadgen.Avalanche }},
		{"--scenario basic s", func(c *config) bool { return c.Scenario == loadgen.Basic }},
		{"-u s", func(c *config) bool { return c.Unique }},
		{"-W 1000000 s", func(c *config) bool { return c.Wait == time.Second }},
		{"-w script.sh s", func(c *config) bool { return c.script == "script.sh" }},
		{"-x aeilstT s", func(c *config) bool { return c.diags == "aeilstT" && c.Keep && c.Samples }},
		{"-x e -x s s", func(c *config) bool { return c.diags == "s" }}, // the last counts
		{"-t 1 -C ; s", func(c *config) bool { return c.clean == ";" }},
		{"-n 10 -p 5 s", func(c *config) bool { return c.Exchanges[0] == 10 && c.Period == 5*time.Second }},
		// Templates.
		{"-T " + hex4 + " s", func(c *config) bool {
			return len(c.Templates) == 1 && len(c.Templates[0].Data) == 160 && c.Templates[0].Data[0] == 0x12 && c.Templates[0].Data[3] == 0xB4
		}},
		{"-T " + hex4 + " -T " + hex4 + " -X 4 -X 5 -O 33 -O 34 -E 8 -S 54 -I 70 s", func(c *config) bool {
			d, r := c.Templates[0], c.Templates[1]
			return d.XIDOffset == 4 && d.RandomOffset == 33 && d.ServerIDOffset == 0 && r.XIDOffset == 5 && r.RandomOffset == 34 && r.ElapsedOffset == 8 && r.ServerIDOffset == 54 && r.IPOffset == 70
		}},
		{"-T " + hex4 + " -T " + hex4 + " -X 6 -O 40 s", func(c *config) bool { // one offset is that of both
			return c.Templates[1].XIDOffset == 6 && c.Templates[1].RandomOffset == 40
		}},
		{"-6 -i -T " + hex6 + " -X 1 -O 21 -l eth0", func(c *config) bool { return c.Templates[0].RandomOffset == 21 && c.TwoWay }},
	} {
		got, err := parse(strings.Fields(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
		} else if !c.want(got) {
			t.Errorf("%s: %+v", c.line, got)
		}
	}
	// Combinations the manual excludes.
	for _, line := range []string{
		"-i -d 1 -d 2 s", "-i -D 1 -D 2 s", "-i -E 1 s", "-i -S 1 s", "-i -I 1 s", "-i -F 1 -r 1 s", "-i -f 1 -r 1 s", "-i -1 s",
		"-i -T " + hex4 + " -T " + hex4 + " s", "-i -T " + hex4 + " -X 1 -X 2 s", "-i -T " + hex4 + " -O 5 -O 6 s", "-M " + macs + " -b mac=00:0c:01:02:03:04 s",
		"-4 -e prefix-only s", "-O 2 -T " + hex4 + " s", "-6 -T " + hex6 + " -e prefix-only s", "-6 -J " + relays + " -A 1 s", "-J " + relays6 + " s",
		"-J " + relays + " -J " + relays + " s", "-T " + macs + " s", "-T " + file("empty", " \n") + " s", "-T " + file("odd", "123") + " s", "",
		"-T " + hex4 + " -T " + hex4 + " -T " + hex4 + " s", "-4 -T " + hex4 + " -T " + hex4 + " -o 12,61 s", "-6 -T " + hex6 + " -A 1 s",
	} {
		if c, err := parse(strings.Fields(line)); err == nil {
			t.Errorf("%q was accepted: %+v", line, c)
		}
	}
}

// Where perfdhcp's code is not what its manual or anybody expects, scripts rely on
// the code: command_options.cc of Kea 3.3.1.
func TestPerfdhcpCode(t *testing.T) {
	for _, c := range []struct {
		line string
		want func(c *config) bool
	}{
		// Numbers and percentages of -D have a first and a second stage each.
		{"-D 5 -D 10% s", func(c *config) bool { return c.MaxDrops == [2]uint64{5, 0} && c.MaxDropPercent == [2]float64{10, 0} }},
		{"-i -D 5 -D 10% s", func(c *config) bool { return c.TwoWay }},
		{"-D 5 -D 10% -D 6 s", func(c *config) bool { return c.MaxDrops == [2]uint64{5, 6} && c.MaxDropPercent == [2]float64{10, 0} }},
		// A third -d is a second one, and a second of one second none.
		{"-d 1 -d 2 -d 3 s", func(c *config) bool { return c.DropTime == [2]time.Duration{time.Second, 3 * time.Second} }},
		{"-i -d 3 -d 1 s", func(c *config) bool { return c.DropTime[0] == 3*time.Second }},
		{"-W 0 s", func(c *config) bool { return c.Wait == loadgen.NoWait }},
		{"-C , s", func(c *config) bool { return c.clean == "," }},
		{"-4 -o 80, s", func(c *config) bool { return len(c.ExtraOptions) == 1 && len(c.ExtraOptions[0].Data) == 0 }},
		{"-r +5 -A1 -6 s", func(c *config) bool { return c.Rate == 5 && c.Relayed }},
		{"--scen basic --s avalanche -R 5 s", func(c *config) bool { return c.Scenario == loadgen.Avalanche }},
		{"-6 -A 1 --o 1:38, s", func(c *config) bool { return len(c.RelayOptions) == 1 }},
		{"-h -q --nonsense", func(c *config) bool { return c.action == help }},
		{"-v -h", func(c *config) bool { return c.action == version }},
		// An avalanche goes on until all are served.
		{"--scenario avalanche -R 5 -p 1 -n 3 -r 7 s", func(c *config) bool { return c.Period == 0 && c.ineffective == "-r, -n, -p" }},
		{"-xi -t 2 -r10 -R 100 192.0.2.1", func(c *config) bool { return c.line == " -x i -t 2 -r 10 -R 100 192.0.2.1" }},
	} {
		got, err := parse(strings.Fields(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
		} else if !c.want(got) {
			t.Errorf("%s: %+v", c.line, got)
		}
	}
	// Threads are as many as there are processors for, where a socket has a use
	// for a second one; and perfdhcp says what it thinks of that.
	for _, x := range []struct {
		cores  int
		line   string
		multi  bool
		advice string
	}{
		{1, "s", false, ""}, {2, "s", true, ""}, {2, "-g single s", false, "-g multi"}, {1, "-g multi s", true, "-g single"},
		{2, "--xdp s", false, ""}, {2, "-g single --xdp s", false, ""},
	} {
		c, err := parseOn(x.cores, strings.Fields(x.line))
		if err != nil {
			t.Errorf("%s: %v", x.line, err)
			continue
		}
		var b strings.Builder
		c.writeBanner(&b, "mode")
		if c.multi != x.multi || strings.Contains(b.String(), "Multi-thread mode enabled.") != x.multi ||
			strings.Contains(b.String(), "WARNING") != (x.advice != "") || !strings.Contains(b.String(), x.advice) {
			t.Errorf("%d processors, %s: %q", x.cores, x.line, b.String())
		}
	}
}
