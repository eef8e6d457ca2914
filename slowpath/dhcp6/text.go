package dhcp6

import (
	"encoding/binary"
	"fmt"
)

// optionNames are the names of Kea's standard definitions in space dhcp6.
var optionNames = map[uint16]string{
	OptClientID: "clientid", OptServerID: "serverid", OptIANA: "ia-na", OptIATA: "ia-ta",
	OptIAAddr: "iaaddr", OptORO: "oro", OptPreference: "preference", OptElapsedTime: "elapsed-time",
	OptRelayMsg: "relay-msg", OptAuth: "auth", OptUnicast: "unicast", OptStatusCode: "status-code",
	OptRapidCommit: "rapid-commit", OptUserClass: "user-class", OptVendorClass: "vendor-class",
	OptVendorOpts: "vendor-opts", OptInterfaceID: "interface-id", OptReconfMsg: "reconf-msg",
	OptReconfAccept: "reconf-accept", OptSIPServerDNS: "sip-server-dns", OptSIPServerAddr: "sip-server-addr",
	OptDNSServers: "dns-servers", OptDomainSearch: "domain-search", OptIAPD: "ia-pd", OptIAPrefix: "iaprefix",
	OptNISServers: "nis-servers", OptNISPServers: "nisp-servers", OptNISDomainName: "nis-domain-name",
	OptNISPDomainName: "nisp-domain-name", OptSNTPServers: "sntp-servers",
	OptInformationRefreshTime: "information-refresh-time", OptBCMCSServerDNS: "bcmcs-server-dns",
	OptBCMCSServerAddr: "bcmcs-server-addr", OptGeoconfCivic: "geoconf-civic", OptRemoteID: "remote-id",
	OptSubscriberID: "subscriber-id", OptClientFQDN: "client-fqdn", OptPANAAgent: "pana-agent",
	OptNewPOSIXTimezone: "new-posix-timezone", OptNewTZDBTimezone: "new-tzdb-timezone", OptERO: "ero",
	OptLQQuery: "lq-query", OptClientData: "client-data", OptCLTTime: "clt-time",
	OptLQRelayData: "lq-relay-data", OptLQClientLink: "lq-client-link", OptV6Lost: "v6-lost",
	OptCAPWAPACV6: "capwap-ac-v6", OptRelayID: "relay-id", OptNTPServer: "ntp-server",
	OptV6AccessDomain: "v6-access-domain", OptSIPUACSList: "sip-ua-cs-list", OptBootFileURL: "bootfile-url",
	OptBootFileParam: "bootfile-param", OptClientArchType: "client-arch-type", OptNII: "nii",
	OptAFTRName: "aftr-name", OptERPLocalDomainName: "erp-local-domain-name", OptRSOO: "rsoo",
	OptPDExclude: "pd-exclude", OptRDNSSSelection: "rdnss-selection",
	OptClientLinkLayerAddr: "client-linklayer-addr", OptLinkAddress: "link-address",
	OptSolMaxRT: "solmax-rt", OptInfMaxRT: "inf-max-rt", OptDHCPv4Msg: "dhcpv4-message",
	OptDHCP4o6ServerAddr: "dhcp4o6-server-addr", OptS46ContMAPE: "s46-cont-mape",
	OptS46ContMAPT: "s46-cont-mapt", OptS46ContLW: "s46-cont-lw", OptV6CaptivePortal: "v6-captive-portal",
	OptRelaySourcePort: "relay-source-port", OptV6SZTPRedirect: "v6-sztp-redirect",
	OptIPv6AddressANDSF: "ipv6-address-andsf", OptV6DNR: "v6-dnr", OptAddrRegEnable: "addr-reg-enable",
}

// OptionName is the name of a standard option, "" if Kea has none.
func OptionName(code uint16) string { return optionNames[code] }

const hexDigits = "0123456789abcdef"

