/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reads what a core Wasm binary says about a memory and its active data (core specification 5.5 "Modules"):
 *
 *     \0asm 1 │ id size contents │ id size contents │ ...
 *
 *     import  ──> the memory's type, if imported; how many globals are     global ──> values, when an offset names one
 *     memory  ──> its type                                                 data   ──> segments
 *
 * Every other section is skipped by its size. Nothing is copied: segments point into the binary.
 *
 * (W3) The arrays have at most one entry for each five bytes of the section they come from: that is what a global, or an active
 *      segment, takes at the least. */
#include "wasm_expression.h"

#include <errno.h>
#include <stdlib.h>

enum section {
    SECTION_CUSTOM,
    SECTION_TYPE,
    SECTION_IMPORT,
    SECTION_FUNCTION,
    SECTION_TABLE,
    SECTION_MEMORY,
    SECTION_GLOBAL,
    SECTION_EXPORT,
    SECTION_START,
    SECTION_ELEMENT,
    SECTION_CODE,
    SECTION_DATA,
    SECTION_DATA_COUNT,
    SECTION_TAG,
    N_SECTIONS
};

/* The order in which they stand (5.5.17 "Modules"). */
static const uint8_t ranks[N_SECTIONS] = {
    [SECTION_TYPE] = 1,  [SECTION_IMPORT] = 2, [SECTION_FUNCTION] = 3,   [SECTION_TABLE] = 4, [SECTION_MEMORY] = 5,
    [SECTION_TAG] = 6,   [SECTION_GLOBAL] = 7, [SECTION_EXPORT] = 8,     [SECTION_START] = 9, [SECTION_ELEMENT] = 10,
    [SECTION_CODE] = 12, [SECTION_DATA] = 13,  [SECTION_DATA_COUNT] = 11};

enum { MIN_ENTRY_BYTES = 5 }; /* (W3) */

/* A stretch of the binary that the cursor runs over. */
struct span {
    const uint8_t *at, *end;
    bool in_section;
};

struct module {
    struct cow_wasm_cursor cursor;
    struct span imports, defined_globals; /* where these sections are; empty if not there */
    struct cow_wasm_globals globals;
    bool has_globals; /* they were read */
    uint32_t memory_index;
    uint64_t n_memories, n_imported_globals;
    bool has_data_count, has_data;
    uint32_t data_count;
    struct cow_segment *segments; /* owned */
    struct cow_wasm wasm;
};

static struct span enter(struct cow_wasm_cursor *cursor, struct span span)
{
    const struct span outer = {cursor->at, cursor->end, cursor->in_section};
    cursor->at = span.at;
    cursor->end = span.end;
    cursor->in_section = span.in_section;
    return outer;
}

/* Everything in a section is a part of something. */
static void expect_end(struct cow_wasm_cursor *cursor)
{
    if (cow_wasm_left(cursor))
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, cursor->at, "a section longer than its contents");
}

static void leave(struct cow_wasm_cursor *cursor, struct span outer)
{
    enter(cursor, outer);
    if (cow_wasm_failed(cursor))
        cursor->at = cursor->end; /* (W2) */
}

/* ---- header ---- */

/* 6.3.3 "White Space": a text module begins with blanks, comments and a parenthesis. */
static bool looks_like_text(const uint8_t *at, const uint8_t *end)
{
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at != end && (*at == '(' || *at == ';');
}

static void read_header(struct cow_wasm_cursor *cursor)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    enum { MAGIC_BYTES = 4, LAYER = 6, LAYER_COMPONENT = 1 };
    const uint8_t *begin = cursor->at;
    const size_t n = cow_wasm_left(cursor) < sizeof header ? cow_wasm_left(cursor) : sizeof header;
    size_t n_equal = 0;
    while (n_equal < n && begin[n_equal] == header[n_equal])
        n_equal++;
    if (n_equal == sizeof header)
        cursor->at += sizeof header;
    else if (n_equal < MAGIC_BYTES && looks_like_text(begin, cursor->end))
        cow_wasm_fail(cursor, COW_WASM_TEXT, begin, "a module in the text format");
    else if (n_equal < MAGIC_BYTES && n_equal < n)
        cow_wasm_fail(cursor, COW_WASM_FOREIGN, begin, "no Wasm binary: it does not begin with \\0asm");
    else if (n < sizeof header)
        cow_wasm_fail_short(cursor);
    else if (begin[LAYER] == LAYER_COMPONENT && begin[LAYER + 1] == 0)
        cow_wasm_fail(cursor, COW_WASM_COMPONENT, begin + MAGIC_BYTES, "a component, not a core module");
    else
        cow_wasm_fail(cursor, COW_WASM_FOREIGN, begin + MAGIC_BYTES, "a version other than 1");
}

