/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Short words for what most tests of the pool do. */
#ifndef REGRESS_FIXTURE_H
#define REGRESS_FIXTURE_H

#include "cowpool.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* What most tests are about, whichever the defaults are; the other modes: test_modes.c, and every program of the rig. */
#define FOUNDING_MODES .growth = COW_GROWTH_TRUNCATE, .reset = COW_RESET_DISCARD

static inline uint64_t fixture_page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A pool of n_slots memories of up to n_pages host pages, one page of guard; NULL after an error. */
static inline struct cow_pool *fixture_pool(uint32_t n_slots, uint64_t n_pages)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = n_slots, .max_bytes = n_pages * fixture_page(),
                                           .guard_bytes = fixture_page()};
    struct cow_pool *pool = NULL;
    return cow_pool_create(&config, &pool) == COW_OK ? pool : NULL;
}

/* An image of one segment at offset_bytes, which holds n_bytes times `value`; at most 64 KiB. */
static inline struct cow_image *fixture_image(struct cow_pool *pool, uint64_t extent_bytes, uint64_t offset_bytes,
                                              uint8_t value, uint64_t n_bytes)
{
    uint8_t bytes[1 << 16];
    struct cow_image *image = NULL;
    memset(bytes, value, n_bytes);
    const struct cow_segment segment = {offset_bytes, bytes, n_bytes};
    return cow_image_create(pool, extent_bytes, &segment, 1, &image) == COW_OK ? image : NULL;
}

static inline int fixture_lend(struct cow_pool *pool, const struct cow_image *image, uint64_t initial_bytes,
                               uint64_t max_bytes, struct cow_instance *ret_instance)
{
    const struct cow_instance_config config = {.image = image, .initial_bytes = initial_bytes, .max_bytes = max_bytes};
    return cow_instantiate(pool, &config, ret_instance);
}

/* All zero for a stale handle. */
static inline struct cow_memory fixture_memory(const struct cow_pool *pool, struct cow_instance instance)
{
    struct cow_memory memory = {0};
    (void)cow_instance_memory(pool, instance, &memory);
    return memory;
}

static inline struct cow_stats fixture_stats(const struct cow_pool *pool)
{
    struct cow_stats stats = {0};
    (void)cow_pool_stats(pool, &stats);
    return stats;
}

static inline uint64_t fixture_n_calls(const struct cow_pool *pool)
{
    const struct cow_stats stats = fixture_stats(pool);
    uint64_t n = 0;
    for (int i = 0; i < COW_N_CALLS; i++)
        n += stats.n_calls[i];
    return n;
}

static inline bool fixture_all_are(const uint8_t *bytes, uint64_t n_bytes, uint8_t value)
{
    for (uint64_t i = 0; i < n_bytes; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* Whether memory holds `value` in [offset, offset + n) and zero in the rest of its length. */
static inline bool fixture_is_image(const struct cow_memory *memory, uint64_t offset_bytes, uint8_t value,
                                    uint64_t n_bytes)
{
    const uint64_t end = offset_bytes + n_bytes;
    return end <= memory->length_bytes && fixture_all_are(memory->base, offset_bytes, 0) &&
           fixture_all_are(memory->base + offset_bytes, n_bytes, value) &&
           fixture_all_are(memory->base + end, memory->length_bytes - end, 0);
}

#endif
