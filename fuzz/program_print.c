/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The text form, written. Canonical: a program has one spelling, and parsing it gives the program back. */
#include "shape.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define EXPECT_COLUMN 33 /* expectations stand below each other, unless an operation is longer than this */

/* A line in the making; every word brings the blank before it. */
struct line {
    char text[512];
    size_t n;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->text + line->n, sizeof line->text - line->n, format, arguments);
    va_end(arguments);
    assert(n >= 0 && (size_t)n < sizeof line->text - line->n);
    line->n += (size_t)n;
}

static void put_size(struct line *line, const char *before, struct rig_size size)
{
    const char unit[2] = {rig_unit_letter[size.unit], 0};
    put(line, "%s%u%s", before, size.n, unit);
}

static void put_at(struct line *line, const char *before, struct rig_at at)
{
    if (at.edge == RIG_EDGE_START && !at.minus) {
        put_size(line, before, at.offset);
        return;
    }
    put(line, "%s%s", before, rig_edge_name[at.edge]);
    if (at.offset.n)
        put_size(line, at.minus ? "-" : "+", at.offset);
}

static void put_ref(struct line *line, const struct rig_op *op)
{
    put(line, " i%u", op->reg);
    if (op->age)
        put(line, "~%u", op->age);
}

static void put_image(struct line *line, const char *before, unsigned image)
{
    put(line, "%s%c", before, (int)('A' + image));
}

/* ---- parts of an operation ---- */

static void print_image(struct line *line, const struct rig_op *op)
{
    put_image(line, " ", op->image);
}

static void print_extent(struct line *line, const struct rig_op *op)
{
    put_size(line, " size=", op->len);
}

static void print_like(struct line *line, const struct rig_op *op)
{
    static const char *const keys[] = {NULL, " like=", " samefile=", " copyfile="};
    if (op->form != RIG_FORM_PLAIN)
        put_image(line, keys[op->form], op->other_image);
}

static void print_contents(struct line *line, const struct rig_op *op)
{
    put_size(line, " ", op->at.offset);
    if (op->form != RIG_DATA_BYTES) {
        put_size(line, op->form == RIG_DATA_STAMP ? " stamp " : " zero ", op->len);
        return;
    }
    put(line, " bytes");
    for (unsigned i = 0; i < op->n_literal; i++)
        put(line, " %02x", op->literal[i]);
}

static void print_tenant(struct line *line, const struct rig_op *op)
{
    if (op->image == RIG_NO_IMAGE)
        put(line, " none");
    else
        print_image(line, op);
}

static void print_limits(struct line *line, const struct rig_op *op)
{
    if (op->has_initial)
        put_size(line, " initial=", op->len);
    if (op->has_max)
        put_size(line, " max=", op->len2);
}

static void print_at(struct line *line, const struct rig_op *op)
{
    put_at(line, " ", op->at);
}

static void print_width(struct line *line, const struct rig_op *op)
{
    put(line, " width=%u", op->width);
}

static void print_len(struct line *line, const struct rig_op *op)
{
    put_size(line, " len=", op->len);
}

static void print_span(struct line *line, const struct rig_op *op)
{
    if (op->form == RIG_RANGE_TO)
        put_at(line, " to=", op->other);
    else
        print_len(line, op);
}

static void print_byte(struct line *line, const struct rig_op *op)
{
    if (op->has_byte)
        put(line, " byte=%u", op->byte);
}

static void print_from(struct line *line, const struct rig_op *op)
{
    put_at(line, " from=", op->other);
}

static void print_segment(struct line *line, const struct rig_op *op)
{
    put(line, " segment=%u", op->segment);
}

static void print_from_size(struct line *line, const struct rig_op *op)
{
    put_size(line, " from=", op->len2);
}

static void print_growth(struct line *line, const struct rig_op *op)
{
    if (op->form == RIG_GROW_HUGE)
        put(line, " huge");
    else if (op->form == RIG_GROW_TO)
        put_at(line, " to=", op->other);
    else
        put_size(line, " +", op->len);
}

