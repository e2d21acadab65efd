/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep fmt: text in its canonical spelling, with the comments and blank lines that people put there. */
#include "program_file.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

static const char fmt_help[] =
    "usage: lockstep fmt [--check | --write] FILE...\n"
    "Prints text programs in their one canonical spelling. Comments and blank lines stay.\n"
    "  --check   prints nothing but the names of files that would change; exit 1 if there are any\n"
    "  --write   changes the files\n";

enum mode { MODE_PRINT, MODE_CHECK, MODE_WRITE };

struct source {
    const char *begin, *end; /* of the line, without newline */
    const char *comment;     /* its '#', or its end */
    uint32_t line;           /* 1-based */
    uint32_t next_op;
    bool has_needs; /* printed: several lines of needs become one */
};

static bool begins_with(const struct source *source, const char *word)
{
    const char *at = source->begin;
    size_t n = strlen(word);
    while (at < source->comment && (*at == ' ' || *at == '\t'))
        at++;
    return (size_t)(source->comment - at) >= n && memcmp(at, word, n) == 0;
}

static bool is_blank(const struct source *source)
{
    for (const char *at = source->begin; at < source->comment; at++)
        if (*at != ' ' && *at != '\t')
            return false;
    return true;
}

/* What stands before the comment, with or without newline. The text was parsed: a line can only be one of these. */
static void print_code(struct source *source, const struct rig_text *text, FILE *out)
{
    if (source->next_op < text->program.n_ops && text->line[source->next_op] == source->line) {
        rig_print_line(out, &text->program.ops[source->next_op], &text->expect[source->next_op]);
        source->next_op++;
    } else if (source->line == 1) {
        fprintf(out, "cowpool-ops %d", RIG_VERSION);
    } else if (begins_with(source, "needs") && !source->has_needs) {
        source->has_needs = true;
        rig_print_needs(out, text);
    } else if (begins_with(source, "pool")) {
        rig_print_pool(out, &text->program.world);
    }
}

static int print_line(struct source *source, const struct rig_text *text, FILE *out)
{
    char *code = NULL;
    size_t n_code = 0;
    FILE *memory = open_memstream(&code, &n_code);
    if (!memory)
        return -1;
    print_code(source, text, memory);
    if (fclose(memory))
        return -1;
    if (n_code && code[n_code - 1] == '\n')
        n_code--;
    int n_comment = (int)(source->end - source->comment);
    while (n_comment && (source->comment[n_comment - 1] == ' ' || source->comment[n_comment - 1] == '\t'))
        n_comment--;
    /* A pool line that says nothing but defaults goes away; an empty line was meant. */
    if (n_code || n_comment || is_blank(source))
        fprintf(out, "%.*s%s%.*s\n", (int)n_code, code, n_code && n_comment ? "  " : "", n_comment, source->comment);
    free(code);
    return 0;
}

static int print_text(const char *bytes, size_t n_bytes, const struct rig_text *text, FILE *out)
{
    struct source source = {.begin = bytes};
    const char *end = bytes + n_bytes;
    while (source.begin < end) {
        const char *newline = memchr(source.begin, '\n', (size_t)(end - source.begin));
        source.end = newline ? newline : end;
        const char *comment = memchr(source.begin, '#', (size_t)(source.end - source.begin));
        source.comment = comment ? comment : source.end;
        source.line++;
        if (print_line(&source, text, out))
            return -1;
        source.begin = newline ? newline + 1 : end;
    }
    return 0;
}

/* The canonical spelling of the bytes; the caller frees. NULL with one line on err if they are no text program. */
static char *format(const char *path, const char *bytes, size_t n_bytes, size_t *ret_n)
{
    static struct rig_text text;
    struct rig_text_error error;
    char *formatted = NULL;
    if (rig_text_parse(bytes, n_bytes, &text, &error)) {
        fprintf(stderr, "%s:%u:%u: %s\n", path, error.line, error.column, error.what);
        return NULL;
    }
    FILE *memory = open_memstream(&formatted, ret_n);
    int failed = !memory || print_text(bytes, n_bytes, &text, memory);
    failed = (memory && fclose(memory)) || failed;
    if (!failed)
        return formatted;
    fprintf(stderr, "%s: no memory\n", path);
    free(formatted);
    return NULL;
}

static int put_out(const char *path, enum mode mode, bool is_changed, const char *bytes, size_t n_bytes)
{
    if (mode == MODE_CHECK) {
        if (is_changed)
            puts(path);
        return is_changed;
    }
    if (mode == MODE_WRITE && !is_changed)
        return 0;
    struct rig_write write = rig_write_begin(mode == MODE_WRITE ? path : NULL, stderr);
    if (write.out)
        fwrite(bytes, 1, n_bytes, write.out);
    return rig_write_end(&write, stderr);
}

static int format_file(const char *path, enum mode mode)
{
    size_t n_bytes, n_formatted;
    int result = 2;
    char *bytes = rig_read_file(path, RIG_MAX_PROGRAM_FILE_BYTES, &n_bytes, stderr);
    char *formatted = bytes ? format(path, bytes, n_bytes, &n_formatted) : NULL;
    if (formatted) {
        bool is_changed = n_bytes != n_formatted || memcmp(bytes, formatted, n_bytes) != 0;
        result = put_out(path, mode, is_changed, formatted, n_formatted);
    }
    free(formatted);
    free(bytes);
    return result;
}

int rig_verb_fmt(int argc, char **argv)
{
    enum mode mode = MODE_PRINT;
    int result = 0, n_files = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(fmt_help, stdout) < 0 ? 2 : 0;
        if (argv[i][0] != '-' || !argv[i][1]) {
            n_files++;
        } else if (strcmp(argv[i], "--check") == 0 && mode != MODE_WRITE) {
            mode = MODE_CHECK;
        } else if (strcmp(argv[i], "--write") == 0 && mode != MODE_CHECK) {
            mode = MODE_WRITE;
        } else {
            fprintf(stderr, "lockstep fmt: no such option here: %s (see 'lockstep fmt --help')\n", argv[i]);
            return 2;
        }
    }
    if (!n_files) {
        fprintf(stderr, "lockstep fmt: no file given (see 'lockstep fmt --help')\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int one = argv[i][0] != '-' || !argv[i][1] ? format_file(argv[i], mode) : 0;
        result = one > result ? one : result;
    }
    return result;
}
