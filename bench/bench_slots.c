/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What slots cost beside the cycles: making them, the first lease of each, and the memory that they hold while nobody has them, as they
 * are and trimmed. Each contender in a process of its own, all of them in each round.
 *
 *     create   open, for each slot
 *     cold     the first instantiate in a slot: all are leased at once, so that none is used twice
 *     lease    then a lease of each in which 16 pages are written, some passes of them; the last pass
 *     idle     what the process has more than before the first lease, for each slot: Pss and page tables (not: what the kernel itself
 *              keeps for mappings and files) */
#include "clock.h"
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_DIRTY = 16, N_PASSES = 5, MAX_ROUNDS = 31, LONGEST_SECONDS = 120 };

static const char usage[] = "usage: bench_slots [--json OUT] [--size smallest|quick|full]\n";

enum figure { CREATE, COLD, LEASE, IDLE, TRIMMED, N_FIGURES };

struct outcome {
    enum bench_status status;
    char why[240];
    double figures[N_FIGURES]; /* below zero: there is none */
};

struct row {
    enum bench_status status;
    char why[240];
    unsigned n_rounds;
    double rounds[N_FIGURES][MAX_ROUNDS];
};

/* Of this process, in bytes; what it does not find counts nothing. */
static double memory_bytes(void)
{
    static const struct {
        const char *path, *word;
    } sources[] = {{"/proc/self/smaps_rollup", "Pss:"}, {"/proc/self/status", "VmPTE:"}};
    double sum = 0;
    for (unsigned i = 0; i < sizeof sources / sizeof *sources; i++) {
        char line[256];
        FILE *file = fopen(sources[i].path, "re");
        while (file && fgets(line, sizeof line, file))
            if (strncmp(line, sources[i].word, strlen(sources[i].word)) == 0)
                sum += 1024 * strtod(line + strlen(sources[i].word), NULL);
        if (file)
            fclose(file);
    }
    return sum;
}

/* Leases every slot, writes in each, releases them all; *ret_ns is of the instantiations, *ret_all_ns of all that. */
static const char *pass(const struct bench_contender *contender, const struct bench_world *world, void *state,
                        struct bench_lease *leases, const uint64_t *dirty, double *ret_ns, double *ret_all_ns)
{
    const struct bench_work *work = &world->work;
    const char *why = NULL;
    const uint64_t begin = bench_nanoseconds();
    for (unsigned i = 0; !why && i < work->n_slots; i++) {
        leases[i] = (struct bench_lease){.dirty_bytes = dirty};
        why = contender->peer->instantiate(state, &leases[i]);
    }
    *ret_ns = (double)(bench_nanoseconds() - begin) / work->n_slots;
    for (unsigned i = 0; !why && contender->kind != BENCH_NO_PEER && i < work->n_slots; i++)
        for (unsigned j = 0; j < work->n_dirty; j++)
            ((volatile uint8_t *)leases[i].base)[dirty[j]] = 1;
    for (unsigned i = 0; !why && i < work->n_slots; i++)
        why = contender->peer->release(state, &leases[i]);
    *ret_all_ns = (double)(bench_nanoseconds() - begin) / work->n_slots;
    return why;
}

static const char *measure(const struct bench_contender *contender, const struct bench_world *world,
                           struct outcome *outcome)
{
    const struct bench_work *work = &world->work;
    struct bench_lease *leases = calloc(work->n_slots, sizeof *leases);
    uint64_t dirty[N_DIRTY];
    void *state = NULL;
    double ns = 0;
    if (!leases)
        return bench_why("calloc");
    memset(leases, 0, work->n_slots * sizeof *leases); /* present, before memory is looked at */
    for (unsigned i = 0; i < N_DIRTY; i++)
        dirty[i] = i * (work->image_bytes / N_DIRTY);
    const uint64_t begin = bench_nanoseconds();
    const char *why = contender->peer->open(contender, world, &state);
    outcome->figures[CREATE] = (double)(bench_nanoseconds() - begin) / work->n_slots;
    if (why) {
        outcome->status = BENCH_SKIPPED;
        return why;
    }
    outcome->status = BENCH_FAILED;
    const double before = memory_bytes();
    why = pass(contender, world, state, leases, dirty, &outcome->figures[COLD], &ns);
    for (unsigned i = 0; !why && i < N_PASSES; i++)
        why = pass(contender, world, state, leases, dirty, &ns, &outcome->figures[LEASE]);
    if (why)
        return why;
    outcome->figures[IDLE] = (memory_bytes() - before) / work->n_slots;
    outcome->figures[TRIMMED] = -1;
    if (contender->peer->trim) {
        why = contender->peer->trim(state);
        outcome->figures[TRIMMED] = (memory_bytes() - before) / work->n_slots;
    }
    outcome->status = why ? BENCH_FAILED : BENCH_MEASURED;
    return why;
}

static void run_apart(const struct bench_contender *contender, const struct bench_world *world, struct outcome *outcome)
{
    int status = 0;
    const pid_t parent = getpid();
    *outcome = (struct outcome){.status = BENCH_FAILED, .why = "it crashed, or took for ever"};
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(LONGEST_SECONDS);
        const char *why = getppid() == parent ? measure(contender, world, outcome) : NULL;
        snprintf(outcome->why, sizeof outcome->why, "%s", why ? why : "");
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || WIFSIGNALED(status))
        outcome->status = BENCH_FAILED;
}

