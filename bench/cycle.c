/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "cycle.h"

#include "clock.h"
#include "verify.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_CYCLES = 4096,
    MAX_SAMPLES_OF_BATCH = BENCH_MAX_SAMPLES / BENCH_MAX_ROUNDS,
    READY_SECONDS = 180,
    MOST_TRIES = 20,                   /* batches' time */
    LEAST_CYCLES = 4,                  /* of a batch */
    WHOLE_QUEUE = 2 * COW_QUEUE_SLOTS, /* cycles */
};

/* ---- in the contender's process ---- */

struct worker {
    struct run *run;
    unsigned thread;
    unsigned n_done; /* cycles since it began */
    const char *why;
    uint64_t stamps[MAX_CYCLES + 1];
};

struct run {
    const struct bench_contender *contender;
    const struct bench_world *world;
    const struct bench_plan *plan;
    const struct bench_schedule *schedule;
    struct bench_result *result;
    void *state;
    struct worker *workers;
    cpu_set_t allowed;
    /* What a batch is; set between two meetings of all threads. */
    pthread_barrier_t begin, end;
    unsigned n_warm, n_timed;
    int is_over;
    atomic_uint n_arrived, n_finished;
};

static volatile uint8_t sink;

static const char *cycle(struct worker *worker)
{
    const struct run *run = worker->run;
    const struct bench_work *work = &run->world->work;
    const struct bench_peer *peer = run->contender->peer;
    struct bench_lease lease = {
        .thread = worker->thread,
        .image = work->n_images > 1 ? worker->n_done % work->n_images : 0,
        .dirty_bytes = run->plan->dirty + (size_t)(worker->n_done & (run->plan->n_sets - 1)) * work->n_dirty,
    };
    worker->n_done++;
    const char *why = peer->instantiate(run->state, &lease);
    if (why)
        return why;
    if (run->contender->kind != BENCH_NO_PEER) {
        volatile uint8_t *base = lease.base;
        uint8_t sum = 0;
        for (unsigned i = 0; i < work->n_reads; i++)
            sum = (uint8_t)(sum + base[run->plan->reads[i]]);
        sink = sum;
        for (unsigned i = 0; i < work->n_dirty; i++)
            base[lease.dirty_bytes[i]] = BENCH_STAIN;
        if (work->n_grown) {
            why = peer->grow(run->state, &lease, work->n_grown);
            if (why)
                return why;
            for (unsigned i = 0; i < work->n_grown; i++)
                base[work->image_bytes + (uint64_t)i * BENCH_WASM_PAGE_BYTES] = BENCH_STAIN;
        }
    }
    return peer->release(run->state, &lease);
}

static void cycles(struct worker *worker, unsigned n_cycles)
{
    for (unsigned i = 0; i < n_cycles && !worker->why; i++)
        worker->why = cycle(worker);
}

/* All threads begin at once, and none stops before all have their times: each has the others' company throughout. */
static void batch(struct worker *worker)
{
    struct run *run = worker->run;
    const unsigned n_threads = run->world->work.n_threads;
    atomic_fetch_add(&run->n_arrived, 1);
    while (atomic_load(&run->n_arrived) < n_threads)
        sched_yield();
    cycles(worker, run->n_warm);
    worker->stamps[0] = bench_stamp();
    for (unsigned i = 0; i < run->n_timed && !worker->why; i++) {
        worker->why = cycle(worker);
        worker->stamps[i + 1] = bench_stamp();
    }
    atomic_fetch_add(&run->n_finished, 1);
    while (atomic_load(&run->n_finished) < n_threads)
        cycles(worker, 1);
}

/* Each thread to a processor of its own, of those that the process was given; what it starts then stays there too. */
static void pin(const struct run *run, unsigned thread)
{
    cpu_set_t one;
    unsigned n_seen = 0;
    if (CPU_COUNT(&run->allowed) < BENCH_MAX_THREADS)
        return;
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &run->allowed) && n_seen++ == thread) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

static void *work_along(void *argument)
{
    struct worker *worker = argument;
    struct run *run = worker->run;
    pin(run, worker->thread);
    for (;;) {
        pthread_barrier_wait(&run->begin);
        if (run->is_over)
            return NULL;
        batch(worker);
        pthread_barrier_wait(&run->end);
    }
}

/* Returns ns of a cycle, the mean of all threads; or below zero, and the worker knows why. */
static double run_batch(struct run *run, unsigned n_warm, unsigned n_timed)
{
    const unsigned n_threads = run->world->work.n_threads;
    double sum = 0;
    run->n_warm = n_warm;
    run->n_timed = n_timed;
    atomic_store(&run->n_arrived, 0);
    atomic_store(&run->n_finished, 0);
    if (n_threads > 1)
        pthread_barrier_wait(&run->begin);
    batch(&run->workers[0]);
    if (n_threads > 1)
        pthread_barrier_wait(&run->end);
    for (unsigned i = 0; i < n_threads; i++) {
        if (run->workers[i].why)
            return -1;
        sum +=
            (double)(run->workers[i].stamps[n_timed] - run->workers[i].stamps[0]) / n_timed - bench_clock.stamp_ticks;
    }
    return sum / n_threads * bench_clock.ns_per_tick;
}

