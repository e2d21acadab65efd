/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Every ordered pair of operations. A program is about one first operation; a *motif* of it is: ground, first, second. The ground
 * brings about what both need in order to have an effect: who is lent, which letters are taken, what is dead in an idle slot. The second
 * then works on what the first has touched: the same bytes, the same register, the same image. */
#include "gen_pairs.h"

#include <string.h>

enum { IMAGE_A, IMAGE_B, IMAGE_C, N_LETTERS };

const char *const rig_pair_world_name[RIG_N_PAIR_WORLDS] = {"host-pages", "bytes", "hundreds"};

struct sketch {
    struct rig_pairs *pairs;
    enum rig_pair_world world;
    unsigned first, second;
    unsigned motif;   /* which one of the program: it turns the places */
    bool is_first;    /* the operation under way is the motif's first */
    bool has_written; /* data was given to the newest image */
    bool exists[N_LETTERS];
    bool is_live[2], has_image[2]; /* registers i0 and i1 */
    unsigned newest;               /* the image that this motif has made, or IMAGE_A */
};

static bool is_built(unsigned kind)
{
    return !(RIG_UNBUILT_KINDS & RIG_BIT(kind));
}

static bool makes_image(unsigned kind)
{
    return kind == RIG_IMAGE || kind == RIG_DATA;
}

static bool needs_lease(unsigned kind)
{
    return !makes_image(kind) && kind != RIG_DROP && kind != RIG_INSTANTIATE && kind != RIG_FLUSH && kind != RIG_FAULT;
}

/* ---- the worlds ---- */

#define EXTENT_BYTES 5000u

static const struct {
    uint8_t n_slots, observe, probe, kernel;
    struct rig_size max, unit, guard, initial, smaller, step;
} worlds[RIG_N_PAIR_WORLDS] = {
    [RIG_PAIR_HOST_PAGES] = {.n_slots = 2,
                             .observe = RIG_OBSERVE_FULL,
                             .max = {7, RIG_UNIT_P},
                             .unit = {1, RIG_UNIT_P},
                             .guard = {1, RIG_UNIT_P},
                             .initial = {3, RIG_UNIT_P},
                             .smaller = {2, RIG_UNIT_P},
                             .step = {1, RIG_UNIT_P}},
    [RIG_PAIR_BYTES] = {.n_slots = 3,
                        .observe = RIG_OBSERVE_QUIET,
                        .probe = RIG_PROBE_ALL,
                        .max = {5, RIG_UNIT_P},
                        .unit = {1, RIG_UNIT_BYTES},
                        .guard = {2, RIG_UNIT_P},
                        .initial = {5011, RIG_UNIT_BYTES},
                        .smaller = {5008, RIG_UNIT_BYTES},
                        .step = {3500, RIG_UNIT_BYTES}},
    [RIG_PAIR_HUNDREDS] = {.n_slots = 2,
                           .observe = RIG_OBSERVE_FINAL,
                           .kernel = RIG_KERNEL_EACH,
                           .max = {5, RIG_UNIT_P},
                           .unit = {100, RIG_UNIT_BYTES},
                           .initial = {9100, RIG_UNIT_BYTES},
                           .smaller = {5100, RIG_UNIT_BYTES},
                           .step = {3100, RIG_UNIT_BYTES}},
};

static struct rig_size bytes_of(uint32_t n)
{
    return (struct rig_size){.n = n, .unit = RIG_UNIT_BYTES};
}

/* One world is the founding design; in the others every way to grow meets every way to reset. */
static void make_world(enum rig_pair_world which, unsigned first, struct rig_world *ret_world)
{
    *ret_world = rig_world_default();
    ret_world->n_slots = worlds[which].n_slots;
    ret_world->observe = worlds[which].observe;
    ret_world->probe = worlds[which].probe;
    ret_world->kernel = worlds[which].kernel;
    ret_world->max = worlds[which].max;
    ret_world->unit = worlds[which].unit;
    ret_world->guard = worlds[which].guard;
    ret_world->enabled = RIG_ALL_KINDS;
    if (which == RIG_PAIR_HOST_PAGES)
        return;
    ret_world->growth = (uint8_t)(first % RIG_N_GROWTHS);
    ret_world->reset = (uint8_t)(first / RIG_N_GROWTHS % RIG_N_RESETS);
    ret_world->queue = ret_world->reset >= RIG_RESET_DEFERRED ? first % (RIG_MAX_QUEUE + 1) : 0;
}

/* ---- writing down ---- */