/* ---- memories, imports, globals ---- */

static void add_memory(struct module *module, int is_imported)
{
    struct cow_wasm_memory memory;
    cow_wasm_memory_type(&module->cursor, &memory);
    memory.is_imported = is_imported;
    if (module->n_memories++ == module->memory_index)
        module->wasm.memory = memory;
}

/* 5.5.8 "Memory Section" */
static void read_memories(struct module *module)
{
    const uint32_t n = cow_wasm_u32(&module->cursor);
    for (uint32_t i = 0; i < n && !cow_wasm_failed(&module->cursor); i++)
        add_memory(module, 0);
}

/* 5.5.5 "Import Section", 5.3.17 "External Types". True for a global: then *ret_global is its type. */
static bool read_import(struct module *module, struct cow_wasm_value *ret_global)
{
    enum { FUNCTION, TABLE, MEMORY, GLOBAL, TAG };
    struct cow_wasm_cursor *cursor = &module->cursor;
    cow_wasm_skip_name(cursor);
    cow_wasm_skip_name(cursor);
    const uint8_t *place = cursor->at;
    switch (cow_wasm_byte(cursor)) {
    case FUNCTION:
        (void)cow_wasm_u32(cursor);
        return false;
    case TABLE:
        cow_wasm_skip_table_type(cursor);
        return false;
    case MEMORY:
        add_memory(module, 1);
        return false;
    case GLOBAL:
        *ret_global = cow_wasm_global_type(cursor);
        return true;
    case TAG:
        place = cursor->at;
        if (cow_wasm_byte(cursor) != 0)
            cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "a tag's attribute other than 0");
        (void)cow_wasm_u32(cursor);
        return false;
    default:
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "an import of no known kind");
        return false;
    }
}

static void read_imports(struct module *module)
{
    struct cow_wasm_value global;
    const uint32_t n = cow_wasm_u32(&module->cursor);
    for (uint32_t i = 0; i < n && !cow_wasm_failed(&module->cursor); i++)
        module->n_imported_globals += read_import(module, &global);
}

/* Room for as many entries as n_section_bytes can hold, or n_claimed of them if that is fewer; and one, so that none is not NULL. */
static void *allocate_entries(struct module *module, uint64_t n_claimed, uint64_t n_section_bytes, size_t entry_bytes)
{
    const uint64_t n_possible = n_section_bytes / MIN_ENTRY_BYTES; /* (W3) */
    void *entries = calloc((n_claimed < n_possible ? n_claimed : n_possible) + 1, entry_bytes);
    if (!entries)
        cow_wasm_fail(&module->cursor, -ENOMEM, module->cursor.at, "no memory left");
    return entries;
}

/* Nothing can go wrong: they were read before. */
static void reread_imported_globals(struct module *module)
{
    struct cow_wasm_globals *globals = &module->globals;
    struct module scratch = {.cursor = module->cursor, .memory_index = UINT32_MAX};
    enter(&scratch.cursor, module->imports);
    const uint32_t n = cow_wasm_u32(&scratch.cursor);
    for (uint32_t i = 0; i < n && globals->n < module->n_imported_globals; i++)
        globals->n += read_import(&scratch, &globals->values[globals->n]);
}

