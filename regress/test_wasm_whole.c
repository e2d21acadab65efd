/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading Wasm binaries as wholes: cut short anywhere, any byte changed, made at random, very large; and images made of them. */
#include "fixture.h"
#include "wasm_reading.h"

#define MEMORY "05[01 00 01] "

/* All kinds of sections, imports and segments; memory 0 is imported, 1 has 64-bit addresses, 2 has pages of one byte. */
static struct wasm_builder rich_module(void)
{
    return wasm_built(
        WASM_HEADER
        "00[['before'] 01 02] 01[01 60 00 00]"
        "02{05 ['m']['f'] 00 00 ['m']['t'] 01 70 01 00 0a ['m']['mem'] 02 03 01 02 ['m']['g'] 03 7f 00 "
        "['m']['x'] 04 00 00} 03[01 00] 04[01 70 00 01] 05[03 00 02 05 03 89 00 09 20 7f 00] 0d[01 00 00]"
        "00[['between']] 06{05 7f 00 41 d0 00 0b 7e 00 42 80 08 0b 7f 01 41 00 0b 7d 00 43 00 00 00 00 0b "
        "7f 00 23 01 41 01 6a 0b} 07[01 ['e'] 02 01] 08[01] 09[01 00 41 00 0b 01 00] 0c[08]"
        "0a[01 [00 0b]] 0b{08 00 41 03 0b ['first'] 01 ['passive'] 02 01 23 01 0b ['over a global'] "
        "02 02 23 02 42 10 7c 0b {'sixty-four'} 02 03 41 1f 0b ['z'] 02 03 41 20 0b [] 00 41 03 0b ['over'] "
        "02 81 00 23 05 41 02 6c 0b ['twice']} 00[['name'] 00 ['x']]");
}

static void expect_alike(const struct wasm_reading *a, const struct wasm_reading *b)
{
    CHECK_EQ(a->result, b->result);
    if (a->result) {
        CHECK_EQ(a->error.offset_bytes, b->error.offset_bytes);
        CHECK(a->error.what == b->error.what);
        return;
    }
    const struct cow_wasm_memory *m = &a->wasm.memory, *n = &b->wasm.memory;
    CHECK(m->minimum_bytes == n->minimum_bytes && m->maximum_bytes == n->maximum_bytes);
    CHECK(m->page_bytes == n->page_bytes && m->is_imported == n->is_imported && m->is_shared == n->is_shared);
    CHECK_EQ(m->is_64, n->is_64);
    CHECK_EQ(a->wasm.n_segments, b->wasm.n_segments);
    CHECK_EQ(a->wasm.n_other_segments, b->wasm.n_other_segments);
    for (size_t i = 0; i < a->wasm.n_segments; i++) {
        const struct cow_segment *s = &a->wasm.segments[i], *t = &b->wasm.segments[i];
        CHECK(s->offset_bytes == t->offset_bytes && s->length_bytes == t->length_bytes);
        CHECK((const uint8_t *)s->bytes - a->copy == (const uint8_t *)t->bytes - b->copy);
    }
}

/* Where each section ends, the header being the first of them. */
static size_t find_borders(const struct wasm_builder *w, size_t *borders)
{
    size_t n = 0, at = 8;
    borders[n++] = at;
    while (at < w->n_bytes) {
        uint64_t length_bytes = 0;
        unsigned shift = 0;
        for (at++; w->bytes[at] & 0x80; at++, shift += 7)
            length_bytes |= (uint64_t)(w->bytes[at] & 0x7f) << shift;
        length_bytes |= (uint64_t)w->bytes[at] << shift;
        at += 1 + length_bytes;
        borders[n++] = at;
    }
    CHECK_EQ(at, w->n_bytes);
    return n;
}

