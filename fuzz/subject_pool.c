/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* cowpool as a subject. */
#include "subject_pool.h"

#include "kernel_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rig_pool_subject *self(struct rig_subject *subject)
{
    return (struct rig_pool_subject *)(void *)subject;
}

static struct cow_pool *pool_of(struct rig_subject *subject)
{
    return self(subject)->pool;
}

static struct cow_instance instance(uint64_t handle)
{
    return (struct cow_instance){handle};
}

/* ---- what every subject has ---- */

static int pool_open(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    const struct cow_pool_config config = {
        .sys = geometry->sys,
        .n_slots = geometry->n_slots,
        .max_bytes = geometry->max_bytes,
        .guard_bytes = geometry->guard_bytes,
        .unit_bytes = geometry->unit_bytes,
        .image_join_bytes = geometry->join_bytes,
        .growth = geometry->growth,
        .guard_window_bytes = geometry->window_bytes,
        .reset = geometry->reset,
        .copy_whole_bytes = geometry->whole_bytes,
        .warm_slots = geometry->warm_slots,
        .queue_slots = geometry->queue_slots,
        .resident_bytes = geometry->resident_bytes,
        .n_shards = geometry->n_shards,
        .raise_descriptor_limit = geometry->raises_limit,
    };
    struct rig_pool_subject *it = calloc(1, sizeof *it);
    if (!it)
        return -ENOMEM;
    const int result = cow_pool_create(&config, &it->pool);
    if (result) {
        free(it);
        return result;
    }
    it->subject.ops = &rig_subject_pool;
    it->view = cow_check_pool(it->pool);
    *ret_subject = &it->subject;
    return 0;
}

static int pool_close(struct rig_subject *subject)
{
    const int result = cow_pool_close(pool_of(subject));
    if (result != COW_BUSY)
        free(subject);
    return result;
}

static int pool_image_create(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                             size_t n_segments, void **ret_image)
{
    struct cow_image *image;
    const int result = cow_image_create(pool_of(subject), extent_bytes, segments, n_segments, &image);
    if (result == COW_OK)
        *ret_image = image;
    return result;
}

static int pool_image_from_file(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_file_range *range,
                                void **ret_image)
{
    struct cow_image *image;
    const int result = cow_image_from_file(pool_of(subject), extent_bytes, range, &image);
    if (result == COW_OK)
        *ret_image = image;
    return result;
}

static int pool_image_from_wasm(struct rig_subject *subject, const void *binary, size_t binary_bytes, void **ret_image,
                                struct cow_wasm_memory *ret_memory, struct cow_wasm_error *ret_error)
{
    struct cow_image *image;
    const int result = cow_image_from_wasm(pool_of(subject), binary, binary_bytes, 0, &image, ret_memory, ret_error);
    if (result == COW_OK)
        *ret_image = image;
    return result;
}

static void pool_image_drop(struct rig_subject *subject, void *image)
{
    (void)subject;
    cow_image_drop(image);
}

static int pool_instantiate(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                            uint64_t *ret_handle)
{
    const struct cow_instance_config config = {.image = image, .initial_bytes = initial_bytes, .max_bytes = max_bytes};
    struct cow_instance lease;
    const int result = cow_instantiate(pool_of(subject), &config, &lease);
    if (result == COW_OK)
        *ret_handle = lease.id;
    return result;
}

static int pool_memory(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    return cow_instance_memory(pool_of(subject), instance(handle), ret_memory);
}

static int pool_grow(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    return cow_instance_grow(pool_of(subject), instance(handle), delta_bytes, ret_old_bytes);
}

static int pool_reset(struct rig_subject *subject, uint64_t handle)
{
    return cow_instance_reset(pool_of(subject), instance(handle));
}

static int pool_release(struct rig_subject *subject, uint64_t handle)
{
    return cow_instance_release(pool_of(subject), instance(handle));
}

static int pool_flush(struct rig_subject *subject)
{
    return cow_pool_flush(pool_of(subject));
}

static int pool_trim(struct rig_subject *subject)
{
    return cow_pool_trim(pool_of(subject), 0);
}

