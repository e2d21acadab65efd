/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Operations about the kernel: it is advised, it keeps references, its calls fail. */
#include "mutate.h"
#include "record.h"
#include "sketch.h"

#include <string.h>

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

/* What the pool does most, and what its way of growing and resetting does. */
uint8_t rig_some_call(struct rig_random *random, const struct rig_world *world)
{
    static const uint8_t calls[] = {RIG_CALL_MADVISE, RIG_CALL_MADVISE, RIG_CALL_FTRUNCATE,    RIG_CALL_FTRUNCATE,
                                    RIG_CALL_MMAP,    RIG_CALL_MMAP,    RIG_CALL_FCNTL,        RIG_CALL_PWRITE,
                                    RIG_CALL_PWRITE,  RIG_CALL_MUNMAP,  RIG_CALL_MEMFD_CREATE, RIG_CALL_PREAD};
    const unsigned ticket = rig_random_below(random, 12);
    if (ticket < 3 && world->growth != RIG_GROWTH_TRUNCATE)
        return RIG_CALL_MPROTECT;
    if (ticket >= 9 && world->reset >= RIG_RESET_DEFERRED)
        return RIG_CALL_PROCESS_MADVISE;
    if (ticket >= 8 && world->reset != RIG_RESET_DISCARD)
        return RIG_CALL_PAGEMAP_SCAN;
    return calls[rig_random_below(random, sizeof calls)];
}

/* What is done instead where the call fails: that both fail is what nobody tries. */
static uint8_t instead_of(uint8_t call)
{
    switch (call) {
    case RIG_CALL_PROCESS_MADVISE:
    case RIG_CALL_PAGEMAP_SCAN:
    case RIG_CALL_MPROTECT:
        return RIG_CALL_MADVISE;
    default:
        return RIG_CALL_MMAP;
    }
}

/* How many bytes, ranges or stretches such a call may do at most when it falls short (a scan: or a strange answer); 0: it cannot. */
static uint32_t most_of(uint8_t call)
{
    switch (call) {
    case RIG_CALL_PWRITE:
    case RIG_CALL_PREAD:
        return 5000;
    case RIG_CALL_PROCESS_MADVISE:
        return 2;
    case RIG_CALL_PAGEMAP_SCAN:
        return 10;
    default:
        return 0;
    }
}

static uint8_t named(const char *error)
{
    uint8_t i = 0;
    while (strcmp(rig_error_name[i], error) != 0)
        i++;
    return i;
}

/* Half of the time what the pool takes for more than a failure: memory is locked, mappings are short, a file has no seals. */
static uint8_t some_error_of(const struct sketch *sketch, uint8_t call)
{
    if (one_in(sketch, 2) && (call == RIG_CALL_MADVISE || call == RIG_CALL_FCNTL))
        return named("EINVAL");
    if (one_in(sketch, 2) && call == RIG_CALL_MMAP)
        return named("ENOMEM");
    return rig_some_error(below(sketch, 256));
}

/* Programs with faults are slower, and so is what follows a slot that is retired: few. */
bool rig_gen_fault(struct sketch *sketch, struct rig_op *op)
{
    if (!sketch->has_faults)
        return false;
    op->choice = sketch->fails_too ? sketch->fails_too - 1 : rig_some_call(sketch->random, sketch->world);
    op->len = bytes_of(1 + below(sketch, one_in(sketch, 2) ? 2 : 7));
    op->forever = one_in(sketch, 8);
    op->error = some_error_of(sketch, op->choice);
    if (most_of(op->choice) && one_in(sketch, 2)) {
        op->form = RIG_FAULT_SHORT;
        op->error = 0;
        op->len2 = bytes_of(below(sketch, most_of(op->choice) + 1));
    }
    const bool is_pair = !sketch->fails_too && op->form == RIG_FAULT_ERROR && one_in(sketch, 3);
    sketch->fails_too = is_pair ? instead_of(op->choice) + 1 : 0;
    return true;
}