static void emit(struct sketch *sketch, struct rig_op op)
{
    struct rig_program *program = &sketch->pairs->program;
    if (program->n_ops < RIG_MAX_OPS)
        program->ops[program->n_ops++] = op;
}

static struct rig_at place(unsigned edge, unsigned minus)
{
    return (struct rig_at){.edge = (uint8_t)edge, .minus = minus > 0, .offset = bytes_of(minus)};
}

/* Sixteen bytes that the whole motif is about: at the end, over the image's end, over the seam of two host pages. */
static struct rig_at subject_of(const struct sketch *sketch, unsigned reg)
{
    if (sketch->motif % 3 == 1 && sketch->has_image[reg])
        return place(RIG_EDGE_IMAGE, 8);
    if (sketch->motif % 3 == 2)
        return (struct rig_at){.edge = RIG_EDGE_START, .offset = bytes_of(4088)};
    return place(RIG_EDGE_END, 16);
}

/* Where a program about reading reads: a read has an effect once for each edge and outcome. */
static struct rig_at reading_place(const struct sketch *sketch, unsigned reg, unsigned width)
{
    const struct rig_at places[] = {
        place(RIG_EDGE_END, width), place(RIG_EDGE_IMAGE, width), place(RIG_EDGE_START, 0),
        place(RIG_EDGE_ACC, width), place(RIG_EDGE_ACC, 0),       place(RIG_EDGE_END, 0),
        place(RIG_EDGE_MAX, width), place(RIG_EDGE_SLOT, width),  place(RIG_EDGE_IMAGE, 0),
        place(RIG_EDGE_MAX, width),
    };
    const unsigned n = sizeof places / sizeof *places;
    if (!sketch->is_first || (!sketch->has_image[reg] && places[sketch->motif % n].edge == RIG_EDGE_IMAGE))
        return subject_of(sketch, reg);
    return places[sketch->motif % n];
}

/* ---- images ---- */

static void emit_data(struct sketch *sketch)
{
    struct rig_op op = {.kind = RIG_DATA, .form = RIG_DATA_STAMP, .len = bytes_of(40)};
    if (sketch->has_written) {
        op.at.offset = bytes_of(4090);
        op.len = bytes_of(EXTENT_BYTES - 4090);
    }
    sketch->has_written = true;
    emit(sketch, op);
}

static void emit_image(struct sketch *sketch)
{
    const unsigned letter = sketch->exists[IMAGE_B] ? IMAGE_C : IMAGE_B;
    emit(sketch, (struct rig_op){.kind = RIG_IMAGE, .image = (uint8_t)letter, .len = bytes_of(EXTENT_BYTES)});
    sketch->exists[letter] = true;
    sketch->has_written = false;
    sketch->newest = letter;
}

static void emit_copy_of_image(struct sketch *sketch, unsigned letter)
{
    const struct rig_op op = {.kind = RIG_IMAGE,
                              .form = RIG_IMAGE_LIKE,
                              .image = (uint8_t)letter,
                              .other_image = IMAGE_A,
                              .len = bytes_of(EXTENT_BYTES)};
    if (!sketch->exists[letter])
        emit(sketch, op);
    sketch->exists[letter] = true;
}

static void emit_drop(struct sketch *sketch, unsigned letter)
{
    if (sketch->exists[letter])
        emit(sketch, (struct rig_op){.kind = RIG_DROP, .image = (uint8_t)letter});
    sketch->exists[letter] = false;
}

/* ---- leases ---- */

static void emit_lease(struct sketch *sketch, unsigned kind, unsigned reg, unsigned image, struct rig_size initial)
{
    const struct rig_op op = {
        .kind = (uint8_t)kind, .reg = (uint8_t)reg, .image = (uint8_t)image, .has_initial = 1, .len = initial};
    emit(sketch, op);
    sketch->is_live[reg] = true;
    sketch->has_image[reg] = image != RIG_NO_IMAGE;
}

static void emit_release(struct sketch *sketch, unsigned reg)
{
    if (sketch->is_live[reg])
        emit(sketch, (struct rig_op){.kind = RIG_RELEASE, .reg = (uint8_t)reg});
    sketch->is_live[reg] = false;
}

static void lend_anew(struct sketch *sketch, unsigned reg, unsigned image)
{
    const unsigned kind = sketch->is_live[reg] ? RIG_REUSE : RIG_INSTANTIATE;
    emit_lease(sketch, kind, reg, image, worlds[sketch->world].initial);
}

static unsigned some_tenant(const struct sketch *sketch)
{
    if (sketch->newest != IMAGE_A)
        return sketch->newest;
    return sketch->motif % 2 ? IMAGE_A : RIG_NO_IMAGE;
}

