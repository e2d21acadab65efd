/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading Wasm binaries: what is read, and what is refused at which byte. Where the specification leaves open how an error is
 * to be called, or which byte is to blame, a test accepts more than one answer. */
#include "wasm_reading.h"

#define MEMORY "05[01 00 01] "
#define MEMORY_64 "05[01 0c ff ff ff ff ff ff ff ff ff 01 00] " /* 2^64 - 1 pages of one byte */
#define PAGES_2_48 "80 80 80 80 80 80 40 "

/* ---- the outer form ---- */

static void test_wasm__what_is_no_core_module_is_told_apart(void)
{
    const char *const short_ones[] = {"^",        "00^",          "00 'a'^",         "00 'as'^",
                                      "00'asm'^", "00'asm' 01 ^", "00'asm' 01 00 ^", "00'asm' 01 00 00^"};
    for (size_t i = 0; i < sizeof short_ones / sizeof *short_ones; i++)
        wasm_answers(TRUNCATED, 0, "", short_ones[i]);
    const char *const foreign_ones[] = {"^7f 'ELF'",
                                        "^ff",
                                        "^'a'",
                                        "^00 00",
                                        "^00'asx'",
                                        "^01'asm' 01",
                                        "^'  module'",
                                        "^20 0a 09 0d",
                                        "^'asm' 00 01 00 00 00",
                                        "^00 'asM' 01 00 00 00"};
    for (size_t i = 0; i < sizeof foreign_ones / sizeof *foreign_ones; i++)
        wasm_answers(FOREIGN, 0, "", foreign_ones[i]);
    const char *const versions[] = {"^00 00 00 00", "^02 00 00 00", "^01 01 00 00", "^0d 00 00 00",
                                    "^01 00 02 00", "^01 00 00 01", "^0d 00 01 01", "^ff ff ff ff 05[01 00 01]"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        wasm_answers(FOREIGN, 0, "00 'asm'", versions[i]);
    const char *const components[] = {"^0d 00 01 00", "^01 00 01 00", "^ff ff 01 00 05[01 00 01]"};
    for (size_t i = 0; i < sizeof components / sizeof *components; i++)
        wasm_answers(COMPONENT, 0, "00 'asm'", components[i]);
    const char *const texts[] = {"^'('", "^'(module (memory 1))'", "^20 0a 09 0d ^'(module)'", "^';; a comment'",
                                 "^'  '^'(; another ;)'"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        wasm_answers(TEXT, 0, "", texts[i]);
    struct cow_wasm wasm;
    CHECK_EQ(cow_wasm_read(NULL, 0, 0, &wasm, NULL), COW_WASM_TRUNCATED);
    wasm_refuses(NO_MEMORY, "^");
}

static void test_wasm__sections_come_once_and_in_order(void)
{
    const unsigned order[] = {1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11};
    const size_t n = sizeof order / sizeof *order;
    char text[200];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) { /* all of them may hold a single zero byte */
            snprintf(text, sizeof text, "00[['x']] %02x[00] 00[00]^%02x[00]^", order[i], order[j]);
            wasm_answers(i < j ? NO_MEMORY : MALFORMED, 0, WASM_HEADER, text);
        }
    for (unsigned id = 14; id < 256; id++) {
        snprintf(text, sizeof text, MEMORY "^%02x[00]", id);
        wasm_refuses(MALFORMED, text);
        snprintf(text, sizeof text, "^%02x[00]" MEMORY, id);
        wasm_refuses(MALFORMED, text);
    }
}

static void test_wasm__contents_of_other_sections_are_not_looked_at(void)
{
    CHECK_STRINGS(
        wasm_told("00[['a'] ff ff] 00[00] 00[[ff]] 01{ff ff} 03['junk'] 04['junk']" MEMORY
                  "00[['b']] 0d['junk'] 00[['c']] 07{'junk'} 08['junk'] 09['junk'] 00[00] 0a{'junk'} 0b[01 00 41 03 0b "
                  "[^'abc']] 00[['name'] 'junk'] 00[['name'] 'twice']"),
        "65536 18446744073709551615 65536: 3=abc");
}

/* In each place, the section ends in the middle of something; what follows is not taken for a part of it. */
static void expect_short_section(const char *before, const char *text)
{
    const char *const next[] = {"", " 00[00]", " 00{00 00 00 00 00 00 00 00 00 00 00 00}"};
    char all[400];
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        snprintf(all, sizeof all, "%s%s%s", before, text, next[i]);
        wasm_refuses(MALFORMED, all);
    }
}

