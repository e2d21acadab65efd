/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* From a module's segments to an `image` operation and its `data`. */
#include "gen_module.h"

#include "run.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_SPANS = 48,
    MAX_TAIL_BYTES = 16 * 65536, /* kept above the last segment */
    GROWTH_PAGES = 8,
    QUIET_BYTES = 1 << 20, /* from here on, comparing everything after each operation takes too long */
    WASM_PAGE_BYTES = 65536,
};

/* Where data is: a segment, or some that are taken as one. */
struct span {
    uint64_t begin, end;
};

static int compare_spans(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin > b->begin ? 1 : -1;
    return (a->end > b->end) - (a->end < b->end);
}

static int compare_descending(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a < b) - (a > b);
}

/* The spans of segments that are not empty, in the module's order. */
static size_t take_spans(const struct cow_wasm *wasm, struct span *ret_spans)
{
    size_t n = 0;
    for (size_t i = 0; i < wasm->n_segments; i++)
        if (wasm->segments[i].length_bytes)
            ret_spans[n++] = (struct span){wasm->segments[i].offset_bytes,
                                           wasm->segments[i].offset_bytes + wasm->segments[i].length_bytes};
    return n;
}

/* How wide the gap before each span but the first is, behind all that came before it. */
static void measure_gaps(const struct span *spans, size_t n, uint64_t *ret_gaps)
{
    uint64_t end = n ? spans[0].end : 0;
    for (size_t i = 1; i < n; i++) {
        ret_gaps[i] = spans[i].begin > end ? spans[i].begin - end : 0;
        end = spans[i].end > end ? spans[i].end : end;
    }
}

/* Closes all gaps but the MAX_SPANS - 1 widest. So the runs stay what they are. Returns how many spans are left. */
static size_t join_spans(struct span *spans, size_t n, uint64_t *gaps, uint64_t *scratch)
{
    size_t n_joined = 1;
    qsort(spans, n, sizeof *spans, compare_spans);
    measure_gaps(spans, n, gaps);
    memcpy(scratch, gaps + 1, (n - 1) * sizeof *gaps);
    qsort(scratch, n - 1, sizeof *scratch, compare_descending);
    for (size_t i = 1; i < n; i++) {
        struct span *last = &spans[n_joined - 1];
        if (gaps[i] >= scratch[MAX_SPANS - 2] && gaps[i] && n_joined < MAX_SPANS)
            spans[n_joined++] = spans[i];
        else if (spans[i].end > last->end)
            last->end = spans[i].end;
    }
    return n_joined;
}

static struct rig_size size_of(uint64_t n, unsigned unit)
{
    return (struct rig_size){.n = (uint32_t)n, .unit = (uint8_t)(n ? unit : RIG_UNIT_BYTES)};
}

static void add_data(struct rig_program *program, const struct cow_wasm *wasm)
{
    const size_t n_most = wasm->n_segments + 1;
    struct span *spans = calloc(n_most, sizeof *spans);
    uint64_t *gaps = calloc(2 * n_most, sizeof *gaps);
    if (!spans || !gaps)
        abort();
    size_t n = take_spans(wasm, spans);
    if (n > MAX_SPANS)
        n = join_spans(spans, n, gaps, gaps + n_most);
    for (size_t i = 0; i < n; i++)
        program->ops[program->n_ops++] = (struct rig_op){
            .kind = RIG_DATA,
            .form = RIG_DATA_STAMP,
            .at = {.offset = size_of(spans[i].begin, RIG_UNIT_BYTES)},
            .len = size_of(spans[i].end - spans[i].begin, RIG_UNIT_BYTES),
        };
    free(spans);
    free(gaps);
}

/* Behind the last byte of data. */
static uint64_t data_end(const struct cow_wasm *wasm)
{
    uint64_t end = 0;
    for (size_t i = 0; i < wasm->n_segments; i++) {
        const struct cow_segment *segment = &wasm->segments[i];
        if (segment->length_bytes && segment->offset_bytes + segment->length_bytes > end)
            end = segment->offset_bytes + segment->length_bytes;
    }
    return end;
}

const char *rig_program_from_module(const struct rig_module *module, struct rig_program *ret_program)
{
    const struct cow_wasm *wasm = &module->wasm;
    const uint64_t unit_bytes = wasm->memory.page_bytes;
    const unsigned unit = unit_bytes == WASM_PAGE_BYTES ? RIG_UNIT_W : RIG_UNIT_BYTES;
    uint64_t extent_bytes = wasm->memory.minimum_bytes;
    const uint64_t shorter = (data_end(wasm) + unit_bytes - 1) / unit_bytes * unit_bytes + MAX_TAIL_BYTES;
    extent_bytes = extent_bytes < shorter ? extent_bytes : shorter;
    const uint64_t max_bytes = extent_bytes + UINT64_C(1) * GROWTH_PAGES * WASM_PAGE_BYTES;
    if (max_bytes > RIG_MAX_LENGTH_BYTES)
        return "its data reaches further up than a program's memories do";
    memset(ret_program, 0, sizeof *ret_program);
    ret_program->world = rig_world_default();
    ret_program->world.n_slots = 2;
    ret_program->world.unit = size_of(1, unit);
    ret_program->world.max = size_of(max_bytes / unit_bytes, unit);
    ret_program->world.observe = max_bytes > QUIET_BYTES ? RIG_OBSERVE_QUIET : RIG_OBSERVE_FULL;
    ret_program->ops[ret_program->n_ops++] =
        (struct rig_op){.kind = RIG_IMAGE, .len = size_of(extent_bytes / unit_bytes, unit)};
    add_data(ret_program, wasm);
    return NULL;
}
