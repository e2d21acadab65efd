/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One pool, several threads: each verifies what it is lent and what it wrote, while another makes and drops images, flushes,
 * reads statistics and locates addresses. ThreadSanitizer runs this too. */
#include "fixture.h"
#include "harness.h"

#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

enum { N_WORKERS = 4, N_SLOTS = 6, N_PAGES = 6, N_IMAGES = 3, N_ROUNDS = 1500 };

struct shared {
    struct cow_pool *pool;
    struct cow_image *images[N_IMAGES];
    atomic_int n_working;
    atomic_int n_wrong; /* every claim that failed, in any thread */
    atomic_int line;    /* the last of them */
    atomic_uint next_worker;
};

#define EXPECT(condition)                                                                                              \
    ((condition) ? (void)0 : (atomic_fetch_add(&shared->n_wrong, 1), atomic_store(&shared->line, __LINE__)))

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Image k holds 100 bytes of 0x40 + k at k pages. */
static void expect_fresh(struct shared *shared, const struct cow_memory *memory, unsigned k)
{
    EXPECT(fixture_is_image(memory, k * fixture_page(), k ? (uint8_t)(0x40 + k) : 0, 100));
}

static void use(struct shared *shared, struct cow_instance instance, unsigned k, uint32_t *random, uint8_t mark)
{
    struct cow_pool *pool = shared->pool;
    struct cow_memory memory = fixture_memory(pool, instance);
    const struct cow_location location = cow_pool_locate(pool, memory.base);
    uint64_t old_bytes = 0;
    EXPECT(location.place == COW_PLACE_HOST_FAULT && location.instance.id == instance.id);
    expect_fresh(shared, &memory, k);
    memset(memory.base, mark, memory.length_bytes);
    if (next_random(random) % 2) {
        const uint64_t delta_bytes = next_random(random) % (memory.max_bytes - memory.length_bytes + 1);
        EXPECT(cow_instance_grow(pool, instance, delta_bytes, &old_bytes) == COW_OK);
        EXPECT(fixture_all_are(memory.base, old_bytes, mark));
        EXPECT(fixture_all_are(memory.base + old_bytes, delta_bytes, 0));
        memset(memory.base + old_bytes, mark, delta_bytes);
        memory = fixture_memory(pool, instance);
    }
    if (next_random(random) % 8 == 0)
        sched_yield();
    EXPECT(fixture_all_are(memory.base, memory.length_bytes, mark)); /* nobody else was here */
    if (next_random(random) % 4 == 0) {
        EXPECT(cow_instance_reset(pool, instance) == COW_OK);
        memory = fixture_memory(pool, instance);
        expect_fresh(shared, &memory, k);
    }
}

static void *work(void *argument)
{
    struct shared *shared = argument;
    const uint32_t worker = atomic_fetch_add(&shared->next_worker, 1);
    uint32_t random = worker * 7919 + 1;
    for (int round = 0; round < N_ROUNDS; round++) {
        const unsigned k = next_random(&random) % (N_IMAGES + 1);
        const struct cow_instance_config config = {
            .image = k ? shared->images[k - 1] : NULL,
            .initial_bytes = 4 * fixture_page() + next_random(&random) % 2,
            .max_bytes = N_PAGES * fixture_page(),
            .shard_hint = worker,
        };
        struct cow_instance instance;
        EXPECT(cow_instantiate(shared->pool, &config, &instance) == COW_OK); /* there are more slots than threads */
        use(shared, instance, k, &random, (uint8_t)(0x80 + worker));
        EXPECT(cow_instance_release(shared->pool, instance) == COW_OK);
        EXPECT(cow_instance_release(shared->pool, instance) == COW_STALE);
    }
    atomic_fetch_sub(&shared->n_working, 1);
    return NULL;
}

/* Images come, are used once, and go while they are live; and all that may be asked at any time is asked. */
static void *churn(void *argument)
{
    struct shared *shared = argument;
    struct cow_pool *pool = shared->pool;
    const uint64_t page = fixture_page();
    uint32_t random = 99;
    while (atomic_load(&shared->n_working)) {
        struct cow_image *image = fixture_image(pool, page, 0, 0x77, 50);
        struct cow_instance instance;
        struct cow_stats stats;
        EXPECT(image != NULL);
        EXPECT(fixture_lend(pool, image, page, page, &instance) == COW_OK);
        cow_image_drop(image);
        const struct cow_memory memory = fixture_memory(pool, instance);
        EXPECT(fixture_is_image(&memory, 0, 0x77, 50));
        EXPECT(cow_pool_stats(pool, &stats) == COW_OK);
        EXPECT(stats.n_live >= 1 && stats.n_live <= N_WORKERS + 1 && stats.n_images == N_IMAGES &&
               stats.n_retired == 0);
        for (int i = 0; i < 20; i++)
            (void)cow_pool_locate(pool, pool->geometry.reservation_base +
                                            next_random(&random) % pool->geometry.reservation_bytes);
        EXPECT(cow_instance_release(pool, instance) == COW_OK);
        if (next_random(&random) % 4 == 0)
            EXPECT(cow_pool_flush(pool) == COW_OK);
    }
    return NULL;
}

