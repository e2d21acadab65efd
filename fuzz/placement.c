/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Which slot the pool has promised to choose, and which kernel calls each operation may make (resets: cleaning.c). The model follows where the pool
 * puts an instance; here is checked that it was entitled to, and that the fast path was fast: a silent copy, a lost
 * warm slot, or a call too many is a divergence as well. */
#include "kernel_view.h"
#include "state.h"

#include <errno.h>
#include <string.h>

/* ---- kernel calls ---- */

void rig_expect_calls(struct rig_run *run, enum cow_call call, uint64_t n)
{
    run->n_expected[call] += n;
}

void rig_begin_calls(struct rig_run *run)
{
    if (run->ops->calls)
        run->ops->calls(run->subject, run->n_calls);
}

void rig_check_calls(struct rig_run *run)
{
    uint64_t n_calls[COW_N_CALLS];
    if (!run->ops->calls || !run->ops->promises_placement || run->failed)
        return;
    const bool is_exact = !run->unforeseen && !run->options->foreign_faults && !(run->kernel && run->kernel->n_fired);
    run->ops->calls(run->subject, n_calls); /* nothing but operations makes calls: the next one counts from here */
    for (int call = 0; call < COW_N_CALLS && !run->failed && is_exact; call++)
        if (n_calls[call] - run->n_calls[call] != run->n_expected[call])
            rig_suspect(run, "calls", cow_call_name((enum cow_call)call), "%ju calls of %s, where %ju were expected",
                        (uintmax_t)(n_calls[call] - run->n_calls[call]), cow_call_name((enum cow_call)call),
                        (uintmax_t)run->n_expected[call]);
    memcpy(run->n_calls, n_calls, sizeof run->n_calls);
    memset(run->n_expected, 0, sizeof run->n_expected);
    run->unforeseen = false;
}

/* ---- images ---- */

static uint32_t count_slots_mapping(const struct rig_run *run, uint32_t image_generation)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        n += run->slots[i].image_generation == image_generation;
    return n;
}

static bool share_a_byte(const struct cow_segment *a, const struct cow_segment *b)
{
    return a->length_bytes && b->length_bytes && a->offset_bytes < b->offset_bytes + b->length_bytes &&
           b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static uint64_t count_shared(const struct rig_image *image)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        bool is_shared = false;
        for (uint32_t j = 0; j < image->n_segments; j++)
            is_shared = is_shared || (i != j && share_a_byte(&image->segments[i], &image->segments[j]));
        n += is_shared;
    }
    return n;
}

/* Each segment of a file is a run of its own, which goes from there into as many chunks as it touches. */
static uint64_t count_reads(const struct rig_image *image)
{
    uint64_t n = 0, at = 0;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const uint64_t end = at + image->segments[i].length_bytes;
        if (end > at)
            n += (end + COW_IMAGE_WRITE_BYTES - 1) / COW_IMAGE_WRITE_BYTES - at / COW_IMAGE_WRITE_BYTES;
        at = end;
    }
    return n;
}

void rig_expect_image(struct rig_run *run, const struct rig_image *image)
{
    if (image->model->n_runs == 0)
        return;
    rig_expect_calls(run, COW_CALL_FCNTL, 1);
    rig_expect_calls(run, COW_CALL_MMAP, rig_copies_back(run)); /* to look at, when it is copied */
    const bool is_from_file = image->is_of_file && run->ops->image_from_file;
    if (is_from_file && !image->is_copied) { /* mapped on trial */
        rig_expect_calls(run, COW_CALL_MMAP, 1);
        rig_expect_calls(run, COW_CALL_MUNMAP, 1);
        return;
    }
    const uint64_t n_chunks = (image->model->run_bytes + COW_IMAGE_WRITE_BYTES - 1) / COW_IMAGE_WRITE_BYTES;
    rig_expect_calls(run, COW_CALL_MEMFD_CREATE, 1);
    rig_expect_calls(run, COW_CALL_PREAD, is_from_file ? count_reads(image) : 0);
    rig_expect_calls(run, COW_CALL_PWRITE, n_chunks + count_shared(image));
}

/* Nobody maps it any more. */
static void expect_destruction(struct rig_run *run, uint32_t image_generation)
{
    rig_expect_calls(run, COW_CALL_CLOSE, 1);
    rig_expect_calls(run, COW_CALL_MUNMAP, rig_copies_back(run));
    run->n_mapped_bytes -= (int64_t)rig_view_bytes(run, image_generation);
}

