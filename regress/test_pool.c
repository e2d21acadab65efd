/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Making and closing pools: the edges of the configuration, statistics, and that nothing is left behind. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>

#define GIB (UINT64_C(1) << 30)

static int create(struct cow_pool_config config, struct cow_pool **ret_pool)
{
    config.growth = config.growth ? config.growth : COW_GROWTH_TRUNCATE;
    config.reset = config.reset ? config.reset : COW_RESET_DISCARD;
    return cow_pool_create(&config, ret_pool);
}

/* Refused, nothing written, nothing left. */
static void refuse(struct cow_pool_config config, int expected)
{
    struct cow_pool *const untouched = (struct cow_pool *)&config, *pool = untouched;
    const int n_descriptors = process_n_descriptors();
    const uint64_t bytes = process_mapped_bytes(NULL, UINTPTR_MAX, "---p");
    CHECK_EQ(create(config, &pool), expected);
    CHECK(pool == untouched);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK(process_mapped_bytes(NULL, UINTPTR_MAX, "---p") <=
          bytes); /* less when AddressSanitizer takes some of its own */
}

/* Made, works on the smallest and the largest memory, and leaves nothing. */
static void accept(struct cow_pool_config config)
{
    struct cow_pool *pool = NULL;
    struct cow_instance small, large;
    const int n_descriptors = process_n_descriptors();
    CHECK_EQ(create(config, &pool), COW_OK);
    const struct cow_geometry geometry = pool->geometry;
    CHECK_EQ(fixture_lend(pool, NULL, 0, config.max_bytes, &small), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, small);
    CHECK_EQ(memory.length_bytes, 0);
    CHECK_EQ(memory.accessible_bytes, 0);
    CHECK_EQ(memory.max_bytes, config.max_bytes);
    CHECK_EQ(cow_instance_release(pool, small), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, config.max_bytes, config.max_bytes, &large), COW_OK);
    CHECK(!config.max_bytes || process_can_write(fixture_memory(pool, large).base + config.max_bytes - 1));
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_instance_release(pool, large), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(process_mapped_bytes(geometry.reservation_base, geometry.reservation_bytes, NULL), 0);
}

static void test_pool__fields_out_of_range_are_refused(void)
{
    refuse((struct cow_pool_config){.n_slots = 0, .max_bytes = 65536}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = COW_MAX_SLOTS + 1, .max_bytes = 65536}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = UINT32_MAX, .max_bytes = 65536}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .max_bytes = 4 * GIB + 1}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .max_bytes = UINT64_MAX}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .guard_bytes = 16 * GIB + 1}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .guard_bytes = UINT64_MAX}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .n_shards = COW_MAX_SHARDS + 1}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .unit_bytes = UINT64_MAX}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .image_join_bytes = UINT64_MAX}, COW_CONFIG);
    refuse((struct cow_pool_config){.n_slots = 1, .growth = (enum cow_growth)7}, COW_UNSUPPORTED);
    refuse((struct cow_pool_config){.n_slots = 1, .reset = (enum cow_reset)7}, COW_UNSUPPORTED);
}

static void test_pool__address_space_that_does_not_exist_is_enomem(void)
{
    refuse((struct cow_pool_config){.n_slots = COW_MAX_SLOTS, .max_bytes = 4 * GIB, .guard_bytes = 16 * GIB}, -ENOMEM);
}

static void test_pool__the_edges_of_every_field_work(void)
{
    const uint64_t page = fixture_page();
    accept((struct cow_pool_config){.n_slots = 1});
    accept((struct cow_pool_config){.n_slots = 3, .max_bytes = 0, .guard_bytes = page});
    accept((struct cow_pool_config){.n_slots = 1, .max_bytes = 1});
    accept((struct cow_pool_config){.n_slots = 2, .max_bytes = page - 1, .guard_bytes = 1});
    accept((struct cow_pool_config){.n_slots = 2, .max_bytes = page + 1, .guard_bytes = 0, .unit_bytes = 1});
    accept((struct cow_pool_config){.n_slots = 2, .max_bytes = 4 * GIB});
    accept((struct cow_pool_config){.n_slots = 2, .max_bytes = 4 * GIB, .guard_bytes = 16 * GIB, .unit_bytes = 65536});
    accept((struct cow_pool_config){.n_slots = 2, .max_bytes = 4 * GIB, .unit_bytes = 4 * GIB});
    accept((struct cow_pool_config){.n_slots = 3, .max_bytes = page, .n_shards = COW_MAX_SHARDS});
    accept((struct cow_pool_config){.n_slots = 1, .max_bytes = page, .image_join_bytes = 4 * GIB});
}