/* Whose the pool says the fault is. With another slot, offset, length or instance than there was, it says nothing. */
static int attribute(const struct cow_pool *pool, uint64_t handle, const struct cow_memory *memory, uintptr_t address)
{
    const struct cow_location location = cow_pool_locate(pool, (const void *)address);
    const bool is_right = location.slot == memory->slot && location.instance.id == handle &&
                          location.offset_bytes == address - (uintptr_t)memory->base &&
                          location.accessible_bytes == memory->accessible_bytes;
    /* Before the base is the guard of the slot before. */
    return is_right || address < (uintptr_t)memory->base ? (int)location.place : COW_PLACE_ELSEWHERE;
}

static void pool_access(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    struct cow_memory memory;
    rig_real_access(subject, handle, access);
    if (!access->trapped || pool_memory(subject, handle, &memory) != COW_OK)
        return;
    access->trap_place =
        attribute(pool_of(subject), handle, &memory, (uintptr_t)memory.base + (uintptr_t)access->trap_offset);
}

/* ---- what only a real pool has ---- */

static void pool_calls(struct rig_subject *subject, uint64_t ret_n_calls[COW_N_CALLS])
{
    struct cow_stats stats;
    if (cow_pool_stats(pool_of(subject), &stats) == COW_OK)
        memcpy(ret_n_calls, stats.n_calls, sizeof stats.n_calls);
}

static int pool_stats(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    return cow_pool_stats(pool_of(subject), ret_stats);
}

static enum rig_slot_state pool_slot_state(struct rig_subject *subject, uint32_t slot)
{
    const struct cow_slot_view it = cow_check_slot(pool_of(subject), slot);
    if (it.lost)
        return RIG_SLOT_LOST;
    if (it.queued)
        return RIG_SLOT_QUEUED;
    return it.live ? RIG_SLOT_LIVE : it.idle ? RIG_SLOT_IDLE : it.retired ? RIG_SLOT_RETIRED : RIG_SLOT_BARE;
}

static int pool_residency(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint64_t n_pages,
                          uint8_t *ret_resident)
{
    const struct cow_pool_view *view = &self(subject)->view;
    const uint8_t *base = cow_check_slot(pool_of(subject), slot).base;
    return rig_kernel_residency(base + offset, n_pages, view->page_bytes, ret_resident);
}

/* How many of the n bytes from offset on lie in one stretch of one file, or in none; pages are looked up one by one. */
static uint64_t find_stretch(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint64_t n, int *ret_fd,
                             uint64_t *ret_file_offset)
{
    const uint64_t page_bytes = self(subject)->view.page_bytes;
    uint64_t length_bytes = page_bytes - offset % page_bytes, file_offset = 0;
    *ret_fd = cow_check_backing(pool_of(subject), slot, offset, ret_file_offset);
    while (length_bytes < n &&
           cow_check_backing(pool_of(subject), slot, offset + length_bytes, &file_offset) == *ret_fd &&
           (*ret_fd < 0 || file_offset == *ret_file_offset + length_bytes))
        length_bytes += page_bytes;
    return length_bytes < n ? length_bytes : n;
}

static int pool_peek(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint8_t *ret_bytes,
                     uint64_t length_bytes)
{
    const uint64_t page_bytes = self(subject)->view.page_bytes;
    for (uint64_t done = 0, n; done < length_bytes; done += n) {
        uint64_t file_offset = 0;
        int fd;
        n = find_stretch(subject, slot, offset + done, length_bytes - done, &fd, &file_offset);
        const ssize_t n_read = fd < 0 ? 0 : pread(fd, ret_bytes + done, n, (off_t)file_offset);
        if (n_read < 0)
            return -errno;
        if (fd >= 0 && ((uint64_t)n_read + page_bytes - 1) / page_bytes * page_bytes < n)
            return -EFAULT; /* as whoever touches it would learn: a page behind the end of its file */
        memset(ret_bytes + done + n_read, 0, n - (uint64_t)n_read);
    }
    return 0;
}

static uint64_t pool_dead_bytes(struct rig_subject *subject)
{
    struct cow_stats stats;
    return cow_pool_stats(pool_of(subject), &stats) == COW_OK ? stats.dead_image_bytes : UINT64_MAX;
}

