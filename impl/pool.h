/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The pool: geometry, shards, images. Its files: pool.c makes and closes it, instance.c lends slots, locate.c attributes
 * addresses, stats.c and check.c look at it, fork.c keeps children out.
 *
 * Locks, outermost first; kernel calls are made under the first only:
 *
 *     the process's list of pools, paving (fork.c)   >   a shard's lists (shard.h)   >   the image set (image.h)
 *
 * (P1) Slot i belongs to shard i % n_shards.
 * (P2) The cookie page reads COOKIE in the process that made the pool, and 0 in every child (MADV_WIPEONFORK). */
#ifndef COW_POOL_H
#define COW_POOL_H

#include "handle.h"
#include "shard.h"

#define COW_POOL_COOKIE UINT64_C(0x636f77706f6f6c21)

struct cow_pool {
    struct cow_geometry geometry;
    struct cow_cleaning cleaning;
    const volatile uint64_t *cookie; /* (P2) */
    uint64_t max_bytes;
    uint64_t unit_bytes; /* at least 1 */
    unsigned index_bits; /* of handles */
    uint32_t n_shards;
    struct cow_slot *slots;
    struct cow_shard *shards;
    struct cow_image_set images;
    struct cow_sys sys;            /* the calls made for the pool as a whole */
    int spare_fd;                  /* what spare mappings map (sys.h), where slots have no files; else -1 */
    struct cow_pool *next, **link; /* in the process's list */
};

/* The descriptors that are not a slot's or an image's. */
void cow_pool_close_files(struct cow_pool *pool);

static inline bool cow_pool_is_forked(const struct cow_pool *pool)
{
    return *pool->cookie != COW_POOL_COOKIE;
}

static inline struct cow_shard *cow_pool_shard_of(const struct cow_pool *pool, const struct cow_slot *slot)
{
    return &pool->shards[(uint32_t)(slot - pool->slots) % pool->n_shards];
}

/* The slot whose live lease this is, or NULL: one relaxed load and a compare. */
static inline struct cow_slot *cow_pool_find(const struct cow_pool *pool, struct cow_instance instance)
{
    const uint32_t index = cow_handle_index(instance.id, pool->index_bits);
    if (index >= pool->geometry.n_slots || instance.id == 0)
        return NULL;
    struct cow_slot *slot = &pool->slots[index];
    return atomic_load_explicit(&slot->lease, memory_order_relaxed) == instance.id ? slot : NULL;
}

#endif
