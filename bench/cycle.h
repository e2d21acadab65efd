/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One contender in one cell, in a process of its own: it is verified, warmed, and then runs batches of cycles when it is told to.
 *
 *     starter                          contender's process
 *       bench_cycle_start ──────────────> open in small, verify, open, warm
 *       bench_cycle_round ──────────────> a batch: some cycles, then as many as make the time, each stamped
 *       ... (the other contenders') ...
 *       bench_cycle_end ────────────────> is everything still as it should? close
 *
 * Results are written where both see them. */
#ifndef BENCH_CYCLE_H
#define BENCH_CYCLE_H

#include "world.h"

#include <sys/types.h>

enum { BENCH_MAX_ROUNDS = 31, BENCH_MAX_SAMPLES = 1 << 15 };

/* How long it may take. */
struct bench_schedule {
    unsigned n_rounds;
    double batch_seconds, warm_seconds; /* of each contender: in each round; at most, before the first */
};

struct bench_result {
    enum bench_status status;
    char why[240];
    unsigned n_rounds;
    double round_ns[BENCH_MAX_ROUNDS]; /* of one cycle, the mean over a batch and the threads */
    unsigned n_disturbed;              /* of the batches: other work of the machine came in between */
    uint64_t n_cycles;                 /* that were stamped */
    double faults;                     /* minor ones of a cycle, in the last round */
    unsigned n_samples;
    float samples[BENCH_MAX_SAMPLES]; /* ns of single cycles */
};

struct bench_process {
    const struct bench_contender *contender;
    struct bench_result *result; /* shared */
    pid_t pid;                   /* 0: it is gone */
    int to_fd, from_fd;
};

/* The pages that cycles touch, made once for a cell and the same for everybody: byte offsets in the image. */
struct bench_plan {
    unsigned n_sets; /* of work.n_dirty offsets each; a power of two */
    uint64_t *dirty, *reads;
};

const char *bench_plan_open(struct bench_plan *plan, const struct bench_world *world);
void bench_plan_close(struct bench_plan *plan);

/* Waits until it is ready, or is not (see result->status). The result begins with zeros. */
void bench_cycle_start(struct bench_process *process, const struct bench_contender *contender,
                       const struct bench_world *world, const struct bench_plan *plan,
                       const struct bench_schedule *schedule, struct bench_result *result);
void bench_cycle_round(struct bench_process *process);
void bench_cycle_end(struct bench_process *process);

#endif