/* 5.5.9 "Global Section". An initial value may name the globals before it (3.4.6 "Globals"). */
static void read_defined_globals(struct module *module, uint32_t n)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    struct cow_wasm_globals *globals = &module->globals;
    struct cow_wasm_places places;
    for (uint32_t i = 0; i < n && !cow_wasm_failed(cursor); i++) {
        struct cow_wasm_value global = cow_wasm_global_type(cursor);
        const struct cow_wasm_value value = cow_wasm_expression(cursor, globals, &places);
        if (value.type != global.type && (global.type == COW_WASM_I32 || global.type == COW_WASM_I64))
            cow_wasm_fail(cursor, COW_WASM_INVALID, places.last, "a global's initial value is of another type");
        global.is_known = value.is_known;
        global.bits = value.bits;
        if (!cow_wasm_failed(cursor))
            globals->values[globals->n++] = global;
    }
    expect_end(cursor);
}

static void read_globals(struct module *module)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    const struct span outer = enter(cursor, module->defined_globals);
    const uint32_t n = cow_wasm_left(cursor) ? cow_wasm_u32(cursor) : 0;
    const size_t n_bytes = (size_t)(module->imports.end - module->imports.at) + cow_wasm_left(cursor);
    module->has_globals = true;
    module->globals.values =
        allocate_entries(module, module->n_imported_globals + n, n_bytes, sizeof *module->globals.values);
    if (module->globals.values) {
        reread_imported_globals(module);
        read_defined_globals(module, n);
    }
    leave(cursor, outer);
}

/* ---- data ---- */

/* Where the segment goes. The first expression that names a global is read again when the globals are known. Of another memory's
 * segments only the form matters. */
static struct cow_wasm_value read_offset(struct module *module, bool is_wanted, struct cow_wasm_places *ret_places)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    const uint8_t *begin = cursor->at;
    const struct cow_wasm_value value =
        cow_wasm_expression(cursor, is_wanted && module->has_globals ? &module->globals : NULL, ret_places);
    if (!is_wanted || !ret_places->runtime || module->has_globals || cow_wasm_failed(cursor))
        return value;
    read_globals(module);
    if (cow_wasm_failed(cursor))
        return value;
    cursor->at = begin;
    return cow_wasm_expression(cursor, &module->globals, ret_places);
}

static void check_offset(struct module *module, const struct cow_wasm_value *value,
                         const struct cow_wasm_places *places)
{
    if (value->type != (module->wasm.memory.is_64 ? COW_WASM_I64 : COW_WASM_I32))
        cow_wasm_fail(&module->cursor, COW_WASM_INVALID, places->last,
                      "an offset of another type than the memory's addresses");
    if (!value->is_known)
        cow_wasm_fail(&module->cursor, COW_WASM_RUNTIME, places->runtime, "an offset that an imported global decides");
}

static void add_segment(struct module *module, const uint8_t *begin, uint64_t offset_bytes, uint64_t length_bytes)
{
    const uint64_t minimum_bytes = module->wasm.memory.minimum_bytes;
    const uint8_t *bytes = cow_wasm_skip(&module->cursor, length_bytes);
    if (offset_bytes > minimum_bytes || length_bytes > minimum_bytes - offset_bytes)
        cow_wasm_fail(&module->cursor, COW_IMAGE_BOUNDS, begin, "a data segment reaches past the memory's minimum");
    if (!cow_wasm_failed(&module->cursor))
        module->segments[module->wasm.n_segments++] =
            (struct cow_segment){.offset_bytes = offset_bytes, .bytes = bytes, .length_bytes = length_bytes};
}

/* 5.5.14 "Data Section" */
static void read_segment(struct module *module)
{
    enum { ACTIVE, PASSIVE, ACTIVE_EXPLICIT };
    struct cow_wasm_cursor *cursor = &module->cursor;
    const uint8_t *begin = cursor->at;
    const uint32_t flag = cow_wasm_u32(cursor);
    struct cow_wasm_value offset = {.bits = 0};
    struct cow_wasm_places places;
    if (flag > ACTIVE_EXPLICIT)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, begin, "a data segment of no known kind");
    const uint8_t *place = flag == ACTIVE_EXPLICIT ? cursor->at : begin;
    const uint32_t memory = flag == ACTIVE_EXPLICIT ? cow_wasm_u32(cursor) : 0;
    if (flag != PASSIVE && memory >= module->n_memories)
        cow_wasm_fail(cursor, COW_WASM_INVALID, place, "a data segment of a memory that does not exist");
    if (flag != PASSIVE)
        offset = read_offset(module, memory == module->memory_index, &places);
    if (flag == PASSIVE || memory != module->memory_index) {
        (void)cow_wasm_skip(cursor, cow_wasm_u32(cursor));
        module->wasm.n_other_segments++;
        return;
    }
    check_offset(module, &offset, &places);
    add_segment(module, begin, offset.bits, cow_wasm_u32(cursor));
}

