/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The images of a cell, and the words that all benchmarks have in common. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "contender.h"

enum { BENCH_STAIN = 0xee }; /* what the harness writes; no byte of an image */

/* How much is measured: what a test needs; two minutes; all. */
enum bench_size { BENCH_SMALLEST, BENCH_QUICK, BENCH_FULL };
int bench_size_of(const char *name, enum bench_size *ret_size); /* not 0: there is none */

enum bench_status {
    BENCH_MEASURED,
    BENCH_SKIPPED, /* it cannot be had here */
    BENCH_REFUSED, /* it does not do the work */
    BENCH_FAILED,  /* it crashed, or took for ever */
};
const char *bench_status_name(enum bench_status status);
const char *bench_kind_name(enum bench_kind kind);

/* Makes the images of this work, dense, and the files of them. NULL, or why not. */
const char *bench_world_open(struct bench_world *world, const struct bench_work *work);
void bench_world_close(struct bench_world *world);

#endif
