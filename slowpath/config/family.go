package config

import "github.com/peregrine-dhcp/peregrine/slowpath/optiondef"

// family is what the configurations of DHCPv4 and DHCPv6 differ in.
type family struct {
	options *optiondef.Family
	// realm and loopback are the defaults of control over http.
	realm, loopback string
}

var (
	family4 = &family{optiondef.V4, "kea-dhcpv4-server", "127.0.0.1"}
	family6 = &family{optiondef.V6, "kea-dhcpv6-server", "::1"}
)