static void run(enum cow_growth growth, enum cow_reset reset, uint32_t n_shards)
{
    const struct cow_pool_config config = {.growth = growth,
                                           .reset = reset,
                                           .n_slots = N_SLOTS,
                                           .max_bytes = N_PAGES * fixture_page(),
                                           .n_shards = n_shards,
                                           .copy_whole_bytes = fixture_page(),
                                           .queue_slots = 3,
                                           .resident_bytes = 8 * fixture_page(),
                                           .image_join_bytes = 1};
    struct shared shared = {.n_working = N_WORKERS};
    pthread_t threads[N_WORKERS + 1];
    CHECK_EQ(cow_pool_create(&config, &shared.pool), COW_OK);
    for (unsigned k = 1; k <= N_IMAGES; k++)
        CHECK((shared.images[k - 1] = fixture_image(shared.pool, 4 * fixture_page(), k * fixture_page(),
                                                    (uint8_t)(0x40 + k), 100)) != NULL);
    for (int i = 0; i <= N_WORKERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i < N_WORKERS ? work : churn, &shared), 0);
    for (int i = 0; i <= N_WORKERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    if (atomic_load(&shared.n_wrong))
        printf("the last claim that failed in a thread: line %d\n", atomic_load(&shared.line));
    CHECK_EQ(atomic_load(&shared.n_wrong), 0);
    CHECK(cow_pool_check(shared.pool) == NULL);
    CHECK_EQ(cow_pool_flush(shared.pool), COW_OK);
    const struct cow_stats stats = fixture_stats(shared.pool);
    CHECK_EQ(stats.n_live, 0);
    CHECK_EQ(stats.dead_image_bytes, 0);
    CHECK(stats.n_instantiations > UINT64_C(1) * N_WORKERS * N_ROUNDS && stats.n_warm > 0);
    CHECK(stats.n_resets >= stats.n_instantiations);
    CHECK_EQ(cow_pool_close(shared.pool), COW_OK);
}

static void test_threads__share_a_pool_of_one_shard(void)
{
    run(COW_GROWTH_TRUNCATE, COW_RESET_DISCARD, 1);
}

static void test_threads__share_a_pool_of_four_shards(void)
{
    run(COW_GROWTH_TRUNCATE, COW_RESET_DISCARD, 4);
}

static void test_threads__share_what_waits_to_be_cleaned(void)
{
    run(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 1);
    run(COW_GROWTH_PROTECT, COW_RESET_DEFERRED, 4);
}

static void test_threads__share_what_idle_slots_may_keep(void)
{
    run(COW_GROWTH_DEFAULT, COW_RESET_ADAPTIVE, 1);
    run(COW_GROWTH_DEFAULT, COW_RESET_ADAPTIVE, 4);
}

/* ---- references to one image ---- */

static void *refer(void *argument)
{
    for (int i = 0; i < 400000; i++) {
        cow_image_ref(argument);
        cow_image_unref(argument);
    }
    return NULL;
}

static void test_threads__refer_to_one_image(void)
{
    pthread_t threads[N_WORKERS];
    struct cow_pool *pool = fixture_pool(1, 1);
    struct cow_image *image = fixture_image(pool, 1, 0, 1, 1);
    for (int i = 0; i < N_WORKERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, refer, image), 0);
    for (int i = 0; i < N_WORKERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(atomic_load(&image->refs), 1);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- many pools at once: the process's list of them ---- */

static void *make_pools(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 100; i++) {
        struct cow_pool *pool = fixture_pool(2, 1);
        struct cow_instance instance = {0};
        EXPECT(pool != NULL && fixture_lend(pool, NULL, 1, 1, &instance) == COW_OK);
        EXPECT(cow_pool_close(pool) == COW_BUSY);
        EXPECT(cow_instance_release(pool, instance) == COW_OK);
        EXPECT(cow_pool_close(pool) == COW_OK);
    }
    return NULL;
}

static void test_threads__make_and_close_pools(void)
{
    struct shared shared = {0};
    pthread_t threads[N_WORKERS];
    for (int i = 0; i < N_WORKERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, make_pools, &shared), 0);
    for (int i = 0; i < N_WORKERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(atomic_load(&shared.n_wrong), 0);
}

