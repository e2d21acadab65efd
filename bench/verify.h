/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Whether a contender does the work that its time is taken for. */
#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include "cycle.h"

/* Leases, stains and releases in a small world of the same kind: what is lent must equal the image, grow by zeros, and end where it says. NULL, or
 * what is wrong; *ret_is_absent: it could not be opened at all. */
const char *bench_verify(const struct bench_contender *contender, const struct bench_world *world,
                         const struct bench_plan *plan, int *ret_is_absent);

/* The same of what is lent now, after all the cycles: some slots of it. */
const char *bench_verify_after(const struct bench_contender *contender, const struct bench_world *world, void *state);

#endif
