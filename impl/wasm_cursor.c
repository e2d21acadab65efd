/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Bytes and numbers of a Wasm binary. */
#include "wasm_cursor.h"

void cow_wasm_fail(struct cow_wasm_cursor *cursor, int result, const uint8_t *place, const char *what)
{
    if (cow_wasm_failed(cursor))
        return;
    cursor->result = result;
    cursor->error = (struct cow_wasm_error){.offset_bytes = (size_t)(place - cursor->binary), .what = what};
    cursor->at = cursor->end; /* (W2) */
}

void cow_wasm_fail_short(struct cow_wasm_cursor *cursor)
{
    if (cursor->in_section)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, cursor->end, "the section ends in the middle of something");
    else
        cow_wasm_fail(cursor, COW_WASM_TRUNCATED, cursor->end, "the binary ends in the middle of something");
}

const uint8_t *cow_wasm_skip(struct cow_wasm_cursor *cursor, uint64_t n_bytes)
{
    const uint8_t *begin = cursor->at;
    if (n_bytes > cow_wasm_left(cursor)) {
        cow_wasm_fail_short(cursor);
        return NULL;
    }
    cursor->at += n_bytes;
    return begin;
}

/* The integer, not extended by its sign; *ret_n_read_bits: 7 for each byte of it. */
static uint64_t read_leb128(struct cow_wasm_cursor *cursor, unsigned n_bits, unsigned *ret_n_read_bits)
{
    const uint8_t *begin = cursor->at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < n_bits; shift += 7) {
        const uint8_t byte = cow_wasm_byte(cursor);
        value |= (uint64_t)(byte & 0x7f) << shift;
        *ret_n_read_bits = shift + 7;
        if (byte < 0x80)
            return value;
    }
    cow_wasm_fail(cursor, COW_WASM_LEB128, begin, "an integer with more bytes than its type has");
    return 0;
}

/* The bits that the last byte holds beyond the integer's, and the highest `keep` of the integer's own. 0 when it has none. */
static uint8_t unused_bits(const struct cow_wasm_cursor *cursor, unsigned n_bits, unsigned n_read_bits, unsigned keep)
{
    if (n_read_bits <= n_bits || cow_wasm_failed(cursor))
        return 0;
    return (uint8_t)((cursor->at[-1] & 0x7f) >> (7 - (n_read_bits - n_bits) - keep));
}

uint64_t cow_wasm_unsigned_long(struct cow_wasm_cursor *cursor, unsigned n_bits)
{
    const uint8_t *begin = cursor->at;
    unsigned n_read_bits = 0;
    const uint64_t value = read_leb128(cursor, n_bits, &n_read_bits);
    if (unused_bits(cursor, n_bits, n_read_bits, 0)) {
        cow_wasm_fail(cursor, COW_WASM_LEB128, begin, "an integer with more bits than its type has");
        return 0;
    }
    return value;
}

int64_t cow_wasm_signed(struct cow_wasm_cursor *cursor, unsigned n_bits)
{
    const uint8_t *begin = cursor->at;
    unsigned n_read_bits = 0;
    uint64_t value = read_leb128(cursor, n_bits, &n_read_bits);
    /* The unused bits and the integer's own highest one: all alike. */
    if (n_read_bits > n_bits) {
        const uint8_t sign = unused_bits(cursor, n_bits, n_read_bits, 1);
        if (sign && sign != (1u << (n_read_bits - n_bits + 1)) - 1) {
            cow_wasm_fail(cursor, COW_WASM_LEB128, begin, "an integer with more bits than its type has");
            return 0;
        }
    }
    const unsigned n_valid_bits = n_read_bits < n_bits ? n_read_bits : n_bits;
    if (n_valid_bits && n_valid_bits < 64 && value >> (n_valid_bits - 1) & 1)
        value |= UINT64_MAX << n_valid_bits;
    return (int64_t)value;
}