static void test_wasm__a_section_is_no_shorter_than_its_contents(void)
{
    const char *const out_of_section[] = {"05[^]",
                                          "05[01^]",
                                          "05[01 00^]",
                                          "05[01 00 80^]",
                                          "05[02 00 01^]",
                                          "05[01 01 01^]",
                                          "05[01 04 ff ff^]",
                                          "05[01 08 01^]",
                                          "05[ff ff ff ff 0f 00 01^]",
                                          "02[^]",
                                          "02[01^]",
                                          "02[01 05 'name'^]",
                                          "02[01 ['m']^]",
                                          "02[01 ['m'] ff ff ff ff 0f 'f'^]",
                                          "02[01 ['m']['f']^]",
                                          "02[01 ['m']['f'] 00^]",
                                          "02[01 ['m']['t'] 01 70^]",
                                          "02[01 ['m']['t'] 01 70 01 00^]",
                                          "02[01 ['m']['t'] 01 63^]",
                                          "02[01 ['m']['m'] 02^]",
                                          "02[01 ['m']['g'] 03 7f^]",
                                          "02[01 ['m']['x'] 04 00^]",
                                          "02[02 ['m']['g'] 03 7f 00^]",
                                          "02[ff ff ff ff 0f^]",
                                          "00[^]",
                                          "00[02 'a'^]",
                                          "00[80^]",
                                          "00[ff ff ff ff 0f 'a'^]",
                                          "0c[^]",
                                          "0c[80^]"};
    for (size_t i = 0; i < sizeof out_of_section / sizeof *out_of_section; i++)
        expect_short_section("", out_of_section[i]);
    const char *const out_of_data[] = {"0b[^]",
                                       "0b[01^]",
                                       "0b[01 80^]",
                                       "0b[01 00^]",
                                       "0b[01 00 41^]",
                                       "0b[01 00 41 00^]",
                                       "0b[01 00 41 00 0b^]",
                                       "0b[01 00 41 00 0b 01^]",
                                       "0b[01 00 41 00 0b 04 'abc'^]",
                                       "0b[01 00 41 00 0b ff ff ff ff 0f 'abc'^]",
                                       "0b[01 01^]",
                                       "0b[01 01 02 'a'^]",
                                       "0b[01 02^]",
                                       "0b[01 02 00^]",
                                       "0b[01 02 00 41 00 0b^]",
                                       "0b[01 00 23^]",
                                       "0b[02 00 41 00 0b 00^]",
                                       "0b[ff ff ff ff 0f^]",
                                       "0b[ff ff ff ff 0f 01 00 01 00^]"};
    for (size_t i = 0; i < sizeof out_of_data / sizeof *out_of_data; i++)
        expect_short_section(MEMORY, out_of_data[i]);
}

static void test_wasm__a_section_is_no_longer_than_its_contents_or_the_binary(void)
{
    const char *const truncated[] = {"05^",
                                     "05 80^",
                                     "05 01^",
                                     "05 03 01 00^",
                                     "05 ff ff ff ff 0f^",
                                     "00^",
                                     "00 05 01^",
                                     MEMORY "0a^",
                                     MEMORY "0a ff ff ff ff 0f 00^",
                                     MEMORY "0b 06 01 00 41 00 0b^"};
    for (size_t i = 0; i < sizeof truncated / sizeof *truncated; i++)
        wasm_refuses(TRUNCATED, truncated[i]);
    const char *const left_over[] = {"05[00 ^00]",
                                     "05[01 00 01 ^00 01]",
                                     "02[00 ^00]",
                                     "02[01 ['m']['f'] 00 00 ^00]",
                                     MEMORY "0c[00 ^00]",
                                     MEMORY "0b[00 ^00]",
                                     MEMORY "0b[01 00 41 00 0b 00 ^01 00]"};
    for (size_t i = 0; i < sizeof left_over / sizeof *left_over; i++)
        wasm_refuses(MALFORMED, left_over[i]);
}

