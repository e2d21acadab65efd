/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One operation's record, part by part.
 *
 *   operation  0 kind   1 register   2 form   3, 4 selectors   5..9 place A   10..14 place B   15..19 place C
 *   place      0 edge, sign and unit   1..4 n, little endian
 *
 * The kind is not read here: it depends on the header (program_binary.c). */
#include "record.h"

#include "shape.h"

#include <assert.h>
#include <string.h>

enum { OP_REGISTER = 1, OP_FORM, OP_SELECT, OP_SELECT2, OP_A, OP_B = 10, OP_C = 15 };
#define OP_LITERAL OP_B /* literals have neither a place B nor a length: they run on into C */

static const struct rig_selector select_register = {8, {0, 80, 136, 172, 196, 205, 214, 223}};
#define FIRST_STALE 232 /* register bytes from here on: (age - 1, register) in their offset's bits */
static const struct rig_selector select_image = {8, {0, 88, 152, 192, 212, 223, 234, 245}};
static const struct rig_selector select_tenant = {9, {0, 80, 136, 172, 190, 199, 208, 217, 226}};
static const struct rig_selector select_like = {4, {0, 200, 230, 244}};
static const struct rig_selector select_contents = {3, {0, 72, 226}};
static const struct rig_selector select_span = {2, {0, 160}};
static const struct rig_selector select_growth = {3, {0, 160, 244}};
static const struct rig_selector select_child = {2, {0, 128}};
static const struct rig_selector select_trim = {2, {0, 160}};
static const struct rig_selector select_width = {5, {0, 80, 112, 144, 216}};
static const struct rig_selector select_limits = {4, {0, 120, 200, 226}}; /* none, initial, max, both */
static const struct rig_selector select_has_byte = {2, {0, 192}};
static const struct rig_selector select_n_literal = {8, {0, 32, 64, 96, 128, 160, 192, 224}};
static const struct rig_selector select_length_unit = {RIG_N_UNITS, {0, 84, 88, 89, 90, 240}};
static const struct rig_selector select_offset_unit = {RIG_N_UNITS, {0, 9, 10, 11, 12, 15}}; /* of 16 */

uint8_t rig_selected(const struct rig_selector *selector, unsigned byte)
{
    uint8_t value = 0;
    while (value + 1 < selector->n_values && byte >= selector->first[value + 1])
        value++;
    return value;
}

uint8_t rig_selecting(const struct rig_selector *selector, unsigned value)
{
    assert(value < selector->n_values);
    return selector->first[value];
}

static const struct rig_selector select_advice = {RIG_N_ADVICES, {0, 40, 216}};
static const struct rig_selector select_pinned = {3, {0, 100, 140}};
/* The calls that the pool makes have the larger shares. */
static const struct rig_selector select_call = {RIG_N_CALLS, {0, 58, 62, 63, 138, 139, 210, 228, 240, 254, 255}};
static const struct rig_selector select_forever = {2, {0, 192}};
#define FIRST_SHORT 192
static const uint8_t lie[5] = "lies";
static const struct rig_selector select_error = {
    RIG_N_ERRORS, {0, 8, 24, 32, 40, 48, 56, 64, 76, 116, 132, 140, 148, 156, 212, 228, 232, 236, 240, 248, 252}};

uint8_t rig_some_error(unsigned byte)
{
    return rig_selected(&select_error, byte);
}

/* ---- numbers and places ---- */

uint32_t rig_get_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void rig_put_u32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* The top byte says how large the number may be: half of all random ones are below 17, three quarters below 257. */
static uint32_t get_n(const uint8_t *bytes)
{
    uint32_t raw = rig_get_u32(bytes);
    uint32_t top = raw >> 24;
    if (top < 0x80)
        return (raw & 0xffff) % 17;
    if (top < 0xc0)
        return (raw & 0xffff) % 257;
    return top < 0xf0 ? raw & 0xffff : raw & RIG_MAX_N;
}

static void put_n(uint8_t *bytes, uint32_t n)
{
    assert(n <= RIG_MAX_N);
    uint32_t class = n < 17 ? 0 : n < 257 ? 0x80000000 : n <= 0xffff ? 0xc0000000 : 0xf0000000;
    rig_put_u32(bytes, class | n);
}

