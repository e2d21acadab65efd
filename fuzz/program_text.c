/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The text form, read: the lines of the file, and all of them but what an operation consists of (op_text.c). */
#include "scan.h"
#include "shape.h"

#include <string.h>

#define MAX_LINE_BYTES 1000
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* What the lines so far rule out: they come in this order. */
enum stage { STAGE_VERSION, STAGE_NEEDS, STAGE_OPS };

struct parser {
    struct rig_text *text;
    const char *next, *end; /* what is left of the file */
    struct rig_scan scan;   /* the line at hand, without its comment */
    enum stage stage;
};

static int end_of_line(struct rig_scan *scan, const char *what)
{
    return rig_scan_is_end(scan) ? 0 : rig_scan_expected(scan, what);
}

static int parse_version(struct parser *parser)
{
    struct rig_scan *scan = &parser->scan;
    static const char *const version[] = {"1", NULL};
    if (!rig_scan_word(scan, "cowpool-ops"))
        return rig_scan_expected(scan, "'cowpool-ops 1'");
    if (rig_scan_choice(scan, version, "version 1") < 0)
        return -1;
    parser->stage = STAGE_NEEDS;
    return end_of_line(scan, "the end of the line");
}

/* ---- needs ---- */

static int parse_need(struct parser *parser)
{
    struct rig_scan *scan = &parser->scan;
    struct rig_text *text = parser->text;
    rig_scan_is_end(scan);
    const struct rig_scan start = *scan;
    if (rig_scan_key(scan, "hostpage=")) {
        if (text->need_hostpage.n)
            return rig_scan_expected(&start, "'hostpage=' only once");
        if (rig_scan_size(scan, &text->need_hostpage))
            return -1;
        return text->need_hostpage.n ? 0 : rig_scan_expected(&start, "a host page of at least 1 byte");
    }
    int need = rig_scan_choice(scan, rig_need_name, "'hostpage=', 'guard', 'scan', 'batch' or 'fork'");
    if (need < 0)
        return -1;
    text->needs |= 1u << need;
    return 0;
}

static int parse_needs(struct parser *parser, const struct rig_scan *start)
{
    if (parser->stage > STAGE_NEEDS)
        return rig_scan_fail(start, "expected 'needs' before the pool line and the operations");
    do {
        if (parse_need(parser))
            return -1;
    } while (!rig_scan_is_end(&parser->scan));
    return 0;
}

/* ---- the pool line ---- */

static int parse_enabled_kind(struct rig_scan *scan)
{
    size_t n = 0;
    while (scan->at + n < scan->end && strchr(LOWER, scan->at[n]))
        n++;
    for (int kind = 0; kind < RIG_N_KINDS; kind++) {
        if (strlen(rig_kind_name[kind]) != n || memcmp(scan->at, rig_kind_name[kind], n) != 0)
            continue;
        scan->at += n;
        return kind;
    }
    return rig_scan_expected(scan, "'all', 'none' or operations with ',' between them");
}

static int parse_enable(struct rig_scan *scan, uint32_t *ret_enabled)
{
    *ret_enabled = RIG_ALL_KINDS;
    if (rig_scan_word(scan, "all"))
        return 0;
    *ret_enabled = RIG_ALWAYS_ENABLED;
    if (rig_scan_word(scan, "none"))
        return 0;
    for (;;) {
        int kind = parse_enabled_kind(scan);
        if (kind < 0)
            return -1;
        *ret_enabled |= RIG_BIT(kind);
        if (scan->at == scan->end || *scan->at != ',')
            return rig_scan_close(scan, "',' or a blank after the operation");
        scan->at++;
    }
}

