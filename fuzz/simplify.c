/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Simplifying what is left of a program that fails: registers and images numbered from 0, plain forms, small and round
 * numbers, places without offsets, the world that goes without saying. What is simpler is what weighs less (weigh.c). */
#include "minimize.h"
#include "shape.h"

#include <string.h>
#include <unistd.h>

/* ---- candidates: the best one with one thing changed ---- */

static struct rig_op *change(struct rig_shrink *shrink, uint32_t i)
{
    shrink->candidate = shrink->best;
    return &shrink->candidate.ops[i];
}

static uint64_t size_in_bytes(struct rig_size size)
{
    static const uint8_t shifts[RIG_N_UNITS] = {
        [RIG_UNIT_K] = 10, [RIG_UNIT_M] = 20, [RIG_UNIT_G] = 30, [RIG_UNIT_W] = 16};
    return size.unit == RIG_UNIT_P ? size.n * (uint64_t)sysconf(_SC_PAGESIZE) : (uint64_t)size.n << shifts[size.unit];
}

static struct rig_size in_pages(struct rig_size size, uint64_t rest_bytes)
{
    const uint64_t n = (size_in_bytes(size) + rest_bytes) / (uint64_t)sysconf(_SC_PAGESIZE);
    return rig_size_normal((struct rig_size){(uint32_t)(n <= RIG_MAX_N ? n : RIG_MAX_N), RIG_UNIT_P});
}

/* A size that lies `offset` bytes into the program: smaller, or rounder. */
static void simplify_size(struct rig_shrink *shrink, size_t offset)
{
    enum { N_CANDIDATES = 12 };
    const struct rig_size *now = (const struct rig_size *)(const void *)((const uint8_t *)&shrink->best + offset);
    struct rig_size *changed = (struct rig_size *)(void *)((uint8_t *)&shrink->candidate + offset);
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    for (bool has_helped = true; has_helped && now->n;) {
        const struct rig_size to[N_CANDIDATES] = {
            {0, 0},
            {1, 0},
            {1, RIG_UNIT_P},
            {2, RIG_UNIT_P},
            {3, RIG_UNIT_P},
            {4, RIG_UNIT_P},
            {8, 0},
            in_pages(*now, 0),
            in_pages(*now, page_bytes - 1),
            rig_size_normal((struct rig_size){now->n / 2, now->unit}),
            rig_size_normal((struct rig_size){now->n - now->n / 4, now->unit}),
            rig_size_normal((struct rig_size){now->n - 1, now->unit}),
        };
        has_helped = false;
        for (size_t i = 0; i < N_CANDIDATES && !has_helped; i++) {
            shrink->candidate = shrink->best;
            *changed = to[i];
            has_helped = rig_shrink_try(shrink);
        }
    }
}

static void simplify_at(struct rig_shrink *shrink, size_t offset)
{
    static const struct rig_at to[] = {
        {0},
        {.offset = {1, RIG_UNIT_P}},
        {.offset = {2, RIG_UNIT_P}},
        {.offset = {5, RIG_UNIT_P}},
        {.edge = RIG_EDGE_END},
        {.edge = RIG_EDGE_ACC},
        {.edge = RIG_EDGE_PREV},
        {.edge = RIG_EDGE_END, .minus = 1, .offset = {1, 0}},
        {.edge = RIG_EDGE_PREV, .minus = 1, .offset = {1, 0}},
        {.edge = RIG_EDGE_SLOT, .minus = 1, .offset = {1, 0}},
    };
    const struct rig_at *now = (const struct rig_at *)(const void *)((const uint8_t *)&shrink->best + offset);
    struct rig_at *changed = (struct rig_at *)(void *)((uint8_t *)&shrink->candidate + offset);
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        shrink->candidate = shrink->best;
        *changed = to[i];
        if (rig_shrink_try(shrink))
            break;
    }
    shrink->candidate = shrink->best;
    *changed = (struct rig_at){.edge = now->edge};
    if (!rig_shrink_try(shrink))
        simplify_size(shrink, offset + offsetof(struct rig_at, offset));
}

#define FIELD(i, name) (offsetof(struct rig_program, ops) + (i) * sizeof(struct rig_op) + offsetof(struct rig_op, name))

