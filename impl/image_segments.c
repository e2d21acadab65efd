/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images from data segments: a later segment over an earlier one, in the caller's order (WebAssembly core specification 4.7.2
 * "Instantiation").
 *
 * The file is written once from its begin to its end, from the segments sorted by offset. Where segments lie over each other
 * that puts one of them there; those are then written again, in the caller's order. */
#include "image_plan.h"
#include "image_writer.h"

#include <errno.h>
#include <stdlib.h>

/* A segment in sorted order. */
struct placed {
    const struct cow_segment *segment;
    bool is_shared; /* it has a byte in common with another one */
};

static uint64_t end_of(const struct cow_segment *segment)
{
    return segment->offset_bytes + segment->length_bytes;
}

static int check_segments(const struct cow_image_set *set, uint64_t extent_bytes, const struct cow_segment *segments,
                          size_t n_segments)
{
    if (extent_bytes > set->max_bytes)
        return COW_IMAGE_LARGE;
    for (size_t i = 0; i < n_segments; i++)
        if (segments[i].offset_bytes > extent_bytes ||
            segments[i].length_bytes > extent_bytes - segments[i].offset_bytes)
            return COW_IMAGE_BOUNDS;
    return COW_OK;
}

/* ---- order ---- */

static int compare_turns(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    return (a->segment > b->segment) - (a->segment < b->segment);
}

/* Where the stretch of ascending offsets from `at` on ends. */
static size_t end_of_ascent(const struct placed *it, size_t at, size_t n)
{
    while (++at < n && it[at - 1].segment->offset_bytes <= it[at].segment->offset_bytes)
        ;
    return at < n ? at : n;
}

/* [begin, middle) and [middle, end), both ascending, into one stretch at the same place of `to`. */
static void merge(const struct placed *from, struct placed *to, size_t begin, size_t middle, size_t end)
{
    size_t left = begin, right = middle;
    for (size_t i = begin; i < end; i++)
        to[i] = right == end || (left < middle && from[left].segment->offset_bytes <= from[right].segment->offset_bytes)
                    ? from[left++]
                    : from[right++];
}

/* Merges ascending stretches two by two until there is one: linkers write few, most often one, and then it is there already.
 * Returns the array that it is in, which is one of the two. */
static struct placed *sort(struct placed *from, struct placed *to, size_t n)
{
    while (n && end_of_ascent(from, 0, n) < n) {
        for (size_t begin = 0, end; begin < n; begin = end) {
            const size_t middle = end_of_ascent(from, begin, n);
            end = end_of_ascent(from, middle, n);
            merge(from, to, begin, middle, end);
        }
        struct placed *sorted = to;
        to = from;
        from = sorted;
    }
    return from;
}

/* Two segments have a byte in common only if the later one begins before the furthest end so far: then it does with the
 * one that reaches there as well. */
static void mark_shared(struct placed *sorted, size_t n_sorted)
{
    struct placed *furthest = sorted;
    for (size_t i = 1; i < n_sorted; i++) {
        if (sorted[i].segment->offset_bytes < end_of(furthest->segment))
            sorted[i].is_shared = furthest->is_shared = true;
        if (end_of(sorted[i].segment) > end_of(furthest->segment))
            furthest = &sorted[i];
    }
}

/* ---- writing ---- */

/* Each run: its segments, without what the ones before have covered already, and zeros between them. */
static int write_runs(struct cow_image_set *set, int fd, const struct cow_image_plan *plan, const struct placed *sorted,
                      size_t n_sorted)
{
    struct cow_image_writer writer;
    int result = cow_image_writer_begin(&writer, &set->sys, fd);
    if (result)
        return result;
    const struct placed *next = sorted, *end = sorted + n_sorted;
    for (uint32_t i = 0; i < plan->n_runs; i++) {
        const uint64_t run_end = plan->runs[i].offset_bytes + plan->runs[i].length_bytes;
        uint64_t at = plan->runs[i].offset_bytes;
        for (; next != end && next->segment->offset_bytes < run_end; next++) {
            const struct cow_segment *segment = next->segment;
            if (end_of(segment) <= at)
                continue;
            if (segment->offset_bytes > at) {
                cow_image_writer_put_zeros(&writer, segment->offset_bytes - at);
                at = segment->offset_bytes;
            }
            cow_image_writer_put(&writer, (const uint8_t *)segment->bytes + (at - segment->offset_bytes),
                                 end_of(segment) - at);
            at = end_of(segment);
        }
        cow_image_writer_put_zeros(&writer, run_end - at);
    }
    return cow_image_writer_end(&writer);
}