void rig_expect_drop(struct rig_run *run, uint32_t image_generation, bool has_file)
{
    if (has_file && count_slots_mapping(run, image_generation) == 0)
        expect_destruction(run, image_generation);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        if (run->slots[i].image_generation == image_generation)
            run->slots[i].image_is_dead = true;
}

/* The slot maps something else from now on; a dead image that nobody maps any more closes its file. */
static void unmap_image(struct rig_run *run, struct rig_slot *slot)
{
    const uint32_t image_generation = slot->image_generation;
    slot->image_generation = 0;
    if (image_generation && slot->image_is_dead && slot->image_has_file &&
        count_slots_mapping(run, image_generation) == 0)
        expect_destruction(run, image_generation);
    slot->image_is_dead = slot->image_has_file = false;
}

uint32_t rig_expect_flush(struct rig_run *run)
{
    uint32_t stripped = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        struct rig_slot *slot = &run->slots[i];
        if (slot->state != RIG_SLOT_IDLE || !slot->image_is_dead)
            continue;
        if (run->capacity_bytes) {
            rig_expect_calls(run, COW_CALL_MMAP, 1);
            rig_expect_calls(run, COW_CALL_MADVISE, 1);
        }
        unmap_image(run, slot);
        slot->state = RIG_SLOT_BARE;
        stripped |= UINT32_C(1) << i;
    }
    return stripped;
}

static uint64_t dead_bytes_of(const struct rig_run *run, uint32_t image_generation)
{
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++)
        for (uint32_t age = 0; age <= RIG_MAX_AGE; age++) {
            const struct rig_image *image = &run->registers[i].held[age].image;
            if (image->subject && image->generation == image_generation)
                return image->model->run_bytes;
        }
    return 0;
}

/* Of dropped images that live instances still map; only after a flush is this all there is. */
uint64_t rig_dead_bytes(const struct rig_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        bool is_first = run->slots[i].image_is_dead;
        for (uint32_t j = 0; j < i; j++)
            is_first = is_first && run->slots[j].image_generation != run->slots[i].image_generation;
        if (is_first)
            sum += dead_bytes_of(run, run->slots[i].image_generation);
    }
    return sum;
}

/* ---- leases ---- */

static bool is_warm(const struct rig_slot *slot, uint32_t image_generation, uint64_t paved_bytes)
{
    return slot->state == RIG_SLOT_IDLE && slot->image_generation == image_generation &&
           slot->paved_bytes == paved_bytes;
}

/* With so many idle slots the one idle longest is better than a bare one. */
static bool has_warm_enough(const struct rig_run *run)
{
    uint32_t n_idle = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        n_idle += run->slots[i].state == RIG_SLOT_IDLE;
    return run->geometry.warm_slots && n_idle >= run->geometry.warm_slots;
}

/* The pool's promise: a warm slot, else a bare one, or, with warm slots enough, the one idle longest; else, after what waits was cleaned,
 * a warm one or the one idle longest, else one that an error took out of service. */
static const char *check_choice(const struct rig_run *run, const struct rig_slot *chosen, uint32_t image_generation,
                                uint64_t paved_bytes)
{
    if (chosen->state == RIG_SLOT_LIVE || chosen->state == RIG_SLOT_LOST)
        return chosen->state == RIG_SLOT_LIVE ? "live" : "lost";
    if (chosen->state == RIG_SLOT_QUEUED)
        return "queued";
    if (is_warm(chosen, image_generation, paved_bytes))
        return NULL;
    const bool has_enough = has_warm_enough(run);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        const struct rig_slot *slot = &run->slots[i];
        if (is_warm(slot, image_generation, paved_bytes))
            return "warm";
        const bool is_free = slot->state == RIG_SLOT_BARE || slot->state == RIG_SLOT_IDLE;
        if (is_free && chosen->state == RIG_SLOT_RETIRED)
            return "retired";
        if (slot->state == (has_enough ? RIG_SLOT_IDLE : RIG_SLOT_BARE) &&
            chosen->state == (has_enough ? RIG_SLOT_BARE : RIG_SLOT_IDLE))
            return has_enough ? "idle" : "bare";
        if (slot->state == RIG_SLOT_QUEUED && chosen->state != RIG_SLOT_BARE && !has_enough)
            return "queued";
        if (slot->state == RIG_SLOT_IDLE && chosen->state == RIG_SLOT_IDLE && slot->idle_since < chosen->idle_since)
            return "oldest";
    }
    return NULL;
}

