package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

func TestParse(t *testing.T) {
	c, err := parse(strings.Fields("-4 -l eth1 -r100 -R 1000 -n 10 -n 20 -p 5 -t 2 -d 0.5 -d 2 -D 5 -D 10% -b mac=00:0c:01:02:03:ff -Bu -x e -W 1500 -L 10067 -N 10068 --json out.json --xdp --vlan 100.200 --rai 192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		got, want any
	}{
		{"local", c.local, "eth1"}, {"server", c.server, "192.0.2.1"}, {"rate", c.Rate, uint64(100)}, {"clients", c.Clients, uint32(1000)},
		{"n", c.Exchanges, [2]uint64{10, 20}}, {"p", c.Period, 5 * time.Second}, {"t", c.Report, 2 * time.Second},
		{"d", c.DropTime, [2]time.Duration{500 * time.Millisecond, 2 * time.Second}},
		{"D", c.MaxDrops, [2]uint64{5, 0}}, {"D%", c.MaxDropPercent, [2]float64{10, 0}},
		{"b", c.BaseMAC, [6]byte{0, 0x0c, 1, 2, 3, 0xff}}, {"B", c.Broadcast, true}, {"u", c.Unique, true}, {"x e", c.diag("e"), true},
		{"W", c.Wait, 1500 * time.Microsecond}, {"L", c.LocalPort, uint16(10067)}, {"N", c.ServerPort, uint16(10068)},
		{"json", c.json, "out.json"}, {"backend", c.backend, loadgen.AFXDP}, {"rai", c.RAI, true}, {"vlan", [2]uint16(c.VLANs), [2]uint16{100, 200}}, {"scenario", c.Scenario, loadgen.Basic},
	} {
		if x.got != x.want {
			t.Errorf("%s: %v, want %v", x.name, x.got, x.want)
		}
	}
	if c, err = parse([]string{"-l", "eth1", "-i"}); err != nil || c.server != "" || !c.TwoWay || c.ServerPort != 67 || c.backend != loadgen.UDP {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = parse([]string{"all", "-l", "eth1", "--scenario=dora", "--packet"}); err != nil || c.server != "" || c.Scenario != loadgen.DORA {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = parse([]string{"--reflect", "eth1"}); err != nil || c.reflect != "eth1" {
		t.Errorf("%+v %v", c, err)
	}
	dir := t.TempDir()
	macs, relays := filepath.Join(dir, "macs"), filepath.Join(dir, "relays")
	if err := errors.Join(os.WriteFile(macs, []byte("02:00:00:00:00:01\n\n02::00::00::00::00::02\n"), 0o600), os.WriteFile(relays, []byte("10.0.0.1\n10.0.0.2"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err = parse([]string{"-M", macs, "-J", relays, "-r", "10", "-f", "4", "-F", "6", "-4", "-o", "12,61", "-o12,62", "-1", "-s", "7", "-g", "single", "-x", "es", "s"})
	if err != nil || len(c.MACs) != 2 || c.MACs[1] != [6]byte{2, 0, 0, 0, 0, 2} || len(c.Relays) != 2 || c.Relays[1] != 0x0A000002 ||
		c.RenewRate != 4 || c.ReleaseRate != 6 || len(c.ExtraOptions) != 2 || string(c.ExtraOptions[1].Data) != "b" || !c.FirstServer ||
		c.Seed != 7 || !c.diag("s") || !c.diag("e") || c.multi {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []string{"02:00:00:00:00", "10.0.0.256", ""} {
		if err := os.WriteFile(macs, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"-M", "-J"} {
			if _, err := parse([]string{f, macs, "s"}); err == nil {
				t.Errorf("%s with %q was accepted", f, bad)
			}
		}
	}
	if c, err = parse([]string{"-6", "-h"}); err != nil || c.action != help {
		t.Errorf("%+v %v", c, err)
	}
}

// What perfdhcp knows and this program does not serve is refused by name.
func TestParseRefusesWhatIsNotHonoured(t *testing.T) {
	for _, f := range []string{"-a 1", "-g multi --xdp", "-g multi --packet"} {
		_, err := parse(append(strings.Fields(f), "-l", "lo", "192.0.2.1"))
		if err == nil || !strings.Contains(err.Error(), strings.Fields(f)[0]) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, f := range []string{
		"", "-l", "-q", "--unknown", "-l lo a b", "-r 0 s", "-r x s", "-R -1 s", "-R 99999999 s", "-n 0 s", "-n 1 -n 1 -n 1 s", "-p 1.5 s",
		"-d 0 s", "-d x s", "-d NaN s", "-D 0 s", "-D 100% s", "-D x% s", "-D 1 -D 1 -D 1 s", "-b mac s", "-b mac=1:2 s", "-b mac=1:2:3:4:5:xx s",
		"-b foo=1 s", "-L 70000 s", "-W -1 s", "-i -n 1 -n 1 s", "-i -d 1 -d 2 s", "-i -D 1 -D 1 s", "--json", "--xdp=yes s", "--window 0 s", "-: s",
		"-g x s", "-s x s", "--xdp --vlan 4095 s", "--xdp --vlan 1.2.3 s", "--xdp --vlan x s", "--vlan 5 s", "-f 1 s", "-F 1 s", "-r 10 -f 6 -F 5 s", "-i -1 s", "-i -r 5 -f 1 s", "-M no-such-file s", "-J no-such-file s",
		"-o 1 s", "-o 0,ab s", "-o 255,ab s", "-o 12,a s", "-o 12,61 s", "-4 -o x s", "-4 -o 12,a s", "-4 -o 12 s", "-o x,ab s", "--scenario avalanche s", "--scenario storm s",
		"-4 -6 s", "-6 -B s", "-c s", "-6 -c s", "-A 1 s", "-6 -A 2 s", "-e prefix-only s", "-e both s", "-b duid=0102030405 s", "-6 -b duid=01 s",
		"-b duid=010203040506 s", "-6 -b duid=xx s", "servers", "--or 1,ab s", "-6 --or 1,ab s", "-6 -A 1 --or 2:1,ab s", "-6 -A 1 --or 1 s",
		"-T no-such-file s", "-X 4 s", "-O 4 s", "-E 8 s", "-S 1 s", "-I 1 s", "-y 1 s", "-Y 1 s", "-y 0 -Y 1 s", "-P x s", "-x q s", "-w  s", "-o 300,ab s",
		"--mix dora=1 --scenario dora s", "--scenario mixed s", "--mix dora s", "--mix foo=1 s", "--mix dora=1,dora=1 s", "--junk 0 s", "--relays 0 s",
		"--relays 10.0.0.9-10.0.0.1 s", "--relays 2001:db8::1-2001:db8::2 s", "--relays 10.0.0.0-10.1.0.0 s", "--relays 5 --direct s", "--pools x s",
		"--pools 10.0.0.2-10.0.0.1 s", "--sweep 1:2 s", "--sweep 2:1:5 s", "--sweep 1:2:1 s", "--sweep 1:5:3 -r 5 s", "--plot f s", "--sweep 1:5:3 -t 1 s",
		"--sweep 1:5:3 -x l s", "--sweep 1:5:3 -R 5 --scenario storm s", "--cpu x s", "--cpu 0,x s", "--scenario malformed-flood s",
		"-l 192.0.2.2", "-6 -l 2001:db8::2", "--scenario nonsense s", "--re 5 s", "--", "--=x s", "-6 --or 1,ab -A 1 s", "--xdp --packet s", "-r 5 --window 5 s",
		"--scenario storm -R 5 -r 5 s", "--scenario storm -R 5 -n 5 s", "--scenario storm -R 5 -d 5 s", "--reflect eth1 -r 5", "--reflect eth1 s", "--reflect eth1 --packet",
		"-M flags.go -M flags.go s", "-D 1% -D 1% -D 1 s", "-d 1e10 s", "-R 4294967296 s", "-d inf s",
		"-4 --scenario sarr s", "-6 --rai s", "-6 --relays 2 s", "-6 --packet s", "-i -E 1 s", "-i -c s",
	} {
		if c, err := parse(strings.Fields(f)); err == nil {
			t.Errorf("%q was accepted: %+v", f, c)
		}
	}
}

func TestStart(t *testing.T) {
	var b bytes.Buffer
	if code := start([]string{"dhcpgun", "-h"}, &b); code != 0 || !strings.Contains(b.String(), "Usage: dhcpgun") {
		t.Errorf("%d %s", code, b.String())
	}
	b.Reset()
	if code := start([]string{"dhcpgun", "-v"}, &b); code != 0 || b.String() != build+"\n" {
		t.Errorf("%d %s", code, b.String())
	}
	b.Reset()
	if code := start([]string{"dhcpgun", "-V"}, &b); code != 0 || !strings.HasPrefix(b.String(), build) {
		t.Errorf("%d %s", code, b.String())
	}
	for _, args := range [][]string{{"-q"}, {"-l", "no-such-if", "192.0.2.1"}, {"-l", "lo", "nonsense"}, {"--reflect", "no-such-if"}} {
		if code := start(append([]string{"dhcpgun"}, args...), &b); code != 1 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}

func TestAddrNumber(t *testing.T) {
	if n := addrNumber(netip.MustParseAddr("192.0.2.1")); n != 0xC0000201 {
		t.Errorf("%#x", n)
	}
}