static struct rig_size get_length(const uint8_t *place)
{
    return rig_size_normal((struct rig_size){get_n(place + 1), rig_selected(&select_length_unit, place[0])});
}

static void put_length(uint8_t *place, struct rig_size size)
{
    place[0] = rig_selecting(&select_length_unit, size.unit);
    put_n(place + 1, size.n);
}

/* Bits 0..2 edge, 3 sign, 4..7 unit. START minus something is seldom worth a try: only edge 7 means it. */
static struct rig_at get_at(const uint8_t *place)
{
    uint8_t edge = place[0] & 7;
    uint8_t minus = place[0] >> 3 & 1;
    struct rig_size offset = {get_n(place + 1), rig_selected(&select_offset_unit, place[0] >> 4)};
    if (edge == RIG_EDGE_START)
        minus = 0;
    if (edge == RIG_N_EDGES)
        edge = RIG_EDGE_START;
    return rig_at_normal((struct rig_at){edge, minus, offset});
}

static void put_at(uint8_t *place, struct rig_at at)
{
    unsigned edge = at.edge == RIG_EDGE_START && at.minus ? RIG_N_EDGES : at.edge;
    unsigned unit = rig_selecting(&select_offset_unit, at.offset.unit);
    place[0] = (uint8_t)(edge | (at.minus ? 8u : 0) | unit << 4);
    put_n(place + 1, at.offset.n);
}

/* ---- parts: each reads, and writes, the fields that shape.h names for it ---- */

static void get_image(const uint8_t *r, struct rig_op *op)
{
    op->image = rig_selected(&select_image, r[OP_SELECT]);
}

static void put_image(uint8_t *r, const struct rig_op *op)
{
    r[OP_SELECT] = rig_selecting(&select_image, op->image);
}

static void get_len(const uint8_t *r, struct rig_op *op)
{
    op->len = get_length(r + OP_C);
}

static void put_len(uint8_t *r, const struct rig_op *op)
{
    put_length(r + OP_C, op->len);
}

static void get_like(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_like, r[OP_FORM]);
    if (op->form != RIG_FORM_PLAIN)
        op->other_image = rig_selected(&select_image, r[OP_SELECT2]);
}

static void put_like(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_like, op->form);
    r[OP_SELECT2] = rig_selecting(&select_image, op->other_image);
}

static void get_contents(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_contents, r[OP_FORM]);
    op->at.offset = get_at(r + OP_A).offset;
    if (op->form != RIG_DATA_BYTES) {
        get_len(r, op);
        return;
    }
    op->n_literal = (uint8_t)(1 + rig_selected(&select_n_literal, r[OP_SELECT]));
    memcpy(op->literal, r + OP_LITERAL, op->n_literal);
}

static void put_contents(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_contents, op->form);
    put_at(r + OP_A, op->at);
    if (op->form != RIG_DATA_BYTES) {
        put_len(r, op);
        return;
    }
    r[OP_SELECT] = rig_selecting(&select_n_literal, op->n_literal - 1u);
    memcpy(r + OP_LITERAL, op->literal, op->n_literal);
}

static void get_ref(const uint8_t *r, struct rig_op *op)
{
    unsigned byte = r[OP_REGISTER];
    if (byte < FIRST_STALE) {
        op->reg = rig_selected(&select_register, byte);
        return;
    }
    op->reg = (byte - FIRST_STALE) % RIG_N_REGISTERS;
    op->age = (uint8_t)(1 + (byte - FIRST_STALE) / RIG_N_REGISTERS);
}

static void put_ref(uint8_t *r, const struct rig_op *op)
{
    assert(op->age <= RIG_MAX_AGE);
    r[OP_REGISTER] = rig_selecting(&select_register, op->reg);
    if (op->age)
        r[OP_REGISTER] = (uint8_t)(FIRST_STALE + (op->age - 1) * RIG_N_REGISTERS + op->reg);
}

static void get_tenant(const uint8_t *r, struct rig_op *op)
{
    op->image = rig_selected(&select_tenant, r[OP_SELECT]);
}

