/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The ways to grow and to reset beside the founding ones: which calls a cycle makes, what they fall back to, and what waits. That bytes
 * are right in all of them, every program of the rig shows. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "check.h"
#include "sys/sys.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

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
} kernel;

static int my_scan(const struct cow_sys_table *self, int fd, uint8_t *at, size_t n_bytes, unsigned where,
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
    if (kernel.advise_error)
        return kernel.advise_error;
    if (kernel.advised_less) /* the last range is not done, and nothing says so */
        n--;
    return n ? cow_sys_linux.process_madvise(&cow_sys_linux, fd, ranges, n, advice) : 0;
}

static int my_madvise(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_advice advice)
{
    (void)self;
    if (kernel.guard_error && advice == COW_ADVICE_GUARD)
        return kernel.guard_error;
    if (kernel.is_locked && advice == COW_ADVICE_DISCARD)
        return -EINVAL;
    if (kernel.discard_error && advice == COW_ADVICE_DISCARD)
        return kernel.discard_error;
    return cow_sys_linux.madvise(&cow_sys_linux, at, n_bytes, advice);
}

static int my_mprotect(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_access access)
{
    (void)self;
    if (kernel.protect_at && --kernel.protect_at == 0) {
        kernel.protect_at = 1; /* and all behind it */
        (void)cow_sys_linux.mprotect(&cow_sys_linux, at, page, access);
        return -ENOMEM;
    }
    return cow_sys_linux.mprotect(&cow_sys_linux, at, n_bytes, access);
}

static int my_mmap(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_map what, enum cow_where where,
                   int fd, uint64_t offset, void **ret_at)
{
    (void)self;
    if (kernel.view_fails && what == COW_MAP_VIEW)
        return -ENOMEM;
    return cow_sys_linux.mmap(&cow_sys_linux, at, n_bytes, what, where, fd, offset, ret_at);
}

static int my_open(const struct cow_sys_table *self)
{
    (void)self;
    return kernel.open_error;
}

static void begin_kernel(void)
{
    memset(&kernel, 0, sizeof kernel);
    kernel.table = cow_sys_linux;
    kernel.table.pagemap_scan = my_scan;
    kernel.table.process_madvise = my_process_madvise;
    kernel.table.madvise = my_madvise;
    kernel.table.mprotect = my_mprotect;
    kernel.table.mmap = my_mmap;
}

static struct cow_pool *make(enum cow_growth growth, enum cow_reset reset, uint32_t n_slots, uint32_t queue_slots)
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
static void dirty(const struct cow_memory *memory)
{
    for (uint64_t at = page - 1; at < memory->length_bytes; at += page)
        memory->base[at] = 0xee;
}

static void check_clean(const struct cow_memory *memory, uint64_t n_image_bytes)
{
    CHECK(fixture_all_are(memory->base, n_image_bytes, 7));
    CHECK(fixture_all_are(memory->base + n_image_bytes, memory->length_bytes - n_image_bytes, 0));
}

/* Lends, dirties, grows by so many pages, dirties, releases. Whatever was there before must be gone. */
static void cycle(struct cow_pool *pool, const struct cow_image *image, uint64_t initial_bytes, uint64_t grown_bytes)
{
    struct cow_instance instance;
    uint64_t old_bytes;
    CHECK_EQ(fixture_lend(pool, image, initial_bytes, N_PAGES * page, &instance), COW_OK);
    struct cow_memory memory = fixture_memory(pool, instance);
    check_clean(&memory, image ? page : 0);
    CHECK_EQ(cow_instance_grow(pool, instance, grown_bytes, &old_bytes), COW_OK);
    memory = fixture_memory(pool, instance);
    check_clean(&memory, image ? page : 0);
    dirty(&memory);
    CHECK(!process_can_read(memory.base + memory.accessible_bytes));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
}

/* ---- which calls ---- */

struct counted {
    enum cow_growth growth;
    enum cow_reset reset;
    uint64_t initial_pages, grown_pages;
    unsigned madvise, process_madvise, mprotect, ftruncate, scans;
};

