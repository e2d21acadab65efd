/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Limits of the process (setrlimit(2)), and of the machine's promises. The limit holds while the pool is called; model and test
 * are free of it. */
#include "pressure.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

/* ---- a limit that comes and goes ---- */

#ifdef __GLIBC__
typedef __rlimit_resource_t limit_resource;
#else
typedef int limit_resource;
#endif

struct limit {
    limit_resource resource;
    uint64_t bytes; /* or descriptors */
    bool as_it_is;  /* instead: the address space that there is */
    bool by_turns;  /* every other time there is no limit */
    unsigned n_times;
};

static void set_soft(limit_resource resource, uint64_t value)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(resource, &limit), 0);
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    CHECK_EQ(setrlimit(resource, &limit), 0);
}

static uint64_t address_space_bytes(void)
{
    return (uint64_t)press_number("/proc/self/statm", NULL) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void begin_limit(void *self)
{
    struct limit *limit = self;
    if (limit->n_times++ % 2 == 0 || !limit->by_turns)
        set_soft(limit->resource, limit->as_it_is ? address_space_bytes() : limit->bytes);
}

static void end_limit(void *self)
{
    const struct limit *limit = self;
    set_soft(limit->resource, RLIM_INFINITY);
}

/* What there is of a process that a failed call might leave behind. */
struct traces {
    int n_descriptors;
    uint64_t address_space_bytes;
};

static struct traces look(void)
{
    return (struct traces){process_n_descriptors(), address_space_bytes()};
}

static int create(uint32_t n_slots, struct cow_pool **ret_pool)
{
    const struct cow_pool_config config = {.growth = COW_GROWTH_TRUNCATE,
                                           .reset = COW_RESET_DISCARD,
                                           .n_slots = n_slots,
                                           .max_bytes = 64 * (uint64_t)sysconf(_SC_PAGESIZE),
                                           .guard_bytes = UINT64_C(1) << 20};
    return cow_pool_create(&config, ret_pool);
}

/* Pools under one limit after the other, from nothing on, until one can be made; none that cannot leaves anything. */
static unsigned create_under(struct limit *limit, uint64_t step, int error)
{
    for (unsigned n = 0;; n++, limit->bytes += step) {
        const struct traces before = look();
        struct cow_pool *pool = NULL;
        begin_limit(limit);
        const int result = create(8, &pool);
        end_limit(limit);
        if (result == COW_OK) {
            CHECK_EQ(cow_pool_close(pool), COW_OK);
            CHECK_EQ(process_n_descriptors(), before.n_descriptors);
            return n;
        }
        CHECK_EQ(result, error);
        CHECK(pool == NULL);
        CHECK_EQ(look().n_descriptors, before.n_descriptors);
        CHECK_EQ(look().address_space_bytes, before.address_space_bytes);
        CHECK(n < 100);
    }
}

/* ---- images under a limit ---- */

static int image_of_segment(struct cow_pool *pool, struct cow_image **ret_image)
{
    static uint8_t bytes[3 << 16];
    const struct cow_segment segment = {0, bytes, 3 * (uint64_t)sysconf(_SC_PAGESIZE)};
    memset(bytes, 0x5a, sizeof bytes);
    return cow_image_create(pool, segment.length_bytes, &segment, 1, ret_image);
}

static int image_of_file(struct cow_pool *pool, enum cow_file_use use, int fd, struct cow_image **ret_image)
{
    const struct cow_file_range range = {.fd = fd, .use = use, .length_bytes = 3 * (uint64_t)sysconf(_SC_PAGESIZE)};
    return cow_image_from_file(pool, range.length_bytes, &range, ret_image);
}

/* Three ways to an image: each fails and leaves nothing, or ends well. Returns how many failed. */
static unsigned make_images(struct cow_pool *pool, struct limit *limit, int error)
{
    const uint64_t bytes = 3 * (uint64_t)sysconf(_SC_PAGESIZE);
    const int fd = memfd_create("regress-file", MFD_CLOEXEC);
    unsigned n_failed = 0;
    for (uint64_t at = 0; at < bytes; at++)
        CHECK_EQ(pwrite(fd, "\x5a", 1, (off_t)at), 1);
    for (int way = 0; way < 3; way++) {
        const struct traces before = look();
        struct cow_image *image = NULL;
        begin_limit(limit);
        const int result = way == 0 ? image_of_segment(pool, &image)
                                    : image_of_file(pool, way == 1 ? COW_FILE_COPIED : COW_FILE_VOUCHED, fd, &image);
        end_limit(limit);
        if (result == COW_OK)
            cow_image_drop(image);
        else
            CHECK_EQ(result, error);
        n_failed += result != COW_OK;
        CHECK((image != NULL) == (result == COW_OK));
        CHECK_EQ(process_n_descriptors(), before.n_descriptors);
    }
    close(fd);
    return n_failed;
}

/* ---- descriptors ---- */

void press_limit_descriptors(void)
{
    struct limit limit = {.resource = RLIMIT_NOFILE};
    const unsigned n_pools = create_under(&limit, 1, -EMFILE);
    struct press_world world = {.begin_call = begin_limit, .end_call = end_limit, .self = &limit};
    limit.bytes = 1; /* no new ones at all; 0 would make another error of it (fcntl(2), F_DUPFD) */
    press_open(&world, 2);
    const unsigned n_images = make_images(world.pool, &limit, -EMFILE);
    CHECK_EQ(n_images, 3);
    press_life(&world); /* which needs none */
    press_close(&world);
    press_note("%u pools and %u images were refused; %u calls on a pool that was there needed none", n_pools, n_images,
               world.n_calls);
}

/* ---- file sizes ---- */

/* A grow is refused exactly where the file would pass the limit, and nothing has changed. */
static void grow_to_limit(void)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct limit limit = {.resource = RLIMIT_FSIZE, .bytes = 5 * page + 100};
    struct press_world world = {.begin_call = begin_limit, .end_call = end_limit, .self = &limit, .errors = {-EFBIG}};
    struct press_tenant tenant = {0};
    press_open(&world, 1);
    CHECK(press_lend(&world, &tenant, PRESS_TWO_RUNS, 40 * page));
    for (int round = 0; round < 2; round++) {
        press_write(&world, &tenant);
        CHECK(press_grow(&world, &tenant, 4 * page));
        press_write(&world, &tenant);
        CHECK(!press_grow(&world, &tenant, 2 * page));
        CHECK(press_grow(&world, &tenant, page));
        CHECK(!press_grow(&world, &tenant, 1));
        press_write(&world, &tenant);
        CHECK(press_reset(&world, &tenant));
    }
    limit.bytes = 0;
    CHECK(!press_grow(&world, &tenant, page));
    CHECK(press_release(&world, &tenant));
    press_close(&world);
}