static void put_tenant(uint8_t *r, const struct rig_op *op)
{
    r[OP_SELECT] = rig_selecting(&select_tenant, op->image);
}

static void get_limits(const uint8_t *r, struct rig_op *op)
{
    unsigned which = rig_selected(&select_limits, r[OP_FORM]);
    op->has_initial = which & 1;
    op->has_max = which >> 1 & 1;
    if (op->has_initial)
        get_len(r, op);
    if (op->has_max)
        op->len2 = get_length(r + OP_B);
}

static void put_limits(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_limits, op->has_initial + 2u * op->has_max);
    put_len(r, op);
    put_length(r + OP_B, op->len2);
}

static void get_op_at(const uint8_t *r, struct rig_op *op)
{
    op->at = get_at(r + OP_A);
}

static void put_op_at(uint8_t *r, const struct rig_op *op)
{
    put_at(r + OP_A, op->at);
}

static void get_width(const uint8_t *r, struct rig_op *op)
{
    op->width = (uint8_t)(1u << rig_selected(&select_width, r[OP_SELECT2]));
}

static void put_width(uint8_t *r, const struct rig_op *op)
{
    unsigned log2 = 0;
    while (1u << log2 < op->width)
        log2++;
    r[OP_SELECT2] = rig_selecting(&select_width, log2);
}

static void get_from(const uint8_t *r, struct rig_op *op)
{
    op->other = get_at(r + OP_B);
}

static void put_from(uint8_t *r, const struct rig_op *op)
{
    put_at(r + OP_B, op->other);
}

static void get_span(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_span, r[OP_FORM]);
    if (op->form == RIG_RANGE_TO)
        get_from(r, op);
    else
        get_len(r, op);
}

static void put_span(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_span, op->form);
    put_from(r, op);
    put_len(r, op);
}

static void get_byte(const uint8_t *r, struct rig_op *op)
{
    op->has_byte = rig_selected(&select_has_byte, r[OP_SELECT]);
    op->byte = op->has_byte ? r[OP_SELECT2] : 0;
}

static void put_byte(uint8_t *r, const struct rig_op *op)
{
    r[OP_SELECT] = rig_selecting(&select_has_byte, op->has_byte);
    r[OP_SELECT2] = op->byte;
}

/* Programs seldom have more than a few segments: three quarters of the bytes mean one of the first four. */
static void get_segment(const uint8_t *r, struct rig_op *op)
{
    op->segment = r[OP_SELECT2] < 0xc0 ? r[OP_SELECT2] & 3 : r[OP_SELECT2] & RIG_MAX_SEGMENT;
}

static void put_segment(uint8_t *r, const struct rig_op *op)
{
    assert(op->segment <= RIG_MAX_SEGMENT);
    r[OP_SELECT2] = op->segment < 4 ? op->segment : (uint8_t)(0xc0 + op->segment);
}

static void get_from_size(const uint8_t *r, struct rig_op *op)
{
    op->len2 = get_at(r + OP_B).offset;
}

static void put_from_size(uint8_t *r, const struct rig_op *op)
{
    put_at(r + OP_B, (struct rig_at){.offset = op->len2});
}

static void get_growth(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_growth, r[OP_FORM]);
    if (op->form == RIG_GROW_TO)
        get_from(r, op);
    else if (op->form == RIG_GROW_BY)
        get_len(r, op);
}

static void put_growth(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_growth, op->form);
    put_from(r, op);
    put_len(r, op);
}

static void get_child(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_child, r[OP_FORM]);
    if (op->form != RIG_FORK_STORE)
        return;
    get_ref(r, op);
    get_op_at(r, op);
}

static void put_child(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_child, op->form);
    put_ref(r, op);
    put_op_at(r, op);
}

static void get_trim(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_trim, r[OP_FORM]);
}

static void put_trim(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_trim, op->form);
}

static void get_advice(const uint8_t *r, struct rig_op *op)
{
    op->choice = rig_selected(&select_advice, r[OP_SELECT2]);
}

static void put_advice(uint8_t *r, const struct rig_op *op)
{
    r[OP_SELECT2] = rig_selecting(&select_advice, op->choice);
}

