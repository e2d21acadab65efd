/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What becomes of a slot when its lease grows, is reset or ends, and which kernel calls that may take, in each way that a pool grows
 * and resets. Whether an adaptive pool copied an image back or let its pages go, its statistics tell; here is checked that it was
 * entitled to, and did what it says. */
#include "state.h"

#include <string.h>

bool rig_copies_back(const struct rig_run *run)
{
    return run->geometry.reset == COW_RESET_COPYBACK || run->geometry.reset == COW_RESET_ADAPTIVE;
}

static bool defers(const struct rig_run *run)
{
    return run->geometry.reset == COW_RESET_DEFERRED || run->geometry.reset == COW_RESET_ADAPTIVE;
}

bool rig_defers(const struct rig_run *run)
{
    return defers(run) && run->ops->must_discard;
}

/* ---- what lies past E ---- */

/* [begin, end) beyond E is opened or shut. */
static void expect_access(struct rig_run *run, const struct rig_slot *slot, uint64_t begin, uint64_t end)
{
    if (run->geometry.growth == COW_GROWTH_TRUNCATE) {
        rig_expect_calls(run, COW_CALL_FTRUNCATE, begin != end);
    } else {
        rig_expect_calls(run, COW_CALL_MADVISE, begin < end && begin < slot->window_bytes);
        rig_expect_calls(run, COW_CALL_MPROTECT, begin < end && end > slot->window_bytes);
    }
}

void rig_expect_grow(struct rig_run *run, const struct rig_lease *lease, uint64_t old_bytes, uint64_t new_bytes)
{
    const struct rig_slot *slot = &run->slots[lease->slot];
    const uint64_t paved_bytes = slot->paved_bytes;
    expect_access(run, slot, ref_accessible_of(&run->model, old_bytes) - paved_bytes,
                  ref_accessible_of(&run->model, new_bytes) - paved_bytes);
}

/* What a file's end or guard markers take with them need not be discarded; what is only shut must be. */
static uint64_t kept_bytes(const struct rig_run *run, const struct rig_slot *slot, uint64_t extension_bytes)
{
    return run->geometry.growth != COW_GROWTH_TRUNCATE && extension_bytes > slot->window_bytes ? extension_bytes : 0;
}

/* ---- a reset ---- */

struct rig_ended rig_begin_ending(struct rig_run *run, const struct rig_lease *lease)
{
    struct rig_ended reset = {.slot = lease->slot, .is_tainted = lease->is_tainted};
    reset.extension_bytes = ref_accessible_bytes(lease->model) - run->slots[lease->slot].paved_bytes;
    if (run->ops->stats)
        (void)run->ops->stats(run->subject, &reset.before);
    rig_begin_scans(run, lease->slot);
    return reset;
}

enum way { NOTHING, LET_GO, COPIED, FELL_BACK };

/* What the subject says that it did. */
static enum way told(struct rig_run *run, const struct rig_ended *reset)
{
    struct cow_stats now = {0};
    if (!run->ops->stats || !rig_copies_back(run))
        return LET_GO;
    (void)run->ops->stats(run->subject, &now);
    const uint64_t n_let_go = now.n_let_go - reset->before.n_let_go, n_copied = now.n_copied - reset->before.n_copied,
                   n_fell_back = now.n_fell_back - reset->before.n_fell_back;
    if (n_let_go + n_copied + n_fell_back != 1)
        return NOTHING;
    return n_let_go ? LET_GO : n_copied ? COPIED : FELL_BACK;
}

/* Where the subject may choose, and what it looked at is known: what it must have chosen. */
static bool chooses_well(const struct rig_run *run, struct rig_slot *slot, enum way way)
{
    if (run->geometry.reset != COW_RESET_ADAPTIVE || slot->paved_bytes <= run->geometry.whole_bytes)
        return way == COPIED;
    return !run->kernel || way == (rig_lets_go(run, &slot->history) ? LET_GO : COPIED);
}

static bool is_entitled(const struct rig_run *run, struct rig_slot *slot, const struct rig_ended *reset, enum way way)
{
    const bool is_disturbed = run->options->foreign_faults || (run->kernel && run->kernel->n_fired);
    if (!rig_copies_back(run))
        return way == LET_GO;
    if (reset->is_tainted)
        return way == FELL_BACK;
    if (way != COPIED && way != LET_GO)
        return way == FELL_BACK && is_disturbed;
    return chooses_well(run, slot, way);
}

