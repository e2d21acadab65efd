/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a program weighs: how much there is to read. A minimised program is one that no step makes lighter. */
#include "minimize.h"
#include "shape.h"

#include <string.h>

enum { WEIGHT_OP = 1 << 16, WEIGHT_IMAGE = 1 << 14, WEIGHT_SETTING = 16 };

static unsigned n_bits(uint32_t n)
{
    unsigned bits = 0;
    for (; n; n >>= 1)
        bits++;
    return bits;
}

static unsigned weigh_size(struct rig_size size)
{
    static const uint8_t units[RIG_N_UNITS] = {[RIG_UNIT_P] = 1, [RIG_UNIT_W] = 2, [RIG_UNIT_K] = 3, 4, 5};
    const unsigned odd = size.n > 16 && (size.n & (size.n - 1)) != 0;
    return size.n ? 3 * n_bits(size.n) + odd + units[size.unit] : 0;
}

/* A small number, an edge, an edge and a number. */
static unsigned weigh_at(struct rig_at at)
{
    if (at.edge == RIG_EDGE_START)
        return weigh_size(at.offset) + 8u * at.minus;
    return 14u + (at.offset.n ? 2 + weigh_size(at.offset) : 0);
}

static unsigned weigh_contents(const struct rig_op *op)
{
    unsigned weight = weigh_size(op->at.offset);
    if (op->form != RIG_DATA_BYTES)
        return weight + 6 + weigh_size(op->len);
    for (unsigned i = 0; i < op->n_literal; i++)
        weight += op->literal[i] == 1 ? 2 : 3;
    return weight;
}

static unsigned weigh_part(enum rig_part part, const struct rig_op *op)
{
    switch (part) {
    case RIG_PART_IMAGE:
        return op->image;
    case RIG_PART_EXTENT:
    case RIG_PART_LEN:
        return weigh_size(op->len);
    case RIG_PART_LIKE:
        return 16u * op->form + op->other_image;
    case RIG_PART_CONTENTS:
        return weigh_contents(op);
    case RIG_PART_REF:
        return op->reg + 8u * op->age;
    case RIG_PART_TENANT:
        return op->image == RIG_NO_IMAGE ? 0 : 1u + op->image;
    case RIG_PART_LIMITS:
        return (op->has_initial ? 2 + weigh_size(op->len) : 0) + (op->has_max ? 3 + weigh_size(op->len2) : 0);
    case RIG_PART_AT:
        return weigh_at(op->at);
    case RIG_PART_WIDTH:
        return n_bits(op->width);
    case RIG_PART_SPAN:
        return op->form == RIG_RANGE_TO ? 8 + weigh_at(op->other) : weigh_size(op->len);
    case RIG_PART_BYTE:
        return op->has_byte ? 2 + n_bits(op->byte) : 0;
    case RIG_PART_FROM:
        return weigh_at(op->other);
    case RIG_PART_SEGMENT:
        return op->segment;
    case RIG_PART_FROM_SIZE:
        return weigh_size(op->len2);
    case RIG_PART_GROWTH:
        return op->form == RIG_GROW_BY ? weigh_size(op->len)
                                       : 32u + (op->form == RIG_GROW_TO ? weigh_at(op->other) : 0);
    case RIG_PART_CHILD:
        return op->form ? 16u + op->reg + 8u * op->age + weigh_at(op->at) : 0;
    case RIG_PART_TRIM:
        return op->form;
    case RIG_PART_PINNED:
        return op->form == RIG_PIN_WHOLE ? 0 : 8 + weigh_at(op->at) + weigh_at(op->other) + weigh_size(op->len);
    case RIG_PART_FAULT:
        return n_bits(op->len.n) + 4u * op->forever + (op->form == RIG_FAULT_SHORT ? 2 + n_bits(op->len2.n) : 0);
    default:
        return 0;
    }
}

static uint64_t weigh_op(const struct rig_op *op)
{
    static const uint8_t kinds[RIG_N_KINDS] = {
        [RIG_REUSE] = 1,      [RIG_FILL] = 64,     [RIG_COPY] = 64, [RIG_INIT] = 64,
        [RIG_HOSTWRITE] = 64, [RIG_SCRIBBLE] = 64, [RIG_FORK] = 64};
    uint64_t weight = kinds[op->kind];
    for (const uint8_t *part = rig_shape[op->kind]; *part; part++)
        weight += weigh_part((enum rig_part) * part, op);
    return weight + (op->kind == RIG_IMAGE || op->kind == RIG_DATA ? WEIGHT_IMAGE : WEIGHT_OP);
}

size_t rig_key_bytes(const struct rig_key *key)
{
    switch (key->type) {
    case RIG_KEY_SIZE:
        return sizeof(struct rig_size);
    case RIG_KEY_NUMBER:
    case RIG_KEY_ENABLE:
        return sizeof(uint32_t);
    default:
        return sizeof(uint8_t);
    }
}

struct rig_world rig_plain_world(const struct rig_program *program)
{
    struct rig_world world = rig_world_default();
    for (uint32_t i = 0; i < program->n_ops; i++)
        world.enabled |= program->ops[i].kind == RIG_FORK ? RIG_BIT(RIG_FORK) : 0;
    return world;
}

/* Sizes by value: behind the unit there are bytes that mean nothing. */
static bool is_plain(const struct rig_key *key, const uint8_t *field, const uint8_t *plain)
{
    return key->type == RIG_KEY_SIZE ? rig_size_equal(*(const struct rig_size *)(const void *)field,
                                                      *(const struct rig_size *)(const void *)plain)
                                     : memcmp(field, plain, rig_key_bytes(key)) == 0;
}

static uint64_t weigh_world(const struct rig_program *program)
{
    const struct rig_world plain = rig_plain_world(program);
    uint64_t weight = 0;
    for (size_t i = 0; i < RIG_N_KEYS; i++) {
        const uint8_t *field = (const uint8_t *)&program->world + rig_keys[i].offset;
        if (is_plain(&rig_keys[i], field, (const uint8_t *)&plain + rig_keys[i].offset))
            continue;
        weight += WEIGHT_SETTING;
        if (rig_keys[i].type == RIG_KEY_SIZE)
            weight += weigh_size(*(const struct rig_size *)(const void *)field);
        else if (rig_keys[i].type == RIG_KEY_SMALL)
            weight += *field;
    }
    return weight;
}

uint64_t rig_weight(const struct rig_program *program)
{
    uint64_t weight = weigh_world(program);
    for (uint32_t i = 0; i < program->n_ops; i++)
        weight += weigh_op(&program->ops[i]);
    return weight;
}
