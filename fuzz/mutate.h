/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Mutations that know what a program is: operations come and go whole, and new ones come from the generator, which mostly
 * makes operations that do something. Pure: all chance comes from `random`. */
#ifndef RIG_MUTATE_H
#define RIG_MUTATE_H

#include "program.h"

/* Changes the program in place, to at most n_max_ops operations. An empty one becomes a generated one. */
void rig_program_mutate(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program);

#endif