static void get_pinned(const uint8_t *r, struct rig_op *op)
{
    op->form = rig_selected(&select_pinned, r[OP_FORM]);
    if (op->form == RIG_PIN_WHOLE)
        return;
    get_op_at(r, op);
    if (op->form == RIG_RANGE_TO)
        get_from(r, op);
    else
        get_len(r, op);
}

static void put_pinned(uint8_t *r, const struct rig_op *op)
{
    r[OP_FORM] = rig_selecting(&select_pinned, op->form);
    put_op_at(r, op);
    put_from(r, op);
    put_len(r, op);
}

/* A lie is spelled out: random bytes must not make one. */
static void get_fault(const uint8_t *r, struct rig_op *op)
{
    op->choice = rig_selected(&select_call, r[OP_SELECT]);
    op->forever = rig_selected(&select_forever, r[OP_SELECT2]);
    op->len.n = get_n(r + OP_C + 1);
    op->len.n += op->len.n == 0;
    op->form = r[OP_FORM] < FIRST_SHORT ? RIG_FAULT_ERROR : RIG_FAULT_SHORT;
    if (memcmp(r + OP_B, lie, sizeof lie) == 0)
        op->form = RIG_FAULT_LIE;
    if (op->form == RIG_FAULT_ERROR)
        op->error = rig_selected(&select_error, r[OP_REGISTER]);
    else if (op->form == RIG_FAULT_SHORT)
        op->len2.n = get_n(r + OP_A + 1);
}

static void put_fault(uint8_t *r, const struct rig_op *op)
{
    r[OP_SELECT] = rig_selecting(&select_call, op->choice);
    r[OP_SELECT2] = rig_selecting(&select_forever, op->forever);
    put_n(r + OP_C + 1, op->len.n);
    r[OP_FORM] = op->form == RIG_FAULT_SHORT ? FIRST_SHORT : 0;
    if (op->form == RIG_FAULT_LIE)
        memcpy(r + OP_B, lie, sizeof lie);
    else if (op->form == RIG_FAULT_ERROR)
        r[OP_REGISTER] = rig_selecting(&select_error, op->error);
    else
        put_n(r + OP_A + 1, op->len2.n);
}

static const struct {
    void (*get)(const uint8_t *record, struct rig_op *op);
    void (*put)(uint8_t *record, const struct rig_op *op);
} codecs[RIG_N_BINARY_PARTS] = {
    [RIG_PART_IMAGE] = {get_image, put_image},
    [RIG_PART_EXTENT] = {get_len, put_len},
    [RIG_PART_LIKE] = {get_like, put_like},
    [RIG_PART_CONTENTS] = {get_contents, put_contents},
    [RIG_PART_REF] = {get_ref, put_ref},
    [RIG_PART_TENANT] = {get_tenant, put_tenant},
    [RIG_PART_LIMITS] = {get_limits, put_limits},
    [RIG_PART_AT] = {get_op_at, put_op_at},
    [RIG_PART_WIDTH] = {get_width, put_width},
    [RIG_PART_SPAN] = {get_span, put_span},
    [RIG_PART_BYTE] = {get_byte, put_byte},
    [RIG_PART_FROM] = {get_from, put_from},
    [RIG_PART_LEN] = {get_len, put_len},
    [RIG_PART_SEGMENT] = {get_segment, put_segment},
    [RIG_PART_FROM_SIZE] = {get_from_size, put_from_size},
    [RIG_PART_GROWTH] = {get_growth, put_growth},
    [RIG_PART_CHILD] = {get_child, put_child},
    [RIG_PART_ADVICE] = {get_advice, put_advice},
    [RIG_PART_PINNED] = {get_pinned, put_pinned},
    [RIG_PART_TRIM] = {get_trim, put_trim},
    [RIG_PART_FAULT] = {get_fault, put_fault},
};

void rig_record_get(const uint8_t *record, struct rig_op *op)
{
    for (const uint8_t *part = rig_shape[op->kind]; *part; part++)
        codecs[*part].get(record, op);
}

void rig_record_put(const struct rig_op *op, uint8_t *record)
{
    for (const uint8_t *part = rig_shape[op->kind]; *part; part++) {
        assert(*part < RIG_N_BINARY_PARTS);
        codecs[*part].put(record, op);
    }
}
