/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading Wasm binaries: the constant expressions that say where a segment lies. Where the specification leaves open how an error
 * is to be called, or which byte is to blame, a test accepts more than one answer. */
#include "wasm_reading.h"

#define MEMORY "05[01 00 01] "                                  /* of one page */
#define MEMORY_32 "05[01 08 ff ff ff ff 0f 00] "                /* 2^32 - 1 pages of one byte */
#define MEMORY_64 "05[01 0c ff ff ff ff ff ff ff ff ff 01 00] " /* 2^64 - 1 pages of one byte */
#define IMPORTED_I32 "02[01 ['m']['g'] 03 7f 00] "              /* an immutable global */
#define IMPORTED_MUTABLE "02[01 ['m']['g'] 03 7f 01] "

static void offset_is(const char *module, const char *expression, uint64_t expected)
{
    char text[600], sentence[120];
    const int is_64 = strstr(module, MEMORY_64) != NULL;
    snprintf(text, sizeof text, "%s 0b[01 00 %s 0b []]", module, expression);
    snprintf(sentence, sizeof sentence, "%" PRIu64 " 18446744073709551615 1%s: %" PRIu64 "=",
             is_64 ? UINT64_MAX : UINT32_MAX, is_64 ? " 64" : "", expected);
    CHECK_STRINGS(wasm_told(text), sentence);
}

static void test_wasm__offsets_are_computed_in_their_type(void)
{
    offset_is(MEMORY_32, "41 3f", 63);
    offset_is(MEMORY_32, "41 7f", UINT32_MAX);
    offset_is(MEMORY_32, "41 ff 00", 127);
    offset_is(MEMORY_32, "41 40", UINT32_MAX - 63);
    offset_is(MEMORY_32, "41 ff ff ff ff 7f", UINT32_MAX);
    offset_is(MEMORY_32, "41 ff ff ff ff 07", INT32_MAX);
    offset_is(MEMORY_32, "41 80 80 80 80 78", UINT64_C(1) << 31);
    offset_is(MEMORY_32, "41 07 41 03 6b", 4);
    offset_is(MEMORY_32, "41 03 41 07 6b", UINT32_MAX - 3);
    offset_is(MEMORY_32, "41 7f 41 02 6a", 1);
    offset_is(MEMORY_32, "41 7f 41 7f 6c", 1);
    offset_is(MEMORY_32, "41 80 80 04 41 80 80 04 6c", 0);
    offset_is(MEMORY_32, "41 0a 41 03 41 02 6a 6b 41 04 6c 41 01 6a", 21);
    offset_is(MEMORY_32, "41 01 41 02 41 03 41 04 41 05 6a 6a 6a 6a", 15);
    offset_is(MEMORY_64, "42 3f", 63);
    offset_is(MEMORY_64, "42 7f", UINT64_MAX);
    offset_is(MEMORY_64, "42 80 80 80 80 08", UINT64_C(1) << 31);
    offset_is(MEMORY_64, "42 ff ff ff ff ff ff ff ff ff 00", INT64_MAX);
    offset_is(MEMORY_64, "42 80 80 80 80 80 80 80 80 80 7f", UINT64_C(1) << 63);
    offset_is(MEMORY_64, "42 07 42 03 7d", 4);
    offset_is(MEMORY_64, "42 03 42 07 7d", UINT64_MAX - 3);
    offset_is(MEMORY_64, "42 ff ff ff ff 0f 42 01 7c", UINT64_C(1) << 32);
    offset_is(MEMORY_64, "42 ff ff ff ff 0f 42 ff ff ff ff 0f 7e", UINT64_C(0xfffffffe00000001));
    offset_is(MEMORY_64, "42 7f 42 02 7c", 1);
}

