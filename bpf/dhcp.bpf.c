//go:build ignore

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What Peregrine does to a packet before the stack sees it: passes what is not
 * DHCP for us, drops what is malformed or over a limit, and steers the rest to the
 * AF_XDP socket of the client's worker.
 *
 * A frame is never changed here, so passing it on is always right. What is not
 * fully understood passes: fragments, IP options and extension headers go to the
 * ordinary socket beside AF_XDP. It drops only what is certain to be DHCP for us,
 * or what no receiver could take as UDP.
 *
 * It reads top to bottom: dhcp() is the one way in and the one way out, decide4()
 * and decide6() find out what the packet is, serve() what becomes of it.
 */

#include "uapi.h"

#include "consts.h"
#include "structs.h"
#include "maps.h"
#include "csum.h"
#include "parse.h"
#include "client.h"
#include "limit.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* What becomes of a packet: an XDP action and the reason counted for it. */
#define VERDICT(action, reason) ((action) << 8 | (reason))
#define VERDICT_ACTION(v) ((v) >> 8)
#define VERDICT_REASON(v) ((v) & 0xff)
_Static_assert(REASON_COUNT <= 256, "a reason fits a verdict");

/* Finds the interface the packet belongs to and whether that takes part for this
 * family. Returns 0 and fills in p->ifindex and p->iface, or a reason to pass.
 *
 * A VLAN's frames belong to its interface. Where there is none they are the
 * stack's, unless the interface they came in on says otherwise.
 */
static __always_inline int find_interface(struct xdp_md *ctx, struct packet *p, __u32 flag)
{
	__u32 ifindex = ctx->ingress_ifindex;
	int other = REASON_INTERFACE_OFF;

	if (p->vlan.vid[0]) {
		p->vlan.ifindex = ifindex;
		__u32 *over = bpf_map_lookup_elem(&vlans, &p->vlan);

		if (over) {
			ifindex = *over;
		} else {
			flag |= IFACE_TAGGED;
			other = REASON_OTHER_VLAN;
		}
	}
	struct iface *found = bpf_map_lookup_elem(&interfaces, &ifindex);

	if (!found || (found->flags & flag) != flag)
		return other;
	p->ifindex = ifindex;
	p->iface = *found;
	return 0;
}

static __always_inline int is_our_addr4(__u32 ifindex, __be32 addr)
{
	struct addr4_key key = { .ifindex = ANY_INTERFACE };

	if (addr == ~(__be32)0)
		return 1;
	__builtin_memcpy(key.addr, &addr, 4);
	if (bpf_map_lookup_elem(&addrs4, &key))
		return 1;
	key.ifindex = ifindex;
	return bpf_map_lookup_elem(&addrs4, &key) != 0;
}

static __always_inline int is_our_addr6(__u32 ifindex, const __be32 *addr)
{
	struct addr6_key key = { .ifindex = ANY_INTERFACE };

	/* All_DHCP_Relay_Agents_and_Servers, ff02::1:2 */
	if (addr[0] == bpf_htonl(0xff020000) && !addr[1] && !addr[2] && addr[3] == bpf_htonl(0x00010002))
		return 1;
	/* All_DHCP_Servers, ff05::1:3 */
	if (addr[0] == bpf_htonl(0xff050000) && !addr[1] && !addr[2] && addr[3] == bpf_htonl(0x00010003))
		return 1;
	__builtin_memcpy(key.addr, addr, 16);
	if (bpf_map_lookup_elem(&addrs6, &key))
		return 1;
	key.ifindex = ifindex;
	return bpf_map_lookup_elem(&addrs6, &key) != 0;
}

/* Decides about a well-formed message of ours: limits, then a socket. A reply that
 * the engine made and that still holds will be sent from between the two.
 */
static __always_inline int serve(struct xdp_md *ctx, struct packet *p, const struct settings *s, struct counters *c)
{
	__u32 type = p->type < MESSAGE_TYPES ? p->type : MESSAGE_TYPES - 1;
	int reason;

	c->received[p->family == FAMILY_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6][type & (MESSAGE_TYPES - 1)]++;

	reason = limit(p, s, c, p->ifindex);
	if (reason == REASON_INTERNAL)
		return VERDICT(XDP_PASS, REASON_INTERNAL);
	if (reason)
		return VERDICT(XDP_DROP, reason);

	if (ctx->rx_queue_index >= p->iface.queues)
		return VERDICT(XDP_PASS, REASON_QUEUE_UNUSED);
	__u32 n = p->iface.sockets_per_queue;
	__u32 index = p->iface.base + ctx->rx_queue_index * n;

	if (n > 1)
		index += steer_hash(&p->client, s) % n;
	if (is_overloaded(p, index))
		return VERDICT(XDP_DROP, REASON_OVERLOAD);
	/* Asked first, so that a redirect is counted only where there is a socket
	 * to take it.
	 */
	if (!bpf_map_lookup_elem(&sockets, &index))
		return VERDICT(XDP_PASS, REASON_NO_SOCKET);
	if (bpf_redirect_map(&sockets, index, XDP_PASS) != XDP_REDIRECT)
		return VERDICT(XDP_PASS, REASON_NO_SOCKET);
	return VERDICT(XDP_REDIRECT, REASON_STEERED);
}

