/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Programs that do something. The generator keeps a sketch of the run: which images exist, which registers are lent,
 * how long each memory is. A sketch may be wrong (a host page is taken for 4 KiB, nothing is refused in it), never
 * harmful: every program is legal. Lengths are counted in *steps*, the world's unit, so that they are multiples of it.
 *
 * One operation in about sixteen is wrong on purpose: a stale handle, a place outside. */
#include "sketch.h"

#include <string.h>

uint64_t rig_random_next(struct rig_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t rig_random_below(struct rig_random *random, uint32_t bound)
{
    return bound ? (uint32_t)((rig_random_next(random) >> 32) * bound >> 32) : 0;
}

/* ---- sizes and places ---- */

static struct rig_size steps_of(const struct sketch *sketch, uint32_t steps)
{
    uint32_t n = steps * sketch->step_n;
    return (struct rig_size){.n = n, .unit = n ? sketch->step_unit : (uint8_t)RIG_UNIT_BYTES};
}

/* Below `limit`, most often beside a multiple of the page. */
static uint32_t near_page(const struct sketch *sketch, uint32_t limit)
{
    if (one_in(sketch, 3) || limit < PAGE_BYTES)
        return below(sketch, limit);
    uint32_t page = (1 + below(sketch, limit / PAGE_BYTES)) * PAGE_BYTES;
    uint32_t distance = below(sketch, 20);
    uint32_t n = one_in(sketch, 3) ? page + distance : page - distance;
    return n < limit ? n : limit - 1;
}

static uint32_t steps_for(const struct sketch *sketch, uint32_t n_bytes)
{
    return (n_bytes + sketch->step_bytes - 1) / sketch->step_bytes;
}

/* min .. max */
static uint32_t some_steps(const struct sketch *sketch, uint32_t min, uint32_t max)
{
    if (min >= max)
        return min;
    if (sketch->step_bytes >= PAGE_BYTES)
        return min + below(sketch, max - min + 1);
    uint32_t n_bytes = near_page(sketch, (max - min + 1) * sketch->step_bytes);
    return at_most(min + n_bytes / sketch->step_bytes, max);
}

/* ---- picking from what exists ---- */

static int some_image(const struct sketch *sketch, uint32_t max_bytes)
{
    unsigned start = below(sketch, RIG_N_IMAGES);
    for (unsigned i = 0; i < RIG_N_IMAGES; i++) {
        unsigned image = (start + i) % RIG_N_IMAGES;
        if (sketch->images[image].exists && sketch->images[image].extent_bytes <= max_bytes)
            return (int)image;
    }
    return -1;
}

static int some_register(const struct sketch *sketch, bool live)
{
    unsigned n = at_most(sketch->world->n_slots + 1u, RIG_N_REGISTERS);
    unsigned start = below(sketch, n);
    for (unsigned i = 0; i < n; i++)
        if (sketch->registers[(start + i) % n].is_live == live)
            return (int)((start + i) % n);
    return -1;
}

struct sketch_register *rig_sketch_live(const struct sketch *sketch, struct rig_op *op)
{
    int reg = some_register(sketch, true);
    if (reg < 0)
        return NULL;
    op->reg = (uint8_t)reg;
    return (struct sketch_register *)&sketch->registers[reg];
}

/* Where `width` bytes fit, near something interesting; the caller made sure that length >= width. */
struct rig_at rig_sketch_inside(const struct sketch *sketch, const struct sketch_register *reg, uint32_t width)
{
    uint32_t length = length_of(sketch, reg);
    uint32_t slack = length - width;
    uint32_t data_end = reg->image < RIG_N_IMAGES ? sketch->images[reg->image].data_end_bytes : 0;
    uint32_t distance = below(sketch, at_most(slack, 16) + 1);
    switch (below(sketch, 4)) {
    case 0:
        return place(RIG_EDGE_END, true, width + distance);
    case 1:
        if (data_end >= width && data_end <= length)
            return place(RIG_EDGE_IMAGE, true, width + below(sketch, at_most(data_end - width, 16) + 1));
        return place(RIG_EDGE_START, false, distance);
    case 2:
        if (data_end && data_end + distance + width <= length)
            return place(RIG_EDGE_IMAGE, false, distance);
        return place(RIG_EDGE_START, false, below(sketch, slack + 1));
    default:
        return place(RIG_EDGE_START, false, near_page(sketch, slack + 1));
    }
}

static struct rig_at outside(const struct sketch *sketch)
{
    static const uint8_t edges[] = {RIG_EDGE_END, RIG_EDGE_ACC,  RIG_EDGE_ACC,
                                    RIG_EDGE_MAX, RIG_EDGE_SLOT, RIG_EDGE_PREV};
    unsigned edge = edges[below(sketch, sizeof edges)];
    return place(edge, edge == RIG_EDGE_SLOT || one_in(sketch, 2), below(sketch, 9));
}

/* ---- one function for each kind: false if it would have no effect now ---- */

static bool gen_image(struct sketch *sketch, struct rig_op *op)
{
    unsigned letter = below(sketch, 4 + RIG_N_IMAGES) % RIG_N_IMAGES;
    struct sketch_image *image = &sketch->images[letter];
    uint32_t limit = at_most(sketch->max_steps * sketch->step_bytes, 6 * PAGE_BYTES);
    int other = one_in(sketch, 6) ? some_image(sketch, limit) : -1;
    if (image->exists)
        return false;
    *image = (struct sketch_image){.exists = true, .extent_bytes = near_page(sketch, limit + 1)};
    op->image = (uint8_t)letter;
    if (other >= 0) {
        *image = sketch->images[other];
        op->form = (uint8_t)(RIG_IMAGE_LIKE + below(sketch, 3));
        op->other_image = (uint8_t)other;
    }
    if (op->form == RIG_IMAGE_SAMEFILE || op->form == RIG_IMAGE_COPYFILE) { /* a file is whole pages */
        image->data_end_bytes = (image->data_end_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        image->extent_bytes = image->data_end_bytes > image->extent_bytes ? image->data_end_bytes : image->extent_bytes;
        image->n_segments = image->data_end_bytes > 0;
        image->segment_bytes[0] = image->data_end_bytes;
    }
    op->len = bytes_of(image->extent_bytes);
    sketch->newest = (uint8_t)letter;
    sketch->n_pending_data = image->extent_bytes ? 1 + below(sketch, 3) : 0;
    return true;
}

static bool gen_data(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_image *image = &sketch->images[sketch->newest];
    uint32_t begin = near_page(sketch, image->extent_bytes);
    if (image->n_segments && one_in(sketch, 3)) /* far from the rest: another mapping */
        begin = image->extent_bytes - 1 - below(sketch, at_most(image->extent_bytes, PAGE_BYTES));
    uint32_t room = image->extent_bytes - begin;
    uint32_t length = 1 + below(sketch, at_most(room, one_in(sketch, 3) ? MAX_DATA_BYTES : 40));
    sketch->n_pending_data--;
    op->at.offset = bytes_of(begin);
    op->form = one_in(sketch, 8) ? RIG_DATA_ZERO : RIG_DATA_STAMP;
    op->len = bytes_of(length);
    if (length <= sizeof op->literal && one_in(sketch, 2)) {
        op->form = RIG_DATA_BYTES;
        op->len = bytes_of(0);
        op->n_literal = (uint8_t)length;
        for (uint32_t i = 0; i < length; i++)
            op->literal[i] = (uint8_t)(1 + below(sketch, 255));
    }
    if (image->n_segments <= RIG_MAX_SEGMENT)
        image->segment_bytes[image->n_segments++] = length;
    if (begin + length > image->data_end_bytes)
        image->data_end_bytes = begin + length;
    return true;
}

static bool gen_drop(struct sketch *sketch, struct rig_op *op)
{
    int image = some_image(sketch, UINT32_MAX);
    if (image < 0)
        return false;
    op->image = (uint8_t)image;
    sketch->images[image].exists = false;
    sketch->has_dropped = true;
    for (unsigned i = 0; i < RIG_N_REGISTERS; i++)
        if (sketch->registers[i].image == image)
            sketch->registers[i].image = RIG_NO_IMAGE;
    return true;
}

/* Who moves in: with an image and without, larger and smaller than whoever was there before. */
static void move_in(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = &sketch->registers[op->reg];
    int image = one_in(sketch, 5) ? -1 : some_image(sketch, sketch->max_steps * sketch->step_bytes);
    uint32_t min = image < 0 ? 0 : steps_for(sketch, sketch->images[image].extent_bytes);
    uint32_t steps = some_steps(sketch, min, at_most(min + 1 + 4 * PAGE_BYTES / sketch->step_bytes, sketch->max_steps));
    *reg = (struct sketch_register){
        .is_live = true,
        .image = image < 0 ? RIG_NO_IMAGE : (uint8_t)image,
        .steps = steps,
        .initial_steps = steps,
        .max_steps = sketch->max_steps,
    };
    if (one_in(sketch, 3))
        reg->max_steps = some_steps(sketch, steps, sketch->max_steps);
    op->image = reg->image;
    op->has_initial = 1;
    op->len = steps_of(sketch, steps);
    op->has_max = reg->max_steps != sketch->max_steps;
    if (op->has_max)
        op->len2 = steps_of(sketch, reg->max_steps);
}

static bool gen_instantiate(struct sketch *sketch, struct rig_op *op)
{
    int reg = some_register(sketch, false);
    if (reg < 0 || sketch->n_live == sketch->world->n_slots)
        return false;
    op->reg = (uint8_t)reg;
    sketch->n_live++;
    move_in(sketch, op);
    return true;
}

static bool gen_reuse(struct sketch *sketch, struct rig_op *op)
{
    if (!rig_sketch_live(sketch, op))
        return false;
    move_in(sketch, op);
    return true;
}

/* A range in the accessible bytes: by length, or up to an edge. */
static bool gen_range(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || !reg->steps)
        return false;
    uint32_t length = length_of(sketch, reg);
    uint32_t width = 1 + below(sketch, at_most(length, one_in(sketch, 3) ? 2 * PAGE_BYTES : 64));
    op->at = rig_sketch_inside(sketch, reg, width);
    op->len = bytes_of(width);
    if (one_in(sketch, 3)) {
        op->form = RIG_RANGE_TO;
        op->len = bytes_of(0);
        op->other = place(op->kind == RIG_SCRIBBLE ? RIG_EDGE_ACC : RIG_EDGE_END, false, 0);
    }
    reg->is_dirty |= op->kind != RIG_HOSTREAD;
    return true;
}

/* A whole page of zeros, which kernels share: where the image ends, or anywhere. */
static void fill_page(struct sketch *sketch, struct rig_op *op)
{
    const struct sketch_register *reg = &sketch->registers[op->reg];
    const uint32_t n_pages = length_of(sketch, reg) / PAGE_BYTES;
    uint32_t page = below(sketch, n_pages);
    if (n_pages == 0)
        return;
    if (reg->image < RIG_N_IMAGES && one_in(sketch, 2))
        page = at_most(sketch->images[reg->image].data_end_bytes / PAGE_BYTES, n_pages - 1);
    *op = (struct rig_op){.kind = RIG_FILL, .reg = op->reg, .has_byte = true, .len = bytes_of(PAGE_BYTES)};
    op->at = place(RIG_EDGE_START, false, page * PAGE_BYTES);
}

static bool gen_fill(struct sketch *sketch, struct rig_op *op)
{
    op->has_byte = one_in(sketch, 5);
    op->byte = op->has_byte ? (uint8_t)below(sketch, 256) : 0;
    if (!gen_range(sketch, op))
        return false;
    if (one_in(sketch, 6))
        fill_page(sketch, op);
    return true;
}

static bool gen_access(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    op->width = (uint8_t)(1u << below(sketch, 5));
    if (!reg || length_of(sketch, reg) < op->width)
        return false;
    op->at = one_in(sketch, 14) ? outside(sketch) : rig_sketch_inside(sketch, reg, op->width);
    reg->is_dirty |= op->kind == RIG_STORE;
    return true;
}

static bool gen_copy(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || !reg->steps || !(reg->is_dirty || reg->image < RIG_N_IMAGES))
        return false;
    uint32_t length = 1 + below(sketch, at_most(length_of(sketch, reg), 300));
    op->at = rig_sketch_inside(sketch, reg, length);
    op->other = rig_sketch_inside(sketch, reg, length);
    op->len = bytes_of(length);
    reg->is_dirty = true;
    return true;
}

