/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Fuzz target: cow_wasm_read() over any bytes. What must hold of each answer:
 *   - a refusal has a place in the input and a sentence, and leaves the result alone;
 *   - segments lie in the memory's minimum, and their bytes in the input, ascending and apart (the engine gives the input in a
 *     block of its own size, so that ASan sees a byte read behind it);
 *   - the limits agree with each other, and the heap taken is bounded by the input;
 *   - reading again gives the same; a section of a name only, put behind, changes nothing; cut off, it is refused. */
#include "cowpool.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MEMORIES = 3 };

static void fail(const char *what)
{
    fprintf(stderr, "fuzz_wasm: %s\n", what);
    abort();
}

static void expect(int is_true, const char *what)
{
    if (!is_true)
        fail(what);
}

static void check_refusal(const struct cow_wasm *wasm, int result, const struct cow_wasm_error *error, size_t n_bytes)
{
    static const struct cow_wasm untouched = {.n_segments = 42};
    const int is_of_wasm = result >= COW_WASM_FOREIGN && result < COW_N_REFUSALS;
    expect(is_of_wasm || result == COW_IMAGE_BOUNDS || result == COW_IMAGE_LARGE, "a refusal of no known kind");
    expect(error->offset_bytes <= n_bytes && error->what && *error->what, "a refusal without a place or a sentence");
    expect(wasm->segments == untouched.segments && wasm->n_segments == untouched.n_segments &&
               wasm->memory.page_bytes == 0,
           "a refusal that wrote a result");
}

static void check_memory(const struct cow_wasm_memory *memory)
{
    const uint64_t most = memory->is_64 ? UINT64_MAX : UINT64_C(1) << 32;
    expect(memory->page_bytes == 1 || memory->page_bytes == 65536, "a page size that does not exist");
    expect(memory->minimum_bytes <= memory->maximum_bytes && memory->minimum_bytes <= most, "limits that cannot be");
    expect(memory->minimum_bytes % memory->page_bytes == 0, "a minimum that is no multiple of the page size");
    expect(memory->maximum_bytes == UINT64_MAX ||
               (memory->maximum_bytes <= most && memory->maximum_bytes % memory->page_bytes == 0),
           "a maximum that cannot be");
}

static void check_segments(const struct cow_wasm *wasm, const uint8_t *bytes, size_t n_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < wasm->n_segments; i++) {
        const struct cow_segment *segment = &wasm->segments[i];
        const uint8_t *begin = segment->bytes;
        expect(segment->offset_bytes <= wasm->memory.minimum_bytes &&
                   segment->length_bytes <= wasm->memory.minimum_bytes - segment->offset_bytes,
               "a segment outside the minimum");
        expect(begin >= at && begin <= bytes + n_bytes && segment->length_bytes <= (size_t)(bytes + n_bytes - begin),
               "a segment whose bytes are not in the input, or twice");
        at = begin + segment->length_bytes;
    }
    expect((wasm->n_segments + wasm->n_other_segments) * 2 <= n_bytes, "more segments than bytes for them");
}

static void check_equal(const struct cow_wasm *a, const struct cow_wasm *b, const uint8_t *a_bytes,
                        const uint8_t *b_bytes)
{
    expect(a->n_segments == b->n_segments && a->n_other_segments == b->n_other_segments &&
               a->memory.minimum_bytes == b->memory.minimum_bytes && a->memory.is_64 == b->memory.is_64 &&
               a->memory.maximum_bytes == b->memory.maximum_bytes && a->memory.page_bytes == b->memory.page_bytes,
           "two readings differ");
    for (size_t i = 0; i < a->n_segments; i++)
        expect(a->segments[i].offset_bytes == b->segments[i].offset_bytes &&
                   a->segments[i].length_bytes == b->segments[i].length_bytes &&
                   (const uint8_t *)a->segments[i].bytes - a_bytes == (const uint8_t *)b->segments[i].bytes - b_bytes,
               "two readings differ in a segment");
}

/* The same input with a custom section behind it; whole, and cut off in its middle. */
static void read_extended(const struct cow_wasm *wasm, const uint8_t *bytes, size_t n_bytes, uint32_t memory_index)
{
    static const uint8_t custom[] = {0, 5, 4, 'n', 'a', 'm', 'e'};
    struct cow_wasm again = {.n_segments = 42};
    uint8_t *copy = malloc(n_bytes + sizeof custom);
    if (!copy)
        return;
    memcpy(copy, bytes, n_bytes);
    memcpy(copy + n_bytes, custom, sizeof custom);
    expect(cow_wasm_read(copy, n_bytes + sizeof custom, memory_index, &again, NULL) == COW_OK,
           "a custom section made a module unreadable");
    check_equal(wasm, &again, bytes, copy);
    cow_wasm_free(&again);
    expect(cow_wasm_read(copy, n_bytes + sizeof custom - 2, memory_index, &again, NULL) == COW_WASM_TRUNCATED,
           "a binary that is cut off was not told as such");
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    for (uint32_t memory_index = 0; memory_index < N_MEMORIES; memory_index++) {
        struct cow_wasm wasm = {.n_segments = 42}, again = {.n_segments = 42};
        struct cow_wasm_error error = {.offset_bytes = SIZE_MAX}, error_again = error;
        const int result = cow_wasm_read(bytes, n_bytes, memory_index, &wasm, &error);
        expect(cow_wasm_read(bytes, n_bytes, memory_index, &again, &error_again) == result, "two readings differ");
        if (result != COW_OK) {
            check_refusal(&wasm, result, &error, n_bytes);
            expect(error.offset_bytes == error_again.offset_bytes, "two refusals differ");
            if (result != COW_WASM_NO_MEMORY)
                continue;
            break; /* nor is there one of a higher index */
        }
        check_memory(&wasm.memory);
        check_segments(&wasm, bytes, n_bytes);
        check_equal(&wasm, &again, bytes, bytes);
        read_extended(&wasm, bytes, n_bytes, memory_index);
        cow_wasm_free(&again);
        cow_wasm_free(&wasm);
    }
    rig_progress_add(&(struct rig_progress){.n_inputs = 1});
    return 0;
}
