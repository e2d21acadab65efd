/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Pools for the tests of resets and queues: over a kernel that says no, or nonsense, to one thing. */
#ifndef REGRESS_RESET_WORLD_H
#define REGRESS_RESET_WORLD_H

#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "check.h"
#include "sys/sys.h"

#include <errno.h>

enum { N_PAGES = 40 };
static uint64_t page;

/* A table that says no, or nonsense, to one thing. */
static struct {
    struct cow_sys_table table; /* first: `self` is this */
    int scan_error, advise_error, guard_error, protect_at, open_error;
    int64_t advised_less; /* bytes, of what process_madvise has done */
    int nonsense;         /* which answer of a scan */
    bool view_fails, is_locked;
    int discard_error; /* of each, by itself */
    int n_advised;     /* calls of both */
} kernel;

static inline int my_scan(const struct cow_sys_table *self, int fd, uint8_t *at, size_t n_bytes, unsigned where,
                          struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end)
{
    (void)self;
    if (kernel.scan_error)
        return kernel.scan_error;
    if (kernel.nonsense == 0)
        return cow_sys_linux.pagemap_scan(&cow_sys_linux, fd, at, n_bytes, where, ret_stretches, n_max, ret_end);
    const struct cow_stretch answers[] = {
        {at - page, at, false},                     /* before what was asked for */
        {at + n_bytes, at + n_bytes + page, false}, /* behind it */
        {at + page, at, false},                     /* ends before it begins */
        {at, at, false},                            /* nothing */
        {at + 1, at + page, false},                 /* not whole pages */
        {at, at + page - 1, false},
        {at, at + page, false}, /* the walk has come nowhere */
        {at, at + page, false}, /* or too far */
        {at, at + page, false}, /* nowhere, and nothing was found */
        {at, at + page, false}, /* more than there is room for */
    };
    const int which = kernel.nonsense - 1;
    ret_stretches[0] = answers[which];
    *ret_end = which == 6 || which == 8 ? at : which == 7 ? at + n_bytes + page : at + n_bytes;
    return which == 8 ? 0 : which == 9 ? (int)n_max + 1 : 1;
}
enum { N_NONSENSE = 10 };

static int64_t my_process_madvise(const struct cow_sys_table *self, int fd, const struct iovec *ranges, size_t n,
                                  enum cow_advice advice)
{
    (void)self;
    kernel.n_advised++;
    if (kernel.advise_error)
        return kernel.advise_error;
    if (kernel.advised_less) /* the last range is not done, and nothing says so */
        n--;
    return n ? cow_sys_linux.process_madvise(&cow_sys_linux, fd, ranges, n, advice) : 0;
}

static inline int my_madvise(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_advice advice)
{
    (void)self;
    kernel.n_advised++;
    if (kernel.guard_error && advice == COW_ADVICE_GUARD)
        return kernel.guard_error;
    if (kernel.is_locked && advice == COW_ADVICE_DISCARD)
        return -EINVAL;
    if (kernel.discard_error && advice == COW_ADVICE_DISCARD)
        return kernel.discard_error;
    return cow_sys_linux.madvise(&cow_sys_linux, at, n_bytes, advice);
}

static inline int my_mprotect(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_access access)
{
    (void)self;
    if (kernel.protect_at && --kernel.protect_at == 0) {
        kernel.protect_at = 1; /* and all behind it */
        (void)cow_sys_linux.mprotect(&cow_sys_linux, at, page, access);
        return -ENOMEM;
    }
    return cow_sys_linux.mprotect(&cow_sys_linux, at, n_bytes, access);
}

static inline int my_mmap(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_map what,
                          enum cow_where where, int fd, uint64_t offset, void **ret_at)
{
    (void)self;
    if (kernel.view_fails && what == COW_MAP_VIEW)
        return -ENOMEM;
    return cow_sys_linux.mmap(&cow_sys_linux, at, n_bytes, what, where, fd, offset, ret_at);
}

static inline int my_open(const struct cow_sys_table *self)
{
    (void)self;
    return kernel.open_error;
}

static inline void begin_kernel(void)
{
    memset(&kernel, 0, sizeof kernel);
    kernel.table = cow_sys_linux;
    kernel.table.pagemap_scan = my_scan;
    kernel.table.process_madvise = my_process_madvise;
    kernel.table.madvise = my_madvise;
    kernel.table.mprotect = my_mprotect;
    kernel.table.mmap = my_mmap;
}

static inline struct cow_pool *make(enum cow_growth growth, enum cow_reset reset, uint32_t n_slots,
                                    uint32_t queue_slots)
{
    const struct cow_pool_config config = {
        .n_slots = n_slots,
        .max_bytes = N_PAGES * page,
        .guard_bytes = page,
        .growth = growth,
        .reset = reset,
        .copy_whole_bytes = 2 * page,
        .guard_window_bytes = 3 * page,
        .queue_slots = queue_slots,
        .sys = &kernel.table,
    };
    struct cow_pool *pool = NULL;
    const int result = cow_pool_create(&config, &pool);
    if (result == COW_UNSUPPORTED)
        CHECK_SKIP("no guard markers here");
    CHECK_EQ(result, COW_OK);
    return pool;
}

/* Writes to the last byte of every page. */
static inline void dirty(const struct cow_memory *memory)
{
    for (uint64_t at = page - 1; at < memory->length_bytes; at += page)
        memory->base[at] = 0xee;
}

/* Of three pages of four: when all are written to, nobody looks for them the next time. */
static inline void dirty_most(const struct cow_memory *memory)
{
    for (uint64_t at = page - 1; at < memory->length_bytes; at += page)
        if (at / page % 4 != 1)
            memory->base[at] = 0xee;
}

static inline void check_clean(const struct cow_memory *memory, uint64_t n_image_bytes)
{
    CHECK(fixture_all_are(memory->base, n_image_bytes, 7));
    CHECK(fixture_all_are(memory->base + n_image_bytes, memory->length_bytes - n_image_bytes, 0));
}

/* Lends, grows by so many pages, dirties, releases. Whatever was there before must be gone. */
static inline void cycle_writing(struct cow_pool *pool, const struct cow_image *image, uint64_t initial_bytes,
                                 uint64_t grown_bytes, void (*write)(const struct cow_memory *memory))
{
    struct cow_instance instance;
    uint64_t old_bytes;
    CHECK_EQ(fixture_lend(pool, image, initial_bytes, N_PAGES * page, &instance), COW_OK);
    struct cow_memory memory = fixture_memory(pool, instance);
    check_clean(&memory, image ? page : 0);
    CHECK_EQ(cow_instance_grow(pool, instance, grown_bytes, &old_bytes), COW_OK);
    memory = fixture_memory(pool, instance);
    check_clean(&memory, image ? page : 0);
    write(&memory);
    CHECK(!process_can_read(memory.base + memory.accessible_bytes));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
}

static inline void cycle(struct cow_pool *pool, const struct cow_image *image, uint64_t initial_bytes,
                         uint64_t grown_bytes)
{
    cycle_writing(pool, image, initial_bytes, grown_bytes, dirty);
}

#endif