/* One call finds as many stretches as there is room for; how many there are, only the kernel knows. */
static void expect_scan(struct rig_run *run, const struct rig_slot *slot, const struct rig_ended *reset)
{
    const uint64_t at_once = run->kernel ? 1 : 64; /* rewritten answers have little room */
    const uint64_t most = slot->paved_bytes / run->geometry.page_bytes / at_once + 1;
    struct cow_stats now = {0};
    (void)run->ops->stats(run->subject, &now);
    const uint64_t n = now.n_calls[COW_CALL_PAGEMAP_SCAN] - reset->before.n_calls[COW_CALL_PAGEMAP_SCAN];
    rig_expect_calls(run, COW_CALL_PAGEMAP_SCAN, n < 1 ? 1 : n > most ? most : n);
}

static void expect_copying(struct rig_run *run, const struct rig_slot *slot, const struct rig_ended *reset)
{
    if (rig_copies_back(run) && !reset->is_tainted && !run->scanned.is_whole && run->ops->stats)
        expect_scan(run, slot, reset);
}

static void forget_pages(struct rig_slot *slot)
{
    slot->kept_bytes = 0;
    slot->history = (struct rig_history){.n_in_vain = slot->history.n_in_vain};
}

static enum way learn(struct rig_run *run, const struct rig_ended *reset)
{
    static const char *const names[] = {"nothing", "let-go", "copied", "fell-back"};
    struct rig_slot *slot = &run->slots[reset->slot];
    const enum way way = told(run, reset);
    if (run->ops->stats && !is_entitled(run, slot, reset, way))
        rig_suspect(run, "reset", names[way], "slot %u: the subject tells that its pages were %s%s", reset->slot,
                    names[way], reset->is_tainted ? ", and they were given to the kernel" : "");
    slot->keeps_pages = way == COPIED;
    rig_end_scans(run);
    if (!slot->keeps_pages)
        forget_pages(slot);
    run->discarded |= UINT32_C(1) << reset->slot;
    expect_copying(run, slot, reset);
    return way;
}

static void expect_cleaning(struct rig_run *run, const struct rig_ended *reset, enum way way)
{
    const struct rig_slot *slot = &run->slots[reset->slot];
    const uint64_t kept = kept_bytes(run, slot, reset->extension_bytes);
    rig_expect_calls(run, COW_CALL_MADVISE, (way == COPIED ? 0 : slot->paved_bytes) + kept > 0);
    expect_access(run, slot, 0, reset->extension_bytes);
}

void rig_expect_reset(struct rig_run *run, const struct rig_ended *reset)
{
    expect_cleaning(run, reset, learn(run, reset));
}

/* ---- the queue ---- */

/* The one that has waited longest; NULL: none does. */
static struct rig_slot *first_queued(struct rig_run *run)
{
    struct rig_slot *first = NULL;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        struct rig_slot *slot = &run->slots[i];
        if (slot->state == RIG_SLOT_QUEUED && (!first || slot->idle_since < first->idle_since))
            first = slot;
    }
    return first;
}

/* More bytes than the kernel looks at in one call (int) take more calls; how many, their order decides. */
#define MOST_AT_ONCE ((uint64_t)1 << 30)

uint32_t rig_expect_cleaning(struct rig_run *run)
{
    uint32_t cleaned = 0;
    uint64_t since = UINT64_MAX, n_bytes = 0;
    bool has_pages = false, has_markers = false;
    for (struct rig_slot *slot; (slot = first_queued(run));) {
        const bool in_file = run->geometry.growth == COW_GROWTH_TRUNCATE;
        has_pages = has_pages || (slot->must_discard && slot->paved_bytes) || (slot->queued_bytes && !in_file);
        n_bytes += slot->paved_bytes + slot->queued_bytes;
        has_markers = has_markers || (slot->queued_bytes && slot->window_bytes);
        rig_expect_calls(run, COW_CALL_FTRUNCATE, slot->queued_bytes && in_file);
        rig_expect_calls(run, COW_CALL_MPROTECT, !in_file && slot->queued_bytes > slot->window_bytes);
        slot->keeps_pages = slot->keeps_pages && !slot->must_discard;
        if (!slot->keeps_pages)
            forget_pages(slot);
        slot->state = RIG_SLOT_IDLE;
        run->clock += slot->idle_since != since; /* those whose order is not known stay so */
        since = slot->idle_since;
        slot->idle_since = run->clock;
        slot->queued_bytes = 0;
        cleaned |= UINT32_C(1) << (slot - run->slots);
    }
    rig_expect_calls(run, COW_CALL_PROCESS_MADVISE, has_pages + (uint64_t)has_markers);
    run->unforeseen = run->unforeseen || n_bytes > MOST_AT_ONCE;
    run->discarded |= cleaned;
    rig_may_also_retire(run, cleaned);
    return cleaned;
}

