/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images: how segments become runs, what is refused, and what becomes of a dropped image. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

/* A pool whose images join runs with a gap of at most join_bytes. */
static struct cow_pool *open_pool(uint32_t n_slots, uint64_t max_bytes, uint64_t join_bytes)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = n_slots, .max_bytes = max_bytes,
                                           .image_join_bytes = join_bytes};
    struct cow_pool *pool = NULL;
    return cow_pool_create(&config, &pool) == COW_OK ? pool : NULL;
}

static void close_pool(struct cow_pool *pool)
{
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* Makes the image, lends it, and compares with the segments copied one after the other. */
static void expect_segments(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                            size_t n_segments, uint32_t expected_runs)
{
    const uint64_t initial_bytes = extent_bytes + 3 < pool->max_bytes ? extent_bytes + 3 : pool->max_bytes;
    struct cow_image *image = NULL;
    struct cow_instance instance;
    uint8_t *expected = calloc(1, initial_bytes);
    for (size_t i = 0; i < n_segments; i++)
        if (segments[i].length_bytes)
            memcpy(expected + segments[i].offset_bytes, segments[i].bytes, segments[i].length_bytes);
    CHECK_EQ(cow_image_create(pool, extent_bytes, segments, n_segments, &image), COW_OK);
    CHECK_EQ(image->n_runs, expected_runs);
    CHECK_EQ(fixture_lend(pool, image, initial_bytes, initial_bytes, &instance), COW_OK);
    for (int round = 0; round < 2; round++) {
        const struct cow_memory memory = fixture_memory(pool, instance);
        CHECK(memcmp(memory.base, expected, initial_bytes) == 0);
        CHECK(cow_pool_check(pool) == NULL);
        memset(memory.base, 0xee, memory.accessible_bytes);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    }
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    free(expected);
}

static void test_image__later_segments_lie_over_earlier_ones(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 16 * page, 1);
    uint8_t bytes[4][64];
    for (int i = 0; i < 4; i++)
        memset(bytes[i], 0x10 + i, sizeof bytes[i]);
    const struct cow_segment segments[] = {
        {page - 10, bytes[0], 40}, /* over a page border */
        {page - 20, bytes[1], 20}, /* begins before, and covers the first ten bytes */
        {page + 10, bytes[2], 30}, /* covers the last twenty, and goes on */
        {page - 1, bytes[3], 3},   /* in the middle of all */
        {page - 1, bytes[0], 1},
    };
    expect_segments(pool, 2 * page, segments, 5, 1);
    expect_segments(pool, 2 * page, segments, 4, 1);
    const struct cow_segment same_place[] = {{5, bytes[0], 64}, {5, bytes[1], 32}, {5, bytes[2], 64}, {5, bytes[3], 1}};
    expect_segments(pool, page, same_place, 4, 1);
    close_pool(pool);
}

static uint64_t random_below(uint64_t n)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static bool share_a_byte(const struct cow_segment *a, const struct cow_segment *b)
{
    return a->length_bytes && b->length_bytes && a->offset_bytes < b->offset_bytes + b->length_bytes &&
           b->offset_bytes < a->offset_bytes + a->length_bytes;
}

/* In any order, over each other or not, over borders of pages and of what one call writes; the calls are those that
 * cow_image_create() promises. */
static void test_image__any_segments_in_as_many_calls_as_promised(void)
{
    enum { EXTENT_BYTES = 400000, MOST = 12 };
    static uint8_t bytes[EXTENT_BYTES];
    struct cow_pool *pool = open_pool(1, 1 << 20, 1 << 20); /* one run, whatever the gaps */
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(1 + random_below(255));
    for (int round = 0; round < 400; round++) {
        struct cow_segment segments[MOST];
        const size_t n = 1 + random_below(MOST);
        uint64_t begin = EXTENT_BYTES, end = 0, n_calls = 0;
        const uint64_t longest = round % 3 == 0 ? 60 : round % 3 == 1 ? 9000 : 150000;
        for (size_t i = 0; i < n; i++) {
            const uint64_t length = 1 + random_below(longest), offset = random_below(EXTENT_BYTES - length);
            segments[i] = (struct cow_segment){offset, bytes + random_below(EXTENT_BYTES - length), length};
            if (i && random_below(3) == 0) { /* touches the one before, or lies over its end by a byte or two */
                const uint64_t at = segments[i - 1].offset_bytes + segments[i - 1].length_bytes - random_below(3);
                segments[i].offset_bytes = at + length <= EXTENT_BYTES ? at : offset;
            }
            begin = segments[i].offset_bytes < begin ? segments[i].offset_bytes : begin;
            end = segments[i].offset_bytes + length > end ? segments[i].offset_bytes + length : end;
        }
        for (size_t i = 0; i < n; i++) {
            bool is_shared = false;
            for (size_t j = 0; j < n; j++)
                is_shared = is_shared || (i != j && share_a_byte(&segments[i], &segments[j]));
            n_calls += is_shared;
        }
        const uint64_t page = fixture_page();
        const uint64_t file_bytes = (end + page - 1) / page * page - begin / page * page;
        n_calls += (file_bytes + COW_IMAGE_WRITE_BYTES - 1) / COW_IMAGE_WRITE_BYTES;
        n_calls += fixture_stats(pool).n_calls[COW_CALL_PWRITE];
        expect_segments(pool, EXTENT_BYTES, segments, n, 1);
        CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PWRITE], n_calls);
    }
    close_pool(pool);
}

