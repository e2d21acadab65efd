/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Constant expressions (core specification 3.3.15 "Constant Expressions", 5.4.9 "Expressions"), as far as the place of a data
 * segment can depend on them: integers and what extended constants do with them. */
#ifndef COW_WASM_EXPRESSION_H
#define COW_WASM_EXPRESSION_H

#include "wasm_type.h"

struct cow_wasm_globals {
    struct cow_wasm_value *values; /* NULL: not looked at */
    uint64_t n;
};

struct cow_wasm_places {
    const uint8_t *last;    /* of the instruction before `end` */
    const uint8_t *runtime; /* of the first that an unknown global came from, or NULL */
};

/* Reads an expression and the `end` behind it. Where globals is NULL any global is unknown, and of any type. A refusal is the
 * cursor's. */
struct cow_wasm_value cow_wasm_expression(struct cow_wasm_cursor *cursor, const struct cow_wasm_globals *globals,
                                          struct cow_wasm_places *ret_places);

#endif
