/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Time, stamped once for each cycle: by the processor's counter where that runs on at one speed, else by clock_gettime(2). */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

struct bench_clock {
    int is_counter;
    double ns_per_tick;
    double stamp_ticks; /* what one stamp takes, the median */
};

extern struct bench_clock bench_clock;

/* Once, before anything is measured: takes some 20 ms. */
void bench_clock_open(void);

static inline uint64_t bench_nanoseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static inline uint64_t bench_stamp(void)
{
#ifdef __x86_64__
    if (bench_clock.is_counter)
        return __builtin_ia32_rdtsc();
#endif
    return bench_nanoseconds();
}

int bench_compare_doubles(const void *left, const void *right);

/* Sorts them. q from 0 to 1; 0 when there is none. */
double bench_quantile(double *values, unsigned n_values, double q);

#endif