static void test_wasm__integers_may_be_padded_but_not_too_long(void)
{
    CHECK_STRINGS(
        wasm_told("02{81 80 80 80 00 81 80 80 80 00 'm' 80 80 80 80 00 02 01 80 80 80 80 00 82 80 00}"
                  "0c[81 80 00] 0b{81 80 80 80 00 82 80 80 80 00 80 80 80 80 00 41 80 80 80 80 00 0b 80 80 00}"),
        "0 131072 65536 imported: 0=");
    CHECK_STRINGS(wasm_told("05{01 05 81 80 80 80 80 80 80 80 80 00 82 80 80 80 80 80 80 80 80 00}"
                            "0b[01 80 80 80 80 00 42 83 80 80 80 80 80 80 80 80 00 0b 83 80 80 80 00 ^'abc']"),
                  "65536 131072 65536 64: 3=abc");
    const char *const refused[] = {
        "00 ^80 80 80 80 80 00 00",
        "05 ^83 80 80 80 10 01 00 01",
        "05 ^ff ff ff ff ff 0f",
        "05 ^80 80 80 80 80",
        "05[^81 80 80 80 80 00 00 01]",
        "05[^80 80 80 80 20]",
        "05[01 04 ^80 80 80 80 80 80 80 80 80 80 00]",
        "05[01 04 ^80 80 80 80 80 80 80 80 80 02]",
        "05[01 05 00 ^80 80 80 80 80 80 80 80 80 7f]",
        "05[01 08 01 ^80 80 80 80 80 00]",
        "05[01 08 01 ^80 80 80 80 10]",
        "02[^80 80 80 80 80 00]",
        "02[01 ^80 80 80 80 80 00]",
        "02[01 00 ^80 80 80 80 70]",
        "02[01 0000 00 ^80 80 80 80 80 00]",
        "02[01 0000 00 ^80 80 80 80 10]",
        "02[01 0000 01 70 00 ^80 80 80 80 80 80 80 80 80 80 00]",
        "02[01 0000 04 00 ^80 80 80 80 80 00]",
        "02[01 0000 03 63 ^80 80 80 80 80 00 00]",
        "00[^80 80 80 80 80 00]",
        MEMORY "0c[^80 80 80 80 80 00]",
        MEMORY "0b[^80 80 80 80 80 00]",
        MEMORY "0b[01 ^80 80 80 80 80 00 41 00 0b 00]",
        MEMORY "0b[01 ^80 80 80 80 10 41 00 0b 00]",
        MEMORY "0b[01 02 ^80 80 80 80 80 00 41 00 0b 00]",
        MEMORY "0b[01 00 41 ^80 80 80 80 80 00 0b 00]",
        MEMORY "0b[01 00 41 ^ff ff ff ff 0f 0b 00]",
        MEMORY "0b[01 00 41 ^80 80 80 80 70 0b 00]",
        MEMORY "0b[01 00 41 ^80 80 80 80 08 0b 00]",
        MEMORY "0b[01 00 41 00 0b ^80 80 80 80 80 00]",
        MEMORY "0b[01 01 ^80 80 80 80 40]",
        MEMORY "0b[01 00 23 ^80 80 80 80 80 00 0b 00]",
        MEMORY_64 "0b[01 00 42 ^80 80 80 80 80 80 80 80 80 80 00 0b 00]",
        MEMORY_64 "0b[01 00 42 ^ff ff ff ff ff ff ff ff ff 01 0b 00]",
        MEMORY_64 "0b[01 00 42 ^80 80 80 80 80 80 80 80 80 7e 0b 00]",
        "05[02 00 01 00 01] 0b[01 02 01 41 ^ff ff ff ff 1f 0b 00]", /* of another memory's segment */
        MEMORY "06[01 7f 00 41 ^80 80 80 80 80 00 0b] 0b[01 00 23 00 0b 00]"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        wasm_refuses(LEB128, refused[i]);
    /* The limits of 32-bit memories: u32 before specification 3.0, u64 since. */
    wasm_answers(READ | LEB128, 0, WASM_HEADER, "05[01 00 ^82 80 80 80 80 00]");
    wasm_answers(INVALID | LEB128, 0, WASM_HEADER, "05[01 01 00 ^80 80 80 80 10]");
}

/* ---- memories ---- */

static void test_wasm__limits_in_every_encoding(void)
{
    char text[100], expected[100];
    for (unsigned flags = 0; flags < 16; flags++) {
        const unsigned page_bytes = flags & 8 ? 1 : 65536;
        snprintf(text, sizeof text, "05[01 ^%02x 03 %s %s]", flags, flags & 1 ? "07" : "", flags & 8 ? "00" : "");
        if ((flags & 3) == 2) {
            wasm_refuses(INVALID, text); /* shared without a maximum */
            continue;
        }
        snprintf(expected, sizeof expected, "%u %" PRIu64 " %u%s%s:", 3 * page_bytes,
                 flags & 1 ? UINT64_C(7) * page_bytes : UINT64_MAX, page_bytes, flags & 2 ? " shared" : "",
                 flags & 4 ? " 64" : "");
        CHECK_STRINGS(wasm_told(text), expected);
    }
    for (unsigned flags = 16; flags < 256; flags++) {
        snprintf(text, sizeof text, "05[01 ^%02x 03 07 00]", flags);
        wasm_refuses(MALFORMED, text);
    }
}

static void test_wasm__limits_at_their_edges(void)
{
    CHECK_STRINGS(wasm_told("05[01 00 00]"), "0 18446744073709551615 65536:");
    CHECK_STRINGS(wasm_told("05[01 01 00 00]"), "0 0 65536:");
    CHECK_STRINGS(wasm_told("05[01 01 80 80 04 80 80 04]"), "4294967296 4294967296 65536:");
    wasm_refuses(INVALID, "05[01 00 ^81 80 04]");
    wasm_refuses(INVALID, "05[01 00 ^ff ff ff ff 0f]");
    wasm_refuses(INVALID, "05[01 01 00 ^81 80 04]");
    wasm_refuses(INVALID, "05[01 01 ^02 ^01]");
    wasm_refuses(INVALID, "05[02 00 01 01 ^02 ^01]"); /* of another memory */
    wasm_refuses(INVALID, "02[01 ['m']['m'] 02 01 ^02 ^01]");
    CHECK_STRINGS(wasm_told("05[01 05 ff ff ff ff ff ff 3f " PAGES_2_48 "]"),
                  "18446744073709486080 18446744073709551615 65536 64:");
    CHECK_STRINGS(wasm_told("05[01 05 00 ff ff ff ff ff ff 3f]"), "0 18446744073709486080 65536 64:");
    wasm_refuses(LARGE, "05[01 04 ^" PAGES_2_48 "]");
    wasm_refuses(INVALID, "05[01 04 ^81 80 80 80 80 80 40]");
    wasm_refuses(INVALID, "05[01 05 00 ^81 80 80 80 80 80 40]");
    wasm_refuses(INVALID, "05[01 04 ^ff ff ff ff ff ff ff ff ff 01]");
    wasm_answers(READ | LARGE, 0, WASM_HEADER, "05[02 00 01 04 ^" PAGES_2_48 "]"); /* not of the one asked for */
}

static void test_wasm__page_sizes(void)
{
    CHECK_STRINGS(wasm_told("05[01 08 00 00]"), "0 18446744073709551615 1:");
    CHECK_STRINGS(wasm_told("05[01 09 05 07 80 00]"), "5 7 1:");
    CHECK_STRINGS(wasm_told("05[01 08 81 80 04 00]"),
                  "65537 18446744073709551615 1:"); /* its range is known after it */
    CHECK_STRINGS(wasm_told("05[01 09 01 02 10]"), "65536 131072 65536:");
    CHECK_STRINGS(wasm_told("05[01 08 ff ff ff ff 0f 00]"), "4294967295 18446744073709551615 1:");
    CHECK_STRINGS(wasm_told(MEMORY_64), "18446744073709551615 18446744073709551615 1 64:");
    wasm_refuses(INVALID, "05[01 08 ^81 80 04 10]");
    wasm_refuses(INVALID, "05[01 0d 00 ^81 80 80 80 80 80 40 10]");
    wasm_refuses(LARGE, "05[01 0c ^" PAGES_2_48 "10]");
    wasm_refuses(INVALID, "05[01 09 ^02 ^01 00]");
    char text[100];
    for (unsigned log2_bytes = 1; log2_bytes < 128; log2_bytes++) {
        snprintf(text, sizeof text, "05[01 08 01 ^%02x]", log2_bytes);
        if (log2_bytes != 16)
            wasm_refuses(log2_bytes < 16 ? INVALID : MALFORMED | INVALID, text);
    }
    wasm_refuses(MALFORMED | INVALID, "05[01 08 01 ^90 80 80 80 01]");
    wasm_refuses(MALFORMED | INVALID, "05[01 08 01 ^ff ff ff ff 0f]");
}

static void test_wasm__imported_memories_come_first(void)
{
    const char *text =
        "02{07 ['m']['f'] 00 85 01 ['m']['t'] 01 70 01 00 0a [][] 02 00 03 ['m']['g'] 03 7e 01 "
        "['m']['mem'] 02 03 01 02 ['m']['x'] 04 00 00 ['m']['g'] 03 63 05 00} 05[02 04 04 09 05 06 00] ^";
    const char *const expected[] = {
        "196608 18446744073709551615 65536 imported:", "65536 131072 65536 imported shared:",
        "262144 18446744073709551615 65536 64:", "5 6 1:"};
    for (uint32_t i = 0; i < 4; i++)
        CHECK_STRINGS(wasm_told_of(i, text), expected[i]);
    wasm_answers(NO_MEMORY, 4, WASM_HEADER, text);
    wasm_answers(NO_MEMORY, UINT32_MAX, WASM_HEADER, text);
    wasm_answers(NO_MEMORY, 0, WASM_HEADER, "02[01 ['m']['f'] 00 00] 05[00] 0b[00] ^");
    wasm_answers(NO_MEMORY, 1, WASM_HEADER, MEMORY "0b[01 00 41 00 0b ['a']] 00[00]^");
    CHECK_STRINGS(wasm_told("05[02 00 01 00 02]"), "65536 18446744073709551615 65536:"); /* no imports at all */
}

static void test_wasm__imports_of_every_type(void)
{
    const char *const types[] = {"00 00",
                                 "00 ff ff ff ff 0f",
                                 "01 70 00 00",
                                 "01 6f 01 00 00",
                                 "01 70 04 00",
                                 "01 70 05 00 01",
                                 "01 63 70 00 00",
                                 "01 64 00 00 00",
                                 "03 7f 00",
                                 "03 7e 01",
                                 "03 7d 00",
                                 "03 7c 00",
                                 "03 7b 01",
                                 "03 70 00",
                                 "03 6f 01",
                                 "03 69 00",
                                 "03 6a 00",
                                 "03 6b 00",
                                 "03 6c 00",
                                 "03 6d 00",
                                 "03 6e 00",
                                 "03 71 00",
                                 "03 72 00",
                                 "03 73 00",
                                 "03 74 00",
                                 "03 63 70 00",
                                 "03 63 00 00",
                                 "03 64 6e 01",
                                 "03 63 ff ff ff ff 0f 00",
                                 "04 00 00",
                                 "04 00 83 00"};
    char text[200];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(text, sizeof text, "02[02 [][] %s ['m']['m'] 02 00 02]", types[i]);
        CHECK_STRINGS(wasm_told(text), "131072 18446744073709551615 65536 imported:");
    }
    for (unsigned kind = 5; kind < 256; kind++) {
        snprintf(text, sizeof text, "02[01 ['m']['f'] ^%02x 00 00]", kind);
        wasm_refuses(MALFORMED, text);
    }
    wasm_refuses(MALFORMED, "02[01 ['m']['g'] 03 7f ^02]");
    wasm_refuses(MALFORMED, "02[01 ['m']['g'] 03 7f ^80 00]");
    wasm_refuses(MALFORMED, "02[01 ['m']['x'] 04 ^01 00]");
    wasm_refuses(MALFORMED, "02[01 ['m']['t'] 01 70 ^10 00]");
    wasm_refuses(MALFORMED, "02[01 ['m']['m'] 02 ^10 00]");
    wasm_refuses(INVALID, "02[01 ['m']['m'] 02 ^02 00]");
    wasm_refuses(INVALID, "02[01 ['m']['m'] 02 00 ^81 80 04]");
    const unsigned no_types[] = {0x00, 0x01, 0x40, 0x50, 0x68, 0x75, 0x78, 0x5e, 0x60, 0x62, 0x65, 0x80, 0xff};
    for (size_t i = 0; i < sizeof no_types / sizeof *no_types; i++) {
        snprintf(text, sizeof text, "02[01 ['m']['g'] 03 ^%02x 00]", no_types[i]);
        wasm_refuses(UNKNOWN | MALFORMED, text);
    }
}

