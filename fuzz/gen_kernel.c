/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Operations about the kernel: it is advised, it keeps references, its calls fail. */
#include "record.h"
#include "sketch.h"

bool rig_gen_advise(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || !reg->steps)
        return false;
    op->at = one_in(sketch, 3) ? place(RIG_EDGE_START, false, 0) : rig_sketch_inside(sketch, reg, 1);
    op->form = RIG_RANGE_TO;
    op->other = place(one_in(sketch, 2) ? RIG_EDGE_END : RIG_EDGE_ACC, false, 0);
    op->choice = (uint8_t)below(sketch, RIG_N_ADVICES);
    return true;
}

bool rig_gen_pin(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || !reg->steps)
        return false;
    op->form = RIG_PIN_WHOLE;
    if (one_in(sketch, 2)) {
        const uint32_t width = 1 + below(sketch, at_most(length_of(sketch, reg), 2 * PAGE_BYTES));
        op->form = RIG_RANGE_LEN;
        op->at = rig_sketch_inside(sketch, reg, width);
        op->len = bytes_of(width);
    }
    sketch->n_pinned++;
    return true;
}

/* Of somebody who is gone, most often. */
bool rig_gen_unpin(struct sketch *sketch, struct rig_op *op)
{
    if (!sketch->n_pinned || !rig_sketch_live(sketch, op))
        return false;
    sketch->n_pinned--;
    op->form = RIG_PIN_WHOLE;
    op->age = (uint8_t)below(sketch, 3);
    return true;
}

/* What fails is what the pool does most. Programs with faults are slower, and so is what follows a slot that is retired: few. */
bool rig_gen_fault(struct sketch *sketch, struct rig_op *op)
{
    static const uint8_t calls[] = {RIG_CALL_MADVISE, RIG_CALL_MADVISE, RIG_CALL_FTRUNCATE,   RIG_CALL_FTRUNCATE,
                                    RIG_CALL_MMAP,    RIG_CALL_MMAP,    RIG_CALL_FCNTL,       RIG_CALL_PWRITE,
                                    RIG_CALL_PWRITE,  RIG_CALL_MUNMAP,  RIG_CALL_MEMFD_CREATE};
    if (!sketch->has_faults)
        return false;
    op->choice = calls[below(sketch, sizeof calls)];
    op->len = bytes_of(1 + below(sketch, one_in(sketch, 2) ? 2 : 7));
    op->forever = one_in(sketch, 8);
    op->error = rig_some_error(below(sketch, 256));
    if (op->choice == RIG_CALL_PWRITE && one_in(sketch, 2)) {
        op->form = RIG_FAULT_SHORT;
        op->error = 0;
        op->len2 = bytes_of(one_in(sketch, 8) ? 0 : 1 + below(sketch, 5000));
    }
    return true;
}