uint32_t rig_free_slots(const struct rig_run *run)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        slots |= (uint32_t)(run->slots[i].state != RIG_SLOT_LIVE && run->slots[i].state != RIG_SLOT_LOST) << i;
    return slots;
}

uint32_t rig_slots_to_choose_from(const struct rig_run *run, uint32_t image_generation, uint64_t paved_bytes)
{
    uint32_t slots = rig_free_slots(run);
    for (uint32_t i = 0; i < run->geometry.n_slots && run->ops->promises_placement; i++)
        if (check_choice(run, &run->slots[i], image_generation, paved_bytes))
            slots &= ~(UINT32_C(1) << i);
    return slots;
}

/* Where memory seemed to be locked, a slot takes no guard markers. */
static uint64_t window_of(const struct rig_run *run, uint32_t slot, uint64_t paved_bytes)
{
    const uint64_t left = run->capacity_bytes - paved_bytes;
    if (run->geometry.growth != COW_GROWTH_GUARD || (run->kernel && rig_faulty_explains(run->kernel, -EINVAL) &&
                                                     run->ops->window && run->ops->window(run->subject, slot) == 0))
        return 0;
    return left < run->geometry.window_bytes ? left : run->geometry.window_bytes;
}

/* Past E everything is as it was. */
static bool keeps_rest(const struct rig_slot *slot, uint64_t paved_bytes)
{
    return slot->state == RIG_SLOT_IDLE && slot->paved_bytes == paved_bytes;
}

static void expect_paving(struct rig_run *run, const struct rig_lease *lease, uint64_t paved_bytes,
                          const struct rig_slot *slot)
{
    const enum rig_slot_state before = slot->state;
    const uint32_t n_runs = lease->image.subject ? lease->image.model->n_runs : 0;
    const bool is_guarded = run->geometry.growth == COW_GROWTH_GUARD && paved_bytes < run->capacity_bytes;
    const uint64_t zero_bytes = paved_bytes + (is_guarded ? run->geometry.window_bytes : 0);
    rig_expect_calls(run, COW_CALL_FTRUNCATE,
                     before == RIG_SLOT_RETIRED && run->geometry.growth == COW_GROWTH_TRUNCATE);
    if (run->capacity_bytes == 0)
        return;
    if (keeps_rest(slot, paved_bytes)) {
        rig_expect_calls(run, COW_CALL_MMAP, (paved_bytes > 0) + n_runs);
        rig_expect_calls(run, COW_CALL_MADVISE, paved_bytes > 0 ? 3 : 0);
        return;
    }
    rig_expect_calls(run, COW_CALL_MMAP, (zero_bytes > 0) + n_runs + (zero_bytes < run->capacity_bytes));
    rig_expect_calls(run, COW_CALL_MADVISE, (before == RIG_SLOT_IDLE ? 3u : 4u) + is_guarded);
}

static uint64_t first_data_page(const struct rig_run *run, const struct rig_image *image)
{
    uint64_t first = image->model->data_end_bytes - 1;
    for (uint32_t i = 0; i < image->n_segments; i++)
        if (image->segments[i].length_bytes && image->segments[i].offset_bytes < first)
            first = image->segments[i].offset_bytes;
    return first / run->geometry.page_bytes * run->geometry.page_bytes;
}

/* The image's pages must be its file's, not a copy: nobody has written to them yet. (But a hostile build of the pool writes to
 * slack, and so to a page that reaches past the length.) */
static void check_mapping(struct rig_run *run, const struct rig_lease *lease)
{
    uint8_t page;
    if (!run->ops->residency || !lease->image.subject || lease->image.model->data_end_bytes == 0 ||
        run->slots[lease->slot].keeps_pages)
        return;
    const uint64_t offset = first_data_page(run, &lease->image);
    if (offset + run->geometry.page_bytes > lease->model->initial_bytes)
        return;
    if (run->ops->residency(run->subject, lease->slot, offset, 1, &page) == 0 &&
        (page & (RIG_PAGE_PRESENT | RIG_PAGE_FILE)) == RIG_PAGE_PRESENT)
        rig_diverge(run, "mapping", "image",
                    "the image's page at offset %ju is a private copy before anybody wrote to it", (uintmax_t)offset);
}