static int pool_read_image(struct rig_subject *subject, void *image, uint64_t offset, uint8_t *ret_bytes,
                           uint64_t length_bytes)
{
    const uint64_t page_bytes = self(subject)->view.page_bytes;
    memset(ret_bytes, 0, length_bytes);
    for (uint64_t done = 0; done < length_bytes; done += page_bytes) {
        uint64_t file_offset;
        const uint64_t n = length_bytes - done < page_bytes ? length_bytes - done : page_bytes;
        const int fd = cow_check_image(image, offset + done, &file_offset);
        if (fd >= 0 && pread(fd, ret_bytes + done, n, (off_t)file_offset) < 0)
            return -errno;
    }
    return 0;
}

static const char *pool_check(struct rig_subject *subject)
{
    return cow_pool_check(pool_of(subject));
}

/* An idle slot whose image was flushed away maps no file but its own, empty extension. */
static const char *pool_stripped(struct rig_subject *subject, uint32_t slot)
{
    const uintptr_t base = (uintptr_t)cow_check_slot(pool_of(subject), slot).base;
    const uintptr_t end = base + self(subject)->view.capacity_bytes;
    struct rig_vma vma = {.end = base};
    if (cow_check_slot(pool_of(subject), slot).lost) /* it may be anybody's */
        return NULL;
    while (vma.end < end && rig_kernel_vma(vma.end, &vma) && vma.begin < end)
        if (vma.file_backed && !vma.shared)
            return "the kernel still maps a dropped image in an idle slot";
    return NULL;
}

static const char *pool_residue(struct rig_subject *subject)
{
    struct cow_stats stats;
    const char *broken = NULL;
    for (uint32_t i = 0; i < self(subject)->view.n_slots && !broken; i++)
        broken = pool_stripped(subject, i);
    if (broken)
        return broken;
    if (cow_pool_stats(pool_of(subject), &stats) != COW_OK || stats.n_images || stats.dead_image_bytes)
        return "the statistics still count images after all were dropped and flushed";
    return stats.n_live ? "the statistics still count live instances after all were released" : NULL;
}

static void pool_range(struct rig_subject *subject, uintptr_t *ret_base, size_t *ret_length_bytes)
{
    *ret_base = (uintptr_t)self(subject)->view.reservation_base;
    *ret_length_bytes = self(subject)->view.reservation_bytes;
}

/* ---- children ---- */

static const char *refusals_in_child(struct cow_pool *pool, uint64_t handle)
{
    const struct cow_instance_config config = {.image = NULL};
    struct cow_instance lease;
    struct cow_memory memory;
    struct cow_image *image;
    const struct cow_file_range range = {.fd = -1};
    struct cow_stats stats;
    uint64_t old_bytes;
    if (cow_instantiate(pool, &config, &lease) != COW_FORKED ||
        cow_instance_memory(pool, instance(handle), &memory) != COW_FORKED ||
        cow_instance_grow(pool, instance(handle), 0, &old_bytes) != COW_FORKED ||
        cow_instance_reset(pool, instance(handle)) != COW_FORKED ||
        cow_instance_release(pool, instance(handle)) != COW_FORKED ||
        cow_instance_taint_io(pool, instance(handle)) != COW_FORKED || cow_pool_flush(pool) != COW_FORKED ||
        cow_image_create(pool, 0, NULL, 0, &image) != COW_FORKED ||
        cow_image_from_file(pool, 0, &range, &image) != COW_FORKED ||
        cow_image_from_wasm(pool, NULL, 0, 0, &image, NULL, NULL) != COW_FORKED ||
        cow_pool_stats(pool, &stats) != COW_FORKED)
        return "a call in a child was not refused";
    return NULL;
}

/* Bit i: slot i is lost. What was mapped there for a next tenant before that holds nobody's bytes. */
static uint32_t lost_slots(const struct cow_pool *pool, uint32_t n_slots)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < n_slots; i++)
        lost |= (uint32_t)cow_check_slot(pool, i).lost << i;
    return lost;
}

static bool is_of_lost(const struct cow_pool_view *view, uint32_t lost, uintptr_t address)
{
    const uintptr_t end = (uintptr_t)view->reservation_base + view->reservation_bytes;
    const uint64_t from_end = (end - 1 - address) / view->stride_bytes; /* 0: the last slot */
    return from_end < view->n_slots && lost >> (view->n_slots - 1 - from_end) & 1;
}

