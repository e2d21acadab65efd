/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Lending slots: instantiate, grow, reset, release. */
#include "fork.h"
#include "queue.h"

/* In the order that cowpool.h promises. */
static int check_instance_config(const struct cow_pool *pool, const struct cow_instance_config *config)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    if (config->image && config->image->set->pool != pool)
        return COW_FOREIGN;
    if (config->initial_bytes > config->max_bytes || config->max_bytes > pool->max_bytes)
        return COW_LENGTH;
    if (config->initial_bytes % pool->unit_bytes || config->max_bytes % pool->unit_bytes)
        return COW_UNALIGNED;
    if (config->image && config->image->extent_bytes > config->initial_bytes)
        return COW_IMAGE_LONGER;
    return COW_OK;
}

/* What waits to be cleaned is cleaned before a slot that maps something else is taken: one of them may be warm. */
static struct cow_slot *take_of(struct cow_pool *pool, struct cow_shard *shard,
                                const struct cow_instance_config *config, uint64_t paved_bytes)
{
    struct cow_slot *slot = cow_shard_take(shard, config->image, paved_bytes);
    if (!slot && cow_shard_has_full_queue(shard, 1)) {
        (void)cow_queue_flush(pool, shard); /* what could not be cleaned is retired, and another is taken */
        slot = cow_shard_take(shard, config->image, paved_bytes);
    }
    return slot ? slot : cow_shard_take_idle(shard);
}

/* The hinted shard first, then the others in turn; retired slots when nothing else is left anywhere. */
static struct cow_slot *take(struct cow_pool *pool, const struct cow_instance_config *config, uint64_t paved_bytes)
{
    const uint32_t n = pool->n_shards, first = config->shard_hint % n;
    struct cow_slot *slot = NULL;
    for (uint32_t i = 0; i < n && !slot; i++)
        slot = take_of(pool, &pool->shards[(first + i) % n], config, paved_bytes);
    for (uint32_t i = 0; i < n && !slot; i++)
        slot = cow_shard_take_retired(&pool->shards[(first + i) % n]);
    return slot;
}

static uint64_t count_flushes_begun(const struct cow_pool *pool)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pool->n_shards; i++)
        sum += atomic_load_explicit(&pool->shards[i].n_flushes_begun, memory_order_relaxed);
    return sum;
}

static uint64_t count_flushes_ended(const struct cow_pool *pool)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pool->n_shards; i++)
        sum += atomic_load_explicit(&pool->shards[i].n_flushes_ended, memory_order_acquire);
    return sum;
}

/* A flush holds a free slot for as long as two kernel calls take. So nothing is full unless no flush was under way at any time
 * while the lists were looked through: none has begun that had not ended before. */
static struct cow_slot *take_in_peace(struct cow_pool *pool, const struct cow_instance_config *config,
                                      uint64_t paved_bytes)
{
    for (;;) {
        const uint64_t n_ended = count_flushes_ended(pool);
        struct cow_slot *slot = take(pool, config, paved_bytes);
        if (slot || count_flushes_begun(pool) == n_ended)
            return slot;
        sched_yield();
    }
}

/* A slot and its next handle. One that has no handle left is lost (H3). */
static struct cow_slot *choose(struct cow_pool *pool, const struct cow_instance_config *config, uint64_t paved_bytes,
                               uint64_t *ret_handle)
{
    struct cow_slot *slot;
    while ((slot = take_in_peace(pool, config, paved_bytes))) {
        struct cow_shard *shard = cow_pool_shard_of(pool, slot);
        const uint64_t handle = cow_handle_next(slot->last_handle, (uint32_t)(slot - pool->slots), pool->index_bits);
        if (handle) {
            *ret_handle = handle;
            return slot;
        }
        slot->lost = true;
        cow_slot_retire(slot, &pool->geometry, &shard->sys);
        cow_shard_put(shard, slot);
    }
    return NULL;
}

/* Makes the slot IDLE for this image and E. */
static int prepare(struct cow_pool *pool, struct cow_slot *slot, const struct cow_instance_config *config,
                   uint64_t paved_bytes)
{
    struct cow_shard *shard = cow_pool_shard_of(pool, slot);
    const bool was_retired = slot->state == COW_SLOT_RETIRED;
    if (slot->state == COW_SLOT_IDLE && cow_slot_is_warm_for(slot, config->image, paved_bytes)) {
        cow_shard_count(&shard->n_warm);
        return COW_OK;
    }
    /* The pool's object behind the caller's pointer; the caller sees it const because it never changes for him. */
    struct cow_image *image = (struct cow_image *)(uintptr_t)config->image;
    cow_fork_hold_off();
    const int result = cow_slot_pave(slot, &pool->geometry, &shard->sys, image, paved_bytes);
    cow_fork_allow();
    if (!result && was_retired)
        cow_shard_count(&shard->n_repaved);
    return result;
}