/* ---- data ---- */

static void test_wasm__segments_keep_their_order_and_are_not_copied(void)
{
    const char *text = "05[03 00 01 04 01 08 07 00] 0c[0b]"
                       "0b{0b 00 41 09 0b [^'nine'] 01 ['passive'] 02 00 41 00 0b [^'zero'] 02 01 42 05 0b ['other']"
                       "00 41 08 0b [^'eight'] 02 01 42 01 0b [] 00 41 08 0b [^] 00 41 08 0b [^'E'] 01 [] "
                       "02 02 41 07 0b [] 02 82 00 41 00 0b ['all of']}";
    CHECK_STRINGS(wasm_told_of(0, text), "65536 18446744073709551615 65536: 9=nine 0=zero 8=eight 8= 8=E +6");
    CHECK_STRINGS(wasm_told_of(1, "05[02 00 01 04 01] 0b{05 01 ['passive'] 00 41 05 0b ['0'] 02 01 42 05 0b [^'other']"
                                  "01 [] 02 01 42 01 0b [^]}"),
                  "65536 18446744073709551615 65536 64: 5=other 1= +3");
    CHECK_STRINGS(
        wasm_told_of(2, "05[03 00 01 04 01 08 07 00] 0b[02 02 02 41 07 0b [^] 02 82 00 41 01 0b [^'all of']]"),
        "7 18446744073709551615 1: 7= 1=all of");
    CHECK_STRINGS(wasm_told(MEMORY), "65536 18446744073709551615 65536:");
    CHECK_STRINGS(wasm_told(MEMORY "0c[00]"), "65536 18446744073709551615 65536:");
    CHECK_STRINGS(wasm_told(MEMORY "0c[00] 0b[00]"), "65536 18446744073709551615 65536:");
}