static const char *holes_in_child(const struct cow_pool_view *view, uint32_t lost)
{
    const uintptr_t end = (uintptr_t)view->reservation_base + view->reservation_bytes;
    struct rig_vma vma = {.end = (uintptr_t)view->reservation_base};
    while (vma.end < end) {
        const uintptr_t expected = vma.end;
        if (!rig_kernel_vma(expected, &vma) || vma.begin > expected)
            return "a child has a hole where the pool is";
        if (expected != (uintptr_t)view->reservation_base && vma.readable && /* the first page is the cookie's */
            !is_of_lost(view, lost, expected))
            return "a child can read a slot";
    }
    return NULL;
}

static const char *pool_in_child(struct rig_subject *subject, uint64_t handle)
{
    struct cow_pool *pool = pool_of(subject);
    const struct cow_pool_view *view = &self(subject)->view;
    const uint32_t lost = lost_slots(pool, view->n_slots);
    const char *broken = refusals_in_child(pool, handle);
    if (!broken && cow_pool_locate(pool, (const uint8_t *)view->reservation_base + view->reservation_bytes - 1).place !=
                       COW_PLACE_ELSEWHERE)
        broken = "in a child an address is still the pool's";
    if (!broken)
        broken = holes_in_child(view, lost);
    for (uint32_t i = 0; i < view->n_slots && !broken; i++)
        if (cow_check_slot(pool, i).extension_fd >= 0)
            broken = "a child has inherited an extension file";
    if (!broken && cow_check_pool(pool).n_files)
        broken = "a child has inherited descriptors of the pool";
    if (!broken && cow_pool_close(pool) != COW_FORKED)
        broken = "closing the pool in a child was not refused";
    return broken ? broken : holes_in_child(view, lost);
}

static void pool_describe(struct rig_subject *subject, uint32_t slot, uint64_t offset, void *out_file)
{
    const struct cow_pool_view *view = &self(subject)->view;
    const struct cow_slot_view it = cow_check_slot(pool_of(subject), slot);
    const uint64_t in_slot = offset < view->stride_bytes ? offset : view->stride_bytes - 1;
    fprintf(out_file, "  slot %u: E %ju, extension %ju, %s%s\n", slot, (uintmax_t)it.paved_bytes,
            (uintmax_t)it.extension_bytes,
            it.live      ? "live"
            : it.idle    ? "idle"
            : it.queued  ? "queued"
            : it.retired ? "retired"
                         : "bare",
            it.image ? ", maps an image" : ", maps no image");
    rig_kernel_print(out_file, it.base, it.base + view->stride_bytes,
                     it.base + in_slot / view->page_bytes * view->page_bytes, view->page_bytes);
}

const struct rig_subject_ops rig_subject_pool = {
    .name = "pool",
    .open = pool_open,
    .close = pool_close,
    .image_create = pool_image_create,
    .image_drop = pool_image_drop,
    .instantiate = pool_instantiate,
    .memory = pool_memory,
    .grow = pool_grow,
    .reset = pool_reset,
    .release = pool_release,
    .flush = pool_flush,
    .trim = pool_trim,
    .access = pool_access,
    .write = rig_real_write,
    .image_from_file = pool_image_from_file,
    .image_from_wasm = pool_image_from_wasm,
    .calls = pool_calls,
    .slot_state = pool_slot_state,
    .promises_placement = true,
    .bounds_in_software = true,
    .host_read = rig_real_host_read,
    .host_write = rig_real_host_write,
    .residency = pool_residency,
    .peek = pool_peek,
    .stats = pool_stats,
    .dead_bytes = pool_dead_bytes,
    .read_image = pool_read_image,
    .check = pool_check,
    .stripped = pool_stripped,
    .residue = pool_residue,
    .extension_file = rig_pool_extension_file,
    .image_file = rig_pool_image_file,
    .n_own_files = rig_pool_n_own_files,
    .taint = rig_pool_taint,
    .must_discard = rig_pool_must_discard,
    .window = rig_pool_window,
    .range = pool_range,
    .locate = rig_pool_locate,
    .in_child = pool_in_child,
    .describe = pool_describe,
};
