/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Changing one operand: one function for each part that operations consist of (shape.h), so that a new operation needs none. Sizes
 * and places move a little, or jump to where bugs live: edges, page borders, nothing at all. */
#include "mutate.h"
#include "record.h"
#include "shape.h"

#include <string.h>

struct tweak {
    struct rig_random *random;
    const struct rig_world *world;
    struct rig_op *op;
};

static uint32_t below(const struct tweak *tweak, uint32_t n)
{
    return rig_random_below(tweak->random, n);
}

static bool one_in(const struct tweak *tweak, uint32_t n)
{
    return below(tweak, n) == 0;
}

/* ---- sizes and places ---- */

/* A little more or less, in steps of the world's unit, so that lengths stay multiples of it; double, half, nothing, one step, or a
 * few host pages. */
static struct rig_size tweak_size(const struct tweak *tweak, struct rig_size size)
{
    const struct rig_size unit = tweak->world->unit;
    const uint32_t step = size.unit == unit.unit && !one_in(tweak, 8) ? unit.n : 1;
    switch (below(tweak, 8)) {
    case 0:
        size.n = 0;
        break;
    case 1:
        size = unit;
        break;
    case 2:
        size.n /= 2;
        break;
    case 3:
        size.n *= 2;
        break;
    case 4:
        size = (struct rig_size){1 + below(tweak, 8), RIG_UNIT_P};
        break;
    case 5:
        size.n = size.n > step ? size.n - step : 0;
        break;
    default:
        size.n += step * (1 + below(tweak, 3));
    }
    size.n = size.n > RIG_MAX_N ? RIG_MAX_N : size.n;
    return rig_size_normal(size);
}

static struct rig_at tweak_at(const struct tweak *tweak, struct rig_at at)
{
    static const uint8_t distances[] = {0, 1, 2, 4, 8, 15, 16, 17, 32};
    if (one_in(tweak, 2))
        at.edge = (uint8_t)below(tweak, RIG_N_EDGES);
    if (one_in(tweak, 3)) {
        at.offset = tweak_size(tweak, at.offset);
    } else {
        at.offset = one_in(tweak, 5) ? (struct rig_size){1 + below(tweak, 3), RIG_UNIT_P}
                                     : (struct rig_size){distances[below(tweak, sizeof distances)], RIG_UNIT_BYTES};
        at.minus = at.edge != RIG_EDGE_START && below(tweak, 3) != 0;
    }
    return rig_at_normal(at);
}

/* ---- parts ---- */

static uint8_t some_letter(const struct tweak *tweak)
{
    return (uint8_t)below(tweak, one_in(tweak, 4) ? RIG_N_IMAGES : 3);
}

static void tweak_image(const struct tweak *tweak)
{
    tweak->op->image = some_letter(tweak);
}

static void tweak_tenant(const struct tweak *tweak)
{
    tweak->op->image = one_in(tweak, 4) ? RIG_NO_IMAGE : some_letter(tweak);
}

static void tweak_len(const struct tweak *tweak)
{
    tweak->op->len = tweak_size(tweak, tweak->op->len);
}

static void tweak_like(const struct tweak *tweak)
{
    tweak->op->form = (uint8_t)below(tweak, 3);
    tweak->op->other_image = some_letter(tweak);
}

static void tweak_contents(const struct tweak *tweak)
{
    struct rig_op *op = tweak->op;
    if (op->form != RIG_DATA_BYTES && one_in(tweak, 2))
        op->len = tweak_size(tweak, op->len);
    else
        op->at.offset = tweak_size(tweak, op->at.offset);
}

static void tweak_ref(const struct tweak *tweak)
{
    tweak->op->reg = (uint8_t)below(tweak, 3);
    tweak->op->age = one_in(tweak, 8) ? (uint8_t)(1 + below(tweak, RIG_MAX_AGE)) : 0;
}

static void tweak_limits(const struct tweak *tweak)
{
    struct rig_op *op = tweak->op;
    switch (below(tweak, 4)) {
    case 0:
        op->has_initial = !op->has_initial;
        break;
    case 1:
        op->has_max = one_in(tweak, 2);
        op->len2 = tweak_size(tweak, op->has_initial ? op->len : op->len2);
        break;
    default:
        op->has_initial = 1;
        op->len = tweak_size(tweak, op->len);
    }
}

static void tweak_place(const struct tweak *tweak)
{
    tweak->op->at = tweak_at(tweak, tweak->op->at);
}

static void tweak_other(const struct tweak *tweak)
{
    tweak->op->other = tweak_at(tweak, tweak->op->other);
}

static void tweak_width(const struct tweak *tweak)
{
    tweak->op->width = (uint8_t)(1u << below(tweak, 5));
}

static void tweak_span(const struct tweak *tweak)
{
    if (one_in(tweak, 4))
        tweak->op->form = tweak->op->form == RIG_RANGE_LEN ? RIG_RANGE_TO : RIG_RANGE_LEN;
    if (tweak->op->form == RIG_RANGE_TO)
        tweak_other(tweak);
    else
        tweak_len(tweak);
}

