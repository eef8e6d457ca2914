/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef PEREGRINE_CSUM_H
#define PEREGRINE_CSUM_H

#include "uapi.h"

/* Whether the 20 bytes of an IPv4 header without options add up (RFC 1071); the
 * sum is the same in either byte order.
 *
 * The UDP checksum is not looked at in the kernel: it covers the whole message,
 * and a frame that never saw a wire carries only the pseudo-header sum. Userspace
 * verifies it where it touches the bytes anyway.
 */
static __always_inline int ip4_checksum_ok(const __u16 *h)
{
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += h[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

#endif
