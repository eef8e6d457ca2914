package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// shortFlags is perfdhcp's getopt string.
const shortFlags = "huvV46A:r:t:R:b:n:p:d:D:l:P:a:L:N:M:s:iBc1J:T:X:O:o:E:S:I:x:W:w:e:f:F:g:C:y:Y:"

// longFlags are those with two dashes; true if they take a value.
var longFlags = map[string]bool{
	"scenario": true, "or": true, // perfdhcp's
	"xdp": false, "packet": false, "reflect": true, "json": true, "window": true, "rai": false, "direct": false, "vlan": true,
}

// config is the command line.
type config struct {
	loadgen.Options
	local, server string // server: "" is broadcast
	backend       loadgen.Backend
	reflect       string
	json          string
	exitReason    bool
	showServer    bool
	clean         string
	direct        bool
	action        action
}

type action int

const (
	run action = iota
	help
	version
	longVersion
)

// errNotHonoured is wrapped by the refusal of a flag that perfdhcp has and this
// program does not serve.
var errNotHonoured = errors.New("not supported yet")

// parse reads the command line as getopt does: short flags may be joined, values
// may follow directly, arguments may stand anywhere.
func parse(args []string) (*config, error) {
	c := &config{backend: loadgen.UDP}
	c.Scenario = loadgen.Basic
	c.ServerPort = 67
	seen := map[string]int{}
	v6 := false
	var rest []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(a, "--"):
			name, val, has := strings.Cut(a[2:], "=")
			takes, known := longFlags[name]
			if !known {
				return nil, fmt.Errorf("unknown option --%s", name)
			}
			if takes && !has {
				if i++; i == len(args) {
					return nil, fmt.Errorf("option --%s needs a value", name)
				}
				val = args[i]
			} else if !takes && has {
				return nil, fmt.Errorf("option --%s takes no value", name)
			}
			if err := c.long(name, val); err != nil {
				return nil, err
			}
		case len(a) > 1 && a[0] == '-':
			for j := 1; j < len(a); j++ {
				k := strings.IndexByte(shortFlags, a[j])
				if k < 0 || a[j] == ':' {
					return nil, fmt.Errorf("unknown option -%c", a[j])
				}
				name, val := string(a[j]), ""
				if k+1 < len(shortFlags) && shortFlags[k+1] == ':' {
					val = a[j+1:]
					if val == "" {
						if i++; i == len(args) {
							return nil, fmt.Errorf("option -%s needs a value", name)
						}
						val = args[i]
					}
					j = len(a)
				}
				if name == "6" {
					v6 = true
				}
				if err := c.short(name, val, seen[name]); err != nil {
					return nil, err
				}
				seen[name]++
			}
		default:
			rest = append(rest, a)
		}
	}
	if c.action != run {
		return c, nil
	}
	if v6 {
		return nil, fmt.Errorf("option -6: %w", errNotHonoured)
	}
	if len(rest) > 1 {
		return nil, fmt.Errorf("extra arguments: %s", strings.Join(rest[1:], " "))
	}
	if c.reflect != "" {
		return c, nil
	}
	return c, c.check(rest, seen)
}

// check finds contradictions.
func (c *config) check(rest []string, seen map[string]int) error {
	if len(rest) == 1 {
		c.server = rest[0]
	}
	if c.server == "all" {
		c.server = ""
	} else if c.server == "" && c.local == "" {
		return errors.New("without an interface (-l) the server has to be named")
	}
	if c.TwoWay {
		for _, f := range []string{"n", "d", "D"} {
			if seen[f] > 1 {
				return fmt.Errorf("a second -%s needs four-way exchanges, so not -i", f)
			}
		}
	}
	if c.TwoWay && (seen["1"] > 0 || seen["f"] > 0 || seen["F"] > 0) {
		return errors.New("options -1, -f and -F need four-way exchanges, so not -i")
	}
	if seen["b"] > 0 && seen["M"] > 0 {
		return errors.New("options -b and -M exclude each other")
	}
	if c.RenewRate+c.ReleaseRate > 0 {
		if c.Rate == 0 {
			return errors.New("options -f and -F need -r")
		}
		if c.RenewRate+c.ReleaseRate > c.Rate {
			return fmt.Errorf("renewals and releases, %d and %d per second, are more than the %d exchanges of -r", c.RenewRate, c.ReleaseRate, c.Rate)
		}
	}
	if (c.Scenario == loadgen.Avalanche || c.Scenario == loadgen.Storm) && c.Clients == 0 && c.MACs == nil {
		return fmt.Errorf("scenario %s needs -R", c.Scenario)
	}
	if len(c.VLANs) > 0 && c.backend == loadgen.UDP {
		return errors.New("option --vlan needs --xdp or --packet: a UDP socket writes no tags")
	}
	if c.Report == 0 && c.clean != "" {
		return errors.New("option -C needs -t")
	}
	return nil
}