static void test_wasm__offsets_over_globals_of_the_module(void)
{
    offset_is(MEMORY_32 "06[01 7f 00 41 05 0b]", "23 00", 5);
    offset_is(MEMORY_32 "06[01 7f 00 41 05 0b]", "23 80 80 00 41 03 6a", 8);
    offset_is(MEMORY_32 "06[03 7f 00 41 05 0b 7f 01 41 07 0b 7f 00 23 00 23 00 6c 41 01 6a 0b]", "23 02 23 00 6a", 31);
    offset_is(MEMORY_64 "06[02 7e 00 42 7f 0b 7e 00 23 00 42 05 7c 0b]", "23 01", 4);
    offset_is("02[02 ['m']['f'] 00 00 ['m']['g'] 03 7f 00]" MEMORY_32 "06[01 7f 00 41 05 0b]", "23 01", 5);
    /* behind globals of all types */
    offset_is(MEMORY_32
              "06{09 7d 00 43 0b 0b 0b 0b 0b 7c 01 44 0b 0b 0b 0b 0b 0b 0b 0b 0b 7e 00 42 0b 0b 70 00 d0 70 0b "
              "70 00 d2 0b 0b 6f 00 d0 6f 0b 7b 00 fd 0c 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b 0b "
              "63 0b 00 d0 0b 0b 7f 00 41 05 0b}",
              "23 08", 5);
    offset_is(IMPORTED_I32 MEMORY_32 "06[02 7f 00 23 00 0b 7f 00 41 05 0b]", "23 02", 5); /* not the first of them */
    wasm_answers(READ | UNKNOWN, 0, WASM_HEADER,                                          /* ref.i31 */
                 MEMORY "06[02 64 6c 00 41 05 ^fb 1c 0b 7f 00 41 07 0b] 0b[01 00 23 01 0b []]");
}

static void test_wasm__offsets_over_imported_globals_are_for_run_time(void)
{
    wasm_refuses(RUNTIME, IMPORTED_I32 MEMORY "0b[01 00 ^23 00 0b []]");
    wasm_refuses(RUNTIME, IMPORTED_I32 MEMORY "0b[01 00 41 00 ^23 00 6c 0b []]");
    wasm_refuses(RUNTIME, IMPORTED_I32 MEMORY "06[01 7f 00 ^23 00 0b] 0b[01 00 ^23 01 0b []]");
    wasm_refuses(RUNTIME, IMPORTED_I32 MEMORY "0b[02 00 41 00 0b ['a'] 02 00 ^23 00 0b []]");
    CHECK_STRINGS(wasm_told(IMPORTED_I32 "05[02 00 01 00 01] 0b[02 00 41 01 0b ['a'] 02 01 23 00 41 01 6a 0b ['b']]"),
                  "65536 18446744073709551615 65536: 1=a +1");
    CHECK_STRINGS(wasm_told(IMPORTED_I32 "05[02 00 01 00 01] 06[01 7f 00 23 00 0b]"
                                         "0b[02 00 41 01 0b ['a'] 02 01 23 01 0b ['b']]"),
                  "65536 18446744073709551615 65536: 1=a +1");
    wasm_refuses(INVALID, IMPORTED_MUTABLE MEMORY "0b[01 00 ^23 00 0b []]");
    wasm_refuses(INVALID, IMPORTED_MUTABLE MEMORY "06[01 7f 00 ^23 00 0b] 0b[01 00 ^23 01 0b []]");
    wasm_refuses(INVALID | RUNTIME, "02[01 ['m']['g'] 03 7e 00]" MEMORY "0b[01 00 ^23 00 ^0b []]");
    wasm_refuses(INVALID | RUNTIME, "02[01 ['m']['g'] 03 70 00]" MEMORY "0b[01 00 ^23 00 ^0b []]");
}

