/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The generator's sketch of a run (gen.c, gen_kernel.c). */
#ifndef RIG_SKETCH_H
#define RIG_SKETCH_H

#include "program.h"

#define PAGE_BYTES 4096u
#define MAX_DATA_BYTES 6000u

struct sketch_image {
    bool exists;
    uint32_t extent_bytes, data_end_bytes;
    uint8_t n_segments;
    uint32_t segment_bytes[RIG_MAX_SEGMENT + 1];
};

struct sketch_register {
    bool is_live, is_dirty;
    uint8_t image;
    uint32_t steps, initial_steps, max_steps;
};

struct sketch {
    struct rig_random *random;
    struct rig_world *world;
    uint8_t step_unit; /* a length of k steps is written k * step_n of this unit */
    uint32_t step_n, step_bytes, max_steps;
    uint32_t n_live;
    uint32_t n_pending_data; /* data operations that the newest image still gets */
    uint8_t newest;
    bool has_dropped;
    bool has_faults;   /* the program is one of those in which kernel calls fail */
    uint8_t fails_too; /* 1 + the call that the next operation makes fail, or 0 */
    uint32_t n_pinned;
    struct sketch_image images[RIG_N_IMAGES];
    struct sketch_register registers[RIG_N_REGISTERS];
};

static inline uint32_t below(const struct sketch *sketch, uint32_t bound)
{
    return rig_random_below(sketch->random, bound);
}

static inline bool one_in(const struct sketch *sketch, uint32_t n)
{
    return below(sketch, n) == 0;
}

static inline uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

static inline struct rig_size bytes_of(uint32_t n)
{
    return (struct rig_size){.n = n, .unit = RIG_UNIT_BYTES};
}

static inline struct rig_at place(unsigned edge, bool minus, uint32_t n_bytes)
{
    return (struct rig_at){.edge = (uint8_t)edge, .minus = minus && n_bytes, .offset = bytes_of(n_bytes)};
}

static inline uint32_t length_of(const struct sketch *sketch, const struct sketch_register *reg)
{
    return reg->steps * sketch->step_bytes;
}

/* One that is live, into op->reg; NULL if there is none. */
struct sketch_register *rig_sketch_live(const struct sketch *sketch, struct rig_op *op);
/* Where `width` bytes fit, near something interesting; length >= width. */
struct rig_at rig_sketch_inside(const struct sketch *sketch, const struct sketch_register *reg, uint32_t width);

/* One operation each: false if it would have no effect now. */
bool rig_gen_advise(struct sketch *sketch, struct rig_op *op);
bool rig_gen_pin(struct sketch *sketch, struct rig_op *op);
bool rig_gen_unpin(struct sketch *sketch, struct rig_op *op);
bool rig_gen_fault(struct sketch *sketch, struct rig_op *op);

#endif