/* The idle slot that keeps pages, and is idle longest. NULL: none does. */
static struct rig_slot *first_keeping(struct rig_run *run)
{
    struct rig_slot *first = NULL;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        struct rig_slot *slot = &run->slots[i];
        if (slot->state == RIG_SLOT_IDLE && slot->kept_bytes && (!first || slot->idle_since < first->idle_since))
            first = slot;
    }
    return first;
}

uint32_t rig_expect_trim(struct rig_run *run)
{
    uint32_t trimmed = 0;
    uint64_t n_trimmed = 0, n_bytes = 0;
    for (struct rig_slot *slot; (slot = first_keeping(run)); n_trimmed++) {
        n_bytes += slot->paved_bytes;
        slot->keeps_pages = false;
        forget_pages(slot);
        slot->idle_since = ++run->clock;
        trimmed |= UINT32_C(1) << (slot - run->slots);
    }
    run->unforeseen = run->unforeseen || n_bytes > MOST_AT_ONCE;
    rig_expect_calls(run, defers(run) ? COW_CALL_PROCESS_MADVISE : COW_CALL_MADVISE,
                     defers(run) ? n_trimmed > 0 : n_trimmed);
    run->counted.n_trims += n_trimmed;
    run->discarded |= trimmed;
    return trimmed;
}

void rig_adopt_trims(struct rig_run *run)
{
    struct cow_stats now = {0};
    if (run->kernel && run->kernel->n_fired && run->ops->stats(run->subject, &now) == COW_OK)
        run->counted.n_trims = now.n_trims;
}

static uint32_t count_queued(const struct rig_run *run)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        n += run->slots[i].state == RIG_SLOT_QUEUED;
    return n;
}

/* Idle slots keep more than they may: those that are idle longest give up their pages, and wait for that. */
static void expect_trims(struct rig_run *run)
{
    const uint64_t most = run->geometry.resident_bytes ? run->geometry.resident_bytes : COW_RESIDENT_BYTES;
    uint64_t kept_bytes = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        kept_bytes += run->slots[i].state == RIG_SLOT_IDLE ? run->slots[i].kept_bytes : 0;
    while (run->geometry.reset == COW_RESET_ADAPTIVE && kept_bytes > most) {
        struct rig_slot *first = first_keeping(run);
        kept_bytes -= first->kept_bytes;
        first->state = RIG_SLOT_QUEUED;
        first->must_discard = true;
        first->idle_since = ++run->clock;
        run->counted.n_trims++;
    }
}

/* One that needs nothing but to be shut, and has grown by much, does not wait. */
static bool may_be_shut(const struct rig_run *run, const struct rig_ended *reset)
{
    return run->geometry.reset == COW_RESET_ADAPTIVE && reset->extension_bytes > run->geometry.window_bytes;
}

bool rig_release_failed(const struct rig_run *run, const struct rig_ended *reset)
{
    struct cow_stats now = {0};
    if (!rig_defers(run))
        return true;
    return may_be_shut(run, reset) && run->ops->stats(run->subject, &now) == COW_OK &&
           now.n_failed_resets > reset->before.n_failed_resets;
}

void rig_expect_release(struct rig_run *run, const struct rig_ended *reset)
{
    struct rig_slot *slot = &run->slots[reset->slot];
    if (!rig_defers(run)) {
        rig_expect_reset(run, reset);
        return;
    }
    const enum way way = learn(run, reset);
    slot->must_discard = way != COPIED && slot->paved_bytes > 0;
    const bool is_shut = way == COPIED && may_be_shut(run, reset);
    slot->queued_bytes = is_shut ? 0 : reset->extension_bytes;
    if (is_shut)
        expect_cleaning(run, reset, COPIED);
    if (slot->must_discard || slot->queued_bytes) {
        slot->state = RIG_SLOT_QUEUED;
        run->counted.n_deferred++;
    }
    expect_trims(run);
    const uint32_t queue_slots = run->geometry.queue_slots ? run->geometry.queue_slots : COW_QUEUE_SLOTS;
    if (count_queued(run) >= queue_slots)
        (void)rig_expect_cleaning(run);
}
