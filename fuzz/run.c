/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The driver: sets up both sides, runs operation after operation with the oracles behind each, and takes everything down. */
#include "run.h"

#include "errno_name.h"
#include "kernel_view.h"
#include "state.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- memory of a run ---- */

struct rig_garbage {
    struct rig_garbage *next;
    struct ref_image *image;
    max_align_t bytes[];
};

static struct rig_garbage *keep(struct rig_run *run, uint64_t n_bytes)
{
    struct rig_garbage *garbage = calloc(1, sizeof *garbage + n_bytes);
    if (!garbage)
        abort();
    garbage->next = run->garbage;
    run->garbage = garbage;
    return garbage;
}

void *rig_allocate(struct rig_run *run, uint64_t n_bytes)
{
    return keep(run, n_bytes)->bytes;
}

void rig_keep_image(struct rig_run *run, struct ref_image *image)
{
    keep(run, 0)->image = image;
}

uint8_t *rig_buffer(struct rig_run *run, uint64_t n_bytes)
{
    if (!run->buffer || run->buffer_bytes < n_bytes) {
        free(run->buffer);
        run->buffer = malloc(n_bytes ? n_bytes : 1); /* never NULL: it goes into memcpy */
        run->buffer_bytes = n_bytes;
        if (!run->buffer)
            abort();
    }
    return run->buffer;
}

static void free_all(struct rig_run *run)
{
    struct rig_garbage *next;
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        (void)ref_release(run->registers[i].held[0].model);
    rig_close_files(run); /* they are garbage too */
    rig_free_pins(run);
    for (struct rig_garbage *garbage = run->garbage; garbage; garbage = next) {
        next = garbage->next;
        if (garbage->image)
            ref_image_free(garbage->image);
        free(garbage);
    }
    free(run->buffer);
    if (run->scratch_fd >= 0)
        close(run->scratch_fd);
    run->scratch_fd = -1;
}

/* ---- small things ---- */

uint64_t rig_size_bytes(const struct rig_run *run, struct rig_size size)
{
    const uint64_t unit_bytes[RIG_N_UNITS] = {
        [RIG_UNIT_BYTES] = 1,
        [RIG_UNIT_K] = UINT64_C(1) << 10,
        [RIG_UNIT_M] = UINT64_C(1) << 20,
        [RIG_UNIT_G] = UINT64_C(1) << 30,
        [RIG_UNIT_P] = run->geometry.page_bytes,
        [RIG_UNIT_W] = UINT64_C(1) << 16,
    };
    return size.n * unit_bytes[size.unit]; /* below 2^28 * 2^30 */
}