/* ---- the operations of a motif ---- */

static void emit_range(struct sketch *sketch, unsigned kind, unsigned reg)
{
    struct rig_op op = {.kind = (uint8_t)kind, .reg = (uint8_t)reg, .at = subject_of(sketch, reg), .len = bytes_of(16)};
    if (kind == RIG_ADVISE)
        op.choice = (uint8_t)(sketch->motif % RIG_N_ADVICES);
    if (kind == RIG_HOSTREAD)
        op.at = reading_place(sketch, reg, 16);
    if (kind == RIG_SCRIBBLE && sketch->is_first && sketch->second == RIG_GROW) /* which makes the slack visible */
        op.at = place(RIG_EDGE_END, 16);
    if ((sketch->motif % 2 || kind == RIG_SCRIBBLE) && op.at.edge == RIG_EDGE_END && op.at.minus) {
        op.form = RIG_RANGE_TO;
        op.len = bytes_of(0);
        op.other = place(kind == RIG_FILL ? RIG_EDGE_END : RIG_EDGE_ACC, 0);
    }
    emit(sketch, op);
}

/* As the first operation it brings something to the subject; as the second it takes it elsewhere. */
static void emit_copy(struct sketch *sketch, unsigned reg)
{
    struct rig_op op = {.kind = RIG_COPY, .reg = (uint8_t)reg, .at = subject_of(sketch, reg), .len = bytes_of(16)};
    if (!sketch->is_first) {
        op.other = op.at;
        op.at = (struct rig_at){.edge = RIG_EDGE_START, .offset = bytes_of(100)};
    }
    emit(sketch, op);
}

static void emit_on_lease(struct sketch *sketch, unsigned kind, unsigned reg)
{
    struct rig_op op = {.kind = (uint8_t)kind, .reg = (uint8_t)reg};
    switch (kind) {
    case RIG_STORE:
        op.at = subject_of(sketch, reg);
        op.width = sketch->is_first ? 16 : 8;
        break;
    case RIG_LOAD:
        op.width = 16;
        op.at = reading_place(sketch, reg, op.width);
        break;
    case RIG_PROBE:
        op.at = reading_place(sketch, reg, 1);
        break;
    case RIG_INIT:
        op.at = subject_of(sketch, reg);
        op.len = bytes_of(16);
        op.len2 = bytes_of(sketch->is_first ? 1 : 2);
        break;
    case RIG_GROW:
        op.len = worlds[sketch->world].step;
        break;
    case RIG_FORK:
        op.form = RIG_FORK_STORE;
        op.at = subject_of(sketch, reg);
        break;
    case RIG_PIN:
    case RIG_UNPIN:
        op.form = RIG_PIN_WHOLE;
        break;
    default: /* reset */
        break;
    }
    emit(sketch, op);
}

/* The call that the second operation makes first, or one that comes later; each time it fails otherwise. */
static void emit_fault(struct sketch *sketch)
{
    static const uint8_t calls[] = {RIG_CALL_MADVISE, RIG_CALL_FTRUNCATE, RIG_CALL_MMAP};
    struct rig_op op = {.kind = RIG_FAULT, .choice = calls[sketch->motif % 3], .len = bytes_of(1)};
    if (sketch->second == RIG_GROW)
        op.choice = RIG_CALL_FTRUNCATE;
    else if (sketch->second == RIG_RESET || sketch->second == RIG_RELEASE)
        op.choice = RIG_CALL_MADVISE;
    else if (sketch->second == RIG_INSTANTIATE || sketch->second == RIG_REUSE || sketch->second == RIG_FLUSH)
        op.choice = RIG_CALL_MMAP;
    else if (makes_image(sketch->second))
        op.choice = RIG_CALL_PWRITE;
    op.error = (uint8_t)(sketch->motif % RIG_N_ERRORS);
    emit(sketch, op);
}

