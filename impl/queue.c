/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "queue.h"

/* Slots that were taken out of a list go back clean. */
static int clean(struct cow_pool *pool, struct cow_shard *shard, struct cow_slot **slots, uint32_t n)
{
    const int result = cow_slot_clean_many(slots, n, &pool->geometry, &pool->cleaning, &shard->sys);
    for (uint32_t i = 0; i < n; i++) {
        cow_shard_put(shard, slots[i]);
        cow_shard_end_flush(shard);
    }
    return result;
}

int cow_queue_flush(struct cow_pool *pool, struct cow_shard *shard)
{
    struct cow_slot *slots[COW_RESET_AT_ONCE];
    int first_error = 0;
    for (uint32_t n; (n = cow_shard_take_queued(shard, slots, COW_RESET_AT_ONCE)) > 0;) {
        const int result = clean(pool, shard, slots, n);
        first_error = first_error ? first_error : result;
    }
    return first_error;
}

int cow_queue_trim(struct cow_pool *pool, struct cow_shard *shard, uint64_t most_bytes)
{
    struct cow_slot *slots[COW_RESET_AT_ONCE];
    int first_error = 0;
    for (uint32_t n; (n = cow_shard_take_all_to_trim(shard, most_bytes, slots, COW_RESET_AT_ONCE)) > 0;) {
        for (uint32_t i = 0; i < n; i++) {
            cow_slot_trim(slots[i]);
            cow_shard_count(&shard->n_trims);
        }
        const int result = clean(pool, shard, slots, n);
        first_error = first_error ? first_error : result;
    }
    return first_error;
}

int cow_queue_see_to(struct cow_pool *pool, struct cow_shard *shard)
{
    struct cow_slot *slot;
    while (pool->cleaning.reset == COW_RESET_ADAPTIVE &&
           (slot = cow_shard_take_to_trim(shard, pool->cleaning.resident_bytes))) {
        cow_slot_trim(slot);
        cow_shard_count(&shard->n_trims);
        cow_shard_put(shard, slot);
        cow_shard_end_flush(shard);
    }
    return cow_shard_has_full_queue(shard, pool->cleaning.queue_slots) ? cow_queue_flush(pool, shard) : 0;
}