static bool gen_init(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || reg->image >= RIG_N_IMAGES || !sketch->images[reg->image].n_segments)
        return false;
    const struct sketch_image *image = &sketch->images[reg->image];
    op->segment = (uint8_t)below(sketch, image->n_segments);
    uint32_t room = image->segment_bytes[op->segment];
    uint32_t from = below(sketch, room);
    uint32_t length = 1 + below(sketch, room - from);
    if (length > length_of(sketch, reg))
        return false;
    op->at = rig_sketch_inside(sketch, reg, length);
    op->len2 = bytes_of(from);
    op->len = bytes_of(length);
    reg->is_dirty = true;
    return true;
}

static bool gen_probe(struct sketch *sketch, struct rig_op *op)
{
    if (!rig_sketch_live(sketch, op))
        return false;
    op->at = outside(sketch);
    return true;
}

static bool gen_grow(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (reg && one_in(sketch, 20)) {
        op->form = RIG_GROW_HUGE;
        return true;
    }
    if (!reg || reg->steps >= reg->max_steps)
        return false;
    if (one_in(sketch, 5)) {
        op->form = RIG_GROW_TO;
        op->other = place(RIG_EDGE_MAX, false, 0);
        reg->steps = reg->max_steps;
        return true;
    }
    uint32_t limit = at_most(reg->max_steps - reg->steps, 1 + 3 * PAGE_BYTES / sketch->step_bytes);
    uint32_t steps = some_steps(sketch, 1, limit);
    op->len = steps_of(sketch, steps);
    reg->steps += steps;
    return true;
}

