/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a lease costs: instantiate, touch, grow, release, by all contenders in turn, round by round (A B C, A B C, ...). A figure is the
 * median over the rounds; its spread, the quartiles around it; p50 and p99, of single cycles in all rounds. */
#include "clock.h"
#include "cycle.h"

#include <errno.h>
#include <fcntl.h>
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

enum size { SMALLEST, QUICK, FULL };

struct options {
    enum size size;
    struct bench_schedule schedule;
    const char *cell, *contender, *without_reset;
    FILE *json;
};

/* What a cycle does; n_threads, n_slots, n_images and the image are the cell's. */
struct act {
    unsigned n_dirty;
    int is_random;
    unsigned n_reads, n_grown;
    enum size size; /* from which size on */
};

static const struct act acts[] = {
    {0, 0, 0, 0, QUICK},    {1, 0, 0, 0, SMALLEST}, {16, 0, 0, 0, QUICK}, {256, 0, 0, 0, QUICK}, {1, 1, 0, 0, FULL},
    {16, 1, 0, 0, QUICK},   {256, 1, 0, 0, FULL},   {0, 0, 16, 0, FULL},  {16, 0, 16, 0, QUICK}, {0, 0, 0, 1, FULL},
    {1, 0, 0, 1, SMALLEST}, {16, 0, 0, 1, QUICK},   {0, 0, 0, 16, FULL},  {16, 0, 0, 16, QUICK},
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

/* ---- images ---- */

static int make_image_file(const uint8_t *bytes, uint64_t n_bytes)
{
    const int fd = memfd_create("bench-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        die("memfd_create", strerror(errno));
    for (uint64_t done = 0; done < n_bytes;) {
        const ssize_t n = write(fd, bytes + done, n_bytes - done);
        if (n < 0)
            die("write of an image", strerror(errno));
        done += (uint64_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        die("sealing an image", strerror(errno));
    return fd;
}

static void open_world(struct bench_world *world)
{
    for (unsigned i = 0; i < world->work.n_images; i++) {
        uint8_t *bytes = malloc(world->work.image_bytes);
        if (!bytes)
            die("an image", strerror(ENOMEM));
        for (uint64_t at = 0; at < world->work.image_bytes; at++)
            bytes[at] = (uint8_t)(1 + (at * 2654435761u >> 7) % (199 + i)); /* never 0, nor the harness's stain */
        world->images[i] = bytes;
        world->image_fds[i] = make_image_file(bytes, world->work.image_bytes);
    }
}

static void close_world(struct bench_world *world)
{
    for (unsigned i = 0; i < world->work.n_images; i++) {
        close(world->image_fds[i]);
        free((void *)world->images[i]);
    }
}

/* ---- a cell ---- */

static void print_row(FILE *out, const struct bench_work *work, const struct bench_contender *contender,
                      struct bench_result *result)
{
    static const char *const kinds[] = {"floor", "cowpool", "peer", "subtracted"};
    static const char *const statuses[] = {"measured", "skipped", "refused", "failed"};
    double rounds[BENCH_MAX_ROUNDS], *samples = calloc(result->n_samples + 1, sizeof *samples);
    if (!samples)
        die("a result", strerror(ENOMEM));
    fprintf(out,
            "{\"bench\":\"cycle\",\"contender\":\"%s\",\"kind\":\"%s\",\"image_bytes\":%ju,\"dirty_pages\":%u,"
            "\"random\":%d,\"reads\":%u,"
            "\"grown_wasm_pages\":%u,\"threads\":%u,\"slots\":%u,\"images\":%u,\"status\":\"%s\"",
            contender->name, kinds[contender->kind], (uintmax_t)work->image_bytes, work->n_dirty, work->is_random,
            work->n_reads, work->n_grown, work->n_threads, work->n_slots, work->n_images, statuses[result->status]);
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
    struct bench_world world = {.work = *work, .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
    struct bench_plan plan;
    unsigned n = 0, n_bad = 0;
    const size_t shared_bytes = bench_n_contenders * sizeof(struct bench_result);
    struct bench_result *results = mmap(NULL, shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    open_world(&world);
    if (results == MAP_FAILED || bench_plan_open(&plan, &world))
        die("a cell", strerror(ENOMEM));
    for (size_t i = 0; i < bench_n_contenders; i++) {
        const struct bench_contender *contender = &bench_contenders[i];
        if (options->contender && !strstr(contender->name, options->contender))
            continue;
        world.without_reset = options->without_reset && strcmp(options->without_reset, contender->name) == 0;
        const char *why = is_too_much(contender, work);
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
    close_world(&world);
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

static void visit_all(struct tour *tour)
{
    static const uint64_t image_bytes[] = {64 << 10, 1 << 20, 16 << 20};
    static const unsigned slots[] = {1, 10, 100, 1000, 10000};
    const enum size size = tour->options->size;
    for (unsigned i = 0; i < (size == SMALLEST ? 1 : 3); i++) {
        for (unsigned j = 0; j < sizeof acts / sizeof *acts; j++) {
            for (unsigned n_threads = 1; n_threads <= BENCH_MAX_THREADS; n_threads++) {
                const struct act *act = &acts[j];
                const unsigned n_slots = size == SMALLEST ? 4 : image_bytes[i] > 1 << 20 ? 8 : 32;
                const struct bench_work work = {image_bytes[i], act->n_dirty, act->is_random, act->n_reads,
                                                act->n_grown,   n_threads,    n_slots,        1};
                if (act->size <= size && image_bytes[i] / (uint64_t)sysconf(_SC_PAGESIZE) >= act->n_dirty)
                    visit(tour, &work);
            }
        }
    }
    for (unsigned i = 0; size > SMALLEST && i < sizeof slots / sizeof *slots; i++) {
        for (unsigned n_grown = 0; n_grown <= 1; n_grown++) {
            for (unsigned n_threads = 1; n_threads <= BENCH_MAX_THREADS; n_threads++) {
                const struct bench_work work = {64 << 10, 1, 0, 0, n_grown, n_threads, slots[i], 1};
                if (slots[i] >= n_threads && (size == FULL || (slots[i] != 100 && n_grown == 0 && n_threads == 1)))
                    visit(tour, &work);
            }
        }
    }
    for (unsigned n_slots = 1; n_slots <= 32; n_slots *= 32) {
        const struct bench_work work = {size == SMALLEST ? 64 << 10 : 1 << 20, 1, 0, 0, 0, 1, n_slots, 2};
        visit(tour, &work);
    }
}

static int read_options(int argc, char **argv, struct options *options)
{
    static const char *const sizes[] = {"smallest", "quick", "full"};
    *options = (struct options){.size = FULL, .json = stdout, .without_reset = getenv("BENCH_WITHOUT_RESET")};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value)
            return -1;
        if (strcmp(argv[i], "--json") == 0) {
            options->json = fopen(value, "we");
            if (!options->json)
                die(value, strerror(errno));
        } else if (strcmp(argv[i], "--size") == 0) {
            for (options->size = SMALLEST; options->size <= FULL && strcmp(value, sizes[options->size]) != 0;)
                options->size++;
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
        i++;
    }
    if (options->size > FULL || options->schedule.n_rounds > BENCH_MAX_ROUNDS)
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
