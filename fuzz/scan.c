/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "scan.h"

#include "shape.h"

#include <stdarg.h>
#include <string.h>

#define MAX_FOUND 32 /* bytes of the offending token that an error shows */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void set_place(const struct rig_scan *scan)
{
    scan->error->line = scan->line;
    scan->error->column = (uint32_t)(scan->at - scan->begin) + 1;
}

int rig_scan_fail(const struct rig_scan *scan, const char *format, ...)
{
    va_list arguments;
    set_place(scan);
    va_start(arguments, format);
    vsnprintf(scan->error->what, sizeof scan->error->what, format, arguments);
    va_end(arguments);
    return -1;
}

int rig_scan_expected(const struct rig_scan *scan, const char *what)
{
    char found[MAX_FOUND + 1];
    size_t n = 0;
    for (const char *c = scan->at; c < scan->end && !is_blank(*c) && n < MAX_FOUND; c++)
        found[n++] = *c > ' ' && *c < 0x7f ? *c : '?';
    found[n] = 0;
    if (!n)
        return rig_scan_fail(scan, "expected %s, found the end of the line", what);
    return rig_scan_fail(scan, "expected %s, found '%s'", what, found);
}

bool rig_scan_is_end(struct rig_scan *scan)
{
    while (scan->at < scan->end && is_blank(*scan->at))
        scan->at++;
    return scan->at == scan->end;
}

/* To the next token; but a value stands directly behind its key, or its sign. */
static void to_token(struct rig_scan *scan)
{
    if (scan->at == scan->begin || (scan->at[-1] != '=' && scan->at[-1] != '+'))
        rig_scan_is_end(scan);
}

static bool at_token_end(const struct rig_scan *scan)
{
    return scan->at == scan->end || is_blank(*scan->at);
}

bool rig_scan_key(struct rig_scan *scan, const char *key)
{
    size_t n = strlen(key);
    to_token(scan);
    if ((size_t)(scan->end - scan->at) < n || memcmp(scan->at, key, n) != 0)
        return false;
    scan->at += n;
    return true;
}

bool rig_scan_word(struct rig_scan *scan, const char *word)
{
    to_token(scan);
    struct rig_scan saved = *scan;
    if (rig_scan_key(scan, word) && at_token_end(scan))
        return true;
    *scan = saved;
    return false;
}

int rig_scan_close(const struct rig_scan *scan, const char *what)
{
    return at_token_end(scan) ? 0 : rig_scan_expected(scan, what);
}

int rig_scan_choice(struct rig_scan *scan, const char *const *names, const char *what)
{
    for (int i = 0; names[i]; i++)
        if (rig_scan_word(scan, names[i]))
            return i;
    return rig_scan_expected(scan, what);
}

/* Digits, decimal or after 0x, up to the first character that is none. */
static int scan_digits(struct rig_scan *scan, const char *what, uint32_t max, uint32_t *ret_n)
{
    const struct rig_scan start = *scan;
    int base = 10;
    uint64_t n = 0;
    if (scan->end - scan->at > 2 && scan->at[0] == '0' && scan->at[1] == 'x' && hex_value(scan->at[2]) >= 0) {
        base = 16;
        scan->at += 2;
    }
    if (scan->at == scan->end || hex_value(*scan->at) < 0 || hex_value(*scan->at) >= base)
        return rig_scan_expected(&start, what);
    for (; scan->at < scan->end; scan->at++) {
        int digit = hex_value(*scan->at);
        if (digit < 0 || digit >= base)
            break;
        n = n * (unsigned)base + (unsigned)digit;
        if (n > max)
            return rig_scan_fail(&start, "the number is too large: at most %u here", max);
    }
    *ret_n = (uint32_t)n;
    return 0;
}

int rig_scan_number(struct rig_scan *scan, uint32_t min, uint32_t max, uint32_t *ret_n)
{
    to_token(scan);
    const struct rig_scan start = *scan;
    uint32_t n;
    if (scan_digits(scan, "a number", max, &n) || rig_scan_close(scan, "a blank after the number"))
        return -1;
    if (n < min)
        return rig_scan_fail(&start, "the number is too small: at least %u here", min);
    *ret_n = n;
    return 0;
}

/* A size that may be followed by an offset. */
static int scan_size_part(struct rig_scan *scan, const char *what, struct rig_size *ret_size)
{
    struct rig_size size = {0};
    if (scan_digits(scan, what, RIG_MAX_N, &size.n))
        return -1;
    for (uint8_t unit = 1; unit < RIG_N_UNITS && scan->at < scan->end; unit++) {
        if (*scan->at != rig_unit_letter[unit])
            continue;
        size.unit = unit;
        scan->at++;
        break;
    }
    *ret_size = rig_size_normal(size);
    return 0;
}

int rig_scan_size(struct rig_scan *scan, struct rig_size *ret_size)
{
    to_token(scan);
    if (scan_size_part(scan, "a size", ret_size))
        return -1;
    return rig_scan_close(scan, "a unit (K, M, G, P or W) or a blank after the size");
}

