/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Handles: which slot, and which lease of it.
 *
 *     63                       24 23            k k-1      0
 *     │ block, unique in the process │ lease in block │ slot index │      2^k is at least the pool's number of slots
 *
 * A slot takes a block of handles from a process-wide counter and counts through it; then it takes another.
 *
 * (H1) No two leases in the process, in one pool or in two, ever have the same handle. So a stale handle and one of
 *      another pool are refused exactly, not probably.
 * (H2) 0 is no handle: blocks begin at 1.
 * (H3) When all 2^40 blocks are used up, a slot gets no further handle and is lost. At a million leases a second on one
 *      slot of a pool of 16,384 that is after 35 years. */
#ifndef COW_HANDLE_H
#define COW_HANDLE_H

#include <stdint.h>

#define COW_HANDLE_BLOCK_BITS 24

/* The handle after `last` (0: the first one) of slot `index` in a pool with 2^index_bits slots; 0 when none is left. */
uint64_t cow_handle_next(uint64_t last, uint32_t index, unsigned index_bits);

static inline uint32_t cow_handle_index(uint64_t handle, unsigned index_bits)
{
    return (uint32_t)(handle & ((UINT64_C(1) << index_bits) - 1));
}

#endif
