/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Building, sharing and mapping images. The picture and the invariants are in image.h. */
#include "image.h"

#include "invariant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cow_image_set_init(struct cow_image_set *set, struct cow_pool *pool, const struct cow_sys_table *table,
                       uint64_t page_bytes, uint64_t join_bytes, uint64_t max_bytes)
{
    *set = (struct cow_image_set){
        .pool = pool, .sys.table = table, .page_bytes = page_bytes, .join_bytes = join_bytes, .max_bytes = max_bytes};
    return -pthread_mutex_init(&set->lock, NULL);
}

/* ---- planning: which runs ---- */

static int compare_segments(const void *left, const void *right)
{
    const struct cow_segment *a = left, *b = right;
    return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
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

/* Adds the pages of one segment, which does not begin before those already added. Empty segments take no memory. */
static int plan_segment(const struct cow_image_set *set, const struct cow_segment *segment, struct cow_run *runs,
                        uint32_t *n_runs)
{
    const uint64_t page = set->page_bytes;
    if (segment->length_bytes == 0)
        return COW_OK;
    const uint64_t begin = segment->offset_bytes & ~(page - 1);
    const uint64_t end = cow_round_up(segment->offset_bytes + segment->length_bytes, page);
    struct cow_run *last = *n_runs ? &runs[*n_runs - 1] : NULL;
    const uint64_t last_end = last ? last->offset_bytes + last->length_bytes : 0;
    if (last && begin <= last_end + set->join_bytes) {
        if (end > last_end)
            last->length_bytes = end - last->offset_bytes;
        return COW_OK;
    }
    if (*n_runs == COW_IMAGE_MAX_RUNS)
        return COW_IMAGE_SPARSE;
    runs[(*n_runs)++] = (struct cow_run){.offset_bytes = begin, .length_bytes = end - begin};
    return COW_OK;
}

static int plan(const struct cow_image_set *set, const struct cow_segment *segments, size_t n_segments,
                struct cow_run runs[COW_IMAGE_MAX_RUNS], uint32_t *ret_n_runs, uint64_t *ret_file_bytes)
{
    struct cow_segment *sorted =
        calloc(n_segments + 1, sizeof *sorted); /* calloc checks the product; + 1 so that none is not NULL */
    uint64_t file_bytes = 0;
    uint32_t n_runs = 0;
    int result = COW_OK;
    if (!sorted)
        return -ENOMEM;
    if (n_segments)
        memcpy(sorted, segments, n_segments * sizeof *sorted);
    qsort(sorted, n_segments, sizeof *sorted, compare_segments);
    for (size_t i = 0; i < n_segments && result == COW_OK; i++)
        result = plan_segment(set, &sorted[i], runs, &n_runs);
    free(sorted);
    for (uint32_t i = 0; i < n_runs; i++) {
        runs[i].file_offset_bytes = file_bytes;
        file_bytes += runs[i].length_bytes;
    }
    *ret_n_runs = n_runs;
    *ret_file_bytes = file_bytes;
    return result;
}

/* ---- writing ---- */

static int write_all(struct cow_sys *sys, int fd, const uint8_t *bytes, uint64_t length_bytes, uint64_t offset_bytes)
{
    while (length_bytes) {
        const int64_t n = cow_sys_pwrite(sys, fd, bytes, length_bytes, offset_bytes);
        if (n < 0)
            return (int)n;
        if (n == 0 || (uint64_t)n > length_bytes) /* a file that takes nothing, or claims more than it was given */
            return -EIO;
        bytes += n;
        offset_bytes += (uint64_t)n;
        length_bytes -= (uint64_t)n;
    }
    return 0;
}

/* The bytes of segments that fall into the run, in their order, over zero. A segment lies in one run or in none. */
static void compose_run(uint8_t *bytes, const struct cow_run *run, const struct cow_segment *segments,
                        size_t n_segments)
{
    memset(bytes, 0, run->length_bytes);
    for (size_t i = 0; i < n_segments; i++) {
        const uint64_t offset_bytes = segments[i].offset_bytes - run->offset_bytes;
        if (segments[i].length_bytes && segments[i].offset_bytes >= run->offset_bytes &&
            offset_bytes < run->length_bytes)
            memcpy(bytes + offset_bytes, segments[i].bytes, segments[i].length_bytes);
    }
}

/* Makes the file, fills and seals it. Returns the descriptor, or -errno with nothing left behind. */
static int write_file(struct cow_image_set *set, const struct cow_image *image, const struct cow_segment *segments,
                      size_t n_segments)
{
    int fd, result = 0;
    uint8_t *bytes = malloc(image->file_bytes);
    if (!bytes)
        return -ENOMEM;
    fd = cow_sys_memfd_create(&set->sys, "cowpool-image");
    if (fd < 0) {
        free(bytes);
        return fd;
    }
    for (uint32_t i = 0; i < image->n_runs; i++)
        compose_run(bytes + image->runs[i].file_offset_bytes, &image->runs[i], segments, n_segments);
    result = write_all(&set->sys, fd, bytes, image->file_bytes, 0);
    if (!result)
        result = cow_sys_seal(&set->sys, fd); /* (I3) */
    free(bytes);
    if (!result)
        return fd;
    (void)cow_sys_close(&set->sys, fd); /* the first error is the one to tell */
    return result;
}

static void adopt(struct cow_image_set *set, struct cow_image *image)
{
    pthread_mutex_lock(&set->lock);
    image->next = set->first;
    image->link = &set->first;
    if (set->first)
        set->first->link = &image->next;
    set->first = image;
    set->n_held++;
    set->held_bytes += image->file_bytes;
    pthread_mutex_unlock(&set->lock);
}

int cow_image_build(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_segment *segments,
                    size_t n_segments, struct cow_image **ret_image)
{
    struct cow_run runs[COW_IMAGE_MAX_RUNS];
    uint64_t file_bytes;
    uint32_t n_runs;
    int result = check_segments(set, extent_bytes, segments, n_segments);
    if (result == COW_OK)
        result = plan(set, segments, n_segments, runs, &n_runs, &file_bytes);
    if (result != COW_OK)
        return result;
    struct cow_image *image = malloc(sizeof *image + n_runs * sizeof *runs);
    if (!image)
        return -ENOMEM;
    *image = (struct cow_image){
        .set = set, .fd = -1, .extent_bytes = extent_bytes, .file_bytes = file_bytes, .n_runs = n_runs};
    atomic_init(&image->refs, 1);
    atomic_init(&image->dead, false);
    memcpy(image->runs, runs, n_runs * sizeof *runs);
    if (n_runs) {
        image->fd = write_file(set, image, segments, n_segments);
        if (image->fd < 0) {
            result = image->fd;
            free(image);
            return result;
        }
    }
    adopt(set, image);
    *ret_image = image;
    return COW_OK;
}

/* ---- sharing ---- */

static void destroy(struct cow_image *image)
{
    if (image->fd >= 0)
        (void)cow_sys_close(&image->set->sys, image->fd); /* nothing to do about an error: the descriptor is gone */
    free(image);
}

void cow_image_ref(struct cow_image *image)
{
    /* Relaxed: whoever takes a reference already holds one, directly or through the pool's caller. */
    atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
}

void cow_image_unref(struct cow_image *image)
{
    /* Release, then acquire by the last one: what others did with the image happens before it is destroyed. */
    if (!image || atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct cow_image_set *set = image->set;
    pthread_mutex_lock(&set->lock);
    COW_CHECK(atomic_load_explicit(&image->dead, memory_order_relaxed));
    set->dead_bytes -= image->file_bytes;
    *image->link = image->next;
    if (image->next)
        image->next->link = image->link;
    pthread_mutex_unlock(&set->lock);
    destroy(image);
}

void cow_image_bury(struct cow_image *image)
{
    struct cow_image_set *set = image->set;
    pthread_mutex_lock(&set->lock);
    COW_CHECK(!atomic_exchange_explicit(&image->dead, true, memory_order_relaxed));
    set->n_held--;
    set->held_bytes -= image->file_bytes;
    set->dead_bytes += image->file_bytes;
    pthread_mutex_unlock(&set->lock);
    cow_image_unref(image);
}

void cow_image_set_destroy(struct cow_image_set *set)
{
    struct cow_image *next;
    for (struct cow_image *image = set->first; image; image = next) {
        next = image->next;
        destroy(image);
    }
    pthread_mutex_destroy(&set->lock);
}

/* ---- mapping ---- */

int cow_image_map(const struct cow_image *image, struct cow_sys *sys, uint8_t *base)
{
    for (uint32_t i = 0; i < image->n_runs; i++) {
        const struct cow_run *run = &image->runs[i];
        const int result = cow_sys_map_fixed(sys, base + run->offset_bytes, run->length_bytes, COW_MAP_IMAGE, image->fd,
                                             run->file_offset_bytes);
        if (result)
            return result;
    }
    return 0;
}

uint64_t cow_image_extent_bytes(const struct cow_image *image)
{
    return image->extent_bytes;
}

uint64_t cow_image_memory_bytes(const struct cow_image *image)
{
    return image->file_bytes;
}
