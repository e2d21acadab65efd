/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a lease costs: instantiate, touch, grow, release, by all contenders in turn, round by round (A B C, A B C, ...). A figure is the
 * median over the rounds; its spread, the quartiles around it; p50 and p99, of single cycles in all rounds. */
#include "clock.h"
#include "cycle.h"
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_cycle [--json OUT] [--size smallest|quick|full] [--rounds N] [--cell WORDS] [--contender WORDS]\n"
    "  --json OUT         a line of JSON for each contender in each cell\n"
    "  --size SIZE        how many cells and rounds (full)\n"
    "  --rounds N         of each cell, 1 to 31\n"
    "  --cell WORDS       only cells whose name contains this, as in 'image=1MiB dirty=16 '\n"
    "  --contender WORDS  only contenders whose name contains this\n";

struct options {
    enum bench_size size;
    struct bench_schedule schedule;
    const char *cell, *contender, *without_reset;
    FILE *json;
};

/* What a cycle does; n_threads, n_slots, n_images and the image are the cell's. */
struct act {
    unsigned n_dirty;
    int is_random;
    unsigned n_reads, n_grown;
    enum bench_size sizes[BENCH_MAX_THREADS]; /* from which size on it is measured, by 1 and by 2 threads */
};

static const struct act acts[] = {
    {0, 0, 0, 0, {BENCH_QUICK, BENCH_FULL}},        /* nothing but the lease */
    {1, 0, 0, 0, {BENCH_SMALLEST, BENCH_SMALLEST}}, /* in place */
    {16, 0, 0, 0, {BENCH_QUICK, BENCH_QUICK}},      {256, 0, 0, 0, {BENCH_QUICK, BENCH_FULL}},
    {1, 1, 0, 0, {BENCH_FULL, BENCH_FULL}}, /* random */
    {16, 1, 0, 0, {BENCH_QUICK, BENCH_FULL}},       {256, 1, 0, 0, {BENCH_FULL, BENCH_FULL}},
    {0, 0, 16, 0, {BENCH_FULL, BENCH_FULL}},                                                /* sparse reads */
    {16, 0, 16, 0, {BENCH_QUICK, BENCH_FULL}},      {0, 0, 0, 1, {BENCH_FULL, BENCH_FULL}}, /* growth */
    {1, 0, 0, 1, {BENCH_SMALLEST, BENCH_SMALLEST}}, {16, 0, 0, 1, {BENCH_QUICK, BENCH_QUICK}},
    {0, 0, 0, 16, {BENCH_FULL, BENCH_FULL}},        {16, 0, 0, 16, {BENCH_QUICK, BENCH_FULL}},
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_cycle: %s: %s\n", what, why);
    exit(2);
}

static void name_cell(const struct bench_work *work, char *name, size_t n_bytes)
{
    const int is_mega = work->image_bytes >= 1 << 20;
    snprintf(name, n_bytes, "image=%u%s dirty=%u%s reads=%u grown=%u threads=%u slots=%u images=%u ",
             (unsigned)(work->image_bytes >> (is_mega ? 20 : 10)), is_mega ? "MiB" : "KiB", work->n_dirty,
             work->is_random ? " random" : "", work->n_reads, work->n_grown, work->n_threads, work->n_slots,
             work->n_images);
}

/* ---- a cell ---- */

static void print_row(FILE *out, const struct bench_work *work, const struct bench_contender *contender,
                      struct bench_result *result)
{
    double rounds[BENCH_MAX_ROUNDS], *samples = calloc(result->n_samples + 1, sizeof *samples);
    if (!samples)
        die("a result", strerror(ENOMEM));
    fprintf(out,
            "{\"bench\":\"cycle\",\"contender\":\"%s\",\"kind\":\"%s\",\"bounds\":%d,\"image_bytes\":%ju,\"dirty_"
            "pages\":%u,"
            "\"random\":%d,\"reads\":%u,"
            "\"grown_wasm_pages\":%u,\"threads\":%u,\"slots\":%u,\"images\":%u,\"status\":\"%s\"",
            contender->name, bench_kind_name(contender->kind), contender->peer->has_bounds,
            (uintmax_t)work->image_bytes, work->n_dirty, work->is_random, work->n_reads, work->n_grown, work->n_threads,
            work->n_slots, work->n_images, bench_status_name(result->status));
    if (result->status == BENCH_MEASURED) {
        for (unsigned i = 0; i < result->n_samples; i++)
            samples[i] = result->samples[i];
        memcpy(rounds, result->round_ns, sizeof rounds);
        fprintf(out, ",\"ns\":%.1f,\"ns_q1\":%.1f,\"ns_q3\":%.1f,\"ns_min\":%.1f,\"ns_max\":%.1f",
                bench_quantile(rounds, result->n_rounds, 0.5), bench_quantile(rounds, result->n_rounds, 0.25),
                bench_quantile(rounds, result->n_rounds, 0.75), bench_quantile(rounds, result->n_rounds, 0),
                bench_quantile(rounds, result->n_rounds, 1));
        if (result->n_samples)
            fprintf(out, ",\"p50_ns\":%.1f,\"p99_ns\":%.1f", bench_quantile(samples, result->n_samples, 0.5),
                    bench_quantile(samples, result->n_samples, 0.99));
        fprintf(out, ",\"cycles\":%ju,\"rounds\":%u,\"disturbed\":%u,\"minor_faults\":%.3f",
                (uintmax_t)result->n_cycles, result->n_rounds, result->n_disturbed, result->faults);
    } else {
        fprintf(out, ",\"reason\":\"%s\"", result->why);
    }
    fputs("}\n", out);
    fflush(out);
    free(samples);
}

