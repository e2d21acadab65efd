/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Names and types of a Wasm binary (core specification 5.2.4, 5.3). */
#ifndef COW_WASM_TYPE_H
#define COW_WASM_TYPE_H

#include "wasm_cursor.h"

enum { COW_WASM_I32 = 0x7f, COW_WASM_I64 = 0x7e }; /* value types that an offset can have */

/* What an expression comes to, or a global holds. */
struct cow_wasm_value {
    uint64_t bits;
    uint8_t type;    /* COW_WASM_I32, COW_WASM_I64, or the first byte of another value type */
    bool is_mutable; /* of globals */
    bool is_known;   /* false: only at run time, since it depends on an imported global; always false for other types */
};

void cow_wasm_skip_name(struct cow_wasm_cursor *cursor);
void cow_wasm_skip_heap_type(struct cow_wasm_cursor *cursor);
void cow_wasm_skip_table_type(struct cow_wasm_cursor *cursor);
/* A value that is not known. */
struct cow_wasm_value cow_wasm_global_type(struct cow_wasm_cursor *cursor);
/* All but is_imported. */
void cow_wasm_memory_type(struct cow_wasm_cursor *cursor, struct cow_wasm_memory *ret_memory);

#endif
