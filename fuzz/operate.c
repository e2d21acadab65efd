/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One operation on both sides. Selectors are reduced here, against what exists, and never written back into the program. */
#include "kernel_view.h"
#include "state.h"

#include <errno.h>
#include <string.h>

static const struct rig_outcome noop = {.kind = RIG_OUTCOME_NOOP};
static const struct rig_outcome ok = {.kind = RIG_OUTCOME_OK};

static struct rig_outcome refused(int refusal)
{
    return refusal == COW_OK ? ok : (struct rig_outcome){.kind = RIG_OUTCOME_REFUSED, .refusal = refusal};
}

bool rig_same_result(struct rig_run *run, int model, int subject)
{
    char place[64];
    if (model == subject)
        return true;
    snprintf(place, sizeof place, "want=%s got=%s", rig_result_name(model), rig_result_name(subject));
    rig_diverge(run, "result", place, "the model says %s, the subject %s (%d)", rig_result_name(model),
                rig_result_name(subject), subject);
    return false;
}

bool rig_asks(const struct rig_run *run, int model)
{
    return model == COW_OK || !run->ops->trusts_caller;
}

/* ---- selectors ---- */

struct rig_lease *rig_pick_lease(struct rig_run *run, const struct rig_op *op)
{
    struct rig_lease *lease = &run->registers[op->reg].held[op->age];
    for (uint32_t i = 1; i < RIG_N_REGISTERS && op->age == 0 && lease->handle == 0; i++) {
        struct rig_lease *other = &run->registers[(op->reg + i) % RIG_N_REGISTERS].held[0];
        lease = other->model ? other : lease;
    }
    return lease;
}

/* The letter's image, else the next one that exists, else none. */
static const struct rig_image *pick_image(const struct rig_run *run, uint8_t letter)
{
    static const struct rig_image none;
    for (uint32_t i = 0; i < RIG_N_IMAGES && letter != RIG_NO_IMAGE; i++) {
        const struct rig_image *image = &run->images[(letter + i) % RIG_N_IMAGES];
        if (image->subject)
            return image;
    }
    return &none;
}

/* ---- leases ---- */

