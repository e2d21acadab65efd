/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Slots that wait to be cleaned together, and what idle slots may keep. */
#include "reset_world.h"

#include <sys/mman.h>
#include <unistd.h>

/* ---- the queue ---- */

static void lend_all(struct cow_pool *pool, struct cow_instance *ret_instances, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_EQ(fixture_lend(pool, NULL, 4 * page, N_PAGES * page, &ret_instances[i]), COW_OK);
}

static void test_queue__nothing_is_full_while_a_slot_waits(void)
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

static void test_queue__the_release_that_fills_the_queue_cleans_it(void)
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
static void test_queue__what_fails_while_the_queue_is_cleaned_is_told(void)
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

static void test_queue__a_child_cannot_read_what_waits(void)
{
    begin_kernel();
    CHECK_EQ(process_in_child(in_child_with_a_queue), 0);
}

static int in_child_with_pages_kept(void)
{
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_ADAPTIVE, 1, 100);
    cycle(pool, NULL, N_PAGES * page, 0);
    CHECK(fixture_stats(pool).idle_bytes > 0);
    const pid_t child = fork();
    if (child == 0) {
        kernel.n_advised = 0;
        _exit(cow_pool_trim(pool, 0) != COW_FORKED || kernel.n_advised);
    }
    CHECK_EQ(process_wait(child), 0);
    CHECK_EQ(cow_pool_trim(pool, 0), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    return 0;
}

/* Its descriptors would reach the parent's. */
static void test_queue__a_child_trims_nothing(void)
{
    begin_kernel();
    CHECK_EQ(process_in_child(in_child_with_pages_kept), 0);
}

/* ---- what idle slots keep ---- */

static void test_queue__idle_slots_keep_no_more_than_they_may(void)
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
static void test_queue__pages_that_nobody_needs_are_let_go(void)
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
static void test_queue__pages_that_nobody_needs_are_let_go_one_by_one_or_never(void)
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
static void test_queue__idle_slots_count_every_page_that_they_keep(void)
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
static void test_queue__pages_that_every_lease_writes_to_are_kept(void)
{
    struct cow_instance instance;
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_ADAPTIVE, 1, 1);
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    CHECK_EQ(fixture_lend(pool, image, N_PAGES * page, N_PAGES * page, &instance), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    for (int i = 0; i < 300; i++) {
        check_clean(&memory, page);
        dirty_most(&memory);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    }
    CHECK_EQ(fixture_stats(pool).n_copied, 300);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PAGEMAP_SCAN], 300);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- giving memory back, and which slot is lent ---- */

static int is_resident(const uint8_t *at)
{
    uint8_t is_present = 2;
    CHECK_EQ(mincore((void *)(uintptr_t)at, page, &is_present), 0);
    return is_present & 1;
}

static void test_queue__a_trim_leaves_what_may_be_kept_with_those_idle_last(void)
{
    static const enum cow_reset resets[] = {COW_RESET_COPYBACK, COW_RESET_ADAPTIVE};
    for (int i = 0; i < 2; i++) {
        struct cow_instance instances[4];
        begin_kernel();
        struct cow_pool *pool = make(COW_GROWTH_PROTECT, resets[i], 4, 0);
        lend_all(pool, instances, 4);
        const uint8_t *bases[4];
        for (int k = 0; k < 4; k++) {
            const struct cow_memory memory = fixture_memory(pool, instances[k]);
            dirty(&memory);
            bases[k] = memory.base;
            CHECK_EQ(cow_instance_release(pool, instances[k]), COW_OK);
        }
        CHECK_EQ(fixture_stats(pool).idle_bytes, 16 * page);
        CHECK_EQ(cow_pool_trim(pool, 9 * page),
                 COW_OK); /* two slots too many; the one that was released first is the longest idle */
        CHECK_EQ(fixture_stats(pool).idle_bytes, 8 * page);
        CHECK_EQ(fixture_stats(pool).n_trims, 2);
        CHECK_EQ(fixture_stats(pool).n_queued, 0);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(is_resident(bases[k]), k >= 2);
        CHECK_EQ(cow_pool_trim(pool, 8 * page), COW_OK);
        CHECK_EQ(fixture_stats(pool).n_trims, 2);
        CHECK_EQ(cow_pool_trim(pool, 0), COW_OK);
        CHECK_EQ(fixture_stats(pool).idle_bytes, 0);
        CHECK_EQ(is_resident(bases[3]), 0);
        CHECK(cow_pool_check(pool) == NULL);
        lend_all(pool, instances, 4);
        CHECK_EQ(fixture_stats(pool).n_warm, 4);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(cow_instance_release(pool, instances[k]), COW_OK);
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    }
}

