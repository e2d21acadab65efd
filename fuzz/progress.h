/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the fuzz targets have done so far, for the live line of `make fuzz`: a file of counters that all processes of a
 * session map and add to. Its name is in RIG_COUNTERS; without that, nothing is kept. */
#ifndef RIG_PROGRESS_H
#define RIG_PROGRESS_H

#include <stdint.h>

/* Little-endian words in the file, in this order. `covered` begins behind them: a byte for each edge that AFL++ has seen
 * (libFuzzer tells its coverage itself). */
struct rig_progress {
    uint64_t n_inputs, n_operations, n_effective, n_traps, n_divergences;
    uint64_t n_unable; /* inputs that this machine cannot run */
};

/* Adds one process's counts since its last call. Call it within LLVMFuzzerTestOneInput() only: the first call opens the file,
 * and under AFL++ that must be behind the fork server. */
void rig_progress_add(const struct rig_progress *counts);

#endif
