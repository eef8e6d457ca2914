package optiondef

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/class"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Type is the type of an option or of a field of a record (V4-096).
type Type = class.OptionType

const (
	Empty    = class.TypeEmpty
	Binary   = class.TypeBinary
	Bool     = class.TypeBoolean
	Int8     = class.TypeInt8
	Int16    = class.TypeInt16
	Int32    = class.TypeInt32
	Uint8    = class.TypeUint8
	Uint16   = class.TypeUint16
	Uint32   = class.TypeUint32
	IPv4     = class.TypeIPv4Address
	IPv6     = class.TypeIPv6Address
	Prefix   = class.TypeIPv6Prefix
	PSID     = class.TypePSID
	String   = class.TypeString
	Tuple    = class.TypeTuple
	FQDN     = class.TypeFQDN
	Record   = class.TypeRecord
	Internal = class.TypeInternal // 121 and 162, each with a format of its own
)

// Def defines an option of a space. It is immutable.
type Def struct {
	Code   uint16
	Name   string
	Fields []Type // more than one is a record
	Array  bool   // of the last field
	// Encapsulates is the space of the options that follow the fields, "" none.
	Encapsulates string
	Space        string
	// V6 says that codes and lengths of sub-options and tuples have 16 bits.
	V6 bool
	// Src is the option-def entry, nil where the definition is built in.
	Src *keajson.Node
}

func def(code uint16, name string, fields ...Type) Def {
	return Def{Code: code, Name: name, Fields: fields}
}

func arr(code uint16, name string, fields ...Type) Def {
	return Def{Code: code, Name: name, Fields: fields, Array: true}
}

func encap(code uint16, name, space string) Def {
	return Def{Code: code, Name: name, Fields: []Type{Empty}, Encapsulates: space}
}

// builtin are the options that Kea defines in space dhcp4 (inventory
// section 1.6), by the IANA registry of BOOTP vendor extensions.
var builtin = []Def{
	def(1, "subnet-mask", IPv4),
	def(2, "time-offset", Int32),
	arr(3, "routers", IPv4),
	arr(4, "time-servers", IPv4),
	arr(5, "name-servers", IPv4),
	arr(6, "domain-name-servers", IPv4),
	arr(7, "log-servers", IPv4),
	arr(8, "cookie-servers", IPv4),
	arr(9, "lpr-servers", IPv4),
	arr(10, "impress-servers", IPv4),
	arr(11, "resource-location-servers", IPv4),
	def(12, "host-name", String),
	def(13, "boot-size", Uint16),
	def(14, "merit-dump", String),
	def(15, "domain-name", String), // a plain string in Kea's code (DC-04)
	def(16, "swap-server", IPv4),
	def(17, "root-path", String),
	def(18, "extensions-path", String),
	def(19, "ip-forwarding", Bool),
	def(20, "non-local-source-routing", Bool),
	arr(21, "policy-filter", IPv4),
	def(22, "max-dgram-reassembly", Uint16),
	def(23, "default-ip-ttl", Uint8),
	def(24, "path-mtu-aging-timeout", Uint32),
	arr(25, "path-mtu-plateau-table", Uint16),
	def(26, "interface-mtu", Uint16),
	def(27, "all-subnets-local", Bool),
	def(28, "broadcast-address", IPv4),
	def(29, "perform-mask-discovery", Bool),
	def(30, "mask-supplier", Bool),
	def(31, "router-discovery", Bool),
	def(32, "router-solicitation-address", IPv4),
	arr(33, "static-routes", IPv4),
	def(34, "trailer-encapsulation", Bool),
	def(35, "arp-cache-timeout", Uint32),
	def(36, "ieee802-3-encapsulation", Bool),
	def(37, "default-tcp-ttl", Uint8),
	def(38, "tcp-keepalive-interval", Uint32),
	def(39, "tcp-keepalive-garbage", Bool),
	def(40, "nis-domain", String),
	arr(41, "nis-servers", IPv4),
	arr(42, "ntp-servers", IPv4),
	arr(44, "netbios-name-servers", IPv4),
	arr(45, "netbios-dd-server", IPv4),
	def(46, "netbios-node-type", Uint8),
	def(47, "netbios-scope", String),
	arr(48, "font-servers", IPv4),
	arr(49, "x-display-manager", IPv4),
	def(50, "dhcp-requested-address", IPv4),
	def(51, "dhcp-lease-time", Uint32),
	def(52, "dhcp-option-overload", Uint8),
	def(53, "dhcp-message-type", Uint8),
	def(54, "dhcp-server-identifier", IPv4),
	arr(55, "dhcp-parameter-request-list", Uint8),
	def(56, "dhcp-message", String),
	def(57, "dhcp-max-message-size", Uint16),
	def(58, "dhcp-renewal-time", Uint32),
	def(59, "dhcp-rebinding-time", Uint32),
	def(60, "vendor-class-identifier", String),
	def(61, "dhcp-client-identifier", Binary),
	def(62, "nwip-domain-name", String),
	def(63, "nwip-suboptions", Binary),
	def(64, "nisplus-domain-name", String),
	arr(65, "nisplus-servers", IPv4),
	def(66, "tftp-server-name", String),
	def(67, "boot-file-name", String),
	arr(68, "mobile-ip-home-agent", IPv4),
	arr(69, "smtp-server", IPv4),
	arr(70, "pop-server", IPv4),
	arr(71, "nntp-server", IPv4),
	arr(72, "www-server", IPv4),
	arr(73, "finger-server", IPv4),
	arr(74, "irc-server", IPv4),
	arr(75, "streettalk-server", IPv4),
	arr(76, "streettalk-directory-assistance-server", IPv4),
	def(77, "user-class", Binary),
	arr(78, "slp-directory-agent", Bool, IPv4),
	def(79, "slp-service-scope", Bool, String),
	def(81, "fqdn", Uint8, Uint8, Uint8, FQDN),
	encap(82, "dhcp-agent-options", spaceRAI),
	arr(85, "nds-servers", IPv4),
	def(86, "nds-tree-name", String),
	def(87, "nds-context", String),
	arr(88, "bcms-controller-names", FQDN),
	arr(89, "bcms-controller-address", IPv4),
	def(90, "authenticate", Binary),
	def(91, "client-last-transaction-time", Uint32),
	arr(92, "associated-ip", IPv4),
	arr(93, "client-system", Uint16),
	def(94, "client-ndi", Uint8, Uint8, Uint8),
	def(97, "uuid-guid", Uint8, Binary),
	def(98, "uap-servers", String),
	def(99, "geoconf-civic", Binary),
	def(100, "pcode", String),
	def(101, "tcode", String),
	def(108, "v6-only-preferred", Uint32),
	arr(112, "netinfo-server-address", IPv4),
	def(113, "netinfo-server-tag", String),
	def(114, "v4-captive-portal", String),
	def(116, "auto-config", Uint8),
	arr(117, "name-service-search", Uint16),
	def(118, "subnet-selection", IPv4),
	arr(119, "domain-search", FQDN),
	def(121, "classless-static-route", Internal),
	encap(122, "cablelabs-client-conf", spaceCableLabs),
	def(124, "vivco-suboptions", Uint32, Binary),
	def(125, "vivso-suboptions", Uint32),
	arr(136, "pana-agent", IPv4),
	def(137, "v4-lost", FQDN),
	arr(138, "capwap-ac-v4", IPv4),
	arr(141, "sip-ua-cs-domains", FQDN),
	arr(143, "v4-sztp-redirect", Tuple),
	arr(146, "rdnss-selection", Uint8, IPv4, IPv4, FQDN),
	def(151, "status-code", Uint8, String),
	def(152, "base-time", Uint32),
	def(153, "start-time-of-state", Uint32),
	def(154, "query-start-time", Uint32),
	def(155, "query-end-time", Uint32),
	def(156, "dhcp-state", Uint8),
	def(157, "data-source", Uint8),
	def(159, "v4-portparams", Uint8, PSID),
	def(162, "v4-dnr", Internal),
	arr(212, "option-6rd", Uint8, Uint8, IPv6, IPv4),
	def(213, "v4-access-domain", FQDN),
}