/* What is left of a contender when the other's part is subtracted, round by round, as a row of its own. */
static void subtract(const struct bench_result *from, const struct bench_result *what, struct bench_result *net)
{
    *net = *from;
    net->n_samples = 0; /* single cycles have no partner to be subtracted */
    if (from->status == BENCH_MEASURED && what->status != BENCH_MEASURED) {
        net->status = what->status;
        memcpy(net->why, what->why, sizeof net->why);
    }
    for (unsigned i = 0; i < net->n_rounds && i < what->n_rounds; i++)
        net->round_ns[i] -= what->round_ns[i];
}

static void print_rows(FILE *out, const struct bench_work *work, const struct bench_process *processes,
                       unsigned n_processes)
{
    static struct bench_result net;
    for (unsigned i = 0; i < n_processes; i++) {
        const struct bench_contender *contender = processes[i].contender;
        print_row(out, work, contender, processes[i].result);
        for (unsigned j = 0; contender->net_of && j < n_processes; j++) {
            if (strcmp(processes[j].contender->name, contender->net_of) == 0) {
                char name[64];
                struct bench_contender twin = *contender;
                snprintf(name, sizeof name, "%s net", contender->name);
                twin.name = name;
                subtract(processes[i].result, processes[j].result, &net);
                print_row(out, work, &twin, &net);
            }
        }
    }
}

/* Whether it is not worth trying: what would have to be resident is more than a machine of some years ago has to spare. */
static const char *is_too_much(const struct bench_contender *contender, const struct bench_work *work)
{
    return contender->peer == &bench_wasmtime && contender->variant[0] < 0 &&
                   work->image_bytes * work->n_slots > UINT64_C(1) << 30
               ? "more than 1 GiB would stay resident"
               : NULL;
}