static __always_inline int decide4(struct xdp_md *ctx, struct packet *p, const struct settings *s, struct counters *c,
				   const struct ethhdr *eth, __u32 off, const void *data_end)
{
	const void *network = (const void *)eth + bounded(off);
	const struct ip4hdr *ip = network;

	if ((const void *)(ip + 1) > data_end)
		return VERDICT(XDP_PASS, REASON_TRUNCATED_FRAME);
	if (ip->protocol != IPPROTO_UDP)
		return VERDICT(XDP_PASS, REASON_NOT_UDP);

	__u64 header_len = (ip->version_ihl & 0x0f) * 4;
	int bad_header = ip->version_ihl >> 4 != 4 || header_len < sizeof(*ip);
	/* More fragments, or not the first. */
	int fragment = (ip->frag_off & bpf_htons(0x3fff)) != 0;

	/* The port, where it can be found. A fragment is ours if it is for one of
	 * our addresses: only the first has ports.
	 */
	if (!bad_header && !fragment) {
		const struct udphdr *udp = network + header_len;

		if ((const void *)(udp + 1) <= data_end && bpf_ntohs(udp->dst) != s->port4)
			return VERDICT(XDP_PASS, REASON_OTHER_PORT);
	}
	int off_reason = find_interface(ctx, p, IFACE_ENABLED4);

	if (off_reason)
		return VERDICT(XDP_PASS, off_reason);
	if (!is_our_addr4(p->ifindex, ip->dst))
		return VERDICT(XDP_PASS, REASON_OTHER_ADDRESS);

	/* From here on it is UDP to one of our addresses. */
	if (bad_header)
		return VERDICT(XDP_DROP, REASON_BAD_IP_HEADER);
	if (fragment)
		return VERDICT(XDP_PASS, REASON_FRAGMENT);

	__u64 total_len = header_length(ip->total_len);

	if (total_len < header_len + sizeof(struct udphdr) || network + total_len > data_end)
		return VERDICT(XDP_DROP, REASON_BAD_IP_LENGTH);
	if (header_len != sizeof(*ip))
		return VERDICT(XDP_PASS, REASON_IP_OPTIONS);
	if (!ip4_checksum_ok((const __u16 *)ip))
		return VERDICT(XDP_DROP, REASON_BAD_IP_CHECKSUM);

	const struct udphdr *udp = (const void *)(ip + 1);

	if ((const void *)(udp + 1) > data_end)
		return VERDICT(XDP_DROP, REASON_BAD_IP_LENGTH);
	__u64 udp_len = header_length(udp->len);

	/* Shorter than what IP carries is legal, the rest is ignored. */
	if (udp_len < sizeof(*udp) || udp_len > total_len - sizeof(*ip))
		return VERDICT(XDP_DROP, REASON_BAD_UDP_LENGTH);

	const struct dhcp4_msg *m = (const void *)(udp + 1);

	if (udp_len - sizeof(*udp) < sizeof(*m) || (const void *)(m + 1) > data_end)
		return VERDICT(XDP_DROP, REASON_SHORT_MESSAGE);
	if (m->op != BOOTREQUEST)
		return VERDICT(XDP_DROP, REASON_BAD_OP);
	if (m->hlen > MAX_HLEN)
		return VERDICT(XDP_DROP, REASON_BAD_HLEN);
	if (m->cookie != bpf_htonl(DHCP4_COOKIE))
		return VERDICT(XDP_DROP, REASON_BAD_COOKIE);

	read_message4(ctx, p, s, eth, ip, m, off + sizeof(*ip) + sizeof(*udp),
		      udp_len - sizeof(*udp));
	return 0;
}