int cow_instantiate(struct cow_pool *pool, const struct cow_instance_config *config, struct cow_instance *ret_instance)
{
    uint64_t handle;
    int result = check_instance_config(pool, config);
    if (result)
        return result;
    const uint64_t paved_bytes = cow_geometry_accessible(&pool->geometry, config->initial_bytes);
    struct cow_slot *slot = choose(pool, config, paved_bytes, &handle);
    if (!slot)
        return COW_FULL;
    struct cow_shard *shard = cow_pool_shard_of(pool, slot);
    result = prepare(pool, slot, config, paved_bytes);
    if (result) {
        cow_shard_put(shard, slot);
        return result;
    }
    cow_slot_lend(slot, &pool->geometry, config, handle);
    cow_shard_count(&shard->n_live);
    cow_shard_count(&shard->n_instantiations);
    ret_instance->id = handle;
    return COW_OK;
}

int cow_instance_memory(const struct cow_pool *pool, struct cow_instance instance, struct cow_memory *ret_memory)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    const struct cow_slot *slot = cow_pool_find(pool, instance);
    if (!slot)
        return COW_STALE;
    *ret_memory = (struct cow_memory){
        .base = slot->base,
        .length_bytes = slot->length_bytes,
        .accessible_bytes = atomic_load_explicit(&slot->accessible_bytes, memory_order_relaxed),
        .max_bytes = slot->max_bytes,
        .slot = (uint32_t)(slot - pool->slots),
    };
    return COW_OK;
}

/* The lease is over: the slot goes back to its lists, whatever became of it. */
static void give_back(struct cow_shard *shard, struct cow_slot *slot)
{
    cow_shard_put(shard, slot);
    /* Relaxed: close() is the only reader that acts on it, and its caller has joined or locked out the other threads. */
    atomic_fetch_sub_explicit(&shard->n_live, 1, memory_order_relaxed);
}

int cow_instance_grow(struct cow_pool *pool, struct cow_instance instance, uint64_t delta_bytes,
                      uint64_t *ret_old_bytes)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    struct cow_slot *slot = cow_pool_find(pool, instance);
    if (!slot)
        return COW_STALE;
    if (delta_bytes % pool->unit_bytes)
        return COW_UNALIGNED;
    struct cow_shard *shard = cow_pool_shard_of(pool, slot);
    const uint64_t old_bytes = slot->length_bytes;
    const int result = cow_slot_grow(slot, &pool->geometry, &shard->sys, delta_bytes);
    if (slot->state == COW_SLOT_RETIRED)
        give_back(shard, slot);
    if (result)
        return result;
    if (delta_bytes)
        cow_shard_count(&shard->n_grows);
    *ret_old_bytes = old_bytes;
    return COW_OK;
}

static void count_reset(struct cow_shard *shard, int result, enum cow_cleaned how)
{
    cow_shard_count(result ? &shard->n_failed_resets : &shard->n_resets);
    if (!result)
        cow_shard_count(&shard->n_cleaned[how]);
}

int cow_instance_taint_io(struct cow_pool *pool, struct cow_instance instance)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    struct cow_slot *slot = cow_pool_find(pool, instance);
    if (!slot)
        return COW_STALE;
    slot->tainted = true;
    return COW_OK;
}

int cow_instance_reset(struct cow_pool *pool, struct cow_instance instance)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    struct cow_slot *slot = cow_pool_find(pool, instance);
    if (!slot)
        return COW_STALE;
    struct cow_shard *shard = cow_pool_shard_of(pool, slot);
    enum cow_cleaned how;
    const int result = cow_slot_reset(slot, &pool->geometry, &pool->cleaning, &shard->sys, &how);
    count_reset(shard, result, how);
    if (result)
        give_back(shard, slot);
    return result;
}

int cow_instance_release(struct cow_pool *pool, struct cow_instance instance)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    struct cow_slot *slot = cow_pool_find(pool, instance);
    uint64_t lease = instance.id;
    /* Whoever takes the handle out owns the end of the lease: a second release, even at the same time, is stale. Acquire and
     * release are the shard lock's business; this only decides. */
    if (!slot ||
        !atomic_compare_exchange_strong_explicit(&slot->lease, &lease, 0, memory_order_relaxed, memory_order_relaxed))
        return COW_STALE;
    struct cow_shard *shard = cow_pool_shard_of(pool, slot);
    enum cow_cleaned how;
    int result = cow_slot_end(slot, &pool->geometry, &pool->cleaning, &shard->sys, &how);
    count_reset(shard, result, how);
    if (slot->state == COW_SLOT_QUEUED)
        cow_shard_count(&shard->n_deferred);
    give_back(shard, slot);
    if (result == 0 && pool->cleaning.reset >= COW_RESET_DEFERRED)
        result = cow_queue_see_to(pool, shard);
    return result;
}
