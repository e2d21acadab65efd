/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep doctor: what this kernel, its limits and this build can do, and which modes of the pool that allows. */
#include "doctor.h"
#include "run.h"
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char usage[] =
    "usage: lockstep doctor [--json]\n"
    "Tries what this kernel, its limits and this build can do, and says which modes of the pool that allows.\n"
    "  --json   one object instead of a table\n"
    "Exit codes: 0 the pool works here, 1 it does not, 2 wrong use.\n";

/* ---- the findings ---- */

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_FACT };

struct finding {
    const char *section, *name, *advice;
    enum answer answer;
    char says[120];
};
static struct finding findings[48];
static size_t n_findings;

__attribute__((format(printf, 5, 6))) static void find(const char *section, const char *name, enum answer answer,
                                                       const char *advice, const char *format, ...)
{
    va_list arguments;
    if (n_findings == sizeof findings / sizeof *findings)
        return;
    struct finding *finding = &findings[n_findings++];
    *finding = (struct finding){
        .section = section, .name = name, .advice = answer == ANSWER_YES ? NULL : advice, .answer = answer};
    va_start(arguments, format);
    vsnprintf(finding->says, sizeof finding->says, format, arguments);
    va_end(arguments);
}

/* ---- the kernel ---- */

static const struct {
    const char *name, *what, *advice;
} features[DOCTOR_N_FEATURES] = {
    [DOCTOR_MEMFD] = {"memfd_create", "memory files",
                      "nothing works without: a kernel of 3.17 or newer, and no sandbox that forbids it"},
    [DOCTOR_SEALING] = {"sealing", "images that nobody can change", "nothing works without: a kernel of 3.17 or newer"},
    [DOCTOR_NOEXEC_SEAL] = {"MFD_NOEXEC_SEAL", "memory files that cannot be executed",
                            "Linux 6.3; the pool does without"},
    [DOCTOR_DONTNEED_LOCKED] = {"MADV_DONTNEED_LOCKED", "discards locked memory",
                                "Linux 5.18; without it do not use mlockall with a pool"},
    [DOCTOR_WIPEONFORK] = {"MADV_WIPEONFORK", "a child knows that it is one",
                           "Linux 4.14; no pool can be made without"},
    [DOCTOR_GUARD_PRIVATE] = {"MADV_GUARD_INSTALL", "guard pages in private memory",
                              "Linux 6.13; without it a pool grows with mprotect"},
    [DOCTOR_GUARD_SHARED] = {"MADV_GUARD_INSTALL, files", "guard pages in shared files",
                             "Linux 6.15; nothing needs it today"},
    [DOCTOR_PAGEMAP] = {"/proc/self/pagemap", "says which pages are resident",
                        "observe=quiet cannot run: is /proc mounted, the process dumpable?"},
    [DOCTOR_PAGEMAP_SCAN] = {"PAGEMAP_SCAN", "finds written pages fast",
                             "Linux 6.7; without it only small memories are copied back"},
    [DOCTOR_PROCESS_MADVISE] = {"process_madvise", "discards many ranges in one call",
                                "Linux 6.13 for oneself; without it slots are cleaned one by one"},
    [DOCTOR_PROCMAP_QUERY] = {"PROCMAP_QUERY", "looks up one mapping fast",
                              "Linux 6.11; without it the rig reads /proc/self/maps, slowly"},
};
static bool can[DOCTOR_N_FEATURES];

static void examine_kernel(void)
{
    struct utsname name;
    if (uname(&name) == 0)
        find("kernel", "release", ANSWER_FACT, NULL, "%s %s, %s", name.sysname, name.release, name.machine);
    find("kernel", "host page", ANSWER_FACT, NULL, "%ld bytes", sysconf(_SC_PAGESIZE));
    for (int i = 0; i < DOCTOR_N_FEATURES; i++) {
        const int result = doctor_try((enum doctor_feature)i);
        can[i] = result == 0;
        if (result == 0)
            find("kernel", features[i].name, ANSWER_YES, NULL, "%s", features[i].what);
        else
            find("kernel", features[i].name, ANSWER_NO,
                 result == EMFILE ? "says nothing of the kernel: see RLIMIT_NOFILE" : features[i].advice, "%s",
                 result == DOCTOR_BROKEN ? "accepted, but it does not do what it says" : strerror(result));
    }
}

