/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Making, flushing and closing a pool. */
#include "pool.h"

#include "fork.h"
#include "invariant.h"
#include "queue.h"
#include "selftest.h"

#include <errno.h>
#include <stdlib.h>

/* ---- creation ---- */

static uint64_t or_default(uint64_t value, uint64_t value_if_zero)
{
    return value ? value : value_if_zero;
}

static int check_config(const struct cow_pool_config *config)
{
    if (config->n_slots == 0 || config->n_slots > COW_MAX_SLOTS || config->max_bytes > COW_MAX_MEMORY_BYTES ||
        config->guard_bytes > COW_MAX_GUARD_BYTES || config->n_shards > COW_MAX_SHARDS ||
        config->unit_bytes > COW_MAX_MEMORY_BYTES || config->image_join_bytes > COW_MAX_MEMORY_BYTES)
        return COW_CONFIG;
    if ((unsigned)config->growth > COW_GROWTH_SOFTWARE || (unsigned)config->reset > COW_RESET_ADAPTIVE)
        return COW_UNSUPPORTED;
    if (config->guard_window_bytes > COW_MAX_MEMORY_BYTES)
        return COW_CONFIG;
    if (config->copy_whole_bytes > COW_MAX_MEMORY_BYTES || config->queue_slots > COW_MAX_SLOTS ||
        config->warm_slots > COW_MAX_SLOTS)
        return COW_CONFIG;
    return COW_OK;
}

/* The limits above keep every sum under 2^55. */
static int compute_geometry(const struct cow_pool_config *config, uint64_t page_bytes, struct cow_geometry *geometry)
{
    const uint64_t guard_bytes = cow_round_up(config->guard_bytes, page_bytes);
    const uint64_t window_bytes = or_default(config->guard_window_bytes, COW_GUARD_WINDOW_BYTES);
    *geometry = (struct cow_geometry){.page_bytes = page_bytes, .n_slots = config->n_slots, .growth = config->growth};
    geometry->window_bytes = config->growth == COW_GROWTH_GUARD ? cow_round_up(window_bytes, page_bytes) : 0;
    geometry->capacity_bytes = cow_round_up(config->max_bytes, page_bytes);
    geometry->stride_bytes = geometry->capacity_bytes + guard_bytes;
    if (geometry->stride_bytes == 0) /* no memory and no guard: still an address of its own for every slot */
        geometry->stride_bytes = page_bytes;
    const uint64_t before = page_bytes + (guard_bytes ? guard_bytes : page_bytes);
    const uint64_t total = before + geometry->n_slots * geometry->stride_bytes;
    if (total > SIZE_MAX)
        return -ENOMEM;
    geometry->reservation_bytes = (size_t)total;
    return 0;
}

/* Reserves everything, and sets up the cookie in the first page (P2). */
static int reserve(struct cow_pool *pool)
{
    struct cow_geometry *geometry = &pool->geometry;
    const uint64_t page_bytes = geometry->page_bytes;
    void *base;
    int result =
        cow_sys_mmap(&pool->sys, NULL, geometry->reservation_bytes, COW_MAP_RESERVED, COW_WHERE_ANY, -1, 0, &base);
    if (result)
        return result;
    result = cow_sys_madvise(&pool->sys, base, geometry->reservation_bytes, COW_ADVICE_DONT_DUMP);
    if (!result)
        result = cow_sys_map_fixed(&pool->sys, base, page_bytes, COW_MAP_ZERO, -1, 0);
    if (!result)
        result = cow_sys_madvise(&pool->sys, base, page_bytes, COW_ADVICE_WIPE_ON_FORK);
    if (result) {
        (void)cow_sys_munmap(&pool->sys, base, geometry->reservation_bytes);
        return result;
    }
    *(volatile uint64_t *)base = COW_POOL_COOKIE;
    pool->cookie = base;
    geometry->reservation_base = base;
    geometry->slots_base =
        geometry->reservation_base + geometry->reservation_bytes - geometry->n_slots * geometry->stride_bytes;
    return 0;
}

