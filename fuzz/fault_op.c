/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Kernel calls that fail, and what the subject may make of it: the operation succeeds all the same, or returns that error with the
 * slot as it was or out of service. Which of them, only the subject knows: the model takes it over, if it is one of these. Faults
 * that come before every other operation are there when the subject is made. */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- making the subject ---- */

static bool wants_faults(const struct rig_run *run)
{
    bool has_fault = run->options->fault || run->options->ret_calls || rig_copies_back(run);
    for (uint32_t i = 0; i < run->program->n_ops; i++)
        has_fault = has_fault || run->program->ops[i].kind == RIG_FAULT;
    return has_fault && run->ops->slot_state;
}

static void arm_for_opening(struct rig_run *run)
{
    for (uint32_t i = 0; i < rig_n_leading_faults(run->program); i++)
        rig_faulty_arm(run->kernel, &run->program->ops[i]);
}

/* A lie that the self-test of the subject must have met, and in something that it relies on. */
static bool is_lied_to(const struct rig_run *run)
{
    static const enum rig_call relied_on[] = {RIG_CALL_MADVISE,     RIG_CALL_FTRUNCATE, RIG_CALL_MPROTECT,
                                              RIG_CALL_FCNTL,       RIG_CALL_PWRITE,    RIG_CALL_PROCESS_MADVISE,
                                              RIG_CALL_PAGEMAP_SCAN};
    const enum cow_growth growth = run->geometry.growth;
    for (size_t i = 0; run->kernel && i < sizeof relied_on / sizeof *relied_on; i++) {
        if ((relied_on[i] == RIG_CALL_FTRUNCATE && growth != COW_GROWTH_TRUNCATE) ||
            (relied_on[i] == RIG_CALL_MPROTECT && growth != COW_GROWTH_PROTECT) ||
            (relied_on[i] == RIG_CALL_PROCESS_MADVISE && !rig_defers(run)) ||
            (relied_on[i] == RIG_CALL_PAGEMAP_SCAN && !rig_copies_back(run)))
            continue;
        const struct rig_armed *armed = &run->kernel->calls[relied_on[i]];
        if (armed->how == RIG_LIES && armed->for_ever && armed->nth == 1)
            return true;
    }
    return false;
}

static void log_calls(const struct rig_run *run, uint32_t op)
{
    const struct rig_faulty *kernel = run->kernel;
    if (!kernel || !run->options->ret_calls)
        return;
    struct rig_call_log *log = &run->options->ret_calls[op];
    log->n = kernel->n_calls < UINT8_MAX ? (uint8_t)kernel->n_calls : UINT8_MAX;
    memcpy(log->kinds, kernel->kinds, sizeof log->kinds);
}

/* It was planned for what is over now, which made fewer calls. */
static void forget_planned(struct rig_run *run)
{
    const struct rig_planned_fault *fault = run->options->fault;
    if (run->kernel && fault && fault->op == run->op && run->kernel->n_fired == 0)
        run->kernel->any.nth = 0;
}

static void refuse(struct rig_run *run, int result)
{
    run->verdict->kind = RIG_UNABLE;
    snprintf(run->verdict->line, sizeof run->verdict->line, "the %s cannot be made here: %s%s", run->ops->name,
             result < 0 ? strerror(-result) : "refused as ", result < 0 ? "" : cow_result_name(result));
}

static void check_nothing_left(struct rig_run *run, int n_open)
{
    if (run->kernel && run->kernel->n_open != n_open)
        rig_diverge(run, "leak", "descriptor", "a failed operation has left %d descriptors open",
                    run->kernel->n_open - n_open);
    else if (run->kernel && run->kernel->n_mapped_bytes > run->n_mapped_bytes) /* it may have given up something */
        rig_diverge(run, "leak", "mapping", "a failed operation has left %jd bytes mapped",
                    (intmax_t)(run->kernel->n_mapped_bytes - run->n_mapped_bytes));
}

/* Of a subject that was not made. One that tests the kernel may find that it does not keep its word; to the test of what it can
 * read an EFAULT is an answer. */