static void test_wasm__a_rich_module_is_read(void)
{
    struct wasm_builder w = rich_module();
    const size_t expected[] = {2, 2, 1, 2, 0};
    const int memories[] = {COW_OK, COW_OK, COW_OK, COW_OK, COW_WASM_NO_MEMORY};
    for (uint32_t i = 0; i < 5; i++) {
        struct wasm_reading r;
        wasm_read(&r, w.bytes, w.n_bytes, i);
        CHECK_EQ(r.result, memories[i]);
        if (r.result == COW_OK) {
            CHECK_EQ(r.wasm.n_segments, expected[i]);
            CHECK_EQ(r.wasm.n_segments + r.wasm.n_other_segments, 8);
        }
        if (i == 1) {
            CHECK_EQ(r.wasm.segments[0].offset_bytes, 80);
            CHECK_EQ(r.wasm.segments[1].offset_bytes, 162);
            CHECK(memcmp(r.wasm.segments[1].bytes, "twice", r.wasm.segments[1].length_bytes) == 0);
        }
        wasm_end_reading(&r);
    }
    wasm_free(&w);
}

static void test_wasm__cut_anywhere_but_between_sections_it_is_truncated(void)
{
    struct wasm_builder w = rich_module();
    size_t borders[64];
    const size_t n_borders = find_borders(&w, borders);
    for (size_t n_bytes = 0; n_bytes < w.n_bytes; n_bytes++)
        for (uint32_t index = 0; index < 5; index++) {
            struct wasm_reading r;
            wasm_read(&r, w.bytes, n_bytes, index);
            int is_border = 0;
            for (size_t i = 0; i < n_borders; i++)
                is_border |= borders[i] == n_bytes;
            if (is_border) /* a data count without data is malformed */
                CHECK(SET(r.result) & (READ | NO_MEMORY | MALFORMED));
            else
                CHECK_EQ(r.result, COW_WASM_TRUNCATED);
            if (!is_border || r.result == COW_WASM_NO_MEMORY)
                CHECK_EQ(r.error.offset_bytes, n_bytes);
            wasm_end_reading(&r);
        }
    wasm_free(&w);
}

static void test_wasm__any_byte_changed_gives_one_answer(void)
{
    struct wasm_builder w = rich_module();
    size_t n_read = 0, n_refused = 0;
    for (size_t at = 0; at < w.n_bytes; at++) {
        const uint8_t right = w.bytes[at];
        for (unsigned change = 1; change < 256; change++) {
            w.bytes[at] = right ^ (uint8_t)change;
            const uint32_t index = (uint32_t)(at + change) % 5;
            struct wasm_reading once, again;
            wasm_read(&once, w.bytes, w.n_bytes, index);
            wasm_read(&again, w.bytes, w.n_bytes, index);
            expect_alike(&once, &again);
            n_read += once.result == COW_OK;
            n_refused += once.result != COW_OK;
            wasm_end_reading(&once);
            wasm_end_reading(&again);
        }
        w.bytes[at] = right;
    }
    CHECK(n_read > 1000 && n_refused > 1000);
    wasm_free(&w);
}

/* ---- much of it ---- */

static void test_wasm__a_hundred_thousand_segments(void)
{
    const uint32_t n = 100000;
    struct wasm_builder w = wasm_built(WASM_HEADER "05[02 00 80 80 04 00 01] 0b");
    wasm_open(&w, 5);
    wasm_unsigned(&w, n, 1);
    for (uint32_t i = 0; i < n; i++) {
        wasm_write(&w, i % 10 == 9 ? "02 01 41" : "00 41");
        wasm_signed(&w, (int32_t)(i * 0x9e3779b1u), 1);
        wasm_write(&w, "0b [");
        wasm_byte(&w, i & 0xff);
        wasm_write(&w, "]");
    }
    wasm_close(&w);
    struct wasm_reading r;
    wasm_read(&r, w.bytes, w.n_bytes, 0);
    CHECK_EQ(r.result, COW_OK);
    CHECK_EQ(r.wasm.n_segments, n - n / 10);
    CHECK_EQ(r.wasm.n_other_segments, n / 10);
    const uint8_t *last = r.copy;
    for (uint32_t i = 0, j = 0; i < n; i++)
        if (i % 10 != 9) {
            const struct cow_segment *segment = &r.wasm.segments[j++];
            const uint8_t *bytes = segment->bytes;
            CHECK_EQ(segment->offset_bytes, i * 0x9e3779b1u);
            CHECK(segment->length_bytes == 1 && bytes > last && *bytes == (i & 0xff));
            last = bytes;
        }
    wasm_end_reading(&r);
    wasm_free(&w);
}