/* One mapping for each shard, to be given up for a slot that would be lost (S4). */
static void save_mappings(struct cow_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_shards && i < pool->geometry.n_slots; i++) {
        struct cow_sys *sys = &pool->shards[i].sys;
        sys->spare_bytes = pool->geometry.page_bytes;
        sys->spare_fd = pool->spare_fd >= 0 ? pool->spare_fd : pool->slots[i].extension_fd;
        cow_sys_save(sys);
    }
}

static void spend_mappings(struct cow_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_shards; i++)
        (void)cow_sys_spend(&pool->shards[i].sys);
}

void cow_pool_close_files(struct cow_pool *pool)
{
    int *const fds[] = {&pool->spare_fd, &pool->cleaning.pagemap_fd, &pool->cleaning.process_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            (void)cow_sys_close(&pool->sys, *fds[i]); /* the descriptor is gone whatever it says (close(2)) */
        *fds[i] = -1;
    }
}

static void close_slots(struct cow_pool *pool, uint32_t n_slots)
{
    while (n_slots-- > 0)
        cow_slot_close(&pool->slots[n_slots], &pool->sys);
    free(pool->slots);
}

static int open_slots(struct cow_pool *pool)
{
    const struct cow_geometry *geometry = &pool->geometry;
    pool->slots = calloc(geometry->n_slots, sizeof *pool->slots);
    if (!pool->slots)
        return -ENOMEM;
    if (geometry->growth != COW_GROWTH_TRUNCATE) {
        pool->spare_fd = cow_sys_memfd_create(&pool->sys, "cowpool-spare");
        if (pool->spare_fd < 0) {
            free(pool->slots);
            return pool->spare_fd;
        }
    }
    for (uint32_t i = 0; i < geometry->n_slots; i++) {
        const int result = cow_slot_open(&pool->slots[i], geometry, &pool->sys, cow_geometry_slot(geometry, i));
        if (result) {
            close_slots(pool, i);
            return result;
        }
        cow_shard_put(cow_pool_shard_of(pool, &pool->slots[i]), &pool->slots[i]);
    }
    return 0;
}

static void close_shards(struct cow_pool *pool, uint32_t n_shards)
{
    while (n_shards-- > 0)
        cow_shard_destroy(&pool->shards[n_shards]);
    free(pool->shards);
}

static int open_shards(struct cow_pool *pool, const struct cow_pool_config *config)
{
    const uint32_t n_slots = (pool->geometry.n_slots + pool->n_shards - 1) / pool->n_shards;
    const uint32_t warm_slots =
        config->warm_slots ? (config->warm_slots + pool->n_shards - 1) / pool->n_shards : UINT32_MAX;
    pool->shards = calloc(pool->n_shards, sizeof *pool->shards);
    if (!pool->shards)
        return -ENOMEM;
    for (uint32_t i = 0; i < pool->n_shards; i++) {
        const int result = cow_shard_init(&pool->shards[i], pool->sys.table, n_slots, warm_slots);
        if (result) {
            close_shards(pool, i);
            return result;
        }
    }
    return 0;
}

/* What the kernel cannot do, or not for this process, resets do without: see reset.h. */
static void set_up_cleaning(struct cow_pool *pool, const struct cow_pool_config *config)
{
    const struct cow_sys_table *table = pool->sys.table;
    struct cow_cleaning *cleaning = &pool->cleaning;
    cleaning->reset = config->reset;
    cleaning->whole_bytes = or_default(config->copy_whole_bytes, COW_COPY_WHOLE_BYTES);
    cleaning->resident_bytes = or_default(config->resident_bytes, COW_RESIDENT_BYTES) / pool->n_shards;
    cleaning->defer_bytes = or_default(config->guard_window_bytes, COW_GUARD_WINDOW_BYTES);
    cleaning->queue_slots = (uint32_t)or_default(config->queue_slots, COW_QUEUE_SLOTS);
    if (config->reset == COW_RESET_COPYBACK || config->reset == COW_RESET_ADAPTIVE)
        cleaning->pagemap_fd = table->open_pagemap(table);
    if (config->reset == COW_RESET_DEFERRED || config->reset == COW_RESET_ADAPTIVE)
        cleaning->process_fd = table->open_process(table);
}

