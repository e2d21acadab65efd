/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep verify: which of the findings still fail, and whether they fail as they did. */
#include "child.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char verify_help[] =
    "usage: lockstep verify [--timeout SECONDS] [--json] DIRECTORY\n"
    "Runs what each finding in the directory (findings/, or one finding) holds: its input, the same as text, and the "
    "minimal\n"
    "program. Says of each:\n"
    "  fails   with the line that its report begins with\n"
    "  other   it fails, but with another line\n"
    "  agrees  pool and model do\n"
    "  -       there is no such file, or it is no program\n"
    "  --timeout SECONDS  of each program, 60 unless given\n"
    "  --json             one line of JSON instead of the table\n"
    "Exit codes: 1 something still fails; 0 nothing does; 2 wrong use, or a finding that cannot be read.\n";

enum { N_PROGRAMS = 3 };
static const char *const program_names[N_PROGRAMS] = {"input", "program.ops", "minimal.ops"};
static const char *const column_names[N_PROGRAMS] = {"input", "program", "minimal"};

enum state { STATE_ABSENT, STATE_AGREES, STATE_FAILS, STATE_OTHER, N_STATES };
static const char *const state_names[N_STATES] = {"-", "agrees", "fails", "other"};

struct verify {
    unsigned timeout_seconds;
    bool json;
    uint32_t n_findings, n_failing, n_errors, n_all;
    time_t told;
};

struct finding {
    const char *path, *key;
    char line[256]; /* the first one of its report */
    enum state states[N_PROGRAMS];
};

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* A crash has the engine's line in the report and the tool's here. */
static bool is_same_failure(const char *reported, const char *line)
{
    static const char unstable[] = "unstable: ";
    reported += begins_with(reported, unstable) ? sizeof unstable - 1 : 0;
    return strcmp(reported, line) == 0 || (begins_with(reported, "crash: ") && begins_with(line, "crash: "));
}

static int read_first_line(struct finding *finding)
{
    char *path;
    size_t n_bytes;
    if (asprintf(&path, "%s/report.txt", finding->path) < 0)
        abort();
    char *report = rig_read_file(path, RIG_MAX_PROGRAM_FILE_BYTES, &n_bytes, stderr);
    free(path);
    if (!report)
        return 2;
    snprintf(finding->line, sizeof finding->line, "%.*s", (int)strcspn(report, "\n"), report);
    free(report);
    return 0;
}

static int try_file(const struct verify *verify, const struct finding *finding, const char *path, enum state *ret_state)
{
    static struct rig_text text;
    struct rig_trial trial;
    const char *unbuilt;
    if (rig_read_program(path, &text, stderr))
        return 2;
    unbuilt = rig_program_unbuilt(&text.program);
    if (unbuilt) {
        fprintf(stderr, "%s: uses %s, which is not built yet\n", path, unbuilt);
        return 2;
    }
    if (rig_child_try(&text.program, rig_default_subject(), verify->timeout_seconds, &trial))
        return 2;
    if (trial.is_unable) {
        fprintf(stderr, "%s: %s\n", path, trial.line);
        return 2;
    }
    *ret_state = !trial.fails ? STATE_AGREES : is_same_failure(finding->line, trial.line) ? STATE_FAILS : STATE_OTHER;
    return 0;
}

static void tell_progress(struct verify *verify)
{
    const time_t now = time(NULL);
    if (now - verify->told < 2)
        return;
    verify->told = now;
    fprintf(stderr, "verify: %u of %u findings\n", verify->n_findings, verify->n_all);
}

