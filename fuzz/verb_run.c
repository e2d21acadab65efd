/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep run: replays programs, and says whether pool and model agree. The work is done in a child, so that a crash, a sanitizer's
 * report or a hang becomes exit code 3 with the program's name, whatever else is in the list. */
#include "child.h"
#include "doctor.h"
#include "file_list.h"
#include "floors.h"
#include "program_file.h"
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SETTINGS = 8 };

struct run_options {
    struct rig_options rig;
    bool trace, json, floors, matrix, fail_fast, in_process, gdb;
    unsigned timeout_seconds, n_repeats;
    const char *settings[MAX_SETTINGS];
    unsigned n_settings;
};

static const char usage[] =
    "usage: lockstep run [OPTIONS] FILE|DIRECTORY ...\n"
    "\n"
    "Replays programs, text or binary, against a subject and the model, and compares after every operation.\n"
    "\n"
    "  --trace            a line for each operation: what it is, what the model says, a hash of the state behind it\n"
    "  --until N          only the operations before number N (the trace numbers them)\n"
    "  --subject NAME     pool (the default), model (against itself), or template (which has a bug);\n"
    "                     RIG_SUBJECT in the environment is another default, of all verbs and of make fuzz\n"
    "  --set KEY=CHOICE   of every pool, whatever the program says: growth=guard, reset=copyback, observe=quiet, ...; "
    "expectations are\n"
    "                     not looked at\n"
    "  --json             end with one line of JSON\n"
    "  --matrix           also print which operations followed which, in which states, and which results each had at "
    "which edge;\n"
    "                     with --json, in that line too\n"
    "  --floors           also check that the programs did enough for their agreement to mean something\n"
    "  --foreign-faults   somebody else makes kernel calls of this process fail (strace, seccomp): operations may "
    "fail, but no "
    "byte may\n"
    "                     be wrong; expectations are not looked at\n"
    "  --fail-fast        stop at the first program that does not agree\n"
    "  --repeat N         run everything N times, for timing\n"
    "  --timeout SECONDS  of each program, 60 unless given; 0 is none\n"
    "  --in-process       do not fork a child: for debuggers, which find rig_before_operation() called before each\n"
    "  --gdb              run one program under gdb, which stops before operation N of --until, when all before it are "
    "done, and\n"
    "                     where something diverges or crashes; with the commands cow-pool, cow-slots and cow-slot. The "
    "exit code\n"
    "                     is gdb's\n"
    "\n"
    "Exit codes: 0 all agree; 1 a divergence, its stable line on stdout and the report on stderr; 2 wrong use, "
    "unreadable\n"
    "input, or an expectation that is out of date; 3 a crash, a sanitizer's report or a timeout.\n";

/* ---- one program ---- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool kernel_can(enum doctor_feature feature)
{
    static bool asked[DOCTOR_N_FEATURES], can[DOCTOR_N_FEATURES];
    if (!asked[feature])
        can[feature] = doctor_try(feature) == 0;
    asked[feature] = true;
    return can[feature];
}

/* NULL, or what this machine lacks for it. */
static const char *unmet_need(const struct rig_text *text)
{
    const struct rig_size page = text->need_hostpage;
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (page.n && (page.unit == RIG_UNIT_K ? (uint64_t)page.n << 10 : (uint64_t)page.n) != page_bytes)
        return "another host page";
    if ((text->needs & RIG_NEED_GUARD || text->program.world.growth == RIG_GROWTH_GUARD) &&
        !kernel_can(DOCTOR_GUARD_PRIVATE))
        return "guard: this kernel has no guard markers (Linux 6.13)";
    if (text->needs & RIG_NEED_SCAN && !kernel_can(DOCTOR_PAGEMAP_SCAN))
        return "scan: this kernel has no PAGEMAP_SCAN (Linux 6.7)";
    if (text->needs & RIG_NEED_BATCH && !kernel_can(DOCTOR_PROCESS_MADVISE))
        return "batch: this kernel has no process_madvise for the process itself (Linux 6.13)";
    return NULL;
}