/* A segment lies in one run. */
static uint64_t place_in_file(const struct cow_image_plan *plan, uint64_t offset_bytes)
{
    const struct cow_run *run = plan->runs;
    while (offset_bytes - run->offset_bytes >= run->length_bytes)
        run++;
    return run->file_offset_bytes + (offset_bytes - run->offset_bytes);
}

static int write_shared(struct cow_image_set *set, int fd, const struct cow_image_plan *plan, struct placed *sorted,
                        size_t n_sorted)
{
    size_t n_shared = 0;
    int result = 0;
    for (size_t i = 0; i < n_sorted; i++)
        if (sorted[i].is_shared)
            sorted[n_shared++] = sorted[i];
    qsort(sorted, n_shared, sizeof *sorted, compare_turns);
    for (size_t i = 0; i < n_shared && !result; i++) {
        const struct cow_segment *segment = sorted[i].segment;
        struct iovec piece = {.iov_base = (void *)(uintptr_t)segment->bytes, .iov_len = segment->length_bytes};
        result = cow_image_write(&set->sys, fd, &piece, 1, place_in_file(plan, segment->offset_bytes));
    }
    return result;
}

/* Makes the file, fills and seals it. Returns the descriptor, or -errno with nothing left behind. */
static int write_file(struct cow_image_set *set, const struct cow_image_plan *plan, struct placed *sorted,
                      size_t n_sorted)
{
    const int fd = cow_sys_memfd_create(&set->sys, "cowpool-image");
    if (fd < 0)
        return fd;
    int result = write_runs(set, fd, plan, sorted, n_sorted);
    if (!result)
        result = write_shared(set, fd, plan, sorted, n_sorted);
    if (!result)
        result = cow_sys_seal(&set->sys, fd); /* (I3) */
    if (!result)
        return fd;
    (void)cow_sys_close(&set->sys, fd); /* the first error is the one to tell */
    return result;
}

static int build_sorted(struct cow_image_set *set, uint64_t extent_bytes, struct placed *sorted, size_t n_sorted,
                        struct cow_image **ret_image)
{
    struct cow_image_plan plan = {.page_bytes = set->page_bytes, .join_bytes = set->join_bytes};
    int fd = -1, result = COW_OK;
    for (size_t i = 0; i < n_sorted && result == COW_OK; i++)
        result = cow_image_plan_add(&plan, sorted[i].segment->offset_bytes, sorted[i].segment->length_bytes);
    if (result != COW_OK)
        return result;
    mark_shared(sorted, n_sorted);
    if (plan.n_runs) {
        fd = write_file(set, &plan, sorted, n_sorted);
        if (fd < 0)
            return fd;
    }
    result = cow_image_adopt(set, extent_bytes, &plan, COW_IMAGE_COPY, fd, ret_image);
    if (result && fd >= 0)
        (void)cow_sys_close(&set->sys, fd);
    return result;
}

int cow_image_build(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_segment *segments,
                    size_t n_segments, struct cow_image **ret_image)
{
    size_t n = 0;
    int result = check_segments(set, extent_bytes, segments, n_segments);
    if (result != COW_OK)
        return result;
    /* As many again to sort into; one more, so that none is not NULL. Segments are at least as large: no overflow. */
    struct placed *placed = calloc(2 * n_segments + 1, sizeof *placed);
    if (!placed)
        return -ENOMEM;
    for (size_t i = 0; i < n_segments; i++)
        if (segments[i].length_bytes)
            placed[n++].segment = &segments[i];
    result = build_sorted(set, extent_bytes, sort(placed, placed + n_segments, n), n, ret_image);
    free(placed);
    return result;
}
