/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Strict overcommit (vm.overcommit_memory = 2): every private page that can be written is promised by the kernel when it is mapped,
 * and refused when there are no more promises. For the whole machine, so for a moment only. */
#include "pressure.h"

#include <errno.h>

#define GIB (UINT64_C(1) << 30)
#define N_SLOTS 64u

/* Zero, and then not: a byte at each of a few places. */
static void use(const struct cow_memory *memory)
{
    for (uint64_t at = 0; at < memory->length_bytes; at += GIB / 4) {
        CHECK_EQ(memory->base[at], 0);
        memory->base[at] = 0x5a;
    }
}

/* Lends all that is promised. Returns how many leases there are; *ret_result is what ended it. */
static unsigned lend_until_refused(struct cow_pool *pool, struct cow_instance *instances, int *ret_result)
{
    const struct cow_instance_config config = {.initial_bytes = 4 * GIB, .max_bytes = 4 * GIB};
    struct cow_memory memory;
    unsigned n = 0;
    for (; n < N_SLOTS; n++) {
        *ret_result = cow_instantiate(pool, &config, &instances[n]);
        if (*ret_result)
            return n;
        CHECK_EQ(cow_instance_memory(pool, instances[n], &memory), COW_OK);
        use(&memory);
    }
    return n;
}

void press_overcommit(void)
{
    const struct cow_pool_config config = {.growth = COW_GROWTH_TRUNCATE,
                                           .reset = COW_RESET_DISCARD,
                                           .n_slots = N_SLOTS,
                                           .max_bytes = 4 * GIB,
                                           .guard_bytes = 4 * GIB};
    const struct cow_instance_config empty = {.max_bytes = 4 * GIB};
    struct cow_instance instances[N_SLOTS], small;
    struct cow_memory memory;
    struct cow_pool *pool;
    struct cow_stats stats;
    uint64_t old_bytes;
    int result = COW_OK;
    if (press_number("/proc/sys/vm/overcommit_memory", NULL) != 2)
        CHECK_SKIP("vm.overcommit_memory is not 2");
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK); /* 512 GiB, and no promise */
    const unsigned n = lend_until_refused(pool, instances, &result);
    if (n == N_SLOTS)
        CHECK_SKIP("this machine promises more than 256 GiB");
    CHECK_EQ(result, -ENOMEM);
    CHECK_EQ(cow_pool_stats(pool, &stats), COW_OK);
    CHECK_EQ(stats.n_live, n);
    CHECK_EQ(stats.n_lost, 0);
    CHECK_EQ(stats.n_retired, 1);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_instantiate(pool, &empty, &small), COW_OK); /* a slot that is all extension needs no promise */
    CHECK_EQ(cow_instance_grow(pool, small, 4 * GIB, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_memory(pool, small, &memory), COW_OK);
    use(&memory);
    CHECK_EQ(cow_instance_release(pool, small), COW_OK);
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(lend_until_refused(pool, instances, &result), n); /* idle slots have kept theirs, and are warm */
    CHECK_EQ(result, -ENOMEM);
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    press_note("%u memories of 4 GiB were promised, the next was refused; a pool of %u needs none", n, N_SLOTS);
}
