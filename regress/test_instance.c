/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The life of an instance: contents, growth, slack, refusals, handles, and which slot it gets. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#define GIB (UINT64_C(1) << 30)

static void close_pool(struct cow_pool *pool)
{
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void test_instance__starts_as_image_over_zero_and_returns_to_it(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 8);
    struct cow_image *image = fixture_image(pool, 2 * page, 100, 7, page);
    struct cow_instance instance;
    uint64_t old_bytes = 1;
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(fixture_lend(pool, image, 3 * page, 8 * page, &instance), COW_OK);
        struct cow_memory memory = fixture_memory(pool, instance);
        CHECK_EQ(memory.length_bytes, 3 * page);
        CHECK_EQ(memory.accessible_bytes, 3 * page);
        CHECK_EQ(memory.max_bytes, 8 * page);
        CHECK_EQ(memory.slot, 0);
        CHECK(fixture_is_image(&memory, 100, 7, page));
        memset(memory.base, 0xee, 3 * page);
        CHECK_EQ(cow_instance_grow(pool, instance, 5 * page, &old_bytes), COW_OK);
        CHECK_EQ(old_bytes, 3 * page);
        CHECK(fixture_all_are(memory.base + 3 * page, 5 * page, 0));
        CHECK(fixture_all_are(memory.base, 3 * page, 0xee)); /* growth moves nothing */
        memset(memory.base, 0xdd, 8 * page);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
        memory = fixture_memory(pool, instance);
        CHECK_EQ(memory.length_bytes, 3 * page);
        CHECK(fixture_is_image(&memory, 100, 7, page));
        CHECK(!process_can_read(memory.base + 3 * page));
        CHECK_EQ(cow_instance_grow(pool, instance, 5 * page, &old_bytes), COW_OK);
        memory = fixture_memory(pool, instance);
        CHECK(fixture_is_image(&memory, 100, 7, page));
        memset(memory.base, 0xcc, 8 * page);
        CHECK(cow_pool_check(pool) == NULL);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        CHECK(!process_can_read(memory.base + 3 * page));
    }
    close_pool(pool);
}

static void test_instance__writes_are_not_seen_through_the_image_by_others(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(2, 2);
    struct cow_image *image = fixture_image(pool, page, 0, 7, page);
    struct cow_instance a, b;
    CHECK_EQ(fixture_lend(pool, image, page, 2 * page, &a), COW_OK);
    memset(fixture_memory(pool, a).base, 0xee, page);
    CHECK_EQ(fixture_lend(pool, image, page, 2 * page, &b), COW_OK);
    CHECK(fixture_all_are(fixture_memory(pool, b).base, page, 7));
    CHECK(fixture_all_are(fixture_memory(pool, a).base, page, 0xee));
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(cow_instance_release(pool, b), COW_OK);
    close_pool(pool);
}

/* Writes to all of the slack, then grows by every amount that ends before, at and after each border. */
static void test_instance__slack_reads_zero_once_it_is_visible(void)
{
    const uint64_t page = fixture_page();
    const uint64_t initials[] = {0, 1, page - 1, page, page + 1};
    const uint64_t deltas[] = {1, 2, page - 2, page - 1, page, page + 1, 2 * page};
    struct cow_pool *pool = fixture_pool(1, 8);
    struct cow_instance instance;
    uint64_t old_bytes;
    for (size_t i = 0; i < sizeof initials / sizeof *initials; i++)
        for (size_t j = 0; j < sizeof deltas / sizeof *deltas; j++) {
            CHECK_EQ(fixture_lend(pool, NULL, initials[i], 8 * page, &instance), COW_OK);
            for (int n = 0; n < 3; n++) {
                struct cow_memory memory = fixture_memory(pool, instance);
                memset(memory.base, 0x11, memory.length_bytes);
                memset(memory.base + memory.length_bytes, 0xee, memory.accessible_bytes - memory.length_bytes);
                CHECK_EQ(cow_instance_grow(pool, instance, deltas[j], &old_bytes), COW_OK);
                CHECK_EQ(old_bytes, memory.length_bytes);
                memory = fixture_memory(pool, instance);
                CHECK_EQ(memory.length_bytes, old_bytes + deltas[j]);
                CHECK_EQ(memory.accessible_bytes, (memory.length_bytes + page - 1) / page * page);
                CHECK(fixture_all_are(memory.base, old_bytes, 0x11));
                CHECK(fixture_all_are(memory.base + old_bytes, deltas[j], 0));
                CHECK(!memory.accessible_bytes || process_can_read(memory.base + memory.accessible_bytes - 1));
                CHECK(!process_can_read(memory.base + memory.accessible_bytes));
            }
            CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        }
    close_pool(pool);
}

