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
	"mix": true, "junk": true, "relays": true, "pools": true, "sweep": true, "plot": true, "cpu": true,
}

// config is the command line.
type config struct {
	loadgen.Options
	local, server string // server: "" is broadcast, or the multicast group of all
	backend       loadgen.Backend
	multi         bool // -g multi
	reflect       string
	json          string
	plot          string
	sweep         []uint64
	script        string // -w
	diags         string // keys of -x
	clean         string
	direct        bool
	version       byte   // '4', '6', 0 if not said
	ownRelays     uint32 // --relays N
	leases        string // -e
	templates     []string
	xids, randoms []int
	offsets       [3]int // -E -S -I
	base          []string
	action        action
}

func (c *config) diag(key string) bool { return strings.Contains(c.diags, key) }

type action int

const (
	run action = iota
	help
	version
	longVersion
)

// errNotHonoured is wrapped by the refusal of a flag that perfdhcp has and this
// program does not serve.
var errNotHonoured = errors.New("not supported")

// parse reads the command line as getopt does: short flags may be joined, values
// may follow directly, arguments may stand anywhere.
func parse(args []string) (*config, error) {
	c := &config{backend: loadgen.UDP}
	c.Scenario = loadgen.Basic
	seen := map[string]int{}
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
			seen["--"+name]++
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
	if len(rest) > 1 {
		return nil, fmt.Errorf("extra arguments: %s", strings.Join(rest[1:], " "))
	}
	if c.reflect != "" {
		return c, nil
	}
	return c, c.check(rest, seen)
}

func (c *config) long(name, val string) error {
	switch name {
	case "scenario":
		c.Scenario = loadgen.Scenario(val)
	case "or":
		return c.relayOption(val)
	case "mix":
		m, err := loadgen.ParseMix(val)
		if err != nil {
			return fmt.Errorf("option --mix: %w", err)
		}
		c.Mix = m
	case "junk":
		n, err := positive("--junk", val)
		c.JunkRate = n
		return err
	case "relays":
		return c.relays(val)
	case "pools":
		p, err := loadgen.ParsePools(val)
		if err != nil {
			return fmt.Errorf("option --pools: %w", err)
		}
		c.Pools = append(c.Pools, p...)
	case "sweep":
		r, err := loadgen.ParseSweep(val)
		if err != nil {
			return fmt.Errorf("option --sweep: %w", err)
		}
		c.sweep = r
	case "plot":
		c.plot = val
	case "cpu":
		c.CPUs = nil
		for _, f := range strings.Split(val, ",") {
			n, err := strconv.ParseUint(f, 10, 10)
			if err != nil {
				return fmt.Errorf("option --cpu: %q is not a CPU, or several with commas between them", val)
			}
			c.CPUs = append(c.CPUs, int(n))
		}
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
		if c.version != 0 && c.version != name[0] {
			return errors.New("options -4 and -6 exclude each other")
		}
		c.version = name[0]
	case "l":
		c.local = val
	case "r":
		c.Rate, err = positive("-r", val)
	case "R":
		n, err = natural("-R", val)
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
		if again > 3 {
			return errors.New("option -b: more than four")
		}
		c.base = append(c.base, val)
		return c.parseBase(val)
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
		case "single", "multi":
			c.multi = val == "multi"
		default:
			return fmt.Errorf("option -g: %q is neither single nor multi", val)
		}
	case "A":
		if val != "1" {
			return fmt.Errorf("option -A: %q relays; there can be 1", val)
		}
		c.Relayed = true
	case "c":
		c.RapidCommit = true
	case "P":
		c.Preload, err = natural("-P", val)
	case "w":
		if val == "" {
			return errors.New("option -w: no command")
		}
		c.script = val
	case "y":
		n, err = positive("-y", val)
		c.SecsFor = time.Duration(n) * time.Second
	case "Y":
		n, err = natural("-Y", val)
		c.SecsAfter = time.Duration(n) * time.Second
	case "T":
		if again > 1 {
			return errors.New("option -T: more than two")
		}
		c.templates = append(c.templates, val)
	case "X", "O":
		if again > 1 {
			return fmt.Errorf("option -%s: more than two", name)
		}
		n, err = positive("-"+name, val)
		if name == "X" {
			c.xids = append(c.xids, int(n))
			break
		}
		if err == nil && n < 4 {
			return fmt.Errorf("option -O: %d is not greater than 3", n)
		}
		c.randoms = append(c.randoms, int(n))
	case "E":
		n, err = natural("-E", val)
		c.offsets[0] = int(n)
	case "S", "I":
		n, err = positive("-"+name, val)
		c.offsets[strings.Index("SI", name)+1] = int(n)
	case "a":
		return errors.New("option -a: it has no meaning, in perfdhcp neither")
	case "f":
		c.RenewRate, err = positive("-f", val)
	case "F":
		c.ReleaseRate, err = positive("-F", val)
	case "M":
		c.MACs, err = readMACs(val)
	case "J":
		if again > 0 {
			return errors.New("option -J: more than one")
		}
		c.Relays, c.Links6, err = readRelays(val)
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
		if k := strings.Trim(val, "aeilstT"); val == "" || k != "" {
			return fmt.Errorf("option -x: %q is none of the keys a, e, i, l, s, t and T", k)
		}
		c.diags = val // the last counts, as in perfdhcp
	case "e":
		switch val {
		case "address-only":
			c.Prefixes, c.NoAddresses = false, false
		case "prefix-only":
			c.Prefixes, c.NoAddresses = true, true
		case "address-and-prefix":
			c.Prefixes, c.NoAddresses = true, false
		default:
			return fmt.Errorf("option -e: %q is none of address-only, prefix-only and address-and-prefix", val)
		}
		c.leases = val
	default:
		return fmt.Errorf("option -%s: %w", name, errNotHonoured)
	}
	return err
}

