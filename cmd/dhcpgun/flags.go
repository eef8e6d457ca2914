package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
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

// maxDropS is the longest drop time in seconds.
const maxDropS = 1_000_000_000

// config is the command line.
type config struct {
	loadgen.Options
	local, server string // server: "" is broadcast, or the multicast group of all
	backend       loadgen.Backend
	multi         bool // -g multi
	cores         int  // that this process may run on
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
	offsets       [3]int    // -E -S -I; negative: not given
	ports         [2]uint16 // -L -N as given
	macFile       string    // -M
	base          []string
	action        action
	// How many -D there were of each kind.
	maxDrops, maxPercents int
	ineffective           string // flags that do nothing, which perfdhcp takes all the same
	line                  string // the command line, a blank before each word
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
func parse(args []string) (*config, error) { return parseOn(runtime.NumCPU(), args) }

// parseOn is parse on so many processors.
func parseOn(cores int, args []string) (*config, error) {
	c := &config{backend: loadgen.UDP, cores: cores, offsets: [3]int{-1, -1, -1}}
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
			name, err := longName(name)
			if err != nil {
				return nil, err
			}
			takes := longFlags[name]
			if takes && !has {
				if i++; i == len(args) {
					return nil, fmt.Errorf("option --%s needs a value", name)
				}
				val = args[i]
			} else if !takes && has {
				return nil, fmt.Errorf("option --%s takes no value", name)
			}
			if err := c.long(name, val, seen); err != nil {
				return nil, err
			}
			seen["--"+name]++
			c.line += " --" + name
			if takes {
				c.line += " " + val
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
				if err := c.short(name, val, seen[name]); err != nil {
					return nil, err
				}
				if c.action != run { // whatever comes behind, as in perfdhcp
					return c, nil
				}
				seen[name]++
				c.line += " -" + name
				if val != "" {
					c.line += " " + val
				}
			}
		default:
			rest = append(rest, a)
		}
	}
	if len(rest) > 1 {
		return nil, fmt.Errorf("extra arguments: %s", strings.Join(rest[1:], " "))
	}
	for _, a := range rest {
		c.line += " " + a
	}
	if c.reflect != "" {
		for f := range seen {
			if !slices.Contains([]string{"--reflect", "--xdp", "--cpu", "N"}, f) {
				return nil, fmt.Errorf("options --reflect and %s exclude each other", dashed(f))
			}
		}
		if len(rest) > 0 {
			return nil, fmt.Errorf("option --reflect takes no server: %s", rest[0])
		}
		return c, nil
	}
	return c, c.check(rest, seen)
}

// longName finds the flag that a name is, or that it begins as getopt_long lets
// it: perfdhcp's own come first.
func longName(name string) (string, error) {
	if _, known := longFlags[name]; known {
		return name, nil
	}
	var fits []string
	for f := range longFlags {
		switch {
		case name == "" || !strings.HasPrefix(f, name):
		case f == "scenario" || f == "or":
			return f, nil
		default:
			fits = append(fits, f)
		}
	}
	switch len(fits) {
	case 0:
		return "", fmt.Errorf("unknown option --%s", name)
	case 1:
		return fits[0], nil
	}
	slices.Sort(fits)
	return "", fmt.Errorf("option --%s: could be --%s", name, strings.Join(fits, " or --"))
}

// long handles a flag with two dashes; seen are those before it.
func (c *config) long(name, val string, seen map[string]int) error {
	switch name {
	case "scenario":
		c.Scenario = loadgen.Scenario(val)
		if !slices.Contains(loadgen.Scenarios, c.Scenario) {
			return fmt.Errorf("option --scenario: %q is unknown", val)
		}
	case "or":
		if c.version != '6' || seen["A"] == 0 {
			return errors.New("option --or needs -6 and -A before it")
		}
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
		n, err = strconv.ParseUint(strings.TrimPrefix(val, "+"), 10, 32)
		if err != nil {
			return fmt.Errorf("option -R: %q is not a number", val)
		}
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
		if ferr != nil || !(f > 0 && f <= maxDropS) {
			return fmt.Errorf("option -d: %q is not a positive number of seconds up to %d", val, maxDropS)
		}
		if again == 0 { // a third one takes the second's place, as in perfdhcp
			c.DropTime = [2]time.Duration{time.Duration(f * 1e9), time.Second}
		} else {
			c.DropTime[1] = time.Duration(f * 1e9)
		}
	case "D":
		// Numbers and percentages are counted apart: the first of each is of the
		// first stage.
		if c.maxDrops > 1 || c.maxPercents > 1 {
			return errors.New("option -D: more than two")
		}
		if p, ok := strings.CutSuffix(val, "%"); ok {
			f, ferr := strconv.ParseFloat(p, 64)
			if ferr != nil || !(f > 0 && f < 100) {
				return fmt.Errorf("option -D: %q is not a percentage between 0 and 100", val)
			}
			c.MaxDropPercent[c.maxPercents] = f
			c.maxPercents++
			return nil
		}
		c.MaxDrops[c.maxDrops], err = positive("-D", val)
		c.maxDrops++
	case "i":
		c.TwoWay = true
	case "1":
		c.FirstServer = true
	case "s":
		c.Seed, err = natural("-s", val)
	case "g":
		switch val {
		case "single", "multi":
			c.multi = val == "multi"
		default:
			return fmt.Errorf("option -g: %q is neither single nor multi", val)
		}
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
	case "a":
		return errors.New("option -a: it has no meaning, in perfdhcp neither")
	case "f":
		c.RenewRate, err = positive("-f", val)
	case "F":
		c.ReleaseRate, err = positive("-F", val)
	case "L":
		c.LocalPort, err = port("-L", val)
		c.ports[0] = c.LocalPort
	case "N":
		c.ServerPort, err = port("-N", val)
		c.ports[1] = c.ServerPort
	case "W":
		n, err = natural("-W", val)
		if c.Wait = time.Duration(n) * time.Microsecond; n == 0 {
			c.Wait = loadgen.NoWait
		}
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
	default:
		return c.message(name, val, again)
	}
	return err
}

// message is short for the flags that say what the messages are like and whose
// they are.
func (c *config) message(name, val string, again int) (err error) {
	var n uint64
	switch name {
	case "b":
		if again > 3 {
			return errors.New("option -b: more than four")
		}
		c.base = append(c.base, val)
		return c.parseBase(val)
	case "B":
		c.Broadcast = true
	case "u":
		c.Unique = true
	case "A":
		if n, err = positive("-A", val); err != nil || n != 1 {
			return fmt.Errorf("option -A: %q relays; there can be 1", val)
		}
		c.Relayed = true
	case "c":
		c.RapidCommit = true
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
		if err == nil && n < 3 { // its manual says 4, its code 3
			return fmt.Errorf("option -O: %d is not greater than 2", n)
		}
		c.randoms = append(c.randoms, int(n))
	case "E":
		n, err = natural("-E", val)
		c.offsets[0] = int(n)
	case "S", "I":
		n, err = positive("-"+name, val)
		c.offsets[strings.Index("SI", name)+1] = int(n)
	case "M":
		if again > 0 {
			return errors.New("option -M: more than one")
		}
		c.macFile = val
		c.MACs, err = readMACs(val)
	case "J":
		if again > 0 {
			return errors.New("option -J: more than one")
		}
		c.Relays, c.Links6, err = readRelays(val)
	case "o":
		if c.version == 0 { // what it means depends on it
			return errors.New("option -o needs -4 or -6 before it")
		}
		return c.extra(val)
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