static void print_child(struct line *line, const struct rig_op *op)
{
    if (op->form != RIG_FORK_STORE)
        return;
    put(line, " store");
    put_ref(line, op);
    print_at(line, op);
}

static void print_advice(struct line *line, const struct rig_op *op)
{
    put(line, " %s", rig_advice_name[op->choice]);
}

static void print_pinned(struct line *line, const struct rig_op *op)
{
    if (op->form == RIG_PIN_WHOLE)
        return;
    print_at(line, op);
    print_span(line, op);
}

static void print_lanes(struct line *line, const struct rig_op *op)
{
    for (unsigned i = 0; i < op->n_literal; i++)
        put(line, " %u", op->literal[i]);
}

static void print_fault(struct line *line, const struct rig_op *op)
{
    put(line, " %s nth=%u%s", rig_call_name[op->choice], op->len.n, op->forever ? " forever" : "");
    if (op->form == RIG_FAULT_ERROR)
        put(line, " error=%s", rig_error_name[op->error]);
    else if (op->form == RIG_FAULT_SHORT)
        put(line, " short=%u", op->len2.n);
    else
        put(line, " lie");
}

static void print_trim(struct line *line, const struct rig_op *op)
{
    if (op->form == RIG_FLUSH_TRIM)
        put(line, " trim");
}

static void (*const part_printers[RIG_N_PARTS])(struct line *line, const struct rig_op *op) = {
    [RIG_PART_IMAGE] = print_image,       [RIG_PART_EXTENT] = print_extent,   [RIG_PART_LIKE] = print_like,
    [RIG_PART_CONTENTS] = print_contents, [RIG_PART_REF] = put_ref,           [RIG_PART_TENANT] = print_tenant,
    [RIG_PART_LIMITS] = print_limits,     [RIG_PART_AT] = print_at,           [RIG_PART_WIDTH] = print_width,
    [RIG_PART_SPAN] = print_span,         [RIG_PART_BYTE] = print_byte,       [RIG_PART_FROM] = print_from,
    [RIG_PART_LEN] = print_len,           [RIG_PART_SEGMENT] = print_segment, [RIG_PART_FROM_SIZE] = print_from_size,
    [RIG_PART_GROWTH] = print_growth,     [RIG_PART_CHILD] = print_child,     [RIG_PART_ADVICE] = print_advice,
    [RIG_PART_PINNED] = print_pinned,     [RIG_PART_LANES] = print_lanes,     [RIG_PART_FAULT] = print_fault,
    [RIG_PART_TRIM] = print_trim,
};

static void put_op(struct line *line, const struct rig_op *op)
{
    if (op->lane)
        put(line, "@%u ", op->lane);
    put(line, "%s", rig_kind_name[op->kind]);
    for (const uint8_t *part = rig_shape[op->kind]; *part; part++)
        part_printers[*part](line, op);
}

static void put_expect(struct line *line, const struct rig_expect *expect)
{
    put(line, "%s", rig_expect_name[expect->kind]);
    if (expect->kind == RIG_EXPECT_OK_SIZE)
        put_size(line, "", expect->size);
    else if (expect->kind == RIG_EXPECT_TRAP)
        put_at(line, " ", expect->at);
    else if (expect->kind == RIG_EXPECT_REFUSED || expect->kind == RIG_EXPECT_ERROR)
        put(line, " %s", expect->name);
}

/* ---- the pool line ---- */

/* As few words as say it. Kinds that are always enabled need none. */
static void put_enabled(struct line *line, uint32_t enabled)
{
    const char *before = " enable=";
    if (enabled == RIG_ALL_KINDS)
        put(line, "%sall", before);
    else if (enabled == RIG_ALWAYS_ENABLED)
        put(line, "%snone", before);
    else
        for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
            if (!(enabled & ~RIG_ALWAYS_ENABLED & RIG_BIT(kind)))
                continue;
            put(line, "%s%s", before, rig_kind_name[kind]);
            before = ",";
        }
}

