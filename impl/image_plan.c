/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Joining data into runs. */
#include "image_plan.h"

int cow_image_plan_add(struct cow_image_plan *plan, uint64_t offset_bytes, uint64_t length_bytes)
{
    const uint64_t page = plan->page_bytes;
    if (length_bytes == 0)
        return COW_OK;
    const uint64_t begin = offset_bytes & ~(page - 1);
    const uint64_t end = cow_round_up(offset_bytes + length_bytes, page);
    struct cow_run *last = plan->n_runs ? &plan->runs[plan->n_runs - 1] : NULL;
    const uint64_t last_end = last ? last->offset_bytes + last->length_bytes : 0;
    if (last && begin <= last_end + plan->join_bytes) {
        if (end > last_end) {
            last->length_bytes += end - last_end;
            plan->file_bytes += end - last_end;
        }
        return COW_OK;
    }
    if (plan->n_runs == COW_IMAGE_MAX_RUNS)
        return COW_IMAGE_SPARSE;
    plan->runs[plan->n_runs++] =
        (struct cow_run){.offset_bytes = begin, .length_bytes = end - begin, .file_offset_bytes = plan->file_bytes};
    plan->file_bytes += end - begin;
    return COW_OK;
}
