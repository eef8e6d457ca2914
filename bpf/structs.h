/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Structs shared with userspace. Go gets them from bpf2go; both sides assert
 * size and offsets. Addresses are byte arrays, everything else is in host order.
 */
#ifndef PEREGRINE_STRUCTS_H
#define PEREGRINE_STRUCTS_H

#include "consts.h"
#include "uapi.h"

/* A token bucket's rate. A token costs cost_ns, a full bucket holds burst_ns.
 * cost_ns 0: no limit. burst_ns 0 with a cost: nothing is let through.
 */
struct rate {
	__u64 cost_ns;
	__u64 burst_ns;
};

/* A token bucket's state: the time (bpf_ktime_get_ns) at which it will be full
 * again. Zero, a time long past, is a full bucket.
 */
struct bucket {
	__u64 full_boot_ns;
};

/* A token bucket that CPUs share. */
struct shared_bucket {
	struct bpf_spin_lock lock;
	__u32 _pad;
	__u64 full_boot_ns;
};

struct settings {
	__u64 seed[2]; /* of the client hash */
	struct rate client;
	struct rate relay;
	struct rate new_clients;
	struct rate discover; /* each CPU's own */
	__u32 scope_global[FAMILY_COUNT]; /* scope slot; 0: none */
	__u16 port4; /* host order */
	__u16 port6;
	__u32 limited; /* any of the above limits is set */
	__u32 scopes;  /* scopes other than the global ones are set */
};

struct iface {
	__u32 base;              /* first index in the XSKMAP */
	__u32 queues;            /* queues with sockets */
	__u32 sockets_per_queue; /* N */
	__u32 flags;             /* IFACE_ENABLED4, IFACE_ENABLED6, IFACE_TAGGED */
};

/* The tags of a frame, outermost first, priority tags (VLAN 0) left out; zero where
 * there is none.
 */
struct vlan_key {
	__u32 ifindex; /* that the frame came in on */
	__u16 tpid[2];
	__u16 vid[2];
};

struct addr4_key {
	__u32 ifindex;
	__u8 addr[4];
};

struct addr6_key {
	__u32 ifindex;
	__u8 addr[16];
};

struct client_key {
	__u8 id[16];
	enum client_kind kind;
};

/* giaddr as ::ffff:a.b.c.d, or a link-address. */
struct relay_key {
	__u8 addr[16];
};

struct scope4_key {
	__u32 prefix_len;
	__u8 addr[4];
};

struct scope_iface_key {
	__u32 ifindex;
	enum family family;
};

/* All counters of one CPU: one look-up here, one read from userspace. */
struct counters {
	__u64 exits[FAMILY_COUNT][ACTION_COUNT][REASON_COUNT];
	__u64 received[FAMILY_COUNT][MESSAGE_TYPES]; /* well-formed, before limits */
	__u64 notes[NOTE_COUNT];
};

_Static_assert(sizeof(struct rate) == 16, "rate");
_Static_assert(sizeof(struct bucket) == 8, "bucket");
_Static_assert(sizeof(struct shared_bucket) == 16, "shared_bucket");
_Static_assert(__builtin_offsetof(struct shared_bucket, full_boot_ns) == 8, "shared_bucket.full_boot_ns");
_Static_assert(sizeof(struct settings) == 104, "settings");
_Static_assert(__builtin_offsetof(struct settings, client) == 16, "settings.client");
_Static_assert(__builtin_offsetof(struct settings, relay) == 32, "settings.relay");
_Static_assert(__builtin_offsetof(struct settings, new_clients) == 48, "settings.new_clients");
_Static_assert(__builtin_offsetof(struct settings, discover) == 64, "settings.discover");
_Static_assert(__builtin_offsetof(struct settings, scope_global) == 80, "settings.scope_global");
_Static_assert(__builtin_offsetof(struct settings, port4) == 92, "settings.port4");
_Static_assert(__builtin_offsetof(struct settings, port6) == 94, "settings.port6");
_Static_assert(__builtin_offsetof(struct settings, limited) == 96, "settings.limited");
_Static_assert(__builtin_offsetof(struct settings, scopes) == 100, "settings.scopes");
_Static_assert(sizeof(struct iface) == 16, "iface");
_Static_assert(sizeof(struct vlan_key) == 12, "vlan_key");
_Static_assert(__builtin_offsetof(struct vlan_key, tpid) == 4, "vlan_key.tpid");
_Static_assert(__builtin_offsetof(struct vlan_key, vid) == 8, "vlan_key.vid");
_Static_assert(sizeof(struct addr4_key) == 8, "addr4_key");
_Static_assert(sizeof(struct addr6_key) == 20, "addr6_key");
_Static_assert(sizeof(struct client_key) == 20, "client_key");
_Static_assert(__builtin_offsetof(struct client_key, kind) == 16, "client_key.kind");
_Static_assert(sizeof(struct relay_key) == 16, "relay_key");
_Static_assert(sizeof(struct scope4_key) == 8, "scope4_key");
_Static_assert(sizeof(struct scope_iface_key) == 8, "scope_iface_key");
_Static_assert(sizeof(struct counters) ==
		       8 * (FAMILY_COUNT * ACTION_COUNT * REASON_COUNT + FAMILY_COUNT * MESSAGE_TYPES + NOTE_COUNT),
	       "counters");
/* The kernel's limit for a per-CPU value. */
_Static_assert(sizeof(struct counters) <= 32768, "counters fit a per-CPU area");

#endif
