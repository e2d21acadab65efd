/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each part of what the pool says of a trap's address is looked at: here it says one of them wrong at a time. The pool itself calls the
 * function below instead of its own. */
#include "lying.h"

#define cow_pool_locate honestly_locate
struct cow_location honestly_locate(const struct cow_pool *pool, const void *address);
#include "locate.c"
#undef cow_pool_locate

static enum lie { TRUTH, SLOT, INSTANCE, OFFSET, ACCESSIBLE, PLACE } lie;

struct cow_location cow_pool_locate(const struct cow_pool *pool, const void *address)
{
    struct cow_location location = honestly_locate(pool, address);
    if (!is_lying())
        return location;
    location.slot += lie == SLOT;
    location.instance.id += lie == INSTANCE;
    location.offset_bytes += lie == OFFSET;
    location.accessible_bytes += lie == ACCESSIBLE;
    location.place = lie == PLACE ? COW_PLACE_HOST_FAULT : location.place;
    return location;
}

static void expect_seen(enum lie which)
{
    static const char program[] =
        "cowpool-ops 1\npool slots=2 max=8P probe=none\ninstantiate i0 none initial=2P\nflush\nprobe i0 acc";
    lie = which;
    lying_expect(program, "divergence: locate probe beyond", 2);
}

static void test_oracles__a_trap_in_another_slot_is_seen(void)
{
    expect_seen(SLOT);
}

static void test_oracles__a_trap_of_another_instance_is_seen(void)
{
    expect_seen(INSTANCE);
}

static void test_oracles__a_trap_at_another_offset_is_seen(void)
{
    expect_seen(OFFSET);
}

static void test_oracles__a_trap_behind_another_accessible_length_is_seen(void)
{
    expect_seen(ACCESSIBLE);
}

static void test_oracles__a_trap_that_is_said_to_be_the_host_s_is_seen(void)
{
    expect_seen(PLACE);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__a_trap_in_another_slot_is_seen);
    RUN(test_oracles__a_trap_of_another_instance_is_seen);
    RUN(test_oracles__a_trap_at_another_offset_is_seen);
    RUN(test_oracles__a_trap_behind_another_accessible_length_is_seen);
    RUN(test_oracles__a_trap_that_is_said_to_be_the_host_s_is_seen);
    return 0;
}