/* Of a warm cycle: everything that it calls. Where slots wait, two of them are cleaned together: of two cycles. */
static void check_calls(const struct counted *it)
{
    struct cow_pool *pool = make(it->growth, it->reset, 4, 2);
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    for (int i = 0; i < 4; i++) /* both slots map the image, and nothing waits */
        cycle(pool, image, it->initial_pages * page, it->grown_pages * page);
    const struct cow_stats before = fixture_stats(pool);
    cycle(pool, image, it->initial_pages * page, it->grown_pages * page);
    cycle(pool, image, it->initial_pages * page, it->grown_pages * page);
    const struct cow_stats after = fixture_stats(pool);
    const uint64_t expected[COW_N_CALLS] = {[COW_CALL_MADVISE] = it->madvise,
                                            [COW_CALL_PROCESS_MADVISE] = it->process_madvise,
                                            [COW_CALL_MPROTECT] = it->mprotect,
                                            [COW_CALL_FTRUNCATE] = it->ftruncate,
                                            [COW_CALL_PAGEMAP_SCAN] = it->scans};
    for (int call = 0; call < COW_N_CALLS; call++)
        CHECK_EQ(after.n_calls[call] - before.n_calls[call], expected[call]);
    CHECK_EQ(after.n_warm - before.n_warm, 2);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_reset__two_warm_cycles_make_these_calls(void)
{
#define TRUNCATE COW_GROWTH_TRUNCATE
#define PROTECT COW_GROWTH_PROTECT
#define GUARD COW_GROWTH_GUARD
#define DISCARD COW_RESET_DISCARD
#define COPYBACK COW_RESET_COPYBACK
#define DEFERRED COW_RESET_DEFERRED
#define ADAPTIVE COW_RESET_ADAPTIVE
    static const struct counted all[] = {
        /* growth, reset, initial, grown:       madvise, process_madvise, mprotect, ftruncate, scans */
        {TRUNCATE, DISCARD, 4, 0, 2, 0, 0, 0, 0},  {TRUNCATE, DISCARD, 4, 2, 2, 0, 0, 4, 0},
        {TRUNCATE, COPYBACK, 4, 0, 0, 0, 0, 0, 2}, {TRUNCATE, COPYBACK, 4, 2, 0, 0, 0, 4, 2},
        {TRUNCATE, COPYBACK, 2, 0, 0, 0, 0, 0, 0}, {TRUNCATE, DEFERRED, 4, 0, 0, 1, 0, 0, 0},
        {TRUNCATE, DEFERRED, 4, 2, 0, 1, 0, 4, 0}, {TRUNCATE, ADAPTIVE, 4, 2, 0, 0, 0, 4, 2},
        {PROTECT, DISCARD, 4, 0, 2, 0, 0, 0, 0},   {PROTECT, DISCARD, 4, 2, 2, 0, 4, 0, 0},
        {PROTECT, COPYBACK, 4, 0, 0, 0, 0, 0, 2},  {PROTECT, COPYBACK, 4, 2, 2, 0, 4, 0, 2},
        {PROTECT, DEFERRED, 4, 2, 0, 1, 4, 0, 0},  {PROTECT, ADAPTIVE, 4, 0, 0, 0, 0, 0, 2},
        {PROTECT, ADAPTIVE, 4, 2, 0, 1, 4, 0, 2},  {GUARD, DISCARD, 4, 0, 2, 0, 0, 0, 0},
        {GUARD, DISCARD, 4, 2, 6, 0, 0, 0, 0},     {GUARD, DISCARD, 4, 5, 6, 0, 4, 0, 0},
        {GUARD, COPYBACK, 4, 0, 0, 0, 0, 0, 2},    {GUARD, COPYBACK, 4, 2, 4, 0, 0, 0, 2},
        {GUARD, DEFERRED, 4, 0, 0, 1, 0, 0, 0},    {GUARD, DEFERRED, 4, 2, 2, 2, 0, 0, 0},
        {GUARD, DEFERRED, 4, 5, 2, 2, 4, 0, 0},    {GUARD, ADAPTIVE, 4, 0, 0, 0, 0, 0, 2},
        {GUARD, ADAPTIVE, 4, 2, 2, 2, 0, 0, 2},    {GUARD, ADAPTIVE, 2, 0, 0, 0, 0, 0, 0},
    };
    begin_kernel();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_calls(&all[i]);
}

/* ---- what is left to the pool ---- */

static void test_reset__the_defaults_are_guard_and_adaptive_where_there_are_markers(void)
{
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_DEFAULT, COW_RESET_DEFAULT, 1, 0);
    const struct cow_stats stats = fixture_stats(pool);
    CHECK(stats.growth == COW_GROWTH_GUARD || stats.growth == COW_GROWTH_PROTECT);
    CHECK_EQ(stats.reset, COW_RESET_ADAPTIVE);
    CHECK_EQ(cow_pool_close(pool), COW_OK);

    kernel.guard_error = -EINVAL;
    const int n_descriptors = process_n_descriptors();
    pool = make(COW_GROWTH_DEFAULT, COW_RESET_DISCARD, 1, 0);
    CHECK_EQ(fixture_stats(pool).growth, COW_GROWTH_PROTECT);
    cycle(pool, NULL, page, 2 * page);
    cycle(pool, NULL, page, 2 * page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(process_n_descriptors(), n_descriptors);

    const struct cow_pool_config config = {.n_slots = 1, .growth = COW_GROWTH_GUARD, .sys = &kernel.table};
    pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_UNSUPPORTED);
    CHECK(pool == NULL);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
}