static bool gen_reset(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg || (!reg->is_dirty && reg->steps == reg->initial_steps))
        return false;
    reg->is_dirty = false;
    reg->steps = reg->initial_steps;
    return true;
}

static bool gen_release(struct sketch *sketch, struct rig_op *op)
{
    struct sketch_register *reg = rig_sketch_live(sketch, op);
    if (!reg)
        return false;
    reg->is_live = false;
    sketch->n_live--;
    return true;
}

static bool gen_flush(struct sketch *sketch, struct rig_op *op)
{
    const bool has_work = sketch->has_dropped || sketch->world->reset >= RIG_RESET_DEFERRED;
    op->form = one_in(sketch, 2) ? RIG_FLUSH_TRIM : 0;
    sketch->has_dropped = false;
    return has_work || op->form == RIG_FLUSH_TRIM;
}

static const struct {
    uint8_t weight;
    bool (*generate)(struct sketch *sketch, struct rig_op *op);
} generators[RIG_N_KINDS] = {
    [RIG_IMAGE] = {8, gen_image},       [RIG_DATA] = {0, gen_data},
    [RIG_DROP] = {5, gen_drop},         [RIG_INSTANTIATE] = {40, gen_instantiate},
    [RIG_REUSE] = {26, gen_reuse},      [RIG_STORE] = {44, gen_access},
    [RIG_LOAD] = {5, gen_access},       [RIG_FILL] = {12, gen_fill},
    [RIG_COPY] = {6, gen_copy},         [RIG_INIT] = {6, gen_init},
    [RIG_SCRIBBLE] = {10, gen_range},   [RIG_HOSTREAD] = {2, gen_range},
    [RIG_HOSTWRITE] = {6, gen_range},   [RIG_PROBE] = {8, gen_probe},
    [RIG_GROW] = {36, gen_grow},        [RIG_RESET] = {16, gen_reset},
    [RIG_RELEASE] = {16, gen_release},  [RIG_FLUSH] = {5, gen_flush},
    [RIG_ADVISE] = {3, rig_gen_advise}, [RIG_PIN] = {3, rig_gen_pin},
    [RIG_UNPIN] = {3, rig_gen_unpin},   [RIG_FAULT] = {24, rig_gen_fault},
};

