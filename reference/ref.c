/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "ref.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(uint64_t n_bytes)
{
    void *bytes = calloc(1, n_bytes ? n_bytes : 1);
    if (!bytes)
        abort();
    return bytes;
}

static uint64_t round_up(uint64_t bytes, uint64_t page_bytes)
{
    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

/* ---- images ---- */

/* Marks the host pages that hold data, then walks over them: a gap of more than join_bytes ends a run. */
static void count_runs(const struct ref_pool *pool, struct ref_image *image, const struct cow_segment *segments,
                       size_t n_segments)
{
    const uint64_t n_pages = round_up(image->extent_bytes, pool->page_bytes) / pool->page_bytes;
    uint8_t *has_data = allocate(n_pages);
    for (size_t i = 0; i < n_segments; i++)
        for (uint64_t page = segments[i].offset_bytes / pool->page_bytes;
             segments[i].length_bytes && page * pool->page_bytes < segments[i].offset_bytes + segments[i].length_bytes;
             page++)
            has_data[page] = 1;
    uint64_t gap_bytes = 0;
    for (uint64_t page = 0; page < n_pages; page++) {
        if (!has_data[page]) {
            gap_bytes += pool->page_bytes;
            continue;
        }
        if (image->n_runs == 0 || gap_bytes > pool->join_bytes)
            image->n_runs++;
        else
            image->run_bytes += gap_bytes;
        image->run_bytes += pool->page_bytes;
        gap_bytes = 0;
    }
    free(has_data);
}

int ref_image_create(const struct ref_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                     size_t n_segments, struct ref_image **ret_image)
{
    if (extent_bytes > pool->max_bytes)
        return COW_IMAGE_LARGE;
    for (size_t i = 0; i < n_segments; i++)
        if (segments[i].offset_bytes > extent_bytes ||
            segments[i].length_bytes > extent_bytes - segments[i].offset_bytes)
            return COW_IMAGE_BOUNDS;
    struct ref_image *image = allocate(sizeof *image);
    image->extent_bytes = extent_bytes;
    image->bytes = allocate(extent_bytes);
    for (size_t i = 0; i < n_segments; i++) {
        const uint64_t end_bytes = segments[i].offset_bytes + segments[i].length_bytes;
        if (segments[i].length_bytes)
            memcpy(image->bytes + segments[i].offset_bytes, segments[i].bytes, segments[i].length_bytes);
        if (segments[i].length_bytes && end_bytes > image->data_end_bytes)
            image->data_end_bytes = end_bytes;
    }
    count_runs(pool, image, segments, n_segments);
    if (image->n_runs > COW_IMAGE_MAX_RUNS) {
        ref_image_free(image);
        return COW_IMAGE_SPARSE;
    }
    *ret_image = image;
    return COW_OK;
}

void ref_image_free(struct ref_image *image)
{
    free(image->bytes);
    free(image);
}

/* ---- memories ---- */

static void put_initial_bytes(struct ref_memory *memory)
{
    memory->length_bytes = memory->kept_bytes = memory->initial_bytes;
    memory->bytes = allocate(memory->initial_bytes);
    if (memory->image)
        memcpy(memory->bytes, memory->image->bytes, memory->image->extent_bytes);
}

/* New ones are zero. */
static void keep(struct ref_memory *memory, uint64_t n_bytes)
{
    if (n_bytes <= memory->kept_bytes)
        return;
    uint8_t *bytes = allocate(n_bytes);
    memcpy(bytes, memory->bytes, memory->kept_bytes);
    free(memory->bytes);
    memory->bytes = bytes;
    memory->kept_bytes = n_bytes;
}

int ref_instantiate(struct ref_pool *pool, const struct ref_image *image, uint64_t initial_bytes, uint64_t max_bytes,
                    struct ref_memory **ret_memory)
{
    if (initial_bytes > max_bytes || max_bytes > pool->max_bytes)
        return COW_LENGTH;
    if (initial_bytes % pool->unit_bytes || max_bytes % pool->unit_bytes)
        return COW_UNALIGNED;
    if (image && image->extent_bytes > initial_bytes)
        return COW_IMAGE_LONGER;
    if (pool->n_live == pool->n_slots)
        return COW_FULL;
    struct ref_memory *memory = allocate(sizeof *memory);
    *memory = (struct ref_memory){.pool = pool, .image = image, .initial_bytes = initial_bytes, .max_bytes = max_bytes};
    put_initial_bytes(memory);
    pool->n_live++;
    *ret_memory = memory;
    return COW_OK;
}

int ref_grow(struct ref_memory *memory, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    if (!memory)
        return COW_STALE;
    if (delta_bytes % memory->pool->unit_bytes)
        return COW_UNALIGNED;
    if (delta_bytes > memory->max_bytes - memory->length_bytes)
        return COW_LIMIT;
    const uint64_t new_bytes = memory->length_bytes + delta_bytes, slack_end = ref_slack_end_bytes(memory);
    const uint64_t zero_end = new_bytes < slack_end ? new_bytes : slack_end;
    keep(memory, new_bytes);
    memset(memory->bytes + memory->length_bytes, 0, zero_end - memory->length_bytes);
    *ret_old_bytes = memory->length_bytes;
    memory->length_bytes = new_bytes;
    return COW_OK;
}

int ref_reset(struct ref_memory *memory)
{
    if (!memory)
        return COW_STALE;
    free(memory->bytes);
    put_initial_bytes(memory);
    return COW_OK;
}

int ref_release(struct ref_memory *memory)
{
    if (!memory)
        return COW_STALE;
    memory->pool->n_live--;
    free(memory->bytes);
    free(memory);
    return COW_OK;
}

/* ---- accesses ---- */

uint64_t ref_accessible_of(const struct ref_pool *pool, uint64_t length_bytes)
{
    return round_up(pool->bounds_in_software ? pool->max_bytes : length_bytes, pool->page_bytes);
}

uint64_t ref_accessible_bytes(const struct ref_memory *memory)
{
    return ref_accessible_of(memory->pool, memory->length_bytes);
}

uint64_t ref_slack_end_bytes(const struct ref_memory *memory)
{
    return round_up(memory->length_bytes, memory->pool->page_bytes);
}

void ref_scribble(struct ref_memory *memory, uint64_t offset, const uint8_t *bytes, uint64_t n_bytes)
{
    const uint64_t end = offset + n_bytes, kept_end = memory->pool->bounds_in_software ? end : memory->length_bytes;
    keep(memory, kept_end);
    if (offset < kept_end)
        memcpy(memory->bytes + offset, bytes, (end < kept_end ? end : kept_end) - offset);
}

enum ref_access ref_access(const struct ref_memory *memory, int64_t offset, uint64_t width, int64_t *ret_trap_offset)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(memory);
    if (offset < 0 || (uint64_t)offset >= accessible_bytes) {
        *ret_trap_offset = offset;
        return REF_ACCESS_TRAP;
    }
    if ((uint64_t)offset + width <= memory->length_bytes)
        return REF_ACCESS_OK;
    if (memory->length_bytes != accessible_bytes)
        return REF_ACCESS_REFUSED;
    *ret_trap_offset = (int64_t)accessible_bytes;
    return REF_ACCESS_TRAP;
}
