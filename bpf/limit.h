/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Token buckets. A bucket is one number, the time at which it will be full: a
 * token moves that time on by what the token costs, and none is to be had when it
 * would lie further away than a full bucket takes to fill. Rates from one token a
 * year to one a nanosecond fit, nothing has to be refilled, and a bucket never
 * written is full.
 */
#ifndef PEREGRINE_LIMIT_H
#define PEREGRINE_LIMIT_H

#include "consts.h"
#include "maps.h"
#include "parse.h"
#include "structs.h"
#include "uapi.h"

/* Takes a token out of the state *full, or returns 0. */
static __always_inline int next_full(__u64 *full, const struct rate *r, __u64 now)
{
	__u64 most = now + r->burst_ns;
	__u64 f = *full;

	if (f < now)
		f = now;
	/* Left over from a slower rate: such a bucket is only empty. */
	if (f > most)
		f = most;
	*full = f;
	if (f + r->cost_ns > most)
		return 0;
	*full = f + r->cost_ns;
	return 1;
}

/* Takes a token of a bucket that one CPU uses at a time. Clients and relays
 * arrive on one receive queue each, so theirs is one: should a queue move to
 * another CPU just then, a packet too many gets through. An LRU map cannot hold a
 * spin lock, and compare-and-swap is not there on all machines with 5.15.
 */
static __always_inline int take(struct bucket *b, const struct rate *r, __u64 now)
{
	__u64 full = *(volatile __u64 *)&b->full_boot_ns;
	int ok = next_full(&full, r, now);

	*(volatile __u64 *)&b->full_boot_ns = full;
	return ok;
}

/* Takes a token of a bucket that CPUs share, exactly. An empty bucket refuses
 * before the lock, so in a flood the lock is taken no more often than the rate
 * allows.
 */
static __always_inline int take_shared(struct shared_bucket *b, const struct rate *r, __u64 now)
{
	__u64 full = *(volatile __u64 *)&b->full_boot_ns;
	__u64 most = now + r->burst_ns;
	int ok;

	/* Empty, and not left over from a slower rate. */
	if (full <= most && full + r->cost_ns > most)
		return 0;
	bpf_spin_lock(&b->lock);
	full = b->full_boot_ns;
	ok = next_full(&full, r, now);
	b->full_boot_ns = full;
	bpf_spin_unlock(&b->lock);
	return ok;
}

/* Not inline, so that its enum is in the object's BTF for bpf2go. */
static __noinline void count_note(struct counters *c, enum note n)
{
	if (n < NOTE_COUNT)
		c->notes[n]++;
}

/* Whether a message is shed before the others: it starts something, where the
 * rest would leave a client without the lease it has or was promised.
 */
static __always_inline int is_shed_first(const struct packet *p)
{
	if (p->family == FAMILY_IPV4)
		return p->type == MSG4_DISCOVER || p->type == MSG4_INFORM;
	return p->type == MSG6_SOLICIT || p->type == MSG6_INFORMATION_REQUEST;
}

/* The client's own bucket, and the cap on clients not seen lately. Above the cap
 * nothing is written, so a flood of invented clients cannot push known ones out
 * of the table.
 */
static __always_inline int limit_client(const struct packet *p, const struct settings *s, struct counters *c, __u64 now)
{
	__u32 zero = 0;

	if (!s->client.cost_ns && !s->new_clients.cost_ns)
		return 0;

	struct bucket *b = bpf_map_lookup_elem(&clients, &p->client);

	if (b) {
		if (s->client.cost_ns && !take(b, &s->client, now))
			return REASON_LIMIT_CLIENT;
		return 0;
	}
	if (s->new_clients.cost_ns) {
		struct shared_bucket *n = bpf_map_lookup_elem(&new_clients, &zero);

		if (!n)
			return REASON_INTERNAL;
		if (!take_shared(n, &s->new_clients, now))
			return REASON_LIMIT_NEW_CLIENTS;
	}

	struct bucket fresh = {};

	if (s->client.cost_ns && !take(&fresh, &s->client, now))
		return REASON_LIMIT_CLIENT;
	if (bpf_map_update_elem(&clients, &p->client, &fresh, BPF_ANY))
		count_note(c, NOTE_CLIENT_NOT_STORED);
	return 0;
}

