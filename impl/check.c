/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Looking at a pool: statistics, the view for tests, and the walker that checks every invariant. */
#include "check.h"

#include "lock.h"
#include "pool.h"

#include <errno.h>
#include <string.h>

/* ---- statistics ---- */

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_calls(struct cow_stats *stats, const struct cow_sys *sys)
{
    for (int i = 0; i < COW_N_CALLS; i++)
        stats->n_calls[i] += load(&sys->n_calls[i]);
}

static void add_shard(struct cow_stats *stats, struct cow_shard *shard)
{
    const uint64_t n_lost = load(&shard->n_lost);
    stats->n_live += load(&shard->n_live);
    stats->n_lost += n_lost;
    stats->n_retired += n_lost + cow_shard_count_retired(shard);
    stats->n_instantiations += load(&shard->n_instantiations);
    stats->n_warm += load(&shard->n_warm);
    stats->n_repaved += load(&shard->n_repaved);
    stats->n_grows += load(&shard->n_grows);
    stats->n_resets += load(&shard->n_resets);
    stats->n_failed_resets += load(&shard->n_failed_resets);
    stats->n_let_go += load(&shard->n_cleaned[COW_LET_GO]);
    stats->n_copied += load(&shard->n_cleaned[COW_COPIED]);
    stats->n_fell_back += load(&shard->n_cleaned[COW_FELL_BACK]);
    stats->n_deferred += load(&shard->n_deferred);
    stats->n_trims += load(&shard->n_trims);
    cow_shard_count_waiting(shard, &stats->n_queued, &stats->idle_bytes);
    add_calls(stats, &shard->sys);
}

int cow_pool_stats(const struct cow_pool *pool, struct cow_stats *ret_stats)
{
    struct cow_image_set *images = (struct cow_image_set *)(uintptr_t)&pool->images; /* for its lock */
    if (cow_pool_is_forked(pool))
        return COW_FORKED;
    *ret_stats = (struct cow_stats){
        .growth = pool->geometry.growth, .reset = pool->cleaning.reset, .n_slots = pool->geometry.n_slots};
    for (uint32_t i = 0; i < pool->n_shards; i++)
        add_shard(ret_stats, &pool->shards[i]);
    add_calls(ret_stats, &pool->sys);
    add_calls(ret_stats, &pool->images.sys);
    cow_lock(&images->lock);
    ret_stats->n_images = images->n_held;
    ret_stats->image_bytes = images->held_bytes;
    ret_stats->dead_image_bytes = images->dead_bytes;
    cow_unlock(&images->lock);
    return COW_OK;
}

/* ---- the view ---- */

struct cow_pool_view cow_check_pool(const struct cow_pool *pool)
{
    const struct cow_geometry *geometry = &pool->geometry;
    return (struct cow_pool_view){
        .reservation_base = geometry->reservation_base,
        .reservation_bytes = geometry->reservation_bytes,
        .capacity_bytes = geometry->capacity_bytes,
        .stride_bytes = geometry->stride_bytes,
        .page_bytes = geometry->page_bytes,
        .n_slots = geometry->n_slots,
        .n_files =
            (uint32_t)(pool->spare_fd >= 0) + (pool->cleaning.pagemap_fd >= 0) + (pool->cleaning.process_fd >= 0),
    };
}

struct cow_slot_view cow_check_slot(const struct cow_pool *pool, uint32_t slot)
{
    const struct cow_slot *it = &pool->slots[slot];
    return (struct cow_slot_view){
        .base = it->base,
        .image = it->image,
        .paved_bytes = it->paved_bytes,
        .private_bytes = it->private_bytes,
        .extension_bytes = it->extension_bytes,
        .window_bytes = it->window_bytes,
        .extension_fd = it->extension_fd,
        .live = it->state == COW_SLOT_LIVE,
        .idle = it->state == COW_SLOT_IDLE,
        .queued = it->state == COW_SLOT_QUEUED,
        .must_discard = it->must_discard,
        .retired = it->state == COW_SLOT_RETIRED,
        .lost = it->lost,
    };
}

uint32_t cow_check_runs(const struct cow_image *image, struct cow_run_view ret_runs[COW_IMAGE_MAX_RUNS])
{
    for (uint32_t i = 0; i < image->n_runs; i++)
        ret_runs[i] = (struct cow_run_view){image->runs[i].offset_bytes, image->runs[i].length_bytes,
                                            image->runs[i].file_offset_bytes};
    return image->n_runs;
}

int cow_check_image(const struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_file_offset_bytes)
{
    for (uint32_t i = 0; i < image->n_runs; i++) {
        const struct cow_run *run = &image->runs[i];
        if (offset_bytes >= run->offset_bytes && offset_bytes - run->offset_bytes < run->length_bytes) {
            *ret_file_offset_bytes = run->file_offset_bytes + (offset_bytes - run->offset_bytes);
            return image->fd;
        }
    }
    return -1;
}

