/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A process that has all the mappings it may have (vm.max_map_count), but for a few. */
#include "pressure.h"

#include <errno.h>
#include <sys/resource.h>

#define MOST_MAPPINGS 4000000 /* more take too long */
#define N_SPARE 64u           /* for the test itself, between calls */
#define N_LEFT 16u            /* a cold instantiate needs fewer */

/* A reservation, of which every other page may be read: each of these costs two mappings. And a pair of pages apart from it, that is
 * one mapping or two. */
static struct {
    size_t page_bytes, n_pages;
    size_t n_split; /* pages that may be read */
    uint8_t *pages, *pair;
    bool is_pair_split;
    unsigned n_left;        /* that a call shall have */
    unsigned turn, n_calls; /* 0: each call; else every third one, from that on; the others have enough */
} filler;

/* By mmap, which may have one more than mprotect. */
static bool split(uint8_t *page)
{
    return mmap(page, filler.page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
           page;
}

/* The page grows together with its neighbours again; the limit does not matter for that. */
static void join(uint8_t *page)
{
    CHECK_EQ(mprotect(page, filler.page_bytes, PROT_NONE), 0);
}

static bool split_one(void)
{
    if (2 * filler.n_split + 2 >= filler.n_pages || !split(filler.pages + (2 * filler.n_split + 1) * filler.page_bytes))
        return false;
    filler.n_split++;
    return true;
}

static void join_one(void)
{
    CHECK(filler.n_split > 0);
    filler.n_split--;
    join(filler.pages + (2 * filler.n_split + 1) * filler.page_bytes);
}

static void split_pair(void)
{
    if (!filler.is_pair_split)
        filler.is_pair_split = split(filler.pair + filler.page_bytes);
}

static void join_pair(void)
{
    join(filler.pair + filler.page_bytes);
    filler.is_pair_split = false;
}

static void make_filler(long max_mappings)
{
    filler.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    filler.n_pages = (size_t)max_mappings + 1000;
    filler.pages =
        mmap(NULL, filler.n_pages * filler.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (filler.pages == MAP_FAILED)
        CHECK_SKIP("not enough address space here to use up the mappings");
    /* Another protection on both sides keeps the pair from growing together with what is there. */
    uint8_t *four = mmap(NULL, 4 * filler.page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(four != MAP_FAILED);
    filler.pair = four + filler.page_bytes;
    CHECK_EQ(munmap(filler.pair, 2 * filler.page_bytes), 0);
    CHECK(mmap(filler.pair, 2 * filler.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
               -1, 0) == filler.pair);
}

/* No mapping is left; then so many are. */
static void leave(void *self)
{
    unsigned n = filler.n_left;
    (void)self;
    if (filler.turn && ++filler.n_calls % 3 != filler.turn - 1)
        return;
    join_pair();
    while (split_one())
        ;
    CHECK_EQ(errno, ENOMEM);
    split_pair();
    if (n % 2 && filler.is_pair_split) {
        join_pair();
        n--;
    } else if (n % 2) {
        join_one();
        split_pair();
        n--;
    }
    for (; n; n -= 2)
        join_one();
}

static void relax(void *self)
{
    (void)self;
    while (split_one()) /* a call that had enough has not used them up */
        ;
    for (unsigned i = 0; i < N_SPARE; i++)
        join_one();
}

/* ---- what is tried ---- */

static unsigned n_pools_refused;

/* A pool that cannot be made leaves nothing; one that can is closed under the same shortage. */
static void make_pool(void)
{
    const struct cow_pool_config config = {.growth = COW_GROWTH_TRUNCATE,
                                           .reset = COW_RESET_DISCARD,
                                           .n_slots = 3,
                                           .max_bytes = 8 * filler.page_bytes,
                                           .guard_bytes = filler.page_bytes};
    struct cow_pool *pool = NULL;
    const int n_descriptors = process_n_descriptors();
    const long n_pages = press_number("/proc/self/statm", NULL);
    leave(NULL);
    const int result = cow_pool_create(&config, &pool);
    if (result == COW_OK)
        CHECK_EQ(cow_pool_close(pool), COW_OK);
    relax(NULL);
    CHECK(result == COW_OK || result == -ENOMEM || result == -EAGAIN);
    CHECK((pool != NULL) == (result == COW_OK));
    n_pools_refused += result != COW_OK;
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(press_number("/proc/self/statm", NULL), n_pages);
}

static struct {
    unsigned n_calls, n_failed;
} seen;

static void live_with(unsigned n_left, unsigned turn)
{
    struct press_world world = {.begin_call = leave, .end_call = relax, .errors = {-ENOMEM, -EAGAIN}};
    struct cow_stats stats;
    filler.n_left = n_left;
    filler.turn = turn;
    press_open(&world, 2);
    press_life(&world);
    CHECK_EQ(cow_pool_stats(world.pool, &stats), COW_OK);
    CHECK_EQ(stats.n_lost, 0); /* (S4): a mapping was kept for that */
    press_close(&world);       /* with mappings enough: all slots work */
    seen.n_calls += world.n_calls;
    seen.n_failed += world.n_failed;
}

void press_limit_mappings(void)
{
    const long max_mappings = press_number("/proc/sys/vm/max_map_count", NULL);
    if (max_mappings < 0 || max_mappings > MOST_MAPPINGS)
        CHECK_SKIP("vm.max_map_count is too large to be used up");
    make_filler(max_mappings);
    for (unsigned n_left = 0; n_left < N_LEFT; n_left++) {
        filler.n_left = n_left;
        filler.turn = 0;
        make_pool();
        for (unsigned turn = 0; turn < 4; turn++)
            live_with(n_left, turn);
    }
    CHECK(seen.n_failed > 0 && n_pools_refused > 0);
    press_note("with 0 to %u mappings left: %u of %u calls and %u of %u pools failed, no slot was lost", N_LEFT - 1,
               seen.n_failed, seen.n_calls, n_pools_refused, N_LEFT);
}