/* A handle that has lost its lease, or never had one: must be refused, whatever is asked of it. */
static bool make_stale(struct sketch *sketch, struct rig_op *op)
{
    static const uint8_t kinds[] = {RIG_STORE, RIG_LOAD, RIG_GROW, RIG_RESET, RIG_RELEASE, RIG_PROBE};
    *op = (struct rig_op){.kind = kinds[below(sketch, sizeof kinds)], .reg = (uint8_t)below(sketch, 3)};
    op->age = sketch->registers[op->reg].is_live ? 1 : (uint8_t)below(sketch, 2);
    if (op->kind == RIG_STORE || op->kind == RIG_LOAD)
        op->width = 1;
    if (op->kind == RIG_GROW)
        op->len = steps_of(sketch, 1);
    return true;
}

/* A length or an extent that no memory of this pool has, or a slot too many. A reuse that is refused has released. */
static bool make_refused(struct sketch *sketch, struct rig_op *op)
{
    static const uint8_t kinds[] = {RIG_IMAGE, RIG_INSTANTIATE, RIG_REUSE};
    *op = (struct rig_op){.kind = kinds[below(sketch, sizeof kinds)], .len = steps_of(sketch, sketch->max_steps + 1)};
    op->image = op->kind == RIG_IMAGE ? (uint8_t)below(sketch, RIG_N_IMAGES) : RIG_NO_IMAGE;
    op->has_initial = op->kind != RIG_IMAGE;
    if (op->kind == RIG_IMAGE)
        return !sketch->images[op->image].exists;
    int reg = some_register(sketch, op->kind == RIG_REUSE);
    if (reg < 0)
        return false;
    op->reg = (uint8_t)reg;
    if (op->kind == RIG_REUSE) {
        sketch->registers[reg].is_live = false;
        sketch->n_live--;
    }
    return true;
}

