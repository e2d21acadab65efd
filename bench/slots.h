/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The slots of the peers that are bare mechanisms: one reservation, and for each thread a ring of its own, the slot that was idle
 * longest first, as the pool does it.
 *
 *     | image, private file | zero, as the peer likes ... | PROT_NONE up to 4 GiB and the guard | next slot */
#ifndef BENCH_SLOTS_H
#define BENCH_SLOTS_H

#include "contender.h"

struct bench_slots {
    const struct bench_world *world;
    uint8_t *base;
    uint64_t stride_bytes;
    unsigned n_slots; /* a multiple of the threads */
    uint8_t *images;  /* which one each slot maps; n_slots of them */
    int *fds;         /* of each slot, for whom it concerns: -1 at first */
    struct {
        unsigned next;
        char own_line[124];
    } rings[BENCH_MAX_THREADS];
};

/* Reserves; every slot gets its first image. */
const char *bench_slots_open(struct bench_slots *slots, const struct bench_world *world, uint64_t stride_bytes);
void bench_slots_close(struct bench_slots *slots);

/* The next slot of the lease's thread, with its image mapped; fills in the lease. */
const char *bench_slots_take(struct bench_slots *slots, struct bench_lease *lease);

static inline uint8_t *bench_slot_base(const struct bench_slots *slots, unsigned slot)
{
    return slots->base + slot * slots->stride_bytes;
}

#endif
