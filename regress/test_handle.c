/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Handles: (H1) unique in the process, (H2) never 0, (H3) used up one day. handle.c is compiled in here, in place of the library's,
 * so that its counter can be set. */
#include "handle.c" /* NOLINT(bugprone-suspicious-include) */

#include "faulty.h"
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <pthread.h>
#include <stdlib.h>

#ifdef COW_HOSTILE
#define N_PER_BLOCK(index_bits) ((uint64_t)LEASES_PER_BLOCK)
#else
#define N_PER_BLOCK(index_bits) (UINT64_C(1) << (COW_HANDLE_BLOCK_BITS - (index_bits)))
#endif

static uint64_t block_of(uint64_t handle)
{
    return handle >> COW_HANDLE_BLOCK_BITS;
}

static void test_handle__names_its_slot_for_every_number_of_index_bits(void)
{
    for (unsigned bits = 0; bits <= 20; bits++) {
        const uint32_t last_index = (UINT32_C(1) << bits) - 1;
        for (uint32_t index = 0;; index = last_index) {
            uint64_t handle = 0;
            for (int i = 0; i < 100; i++) {
                handle = cow_handle_next(handle, index, bits);
                CHECK(handle != 0);
                CHECK_EQ(cow_handle_index(handle, bits), index);
                CHECK(block_of(handle) >= 1);
            }
            if (index == last_index)
                break;
        }
    }
}

static void test_handle__a_block_is_used_up_and_then_another_begins(void)
{
    for (unsigned bits = 0; bits <= 20; bits += 5) {
        const uint64_t first = cow_handle_next(0, 0, bits);
        uint64_t n = 1, handle = first, next;
        while (block_of(next = cow_handle_next(handle, 0, bits)) == block_of(first)) {
            if (next <= handle)
                break;
            handle = next;
            n++;
        }
        CHECK(next > handle);
        CHECK(block_of(next) == block_of(first) + 1);
        CHECK_EQ(n, N_PER_BLOCK(bits));
    }
}

static int compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Three pools of 16, 8 and 1 slots, whose slots take handles in turn: enough for every slot to change blocks. */
static void test_handle__no_two_are_equal_across_slots_and_pools(void)
{
    enum { N_SLOTS = 16 + 8 + 1, N_TURNS = 20000 };
    static uint64_t handles[N_SLOTS * N_TURNS];
    uint64_t last[N_SLOTS] = {0};
    size_t n = 0, n_equal = 0;
    for (int turn = 0; turn < N_TURNS; turn++)
        for (uint32_t slot = 0; slot < N_SLOTS; slot++) {
            const unsigned bits = slot < 16 ? 18 : slot < 24 ? 16 : 14;
            const uint32_t index = slot < 16 ? slot : slot < 24 ? slot - 16 : 0;
            last[slot] = cow_handle_next(last[slot], index, bits);
            handles[n++] = last[slot];
        }
    qsort(handles, n, sizeof *handles, compare);
    for (size_t i = 1; i < n; i++)
        n_equal += handles[i] == handles[i - 1];
    CHECK_EQ(n_equal, 0);
    CHECK(handles[0] != 0);
}

enum { N_THREADS = 4, N_PER_THREAD = 10000 };
static uint64_t of_threads[N_THREADS][N_PER_THREAD];

static void *take_many(void *argument)
{
    uint64_t *handles = argument;
    uint64_t last = 0;
    for (int i = 0; i < N_PER_THREAD; i++) /* 2^20 slots: 16 handles a block, so blocks are taken all the time */
        handles[i] = last = cow_handle_next(last, 7, 20);
    return NULL;
}

static void test_handle__no_two_are_equal_across_threads(void)
{
    pthread_t threads[N_THREADS];
    uint64_t *all = &of_threads[0][0];
    const size_t n = sizeof of_threads / sizeof *all;
    size_t n_equal = 0;
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, take_many, of_threads[i]), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(all, n, sizeof *all, compare);
    for (size_t i = 1; i < n; i++)
        n_equal += all[i] == all[i - 1];
    CHECK_EQ(n_equal, 0);
}

