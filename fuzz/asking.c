/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Pools that a program does not get, and what it may not do with another one: what cannot be, what just can, what is left to the pool,
 * and a neighbour that knows nothing of this one's handles, images and addresses. */
#include "state.h"
#include "sys/sys.h"

#include <errno.h>
#include <string.h>

/* ---- what can be, and cannot ---- */

/* Each is one step outside of what cowpool.h allows. */
static void ask_for_impossible(struct rig_run *run)
{
    const struct {
        size_t at, size;
        uint64_t value;
        int want;
    } wrong[] = {
#define WRONG(field, value, want) {offsetof(struct rig_geometry, field), sizeof run->geometry.field, value, want}
        WRONG(n_slots, 0, COW_CONFIG),
        WRONG(n_slots, COW_MAX_SLOTS + 1, COW_CONFIG),
        WRONG(max_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(unit_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(guard_bytes, COW_MAX_GUARD_BYTES + 1, COW_CONFIG),
        WRONG(join_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(window_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(whole_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(queue_slots, COW_MAX_SLOTS + 1, COW_CONFIG),
        WRONG(n_shards, COW_MAX_SHARDS + 1, COW_CONFIG),
        WRONG(growth, COW_GROWTH_SOFTWARE + 1, COW_UNSUPPORTED),
        WRONG(reset, COW_RESET_ADAPTIVE + 1, COW_UNSUPPORTED),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong && !run->failed; i++) {
        struct rig_geometry geometry = run->geometry;
        struct rig_subject *subject;
        memcpy((uint8_t *)&geometry + wrong[i].at, &wrong[i].value, wrong[i].size); /* little endian */
        (void)rig_same_result(run, wrong[i].want, run->ops->open(&geometry, &subject));
    }
}

/* And what it just allows, which takes a while to make: for the program of no operations. */
static void ask_for_the_largest(struct rig_run *run)
{
    struct rig_geometry geometry = run->geometry;
    struct rig_subject *subject;
    geometry.guard_bytes = COW_MAX_GUARD_BYTES;
    geometry.unit_bytes = geometry.join_bytes = geometry.window_bytes = geometry.whole_bytes = COW_MAX_MEMORY_BYTES;
    geometry.queue_slots = COW_MAX_SLOTS;
    geometry.n_shards = COW_MAX_SHARDS;
    const int result = run->ops->open(&geometry, &subject);
    if (rig_same_result(run, COW_OK, result))
        (void)rig_same_result(run, COW_OK, run->ops->close(subject));
}

/* ---- what is left to the pool ---- */

enum { USUAL_SLOTS = 3, USUAL_MAX_PAGES = 130 }; /* each slot in a shard of its own */

static struct {
    bool takes_markers, maps_nothing;
    uint64_t n_raised;
} usual;

static int usual_madvise(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_advice advice)
{
    (void)self;
    if (!usual.takes_markers && (advice == COW_ADVICE_GUARD || advice == COW_ADVICE_UNGUARD))
        return -EINVAL;
    return cow_sys_linux.madvise(&cow_sys_linux, at, length_bytes, advice);
}

static int usual_mmap(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                      enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    (void)self;
    if (usual.maps_nothing && what == COW_MAP_ZERO)
        return -EAGAIN;
    return cow_sys_linux.mmap(&cow_sys_linux, at, length_bytes, what, where, fd, offset_bytes, ret_at);
}

/* Of a process that must not be looked into. */
static int usual_open_pagemap(const struct cow_sys_table *self)
{
    (void)self;
    return usual.takes_markers ? cow_sys_linux.open_pagemap(&cow_sys_linux) : -EACCES;
}

static void usual_raise(const struct cow_sys_table *self, uint64_t n)
{
    (void)self;
    usual.n_raised += n;
}

/* Each slot can be lent, and no more; whichever shard has it. */
static void lend_all(struct rig_run *run, struct rig_subject *subject, uint64_t *ret_handles)
{
    uint64_t handle, old_bytes;
    for (uint32_t i = 0; i < USUAL_SLOTS; i++)
        if (run->failed || !rig_same_result(run, COW_OK, run->ops->instantiate(subject, NULL, 1, 3, &ret_handles[i])) ||
            !rig_same_result(run, COW_OK, run->ops->grow(subject, ret_handles[i], 1, &old_bytes)))
            return;
    (void)rig_same_result(run, COW_FULL, run->ops->instantiate(subject, NULL, 1, 3, &handle));
    for (uint32_t i = 0; i < USUAL_SLOTS && !run->failed; i++)
        (void)rig_same_result(run, COW_OK, run->ops->release(subject, ret_handles[i]));
}

/* A lease of that length, of which every other page is written to, so many of them: whether the image was copied back. */
static bool is_copied(struct rig_run *run, struct rig_subject *subject, uint64_t length_bytes, uint64_t n_pages)
{
    struct cow_stats before, after = {.n_copied = 0};
    struct cow_memory memory;
    uint64_t handle;
    if (run->failed || !rig_same_result(run, COW_OK, run->ops->stats(subject, &before)) ||
        !rig_same_result(
            run, COW_OK,
            run->ops->instantiate(subject, NULL, length_bytes, USUAL_MAX_PAGES * run->geometry.page_bytes, &handle)) ||
        !rig_same_result(run, COW_OK, run->ops->memory(subject, handle, &memory)))
        return false;
    for (uint64_t i = 0; i < n_pages; i++)
        *(volatile uint8_t *)((uint8_t *)memory.base + 2 * i * run->geometry.page_bytes) = 1;
    return rig_same_result(run, COW_OK, run->ops->release(subject, handle)) &&
           rig_same_result(run, COW_OK, run->ops->stats(subject, &after)) && after.n_copied > before.n_copied;
}

/* What is short is copied back whole; what is longer, where page tables can be looked at, however many pages were written to. */
static void check_copying(struct rig_run *run, struct rig_subject *subject)
{
    const uint64_t all_bytes = USUAL_MAX_PAGES * run->geometry.page_bytes;
    const bool copies_whole = is_copied(run, subject, COW_COPY_WHOLE_BYTES, 1);
    const bool copies_found = is_copied(run, subject, all_bytes, 1);
    if (!run->failed && (!copies_whole || (copies_found && !usual.takes_markers) ||
                         copies_found != is_copied(run, subject, all_bytes, USUAL_MAX_PAGES / 2)))
        rig_diverge(run, "reset", "usual",
                    "a pool that is left to itself copies images back where it must not, or not where it must");
}

/* An image of one byte, where gaps are joined that are longer than a host page. */
static void check_usual_image(struct rig_run *run, struct rig_subject *subject)
{
    static const struct cow_segment data = {0, "\7", 1};
    struct cow_memory memory;
    struct cow_stats stats;
    uint64_t handle;
    void *image;
    if (run->failed || !rig_same_result(run, COW_OK, run->ops->image_create(subject, 1, &data, 1, &image)) ||
        !rig_same_result(run, COW_OK, run->ops->stats(subject, &stats)) ||
        !rig_same_result(run, COW_OK, run->ops->instantiate(subject, image, 1, 1, &handle)) ||
        !rig_same_result(run, COW_OK, run->ops->memory(subject, handle, &memory)))
        return;
    (void)rig_same_result(run, 7, *(const volatile uint8_t *)memory.base);
    if (!run->failed && stats.image_bytes != run->geometry.page_bytes)
        rig_diverge(run, "statistics", "image_bytes", "an image of one byte takes %ju", (uintmax_t)stats.image_bytes);
    const int released = run->ops->release(subject, handle);
    run->ops->image_drop(subject, image);
    if (!run->failed)
        (void)rig_same_result(run, COW_OK, released);
}

/* How it grows and resets; odd lengths, which the default unit allows; and slots that were all retired. */
static void check_usual(struct rig_run *run, struct rig_subject *subject, enum cow_growth growth, uint64_t n_raised)
{
    struct cow_stats stats;
    uint64_t handles[USUAL_SLOTS];
    if (!rig_same_result(run, COW_OK, run->ops->stats(subject, &stats)))
        return;
    if (stats.growth != growth || stats.reset != COW_RESET_ADAPTIVE || usual.n_raised != n_raised)
        rig_diverge(run, "statistics", "modes",
                    "left to itself, a pool has growth %d and reset %d, and raised %ju limits", (int)stats.growth,
                    (int)stats.reset, (uintmax_t)usual.n_raised);
    usual.maps_nothing = true;
    for (uint32_t i = 0; i < USUAL_SLOTS && !run->failed; i++)
        (void)rig_same_result(run, -EAGAIN, run->ops->instantiate(subject, NULL, 1, 3, &handles[i]));
    usual.maps_nothing = false;
    for (int round = 0; round < 2 && !run->failed; round++)
        lend_all(run, subject, handles);
    check_copying(run, subject);
    check_usual_image(run, subject);
}

/* Nothing is chosen but what must be. The limit of descriptors is raised if that is asked for, and only then. */
static void ask_for_the_usual(struct rig_run *run, bool takes_markers, bool raises_limit)
{
    struct cow_sys_table table = cow_sys_linux;
    struct rig_geometry geometry = {
        .sys = &table, .n_slots = USUAL_SLOTS, .n_shards = USUAL_SLOTS, .raises_limit = raises_limit};
    struct rig_subject *subject;
    table.name = "usual";
    geometry.max_bytes = USUAL_MAX_PAGES * run->geometry.page_bytes;
    table.madvise = usual_madvise;
    table.open_pagemap = usual_open_pagemap;
    table.mmap = usual_mmap;
    table.raise_descriptor_limit = usual_raise;
    geometry.growth = COW_GROWTH_GUARD;
    usual.takes_markers = takes_markers;
    int result = run->ops->open(&geometry, &subject);
    const bool has_markers = result == COW_OK; /* where it is asked for, nothing else will do */
    if (has_markers)
        result = run->ops->close(subject);
    if (!rig_same_result(run, has_markers ? COW_OK : COW_UNSUPPORTED, result))
        return;
    if (has_markers && !takes_markers)
        rig_diverge(run, "kernel", "accepted", "a pool with guard markers was made on a kernel that has none");
    usual.n_raised = 0;
    geometry.growth = COW_GROWTH_DEFAULT;
    geometry.reset = COW_RESET_DEFAULT;
    if (run->failed || !rig_same_result(run, COW_OK, run->ops->open(&geometry, &subject)))
        return;
    check_usual(run, subject, has_markers ? COW_GROWTH_GUARD : COW_GROWTH_PROTECT, raises_limit ? geometry.n_slots : 0);
    const int closed = run->ops->close(subject); /* in any case: nothing may be left of it */
    if (!run->failed)
        (void)rig_same_result(run, COW_OK, closed);
}

void rig_ask_for_others(struct rig_run *run)
{
    if (!run->ops->range || !run->ops->extension_file) /* others may allow more */
        return;
    ask_for_impossible(run);
    if (run->failed || run->program->n_ops || run->options->foreign_faults)
        return;
    ask_for_the_largest(run);
    for (int way = 0; way < 4 && !run->failed; way++)
        ask_for_the_usual(run, way & 1, way & 2);
    if (!run->failed)
        rig_ask_of_files(run);
}

/* ---- a neighbour ---- */

/* Whatever is not a handle of this pool names nothing in it. */
static void expect_stale(struct rig_run *run, struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    uint64_t old_bytes;
    if (run->failed || !rig_same_result(run, COW_STALE, run->ops->memory(subject, handle, &memory)) ||
        !rig_same_result(run, COW_STALE, run->ops->grow(subject, handle, 0, &old_bytes)) ||
        !rig_same_result(run, COW_STALE, run->ops->reset(subject, handle)) ||
        (run->ops->taint && !rig_same_result(run, COW_STALE, run->ops->taint(subject, handle))))
        return;
    (void)rig_same_result(run, COW_STALE, run->ops->release(subject, handle));
}

/* Handles like this one, but for a bit. */
static void expect_stale_likes(struct rig_run *run, uint64_t handle)
{
    for (unsigned bit = 0; bit < 64; bit++)
        expect_stale(run, run->subject, handle ^ UINT64_C(1) << bit);
}

/* Of one slot, which is lent. A third pool has come and gone, between the two in the order in which they were made. */
struct rig_subject *rig_open_neighbour(struct rig_run *run, uint64_t *ret_handle)
{
    struct rig_geometry geometry = run->geometry;
    struct rig_subject *third, *neighbour;
    geometry.sys = NULL;
    geometry.n_slots = geometry.n_shards = 1;
    if (!rig_is_real(run) || !rig_same_result(run, COW_OK, run->ops->open(&geometry, &third)))
        return NULL;
    int result = run->ops->open(&geometry, &neighbour);
    if (!rig_same_result(run, COW_OK, run->ops->close(third)) || !rig_same_result(run, COW_OK, result))
        return NULL;
    return rig_same_result(run, COW_OK, run->ops->instantiate(neighbour, NULL, 0, 0, ret_handle)) ? neighbour : NULL;
}

/* It closes as soon as nothing is lent. After a divergence nothing is asked, but nothing may be left either. */
void rig_close_neighbour(struct rig_run *run, struct rig_subject *neighbour, uint64_t handle)
{
    if (neighbour && run->failed) {
        (void)run->ops->release(neighbour, handle);
        (void)run->ops->close(neighbour);
        return;
    }
    if (!neighbour || !rig_same_result(run, COW_BUSY, run->ops->close(neighbour)))
        return;
    if (rig_same_result(run, COW_OK, run->ops->release(neighbour, handle)))
        (void)rig_same_result(run, COW_OK, run->ops->close(neighbour));
}

static void visit(struct rig_run *run, struct rig_subject *neighbour, uint64_t handle)
{
    uint64_t other;
    for (uint32_t i = 0; i < RIG_N_IMAGES && !run->failed; i++)
        if (run->images[i].subject)
            (void)rig_same_result(run, COW_FOREIGN,
                                  run->ops->instantiate(neighbour, run->images[i].subject, 0, 0, &other));
    expect_stale(run, run->subject, handle);
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        if (run->registers[i].held[0].model) {
            expect_stale(run, neighbour, run->registers[i].held[0].handle);
            expect_stale_likes(run, run->registers[i].held[0].handle);
        }
}

/* ---- whose an address is ---- */

static void expect_place(struct rig_run *run, uintptr_t address, struct cow_location expected)
{
    if (run->failed)
        return;
    const struct cow_location it = run->ops->locate(run->subject, address);
    if (it.place != expected.place || it.slot != expected.slot || it.instance.id != expected.instance.id ||
        it.offset_bytes != expected.offset_bytes || it.accessible_bytes != expected.accessible_bytes)
        rig_diverge(run, "locate", "wrong",
                    "an address is said to be place %d, slot %u, offset %ju, and is %d, %u, %ju", (int)it.place,
                    it.slot, (uintmax_t)it.offset_bytes, (int)expected.place, expected.slot,
                    (uintmax_t)expected.offset_bytes);
}

/* The first byte, the last that can be accessed, the first that cannot, and the last. */
static void ask_where_in(struct rig_run *run, const struct rig_lease *lease)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(lease->model);
    const uint64_t offsets[] = {0, accessible_bytes ? accessible_bytes - 1 : 0, accessible_bytes,
                                run->stride_bytes - 1};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        const bool is_host_fault = offsets[i] < accessible_bytes;
        if (offsets[i] < run->stride_bytes)
            expect_place(run, rig_slot_base(run, lease->slot) + offsets[i],
                         (struct cow_location){.place = is_host_fault ? COW_PLACE_HOST_FAULT : COW_PLACE_OUT_OF_BOUNDS,
                                               .slot = lease->slot,
                                               .instance.id = lease->handle,
                                               .offset_bytes = offsets[i],
                                               .accessible_bytes = accessible_bytes});
    }
}

static void ask_where(struct rig_run *run)
{
    const struct cow_location elsewhere = {.place = COW_PLACE_ELSEWHERE, .slot = COW_NO_SLOT};
    struct cow_location guard = {.place = COW_PLACE_OUT_OF_BOUNDS, .slot = COW_NO_SLOT};
    uintptr_t base = 0;
    size_t length_bytes = 0;
    if (!run->ops->locate)
        return;
    run->ops->range(run->subject, &base, &length_bytes);
    expect_place(run, 0, elsewhere);
    expect_place(run, base - 1, elsewhere);
    expect_place(run, base, elsewhere); /* the subject's own */
    expect_place(run, base + run->geometry.page_bytes - 1, elsewhere);
    expect_place(run, base + length_bytes, elsewhere);
    expect_place(run, UINTPTR_MAX, elsewhere);
    guard.offset_bytes = run->geometry.page_bytes;
    expect_place(run, base + guard.offset_bytes, guard);
    guard.offset_bytes = rig_slot_base(run, 0) - 1 - base;
    expect_place(run, base + guard.offset_bytes, guard);
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        if (run->registers[i].held[0].model)
            ask_where_in(run, &run->registers[i].held[0]);
}

void rig_ask_a_neighbour(struct rig_run *run)
{
    uint64_t handle = 0;
    if (run->failed || run->program->world.kernel != RIG_KERNEL_EACH)
        return;
    struct rig_subject *neighbour = rig_open_neighbour(run, &handle);
    if (neighbour) {
        visit(run, neighbour, handle);
        ask_where(run);
    }
    rig_close_neighbour(run, neighbour, handle);
    rig_begin_calls(run); /* these were no operation's */
}
