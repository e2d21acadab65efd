/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Limits, locked memory, processes that are not dumpable, and the attributes of files and mappings. What changes the process is
 * done in a child. */
#include "faulty.h"
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define GIB (UINT64_C(1) << 30)

/* A whole life, every byte compared; 0 or the claim that failed. */
static int live_in(struct cow_pool *pool)
{
    const uint64_t page = fixture_page();
    struct cow_image *image = fixture_image(pool, page, 10, 7, 90);
    struct cow_instance instance;
    uint64_t old_bytes;
    CLAIM(image != NULL);
    for (int round = 0; round < 3; round++) {
        CLAIM(fixture_lend(pool, image, 2 * page, 4 * page, &instance) == COW_OK);
        struct cow_memory memory = fixture_memory(pool, instance);
        CLAIM(fixture_is_image(&memory, 10, 7, 90));
        CLAIM(cow_instance_grow(pool, instance, 2 * page, &old_bytes) == COW_OK);
        CLAIM(fixture_all_are(memory.base + 2 * page, 2 * page, 0));
        memset(memory.base, 0xee, 4 * page);
        CLAIM(cow_instance_reset(pool, instance) == COW_OK);
        CLAIM(fixture_is_image(&memory, 10, 7, 90));
        CLAIM(!process_can_read(memory.base + 2 * page));
        memset(memory.base, 0xdd, 2 * page);
        CLAIM(cow_pool_check(pool) == NULL);
        CLAIM(cow_instance_release(pool, instance) == COW_OK);
    }
    cow_image_drop(image);
    CLAIM(cow_pool_flush(pool) == COW_OK);
    CLAIM(fixture_stats(pool).n_failed_resets == 0);
    return 0;
}

static int live_and_close(struct cow_pool *pool)
{
    CLAIM(pool != NULL);
    CLAIM(live_in(pool) == 0);
    CLAIM(cow_pool_close(pool) == COW_OK);
    return 0;
}

/* ---- descriptors ---- */

static int limit_descriptors(uint64_t soft, uint64_t hard)
{
    const struct rlimit limit = {soft, hard};
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int create_slots(uint32_t n_slots, int raise, struct cow_pool **ret_pool)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = n_slots, .max_bytes = 4 * fixture_page(),
                                           .raise_descriptor_limit = raise};
    return cow_pool_create(&config, ret_pool);
}

/* The limit is above the largest descriptor number in use, not above their count. */
static uint64_t first_free(void)
{
    const int fd = dup(0);
    close(fd);
    return (uint64_t)fd;
}

static int few_descriptors(void)
{
    struct cow_pool *pool = NULL;
    const uint64_t n = first_free();
    const int n_descriptors = process_n_descriptors();
    CLAIM(limit_descriptors(n + 2, n + 300) == 0);
    CLAIM(create_slots(1, 0, &pool) == -EMFILE); /* too few for the self-test already */
    CLAIM(limit_descriptors(n + 50, n + 300) == 0);
    CLAIM(process_n_descriptors() == n_descriptors);
    CLAIM(create_slots(60, 0, &pool) == -EMFILE);
    CLAIM(pool == NULL && process_n_descriptors() == n_descriptors && process_n_files("cowpool") == 0);
    CLAIM(process_n_mappings("cowpool") == 0);
    CLAIM(create_slots(40, 0, &pool) == COW_OK);
    return live_and_close(pool);
}

static int raised_descriptors(void)
{
    struct cow_pool *pool = NULL;
    struct rlimit limit;
    const uint64_t n = first_free();
    const int n_descriptors = process_n_descriptors();
    CLAIM(limit_descriptors(n + 10, n + 300) == 0);
    CLAIM(create_slots(100, 1, &pool) == COW_OK);
    CLAIM(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == n + 110 && limit.rlim_max == n + 300);
    CLAIM(live_and_close(pool) == 0);
    CLAIM(create_slots(400, 1, &pool) == -EMFILE); /* past the hard limit */
    CLAIM(process_n_descriptors() == n_descriptors);
    CLAIM(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == n + 300 && limit.rlim_max == n + 300);
    return 0;
}

static void test_environment__too_few_descriptors_are_emfile(void)
{
    CHECK_EQ(process_in_child(few_descriptors), 0);
}

static void test_environment__the_descriptor_limit_is_raised_on_request(void)
{
    CHECK_EQ(process_in_child(raised_descriptors), 0);
}

/* ---- address space ---- */

static uint64_t address_space_bytes(void)
{
    return strtoull(process_read("/proc/self/statm"), NULL, 10) * fixture_page();
}

static int little_address_space(void)
{
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 1, .max_bytes = 4 * GIB};
    struct cow_pool *pool = NULL;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    limit.rlim_cur = address_space_bytes() + GIB;
    CLAIM(setrlimit(RLIMIT_AS, &limit) == 0);
    const int n_descriptors = process_n_descriptors();
    CLAIM(cow_pool_create(&config, &pool) == -ENOMEM);
    CLAIM(pool == NULL && process_n_descriptors() == n_descriptors);
    CLAIM(limit.rlim_cur - address_space_bytes() > GIB / 2);
    return live_and_close(fixture_pool(2, 4));
}

