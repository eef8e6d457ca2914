package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

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
	if !ok || err != nil || herr != nil || n == 0 || n == 255 || len(b) > 1024 {
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
	n, err := strconv.ParseUint(strings.TrimPrefix(val, "+"), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("option %s: %q is not a number", name, val)
	}
	return n, nil
}

func positive(name, val string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(val, "+"), 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("option %s: %q is not a positive number", name, val)
	}
	return n, nil
}

func port(name, val string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(val, "+"), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("option %s: %q is not a port", name, val)
	}
	return uint16(n), nil
}