static void test_queue__what_cannot_be_trimmed_is_retired(void)
{
    struct cow_instance instances[2];
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 2, 0);
    lend_all(pool, instances, 2);
    for (int k = 0; k < 2; k++) {
        const struct cow_memory memory = fixture_memory(pool, instances[k]);
        dirty(&memory);
        CHECK_EQ(cow_instance_release(pool, instances[k]), COW_OK);
    }
    kernel.discard_error = -EIO;
    CHECK_EQ(cow_pool_trim(pool, 0), -EIO);
    kernel.discard_error = 0;
    CHECK_EQ(fixture_stats(pool).n_retired, 2);
    CHECK_EQ(fixture_stats(pool).idle_bytes, 0);
    CHECK(cow_pool_check(pool) == NULL);
    cycle(pool, NULL, page, page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* More bytes than the kernel looks at in one call (2 GiB less a host page) are let go all the same, and together where they can be. */
static void test_queue__slots_too_large_for_one_call_are_cleaned_by_few(void)
{
    enum { GIB = 1 << 30 };
    const uint64_t sizes[] = {GIB, GIB, GIB - page, UINT64_C(3) * GIB, GIB / 2};
    struct cow_instance instances[5];
    uint8_t *bases[5];
    begin_kernel();
    const struct cow_pool_config config = {.n_slots = 5,
                                           .max_bytes = COW_MAX_MEMORY_BYTES,
                                           .growth = COW_GROWTH_PROTECT,
                                           .reset = COW_RESET_DEFERRED,
                                           .queue_slots = 5,
                                           .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    const int result = cow_pool_create(&config, &pool);
    if (result == -ENOMEM)
        CHECK_SKIP("no address space for 20 GiB");
    CHECK_EQ(result, COW_OK);
    for (int i = 0; i < 5; i++) {
        if (fixture_lend(pool, NULL, sizes[i], sizes[i], &instances[i]) == -ENOMEM)
            CHECK_SKIP("no commit charge for some GiB");
        bases[i] = fixture_memory(pool, instances[i]).base;
        bases[i][0] = bases[i][sizes[i] - 1] = 0xee;
    }
    const uint64_t n_calls = fixture_stats(pool).n_calls[COW_CALL_PROCESS_MADVISE],
                   n_singles = fixture_stats(pool).n_calls[COW_CALL_MADVISE];
    for (int i = 0; i < 5; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(fixture_stats(pool).n_queued, 0);
    for (int i = 0; i < 5; i++)
        CHECK(bases[i][0] == 0 && bases[i][sizes[i] - 1] == 0);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PROCESS_MADVISE] - n_calls,
             3); /* 1, just as much as can be, and 0.5 GiB behind the long one */
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_MADVISE] - n_singles, 1);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static uint32_t slot_lent_for(struct cow_pool *pool, uint64_t n_pages, struct cow_instance *ret_instance)
{
    CHECK_EQ(fixture_lend(pool, NULL, n_pages * page, n_pages * page, ret_instance), COW_OK);
    return fixture_memory(pool, *ret_instance).slot;
}

