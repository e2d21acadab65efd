/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Wasm binaries, read from a copy that ends where the binary ends, so that a sanitizer sees what is read past it. */
#ifndef REGRESS_WASM_READING_H
#define REGRESS_WASM_READING_H

#include "cowpool.h"
#include "wasm_builder.h"

/* Results as sets: where the specification leaves open how an error is to be called, a test accepts several. */
#define SET(result) (UINT64_C(1) << (result))
#define READ SET(COW_OK)
#define BOUNDS SET(COW_IMAGE_BOUNDS)
#define LARGE SET(COW_IMAGE_LARGE)
#define FOREIGN SET(COW_WASM_FOREIGN)
#define TEXT SET(COW_WASM_TEXT)
#define COMPONENT SET(COW_WASM_COMPONENT)
#define TRUNCATED SET(COW_WASM_TRUNCATED)
#define LEB128 SET(COW_WASM_LEB128)
#define MALFORMED SET(COW_WASM_MALFORMED)
#define INVALID SET(COW_WASM_INVALID)
#define NO_MEMORY SET(COW_WASM_NO_MEMORY)
#define RUNTIME SET(COW_WASM_RUNTIME)
#define UNKNOWN SET(COW_WASM_UNKNOWN)
#define FORM (FOREIGN | TEXT | COMPONENT | TRUNCATED | LEB128 | MALFORMED)
#define ANY (READ | BOUNDS | LARGE | FORM | INVALID | NO_MEMORY | RUNTIME | UNKNOWN)

struct wasm_reading {
    uint8_t *copy;
    size_t n_bytes;
    int result;
    struct cow_wasm wasm;
    struct cow_wasm_error error;
};

/* What holds of every module that was read. */
static inline void wasm_check_module(const struct wasm_reading *reading)
{
    const struct cow_wasm *wasm = &reading->wasm;
    const struct cow_wasm_memory *memory = &wasm->memory;
    CHECK(memory->page_bytes == 1 || memory->page_bytes == 65536);
    CHECK(memory->minimum_bytes <= memory->maximum_bytes);
    CHECK_EQ(memory->minimum_bytes % memory->page_bytes, 0);
    CHECK(!memory->is_shared || memory->maximum_bytes < UINT64_MAX || memory->is_64);
    for (size_t i = 0; i < wasm->n_segments; i++) {
        const struct cow_segment *segment = &wasm->segments[i];
        const size_t at = (size_t)((const uint8_t *)segment->bytes - reading->copy);
        CHECK(at <= reading->n_bytes && segment->length_bytes <= reading->n_bytes - at);
        CHECK(segment->length_bytes <= memory->minimum_bytes);
        CHECK(segment->offset_bytes <= memory->minimum_bytes - segment->length_bytes);
    }
}

/* Reads, and checks what holds of every answer. Goes to wasm_end_reading(). */
static inline void wasm_read(struct wasm_reading *reading, const uint8_t *bytes, size_t n_bytes, uint32_t memory_index)
{
    const struct cow_segment mark = {.length_bytes = 42};
    struct cow_wasm wasm = {{1, 2, 3, 4, 5, 6}, &mark, 7, 8};
    struct cow_wasm_error error = {SIZE_MAX, NULL};
    uint8_t *copy = malloc(n_bytes ? n_bytes : 1);
    CHECK(copy);
    if (n_bytes)
        memcpy(copy, bytes, n_bytes);
    const int result = cow_wasm_read(copy, n_bytes, memory_index, &wasm, &error);
    *reading = (struct wasm_reading){copy, n_bytes, result, wasm, error};
    CHECK(result >= 0 && (SET(result) & ANY));
    if (result == COW_OK)
        wasm_check_module(reading);
    else {
        CHECK(wasm.memory.minimum_bytes == 1 && wasm.memory.maximum_bytes == 2 && wasm.memory.page_bytes == 3);
        CHECK(wasm.memory.is_imported == 4 && wasm.memory.is_shared == 5 && wasm.memory.is_64 == 6);
        CHECK(wasm.segments == &mark && wasm.n_segments == 7 && wasm.n_other_segments == 8);
        CHECK(error.offset_bytes <= n_bytes);
        CHECK(error.what && error.what[0]);
    }
}

static inline void wasm_end_reading(struct wasm_reading *reading)
{
    if (reading->result == COW_OK)
        cow_wasm_free(&reading->wasm);
    free(reading->copy);
}

/* The module that follows the header, read: "MINIMUM MAXIMUM PAGE[ imported][ shared][ 64]: OFFSET=BYTES OFFSET=BYTES +OTHERS".
 * Marks in the text say where each segment's bytes are. */
static inline const char *wasm_told_of(uint32_t memory_index, const char *text)
{
    static char told[4096];
    struct wasm_builder w = wasm_built(WASM_HEADER);
    wasm_write(&w, text);
    struct wasm_reading r;
    wasm_read(&r, w.bytes, w.n_bytes, memory_index);
    const struct cow_wasm_memory *memory = &r.wasm.memory;
    int n = 0;
    if (r.result)
        n = snprintf(told, sizeof told, "%s at %zu: %s", cow_result_name(r.result), r.error.offset_bytes, r.error.what);
    else {
        n = snprintf(told, sizeof told, "%" PRIu64 " %" PRIu64 " %" PRIu64 "%s%s%s:", memory->minimum_bytes,
                     memory->maximum_bytes, memory->page_bytes, memory->is_imported ? " imported" : "",
                     memory->is_shared ? " shared" : "", memory->is_64 ? " 64" : "");
        for (size_t i = 0; i < r.wasm.n_segments; i++) {
            const struct cow_segment *segment = &r.wasm.segments[i];
            n += snprintf(told + n, sizeof told - (size_t)n, " %" PRIu64 "=%.*s", segment->offset_bytes,
                          (int)segment->length_bytes, (const char *)segment->bytes);
            CHECK(i >= w.n_marks || segment->bytes == r.copy + w.marks[i]);
        }
        if (r.wasm.n_other_segments)
            n += snprintf(told + n, sizeof told - (size_t)n, " +%zu", r.wasm.n_other_segments);
    }
    CHECK(n >= 0 && (size_t)n < sizeof told);
    wasm_end_reading(&r);
    wasm_free(&w);
    return told;
}

static inline const char *wasm_told(const char *text)
{
    return wasm_told_of(0, text);
}

/* The binary is answered with one of these results; a refusal is at one of the marks, or anywhere if there are none. */
static inline void wasm_answers(uint64_t results, uint32_t memory_index, const char *header, const char *text)
{
    struct wasm_builder w = wasm_built(header);
    wasm_write(&w, text);
    struct wasm_reading r;
    wasm_read(&r, w.bytes, w.n_bytes, memory_index);
    int is_marked = w.n_marks == 0 || r.result == COW_OK;
    for (unsigned i = 0; i < w.n_marks; i++)
        is_marked |= w.marks[i] == r.error.offset_bytes;
    if (!(SET(r.result) & results) || !is_marked)
        printf("%s: %s at %zu: %s\n", text, cow_result_name(r.result), r.error.offset_bytes,
               r.result ? r.error.what : "");
    CHECK(SET(r.result) & results);
    CHECK(is_marked);
    if (r.result)
        CHECK_EQ(cow_wasm_read(r.copy, w.n_bytes, memory_index, &r.wasm, NULL), r.result);
    wasm_end_reading(&r);
    wasm_free(&w);
}

static inline void wasm_refuses(uint64_t results, const char *text)
{
    wasm_answers(results, 0, WASM_HEADER, text);
}

#endif