static void take_samples(struct run *run, unsigned n_batches)
{
    struct bench_result *result = run->result;
    const unsigned n_threads = run->world->work.n_threads, n_all = run->n_timed * n_threads;
    const unsigned step = n_all * n_batches / MAX_SAMPLES_OF_BATCH + 1;
    for (unsigned i = 0; i < n_all && result->n_samples < BENCH_MAX_SAMPLES; i += step) {
        const uint64_t *stamp = &run->workers[i % n_threads].stamps[i / n_threads];
        const double ticks = (double)(stamp[1] - stamp[0]) - bench_clock.stamp_ticks;
        result->samples[result->n_samples++] = (float)((ticks > 0 ? ticks : 0) * bench_clock.ns_per_tick);
    }
}

static const char *why_of(const struct run *run)
{
    for (unsigned i = 0; i < run->world->work.n_threads; i++)
        if (run->workers[i].why)
            return run->workers[i].why;
    return NULL;
}

/* How many cycles of a thread it takes until nothing is cold, whichever slots it takes: some for each, of the pool more, since it learns; and
 * where other pages are written each time, so many that what stays resident is. */
static unsigned count_warm(const struct run *run)
{
    const struct bench_work *work = &run->world->work;
    const uint64_t n_slots = (uint64_t)(work->n_slots / work->n_threads + 1) * work->n_images;
    uint64_t n_leases = run->contender->kind == BENCH_POOL ? 8 : 2;
    if (work->is_random)
        n_leases += 3 * work->image_bytes / run->world->page_bytes / work->n_dirty;
    return (unsigned)(n_leases * n_slots);
}

/* Returns how many cycles fill a batch. */
static unsigned warm(struct run *run)
{
    const unsigned enough = count_warm(run);
    const double most_seconds = run->schedule->warm_seconds * (run->world->work.is_random ? 5 : 1);
    const uint64_t begin = bench_nanoseconds();
    unsigned n_done = 0;
    double ns = 1;
    for (unsigned n = LEAST_CYCLES; ns >= 0; n = n < MAX_CYCLES / 2 ? 2 * n : MAX_CYCLES) {
        ns = run_batch(run, 0, n);
        n_done += n;
        const double seconds = 1e-9 * (double)(bench_nanoseconds() - begin);
        if ((n_done >= enough && seconds > run->schedule->batch_seconds) || seconds > most_seconds)
            break;
    }
    const double fitting = 1e9 * run->schedule->batch_seconds / (ns > 1 ? ns : 1);
    return fitting < LEAST_CYCLES ? LEAST_CYCLES : fitting > MAX_CYCLES ? MAX_CYCLES : (unsigned)fitting;
}

static unsigned count_cycles(const struct run *run)
{
    unsigned n = 0;
    for (unsigned i = 0; i < run->world->work.n_threads; i++)
        n += run->workers[i].n_done;
    return n;
}

/* A batch in which the scheduler took a thread off its processor tells of the machine's other work: it is tried again, for a while;
 * if none is left alone, the quickest counts. */
static double undisturbed_batch(struct run *run, unsigned n_cycles)
{
    struct bench_result *result = run->result;
    const uint64_t begin = bench_nanoseconds();
    double least = -1;
    for (;;) {
        struct rusage before, after;
        const unsigned n_before = count_cycles(run);
        getrusage(RUSAGE_SELF, &before);
        const double ns = run_batch(run, n_cycles / 8 + 2, n_cycles);
        getrusage(RUSAGE_SELF, &after);
        result->faults = (double)(after.ru_minflt - before.ru_minflt) / (count_cycles(run) - n_before);
        if (ns < 0 || after.ru_nivcsw == before.ru_nivcsw)
            return ns;
        least = least < 0 || ns < least ? ns : least;
        if (1e-9 * (double)(bench_nanoseconds() - begin) > MOST_TRIES * run->schedule->batch_seconds) {
            result->n_disturbed++;
            return least;
        }
    }
}

/* As many batches as it takes to have in the figure what some modes of the pool put off, each short enough to be left alone by the
 * scheduler. No more can wait than there are slots. */
static void take_round(struct run *run, unsigned n_cycles)
{
    struct bench_result *result = run->result;
    const unsigned twice_all = 2 * run->world->work.n_slots / run->world->work.n_threads;
    const unsigned whole = run->contender->kind != BENCH_POOL ? 1 : twice_all < WHOLE_QUEUE ? twice_all : WHOLE_QUEUE;
    const unsigned n_batches = (whole + n_cycles - 1) / n_cycles;
    double sum = 0;
    for (unsigned i = 0; i < n_batches; i++) {
        const double ns = undisturbed_batch(run, n_cycles);
        if (ns < 0)
            return;
        sum += ns;
        result->n_cycles += (uint64_t)n_cycles * run->world->work.n_threads;
        take_samples(run, n_batches);
    }
    result->round_ns[result->n_rounds++] = sum / n_batches;
}

