package config

import "github.com/peregrine-dhcp/peregrine/slowpath/class"

// optType is the type of an option or of a field of a record (V4-096).
type optType = class.OptionType

const (
	optEmpty    = class.TypeEmpty
	optBinary   = class.TypeBinary
	optBool     = class.TypeBoolean
	optInt8     = class.TypeInt8
	optInt16    = class.TypeInt16
	optInt32    = class.TypeInt32
	optUint8    = class.TypeUint8
	optUint16   = class.TypeUint16
	optUint32   = class.TypeUint32
	optIPv4     = class.TypeIPv4Address
	optIPv6     = class.TypeIPv6Address
	optPrefix   = class.TypeIPv6Prefix
	optPSID     = class.TypePSID
	optString   = class.TypeString
	optTuple    = class.TypeTuple
	optFQDN     = class.TypeFQDN
	optRecord   = class.TypeRecord
	optInternal = class.TypeInternal // 121 and 162, each with a format of its own
)

// optDef defines an option of a space. It is immutable.
type optDef struct {
	code   uint16
	name   string
	fields []optType // more than one is a record
	array  bool      // of the last field
	// encapsulates is the space of the options that follow the fields, "" none.
	encapsulates string
	space        string
	// v6 says that codes and lengths of sub-options and tuples have 16 bits.
	v6 bool
	// src is the option-def entry, nil where the definition is built in.
	src *Node
}

func def(code uint16, name string, fields ...optType) optDef {
	return optDef{code: code, name: name, fields: fields}
}

func arr(code uint16, name string, fields ...optType) optDef {
	return optDef{code: code, name: name, fields: fields, array: true}
}

func encap(code uint16, name, space string) optDef {
	return optDef{code: code, name: name, fields: []optType{optEmpty}, encapsulates: space}
}

// builtinOptions are the options that Kea defines in space dhcp4 (inventory
// section 1.6), by the IANA registry of BOOTP vendor extensions.
var builtinOptions = []optDef{
	def(1, "subnet-mask", optIPv4),
	def(2, "time-offset", optInt32),
	arr(3, "routers", optIPv4),
	arr(4, "time-servers", optIPv4),
	arr(5, "name-servers", optIPv4),
	arr(6, "domain-name-servers", optIPv4),
	arr(7, "log-servers", optIPv4),
	arr(8, "cookie-servers", optIPv4),
	arr(9, "lpr-servers", optIPv4),
	arr(10, "impress-servers", optIPv4),
	arr(11, "resource-location-servers", optIPv4),
	def(12, "host-name", optString),
	def(13, "boot-size", optUint16),
	def(14, "merit-dump", optString),
	def(15, "domain-name", optString), // a plain string in Kea's code (DC-04)
	def(16, "swap-server", optIPv4),
	def(17, "root-path", optString),
	def(18, "extensions-path", optString),
	def(19, "ip-forwarding", optBool),
	def(20, "non-local-source-routing", optBool),
	arr(21, "policy-filter", optIPv4),
	def(22, "max-dgram-reassembly", optUint16),
	def(23, "default-ip-ttl", optUint8),
	def(24, "path-mtu-aging-timeout", optUint32),
	arr(25, "path-mtu-plateau-table", optUint16),
	def(26, "interface-mtu", optUint16),
	def(27, "all-subnets-local", optBool),
	def(28, "broadcast-address", optIPv4),
	def(29, "perform-mask-discovery", optBool),
	def(30, "mask-supplier", optBool),
	def(31, "router-discovery", optBool),
	def(32, "router-solicitation-address", optIPv4),
	arr(33, "static-routes", optIPv4),
	def(34, "trailer-encapsulation", optBool),
	def(35, "arp-cache-timeout", optUint32),
	def(36, "ieee802-3-encapsulation", optBool),
	def(37, "default-tcp-ttl", optUint8),
	def(38, "tcp-keepalive-interval", optUint32),
	def(39, "tcp-keepalive-garbage", optBool),
	def(40, "nis-domain", optString),
	arr(41, "nis-servers", optIPv4),
	arr(42, "ntp-servers", optIPv4),
	arr(44, "netbios-name-servers", optIPv4),
	arr(45, "netbios-dd-server", optIPv4),
	def(46, "netbios-node-type", optUint8),
	def(47, "netbios-scope", optString),
	arr(48, "font-servers", optIPv4),
	arr(49, "x-display-manager", optIPv4),
	def(50, "dhcp-requested-address", optIPv4),
	def(51, "dhcp-lease-time", optUint32),
	def(52, "dhcp-option-overload", optUint8),
	def(53, "dhcp-message-type", optUint8),
	def(54, "dhcp-server-identifier", optIPv4),
	arr(55, "dhcp-parameter-request-list", optUint8),
	def(56, "dhcp-message", optString),
	def(57, "dhcp-max-message-size", optUint16),
	def(58, "dhcp-renewal-time", optUint32),
	def(59, "dhcp-rebinding-time", optUint32),
	def(60, "vendor-class-identifier", optString),
	def(61, "dhcp-client-identifier", optBinary),
	def(62, "nwip-domain-name", optString),
	def(63, "nwip-suboptions", optBinary),
	def(64, "nisplus-domain-name", optString),
	arr(65, "nisplus-servers", optIPv4),
	def(66, "tftp-server-name", optString),
	def(67, "boot-file-name", optString),
	arr(68, "mobile-ip-home-agent", optIPv4),
	arr(69, "smtp-server", optIPv4),
	arr(70, "pop-server", optIPv4),
	arr(71, "nntp-server", optIPv4),
	arr(72, "www-server", optIPv4),
	arr(73, "finger-server", optIPv4),
	arr(74, "irc-server", optIPv4),
	arr(75, "streettalk-server", optIPv4),
	arr(76, "streettalk-directory-assistance-server", optIPv4),
	def(77, "user-class", optBinary),
	arr(78, "slp-directory-agent", optBool, optIPv4),
	def(79, "slp-service-scope", optBool, optString),
	def(81, "fqdn", optUint8, optUint8, optUint8, optFQDN),
	encap(82, "dhcp-agent-options", spaceRAI),
	arr(85, "nds-servers", optIPv4),
	def(86, "nds-tree-name", optString),
	def(87, "nds-context", optString),
	arr(88, "bcms-controller-names", optFQDN),
	arr(89, "bcms-controller-address", optIPv4),
	def(90, "authenticate", optBinary),
	def(91, "client-last-transaction-time", optUint32),
	arr(92, "associated-ip", optIPv4),
	arr(93, "client-system", optUint16),
	def(94, "client-ndi", optUint8, optUint8, optUint8),
	def(97, "uuid-guid", optUint8, optBinary),
	def(98, "uap-servers", optString),
	def(99, "geoconf-civic", optBinary),
	def(100, "pcode", optString),
	def(101, "tcode", optString),
	def(108, "v6-only-preferred", optUint32),
	arr(112, "netinfo-server-address", optIPv4),
	def(113, "netinfo-server-tag", optString),
	def(114, "v4-captive-portal", optString),
	def(116, "auto-config", optUint8),
	arr(117, "name-service-search", optUint16),
	def(118, "subnet-selection", optIPv4),
	arr(119, "domain-search", optFQDN),
	def(121, "classless-static-route", optInternal),
	encap(122, "cablelabs-client-conf", spaceCableLabs),
	def(124, "vivco-suboptions", optUint32, optBinary),
	def(125, "vivso-suboptions", optUint32),
	arr(136, "pana-agent", optIPv4),
	def(137, "v4-lost", optFQDN),
	arr(138, "capwap-ac-v4", optIPv4),
	arr(141, "sip-ua-cs-domains", optFQDN),
	arr(143, "v4-sztp-redirect", optTuple),
	arr(146, "rdnss-selection", optUint8, optIPv4, optIPv4, optFQDN),
	def(151, "status-code", optUint8, optString),
	def(152, "base-time", optUint32),
	def(153, "start-time-of-state", optUint32),
	def(154, "query-start-time", optUint32),
	def(155, "query-end-time", optUint32),
	def(156, "dhcp-state", optUint8),
	def(157, "data-source", optUint8),
	def(159, "v4-portparams", optUint8, optPSID),
	def(162, "v4-dnr", optInternal),
	arr(212, "option-6rd", optUint8, optUint8, optIPv6, optIPv4),
	def(213, "v4-access-domain", optFQDN),
}