/* "4096+8": one number, if the two can be added without knowing how large a host page is. */
static int fold(const struct rig_scan *start, struct rig_size base, struct rig_at *at)
{
    static const unsigned shift[RIG_N_UNITS] = {0, 10, 20, 30, 0, 16};
    struct rig_size offset = at->offset;
    if (!base.n)
        return 0;
    if (!offset.n)
        offset.unit = base.unit;
    if (base.unit != offset.unit) {
        if (base.unit == RIG_UNIT_P || offset.unit == RIG_UNIT_P)
            return rig_scan_fail(start, "expected an edge or a single size, found host pages and bytes added up");
        base.n = (uint64_t)base.n << shift[base.unit] > RIG_MAX_N ? UINT32_MAX : base.n << shift[base.unit];
        offset.n = (uint64_t)offset.n << shift[offset.unit] > RIG_MAX_N ? UINT32_MAX : offset.n << shift[offset.unit];
        base.unit = RIG_UNIT_BYTES;
    }
    int64_t sum = (int64_t)base.n + (at->minus ? -(int64_t)offset.n : (int64_t)offset.n);
    if (base.n > RIG_MAX_N || offset.n > RIG_MAX_N || sum > (int64_t)RIG_MAX_N)
        return rig_scan_fail(start, "the number is too large: at most %u here", RIG_MAX_N);
    at->minus = sum < 0;
    at->offset = (struct rig_size){(uint32_t)(sum < 0 ? -sum : sum), base.unit};
    return 0;
}

static int scan_offset(struct rig_scan *scan, struct rig_at *at)
{
    if (at_token_end(scan))
        return 0;
    if (*scan->at != '+' && *scan->at != '-')
        return rig_scan_expected(scan, "'+', '-' or a blank after the place");
    at->minus = *scan->at++ == '-';
    if (scan_size_part(scan, "a size", &at->offset))
        return -1;
    return rig_scan_close(scan, "a unit (K, M, G, P or W) or a blank after the offset");
}

int rig_scan_at(struct rig_scan *scan, struct rig_at *ret_at)
{
    struct rig_at at = {0};
    struct rig_size base = {0};
    to_token(scan);
    const struct rig_scan start = *scan;
    while (at.edge < RIG_N_EDGES && !rig_scan_key(scan, rig_edge_name[at.edge]))
        at.edge++;
    if (at.edge == RIG_N_EDGES) {
        at.edge = RIG_EDGE_START;
        if (scan_size_part(scan, "an edge or a size", &base))
            return -1;
    }
    if (scan_offset(scan, &at))
        return -1;
    if (fold(&start, base, &at))
        return -1;
    *ret_at = rig_at_normal(at);
    return 0;
}

int rig_scan_ref(struct rig_scan *scan, uint8_t *ret_reg, uint8_t *ret_age)
{
    uint32_t age = 0;
    to_token(scan);
    if (scan->end - scan->at < 2 || scan->at[0] != 'i' || scan->at[1] < '0' || scan->at[1] >= '0' + RIG_N_REGISTERS)
        return rig_scan_expected(scan, "a register i0 .. i7");
    *ret_reg = (uint8_t)(scan->at[1] - '0');
    scan->at += 2;
    if (scan->at < scan->end && *scan->at == '~') {
        scan->at++;
        if (scan_digits(scan, "an age", RIG_MAX_AGE, &age))
            return -1;
    }
    *ret_age = (uint8_t)age;
    return rig_scan_close(scan, "'~' or a blank after the register");
}

int rig_scan_image(struct rig_scan *scan, uint8_t *ret_image)
{
    to_token(scan);
    if (scan->at == scan->end || *scan->at < 'A' || *scan->at >= 'A' + RIG_N_IMAGES)
        return rig_scan_expected(scan, "an image A .. H");
    *ret_image = (uint8_t)(*scan->at++ - 'A');
    return rig_scan_close(scan, "a blank after the image");
}

int rig_scan_hex(struct rig_scan *scan, uint8_t *ret_byte)
{
    to_token(scan);
    if (scan->end - scan->at < 2 || hex_value(scan->at[0]) < 0 || hex_value(scan->at[1]) < 0)
        return rig_scan_expected(scan, "two hex digits");
    *ret_byte = (uint8_t)(hex_value(scan->at[0]) << 4 | hex_value(scan->at[1]));
    scan->at += 2;
    return rig_scan_close(scan, "a blank after two hex digits");
}

int rig_scan_name(struct rig_scan *scan, const char *what, const char *letters, char *ret_name, size_t n_ret)
{
    size_t n = 0;
    to_token(scan);
    while (!at_token_end(scan) && *scan->at && strchr(letters, *scan->at) && n + 1 < n_ret)
        ret_name[n++] = *scan->at++;
    ret_name[n] = 0;
    return n ? rig_scan_close(scan, what) : rig_scan_expected(scan, what);
}