static bool generate_kind(struct sketch *sketch, unsigned kind, struct rig_op *op)
{
    *op = (struct rig_op){.kind = (uint8_t)kind};
    return generators[kind].generate(sketch, op);
}

static unsigned some_kind(const struct sketch *sketch)
{
    uint32_t total = 0;
    unsigned kind = 0;
    for (unsigned i = 0; i < RIG_N_KINDS; i++)
        total += generators[i].weight;
    uint32_t ticket = below(sketch, total);
    while (ticket >= generators[kind].weight)
        ticket -= generators[kind++].weight;
    return kind;
}

static void generate_op(struct sketch *sketch, uint32_t i, struct rig_op *op)
{
    if (sketch->n_pending_data && !one_in(sketch, 20)) {
        generate_kind(sketch, RIG_DATA, op);
        return;
    }
    sketch->n_pending_data = 0;
    if (sketch->fails_too && generate_kind(sketch, RIG_FAULT, op))
        return;
    if (i == 0 && one_in(sketch, 4) && generate_kind(sketch, RIG_FAULT, op))
        return;
    if (i == 0 && generate_kind(sketch, RIG_IMAGE, op))
        return;
    if (one_in(sketch, 24) && make_stale(sketch, op))
        return;
    if (one_in(sketch, 60) && make_refused(sketch, op))
        return;
    for (unsigned attempt = 0; attempt < 32; attempt++)
        if (generate_kind(sketch, some_kind(sketch), op))
            return;
    generate_kind(sketch, RIG_FLUSH, op); /* nothing seems to work here: harmless */
}

/* The unit of lengths: host pages, single bytes, an odd number of bytes, Wasm pages. */
static void generate_lengths(struct sketch *sketch, uint32_t n_pages)
{
    struct rig_world *world = sketch->world;
    unsigned style = below(sketch, 8);
    if (style < 4) {
        sketch->step_unit = RIG_UNIT_P;
        sketch->step_n = 1;
        sketch->step_bytes = PAGE_BYTES;
        sketch->max_steps = n_pages;
    } else if (style < 7) {
        sketch->step_unit = RIG_UNIT_BYTES;
        sketch->step_n = style < 6 ? 1 : 2 + below(sketch, 300);
        sketch->step_bytes = sketch->step_n;
        sketch->max_steps = n_pages * PAGE_BYTES / sketch->step_n;
    } else {
        sketch->step_unit = RIG_UNIT_W;
        sketch->step_n = 1;
        sketch->step_bytes = 16 * PAGE_BYTES;
        sketch->max_steps = 1 + below(sketch, 3);
    }
    world->unit = steps_of(sketch, 1);
    world->max = style == 4 ? (struct rig_size){n_pages, RIG_UNIT_P} : steps_of(sketch, sketch->max_steps);
}

