package optiondef

// Family is what the options of DHCPv4 and DHCPv6 differ in.
type Family struct {
	V6       bool
	Top      string // the space of the message's options
	Other    string // that of the other family
	Min, Max int    // codes in top; other spaces have codes from 0 on
	// vendors are the spaces of built-in definitions by enterprise number.
	vendors map[uint32]string
}

var (
	V4 = &Family{Top: SpaceDHCP4, Other: SpaceDHCP6, Min: 1, Max: 254,
		vendors: map[uint32]string{enterpriseCableLabs: spaceDOCSIS}}
	V6 = &Family{V6: true, Top: SpaceDHCP6, Other: SpaceDHCP4, Min: 0, Max: 65535,
		vendors: map[uint32]string{enterpriseCableLabs: spaceDOCSIS6, enterpriseISC: space4o6}}
)

// Name is what people call it.
func (f *Family) Name() string {
	if f.V6 {
		return "DHCPv6"
	}
	return "DHCPv4"
}

// MaxCode is the greatest code of any space.
func (f *Family) MaxCode() int64 {
	if f.V6 {
		return 65535
	}
	return 255
}

// Reserved says that code c of a space cannot be used.
func (f *Family) Reserved(space string, c int64) bool {
	return space == f.Top && (c < int64(f.Min) || c > int64(f.Max))
}
