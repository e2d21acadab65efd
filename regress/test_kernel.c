/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Kernels on which no pool can be made: calls fail one after the other during creation, or do not keep their word. */
#include "faulty.h"
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>

static int create(struct faulty *kernel, struct cow_pool **ret_pool)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 3, .max_bytes = 4 * fixture_page(), .n_shards = 2,
                                           .sys = &kernel->table};
    return cow_pool_create(&config, ret_pool);
}

/* Creates on this kernel, and closes what came out. Nothing may be left. */
static int try_create(struct faulty *kernel)
{
    const int n_descriptors = process_n_descriptors();
    struct cow_pool *const untouched = (struct cow_pool *)kernel, *pool = untouched;
    const int result = create(kernel, &pool);
    CHECK((pool == untouched) == (result != 0));
    CHECK(result || cow_pool_check(pool) == NULL);
    CHECK(result || cow_pool_close(pool) == COW_OK);
    CHECK_EQ(kernel->n_open, 0);
    CHECK_EQ(kernel->n_mapped_bytes, 0);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    return result;
}

/* Every call of this kind fails in turn, once and for ever: creation says the errno unchanged, and leaves nothing. The last
 * mappings and what is advised of them, one to spare for each shard, it can do without. */
static void fail_each(enum cow_call call, int error)
{
    for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
        bool did_without = false;
        for (unsigned n = 1;; n++) {
            struct faulty kernel = faulty_kernel();
            kernel.only = 1u << call;
            kernel.fail_at = n;
            kernel.for_ever = for_ever;
            kernel.error = error;
            const int result = try_create(&kernel);
            CHECK(n > 1 || kernel.n_failed > 0);
            did_without = did_without || (kernel.n_failed && result == 0);
            CHECK_EQ(result, kernel.n_failed && !did_without ? error : 0);
            if (!kernel.n_failed)
                break;
        }
        CHECK(did_without == (call == COW_CALL_MMAP || call == COW_CALL_MADVISE));
    }
}

static void test_kernel__errors_of_creation_are_passed_on_unchanged(void)
{
    fail_each(COW_CALL_MEMFD_CREATE, -ENOSYS);
    fail_each(COW_CALL_MEMFD_CREATE, -EMFILE);
    fail_each(COW_CALL_MEMFD_CREATE, -ENFILE);
    fail_each(COW_CALL_MEMFD_CREATE, -EPERM);
    fail_each(COW_CALL_MMAP, -ENOMEM);
    fail_each(COW_CALL_MMAP, -EAGAIN);
    fail_each(COW_CALL_MADVISE, -ENOMEM);
    fail_each(COW_CALL_FTRUNCATE, -EPERM);
    fail_each(COW_CALL_FCNTL, -EBUSY);
}

/* Whatever fails, in any order: an error, or success where there was another way; never a leak. */
static void test_kernel__creation_leaves_nothing_behind_whatever_fails(void)
{
    const int errors[] = {-EIO, -EINVAL};
    for (unsigned variant = 0; variant < 4; variant++)
        for (unsigned n = 1, n_failed = 1; n_failed; n++) {
            struct faulty kernel = faulty_kernel();
            kernel.fail_at = n;
            kernel.for_ever = variant & 1;
            kernel.error = errors[variant >> 1];
            const int result = try_create(&kernel);
            n_failed = kernel.n_failed;
            CHECK(result == 0 || (n_failed && (result == kernel.error || result == COW_KERNEL)));
            CHECK(n < 200);
        }
}

/* The list of pools that fork handlers walk holds no trace of a pool that was not made. */
static int do_nothing(void)
{
    return 0;
}

static void test_kernel__a_fork_after_failed_creations_is_uneventful(void)
{
    struct faulty kernel = faulty_kernel();
    kernel.fail_at = 20;
    kernel.for_ever = true;
    kernel.error = -EMFILE;
    (void)try_create(&kernel);
    CHECK_EQ(process_in_child(do_nothing), 0);
}