static void test_instance__grow_past_limit_is_refused(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 8);
    struct cow_instance instance;
    uint64_t old_bytes = 42;
    CHECK_EQ(fixture_lend(pool, NULL, page, 3 * page, &instance), COW_OK);
    const uint64_t n_calls = fixture_n_calls(pool);
    const uint64_t too_much[] = {2 * page + 1,          3 * page,         8 * page, 4 * GIB, UINT64_MAX,
                                 UINT64_MAX - page + 1, UINT64_MAX - page};
    for (size_t i = 0; i < sizeof too_much / sizeof *too_much; i++) {
        CHECK_EQ(cow_instance_grow(pool, instance, too_much[i], &old_bytes), COW_LIMIT);
        CHECK_EQ(old_bytes, 42);
        CHECK_EQ(fixture_memory(pool, instance).length_bytes, page);
    }
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(cow_instance_grow(pool, instance, 0, &old_bytes), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(old_bytes, page);
    CHECK_EQ(cow_instance_grow(pool, instance, 2 * page, &old_bytes), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls + 1);
    CHECK_EQ(cow_instance_grow(pool, instance, 1, &old_bytes), COW_LIMIT);
    CHECK_EQ(cow_instance_grow(pool, instance, 0, &old_bytes), COW_OK);
    CHECK_EQ(old_bytes, 3 * page);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void refuse(struct cow_pool *pool, struct cow_instance_config config, int expected)
{
    struct cow_instance instance = {42};
    const struct cow_stats before = fixture_stats(pool);
    CHECK_EQ(cow_instantiate(pool, &config, &instance), expected);
    const struct cow_stats after = fixture_stats(pool);
    CHECK_EQ(instance.id, 42);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
}

/* Each line breaks one rule more than the line below: foreign, length, unaligned, image longer, full. */
static void test_instance__refusals_come_in_their_order(void)
{
    struct cow_pool *other = fixture_pool(1, 64), *pool = NULL;
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 1, .max_bytes = UINT64_C(8) * 65536,
                                           .unit_bytes = 65536};
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    const uint64_t unit = 65536;
    struct cow_image *image = fixture_image(pool, 2 * unit, 0, 1, 10),
                     *foreign = fixture_image(other, 2 * unit, 0, 1, 10);
    struct cow_instance only;
    CHECK_EQ(fixture_lend(pool, NULL, 0, unit, &only), COW_OK);
    refuse(pool, (struct cow_instance_config){.image = foreign, .initial_bytes = 9 * unit + 1, .max_bytes = 1},
           COW_FOREIGN);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = unit + 1, .max_bytes = 1}, COW_LENGTH);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = 1, .max_bytes = 8 * unit + 1},
           COW_LENGTH);
    refuse(pool, (struct cow_instance_config){.initial_bytes = UINT64_MAX, .max_bytes = UINT64_MAX}, COW_LENGTH);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = 1, .max_bytes = unit}, COW_UNALIGNED);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = 0, .max_bytes = unit + 1},
           COW_UNALIGNED);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = unit, .max_bytes = 8 * unit},
           COW_IMAGE_LONGER);
    refuse(pool, (struct cow_instance_config){.image = image, .initial_bytes = 2 * unit, .max_bytes = 8 * unit},
           COW_FULL);
    /* Growth: stale, unaligned, limit. */
    uint64_t old_bytes = 42;
    CHECK_EQ(cow_instance_grow(pool, (struct cow_instance){only.id + 2}, 8 * unit + 1, &old_bytes), COW_STALE);
    CHECK_EQ(cow_instance_grow(pool, only, 8 * unit + 1, &old_bytes), COW_UNALIGNED);
    CHECK_EQ(cow_instance_grow(pool, only, 2 * unit, &old_bytes), COW_LIMIT);
    CHECK_EQ(old_bytes, 42);
    CHECK_EQ(cow_instance_grow(pool, only, unit, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_release(pool, only), COW_OK);
    close_pool(pool);
    close_pool(other);
}