/* ---- one operation, part by part ---- */

static void simplify_ref(struct rig_shrink *shrink, uint32_t i)
{
    for (uint8_t age = 0; age < shrink->best.ops[i].age; age++) {
        change(shrink, i)->age = age;
        (void)rig_shrink_try(shrink);
    }
    for (uint8_t reg = 0; reg < shrink->best.ops[i].reg; reg++) {
        change(shrink, i)->reg = reg;
        (void)rig_shrink_try(shrink);
    }
}

static void simplify_tenant(struct rig_shrink *shrink, uint32_t i)
{
    change(shrink, i)->image = RIG_NO_IMAGE;
    if (rig_shrink_try(shrink))
        return;
    for (uint8_t image = 0; image < shrink->best.ops[i].image && shrink->best.ops[i].image != RIG_NO_IMAGE; image++) {
        change(shrink, i)->image = image;
        (void)rig_shrink_try(shrink);
    }
}

static void simplify_limits(struct rig_shrink *shrink, uint32_t i)
{
    struct rig_op *op = change(shrink, i);
    op->has_max = 0;
    op->len2 = (struct rig_size){0};
    (void)rig_shrink_try(shrink);
    op = change(shrink, i);
    op->has_initial = 0;
    op->len = (struct rig_size){0};
    (void)rig_shrink_try(shrink);
    if (shrink->best.ops[i].has_max)
        simplify_size(shrink, FIELD(i, len2));
    if (shrink->best.ops[i].has_initial)
        simplify_size(shrink, FIELD(i, len));
}

/* A range or a growth that is a number, not a place. */
static void simplify_extent(struct rig_shrink *shrink, uint32_t i)
{
    static const struct rig_size to[] = {{1, 0}, {1, RIG_UNIT_P}, {2, RIG_UNIT_P}, {4, RIG_UNIT_P}};
    for (size_t j = 0; j < sizeof to / sizeof *to && shrink->best.ops[i].form != RIG_FORM_PLAIN; j++) {
        struct rig_op *op = change(shrink, i);
        op->form = RIG_FORM_PLAIN;
        op->other = (struct rig_at){0};
        op->len = to[j];
        (void)rig_shrink_try(shrink);
    }
    if (shrink->best.ops[i].form == RIG_FORM_PLAIN)
        simplify_size(shrink, FIELD(i, len));
    else if (shrink->best.ops[i].form == RIG_RANGE_TO)
        simplify_at(shrink, FIELD(i, other));
}

static void simplify_contents(struct rig_shrink *shrink, uint32_t i)
{
    struct rig_op *op = change(shrink, i);
    op->form = RIG_DATA_BYTES;
    op->len = (struct rig_size){0};
    op->n_literal = 1;
    memset(op->literal, 0, sizeof op->literal);
    op->literal[0] = 1;
    (void)rig_shrink_try(shrink);
    if (shrink->best.ops[i].form != RIG_DATA_BYTES)
        simplify_size(shrink, FIELD(i, len));
    simplify_size(shrink, FIELD(i, at.offset));
}

static void simplify_flags(struct rig_shrink *shrink, uint32_t i, enum rig_part part)
{
    struct rig_op *op = change(shrink, i);
    if (part == RIG_PART_LIKE || part == RIG_PART_CHILD) {
        op->form = RIG_FORM_PLAIN;
        op->other_image = op->reg = op->age = 0;
        op->at = (struct rig_at){0};
    } else if (part == RIG_PART_BYTE) {
        op->has_byte = op->byte = 0;
    } else {
        op->segment = 0;
    }
    (void)rig_shrink_try(shrink);
}

static void simplify_width(struct rig_shrink *shrink, uint32_t i)
{
    for (uint8_t width = 1; width < shrink->best.ops[i].width; width *= 2) {
        change(shrink, i)->width = width;
        (void)rig_shrink_try(shrink);
    }
}

static void simplify_pin(struct rig_shrink *shrink, uint32_t i)
{
    struct rig_op *op = change(shrink, i);
    *op = (struct rig_op){.kind = op->kind, .form = RIG_PIN_WHOLE, .reg = op->reg, .age = op->age};
    (void)rig_shrink_try(shrink);
}

