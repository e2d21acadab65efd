/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A shard: some of the pool's slots, their lists, and one lock. Kernel calls are never made under the lock: a slot is taken out
 * of its list first.
 *
 * (D1) Every slot of the shard is in exactly one list, by its state (BARE, IDLE, QUEUED, RETIRED), or in none: LIVE, in transit between
 *      a take and a put, or lost.
 * (D2) An IDLE slot in a list is also in the bucket of its (image, E).
 * (D3) The idle list is ordered by when a slot was put: the longest idle first.
 * (D4) n_idle, n_queued and idle_bytes are what the lists hold. */
#ifndef COW_SHARD_H
#define COW_SHARD_H

#include "reset.h"

struct cow_slot_list {
    struct cow_slot *first, *last;
};

struct cow_shard {
    pthread_mutex_t lock;                             /* no lock is taken under it */
    struct cow_slot_list lists[COW_SLOT_RETIRED + 1]; /* by state; the one for LIVE stays empty */
    struct cow_slot **buckets; /* warm slots, most recently put first; those without pages behind the first */
    uint32_t n_buckets;        /* a power of two */
    uint32_t warm_slots;       /* when so many slots are idle, the one idle longest is taken rather than a bare one */
    uint32_t n_idle, n_queued; /* in the lists */
    uint64_t idle_bytes;       /* private pages that IDLE slots in the list keep */
    struct cow_sys sys;        /* the calls made for this shard's slots */
    /* Relaxed counters, summed when somebody asks. */
    atomic_uint_fast64_t n_live, n_instantiations, n_warm, n_repaved, n_grows, n_resets, n_failed_resets, n_lost;
    atomic_uint_fast64_t n_cleaned[COW_N_CLEANED], n_deferred, n_trims;
    atomic_uint_fast64_t n_flushes_begun, n_flushes_ended; /* of single slots; the difference is under way */
};

int cow_shard_init(struct cow_shard *shard, const struct cow_sys_table *table, uint32_t n_slots, uint32_t warm_slots);
void cow_shard_destroy(struct cow_shard *shard);

/* A slot for this image and E: warm for them, else bare, or, once warm_slots are idle, the one idle longest; NULL if there is none. */
struct cow_slot *cow_shard_take(struct cow_shard *shard, const struct cow_image *image, uint64_t paved_bytes);
/* The one that is idle longest. */
struct cow_slot *cow_shard_take_idle(struct cow_shard *shard);
/* Some of the queue, the longest waiting first, and how many. Until cow_shard_end_flush(), once for each, they are free slots that are
 * only not in their list for a moment. */
uint32_t cow_shard_take_queued(struct cow_shard *shard, struct cow_slot **ret_slots, uint32_t n_max);
/* An idle slot that keeps pages, if all together keep more than so many bytes: one of those idle longest. */
struct cow_slot *cow_shard_take_to_trim(struct cow_shard *shard, uint64_t most_bytes);
/* Some such slots, the longest idle first, and how many: without them, and if there is room for all, no more is kept than that. The
 * same holds of them as of the queue. */
uint32_t cow_shard_take_all_to_trim(struct cow_shard *shard, uint64_t most_bytes, struct cow_slot **ret_slots,
                                    uint32_t n_max);
struct cow_slot *cow_shard_take_retired(struct cow_shard *shard);
/* Takes this slot if it is idle and its image is dead. Until cow_shard_end_flush() it is a free slot that is only not in its
 * list for a moment. */
bool cow_shard_take_if_dead(struct cow_shard *shard, struct cow_slot *slot);
void cow_shard_end_flush(struct cow_shard *shard);
/* Whether an idle slot is in its bucket (D2). */
bool cow_shard_has_warm(struct cow_shard *shard, const struct cow_slot *slot);
/* Puts a slot that is not LIVE into the list of its state; a lost one into none. */
void cow_shard_put(struct cow_shard *shard, struct cow_slot *slot);

/* Slots that an error took out of service and that may be repaved: few, so they are counted when somebody asks. */
uint32_t cow_shard_count_retired(struct cow_shard *shard);
/* Adds to the two what waits to be cleaned, and what idle slots keep. */
void cow_shard_count_waiting(struct cow_shard *shard, uint64_t *n_queued, uint64_t *idle_bytes);

bool cow_shard_has_full_queue(struct cow_shard *shard, uint32_t queue_slots);

static inline void cow_shard_count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