static int tell(const char *path, const struct rig_text *text, const struct rig_verdict *verdict)
{
    switch (verdict->kind) {
    case RIG_AGREE:
        return 0;
    case RIG_DIVERGED:
        printf("%s\n", verdict->line);
        fflush(stdout);
        fprintf(stderr, "%s%s: %s\nreproduce: make repro ENTRY=%s\n", verdict->report ? verdict->report : "", path,
                verdict->line, path);
        return 1;
    case RIG_OUTDATED:
        fprintf(stderr, "%s:%u: %s\n", path, text->line[verdict->op], verdict->line);
        return 2;
    default:
        fprintf(stderr, "%s: %s\n", path, verdict->line);
        return 2;
    }
}

static int run_file(const char *path, const struct run_options *options, struct rig_tally *tally, double *seconds)
{
    static struct rig_text text; /* half a stack in size */
    struct rig_options rig = options->rig;
    struct rig_verdict verdict;
    int result = rig_read_program(path, &text, stderr);
    if (result)
        return result;
    for (unsigned i = 0; i < options->n_settings; i++)
        (void)rig_world_set(&text.program.world, options->settings[i]);
    const char *unbuilt = rig_program_unbuilt(&text.program), *unmet = unmet_need(&text);
    if (unmet) {
        fprintf(stderr, "SKIPPED %s: needs %s\n", path, unmet);
        tally->sum.n_skipped++;
        return 0;
    }
    if (unbuilt) {
        fprintf(stderr, "%s: uses %s, which is not built yet\n", path, unbuilt);
        return 2;
    }
    rig.expect = options->n_settings ? NULL : text.expect;
    rig.trace = options->trace ? stdout : NULL;
    if (options->trace)
        printf("# %s\n", path);
    alarm(options->timeout_seconds);
    const double begin = now();
    rig_run(&text.program, &rig, &verdict);
    *seconds += now() - begin; /* of running, not of reading files */
    alarm(0);
    result = tell(path, &text, &verdict);
    if (verdict.kind == RIG_UNABLE && options->rig.foreign_faults) { /* the rig's own calls are made to fail, too */
        tally->sum.n_skipped++;
        result = 0;
    }
    rig_tally_add(tally, &verdict);
    free(verdict.report);
    return result;
}

/* ---- all of them ---- */

static void print_json(const struct rig_tally *tally, int result, double seconds, const struct rig_matrix *matrix)
{
    static const char *const verdicts[] = {"agree", "diverge", "error", "crash"};
    const struct rig_counters *sum = &tally->sum;
    printf("{\"verdict\":\"%s\",\"state_hash\":\"%016jx\",\"counters\":{\"programs\":%ju,\"operations\":%ju,"
           "\"effective\":%ju,\"traps\":%ju,"
           "\"resets\":%ju,\"erasing_resets\":%ju,\"reuses\":%ju,\"grows\":%ju,\"faults\":%ju,\"divergences\":%ju,"
           "\"skipped\":%ju},",
           verdicts[result & 3], (uintmax_t)tally->state_hash, (uintmax_t)sum->n_programs, (uintmax_t)sum->n_operations,
           (uintmax_t)sum->n_effective, (uintmax_t)sum->n_traps, (uintmax_t)sum->n_resets,
           (uintmax_t)sum->n_erasing_resets, (uintmax_t)sum->n_reuses, (uintmax_t)sum->n_grows,
           (uintmax_t)sum->n_faults, (uintmax_t)sum->n_divergences, (uintmax_t)sum->n_skipped);
    if (matrix) {
        fputs("\"matrix\":", stdout);
        rig_matrix_print_json(stdout, matrix, sum);
        putchar(',');
    }
    printf("\"timing\":{\"seconds\":%.6f,\"programs_per_second\":%.0f,\"effective_per_second\":%.0f}}\n", seconds,
           seconds > 0 ? (double)sum->n_programs / seconds : 0, seconds > 0 ? (double)sum->n_effective / seconds : 0);
}

/* Which program is under way, for the parent to name after a crash. */
static char *under_way;
#define UNDER_WAY_BYTES 4096

/* Beside what programs make fail themselves. None at all: then nobody has interfered, and the run means nothing more than without. */
static void tell_failures(const struct rig_counters *sum)
{
    fprintf(stderr, "%ju operations failed, %ju pools could not be made\n", (uintmax_t)sum->n_foreign,
            (uintmax_t)sum->n_unmade);
}