static bool is_fault_of_opening(const struct rig_run *run, int result)
{
    const struct rig_faulty *kernel = run->kernel;
    return kernel && (rig_faulty_explains(kernel, result) ||
                      (result == COW_UNSUPPORTED && rig_faulty_explains(kernel, -EINVAL)) ||
                      (result == COW_KERNEL && (kernel->was_inexact || rig_faulty_explains(kernel, -EFAULT))));
}

/* It could not be made. True: since a fault had it so; then once more, and nothing fails. */
static bool open_again(struct rig_run *run, int result)
{
    run->opening =
        result < 0 ? rig_failed(run, result) : (struct rig_outcome){.kind = RIG_OUTCOME_REFUSED, .refusal = result};
    if (is_fault_of_opening(run, result)) {
        check_nothing_left(run, 0);
        rig_faulty_disarm(run->kernel);
        result = run->failed ? 0 : run->ops->open(&run->geometry, &run->subject);
    }
    if (result && run->options->foreign_faults) {
        run->is_over = true;
        run->verdict->counters.n_unmade++;
        return true;
    }
    if (result)
        refuse(run, result);
    return !result && !run->failed;
}

/* Each is one step outside of what cowpool.h allows. */
static void ask_for_impossible(struct rig_run *run)
{
    const struct {
        size_t at, size;
        uint64_t value;
        int want;
    } wrong[] = {
#define WRONG(field, value, want) {offsetof(struct rig_geometry, field), sizeof run->geometry.field, value, want}
        WRONG(n_slots, 0, COW_CONFIG),
        WRONG(n_slots, COW_MAX_SLOTS + 1, COW_CONFIG),
        WRONG(max_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(unit_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(guard_bytes, COW_MAX_GUARD_BYTES + 1, COW_CONFIG),
        WRONG(join_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(window_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(whole_bytes, COW_MAX_MEMORY_BYTES + 1, COW_CONFIG),
        WRONG(queue_slots, COW_MAX_SLOTS + 1, COW_CONFIG),
        WRONG(growth, COW_GROWTH_SOFTWARE + 1, COW_UNSUPPORTED),
        WRONG(reset, COW_RESET_ADAPTIVE + 1, COW_UNSUPPORTED),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong && !run->failed; i++) {
        struct rig_geometry geometry = run->geometry;
        struct rig_subject *subject;
        memcpy((uint8_t *)&geometry + wrong[i].at, &wrong[i].value, wrong[i].size); /* little endian */
        (void)rig_same_result(run, wrong[i].want, run->ops->open(&geometry, &subject));
    }
}

/* And what it just allows, which takes a while to make: for the program of no operations. */
static void ask_for_the_largest(struct rig_run *run)
{
    struct rig_geometry geometry = run->geometry;
    struct rig_subject *subject;
    geometry.guard_bytes = COW_MAX_GUARD_BYTES;
    geometry.unit_bytes = geometry.join_bytes = geometry.window_bytes = geometry.whole_bytes = COW_MAX_MEMORY_BYTES;
    geometry.queue_slots = COW_MAX_SLOTS;
    const int result = run->ops->open(&geometry, &subject);
    if (rig_same_result(run, COW_OK, result))
        (void)rig_same_result(run, COW_OK, run->ops->close(subject));
}

bool rig_open(struct rig_run *run)
{
    if (run->ops->range && run->ops->extension_file) /* others may allow more */
        ask_for_impossible(run);
    if (run->ops->range && run->ops->extension_file && run->program->n_ops == 0 && !run->options->foreign_faults)
        ask_for_the_largest(run);
    if (run->failed)
        return false;
    if (wants_faults(run)) {
        run->kernel = calloc(1, sizeof *run->kernel);
        if (!run->kernel)
            abort();
        rig_faulty_init(run->kernel);
        run->geometry.sys = &run->kernel->table;
        arm_for_opening(run);
        run->op = run->program->n_ops;
        rig_begin_faults(run);
    }
    run->opening = (struct rig_outcome){.kind = RIG_OUTCOME_OK};
    const int result = run->ops->open(&run->geometry, &run->subject);
    log_calls(run, run->program->n_ops);
    forget_planned(run);
    run->op = 0;
    if (result && !open_again(run, result))
        return false;
    if (!result && is_lied_to(run) && run->options->foreign_faults)
        rig_faulty_disarm(run->kernel); /* a foreign EPERM has passed for a seal */
    else if (!result && is_lied_to(run))
        rig_diverge(run, "kernel", "accepted", "the subject was made on a kernel that does not keep its word");
    if (run->kernel)
        /* One that was made though a call failed may later get the page that it went without (cow_sys_save). */
        run->n_mapped_bytes =
            run->kernel->n_mapped_bytes +
            (run->kernel->n_fired || run->options->foreign_faults ? (int64_t)run->geometry.page_bytes : 0);
    return !run->failed;
}

void rig_close_kernel(struct rig_run *run)
{
    if (!run->kernel)
        return;
    if (run->options->ret_told) {
        run->options->ret_told->n_ops = run->kernel->n_told;
        memcpy(run->options->ret_told->ops, run->kernel->told, sizeof run->kernel->told);
    }
    run->verdict->counters.n_faults += run->kernel->n_fired_in_all;
    rig_faulty_disarm(run->kernel);
    rig_faulty_end(run->kernel);
    /* A slot whose range could not be kept is left alone for good: it may be somebody else's by now. */
    const int64_t lost_bytes = (int64_t)((run->geometry.n_slots - run->model.n_slots) * run->capacity_bytes);
    if (!run->subject && run->verdict->kind == RIG_AGREE && run->kernel->n_mapped_bytes != lost_bytes)
        rig_diverge(run, "leak", "mapping", "after closing, %jd bytes are still mapped",
                    (intmax_t)(run->kernel->n_mapped_bytes - lost_bytes));
    if (!run->subject) /* else it is abandoned, and its fork handlers still close files with this */
        free(run->kernel);
    run->kernel = NULL;
}

/* ---- operations ---- */

void rig_may_retire(struct rig_run *run, uint32_t slots, uint32_t n_at_most)
{
    run->may_retire.slots = slots;
    run->may_retire.n_at_most = n_at_most;
}

void rig_may_also_retire(struct rig_run *run, uint32_t slots)
{
    run->may_retire.slots |= slots;
    for (; slots; slots &= slots - 1)
        run->may_retire.n_at_most++;
}

void rig_begin_faults(struct rig_run *run)
{
    const struct rig_planned_fault *fault = run->options->fault;
    rig_may_retire(run, 0, 0);
    if (!run->kernel)
        return;
    rig_faulty_begin(run->kernel);
    if (fault && fault->op == run->op)
        run->kernel->any = (struct rig_armed){
            .nth = fault->nth,
            .for_ever = fault->for_ever,
            .how = fault->is_short ? RIG_FALLS_SHORT : RIG_FAILS,
            .error = fault->error,
            .n_bytes = 1,
        };
}

/* Out of service, after an error; or as it was. */
static bool may_become(enum rig_slot_state before, enum rig_slot_state now)
{
    return before != RIG_SLOT_LIVE && before != RIG_SLOT_LOST && (now == RIG_SLOT_RETIRED || now == RIG_SLOT_LOST);
}

/* Of all slots but one, which has just been lent; COW_NO_SLOT: of all. */
static void adopt(struct rig_run *run, uint32_t but)
{
    static const char *const names[] = {"bare", "idle", "queued", "live", "retired", "lost"};
    uint32_t n_changed = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots && run->ops->slot_state && !run->failed; i++) {
        const enum rig_slot_state before = run->slots[i].state, now = run->ops->slot_state(run->subject, i);
        if (before == now || i == but)
            continue;
        if (may_become(before, now) && run->may_retire.slots >> i & 1 && ++n_changed <= run->may_retire.n_at_most)
            rig_place_retired(run, i, now);
        else
            rig_diverge(run, "fault", names[now], "a kernel call has failed, and slot %u, which was %s, is %s", i,
                        names[before], names[now]);
    }
}

bool rig_lost_all_cleaned(struct rig_run *run)
{
    bool has_free = false;
    if (!rig_defers(run) || !(run->options->foreign_faults || (run->kernel && run->kernel->n_fired)))
        return false;
    adopt(run, COW_NO_SLOT);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        has_free = has_free || (run->slots[i].state != RIG_SLOT_LIVE && run->slots[i].state != RIG_SLOT_LOST);
    return !has_free;
}

void rig_adopt_cleaned(struct rig_run *run, uint32_t lent)
{
    struct cow_stats now = {0};
    if (!rig_defers(run) || !(run->options->foreign_faults || (run->kernel && run->kernel->n_fired)))
        return;
    adopt(run, lent);
    /* The one that was lent may have been among them, and was mapped anew: only the subject knows. */
    if (run->may_retire.slots >> lent & 1 && run->slots[lent].state == RIG_SLOT_IDLE &&
        run->ops->stats(run->subject, &now) == COW_OK && now.n_repaved > run->counted.n_repaved)
        rig_place_retired(run, lent, RIG_SLOT_RETIRED);
}

void rig_end_faults(struct rig_run *run)
{
    const struct rig_faulty *kernel = run->kernel;
    if (run->op < run->program->n_ops)
        log_calls(run, run->op);
    forget_planned(run);
    if (run->failed || !run->subject || !((kernel && kernel->n_fired) || run->options->foreign_faults))
        return;
    adopt(run, COW_NO_SLOT);
    if (kernel && kernel->n_mapped_bytes > run->n_mapped_bytes)
        check_nothing_left(run, kernel->n_open);
}

/* Faults of the first operation must not be the first ones of the program: creation would meet them. A flush of nothing is between. */
void rig_put_told_fault(struct rig_program *program, uint32_t op, const struct rig_told_fault *told)
{
    const bool is_creation = op >= program->n_ops;
    uint32_t at = is_creation ? 0 : op;
    const uint32_t n_between = !is_creation && op <= rig_n_leading_faults(program);
    const uint32_t n = told->n_ops + n_between, room = RIG_MAX_OPS - n;
    const uint32_t n_kept = program->n_ops < room ? program->n_ops : room;
    at = at < n_kept ? at : n_kept;
    memmove(&program->ops[at + n], &program->ops[at], (n_kept - at) * sizeof *program->ops);
    if (n_between)
        program->ops[at] = (struct rig_op){.kind = RIG_FLUSH};
    memcpy(&program->ops[at + n_between], told->ops, told->n_ops * sizeof *told->ops);
    program->n_ops = n_kept + n;
    program->world.enabled |= RIG_BIT(RIG_FAULT) | RIG_BIT(RIG_FLUSH);
}

struct rig_outcome rig_operate_fault(struct rig_run *run, const struct rig_op *op)
{
    const uint32_t n_leading = rig_n_leading_faults(run->program);
    if (!run->kernel) {
        run->expects_nothing = true; /* what the text says of the operations behind it, others have done */
        return (struct rig_outcome){.kind = RIG_OUTCOME_NOOP};
    }
    if (run->op < n_leading) /* the last of them tells what became of the opening */
        return run->op + 1 == n_leading ? run->opening : (struct rig_outcome){.kind = RIG_OUTCOME_OK};
    rig_faulty_arm(run->kernel, op);
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK};
}

bool rig_is_fault(const struct rig_run *run, int model, int subject)
{
    if (model != COW_OK || subject >= 0)
        return false;
    return run->options->foreign_faults || (run->kernel && rig_faulty_explains(run->kernel, subject));
}

struct rig_outcome rig_failed(struct rig_run *run, int subject)
{
    if (run->subject && !run->failed)
        adopt(run, COW_NO_SLOT);
    return (struct rig_outcome){.kind = RIG_OUTCOME_ERROR, .refusal = -subject};
}

struct rig_outcome rig_failed_leaving_nothing(struct rig_run *run, int subject)
{
    if (run->kernel)
        check_nothing_left(run, run->kernel->n_open_before);
    return rig_failed(run, subject);
}

void rig_check_retired(struct rig_run *run, const struct rig_lease *lease)
{
    struct cow_memory memory;
    const enum rig_slot_state now =
        run->ops->slot_state ? run->ops->slot_state(run->subject, lease->slot) : RIG_SLOT_RETIRED;
    if (now != RIG_SLOT_RETIRED && now != RIG_SLOT_LOST)
        rig_diverge(run, "fault", "usable", "slot %u could not be reset, and is still in service", lease->slot);
    else
        (void)rig_same_result(run, COW_STALE, run->ops->memory(run->subject, lease->handle, &memory));
}