static void test_wasm__globals_that_an_offset_must_not_name(void)
{
    const char *const refused[] = {
        "0b[01 00 ^23 00 0b []]",
        "06[01 7f 00 41 00 0b] 0b[01 00 41 00 ^23 01 6a 0b []]",
        "06[01 7f 00 41 00 0b] 0b[01 00 ^23 01 0b []]",
        "06[01 7f 00 41 00 0b] 0b[01 00 ^23 ff ff ff ff 0f 0b []]",
        "06[01 7f 01 41 00 0b] 0b[01 00 ^23 00 0b []]",  /* mutable */
        "06[01 7e 00 42 00 0b] 0b[01 00 ^23 00 ^0b []]", /* of another type */
        "06[01 7d 00 43 00 00 00 00 0b] 0b[01 00 ^23 00 ^0b []]",
        "06[01 7f 00 ^23 00 0b] 0b[01 00 ^23 00 0b []]",                /* its own */
        "06[02 7f 00 ^23 01 0b 7f 00 41 00 0b] 0b[01 00 ^23 00 0b []]", /* a later one */
        "06[02 7f 01 41 00 0b 7f 00 ^23 00 0b] 0b[01 00 ^23 01 0b []]", /* over a mutable one */
        "06[02 7e 00 42 00 0b 7f 00 ^23 00 ^0b] 0b[01 00 ^23 01 0b []]",
        "06[01 7f 00 ^42 00 ^0b] 0b[01 00 ^23 00 0b []]",
        "06[01 7f 00 ^0b] 0b[01 00 ^23 00 0b []]",
        "06[01 7f 00 41 00 ^6a 0b] 0b[01 00 ^23 00 0b []]",
        "06[01 7f 00 41 00 41 00 ^0b] 0b[01 00 ^23 00 0b []]"};
    char text[200];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(text, sizeof text, MEMORY "%s", refused[i]);
        wasm_refuses(INVALID, text);
    }
    wasm_refuses(MALFORMED, MEMORY "06[01 7f ^02 41 00 0b] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED, MEMORY "06[01 7f 00 41 00^] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED, MEMORY "06[02 7f 00 41 00 0b^] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED, MEMORY "06[01 7f 00 41 00 0b ^0b] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED, MEMORY "06[01 7f^] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED, MEMORY "06[02 7d 00 43 00 00 00 0b^] 0b[01 00 23 00 0b []]");
    wasm_refuses(MALFORMED | UNKNOWN, MEMORY "06[01 ^40 00 41 00 0b] 0b[01 00 23 00 0b []]");
}

static void test_wasm__expressions_that_give_no_address(void)
{
    const struct {
        uint64_t results;
        const char *expression;
    } cases[] = {
        {INVALID, "^0b"},
        {INVALID, "41 00 41 00 ^0b"},
        {INVALID, "^6a 0b"},
        {INVALID, "41 00 ^6b 0b"},
        {INVALID, "41 00 41 00 6c ^6c 0b"},
        {INVALID, "41 00 ^42 00 ^6a 0b"},
        {INVALID, "42 00 41 00 ^7c 0b"},
        {INVALID, "41 00 41 00 ^7c 0b"},
        {INVALID, "42 00 42 00 ^6a 0b"},
        {INVALID, "^42 00 ^0b"},
        {INVALID, "^42 00 ^42 00 ^7c ^0b"},
        {INVALID, "^43 00 00 00 00 ^0b"},
        {INVALID, "^44 00 00 00 00 00 00 00 00 ^0b"},
        {INVALID, "^d0 70 ^0b"},
        {INVALID, "^d2 00 ^0b"},
        {INVALID, "^fd 0c 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ^0b"},
        {INVALID | UNKNOWN, "^fd 0d 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 0b"},
        {INVALID, "^00 0b"},
        {INVALID, "^01 41 00 0b"},
        {INVALID, "^02 40 0b 41 00 0b"},
        {INVALID, "41 00 ^0f 0b"},
        {INVALID, "^10 00 0b"},
        {INVALID, "41 00 ^1a 0b"},
        {INVALID, "^20 00 0b"},
        {INVALID, "41 00 ^28 02 00 0b"},
        {INVALID, "^3f 00 0b"},
        {INVALID, "41 00 ^45 0b"},
        {INVALID, "41 08 41 02 ^6d 0b"},
        {INVALID, "41 08 41 02 ^71 0b"},
        {INVALID, "42 00 ^a7 0b"},
        {INVALID | UNKNOWN, "^06 40 0b"},
        {INVALID | UNKNOWN, "41 00 ^c0 0b"},
        {INVALID | UNKNOWN, "^fc 00 0b"},
        {INVALID | UNKNOWN, "^fe 03 00 0b"},
        {INVALID | UNKNOWN, "^41 00 ^fb 1c ^0b"},
        {INVALID | UNKNOWN, "^27 0b"},
        {UNKNOWN, "^ff 0b"},
    };
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, MEMORY "0b[01 00 %s []]", cases[i].expression);
        wasm_refuses(cases[i].results, text);
    }
    wasm_refuses(INVALID, MEMORY_64 "0b[01 00 ^41 00 ^0b []]");
    wasm_refuses(INVALID, MEMORY_64 "0b[01 00 ^41 00 ^41 00 ^6a ^0b []]");
    wasm_refuses(MALFORMED | INVALID, MEMORY "0b[01 00 ^43 00 00 00^]");
    wasm_refuses(MALFORMED | INVALID, MEMORY "0b[01 00 ^fd 0c 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00^]");
}

