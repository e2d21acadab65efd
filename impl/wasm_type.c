/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Types, as far as one must know them to read on, and those of memories in full. */
#include "wasm_type.h"

void cow_wasm_skip_name(struct cow_wasm_cursor *cursor)
{
    (void)cow_wasm_skip(cursor, cow_wasm_u32(cursor));
}

/* 5.3.2: exn, array, struct, i31, eq, any, extern, func, none, noextern, nofunc, noexn. */
static bool is_abstract_heap_type(uint8_t byte)
{
    return byte >= 0x69 && byte <= 0x74;
}

/* 5.3.3 "Heap Types" */
void cow_wasm_skip_heap_type(struct cow_wasm_cursor *cursor)
{
    const uint8_t *begin = cursor->at;
    const int64_t type = cow_wasm_signed(cursor, 33); /* a type index, or a negative one-byte code */
    if (type < 0 && !(cursor->at - begin == 1 && is_abstract_heap_type(*begin)))
        cow_wasm_fail(cursor, COW_WASM_UNKNOWN, begin, "a heap type that is not known here");
}

/* 5.3.5 "Value Types": the first byte. */
static uint8_t value_type(struct cow_wasm_cursor *cursor)
{
    enum { V128 = 0x7b, REF_NULL = 0x63, REF = 0x64 };
    const uint8_t *begin = cursor->at;
    const uint8_t byte = cow_wasm_byte(cursor);
    if (byte == REF || byte == REF_NULL)
        cow_wasm_skip_heap_type(cursor);
    else if (!(byte >= V128 && byte <= COW_WASM_I32) && !is_abstract_heap_type(byte))
        cow_wasm_fail(cursor, COW_WASM_UNKNOWN, begin, "a value type that is not known here");
    return byte;
}

/* 5.3.14 "Global Types" */
struct cow_wasm_value cow_wasm_global_type(struct cow_wasm_cursor *cursor)
{
    const uint8_t type = value_type(cursor);
    const uint8_t *place = cursor->at;
    const uint8_t mutability = cow_wasm_byte(cursor);
    if (mutability > 1)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "a mutability other than 0 and 1");
    return (struct cow_wasm_value){.type = type, .is_mutable = mutability == 1};
}

/* ---- limits (5.3.12) ---- */

/* With the shared bit of the threads proposal and the page size of the custom-page-sizes proposal. */
enum limits_flag { LIMITS_MAX = 1, LIMITS_SHARED = 2, LIMITS_64 = 4, LIMITS_PAGE_SIZE = 8 };

struct limits {
    uint8_t flags;
    uint64_t min, max; /* UINT64_MAX: none */
    const uint8_t *flags_place, *min_place, *max_place;
};

static struct limits read_limits(struct cow_wasm_cursor *cursor, uint8_t allowed_flags)
{
    struct limits limits = {.max = UINT64_MAX, .flags_place = cursor->at};
    limits.flags = cow_wasm_byte(cursor);
    const unsigned n_bits = limits.flags & LIMITS_64 ? 64 : 32;
    if (limits.flags & ~allowed_flags)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, limits.flags_place, "flags of limits that do not exist");
    limits.min_place = cursor->at;
    limits.min = cow_wasm_unsigned(cursor, n_bits);
    limits.max_place = cursor->at;
    if (limits.flags & LIMITS_MAX)
        limits.max = cow_wasm_unsigned(cursor, n_bits);
    return limits;
}

/* 5.3.16 "Table Types": the numbers do not matter here. */
void cow_wasm_skip_table_type(struct cow_wasm_cursor *cursor)
{
    (void)value_type(cursor);
    (void)read_limits(cursor, LIMITS_MAX | LIMITS_SHARED | LIMITS_64);
}

static unsigned read_page_shift(struct cow_wasm_cursor *cursor)
{
    const uint8_t *place = cursor->at;
    const uint32_t shift = cow_wasm_u32(cursor);
    if (shift > 16)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "a page size above 64 KiB");
    else if (shift != 0 && shift != 16)
        cow_wasm_fail(cursor, COW_WASM_INVALID, place, "a page size other than 1 and 65536");
    return cow_wasm_failed(cursor) ? 16 : shift;
}

/* 3.2.16 "Memory Types", in pages of 2^shift bytes. */
static void check_limits(struct cow_wasm_cursor *cursor, const struct limits *limits, unsigned shift)
{
    const unsigned n_bits = limits->flags & LIMITS_64 ? 64 : 32;
    const uint64_t most = shift ? UINT64_C(1) << (n_bits - shift) : UINT64_MAX;
    if ((limits->flags & LIMITS_SHARED) && !(limits->flags & LIMITS_MAX))
        cow_wasm_fail(cursor, COW_WASM_INVALID, limits->flags_place, "a shared memory without a maximum");
    if (limits->min > most)
        cow_wasm_fail(cursor, COW_WASM_INVALID, limits->min_place, "a minimum that addresses do not reach");
    if ((limits->flags & LIMITS_MAX) && limits->max > most)
        cow_wasm_fail(cursor, COW_WASM_INVALID, limits->max_place, "a maximum that addresses do not reach");
    if (limits->min > limits->max)
        cow_wasm_fail(cursor, COW_WASM_INVALID, limits->min_place, "a minimum above the maximum");
}

/* 5.3.15 "Memory Types" */
void cow_wasm_memory_type(struct cow_wasm_cursor *cursor, struct cow_wasm_memory *ret_memory)
{
    const struct limits limits = read_limits(cursor, LIMITS_MAX | LIMITS_SHARED | LIMITS_64 | LIMITS_PAGE_SIZE);
    const unsigned shift = limits.flags & LIMITS_PAGE_SIZE ? read_page_shift(cursor) : 16;
    const uint64_t most = UINT64_MAX >> shift;
    check_limits(cursor, &limits, shift);
    if (limits.min > most)
        cow_wasm_fail(cursor, COW_IMAGE_LARGE, limits.min_place, "a minimum of 2^64 bytes");
    *ret_memory = (struct cow_wasm_memory){
        .minimum_bytes = limits.min << shift,
        .maximum_bytes = limits.max > most ? UINT64_MAX : limits.max << shift,
        .page_bytes = UINT64_C(1) << shift,
        .is_shared = (limits.flags & LIMITS_SHARED) != 0,
        .is_64 = (limits.flags & LIMITS_64) != 0,
    };
}
