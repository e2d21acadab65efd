/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "handle.h"

#include <stdatomic.h>

/* Relaxed: the counter hands out numbers and orders nothing else. */
static atomic_uint_fast64_t cow_handle_n_blocks = 1;

#ifdef COW_HOSTILE
#define LEASES_PER_BLOCK 2 /* so that slots change blocks all the time */
#endif

static uint64_t next_in_block(uint64_t last, unsigned index_bits)
{
    const uint64_t next = last + (UINT64_C(1) << index_bits);
#ifdef COW_HOSTILE
    if ((next & ((UINT64_C(1) << COW_HANDLE_BLOCK_BITS) - 1)) >> index_bits >= LEASES_PER_BLOCK)
        return 0;
#endif
    return next >> COW_HANDLE_BLOCK_BITS == last >> COW_HANDLE_BLOCK_BITS ? next : 0;
}

uint64_t cow_handle_next(uint64_t last, uint32_t index, unsigned index_bits)
{
    const uint64_t next = last ? next_in_block(last, index_bits) : 0;
    if (next)
        return next;
    const uint64_t n_blocks = UINT64_C(1) << (64 - COW_HANDLE_BLOCK_BITS);
    if (atomic_load_explicit(&cow_handle_n_blocks, memory_order_relaxed) >= n_blocks)
        return 0; /* looked at first, so that the counter itself never wraps */
    const uint64_t block = atomic_fetch_add_explicit(&cow_handle_n_blocks, 1, memory_order_relaxed);
    return block < n_blocks ? block << COW_HANDLE_BLOCK_BITS | index : 0;
}
