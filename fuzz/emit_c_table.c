/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Literal bytes of an emitted program: tables of pieces, each written down once. */
#include "emit_c.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 32, GAP_BYTES = 8, REPEAT_BYTES = 24 };

static uint64_t count_equal(const uint8_t *bytes, uint64_t n_bytes)
{
    uint64_t n = 1;
    while (n < n_bytes && bytes[n] == bytes[0])
        n++;
    return n;
}

static void print_hex(FILE *out, const uint8_t *bytes, uint64_t n_bytes)
{
    for (uint64_t i = 0; i < n_bytes; i++) {
        if (i && i % LINE_BYTES == 0)
            fputs("\"\n     \"", out);
        fprintf(out, "%02x", bytes[i]);
    }
}

/* How many bytes from here on belong together: up to a longer stretch of zeros, or of any one byte. */
static uint64_t measure_piece(const uint8_t *bytes, uint64_t n_bytes)
{
    uint64_t n = 0;
    while (n < n_bytes) {
        const uint64_t equal = count_equal(bytes + n, n_bytes - n);
        if (equal >= (bytes[n] ? REPEAT_BYTES : GAP_BYTES) || (bytes[n] == 0 && n + equal == n_bytes))
            break;
        n += equal;
    }
    return n;
}

static void print_pieces(FILE *out, const uint8_t *bytes, uint64_t n_bytes)
{
    for (uint64_t at = 0, n; at < n_bytes; at += n) {
        n = count_equal(bytes + at, n_bytes - at);
        if (bytes[at] == 0)
            continue;
        const uint64_t n_written = n >= REPEAT_BYTES ? 1 : measure_piece(bytes + at, n_bytes - at);
        n = n >= REPEAT_BYTES ? n : n_written;
        fprintf(out, "    {%ju, %ju, \"", (uintmax_t)at, (uintmax_t)n);
        print_hex(out, bytes + at, n_written);
        fputs("\"},\n", out);
    }
}

const char *rig_emit_c_table(struct rig_emit_c_tables *tables, const uint8_t *bytes, uint64_t n_bytes,
                             char ret_name[32])
{
    char *text = NULL;
    size_t size = 0;
    uint32_t i = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    print_pieces(out, bytes, n_bytes);
    fclose(out);
    while (i < tables->n && strcmp(tables->known[i], text) != 0)
        i++;
    snprintf(ret_name, 32, size ? "bytes_%u" : "NULL", i);
    if (size == 0 || i < tables->n) {
        free(text);
        return ret_name;
    }
    if (tables->n == tables->n_allocated) {
        tables->n_allocated = 2 * tables->n_allocated + 16;
        tables->known = realloc(tables->known, tables->n_allocated * sizeof *tables->known);
        if (!tables->known)
            abort();
    }
    tables->known[tables->n++] = text;
    fprintf(tables->out, "static const struct piece %s[] = {\n%s    {0, 0, NULL},\n};\n", ret_name, text);
    return ret_name;
}

void rig_emit_c_tables_free(struct rig_emit_c_tables *tables)
{
    for (uint32_t i = 0; i < tables->n; i++)
        free(tables->known[i]);
    free(tables->known);
}