/* As many globals as segments, each over the one before, twice; every segment over the last one. Whoever computes a global anew
 * each time it is named does not come to an end. */
static void test_wasm__long_chains_of_globals(void)
{
    const uint32_t n = 100000;
    uint32_t value = 3;
    struct wasm_builder w = wasm_built(WASM_HEADER "05[01 00 80 80 04] 06");
    wasm_open(&w, 5);
    wasm_unsigned(&w, n, 1);
    wasm_write(&w, "7f 00 41 03 0b");
    for (uint32_t i = 1; i < n; i++, value = 2 * value + 1) {
        wasm_write(&w, "7f 00 23");
        wasm_unsigned(&w, i - 1, 1);
        wasm_write(&w, "23");
        wasm_unsigned(&w, i - 1, 1);
        wasm_write(&w, "6a 41 01 6a 0b");
    }
    wasm_close(&w);
    wasm_write(&w, "0b");
    wasm_open(&w, 5);
    wasm_unsigned(&w, n, 1);
    for (uint32_t i = 0; i < n; i++) {
        wasm_write(&w, "00 23");
        wasm_unsigned(&w, n - 1, 1);
        wasm_write(&w, "0b []");
    }
    wasm_close(&w);
    struct wasm_reading r;
    wasm_read(&r, w.bytes, w.n_bytes, 0);
    CHECK_EQ(r.result, COW_OK);
    CHECK_EQ(r.wasm.n_segments, n);
    for (uint32_t i = 0; i < n; i++)
        CHECK_EQ(r.wasm.segments[i].offset_bytes, value);
    wasm_end_reading(&r);
    wasm_free(&w);
}

/* n constants, then n - 1 additions. */
static struct wasm_builder deep_expression(uint32_t n)
{
    struct wasm_builder w = wasm_built(WASM_HEADER "05[01 00 80 80 04] 0b");
    wasm_open(&w, 5);
    wasm_write(&w, "01 00");
    for (uint32_t i = 0; i < n; i++)
        wasm_write(&w, "41 03");
    for (uint32_t i = 1; i < n; i++)
        wasm_write(&w, "6a");
    wasm_write(&w, "^0b []");
    wasm_close(&w);
    return w;
}

static void test_wasm__deep_expressions(void)
{
    const uint32_t depths[] = {2, 16, 64, 65, 1000, 300000};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        struct wasm_builder w = deep_expression(depths[i]);
        const size_t end = w.marks[0];
        struct wasm_reading r;
        wasm_read(&r, w.bytes, w.n_bytes, 0);
        CHECK(r.result == COW_OK || (r.result == COW_WASM_UNKNOWN && depths[i] > 64));
        if (r.result == COW_OK)
            CHECK_EQ(r.wasm.segments[0].offset_bytes, 3 * depths[i]);
        wasm_end_reading(&r);
        w.bytes[end - 1] = 0x0b; /* one addition too few */
        wasm_read(&r, w.bytes, w.n_bytes, 0);
        CHECK(r.result == COW_WASM_INVALID || (r.result == COW_WASM_UNKNOWN && depths[i] > 64));
        if (r.result == COW_WASM_INVALID)
            CHECK_EQ(r.error.offset_bytes, end - 1);
        wasm_end_reading(&r);
        wasm_free(&w);
    }
}

/* ---- made at random ---- */

static uint64_t random_state = 1;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545f4914f6cdd1d) >> 8;
}

static uint64_t random_below(uint64_t bound)
{
    return random_number() % bound;
}

struct known_globals {
    uint32_t n_imported, n;
    struct {
        int is_64, is_mutable;
        uint64_t value;
    } of[8];
};

static uint64_t wrap(int is_64, uint64_t value)
{
    return is_64 ? value : (uint32_t)value;
}

static void write_constant(struct wasm_builder *w, int is_64, uint64_t value)
{
    wasm_byte(w, is_64 ? 0x42 : 0x41);
    wasm_signed(w, is_64 ? (int64_t)value : (int32_t)(uint32_t)value, 1 + random_below(is_64 ? 10 : 5));
}

