package config

// optionFamily is what the options of DHCPv4 and DHCPv6 differ in.
type optionFamily struct {
	v6       bool
	top      string // the space of the message's options
	other    string // that of the other family
	min, max int    // codes in top; other spaces have codes from 0 on
	// vendors are the spaces of built-in definitions by enterprise number.
	vendors map[uint32]string
	// realm and loopback are the defaults of control over http.
	realm, loopback string
}

var (
	family4 = &optionFamily{top: spaceDHCP4, other: spaceDHCP6, min: 1, max: 254,
		vendors: map[uint32]string{enterpriseCableLabs: spaceDOCSIS}, realm: "kea-dhcpv4-server", loopback: "127.0.0.1"}
	family6 = &optionFamily{v6: true, top: spaceDHCP6, other: spaceDHCP4, min: 0, max: 65535,
		vendors: map[uint32]string{enterpriseCableLabs: spaceDOCSIS6, enterpriseISC: space4o6}, realm: "kea-dhcpv6-server", loopback: "::1"}
)

// name is what people call it.
func (f *optionFamily) name() string {
	if f.v6 {
		return "DHCPv6"
	}
	return "DHCPv4"
}

// maxCode is the greatest code of any space.
func (f *optionFamily) maxCode() int64 {
	if f.v6 {
		return 65535
	}
	return 255
}

// reserved says that code c of a space cannot be used.
func (f *optionFamily) reserved(space string, c int64) bool {
	return space == f.top && (c < int64(f.min) || c > int64(f.max))
}
