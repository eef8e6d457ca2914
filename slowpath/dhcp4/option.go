package dhcp4

// Option codes, by their names in the IANA registry "BOOTP Vendor Extensions
// and DHCP Options". Codes 224 to 254 are for private use.
const (
	OptPad                               = 0
	OptSubnetMask                        = 1
	OptTimeOffset                        = 2
	OptRouter                            = 3
	OptTimeServer                        = 4
	OptNameServer                        = 5
	OptDomainNameServer                  = 6
	OptLogServer                         = 7
	OptCookieServer                      = 8
	OptLPRServer                         = 9
	OptImpressServer                     = 10
	OptResourceLocationServer            = 11
	OptHostName                          = 12
	OptBootFileSize                      = 13
	OptMeritDumpFile                     = 14
	OptDomainName                        = 15
	OptSwapServer                        = 16
	OptRootPath                          = 17
	OptExtensionsPath                    = 18
	OptIPForwarding                      = 19
	OptNonLocalSourceRouting             = 20
	OptPolicyFilter                      = 21
	OptMaximumDatagramReassemblySize     = 22
	OptDefaultIPTTL                      = 23
	OptPathMTUAgingTimeout               = 24
	OptPathMTUPlateauTable               = 25
	OptInterfaceMTU                      = 26
	OptAllSubnetsLocal                   = 27
	OptBroadcastAddress                  = 28
	OptPerformMaskDiscovery              = 29
	OptMaskSupplier                      = 30
	OptRouterDiscovery                   = 31
	OptRouterSolicitationAddress         = 32
	OptStaticRoute                       = 33
	OptTrailerEncapsulation              = 34
	OptARPCacheTimeout                   = 35
	OptEthernetEncapsulation             = 36
	OptDefaultTCPTTL                     = 37
	OptTCPKeepaliveInterval              = 38
	OptTCPKeepaliveGarbage               = 39
	OptNISDomain                         = 40
	OptNISServers                        = 41
	OptNTPServers                        = 42
	OptVendorSpecificInformation         = 43
	OptNetBIOSNameServer                 = 44
	OptNetBIOSDatagramDistributionServer = 45
	OptNetBIOSNodeType                   = 46
	OptNetBIOSScope                      = 47
	OptXWindowFontServer                 = 48
	OptXWindowDisplayManager             = 49
	OptRequestedIPAddress                = 50
	OptIPAddressLeaseTime                = 51
	OptOverload                          = 52
	OptMessageType                       = 53
	OptServerIdentifier                  = 54
	OptParameterRequestList              = 55
	OptMessage                           = 56
	OptMaxMessageSize                    = 57
	OptRenewalTime                       = 58
	OptRebindingTime                     = 59
	OptVendorClassIdentifier             = 60
	OptClientIdentifier                  = 61
	OptNetWareIPDomain                   = 62
	OptNetWareIPInformation              = 63
	OptNISPlusDomain                     = 64
	OptNISPlusServers                    = 65
	OptTFTPServerName                    = 66
	OptBootfileName                      = 67
	OptMobileIPHomeAgent                 = 68
	OptSMTPServer                        = 69
	OptPOP3Server                        = 70
	OptNNTPServer                        = 71
	OptWWWServer                         = 72
	OptFingerServer                      = 73
	OptIRCServer                         = 74
	OptStreetTalkServer                  = 75
	OptStreetTalkDirectoryAssistance     = 76
	OptUserClass                         = 77
	OptSLPDirectoryAgent                 = 78
	OptSLPServiceScope                   = 79
	OptRapidCommit                       = 80
	OptClientFQDN                        = 81
	OptRelayAgentInformation             = 82
	OptISNS                              = 83
	OptNDSServers                        = 85
	OptNDSTreeName                       = 86
	OptNDSContext                        = 87
	OptBCMCSDomainNameList               = 88
	OptBCMCSIPv4Address                  = 89
	OptAuthentication                    = 90
	OptClientLastTransactionTime         = 91
	OptAssociatedIP                      = 92
	OptClientSystemArchitecture          = 93
	OptClientNetworkInterface            = 94
	OptLDAP                              = 95
	OptClientMachineIdentifier           = 97
	OptUserAuthentication                = 98
	OptGeoconfCivic                      = 99
	OptPCode                             = 100
	OptTCode                             = 101
	OptIPv6OnlyPreferred                 = 108
	OptNetinfoAddress                    = 112
	OptNetinfoTag                        = 113
	OptCaptivePortal                     = 114
	OptAutoConfigure                     = 116
	OptNameServiceSearch                 = 117
	OptSubnetSelection                   = 118
	OptDomainSearch                      = 119
	OptSIPServers                        = 120
	OptClasslessStaticRoute              = 121
	OptCableLabsClientConfiguration      = 122
	OptGeoConf                           = 123
	OptVIVendorClass                     = 124
	OptVIVendorSpecificInformation       = 125
	OptPANAAgent                         = 136
	OptV4LoST                            = 137
	OptCAPWAPACv4                        = 138
	OptIPv4AddressMoS                    = 139
	OptIPv4FQDNMoS                       = 140
	OptSIPUAConfigurationServiceDomains  = 141
	OptIPv4AddressANDSF                  = 142
	OptV4SZTPRedirect                    = 143
	OptGeoLoc                            = 144
	OptForcerenewNonceCapable            = 145
	OptRDNSSSelection                    = 146
	OptTFTPServerAddress                 = 150
	OptStatusCode                        = 151
	OptBaseTime                          = 152
	OptStartTimeOfState                  = 153
	OptQueryStartTime                    = 154
	OptQueryEndTime                      = 155
	OptDHCPState                         = 156
	OptDataSource                        = 157
	OptV4PCPServer                       = 158
	OptV4PortParams                      = 159
	OptMUDURLv4                          = 161
	OptV4DNR                             = 162
	OptEtherboot                         = 175
	OptPXELinuxMagic                     = 208
	OptConfigurationFile                 = 209
	OptPathPrefix                        = 210
	OptRebootTime                        = 211
	OptSixRD                             = 212
	OptV4AccessDomain                    = 213
	OptSubnetAllocation                  = 220
	OptVirtualSubnetSelection            = 221
	OptPrivateFirst                      = 224
	OptPrivateLast                       = 254
	OptEnd                               = 255
)

