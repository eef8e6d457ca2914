/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef PEREGRINE_MAPS_H
#define PEREGRINE_MAPS_H

#include "consts.h"
#include "structs.h"
#include "uapi.h"

/* --- configuration: written by userspace only --- */

/* The one struct settings. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Interfaces served, by ifindex. A hash: an entry is replaced whole, never seen
 * half written.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct iface);
} interfaces SEC(".maps");

/* The VLAN interface, by ifindex, that frames with these tags belong to. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VLANS);
	__type(key, struct vlan_key);
	__type(value, __u32);
} vlans SEC(".maps");

/* IPv4 addresses and subnet broadcasts of an interface, or of ANY_INTERFACE. The
 * value is unused.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ADDRS);
	__type(key, struct addr4_key);
	__type(value, __u32);
} addrs4 SEC(".maps");

/* IPv6 addresses of an interface, or of ANY_INTERFACE. The value is unused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ADDRS);
	__type(key, struct addr6_key);
	__type(value, __u32);
} addrs6 SEC(".maps");

/* AF_XDP sockets: iface.base + queue * sockets_per_queue + worker. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* What share of the messages that start something, of 256, each socket's worker
 * has shed for it: it falls behind. A long, since memory shared with userspace is
 * in units of eight octets.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SOCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} pressures SEC(".maps");

/* Rate of each scope slot. Slot 0 is no scope. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SCOPES);
	__type(key, __u32);
	__type(value, struct rate);
} scope_rates SEC(".maps");

/* Scope slot of the subnet that an IPv4 address selects. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_SCOPES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct scope4_key);
	__type(value, __u32);
} scope_prefixes4 SEC(".maps");

/* Scope slot of direct clients on an interface. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SCOPES);
	__type(key, struct scope_iface_key);
	__type(value, __u32);
} scope_interfaces SEC(".maps");

/* --- state: written by this program --- */

/* Buckets of clients seen lately. Being listed here is what makes a client known. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CLIENTS);
	__type(key, struct client_key);
	__type(value, struct bucket);
} clients SEC(".maps");

/* Buckets of relays seen lately. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RELAYS);
	__type(key, struct relay_key);
	__type(value, struct bucket);
} relays SEC(".maps");

/* The bucket of new clients. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shared_bucket);
} new_clients SEC(".maps");

/* Each CPU's bucket of messages that are shed first. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} discovers SEC(".maps");

/* Bucket of each scope slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SCOPES);
	__type(key, __u32);
	__type(value, struct shared_bucket);
} scope_buckets SEC(".maps");

/* The one struct counters of each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

#endif
