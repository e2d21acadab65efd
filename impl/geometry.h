/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Where everything is in a pool's address range. Fixed at creation, read without a lock, also by signal handlers.
 *
 *     reservation_base                slots_base
 *     │ cookie │ pre-guard            │ slot 0 ...          │ guard │ slot 1 ...          │ guard │ ...
 *     │ 1 page │ max(guard, 1 page)   │<-- capacity_bytes ->│       │
 *                                     │<------- stride_bytes ------>│
 *
 * (G1) Every size is a multiple of page_bytes; capacity_bytes may be 0, stride_bytes is at least a page.
 * (G2) reservation_bytes did not overflow when it was computed. */
#ifndef COW_GEOMETRY_H
#define COW_GEOMETRY_H

#include "cowpool.h"

#include <stddef.h>
#include <stdint.h>

struct cow_geometry {
    uint8_t *reservation_base;
    size_t reservation_bytes;
    uint8_t *slots_base;
    uint64_t capacity_bytes;
    uint64_t stride_bytes;
    uint64_t page_bytes; /* the host's; a power of two */
    enum cow_growth growth;
    uint64_t window_bytes; /* growth guard: how much of a slot beyond E has guard markers, at most; else 0 */
    uint32_t n_slots;
};

/* The sizes here are at most 16 GiB (COW_MAX_GUARD_BYTES), so this cannot overflow. */
static inline uint64_t cow_round_up(uint64_t bytes, uint64_t page_bytes)
{
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

/* How much of a memory of this length the hardware lets the guest touch. */
static inline uint64_t cow_geometry_accessible(const struct cow_geometry *geometry, uint64_t length_bytes)
{
    return geometry->growth == COW_GROWTH_SOFTWARE ? geometry->capacity_bytes
                                                   : cow_round_up(length_bytes, geometry->page_bytes);
}

static inline uint8_t *cow_geometry_slot(const struct cow_geometry *geometry, uint32_t slot)
{
    return geometry->slots_base + slot * geometry->stride_bytes;
}

#endif