void press_limit_file_size(void)
{
    struct limit limit = {.resource = RLIMIT_FSIZE};
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    signal(SIGXFSZ, SIG_IGN); /* else it kills */
    const unsigned n_pools = create_under(&limit, page / 2, -EFBIG);
    CHECK(n_pools > 0);
    struct press_world world = {.begin_call = begin_limit, .end_call = end_limit, .self = &limit, .errors = {-EFBIG}};
    press_open(&world, 2);
    unsigned n_images = 0;
    for (limit.bytes = 0; limit.bytes < 4 * page; limit.bytes += page / 2)
        n_images += make_images(world.pool, &limit, -EFBIG);
    CHECK_EQ(n_images, 2 * 6); /* two of the three ways write a file, of three pages */
    limit.bytes = 4 * page;
    press_life(&world);
    press_close(&world);
    CHECK(world.n_failed > 0);
    grow_to_limit();
    press_note("EFBIG for %u pools, %u images and %u grows", n_pools, n_images, world.n_failed);
}

/* ---- address space, data ---- */

/* A life; returns how many slots were lost to it. */
static uint64_t live_under(struct press_world *world, struct limit *limit)
{
    struct cow_stats stats;
    *world = (struct press_world){.begin_call = begin_limit, .end_call = end_limit, .self = limit, .errors = {-ENOMEM}};
    press_open(world, 4);
    press_life(world);
    CHECK_EQ(cow_pool_stats(world->pool, &stats), COW_OK);
    press_close(world);
    return stats.n_lost;
}

/* A pool that is there has all its address space; one that is not leaves nothing. With less than the process has already no mapping
 * may be replaced any more. */
void press_limit_address_space(void)
{
    struct limit limit = {.resource = RLIMIT_AS, .bytes = address_space_bytes()};
    struct press_world exactly, less;
    const unsigned n_pools = create_under(&limit, UINT64_C(1) << 20, -ENOMEM);
    CHECK(n_pools > 0);
    limit.as_it_is = true;
    CHECK_EQ(live_under(&exactly, &limit), 0);
    CHECK_EQ(exactly.n_failed, 0);
    limit = (struct limit){.resource = RLIMIT_AS, .bytes = 1};
    const uint64_t n_lost = live_under(&less, &limit);
    press_note("%u pools were refused; no more: 0 of %u calls failed; less: %u of %u, and %" PRIu64
               " of 4 slots were lost",
               n_pools, exactly.n_calls, less.n_failed, less.n_calls, n_lost);
}

/* 0 would mean no limit, for the sake of old programs. */
void press_limit_data(void)
{
    struct limit limit = {.resource = RLIMIT_DATA, .bytes = 1, .by_turns = true};
    struct press_world world;
    const uint64_t n_lost = live_under(&world, &limit);
    if (!world.n_failed)
        CHECK_SKIP("the limit refused nothing");
    press_note("%u of %u calls failed, %" PRIu64 " of 4 slots were lost", world.n_failed, world.n_calls, n_lost);
}
