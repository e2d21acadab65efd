/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Programs about the memory of a real module. */
#ifndef RIG_GEN_MODULE_H
#define RIG_GEN_MODULE_H

#include "module.h"
#include "program.h"

/* The world and image A of a module that was read: its extent, unit, and the places and lengths of its segments; stamps for its
 * bytes, since a stamp names its writer. Of many segments, neighbours are taken as one until a program can hold them: the widest
 * gaps stay, and so do the runs. Of a long memory the part above the last segment is made shorter.
 * Returns NULL; or a sentence, why no program can hold it. */
const char *rig_program_from_module(const struct rig_module *module, struct rig_program *ret_program);

#endif