static void read_data(struct module *module)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    const uint8_t *place = cursor->at;
    const uint32_t n = cow_wasm_u32(cursor);
    module->has_data = true;
    if (module->has_data_count && n != module->data_count)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "the number of data segments is not the data count");
    module->segments = allocate_entries(module, n, cow_wasm_left(cursor), sizeof *module->segments);
    for (uint32_t i = 0; i < n && !cow_wasm_failed(cursor); i++)
        read_segment(module);
}

/* ---- the module ---- */

static void read_contents(struct module *module, enum section id)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    const struct span contents = {cursor->at, cursor->end, true};
    switch (id) {
    case SECTION_CUSTOM:
        cow_wasm_skip_name(cursor);
        break;
    case SECTION_IMPORT:
        module->imports = contents;
        read_imports(module);
        break;
    case SECTION_MEMORY:
        read_memories(module);
        break;
    case SECTION_GLOBAL:
        module->defined_globals = contents;
        break;
    case SECTION_DATA:
        read_data(module);
        break;
    case SECTION_DATA_COUNT:
        module->has_data_count = true;
        module->data_count = cow_wasm_u32(cursor);
        break;
    default:
        break;
    }
    if (id == SECTION_IMPORT || id == SECTION_MEMORY || id == SECTION_DATA || id == SECTION_DATA_COUNT)
        expect_end(cursor);
}

/* 5.5.2 "Sections". *last_rank is that of the section before. */
static void read_section(struct module *module, unsigned *last_rank)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    const uint8_t *place = cursor->at;
    const uint8_t id = cow_wasm_byte(cursor);
    if (id >= N_SECTIONS)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "a section of no known kind");
    else if (id != SECTION_CUSTOM && ranks[id] <= *last_rank)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, place, "a section twice, or out of order");
    const uint32_t n_bytes = cow_wasm_u32(cursor);
    const uint8_t *contents = cow_wasm_skip(cursor, n_bytes);
    if (cow_wasm_failed(cursor))
        return;
    if (id != SECTION_CUSTOM)
        *last_rank = ranks[id];
    const struct span outer = enter(cursor, (struct span){contents, contents + n_bytes, true});
    read_contents(module, (enum section)id);
    leave(cursor, outer);
}

static void read_module(struct module *module)
{
    struct cow_wasm_cursor *cursor = &module->cursor;
    unsigned last_rank = 0;
    read_header(cursor);
    while (cow_wasm_left(cursor))
        read_section(module, &last_rank);
    if (module->has_data_count && module->data_count && !module->has_data)
        cow_wasm_fail(cursor, COW_WASM_MALFORMED, cursor->end, "a data count, and no data section");
    if (module->n_memories <= module->memory_index)
        cow_wasm_fail(cursor, COW_WASM_NO_MEMORY, cursor->end, "the module has no memory of this index");
}

int cow_wasm_read(const void *binary, size_t binary_bytes, uint32_t memory_index, struct cow_wasm *ret_wasm,
                  struct cow_wasm_error *ret_error)
{
    static const uint8_t nothing[1];
    const uint8_t *begin = binary_bytes ? binary : nothing;
    struct module module = {
        .cursor = {.binary = begin, .at = begin, .end = begin + binary_bytes},
        .imports = {begin, begin, true},
        .defined_globals = {begin, begin, true},
        .memory_index = memory_index,
    };
    read_module(&module);
    free(module.globals.values);
    if (cow_wasm_failed(&module.cursor)) {
        free(module.segments);
        if (ret_error)
            *ret_error = module.cursor.error;
        return module.cursor.result;
    }
    module.wasm.segments = module.segments;
    *ret_wasm = module.wasm;
    return COW_OK;
}

void cow_wasm_free(struct cow_wasm *wasm)
{
    free((void *)(uintptr_t)wasm->segments); /* const for the caller only */
    *wasm = (struct cow_wasm){.n_segments = 0};
}
