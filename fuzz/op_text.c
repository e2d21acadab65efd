/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One operation of the text form, read: one part after the other, as shape.h lists them. */
#include "scan.h"
#include "shape.h"

#include <string.h>

static int parse_key_size(struct rig_scan *scan, const char *key, const char *what, struct rig_size *ret_size)
{
    return rig_scan_key(scan, key) ? rig_scan_size(scan, ret_size) : rig_scan_expected(scan, what);
}

static int parse_image(struct rig_scan *scan, struct rig_op *op)
{
    return rig_scan_image(scan, &op->image);
}

static int parse_extent(struct rig_scan *scan, struct rig_op *op)
{
    return parse_key_size(scan, "size=", "'size='", &op->len);
}

static int parse_like(struct rig_scan *scan, struct rig_op *op)
{
    if (rig_scan_key(scan, "like="))
        op->form = RIG_IMAGE_LIKE;
    else if (rig_scan_key(scan, "samefile="))
        op->form = RIG_IMAGE_SAMEFILE;
    else if (rig_scan_key(scan, "copyfile="))
        op->form = RIG_IMAGE_COPYFILE;
    else
        return 0;
    return rig_scan_image(scan, &op->other_image);
}

static int parse_literal(struct rig_scan *scan, struct rig_op *op)
{
    do {
        if (op->n_literal == sizeof op->literal)
            return rig_scan_expected(scan, "at most 8 bytes in a record");
        if (rig_scan_hex(scan, &op->literal[op->n_literal]))
            return -1;
        op->n_literal++;
    } while (!rig_scan_is_end(scan) && *scan->at != '-');
    return 0;
}

static int parse_contents(struct rig_scan *scan, struct rig_op *op)
{
    static const char *const forms[] = {"bytes", "stamp", "zero", NULL};
    if (rig_scan_size(scan, &op->at.offset))
        return -1;
    int form = rig_scan_choice(scan, forms, "'bytes', 'stamp' or 'zero'");
    if (form < 0)
        return -1;
    op->form = (uint8_t)form;
    return op->form == RIG_DATA_BYTES ? parse_literal(scan, op) : rig_scan_size(scan, &op->len);
}

static int parse_ref(struct rig_scan *scan, struct rig_op *op)
{
    return rig_scan_ref(scan, &op->reg, &op->age);
}

static int parse_tenant(struct rig_scan *scan, struct rig_op *op)
{
    if (!rig_scan_word(scan, "none"))
        return rig_scan_image(scan, &op->image);
    op->image = RIG_NO_IMAGE;
    return 0;
}

static int parse_limits(struct rig_scan *scan, struct rig_op *op)
{
    op->has_initial = rig_scan_key(scan, "initial=");
    if (op->has_initial && rig_scan_size(scan, &op->len))
        return -1;
    op->has_max = rig_scan_key(scan, "max=");
    return op->has_max ? rig_scan_size(scan, &op->len2) : 0;
}

static int parse_at(struct rig_scan *scan, struct rig_op *op)
{
    return rig_scan_at(scan, &op->at);
}

static int parse_width(struct rig_scan *scan, struct rig_op *op)
{
    static const char *const widths[] = {"width=1", "width=2", "width=4", "width=8", "width=16", NULL};
    int log2 = rig_scan_choice(scan, widths, "'width=' and 1, 2, 4, 8 or 16");
    if (log2 < 0)
        return -1;
    op->width = (uint8_t)(1 << log2);
    return 0;
}

static int parse_span(struct rig_scan *scan, struct rig_op *op)
{
    op->form = RIG_RANGE_TO;
    if (rig_scan_key(scan, "to="))
        return rig_scan_at(scan, &op->other);
    op->form = RIG_RANGE_LEN;
    return parse_key_size(scan, "len=", "'len=' or 'to='", &op->len);
}

static int parse_byte(struct rig_scan *scan, struct rig_op *op)
{
    uint32_t byte = 0;
    op->has_byte = rig_scan_key(scan, "byte=");
    if (op->has_byte && rig_scan_number(scan, 0, 0xff, &byte))
        return -1;
    op->byte = (uint8_t)byte;
    return 0;
}

static int parse_from(struct rig_scan *scan, struct rig_op *op)
{
    return rig_scan_key(scan, "from=") ? rig_scan_at(scan, &op->other) : rig_scan_expected(scan, "'from='");
}

static int parse_len(struct rig_scan *scan, struct rig_op *op)
{
    return parse_key_size(scan, "len=", "'len='", &op->len);
}

static int parse_segment(struct rig_scan *scan, struct rig_op *op)
{
    uint32_t segment;
    if (!rig_scan_key(scan, "segment="))
        return rig_scan_expected(scan, "'segment='");
    if (rig_scan_number(scan, 0, RIG_MAX_SEGMENT, &segment))
        return -1;
    op->segment = (uint8_t)segment;
    return 0;
}

static int parse_from_size(struct rig_scan *scan, struct rig_op *op)
{
    return parse_key_size(scan, "from=", "'from='", &op->len2);
}

static int parse_growth(struct rig_scan *scan, struct rig_op *op)
{
    op->form = RIG_GROW_HUGE;
    if (rig_scan_word(scan, "huge"))
        return 0;
    op->form = RIG_GROW_TO;
    if (rig_scan_key(scan, "to="))
        return rig_scan_at(scan, &op->other);
    op->form = RIG_GROW_BY;
    return parse_key_size(scan, "+", "'+', 'to=' or 'huge'", &op->len);
}