int cow_check_backing(const struct cow_pool *pool, uint32_t slot, uint64_t offset_bytes,
                      uint64_t *ret_file_offset_bytes)
{
    const struct cow_slot *it = &pool->slots[slot];
    if (offset_bytes >= it->paved_bytes && it->extension_fd >= 0) {
        *ret_file_offset_bytes = offset_bytes - it->paved_bytes;
        return it->extension_fd;
    }
    return it->image && offset_bytes < it->paved_bytes ? cow_check_image(it->image, offset_bytes, ret_file_offset_bytes)
                                                       : -1;
}

/* ---- the walker ---- */

/* A question that the kernel would not answer proves nothing; one about a descriptor that is not open does. */
static bool is_unanswered(int64_t answer)
{
    return answer < 0 && answer != -EBADF;
}

static const char *check_live(const struct cow_pool *pool, const struct cow_slot *slot)
{
    const struct cow_geometry *geometry = &pool->geometry;
    const uint64_t accessible = load(&slot->accessible_bytes);
    if (cow_handle_index(load(&slot->lease), pool->index_bits) != (uint32_t)(slot - pool->slots))
        return "(H1) a live slot's handle does not name it";
    if (load(&slot->lease) != slot->last_handle)
        return "(H1) a live slot's handle is not the last that it was given";
    if (slot->initial_bytes > slot->length_bytes || slot->length_bytes > slot->max_bytes ||
        slot->max_bytes > pool->max_bytes)
        return "(S2) initial <= length <= maximum <= the pool's does not hold";
    if (slot->paved_bytes != cow_geometry_accessible(geometry, slot->initial_bytes))
        return "(S3) the extension does not begin at the initial length rounded up";
    if (accessible != slot->paved_bytes + slot->extension_bytes ||
        accessible != cow_geometry_accessible(geometry, slot->length_bytes))
        return "(S2) the accessible end is not the length rounded up";
    return NULL;
}

static const char *check_slot(const struct cow_pool *pool, const struct cow_slot *slot)
{
    const bool live = slot->state == COW_SLOT_LIVE;
    const bool mapped = live || slot->state == COW_SLOT_IDLE || slot->state == COW_SLOT_QUEUED;
    const struct cow_sys_table *table = pool->sys.table;
    const bool has_file = pool->geometry.growth == COW_GROWTH_TRUNCATE;
    const int64_t file_bytes = has_file ? table->file_bytes(table, slot->extension_fd) : (int64_t)slot->extension_bytes;
    if (live != (load(&slot->lease) != 0))
        return "(S2) a handle is valid exactly while its slot is live";
    if (!live && load(&slot->accessible_bytes))
        return "(S1) a slot that is not live has accessible bytes";
    if (!mapped && (slot->image || slot->paved_bytes))
        return "(S4, S5) a bare or retired slot holds an image";
    if (mapped && slot->lost)
        return "(S4) a lost slot is mapped";
    if (slot->window_bytes > pool->geometry.capacity_bytes - slot->paved_bytes)
        return "(S2) a window of guard markers reaches past the capacity";
    if (slot->state == COW_SLOT_IDLE && slot->extension_bytes)
        return "(S1) an idle slot is open past its initial part";
    if (slot->state == COW_SLOT_QUEUED && !cow_reset_is_due(slot))
        return "(S7) a slot waits to be cleaned, and is clean";
    if (slot->state != COW_SLOT_QUEUED && slot->must_discard)
        return "(S7) a slot that does not wait is still to be cleaned";
    if (slot->private_bytes > slot->paved_bytes)
        return "(S1) a slot keeps more pages than it has";
    if (slot->extension_bytes % pool->geometry.page_bytes)
        return "(S2) the accessible end is not a whole number of host pages";
    if (slot->state != COW_SLOT_RETIRED && file_bytes != (int64_t)slot->extension_bytes && !is_unanswered(file_bytes))
        return "(S2) an extension file is not as long as the books say";
    return live ? check_live(pool, slot) : NULL;
}

static const char *check_lists(const struct cow_pool *pool, struct cow_shard *shard, uint32_t *n_listed)
{
    uint64_t idle_bytes = 0;
    uint32_t n_idle = 0, n_queued = 0;
    for (int state = 0; state <= COW_SLOT_RETIRED; state++) {
        const struct cow_slot *previous = NULL;
        for (const struct cow_slot *slot = shard->lists[state].first; slot; previous = slot, slot = slot->next) {
            if (cow_pool_shard_of(pool, slot) != shard)
                return "(P1) a slot is in the list of another shard";
            if ((int)slot->state != state || state == COW_SLOT_LIVE || slot->lost)
                return "(D1) a slot is in the list of another state";
            if (slot->previous != previous) /* in a ring too: one of its slots is come to from two */
                return "(D1) a list of slots is broken";
            ++*n_listed;
            n_idle += state == COW_SLOT_IDLE;
            n_queued += state == COW_SLOT_QUEUED;
            idle_bytes += state == COW_SLOT_IDLE ? slot->private_bytes : 0;
            if ((state == COW_SLOT_IDLE) != cow_shard_has_warm(shard, slot))
                return "(D2) idle slots and warm slots are not the same";
        }
        if (shard->lists[state].last != previous)
            return "(D1) a list of slots is broken";
    }
    return n_idle == shard->n_idle && n_queued == shard->n_queued && idle_bytes == shard->idle_bytes
               ? NULL
               : "(D4) a shard miscounts what is idle or waits, or what idle slots keep";
}

