/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Guests trap in several threads at once: each call gets its own fault, at its own address. */
#include "fixture.h"
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { N_THREADS = 4, N_ROUNDS = 2000 };

static struct cow_pool *pool;
static atomic_int n_wrong;

#define EXPECT(condition) ((condition) ? (void)0 : (void)atomic_fetch_add(&n_wrong, 1))

static void store(void *address)
{
    *(volatile uint8_t *)address = 1;
}

static void *trap_all_the_time(void *argument)
{
    const uint64_t page = fixture_page();
    struct cow_instance instance = {0};
    (void)argument;
    EXPECT(fixture_lend(pool, NULL, page, 4 * page, &instance) == COW_OK);
    const struct cow_memory memory = fixture_memory(pool, instance);
    for (uint64_t i = 0; i < N_ROUNDS; i++) {
        struct cow_location location = {0};
        const uint64_t offset_bytes = i * 997 % (5 * page); /* accessible, past the end, guard */
        const int result = cow_trap_call(pool, store, memory.base + offset_bytes, &location);
        EXPECT(result == (offset_bytes >= page));
        if (result)
            EXPECT(location.place == COW_PLACE_OUT_OF_BOUNDS && location.slot == memory.slot &&
                   location.offset_bytes == offset_bytes && location.instance.id == instance.id &&
                   location.accessible_bytes == page);
        else
            EXPECT(memory.base[offset_bytes] == 1);
    }
    EXPECT(cow_instance_release(pool, instance) == COW_OK);
    return NULL;
}

static void test_threads__trap_at_once(void)
{
    pthread_t threads[N_THREADS];
    CHECK((pool = fixture_pool(N_THREADS, 4)) != NULL);
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, trap_all_the_time, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(atomic_load(&n_wrong), 0);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static void *install(void *argument)
{
    (void)argument;
    EXPECT(cow_trap_install() == 0);
    return NULL;
}

static void test_threads__install_the_handlers_at_once(void)
{
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, install, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(atomic_load(&n_wrong), 0);
}

int main(void)
{
    RUN(test_threads__install_the_handlers_at_once);
    RUN(test_threads__trap_at_once);
    return 0;
}
