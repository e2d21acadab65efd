/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep sweep: every kernel call that a program makes the pool make is made to fail, one by one. */
#include "child.h"
#include "file_list.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char sweep_help[] =
    "usage: lockstep sweep [--timeout SECONDS] [--json] [--behind N] [--out DIR] FILE|DIRECTORY ...\n"
    "Runs each program again and again. Each time one more kernel call of one more operation fails: the first, the\n"
    "second, ..., until the operation makes no more; the creation of the pool too, once for each number of slots.\n"
    "Each call fails alone, and with all that follow it; a mapping with and without the loss of what was there, an\n"
    "madvise as if the memory was locked, a write that is only short. After each the pool must have done it all the\n"
    "same, or say so and be as it was, or have put the slot out of service.\n"
    "  --behind N         how many operations follow the one with the fault, before the program ends and all slots\n"
    "                     are looked at; 32 unless given\n"
    "  --set KEY=CHOICE   of every pool, whatever the program says: growth=guard, reset=copyback, ...; one is enough "
    "to\n"
    "                     sweep all programs in another way\n"
    "  --timeout SECONDS  of each run, 60 unless given; 0 is none\n"
    "  --out DIR          where to write what diverges, as programs that do so by themselves; made if need be\n"
    "  --json             end with one line of JSON\n"
    "Exit codes as of 'lockstep run': 0, 1 a divergence, 2 wrong use or unreadable input, 3 a crash.\n";

struct sweep {
    struct rig_file_list list;
    unsigned timeout_seconds;
    bool json;
    const char *out;
    const char *settings[8];
    unsigned n_settings;
    uint32_t n_behind;
    bool is_created[RIG_MAX_SLOTS + 1]; /* the creation of a pool of so many slots was swept */
};

/* Shared with the parent, which tells of it after a crash. */
struct under_way {
    uint64_t n_programs, n_runs, n_faults, n_divergences;
    char path[4096];
    char what[200];
};
static struct under_way *under_way;

/* ---- one fault ---- */

static void describe(const struct rig_program *program, const struct rig_planned_fault *fault)
{
    char where[40] = "the pool's creation";
    const char *how = fault->is_short ? "falls short" : fault->error ? strerror(-fault->error) : "fails";
    if (fault->op < program->n_ops)
        snprintf(where, sizeof where, "operation %u (%s)", fault->op, rig_kind_name[program->ops[fault->op].kind]);
    snprintf(under_way->what, sizeof under_way->what, "kernel call %u of %s: %s%s", fault->nth, where, how,
             fault->for_ever ? ", and all behind it" : "");
}

static int save(const struct sweep *sweep, const char *path, const struct rig_program *program)
{
    char name[4200];
    const char *base = strrchr(path, '/');
    snprintf(name, sizeof name, "%s/%ju-%s", sweep->out, (uintmax_t)under_way->n_divergences, base ? base + 1 : path);
    FILE *out = fopen(name, "we");
    if (out) {
        rig_print_program(out, program, NULL, NULL);
        if (fclose(out) == 0) {
            fprintf(stderr, "reproduce: make repro ENTRY=%s\n", name);
            return 0;
        }
    }
    fprintf(stderr, "lockstep sweep: %s: %s\n", name, strerror(errno));
    return 2;
}

static int tell(const struct sweep *sweep, const char *path, const struct rig_program *program,
                const struct rig_planned_fault *fault, const struct rig_told_fault *told,
                const struct rig_verdict *verdict)
{
    static struct rig_program with_fault;
    under_way->n_divergences++;
    printf("%s\n", verdict->line);
    fflush(stdout);
    fprintf(stderr, "%s%s: %s: when %s\n", verdict->report ? verdict->report : "", path, verdict->line,
            under_way->what);
    with_fault = *program;
    rig_put_told_fault(&with_fault, fault->op, told);
    if (sweep->out)
        return save(sweep, path, &with_fault) ? 2 : 1;
    fputs("the same as a program:\n", stderr);
    rig_print_program(stderr, &with_fault, NULL, NULL);
    return 1;
}

