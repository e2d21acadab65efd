/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images from a range of somebody's file. Mapping it costs no memory and no time, and makes whoever can change the file the master
 * of every clean page of every slot. So only a file that nobody can write to or shrink any more is mapped, or one that
 * the caller answers for; any other is copied. */
#include "image_plan.h"
#include "image_writer.h"

#include <errno.h>

static int check_range(const struct cow_image_set *set, uint64_t extent_bytes, const struct cow_file_range *range)
{
    if ((unsigned)range->use > COW_FILE_COPIED)
        return COW_CONFIG;
    if ((range->file_offset_bytes | range->length_bytes | range->offset_bytes) & (set->page_bytes - 1))
        return COW_UNALIGNED;
    if (extent_bytes > set->max_bytes)
        return COW_IMAGE_LARGE;
    if (range->offset_bytes > extent_bytes || range->length_bytes > extent_bytes - range->offset_bytes)
        return COW_IMAGE_BOUNDS;
    const int64_t file_bytes = set->sys.table->file_bytes(set->sys.table, range->fd);
    if (file_bytes < 0)
        return (int)file_bytes;
    if (range->file_offset_bytes > (uint64_t)file_bytes ||
        range->length_bytes > (uint64_t)file_bytes - range->file_offset_bytes)
        return COW_IMAGE_BOUNDS;
    return COW_OK;
}

/* The stretches of data in the range become the runs, at their places in the memory. */
static int plan_range(const struct cow_image_set *set, const struct cow_file_range *range, uint64_t join_bytes,
                      struct cow_image_plan *ret_plan)
{
    const struct cow_sys_table *table = set->sys.table;
    const uint64_t begin = range->file_offset_bytes, end = begin + range->length_bytes;
    int result = COW_OK;
    *ret_plan = (struct cow_image_plan){.page_bytes = set->page_bytes, .join_bytes = join_bytes};
    for (uint64_t at = begin, data, hole; at < end && result == COW_OK; at = hole) {
        result = table->next_data(table, range->fd, at, &data, &hole);
        if (result != COW_OK || data >= end)
            break;
        if (hole <= at ||
            hole < data) /* the file ends before the range now: what is not there must not be taken for a hole */
            return -EIO;
        data = data > at ? data : at; /* a stretch may begin before the range (sys.h) */
        result = cow_image_plan_add(ret_plan, range->offset_bytes + (data - begin), (hole < end ? hole : end) - data);
    }
    return result;
}

/* Whether a slot could map the file: better to be told now than at each instantiate. */
static int try_to_map(struct cow_image_set *set, const struct cow_file_range *range)
{
    void *mapped;
    const int result = cow_sys_mmap(&set->sys, NULL, set->page_bytes, COW_MAP_IMAGE, COW_WHERE_ANY, range->fd,
                                    range->file_offset_bytes, &mapped);
    return result ? result : cow_sys_munmap(&set->sys, mapped, set->page_bytes);
}

/* ---- mapping ---- */

static int map_range(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_file_range *range,
                     enum cow_image_origin origin, struct cow_image **ret_image)
{
    struct cow_image_plan plan;
    int result = plan_range(set, range, 0, &plan), fd = -1; /* no gap is joined: it would be a hole (I2) */
    if (result == COW_OK && plan.n_runs)
        result = try_to_map(set, range);
    if (result != COW_OK)
        return result;
    for (uint32_t i = 0; i < plan.n_runs; i++)
        plan.runs[i].file_offset_bytes = range->file_offset_bytes + (plan.runs[i].offset_bytes - range->offset_bytes);
    if (plan.n_runs)
        fd = cow_sys_duplicate(&set->sys, range->fd);
    if (plan.n_runs && fd < 0)
        return fd;
    result = cow_image_adopt(set, extent_bytes, &plan, origin, fd, ret_image);
    if (result && fd >= 0)
        (void)cow_sys_close(&set->sys, fd);
    return result;
}

/* ---- copying ---- */

static int copy_runs(struct cow_image_set *set, int fd, const struct cow_image_plan *plan,
                     const struct cow_file_range *range)
{
    struct cow_image_writer writer;
    const int result = cow_image_writer_begin(&writer, &set->sys, fd);
    if (result)
        return result;
    for (uint32_t i = 0; i < plan->n_runs; i++)
        cow_image_writer_put_file(&writer, range->fd,
                                  range->file_offset_bytes + (plan->runs[i].offset_bytes - range->offset_bytes),
                                  plan->runs[i].length_bytes);
    return cow_image_writer_end(&writer);
}

static int copy_range(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_file_range *range,
                      struct cow_image **ret_image)
{
    struct cow_image_plan plan;
    int result = plan_range(set, range, set->join_bytes, &plan), fd = -1;
    if (result != COW_OK)
        return result;
    if (plan.n_runs) {
        fd = cow_sys_memfd_create(&set->sys, "cowpool-image");
        if (fd < 0)
            return fd;
        result = copy_runs(set, fd, &plan, range);
        if (!result)
            result = cow_sys_seal(&set->sys, fd); /* (I3) */
    }
    if (!result)
        result = cow_image_adopt(set, extent_bytes, &plan, COW_IMAGE_COPY, fd, ret_image);
    if (result && fd >= 0)
        (void)cow_sys_close(&set->sys, fd);
    return result;
}

/* ---- which of the two ---- */

/* 1: nobody can change what is in it, or make it shorter; holes cannot be punched either (F_SEAL_WRITE). */
static int is_guarded(const struct cow_image_set *set, int fd)
{
    const int needed = COW_SEAL_WRITE | COW_SEAL_SHRINK, seals = set->sys.table->seals(set->sys.table, fd);
    if (seals == -EINVAL) /* of a file system that knows none (fcntl(2)) */
        return 0;
    return seals < 0 ? seals : (seals & needed) == needed;
}

int cow_image_build_from_file(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_file_range *range,
                              struct cow_image **ret_image)
{
    int result = check_range(set, extent_bytes, range);
    if (result != COW_OK)
        return result;
    const int has_host_pages = set->sys.table->has_host_pages(set->sys.table, range->fd);
    if (has_host_pages < 0)
        return has_host_pages;
    if (range->use == COW_FILE_VOUCHED)
        return has_host_pages ? map_range(set, extent_bytes, range, COW_IMAGE_VOUCHED, ret_image) : -ENODEV;
    const int guarded = range->use == COW_FILE_GUARDED && has_host_pages ? is_guarded(set, range->fd) : 0;
    if (guarded < 0)
        return guarded;
    if (guarded) {
        result = map_range(set, extent_bytes, range, COW_IMAGE_SEALED, ret_image);
        if (result != COW_IMAGE_SPARSE) /* then joining runs may help, and only a copy can be joined */
            return result;
    }
    return copy_range(set, extent_bytes, range, ret_image);
}
