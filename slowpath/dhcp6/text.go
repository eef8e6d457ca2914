package dhcp6

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