/* An expression of this value. */
static void write_value(struct wasm_builder *w, const struct known_globals *globals, int is_64, uint64_t value,
                        int depth)
{
    const uint64_t a = random_number(), third = UINT64_C(0xaaaaaaaaaaaaaaab); /* times three it is 1 */
    const unsigned shape = depth ? (unsigned)random_below(5) : 0, opcode = is_64 ? 0x7c : 0x6a;
    if (shape == 1) {
        write_value(w, globals, is_64, a, depth - 1);
        write_value(w, globals, is_64, value - a, depth - 1);
        wasm_byte(w, opcode);
    } else if (shape == 2) {
        write_value(w, globals, is_64, value + a, depth - 1);
        write_value(w, globals, is_64, a, depth - 1);
        wasm_byte(w, opcode + 1);
    } else if (shape == 3) {
        write_value(w, globals, is_64, value * third, depth - 1);
        write_constant(w, is_64, 3);
        wasm_byte(w, opcode + 2);
    } else if (shape == 4 && globals->n) {
        const uint32_t i = (uint32_t)random_below(globals->n);
        if (globals->of[i].is_64 != is_64 || globals->of[i].is_mutable) {
            write_constant(w, is_64, value);
            return;
        }
        write_value(w, globals, is_64, value - globals->of[i].value, depth - 1);
        wasm_byte(w, 0x23);
        wasm_unsigned(w, globals->n_imported + i, 1 + random_below(5));
        wasm_byte(w, opcode);
    } else
        write_constant(w, is_64, value);
}

struct planned_memory {
    uint64_t minimum_bytes;
    int is_64, is_bytes; /* pages of one byte */
    size_t n_segments;
    struct {
        uint64_t offset_bytes;
        size_t at, length_bytes;
    } segments[24];
};

static void write_memory(struct wasm_builder *w, struct planned_memory *memory)
{
    memory->is_64 = (int)random_below(2);
    memory->is_bytes = (int)random_below(2);
    const uint64_t pages =
        memory->is_bytes ? random_below(1u << 20) : random_below(memory->is_64 ? 1u << 20 : 1u << 16);
    memory->minimum_bytes = pages * (memory->is_bytes ? 1 : 65536);
    wasm_byte(w, (memory->is_64 ? 4 : 0) | (memory->is_bytes ? 8 : 0));
    wasm_unsigned(w, pages, 1 + random_below(5));
    if (memory->is_bytes)
        wasm_unsigned(w, 0, 1 + random_below(5));
}

static void write_globals(struct wasm_builder *w, struct known_globals *globals)
{
    const uint32_t n = (uint32_t)random_below(8);
    wasm_write(w, "06 {");
    wasm_unsigned(w, n, 1 + random_below(5));
    for (globals->n = 0; globals->n < n;) {
        const int is_64 = (int)random_below(2), is_mutable = random_below(4) == 0;
        const uint64_t value = wrap(is_64, random_number());
        wasm_write(w, is_64 ? "7e" : "7f");
        wasm_byte(w, (unsigned)is_mutable);
        write_value(w, globals, is_64, value, 4);
        wasm_write(w, "0b");
        globals->of[globals->n].is_64 = is_64;
        globals->of[globals->n].is_mutable = is_mutable;
        globals->of[globals->n++].value = value;
    }
    wasm_write(w, "}");
}

static void write_segment(struct wasm_builder *w, const struct known_globals *globals, struct planned_memory *memories,
                          uint32_t n_memories)
{
    const uint32_t index = (uint32_t)random_below(n_memories);
    struct planned_memory *memory = &memories[index];
    const uint64_t room_bytes = memory->minimum_bytes < 99 ? memory->minimum_bytes : 99;
    const size_t length_bytes = (size_t)random_below(room_bytes + 1);
    const int is_passive = random_below(5) == 0;
    wasm_unsigned(w, is_passive ? 1 : index ? 2 : 0, 1 + random_below(5));
    if (!is_passive) {
        const uint64_t offset_bytes = random_below(memory->minimum_bytes - length_bytes + 1);
        if (index)
            wasm_unsigned(w, index, 1 + random_below(5));
        write_value(w, globals, memory->is_64, offset_bytes, 5);
        wasm_write(w, "0b");
        memory->segments[memory->n_segments].offset_bytes = offset_bytes;
    }
    wasm_unsigned(w, length_bytes, 1 + random_below(5));
    if (!is_passive) {
        memory->segments[memory->n_segments].length_bytes = length_bytes;
        memory->segments[memory->n_segments++].at = w->n_bytes;
    }
    for (size_t i = 0; i < length_bytes; i++)
        wasm_byte(w, (unsigned)random_below(256));
}

