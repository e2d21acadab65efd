/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The slots of the peers that are bare mechanisms: one reservation, and for each thread slots of its own, of which it takes the one last
 * given back that maps the image, as the pool and wasmtime do.
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
    int *fds;         /* of each slot, for whom it concerns: -1 at first */
    struct bench_idle {
        unsigned *slots[BENCH_MAX_IMAGES]; /* that map this image; the last one is taken first */
        unsigned n_slots[BENCH_MAX_IMAGES];
        char own_line[96];
    } idle[BENCH_MAX_THREADS];
};

/* Reserves; every slot gets its first image. */
const char *bench_slots_open(struct bench_slots *slots, const struct bench_world *world, uint64_t stride_bytes);
void bench_slots_close(struct bench_slots *slots);

/* A slot of the lease's thread, with its image mapped; fills in the lease. And gives it back. */
const char *bench_slots_take(struct bench_slots *slots, struct bench_lease *lease);
void bench_slots_give(struct bench_slots *slots, const struct bench_lease *lease);

static inline uint8_t *bench_slot_base(const struct bench_slots *slots, unsigned slot)
{
    return slots->base + slot * slots->stride_bytes;
}

#endif
