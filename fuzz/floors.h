/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Against vacuity: what a corpus must have done, or its agreement means little. */
#ifndef RIG_FLOORS_H
#define RIG_FLOORS_H

#include "run.h"

struct rig_tally {
    struct rig_counters sum;
    uint64_t *n_effective; /* of each program, for the median */
    size_t n_programs, n_allocated;
    uint64_t state_hash;
};

void rig_tally_add(struct rig_tally *tally, const struct rig_verdict *verdict);
void rig_tally_free(struct rig_tally *tally);

/* Prints a line for each floor; returns how many are not held. */
int rig_check_floors(FILE *out, struct rig_tally *tally);

#endif