static int parse_child(struct rig_scan *scan, struct rig_op *op)
{
    if (!rig_scan_word(scan, "store"))
        return 0;
    op->form = RIG_FORK_STORE;
    return parse_ref(scan, op) || parse_at(scan, op) ? -1 : 0;
}

static int parse_advice(struct rig_scan *scan, struct rig_op *op)
{
    static const char *const names[] = {"cold", "pageout", "willneed", NULL};
    int advice = rig_scan_choice(scan, names, "'cold', 'pageout' or 'willneed'");
    if (advice < 0)
        return -1;
    op->choice = (uint8_t)advice;
    return 0;
}

static int parse_trim(struct rig_scan *scan, struct rig_op *op)
{
    op->form = rig_scan_word(scan, "trim") ? RIG_FLUSH_TRIM : 0;
    return 0;
}

static int parse_pinned(struct rig_scan *scan, struct rig_op *op)
{
    op->form = RIG_PIN_WHOLE;
    if (rig_scan_is_end(scan) || (scan->end - scan->at > 1 && memcmp(scan->at, "->", 2) == 0))
        return 0;
    return parse_at(scan, op) || parse_span(scan, op) ? -1 : 0;
}

static int parse_lanes(struct rig_scan *scan, struct rig_op *op)
{
    uint32_t lane;
    do {
        if (op->n_literal == sizeof op->literal)
            return rig_scan_expected(scan, "at most 8 lanes in a record");
        if (rig_scan_number(scan, 0, RIG_MAX_LANES - 1, &lane))
            return -1;
        op->literal[op->n_literal++] = (uint8_t)lane;
    } while (!rig_scan_is_end(scan) && *scan->at != '-');
    return 0;
}

static int parse_fault_outcome(struct rig_scan *scan, struct rig_op *op)
{
    op->form = RIG_FAULT_LIE;
    if (rig_scan_word(scan, "lie"))
        return 0;
    op->form = RIG_FAULT_SHORT;
    if (rig_scan_key(scan, "short="))
        return rig_scan_number(scan, 0, RIG_MAX_N, &op->len2.n);
    op->form = RIG_FAULT_ERROR;
    if (!rig_scan_key(scan, "error="))
        return rig_scan_expected(scan, "'error=', 'short=' or 'lie'");
    int error = rig_scan_choice(scan, rig_error_name, "the name of an errno");
    if (error < 0)
        return -1;
    op->error = (uint8_t)error;
    return 0;
}

static int parse_fault(struct rig_scan *scan, struct rig_op *op)
{
    const char *names[RIG_N_CALLS + 1] = {NULL};
    memcpy(names, rig_call_name, sizeof rig_call_name);
    int call = rig_scan_choice(scan, names, "a kernel call");
    if (call < 0)
        return -1;
    op->choice = (uint8_t)call;
    if (!rig_scan_key(scan, "nth="))
        return rig_scan_expected(scan, "'nth='");
    if (rig_scan_number(scan, 1, RIG_MAX_N, &op->len.n))
        return -1;
    op->forever = rig_scan_word(scan, "forever");
    return parse_fault_outcome(scan, op);
}

static int (*const part_parsers[RIG_N_PARTS])(struct rig_scan *scan, struct rig_op *op) = {
    [RIG_PART_IMAGE] = parse_image,       [RIG_PART_EXTENT] = parse_extent,   [RIG_PART_LIKE] = parse_like,
    [RIG_PART_CONTENTS] = parse_contents, [RIG_PART_REF] = parse_ref,         [RIG_PART_TENANT] = parse_tenant,
    [RIG_PART_LIMITS] = parse_limits,     [RIG_PART_AT] = parse_at,           [RIG_PART_WIDTH] = parse_width,
    [RIG_PART_SPAN] = parse_span,         [RIG_PART_BYTE] = parse_byte,       [RIG_PART_FROM] = parse_from,
    [RIG_PART_LEN] = parse_len,           [RIG_PART_SEGMENT] = parse_segment, [RIG_PART_FROM_SIZE] = parse_from_size,
    [RIG_PART_GROWTH] = parse_growth,     [RIG_PART_CHILD] = parse_child,     [RIG_PART_ADVICE] = parse_advice,
    [RIG_PART_PINNED] = parse_pinned,     [RIG_PART_LANES] = parse_lanes,     [RIG_PART_FAULT] = parse_fault,
    [RIG_PART_TRIM] = parse_trim,
};

static int parse_kind(struct rig_scan *scan)
{
    for (int kind = 0; kind < RIG_N_KINDS; kind++)
        if (rig_scan_word(scan, rig_kind_name[kind]))
            return kind;
    return rig_scan_expected(scan, "an operation");
}

int rig_scan_op(struct rig_scan *scan, struct rig_op *ret_op)
{
    int kind = parse_kind(scan);
    if (kind < 0)
        return -1;
    ret_op->kind = (uint8_t)kind;
    for (const uint8_t *part = rig_shape[kind]; *part; part++)
        if (part_parsers[*part](scan, ret_op))
            return -1;
    return 0;
}