// Sub-option codes of the Relay Agent Information option (RFC 3046 and the IANA
// registry "DHCP Relay Agent Sub-Option Codes").
const (
	RAICircuitID                     = 1
	RAIRemoteID                      = 2
	RAIDOCSISDeviceClass             = 4
	RAILinkSelection                 = 5
	RAISubscriberID                  = 6
	RAIRADIUS                        = 7
	RAIAuthentication                = 8
	RAIVendorSpecificInformation     = 9
	RAIRelayFlags                    = 10
	RAIServerIDOverride              = 11
	RAIRelayID                       = 12
	RAIAccessTechnologyType          = 13
	RAIAccessNetworkName             = 14
	RAIAccessPointName               = 15
	RAIAccessPointBSSID              = 16
	RAIOperatorID                    = 17
	RAIOperatorRealm                 = 18
	RAIRelayPort                     = 19
	RAIVirtualSubnetSelection        = 151
	RAIVirtualSubnetSelectionControl = 152
)

// form says which lengths of an option Kea takes.
type form uint8

const (
	fAny    form = iota
	fScalar      // exactly size octets; more with lenient-option-parsing
	fIPs         // a multiple of size octets, also none
	fInts        // a multiple of size octets, at least one
	fMin         // at least size octets
	fString      // trailing NULs are cut; nothing left means the option is not there
)

// textType says how AppendText prints the octets.
type textType uint8

const (
	tHex textType = iota
	tIP
	tUint
	tInt
	tString
)

type optionDef struct {
	name string // Kea's; "" where Kea has no definition
	form form
	size uint8
	text textType
}

// OptionName returns the name of Kea's built-in definition of a code in space
// dhcp4, "" where there is none.
func OptionName(code uint8) string { return optionDefs[code].name }

// RAIName is OptionName for space dhcp-agent-options-space.
func RAIName(sub uint8) string { return raiDefs[sub].name }

// format is the length rule of a code, apart from its name so that a parse
// touches few cache lines. A length n is right if n-min <= spread, in octet
// arithmetic, and no bit of mask is set in it; all else needs a closer look.
type format struct {
	form              form
	size              uint8
	min, spread, mask uint8
}

// Read-only after initialisation.
var optionFormats, raiFormats = formatsOf(&optionDefs), formatsOf(&raiDefs)

