/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images from files: which are mapped and which are copied, what is refused, and what happens to the image when
 * the file changes. */
#include "image_file_world.h"

/* ---- mapped or copied ---- */

static void test_image_file__a_sealed_one_is_mapped(void)
{
    const char *map = "########";
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file(map, F_SEAL_WRITE | F_SEAL_SHRINK);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 2, 5, 3);
    struct cow_image *image = make_image(pool, &range);
    CHECK(cow_image_maps_file(image));
    CHECK_EQ(cow_image_memory_bytes(image), 5 * page);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_PREAD], 0);
    CHECK_EQ(fixture_stats(pool).n_calls[COW_CALL_MUNMAP], 1); /* the trial */
    CHECK_EQ(process_n_files("cowpool-image"), 0);
    CHECK_EQ(close(fd), 0); /* the image has a descriptor of its own */
    expect_range(pool, image, map, &range);
    CHECK_EQ(process_n_mappings("callers-file"), 1);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK_EQ(process_n_mappings("callers-file"), 0);
    CHECK_EQ(process_n_files("callers-file"), 0);
    close_pool(pool);
}

static void test_image_file__any_other_is_copied(void)
{
    const char *map = "########";
    const int seals[] = {0,
                         F_SEAL_WRITE,
                         F_SEAL_SHRINK,
                         F_SEAL_SHRINK | F_SEAL_GROW,
                         F_SEAL_WRITE | F_SEAL_GROW,
#ifdef F_SEAL_FUTURE_WRITE
                         F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW
#endif
    };
    struct cow_pool *pool = open_pool(NULL);
    for (size_t i = 0; i < sizeof seals / sizeof *seals; i++) {
        const int fd = make_file(map, seals[i]);
        const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 1, 6, 0);
        struct cow_image *image = make_image(pool, &range);
        CHECK(!cow_image_maps_file(image));
        CHECK_EQ(close(fd), 0);
        CHECK_EQ(process_n_files("callers-file"), 0);
        expect_range(pool, image, map, &range);
        cow_image_drop(image);
    }
    const int fd = make_file(map, F_SEAL_WRITE | F_SEAL_SHRINK); /* could be mapped, but was not to be */
    const struct cow_file_range range = range_of(fd, COW_FILE_COPIED, 0, 8, 0);
    struct cow_image *image = make_image(pool, &range);
    CHECK(!cow_image_maps_file(image));
    expect_range(pool, image, map, &range);
    cow_image_drop(image);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

static void test_image_file__two_images_of_one_file_are_two(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("####", F_SEAL_WRITE | F_SEAL_SHRINK);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 4, 0), other = range_of(fd, 0, 2, 2, 0);
    struct cow_image *a = make_image(pool, &range), *b = make_image(pool, &range), *c = make_image(pool, &other);
    CHECK_EQ(close(fd), 0);
    expect_range(pool, a, "####", &range);
    expect_range(pool, c, "####", &other);
    cow_image_drop(a);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    const uint64_t n_warm = fixture_stats(pool).n_warm;
    expect_range(pool, b, "####", &range);
    CHECK_EQ(fixture_stats(pool).n_warm, n_warm + 1); /* its own second lease, not a's slot */
    close_pool(pool);
}

static void test_image_file__of_a_disk(void)
{
    char path[] = "/tmp/cowpool-test-XXXXXX";
    struct cow_pool *pool = open_pool(NULL);
    const int fd = mkstemp(path);
    if (fd < 0)
        CHECK_SKIP("no temporary file can be made in /tmp");
    CHECK_EQ(unlink(path), 0);
    for (uint64_t i = 0; i < 4; i++)
        fill_page(fd, i);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 1, 3, 1);
    const struct cow_file_range vouched = range_of(fd, COW_FILE_VOUCHED, 1, 3, 1);
    struct cow_image *copied = make_image(pool, &range), *mapped = make_image(pool, &vouched);
    CHECK(!cow_image_maps_file(copied));
    CHECK(cow_image_maps_file(mapped));
    expect_range(pool, copied, "####", &range);
    expect_range(pool, mapped, "####", &vouched);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