static void test_wasm__segments_name_a_memory_that_there_is(void)
{
    char text[100];
    for (unsigned flag = 3; flag < 128; flag++) {
        snprintf(text, sizeof text, MEMORY "0b[01 ^%02x 00 41 00 0b 00]", flag);
        wasm_refuses(MALFORMED, text);
    }
    wasm_refuses(MALFORMED, MEMORY "0b[01 ^ff ff ff ff 0f 41 00 0b 00]");
    wasm_refuses(INVALID, MEMORY "0b[01 02 ^01 41 00 0b 00]");
    wasm_refuses(INVALID, MEMORY "0b[01 02 ^ff ff ff ff 0f 41 00 0b 00]");
    wasm_refuses(INVALID, "0b[01 ^00 41 00 0b 00]");
    wasm_refuses(INVALID, "05[00] 0b[01 02 ^00 41 00 0b 00]");
    wasm_refuses(NO_MEMORY, "0b[01 01 00]^"); /* a passive one needs none */
    wasm_refuses(MALFORMED, MEMORY "0c[01]");
    wasm_refuses(MALFORMED, MEMORY "0c[01] 0b[00]");
    wasm_refuses(MALFORMED, MEMORY "0c[00] 0b[01 01 00]");
    wasm_refuses(MALFORMED, MEMORY "0c[02] 0b[01 00 41 00 0b 00]");
    wasm_refuses(MALFORMED, MEMORY "0c[ff ff ff ff 0f]");
}