static uint64_t round_up_to_unit(const struct rig_run *run, uint64_t bytes)
{
    const uint64_t unit_bytes = run->geometry.unit_bytes;
    return (bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
}

/* What is not said: just enough for the image, or one host page; up to the pool's maximum. */
static void choose_limits(const struct rig_run *run, const struct rig_op *op, const struct rig_image *image,
                          uint64_t *ret_initial_bytes, uint64_t *ret_max_bytes)
{
    const uint64_t largest = run->geometry.max_bytes / run->geometry.unit_bytes * run->geometry.unit_bytes;
    const uint64_t least =
        round_up_to_unit(run, image->subject ? image->model->extent_bytes : run->geometry.page_bytes);
    *ret_initial_bytes = op->has_initial ? rig_size_bytes(run, op->len) : least < largest ? least : largest;
    *ret_max_bytes = op->has_max ? rig_size_bytes(run, op->len2) : largest;
}

struct rig_outcome rig_lend(struct rig_run *run, struct rig_register *reg, const struct rig_image *image,
                            uint64_t initial_bytes, uint64_t max_bytes)
{
    struct rig_lease lease = {.image = *image, .generation = ++run->generation};
    struct cow_memory memory;
    const int model = ref_instantiate(&run->model, image->model, initial_bytes, max_bytes, &lease.model);
    if (model == COW_OK) {
        const uint32_t image_generation = image->subject ? image->generation : 0;
        const uint64_t paved_bytes = ref_accessible_of(&run->model, initial_bytes);
        const uint32_t cleaned = rig_expect_lease(run, image_generation, paved_bytes);
        /* If cleaning has failed, one of those that are left is taken. */
        rig_may_retire(run,
                       cleaned ? rig_free_slots(run) : rig_slots_to_choose_from(run, image_generation, paved_bytes), 1);
        rig_may_also_retire(run, cleaned);
    }
    const int subject = rig_asks(run, model) ? run->ops->instantiate(run->subject, image->subject, initial_bytes,
                                                                     max_bytes, &lease.handle)
                                             : model;
    const bool is_fault = rig_is_fault(run, model, subject);
    if (model == COW_OK && subject == COW_FULL && rig_lost_all_cleaned(run)) {
        (void)ref_release(lease.model);
        return refused(subject);
    }
    if (is_fault || !rig_same_result(run, model, subject)) {
        if (model == COW_OK)
            (void)ref_release(lease.model);
        return is_fault ? rig_failed(run, subject) : refused(model);
    }
    if (model != COW_OK)
        return refused(model);
    memmove(reg->held + 1, reg->held, RIG_MAX_AGE * sizeof *reg->held);
    if (rig_same_result(run, COW_OK, run->ops->memory(run->subject, lease.handle, &memory)) &&
        memory.slot < run->geometry.n_slots) {
        lease.slot = memory.slot;
        lease.base = memory.base;
        rig_adopt_cleaned(run, memory.slot);
        lease.previous_bytes = run->slots[lease.slot].accessible_bytes;
        lease.reached_bytes = run->slots[lease.slot].reached_bytes;
        lease.peak_bytes = ref_accessible_bytes(lease.model);
        rig_place_lease(run, &lease);
    } else if (!run->failed) {
        rig_diverge(run, "placement", "nowhere", "slot %u does not exist", memory.slot);
    }
    reg->held[0] = lease;
    run->changed = true;
    return ok;
}

static bool differs_from_image(const struct ref_memory *memory)
{
    const uint64_t extent_bytes = memory->image ? memory->image->extent_bytes : 0;
    if (extent_bytes && memcmp(memory->bytes, memory->image->bytes, extent_bytes) != 0)
        return true;
    const uint8_t *rest = memory->bytes + extent_bytes;
    const uint64_t n = memory->length_bytes - extent_bytes;
    return n && (rest[0] || memcmp(rest, rest + 1, n - 1) != 0);
}

static void count_reset(struct rig_run *run, const struct rig_lease *lease)
{
    run->verdict->counters.n_resets++;
    run->verdict->counters.n_erasing_resets += differs_from_image(lease->model);
    run->changed = true;
}

struct rig_outcome rig_release(struct rig_run *run, struct rig_lease *lease)
{
    struct rig_ended ended = {.slot = 0};
    if (lease->model) {
        rig_may_retire(run, UINT32_C(1) << lease->slot, 1);
        ended = rig_begin_ending(run, lease);
        count_reset(run, lease);
        rig_settle_pins(run, lease);
        rig_place_release(run, lease);
    }
    const int model = ref_release(lease->model);
    lease->model = NULL;
    const int subject = rig_asks(run, model) ? run->ops->release(run->subject, lease->handle) : model;
    const bool is_fault = rig_is_fault(run, model, subject);
    if (is_fault && rig_release_failed(run, &ended)) {
        run->counted.n_failed_resets++;
        rig_check_retired(run, lease);
        return rig_failed(run, subject);
    }
    run->counted.n_resets += model == COW_OK;
    if (is_fault || (rig_same_result(run, model, subject) && model == COW_OK))
        rig_expect_release(run, &ended);
    return is_fault ? rig_failed(run, subject) : refused(model); /* if it is, a slot that was cleaned has failed */
}

static struct rig_outcome reset(struct rig_run *run, struct rig_lease *lease)
{
    struct rig_ended begun = {.slot = 0};
    if (lease->model) {
        rig_may_retire(run, UINT32_C(1) << lease->slot, 1);
        begun = rig_begin_ending(run, lease);
        count_reset(run, lease);
        rig_settle_pins(run, lease);
        lease->reached_bytes = lease->peak_bytes > lease->reached_bytes ? lease->peak_bytes : lease->reached_bytes;
    }
    const int model = ref_reset(lease->model);
    const int subject = rig_asks(run, model) ? run->ops->reset(run->subject, lease->handle) : model;
    if (rig_is_fault(run, model, subject)) {
        run->counted.n_failed_resets++;
        rig_place_release(run, lease);
        (void)ref_release(lease->model);
        lease->model = NULL;
        rig_check_retired(run, lease);
        return rig_failed(run, subject);
    }
    run->counted.n_resets += model == COW_OK;
    if (rig_same_result(run, model, subject) && model == COW_OK)
        rig_expect_reset(run, &begun);
    return refused(model);
}

/* A growth that failed, and could not be undone, has ended the lease; where growth is one call, that cannot be. */
static void adopt_torn(struct rig_run *run, struct rig_lease *lease)
{
    const enum rig_slot_state now =
        run->ops->slot_state ? run->ops->slot_state(run->subject, lease->slot) : RIG_SLOT_LIVE;
    if (now == RIG_SLOT_LIVE || run->geometry.growth == COW_GROWTH_TRUNCATE)
        return;
    rig_may_retire(run, UINT32_C(1) << lease->slot, 1);
    rig_settle_pins(run, lease);
    rig_place_release(run, lease);
    (void)ref_release(lease->model);
    lease->model = NULL;
    rig_check_retired(run, lease);
}

/* Growing touches nothing of what is new; but for a hostile build, the page that the length ends in. */
static void check_untouched(struct rig_run *run, const struct rig_lease *lease, uint64_t old_bytes, uint64_t new_bytes)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    const uint64_t first = (old_bytes + page_bytes - 1) / page_bytes * page_bytes;
    uint8_t page;
    if (run->geometry.growth == COW_GROWTH_SOFTWARE) /* others may have kept it, or scribbled there */
        return;
    if (rig_is_real(run) && run->ops->residency && first + page_bytes <= new_bytes &&
        run->ops->residency(run->subject, lease->slot, first, 1, &page) == 0 && (page & RIG_PAGE_PRESENT))
        rig_suspect(run, "resident", "grown", "the page at offset %ju is resident, and was only grown into",
                    (uintmax_t)first);
}