func (c *config) long(name, val string) error {
	switch name {
	case "scenario":
		c.Scenario = loadgen.Scenario(val)
	case "or":
		return fmt.Errorf("option --or: %w", errNotHonoured)
	case "xdp":
		c.backend = loadgen.AFXDP
	case "packet":
		c.backend = loadgen.AFPacket
	case "reflect":
		c.reflect = val
	case "json":
		c.json = val
	case "rai":
		c.RAI = true
	case "direct":
		c.direct = true
	case "vlan":
		for _, v := range strings.Split(val, ".") {
			n, err := strconv.ParseUint(v, 10, 12)
			if err != nil || n > 4094 || len(c.VLANs) == 2 {
				return fmt.Errorf("option --vlan: %q is not one VLAN identifier, or two with a dot between them", val)
			}
			c.VLANs = append(c.VLANs, uint16(n))
		}
	case "window":
		n, err := positive("--window", val)
		c.Window = uint32(min(n, 1<<31))
		return err
	}
	return nil
}

// short handles one of perfdhcp's flags; again is how often it came before.
func (c *config) short(name, val string, again int) (err error) {
	var n uint64
	switch name {
	case "h":
		c.action = help
	case "v":
		c.action = version
	case "V":
		c.action = longVersion
	case "4", "6":
	case "l":
		c.local = val
	case "r":
		c.Rate, err = positive("-r", val)
	case "R":
		n, err = positive("-R", val)
		if n > loadgen.MaxClients {
			return fmt.Errorf("option -R: %d clients, the most is %d", n, loadgen.MaxClients)
		}
		c.Clients = uint32(n)
	case "n":
		if again > 1 {
			return errors.New("option -n: more than two")
		}
		c.Exchanges[again], err = positive("-n", val)
	case "p":
		n, err = positive("-p", val)
		c.Period = time.Duration(n) * time.Second
	case "t":
		n, err = positive("-t", val)
		c.Report = time.Duration(n) * time.Second
	case "d":
		f, ferr := strconv.ParseFloat(val, 64)
		if ferr != nil || !(f > 0 && f < 1e6) {
			return fmt.Errorf("option -d: %q is not a positive number of seconds", val)
		}
		switch again {
		case 0: // of both stages until told otherwise
			c.DropTime = [2]time.Duration{time.Duration(f * 1e9), time.Second}
		case 1:
			c.DropTime[1] = time.Duration(f * 1e9)
		default:
			return errors.New("option -d: more than two")
		}
	case "D":
		if again > 1 {
			return errors.New("option -D: more than two")
		}
		if p, ok := strings.CutSuffix(val, "%"); ok {
			f, ferr := strconv.ParseFloat(p, 64)
			if ferr != nil || !(f > 0 && f < 100) {
				return fmt.Errorf("option -D: %q is not a percentage between 0 and 100", val)
			}
			c.MaxDropPercent[again] = f
			return nil
		}
		c.MaxDrops[again], err = positive("-D", val)
	case "b":
		return c.base(val)
	case "B":
		c.Broadcast = true
	case "i":
		c.TwoWay = true
	case "u":
		c.Unique = true
	case "1":
		c.FirstServer = true
	case "s":
		c.Seed, err = strconv.ParseUint(val, 10, 32)
		if err != nil {
			return fmt.Errorf("option -s: %q is not a number", val)
		}
	case "g":
		switch val {
		case "single":
		case "multi":
			return fmt.Errorf("option -g multi: %w", errNotHonoured)
		default:
			return fmt.Errorf("option -g: %q is neither single nor multi", val)
		}
	case "f":
		c.RenewRate, err = positive("-f", val)
	case "F":
		c.ReleaseRate, err = positive("-F", val)
	case "M":
		c.MACs, err = readMACs(val)
	case "J":
		c.Relays, err = readRelays(val)
	case "o":
		return c.extra(val)
	case "L":
		c.LocalPort, err = port("-L", val)
	case "N":
		c.ServerPort, err = port("-N", val)
	case "W":
		n, err = positive("-W", val)
		c.Wait = time.Duration(n) * time.Microsecond
	case "C":
		if val == "" {
			return errors.New("option -C: the separator is empty")
		}
		c.clean = val
	case "x":
		for _, k := range val {
			switch k {
			case 'e':
				c.exitReason = true
			case 's':
				c.showServer = true
			default:
				return fmt.Errorf("option -x %c: %w", k, errNotHonoured)
			}
		}
	case "e":
		if val != "address-only" {
			return fmt.Errorf("option -e %s: %w", val, errNotHonoured)
		}
	default:
		return fmt.Errorf("option -%s: %w", name, errNotHonoured)
	}
	return err
}