static void test_image_file__of_huge_pages_is_copied(void)
{
    const uint64_t huge_bytes = UINT64_C(2) << 20;
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 1, .max_bytes = huge_bytes};
    const int fd = memfd_create("callers-file", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (fd < 0)
        return; /* this kernel has none */
    struct cow_pool *pool = NULL;
    struct cow_image *image = NULL;
    struct cow_instance instance;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    if (ftruncate(fd, (off_t)huge_bytes) == 0) { /* else a huge page here is larger */
        struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 3, 0);
        CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
        CHECK_EQ(cow_image_from_file(pool, huge_bytes, &range, &image), COW_OK);
        CHECK(!cow_image_maps_file(image));
        CHECK_EQ(fixture_lend(pool, image, huge_bytes, huge_bytes, &instance), COW_OK);
        CHECK(fixture_all_are(fixture_memory(pool, instance).base, 4 * page, 0));
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
        range.use = COW_FILE_VOUCHED;
        CHECK_EQ(cow_image_from_file(pool, huge_bytes, &range, &image), -ENODEV);
    }
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

/* ---- holes ---- */

static uint64_t allocated_bytes(int fd)
{
    struct stat status;
    CHECK_EQ(fstat(fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void test_image_file__holes_are_not_mapped_and_stay_holes(void)
{
    const char *map = "..##....#.##...."; /* gaps of one page would be joined, were it a copy */
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file(map, F_SEAL_WRITE | F_SEAL_SHRINK);
    const uint64_t before = allocated_bytes(fd);
    const struct cow_file_range all = range_of(fd, COW_FILE_GUARDED, 0, 16, 0),
                                middle = range_of(fd, COW_FILE_GUARDED, 3, 6, 7),
                                hole = range_of(fd, COW_FILE_GUARDED, 4, 4, 0),
                                copied = range_of(fd, COW_FILE_COPIED, 3, 9, 7);
    struct cow_image *image = make_image(pool, &all), *part = make_image(pool, &middle),
                     *nothing = make_image(pool, &hole);
    CHECK(cow_image_maps_file(image) && cow_image_maps_file(part));
    CHECK_EQ(image->n_runs, 3);
    CHECK_EQ(cow_image_memory_bytes(image), 5 * page);
    CHECK_EQ(part->n_runs, 2);
    CHECK_EQ(nothing->n_runs, 0);
    expect_range(pool, image, map, &all);
    expect_range(pool, part, map, &middle);
    expect_range(pool, nothing, map, &hole);
    struct cow_image *copy = make_image(pool, &copied); /* runs of pages 3, and 8 to 11 with the hole between them */
    CHECK(!cow_image_maps_file(copy));
    CHECK_EQ(copy->n_runs, 2);
    CHECK_EQ(cow_image_memory_bytes(copy), 5 * page);
    expect_range(pool, copy, map, &copied);
    CHECK_EQ(allocated_bytes(fd), before);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

static void test_image_file__too_many_stretches_are_joined_in_a_copy(void)
{
    const char *near = "#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.",
               *far = "#..#..#..#..#..#..#..#..#..#..#..#..#..#..#..#..#";
    struct cow_pool *pool = open_pool(NULL);
    struct cow_image *untouched = (struct cow_image *)pool, *image = untouched;
    const int near_fd = make_file(near, F_SEAL_WRITE | F_SEAL_SHRINK),
              far_fd = make_file(far, F_SEAL_WRITE | F_SEAL_SHRINK);
    struct cow_file_range range = range_of(near_fd, COW_FILE_GUARDED, 0, 36, 0);
    const int n_descriptors = process_n_descriptors();
    CHECK_EQ(cow_image_from_file(pool, 36 * page, &range, &image), COW_OK);
    CHECK(!cow_image_maps_file(image));
    CHECK_EQ(image->n_runs, 1);
    expect_range(pool, image, near, &range);
    cow_image_drop(image);
    image = untouched;
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    range.use = COW_FILE_VOUCHED;
    CHECK_EQ(cow_image_from_file(pool, 36 * page, &range, &image), COW_IMAGE_SPARSE);
    range = range_of(far_fd, COW_FILE_GUARDED, 0, 49, 0);
    CHECK_EQ(cow_image_from_file(pool, 49 * page, &range, &image), COW_IMAGE_SPARSE);
    CHECK(image == untouched);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(close(near_fd) | close(far_fd), 0);
    close_pool(pool);
}

static void test_image_file__the_position_stays(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("#.#.", F_SEAL_WRITE | F_SEAL_SHRINK);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 4, 0);
    CHECK_EQ(lseek(fd, 123, SEEK_SET), 123);
    make_image(pool, &range);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 123);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

/* ---- what is refused ---- */

static void test_image_file__refusals_in_their_order(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("########", F_SEAL_WRITE | F_SEAL_SHRINK);
    const struct cow_file_range good = range_of(fd, COW_FILE_GUARDED, 1, 4, 2);
    const uint64_t extent = 6 * page;
    struct cow_file_range bad = good;
    bad.use = (enum cow_file_use)3;
    bad.length_bytes++;
    expect_result(pool, extent, bad, COW_CONFIG);
    bad.use = COW_FILE_COPIED;
    expect_result(pool, UINT64_MAX, bad, COW_UNALIGNED);
    bad = good, bad.file_offset_bytes += page / 2;
    expect_result(pool, extent, bad, COW_UNALIGNED);
    bad = good, bad.offset_bytes += 1;
    expect_result(pool, extent, bad, COW_UNALIGNED);
    expect_result(pool, N_PAGES * page + 1, good, COW_IMAGE_LARGE);
    expect_result(pool, extent - 1, good, COW_IMAGE_BOUNDS); /* the last page would show bytes past the extent */
    bad = good, bad.offset_bytes = UINT64_MAX - page + 1;
    expect_result(pool, extent, bad, COW_IMAGE_BOUNDS);
    bad = good, bad.length_bytes = UINT64_MAX - page + 1;
    expect_result(pool, extent, bad, COW_IMAGE_BOUNDS);
    bad = good, bad.file_offset_bytes = 5 * page; /* ends a page behind the file's end */
    expect_result(pool, extent, bad, COW_IMAGE_BOUNDS);
    bad = good, bad.file_offset_bytes = UINT64_MAX - page + 1;
    expect_result(pool, extent, bad, COW_IMAGE_BOUNDS);
    bad = good, bad.file_offset_bytes = 9 * page, bad.length_bytes = 0;
    expect_result(pool, extent, bad, COW_IMAGE_BOUNDS);
    CHECK_EQ(close(fd), 0);
    expect_result(pool, extent, good, -EBADF);
    close_pool(pool);
}

static void test_image_file__what_cannot_be_read_or_mapped(void)
{
    struct cow_pool *pool = open_pool(NULL);
    int ends[2];
    const int fd = make_file("####", 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int write_only = open(path, O_WRONLY | O_CLOEXEC), directory = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(write_only >= 0 && directory >= 0);
    CHECK_EQ(pipe(ends), 0);
    expect_result(pool, 4 * page, range_of(write_only, COW_FILE_GUARDED, 0, 4, 0), -EBADF);
    expect_result(pool, 4 * page, range_of(write_only, COW_FILE_VOUCHED, 0, 4, 0), -EACCES);
    expect_result(pool, 4 * page, range_of(ends[0], COW_FILE_GUARDED, 0, 1, 0), COW_IMAGE_BOUNDS);
    expect_result(pool, 4 * page, range_of(directory, COW_FILE_VOUCHED, 0, 0, 0), -ENODEV);
    CHECK_EQ(close(ends[0]) | close(ends[1]) | close(write_only) | close(directory) | close(fd), 0);
    close_pool(pool);
}

/* ---- when the file changes ---- */

static void test_image_file__a_sealed_one_cannot_change(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("####", F_SEAL_WRITE | F_SEAL_SHRINK);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 4, 0);
    struct cow_image *image = make_image(pool, &range);
    CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
    CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)page) < 0 && errno == EPERM);
    CHECK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQ(ftruncate(fd, (off_t)(9 * page)), 0); /* it may grow: what is mapped of it stays */
    expect_range(pool, image, "####", &range);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

/* Through an older mapping too, which a seal against future writing leaves open. */
static void test_image_file__a_copy_does_not_follow_the_file(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("####", 0);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 4, 0);
    uint8_t *shared = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared != MAP_FAILED);