static void put_key(struct line *line, const struct rig_key *key, const struct rig_world *world,
                    const struct rig_world *normal)
{
    const void *field = (const char *)world + key->offset;
    const void *expected = (const char *)normal + key->offset;
    const uint8_t *small = field;
    const uint32_t *number = field;
    const struct rig_size *size = field;
    switch (key->type) {
    case RIG_KEY_SMALL:
        if (*small != *(const uint8_t *)expected)
            put(line, " %s%u", key->name, *small);
        break;
    case RIG_KEY_CHOICE:
        if (*small != *(const uint8_t *)expected)
            put(line, " %s%s", key->name, key->choices[*small]);
        break;
    case RIG_KEY_NUMBER:
        if (*number != *(const uint32_t *)expected)
            put(line, " %s%u", key->name, *number);
        break;
    case RIG_KEY_SIZE:
        if (!rig_size_equal(*size, *(const struct rig_size *)expected)) {
            put(line, " %s", key->name);
            put_size(line, "", *size);
        }
        break;
    case RIG_KEY_ENABLE:
        if (*number != *(const uint32_t *)expected)
            put_enabled(line, *number);
        break;
    }
}

/* ---- to a file ---- */

static void write_line(FILE *out, const struct line *line)
{
    fwrite(line->text, 1, line->n, out);
}

/* A line that is left out when nothing follows its first word. */
static void write_headed(FILE *out, const char *head, const struct line *line)
{
    if (line->n)
        fprintf(out, "%s%.*s\n", head, (int)line->n, line->text);
}

void rig_print_size(FILE *out, struct rig_size size)
{
    struct line line = {0};
    put_size(&line, "", size);
    write_line(out, &line);
}

void rig_print_at(FILE *out, struct rig_at at)
{
    struct line line = {0};
    put_at(&line, "", at);
    write_line(out, &line);
}

void rig_print_op(FILE *out, const struct rig_op *op)
{
    rig_print_line(out, op, NULL);
}

void rig_print_expect(FILE *out, const struct rig_expect *expect)
{
    struct line line = {0};
    put_expect(&line, expect);
    write_line(out, &line);
}

void rig_print_line(FILE *out, const struct rig_op *op, const struct rig_expect *expect)
{
    struct line line = {0};
    put_op(&line, op);
    if (expect && expect->kind != RIG_EXPECT_NOTHING) {
        put(&line, "%*s -> ", line.n < EXPECT_COLUMN ? (int)(EXPECT_COLUMN - line.n) : 0, "");
        put_expect(&line, expect);
    }
    write_line(out, &line);
}

void rig_print_needs(FILE *out, const struct rig_text *text)
{
    struct line line = {0};
    if (text->need_hostpage.n)
        put_size(&line, " hostpage=", text->need_hostpage);
    for (unsigned need = 0; rig_need_name[need]; need++)
        if (text->needs & 1u << need)
            put(&line, " %s", rig_need_name[need]);
    write_headed(out, "needs", &line);
}

void rig_print_pool(FILE *out, const struct rig_world *world)
{
    struct line line = {0};
    const struct rig_world normal = rig_world_default();
    for (unsigned i = 0; i < RIG_N_KEYS; i++)
        put_key(&line, &rig_keys[i], world, &normal);
    write_headed(out, "pool", &line);
}

void rig_print_program(FILE *out, const struct rig_program *program, const struct rig_text *needs_of,
                       const struct rig_expect *expect)
{
    fprintf(out, "cowpool-ops %d\n", RIG_VERSION);
    if (needs_of)
        rig_print_needs(out, needs_of);
    rig_print_pool(out, &program->world);
    for (uint32_t i = 0; i < program->n_ops; i++) {
        rig_print_line(out, &program->ops[i], expect ? &expect[i] : NULL);
        fputc('\n', out);
    }
}