static int init(struct cow_pool *pool, const struct cow_pool_config *config)
{
    int result = cow_image_set_init(&pool->images, pool, pool->sys.table, pool->geometry.page_bytes,
                                    or_default(config->image_join_bytes, COW_IMAGE_JOIN_BYTES), config->max_bytes);
    if (result)
        return result;
    pool->images.has_views = config->reset == COW_RESET_COPYBACK || config->reset == COW_RESET_ADAPTIVE;
    set_up_cleaning(pool, config);
    result = open_shards(pool, config);
    if (result)
        goto fail_images;
    result = reserve(pool);
    if (result)
        goto fail_shards;
    result = open_slots(pool);
    if (result)
        goto fail_reservation;
    result = cow_fork_enroll(pool);
    if (result)
        goto fail_slots;
    save_mappings(pool);
    return 0;

fail_slots:
    close_slots(pool, pool->geometry.n_slots);
fail_reservation:
    (void)cow_sys_munmap(&pool->sys, pool->geometry.reservation_base, pool->geometry.reservation_bytes);
fail_shards:
    close_shards(pool, pool->n_shards);
fail_images:
    cow_pool_close_files(pool);
    cow_image_set_destroy(&pool->images);
    return result;
}

/* What is left to the pool, by what the kernel can do. */
static int choose_modes(const struct cow_sys_table *table, struct cow_pool_config *config)
{
    const bool is_free = config->growth == COW_GROWTH_DEFAULT;
    if (config->reset == COW_RESET_DEFAULT)
        config->reset = COW_RESET_ADAPTIVE;
    if (is_free)
        config->growth = COW_GROWTH_GUARD;
    int result = cow_selftest(table, config->growth, config->reset);
    if (result == COW_UNSUPPORTED && is_free) {
        config->growth = COW_GROWTH_PROTECT;
        result = cow_selftest(table, config->growth, config->reset);
    }
    return result;
}

int cow_pool_create(const struct cow_pool_config *config, struct cow_pool **ret_pool)
{
    struct cow_pool_config modes = *config;
    config = &modes;
    const struct cow_sys_table *table = config->sys ? config->sys : &cow_sys_linux;
    int result = check_config(config);
    if (result == COW_OK)
        result = choose_modes(table, &modes);
    if (result != COW_OK)
        return result;
    struct cow_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->sys.table = table;
    pool->spare_fd = pool->cleaning.pagemap_fd = pool->cleaning.process_fd = -1;
    pool->max_bytes = config->max_bytes;
    pool->unit_bytes = config->unit_bytes ? config->unit_bytes : 1;
    pool->n_shards = config->n_shards ? config->n_shards : 1;
    while ((UINT64_C(1) << pool->index_bits) < config->n_slots)
        pool->index_bits++;
    result = compute_geometry(config, table->host_page_bytes(table), &pool->geometry);
    if (result == 0 && config->raise_descriptor_limit)
        table->raise_descriptor_limit(table, config->n_slots);
    if (result == 0)
        result = init(pool, config);
    if (result) {
        free(pool);
        return result;
    }
    *ret_pool = pool;
    return COW_OK;
}

/* ---- images: the pool's fork check around image.c ---- */

int cow_image_create(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                     size_t n_segments, struct cow_image **ret_image)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    return cow_image_build(&pool->images, extent_bytes, segments, n_segments, ret_image);
}

int cow_image_from_file(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_file_range *range,
                        struct cow_image **ret_image)
{
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    return cow_image_build_from_file(&pool->images, extent_bytes, range, ret_image);
}