#ifdef F_SEAL_FUTURE_WRITE
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
#endif
    struct cow_instance instance;
    struct cow_image *image = make_image(pool, &range);
    const struct cow_memory memory = lend(pool, image, &instance);
    memset(shared, 0xaa, 4 * page);
    CHECK(is_range(&memory, "####", &range));
    CHECK_EQ(munmap(shared, 4 * page), 0);
    CHECK_EQ(ftruncate(fd, 0), 0);
    CHECK(is_range(&memory, "####", &range));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    expect_range(pool, image, "####", &range);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

/* What the caller vouches against: this is why nothing but a sealed file is mapped unasked. */
static void test_image_file__one_that_was_vouched_for_shows_every_change(void)
{
    struct cow_pool *pool = open_pool(NULL);
    const int fd = make_file("####", 0);
    const struct cow_file_range range = range_of(fd, COW_FILE_VOUCHED, 0, 4, 0);
    struct cow_instance instance;
    struct cow_image *image = make_image(pool, &range);
    const struct cow_memory memory = lend(pool, image, &instance);
    CHECK(cow_image_maps_file(image));
    memory.base[page] = 0xee;     /* dirty: a page of its own */
    memory.base[3 * page] = 0xee; /* dirty, and about to lose its file */
    CHECK_EQ(pwrite(fd, "\x99", 1, 5), 1);
    CHECK_EQ(pwrite(fd, "\x99", 1, (off_t)page + 5), 1);
    CHECK_EQ(memory.base[5], 0x99); /* a clean page changes at once */
    CHECK_EQ(memory.base[page + 5], byte_at(page + 5));
    CHECK_EQ(ftruncate(fd, (off_t)(2 * page)), 0);
    CHECK(!process_can_read(memory.base + 2 * page));
    CHECK(!process_can_read(memory.base + 3 * page)); /* the dirty page went too */
    CHECK_EQ(cow_pool_locate(pool, memory.base + 3 * page).place, COW_PLACE_HOST_FAULT);
    CHECK_EQ(memory.base[page], 0xee);
    CHECK(cow_pool_check(pool) == NULL); /* he answers for it, not the pool */
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(memory.base[page + 5], 0x99);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

int main(void)
{
    page = fixture_page();
    RUN(test_image_file__a_sealed_one_is_mapped);
    RUN(test_image_file__any_other_is_copied);
    RUN(test_image_file__two_images_of_one_file_are_two);
    RUN(test_image_file__of_a_disk);
    RUN(test_image_file__of_huge_pages_is_copied);
    RUN(test_image_file__holes_are_not_mapped_and_stay_holes);
    RUN(test_image_file__too_many_stretches_are_joined_in_a_copy);
    RUN(test_image_file__the_position_stays);
    RUN(test_image_file__refusals_in_their_order);
    RUN(test_image_file__what_cannot_be_read_or_mapped);
    RUN(test_image_file__a_sealed_one_cannot_change);
    RUN(test_image_file__a_copy_does_not_follow_the_file);
    RUN(test_image_file__one_that_was_vouched_for_shows_every_change);
    return 0;
}
