/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Mutations that know what a program is: operations come and go whole, and new ones come from the generator, which mostly
 * makes operations that do something. Pure: all chance comes from `random`. The one mutator of both engines and of
 * `lockstep gen --mutate`.
 *
 * (M1) What comes out is a program: decode(encode(p)) == p, and so in text. It holds nothing that its world disables, at most
 *      n_max_ops operations, and at most one fork. */
#ifndef RIG_MUTATE_H
#define RIG_MUTATE_H

#include "program.h"

/* Changes the program in place, by one mutation or a few. An empty one becomes a generated one. */
void rig_program_mutate(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program);

/* Replaces the end of the program by an end of the other one, both cut between operations. The world stays. */
void rig_program_splice(struct rig_random *random, uint32_t n_max_ops, const struct rig_program *other,
                        struct rig_program *program);

/* A kernel call to fail: what pools of such a world do most (gen_kernel.c). */
uint8_t rig_some_call(struct rig_random *random, const struct rig_world *world);

/* Tweaks one operand of the operation (tweak.c). */
void rig_op_tweak(struct rig_random *random, const struct rig_world *world, struct rig_op *op);

#endif