static void print_row(FILE *out, const struct bench_work *work, const struct bench_contender *contender,
                      struct row *row)
{
    static const char *const names[] = {"create_ns", "cold_ns", "lease_ns", "idle_bytes", "trimmed_bytes"};
    fprintf(out,
            "{\"bench\":\"slots\",\"contender\":\"%s\",\"kind\":\"%s\",\"image_bytes\":%ju,\"dirty_pages\":%u,"
            "\"slots\":%u,\"status\":\"%s\"",
            contender->name, bench_kind_name(contender->kind), (uintmax_t)work->image_bytes, work->n_dirty,
            work->n_slots, bench_status_name(row->status));
    for (unsigned i = 0; row->status == BENCH_MEASURED && i < N_FIGURES; i++) {
        const double middle = bench_quantile(row->rounds[i], row->n_rounds, 0.5);
        if (row->rounds[i][0] >= 0)
            fprintf(out, ",\"%s\":%.1f,\"%s_q1\":%.1f,\"%s_q3\":%.1f", names[i], middle, names[i],
                    bench_quantile(row->rounds[i], row->n_rounds, 0.25), names[i],
                    bench_quantile(row->rounds[i], row->n_rounds, 0.75));
    }
    if (row->status == BENCH_MEASURED)
        fprintf(out, ",\"rounds\":%u", row->n_rounds);
    else
        fprintf(out, ",\"reason\":\"%s\"", row->why);
    fputs("}\n", out);
}

/* Who keeps one instance has no other slots. */
static int is_no_owner(const struct bench_contender *contender)
{
    return contender->peer == &bench_pool_in_place;
}

static unsigned run_cell(FILE *json, const struct bench_work *work, unsigned n_rounds, struct outcome *outcome)
{
    static struct row rows[64];
    struct bench_world world;
    unsigned n_bad = 0;
    const char *why = bench_world_open(&world, work);
    if (why) {
        fprintf(stderr, "bench_slots: %s\n", why);
        exit(2);
    }
    memset(rows, 0, sizeof rows);
    for (unsigned round = 0; round < n_rounds; round++) {
        for (size_t i = 0; i < bench_n_contenders; i++) {
            struct row *row = &rows[i];
            if (row->status != BENCH_MEASURED || is_no_owner(&bench_contenders[i]))
                continue;
            run_apart(&bench_contenders[i], &world, outcome);
            row->status = outcome->status;
            memcpy(row->why, outcome->why, sizeof row->why);
            for (unsigned j = 0; j < N_FIGURES; j++)
                row->rounds[j][row->n_rounds] = outcome->figures[j];
            row->n_rounds++;
        }
    }
    for (size_t i = 0; i < bench_n_contenders; i++) {
        if (is_no_owner(&bench_contenders[i]))
            continue;
        print_row(json, work, &bench_contenders[i], &rows[i]);
        if (rows[i].status >= BENCH_REFUSED) {
            fprintf(stderr, "bench_slots: %s: %s\n", bench_contenders[i].name, rows[i].why);
            n_bad++;
        }
    }
    bench_world_close(&world);
    return n_bad;
}

int main(int argc, char **argv)
{
    static const struct bench_work works[] = {
        {.image_bytes = 64 << 10, .n_dirty = N_DIRTY, .n_threads = 1, .n_slots = 8, .n_images = 1},
        {.image_bytes = 1 << 20, .n_dirty = N_DIRTY, .n_threads = 1, .n_slots = 64, .n_images = 1},
        {.image_bytes = 64 << 10, .n_dirty = N_DIRTY, .n_threads = 1, .n_slots = 1000, .n_images = 1},
        {.image_bytes = 64 << 10, .n_dirty = N_DIRTY, .n_threads = 1, .n_slots = 10000, .n_images = 1},
    };
    static const unsigned n_works[] = {1, 3, 4}; /* of each size, and how many rounds */
    static const unsigned n_rounds[][4] = {{1, 0, 0, 0}, {0, 3, 1, 0}, {0, 9, 5, 3}};
    enum bench_size size = BENCH_FULL;
    FILE *json = stdout;
    unsigned n_bad = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "we");
        else if (strcmp(argv[i], "--size") != 0 || bench_size_of(argv[i + 1], &size))
            return fputs(usage, stderr), 2;
        if (!json)
            return fprintf(stderr, "bench_slots: %s: %s\n", argv[i + 1], strerror(errno)), 2;
    }
    if (argc % 2 == 0)
        return fputs(usage, strcmp(argv[argc - 1], "--help") == 0 ? stdout : stderr),
               strcmp(argv[argc - 1], "--help") == 0 ? 0 : 2;
    struct outcome *outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcome == MAP_FAILED)
        return fputs("bench_slots: no memory\n", stderr), 2;
    bench_clock_open();
    for (unsigned i = size == BENCH_SMALLEST ? 0 : 1; i < n_works[size]; i++) {
        fprintf(stderr, "slots: %u of %ju KiB\n", works[i].n_slots, (uintmax_t)works[i].image_bytes >> 10);
        n_bad += run_cell(json, &works[i], n_rounds[size][i], outcome);
    }
    if (fclose(json))
        return fputs("bench_slots: cannot write the results\n", stderr), 2;
    return n_bad > 0;
}
