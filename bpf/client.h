/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Who a packet is from: bounded walks over DHCPv4 and DHCPv6 options that find
 * the message type, the client's identity and the relay. What they do not find
 * within their bounds is unknown, never guessed; judging the message is
 * userspace's.
 */
#ifndef PEREGRINE_CLIENT_H
#define PEREGRINE_CLIENT_H

#include "consts.h"
#include "parse.h"
#include "structs.h"
#include "uapi.h"

/* Spreads every input bit over all output bits: xor-shifts and odd multipliers. */
static __always_inline __u64 mix(__u64 x)
{
	x ^= x >> 32;
	x *= 0x9c8f2d35b7a14e6bULL;
	x ^= x >> 29;
	x *= 0xe3779f19c5d2a82dULL;
	x ^= x >> 32;
	return x;
}

/* A client identifier, where it was found and what it hashes to. */
struct id_hash {
	__u64 h[2]; /* in: the seed */
	__u32 off;  /* from the start of the frame */
	__u32 len;
};

/* Turns the seed into a 128-bit hash of the identifier, of which at most
 * MAX_ID_LEN bytes count. Two sums that differ in seed, multiplier and step, each
 * finished with mix: what one maps together, the other does not.
 *
 * Like the walks below it is a global function: the verifier looks at it once, by
 * itself, where it would look at a static one again for each way that leads here.
 */
__noinline int hash_id(struct xdp_md *ctx, struct id_hash *id)
{
	if (!id)
		return 0;

	const void *data_end = (const void *)(long)ctx->data_end;
	const __u8 *b = (const __u8 *)(long)ctx->data + bounded(id->off);
	__u32 len = id->len;
	__u64 h0 = id->h[0] + len, h1 = id->h[1] ^ len;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_ID_LEN; i++) {
		if (i >= len || (const void *)(b + i + 1) > data_end)
			break;
		h0 = (h0 ^ b[i]) * 0x00000100000001b3ULL;
		h1 = (h1 + b[i] + 1) * 0xd1b54a32d192ed03ULL;
		h1 ^= h1 >> 31;
	}
	h0 = mix(h0);
	id->h[0] = h0;
	id->h[1] = mix(h1 + h0);
	return 0;
}

static __always_inline void hash_client(struct xdp_md *ctx, struct client_key *key, const struct settings *s, __u32 off,
					__u32 len)
{
	struct id_hash id = { .h = { s->seed[0], s->seed[1] }, .off = off, .len = len };

	hash_id(ctx, &id);
	__builtin_memcpy(key->id, id.h, sizeof(id.h));
}

/* The hash that chooses a worker. */
static __always_inline __u32 steer_hash(const struct client_key *key, const struct settings *s)
{
	__u64 id[2];

	__builtin_memcpy(id, key->id, sizeof(id));
	return mix(mix(s->seed[0] ^ id[0]) + s->seed[1] + id[1]) >> 32;
}

/* Mask that keeps the first n of eight bytes in memory order, n >= 1. */
static __always_inline __u64 first_bytes(__u32 n)
{
	if (n >= 8)
		return ~0ULL;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return ~0ULL >> (64 - 8 * n);
#else
	return ~0ULL << (64 - 8 * n);
#endif
}

/* What a walk over DHCPv4 options is asked and what it finds. Offsets count from
 * the start of the frame; 0 is nowhere.
 */
struct options4 {
	__u32 off; /* in: the message */
	__u32 len;
	__u32 type;
	__u32 client_id_off;
	__u32 client_id_len;
	__u32 rai_off;
	__u32 rai_len;
	__u32 selects_subnet; /* by option 118, or cannot be told */
	__u32 complete; /* the walk reached the end */
};

