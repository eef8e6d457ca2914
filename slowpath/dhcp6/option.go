package dhcp6

import "encoding/binary"

// Option codes (IANA "DHCPv6 Option Codes"), those that Kea defines.
const (
	OptClientID               uint16 = 1
	OptServerID               uint16 = 2
	OptIANA                   uint16 = 3
	OptIATA                   uint16 = 4
	OptIAAddr                 uint16 = 5
	OptORO                    uint16 = 6
	OptPreference             uint16 = 7
	OptElapsedTime            uint16 = 8
	OptRelayMsg               uint16 = 9
	OptAuth                   uint16 = 11
	OptUnicast                uint16 = 12
	OptStatusCode             uint16 = 13
	OptRapidCommit            uint16 = 14
	OptUserClass              uint16 = 15
	OptVendorClass            uint16 = 16
	OptVendorOpts             uint16 = 17
	OptInterfaceID            uint16 = 18
	OptReconfMsg              uint16 = 19
	OptReconfAccept           uint16 = 20
	OptSIPServerDNS           uint16 = 21
	OptSIPServerAddr          uint16 = 22
	OptDNSServers             uint16 = 23
	OptDomainSearch           uint16 = 24
	OptIAPD                   uint16 = 25
	OptIAPrefix               uint16 = 26
	OptNISServers             uint16 = 27
	OptNISPServers            uint16 = 28
	OptNISDomainName          uint16 = 29
	OptNISPDomainName         uint16 = 30
	OptSNTPServers            uint16 = 31
	OptInformationRefreshTime uint16 = 32
	OptBCMCSServerDNS         uint16 = 33
	OptBCMCSServerAddr        uint16 = 34
	OptGeoconfCivic           uint16 = 36
	OptRemoteID               uint16 = 37
	OptSubscriberID           uint16 = 38
	OptClientFQDN             uint16 = 39
	OptPANAAgent              uint16 = 40
	OptNewPOSIXTimezone       uint16 = 41
	OptNewTZDBTimezone        uint16 = 42
	OptERO                    uint16 = 43
	OptLQQuery                uint16 = 44
	OptClientData             uint16 = 45
	OptCLTTime                uint16 = 46
	OptLQRelayData            uint16 = 47
	OptLQClientLink           uint16 = 48
	OptV6Lost                 uint16 = 51
	OptCAPWAPACV6             uint16 = 52
	OptRelayID                uint16 = 53
	OptNTPServer              uint16 = 56
	OptV6AccessDomain         uint16 = 57
	OptSIPUACSList            uint16 = 58
	OptBootFileURL            uint16 = 59
	OptBootFileParam          uint16 = 60
	OptClientArchType         uint16 = 61
	OptNII                    uint16 = 62
	OptAFTRName               uint16 = 64
	OptERPLocalDomainName     uint16 = 65
	OptRSOO                   uint16 = 66
	OptPDExclude              uint16 = 67
	OptRDNSSSelection         uint16 = 74
	OptClientLinkLayerAddr    uint16 = 79
	OptLinkAddress            uint16 = 80
	OptSolMaxRT               uint16 = 82
	OptInfMaxRT               uint16 = 83
	OptDHCPv4Msg              uint16 = 87
	OptDHCP4o6ServerAddr      uint16 = 88
	OptS46ContMAPE            uint16 = 94
	OptS46ContMAPT            uint16 = 95
	OptS46ContLW              uint16 = 96
	OptV6CaptivePortal        uint16 = 103
	OptRelaySourcePort        uint16 = 135
	OptV6SZTPRedirect         uint16 = 136
	OptIPv6AddressANDSF       uint16 = 143
	OptV6DNR                  uint16 = 144
	OptAddrRegEnable          uint16 = 148
)

// VendorCableLabs is the enterprise number whose options 17 have an option
// request option of their own (V6-063).
const VendorCableLabs uint32 = 4491

// Sub-options of vendor 4491 that the server reads.
const (
	DOCSISORO       uint16 = 1
	DOCSISDeviceID  uint16 = 36
	DOCSISCMTSCMMAC uint16 = 1026
)

// Options is a run of options: code and length of two octets each, then the
// value.
type Options []byte

// Next splits off the first option. ok is false at the end, and also where what
// is left is truncated; then rest is what is left.
func (o Options) Next() (code uint16, data []byte, rest Options, ok bool) {
	if len(o) < 4 {
		return 0, nil, o, false
	}
	n := 4 + int(binary.BigEndian.Uint16(o[2:]))
	if n > len(o) {
		return 0, nil, o, false
	}
	return binary.BigEndian.Uint16(o), o[4:n:n], o[n:], true
}

// Find returns the value of the first option with the code: nil if there is
// none, empty but not nil if it has no octets.
func (o Options) Find(code uint16) []byte {
	for {
		c, data, rest, ok := o.Next()
		if !ok {
			return nil
		}
		if c == code {
			return data
		}
		o = rest
	}
}

// Resource is an address (prefix length 128) or a prefix of an IA, with
// lifetimes in seconds.
type Resource struct {
	Addr               IPv6
	PrefixLen          uint8
	PreferredS, ValidS uint32
	// Options are those inside the IAADDR or IAPREFIX option.
	Options Options
}