static void test_image__thousands_of_tiny_segments(void)
{
    enum { N = 30000 };
    static struct cow_segment segments[N];
    struct cow_pool *pool = open_pool(1, 1 << 20, 0);
    for (int backwards = 0; backwards < 2; backwards++) {
        for (size_t i = 0; i < N; i++)
            segments[backwards ? N - 1 - i : i] = (struct cow_segment){i * 13 + i % 3, "a few bytes", 1 + i % 11};
        const uint64_t n_calls = fixture_stats(pool).n_calls[COW_CALL_PWRITE];
        expect_segments(pool, N * 13 + 16, segments, N, 1);
        CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PWRITE] - n_calls, (N * 13 + 65535) / 65536);
    }
    close_pool(pool);
}

static void test_image__unaligned_at_both_ends(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 16 * page, 1);
    uint8_t bytes[1 << 16];
    memset(bytes, 7, sizeof bytes);
    const uint64_t begins[] = {0, 1, page - 1, page, page + 1},
                   lengths[] = {1, 2, page - 1, page, page + 1, 2 * page + 1};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
            const struct cow_segment segment = {begins[i], bytes, lengths[j]};
            expect_segments(pool, begins[i] + lengths[j], &segment, 1, 1); /* an extent that ends with the data */
            expect_segments(pool, 8 * page + 5, &segment, 1, 1);
        }
    close_pool(pool);
}

static void test_image__empty_segments_take_nothing_but_must_lie_inside(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 16 * page, 1);
    const struct cow_segment inside[] = {{0, NULL, 0}, {5 * page, NULL, 0}, {2 * page, "abc", 3}, {8 * page, NULL, 0}};
    expect_segments(pool, 8 * page, inside, 4, 1);
    expect_segments(pool, 8 * page, inside, 2, 0);
    expect_segments(pool, 8 * page, NULL, 0, 0);
    struct cow_image *const untouched = (struct cow_image *)pool, *image = untouched;
    const struct cow_segment outside[] = {{8 * page + 1, NULL, 0},
                                          {UINT64_MAX, NULL, 0},
                                          {8 * page, "a", 1},
                                          {8 * page - 2, "abc", 3},
                                          {1, "abc", UINT64_MAX}};
    const uint64_t n_calls = fixture_n_calls(pool);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        CHECK_EQ(cow_image_create(pool, 8 * page, &outside[i], 1, &image), COW_IMAGE_BOUNDS);
    CHECK_EQ(cow_image_create(pool, 16 * page + 1, NULL, 0, &image), COW_IMAGE_LARGE);
    CHECK_EQ(cow_image_create(pool, UINT64_MAX, outside, 1, &image), COW_IMAGE_LARGE); /* before the bounds */
    CHECK(image == untouched);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(fixture_stats(pool).n_images, 0);
    close_pool(pool);
}

static void test_image__runs_are_joined_over_gaps_of_at_most_join_bytes(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 64 * page, 2 * page);
    const struct cow_segment joined[] = {{3 * page, "d", 1}, {page - 1, "a", 1}};    /* gap: pages 1 and 2 */
    const struct cow_segment apart[] = {{4 * page + 9, "d", 1}, {page - 1, "a", 1}}; /* gap: pages 1, 2 and 3 */
    const struct cow_segment third[] = {{4 * page, "d", 1}, {0, "a", 1}, {2 * page, "b", 1}}; /* a bridge, given last */
    expect_segments(pool, 64 * page, joined, 2, 1);
    expect_segments(pool, 64 * page, apart, 2, 2);
    expect_segments(pool, 64 * page, third, 3, 1);
    close_pool(pool);
}

