/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What programs met, beyond the pool's lines, which a fuzzer has all covered in a minute: which operation followed which on a slot,
 * in which state of the slot; and which result each operation had at each edge. Engines take the counters as coverage of their
 * own, so that they stay informed; `lockstep run --matrix` prints them. */
#ifndef RIG_MATRIX_H
#define RIG_MATRIX_H

#include "cowpool.h"
#include "program.h"

/* Before the operation, of the slot that it is about: 0 no live instance; else 1 + grown + 2 * written + 4 * has an image. Of an
 * instantiate, after it: 1 + shorter than the slot's tenant before + 2 * warm + 4 * has an image. */
enum { RIG_N_SLOT_STATES = 9 };
/* Fine, a refusal, the engine's own refusal, a trap, an injected error. */
enum { RIG_N_RESULTS = COW_N_REFUSALS + 3 };

/* Counters that stop at 255; bytes and nothing else, so that an engine can have them as they are. */
struct rig_matrix {
    uint8_t pairs[RIG_N_KINDS][RIG_N_KINDS][RIG_N_SLOT_STATES]; /* [the one before][this one][state] */
    uint8_t results[RIG_N_KINDS][RIG_N_EDGES][RIG_N_RESULTS];
};

/* For people: a table of pairs, with how many states each was seen in, and a table of results. */
void rig_matrix_print(FILE *out, const struct rig_matrix *matrix);

/* For other tools, one object without a line's end: the sums that the tables for people end with; and of each operation how often it had
 * which result, or "nothing" to do, and in how many states which others followed it on a slot. */
struct rig_counters;
void rig_matrix_print_json(FILE *out, const struct rig_matrix *matrix, const struct rig_counters *counters);

#endif