static void test_pool__guards_are_where_the_picture_says(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = NULL;
    CHECK_EQ(create((struct cow_pool_config){.n_slots = 3, .max_bytes = 2 * page + 1, .guard_bytes = page + 1}, &pool),
             COW_OK);
    const struct cow_geometry *geometry = &pool->geometry;
    CHECK_EQ(geometry->capacity_bytes, 3 * page);
    CHECK_EQ(geometry->stride_bytes, 5 * page);
    CHECK_EQ(geometry->reservation_bytes, page + 2 * page + UINT64_C(3) * 5 * page); /* cookie, pre-guard, slots */
    CHECK_EQ(geometry->slots_base - geometry->reservation_base, 3 * page);
    CHECK_EQ(process_mapped_bytes(geometry->reservation_base + page, geometry->reservation_bytes - page, "---p"),
             geometry->reservation_bytes - page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    /* No guard asked for: none behind a slot, but one page before the first. */
    CHECK_EQ(create((struct cow_pool_config){.n_slots = 3, .max_bytes = page}, &pool), COW_OK);
    CHECK_EQ(pool->geometry.stride_bytes, page);
    CHECK_EQ(pool->geometry.slots_base - pool->geometry.reservation_base, 2 * page);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_pool__without_guards_a_full_memory_ends_where_the_next_begins(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = NULL;
    struct cow_instance low, high;
    CHECK_EQ(create((struct cow_pool_config){.n_slots = 2, .max_bytes = 2 * page}, &pool), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 2 * page, 2 * page, &low), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, page, 2 * page, &high), COW_OK);
    const struct cow_memory a = fixture_memory(pool, low), b = fixture_memory(pool, high);
    CHECK(a.base + 2 * page == b.base);
    memset(a.base, 0xaa, 2 * page);
    CHECK(fixture_all_are(b.base, page, 0));
    CHECK_EQ(cow_instance_release(pool, low), COW_OK);
    memset(b.base, 0xbb, page);
    CHECK_EQ(fixture_lend(pool, NULL, 2 * page, 2 * page, &low), COW_OK);
    CHECK(fixture_all_are(a.base, 2 * page, 0));
    CHECK(fixture_all_are(b.base, page, 0xbb));
    CHECK_EQ(cow_instance_release(pool, low), COW_OK);
    CHECK_EQ(cow_instance_release(pool, high), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_pool__close_with_live_instances_is_busy_and_changes_nothing(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(2, 4);
    struct cow_image *image = fixture_image(pool, page, 10, 7, 100);
    struct cow_instance instance;
    uint64_t old_bytes;
    CHECK_EQ(fixture_lend(pool, image, page, 4 * page, &instance), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, instance, page, &old_bytes), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    memory.base[2 * page - 1] = 9;
    const uint64_t n_calls = fixture_n_calls(pool);
    const int n_descriptors = process_n_descriptors();
    CHECK_EQ(cow_pool_close(pool), COW_BUSY);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK(fixture_all_are(memory.base + 10, 100, 7) && memory.base[2 * page - 1] == 9);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_instance_grow(pool, instance, 2 * page, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_pool__close_gives_back_what_was_not_dropped(void)
{
    const uint64_t page = fixture_page();
    const int n_descriptors = process_n_descriptors();
    struct cow_pool *pool = fixture_pool(4, 8);
    const struct cow_geometry geometry = pool->geometry;
    struct cow_image *dropped = fixture_image(pool, page, 0, 1, 10);
    struct cow_image *kept = fixture_image(pool, page, 0, 2, 10), *unused = fixture_image(pool, page, 0, 3, 10);
    struct cow_instance first, second;
    uint64_t old_bytes;
    CHECK(unused != NULL);
    CHECK_EQ(fixture_lend(pool, dropped, page, 8 * page, &first), COW_OK);
    CHECK_EQ(fixture_lend(pool, kept, 3 * page, 8 * page, &second), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, first, page, &old_bytes), COW_OK);
    cow_image_drop(dropped);
    CHECK_EQ(cow_instance_release(pool, first), COW_OK);
    CHECK_EQ(cow_instance_release(pool, second), COW_OK);
    CHECK(process_n_files("cowpool-") == 4 + 3);
    CHECK(process_n_mappings("cowpool-") > 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(process_n_files("cowpool-"), 0);
    CHECK_EQ(process_n_mappings("cowpool-"), 0);
    CHECK_EQ(process_mapped_bytes(geometry.reservation_base, geometry.reservation_bytes, NULL), 0);
}

static void test_pool__the_number_of_descriptors_is_one_a_slot(void)
{
    const int n_descriptors = process_n_descriptors();
    struct cow_pool *pool = fixture_pool(100, 1);
    CHECK_EQ(process_n_descriptors(), n_descriptors + 100);
    CHECK_EQ(process_n_files("cowpool-extension"), 100);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_pool__statistics_count_what_was_done(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(3, 4);
    struct cow_image *image = fixture_image(pool, 2 * page, 0, 1, page + 1), *empty = NULL;
    struct cow_instance a, b;
    uint64_t old_bytes;
    CHECK_EQ(cow_image_create(pool, 4 * page, NULL, 0, &empty), COW_OK);
    CHECK_EQ(cow_image_memory_bytes(image), 2 * page);
    CHECK_EQ(cow_image_memory_bytes(empty), 0);
    CHECK_EQ(cow_image_extent_bytes(empty), 4 * page);
    CHECK_EQ(fixture_lend(pool, image, 2 * page, 4 * page, &a), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, page, 4 * page, &b), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, a, page, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, a, 0, &old_bytes), COW_OK);           /* no growth */
    CHECK_EQ(cow_instance_grow(pool, a, 9 * page, &old_bytes), COW_LIMIT); /* nor this */
    CHECK_EQ(cow_instance_reset(pool, b), COW_OK);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(fixture_lend(pool, image, 2 * page, 3 * page, &a), COW_OK);
    cow_image_drop(image);
    const struct cow_stats stats = fixture_stats(pool);
    CHECK_EQ(stats.n_slots, 3);
    CHECK_EQ(stats.n_live, 2);
    CHECK_EQ(stats.n_retired, 0);
    CHECK_EQ(stats.n_lost, 0);
    CHECK_EQ(stats.n_instantiations, 3);
    CHECK_EQ(stats.n_warm, 1);
    CHECK_EQ(stats.n_repaved, 0);
    CHECK_EQ(stats.n_grows, 1);
    CHECK_EQ(stats.n_resets, 2);
    CHECK_EQ(stats.n_failed_resets, 0);
    CHECK_EQ(stats.n_images, 1);
    CHECK_EQ(stats.image_bytes, 0);
    CHECK_EQ(stats.dead_image_bytes, 2 * page);
    CHECK_EQ(stats.n_calls[COW_CALL_MEMFD_CREATE], 3 + 1);
    CHECK_EQ(stats.n_calls[COW_CALL_FCNTL], 1);
    CHECK_EQ(stats.n_calls[COW_CALL_PWRITE], 1);
    CHECK_EQ(stats.n_calls[COW_CALL_FTRUNCATE], 2);
    CHECK_EQ(stats.n_calls[COW_CALL_CLOSE], 0);
    CHECK_EQ(stats.n_calls[COW_CALL_MUNMAP], 0);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(cow_instance_release(pool, b), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_pool__results_and_calls_have_names(void)
{
    for (int i = 0; i < COW_N_REFUSALS; i++) {
        CHECK(cow_result_name(i) != NULL && cow_result_name(i)[0] != 0);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(cow_result_name(i), cow_result_name(j)) != 0);
    }
    CHECK(strcmp(cow_result_name(COW_OK), "ok") == 0);
    CHECK(strcmp(cow_result_name(COW_IMAGE_LONGER), "image-longer") == 0);
    CHECK(strcmp(cow_result_name(-ENOMEM), "error") == 0);
    CHECK(strcmp(cow_result_name(COW_N_REFUSALS), "unknown") == 0);
    for (int i = 0; i < COW_N_CALLS; i++)
        CHECK(cow_call_name((enum cow_call)i) != NULL && strcmp(cow_call_name((enum cow_call)i), "unknown") != 0);
    CHECK(strcmp(cow_call_name(COW_N_CALLS), "unknown") == 0);
}

int main(void)
{
    RUN(test_pool__fields_out_of_range_are_refused);
    RUN(test_pool__address_space_that_does_not_exist_is_enomem);
    RUN(test_pool__the_edges_of_every_field_work);
    RUN(test_pool__guards_are_where_the_picture_says);
    RUN(test_pool__without_guards_a_full_memory_ends_where_the_next_begins);
    RUN(test_pool__close_with_live_instances_is_busy_and_changes_nothing);
    RUN(test_pool__close_gives_back_what_was_not_dropped);
    RUN(test_pool__the_number_of_descriptors_is_one_a_slot);
    RUN(test_pool__statistics_count_what_was_done);
    RUN(test_pool__results_and_calls_have_names);
    return 0;
}
