/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The ways to grow and to reset beside the founding ones: which calls a cycle makes, and what they fall back to. (What waits: test_queue.c.) That bytes
 * are right in all of them, every program of the rig shows. */
#include "reset_world.h"

#include <sys/mman.h>
#include <unistd.h>

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
        cycle_writing(pool, image, it->initial_pages * page, it->grown_pages * page, dirty_most);
    const struct cow_stats before = fixture_stats(pool);
    cycle_writing(pool, image, it->initial_pages * page, it->grown_pages * page, dirty_most);
    cycle_writing(pool, image, it->initial_pages * page, it->grown_pages * page, dirty_most);
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
#define SOFTWARE COW_GROWTH_SOFTWARE
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
        {GUARD, ADAPTIVE, 4, 2, 2, 2, 0, 0, 2},    {GUARD, ADAPTIVE, 4, 3, 2, 2, 0, 0, 2},
        {GUARD, ADAPTIVE, 4, 5, 6, 0, 4, 0, 2},    {PROTECT, ADAPTIVE, 4, 5, 2, 0, 4, 0, 2},
        {GUARD, ADAPTIVE, 2, 0, 0, 0, 0, 0, 0},    {SOFTWARE, DISCARD, 4, 2, 2, 0, 0, 0, 0},
        {SOFTWARE, COPYBACK, 4, 2, 0, 0, 0, 0, 2}, {SOFTWARE, DEFERRED, 4, 2, 0, 1, 0, 0, 0},
        {SOFTWARE, ADAPTIVE, 2, 9, 0, 0, 0, 0, 2},
    };
    begin_kernel();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_calls(&all[i]);
}

static uint64_t scans(struct cow_pool *pool)
{
    return fixture_stats(pool).n_calls[COW_CALL_PAGEMAP_SCAN];
}

/* Seven pages of eight are nearly all, six are not; what was let go has to be looked for again. */
static void test_reset__nobody_looks_for_pages_when_nearly_all_are_kept(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 1, 1);
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    for (uint64_t n_pages = 6; n_pages <= 7; n_pages++) {
        CHECK_EQ(fixture_lend(pool, image, 8 * page, 8 * page, &instance), COW_OK);
        const struct cow_memory memory = fixture_memory(pool, instance);
        memset(memory.base, 0xee, n_pages * page);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        CHECK_EQ(scans(pool), n_pages - 5);
        CHECK_EQ(fixture_stats(pool).idle_bytes, n_pages * page);
    }
    for (int i = 0; i < 3; i++) {
        cycle(pool, image, 8 * page, page);
        CHECK_EQ(scans(pool), 2);
        CHECK_EQ(fixture_stats(pool).idle_bytes, 8 * page);
    }
    CHECK_EQ(cow_pool_trim(pool, 0), COW_OK);
    cycle(pool, image, 8 * page, 0);
    CHECK_EQ(scans(pool), 3);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
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

    const struct cow_pool_config left = {.n_slots = 1, .sys = &kernel.table};
    kernel.protect_at = 1; /* what is chosen instead is tried too */
    CHECK_EQ(cow_pool_create(&left, &pool), -ENOMEM);
    kernel.protect_at = 0;
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

int main(void)
{
    page = fixture_page();
    RUN(test_reset__two_warm_cycles_make_these_calls);
    RUN(test_reset__nobody_looks_for_pages_when_nearly_all_are_kept);
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
    return 0;
}