static int conclude(struct run *run, enum bench_status status, const char *why)
{
    if (!why)
        return 0;
    run->result->status = status;
    snprintf(run->result->why, sizeof run->result->why, "%s", why);
    return 1;
}

static int open_run(struct run *run)
{
    const unsigned n_threads = run->world->work.n_threads;
    int is_absent;
    const char *why = bench_verify(run->contender, run->world, run->plan, &is_absent);
    if (conclude(run, is_absent ? BENCH_SKIPPED : BENCH_REFUSED, why))
        return -1;
    if (conclude(run, BENCH_SKIPPED, run->contender->peer->open(run->contender, run->world, &run->state)))
        return -1;
    run->workers = calloc(n_threads, sizeof *run->workers);
    if (!run->workers)
        return conclude(run, BENCH_FAILED, bench_why("calloc")), -1;
    memset(run->workers, 0, n_threads * sizeof *run->workers); /* present, too */
    pthread_barrier_init(&run->begin, NULL, n_threads);
    pthread_barrier_init(&run->end, NULL, n_threads);
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_t thread;
        run->workers[i].run = run;
        run->workers[i].thread = i;
        if (i > 0 && pthread_create(&thread, NULL, work_along, &run->workers[i]))
            return conclude(run, BENCH_FAILED, "pthread_create failed"), -1;
    }
    return 0;
}

/* What it is told: 'r' a round, 'e' the end. What it answers: 'k' when that is done; it goes when it cannot. */
static void serve(struct run *run, int from_fd, int to_fd)
{
    char command;
    sched_getaffinity(0, sizeof run->allowed, &run->allowed);
    pin(run, 0);
    if (open_run(run))
        return;
    const unsigned n_cycles = warm(run);
    while (!conclude(run, BENCH_FAILED, why_of(run))) {
        if (write(to_fd, "k", 1) != 1 || read(from_fd, &command, 1) != 1)
            return;
        if (command == 'e') {
            conclude(run, BENCH_REFUSED, bench_verify_after(run->contender, run->world, run->state));
            return;
        }
        take_round(run, n_cycles);
    }
}

/* ---- in the one that starts it ---- */

static void bury(struct bench_process *process)
{
    int status = 0;
    close(process->to_fd);
    close(process->from_fd);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    process->pid = 0;
    if (WIFSIGNALED(status) && process->result->status == BENCH_MEASURED) {
        process->result->status = BENCH_FAILED;
        snprintf(process->result->why, sizeof process->result->why, "killed by signal %d", WTERMSIG(status));
    }
}

/* Whether it has answered; else it is gone. */
static int await(struct bench_process *process)
{
    struct pollfd ready = {.fd = process->from_fd, .events = POLLIN};
    char answer;
    const int n = poll(&ready, 1, READY_SECONDS * 1000);
    if (n == 0) {
        kill(process->pid, SIGKILL);
        process->result->status = BENCH_FAILED;
        snprintf(process->result->why, sizeof process->result->why, "no answer for %d s", READY_SECONDS);
    } else if (read(process->from_fd, &answer, 1) == 1) {
        return 1;
    }
    bury(process);
    return 0;
}

void bench_cycle_start(struct bench_process *process, const struct bench_contender *contender,
                       const struct bench_world *world, const struct bench_plan *plan,
                       const struct bench_schedule *schedule, struct bench_result *result)
{
    int to[2], from[2];
    *process = (struct bench_process){.contender = contender, .result = result};
    if (pipe(to) || pipe(from)) {
        result->status = BENCH_FAILED;
        snprintf(result->why, sizeof result->why, "%s", bench_why("pipe"));
        return;
    }
    const pid_t parent = getpid();
    fflush(NULL);
    process->pid = fork();
    if (process->pid == 0) {
        struct run run = {.contender = contender, .world = world, .plan = plan, .schedule = schedule, .result = result};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        close(to[1]);
        close(from[0]);
        serve(&run, to[0], from[1]);
        _exit(0); /* threads and mappings go with it */
    }
    close(to[0]);
    close(from[1]);
    process->to_fd = to[1];
    process->from_fd = from[0];
    if (process->pid < 0) {
        result->status = BENCH_FAILED;
        snprintf(result->why, sizeof result->why, "%s", bench_why("fork"));
        close(to[1]);
        close(from[0]);
        process->pid = 0;
        return;
    }
    await(process);
}

static void tell(const struct bench_process *process, char command)
{
    if (write(process->to_fd, &command, 1) != 1)
        process->result->status = BENCH_FAILED;
}

void bench_cycle_round(struct bench_process *process)
{
    if (!process->pid)
        return;
    tell(process, 'r');
    await(process);
}

void bench_cycle_end(struct bench_process *process)
{
    if (!process->pid)
        return;
    tell(process, 'e');
    bury(process);
}