static void test_handle__none_is_left_after_the_last_block(void)
{
    const uint64_t n_blocks = UINT64_C(1) << (64 - COW_HANDLE_BLOCK_BITS);
    const uint64_t old = cow_handle_next(0, 3, 20);
    atomic_store(&cow_handle_n_blocks, n_blocks - 1);
    uint64_t handle = cow_handle_next(0, 3, 20);
    CHECK_EQ(block_of(handle), n_blocks - 1);
    for (uint64_t i = 1; i < N_PER_BLOCK(20);
         i++) /* the block itself is used to its end, up to the top of the numbers */
        CHECK((handle = cow_handle_next(handle, 3, 20)) != 0);
    for (int i = 0; i < 10; i++) {
        CHECK(cow_handle_next(handle, 3, 20) == 0);
        CHECK(cow_handle_next(0, 5, 20) == 0);
    }
    CHECK(cow_handle_next(old, 3, 20) != 0); /* a slot in the middle of its block goes on */
    CHECK(atomic_load(&cow_handle_n_blocks) == n_blocks);
}

/* Behind the test above: there are no blocks left. A slot without a handle is kept reserved but never used again; a lease that began
 * before is none the worse. */
static void test_handle__a_slot_without_handles_is_lost(void)
{
    struct faulty kernel = faulty_kernel();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 3, .max_bytes = 2 * fixture_page(),
                                           .guard_bytes = fixture_page(), .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    struct cow_instance instance, none = {42};
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &none), COW_FULL); /* each of the three was looked at */
    CHECK_EQ(none.id, 42);
    CHECK_EQ(fixture_stats(pool).n_lost, 3);
    CHECK_EQ(cow_pool_close(pool), COW_OK);

    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    atomic_store(&cow_handle_n_blocks, (UINT64_C(1) << (64 - COW_HANDLE_BLOCK_BITS)) - 1);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instance), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &none), COW_FULL);
    CHECK_EQ(fixture_stats(pool).n_lost, 2);
    CHECK_EQ(fixture_stats(pool).n_retired, 2);
    CHECK_EQ(fixture_stats(pool).n_live, 1);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instance), COW_OK); /* it has the block */
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(kernel.n_open, 0);
    CHECK_EQ(kernel.n_mapped_bytes, 0);
}

/* Whatever it held: an idle slot lets go of its tenant's image. */
static void test_handle__a_lost_slot_holds_nothing(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 2);
    struct cow_image *image = fixture_image(pool, page, 0, 0x77, page);
    struct cow_instance instance;
    atomic_store(&cow_handle_n_blocks, (UINT64_C(1) << (64 - COW_HANDLE_BLOCK_BITS)) - 1);
    CHECK_EQ(fixture_lend(pool, image, page, page, &instance), COW_OK);
    const uint8_t *base = fixture_memory(pool, instance).base;
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK(process_can_read(base));
    pool->slots[0].last_handle |=
        (UINT64_C(1) << COW_HANDLE_BLOCK_BITS) - 1; /* the last of its block, and none is left */
    CHECK_EQ(fixture_lend(pool, image, page, page, &instance), COW_FULL);
    CHECK_EQ(fixture_stats(pool).n_lost, 1);
    CHECK(!process_can_read(base));
    CHECK(cow_pool_check(pool) == NULL);
    cow_image_drop(image);
    CHECK_EQ(fixture_stats(pool).dead_image_bytes, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    RUN(test_handle__names_its_slot_for_every_number_of_index_bits);
    RUN(test_handle__a_block_is_used_up_and_then_another_begins);
    RUN(test_handle__no_two_are_equal_across_slots_and_pools);
    RUN(test_handle__no_two_are_equal_across_threads);
    RUN(test_handle__none_is_left_after_the_last_block);
    RUN(test_handle__a_slot_without_handles_is_lost);
    RUN(test_handle__a_lost_slot_holds_nothing);
    return 0;
}