static __always_inline int decide6(struct xdp_md *ctx, struct packet *p, const struct settings *s, struct counters *c,
				   const void *data, __u32 off, const void *data_end)
{
	const void *network = data + bounded(off);
	const struct ip6hdr *ip = network;
	const struct udphdr *udp = (const void *)(ip + 1);

	if ((const void *)(ip + 1) > data_end)
		return VERDICT(XDP_PASS, REASON_TRUNCATED_FRAME);

	int bad_header = ip->version_class >> 4 != 6;
	__u8 next_header = ip->next_header;
	int extended = is_extension_header(next_header);

	if (next_header != IPPROTO_UDP && !extended)
		return VERDICT(XDP_PASS, REASON_NOT_UDP);
	if (!bad_header && !extended && (const void *)(udp + 1) <= data_end && bpf_ntohs(udp->dst) != s->port6)
		return VERDICT(XDP_PASS, REASON_OTHER_PORT);
	int off_reason = find_interface(ctx, p, IFACE_ENABLED6);

	if (off_reason)
		return VERDICT(XDP_PASS, off_reason);
	if (!is_our_addr6(p->ifindex, ip->dst))
		return VERDICT(XDP_PASS, REASON_OTHER_ADDRESS);

	if (next_header == IPPROTO_FRAGMENT)
		return VERDICT(XDP_PASS, REASON_FRAGMENT);
	if (extended)
		return VERDICT(XDP_PASS, REASON_IP_OPTIONS);

	/* From here on it is UDP to one of our addresses. */
	if (bad_header)
		return VERDICT(XDP_DROP, REASON_BAD_IP_HEADER);

	__u64 payload_len = header_length(ip->payload_len);

	if (payload_len < sizeof(*udp) || network + sizeof(*ip) + payload_len > data_end ||
	    (const void *)(udp + 1) > data_end)
		return VERDICT(XDP_DROP, REASON_BAD_IP_LENGTH);
	__u64 udp_len = header_length(udp->len);

	if (udp_len < sizeof(*udp) || udp_len > payload_len)
		return VERDICT(XDP_DROP, REASON_BAD_UDP_LENGTH);

	const __u8 *m = (const void *)(udp + 1);
	__u64 len = udp_len - sizeof(*udp);

	if (len < DHCP6_MIN_LEN || (const void *)(m + DHCP6_MIN_LEN) > data_end)
		return VERDICT(XDP_DROP, REASON_SHORT_MESSAGE);
	switch (m[0]) {
	case MSG6_ADVERTISE:
	case MSG6_REPLY:
	case MSG6_RECONFIGURE:
	case MSG6_RELAY_REPL:
		return VERDICT(XDP_DROP, REASON_BAD_OP);
	case MSG6_RELAY_FORW:
		if (len < DHCP6_RELAY_LEN)
			return VERDICT(XDP_DROP, REASON_SHORT_MESSAGE);
	}

	read_message6(ctx, p, s, ip, off + sizeof(*ip) + sizeof(*udp), len);
	return 0;
}

/* Says what becomes of the packet; p->family is set as soon as it is known. */
static __always_inline int decide(struct xdp_md *ctx, struct packet *p, struct counters *c)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;
	struct settings *s;
	__u32 zero = 0;
	__u16 proto;
	int verdict;

	int off = find_network(data, data_end, &proto, &p->vlan);

	if (off < 0)
		return VERDICT(XDP_PASS, -1 - off);
	if (proto == ETH_P_IP)
		p->family = FAMILY_IPV4;
	else if (proto == ETH_P_IPV6)
		p->family = FAMILY_IPV6;
	else
		return VERDICT(XDP_PASS, REASON_NOT_IP);

	s = bpf_map_lookup_elem(&settings, &zero);
	if (!s)
		return VERDICT(XDP_PASS, REASON_INTERNAL);

	if (p->family == FAMILY_IPV4)
		verdict = decide4(ctx, p, s, c, data, off, data_end);
	else
		verdict = decide6(ctx, p, s, c, data, off, data_end);
	if (verdict)
		return verdict;
	return serve(ctx, p, s, c);
}

/* Counts the exit: called once a packet. A function of its own, so that its enums
 * are in the object's BTF for bpf2go.
 */
static __noinline void count_exit(struct counters *c, enum family family, enum action action, enum reason reason)
{
	/* Always so, but only the verifier's word counts. */
	if (family < FAMILY_COUNT && action < ACTION_COUNT && reason < REASON_COUNT)
		c->exits[family][action][reason]++;
}

SEC("xdp")
int peregrine_dhcp(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return XDP_PASS;

	int verdict = decide(ctx, &p, c);

	count_exit(c, p.family, VERDICT_ACTION(verdict), VERDICT_REASON(verdict));
	return VERDICT_ACTION(verdict);
}
