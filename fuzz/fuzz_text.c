/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Fuzz target: the two forms of a program are forms of one thing.
 *   text:   parse(print(parse(t))) == parse(t), printing that prints the same, and decode(encode(p)) == p
 *   binary: decode(encode(parse(print(decode(b))))) == decode(b) */
#include "program.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "fuzz_text: %s:\n%s", what, text);
    abort();
}

static char *print(const struct rig_text *text)
{
    char *printed = NULL;
    size_t n;
    FILE *memory = open_memstream(&printed, &n);
    if (!memory)
        abort();
    rig_print_program(memory, &text->program, text, text->expect);
    fclose(memory);
    return printed;
}

static bool expects_equal(const struct rig_expect *a, const struct rig_expect *b)
{
    return a->kind == b->kind && a->size.n == b->size.n && a->size.unit == b->size.unit && a->at.edge == b->at.edge &&
           a->at.minus == b->at.minus && a->at.offset.n == b->at.offset.n && a->at.offset.unit == b->at.offset.unit &&
           strcmp(a->name, b->name) == 0;
}

static void check_text(const struct rig_text *text)
{
    static struct rig_text again;
    struct rig_text_error error;
    char *printed = print(text);
    if (rig_text_parse(printed, strlen(printed), &again, &error))
        fail(error.what, printed);
    if (!rig_program_equal(&text->program, &again.program))
        fail("parsing what was printed gives another program", printed);
    if (text->needs != again.needs || text->need_hostpage.n != again.need_hostpage.n)
        fail("parsing what was printed gives other needs", printed);
    for (uint32_t i = 0; i < text->program.n_ops; i++)
        if (!expects_equal(&text->expect[i], &again.expect[i]))
            fail("parsing what was printed gives another expectation", printed);
    char *reprinted = print(&again);
    if (strcmp(printed, reprinted) != 0)
        fail("printing is not canonical", printed);
    free(reprinted);
    free(printed);
}

static void check_binary(const struct rig_text *text)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES];
    static struct rig_program again;
    size_t n_bytes = rig_program_encode(&text->program, bytes);
    if (n_bytes > sizeof bytes || rig_binary_version(bytes, n_bytes) != RIG_VERSION)
        fail("encoding is out of bounds, or has no version", "");
    rig_program_decode(bytes, n_bytes, &again);
    if (rig_program_equal(&text->program, &again))
        return;
    char *printed = print(text);
    fail("decoding what was encoded gives another program", printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static struct rig_text text;
    struct rig_text_error error;
    if (rig_text_parse((const char *)bytes, n_bytes, &text, &error) == 0) {
        check_text(&text);
        if (!rig_program_unbuilt(&text.program))
            check_binary(&text);
    } else if (!error.line || !error.column || !error.what[0]) {
        fail("an error without place or sentence", "");
    }
    memset(&text, 0, sizeof text);
    rig_program_decode(bytes, n_bytes, &text.program);
    if (rig_program_unbuilt(&text.program))
        fail("bytes decode to something that is not built", rig_program_unbuilt(&text.program));
    check_text(&text);
    check_binary(&text);
    rig_progress_add(&(struct rig_progress){.n_inputs = 1});
    return 0;
}