static int parse_value(struct rig_scan *scan, const struct rig_key *key, struct rig_world *world)
{
    void *field = (char *)world + key->offset;
    const struct rig_scan start = *scan;
    struct rig_size size;
    uint32_t n;
    int choice;
    switch (key->type) {
    case RIG_KEY_SMALL:
        if (rig_scan_number(scan, key->min, key->max, &n))
            return -1;
        *(uint8_t *)field = (uint8_t)n;
        return 0;
    case RIG_KEY_NUMBER:
        return rig_scan_number(scan, key->min, key->max, field);
    case RIG_KEY_SIZE:
        if (rig_scan_size(scan, &size))
            return -1;
        if (size.n < key->min)
            return rig_scan_expected(&start, "a size of at least 1");
        *(struct rig_size *)field = size;
        return 0;
    case RIG_KEY_CHOICE:
        choice = rig_scan_choice(scan, key->choices, "a value that this key knows");
        if (choice < 0)
            return -1;
        *(uint8_t *)field = (uint8_t)choice;
        return 0;
    case RIG_KEY_ENABLE:
        return parse_enable(scan, field);
    }
    return -1;
}

static int parse_key(struct rig_scan *scan, uint32_t *seen, struct rig_world *world)
{
    rig_scan_is_end(scan);
    const struct rig_scan start = *scan;
    for (unsigned i = 0; i < RIG_N_KEYS; i++) {
        if (!rig_scan_key(scan, rig_keys[i].name))
            continue;
        if (*seen & 1u << i)
            return rig_scan_expected(&start, "every key only once");
        *seen |= 1u << i;
        return parse_value(scan, &rig_keys[i], world);
    }
    return rig_scan_expected(scan, "a key of the pool line, such as 'slots=' or 'max='");
}

static int parse_pool(struct parser *parser, const struct rig_scan *start)
{
    uint32_t seen = 0;
    if (parser->stage == STAGE_OPS)
        return rig_scan_fail(start, "expected one 'pool' line, before the operations");
    while (!rig_scan_is_end(&parser->scan))
        if (parse_key(&parser->scan, &seen, &parser->text->program.world))
            return -1;
    parser->stage = STAGE_OPS;
    return 0;
}

/* ---- operations and expectations ---- */

static int parse_expect(struct rig_scan *scan, struct rig_expect *expect)
{
    rig_scan_is_end(scan);
    const struct rig_scan start = *scan;
    unsigned kind = RIG_EXPECT_NOTHING + 1;
    while (kind < RIG_N_EXPECTS && !rig_scan_word(scan, rig_expect_name[kind]) &&
           !(kind == RIG_EXPECT_OK_SIZE && rig_scan_key(scan, rig_expect_name[kind])))
        kind++;
    expect->kind = (uint8_t)kind;
    switch (kind) {
    case RIG_EXPECT_OK_SIZE:
        return rig_scan_size(scan, &expect->size);
    case RIG_EXPECT_TRAP:
        return rig_scan_at(scan, &expect->at);
    case RIG_EXPECT_REFUSED:
        return rig_scan_name(scan, "the name of a refusal", LOWER UPPER "-", expect->name, sizeof expect->name);
    case RIG_EXPECT_ERROR:
        if (rig_scan_is_end(scan) || *scan->at != 'E')
            return rig_scan_expected(scan, "the name of an errno");
        return rig_scan_name(scan, "the name of an errno", UPPER DIGITS, expect->name, sizeof expect->name);
    case RIG_N_EXPECTS:
        return rig_scan_expected(&start, "'ok', 'ok=', 'trap', 'refused', 'stale', 'error' or 'noop'");
    default:
        return 0;
    }
}