static void emit_kind(struct sketch *sketch, unsigned kind, unsigned reg)
{
    switch (kind) {
    case RIG_IMAGE:
        emit_image(sketch);
        if (!sketch->is_first || sketch->second != RIG_DATA)
            emit_data(sketch);
        break;
    case RIG_DATA:
        if (sketch->is_first || !makes_image(sketch->first))
            emit_image(sketch);
        emit_data(sketch);
        break;
    case RIG_DROP:
        emit_drop(sketch, sketch->exists[IMAGE_C] ? IMAGE_C : IMAGE_B);
        break;
    case RIG_INSTANTIATE:
    case RIG_REUSE:
        emit_lease(sketch, kind, reg, some_tenant(sketch),
                   sketch->motif % 4 == 1 ? worlds[sketch->world].initial : worlds[sketch->world].smaller);
        break;
    case RIG_RELEASE:
        emit_release(sketch, reg);
        break;
    case RIG_FLUSH:
        emit(sketch, (struct rig_op){.kind = RIG_FLUSH});
        break;
    case RIG_COPY:
        emit_copy(sketch, reg);
        break;
    case RIG_FILL:
    case RIG_SCRIBBLE:
    case RIG_HOSTREAD:
    case RIG_HOSTWRITE:
    case RIG_ADVISE:
        emit_range(sketch, kind, reg);
        break;
    case RIG_FAULT:
        emit_fault(sketch);
        break;
    case RIG_UNPIN:
        if (sketch->first != RIG_PIN)
            emit_on_lease(sketch, RIG_PIN, reg);
        emit_on_lease(sketch, kind, reg);
        break;
    default:
        emit_on_lease(sketch, kind, reg);
        break;
    }
}

/* ---- the ground ---- */

/* Letters that the motif makes are free, letters that it drops are taken. */
static void prepare_letters(struct sketch *sketch)
{
    const bool drops_what_it_made = makes_image(sketch->first);
    if (makes_image(sketch->first) || (makes_image(sketch->second) && sketch->first != RIG_DROP)) {
        emit_drop(sketch, IMAGE_C);
        emit_drop(sketch, IMAGE_B);
    }
    if (sketch->first == RIG_DROP || (sketch->second == RIG_DROP && !drops_what_it_made))
        emit_copy_of_image(sketch, IMAGE_B);
    if (sketch->first == RIG_DROP && sketch->second == RIG_DROP)
        emit_copy_of_image(sketch, IMAGE_C);
}

/* An idle slot maps an image that is dead, or will be. */
static void prepare_dead_image(struct sketch *sketch)
{
    const unsigned letter = sketch->first == RIG_DROP ? IMAGE_B : IMAGE_C;
    emit_copy_of_image(sketch, letter);
    lend_anew(sketch, 1, letter);
    emit_release(sketch, 1);
    if (sketch->first != RIG_DROP)
        emit_drop(sketch, letter);
}

static void prepare_leases(struct sketch *sketch)
{
    const bool drops = sketch->first == RIG_DROP || sketch->second == RIG_DROP;
    const bool neighbour_acts = sketch->first == RIG_RELEASE && needs_lease(sketch->second);
    const bool takes_both = sketch->first == RIG_INSTANTIATE && sketch->second == RIG_INSTANTIATE;
    if (takes_both)
        emit_release(sketch, 0);
    else
        lend_anew(sketch, 0, drops && sketch->exists[IMAGE_B] ? IMAGE_B : IMAGE_A);
    if (sketch->first == RIG_FLUSH || sketch->second == RIG_FLUSH)
        prepare_dead_image(sketch);
    if (neighbour_acts)
        lend_anew(sketch, 1, IMAGE_A);
    else
        emit_release(sketch, 1);
}

static unsigned second_register(const struct sketch *sketch)
{
    if (sketch->second == RIG_INSTANTIATE) /* into the place that is free */
        return sketch->first == RIG_RELEASE || sketch->first == RIG_INSTANTIATE ? 0 : 1;
    return sketch->first == RIG_RELEASE || sketch->first == RIG_INSTANTIATE ? 1 : 0;
}

static void emit_motif(struct sketch *sketch)
{
    sketch->newest = IMAGE_A;
    prepare_letters(sketch);
    prepare_leases(sketch);
    sketch->is_first = true;
    emit_kind(sketch, sketch->first, sketch->first == RIG_INSTANTIATE ? 1 : 0);
    sketch->is_first = false;
    emit_kind(sketch, sketch->second, second_register(sketch));
    sketch->motif++;
}

void rig_pairs_generate(enum rig_pair_world world, unsigned first, struct rig_pairs *ret_pairs)
{
    struct sketch sketch = {.pairs = ret_pairs, .world = world, .first = first};
    memset(ret_pairs, 0, sizeof *ret_pairs);
    make_world(world, first, &ret_pairs->program.world);
    emit(&sketch, (struct rig_op){.kind = RIG_IMAGE, .image = IMAGE_A, .len = bytes_of(EXTENT_BYTES)});
    emit_data(&sketch);
    emit_data(&sketch);
    for (unsigned second = 0; second < RIG_N_KINDS; second++) {
        if (!is_built(second))
            continue;
        ret_pairs->begins[ret_pairs->program.n_ops] = (uint8_t)(1 + second);
        sketch.second = second;
        emit_motif(&sketch);
    }
}