struct rig_outcome rig_grow(struct rig_run *run, struct rig_lease *lease, uint64_t delta_bytes)
{
    uint64_t model_old = 0, subject_old = 0;
    struct ref_memory *memory = lease->model;
    const uint64_t length_bytes = memory ? memory->length_bytes : 0;
    const int model = ref_grow(memory, delta_bytes, &model_old);
    if (memory && model == COW_OK)
        rig_expect_grow(run, lease, model_old, memory->length_bytes);
    const int subject =
        rig_asks(run, model) ? run->ops->grow(run->subject, lease->handle, delta_bytes, &subject_old) : model;
    if (memory && rig_is_fault(run, model, subject)) {
        memory->length_bytes = length_bytes; /* what was added to the model's bytes is not looked at again */
        adopt_torn(run, lease);
        return rig_failed(run, subject);
    }
    if (!rig_same_result(run, model, subject) || model != COW_OK || !memory)
        return refused(model);
    if (model_old != subject_old)
        rig_diverge(run, "length", "old", "grow tells an old length of %ju bytes, not %ju", (uintmax_t)subject_old,
                    (uintmax_t)model_old);
    check_untouched(run, lease, model_old, memory->length_bytes);
    if (lease->peak_bytes < ref_accessible_bytes(memory))
        lease->peak_bytes = ref_accessible_bytes(memory);
    run->changed = run->changed || delta_bytes;
    run->counted.n_grows += delta_bytes != 0;
    run->verdict->counters.n_grows += delta_bytes != 0;
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK, .grown_bytes = memory->length_bytes};
}

/* More than the rig has memory for, though the pool would not refuse it. */
static bool is_too_long(const struct rig_run *run, uint64_t length_bytes, uint64_t max_bytes)
{
    return length_bytes > RIG_MAX_LENGTH_BYTES && length_bytes <= max_bytes && max_bytes <= run->geometry.max_bytes;
}

static struct rig_outcome grow(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    uint64_t delta_bytes = rig_size_bytes(run, op->len);
    if (op->form == RIG_GROW_HUGE)
        delta_bytes = UINT64_MAX / run->geometry.unit_bytes * run->geometry.unit_bytes;
    if (op->form == RIG_GROW_TO && lease->model) {
        const int64_t target = rig_resolve(run, lease, op->other);
        if (target < (int64_t)lease->model->length_bytes)
            return noop;
        delta_bytes = (uint64_t)target - lease->model->length_bytes;
    }
    if (lease->model && delta_bytes <= lease->model->max_bytes - lease->model->length_bytes &&
        is_too_long(run, lease->model->length_bytes + delta_bytes, lease->model->max_bytes))
        return noop;
    return rig_grow(run, lease, delta_bytes);
}

static struct rig_outcome instantiate(struct rig_run *run, const struct rig_op *op)
{
    const struct rig_image *image = pick_image(run, op->image);
    uint64_t initial_bytes, max_bytes;
    choose_limits(run, op, image, &initial_bytes, &max_bytes);
    if (run->registers[op->reg].held[0].model || is_too_long(run, initial_bytes, max_bytes))
        return noop;
    return rig_lend(run, &run->registers[op->reg], image, initial_bytes, max_bytes);
}

/* A stale handle is refused, and nothing follows; a register without a live lease is just filled. */
static struct rig_outcome reuse(struct rig_run *run, const struct rig_op *op)
{
    struct rig_lease *lease = &run->registers[op->reg].held[op->age];
    uint64_t initial_bytes, max_bytes;
    choose_limits(run, op, pick_image(run, op->image), &initial_bytes, &max_bytes);
    if (is_too_long(run, initial_bytes, max_bytes)) /* nothing at all, not half of it */
        return noop;
    if (op->age || lease->model) {
        const struct rig_outcome outcome = rig_release(run, lease);
        if (outcome.kind != RIG_OUTCOME_OK || run->failed)
            return outcome;
        run->verdict->counters.n_reuses++;
    }
    return instantiate(run, op);
}