/* ---- falling back ---- */

static void check_falls_back(struct cow_pool *pool)
{
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    cycle(pool, image, 4 * page, 0);
    CHECK_EQ(fixture_stats(pool).n_fell_back, 1);
    CHECK_EQ(fixture_stats(pool).n_copied, 0);
    cycle(pool, image, 4 * page, page);
    CHECK_EQ(fixture_stats(pool).n_fell_back, 2);
    cycle(pool, image, 2 * page, 0); /* is copied whole: nobody has to look for pages */
    CHECK_EQ(fixture_stats(pool).n_copied, 1);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_reset__without_a_scan_pages_are_let_go(void)
{
    begin_kernel();
    kernel.open_error = -EACCES;
    kernel.table.open_pagemap = my_open;
    check_falls_back(make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0));
    begin_kernel();
    kernel.scan_error = -ENOTTY;
    check_falls_back(make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0));
}

static void test_reset__an_answer_that_cannot_be_is_not_believed(void)
{
    for (int i = 1; i <= N_NONSENSE; i++) {
        begin_kernel();
        struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0);
        kernel.nonsense = i;
        check_falls_back(pool);
    }
}

static void test_reset__what_the_kernel_was_given_is_not_copied_over(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0);
    CHECK_EQ(cow_instance_taint_io(pool, (struct cow_instance){0}), COW_STALE);
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &instance), COW_OK);
    CHECK_EQ(cow_instance_taint_io(pool, instance), COW_OK);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK); /* still: to the end of the lease */
    CHECK_EQ(fixture_stats(pool).n_fell_back, 2);
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &instance), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK); /* and no longer */
    CHECK_EQ(fixture_stats(pool).n_fell_back, 2);
    CHECK_EQ(fixture_stats(pool).n_copied, 1);
    CHECK_EQ(cow_instance_taint_io(pool, instance), COW_STALE);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_reset__an_image_that_its_owner_may_truncate_is_not_copied_from(void)
{
    struct cow_image *image;
    uint8_t bytes[1 << 16];
    const int fd = memfd_create("reset-vouched", MFD_CLOEXEC);
    memset(bytes, 7, page);
    CHECK(write(fd, bytes, page) == (ssize_t)page);
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0);
    const struct cow_file_range range = {.fd = fd, .use = COW_FILE_VOUCHED, .length_bytes = page};
    CHECK_EQ(cow_image_from_file(pool, page, &range, &image), COW_OK);
    cycle(pool, image, 4 * page, 0);
    cycle(pool, image, page, 0);
    CHECK_EQ(fixture_stats(pool).n_fell_back, 2);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    close(fd);
}

