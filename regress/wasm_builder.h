/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Wasm binaries, spelt out byte by byte. A text holds
 *
 *     0b 41     bytes, two hexadecimal digits each; blanks between them are ignored
 *     'abc'     characters
 *     [ ... ]   what is inside, after its length as a u32: sections, names, the bytes of a data segment; nests. At most 127 bytes
 *     { ... }   the same, with the length in five bytes, as linkers write it
 *     ^         a mark: the offset of the byte that comes next
 */
#ifndef REGRESS_WASM_BUILDER_H
#define REGRESS_WASM_BUILDER_H

#include "harness.h"

#define WASM_MAX_MARKS 8
#define WASM_HEADER "00 'asm' 01 00 00 00 "

struct wasm_builder {
    uint8_t *bytes;
    size_t n_bytes;
    size_t room_bytes;
    struct {
        size_t offset_bytes; /* where the length is to be */
        size_t length_bytes;
    } open[8];
    unsigned n_open;
    size_t marks[WASM_MAX_MARKS];
    unsigned n_marks;
};

static inline void wasm_byte(struct wasm_builder *w, unsigned byte)
{
    if (w->n_bytes == w->room_bytes) {
        w->room_bytes = w->room_bytes ? 2 * w->room_bytes : 256;
        w->bytes = realloc(w->bytes, w->room_bytes);
        if (!w->bytes)
            abort();
    }
    w->bytes[w->n_bytes++] = (uint8_t)byte;
}

static inline void wasm_free(struct wasm_builder *w)
{
    free(w->bytes);
    *w = (struct wasm_builder){0};
}

/* LEB128, unsigned, in at least min_bytes bytes. */
static inline void wasm_unsigned(struct wasm_builder *w, uint64_t value, size_t min_bytes)
{
    for (size_t n = 1; value > 0x7f || n < min_bytes; n++, value >>= 7)
        wasm_byte(w, 0x80 | (unsigned)(value & 0x7f));
    wasm_byte(w, (unsigned)value);
}

/* LEB128, signed, in at least min_bytes bytes. */
static inline void wasm_signed(struct wasm_builder *w, int64_t value, size_t min_bytes)
{
    for (size_t n = 1; value < -0x40 || value > 0x3f || n < min_bytes; n++)
        wasm_byte(w, 0x80 | (unsigned)(value & 0x7f)), value = value < 0 ? ~(~value >> 7) : value >> 7;
    wasm_byte(w, (unsigned)(value & 0x7f));
}

/* Leaves length_bytes for the length of what comes until wasm_close(). */
static inline void wasm_open(struct wasm_builder *w, size_t length_bytes)
{
    CHECK(w->n_open < sizeof w->open / sizeof *w->open);
    w->open[w->n_open].offset_bytes = w->n_bytes;
    w->open[w->n_open++].length_bytes = length_bytes;
    for (size_t i = 0; i < length_bytes; i++)
        wasm_byte(w, 0);
}

static inline void wasm_close(struct wasm_builder *w)
{
    CHECK(w->n_open > 0);
    const size_t at = w->open[--w->n_open].offset_bytes, length_bytes = w->open[w->n_open].length_bytes;
    const size_t end = w->n_bytes;
    w->n_bytes = at;
    wasm_unsigned(w, end - at - length_bytes, length_bytes);
    CHECK(w->n_bytes == at + length_bytes); /* the length fits where room was left for it */
    w->n_bytes = end;
}

static inline unsigned wasm_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    CHECK(at != NULL);
    return (unsigned)(at - digits);
}

/* Appends what the text says. */
static inline void wasm_write(struct wasm_builder *w, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            for (text++; *text != '\''; text++)
                wasm_byte(w, (uint8_t)*text);
        else if (*text == '[' || *text == '{')
            wasm_open(w, *text == '[' ? 1 : 5);
        else if (*text == ']' || *text == '}')
            wasm_close(w);
        else if (*text == '^') {
            CHECK(w->n_marks < WASM_MAX_MARKS);
            w->marks[w->n_marks++] = w->n_bytes;
        } else if (*text != ' ') {
            wasm_byte(w, wasm_digit(text[0]) << 4 | wasm_digit(text[1]));
            text++;
        }
}

static inline struct wasm_builder wasm_built(const char *text)
{
    struct wasm_builder w = {0};
    wasm_write(&w, text);
    return w;
}

#endif
