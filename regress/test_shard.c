/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Lists of slots (shard.h), without a pool and without a kernel. */
#include "harness.h"

#include "shard.h"

#include <stdlib.h>

enum { N_SLOTS = 12, LOOKED_AT = 8 /* slots that one trim looks at before it takes the last */ };

static struct cow_shard shard;
static struct cow_slot *slots; /* N_SLOTS */

/* One slot for each letter, put in that order: p is idle and keeps a thousand bytes, e is idle and keeps nothing, q is queued. */
static void put_all(const char *letters)
{
    CHECK_EQ(cow_shard_init(&shard, &cow_sys_linux, N_SLOTS, 0), 0);
    slots = calloc(N_SLOTS, sizeof *slots);
    CHECK(slots != NULL);
    for (uint32_t i = 0; letters[i]; i++) {
        slots[i].state = letters[i] == 'q' ? COW_SLOT_QUEUED : COW_SLOT_IDLE;
        slots[i].private_bytes = letters[i] == 'p' ? 1000 : 0;
        cow_shard_put(&shard, &slots[i]);
    }
}

static void check_and_destroy(uint32_t n_idle, uint32_t n_queued, uint64_t idle_bytes, uint64_t n_flushes)
{
    CHECK_EQ(shard.n_idle, n_idle);
    CHECK_EQ(shard.n_queued, n_queued);
    CHECK_EQ(shard.idle_bytes, idle_bytes);
    CHECK_EQ(shard.n_flushes_begun, n_flushes);
    cow_shard_destroy(&shard);
    free(slots);
}

static void test_shard__no_more_of_the_queue_are_taken_than_there_is_room_for(void)
{
    struct cow_slot *taken[4] = {NULL};
    put_all("qqeqq");
    CHECK_EQ(cow_shard_take_queued(&shard, taken, 3), 3);
    CHECK(taken[0] == &slots[0] && taken[1] == &slots[1] && taken[2] == &slots[3] && !taken[3]);
    CHECK_EQ(shard.n_queued, 1);
    CHECK_EQ(cow_shard_take_queued(&shard, taken, 3), 1);
    CHECK(taken[0] == &slots[4]);
    CHECK_EQ(cow_shard_take_queued(&shard, taken, 3), 0);
    check_and_destroy(1, 0, 0, 4);
}

/* -1: none. */
static void check_trim(const char *letters, uint64_t most_bytes, int expected)
{
    put_all(letters);
    const uint32_t n_idle = shard.n_idle;
    const uint64_t idle_bytes = shard.idle_bytes;
    const struct cow_slot *slot = cow_shard_take_to_trim(&shard, most_bytes);
    CHECK_EQ(slot ? slot - slots : -1, expected);
    check_and_destroy(n_idle - (slot != NULL), 0, idle_bytes - (slot ? slot->private_bytes : 0), slot != NULL);
}

static void test_shard__a_trim_takes_who_keeps_pages_and_was_idle_longest(void)
{
    check_trim("pp", 1999, 0);
    check_trim("pp", 2000, -1);
    check_trim("epp", 0, 1);
    check_trim("eeeeeeepep", 0, LOOKED_AT - 1);
}

/* The walk is short; who has just come is looked at in any case, so that what comes goes. */
static void test_shard__a_trim_looks_at_few(void)
{
    check_trim("eeeeeeeepp", 0, 9);
    check_trim("eeeeeeeepe", 0, -1);
    check_trim("eeeeeeeee", 0, -1);
}

static void test_shard__all_that_is_kept_too_much_is_taken(void)
{
    struct cow_slot *taken[3] = {NULL};
    put_all("epepp");
    CHECK_EQ(cow_shard_take_all_to_trim(&shard, 1000, taken, 3), 2);
    CHECK(taken[0] == &slots[1] && taken[1] == &slots[3]);
    check_and_destroy(3, 0, 1000, 2);
    put_all("epepp");
    taken[1] = NULL;
    CHECK_EQ(cow_shard_take_all_to_trim(&shard, 0, taken, 1), 1);
    CHECK(taken[0] == &slots[1] && !taken[1]);
    check_and_destroy(4, 0, 2000, 1);
}

int main(void)
{
    RUN(test_shard__no_more_of_the_queue_are_taken_than_there_is_room_for);
    RUN(test_shard__a_trim_takes_who_keeps_pages_and_was_idle_longest);
    RUN(test_shard__a_trim_looks_at_few);
    RUN(test_shard__all_that_is_kept_too_much_is_taken);
    return 0;
}