// LastResort43 is what option 43 is where no option-def says otherwise (V4-098).
var LastResort43 = Def{Code: 43, Name: "vendor-encapsulated-options", Fields: []Type{Empty},
	Encapsulates: spaceVendorEncapsulated, Space: SpaceDHCP4}

// builtinRAI are the sub-options of option 82 (RFC 3046 and its successors).
var builtinRAI = []Def{
	def(1, "circuit-id", Binary),
	def(2, "remote-id", Binary),
	def(4, "docsis-device-class", Uint32),
	def(5, "link-selection", IPv4),
	def(6, "subscriber-id", String),
	def(7, "radius", Binary),
	def(8, "auth", Binary),
	def(9, "vendor-specific-info", Binary),
	def(10, "relay-flags", Uint8),
	def(11, "server-id-override", IPv4),
	def(12, "relay-id", Binary),
	def(13, "access-techno-type", Uint16),
	def(14, "access-network-name", String),
	def(15, "access-point-name", String),
	def(16, "access-point-bssid", Binary),
	def(17, "operator-id", Uint32),
	def(18, "operator-realm", String),
	def(19, "relay-port", Uint16),
	def(151, "virtual-subnet-select", Binary),
	def(152, "virtual-subnet-select-ctrl", Empty),
}

// builtinCableLabs are the sub-options of option 122 (RFC 3495, RFC 3594). Sub-option
// 3 has a form that depends on its first octet and no definition.
var builtinCableLabs = []Def{
	def(1, "tsp-primary-server", IPv4),
	def(2, "tsp-secondary-server", IPv4),
	def(4, "tsp-as-parameters", Uint32, Uint32, Uint32),
	def(5, "tsp-ap-parameters", Uint32, Uint32, Uint32),
	def(6, "tsp-realm", FQDN),
	def(7, "tsp-use-tgt", Bool),
	def(8, "tsp-provisioning-timer", Uint8),
	def(9, "tsp-sct", Uint16),
	arr(10, "kdc-server", IPv4),
}

// builtinDOCSIS are what CableLabs (enterprise 4491) has in option 125 (V4-100).
var builtinDOCSIS = []Def{
	arr(1, "oro", Uint8),
	arr(2, "tftp-servers", IPv4),
}