// extra is -o code,hex.
func (c *config) extra(val string) error {
	code, data, ok := strings.Cut(val, ",")
	n, err := strconv.ParseUint(code, 10, 8)
	b, herr := hex.DecodeString(data)
	if !ok || err != nil || herr != nil || n == 0 || n == 255 || len(b) == 0 || len(b) > 255 {
		return fmt.Errorf("option -o: %q is not a code from 1 to 254, a comma and 1 to 255 octets in hexadecimal", val)
	}
	c.ExtraOptions = append(c.ExtraOptions, loadgen.ExtraOption{Code: uint8(n), Data: b})
	return nil
}

// readLines hands every line that is not empty to take.
func readLines(flag, name string, take func(string) error) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("option %s: %w", flag, err)
	}
	n := 0
	for i, l := range strings.Split(string(b), "\n") {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if err := take(l); err != nil {
			return fmt.Errorf("option %s: %s:%d: %w", flag, name, i+1, err)
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("option %s: %s is empty", flag, name)
	}
	return nil
}

func readMACs(name string) (macs [][6]byte, err error) {
	return macs, readLines("-M", name, func(l string) error {
		m, err := parseMAC(l)
		macs = append(macs, m)
		return err
	})
}

func readRelays(name string) (addrs []uint32, err error) {
	return addrs, readLines("-J", name, func(l string) error {
		a, err := netip.ParseAddr(l)
		if err != nil || !a.Is4() || a.IsUnspecified() {
			return fmt.Errorf("%q is not an IPv4 address of a relay", l)
		}
		addrs = append(addrs, addrNumber(a))
		return nil
	})
}

// parseMAC reads six octets with : or :: between them.
func parseMAC(v string) (m [6]byte, err error) {
	parts := strings.Split(strings.ReplaceAll(v, "::", ":"), ":")
	if len(parts) != 6 {
		return m, fmt.Errorf("%q does not have six octets", v)
	}
	for i, p := range parts {
		x, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return m, fmt.Errorf("%q is not a hexadecimal octet", p)
		}
		m[i] = byte(x)
	}
	return m, nil
}

// base is -b type=value.
func (c *config) base(val string) error {
	kind, v, ok := strings.Cut(val, "=")
	if !ok {
		return fmt.Errorf("option -b: %q is not type=value", val)
	}
	switch strings.ToLower(kind) {
	case "mac", "ether":
		m, err := parseMAC(v)
		if err != nil {
			return fmt.Errorf("option -b: %w", err)
		}
		c.BaseMAC = m
		return nil
	case "duid":
		return fmt.Errorf("option -b duid=: %w", errNotHonoured)
	}
	return fmt.Errorf("option -b: unknown type %q", kind)
}