/* ---- the world ---- */

void rig_drop(struct rig_run *run, struct rig_image *image)
{
    rig_expect_drop(run, image->generation, image->model->n_runs > 0);
    if (run->ops->image_drop)
        run->ops->image_drop(run->subject, image->subject);
    *image = (struct rig_image){.subject = NULL};
    run->changed = true;
}

static void check_stripped(struct rig_run *run, uint32_t slots)
{
    for (uint32_t i = 0; i < run->geometry.n_slots && run->ops->stripped; i++) {
        const char *broken = slots >> i & 1 ? run->ops->stripped(run->subject, i) : NULL;
        if (broken)
            rig_diverge(run, "leak", "residue", "%s", broken);
    }
}

static void check_dead_bytes(struct rig_run *run)
{
    const uint64_t expected = rig_dead_bytes(run), dead_bytes = run->ops->dead_bytes(run->subject);
    if (dead_bytes != expected)
        rig_diverge(run, "statistics", "dead-image-bytes",
                    "after a flush %ju bytes of dead images are still held, not %ju", (uintmax_t)dead_bytes,
                    (uintmax_t)expected);
}

struct rig_outcome rig_flush(struct rig_run *run, bool trims)
{
    const uint32_t cleaned = rig_expect_cleaning(run), stripped = rig_expect_flush(run);
    const uint32_t trimmed = trims && run->ops->trim ? rig_expect_trim(run) : 0;
    int (*const flush)(struct rig_subject * subject) = trims && run->ops->trim ? run->ops->trim : run->ops->flush;
    rig_may_retire(run, cleaned | stripped | trimmed, run->geometry.n_slots);
    const int subject = flush ? flush(run->subject) : COW_OK;
    const bool is_fault = rig_is_fault(run, COW_OK, subject);
    if (!is_fault && !rig_same_result(run, COW_OK, subject))
        return rig_failed(run, subject);
    if (trims && run->ops->stats)
        rig_adopt_trims(run);
    rig_end_faults(run);
    check_stripped(run, stripped);
    if (run->ops->dead_bytes)
        check_dead_bytes(run);
    return is_fault ? rig_failed(run, subject) : ok;
}

/* Operations on one lease: a stale or null handle is refused by both sides before anything else. */
static struct rig_outcome operate_on_lease(struct rig_run *run, const struct rig_op *op)
{
    struct rig_lease *lease = rig_pick_lease(run, op);
    struct cow_memory memory;
    switch (op->kind) {
    case RIG_GROW:
        return grow(run, op, lease);
    case RIG_RESET:
        return reset(run, lease);
    case RIG_RELEASE:
        return rig_release(run, lease);
    case RIG_UNPIN: /* of a lease that has ended, most often */
        return rig_operate_pin(run, op, lease);
    default:
        break;
    }
    const int model = lease->model ? COW_OK : COW_STALE;
    if (!rig_asks(run, model))
        return refused(model);
    if (!rig_same_result(run, model, run->ops->memory(run->subject, lease->handle, &memory)) || model != COW_OK)
        return refused(model);
    if (op->kind == RIG_ADVISE || op->kind == RIG_PIN)
        return rig_operate_pin(run, op, lease);
    if (op->kind == RIG_SCRIBBLE || op->kind == RIG_HOSTREAD || op->kind == RIG_HOSTWRITE)
        return rig_operate_host(run, op, lease);
    return rig_operate_guest(run, op, lease);
}

struct rig_outcome rig_operate(struct rig_run *run, const struct rig_op *op)
{
    struct rig_image *image = &run->images[op->image % RIG_N_IMAGES];
    switch (op->kind) {
    case RIG_IMAGE:
        return rig_make_image(run, op);
    case RIG_DATA:
        return rig_account_data(run, op);
    case RIG_DROP:
        if (!image->subject)
            return noop;
        rig_drop(run, image);
        return ok;
    case RIG_INSTANTIATE:
        return instantiate(run, op);
    case RIG_REUSE:
        return reuse(run, op);
    case RIG_FLUSH:
        return rig_flush(run, op->form == RIG_FLUSH_TRIM);
    case RIG_FAULT:
        return rig_operate_fault(run, op);
    case RIG_FORK:
        return rig_fork(run, op);
    default:
        return operate_on_lease(run, op);
    }
}