static unsigned run_cell(const struct options *options, const struct bench_work *work)
{
    static struct bench_process processes[64];
    struct bench_world world;
    struct bench_plan plan;
    unsigned n = 0, n_bad = 0;
    const size_t shared_bytes = bench_n_contenders * sizeof(struct bench_result);
    struct bench_result *results = mmap(NULL, shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *why = results == MAP_FAILED ? bench_why("mmap") : bench_world_open(&world, work);
    if (!why)
        why = bench_plan_open(&plan, &world);
    if (why)
        die("a cell", why);
    for (size_t i = 0; i < bench_n_contenders; i++) {
        const struct bench_contender *contender = &bench_contenders[i];
        if (options->contender && !strstr(contender->name, options->contender))
            continue;
        world.without_reset = options->without_reset && strcmp(options->without_reset, contender->name) == 0;
        why = is_too_much(contender, work);
        if (why) {
            processes[n] = (struct bench_process){.contender = contender, .result = &results[i]};
            results[i].status = BENCH_SKIPPED;
            snprintf(results[i].why, sizeof results[i].why, "%s", why);
        } else {
            bench_cycle_start(&processes[n], contender, &world, &plan, &options->schedule, &results[i]);
        }
        n++;
    }
    for (unsigned round = 0; round < options->schedule.n_rounds; round++)
        for (unsigned i = 0; i < n; i++)
            bench_cycle_round(&processes[i]);
    for (unsigned i = 0; i < n; i++) {
        bench_cycle_end(&processes[i]);
        if (processes[i].result->status >= BENCH_REFUSED) {
            fprintf(stderr, "bench_cycle: %s: %s\n", processes[i].contender->name, processes[i].result->why);
            n_bad++;
        }
    }
    print_rows(options->json, work, processes, n);
    munmap(results, shared_bytes);
    bench_plan_close(&plan);
    bench_world_close(&world);
    return n_bad;
}

/* ---- all cells ---- */

struct tour {
    const struct options *options;
    int is_rehearsal; /* only counts */
    unsigned n_cells, n_done, n_bad;
};

static void visit(struct tour *tour, const struct bench_work *work)
{
    char name[160];
    name_cell(work, name, sizeof name);
    if (tour->options->cell && !strstr(name, tour->options->cell))
        return;
    if (tour->is_rehearsal) {
        tour->n_cells++;
        return;
    }
    tour->n_done++;
    fprintf(stderr, isatty(2) ? "\r%3u of %u  %-90s" : "%3u of %u  %s\n", tour->n_done, tour->n_cells, name);
    tour->n_bad += run_cell(tour->options, work);
}

static void visit_act(struct tour *tour, uint64_t image_bytes, const struct act *act, unsigned n_threads)
{
    const enum bench_size size = tour->options->size;
    const int is_large = image_bytes > 1 << 20;
    const struct bench_work work = {
        .image_bytes = image_bytes,
        .n_dirty = act->n_dirty,
        .is_random = act->is_random,
        .n_reads = act->n_reads,
        .n_grown = act->n_grown,
        .n_threads = n_threads,
        .n_slots = size == BENCH_SMALLEST ? 4
                   : is_large             ? 8
                                          : 32, /* some contenders keep all of a slot resident */
        .n_images = 1,
    };
    if (act->sizes[n_threads - 1] > size || image_bytes / (uint64_t)sysconf(_SC_PAGESIZE) < act->n_dirty)
        return;
    if (size == BENCH_QUICK && is_large && (n_threads > 1 || act->n_grown || act->n_dirty != 16))
        return;
    visit(tour, &work);
}

static void visit_all(struct tour *tour)
{
    static const uint64_t image_bytes[] = {64 << 10, 1 << 20, 16 << 20};
    static const unsigned slots[] = {1, 10, 100, 1000, 10000};
    const enum bench_size size = tour->options->size;
    for (unsigned i = 0; i < (size == BENCH_SMALLEST ? 1 : 3); i++)
        for (unsigned j = 0; j < sizeof acts / sizeof *acts; j++)
            for (unsigned n_threads = 1; n_threads <= BENCH_MAX_THREADS; n_threads++)
                visit_act(tour, image_bytes[i], &acts[j], n_threads);
    for (unsigned i = 0; size > BENCH_SMALLEST && i < sizeof slots / sizeof *slots; i++) {
        for (unsigned n_grown = 0; n_grown <= 1; n_grown++) {
            for (unsigned n_threads = 1; n_threads <= BENCH_MAX_THREADS; n_threads++) {
                const struct bench_work work = {64 << 10, 1, 0, 0, n_grown, n_threads, slots[i], 1};
                if (slots[i] >= n_threads &&
                    (size == BENCH_FULL || (slots[i] != 100 && n_grown == 0 && n_threads == 1)))
                    visit(tour, &work);
            }
        }
    }
    for (unsigned n_slots = 1; n_slots <= 32; n_slots *= 32) {
        const struct bench_work work = {size == BENCH_SMALLEST ? 64 << 10 : 1 << 20, 1, 0, 0, 0, 1, n_slots, 2};
        visit(tour, &work);
    }
}

static int read_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.size = BENCH_FULL, .json = stdout, .without_reset = getenv("BENCH_WITHOUT_RESET")};
    if (argc % 2 == 0)
        return -1;
    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--json") == 0) {
            options->json = fopen(value, "we");
            if (!options->json)
                die(value, strerror(errno));
        } else if (strcmp(argv[i], "--size") == 0) {
            if (bench_size_of(value, &options->size))
                return -1;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            options->schedule.n_rounds = (unsigned)strtoul(value, NULL, 10);
            if (!options->schedule.n_rounds)
                return -1;
        } else if (strcmp(argv[i], "--cell") == 0) {
            options->cell = value;
        } else if (strcmp(argv[i], "--contender") == 0) {
            options->contender = value;
        } else {
            return -1;
        }
    }
    if (options->schedule.n_rounds > BENCH_MAX_ROUNDS)
        return -1;
    static const struct bench_schedule schedules[] = {{2, 0.0001, 0.005}, {5, 0.0010, 0.1}, {15, 0.0015, 0.4}};
    const unsigned n_rounds = options->schedule.n_rounds;
    options->schedule = schedules[options->size];
    if (n_rounds)
        options->schedule.n_rounds = n_rounds;
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (read_options(argc, argv, &options))
        return fputs(usage, stderr), 2;
    signal(SIGPIPE, SIG_IGN); /* a contender may be gone */
    bench_clock_open();
    struct tour tour = {.options = &options, .is_rehearsal = 1};
    visit_all(&tour);
    tour.is_rehearsal = 0;
    visit_all(&tour);
    if (isatty(2))
        fputc('\n', stderr);
    if (!tour.n_cells)
        die("no cell of that name", options.cell ? options.cell : "");
    if (fclose(options.json))
        die("the results", strerror(errno));
    return tour.n_bad > 0;
}