func positive(name, val string) (uint64, error) {
	n, err := strconv.ParseUint(val, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("option %s: %q is not a positive number", name, val)
	}
	return n, nil
}

func port(name, val string) (uint16, error) {
	n, err := strconv.ParseUint(val, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("option %s: %q is not a port", name, val)
	}
	return uint16(n), nil
}

// attach finds the interface and the addresses and completes the options.
func (c *config) attach() (*loadgen.Link, netip.Addr, error) {
	server := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if c.server != "" {
		var err error
		if server, err = netip.ParseAddr(c.server); err != nil || !server.Is4() {
			return nil, server, fmt.Errorf("read server address: %q is not an IPv4 address", c.server)
		}
	}
	k, err := loadgen.FindLink(c.local, server)
	if err != nil {
		return nil, server, err
	}
	if !k.Addr.IsValid() && !c.direct {
		return nil, server, fmt.Errorf("use %s: it has no IPv4 address, which a relay needs", k.Name)
	}
	if c.LocalPort == 0 {
		c.LocalPort = 67
	}
	c.LocalMAC = k.MAC
	c.IfIndex = uint32(k.Index)
	c.ServerAddr = addrNumber(server)
	c.ServerMAC = [6]byte{255, 255, 255, 255, 255, 255}
	if k.Addr.IsValid() {
		c.LocalAddr = addrNumber(k.Addr)
	}
	if !c.direct {
		c.GIAddr = c.LocalAddr
	}
	if c.server != "" && c.backend != loadgen.UDP && len(c.VLANs) == 0 {
		if err := k.Resolve(server); err != nil {
			return nil, server, err
		}
		c.ServerMAC = k.ServerMAC
	}
	return k, server, nil
}

func addrNumber(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

const usage = `dhcpgun: a load generator for DHCP servers with the command line of perfdhcp.

Usage: dhcpgun [-4] [-l ADDR|IFACE] [-r RATE] [-R CLIENTS] [-n N [-n N]] [-p SECONDS] [-t SECONDS]
       [-d SECONDS [-d SECONDS]] [-D N|N% [-D N|N%]] [-b mac=BASE | -M FILE] [-J FILE] [-f RATE] [-F RATE]
       [-o CODE,HEX]... [-B] [-i] [-1] [-u] [-s SEED] [-L PORT] [-N PORT] [-W MICROSECONDS] [-C SEPARATOR]
       [-x es] [-g single] [--scenario NAME] [--xdp|--packet] [--rai] [--direct] [--vlan VID[.VID]]
       [--window N] [--json FILE] [SERVER|all]
       dhcpgun --reflect IFACE

perfdhcp's: -4 DHCPv4 · -l own address or interface · -r exchanges begun per second, else as many as can be ·
  -R simulated clients · -n stop after N first (second) messages · -p stop after a time · -t interim report ·
  -d drop time · -D stop after drops · -b first hardware address · -M hardware addresses from a file ·
  -J relay addresses from a file · -f renewals per second · -F releases per second · -o option for every message ·
  -B broadcast flag · -i DISCOVER and OFFER only · -1 use the first server identifier · -u count addresses given
  twice · -s random seed · -L -N local and server port · -W wait for late answers at the end · -C machine-readable
  interim report · -x e reason of the end, s server identifier · -h -v -V
Ours: --scenario basic|avalanche|dora|renew|discover-flood|storm · --xdp AF_XDP · --packet AF_PACKET (default: UDP
  sockets) · --rai send and check option 82 · --direct clients without a relay · --vlan tags of every packet · --window outstanding exchanges
  without -r · --json write everything to a file · --reflect answer every packet with itself, the yardstick
Other flags of perfdhcp are refused by name. Exit status: 0, 1 after an error, 3 if anything was dropped or a check
of the answers failed.
`

func writeUsage(f *os.File) { fmt.Fprint(f, usage) }
