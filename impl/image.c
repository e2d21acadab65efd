/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Sharing and mapping images. The picture and the invariants are in image.h; how they are built, in image_segments.c and
 * image_file.c. */
#include "image_plan.h"

#include "invariant.h"
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cow_image_set_init(struct cow_image_set *set, struct cow_pool *pool, const struct cow_sys_table *table,
                       uint64_t page_bytes, uint64_t join_bytes, uint64_t max_bytes)
{
    *set = (struct cow_image_set){
        .pool = pool, .sys.table = table, .page_bytes = page_bytes, .join_bytes = join_bytes, .max_bytes = max_bytes};
    return cow_lock_init(&set->lock);
}

/* ---- making ---- */

/* Of a file that somebody may truncate there is none: reading it could be a SIGBUS. */
static int open_view(struct cow_image *image)
{
    void *mapped;
    if (!image->set->has_views || image->n_runs == 0 || image->origin == COW_IMAGE_VOUCHED)
        return 0;
    const struct cow_run *first = &image->runs[0], *last = &image->runs[image->n_runs - 1];
    image->view_bytes = last->file_offset_bytes + last->length_bytes - first->file_offset_bytes;
    const int result = cow_sys_mmap(&image->set->sys, NULL, image->view_bytes, COW_MAP_VIEW, COW_WHERE_ANY, image->fd,
                                    first->file_offset_bytes, &mapped);
    if (!result)
        image->view = mapped;
    return result;
}

int cow_image_adopt(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_image_plan *plan,
                    enum cow_image_origin origin, int fd, struct cow_image **ret_image)
{
    struct cow_image *image = malloc(sizeof *image + plan->n_runs * sizeof *plan->runs);
    if (!image)
        return -ENOMEM;
    *image = (struct cow_image){.set = set,
                                .origin = origin,
                                .fd = fd,
                                .extent_bytes = extent_bytes,
                                .file_bytes = plan->file_bytes,
                                .n_runs = plan->n_runs};
    memcpy(image->runs, plan->runs, plan->n_runs * sizeof *plan->runs);
    const int result = open_view(image);
    if (result) {
        free(image);
        return result;
    }
    atomic_init(&image->refs, 1);
    atomic_init(&image->dead, false);
    cow_lock(&set->lock);
    image->next = set->first;
    image->link = &set->first;
    if (set->first)
        set->first->link = &image->next;
    set->first = image;
    image->number = ++set->n_made;
    set->n_held++;
    set->held_bytes += image->file_bytes;
    cow_unlock(&set->lock);
    *ret_image = image;
    return COW_OK;
}

/* ---- sharing ---- */

static void destroy(struct cow_image *image)
{
    if (image->view)
        (void)cow_sys_munmap(&image->set->sys, (void *)(uintptr_t)image->view, image->view_bytes);
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
    cow_lock(&set->lock);
    COW_CHECK(atomic_load_explicit(&image->dead, memory_order_relaxed));
    set->dead_bytes -= image->file_bytes;
    *image->link = image->next;
    if (image->next)
        image->next->link = image->link;
    cow_unlock(&set->lock);
    destroy(image);
}

void cow_image_bury(struct cow_image *image)
{
    struct cow_image_set *set = image->set;
    cow_lock(&set->lock);
    COW_CHECK(!atomic_exchange_explicit(&image->dead, true, memory_order_relaxed));
    set->n_held--;
    set->held_bytes -= image->file_bytes;
    set->dead_bytes += image->file_bytes;
    cow_unlock(&set->lock);
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

/* ---- copying ---- */

/* The stretch of [begin, end) that begins there and lies in one run, or in none: where it ends, and its bytes, or NULL for zeros. */
static uint64_t find_piece(const struct cow_image *image, uint64_t begin, uint64_t end, const uint8_t **ret_bytes)
{
    *ret_bytes = NULL;
    for (uint32_t i = 0; image && i < image->n_runs; i++) {
        const struct cow_run *run = &image->runs[i];
        const uint64_t run_end = run->offset_bytes + run->length_bytes;
        if (begin >= run_end)
            continue;
        if (begin < run->offset_bytes)
            return end < run->offset_bytes ? end : run->offset_bytes;
        *ret_bytes =
            image->view + (run->file_offset_bytes - image->runs[0].file_offset_bytes) + (begin - run->offset_bytes);
        return end < run_end ? end : run_end;
    }
    return end;
}

void cow_image_copy(const struct cow_image *image, uint8_t *base, uint64_t begin, uint64_t end, bool only_runs)
{
    const uint8_t *bytes;
    for (uint64_t piece_end; begin < end; begin = piece_end) {
        piece_end = find_piece(image, begin, end, &bytes);
        if (bytes)
            memcpy(base + begin, bytes, piece_end - begin);
        else if (!only_runs)
            memset(base + begin, 0, piece_end - begin);
    }
}

static bool all_zero(const uint8_t *bytes, uint64_t n_bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, n_bytes - 1) == 0;
}

bool cow_image_equals(const struct cow_image *image, const uint8_t *base, uint64_t begin, uint64_t end)
{
    const uint8_t *bytes;
    bool equals = true;
    for (uint64_t piece_end; begin < end && equals; begin = piece_end) {
        piece_end = find_piece(image, begin, end, &bytes);
        equals =
            bytes ? memcmp(base + begin, bytes, piece_end - begin) == 0 : all_zero(base + begin, piece_end - begin);
    }
    return equals;
}

uint64_t cow_image_extent_bytes(const struct cow_image *image)
{
    return image->extent_bytes;
}

uint64_t cow_image_memory_bytes(const struct cow_image *image)
{
    return image->file_bytes;
}

int cow_image_maps_file(const struct cow_image *image)
{
    return image->origin != COW_IMAGE_COPY;
}