static void test_kernel__one_that_does_not_keep_its_word_is_refused(void)
{
    const enum faulty_lie lies[] = {FAULTY_MADVISE_DOES_NOTHING,   FAULTY_MADVISE_GIVES_ZERO,
                                    FAULTY_FTRUNCATE_DOES_NOTHING, FAULTY_FTRUNCATE_KEEPS_BYTES,
                                    FAULTY_FTRUNCATE_BRINGS_BACK,  FAULTY_PWRITE_CLAIMS_MORE,
                                    FAULTY_SEAL_DOES_NOTHING,      FAULTY_PWRITE_WRITES_NOTHING,
                                    FAULTY_PWRITE_DOES_NOTHING,    FAULTY_MMAP_DOES_NOTHING};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        for (int again = 0; again < 2; again++) {
            struct faulty kernel = faulty_kernel();
            kernel.lie = lies[i];
            CHECK_EQ(try_create(&kernel), COW_KERNEL);
            kernel.lie = FAULTY_HONEST; /* the same table is asked again: no verdict is remembered */
            CHECK_EQ(try_create(&kernel), COW_OK);
        }
}

static int64_t no_length(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return -EIO;
}

static void test_kernel__one_that_does_not_tell_a_files_length_is_an_error(void)
{
    struct faulty kernel = faulty_kernel();
    kernel.table.file_bytes = no_length;
    CHECK_EQ(try_create(&kernel), -EIO);
}

static void test_kernel__linux_is_not_condemned_by_others(void)
{
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = fixture_pool(1, 1);
    kernel.lie = FAULTY_MADVISE_DOES_NOTHING;
    CHECK(pool != NULL);
    CHECK_EQ(try_create(&kernel), COW_KERNEL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    pool = fixture_pool(1, 1);
    CHECK(pool != NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* pwrite may write less than it was asked to. */
static void test_kernel__short_writes_make_whole_images(void)
{
    const uint64_t page = fixture_page();
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = NULL;
    struct cow_image *image = NULL;
    struct cow_instance instance;
    uint8_t bytes[10000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    const struct cow_segment segment = {5, bytes, sizeof bytes};
    CHECK_EQ(create(&kernel, &pool), COW_OK);
    kernel.lie = FAULTY_PWRITE_WRITES_NOTHING;
    CHECK_EQ(cow_image_create(pool, 4 * page, &segment, 1, &image), -EIO);
    kernel.lie = FAULTY_PWRITE_CLAIMS_MORE;
    CHECK_EQ(cow_image_create(pool, 4 * page, &segment, 1, &image), -EIO);
    CHECK_EQ(kernel.n_open, 3);
    kernel.lie = FAULTY_PWRITE_IS_SHORT;
    CHECK_EQ(cow_image_create(pool, 4 * page, &segment, 1, &image), COW_OK);
    CHECK(fixture_stats(pool).n_calls[COW_CALL_PWRITE] > 3);
    CHECK_EQ(fixture_lend(pool, image, 4 * page, 4 * page, &instance), COW_OK);
    const uint8_t *base = fixture_memory(pool, instance).base;
    CHECK(memcmp(base + 5, bytes, sizeof bytes) == 0);
    CHECK(fixture_all_are(base, 5, 0) && fixture_all_are(base + 5 + sizeof bytes, 4 * page - 5 - sizeof bytes, 0));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(kernel.n_open, 0);
}

/* DONTNEED of locked memory is EINVAL: the reset asks again with DONTNEED_LOCKED. */
static void test_kernel__locked_memory_is_discarded_with_a_second_call(void)
{
    const uint64_t page = fixture_page();
    struct faulty kernel = faulty_kernel();
    struct cow_pool *pool = NULL;
    struct cow_instance instance;
    kernel.misses_locked = true;
    const int result = create(&kernel, &pool);
    if (result == -EINVAL) /* Linux before 5.18 */
        return;
    CHECK_EQ(result, COW_OK);
    struct cow_image *image = fixture_image(pool, page, 1, 7, 50);
    CHECK_EQ(fixture_lend(pool, image, 2 * page, 2 * page, &instance), COW_OK);
    struct cow_memory memory = fixture_memory(pool, instance);
    memset(memory.base, 0xee, 2 * page);
    const uint64_t n_calls = fixture_n_calls(pool);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(fixture_n_calls(pool), n_calls + 2);
    CHECK(fixture_is_image(&memory, 1, 7, 50));
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    RUN(test_kernel__errors_of_creation_are_passed_on_unchanged);
    RUN(test_kernel__creation_leaves_nothing_behind_whatever_fails);
    RUN(test_kernel__a_fork_after_failed_creations_is_uneventful);
    RUN(test_kernel__one_that_does_not_keep_its_word_is_refused);
    RUN(test_kernel__one_that_does_not_tell_a_files_length_is_an_error);
    RUN(test_kernel__linux_is_not_condemned_by_others);
    RUN(test_kernel__short_writes_make_whole_images);
    RUN(test_kernel__locked_memory_is_discarded_with_a_second_call);
    return 0;
}
