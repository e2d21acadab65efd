/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A fork while another thread is mapping a slot: between a mapping and its MADV_DONTFORK the child inherited the slot, with the
 * parent's extension file shared in it. (Not a test_threads: forks under ThreadSanitizer are a world of their own.) */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <pthread.h>

enum { N_PAGES = 8, N_FORKS = 1000 };

static struct cow_pool *pool;
static atomic_bool over;

static void *pave(void *argument)
{
    struct cow_instance instance;
    (void)argument;
    for (uint64_t i = 0; !atomic_load(&over); i++) /* another E each time: always cold */
        if (fixture_lend(pool, NULL, (1 + i % 4) * fixture_page(), N_PAGES * fixture_page(), &instance) == COW_OK)
            (void)cow_instance_release(pool, instance);
    return NULL;
}

static int slot_is_inaccessible(void)
{
    CLAIM(process_n_mappings("cowpool-extension") == 0);
    CLAIM(process_mapped_bytes(pool->slots[0].base, N_PAGES * fixture_page(), "---p") == N_PAGES * fixture_page());
    return 0;
}

static void test_fork__while_another_thread_maps_a_slot(void)
{
    pthread_t thread;
    int n_wrong = 0;
    CHECK((pool = fixture_pool(1, N_PAGES)) != NULL);
    CHECK_EQ(pthread_create(&thread, NULL, pave, NULL), 0);
    for (int i = 0; i < N_FORKS; i++)
        n_wrong += process_in_child(slot_is_inaccessible) != 0;
    atomic_store(&over, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(n_wrong, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

int main(void)
{
    RUN(test_fork__while_another_thread_maps_a_slot);
    return 0;
}