/* ---- limits ---- */

static const char *limit_text(rlim_t limit, char text[32])
{
    if (limit == RLIM_INFINITY)
        return "unlimited";
    snprintf(text, 32, "%ju", (uintmax_t)limit);
    return text;
}

/* -1 when it cannot be read. */
static long read_setting(const char *path)
{
    char line[32] = "";
    FILE *in = fopen(path, "re");
    const bool has_line = in && fgets(line, sizeof line, in);
    if (in)
        fclose(in);
    return has_line ? strtol(line, NULL, 10) : -1;
}

enum { DESCRIPTORS_TO_SPARE = 16, MAPPINGS_OF_A_SLOT = 4 };

static void examine_descriptors(void)
{
    char soft[32], hard[32];
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t n_slots = limit.rlim_cur > DESCRIPTORS_TO_SPARE ? limit.rlim_cur - DESCRIPTORS_TO_SPARE : 0;
    const bool is_enough = limit.rlim_cur == RLIM_INFINITY || n_slots >= RIG_MAX_SLOTS;
    char slots[32];
    find("limits", "RLIMIT_NOFILE", is_enough ? ANSWER_YES : ANSWER_NO,
         "raise it: ulimit -n, or LimitNOFILE= of a service", "soft %s, hard %s: one descriptor a slot, about %s slots",
         limit_text(limit.rlim_cur, soft), limit_text(limit.rlim_max, hard),
         limit_text(limit.rlim_cur == RLIM_INFINITY ? RLIM_INFINITY : n_slots, slots));
}

static void examine_mappings(void)
{
    const long n = read_setting("/proc/sys/vm/max_map_count");
    if (n < 0)
        find("limits", "vm.max_map_count", ANSWER_FACT, NULL, "cannot be read");
    else
        find("limits", "vm.max_map_count", n >= 1024 ? ANSWER_YES : ANSWER_NO,
             "raise it: sysctl vm.max_map_count=65530",
             "%ld: about %ld slots of one data run, %ld of the most that there can be", n, n / MAPPINGS_OF_A_SLOT,
             n / (long)(COW_IMAGE_MAX_RUNS * 2 + 3));
}

static void examine_limits(void)
{
    static const char *const overcommits[] = {"0: the kernel guesses", "1: always",
                                              "2: strict; instantiate is charged the initial length"};
    char soft[32];
    examine_descriptors();
    struct rlimit space = {RLIM_INFINITY, RLIM_INFINITY}, locked = space;
    (void)getrlimit(RLIMIT_AS, &space);
    (void)getrlimit(RLIMIT_MEMLOCK, &locked);
    find("limits", "RLIMIT_AS", space.rlim_cur == RLIM_INFINITY ? ANSWER_YES : ANSWER_NO,
         "pools reserve address space, up to 8 GiB a slot and more: lift it (ulimit -v unlimited)", "%s",
         limit_text(space.rlim_cur, soft));
    find("limits", "RLIMIT_MEMLOCK", ANSWER_FACT, NULL, "%s", limit_text(locked.rlim_cur, soft));
    examine_mappings();
    const long overcommit = read_setting("/proc/sys/vm/overcommit_memory");
    find("limits", "vm.overcommit_memory", ANSWER_FACT, NULL, "%s",
         overcommit >= 0 && overcommit <= 2 ? overcommits[overcommit] : "cannot be read");
}