static void tweak_byte(const struct tweak *tweak)
{
    tweak->op->has_byte = !tweak->op->has_byte;
    tweak->op->byte = (uint8_t)below(tweak, 256);
}

static void tweak_segment(const struct tweak *tweak)
{
    tweak->op->segment = (uint8_t)below(tweak, one_in(tweak, 4) ? RIG_MAX_SEGMENT + 1u : 4);
}

static void tweak_from_size(const struct tweak *tweak)
{
    tweak->op->len2 = tweak_size(tweak, tweak->op->len2);
}

static void tweak_growth(const struct tweak *tweak)
{
    if (one_in(tweak, 4))
        tweak->op->form = one_in(tweak, 8) ? RIG_GROW_HUGE : one_in(tweak, 2) ? RIG_GROW_TO : RIG_GROW_BY;
    if (tweak->op->form == RIG_GROW_TO)
        tweak->op->other = one_in(tweak, 2) ? (struct rig_at){.edge = RIG_EDGE_MAX} : tweak_at(tweak, tweak->op->other);
    else
        tweak_len(tweak);
}

static void tweak_child(const struct tweak *tweak)
{
    tweak->op->form = (uint8_t)below(tweak, 2);
    tweak_ref(tweak);
    tweak_place(tweak);
}

static void tweak_advice(const struct tweak *tweak)
{
    tweak->op->choice = (uint8_t)below(tweak, RIG_N_ADVICES);
}

static void tweak_pinned(const struct tweak *tweak)
{
    if (one_in(tweak, 2))
        tweak->op->form = (uint8_t)below(tweak, 3);
    if (one_in(tweak, 2))
        tweak_place(tweak);
    else if (tweak->op->form == RIG_RANGE_TO)
        tweak_other(tweak);
    else
        tweak_len(tweak);
}

static void tweak_fault(const struct tweak *tweak)
{
    struct rig_op *op = tweak->op;
    switch (below(tweak, 4)) {
    case 0:
        op->choice = rig_some_call(tweak->random, tweak->world);
        break;
    case 1:
        op->forever = !op->forever;
        break;
    case 2:
        op->form = one_in(tweak, 6) ? RIG_FAULT_SHORT : RIG_FAULT_ERROR;
        op->error = rig_some_error(below(tweak, 256));
        op->len2 = (struct rig_size){below(tweak, 9), RIG_UNIT_BYTES};
        break;
    default:
        op->len = (struct rig_size){1 + below(tweak, 8), RIG_UNIT_BYTES};
    }
}

static void tweak_trim(const struct tweak *tweak)
{
    tweak->op->form = tweak->op->form == RIG_FLUSH_TRIM ? 0 : RIG_FLUSH_TRIM;
}

static void (*const tweaks[RIG_N_BINARY_PARTS])(const struct tweak *tweak) = {
    [RIG_PART_IMAGE] = tweak_image,       [RIG_PART_EXTENT] = tweak_len,      [RIG_PART_LIKE] = tweak_like,
    [RIG_PART_CONTENTS] = tweak_contents, [RIG_PART_REF] = tweak_ref,         [RIG_PART_TENANT] = tweak_tenant,
    [RIG_PART_LIMITS] = tweak_limits,     [RIG_PART_AT] = tweak_place,        [RIG_PART_WIDTH] = tweak_width,
    [RIG_PART_SPAN] = tweak_span,         [RIG_PART_BYTE] = tweak_byte,       [RIG_PART_FROM] = tweak_other,
    [RIG_PART_LEN] = tweak_len,           [RIG_PART_SEGMENT] = tweak_segment, [RIG_PART_FROM_SIZE] = tweak_from_size,
    [RIG_PART_GROWTH] = tweak_growth,     [RIG_PART_CHILD] = tweak_child,     [RIG_PART_ADVICE] = tweak_advice,
    [RIG_PART_PINNED] = tweak_pinned,     [RIG_PART_FAULT] = tweak_fault,     [RIG_PART_TRIM] = tweak_trim,
};

void rig_op_tweak(struct rig_random *random, const struct rig_world *world, struct rig_op *op)
{
    const struct tweak tweak = {random, world, op};
    const uint8_t *parts = rig_shape[op->kind];
    uint8_t record[RIG_RECORD_BYTES] = {0};
    const struct rig_op kind_only = {.kind = op->kind};
    uint32_t n_parts = 0;
    while (parts[n_parts])
        n_parts++;
    if (n_parts == 0)
        return;
    tweaks[parts[rig_random_below(random, n_parts)]](&tweak);
    /* Fields that the new form does not use must go: what a record does not hold is not a part of the program. */
    rig_record_put(op, record);
    *op = kind_only;
    rig_record_get(record, op);
}
