/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images from files, on a kernel that reads little, that answers strangely, or that does not answer. */
#include "image_file_world.h"

#include "faulty.h"

/* ---- a kernel that reads little, or nothing ---- */

static void test_image_kernel__short_reads_make_whole_images(void)
{
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = open_pool(&kernel.table);
    const int fd = make_file("#####", 0);
    const struct cow_file_range range = range_of(fd, COW_FILE_GUARDED, 0, 5, 0);
    kernel.lie = FAULTY_PREAD_ENDS_EARLY;
    expect_result(pool, 5 * page, range, -EIO);
    kernel.lie = FAULTY_PREAD_CLAIMS_MORE;
    expect_result(pool, 5 * page, range, -EIO);
    const int many = make_file("####################", 0);
    expect_result(pool, 20 * page, range_of(many, COW_FILE_GUARDED, 0, 20, 0), -EIO);
    CHECK_EQ(close(many), 0);
    kernel.lie = FAULTY_PREAD_IS_SHORT;
    struct cow_image *image = make_image(pool, &range);
    CHECK(fixture_stats(pool).n_calls[COW_CALL_PREAD] > 3);
    kernel.lie = FAULTY_PWRITE_IS_SHORT;
    struct cow_image *again = make_image(pool, &range);
    expect_range(pool, image, "#####", &range);
    expect_range(pool, again, "#####", &range);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

/* As after a truncate by somebody else, right behind the look at the file's length. */
static int next_data_of_one_page(const struct cow_sys_table *self, int fd, uint64_t offset_bytes,
                                 uint64_t *ret_begin_bytes, uint64_t *ret_end_bytes)
{
    (void)self;
    (void)fd;
    *ret_begin_bytes = offset_bytes ? page : 0;
    *ret_end_bytes = page;
    return 0;
}

static void test_image_kernel__one_that_is_truncated_meanwhile_is_no_hole(void)
{
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = open_pool(&kernel.table);
    const int plain = make_file("#####", 0), sealed = make_file("#####", F_SEAL_WRITE | F_SEAL_SHRINK);
    kernel.table.next_data = next_data_of_one_page;
    expect_result(pool, 5 * page, range_of(plain, COW_FILE_GUARDED, 0, 5, 0), -EIO);
    expect_result(pool, 5 * page, range_of(plain, COW_FILE_VOUCHED, 0, 5, 0), -EIO);
    expect_result(pool, 5 * page, range_of(sealed, COW_FILE_GUARDED, 0, 5, 0), -EIO);
    CHECK_EQ(close(plain) | close(sealed), 0);
    close_pool(pool);
}

/* The file ends at the third page, and its second end comes while the stretch that begins there is looked for: a stretch of
 * nothing. Then somebody makes it longer again. */
static int next_data_of_a_restless_file(const struct cow_sys_table *self, int fd, uint64_t offset_bytes,
                                        uint64_t *ret_begin_bytes, uint64_t *ret_end_bytes)
{
    if (offset_bytes == 2 * page) {
        *ret_begin_bytes = *ret_end_bytes = 3 * page;
        return 0;
    }
    const int result = cow_sys_linux.next_data(self, fd, offset_bytes, ret_begin_bytes, ret_end_bytes);
    *ret_end_bytes = offset_bytes == 0 ? 2 * page : *ret_end_bytes;
    return result;
}

static void check_restless(enum cow_file_use use, const char *map)
{
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = open_pool(&kernel.table);
    const int fd = make_file(map, 0);
    const struct cow_file_range range = range_of(fd, use, 0, 5, 0);
    kernel.table.next_data = next_data_of_a_restless_file;
    struct cow_image *image = make_image(pool, &range);
    kernel.table.next_data = cow_sys_linux.next_data;
    expect_range(pool, image, map, &range);
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

static void test_image_kernel__a_stretch_of_no_bytes_takes_nothing(void)
{
    check_restless(COW_FILE_GUARDED, "##.##");
    check_restless(COW_FILE_VOUCHED, "##..#"); /* mapped: no run that it could be joined with */
}

/* All of the file is one stretch, and that is what it tells, wherever the question begins. */
static int next_data_from_the_begin(const struct cow_sys_table *self, int fd, uint64_t offset_bytes,
                                    uint64_t *ret_begin_bytes, uint64_t *ret_end_bytes)
{
    (void)self;
    (void)fd;
    (void)offset_bytes;
    *ret_begin_bytes = 0;
    *ret_end_bytes = 5 * page;
    return 0;
}

/* One that ends before it begins. */
static int next_data_backwards(const struct cow_sys_table *self, int fd, uint64_t offset_bytes,
                               uint64_t *ret_begin_bytes, uint64_t *ret_end_bytes)
{
    (void)self;
    (void)fd;
    *ret_begin_bytes = offset_bytes + 2 * page;
    *ret_end_bytes = offset_bytes + page;
    return 0;
}

static void test_image_kernel__a_stretch_may_begin_before_the_range_and_not_end_before_it_begins(void)
{
    const int fd = make_file("#####", 0);
    for (int use = COW_FILE_GUARDED; use <= COW_FILE_VOUCHED; use++) {
        struct faulty kernel = faulty_kernel();
        struct cow_pool *pool = open_pool(&kernel.table);
        const struct cow_file_range range = range_of(fd, (enum cow_file_use)use, 2, 3, 0);
        kernel.table.next_data = next_data_backwards;
        expect_result(pool, 5 * page, range, -EIO);
        kernel.table.next_data = next_data_from_the_begin;
        struct cow_image *image = make_image(pool, &range);
        kernel.table.next_data = cow_sys_linux.next_data;
        expect_range(pool, image, "#####", &range);
        close_pool(pool);
    }
    CHECK_EQ(close(fd), 0);
}

/* ---- questions that the kernel does not answer ---- */

static int no_next_data(const struct cow_sys_table *self, int fd, uint64_t offset_bytes, uint64_t *ret_begin_bytes,
                        uint64_t *ret_end_bytes)
{
    (void)self;
    (void)fd;
    (void)offset_bytes;
    (void)ret_begin_bytes;
    (void)ret_end_bytes;
    return -EIO;
}

static int no_word(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return -ENOLINK;
}

static void test_image_kernel__what_cannot_be_asked_is_an_error(void)
{
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = open_pool(&kernel.table);
    const int fd = make_file("##", F_SEAL_WRITE | F_SEAL_SHRINK);
    for (enum cow_file_use use = COW_FILE_GUARDED; use <= COW_FILE_COPIED; use++) {
        const struct cow_file_range range = range_of(fd, use, 0, 2, 0);
        kernel.table.next_data = no_next_data;
        expect_result(pool, 2 * page, range, -EIO);
        kernel.table.next_data = cow_sys_linux.next_data;
        kernel.table.has_host_pages = no_word;
        expect_result(pool, 2 * page, range, -ENOLINK);
        kernel.table.has_host_pages = cow_sys_linux.has_host_pages;
        kernel.table.seals = no_word;
        if (use == COW_FILE_GUARDED) /* only then they matter */
            expect_result(pool, 2 * page, range, -ENOLINK);
        kernel.table.seals = cow_sys_linux.seals;
    }
    CHECK_EQ(close(fd), 0);
    close_pool(pool);
}

int main(void)
{
    page = fixture_page();
    RUN(test_image_kernel__short_reads_make_whole_images);
    RUN(test_image_kernel__one_that_is_truncated_meanwhile_is_no_hole);
    RUN(test_image_kernel__a_stretch_of_no_bytes_takes_nothing);
    RUN(test_image_kernel__a_stretch_may_begin_before_the_range_and_not_end_before_it_begins);
    RUN(test_image_kernel__what_cannot_be_asked_is_an_error);
    return 0;
}