func formatsOf(defs *[256]optionDef) (f [256]format) {
	for c, d := range defs {
		g := format{form: d.form, size: d.size, spread: 255}
		switch d.form {
		case fScalar:
			g.min, g.spread = d.size, 0
		case fIPs:
			g.mask = d.size - 1
		case fInts:
			g.min, g.spread, g.mask = d.size, 255-d.size, d.size-1
		case fMin:
			g.min, g.spread = d.size, 255-d.size
		case fString:
			g.min, g.spread = 1, 254
		}
		f[c] = g
	}
	return f
}

var optionDefs = [256]optionDef{
	OptSubnetMask:                        {"subnet-mask", fScalar, 4, tIP},
	OptTimeOffset:                        {"time-offset", fScalar, 4, tInt},
	OptRouter:                            {"routers", fIPs, 4, tIP},
	OptTimeServer:                        {"time-servers", fIPs, 4, tIP},
	OptNameServer:                        {"name-servers", fIPs, 4, tIP},
	OptDomainNameServer:                  {"domain-name-servers", fIPs, 4, tIP},
	OptLogServer:                         {"log-servers", fIPs, 4, tIP},
	OptCookieServer:                      {"cookie-servers", fIPs, 4, tIP},
	OptLPRServer:                         {"lpr-servers", fIPs, 4, tIP},
	OptImpressServer:                     {"impress-servers", fIPs, 4, tIP},
	OptResourceLocationServer:            {"resource-location-servers", fIPs, 4, tIP},
	OptHostName:                          {"host-name", fString, 0, tString},
	OptBootFileSize:                      {"boot-size", fScalar, 2, tUint},
	OptMeritDumpFile:                     {"merit-dump", fString, 0, tString},
	OptDomainName:                        {"domain-name", fString, 0, tString},
	OptSwapServer:                        {"swap-server", fScalar, 4, tIP},
	OptRootPath:                          {"root-path", fString, 0, tString},
	OptExtensionsPath:                    {"extensions-path", fString, 0, tString},
	OptIPForwarding:                      {"ip-forwarding", fScalar, 1, tUint},
	OptNonLocalSourceRouting:             {"non-local-source-routing", fScalar, 1, tUint},
	OptPolicyFilter:                      {"policy-filter", fIPs, 4, tIP},
	OptMaximumDatagramReassemblySize:     {"max-dgram-reassembly", fScalar, 2, tUint},
	OptDefaultIPTTL:                      {"default-ip-ttl", fScalar, 1, tUint},
	OptPathMTUAgingTimeout:               {"path-mtu-aging-timeout", fScalar, 4, tUint},
	OptPathMTUPlateauTable:               {"path-mtu-plateau-table", fInts, 2, tUint},
	OptInterfaceMTU:                      {"interface-mtu", fScalar, 2, tUint},
	OptAllSubnetsLocal:                   {"all-subnets-local", fScalar, 1, tUint},
	OptBroadcastAddress:                  {"broadcast-address", fScalar, 4, tIP},
	OptPerformMaskDiscovery:              {"perform-mask-discovery", fScalar, 1, tUint},
	OptMaskSupplier:                      {"mask-supplier", fScalar, 1, tUint},
	OptRouterDiscovery:                   {"router-discovery", fScalar, 1, tUint},
	OptRouterSolicitationAddress:         {"router-solicitation-address", fScalar, 4, tIP},
	OptStaticRoute:                       {"static-routes", fIPs, 4, tIP},
	OptTrailerEncapsulation:              {"trailer-encapsulation", fScalar, 1, tUint},
	OptARPCacheTimeout:                   {"arp-cache-timeout", fScalar, 4, tUint},
	OptEthernetEncapsulation:             {"ieee802-3-encapsulation", fScalar, 1, tUint},
	OptDefaultTCPTTL:                     {"default-tcp-ttl", fScalar, 1, tUint},
	OptTCPKeepaliveInterval:              {"tcp-keepalive-interval", fScalar, 4, tUint},
	OptTCPKeepaliveGarbage:               {"tcp-keepalive-garbage", fScalar, 1, tUint},
	OptNISDomain:                         {"nis-domain", fString, 0, tString},
	OptNISServers:                        {"nis-servers", fIPs, 4, tIP},
	OptNTPServers:                        {"ntp-servers", fIPs, 4, tIP},
	OptVendorSpecificInformation:         {"vendor-encapsulated-options", fAny, 0, tHex},
	OptNetBIOSNameServer:                 {"netbios-name-servers", fIPs, 4, tIP},
	OptNetBIOSDatagramDistributionServer: {"netbios-dd-server", fIPs, 4, tIP},
	OptNetBIOSNodeType:                   {"netbios-node-type", fScalar, 1, tUint},
	OptNetBIOSScope:                      {"netbios-scope", fString, 0, tString},
	OptXWindowFontServer:                 {"font-servers", fIPs, 4, tIP},
	OptXWindowDisplayManager:             {"x-display-manager", fIPs, 4, tIP},
	OptRequestedIPAddress:                {"dhcp-requested-address", fScalar, 4, tIP},
	OptIPAddressLeaseTime:                {"dhcp-lease-time", fScalar, 4, tUint},
	OptOverload:                          {"dhcp-option-overload", fScalar, 1, tUint},
	OptMessageType:                       {"dhcp-message-type", fScalar, 1, tUint},
	OptServerIdentifier:                  {"dhcp-server-identifier", fScalar, 4, tIP},
	OptParameterRequestList:              {"dhcp-parameter-request-list", fInts, 1, tUint},
	OptMessage:                           {"dhcp-message", fString, 0, tString},
	OptMaxMessageSize:                    {"dhcp-max-message-size", fScalar, 2, tUint},
	OptRenewalTime:                       {"dhcp-renewal-time", fScalar, 4, tUint},
	OptRebindingTime:                     {"dhcp-rebinding-time", fScalar, 4, tUint},
	OptVendorClassIdentifier:             {"vendor-class-identifier", fString, 0, tString},
	OptClientIdentifier:                  {"dhcp-client-identifier", fAny, 0, tHex},
	OptNetWareIPDomain:                   {"nwip-domain-name", fString, 0, tString},
	OptNetWareIPInformation:              {"nwip-suboptions", fAny, 0, tHex},
	OptNISPlusDomain:                     {"nisplus-domain-name", fString, 0, tString},
	OptNISPlusServers:                    {"nisplus-servers", fIPs, 4, tIP},
	OptTFTPServerName:                    {"tftp-server-name", fString, 0, tString},
	OptBootfileName:                      {"boot-file-name", fString, 0, tString},
	OptMobileIPHomeAgent:                 {"mobile-ip-home-agent", fIPs, 4, tIP},
	OptSMTPServer:                        {"smtp-server", fIPs, 4, tIP},
	OptPOP3Server:                        {"pop-server", fIPs, 4, tIP},
	OptNNTPServer:                        {"nntp-server", fIPs, 4, tIP},
	OptWWWServer:                         {"www-server", fIPs, 4, tIP},
	OptFingerServer:                      {"finger-server", fIPs, 4, tIP},
	OptIRCServer:                         {"irc-server", fIPs, 4, tIP},
	OptStreetTalkServer:                  {"streettalk-server", fIPs, 4, tIP},
	OptStreetTalkDirectoryAssistance:     {"streettalk-directory-assistance-server", fIPs, 4, tIP},
	OptUserClass:                         {"user-class", fAny, 0, tHex},
	OptSLPDirectoryAgent:                 {"slp-directory-agent", fMin, 5, tHex},
	OptSLPServiceScope:                   {"slp-service-scope", fMin, 1, tHex},
	OptClientFQDN:                        {"fqdn", fMin, 3, tHex},
	OptRelayAgentInformation:             {"dhcp-agent-options", fAny, 0, tHex},
	OptNDSServers:                        {"nds-servers", fIPs, 4, tIP},
	OptNDSTreeName:                       {"nds-tree-name", fString, 0, tString},
	OptNDSContext:                        {"nds-context", fString, 0, tString},
	OptBCMCSDomainNameList:               {"bcms-controller-names", fAny, 0, tHex},
	OptBCMCSIPv4Address:                  {"bcms-controller-address", fIPs, 4, tIP},
	OptAuthentication:                    {"authenticate", fAny, 0, tHex},
	OptClientLastTransactionTime:         {"client-last-transaction-time", fScalar, 4, tUint},
	OptAssociatedIP:                      {"associated-ip", fIPs, 4, tIP},
	OptClientSystemArchitecture:          {"client-system", fInts, 2, tUint},
	OptClientNetworkInterface:            {"client-ndi", fMin, 3, tHex},
	OptClientMachineIdentifier:           {"uuid-guid", fMin, 1, tHex},
	OptUserAuthentication:                {"uap-servers", fString, 0, tString},
	OptGeoconfCivic:                      {"geoconf-civic", fAny, 0, tHex},
	OptPCode:                             {"pcode", fString, 0, tString},
	OptTCode:                             {"tcode", fString, 0, tString},
	OptIPv6OnlyPreferred:                 {"v6-only-preferred", fScalar, 4, tUint},
	OptNetinfoAddress:                    {"netinfo-server-address", fIPs, 4, tIP},
	OptNetinfoTag:                        {"netinfo-server-tag", fString, 0, tString},
	OptCaptivePortal:                     {"v4-captive-portal", fString, 0, tString},
	OptAutoConfigure:                     {"auto-config", fScalar, 1, tUint},
	OptNameServiceSearch:                 {"name-service-search", fInts, 2, tUint},
	OptSubnetSelection:                   {"subnet-selection", fScalar, 4, tIP},
	OptDomainSearch:                      {"domain-search", fAny, 0, tHex},
	OptClasslessStaticRoute:              {"classless-static-route", fAny, 0, tHex},
	OptCableLabsClientConfiguration:      {"cablelabs-client-conf", fAny, 0, tHex},
	OptVIVendorClass:                     {"vivco-suboptions", fAny, 0, tHex},
	OptVIVendorSpecificInformation:       {"vivso-suboptions", fAny, 0, tHex},
	OptPANAAgent:                         {"pana-agent", fIPs, 4, tIP},
	OptV4LoST:                            {"v4-lost", fAny, 0, tHex},
	OptCAPWAPACv4:                        {"capwap-ac-v4", fIPs, 4, tIP},
	OptSIPUAConfigurationServiceDomains:  {"sip-ua-cs-domains", fAny, 0, tHex},
	OptV4SZTPRedirect:                    {"v4-sztp-redirect", fAny, 0, tHex},
	OptRDNSSSelection:                    {"rdnss-selection", fMin, 9, tHex},
	OptStatusCode:                        {"status-code", fMin, 1, tHex},
	OptBaseTime:                          {"base-time", fScalar, 4, tUint},
	OptStartTimeOfState:                  {"start-time-of-state", fScalar, 4, tUint},
	OptQueryStartTime:                    {"query-start-time", fScalar, 4, tUint},
	OptQueryEndTime:                      {"query-end-time", fScalar, 4, tUint},
	OptDHCPState:                         {"dhcp-state", fScalar, 1, tUint},
	OptDataSource:                        {"data-source", fScalar, 1, tUint},
	OptV4PortParams:                      {"v4-portparams", fMin, 4, tHex},
	OptV4DNR:                             {"v4-dnr", fAny, 0, tHex},
	OptSixRD:                             {"option-6rd", fMin, 22, tHex},
	OptV4AccessDomain:                    {"v4-access-domain", fAny, 0, tHex},
}