static void test_image__memory_is_counted_in_runs_not_extent(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, COW_MAX_MEMORY_BYTES, 0);
    const struct cow_segment far[] = {{COW_MAX_MEMORY_BYTES - 1, "z", 1}, {0, "a", 1}, {UINT64_C(1) << 31, "m", 1}};
    struct cow_image *image = NULL;
    struct cow_instance instance;
    CHECK_EQ(cow_image_create(pool, COW_MAX_MEMORY_BYTES, far, 3, &image), COW_OK);
    CHECK_EQ(cow_image_memory_bytes(image), 3 * page);
    CHECK_EQ(cow_image_extent_bytes(image), COW_MAX_MEMORY_BYTES);
    CHECK_EQ(fixture_lend(pool, image, COW_MAX_MEMORY_BYTES, COW_MAX_MEMORY_BYTES, &instance), COW_OK);
    const uint8_t *base = fixture_memory(pool, instance).base;
    CHECK(base[0] == 'a' && base[1] == 0 && base[UINT64_C(1) << 31] == 'm');
    CHECK(base[COW_MAX_MEMORY_BYTES - 1] == 'z' && base[COW_MAX_MEMORY_BYTES - 2] == 0);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void test_image__seventeen_runs_are_too_sparse(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 64 * page, 1);
    struct cow_image *const untouched = (struct cow_image *)pool, *image = untouched;
    struct cow_segment segments[COW_IMAGE_MAX_RUNS + 1];
    const int n_descriptors = process_n_descriptors();
    for (uint64_t i = 0; i <= COW_IMAGE_MAX_RUNS; i++)
        segments[COW_IMAGE_MAX_RUNS - i] = (struct cow_segment){2 * i * page + 7, "data", 4};
    CHECK_EQ(cow_image_create(pool, 64 * page, segments, COW_IMAGE_MAX_RUNS + 1, &image), COW_IMAGE_SPARSE);
    CHECK(image == untouched);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    expect_segments(pool, 64 * page, segments, COW_IMAGE_MAX_RUNS, COW_IMAGE_MAX_RUNS);
    segments[0].offset_bytes = segments[1].offset_bytes + 2; /* seventeen segments, sixteen runs */
    expect_segments(pool, 64 * page, segments, COW_IMAGE_MAX_RUNS + 1, COW_IMAGE_MAX_RUNS);
    close_pool(pool);
}

static void test_image__has_no_holes_and_cannot_be_changed(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = open_pool(1, 64 * page, 0);
    const struct cow_segment apart[] = {{0, "a", 1}, {9 * page, "b", 1}}; /* joined by default */
    struct cow_image *image = NULL;
    struct cow_instance instance;
    CHECK_EQ(cow_image_create(pool, 10 * page, apart, 2, &image), COW_OK);
    CHECK_EQ(cow_image_memory_bytes(image), 10 * page);
    CHECK_EQ(lseek(image->fd, 0, SEEK_HOLE), (off_t)(10 * page)); /* the end, where every file has one */
    CHECK(pwrite(image->fd, "x", 1, 0) < 0);
    CHECK(ftruncate(image->fd, 0) < 0);
    CHECK(ftruncate(image->fd, (off_t)(11 * page)) < 0);
    CHECK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0) == MAP_FAILED);
    CHECK_EQ(fixture_lend(pool, image, 10 * page, 10 * page, &instance), COW_OK);
    CHECK_EQ(fixture_memory(pool, instance).base[9 * page], 'b');
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void test_image__the_bytes_are_copied(void)
{
    struct cow_pool *pool = fixture_pool(1, 1);
    char bytes[] = "before";
    const struct cow_segment segment = {0, bytes, sizeof bytes};
    struct cow_image *image = NULL;
    struct cow_instance instance;
    CHECK_EQ(cow_image_create(pool, 100, &segment, 1, &image), COW_OK);
    memset(bytes, 'x', sizeof bytes);
    CHECK_EQ(fixture_lend(pool, image, 100, 100, &instance), COW_OK);
    CHECK(strcmp((char *)fixture_memory(pool, instance).base, "before") == 0);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void test_image__dropped_while_live_stays_until_the_slot_lets_go(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(2, 4);
    struct cow_image *image = fixture_image(pool, page, 3, 7, 50);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, image, page, 4 * page, &instance), COW_OK);
    cow_image_drop(image);
    struct cow_memory memory = fixture_memory(pool, instance);
    CHECK(fixture_is_image(&memory, 3, 7, 50));
    memset(memory.base, 0xee, page);
    CHECK_EQ(cow_pool_flush(pool), COW_OK); /* live: kept */
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK(fixture_is_image(&memory, 3, 7, 50));
    CHECK_EQ(fixture_stats(pool).dead_image_bytes, page);
    CHECK_EQ(process_n_files("cowpool-image"), 1);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(fixture_stats(pool).dead_image_bytes, page); /* idle: still mapped */
    CHECK_EQ(process_n_mappings("cowpool-image"), 1);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK_EQ(fixture_stats(pool).dead_image_bytes, 0);
    CHECK_EQ(process_n_files("cowpool-image"), 0);
    CHECK_EQ(process_n_mappings("cowpool-image"), 0);
    CHECK_EQ(process_mapped_bytes(memory.base, 4 * page, "---p"), 4 * page);
    CHECK_EQ(fixture_lend(pool, NULL, page, 4 * page, &instance), COW_OK);
    memory = fixture_memory(pool, instance);
    CHECK(fixture_all_are(memory.base, page, 0));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    close_pool(pool);
}

