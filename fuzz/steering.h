/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Coverage of our own for the engines, beside that of the pool's code: the matrix of what a program met (matrix.h). */
#ifndef RIG_STEERING_H
#define RIG_STEERING_H

#include "matrix.h"

/* Before an input: the matrix to fill. After it: the engine is told. */
struct rig_matrix *rig_steering_begin(void);
void rig_steering_end(void);

#endif