static void test_queue__once_enough_are_warm_the_one_idle_longest_is_taken(void)
{
    for (uint32_t n_shards = 1; n_shards <= 2; n_shards++) {
        struct cow_instance instances[3], other;
        const struct cow_pool_config config = {
            FOUNDING_MODES,      .n_slots = 12, .max_bytes = 20 * page, .guard_bytes = page, .warm_slots = 2 * n_shards,
            .n_shards = n_shards};
        struct cow_pool *pool = NULL;
        CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
        uint32_t slots[3];
        for (uint32_t i = 0; i < 2; i++)
            slots[i] = slot_lent_for(pool, 1 + i, &instances[i]);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
        slots[2] = slot_lent_for(pool, 9, &other); /* two are idle: the first */
        CHECK_EQ(slots[2], slots[0]);
        CHECK(slot_lent_for(pool, 10, &instances[2]) != slots[1]); /* one is: a new one */
        CHECK_EQ(cow_instance_release(pool, other), COW_OK);
        CHECK_EQ(slot_lent_for(pool, 2, &other), slots[1]); /* warm */
        CHECK_EQ(fixture_stats(pool).n_warm, 1);
        CHECK_EQ(cow_instance_release(pool, other), COW_OK);
        CHECK_EQ(cow_instance_release(pool, instances[2]), COW_OK);
        CHECK(cow_pool_check(pool) == NULL);
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    }
    const struct cow_pool_config too_many = {.n_slots = 1, .warm_slots = COW_MAX_SLOTS + 1};
    const struct cow_pool_config most = {.n_slots = 1, .warm_slots = COW_MAX_SLOTS};
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&too_many, &pool), COW_CONFIG);
    CHECK_EQ(cow_pool_create(&most, &pool), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* Of slots that are as warm, one that has pages to give goes first, whichever was idle before. */
static void test_queue__pages_that_are_kept_are_lent_first(void)
{
    begin_kernel();
    struct cow_pool *pool = make(COW_GROWTH_PROTECT, COW_RESET_COPYBACK, 2, 0);
    for (int order = 0; order < 2; order++) {
        struct cow_instance with_pages, without;
        const uint32_t slot = slot_lent_for(pool, 4, &with_pages);
        CHECK(slot_lent_for(pool, 4, &without) != slot);
        fixture_memory(pool, with_pages).base[0] = 0xee;
        CHECK_EQ(cow_instance_release(pool, order ? without : with_pages), COW_OK);
        CHECK_EQ(cow_instance_release(pool, order ? with_pages : without), COW_OK);
        CHECK_EQ(slot_lent_for(pool, 4, &with_pages), slot);
        CHECK_EQ(cow_instance_release(pool, with_pages), COW_OK);
        CHECK_EQ(cow_pool_trim(pool, 0), COW_OK);
    }
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    page = fixture_page();
    RUN(test_queue__nothing_is_full_while_a_slot_waits);
    RUN(test_queue__the_release_that_fills_the_queue_cleans_it);
    RUN(test_queue__what_fails_while_the_queue_is_cleaned_is_told);
    RUN(test_queue__a_child_cannot_read_what_waits);
    RUN(test_queue__a_child_trims_nothing);
    RUN(test_queue__idle_slots_keep_no_more_than_they_may);
    RUN(test_queue__pages_that_nobody_needs_are_let_go);
    RUN(test_queue__pages_that_nobody_needs_are_let_go_one_by_one_or_never);
    RUN(test_queue__idle_slots_count_every_page_that_they_keep);
    RUN(test_queue__pages_that_every_lease_writes_to_are_kept);
    RUN(test_queue__a_trim_leaves_what_may_be_kept_with_those_idle_last);
    RUN(test_queue__what_cannot_be_trimmed_is_retired);
    RUN(test_queue__slots_too_large_for_one_call_are_cleaned_by_few);
    RUN(test_queue__once_enough_are_warm_the_one_idle_longest_is_taken);
    RUN(test_queue__pages_that_are_kept_are_lent_first);
    return 0;
}