static void test_image__a_dead_one_goes_when_its_slot_is_taken_for_another(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 4);
    struct cow_image *dead = fixture_image(pool, page, 0, 1, 9), *next = fixture_image(pool, page, 0, 2, 9);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, dead, page, page, &instance), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(dead);
    CHECK_EQ(process_n_files("cowpool-image"), 2);
    CHECK_EQ(fixture_lend(pool, next, page, page, &instance), COW_OK);
    CHECK_EQ(process_n_files("cowpool-image"), 1);
    CHECK_EQ(fixture_stats(pool).dead_image_bytes, 0);
    const struct cow_memory memory = fixture_memory(pool, instance);
    CHECK(fixture_is_image(&memory, 0, 2, 9));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(next);
    close_pool(pool); /* a dead image that an idle slot still maps */
    CHECK_EQ(process_n_files("cowpool-image"), 0);
}

static void test_image__flush_takes_dead_images_only_and_from_every_shard(void)
{
    const uint64_t page = fixture_page();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 6, .max_bytes = page, .n_shards = 3};
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    struct cow_image *dead = fixture_image(pool, page, 0, 1, 9), *alive = fixture_image(pool, page, 0, 2, 9);
    struct cow_instance instances[6];
    for (uint32_t i = 0; i < 6; i++) {
        const struct cow_instance_config wish = {i % 2 ? dead : alive, page, page, i};
        CHECK_EQ(cow_instantiate(pool, &wish, &instances[i]), COW_OK);
    }
    for (uint32_t i = 0; i < 6; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    cow_image_drop(dead);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(process_n_mappings("cowpool-image"), 3);
    CHECK_EQ(process_n_files("cowpool-image"), 1);
    const uint64_t n_calls = fixture_n_calls(pool);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(fixture_lend(pool, alive, page, page, &instances[0]), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls); /* still warm */
    CHECK_EQ(cow_instance_release(pool, instances[0]), COW_OK);
    close_pool(pool);
}

int main(void)
{
    RUN(test_image__later_segments_lie_over_earlier_ones);
    RUN(test_image__any_segments_in_as_many_calls_as_promised);
    RUN(test_image__thousands_of_tiny_segments);
    RUN(test_image__unaligned_at_both_ends);
    RUN(test_image__empty_segments_take_nothing_but_must_lie_inside);
    RUN(test_image__runs_are_joined_over_gaps_of_at_most_join_bytes);
    RUN(test_image__memory_is_counted_in_runs_not_extent);
    RUN(test_image__seventeen_runs_are_too_sparse);
    RUN(test_image__has_no_holes_and_cannot_be_changed);
    RUN(test_image__the_bytes_are_copied);
    RUN(test_image__dropped_while_live_stays_until_the_slot_lets_go);
    RUN(test_image__a_dead_one_goes_when_its_slot_is_taken_for_another);
    RUN(test_image__flush_takes_dead_images_only_and_from_every_shard);
    return 0;
}