/* Returns 0, or the exit code; *ret_fired: whether there was such a call. */
static int run_fault(const struct sweep *sweep, const char *path, const struct rig_program *program,
                     const struct rig_planned_fault *fault, bool *ret_fired)
{
    struct rig_told_fault told = {0};
    const struct rig_options options = {
        .subject = &rig_subject_pool,
        .until = (fault->op < program->n_ops ? fault->op + 1 : 0) + sweep->n_behind,
        .fault = fault,
        .ret_told = &told,
    };
    struct rig_verdict verdict;
    int result = 0;
    describe(program, fault);
    alarm(sweep->timeout_seconds);
    rig_run(program, &options, &verdict);
    alarm(0);
    *ret_fired = told.n_ops > 0; /* the program has faults of its own, perhaps */
    under_way->n_runs++;
    under_way->n_faults += verdict.counters.n_faults;
    if (verdict.kind == RIG_DIVERGED) {
        result = tell(sweep, path, program, fault, &told, &verdict);
    } else if (verdict.kind != RIG_AGREE) {
        fprintf(stderr, "%s: %s: when %s\n", path, verdict.line, under_way->what);
        result = 2;
    }
    free(verdict.report);
    return result;
}

/* ---- all faults of a program ---- */

/* A call that can fail in another way than with its usual errno. */
static bool has_other_way(enum rig_call call, struct rig_planned_fault *fault)
{
    fault->error = call == RIG_CALL_MMAP ? -EAGAIN : call == RIG_CALL_MADVISE ? -EINVAL : 0;
    fault->is_short = call == RIG_CALL_PWRITE || call == RIG_CALL_PREAD || call == RIG_CALL_PROCESS_MADVISE ||
                      call == RIG_CALL_PAGEMAP_SCAN;
    return fault->error || fault->is_short;
}

static int sweep_op(const struct sweep *sweep, const char *path, const struct rig_program *program, uint32_t op,
                    const struct rig_call_log *log)
{
    int worst = 0;
    bool fired = log->n > 0, ignored;
    for (uint32_t nth = 1; fired && worst <= 1; nth++) {
        struct rig_planned_fault fault = {.op = op, .nth = nth};
        const int alone = run_fault(sweep, path, program, &fault, &fired);
        fault.for_ever = true;
        const int for_ever = fired ? run_fault(sweep, path, program, &fault, &ignored) : 0;
        fault.for_ever = false;
        int otherwise = 0;
        if (nth <= log->n && nth <= RIG_MAX_CALLS_LOGGED && has_other_way((enum rig_call)log->kinds[nth - 1], &fault))
            otherwise = run_fault(sweep, path, program, &fault, &ignored);
        worst = alone > worst ? alone : worst;
        worst = for_ever > worst ? for_ever : worst;
        worst = otherwise > worst ? otherwise : worst;
    }
    return worst;
}

static void show_progress(size_t i, size_t n)
{
    static time_t told;
    if (!isatty(STDERR_FILENO) || time(NULL) == told)
        return;
    told = time(NULL);
    fprintf(stderr, "\r%zu of %zu programs, %ju runs \033[K", i, n, (uintmax_t)under_way->n_runs);
}

static int sweep_file(struct sweep *sweep, const char *path)
{
    static struct rig_text text;
    static struct rig_call_log calls[RIG_MAX_OPS + 1];
    const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .ret_calls = calls};
    struct rig_verdict verdict;
    int worst = rig_read_program(path, &text, stderr);
    if (worst)
        return worst;
    const char *unbuilt = rig_program_unbuilt(&text.program);
    if (unbuilt) {
        fprintf(stderr, "%s: uses %s, which is not built yet\n", path, unbuilt);
        return 2;
    }
    for (unsigned i = 0; i < sweep->n_settings; i++)
        (void)rig_world_set(&text.program.world, sweep->settings[i]);
    memset(calls, 0, sizeof calls);
    snprintf(under_way->what, sizeof under_way->what, "nothing fails");
    rig_run(&text.program, &options, &verdict);
    free(verdict.report);
    if (verdict.kind != RIG_AGREE) {
        fprintf(stderr, "%s: %s: even when nothing fails\n", path, verdict.line);
        return verdict.kind == RIG_DIVERGED ? 1 : 2;
    }
    under_way->n_programs++;
    bool *is_created = &sweep->is_created[text.program.world.n_slots];
    const uint32_t n = text.program.n_ops + !*is_created; /* creation is said to be the operation behind the last one */
    *is_created = true;
    for (uint32_t op = 0; op < n && worst <= 1; op++) {
        const int result = sweep_op(sweep, path, &text.program, op, &calls[op]);
        worst = result > worst ? result : worst;
    }
    return worst;
}