static void test_reset__an_image_that_cannot_be_looked_at_is_not_made(void)
{
    struct cow_image *image = NULL;
    const struct cow_segment segment = {0, "x", 1};
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0);
    const int n_descriptors = process_n_descriptors();
    kernel.view_fails = true;
    CHECK_EQ(cow_image_create(pool, page, &segment, 1, &image), -ENOMEM);
    CHECK(image == NULL);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(fixture_stats(pool).n_images, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_reset__what_is_not_done_for_all_is_done_for_each(void)
{
    for (int i = 0; i < 4; i++) {
        begin_kernel();
        if (i == 3) {
            kernel.open_error = -ENOSYS;
            kernel.table.open_process = my_open;
        }
        struct cow_pool *pool = make(COW_GROWTH_GUARD, COW_RESET_DEFERRED, 3, 3);
        kernel.advise_error = i == 0 ? -EPERM : 0;
        kernel.advised_less = i == 1;
        struct cow_image *image = fixture_image(pool, page, 0, 7, page);
        for (int j = 0; j < 12; j++)
            cycle(pool, image, 4 * page, (uint64_t)(j % 6) * page);
        CHECK_EQ(fixture_stats(pool).n_retired, 0);
        CHECK_EQ(fixture_stats(pool).n_deferred, 12);
        cow_image_drop(image);
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    }
}

static void test_reset__locked_memory_is_discarded_from_where_it_grew(void)
{
    begin_kernel();
    kernel.is_locked = true;
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 0);
    for (int i = 0; i < 3; i++)
        cycle(pool, NULL, 4 * page, 3 * page);
    CHECK_EQ(fixture_stats(pool).n_retired, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* As many stretches as there is room for, and more. */
static void test_reset__more_stretches_than_one_scan_tells_are_found(void)
{
    enum { N_STRETCHES = 64, N_LARGE = 2 * N_STRETCHES + 20 };
    struct cow_instance instance;
    begin_kernel();
    const struct cow_pool_config config = {.n_slots = 1,
                                           .max_bytes = N_LARGE * page,
                                           .growth = COW_GROWTH_PROTECT,
                                           .reset = COW_RESET_COPYBACK,
                                           .copy_whole_bytes = page,
                                           .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, N_LARGE * page, N_LARGE * page, &instance), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    for (uint64_t at = 0; at < memory.length_bytes; at += 2 * page)
        memory.base[at] = 0xee;
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    check_clean(&memory, 0);
    CHECK_EQ(fixture_stats(pool).n_copied, 1);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PAGEMAP_SCAN], 2);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(fixture_stats(pool).idle_bytes, N_LARGE / 2 * page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- growth that fails half-way ---- */

static void test_reset__a_growth_that_cannot_be_undone_ends_the_lease(void)
{
    struct cow_instance instance;
    struct cow_memory memory;
    uint64_t old_bytes;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_DISCARD, 1, 0);
    CHECK_EQ(fixture_lend(pool, NULL, page, N_PAGES * page, &instance), COW_OK);
    memory = fixture_memory(pool, instance);
    kernel.protect_at = 1; /* does a page, and fails; so does undoing it */
    CHECK_EQ(cow_instance_grow(pool, instance, 4 * page, &old_bytes), -ENOMEM);
    kernel.protect_at = 0;
    CHECK_EQ(cow_instance_release(pool, instance), COW_STALE);
    CHECK_EQ(fixture_stats(pool).n_retired, 1);
    CHECK_EQ(fixture_stats(pool).n_live, 0);
    CHECK(!process_can_read(memory.base + page));
    cycle(pool, NULL, page, 2 * page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- the queue ---- */

static void lend_all(struct cow_pool *pool, struct cow_instance *ret_instances, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_EQ(fixture_lend(pool, NULL, 4 * page, N_PAGES * page, &ret_instances[i]), COW_OK);
}

static void test_reset__nothing_is_full_while_a_slot_waits(void)
{
    struct cow_instance instances[4];
    struct cow_instance one_more;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 4, 100);
    for (int round = 0; round < 3; round++) {
        lend_all(pool, instances, 4);
        CHECK_EQ(fixture_lend(pool, NULL, page, page, &one_more), COW_FULL);
        for (int i = 0; i < 4; i++)
            CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
        CHECK_EQ(fixture_stats(pool).n_queued, 4);
        CHECK(cow_pool_check(pool) == NULL);
    }
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK_EQ(fixture_stats(pool).n_queued, 0);
    lend_all(pool, instances, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK); /* what waits need not be clean for that */
}

static void test_reset__the_release_that_fills_the_queue_cleans_it(void)
{
    struct cow_instance instances[3];
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 3, 3);
    lend_all(pool, instances, 3);
    CHECK_EQ(cow_instance_release(pool, instances[0]), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instances[1]), COW_OK);
    CHECK_EQ(fixture_stats(pool).n_queued, 2);
    CHECK_EQ(cow_instance_release(pool, instances[2]), COW_OK);
    CHECK_EQ(fixture_stats(pool).n_queued, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* What one slot fails with, the release that cleans it tells; the others are clean. */
static void test_reset__what_fails_while_the_queue_is_cleaned_is_told(void)
{
    struct cow_instance instances[2];
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 2, 2);
    lend_all(pool, instances, 2);
    CHECK_EQ(cow_instance_release(pool, instances[0]), COW_OK);
    kernel.advise_error = -EPERM;
    kernel.discard_error = -EIO;
    CHECK_EQ(cow_instance_release(pool, instances[1]), -EIO);
    CHECK_EQ(fixture_stats(pool).n_retired, 2);
    CHECK_EQ(fixture_stats(pool).n_queued, 0);
    CHECK(cow_pool_check(pool) == NULL);
    kernel.advise_error = kernel.discard_error = 0;
    cycle(pool, NULL, page, page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static int in_child_with_a_queue(void)
{
    struct cow_instance instances[2];
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 2, 100);
    lend_all(pool, instances, 2);
    const uint8_t *base = fixture_memory(pool, instances[0]).base;
    CHECK_EQ(cow_instance_release(pool, instances[0]), COW_OK);
    const pid_t child = fork();
    if (child == 0)
        _exit(process_can_read(base) || cow_check_pool(pool).n_files || cow_pool_close(pool) != COW_FORKED);
    CHECK_EQ(process_wait(child), 0);
    CHECK_EQ(cow_instance_release(pool, instances[1]), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    return 0;
}

static void test_reset__a_child_cannot_read_what_waits(void)
{
    begin_kernel();
    CHECK_EQ(process_in_child(in_child_with_a_queue), 0);
}

/* ---- what idle slots keep ---- */

static void test_reset__idle_slots_keep_no_more_than_they_may(void)
{
    struct cow_instance instances[6];
    begin_kernel();
    const struct cow_pool_config config = {.n_slots = 6,
                                           .max_bytes = N_PAGES * page,
                                           .growth = COW_GROWTH_PROTECT,
                                           .reset = COW_RESET_ADAPTIVE,
                                           .copy_whole_bytes = page,
                                           .resident_bytes = 9 * page,
                                           .queue_slots = 2,
                                           .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    for (int round = 0; round < 10; round++) {
        lend_all(pool, instances, 6);
        for (int i = 0; i < 6; i++) {
            const struct cow_memory memory = fixture_memory(pool, instances[i]);
            check_clean(&memory, 0);
            dirty(&memory);
        }
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
            CHECK(fixture_stats(pool).idle_bytes <= 9 * page);
            CHECK(cow_pool_check(pool) == NULL);
        }
    }
    CHECK(fixture_stats(pool).n_trims >= 10);
    struct cow_instance one_more; /* nobody is waited for who has come back */
    lend_all(pool, instances, 6);
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &one_more), COW_FULL);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK(fixture_stats(pool).idle_bytes > 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* Leases that write to everything once, and then to nothing for ever, do not keep the pages for ever. */
static void test_reset__pages_that_nobody_needs_are_let_go(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_ADAPTIVE, 1, 1);
    cycle(pool, NULL, N_PAGES * page, 0);
    CHECK_EQ(fixture_stats(pool).idle_bytes, N_PAGES * page);
    for (int i = 0; i < 1000 && fixture_stats(pool).idle_bytes; i++) {
        CHECK_EQ(fixture_lend(pool, NULL, N_PAGES * page, N_PAGES * page, &instance), COW_OK);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    }
    CHECK_EQ(fixture_stats(pool).idle_bytes, 0);
    CHECK_EQ(fixture_stats(pool).n_let_go, 1);
    cycle(pool, NULL, N_PAGES * page, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* The same where each is cleaned by itself; and where nothing is weighed, nothing is let go. */
static void test_reset__pages_that_nobody_needs_are_let_go_one_by_one_or_never(void)
{
    struct cow_instance instance;
    for (int reset = COW_RESET_COPYBACK; reset <= COW_RESET_ADAPTIVE;
         reset += COW_RESET_ADAPTIVE - COW_RESET_COPYBACK) {
        const bool adapts = reset == COW_RESET_ADAPTIVE;
        begin_kernel();
        kernel.open_error = -ENOSYS;
        kernel.table.open_process = my_open;
        struct cow_pool *pool = make(COW_GROWTH_PROTECT, (enum cow_reset)reset, 1, 1);
        cycle(pool, NULL, N_PAGES * page, 0);
        for (int i = 0; i < 100; i++) {
            CHECK_EQ(fixture_lend(pool, NULL, N_PAGES * page, N_PAGES * page, &instance), COW_OK);
            CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
            CHECK(cow_pool_check(pool) == NULL);
        }
        CHECK_EQ(fixture_stats(pool).idle_bytes, adapts ? 0 : N_PAGES * page);
        CHECK_EQ(fixture_stats(pool).n_let_go, adapts);
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    }
}

/* All of a small memory, whatever was written to. */
static void test_reset__idle_slots_count_every_page_that_they_keep(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_ADAPTIVE, 1, 1);
    cycle(pool, NULL, 2 * page, 0);
    CHECK_EQ(fixture_stats(pool).idle_bytes, 2 * page);
    for (int i = 0; i < 20; i++) { /* compared, or not */
        CHECK_EQ(fixture_lend(pool, NULL, 8 * page, 8 * page, &instance), COW_OK);
        const struct cow_memory memory = fixture_memory(pool, instance);
        CHECK_EQ(memory.base[7 * page], 0); /* a page that is only read */
        memory.base[0] = memory.base[2 * page] = 1;
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        CHECK_EQ(fixture_stats(pool).idle_bytes, 2 * page);
    }
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* In place, and with every lease the same: nothing is ever let go. */
static void test_reset__pages_that_every_lease_writes_to_are_kept(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_ADAPTIVE, 1, 1);
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    CHECK_EQ(fixture_lend(pool, image, N_PAGES * page, N_PAGES * page, &instance), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    for (int i = 0; i < 300; i++) {
        check_clean(&memory, page);
        dirty(&memory);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    }
    CHECK_EQ(fixture_stats(pool).n_copied, 300);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PAGEMAP_SCAN], 300);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    page = fixture_page();
    RUN(test_reset__two_warm_cycles_make_these_calls);
    RUN(test_reset__the_defaults_are_guard_and_adaptive_where_there_are_markers);
    RUN(test_reset__without_a_scan_pages_are_let_go);
    RUN(test_reset__an_answer_that_cannot_be_is_not_believed);
    RUN(test_reset__what_the_kernel_was_given_is_not_copied_over);
    RUN(test_reset__an_image_that_its_owner_may_truncate_is_not_copied_from);
    RUN(test_reset__an_image_that_cannot_be_looked_at_is_not_made);
    RUN(test_reset__what_is_not_done_for_all_is_done_for_each);
    RUN(test_reset__locked_memory_is_discarded_from_where_it_grew);
    RUN(test_reset__more_stretches_than_one_scan_tells_are_found);
    RUN(test_reset__a_growth_that_cannot_be_undone_ends_the_lease);
    RUN(test_reset__nothing_is_full_while_a_slot_waits);
    RUN(test_reset__the_release_that_fills_the_queue_cleans_it);
    RUN(test_reset__what_fails_while_the_queue_is_cleaned_is_told);
    RUN(test_reset__a_child_cannot_read_what_waits);
    RUN(test_reset__idle_slots_keep_no_more_than_they_may);
    RUN(test_reset__pages_that_nobody_needs_are_let_go);
    RUN(test_reset__pages_that_nobody_needs_are_let_go_one_by_one_or_never);
    RUN(test_reset__idle_slots_count_every_page_that_they_keep);
    RUN(test_reset__pages_that_every_lease_writes_to_are_kept);
    return 0;
}
