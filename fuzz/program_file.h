/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#ifndef RIG_PROGRAM_FILE_H
#define RIG_PROGRAM_FILE_H

#include "program.h"

#define RIG_MAX_PROGRAM_FILE_BYTES ((size_t)16 << 20) /* no program is nearly as long: somebody named the wrong file */

/* A whole file in memory, with a NUL behind it; the caller frees. Returns NULL and one line on err ("path: why") if it
 * cannot be read, or is larger than max_bytes. "-" is the standard input. */
char *rig_read_file(const char *path, size_t max_bytes, size_t *ret_n_bytes, FILE *err);

/* Whether these bytes are meant as the text form. */
bool rig_is_text(const char *bytes, size_t n_bytes);

/* Either form: text if it begins as text does, else binary. Returns 0, or 2 with one line on err ("path:line:column: why");
 * *ret is then worth nothing. Bytes of a binary file beyond RIG_BINARY_MAX_BYTES are ignored. */
int rig_read_program(const char *path, struct rig_text *ret, FILE *err);

/* A file that appears whole or not at all: written beside its place, then renamed. Finish with rig_write_end(), which
 * returns 0, or 2 with one line on err and nothing left behind. A NULL path is the standard output. */
struct rig_write {
    FILE *out; /* NULL if it could not be opened; rig_write_end() has then nothing more to say than 2 */
    const char *path;
    char *temporary;
};
struct rig_write rig_write_begin(const char *path, FILE *err);
int rig_write_end(struct rig_write *write, FILE *err);

#endif
