/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep minimize: the smallest program that fails with the same stable line. */
#include "child.h"
#include "minimize.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char minimize_help[] =
    "usage: lockstep minimize [-o OUT] [--subject NAME] [--timeout SECONDS] [--json] FILE\n"
    "Prints the smallest program that fails as this one does, text or binary: with the same stable line, or by the "
    "same\n"
    "kind of crash. Each candidate runs in a process of its own. Ctrl-C ends it with the smallest one so far.\n"
    "  -o OUT             writes there, all or nothing; otherwise to the standard output\n"
    "  --subject NAME     what it fails on, as of 'lockstep run'\n"
    "  --timeout SECONDS  of each candidate, 10 unless given\n"
    "  --json             one line about it instead of the program, which -o takes then\n"
    "Exit codes: 0 here it is; 2 wrong use, unreadable input, or a program that does not fail.\n";

struct search {
    const struct rig_subject_ops *subject;
    unsigned timeout_seconds;
    char line[160]; /* what every candidate must end with */
    uint32_t n_tried, n_ops;
    time_t begin, told;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static bool is_over(void *context)
{
    (void)context;
    return interrupted;
}

static void tell_progress(struct search *search)
{
    const time_t now = time(NULL);
    if (now - search->begin < 2 || now - search->told < 2)
        return;
    search->told = now;
    fprintf(stderr, "minimize: %u candidates, %u operations left\n", search->n_tried, search->n_ops);
}

static bool fails_alike(void *context, const struct rig_program *candidate, uint32_t *ret_op)
{
    struct search *search = context;
    struct rig_trial trial;
    search->n_tried++;
    tell_progress(search);
    if (rig_child_try(candidate, search->subject, search->timeout_seconds, &trial) || !trial.fails ||
        strcmp(trial.line, search->line) != 0)
        return false;
    search->n_ops = rig_count_operations(candidate);
    *ret_op = trial.op;
    return true;
}

/* What it fails with at first; 2 and one line if it does not. */
static int begin_search(const char *path, const struct rig_program *program, struct search *search, uint32_t *ret_op)
{
    struct rig_trial trial;
    const char *unbuilt = rig_program_unbuilt(program);
    if (unbuilt) {
        fprintf(stderr, "%s: uses %s, which is not built yet\n", path, unbuilt);
        return 2;
    }
    if (rig_child_try(program, search->subject, search->timeout_seconds, &trial))
        return 2;
    if (!trial.fails) {
        fprintf(stderr, "%s: %s\n", path,
                trial.is_unable ? trial.line : "does not diverge: there is nothing to minimise");
        return 2;
    }
    memcpy(search->line, trial.line, sizeof search->line);
    search->begin = time(NULL);
    *ret_op = trial.op;
    return 0;
}

static char *spell(const struct rig_program *program, const char *line, size_t *ret_n_bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_n_bytes);
    if (!out)
        return NULL;
    rig_print_program(out, program, NULL, NULL);
    fclose(out);
    /* The comment goes behind the first line. */
    char *whole = NULL;
    const char *rest = text ? strchr(text, '\n') : NULL;
    out = rest ? open_memstream(&whole, ret_n_bytes) : NULL;
    if (out) {
        fprintf(out, "%.*s\n# %s\n%s", (int)(rest - text), text, line, rest + 1);
        fclose(out);
    }
    free(text);
    return whole;
}

/* Once more, from the text that goes out: it is what people will run. */
static bool is_still_failing(const char *text, size_t n_bytes, struct search *search)
{
    static struct rig_text parsed;
    struct rig_text_error error;
    uint32_t op;
    if (rig_text_parse(text, n_bytes, &parsed, &error)) {
        fprintf(stderr, "lockstep minimize: the result does not parse (line %u: %s): a bug of the minimiser\n",
                error.line, error.what);
        return false;
    }
    if (fails_alike(search, &parsed.program, &op))
        return true;
    fputs("lockstep minimize: the result does not fail the same way every time: nothing is written\n", stderr);
    return false;
}

static void print_json(FILE *out, const struct search *search, uint32_t n_before, const struct rig_program *program)
{
    fprintf(out,
            "{\"line\":\"%s\",\"candidates\":%u,\"operations_before\":%u,\"operations\":%u,\"records\":%u,"
            "\"interrupted\":%s}\n",
            search->line, search->n_tried, n_before, rig_count_operations(program), program->n_ops,
            interrupted ? "true" : "false");
}

static int write_result(const char *out_path, const char *text, size_t n_bytes)
{
    struct rig_write write = rig_write_begin(out_path, stderr);
    if (write.out)
        fwrite(text, 1, n_bytes, write.out);
    return rig_write_end(&write, stderr);
}

static int minimize(const char *path, const char *out_path, bool json, struct search *search)
{
    static struct rig_text text;
    uint32_t op;
    size_t n_bytes = 0;
    int result = rig_read_program(path, &text, stderr);
    if (result == 0)
        result = begin_search(path, &text.program, search, &op);
    if (result)
        return result;
    const uint32_t n_before = rig_count_operations(&text.program);
    const struct rig_minimizer minimizer = {fails_alike, is_over, search};
    signal(SIGINT, interrupt);
    rig_minimize(&minimizer, &text.program, op);
    char *spelled = spell(&text.program, search->line, &n_bytes);
    if (!spelled || !is_still_failing(spelled, n_bytes, search))
        result = 2;
    if (interrupted)
        fputs("minimize: interrupted: the smallest so far\n", stderr);
    if (result == 0 && (out_path || !json))
        result = write_result(out_path, spelled, n_bytes);
    if (result == 0 && json) {
        struct rig_write out = {.out = stdout};
        print_json(stdout, search, n_before, &text.program);
        result = rig_write_end(&out, stderr);
    }
    free(spelled);
    return result;
}

int rig_verb_minimize(int argc, char **argv)
{
    const char *path = NULL, *out_path = NULL, *value;
    bool json = false;
    static struct search search = {.timeout_seconds = 10};
    uint64_t seconds;
    search.subject = rig_default_subject();
    if (rig_asks_for_help(argc, argv, minimize_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "-o") == 0 && i + 1 < argc) {
            out_path = argv[++i];
        } else if (strcmp(argument, "--json") == 0) {
            json = true;
        } else if ((value = rig_value_of("--subject", argc, argv, &i))) {
            search.subject = rig_find_subject(value);
            if (!search.subject)
                return rig_wrong_use(argv[0], "no such subject: ", value);
        } else if ((value = rig_value_of("--timeout", argc, argv, &i))) {
            if (!rig_parse_count(value, 86400, &seconds) || seconds == 0)
                return rig_wrong_use(argv[0], "not a number of seconds from 1 up: ", value);
            search.timeout_seconds = (unsigned)seconds;
        } else if (argument[0] == '-' && argument[1]) {
            return rig_wrong_use(argv[0], "no such option, or nothing behind it: ", argument);
        } else if (path) {
            return rig_wrong_use(argv[0], "one file at a time: ", argument);
        } else {
            path = argument;
        }
    }
    return path ? minimize(path, out_path, json, &search) : rig_wrong_use(argv[0], "no file given", "");
}