static void expect_planned(const struct wasm_builder *w, const struct planned_memory *memory, uint32_t index,
                           uint32_t n_imported, size_t n_segments)
{
    struct wasm_reading r;
    wasm_read(&r, w->bytes, w->n_bytes, index);
    if (r.result)
        printf("%s at %zu: %s\n", cow_result_name(r.result), r.error.offset_bytes, r.error.what);
    CHECK_EQ(r.result, COW_OK);
    CHECK_EQ(r.wasm.memory.minimum_bytes, memory->minimum_bytes);
    CHECK_EQ(r.wasm.memory.maximum_bytes, UINT64_MAX);
    CHECK_EQ(r.wasm.memory.page_bytes, memory->is_bytes ? 1 : 65536);
    CHECK_EQ(r.wasm.memory.is_imported, index < n_imported);
    CHECK_EQ(r.wasm.memory.is_64, memory->is_64);
    CHECK_EQ(r.wasm.n_segments, memory->n_segments);
    CHECK_EQ(r.wasm.n_other_segments, n_segments - memory->n_segments);
    for (size_t i = 0; i < memory->n_segments; i++) {
        CHECK_EQ(r.wasm.segments[i].offset_bytes, memory->segments[i].offset_bytes);
        CHECK_EQ(r.wasm.segments[i].length_bytes, memory->segments[i].length_bytes);
        CHECK(r.wasm.segments[i].bytes == r.copy + memory->segments[i].at);
    }
    wasm_end_reading(&r);
}

static void test_wasm__modules_are_read_as_they_were_made(void)
{
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
        struct wasm_builder w = wasm_built(WASM_HEADER "02 {");
        struct planned_memory memories[4] = {{0}};
        struct known_globals globals = {0};
        const uint32_t n_memories = 1 + (uint32_t)random_below(4), n_segments = (uint32_t)random_below(24);
        const uint32_t n_imported = (uint32_t)random_below(n_memories + 1);
        globals.n_imported = (uint32_t)random_below(3);
        wasm_unsigned(&w, n_imported + globals.n_imported, 2);
        for (uint32_t i = 0; i < globals.n_imported; i++)
            wasm_write(&w, random_below(2) ? "['m']['g'] 03 7f 00" : "[][] 03 63 70 01");
        for (uint32_t i = 0; i < n_imported; i++) {
            wasm_write(&w, "['m']['mem'] 02");
            write_memory(&w, &memories[i]);
        }
        wasm_write(&w, "} 05 {");
        wasm_unsigned(&w, n_memories - n_imported, 1);
        for (uint32_t i = n_imported; i < n_memories; i++)
            write_memory(&w, &memories[i]);
        wasm_write(&w, "} 00 [['custom'] 00]");
        write_globals(&w, &globals);
        wasm_write(&w, "0b {");
        wasm_unsigned(&w, n_segments, 3);
        for (uint32_t i = 0; i < n_segments; i++)
            write_segment(&w, &globals, memories, n_memories);
        wasm_write(&w, "}");
        for (uint32_t i = 0; i < n_memories; i++)
            expect_planned(&w, &memories[i], i, n_imported, n_segments);
        wasm_free(&w);
    }
}

/* ---- images ---- */