// IA is one IA_NA or IA_PD of a message (RFC 8415 §21.4, §21.21).
type IA struct {
	Code     uint16 // OptIANA or OptIAPD
	IAID     uint32
	T1S, T2S uint32
	Options  Options
}

const (
	iaHeader       = 12
	iaAddrHeader   = 24
	iaPrefixHeader = 25
)

// parseIA reads the value of an IA that parsing has checked.
func parseIA(code uint16, b []byte) IA {
	return IA{
		Code:    code,
		IAID:    binary.BigEndian.Uint32(b),
		T1S:     binary.BigEndian.Uint32(b[4:]),
		T2S:     binary.BigEndian.Uint32(b[8:]),
		Options: Options(b[iaHeader:]),
	}
}

// Next splits the next IAADDR (in an IA_NA) or IAPREFIX (in an IA_PD) off ia;
// other options are skipped.
func (ia *IA) Next() (r Resource, ok bool) {
	for {
		code, data, rest, ok := ia.Options.Next()
		if !ok {
			return Resource{}, false
		}
		ia.Options = rest
		switch {
		case code == OptIAAddr && ia.Code == OptIANA && len(data) >= iaAddrHeader:
			return ParseIAAddr(data), true
		case code == OptIAPrefix && ia.Code == OptIAPD && len(data) >= iaPrefixHeader:
			return parseIAPrefix(data), true
		}
	}
}

// ParseIAAddr reads the value of an IAADDR option (RFC 8415 §21.6), which must
// have 24 octets or more.
func ParseIAAddr(b []byte) Resource {
	return Resource{
		Addr:       AddrFromSlice(b),
		PrefixLen:  128,
		PreferredS: binary.BigEndian.Uint32(b[16:]),
		ValidS:     binary.BigEndian.Uint32(b[20:]),
		Options:    Options(b[iaAddrHeader:]),
	}
}

// parseIAPrefix reads the value of an IAPREFIX option (RFC 8415 §21.22). Bits
// beyond the prefix are cleared.
func parseIAPrefix(b []byte) Resource {
	n := min(b[8], 128)
	return Resource{
		Addr:       AddrFromSlice(b[9:]).Masked(n),
		PrefixLen:  n,
		PreferredS: binary.BigEndian.Uint32(b),
		ValidS:     binary.BigEndian.Uint32(b[4:]),
		Options:    Options(b[iaPrefixHeader:]),
	}
}

// form is how the length of an option is checked.
type form uint8

const (
	fAny   form = iota
	fMin        // at least size octets
	fArray      // one or more elements of size octets
)

type format struct {
	form form
	size uint8
}

// optionFormats are the lengths that the types of options allow, for codes
// below len; others are binary. As Kea, what is longer than a fixed-size type
// needs is taken for options inside it.
var optionFormats = [...]format{
	OptIANA:                   {fMin, iaHeader},
	OptIATA:                   {fMin, 4},
	OptIAAddr:                 {fMin, iaAddrHeader},
	OptORO:                    {fArray, 2},
	OptPreference:             {fMin, 1},
	OptElapsedTime:            {fMin, 2},
	OptUnicast:                {fMin, 16},
	OptStatusCode:             {fMin, 2},
	OptVendorClass:            {fMin, 4},
	OptVendorOpts:             {fMin, 4},
	OptReconfMsg:              {fMin, 1},
	OptSIPServerAddr:          {fArray, 16},
	OptDNSServers:             {fArray, 16},
	OptIAPD:                   {fMin, iaHeader},
	OptIAPrefix:               {fMin, iaPrefixHeader},
	OptNISServers:             {fArray, 16},
	OptNISPServers:            {fArray, 16},
	OptSNTPServers:            {fArray, 16},
	OptInformationRefreshTime: {fMin, 4},
	OptBCMCSServerAddr:        {fArray, 16},
	OptGeoconfCivic:           {fMin, 3},
	OptRemoteID:               {fMin, 4},
	OptClientFQDN:             {fMin, 1},
	OptPANAAgent:              {fArray, 16},
	OptERO:                    {fArray, 2},
	OptLQQuery:                {fMin, 17},
	OptCLTTime:                {fMin, 4},
	OptLQRelayData:            {fMin, 16},
	OptLQClientLink:           {fArray, 16},
	OptCAPWAPACV6:             {fArray, 16},
	OptClientArchType:         {fArray, 2},
	OptNII:                    {fMin, 3},
	OptLinkAddress:            {fMin, 16},
	OptSolMaxRT:               {fMin, 4},
	OptInfMaxRT:               {fMin, 4},
	OptDHCP4o6ServerAddr:      {fAny, 0}, // may be empty (RFC 7341 §7.2)
	OptRelaySourcePort:        {fMin, 2},
	OptIPv6AddressANDSF:       {fArray, 16},
}

// lengthOK reports whether an option of that code may have n octets.
func lengthOK(code uint16, n int) bool {
	if int(code) >= len(optionFormats) {
		return true
	}
	f := optionFormats[code]
	switch f.form {
	case fMin:
		return n >= int(f.size)
	case fArray:
		return n > 0 && n%int(f.size) == 0
	}
	return true
}
