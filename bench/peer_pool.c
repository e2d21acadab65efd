/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* cowpool, through its public header. variant: its modes of growth and reset. bench_pool gives the instance back each time,
 * bench_pool_in_place resets it and goes on with it; bench_pool_software is for engines that check bounds themselves: its slots are as large
 * as the largest memory, not 4 GiB. */
#include "contender.h"

#include <stdlib.h>

struct pool {
    struct cow_pool *pool;
    struct cow_image *images[BENCH_MAX_IMAGES];
    uint64_t image_bytes, max_bytes;
    struct held {
        int is_held;
        struct bench_lease lease;
    } held[BENCH_MAX_THREADS]; /* of who resets in place: the thread's instance */
};

static const char *pool_open(const struct bench_contender *contender, const struct bench_world *world, void **ret_state)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return bench_why("calloc");
    *ret_state = pool;
    const uint64_t largest_bytes = world->work.image_bytes + (uint64_t)BENCH_MAX_GROWN * BENCH_WASM_PAGE_BYTES;
    const struct cow_pool_config config = {
        .n_slots = world->work.n_slots,
        .max_bytes = contender->peer->has_bounds ? BENCH_SLOT_BYTES : largest_bytes,
        .guard_bytes = BENCH_GUARD_BYTES,
        .unit_bytes = BENCH_WASM_PAGE_BYTES,
        .n_shards = world->work.n_threads,
        .growth = (enum cow_growth)contender->variant[0],
        .reset = (enum cow_reset)contender->variant[1],
        .raise_descriptor_limit = 1,
    };
    int result = cow_pool_create(&config, &pool->pool);
    if (result != COW_OK)
        return bench_why_result("cow_pool_create", result);
    pool->image_bytes = world->work.image_bytes;
    pool->max_bytes = largest_bytes;
    for (unsigned i = 0; i < world->work.n_images; i++) {
        const struct cow_segment segment = {0, world->images[i], pool->image_bytes};
        result = cow_image_create(pool->pool, pool->image_bytes, &segment, 1, &pool->images[i]);
        if (result != COW_OK)
            return bench_why_result("cow_image_create", result);
    }
    return NULL;
}

static const char *pool_instantiate(void *state, struct bench_lease *lease)
{
    const struct pool *pool = state;
    const struct cow_instance_config config = {
        .image = pool->images[lease->image],
        .initial_bytes = pool->image_bytes,
        .max_bytes = pool->max_bytes,
        .shard_hint = lease->thread,
    };
    struct cow_memory memory;
    int result = cow_instantiate(pool->pool, &config, &lease->of.instance);
    if (result != COW_OK)
        return bench_why_result("cow_instantiate", result);
    result = cow_instance_memory(pool->pool, lease->of.instance, &memory);
    if (result != COW_OK)
        return bench_why_result("cow_instance_memory", result);
    lease->base = memory.base;
    lease->length_bytes = memory.length_bytes;
    return NULL;
}

static const char *pool_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const struct pool *pool = state;
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    uint64_t old_bytes;
    const int result = cow_instance_grow(pool->pool, lease->of.instance, delta_bytes, &old_bytes);
    if (result != COW_OK)
        return bench_why_result("cow_instance_grow", result);
    lease->length_bytes = old_bytes + delta_bytes;
    return NULL;
}

static const char *pool_release(void *state, struct bench_lease *lease)
{
    const struct pool *pool = state;
    const int result = cow_instance_release(pool->pool, lease->of.instance);
    return result == COW_OK ? NULL : bench_why_result("cow_instance_release", result);
}

static const char *pool_trim(void *state)
{
    const struct pool *pool = state;
    const int result = cow_pool_trim(pool->pool, 0);
    return result == COW_OK ? NULL : bench_why_result("cow_pool_trim", result);
}

static void pool_close(void *state)
{
    struct pool *pool = state;
    if (pool->pool)
        cow_pool_close(pool->pool); /* and its images */
    free(pool);
}

const struct bench_peer bench_pool = {
    .has_bounds = 1,
    .open = pool_open,
    .instantiate = pool_instantiate,
    .grow = pool_grow,
    .release = pool_release,
    .trim = pool_trim,
    .close = pool_close,
};

const struct bench_peer bench_pool_software = {
    .open = pool_open,
    .instantiate = pool_instantiate,
    .grow = pool_grow,
    .release = pool_release,
    .trim = pool_trim,
    .close = pool_close,
};

/* ---- the same instance again ---- */

static const char *in_place_instantiate(void *state, struct bench_lease *lease)
{
    struct held *held = &((struct pool *)state)->held[lease->thread];
    const char *why = NULL;
    if (held->is_held && held->lease.image != lease->image) {
        why = pool_release(state, &held->lease);
        held->is_held = 0;
    }
    if (!why && !held->is_held) {
        held->lease = *lease;
        why = pool_instantiate(state, &held->lease);
        held->is_held = !why;
    }
    const uint64_t *dirty_bytes = lease->dirty_bytes;
    *lease = held->lease;
    lease->dirty_bytes = dirty_bytes;
    return why;
}

static const char *in_place_release(void *state, struct bench_lease *lease)
{
    const struct pool *pool = state;
    const int result = cow_instance_reset(pool->pool, lease->of.instance);
    return result == COW_OK ? NULL : bench_why_result("cow_instance_reset", result);
}

static void in_place_close(void *state)
{
    struct pool *pool = state;
    for (unsigned i = 0; i < BENCH_MAX_THREADS; i++)
        if (pool->held[i].is_held)
            pool_release(pool, &pool->held[i].lease);
    pool_close(pool);
}

const struct bench_peer bench_pool_in_place = {
    .has_bounds = 1,
    .open = pool_open,
    .instantiate = in_place_instantiate,
    .grow = pool_grow,
    .release = in_place_release,
    .close = in_place_close,
};