static void test_environment__too_little_address_space_is_enomem(void)
{
    CHECK_EQ(process_in_child(little_address_space), 0);
}

/* ---- processes ---- */

static int not_dumpable(void)
{
    CLAIM(prctl(PR_SET_DUMPABLE, 0) == 0);
    return live_and_close(fixture_pool(2, 4));
}

static void test_environment__a_process_that_is_not_dumpable_loses_nothing(void)
{
    CHECK_EQ(process_in_child(not_dumpable), 0);
}

/* Sanitizers turn mlockall into nothing: then there is nothing to see but that all works. */
static bool locking_is_real(void)
{
    void *page = mmap(NULL, fixture_page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool real = page != MAP_FAILED && madvise(page, fixture_page(), MADV_DONTNEED) != 0 && errno == EINVAL;
    munmap(page, fixture_page());
    return real;
}

static int locked_before(void)
{
    if (mlockall(MCL_FUTURE))
        return 77;
    return live_and_close(fixture_pool(2, 4));
}

static int locked_after(void)
{
    struct cow_pool *pool = fixture_pool(2, 4);
    struct cow_instance instance;
    CLAIM(pool && live_in(pool) == 0);
    CLAIM(fixture_lend(pool, NULL, 2 * fixture_page(), 4 * fixture_page(), &instance) == COW_OK);
    struct cow_memory memory = fixture_memory(pool, instance);
    memset(memory.base, 0xee, memory.length_bytes);
    if (mlockall(MCL_CURRENT | MCL_FUTURE))
        return 77;
    const uint64_t n_calls = fixture_n_calls(pool);
    CLAIM(cow_instance_reset(pool, instance) == COW_OK); /* mapped before, locked now */
    CLAIM(fixture_n_calls(pool) - n_calls == (locking_is_real() ? 2 : 1));
    CLAIM(fixture_all_are(memory.base, memory.length_bytes, 0));
    CLAIM(cow_instance_release(pool, instance) == COW_OK);
    return live_and_close(pool);
}

static void test_environment__locked_memory_is_reset_as_well(void)
{
    const int before = process_in_child(locked_before), after = process_in_child(locked_after);
    if (before == 77 || after == 77)
        CHECK_SKIP("mlockall is not permitted here (RLIMIT_MEMLOCK); all else passed");
    CHECK_EQ(before, 0);
    CHECK_EQ(after, 0);
}

/* ---- files ---- */

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static void expect_file(int fd, int seals)
{
    const int probe = memfd_create("regress-probe", MFD_CLOEXEC | 0x0008u /* MFD_NOEXEC_SEAL, Linux 6.3 */);
    struct stat status;
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    if (probe >= 0) {
        seals |= F_SEAL_EXEC;
        CHECK(fstat(fd, &status) == 0 && (status.st_mode & 0111) == 0);
        close(probe);
    }
    CHECK_EQ(fcntl(fd, F_GET_SEALS), seals);
}

static void test_environment__files_are_close_on_exec_sealed_and_not_executable(void)
{
    struct cow_pool *pool = fixture_pool(3, 1);
    const struct cow_image *image = fixture_image(pool, 1, 0, 1, 1);
    expect_file(image->fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    for (int i = 0; i < 3; i++)
        expect_file(pool->slots[i].extension_fd, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- mappings ---- */

static void expect_flags(const struct cow_pool *pool, uint32_t slot)
{
    const uint64_t bytes = pool->geometry.capacity_bytes;
    uint8_t *base = pool->slots[slot].base;
    const bool is_paved = pool->slots[slot].state == COW_SLOT_IDLE || pool->slots[slot].state == COW_SLOT_LIVE;
    CHECK_EQ(process_flagged_bytes(base, pool->geometry.stride_bytes, "dd"),
             pool->geometry.stride_bytes); /* DONTDUMP, guard too */
    CHECK_EQ(process_flagged_bytes(base, bytes, "dc"), is_paved ? bytes : 0);
    /* The extension too: a huge page of a file is accessible past the file's end. */
    if (process_knows_flag("nh"))
        CHECK_EQ(process_flagged_bytes(base, bytes, "nh"), is_paved ? bytes : 0);
}

static void test_environment__mappings_keep_their_attributes_whenever_they_are_made_anew(void)
{
    const uint64_t page = fixture_page();
    struct faulty kernel = faulty_kernel();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 2, .max_bytes = 8 * page, .guard_bytes = page,
                                           .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    struct cow_instance instance;
    uint64_t old_bytes;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    const struct cow_geometry *geometry = &pool->geometry;
    CHECK_EQ(process_flagged_bytes(geometry->reservation_base, page, "wf"), page); /* the cookie: WIPEONFORK */
    CHECK_EQ(process_flagged_bytes(geometry->reservation_base + page, geometry->reservation_bytes - page, "ac"),
             0); /* no commit charge */
    expect_flags(pool, 0);
    struct cow_image *image = fixture_image(pool, 3 * page, 2 * page, 1, 9), *dead = fixture_image(pool, page, 0, 2, 9);
    struct cow_image *const images[] = {NULL, image, NULL, dead, image};
    for (size_t i = 0; i < sizeof images / sizeof *images;
         i++) { /* bare, then one cold instantiate after the other, on both slots */
        CHECK_EQ(fixture_lend(pool, images[i], 3 * page, 8 * page, &instance), COW_OK);
        expect_flags(pool, fixture_memory(pool, instance).slot);
        CHECK_EQ(cow_instance_grow(pool, instance, page, &old_bytes), COW_OK);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
        expect_flags(pool, fixture_memory(pool, instance).slot);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    }
    cow_image_drop(dead);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    expect_flags(pool, 0);
    expect_flags(pool, 1);
    CHECK_EQ(fixture_lend(pool, NULL, 8 * page, 8 * page, &instance), COW_OK); /* no extension */
    expect_flags(pool, fixture_memory(pool, instance).slot);
    kernel.error = -EIO;
    kernel.fail_at = 1;
    CHECK_EQ(cow_instance_release(pool, instance), -EIO);
    expect_flags(pool, 0);
    expect_flags(pool, 1);
    CHECK_EQ(fixture_lend(pool, NULL, 0, 8 * page, &instance), COW_OK); /* nothing but extension */
    expect_flags(pool, fixture_memory(pool, instance).slot);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* As many mappings as vm.max_map_count allows: every other page of a large reservation may be read. Returns where they begin. */
static uint8_t *use_up_mappings(size_t *ret_bytes)
{
    const size_t page = fixture_page(), bytes = page << 18;
    uint8_t *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *ret_bytes = bytes;
    if (base == MAP_FAILED)
        return NULL;
    for (size_t i = 0; i < bytes; i += 2 * page)
        if (mprotect(base + i, page, PROT_READ)) {
            /* One more than mprotect(2) is allowed: from here on not even a mapping in the place of others can be made. */
            (void)mmap(NULL, page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            return base;
        }
    return NULL; /* a machine with a larger limit */
}

static void lend_and_release(struct cow_pool *pool, uint64_t initial_bytes)
{
    struct cow_instance instances[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(fixture_lend(pool, NULL, initial_bytes, initial_bytes, &instances[i]), COW_OK);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
}

/* Nothing is lost while there are no mappings left, and all works again once there are. */
static int few_mappings(bool is_idle)
{
    struct cow_instance instances[4];
    struct cow_stats stats;
    size_t bytes;
    struct cow_pool *pool = fixture_pool(4, 8);
    CHECK(pool != NULL);
    if (is_idle) /* for another length: they must be mapped anew */
        lend_and_release(pool, 2 * fixture_page());
    uint8_t *mappings = use_up_mappings(&bytes);
    if (!mappings)
        return 77;
    for (int i = 0; i < 8; i++) {
        const int result = fixture_lend(pool, NULL, fixture_page(), fixture_page(), &instances[0]);
        if (result == COW_OK && is_idle && i > 0) /* the one that failed has left room */
            CHECK_EQ(cow_instance_release(pool, instances[0]), COW_OK);
        else
            CHECK(result == -ENOMEM || result == -EAGAIN); /* what madvise(2) calls it */
    }
    munmap(mappings, bytes);
    CHECK_EQ(cow_pool_stats(pool, &stats), COW_OK);
    CHECK_EQ(stats.n_lost, 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(fixture_lend(pool, NULL, fixture_page(), fixture_page(), &instances[i]), COW_OK);
    CHECK(!cow_pool_check(pool));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    return 0;
}

static int few_mappings_for_bare_slots(void)
{
    return few_mappings(false);
}

static int few_mappings_for_idle_slots(void)
{
    return few_mappings(true);
}

static void test_environment__a_shortage_of_mappings_costs_no_slot(void)
{
    const int bare = process_in_child(few_mappings_for_bare_slots),
              idle = process_in_child(few_mappings_for_idle_slots);
    CHECK(bare == 0 || bare == 77);
    CHECK_EQ(idle, bare);
    if (bare == 77)
        puts("the limit of mappings (vm.max_map_count) is out of this test's reach");
}

int main(void)
{
    RUN(test_environment__too_few_descriptors_are_emfile); /* first: the self-test has not been made yet */
    RUN(test_environment__the_descriptor_limit_is_raised_on_request);
    RUN(test_environment__too_little_address_space_is_enomem);
    RUN(test_environment__a_process_that_is_not_dumpable_loses_nothing);
    RUN(test_environment__files_are_close_on_exec_sealed_and_not_executable);
    RUN(test_environment__mappings_keep_their_attributes_whenever_they_are_made_anew);
    RUN(test_environment__a_shortage_of_mappings_costs_no_slot);
    RUN(test_environment__locked_memory_is_reset_as_well); /* last: it may have to be skipped */
    return 0;
}