__noinline int walk_options4(struct xdp_md *ctx, struct options4 *opts)
{
	if (!opts)
		return 0;

	const void *data_end = (const void *)(long)ctx->data_end;
	const __u8 *data = (const __u8 *)(long)ctx->data;
	__u64 off = opts->off + DHCP4_MIN_LEN;
	__u64 end = opts->off + opts->len;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_OPTIONS4; i++) {
		if (off >= end) {
			opts->complete = 1;
			return 0;
		}
		if (off > OFFSET_MASK)
			return 0;
		off = bounded(off);
		const __u8 *o = data + off;

		if ((const void *)(o + 1) > data_end)
			return 0;
		__u8 code = o[0];

		if (code == OPT4_PAD) {
			off += 1;
			continue;
		}
		if (code == OPT4_END) {
			opts->complete = 1;
			return 0;
		}
		if ((const void *)(o + 2) > data_end)
			return 0;
		__u32 olen = o[1];

		if (off + 2 + olen > end)
			return 0;
		if (code == OPT4_MESSAGE_TYPE) {
			if (olen == 1 && opts->type == 0 && (const void *)(o + 3) <= data_end)
				opts->type = o[2];
		} else if (code == OPT4_CLIENT_IDENTIFIER) {
			opts->client_id_off = off + 2;
			opts->client_id_len = olen;
		} else if (code == OPT4_RELAY_AGENT_INFORMATION) {
			/* A second one continues the first (RFC 3396): not followed. */
			if (opts->rai_off)
				opts->selects_subnet = 1;
			opts->rai_off = off + 2;
			opts->rai_len = olen;
		} else if (code == OPT4_SUBNET_SELECTION) {
			opts->selects_subnet = 1;
		}
		off += 2 + olen;
	}
	return 0;
}

/* Whether the len bytes of Relay Agent Information at off name the link (RFC
 * 3527). A sub-option of another length than 4 does not count (Kea). A walk that
 * does not reach the end says yes: then the subnet is not known here.
 */
__noinline int selects_link(struct xdp_md *ctx, __u32 off32, __u32 len)
{
	const void *data_end = (const void *)(long)ctx->data_end;
	const __u8 *data = (const __u8 *)(long)ctx->data;
	__u64 off = off32, end = off + len;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_SUBOPTIONS4; i++) {
		if (off >= end)
			return 0;
		if (off > OFFSET_MASK)
			return 1;
		off = bounded(off);
		const __u8 *o = data + off;

		if ((const void *)(o + 2) > data_end)
			return 1;
		if (o[0] == RAI_LINK_SELECTION && o[1] == 4)
			return 1;
		off += 2 + (__u64)o[1];
	}
	return off < end;
}

/* Fills in what a DHCPv4 message tells. m is checked; it is at off of the frame and
 * len long.
 */
static __always_inline void read_message4(struct xdp_md *ctx, struct packet *p, const struct settings *s,
					  const struct ethhdr *eth, const struct ip4hdr *ip, const struct dhcp4_msg *m,
					  __u32 off, __u32 len)
{
	struct options4 opts = { .off = off, .len = len };

	walk_options4(ctx, &opts);
	p->type = opts.type;

	if (m->hlen > 0) {
		__u64 id[2];

		__builtin_memcpy(id, m->chaddr, sizeof(id));
		id[0] &= first_bytes(m->hlen);
		id[1] &= m->hlen > 8 ? first_bytes(m->hlen - 8) : 0;
		__builtin_memcpy(p->client.id, id, sizeof(id));
		p->client.kind = CLIENT_CHADDR;
	} else if (opts.client_id_len > 0) {
		/* Interfaces without a usable hardware address send hlen 0 and must
		 * send a client-id (RFC 4390).
		 */
		hash_client(ctx, &p->client, s, opts.client_id_off, opts.client_id_len);
		p->client.kind = CLIENT_ID4;
	} else {
		/* None of these changes from one message of an exchange to the next,
		 * as xid would.
		 */
		__builtin_memcpy(p->client.id, &m->ciaddr, 4);
		__builtin_memcpy(p->client.id + 4, &m->giaddr, 4);
		__builtin_memcpy(p->client.id + 8, eth->src, 6);
		p->client.kind = CLIENT_ADDRESSES;
	}

	/* 255.255.255.255 is no relay (Kea). */
	p->relayed = m->giaddr != 0 && m->giaddr != ~(__be32)0;
	if (p->relayed) {
		p->relay.addr[10] = 0xff;
		p->relay.addr[11] = 0xff;
		__builtin_memcpy(p->relay.addr + 12, &m->giaddr, 4);
	}

	/* The address that selects the subnet, as Kea chooses it: link-selection
	 * and option 118 go first and are left to userspace, then giaddr, then
	 * ciaddr and the source address if the packet was not broadcast.
	 */
	p->scope_known = opts.complete && !opts.selects_subnet;
	if (p->scope_known && opts.rai_len > 0)
		p->scope_known = !selects_link(ctx, opts.rai_off, opts.rai_len);
	if (p->relayed)
		p->subnet4 = m->giaddr;
	else if (ip->dst != ~(__be32)0)
		p->subnet4 = m->ciaddr ? m->ciaddr : ip->src;
}