// extra is -o code,hex.
func (c *config) extra(val string) error {
	x, err := parseOption(val)
	if err != nil {
		return fmt.Errorf("option -o: %w", err)
	}
	c.ExtraOptions = append(c.ExtraOptions, x)
	return nil
}

// relayOption is --or [level:]code,hex.
func (c *config) relayOption(val string) error {
	if level, rest, ok := strings.Cut(val, ":"); ok {
		if level != "1" {
			return fmt.Errorf("option --or: level %q; there is but 1", level)
		}
		val = rest
	}
	x, err := parseOption(val)
	if err != nil {
		return fmt.Errorf("option --or: %w", err)
	}
	c.RelayOptions = append(c.RelayOptions, x)
	return nil
}

func parseOption(val string) (x loadgen.ExtraOption, err error) {
	code, data, ok := strings.Cut(val, ",")
	n, err := strconv.ParseUint(code, 10, 16)
	b, herr := hex.DecodeString(data)
	if !ok || err != nil || herr != nil || n == 0 || n == 255 || len(b) == 0 || len(b) > 1024 {
		return x, fmt.Errorf("%q is not a code (with -4 from 1 to 254), a comma and octets in hexadecimal", val)
	}
	return loadgen.ExtraOption{Code: uint16(n), Data: b}, nil
}

// relays is --relays N or FIRST-LAST.
func (c *config) relays(val string) error {
	const most = 1 << 16
	if n, err := strconv.ParseUint(val, 10, 32); err == nil && n > 0 && n <= most {
		c.ownRelays = uint32(n)
		return nil
	}
	p, err := loadgen.ParsePools(val)
	if err != nil || len(p) != 1 || !p[0].First.Is4() {
		return fmt.Errorf("option --relays: %q is neither a number up to %d nor FIRST-LAST", val, most)
	}
	first, last := addrNumber(p[0].First), addrNumber(p[0].Last)
	if last-first >= most {
		return fmt.Errorf("option --relays: %d addresses, the most is %d", uint64(last-first)+1, most)
	}
	c.setRelays(first, last-first+1)
	return nil
}

func (c *config) setRelays(first, n uint32) {
	c.Relays, c.RelayByClient = nil, true
	for i := range n {
		c.Relays = append(c.Relays, first+i)
	}
}

// readTemplate reads a file of hexadecimal digits and spaces.
func readTemplate(name string) (t loadgen.Template, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return t, fmt.Errorf("option -T: %w", err)
	}
	t.Name = name
	if t.Data, err = hex.DecodeString(strings.Join(strings.Fields(string(b)), "")); err != nil {
		return t, fmt.Errorf("option -T: read %s: %w", name, err)
	}
	if len(t.Data) == 0 {
		return t, fmt.Errorf("option -T: %s is empty", name)
	}
	return t, nil
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