/* ---- this build ---- */

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define HAS_ASAN "address "
#else
#define HAS_ASAN ""
#endif
#if __has_feature(undefined_behavior_sanitizer)
#define HAS_UBSAN "undefined "
#else
#define HAS_UBSAN ""
#endif
#if defined __SANITIZE_THREAD__ || __has_feature(thread_sanitizer)
#define HAS_TSAN "thread "
#else
#define HAS_TSAN ""
#endif
#if __has_feature(memory_sanitizer)
#define HAS_MSAN "memory "
#else
#define HAS_MSAN ""
#endif

static void examine_build(void)
{
    static const char sanitizers[] = HAS_ASAN HAS_UBSAN HAS_TSAN HAS_MSAN;
    find("build", "sanitizers", ANSWER_FACT, NULL, "%s", sanitizers[0] ? sanitizers : "none that can be told");
#if defined COW_HOSTILE
    find("build", "checks", ANSWER_FACT, NULL, "hostile");
#elif defined COW_DEBUG
    find("build", "checks", ANSWER_FACT, NULL, "debug");
#else
    find("build", "checks", ANSWER_FACT, NULL, "release");
#endif
#if defined __x86_64__ || defined __aarch64__
    find("build", "expected faults", ANSWER_YES, NULL, "instruction-pointer fix-ups: a few microseconds each");
#else
    find("build", "expected faults", ANSWER_NO, "probe=rotate keeps it bearable",
         "siglongjmp: slow, no fix-ups for this machine");
#endif
}

/* ---- the pool ---- */

static const char *why_not(int result)
{
    return result < 0 ? strerror(-result) : cow_result_name(result);
}

static bool make_pool(const char *name, const struct cow_pool_config *config, const char *advice)
{
    struct cow_pool *pool;
    int result = cow_pool_create(config, &pool);
    if (result == COW_OK)
        result = cow_pool_close(pool);
    find("pool", name, result == COW_OK ? ANSWER_YES : ANSWER_NO, advice, "%s",
         result == COW_OK ? "made, self-tested and closed" : why_not(result));
    return result == COW_OK;
}

/* An image, a store, growth, a trap, a reuse: what the pool is for, against the model, in one of its modes. What is wrong goes to
 * ret_line. */
static bool run_program(const char *setting, char *ret_line, size_t line_bytes)
{
    static const char program[] =
        "cowpool-ops 1\npool slots=2 unit=1P probe=all kernel=each\nimage A size=9000\ndata 4090 stamp 16\n"
        "instantiate i0 A initial=4P\nstore i0 4092 width=8\ngrow i0 +2P\nstore i0 end-8 width=8\n"
        "reuse i0 A initial=4P\nload i0 4090 width=16\nprobe i0 prev-1\nreset i0\nrelease i0\ndrop A\nflush\n";
    static struct rig_text text;
    static const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX};
    struct rig_text_error error;
    struct rig_verdict verdict = {.kind = RIG_UNABLE};
    if (rig_text_parse(program, sizeof program - 1, &text, &error) == 0 && rig_world_set(&text.program.world, setting))
        rig_run(&text.program, &options, &verdict);
    free(verdict.report);
    snprintf(ret_line, line_bytes, "%s", verdict.line);
    return verdict.kind == RIG_AGREE;
}

static bool agrees_with_model(void)
{
    char line[sizeof((struct rig_verdict *)NULL)->line];
    const bool agrees = run_program("reset=discard", line, sizeof line);
    find("pool", "against the model", agrees ? ANSWER_YES : ANSWER_NO, "look at `lockstep run corpus`", "%s",
         agrees ? "a small program agrees" : line);
    return agrees;
}

static bool examine_pool(void)
{
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), four_gib = COW_MAX_MEMORY_BYTES;
    const struct cow_pool_config small = {
        .n_slots = RIG_MAX_SLOTS, .max_bytes = 16 * page_bytes, .guard_bytes = page_bytes};
    const struct cow_pool_config large = {.n_slots = 2, .max_bytes = four_gib, .guard_bytes = four_gib};
    const bool works = make_pool("a small one", &small, "see the lines above that say no");
    (void)make_pool("two slots of 4 GiB + 4 GiB", &large,
                    "only smaller memories: see RLIMIT_AS and vm.overcommit_memory above");
    return works && agrees_with_model();
}