/* What a walk through a DHCPv6 message is asked and what it finds. */
struct message6 {
	__u32 off; /* in: the message, from the start of the frame */
	__u32 len;
	__u32 type; /* of the innermost message reached */
	__u32 duid_off; /* 0: not reached */
	__u32 duid_len;
	__u32 relayed;
	__u32 link[4]; /* the innermost that is not zero; if none is, zero */
	__u32 peer[4]; /* likewise */
};

/* Looks for an option from off on: returns where its value is and sets *len, or
 * returns 0.
 */
static __always_inline __u64 find_option6(const __u8 *data, const void *data_end, __u64 off, __u64 end, __u16 wanted,
					  __u32 *len)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_OPTIONS6; i++) {
		if (off + 4 > end || off > OFFSET_MASK)
			return 0;
		off = bounded(off);
		const __u8 *o = data + off;

		if ((const void *)(o + 4) > data_end)
			return 0;
		__u32 olen = load_be16(o + 2);

		if (off + 4 + olen > end)
			return 0;
		if (load_be16(o) == wanted) {
			*len = olen;
			return off + 4;
		}
		off += 4 + olen;
	}
	return 0;
}

/* One layer of a DHCPv6 message. Returns 1 if it is a RELAY-FORW, with off and len
 * set to the message inside.
 */
__noinline int open_layer6(struct xdp_md *ctx, struct message6 *m)
{
	if (!m)
		return 0;

	const void *data_end = (const void *)(long)ctx->data_end;
	const __u8 *data = (const __u8 *)(long)ctx->data;
	__u64 off = m->off, end = off + m->len, found;
	__u32 len = 0;

	if (off + DHCP6_MIN_LEN > end || off > OFFSET_MASK)
		return 0;
	off = bounded(off);
	const struct dhcp6_relay *r = (const void *)(data + off);

	if ((const void *)r + DHCP6_MIN_LEN > data_end)
		return 0;
	m->type = r->type;
	if (r->type != MSG6_RELAY_FORW) {
		m->duid_off = find_option6(data, data_end, off + DHCP6_MIN_LEN, end, OPT6_CLIENTID, &len);
		m->duid_len = len;
		return 0;
	}

	__u32 addr[4];

	if (off + sizeof(*r) > end || (const void *)(r + 1) > data_end)
		return 0;
	m->relayed = 1;
	__builtin_memcpy(addr, r->link, 16);
	if (addr[0] | addr[1] | addr[2] | addr[3])
		__builtin_memcpy(m->link, addr, 16);
	__builtin_memcpy(addr, r->peer, 16);
	if (addr[0] | addr[1] | addr[2] | addr[3])
		__builtin_memcpy(m->peer, addr, 16);
	found = find_option6(data, data_end, off + sizeof(*r), end, OPT6_RELAY_MSG, &len);
	if (!found)
		return 0;
	m->off = found;
	m->len = len;
	return 1;
}

/* Fills in what a DHCPv6 message tells, through up to MAX_RELAY_DEPTH relays.
 * The relay is the one nearest to the client that names its link, else the
 * sender. The client is its DUID, else what stands nearest to it.
 */
static __always_inline void read_message6(struct xdp_md *ctx, struct packet *p, const struct settings *s,
					  const struct ip6hdr *ip, __u32 off, __u32 len)
{
	struct message6 m = { .off = off, .len = len };
	__u32 source[4];

	__builtin_memcpy(source, ip->src, 16);
	__builtin_memcpy(p->client.id, source, 16);
	p->client.kind = CLIENT_SOURCE6;

#pragma clang loop unroll(disable)
	for (int depth = 0; depth <= MAX_RELAY_DEPTH; depth++) {
		if (!open_layer6(ctx, &m))
			break;
	}
	p->type = m.type;
	p->relayed = m.relayed;
	__builtin_memcpy(p->relay.addr, m.link[0] | m.link[1] | m.link[2] | m.link[3] ? m.link : source, 16);
	if (m.duid_off && m.duid_len > 0) {
		hash_client(ctx, &p->client, s, m.duid_off, m.duid_len);
		p->client.kind = CLIENT_DUID;
	} else if (m.peer[0] | m.peer[1] | m.peer[2] | m.peer[3]) {
		__builtin_memcpy(p->client.id, m.peer, 16);
		p->client.kind = CLIENT_PEER6;
	}
}

#endif