/* Every call refuses the handle, and makes no kernel call. */
static void refuse_handle(struct cow_pool *pool, uint64_t id)
{
    const struct cow_instance instance = {id};
    const uint64_t n_calls = fixture_n_calls(pool);
    struct cow_memory memory = {.length_bytes = 42};
    uint64_t old_bytes = 42;
    CHECK_EQ(cow_instance_memory(pool, instance, &memory), COW_STALE);
    CHECK_EQ(cow_instance_grow(pool, instance, 0, &old_bytes), COW_STALE);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_STALE);
    CHECK_EQ(cow_instance_release(pool, instance), COW_STALE);
    CHECK(memory.length_bytes == 42 && old_bytes == 42);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
}

static void test_instance__stale_null_and_foreign_handles_are_refused(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(3, 2), *other = fixture_pool(3, 2);
    struct cow_instance old, now, foreign;
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &old), COW_OK);
    CHECK_EQ(cow_instance_release(pool, old), COW_OK);
    refuse_handle(pool, old.id); /* double release among them */
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &now), COW_OK);
    CHECK_EQ(fixture_lend(other, NULL, page, page, &foreign), COW_OK);
    const struct cow_memory memory = fixture_memory(pool, now);
    CHECK_EQ(memory.slot, 0); /* the same slot as before */
    memset(memory.base, 0x33, page);
    const uint64_t bad[] = {0,          old.id,     foreign.id, now.id ^ 1,
                            now.id ^ 2, now.id + 4, now.id - 4, now.id | UINT64_C(1) << 63,
                            UINT64_MAX, 3};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_handle(pool, bad[i]);
    refuse_handle(other, now.id);
    CHECK(fixture_all_are(memory.base, page, 0x33));
    CHECK_EQ(cow_instance_release(pool, now), COW_OK);
    CHECK_EQ(cow_instance_release(other, foreign), COW_OK);
    refuse_handle(pool, now.id);
    CHECK_EQ(fixture_stats(pool).n_live, 0);
    close_pool(other);
    close_pool(pool);
}

static void test_instance__a_full_pool_lends_again_after_a_release(void)
{
    struct cow_pool *pool = fixture_pool(5, 1);
    struct cow_instance instances[5], extra = {42};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++)
            CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instances[i]), COW_OK);
        CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &extra), COW_FULL);
        CHECK_EQ(extra.id, 42);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    }
    close_pool(pool);
}

static void test_instance__the_same_image_and_e_is_warm_and_needs_no_call(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(3, 8);
    struct cow_image *image = fixture_image(pool, page, 0, 7, 10);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, image, 2 * page, 8 * page, &instance), COW_OK);
    const uint32_t slot = fixture_memory(pool, instance).slot;
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    /* The length may differ while E is the same; so may the maximum. */
    const uint64_t lengths[] = {2 * page, 2 * page - 1, page + 1};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t n_calls = fixture_n_calls(pool);
        CHECK_EQ(fixture_lend(pool, image, lengths[i], lengths[i] + i, &instance), COW_OK);
        CHECK_EQ(fixture_n_calls(pool), n_calls);
        CHECK_EQ(fixture_memory(pool, instance).slot, slot);
        CHECK_EQ(fixture_memory(pool, instance).length_bytes, lengths[i]);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        CHECK_EQ(fixture_n_calls(pool), n_calls + 1); /* one madvise: nothing grew */
    }
    CHECK_EQ(fixture_stats(pool).n_warm, 3);
    close_pool(pool);
}