static int run_all(const struct rig_file_list *list, const struct run_options *options)
{
    struct rig_tally tally = {.n_programs = 0};
    int worst = 0;
    double seconds = 0;
    for (unsigned repeat = 0; repeat < options->n_repeats && worst == 0; repeat++)
        for (size_t i = 0; i < list->n && !(options->fail_fast && worst); i++) {
            snprintf(under_way, UNDER_WAY_BYTES, "%s", list->paths[i]);
            const int result = run_file(list->paths[i], options, &tally, &seconds);
            worst = result == 1 || worst == 0 ? result : worst; /* a divergence outranks what is unreadable */
        }
    fprintf(stderr, "%ju programs, %ju operations, %ju effective: %s%s\n", (uintmax_t)tally.sum.n_programs,
            (uintmax_t)tally.sum.n_operations, (uintmax_t)tally.sum.n_effective,
            worst == 0   ? "all agree"
            : worst == 1 ? "DIVERGED"
                         : "ERRORS",
            tally.sum.n_skipped ? ", some skipped" : "");
    if (options->rig.foreign_faults)
        tell_failures(&tally.sum);
    if (options->floors && worst == 0 && rig_check_floors(stderr, &tally))
        worst = 1;
    if (options->matrix)
        rig_matrix_print(stdout, options->rig.matrix);
    if (options->json)
        print_json(&tally, worst, seconds, options->matrix ? options->rig.matrix : NULL);
    rig_tally_free(&tally);
    if ((fflush(stdout) || ferror(stdout)) && worst == 0) { /* whoever reads it must not take silence for agreement */
        fprintf(stderr, "lockstep run: cannot write to the standard output: %s\n", strerror(errno));
        worst = 2;
    }
    return worst;
}

struct all_work {
    const struct rig_file_list *list;
    const struct run_options *options;
};

/* Descriptor 0 is one like any other: the pool may have it, unless somebody wants to read from it. */
static void free_descriptor_0(const struct rig_file_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->paths[i], "-") == 0)
            return;
    close(STDIN_FILENO);
}

static int do_all(void *context)
{
    const struct all_work *work = context;
    free_descriptor_0(work->list);
    return run_all(work->list, work->options);
}

static int run_in_child(const struct rig_file_list *list, const struct run_options *options)
{
    struct all_work work = {list, options};
    struct rig_ending ending;
    if (rig_child_run(do_all, &work, &ending))
        return 2;
    if (ending.kind == RIG_ENDED)
        return ending.code;
    fputs("crash: ", stdout);
    rig_ending_print(stdout, &ending, options->timeout_seconds);
    printf(" in %s\n", under_way);
    if (options->json)
        puts("{\"verdict\":\"crash\"}");
    return 3;
}

/* ---- options ---- */

/* The number behind an option, or false. */
static bool take_number(int argc, char **argv, int *at, const char *name, uint32_t *number)
{
    char *end;
    if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc)
        return false;
    const unsigned long value = strtoul(argv[*at + 1], &end, 10);
    if (*end || end == argv[*at + 1] || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    ++*at;
    return true;
}

static bool take_subject(const char *name, const struct rig_subject_ops **ret_subject)
{
    const struct rig_subject_ops *subject = rig_find_subject(name);
    *ret_subject = subject ? subject : *ret_subject;
    return subject;
}

static bool take_setting(const char *setting, struct run_options *options)
{
    struct rig_world world;
    if (options->n_settings == MAX_SETTINGS || !rig_world_set(&world, setting))
        return false;
    options->settings[options->n_settings++] = setting;
    return true;
}