static int parse_lane(struct rig_scan *scan, uint8_t *ret_lane)
{
    uint32_t lane;
    if (!rig_scan_key(scan, "@"))
        return 0;
    if (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
        return rig_scan_expected(scan, "a lane directly behind '@'");
    if (rig_scan_number(scan, 0, RIG_MAX_LANES - 1, &lane))
        return -1;
    *ret_lane = (uint8_t)lane;
    return 0;
}

static int check_enabled(const struct rig_scan *scan, unsigned kind, uint32_t enabled)
{
    if (enabled & RIG_BIT(kind))
        return 0;
    if (kind == RIG_FORK)
        return rig_scan_fail(scan, "'fork' needs 'enable=all' or 'enable=..,fork' in the pool line");
    return rig_scan_fail(scan, "expected an operation that the pool line's 'enable=' lists, found '%s'",
                         rig_kind_name[kind]);
}

/* Something follows an operation that is complete: says what the operation may consist of. */
static int too_much(const struct rig_scan *scan, unsigned kind, unsigned expect)
{
    char what[120];
    const char *before = expect == RIG_EXPECT_NOTHING ? "'->' or " : "";
    const char *blank = rig_kind_syntax[kind][0] ? " " : "";
    snprintf(what, sizeof what, "%sthe end of the line after: %s%s%s", before, rig_kind_name[kind], blank,
             rig_kind_syntax[kind]);
    return rig_scan_expected(scan, what);
}

static int parse_op(struct parser *parser)
{
    struct rig_program *program = &parser->text->program;
    struct rig_scan *scan = &parser->scan;
    uint32_t i = program->n_ops;
    if (i == RIG_MAX_OPS)
        return rig_scan_expected(scan, "at most 256 operations");
    parser->stage = STAGE_OPS;

    struct rig_op *op = &program->ops[i];
    if (parse_lane(scan, &op->lane))
        return -1;
    rig_scan_is_end(scan);
    const struct rig_scan start = *scan;
    if (rig_scan_op(scan, op) || check_enabled(&start, op->kind, program->world.enabled))
        return -1;
    if (rig_scan_word(scan, "->") && parse_expect(scan, &parser->text->expect[i]))
        return -1;
    if (!rig_scan_is_end(scan))
        return too_much(scan, op->kind, parser->text->expect[i].kind);
    parser->text->line[i] = scan->line;
    program->n_ops++;
    return 0;
}

/* ---- lines ---- */

/* Takes the next line. Bytes that no editor shows are errors, in comments too: what looks the same is the same. */
static int take_line(struct parser *parser)
{
    struct rig_scan *scan = &parser->scan;
    const char *newline = memchr(parser->next, '\n', (size_t)(parser->end - parser->next));
    scan->begin = scan->at = parser->next;
    scan->end = newline ? newline : parser->end;
    scan->line++;
    parser->next = newline ? newline + 1 : parser->end;
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '\r')
            return rig_scan_fail(scan, "expected lines that end in LF, found CR");
        if (*scan->at == 0)
            return rig_scan_fail(scan, "expected text, found a NUL byte");
        if (scan->at - scan->begin == MAX_LINE_BYTES)
            return rig_scan_fail(scan, "expected at most %d bytes in a line", MAX_LINE_BYTES);
    }
    scan->at = scan->begin;
    const char *comment = memchr(scan->begin, '#', (size_t)(scan->end - scan->begin));
    if (comment)
        scan->end = comment;
    return 0;
}

static int parse_line(struct parser *parser)
{
    if (parser->stage == STAGE_VERSION)
        return parse_version(parser);
    if (rig_scan_is_end(&parser->scan))
        return 0;
    const struct rig_scan start = parser->scan;
    if (rig_scan_word(&parser->scan, "needs"))
        return parse_needs(parser, &start);
    if (rig_scan_word(&parser->scan, "pool"))
        return parse_pool(parser, &start);
    return parse_op(parser);
}

int rig_text_parse(const char *text, size_t n_bytes, struct rig_text *ret_text, struct rig_text_error *ret_error)
{
    const char *begin = n_bytes ? text : "";
    struct parser parser = {.text = ret_text, .next = begin, .end = begin + n_bytes, .scan.error = ret_error};
    memset(ret_text, 0, sizeof *ret_text);
    ret_text->program.world = rig_world_default();
    do {
        if (take_line(&parser) || parse_line(&parser))
            return -1;
    } while (parser.next < parser.end);
    return 0;
}