static int sweep_all(void *context)
{
    struct sweep *sweep = context;
    int worst = 0;
    for (size_t i = 0; i < sweep->list.n; i++) {
        snprintf(under_way->path, sizeof under_way->path, "%s", sweep->list.paths[i]);
        show_progress(i, sweep->list.n);
        const int result = sweep_file(sweep, sweep->list.paths[i]);
        worst = result == 1 || worst == 0 ? result : worst; /* a divergence outranks what is unreadable */
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    return worst;
}

/* ---- the verb ---- */

static int summarise(const struct sweep *sweep, int result)
{
    static const char *const verdicts[] = {"agree", "diverge", "error", "crash"};
    fprintf(stderr, "%ju programs, %ju runs with %ju failing kernel calls: %s\n", (uintmax_t)under_way->n_programs,
            (uintmax_t)under_way->n_runs, (uintmax_t)under_way->n_faults,
            result == 0   ? "all agree"
            : result == 1 ? "DIVERGED"
                          : "ERRORS");
    if (sweep->json)
        printf("{\"verdict\":\"%s\",\"counters\":{\"programs\":%ju,\"runs\":%ju,\"faults\":%ju,\"divergences\":%ju}}\n",
               verdicts[result & 3], (uintmax_t)under_way->n_programs, (uintmax_t)under_way->n_runs,
               (uintmax_t)under_way->n_faults, (uintmax_t)under_way->n_divergences);
    return result;
}

static int sweep_in_child(struct sweep *sweep)
{
    struct rig_ending ending;
    if (rig_child_run(sweep_all, sweep, &ending))
        return 2;
    if (ending.kind == RIG_ENDED)
        return summarise(sweep, ending.code);
    fputs("crash: ", stdout);
    rig_ending_print(stdout, &ending, sweep->timeout_seconds);
    printf(" in %s when %s\n", under_way->path, under_way->what);
    return summarise(sweep, 3);
}

static int take_argument(int argc, char **argv, int *at, struct sweep *sweep)
{
    const char *argument = argv[*at], *value;
    uint64_t number;
    if (argument[0] != '-' || argument[1] == '\0')
        return rig_list_path(&sweep->list, argument);
    if (strcmp(argument, "--json") == 0) {
        sweep->json = true;
        return 0;
    }
    if ((value = rig_value_of("--out", argc, argv, at))) {
        sweep->out = value;
        return 0;
    }
    if ((value = rig_value_of("--set", argc, argv, at)) && sweep->n_settings < 8) {
        struct rig_world world;
        if (!rig_world_set(&world, value))
            return rig_wrong_use("sweep", "no such choice: ", value);
        sweep->settings[sweep->n_settings++] = value;
        return 0;
    }
    if ((value = rig_value_of("--behind", argc, argv, at)) && rig_parse_count(value, RIG_MAX_OPS, &number)) {
        sweep->n_behind = (uint32_t)number;
        return 0;
    }
    if ((value = rig_value_of("--timeout", argc, argv, at)) && rig_parse_count(value, 1u << 30, &number)) {
        sweep->timeout_seconds = (unsigned)number;
        return 0;
    }
    return rig_wrong_use("sweep", "wrong option or value: ", argument);
}

int rig_verb_sweep(int argc, char **argv)
{
    struct sweep sweep = {.timeout_seconds = 60, .n_behind = 32};
    int result = 0;
    if (rig_asks_for_help(argc, argv, sweep_help))
        return 0;
    for (int i = 1; i < argc && result == 0; i++)
        result = take_argument(argc, argv, &i, &sweep);
    if (result == 0 && sweep.list.n == 0)
        result = rig_wrong_use("sweep", "no program given", "");
    if (result == 0 && sweep.out && mkdir(sweep.out, 0777) && errno != EEXIST) {
        fprintf(stderr, "lockstep sweep: %s: %s\n", sweep.out, strerror(errno));
        result = 2;
    }
    under_way = mmap(NULL, sizeof *under_way, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == 0)
        result = under_way == MAP_FAILED ? rig_wrong_use("sweep", "no memory", "") : sweep_in_child(&sweep);
    rig_list_free(&sweep.list);
    return result;
}