/* Of a copy. The kernel may not answer. */
static bool has_hole(const struct cow_sys_table *table, const struct cow_image *image)
{
    uint64_t begin, end;
    return !table->next_data(table, image->fd, 0, &begin, &end) && (begin || end != image->file_bytes);
}

static const char *check_file(const struct cow_sys_table *table, const struct cow_image *image)
{
    const struct cow_run *last = &image->runs[image->n_runs - 1];
    const int64_t file_bytes = table->file_bytes(table, image->fd);
    const int seals = table->seals(table, image->fd);
    const int needed = image->origin == COW_IMAGE_COPY ? COW_SEALS_ALL : COW_SEAL_WRITE | COW_SEAL_SHRINK;
    if (is_unanswered(file_bytes))
        return NULL;
    if (image->origin == COW_IMAGE_COPY && file_bytes != (int64_t)image->file_bytes)
        return "(I2) the file of an image is not its runs";
    if (image->origin == COW_IMAGE_COPY && has_hole(table, image))
        return "(I2) the file of an image has a hole";
    if (image->origin == COW_IMAGE_VOUCHED)
        return NULL;
    if (file_bytes < (int64_t)(last->file_offset_bytes + last->length_bytes))
        return "(I5) the file behind an image ends before it";
    return seals >= 0 && (seals & needed) != needed ? "(I3) an image is not sealed" : NULL;
}

static const char *check_image(const struct cow_pool *pool, const struct cow_image *image)
{
    const struct cow_sys_table *table = pool->sys.table;
    uint64_t file_bytes = 0, end = 0, n_refs = !atomic_load(&image->dead);
    if (image->n_runs > COW_IMAGE_MAX_RUNS)
        return "(I1) an image has too many runs";
    for (uint32_t i = 0; i < image->n_runs; i++) {
        const struct cow_run *run = &image->runs[i];
        if ((i && run->offset_bytes <= end) || run->length_bytes == 0 ||
            (run->offset_bytes | run->length_bytes) % pool->geometry.page_bytes)
            return "(I1) the runs of an image touch, overlap, or are not whole host pages";
        if (image->origin == COW_IMAGE_COPY && run->file_offset_bytes != file_bytes)
            return "(I2) the file of an image is not its runs";
        end = run->offset_bytes + run->length_bytes;
        file_bytes += run->length_bytes;
    }
    if (file_bytes != image->file_bytes)
        return "(I2) the file of an image is not its runs";
    const char *broken = image->n_runs ? check_file(table, image) : NULL;
    if (broken)
        return broken;
    for (uint32_t i = 0; i < pool->geometry.n_slots; i++)
        n_refs += pool->slots[i].image == image;
    return n_refs == load(&image->refs) ? NULL : "(I4) an image is not referred to as often as it says";
}

static const char *check_images(const struct cow_pool *pool)
{
    const struct cow_image_set *set = &pool->images;
    const char *broken = NULL;
    uint64_t n_held = 0, held_bytes = 0, dead_bytes = 0, number = set->n_made + 1;
    for (const struct cow_image *image = set->first; image && !broken; number = image->number, image = image->next) {
        const bool is_dead = atomic_load(&image->dead);
        n_held += !is_dead;
        *(is_dead ? &dead_bytes : &held_bytes) += image->file_bytes;
        broken = *image->link == image && image->number < number ? check_image(pool, image)
                                                                 : "(I6) the list of images is broken";
    }
    if (!broken && (n_held != set->n_held || held_bytes != set->held_bytes || dead_bytes != set->dead_bytes))
        broken = "(I6) the images are not those that are counted";
    return broken;
}

const char *cow_pool_check(const struct cow_pool *pool)
{
    const struct cow_geometry *geometry = &pool->geometry;
    const char *broken = NULL;
    uint32_t n_listed = 0, n_unlisted = 0;
    uint64_t n_live = 0;
    if (cow_pool_is_forked(pool))
        return "(P2) the pool belongs to the parent process";
    for (uint32_t i = 0; i < geometry->n_slots && !broken; i++) {
        broken = check_slot(pool, &pool->slots[i]);
        n_unlisted += pool->slots[i].state == COW_SLOT_LIVE || pool->slots[i].lost;
    }
    for (uint32_t i = 0; i < pool->n_shards && !broken; i++) {
        broken = check_lists(pool, &pool->shards[i], &n_listed);
        n_live += load(&pool->shards[i].n_live);
    }
    if (!broken)
        broken = check_images(pool);
    if (!broken && n_listed + n_unlisted != geometry->n_slots)
        broken = "(D1) a slot is in no list and not lent";
    for (uint32_t i = 0; i < geometry->n_slots; i++)
        n_live -= pool->slots[i].state == COW_SLOT_LIVE;
    return !broken && n_live ? "(D1) the count of live instances is wrong" : broken;
}
