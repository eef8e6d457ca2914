/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Headers, and what is known of a packet. Each step checks its own bounds.
 * Header fields are read with their natural width at whatever address they have:
 * the machines served load unaligned words.
 */
#ifndef PEREGRINE_PARSE_H
#define PEREGRINE_PARSE_H

#include "consts.h"
#include "structs.h"
#include "uapi.h"

struct ethhdr {
	__u8 dst[6];
	__u8 src[6];
	__be16 proto;
};

struct vlan_hdr {
	__be16 tci;
	__be16 proto;
};

struct ip4hdr {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 src;
	__be32 dst;
};

struct ip6hdr {
	__u8 version_class;
	__u8 class_flow[3];
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
};

struct udphdr {
	__be16 src;
	__be16 dst;
	__be16 len;
	__be16 checksum;
};

struct dhcp4_msg {
	__u8 op;
	__u8 htype;
	__u8 hlen;
	__u8 hops;
	__be32 xid;
	__be16 secs;
	__be16 flags;
	__be32 ciaddr;
	__be32 yiaddr;
	__be32 siaddr;
	__be32 giaddr;
	__u8 chaddr[CHADDR_LEN];
	__u8 sname[64];
	__u8 file[128];
	__be32 cookie;
};

struct dhcp6_relay {
	__u8 type;
	__u8 hops;
	__u8 link[16];
	__u8 peer[16];
};

_Static_assert(sizeof(struct ethhdr) == 14, "ethhdr");
_Static_assert(sizeof(struct ip4hdr) == 20, "ip4hdr");
_Static_assert(sizeof(struct ip6hdr) == 40, "ip6hdr");
_Static_assert(sizeof(struct udphdr) == 8, "udphdr");
_Static_assert(sizeof(struct dhcp4_msg) == DHCP4_MIN_LEN, "dhcp4_msg");
_Static_assert(__builtin_offsetof(struct dhcp4_msg, chaddr) == 28, "chaddr");
_Static_assert(sizeof(struct dhcp6_relay) == DHCP6_RELAY_LEN, "dhcp6_relay");

/* What is known of a packet by the time it is limited and steered. */
struct packet {
	enum family family;
	__u32 type; /* message type, the innermost when relayed; 0: not found */
	struct client_key client;
	struct relay_key relay;
	__u32 relayed;
	/* IPv4 address that selects the subnet, 0: the interface does. Only if
	 * scope_known.
	 */
	__be32 subnet4;
	__u32 scope_known;
	/* The interface the packet belongs to: the one it came in on, or the VLAN
	 * interface over that.
	 */
	__u32 ifindex;
	struct iface iface;
	struct vlan_key vlan; /* vid[0] is 0 if there is no tag */
};

/* Keeps an offset that is added to a packet pointer between 0 and OFFSET_MASK, in
 * a way that the compiler cannot see through and so cannot leave out. It also
 * makes all offsets look alike to the verifier, so that it can prune a loop that
 * would otherwise fork at every option.
 */
static __always_inline __u64 bounded(__u64 off)
{
	asm volatile("%0 &= %1" : "+r"(off) : "i"(OFFSET_MASK));
	return off;
}

/* A length in a header, in host order. Older verifiers (6.1 for one) take a swapped number
 * for any number at all; the mask, hidden from the compiler, which knows better,
 * tells them.
 */
static __always_inline __u64 header_length(__be16 length)
{
	__u64 n = bpf_ntohs(length);

	asm volatile("%0 &= 0xffff" : "+r"(n));
	return n;
}

static __always_inline __u16 load_be16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

/* Finds the network header behind at most VLAN_TAGS tags. Returns its offset and
 * sets *proto (host order) and the tags in *vlan, which was zero; a negative value
 * is -1 - reason. A tag with VLAN 0 only carries a priority (IEEE 802.1Q): it is
 * passed over.
 */
static __always_inline int find_network(const void *data, const void *data_end, __u16 *proto, struct vlan_key *vlan)
{
	const struct ethhdr *eth = data;
	int off = sizeof(*eth);

	if ((const void *)(eth + 1) > data_end)
		return -1 - REASON_TRUNCATED_FRAME;
	__be16 p = eth->proto;

#pragma unroll
	for (int i = 0; i < VLAN_TAGS; i++) {
		if (p != bpf_htons(ETH_P_8021Q) && p != bpf_htons(ETH_P_8021AD))
			break;
		const struct vlan_hdr *tag = data + sizeof(*eth) + i * sizeof(*tag);

		if ((const void *)(tag + 1) > data_end)
			return -1 - REASON_TRUNCATED_FRAME;
		__u16 vid = bpf_ntohs(tag->tci) & VLAN_VID_MASK;

		if (vid && !vlan->vid[0]) {
			vlan->tpid[0] = bpf_ntohs(p);
			vlan->vid[0] = vid;
		} else if (vid) {
			vlan->tpid[1] = bpf_ntohs(p);
			vlan->vid[1] = vid;
		}
		p = tag->proto;
		off += sizeof(*tag);
	}
	if (p == bpf_htons(ETH_P_8021Q) || p == bpf_htons(ETH_P_8021AD))
		return -1 - REASON_VLAN_DEPTH;
	*proto = bpf_ntohs(p);
	return off;
}

static __always_inline int is_extension_header(__u8 next_header)
{
	switch (next_header) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case IPPROTO_HIP:
	case IPPROTO_SHIM6:
		return 1;
	}
	return 0;
}

#endif