// lastResort43 is what option 43 is where no option-def says otherwise (V4-098).
var lastResort43 = optDef{code: 43, name: "vendor-encapsulated-options", fields: []optType{optEmpty},
	encapsulates: spaceVendorEncapsulated, space: spaceDHCP4}

// builtinRAI are the sub-options of option 82 (RFC 3046 and its successors).
var builtinRAI = []optDef{
	def(1, "circuit-id", optBinary),
	def(2, "remote-id", optBinary),
	def(4, "docsis-device-class", optUint32),
	def(5, "link-selection", optIPv4),
	def(6, "subscriber-id", optString),
	def(7, "radius", optBinary),
	def(8, "auth", optBinary),
	def(9, "vendor-specific-info", optBinary),
	def(10, "relay-flags", optUint8),
	def(11, "server-id-override", optIPv4),
	def(12, "relay-id", optBinary),
	def(13, "access-techno-type", optUint16),
	def(14, "access-network-name", optString),
	def(15, "access-point-name", optString),
	def(16, "access-point-bssid", optBinary),
	def(17, "operator-id", optUint32),
	def(18, "operator-realm", optString),
	def(19, "relay-port", optUint16),
	def(151, "virtual-subnet-select", optBinary),
	def(152, "virtual-subnet-select-ctrl", optEmpty),
}

// builtinCableLabs are the sub-options of option 122 (RFC 3495, RFC 3594). Sub-option
// 3 has a form that depends on its first octet and no definition.
var builtinCableLabs = []optDef{
	def(1, "tsp-primary-server", optIPv4),
	def(2, "tsp-secondary-server", optIPv4),
	def(4, "tsp-as-parameters", optUint32, optUint32, optUint32),
	def(5, "tsp-ap-parameters", optUint32, optUint32, optUint32),
	def(6, "tsp-realm", optFQDN),
	def(7, "tsp-use-tgt", optBool),
	def(8, "tsp-provisioning-timer", optUint8),
	def(9, "tsp-sct", optUint16),
	arr(10, "kdc-server", optIPv4),
}

// builtinDOCSIS are what CableLabs (enterprise 4491) has in option 125 (V4-100).
var builtinDOCSIS = []optDef{
	arr(1, "oro", optUint8),
	arr(2, "tftp-servers", optIPv4),
}
