/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Growth software: all of a slot can be touched, whatever the length, and no lease sees what another wrote there. */
#include "reset_world.h"

static const enum cow_reset resets[] = {COW_RESET_DISCARD, COW_RESET_COPYBACK, COW_RESET_DEFERRED, COW_RESET_ADAPTIVE};
enum { N_RESETS = sizeof resets / sizeof *resets };

static struct cow_pool *make_software(enum cow_reset reset)
{
    begin_kernel();
    return make(COW_GROWTH_SOFTWARE, reset, 1, 1);
}

static uint64_t grow(struct cow_pool *pool, struct cow_instance instance, uint64_t delta_bytes)
{
    uint64_t old_bytes = UINT64_MAX;
    CHECK_EQ(cow_instance_grow(pool, instance, delta_bytes, &old_bytes), COW_OK);
    return old_bytes;
}

static uint64_t count_calls(const struct cow_pool *pool)
{
    const struct cow_stats stats = fixture_stats(pool);
    uint64_t sum = 0;
    for (int i = 0; i < COW_N_CALLS; i++)
        sum += stats.n_calls[i];
    return sum;
}

static void test_software__growth_makes_no_call_and_moves_no_end(void)
{
    struct cow_pool *pool = make_software(COW_RESET_ADAPTIVE);
    struct cow_instance instance;
    CHECK_EQ(fixture_stats(pool).growth, COW_GROWTH_SOFTWARE);
    CHECK_EQ(fixture_lend(pool, NULL, 2 * page, N_PAGES * page, &instance), COW_OK);
    const uint64_t n_calls = count_calls(pool);
    for (uint64_t n = 2; n < N_PAGES; n++) {
        CHECK_EQ(fixture_memory(pool, instance).length_bytes, n * page);
        CHECK_EQ(fixture_memory(pool, instance).accessible_bytes, N_PAGES * page);
        CHECK_EQ(grow(pool, instance, page), n * page);
    }
    uint64_t old_bytes;
    CHECK_EQ(cow_instance_grow(pool, instance, page, &old_bytes), COW_LIMIT);
    CHECK_EQ(count_calls(pool), n_calls);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_software__only_behind_the_slot_is_out_of_bounds(void)
{
    struct cow_pool *pool = make_software(COW_RESET_DISCARD);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, NULL, page, 2 * page, &instance), COW_OK);
    const uint8_t *base = fixture_memory(pool, instance).base, *end = base + N_PAGES * page;
    CHECK_EQ(cow_pool_locate(pool, base + page).place, COW_PLACE_HOST_FAULT);
    CHECK_EQ(cow_pool_locate(pool, end - 1).place, COW_PLACE_HOST_FAULT);
    CHECK_EQ(cow_pool_locate(pool, end).place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK(process_can_read(end - 1));
    CHECK(!process_can_read(end));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_locate(pool, base).place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* Lends a memory of n_bytes, whose image is one page of 7; nothing else may be in the slot, below the length or above. */
static struct cow_instance lend_clean(struct cow_pool *pool, const struct cow_image *image, uint64_t n_bytes)
{
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, image, n_bytes, N_PAGES * page, &instance), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    CHECK(fixture_all_are(memory.base, page, 7));
    CHECK(fixture_all_are(memory.base + page, N_PAGES * page - page, 0));
    return instance;
}

static void test_software__what_is_above_the_length_is_gone_with_the_lease(void)
{
    for (int i = 0; i < N_RESETS; i++) {
        struct cow_pool *pool = make_software(resets[i]);
        struct cow_image *image = fixture_image(pool, page, 0, 7, page);
        for (uint64_t n = 1; n < 12; n++) { /* of any length: the slot stays warm */
            const struct cow_instance instance = lend_clean(pool, image, n * page);
            CHECK_EQ(fixture_stats(pool).n_warm, n - 1);
            memset(fixture_memory(pool, instance).base, 0xee, (N_PAGES - n) * page);
            if (n % 3 == 0) {
                CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
                const uint8_t *base = fixture_memory(pool, instance).base;
                CHECK(fixture_all_are(base, page, 7));
                CHECK(fixture_all_are(base + page, N_PAGES * page - page, 0));
                memset(fixture_memory(pool, instance).base + n * page, 0xdd, page);
            }
            CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
            CHECK(cow_pool_check(pool) == NULL);
        }
        cow_image_drop(image);
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    }
}

/* The slack is cleared when it becomes memory; what the engine has let somebody write behind it stays. */
static void test_software__in_one_lease_it_stays(void)
{
    struct cow_pool *pool = make_software(COW_RESET_COPYBACK);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, NULL, page + 10, N_PAGES * page, &instance), COW_OK);
    uint8_t *base = fixture_memory(pool, instance).base;
    memset(base + page + 10, 0xee, 2 * page);
    CHECK_EQ(grow(pool, instance, 2 * page), page + 10);
    CHECK(fixture_all_are(base + page + 10, page - 10, 0));
    CHECK(fixture_all_are(base + 2 * page, page + 10, 0xee));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    page = fixture_page();
    RUN(test_software__growth_makes_no_call_and_moves_no_end);
    RUN(test_software__only_behind_the_slot_is_out_of_bounds);
    RUN(test_software__what_is_above_the_length_is_gone_with_the_lease);
    RUN(test_software__in_one_lease_it_stays);
    return 0;
}
