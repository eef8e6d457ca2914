package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// check finds contradictions and completes what depends on several flags.
func (c *config) check(rest []string, seen map[string]int) error {
	if len(rest) == 1 {
		c.server = rest[0]
	}
	switch {
	case c.server == "all":
		c.server = ""
	case c.server != "":
	case c.local == "":
		return errors.New("without an interface (-l) the server has to be named")
	default:
		if _, err := netip.ParseAddr(c.local); err == nil {
			return fmt.Errorf("without an interface (-l names %s, an address) the server has to be named", c.local)
		}
	}
	if seen["--mix"] > 0 && seen["--scenario"] == 0 {
		c.Scenario = loadgen.Mixed
	}
	if c.Scenario == loadgen.SARR || c.Scenario == loadgen.Renew6 {
		if c.version == '4' {
			return fmt.Errorf("scenario %s is one of DHCPv6, so not with -4", c.Scenario)
		}
		c.version = '6'
	}
	c.V6 = c.version == '6'
	for _, check := range []func(map[string]int) error{c.checkVersion, c.checkTwoWay, c.checkTemplates, c.checkRates, c.checkOurs} {
		if err := check(seen); err != nil {
			return err
		}
	}
	if seen["b"] > 0 && seen["M"] > 0 {
		return errors.New("options -b and -M exclude each other")
	}
	if (seen["y"] > 0) != (seen["Y"] > 0) {
		return errors.New("options -y and -Y need each other")
	}
	if seen["g"] == 0 { // as perfdhcp, but where there is nothing to receive
		c.multi = c.cores > 1 && c.backend == loadgen.UDP
	}
	if c.multi && c.backend != loadgen.UDP {
		return fmt.Errorf("option -g multi: %w with this kind of socket: the kernel fills its ring while packets are sent, so there is nothing for a second thread to receive", errNotHonoured)
	}
	if c.V6 && len(c.DUID) == 0 && c.MACs == nil {
		mac := c.BaseMAC
		if mac == ([6]byte{}) {
			mac = loadgen.DefaultMAC
		}
		c.DUID = loadgen.DefaultDUID(time.Now(), mac)
	}
	c.Keep, c.Samples = c.diag("l") || c.diag("t"), c.diag("T")
	if c.LocalPort == 0 {
		switch {
		case !c.V6:
			c.LocalPort = 67
		case c.Relayed:
			c.LocalPort = loadgen.ServerPort6
		default:
			c.LocalPort = loadgen.ClientPort6
		}
	}
	if c.ServerPort == 0 {
		c.ServerPort = 67
		if c.V6 {
			c.ServerPort = loadgen.ServerPort6
		}
	}
	return nil
}

// checkVersion checks what is of one version of the protocol only.
func (c *config) checkVersion(seen map[string]int) error {
	if c.V6 {
		for _, f := range []string{"B", "--rai", "--direct", "--relays", "--packet"} {
			if seen[f] > 0 {
				return fmt.Errorf("option %s is one of DHCPv4, so not with -6", dashed(f))
			}
		}
		if len(c.Links6) > 0 && !c.Relayed {
			return errors.New("option -J needs -A with -6")
		}
		if len(c.Relays) > 0 {
			return errors.New("option -J: addresses of DHCPv4 with -6")
		}
		if len(c.RelayOptions) > 0 && !c.Relayed {
			return errors.New("option --or needs -A")
		}
		if c.RapidCommit && !c.TwoWay {
			return errors.New("option -c needs -i")
		}
		return nil
	}
	for _, f := range []string{"A", "c", "--or"} {
		if seen[f] > 0 {
			return fmt.Errorf("option %s is one of DHCPv6, so it needs -6", dashed(f))
		}
	}
	switch {
	case c.Prefixes:
		return fmt.Errorf("option -e %s needs -6", c.leases)
	case len(c.DUID) > 0:
		return errors.New("option -b duid= needs -6")
	case c.server == "servers":
		return errors.New("server \"servers\" needs -6")
	case len(c.Links6) > 0:
		return errors.New("option -J: addresses of DHCPv6 without -6")
	}
	for _, x := range c.ExtraOptions {
		if x.Code > 254 || len(x.Data) > 255 {
			return fmt.Errorf("option -o: code %d with %d octets is one of DHCPv6, so it needs -6", x.Code, len(x.Data))
		}
	}
	return nil
}

func dashed(f string) string {
	if strings.HasPrefix(f, "--") {
		return f
	}
	return "-" + f
}

// checkTwoWay checks what -i excludes.
func (c *config) checkTwoWay(seen map[string]int) error {
	if !c.TwoWay {
		return nil
	}
	for f, second := range map[string]bool{
		"n": seen["n"] > 1, "T": seen["T"] > 1, "X": seen["X"] > 1, "O": seen["O"] > 1,
		"d": seen["d"] > 1 && c.DropTime[1] != time.Second, "D": c.maxDrops > 1 || c.maxPercents > 1,
	} {
		if second {
			return fmt.Errorf("a second -%s needs four-way exchanges, so not -i", f)
		}
	}
	for _, f := range []string{"1", "f", "F", "E", "S", "I"} {
		if seen[f] > 0 {
			return fmt.Errorf("option -%s needs four-way exchanges, so not -i", f)
		}
	}
	return nil
}

