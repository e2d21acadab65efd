/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Attributing an address. Runs in signal handlers: immutable geometry and relaxed atomics only. */
#include "pool.h"

struct cow_location cow_pool_locate(const struct cow_pool *pool, const void *address)
{
    const struct cow_geometry *geometry = &pool->geometry;
    struct cow_location location = {.place = COW_PLACE_ELSEWHERE, .slot = COW_NO_SLOT};
    const uint64_t from_base = (uintptr_t)address - (uintptr_t)geometry->reservation_base;
    const uint64_t before_slots = (uint64_t)(geometry->slots_base - geometry->reservation_base);
    /* The cookie's page is the pool's own, not a guard. An address below the base wraps and is too large. */
    if (from_base < geometry->page_bytes || from_base >= geometry->reservation_bytes || cow_pool_is_forked(pool))
        return location;
    location.place = COW_PLACE_OUT_OF_BOUNDS;
    location.offset_bytes = from_base;
    if (from_base < before_slots)
        return location;
    location.slot = (uint32_t)((from_base - before_slots) / geometry->stride_bytes);
    location.offset_bytes = (from_base - before_slots) % geometry->stride_bytes;
    const struct cow_slot *slot = &pool->slots[location.slot];
    location.instance.id = atomic_load_explicit(&slot->lease, memory_order_relaxed);
    location.accessible_bytes = atomic_load_explicit(&slot->accessible_bytes, memory_order_relaxed);
    if (location.offset_bytes < location.accessible_bytes)
        location.place = COW_PLACE_HOST_FAULT;
    return location;
}