static __always_inline int limit_relay(const struct packet *p, const struct settings *s, struct counters *c, __u64 now)
{
	if (!p->relayed || !s->relay.cost_ns)
		return 0;

	struct bucket *b = bpf_map_lookup_elem(&relays, &p->relay);

	if (b)
		return take(b, &s->relay, now) ? 0 : REASON_LIMIT_RELAY;

	struct bucket fresh = {};

	if (!take(&fresh, &s->relay, now))
		return REASON_LIMIT_RELAY;
	if (bpf_map_update_elem(&relays, &p->relay, &fresh, BPF_ANY))
		count_note(c, NOTE_RELAY_NOT_STORED);
	return 0;
}

/* Returns 0 if the slot has no token. */
static __always_inline int take_scope(__u32 slot, __u64 now)
{
	struct rate *r = bpf_map_lookup_elem(&scope_rates, &slot);
	struct shared_bucket *b = bpf_map_lookup_elem(&scope_buckets, &slot);

	if (!r || !b || !r->cost_ns)
		return 1;
	return take_shared(b, r, now);
}

/* The limits of subnets and of the server as a whole, the whole first as Kea's
 * limits hook charges classes before subnets.
 */
static __always_inline int limit_scope(const struct packet *p, const struct settings *s, struct counters *c,
				       __u32 ifindex, __u64 now)
{
	__u32 slot = s->scope_global[p->family == FAMILY_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6];
	__u32 *found;

	if (slot && !take_scope(slot, now))
		return REASON_LIMIT_SCOPE_GLOBAL;
	if (!s->scopes)
		return 0;

	if (p->family == FAMILY_IPV4 ? !p->scope_known : p->relayed) {
		/* Userspace selects the subnet, and charges it. */
		count_note(c, NOTE_SCOPE_UNKNOWN);
		return 0;
	}
	if (p->family == FAMILY_IPV4 && p->subnet4) {
		struct scope4_key key = { .prefix_len = 32 };

		__builtin_memcpy(key.addr, &p->subnet4, 4);
		found = bpf_map_lookup_elem(&scope_prefixes4, &key);
	} else {
		struct scope_iface_key key = { .ifindex = ifindex, .family = p->family };

		found = bpf_map_lookup_elem(&scope_interfaces, &key);
	}
	if (found && !take_scope(*found, now))
		return REASON_LIMIT_SCOPE;
	return 0;
}

static __always_inline int shed(const struct packet *p, const struct settings *s, __u64 now)
{
	__u32 zero = 0;

	if (!s->discover.cost_ns || !is_shed_first(p))
		return 0;

	struct bucket *b = bpf_map_lookup_elem(&discovers, &zero);

	if (!b)
		return REASON_INTERNAL;
	return take(b, &s->discover, now) ? 0 : REASON_SHED;
}

/* Whether the worker behind a socket falls behind and leaves the message to be
 * dropped here, where that costs it nothing.
 */
static __always_inline int is_overloaded(const struct packet *p, __u32 socket)
{
	__u64 *level = bpf_map_lookup_elem(&pressures, &socket);

	if (!level)
		return 0;
	__u64 l = *(volatile __u64 *)level;

	return l && is_shed_first(p) && (bpf_get_prandom_u32() & 0xff) < l;
}

/* All limits, the narrowest first: what one client or relay sends too much of is
 * not taken out of what others share. Returns 0 or the reason to drop.
 */
static __always_inline int limit(const struct packet *p, const struct settings *s, struct counters *c, __u32 ifindex)
{
	int reason;

	if (!s->limited)
		return 0;
	__u64 now = bpf_ktime_get_ns();

	reason = limit_client(p, s, c, now);
	if (reason)
		return reason;
	reason = limit_relay(p, s, c, now);
	if (reason)
		return reason;
	reason = limit_scope(p, s, c, ifindex, now);
	if (reason)
		return reason;
	return shed(p, s, now);
}

#endif