/* All that a guest can name, its slot and the guards around it, is the subject's, and in no other instance's slot. */
static void check_base(struct rig_run *run, const struct rig_lease *lease)
{
    const uintptr_t base = (uintptr_t)lease->base;
    uintptr_t begin = 0;
    size_t length_bytes = 0;
    if (!run->ops->range)
        return;
    run->ops->range(run->subject, &begin, &length_bytes);
    if (base - begin < run->guard_bytes || base - begin + run->stride_bytes > length_bytes)
        rig_diverge(run, "base", "outside", "the slot and its guards reach out of the %zu bytes that the pool reserved",
                    length_bytes);
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++) {
        const struct rig_lease *other = &run->registers[i].held[0];
        const uintptr_t other_base = (uintptr_t)other->base;
        if (other->model && (base < other_base ? other_base - base : base - other_base) < run->stride_bytes)
            rig_diverge(run, "base", "overlap", "the memory begins within the slot of the one that i%u holds", i);
    }
}

void rig_place_lease(struct rig_run *run, const struct rig_lease *lease)
{
    const uint64_t paved_bytes = ref_accessible_of(&run->model, lease->model->initial_bytes);
    const uint32_t image_generation = lease->image.subject ? lease->image.generation : 0;
    struct rig_slot *slot = &run->slots[lease->slot];
    const char *better = run->ops->promises_placement ? check_choice(run, slot, image_generation, paved_bytes) : NULL;
    if (better) {
        rig_diverge(run, "placement", better,
                    "slot %u was chosen, against the promised order (warm, bare, cleaned, longest idle, retired)",
                    lease->slot);
        return;
    }
    const bool was_warm = is_warm(slot, image_generation, paved_bytes);
    run->counted.n_instantiations++;
    run->counted.n_warm += was_warm;
    run->counted.n_repaved += slot->state == RIG_SLOT_RETIRED;
    if (!was_warm) {
        unmap_image(run, slot);
        expect_paving(run, lease, paved_bytes, slot);
    }
    *slot = (struct rig_slot){
        .state = RIG_SLOT_LIVE,
        .was_warm = was_warm,
        .image_generation = image_generation,
        .image_has_file = lease->image.subject && lease->image.model->n_runs,
        .paved_bytes = paved_bytes,
        .keeps_pages = was_warm && slot->keeps_pages,
        .kept_bytes = was_warm ? slot->kept_bytes : 0,
        .history = was_warm ? slot->history : (struct rig_history){.n_leases = 0},
        .window_bytes = keeps_rest(slot, paved_bytes) ? slot->window_bytes : window_of(run, lease->slot, paved_bytes),
    };
    check_base(run, lease);
    check_mapping(run, lease);
}

void rig_place_retired(struct rig_run *run, uint32_t slot, enum rig_slot_state state)
{
    struct rig_slot *it = &run->slots[slot];
    unmap_image(run, it);
    it->paved_bytes = it->window_bytes = 0;
    it->state = state;
    run->model.n_slots -= state == RIG_SLOT_LOST;
}

/* Whether a slot can be lent for this image and E without what waits being cleaned. */
static bool has_ready(const struct rig_run *run, uint32_t image_generation, uint64_t paved_bytes)
{
    bool has = has_warm_enough(run);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        has = has || run->slots[i].state == RIG_SLOT_BARE || is_warm(&run->slots[i], image_generation, paved_bytes);
    return has;
}

uint32_t rig_expect_lease(struct rig_run *run, uint32_t image_generation, uint64_t paved_bytes)
{
    if (!run->ops->promises_placement || has_ready(run, image_generation, paved_bytes))
        return 0;
    return rig_expect_cleaning(run);
}

void rig_place_release(struct rig_run *run, const struct rig_lease *lease)
{
    struct rig_slot *slot = &run->slots[lease->slot];
    slot->state = RIG_SLOT_IDLE;
    slot->idle_since = ++run->clock;
    slot->accessible_bytes = ref_accessible_bytes(lease->model);
    slot->reached_bytes = lease->peak_bytes;
}