/* ---- modes ---- */

static void find_mode(const char *name, bool works, const char *why)
{
    find("modes", name, works ? ANSWER_YES : ANSWER_NO, NULL, "%s", works ? "works here" : why);
}

/* without: what it does where the kernel lacks what it is made for; NULL: it has it, or needs nothing. */
static void try_mode(const char *name, bool works, const char *without)
{
    char line[sizeof((struct rig_verdict *)NULL)->line] = "the pool does not work here";
    const bool agrees = works && run_program(name, line, sizeof line);
    find("modes", name, agrees ? ANSWER_YES : ANSWER_NO, NULL, "%s%s%s", agrees ? "works here" : line,
         agrees && without ? ", but " : "", agrees && without ? without : "");
}

static void examine_modes(bool works)
{
    const char *no_scan = can[DOCTOR_PAGEMAP_SCAN] ? NULL : "only small memories are copied: no PAGEMAP_SCAN";
    const char *no_batch = can[DOCTOR_PROCESS_MADVISE] ? NULL : "slots are cleaned one by one: no process_madvise";
    try_mode("growth=truncate", works, NULL);
    try_mode("growth=protect", works, NULL);
    try_mode("growth=guard", works, NULL);
    try_mode("growth=software", works, NULL);
    try_mode("reset=discard", works, NULL);
    try_mode("reset=copyback", works, no_scan);
    try_mode("reset=deferred", works, no_batch);
    try_mode("reset=adaptive", works, no_scan ? no_scan : no_batch);
    find_mode("observe=quiet", works && can[DOCTOR_PAGEMAP],
              works ? "it needs /proc/self/pagemap" : "the pool does not work here");
}

/* ---- saying so ---- */

static void print_table(bool works)
{
    static const char *const words[] = {[ANSWER_NO] = "no", [ANSWER_YES] = "ok", [ANSWER_FACT] = "  "};
    const char *section = "";
    for (const struct finding *it = findings; it < findings + n_findings; it++) {
        if (strcmp(section, it->section) != 0)
            printf("%s%s\n", *section ? "\n" : "", it->section);
        section = it->section;
        printf("  %s  %-27s %s\n", words[it->answer], it->name, it->says);
        if (it->advice)
            printf("      %-27s -> %s\n", "", it->advice);
    }
    printf("\nThe pool %s here.\n", works ? "works" : "does NOT work");
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= ' ')
            putchar(*text);
    }
    putchar('"');
}

/* {"works":true,"kernel":{"memfd_create":{"ok":true,"says":"memory files"},..},..}; ok is null for what is only a fact. */
static void print_json(bool works)
{
    static const char *const words[] = {[ANSWER_NO] = "false", [ANSWER_YES] = "true", [ANSWER_FACT] = "null"};
    const char *section = "";
    printf("{\"works\":%s", works ? "true" : "false");
    for (const struct finding *it = findings; it < findings + n_findings; it++) {
        const bool is_first = strcmp(section, it->section) != 0;
        if (is_first)
            printf("%s,\"%s\":{", *section ? "}" : "", it->section);
        section = it->section;
        fputs(is_first ? "" : ",", stdout);
        print_string(it->name);
        printf(":{\"ok\":%s,\"says\":", words[it->answer]);
        print_string(it->says);
        putchar('}');
    }
    puts("}}");
}

int rig_verb_doctor(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(usage, stdout) < 0;
        if (strcmp(argv[i], "--json") != 0) {
            fprintf(stderr, "lockstep doctor: no such option: '%s' (see 'lockstep doctor --help')\n", argv[i]);
            return 2;
        }
        json = true;
    }
    examine_kernel();
    examine_limits();
    examine_build();
    const bool works = examine_pool();
    examine_modes(works);
    if (json)
        print_json(works);
    else
        print_table(works);
    return works ? 0 : 1;
}