var raiDefs = [256]optionDef{
	RAICircuitID:                     {"circuit-id", fAny, 0, tHex},
	RAIRemoteID:                      {"remote-id", fAny, 0, tHex},
	RAIDOCSISDeviceClass:             {"docsis-device-class", fScalar, 4, tUint},
	RAILinkSelection:                 {"link-selection", fScalar, 4, tIP},
	RAISubscriberID:                  {"subscriber-id", fString, 0, tString},
	RAIRADIUS:                        {"radius", fAny, 0, tHex},
	RAIAuthentication:                {"auth", fAny, 0, tHex},
	RAIVendorSpecificInformation:     {"vendor-specific-info", fAny, 0, tHex},
	RAIRelayFlags:                    {"relay-flags", fScalar, 1, tUint},
	RAIServerIDOverride:              {"server-id-override", fScalar, 4, tIP},
	RAIRelayID:                       {"relay-id", fAny, 0, tHex},
	RAIAccessTechnologyType:          {"access-techno-type", fScalar, 2, tUint},
	RAIAccessNetworkName:             {"access-network-name", fString, 0, tString},
	RAIAccessPointName:               {"access-point-name", fString, 0, tString},
	RAIAccessPointBSSID:              {"access-point-bssid", fAny, 0, tHex},
	RAIOperatorID:                    {"operator-id", fScalar, 4, tUint},
	RAIOperatorRealm:                 {"operator-realm", fString, 0, tString},
	RAIRelayPort:                     {"relay-port", fAny, 0, tHex}, // no octets (RFC 8357 §4.1), two as Kea defines it
	RAIVirtualSubnetSelection:        {"virtual-subnet-select", fAny, 0, tHex},
	RAIVirtualSubnetSelectionControl: {"virtual-subnet-select-ctrl", fAny, 0, tHex},
}