/* Of globals that no offset names nothing is asked but that they can be read over, many operands too. */
static void test_wasm__globals_of_other_types_are_read_over(void)
{
    struct wasm_builder w = wasm_built(WASM_HEADER MEMORY "06");
    struct wasm_reading r;
    wasm_open(&w, 5);
    wasm_write(&w, "02 64 00 00");
    for (int i = 0; i < 1000; i++)
        wasm_write(&w, "41 07");
    wasm_write(&w, "fb 08 00 64 0b 7f 00 41 09 0b"); /* array.new_fixed; 9 */
    wasm_close(&w);
    wasm_write(&w, "0b[01 00 23 01 0b ['abc']]");
    wasm_read(&r, w.bytes, w.n_bytes, 0);
    CHECK_EQ(r.result, COW_OK);
    CHECK_EQ(r.wasm.segments[0].offset_bytes, 9);
    wasm_end_reading(&r);
    wasm_free(&w);
    const struct {
        uint64_t results;
        const char *globals;
    } refused[] = {
        {UNKNOWN, "02 64 ^68 00 d0 70 0b 7f 00 41 00 0b"},    /* no heap type */
        {UNKNOWN, "02 ^68 00 d0 70 0b 7f 00 41 00 0b"},       /* no value type */
        {UNKNOWN, "02 63 ^80 7f 00 d0 70 0b 7f 00 41 00 0b"}, /* a heap type of two bytes, negative */
        {UNKNOWN, "02 64 00 00 ^fb 1d 0b 7f 00 41 00 0b"},    /* no constant instruction on references */
        {UNKNOWN, "02 64 00 00 d0 ^68 0b 7f 00 41 00 0b"},
        {INVALID, "02 64 00 00 fb 01 00 ^41 00 ^0b 7f 00 41 00 0b"}, /* two values are left */
        {INVALID, "02 7f 00 ^fb 01 00 ^0b 7f 00 41 00 0b"},          /* a reference for an i32 */
    };
    char text[200];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(text, sizeof text, MEMORY "06[%s] 0b[01 00 23 01 0b []]", refused[i].globals);
        wasm_refuses(refused[i].results, text);
    }
    /* Another memory's offset is only looked at for its form: what the globals are does not matter then. */
    CHECK_STRINGS(wasm_told("05[02 00 01 00 01] 06[01 7f 01 ff 0b] 0b[02 02 01 23 05 0b [] 00 41 01 0b ['x']]"),
                  "65536 18446744073709551615 65536: 1=x +1");
}

int main(void)
{
    RUN(test_wasm__offsets_are_computed_in_their_type);
    RUN(test_wasm__offsets_over_globals_of_the_module);
    RUN(test_wasm__globals_of_other_types_are_read_over);
    RUN(test_wasm__offsets_over_imported_globals_are_for_run_time);
    RUN(test_wasm__globals_that_an_offset_must_not_name);
    RUN(test_wasm__expressions_that_give_no_address);
    return 0;
}