func readRelays(name string) (addrs []uint32, addrs6 [][16]byte, err error) {
	return addrs, addrs6, readLines("-J", name, func(l string) error {
		a, err := netip.ParseAddr(l)
		if err != nil || a.IsUnspecified() || a.Zone() != "" {
			return fmt.Errorf("%q is not an address of a relay", l)
		}
		if a.Is4() {
			addrs = append(addrs, addrNumber(a))
		} else {
			addrs6 = append(addrs6, a.As16())
		}
		if len(addrs) > 0 && len(addrs6) > 0 {
			return errors.New("addresses of both versions")
		}
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

// parseBase is -b type=value.
func (c *config) parseBase(val string) error {
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
		b, err := hex.DecodeString(v)
		if err != nil || len(b) < 6 || len(b) > 64 {
			return fmt.Errorf("option -b: %q is not a DUID of 6 to 64 octets in hexadecimal", v)
		}
		c.DUID = b
		return nil
	}
	return fmt.Errorf("option -b: unknown type %q", kind)
}

func natural(name, val string) (uint64, error) {
	n, err := strconv.ParseUint(val, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("option %s: %q is not a number", name, val)
	}
	return n, nil
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

const usage = `dhcpgun: a load generator for DHCP servers with the command line of perfdhcp.

Usage: dhcpgun [-4|-6] [-l ADDR|IFACE] [-r RATE] [-R CLIENTS] [-n N [-n N]] [-p SECONDS] [-t SECONDS]
       [-d SECONDS [-d SECONDS]] [-D N|N% [-D N|N%]] [-b mac=BASE|duid=HEX | -M FILE] [-J FILE] [-f RATE] [-F RATE]
       [-o CODE,HEX]... [-B] [-i] [-1] [-u] [-s SEED] [-L PORT] [-N PORT] [-W MICROSECONDS] [-C SEPARATOR]
       [-P N] [-w COMMAND] [-y SECONDS -Y SECONDS] [-x KEYS] [-g single|multi] [-A 1] [--or CODE,HEX]... [-c]
       [-e address-only|prefix-only|address-and-prefix] [-T FILE [-T FILE]] [-X N]... [-O N]... [-E N] [-S N] [-I N]
       [--scenario NAME] [--mix OP=WEIGHT,...] [--junk RATE] [--xdp|--packet] [--rai] [--direct] [--relays N|A-B]
       [--vlan VID[.VID]] [--pools A-B,...] [--window N] [--cpu N,...] [--sweep FROM:TO:STEPS] [--plot FILE.svg]
       [--json FILE] [SERVER|all|servers]
       dhcpgun --reflect IFACE

perfdhcp's: -4 -6 protocol · -l own address or interface · -r exchanges begun per second, else as many as can be ·
  -R simulated clients · -n stop after N first (second) messages · -p stop after a time · -t interim report ·
  -d drop time · -D stop after drops · -b first hardware address, or DUID · -M hardware addresses from a file ·
  -J relay addresses from a file · -f renewals per second · -F releases per second · -o option for every message ·
  -B broadcast flag · -i the first two messages only · -1 use the first server identifier · -u count addresses given
  twice · -s random seed · -L -N local and server port · -W wait for late answers at the end · -C machine-readable
  interim report · -P untimed exchanges first · -w command to run with "start" and "stop" · -y for how long clients
  pretend to have waited, -Y after how long · -x a arguments, e reason of the end, i rate details, l leases, s server
  identifier, t times, T templates · -g multi receive in a thread of its own · -A through a relay, --or with an option
  of its own · -c rapid commit · -e what is asked for · -T messages from files, with offsets of the transaction
  identifier (-X), client (-O), elapsed time (-E), server identifier (-S) and address (-I) · -h -v -V
Ours: --scenario basic|avalanche|dora|renew|rebind|init-reboot|release|decline|mixed|discover-flood|malformed-flood|
  storm|sarr|renew6 · --mix weights of dora, discover, renew, rebind, init-reboot, release, decline · --junk mutated
  packets per second beside the scenario · --xdp AF_XDP · --packet AF_PACKET (default: UDP sockets) · --rai send and
  check option 82 · --direct clients without a relay · --relays many relays, each with its own clients · --vlan tags
  of every packet · --pools count addresses outside · --window outstanding exchanges without -r · --cpu where the
  generator's thread runs · --sweep run at several rates · --plot draw the sweep · --json write everything to a file ·
  --reflect answer every packet with itself, the yardstick
What is not honoured is refused by name. Exit status: 0, 1 after an error, 3 if anything was dropped or a check of
the answers failed; of a sweep, only if a check failed.
`

func writeUsage(f *os.File) { fmt.Fprint(f, usage) }
