/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef PEREGRINE_CONSTS_H
#define PEREGRINE_CONSTS_H

/* Sizes that userspace may change at load are only defaults here: see Options
 * in load_linux.go. Unit: map entries.
 */
#ifndef MAX_INTERFACES
#define MAX_INTERFACES 64
#endif
#ifndef MAX_SOCKETS
#define MAX_SOCKETS 1024
#endif
#ifndef MAX_CLIENTS
#define MAX_CLIENTS 65536
#endif
#ifndef MAX_RELAYS
#define MAX_RELAYS 4096
#endif
#ifndef MAX_ADDRS
#define MAX_ADDRS 4096
#endif
#ifndef MAX_SCOPES
#define MAX_SCOPES 4096
#endif
#ifndef MAX_VLANS
#define MAX_VLANS 4096
#endif

/* Options looked at in one DHCPv4 message, pads included. */
#ifndef MAX_OPTIONS4
#define MAX_OPTIONS4 64
#endif
/* Sub-options looked at in Relay Agent Information. */
#ifndef MAX_SUBOPTIONS4
#define MAX_SUBOPTIONS4 16
#endif
/* Options looked at in each layer of a DHCPv6 message. */
#ifndef MAX_OPTIONS6
#define MAX_OPTIONS6 32
#endif
/* RELAY-FORW layers opened; RFC 8415 allows HOP_COUNT_LIMIT 8. */
#ifndef MAX_RELAY_DEPTH
#define MAX_RELAY_DEPTH 4
#endif
/* Bytes of a DUID or client-id that go into its hash: the longest DUID, RFC 8415 section 11.1. */
#define MAX_ID_LEN 130

/* Message offsets are kept in this range so that the verifier can bound them.
 * XDP without fragments never sees a frame beyond a page.
 */
#define OFFSET_MASK 0xfff

/* Tags looked through, priority tags included. */
#define VLAN_TAGS 2
#define VLAN_VID_MASK 0x0fff

#define BOOTREQUEST 1
#define DHCP4_FIXED_LEN 236
#define DHCP4_MIN_LEN 240
/* 99.130.83.99, RFC 2131 section 3 */
#define DHCP4_COOKIE 0x63825363
#define CHADDR_LEN 16
/* The longest hlen taken, that of InfiniBand (Kea's HWAddr); only CHADDR_LEN octets
 * are in the message.
 */
#define MAX_HLEN 20

#define OPT4_PAD 0
#define OPT4_MESSAGE_TYPE 53
#define OPT4_CLIENT_IDENTIFIER 61
#define OPT4_RELAY_AGENT_INFORMATION 82
#define OPT4_SUBNET_SELECTION 118
#define OPT4_END 255
#define RAI_LINK_SELECTION 5

#define MSG4_DISCOVER 1
#define MSG4_INFORM 8

#define DHCP6_MIN_LEN 4
#define DHCP6_RELAY_LEN 34
#define OPT6_CLIENTID 1
#define OPT6_RELAY_MSG 9

#define MSG6_SOLICIT 1
#define MSG6_ADVERTISE 2
#define MSG6_REPLY 7
#define MSG6_RECONFIGURE 10
#define MSG6_INFORMATION_REQUEST 11
#define MSG6_RELAY_FORW 12
#define MSG6_RELAY_REPL 13

/* struct iface.flags */
#define IFACE_ENABLED4 1
#define IFACE_ENABLED6 2
/* also frames of VLANs that no interface stands for */
#define IFACE_TAGGED 4

/* The key of addresses that are ours whatever interface a packet comes in on. */
#define ANY_INTERFACE 0

/* Message types with a counter of their own; the last takes all above it. */
#define MESSAGE_TYPES 64

enum family {
	FAMILY_NONE = 0, /* neither IPv4 nor IPv6 */
	FAMILY_IPV4 = 1,
	FAMILY_IPV6 = 2,
	FAMILY_COUNT = 3,
};

/* The XDP actions by their kernel numbers. */
enum action {
	ACTION_ABORTED = 0,
	ACTION_DROP = 1,
	ACTION_PASS = 2,
	ACTION_TX = 3,
	ACTION_REDIRECT = 4,
	ACTION_COUNT = 5,
};

/* Why a packet left the program. Labels: counters.go; append, never renumber. */
enum reason {
	/* pass: not ours */
	REASON_NOT_IP = 0,          /* EtherType neither IPv4 nor IPv6 */
	REASON_VLAN_DEPTH = 1,      /* more than two tags */
	REASON_TRUNCATED_FRAME = 2, /* ends before it is known whether it is for us */
	REASON_NOT_UDP = 3,
	REASON_OTHER_PORT = 4,
	REASON_OTHER_ADDRESS = 5,
	REASON_INTERFACE_OFF = 6, /* interface unknown, or family not enabled on it */

	/* pass: ours, but for the socket path */
	REASON_FRAGMENT = 7,
	REASON_IP_OPTIONS = 8, /* IPv4 options or an IPv6 extension header */
	REASON_QUEUE_UNUSED = 9,
	REASON_NO_SOCKET = 10,

	/* drop: malformed */
	REASON_BAD_IP_HEADER = 11, /* version or header length */
	REASON_BAD_IP_LENGTH = 12,
	REASON_BAD_IP_CHECKSUM = 13,
	REASON_BAD_UDP_LENGTH = 14,
	REASON_SHORT_MESSAGE = 15,
	REASON_BAD_OP = 16, /* v4: not BOOTREQUEST; v6: a message only clients and relays receive */
	REASON_BAD_HLEN = 17,
	REASON_BAD_COOKIE = 18,

	/* drop: over a limit */
	REASON_LIMIT_CLIENT = 19,
	REASON_LIMIT_NEW_CLIENTS = 20,
	REASON_LIMIT_RELAY = 21,
	REASON_LIMIT_SCOPE_GLOBAL = 22,
	REASON_LIMIT_SCOPE = 23,
	REASON_SHED = 24, /* DISCOVER, SOLICIT, INFORM or INFORMATION-REQUEST over their limit */

	/* redirect */
	REASON_STEERED = 25,

	/* pass: a map that always has the entry did not have it */
	REASON_INTERNAL = 26,

	/* drop: the same messages as SHED, by the word of their worker */
	REASON_OVERLOAD = 27,

	/* pass: tagged, and no VLAN interface is served that it belongs to */
	REASON_OTHER_VLAN = 28,

	REASON_COUNT = 29,
};

/* Things worth counting that do not end a packet. */
enum note {
	NOTE_SCOPE_UNKNOWN = 0,     /* not charged to a scope: the subnet cannot be told here */
	NOTE_CLIENT_NOT_STORED = 1, /* the client table refused an entry */
	NOTE_RELAY_NOT_STORED = 2,  /* the relay table refused an entry */
	NOTE_COUNT = 3,
};

/* What identifies a client in struct client_key. */
enum client_kind {
	CLIENT_CHADDR = 0,    /* chaddr, zero beyond hlen */
	CLIENT_ID4 = 1,       /* hash of the client identifier option: hlen is 0 */
	CLIENT_ADDRESSES = 2, /* ciaddr, giaddr and source MAC: nothing better was there */
	CLIENT_DUID = 3,      /* hash of the DUID */
	CLIENT_PEER6 = 4,     /* peer-address of the innermost RELAY-FORW reached */
	CLIENT_SOURCE6 = 5,   /* IPv6 source address */
	CLIENT_KIND_COUNT = 6,
};

#endif