static void generate_world(struct sketch *sketch)
{
    static const uint8_t slots[] = {1, 1, 1, 2, 2, 2, 3, 4};
    struct rig_world *world = sketch->world;
    *world = rig_world_default();
    world->n_slots = slots[below(sketch, sizeof slots)];
    generate_lengths(sketch, 1 + below(sketch, one_in(sketch, 3) ? 16 : 6));
    if (one_in(sketch, 4))
        world->guard = one_in(sketch, 2) ? bytes_of(0) : (struct rig_size){1 + below(sketch, 4), RIG_UNIT_P};
    if (one_in(sketch, 4))
        world->observe = (uint8_t)below(sketch, RIG_N_OBSERVES);
    if (one_in(sketch, 8))
        world->probe = (uint8_t)below(sketch, RIG_N_PROBES);
    if (one_in(sketch, 2))
        world->growth = (uint8_t)below(sketch, RIG_N_GROWTHS);
    if (one_in(sketch, 2))
        world->reset = (uint8_t)below(sketch, RIG_N_RESETS);
    if (world->reset >= RIG_RESET_DEFERRED)
        world->queue = below(sketch, RIG_MAX_QUEUE + 1);
    if (one_in(sketch, 6))
        world->warm = RIG_MAX_WARM;
    if (world->reset == RIG_RESET_ADAPTIVE && one_in(sketch, 4))
        world->resident = (struct rig_size){RIG_RESIDENT_PAGES, RIG_UNIT_P};
    if (one_in(sketch, 8))
        world->kernel = RIG_KERNEL_EACH;
}

/* ---- the whole ---- */

static struct sketch begin_sketch(struct rig_random *random, struct rig_world *world)
{
    struct sketch sketch = {.random = random, .world = world};
    for (unsigned i = 0; i < RIG_N_REGISTERS; i++)
        sketch.registers[i].image = RIG_NO_IMAGE;
    return sketch;
}

void rig_program_generate(struct rig_random *random, uint32_t n_ops, struct rig_program *ret_program)
{
    struct sketch sketch = begin_sketch(random, &ret_program->world);
    memset(ret_program, 0, sizeof *ret_program);
    generate_world(&sketch);
    sketch.has_faults = one_in(&sketch, ret_program->world.reset >= RIG_RESET_DEFERRED ? 3 : 6);
    ret_program->n_ops = at_most(n_ops, RIG_MAX_OPS);
    for (uint32_t i = 0; i < ret_program->n_ops; i++)
        generate_op(&sketch, i, &ret_program->ops[i]);
}

static void note_data(struct sketch_image *image, const struct rig_op *op)
{
    const uint32_t end = op->at.offset.n + op->len.n;
    if (image->n_segments <= RIG_MAX_SEGMENT)
        image->segment_bytes[image->n_segments++] = op->len.n;
    image->data_end_bytes = end > image->data_end_bytes ? end : image->data_end_bytes;
}

void rig_program_continue(struct rig_random *random, uint32_t n_ops, struct rig_program *program)
{
    struct sketch sketch = begin_sketch(random, &program->world);
    sketch.step_unit = program->world.unit.unit;
    sketch.step_n = 1;
    sketch.step_bytes = sketch.step_unit == RIG_UNIT_W ? 16 * PAGE_BYTES : 1;
    sketch.max_steps = program->world.max.n;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const struct rig_op *op = &program->ops[i];
        if (op->kind == RIG_IMAGE) {
            sketch.newest = op->image;
            sketch.images[op->image] =
                (struct sketch_image){.exists = true, .extent_bytes = op->len.n * sketch.step_bytes};
        } else {
            note_data(&sketch.images[sketch.newest], op);
        }
    }
    const uint32_t n_before = program->n_ops;
    program->n_ops = at_most(n_before + n_ops, RIG_MAX_OPS);
    for (uint32_t i = n_before; i < program->n_ops; i++)
        generate_op(&sketch, i, &program->ops[i]);
}