/* The one slot is never lent when it is asked for, but a flush may just have it in its hands. */
static void *flush_on(void *argument)
{
    struct shared *shared = argument;
    while (atomic_load(&shared->n_working))
        EXPECT(cow_pool_flush(shared->pool) == COW_OK);
    return NULL;
}

static void test_threads__nothing_is_full_while_a_flush_works(void)
{
    struct shared it = {.pool = fixture_pool(1, N_PAGES)}, *shared = &it;
    const uint64_t page = fixture_page();
    struct cow_instance instance;
    pthread_t flusher;
    atomic_store(&it.n_working, 1);
    CHECK_EQ(pthread_create(&flusher, NULL, flush_on, &it), 0);
    for (int i = 0; i < 20 * N_ROUNDS; i++) {
        struct cow_image *image = i % 2 ? NULL : fixture_image(it.pool, page, 0, 1, 9);
        const int result = fixture_lend(it.pool, image, page, page, &instance);
        EXPECT(result == COW_OK);
        if (result == COW_OK)
            EXPECT(cow_instance_release(it.pool, instance) == COW_OK);
        if (image)
            cow_image_drop(image);
    }
    atomic_store(&it.n_working, 0);
    CHECK_EQ(pthread_join(flusher, NULL), 0);
    CHECK_EQ(atomic_load(&it.n_wrong), 0);
    CHECK_EQ(cow_pool_close(it.pool), COW_OK);
}

/* The same where it is certain: the flush has the slot in its hands until somebody has missed it and waits. */
static sem_t flush_has_it, somebody_waits;
static atomic_bool is_armed, is_held;

int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __wrap_sched_yield(void) /* the pool's only call of it (CMakeLists.txt) */
{
    if (atomic_load(&is_held))
        sem_post(&somebody_waits);
    return __real_sched_yield();
}

static int map_slowly(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                      enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    if (atomic_exchange(&is_armed, false)) {
        atomic_store(&is_held, true);
        sem_post(&flush_has_it);
        sem_wait(&somebody_waits);
    }
    return cow_sys_linux.mmap(self, at, length_bytes, what, where, fd, offset_bytes, ret_at);
}

static void *lend_meanwhile(void *argument)
{
    struct shared *shared = argument;
    struct cow_instance instance;
    sem_wait(&flush_has_it);
    const int result = fixture_lend(shared->pool, NULL, 1, 1, &instance);
    sem_post(&somebody_waits); /* whether it has waited or not */
    EXPECT(result == COW_OK);
    EXPECT(result != COW_OK || cow_instance_release(shared->pool, instance) == COW_OK);
    return NULL;
}

static void test_threads__a_slot_that_a_flush_works_on_is_waited_for(void)
{
    struct cow_sys_table slow = cow_sys_linux;
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 1, .max_bytes = fixture_page(), .sys = &slow};
    struct shared it = {.pool = NULL};
    struct cow_instance instance;
    pthread_t lender;
    slow.mmap = map_slowly;
    CHECK_EQ(cow_pool_create(&config, &it.pool), COW_OK);
    CHECK(sem_init(&flush_has_it, 0, 0) == 0 && sem_init(&somebody_waits, 0, 0) == 0);
    struct cow_image *image = fixture_image(it.pool, fixture_page(), 0, 1, 9);
    CHECK_EQ(fixture_lend(it.pool, image, fixture_page(), fixture_page(), &instance), COW_OK);
    CHECK_EQ(cow_instance_release(it.pool, instance), COW_OK);
    cow_image_drop(image);
    CHECK_EQ(pthread_create(&lender, NULL, lend_meanwhile, &it), 0);
    atomic_store(&is_armed, true);
    CHECK_EQ(cow_pool_flush(it.pool), COW_OK);
    CHECK(!atomic_load(&is_armed));
    CHECK_EQ(pthread_join(lender, NULL), 0);
    CHECK_EQ(atomic_load(&it.n_wrong), 0);
    CHECK_EQ(cow_pool_close(it.pool), COW_OK);
}

int main(void)
{
    RUN(test_threads__share_a_pool_of_one_shard);
    RUN(test_threads__share_a_pool_of_four_shards);
    RUN(test_threads__share_what_waits_to_be_cleaned);
    RUN(test_threads__share_what_idle_slots_may_keep);
    RUN(test_threads__refer_to_one_image);
    RUN(test_threads__make_and_close_pools);
    RUN(test_threads__nothing_is_full_while_a_flush_works);
    RUN(test_threads__a_slot_that_a_flush_works_on_is_waited_for);
    return 0;
}