uint64_t rig_hash(uint64_t hash, const void *bytes, uint64_t n_bytes)
{
    const uint8_t *at = bytes;
    for (; n_bytes >= 8; n_bytes -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (; n_bytes; n_bytes--, at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

void rig_counters_add(struct rig_counters *sum, const struct rig_counters *counters)
{
    const uint64_t *from = (const uint64_t *)counters;
    uint64_t *to = (uint64_t *)sum;
    _Static_assert(sizeof *sum % sizeof *to == 0, "counters are all uint64_t");
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the world ---- */

static void set_up_geometry(struct rig_run *run)
{
    static const enum cow_growth growths[RIG_N_GROWTHS] = {[RIG_GROWTH_TRUNCATE] = COW_GROWTH_TRUNCATE,
                                                           [RIG_GROWTH_PROTECT] = COW_GROWTH_PROTECT,
                                                           [RIG_GROWTH_GUARD] = COW_GROWTH_GUARD,
                                                           [RIG_GROWTH_SOFTWARE] = COW_GROWTH_SOFTWARE};
    static const enum cow_reset resets[RIG_N_RESETS] = {[RIG_RESET_DISCARD] = COW_RESET_DISCARD,
                                                        [RIG_RESET_COPYBACK] = COW_RESET_COPYBACK,
                                                        [RIG_RESET_DEFERRED] = COW_RESET_DEFERRED,
                                                        [RIG_RESET_ADAPTIVE] = COW_RESET_ADAPTIVE};
    const struct rig_world *world = &run->program->world;
    struct rig_geometry *geometry = &run->geometry;
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    geometry->page_bytes = page_bytes;
    geometry->n_slots = world->n_slots;
    geometry->max_bytes = smaller(rig_size_bytes(run, world->max), COW_MAX_MEMORY_BYTES);
    geometry->unit_bytes = smaller(rig_size_bytes(run, world->unit), COW_MAX_MEMORY_BYTES);
    geometry->guard_bytes = smaller(rig_size_bytes(run, world->guard), COW_MAX_GUARD_BYTES);
    geometry->join_bytes = RIG_JOIN_PAGES * page_bytes;
    geometry->growth = growths[world->growth];
    if (geometry->growth == COW_GROWTH_SOFTWARE && !run->ops->bounds_in_software) {
        geometry->growth = COW_GROWTH_PROTECT;
        run->expects_nothing = true;
    }
    if (geometry->growth == COW_GROWTH_SOFTWARE) /* whatever the length, all of the slot is looked at */
        geometry->max_bytes = smaller(geometry->max_bytes, RIG_MAX_LENGTH_BYTES);
    geometry->window_bytes = RIG_WINDOW_PAGES * page_bytes;
    geometry->reset = resets[world->reset];
    geometry->whole_bytes = RIG_WHOLE_PAGES * page_bytes;
    geometry->queue_slots = world->queue;
    geometry->warm_slots = world->warm;
    geometry->resident_bytes = rig_size_bytes(run, world->resident);
    run->capacity_bytes = (geometry->max_bytes + page_bytes - 1) / page_bytes * page_bytes;
    run->guard_bytes = (geometry->guard_bytes + page_bytes - 1) / page_bytes * page_bytes;
    run->stride_bytes = run->capacity_bytes + run->guard_bytes ? run->capacity_bytes + run->guard_bytes : page_bytes;
    geometry->capacity_bytes = run->capacity_bytes;
    geometry->stride_bytes = run->stride_bytes;
    run->model = (struct ref_pool){
        .n_slots = geometry->n_slots,
        .max_bytes = geometry->max_bytes,
        .unit_bytes = geometry->unit_bytes,
        .join_bytes = geometry->join_bytes,
        .page_bytes = page_bytes,
        .bounds_in_software = geometry->growth == COW_GROWTH_SOFTWARE,
    };
}

/* Thousands of programs a second allocate and free the same few buffers: the heap must not go back to the kernel each time. */
static void keep_heap(void)
{
#ifdef __GLIBC__
    static bool done;
    if (!done)
        done = mallopt(M_TRIM_THRESHOLD, 1 << 28) && mallopt(M_MMAP_THRESHOLD, 1 << 26);
#endif
}

static void set_up_guest(struct rig_run *run)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    if (run->ops->range)
        run->ops->range(run->subject, &base, &length_bytes);
    rig_guest_install();
    rig_guest_set_range((const void *)base, length_bytes);
    rig_begin_calls(run);
}

/* ---- one operation ---- */

/* It changed something, or is the first in the program with this edge and this result. */
static bool is_effective(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    uint8_t *seen = &run->seen[op->kind][op->at.edge][rig_result_class(outcome)];
    if (outcome->kind == RIG_OUTCOME_NOOP)
        return false;
    return !(*seen)++ || run->changed;
}

static void count(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    struct rig_counters *counters = &run->verdict->counters;
    struct rig_kind_counters *kind = &counters->kinds[op->kind];
    counters->n_operations++;
    counters->n_effective += is_effective(run, op, outcome);
    kind->n_ok += outcome->kind == RIG_OUTCOME_OK;
    kind->n_noop += outcome->kind == RIG_OUTCOME_NOOP;
    kind->n_refused += outcome->kind == RIG_OUTCOME_REFUSED;
    kind->n_trapped += outcome->kind == RIG_OUTCOME_TRAP;
    kind->n_failed += outcome->kind == RIG_OUTCOME_ERROR;
    counters->n_results[op->kind][rig_result_class(outcome)] += outcome->kind != RIG_OUTCOME_NOOP;
    counters->n_foreign += outcome->kind == RIG_OUTCOME_ERROR && !(run->kernel && run->kernel->n_fired) &&
                           op->kind != RIG_FAULT; /* that one tells of the opening */
}

static void hash_outcome(struct rig_run *run, const struct rig_outcome *outcome)
{
    const uint64_t words[] = {(uint64_t)outcome->kind, (uint64_t)outcome->refusal, (uint64_t)outcome->trap_offset,
                              outcome->grown_bytes};
    run->verdict->state_hash = rig_hash(run->verdict->state_hash, words, sizeof words);
}

/* Lengths, contents and who is live, on top of the outcomes so far. */
static uint64_t hash_state(const struct rig_run *run)
{
    uint64_t hash = run->verdict->state_hash;
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++) {
        const struct ref_memory *model = run->registers[i].held[0].model;
        const uint64_t length_bytes = model ? model->length_bytes : UINT64_MAX;
        hash = rig_hash(hash, &length_bytes, sizeof length_bytes);
        if (model)
            hash = rig_hash(hash, model->bytes, model->length_bytes);
    }
    return hash;
}

static void check_invariants(struct rig_run *run)
{
    const bool is_due = run->program->world.kernel == RIG_KERNEL_EACH || run->op % 16 == 3;
    const char *broken = is_due && !run->failed && run->ops->check ? run->ops->check(run->subject) : NULL;
    if (broken)
        rig_suspect(run, "invariant", "books", "%s", broken);
}

static void step(struct rig_run *run, const struct rig_op *op, struct rig_outcome *ret_outcome)
{
    const enum rig_observe how = (enum rig_observe)run->program->world.observe;
    run->changed = false;
    rig_matrix_before(run, op);
    rig_begin_faults(run);
    *ret_outcome = rig_operate(run, op);
    rig_end_faults(run);
    const bool is_real = !run->failed && run->subject;
    if (is_real) {
        rig_check_calls(run);
        rig_check_discards(run); /* before anything is loaded */
    }
    /* The worst first: somebody else's bytes, a missing trap, then what is only slow or untidy. */
    if (is_real && how != RIG_OBSERVE_FINAL)
        rig_observe(run, how);
    if (is_real && !run->failed)
        rig_probe(run);
    if (is_real) {
        rig_check_statistics(run);
        check_invariants(run);
        rig_check_kernel(run);
    }
    count(run, op, ret_outcome);
    rig_matrix_after(run, op, ret_outcome);
    hash_outcome(run, ret_outcome);
}

/* ---- expectations and the trace ---- */

/* Where it trapped: the operation's own place, unless it straddled the end, or lay outside of slot and guard and was moved there. */
static struct rig_at say_where(struct rig_run *run, const struct rig_op *op, int64_t trap_offset)
{
    const struct rig_lease *lease = rig_pick_lease(run, op);
    const uint64_t page_bytes = run->geometry.page_bytes;
    if (rig_resolve(run, lease, op->at) == trap_offset)
        return op->at;
    if ((uint64_t)trap_offset == ref_accessible_bytes(lease->model))
        return (struct rig_at){.edge = RIG_EDGE_ACC};
    if (trap_offset < 0) /* the begin of the guard */
        return (struct rig_at){.edge = RIG_EDGE_START,
                               .minus = 1,
                               .offset = {(uint32_t)((uint64_t)-trap_offset / page_bytes), RIG_UNIT_P}};
    return (struct rig_at){.edge = RIG_EDGE_SLOT,
                           .minus = 1,
                           .offset = {(uint32_t)(run->stride_bytes - (uint64_t)trap_offset), RIG_UNIT_BYTES}};
}

static struct rig_expect say(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    struct rig_expect expect = {.kind = RIG_EXPECT_NOOP};
    if (outcome->kind == RIG_OUTCOME_OK) {
        expect.kind = op->kind == RIG_GROW ? RIG_EXPECT_OK_SIZE : RIG_EXPECT_OK;
        if (op->kind == RIG_GROW && outcome->grown_bytes % run->geometry.page_bytes == 0 && outcome->grown_bytes)
            expect.size = (struct rig_size){(uint32_t)(outcome->grown_bytes / run->geometry.page_bytes), RIG_UNIT_P};
        else if (op->kind == RIG_GROW)
            expect.size = (struct rig_size){(uint32_t)outcome->grown_bytes, RIG_UNIT_BYTES};
    } else if (outcome->kind == RIG_OUTCOME_TRAP) {
        expect.kind = RIG_EXPECT_TRAP;
        expect.at = say_where(run, op, outcome->trap_offset);
    } else if (outcome->kind == RIG_OUTCOME_REFUSED) {
        expect.kind = outcome->refusal == COW_STALE ? RIG_EXPECT_STALE : RIG_EXPECT_REFUSED;
        if (outcome->refusal != COW_STALE)
            snprintf(expect.name, sizeof expect.name, "%s", rig_result_name(outcome->refusal));
    } else if (outcome->kind == RIG_OUTCOME_ERROR) {
        expect.kind = RIG_EXPECT_ERROR;
        const char *name = rig_errno_name(outcome->refusal);
        snprintf(expect.name, sizeof expect.name, "%s", name ? name : "?");
    }
    return expect;
}

/* Whether the model did what the text says it does. */
static bool is_as_expected(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome,
                           const struct rig_expect *expect)
{
    const struct rig_expect said = say(run, op, outcome);
    switch (expect->kind) {
    case RIG_EXPECT_NOTHING:
        return true;
    case RIG_EXPECT_OK:
        return outcome->kind == RIG_OUTCOME_OK;
    case RIG_EXPECT_OK_SIZE:
        return outcome->kind == RIG_OUTCOME_OK && outcome->grown_bytes == rig_size_bytes(run, expect->size);
    case RIG_EXPECT_TRAP:
        return outcome->kind == RIG_OUTCOME_TRAP &&
               rig_resolve(run, rig_pick_lease(run, op), expect->at) == outcome->trap_offset;
    default:
        return said.kind == expect->kind && strcmp(said.name, expect->name) == 0;
    }
}

/* Not every subject can be asked by the kernel, or forked. */
static bool is_able(const struct rig_run *run, const struct rig_op *op)
{
    if (op->kind == RIG_HOSTREAD || op->kind == RIG_HOSTWRITE)
        return run->ops->host_read;
    if (op->kind == RIG_ADVISE || op->kind == RIG_PIN || op->kind == RIG_UNPIN)
        return run->ops->range;
    return op->kind != RIG_FORK || run->ops->in_child;
}

static void check_expectation(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    const struct rig_expect *expect = run->options->expect;
    if (!expect || run->options->foreign_faults || run->expects_nothing || run->failed || !is_able(run, op) ||
        is_as_expected(run, op, outcome, &expect[run->op]))
        return;
    const struct rig_expect said = say(run, op, outcome);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    run->failed = true;
    run->verdict->kind = RIG_OUTDATED;
    run->verdict->op = run->op;
    if (!out)
        return;
    rig_print_expect(out, &said);
    fclose(out);
    snprintf(run->verdict->line, sizeof run->verdict->line,
             "the expectation of operation %u is out of date: the model says '%s'", run->op, text);
    free(text);
}

static void trace(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    FILE *out = run->options->trace;
    const struct rig_expect said = say(run, op, outcome);
    if (!out)
        return;
    fprintf(out, "%3u  ", run->op);
    rig_print_op(out, op);
    fputs("   -> ", out);
    rig_print_expect(out, &said);
    fprintf(out, "   #%s hash=%016jx\n", run->changed ? " changed" : "", (uintmax_t)hash_state(run));
}

/* ---- the program ---- */

/* What an operation costs is mostly this. */
static uint64_t live_bytes(const struct rig_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        if (run->registers[i].held[0].model)
            sum += run->registers[i].held[0].model->length_bytes;
    return sum;
}

static void run_operations(struct rig_run *run)
{
    const struct rig_program *program = run->program;
    const uint32_t n_possible = run->is_over ? rig_n_leading_faults(program) : program->n_ops;
    const uint32_t n_ops = n_possible < run->options->until ? n_possible : run->options->until;
    uint64_t n_bytes = 0;
    for (run->op = 0; run->op < n_ops && !run->failed; run->op++) {
        const struct rig_op *op = &program->ops[run->op];
        struct rig_outcome outcome = {.kind = RIG_OUTCOME_NOOP};
        if (run->options->before)
            run->options->before(run);
        step(run, op, &outcome);
        if (run->options->ret_expect)
            run->options->ret_expect[run->op] = say(run, op, &outcome);
        trace(run, op, &outcome);
        check_expectation(run, op, &outcome);
        if (run->failed)
            return;
        n_bytes += live_bytes(run);
        if (run->options->most_bytes && n_bytes >= run->options->most_bytes)
            break;
    }
    run->op = program->n_ops;
    run->verdict->state_hash = hash_state(run);
    if (run->options->before && run->subject)
        run->options->before(run);
}

/* A fault where nothing may fault: while the rig itself read or wrote accessible memory. */
static void report_landing(struct rig_run *run)
{
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++) {
        const struct rig_lease *lease = &run->registers[i].held[0];
        const int64_t offset = (int64_t)(run->fault.address - (uintptr_t)lease->base);
        if (lease->model && offset >= 0 && offset < (int64_t)run->stride_bytes)
            rig_diverge(run, "trap-unexpected", "inside",
                        "signal %d at offset %jd of an instance of %ju bytes: accessible memory is not accessible",
                        run->fault.signal, (intmax_t)offset, (uintmax_t)lease->model->length_bytes);
    }
    if (!run->failed)
        rig_diverge(run, "trap-unexpected", "elsewhere", "signal %d in the subject's range, in no live instance",
                    run->fault.signal);
}

/* The lowest free descriptor, which may be 0, is the subject's: its first slot's, or with every other program its first image's. */
static bool open_subject(struct rig_run *run)
{
    const int lowest = run->program->n_ops % 2 ? dup(STDERR_FILENO) : -1;
    const bool is_open = rig_open(run);
    if (lowest >= 0)
        close(lowest);
    return is_open;
}

/* Subjects that were left open; reachable, so that a leak detector has nothing to add to the report. */
enum { RIG_N_ABANDONED = 4096 };
static struct rig_subject *rig_abandoned[RIG_N_ABANDONED];
static size_t rig_n_abandoned;

static void run_once(const struct rig_program *program, const struct rig_options *options,
                     struct rig_verdict *ret_verdict)
{
    keep_heap();
    struct rig_run *run = calloc(1, sizeof *run);
    if (!run)
        abort();
    *ret_verdict = (struct rig_verdict){.kind = RIG_AGREE, .counters.n_programs = 1};
    run->program = program;
    run->options = options;
    run->ops = options->subject;
    run->verdict = ret_verdict;
    run->scratch_fd = -1;
    set_up_geometry(run);
    run->n_descriptors = rig_kernel_n_descriptors();
    if (open_subject(run)) {
        if (run->subject)
            set_up_guest(run);
        if (sigsetjmp(run->landing, 1)) {
            report_landing(run);
        } else {
            run_operations(run);
            if (!run->failed && !run->is_over)
                rig_end(run);
        }
    }
    rig_close_kernel(run);
    free_all(run);
    if (run->subject) /* diverged: its state is anybody's guess, and closing it could crash over the report */
        rig_abandoned[rig_n_abandoned++ % RIG_N_ABANDONED] = run->subject;
    if (ret_verdict->kind == RIG_AGREE && rig_kernel_n_descriptors() != run->n_descriptors)
        rig_diverge(run, "leak", "descriptor", "%d descriptors were open before the program, %d after it",
                    run->n_descriptors, rig_kernel_n_descriptors());
    rig_settle(run);
    ret_verdict->op = run->op;
    free(run);
}

/* An engine has threads of its own, and one that starts may map its stack or open a file just where and when something was given
 * back. What the program leaks, it leaks again; only then it is told. */
void rig_run(const struct rig_program *program, const struct rig_options *options, struct rig_verdict *ret_verdict)
{
    static const char leak[] = "divergence: leak ";
    const bool is_0_free = fcntl(STDIN_FILENO, F_GETFD) < 0;
    run_once(program, options, ret_verdict);
    if (ret_verdict->kind != RIG_DIVERGED || strncmp(ret_verdict->line, leak, sizeof leak - 1) != 0)
        return;
    free(ret_verdict->report);
    if (is_0_free)
        close(STDIN_FILENO); /* or the pool would not get it again */
    run_once(program, options, ret_verdict);
}