static void simplify_fault(struct rig_shrink *shrink, uint32_t i)
{
    change(shrink, i)->forever = 0;
    (void)rig_shrink_try(shrink);
    for (uint32_t nth = 1; nth < shrink->best.ops[i].len.n && nth < 32; nth++) {
        change(shrink, i)->len.n = nth;
        (void)rig_shrink_try(shrink);
    }
}

static void simplify_part(struct rig_shrink *shrink, uint32_t i, enum rig_part part)
{
    switch (part) {
    case RIG_PART_EXTENT:
    case RIG_PART_LEN:
        simplify_size(shrink, FIELD(i, len));
        break;
    case RIG_PART_CONTENTS:
        simplify_contents(shrink, i);
        break;
    case RIG_PART_REF:
        simplify_ref(shrink, i);
        break;
    case RIG_PART_TENANT:
        simplify_tenant(shrink, i);
        break;
    case RIG_PART_LIMITS:
        simplify_limits(shrink, i);
        break;
    case RIG_PART_AT:
        simplify_at(shrink, FIELD(i, at));
        break;
    case RIG_PART_WIDTH:
        simplify_width(shrink, i);
        break;
    case RIG_PART_SPAN:
    case RIG_PART_GROWTH:
        simplify_extent(shrink, i);
        break;
    case RIG_PART_FROM:
        simplify_at(shrink, FIELD(i, other));
        break;
    case RIG_PART_FROM_SIZE:
        simplify_size(shrink, FIELD(i, len2));
        break;
    case RIG_PART_LIKE:
    case RIG_PART_BYTE:
    case RIG_PART_SEGMENT:
    case RIG_PART_CHILD:
        simplify_flags(shrink, i, part);
        break;
    case RIG_PART_PINNED:
        simplify_pin(shrink, i);
        break;
    case RIG_PART_FAULT:
        simplify_fault(shrink, i);
        break;
    default:
        break;
    }
}

/* Whatever wrote there: a store of one byte may do, at the begin or in the last page of it. */
static void simplify_kind(struct rig_shrink *shrink, uint32_t i)
{
    const struct rig_op op = shrink->best.ops[i];
    if (op.kind == RIG_REUSE) {
        change(shrink, i)->kind = RIG_INSTANTIATE;
        (void)rig_shrink_try(shrink);
    }
    if (op.kind != RIG_FILL && op.kind != RIG_COPY && op.kind != RIG_INIT && op.kind != RIG_HOSTWRITE &&
        op.kind != RIG_SCRIBBLE)
        return;
    struct rig_op store = {.kind = RIG_STORE, .reg = op.reg, .age = op.age, .at = op.at, .width = 1};
    *change(shrink, i) = store;
    if (rig_shrink_try(shrink) || op.form != RIG_FORM_PLAIN || op.at.edge != RIG_EDGE_START || op.len.n == 0)
        return;
    store.at.offset = in_pages((struct rig_size){op.len.n - 1, op.len.unit}, size_in_bytes(op.at.offset));
    *change(shrink, i) = store;
    if (rig_shrink_try(shrink))
        return;
    change(shrink, i)->at = store.at;
    shrink->candidate.ops[i].len = (struct rig_size){1, RIG_UNIT_BYTES};
    (void)rig_shrink_try(shrink);
}

/* Lengths that must be the same go together. */
static void simplify_leases(struct rig_shrink *shrink)
{
    shrink->candidate = shrink->best;
    for (uint32_t i = 0; i < shrink->candidate.n_ops; i++) {
        struct rig_op *op = &shrink->candidate.ops[i];
        if ((op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE) && op->has_initial) {
            op->has_initial = 0;
            op->len = (struct rig_size){0};
        }
    }
    (void)rig_shrink_try(shrink);
}

static void simplify_ops(struct rig_shrink *shrink)
{
    simplify_leases(shrink);
    for (uint32_t i = shrink->best.n_ops; i-- > 0;) {
        simplify_kind(shrink, i);
        for (const uint8_t *part = rig_shape[shrink->best.ops[i].kind]; *part; part++)
            simplify_part(shrink, i, (enum rig_part) * part);
    }
}

/* ---- names ---- */