static void test_wasm__an_image_has_what_the_module_says(void)
{
    struct cow_pool *pool = fixture_pool(1, 64);
    struct wasm_builder w =
        wasm_built(WASM_HEADER "05[02 00 01 01 02 03] 0b[04 00 41 03 0b ['aaaa'] 02 01 41 00 0b ['c'] "
                               "00 41 05 0b ['b'] 00 41 ff ff 03 0b ['z']]");
    struct cow_image *image = NULL;
    struct cow_wasm_memory memory = {0};
    struct cow_instance instance;
    CHECK_EQ(cow_image_from_wasm(pool, w.bytes, w.n_bytes, 0, &image, &memory, NULL), COW_OK);
    CHECK_EQ(memory.minimum_bytes, 65536);
    CHECK_EQ(memory.maximum_bytes, UINT64_MAX);
    CHECK_EQ(cow_image_extent_bytes(image), 65536);
    memset(w.bytes + 8, 0xee, w.n_bytes - 8); /* it does not need the binary any more */
    CHECK_EQ(fixture_lend(pool, image, 65536, 2 * UINT64_C(65536), &instance), COW_OK);
    const uint8_t *base = fixture_memory(pool, instance).base;
    CHECK(memcmp(base, "\0\0\0aaba", 8) == 0);
    CHECK(fixture_all_are(base + 7, 65536 - 8, 0));
    CHECK_EQ(base[65535], 'z');
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    wasm_free(&w);
}

static void test_wasm__an_image_that_cannot_be_made_is_refused(void)
{
    struct cow_pool *pool = fixture_pool(1, 16);
    struct cow_image *const untouched = (struct cow_image *)pool, *image = untouched;
    struct cow_wasm_memory memory = {0};
    struct cow_wasm_error error = {SIZE_MAX, NULL};
    struct wasm_builder w = wasm_built(WASM_HEADER "05[01 01 80 80 04 80 80 04]");
    const uint64_t n_calls = fixture_n_calls(pool);
    CHECK_EQ(cow_image_from_wasm(pool, w.bytes, w.n_bytes, 0, &image, &memory, &error), COW_IMAGE_LARGE);
    CHECK_EQ(memory.minimum_bytes, UINT64_C(1) << 32); /* the module could be read */
    CHECK_EQ(memory.page_bytes, 65536);
    CHECK_EQ(error.offset_bytes, 0);
    CHECK(error.what && error.what[0]);
    CHECK_EQ(cow_image_from_wasm(pool, w.bytes, w.n_bytes, 0, &image, NULL, NULL), COW_IMAGE_LARGE);
    memory.page_bytes = 77;
    CHECK_EQ(cow_image_from_wasm(pool, w.bytes, w.n_bytes - 1, 0, &image, &memory, &error), COW_WASM_TRUNCATED);
    CHECK_EQ(error.offset_bytes, w.n_bytes - 1);
    CHECK_EQ(memory.page_bytes, 77);
    CHECK_EQ(cow_image_from_wasm(pool, w.bytes, w.n_bytes, 1, &image, &memory, &error), COW_WASM_NO_MEMORY);
    CHECK_EQ(memory.page_bytes, 77);
    CHECK(image == untouched);
    CHECK_EQ(fixture_n_calls(pool), n_calls);
    CHECK_EQ(fixture_stats(pool).n_images, 0);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    wasm_free(&w);
}

static void test_wasm__every_refusal_has_a_name_of_its_own(void)
{
    const char *const names[] = {"wasm-foreign",   "wasm-text",    "wasm-component", "wasm-truncated", "wasm-leb128",
                                 "wasm-malformed", "wasm-invalid", "wasm-no-memory", "wasm-runtime",   "wasm-unknown"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_STRINGS(cow_result_name(COW_WASM_FOREIGN + (int)i), names[i]);
    CHECK_EQ(COW_WASM_FOREIGN + (int)(sizeof names / sizeof *names), COW_N_REFUSALS);
}

int main(void)
{
    RUN(test_wasm__a_rich_module_is_read);
    RUN(test_wasm__cut_anywhere_but_between_sections_it_is_truncated);
    RUN(test_wasm__any_byte_changed_gives_one_answer);
    RUN(test_wasm__a_hundred_thousand_segments);
    RUN(test_wasm__long_chains_of_globals);
    RUN(test_wasm__deep_expressions);
    RUN(test_wasm__modules_are_read_as_they_were_made);
    RUN(test_wasm__an_image_has_what_the_module_says);
    RUN(test_wasm__an_image_that_cannot_be_made_is_refused);
    RUN(test_wasm__every_refusal_has_a_name_of_its_own);
    return 0;
}
