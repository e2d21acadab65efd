/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A program as a standalone C program against cowpool.h. */
#ifndef RIG_EMIT_C_H
#define RIG_EMIT_C_H

#include "program.h"

/* NULL, or what cannot be said in C against the public interface alone ("fork", "fault"): static storage. */
const char *rig_emit_c_refuses(const struct rig_program *program);

/* Writes it, under the name that its first comment calls it by. Returns 0, or 2 having said why on stderr. Every number is worked out
 * on the model; no pool is made. The text depends on nothing but the program and the host page. */
int rig_emit_c(const struct rig_program *program, const char *name, FILE *out);

/* ---- emit_c_table.c ---- */
struct rig_emit_c_tables {
    FILE *out; /* where they go */
    char **known;
    uint32_t n, n_allocated;
};
/* The name of a table of these bytes: "bytes_3", or "NULL" when all of them are zero. */
const char *rig_emit_c_table(struct rig_emit_c_tables *tables, const uint8_t *bytes, uint64_t n_bytes,
                             char ret_name[32]);
void rig_emit_c_tables_free(struct rig_emit_c_tables *tables);

/* ---- emit_c_text.c: what every such program has in common ---- */
extern const char *const rig_emit_c_lines[]; /* from behind the constants to main's brace; ends with NULL */

#endif