static bool uses_register(const struct rig_op *op)
{
    for (const uint8_t *part = rig_shape[op->kind]; *part; part++)
        if (*part == RIG_PART_REF || (*part == RIG_PART_CHILD && op->form == RIG_FORK_STORE))
            return true;
    return false;
}

/* Registers and images get numbers in the order in which they turn up. */
static void renumber(struct rig_shrink *shrink)
{
    uint8_t reg[RIG_N_REGISTERS], image[RIG_N_IMAGES + 1], n_regs = 0, n_images = 0;
    struct rig_program *candidate = &shrink->candidate;
    memset(reg, RIG_N_REGISTERS, sizeof reg);
    memset(image, RIG_NO_IMAGE, sizeof image);
    *candidate = shrink->best;
    for (uint32_t i = 0; i < candidate->n_ops; i++) {
        struct rig_op *op = &candidate->ops[i];
        const bool has_image =
            op->kind == RIG_IMAGE || op->kind == RIG_DROP || op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE;
        if (uses_register(op)) {
            if (reg[op->reg] == RIG_N_REGISTERS)
                reg[op->reg] = n_regs++;
            op->reg = reg[op->reg];
        }
        if (has_image && op->image != RIG_NO_IMAGE) {
            if (image[op->image] == RIG_NO_IMAGE)
                image[op->image] = n_images++;
            op->image = image[op->image];
        }
        if (op->kind == RIG_IMAGE && op->form != RIG_FORM_PLAIN) {
            if (image[op->other_image] == RIG_NO_IMAGE)
                image[op->other_image] = n_images++;
            op->other_image = image[op->other_image];
        }
    }
    (void)rig_shrink_try(shrink);
}

static void merge_registers(struct rig_shrink *shrink)
{
    for (unsigned from = RIG_N_REGISTERS; from-- > 1;)
        for (unsigned to = 0; to < from; to++) {
            shrink->candidate = shrink->best;
            for (uint32_t i = 0; i < shrink->candidate.n_ops; i++)
                if (uses_register(&shrink->candidate.ops[i]) && shrink->candidate.ops[i].reg == from)
                    shrink->candidate.ops[i].reg = (uint8_t)to;
            if (rig_shrink_try(shrink))
                break;
        }
}

/* ---- the world ---- */

/* With a host page as the unit, lengths have to be whole ones. */
static void simplify_unit(struct rig_shrink *shrink)
{
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    struct rig_program *candidate = &shrink->candidate;
    *candidate = shrink->best;
    candidate->world.unit = rig_world_default().unit;
    for (uint32_t i = 0; i < candidate->n_ops; i++) {
        struct rig_op *op = &candidate->ops[i];
        const bool is_lease = op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE;
        if ((is_lease && op->has_initial) || (op->kind == RIG_GROW && op->form == RIG_GROW_BY))
            op->len = in_pages(op->len, page_bytes - 1);
        if (is_lease && op->has_max)
            op->len2 = in_pages(op->len2, page_bytes - 1);
    }
    (void)rig_shrink_try(shrink);
}

static void simplify_world(struct rig_shrink *shrink)
{
    const struct rig_world plain = rig_plain_world(&shrink->best);
    shrink->candidate = shrink->best;
    shrink->candidate.world = plain;
    (void)rig_shrink_try(shrink);
    simplify_unit(shrink);
    for (size_t i = 0; i < RIG_N_KEYS; i++) {
        const size_t offset = rig_keys[i].offset;
        shrink->candidate = shrink->best;
        memcpy((uint8_t *)&shrink->candidate.world + offset, (const uint8_t *)&plain + offset,
               rig_key_bytes(&rig_keys[i]));
        (void)rig_shrink_try(shrink);
        if (rig_keys[i].type == RIG_KEY_SIZE)
            simplify_size(shrink, offsetof(struct rig_program, world) + offset);
    }
    for (uint8_t n_slots = 1; n_slots < shrink->best.world.n_slots; n_slots++) {
        shrink->candidate = shrink->best;
        shrink->candidate.world.n_slots = n_slots;
        (void)rig_shrink_try(shrink);
    }
}

void rig_simplify(struct rig_shrink *shrink)
{
    merge_registers(shrink);
    renumber(shrink);
    simplify_world(shrink);
    simplify_ops(shrink);
    simplify_world(shrink);
}