static bool take_option(int argc, char **argv, int *at, struct run_options *options)
{
    const char *option = argv[*at];
    if (strcmp(option, "--set") == 0 && *at + 1 < argc)
        return take_setting(argv[++*at], options);
    if (strcmp(option, "--trace") == 0)
        return options->trace = true;
    if (strcmp(option, "--json") == 0)
        return options->json = true;
    if (strcmp(option, "--matrix") == 0)
        return options->matrix = true;
    if (strcmp(option, "--floors") == 0)
        return options->floors = true;
    if (strcmp(option, "--foreign-faults") == 0)
        return options->rig.foreign_faults = true;
    if (strcmp(option, "--fail-fast") == 0)
        return options->fail_fast = true;
    if (strcmp(option, "--in-process") == 0)
        return options->in_process = true;
    if (strcmp(option, "--gdb") == 0)
        return options->gdb = true;
    if (strncmp(option, "--subject=", 10) == 0)
        return take_subject(option + 10, &options->rig.subject);
    if (strcmp(option, "--subject") == 0 && *at + 1 < argc)
        return take_subject(argv[++*at], &options->rig.subject);
    return take_number(argc, argv, at, "--until", &options->rig.until) ||
           take_number(argc, argv, at, "--timeout", &options->timeout_seconds) ||
           (take_number(argc, argv, at, "--repeat", &options->n_repeats) && options->n_repeats);
}

int rig_verb_run(int argc, char **argv)
{
    static struct rig_matrix matrix;
    struct run_options options = {.rig = {.subject = rig_default_subject(), .until = UINT32_MAX, .matrix = &matrix},
                                  .timeout_seconds = 60,
                                  .n_repeats = 1};
    struct rig_file_list list = {.n = 0};
    int result = 0;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return fputs(usage, stdout) < 0;
    for (int i = 1; i < argc && result == 0; i++) {
        const size_t n_before = list.n;
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            result = rig_list_path(&list, argv[i]);
            if (result == 0 && list.n == n_before) {
                fprintf(stderr, "%s: there is no program in this directory\n", argv[i]);
                result = 2;
            }
        } else if (!take_option(argc, argv, &i, &options)) {
            fprintf(stderr, "lockstep run: wrong option or value: '%s' (see 'lockstep run --help')\n", argv[i]);
            result = 2;
        }
    }
    if (result == 0 && list.n == 0) {
        fputs("lockstep run: no program given (see 'lockstep run --help')\n", stderr);
        result = 2;
    }
    if (result == 0 && options.gdb && list.n != 1) {
        fputs("lockstep run: --gdb takes one program (see 'lockstep run --help')\n", stderr);
        result = 2;
    }
    if (result == 0 && options.gdb)
        result = rig_run_under_gdb(argc, argv, list.paths[0], options.rig.until);
    if (options.in_process) {
        options.rig.before = rig_before_operation;
        setvbuf(stdout, NULL, _IOLBF, 0); /* who stops in the middle wants to see what was said */
    }
    under_way = mmap(NULL, UNDER_WAY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == 0 && under_way == MAP_FAILED) {
        fprintf(stderr, "lockstep run: no memory: %s\n", strerror(errno));
        result = 2;
    }
    if (result == 0 && !options.gdb)
        result = options.in_process ? run_all(&list, &options) : run_in_child(&list, &options);
    rig_list_free(&list);
    return result;
}

/* ---- show --expect ---- */

/* The pool's run tells, since it agrees with the model; of a program that a broken pool diverges on, the model's own run does. */
int rig_show_expect(struct rig_text *text)
{
    struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .ret_expect = text->expect};
    struct rig_verdict verdict;
    bool forks = false;
    for (uint32_t i = 0; i < text->program.n_ops; i++)
        forks = forks || text->program.ops[i].kind == RIG_FORK; /* the model has no children */
    rig_run(&text->program, &options, &verdict);
    free(verdict.report);
    if (verdict.kind == RIG_DIVERGED && !forks) {
        options.subject = &rig_subject_model;
        rig_run(&text->program, &options, &verdict);
        free(verdict.report);
    }
    if (verdict.kind == RIG_AGREE)
        return 0;
    fprintf(stderr, "lockstep show: %s\n", verdict.line);
    return 2;
}

/* ---- sanitizers: an exit code of their own, so that a report is not taken for a divergence ---- */

#define TO_TEXT_(x) #x
#define TO_TEXT(x) TO_TEXT_(x)
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=" TO_TEXT(RIG_SANITIZER_EXIT_CODE);
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1:exitcode=" TO_TEXT(RIG_SANITIZER_EXIT_CODE);
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "exitcode=" TO_TEXT(RIG_SANITIZER_EXIT_CODE);
}