static void test_wasm__segments_lie_inside_the_minimum(void)
{
    CHECK_STRINGS(wasm_told(MEMORY "0b[02 00 41 ff ff 03 0b ['a'] 00 41 80 80 04 0b []]"),
                  "65536 18446744073709551615 65536: 65535=a 65536=");
    wasm_refuses(BOUNDS, MEMORY "0b[01 ^00 41 81 80 04 0b []]");
    wasm_refuses(BOUNDS, MEMORY "0b[01 ^00 41 80 80 04 0b ['a']]");
    wasm_refuses(BOUNDS, MEMORY "0b[02 00 41 00 0b ['a'] ^02 00 41 fe ff 03 0b ['abc']]");
    wasm_refuses(BOUNDS, MEMORY "0b[01 ^00 41 7f 0b ['a']]"); /* an address is unsigned */
    wasm_refuses(BOUNDS, "05[01 01 00 01] 0b[01 ^00 41 00 0b ['a']]");
    wasm_refuses(BOUNDS, "02[01 ['m']['m'] 02 00 00] 0b[01 ^00 41 00 0b ['a']]");
    CHECK_STRINGS(wasm_told("05[01 00 80 80 04] 0b[02 00 41 7f 0b ['a'] 00 41 80 80 80 80 78 0b ['b']]"),
                  "4294967296 18446744073709551615 65536: 4294967295=a 2147483648=b");
    wasm_refuses(BOUNDS, "05[01 00 80 80 04] 0b[01 ^00 41 7f 0b ['ab']]");
    wasm_refuses(BOUNDS, MEMORY_64 "0b[01 ^00 42 7f 0b ['a']]"); /* the sum is 2^64 */
    wasm_refuses(BOUNDS, MEMORY_64 "0b[01 ^00 42 7e 0b ['ab']]");
    CHECK_STRINGS(wasm_told(MEMORY_64 "0b[02 00 42 7e 0b ['a'] 00 42 7f 0b []]"),
                  "18446744073709551615 18446744073709551615 1 64: 18446744073709551614=a 18446744073709551615=");
    CHECK_STRINGS(wasm_told("05[02 00 01 00 00] 0b[01 02 01 41 7f 0b ['abc']]"), /* not this memory's matter */
                  "65536 18446744073709551615 65536: +1");
}

int main(void)
{
    RUN(test_wasm__what_is_no_core_module_is_told_apart);
    RUN(test_wasm__sections_come_once_and_in_order);
    RUN(test_wasm__contents_of_other_sections_are_not_looked_at);
    RUN(test_wasm__a_section_is_no_shorter_than_its_contents);
    RUN(test_wasm__a_section_is_no_longer_than_its_contents_or_the_binary);
    RUN(test_wasm__integers_may_be_padded_but_not_too_long);
    RUN(test_wasm__limits_in_every_encoding);
    RUN(test_wasm__limits_at_their_edges);
    RUN(test_wasm__page_sizes);
    RUN(test_wasm__imported_memories_come_first);
    RUN(test_wasm__imports_of_every_type);
    RUN(test_wasm__segments_keep_their_order_and_are_not_copied);
    RUN(test_wasm__segments_name_a_memory_that_there_is);
    RUN(test_wasm__segments_lie_inside_the_minimum);
    return 0;
}
