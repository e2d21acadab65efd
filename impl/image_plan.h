/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Which runs an image has. Data is added in ascending order; each stretch of it takes the host pages that it touches, and a gap of
 * at most join_bytes to the pages before is closed.
 *
 *     data          #####   ##                          ####
 *     runs       |##########|                         |######|      the gap was short: one run. The gap was long: two
 */
#ifndef COW_IMAGE_PLAN_H
#define COW_IMAGE_PLAN_H

#include "image.h"

struct cow_image_plan {
    uint64_t page_bytes, join_bytes;
    uint64_t file_bytes; /* the lengths of all runs; each one's file offset is what came before it */
    uint32_t n_runs;
    struct cow_run runs[COW_IMAGE_MAX_RUNS];
};

/* Data at [offset_bytes, offset_bytes + length_bytes), which does not begin before what was added before. None takes no memory.
 * COW_IMAGE_SPARSE: there would be too many runs. */
int cow_image_plan_add(struct cow_image_plan *plan, uint64_t offset_bytes, uint64_t length_bytes);

#endif