// checkTemplates completes -T with its offsets.
func (c *config) checkTemplates(seen map[string]int) error {
	n := len(c.templates)
	switch {
	case len(c.xids) > n:
		return errors.New("option -X needs a -T for each")
	case len(c.randoms) > n:
		return errors.New("option -O needs a -T for each")
	case n > 0 && c.Prefixes:
		return errors.New("option -T is only for -e address-only")
	case n > 0 && c.Scenario != loadgen.Basic:
		return fmt.Errorf("option -T is only for scenario %s", loadgen.Basic)
	case n > 0 && c.Relayed:
		return errors.New("options -T and -A exclude each other: a template is sent as it is")
	case n > 0 && len(c.ExtraOptions) > 0 && (n == 2 || c.TwoWay):
		return errors.New("options -T and -o exclude each other: a template is sent as it is")
	}
	for _, f := range []string{"E", "S", "I"} {
		if seen[f] > 0 && n < 2 {
			return fmt.Errorf("option -%s needs a second -T", f)
		}
	}
	for i, name := range c.templates {
		t, err := readTemplate(name)
		if err != nil {
			return err
		}
		// One offset is that of both.
		if len(c.xids) > 0 {
			t.XIDOffset = c.xids[min(i, len(c.xids)-1)]
		}
		if len(c.randoms) > 0 {
			t.RandomOffset = c.randoms[min(i, len(c.randoms)-1)]
		}
		if i == 1 {
			t.ElapsedOffset, t.ServerIDOffset, t.IPOffset = max(c.offsets[0], 0), max(c.offsets[1], 0), max(c.offsets[2], 0)
		}
		c.Templates = append(c.Templates, t)
	}
	return nil
}

func (c *config) checkRates(seen map[string]int) error {
	if c.RenewRate+c.ReleaseRate > 0 {
		if c.Rate == 0 {
			return errors.New("options -f and -F need -r")
		}
		if c.RenewRate+c.ReleaseRate > c.Rate {
			return fmt.Errorf("renewals and releases, %d and %d per second, are more than the %d exchanges of -r", c.RenewRate, c.ReleaseRate, c.Rate)
		}
	}
	if c.Scenario == loadgen.Storm {
		for _, f := range []string{"r", "n", "d", "D", "W"} {
			if seen[f] > 0 {
				return fmt.Errorf("option -%s is not for scenario %s, which ends when every client is served", f, c.Scenario)
			}
		}
	}
	if c.Scenario == loadgen.Avalanche {
		for _, f := range []string{"r", "n", "p", "d", "D", "W"} {
			if seen[f] > 0 {
				c.ineffective = strings.TrimPrefix(c.ineffective+", -"+f, ", ")
			}
		}
		c.Period = 0
	}
	if (c.Scenario == loadgen.Avalanche || c.Scenario == loadgen.Storm) && c.Clients == 0 && c.MACs == nil {
		return fmt.Errorf("scenario %s needs -R", c.Scenario)
	}
	if c.Scenario == loadgen.MalformedFlood && c.Rate == 0 && c.sweep == nil {
		return fmt.Errorf("scenario %s needs -r", c.Scenario)
	}
	return nil
}

// checkOurs checks the flags perfdhcp does not have.
func (c *config) checkOurs(seen map[string]int) error {
	if len(c.VLANs) > 0 && c.backend == loadgen.UDP {
		return errors.New("option --vlan needs --xdp or --packet: a UDP socket writes no tags")
	}
	if seen["--xdp"] > 0 && seen["--packet"] > 0 {
		return errors.New("options --xdp and --packet exclude each other")
	}
	if seen["--window"] > 0 && (c.Rate > 0 || c.sweep != nil) {
		return errors.New("option --window is for runs without a rate")
	}
	if (c.Scenario == loadgen.Mixed) != (seen["--mix"] > 0) {
		return fmt.Errorf("scenario %s and option --mix need each other", loadgen.Mixed)
	}
	if seen["--relays"] > 0 && (seen["J"] > 0 || c.direct) {
		return errors.New("option --relays excludes -J and --direct")
	}
	if c.plot != "" && c.sweep == nil {
		return errors.New("option --plot needs --sweep")
	}
	if c.sweep != nil {
		switch {
		case c.Rate > 0:
			return errors.New("options --sweep and -r exclude each other")
		case c.Scenario == loadgen.Avalanche || c.Scenario == loadgen.Storm:
			return fmt.Errorf("option --sweep is not for scenario %s", c.Scenario)
		case strings.ContainsAny(c.diags, "ltT"):
			return errors.New("option --sweep is not for -x l, t and T")
		case c.clean != "" || c.Report > 0:
			return errors.New("option --sweep is not for -t: it prints a line for each rate")
		}
		if c.Period == 0 && c.Exchanges[0] == 0 {
			c.Period = 5 * time.Second
		}
	}
	return nil
}