// AppendDUID writes octets as Kea shows DUIDs: two hexadecimal digits each,
// joined by colons.
func AppendDUID(dst, duid []byte) []byte {
	for i, b := range duid {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// AppendText writes a message for people: a line for its header, one for each
// option, and what is inside of them indented. Anything is taken.
func AppendText(dst, msg []byte) []byte { return appendMessage(dst, msg, "", 0) }

func appendMessage(dst, msg []byte, indent string, depth int) []byte {
	if len(msg) < HeaderLen {
		return append(hex(append(append(dst, indent...), "too short: "...), msg), '\n')
	}
	t := MsgType(msg[0])
	dst = append(append(dst, indent...), t.String()...)
	if (t == MsgRelayForw || t == MsgRelayRepl) && len(msg) >= RelayHeaderLen {
		dst = fmt.Appendf(dst, " hop-count %d link-address %v peer-address %v\n", msg[1], AddrFromSlice(msg[2:]), AddrFromSlice(msg[18:]))
		return appendOptions(dst, Options(msg[RelayHeaderLen:]), indent+"  ", depth)
	}
	dst = fmt.Appendf(dst, " xid 0x%06x\n", binary.BigEndian.Uint32(msg)&0xFFFFFF)
	return appendOptions(dst, Options(msg[HeaderLen:]), indent+"  ", depth)
}

func appendOptions(dst []byte, o Options, indent string, depth int) []byte {
	for {
		code, data, rest, ok := o.Next()
		if !ok {
			break
		}
		dst = appendOption(dst, code, data, indent, depth)
		o = rest
	}
	if len(o) > 0 {
		dst = append(hex(append(append(dst, indent...), "truncated: "...), o), '\n')
	}
	return dst
}

func appendOption(dst []byte, code uint16, data []byte, indent string, depth int) []byte {
	dst = append(dst, indent...)
	if n := OptionName(code); n != "" {
		dst = append(dst, n...)
	} else {
		dst = fmt.Appendf(dst, "option %d", code)
	}
	inside := Options(nil)
	switch {
	case !lengthOK(code, len(data)):
		dst = hex(append(dst, " malformed "...), data)
	case code == OptRelayMsg && depth <= MaxRelays:
		return appendMessage(append(dst, '\n'), data, indent+"  ", depth+1)
	case code == OptClientID || code == OptServerID:
		dst = AppendDUID(append(dst, ' '), data)
	case code == OptIANA || code == OptIAPD:
		ia := parseIA(code, data)
		dst = fmt.Appendf(dst, " iaid %d t1 %d t2 %d", ia.IAID, ia.T1S, ia.T2S)
		inside = ia.Options
	case code == OptIAAddr:
		r := ParseIAAddr(data)
		dst = fmt.Appendf(dst, " %v preferred %d valid %d", r.Addr, r.PreferredS, r.ValidS)
		inside = r.Options
	case code == OptIAPrefix:
		r := parseIAPrefix(data)
		dst = fmt.Appendf(dst, " %v/%d preferred %d valid %d", r.Addr, r.PrefixLen, r.PreferredS, r.ValidS)
		inside = r.Options
	case code == OptStatusCode:
		dst = fmt.Appendf(dst, " %v %q", StatusCode(binary.BigEndian.Uint16(data)), data[2:])
	case code == OptORO || code == OptERO:
		for i := 0; i < len(data); i += 2 {
			dst = fmt.Appendf(dst, " %d", binary.BigEndian.Uint16(data[i:]))
		}
	case len(data) > 0 && int(code) < len(optionFormats) && optionFormats[code] == format{fArray, 16}:
		for i := 0; i < len(data); i += 16 {
			dst = fmt.Appendf(dst, " %v", AddrFromSlice(data[i:]))
		}
	case len(data) > 0:
		dst = hex(append(dst, ' '), data)
	}
	return appendOptions(append(dst, '\n'), inside, indent+"  ", depth)
}

func hex(dst, b []byte) []byte {
	dst = append(dst, '0', 'x')
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

var optionCodes = func() map[string]uint16 {
	m := make(map[string]uint16, len(optionNames))
	for c, n := range optionNames {
		m[n] = c
	}
	return m
}()

// OptionCode is the code of a standard option by its name in Kea.
func OptionCode(name string) (code uint16, ok bool) {
	code, ok = optionCodes[name]
	return code, ok
}
