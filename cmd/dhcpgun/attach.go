package main

import (
	"fmt"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// attach finds the interface and the addresses and completes the options.
func (c *config) attach() (*loadgen.Link, error) {
	if c.V6 {
		return c.attach6()
	}
	server := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if c.server != "" {
		var err error
		if server, err = netip.ParseAddr(c.server); err != nil || !server.Is4() {
			return nil, fmt.Errorf("read server address: %q is not an IPv4 address", c.server)
		}
	}
	k, err := loadgen.FindLink(c.local, server)
	if err != nil {
		return nil, err
	}
	if !k.Addr.IsValid() && !c.direct {
		return nil, fmt.Errorf("use %s: it has no IPv4 address, which a relay needs", k.Name)
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
	if c.ownRelays > 0 {
		c.setRelays(c.LocalAddr, c.ownRelays)
	}
	if c.server != "" && c.backend != loadgen.UDP && len(c.VLANs) == 0 {
		if err := k.Resolve(server); err != nil {
			return nil, err
		}
		c.ServerMAC = k.ServerMAC
	}
	return k, nil
}

// attach6 is attach for DHCPv6.
func (c *config) attach6() (*loadgen.Link, error) {
	server := netip.MustParseAddr("ff02::1:2") // All_DHCP_Relay_Agents_and_Servers
	switch c.server {
	case "":
	case "servers":
		server = netip.MustParseAddr("ff05::1:3") // All_DHCP_Servers
	default:
		var err error
		if server, err = netip.ParseAddr(c.server); err != nil || !server.Is6() {
			return nil, fmt.Errorf("read server address: %q is not an IPv6 address", c.server)
		}
	}
	if c.local == "" {
		c.local = server.Zone()
	}
	server = server.WithZone("")
	if c.local == "" && (server.IsMulticast() || server.IsLinkLocalUnicast()) {
		return nil, fmt.Errorf("reach %v: it takes an interface (-l)", server)
	}
	k, err := loadgen.FindLink(c.local, server)
	if err != nil {
		return nil, err
	}
	if !k.Addr6.IsValid() {
		return nil, fmt.Errorf("use %s: it has no IPv6 address", k.Name)
	}
	c.LocalMAC, c.IfIndex = k.MAC, uint32(k.Index)
	c.Local6, c.Server6 = k.Addr6.As16(), server.As16()
	if !server.IsMulticast() && c.backend != loadgen.UDP {
		if err := k.Resolve(server); err != nil {
			return nil, err
		}
		c.ServerMAC = k.ServerMAC
	}
	return k, nil
}

// bindAddr is the address to bind to.
func (c *config) bindAddr(k *loadgen.Link) netip.Addr {
	if c.V6 {
		return k.Addr6
	}
	return k.Addr
}

func addrNumber(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
