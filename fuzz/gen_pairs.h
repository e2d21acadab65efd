/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Programs in which every ordered pair of operations occurs, each with an effect on what the other left. */
#ifndef RIG_GEN_PAIRS_H
#define RIG_GEN_PAIRS_H

#include "program.h"

enum rig_pair_world { RIG_PAIR_HOST_PAGES, RIG_PAIR_BYTES, RIG_PAIR_HUNDREDS, RIG_N_PAIR_WORLDS };
extern const char *const rig_pair_world_name[RIG_N_PAIR_WORLDS]; /* "host-pages": what its lengths are counted in */

struct rig_pairs {
    struct rig_program program;
    uint8_t begins[RIG_MAX_OPS]; /* 1 + the kind of the second operation, where its motif begins; else 0 */
};

/* The first operation before each of the others in turn. Always the same program. */
void rig_pairs_generate(enum rig_pair_world world, unsigned first, struct rig_pairs *ret_pairs);

#endif
