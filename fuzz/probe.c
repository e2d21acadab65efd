/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Traps: a guest access on both sides, and the probes that try the bounds of every live memory. */
#include "state.h"

int64_t rig_lowest_offset(const struct rig_run *run)
{
    /* Without a guard the slot before comes first. (The first slot has one all the same; but which slot it is must not matter.) */
    return -(int64_t)run->guard_bytes;
}

static const char *place_of(const struct rig_run *run, const struct rig_lease *lease, int64_t offset)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(lease->model);
    if (offset < 0)
        return "before";
    if ((uint64_t)offset < accessible_bytes)
        return "inside";
    if ((uint64_t)offset < lease->reached_bytes)
        return "previous";
    return (uint64_t)offset < run->capacity_bytes ? "beyond" : "guard";
}

static void check_trap(struct rig_run *run, const struct rig_lease *lease, const struct rig_access *access,
                       int64_t expected)
{
    const char *verb = access->kind == RIG_ACCESS_LOAD ? "load" : "store";
    if (!access->trapped)
        rig_diverge(run, "trap", place_of(run, lease, access->offset),
                    "a %u-byte %s at offset %jd must trap, and did not (accessible: %ju bytes)", access->width, verb,
                    (intmax_t)access->offset, (uintmax_t)ref_accessible_bytes(lease->model));
    else if (access->trap_offset != expected)
        rig_diverge(run, "trap-address", place_of(run, lease, access->offset),
                    "a %u-byte %s at offset %jd trapped at %jd, not at %jd", access->width, verb,
                    (intmax_t)access->offset, (intmax_t)access->trap_offset, (intmax_t)expected);
    else if (access->trap_place >= 0 && access->trap_place != COW_PLACE_OUT_OF_BOUNDS)
        rig_diverge(run, "locate", place_of(run, lease, access->offset),
                    "the trap at offset %jd is attributed to place %d, not to out of bounds",
                    (intmax_t)access->trap_offset, access->trap_place);
}

struct rig_outcome rig_guest_access(struct rig_run *run, struct rig_lease *lease, struct rig_access *access)
{
    int64_t expected = 0;
    const enum ref_access model = ref_access(lease->model, access->offset, access->width, &expected);
    if (model == REF_ACCESS_REFUSED)
        return (struct rig_outcome){.kind = RIG_OUTCOME_REFUSED, .refusal = RIG_BOUNDS};
    run->ops->access(run->subject, lease->handle, access);
    if (model == REF_ACCESS_TRAP) {
        run->verdict->counters.n_traps++;
        check_trap(run, lease, access, expected);
        return (struct rig_outcome){.kind = RIG_OUTCOME_TRAP, .trap_offset = expected};
    }
    if (access->trapped)
        rig_diverge(run, "trap-unexpected", place_of(run, lease, access->offset),
                    "a %u-byte access at offset %jd trapped at %jd; %ju bytes are accessible", access->width,
                    (intmax_t)access->offset, (intmax_t)access->trap_offset,
                    (uintmax_t)ref_accessible_bytes(lease->model));
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK};
}

enum { PROBE_ACCESSIBLE, PROBE_PREVIOUS, PROBE_BEFORE, PROBE_MIDDLE, PROBE_LAST, N_PROBES };

/* Where a probe of this kind goes, or false when there is nothing to probe. */
static bool find_place(const struct rig_run *run, const struct rig_lease *lease, uint32_t kind, int64_t *ret_offset)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(lease->model);
    const bool has_room = accessible_bytes < run->stride_bytes;
    const uint64_t offsets[N_PROBES] = {
        [PROBE_ACCESSIBLE] = accessible_bytes,
        [PROBE_PREVIOUS] = lease->reached_bytes - 1,
        [PROBE_MIDDLE] = accessible_bytes + (run->stride_bytes - accessible_bytes) / 2,
        [PROBE_LAST] = run->stride_bytes - 1,
    };
    if (kind == PROBE_BEFORE) {
        *ret_offset = -1;
        return rig_lowest_offset(run) < 0;
    }
    *ret_offset = (int64_t)offsets[kind];
    return has_room && (kind != PROBE_PREVIOUS || lease->reached_bytes > accessible_bytes);
}

static void probe(struct rig_run *run, struct rig_lease *lease, uint32_t kind)
{
    struct rig_access access = {
        .kind = run->n_probes++ % 2 ? RIG_ACCESS_STORE : RIG_ACCESS_LOAD, .width = 1, .bytes = {0xee}};
    if (find_place(run, lease, kind, &access.offset))
        (void)rig_guest_access(run, lease, &access);
}

static void probe_all(struct rig_run *run)
{
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        for (uint32_t kind = 0; kind < N_PROBES && run->registers[i].held[0].model; kind++)
            probe(run, &run->registers[i].held[0], kind);
}

/* One expected fault costs as much as a few other operations. So: the accessible end of the memory whose end has just moved, and
 * now and then one of the other places of some live memory in turn. */
static void probe_some(struct rig_run *run)
{
    const struct rig_op *op = &run->program->ops[run->op];
    struct rig_lease *lease =
        op->kind == RIG_GROW || op->kind == RIG_RESET ? rig_pick_lease(run, op) : &run->registers[op->reg].held[0];
    const bool moved = op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE || op->kind == RIG_GROW;
    if (run->changed && (moved || op->kind == RIG_RESET) && lease->model) {
        if (moved)
            probe(run, lease, PROBE_ACCESSIBLE);
        probe(run, lease, PROBE_PREVIOUS); /* only where somebody could reach further before */
    }
    if (run->op % 8 != 5)
        return;
    lease = &run->registers[run->op / 8 % RIG_N_REGISTERS].held[0];
    for (uint32_t i = 0; i < RIG_N_REGISTERS && !lease->model; i++)
        lease = &run->registers[i].held[0];
    if (lease->model)
        probe(run, lease, (run->op / 8) % N_PROBES);
}

void rig_probe(struct rig_run *run)
{
    if (run->program->world.probe == RIG_PROBE_ALL)
        probe_all(run);
    else if (run->program->world.probe == RIG_PROBE_ROTATE)
        probe_some(run);
}