static void print_row(const struct verify *verify, const struct finding *finding)
{
    if (!verify->json) {
        printf("%-8s %-8s %-8s %s   %s\n", state_names[finding->states[0]], state_names[finding->states[1]],
               state_names[finding->states[2]], finding->key, finding->line);
        return;
    }
    printf("%s{\"key\":\"%s\",\"line\":\"", verify->n_findings > 1 ? "," : "", finding->key);
    for (const char *at = finding->line; *at; at++)
        if ((unsigned char)*at >= ' ')
            printf("%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
    putchar('"');
    for (int i = 0; i < N_PROGRAMS; i++)
        printf(",\"%s\":\"%s\"", column_names[i], finding->states[i] ? state_names[finding->states[i]] : "none");
    putchar('}');
}

/* An input without a text beside it is no program: another target's, or bytes that only an engine takes for one. */
static void verify_finding(struct verify *verify, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct finding finding = {.path = path, .key = slash ? slash + 1 : path};
    bool is_bad = read_first_line(&finding) != 0, fails = false, has_text = false;
    for (int i = N_PROGRAMS - 1; i >= 0 && !is_bad; i--) {
        char *file;
        if (asprintf(&file, "%s/%s", path, program_names[i]) < 0)
            abort();
        const bool exists = access(file, F_OK) == 0;
        if (exists && (i > 0 || has_text))
            is_bad = try_file(verify, &finding, file, &finding.states[i]) != 0;
        has_text = has_text || exists;
        fails = fails || finding.states[i] == STATE_FAILS || finding.states[i] == STATE_OTHER;
        free(file);
    }
    verify->n_errors += is_bad;
    if (is_bad)
        return;
    verify->n_findings++;
    verify->n_failing += fails;
    print_row(verify, &finding);
    tell_progress(verify);
}

static int is_finding(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int verify_directory(struct verify *verify, const char *path)
{
    struct dirent **entries;
    char *report, *inner;
    if (asprintf(&report, "%s/report.txt", path) < 0)
        abort();
    const bool is_one = access(report, F_OK) == 0;
    free(report);
    if (is_one) {
        verify->n_all = 1;
        verify_finding(verify, path);
        return 0;
    }
    const int n = scandir(path, &entries, is_finding, alphasort);
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    verify->n_all = (uint32_t)n;
    for (int i = 0; i < n; i++) {
        if (asprintf(&inner, "%s/%s", path, entries[i]->d_name) < 0)
            abort();
        verify_finding(verify, inner);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int verify_all(struct verify *verify, const char *path)
{
    struct rig_write out = {.out = stdout};
    verify->told = time(NULL);
    if (access(path, R_OK | X_OK)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    if (verify->json)
        fputs("{\"findings\":[", stdout);
    else
        printf("%-8s %-8s %-8s finding\n", column_names[0], column_names[1], column_names[2]);
    if (verify_directory(verify, path))
        return 2;
    if (verify->json)
        printf("],\"failing\":%u,\"errors\":%u}\n", verify->n_failing, verify->n_errors);
    else
        printf("%u finding%s, %u still fail%s\n", verify->n_findings, verify->n_findings == 1 ? "" : "s",
               verify->n_failing, verify->n_failing == 1 ? "s" : "");
    if (rig_write_end(&out, stderr))
        return 2;
    return verify->n_failing ? 1 : verify->n_errors ? 2 : 0;
}

int rig_verb_verify(int argc, char **argv)
{
    static struct verify verify = {.timeout_seconds = 60};
    const char *path = NULL, *value;
    uint64_t seconds;
    if (rig_asks_for_help(argc, argv, verify_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--json") == 0) {
            verify.json = true;
        } else if ((value = rig_value_of("--timeout", argc, argv, &i))) {
            if (!rig_parse_count(value, 86400, &seconds) || seconds == 0)
                return rig_wrong_use(argv[0], "not a number of seconds from 1 up: ", value);
            verify.timeout_seconds = (unsigned)seconds;
        } else if (argument[0] == '-') {
            return rig_wrong_use(argv[0], "no such option, or nothing behind it: ", argument);
        } else if (path) {
            return rig_wrong_use(argv[0], "one directory at a time: ", argument);
        } else {
            path = argument;
        }
    }
    return path ? verify_all(&verify, path) : rig_wrong_use(argv[0], "no directory given", "");
}