/* Warm, else bare, else the longest idle; retired ones are test_fault.c's. */
static void test_instance__slots_are_preferred_as_promised(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(3, 8);
    struct cow_image *x = fixture_image(pool, page, 0, 1, 10), *y = fixture_image(pool, page, 0, 2, 10);
    struct cow_instance a, b, c;
    CHECK_EQ(fixture_lend(pool, x, page, page, &a), COW_OK); /* slot 0: x, one page */
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(fixture_lend(pool, x, 2 * page, 2 * page, &a), COW_OK); /* other E: cold, bare slot 1 */
    CHECK_EQ(fixture_memory(pool, a).slot, 1);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(fixture_lend(pool, y, page, page, &a), COW_OK); /* other image: cold, bare slot 2 */
    CHECK_EQ(fixture_memory(pool, a).slot, 2);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(fixture_stats(pool).n_warm, 0);
    CHECK_EQ(fixture_lend(pool, x, page, page, &a), COW_OK); /* warm, though it is the longest idle as well */
    CHECK_EQ(fixture_memory(pool, a).slot, 0);
    CHECK_EQ(fixture_lend(pool, y, page, page, &b), COW_OK); /* warm, though another is longer idle */
    CHECK_EQ(fixture_memory(pool, b).slot, 2);
    CHECK_EQ(fixture_stats(pool).n_warm, 2);
    CHECK_EQ(cow_instance_release(pool, b), COW_OK);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK); /* idle, longest first: 1, 2, 0 */
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &a), COW_OK);
    CHECK_EQ(fixture_memory(pool, a).slot, 1);
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &b), COW_OK);
    CHECK_EQ(fixture_memory(pool, b).slot, 2);
    CHECK_EQ(fixture_lend(pool, NULL, page, page, &c), COW_OK);
    CHECK_EQ(fixture_memory(pool, c).slot, 0);
    CHECK(fixture_all_are(fixture_memory(pool, c).base, page, 0));
    CHECK_EQ(fixture_stats(pool).n_warm, 2);
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    CHECK_EQ(cow_instance_release(pool, b), COW_OK);
    CHECK_EQ(cow_instance_release(pool, c), COW_OK);
    close_pool(pool);
}

static void test_instance__other_shards_help_out(void)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 5, .max_bytes = 1, .n_shards = 4};
    struct cow_pool *pool = NULL;
    struct cow_instance instances[5], extra;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    for (uint32_t i = 0; i < 6; i++) {
        const struct cow_instance_config wish = {.initial_bytes = 1, .max_bytes = 1, .shard_hint = UINT32_MAX};
        CHECK_EQ(cow_instantiate(pool, &wish, i < 5 ? &instances[i] : &extra), i < 5 ? COW_OK : COW_FULL);
        CHECK(i > 0 || fixture_memory(pool, instances[0]).slot % 4 == UINT32_MAX % 4);
    }
    for (uint32_t i = 0; i < 5; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    close_pool(pool);
}