int cow_image_from_wasm(struct cow_pool *pool, const void *binary, size_t binary_bytes, uint32_t memory_index,
                        struct cow_image **ret_image, struct cow_wasm_memory *ret_memory,
                        struct cow_wasm_error *ret_error)
{
    struct cow_wasm wasm;
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    int result = cow_wasm_read(binary, binary_bytes, memory_index, &wasm, ret_error);
    if (result != COW_OK)
        return result;
    if (ret_memory)
        *ret_memory = wasm.memory;
    result = cow_image_create(pool, wasm.memory.minimum_bytes, wasm.segments, wasm.n_segments, ret_image);
    if (result != COW_OK && ret_error)
        *ret_error = (struct cow_wasm_error){.what = "the binary is fine, but no image could be made of it"};
    cow_wasm_free(&wasm);
    return result;
}

void cow_image_drop(struct cow_image *image)
{
    if (!cow_pool_is_forked(image->set->pool)) /* in a child the locks may be held by threads that do not exist there */
        cow_image_bury(image);
}

/* ---- flush ---- */

int cow_pool_flush(struct cow_pool *pool)
{
    int first_error = 0;
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    COW_CHECK(pool->n_shards > 0);
    for (uint32_t i = 0; i < pool->n_shards; i++) {
        const int result = cow_queue_flush(pool, &pool->shards[i]);
        first_error = first_error ? first_error : result;
    }
    for (uint32_t i = 0; i < pool->geometry.n_slots; i++) {
        struct cow_slot *slot = &pool->slots[i];
        struct cow_shard *shard = cow_pool_shard_of(pool, slot);
        if (!cow_shard_take_if_dead(shard, slot))
            continue;
        cow_fork_hold_off(); /* a child must find the slot's state and its mappings agree */
        const int result = cow_slot_strip(slot, &pool->geometry, &shard->sys);
        cow_fork_allow();
        cow_shard_put(shard, slot);
        cow_shard_end_flush(shard);
        if (result && !first_error)
            first_error = result;
    }
    return first_error;
}

int cow_pool_trim(struct cow_pool *pool, uint64_t keep_bytes)
{
    int first_error = cow_pool_flush(pool);
    if (first_error == COW_FORKED)
        return COW_FORKED;
    for (uint32_t i = 0; i < pool->n_shards; i++) {
        const int result = cow_queue_trim(pool, &pool->shards[i], keep_bytes / pool->n_shards);
        first_error = first_error ? first_error : result;
    }
    return first_error;
}

/* ---- closing ---- */

static bool has_live_instances(const struct cow_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_shards; i++)
        if (atomic_load_explicit(&pool->shards[i].n_live, memory_order_relaxed))
            return true;
    return false;
}

static void unmap(struct cow_pool *pool, uint8_t *begin, const uint8_t *end)
{
    if (begin < end)
        (void)cow_sys_munmap(&pool->sys, begin,
                             (size_t)(end - begin)); /* at the mapping limit the range stays: inaccessible, harmless */
}

/* Unmaps the reservation around the holes: something else may live there by now (S4). */
static void unreserve(struct cow_pool *pool)
{
    const struct cow_geometry *geometry = &pool->geometry;
    uint8_t *begin = geometry->reservation_base;
    for (uint32_t i = 0; i < geometry->n_slots; i++)
        if (pool->slots[i].has_hole) {
            unmap(pool, begin, pool->slots[i].base);
            begin = pool->slots[i].base + geometry->capacity_bytes;
        }
    unmap(pool, begin, geometry->reservation_base + geometry->reservation_bytes);
}

int cow_pool_close(struct cow_pool *pool)
{
    const bool forked = cow_pool_is_forked(pool);
    if (!forked && has_live_instances(pool))
        return COW_BUSY;
    cow_fork_withdraw(pool);
    if (!forked) {
        spend_mappings(pool); /* unmapping around holes may take one */
        unreserve(pool);
    }
    close_slots(pool, pool->geometry.n_slots);
    close_shards(pool, pool->n_shards);
    cow_image_set_destroy(&pool->images);
    cow_pool_close_files(pool);
    free(pool);
    return forked ? COW_FORKED : COW_OK;
}
