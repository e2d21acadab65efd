/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading a Wasm binary, byte by byte, without ever looking past its end.
 *
 * A cursor runs over [at, end): the binary, or one of its sections. The first thing that goes wrong is kept, with its place; from
 * then on there is nothing left to read, and every number is 0. So readers need no check after each call; loops over counts
 * from the binary ask cow_wasm_failed().
 *
 * (W1) binary <= at <= end <= the end of the binary.
 * (W2) After a failure at = end. */
#ifndef COW_WASM_CURSOR_H
#define COW_WASM_CURSOR_H

#include "cowpool.h"

#include <stdbool.h>

struct cow_wasm_cursor {
    const uint8_t *binary; /* places are counted from here */
    const uint8_t *at, *end;
    bool in_section; /* what ends too early here is malformed; else the binary itself is cut off */
    int result;      /* COW_OK until something is wrong */
    struct cow_wasm_error error;
};

static inline bool cow_wasm_failed(const struct cow_wasm_cursor *cursor)
{
    return cursor->result != COW_OK;
}

/* result: a refusal, or -ENOMEM. */
void cow_wasm_fail(struct cow_wasm_cursor *cursor, int result, const uint8_t *place, const char *what);
/* What stands at `end` was needed. */
void cow_wasm_fail_short(struct cow_wasm_cursor *cursor);

static inline size_t cow_wasm_left(const struct cow_wasm_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

static inline uint8_t cow_wasm_byte(struct cow_wasm_cursor *cursor)
{
    if (cursor->at == cursor->end) {
        cow_wasm_fail_short(cursor);
        return 0;
    }
    return *cursor->at++;
}

/* Moves over n bytes and returns where they begin, or NULL. */
const uint8_t *cow_wasm_skip(struct cow_wasm_cursor *cursor, uint64_t n_bytes);

/* LEB128 (core specification 5.2.2 "Integers"): at most ceil(n_bits / 7) bytes, the unused bits of the last one 0, or the sign. */
uint64_t cow_wasm_unsigned_long(struct cow_wasm_cursor *cursor, unsigned n_bits);
int64_t cow_wasm_signed(struct cow_wasm_cursor *cursor, unsigned n_bits);

/* Most numbers take one byte. */
static inline uint64_t cow_wasm_unsigned(struct cow_wasm_cursor *cursor, unsigned n_bits)
{
    if (cursor->at != cursor->end && *cursor->at < 0x80)
        return *cursor->at++;
    return cow_wasm_unsigned_long(cursor, n_bits);
}

static inline uint32_t cow_wasm_u32(struct cow_wasm_cursor *cursor)
{
    return (uint32_t)cow_wasm_unsigned(cursor, 32);
}

#endif