static void test_instance__memories_of_no_bytes(void)
{
    struct cow_pool *pool = fixture_pool(1, 1);
    struct cow_image *nothing = NULL;
    struct cow_instance instance;
    uint64_t old_bytes = 1;
    CHECK_EQ(cow_image_create(pool, 0, NULL, 0, &nothing), COW_OK);
    CHECK_EQ(fixture_lend(pool, nothing, 0, 0, &instance), COW_OK);
    CHECK(!process_can_read(fixture_memory(pool, instance).base));
    CHECK_EQ(cow_instance_grow(pool, instance, 0, &old_bytes), COW_OK);
    CHECK_EQ(old_bytes, 0);
    CHECK_EQ(cow_instance_grow(pool, instance, 1, &old_bytes), COW_LIMIT);
    const uint64_t n_calls = fixture_n_calls(pool);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls); /* nothing to put back: no call */
    CHECK_EQ(fixture_lend(pool, nothing, 0, 1, &instance), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, instance, 1, &old_bytes), COW_OK);
    fixture_memory(pool, instance).base[0] = 9;
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK(!process_can_read(fixture_memory(pool, instance).base));
    CHECK_EQ(cow_instance_grow(pool, instance, 1, &old_bytes), COW_OK);
    CHECK_EQ(fixture_memory(pool, instance).base[0], 0);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void touch(void *address)
{
    *(volatile uint8_t *)address = 1;
}

static void test_instance__four_gigabytes_are_reached_to_the_last_byte(void)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 2, .max_bytes = 4 * GIB, .guard_bytes = 2 * GIB,
                                           .unit_bytes = 65536};
    struct cow_instance instance;
    struct cow_location location;
    uint64_t old_bytes;
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    CHECK_EQ(cow_trap_install(), 0);
    CHECK_EQ(fixture_lend(pool, NULL, 65536, 4 * GIB, &instance), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, instance, 4 * GIB, &old_bytes), COW_LIMIT);
    CHECK_EQ(cow_instance_grow(pool, instance, 4 * GIB - 65536, &old_bytes), COW_OK);
    uint8_t *base = fixture_memory(pool, instance).base;
    CHECK_EQ(cow_trap_call(pool, touch, base + 4 * GIB - 1, &location), 0);
    CHECK_EQ(base[4 * GIB - 1], 1);
    CHECK_EQ(cow_trap_call(pool, touch, base + 4 * GIB, &location), 1);
    CHECK_EQ(location.place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK_EQ(location.offset_bytes, 4 * GIB);
    CHECK_EQ(location.accessible_bytes, 4 * GIB);
    CHECK_EQ(location.instance.id, instance.id);
    CHECK_EQ(cow_trap_call(pool, touch, base + 6 * GIB - 1, &location), 1);
    CHECK_EQ(location.offset_bytes, 6 * GIB - 1);
    CHECK_EQ(location.slot, 0);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(cow_trap_call(pool, touch, base + 4 * GIB - 1, &location), 1);
    CHECK_EQ(location.accessible_bytes, 65536);
    CHECK_EQ(cow_instance_grow(pool, instance, 4 * GIB - 65536, &old_bytes), COW_OK);
    CHECK_EQ(base[4 * GIB - 1], 0);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    /* All of it initial: no extension at all. */
    CHECK_EQ(fixture_lend(pool, NULL, 4 * GIB, 4 * GIB, &instance), COW_OK);
    base = fixture_memory(pool, instance).base;
    CHECK_EQ(cow_trap_call(pool, touch, base + 4 * GIB - 1, &location), 0);
    CHECK_EQ(cow_trap_call(pool, touch, base + 4 * GIB, &location), 1);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(base[4 * GIB - 1], 0);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

int main(void)
{
    RUN(test_instance__starts_as_image_over_zero_and_returns_to_it);
    RUN(test_instance__writes_are_not_seen_through_the_image_by_others);
    RUN(test_instance__slack_reads_zero_once_it_is_visible);
    RUN(test_instance__grow_past_limit_is_refused);
    RUN(test_instance__refusals_come_in_their_order);
    RUN(test_instance__stale_null_and_foreign_handles_are_refused);
    RUN(test_instance__a_full_pool_lends_again_after_a_release);
    RUN(test_instance__the_same_image_and_e_is_warm_and_needs_no_call);
    RUN(test_instance__slots_are_preferred_as_promised);
    RUN(test_instance__other_shards_help_out);
    RUN(test_instance__memories_of_no_bytes);
    RUN(test_instance__four_gigabytes_are_reached_to_the_last_byte);
    return 0;
}
