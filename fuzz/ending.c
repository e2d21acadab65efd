/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The end of a program: what must hold once, whole. Images are unchanged; every slot, leased again with what it maps and then
 * with nothing, grown to the maximum, holds no byte of anybody; and everything is given back. */
#include "kernel_view.h"
#include "state.h"

#include <string.h>
#include <sys/mman.h>

void rig_check_image(struct rig_run *run, const struct rig_image *image, uint64_t offset, uint64_t n_bytes)
{
    const struct ref_image *model = image->model;
    const uint64_t left = model->extent_bytes - offset, n = left < n_bytes ? left : n_bytes;
    uint8_t *bytes = rig_buffer(run, n);
    const int result = run->ops->read_image(run->subject, image->subject, offset, bytes, n);
    if (result && run->options->foreign_faults)
        return;
    if (result || memcmp(bytes, model->bytes + offset, n) != 0)
        rig_diverge(run, "image", "changed", "an image's file no longer holds its bytes, at or after offset %ju",
                    (uintmax_t)offset);
}

static void check_whole_image(struct rig_run *run, const struct rig_image *image)
{
    enum { PIECE = 1 << 16 };
    for (uint64_t offset = 0; offset < image->model->extent_bytes && !run->failed; offset += PIECE)
        rig_check_image(run, image, offset, PIECE);
}

static void release_all(struct rig_run *run)
{
    for (uint32_t i = 0; i < RIG_N_REGISTERS && !run->failed; i++)
        if (run->registers[i].held[0].model)
            (void)rig_release(run, &run->registers[i].held[0]);
}

/* ---- the sweep ---- */

static uint64_t largest_length(const struct rig_run *run)
{
    return run->geometry.max_bytes / run->geometry.unit_bytes * run->geometry.unit_bytes;
}

static const struct rig_image *image_of(const struct rig_run *run, uint32_t generation)
{
    for (uint32_t i = 0; i < RIG_N_IMAGES && generation; i++)
        if (run->images[i].subject && run->images[i].generation == generation)
            return &run->images[i];
    return NULL;
}

/* Leases some slot for this image, with E as the slot has it, and compares all of it. */
static struct rig_lease *sweep_lease(struct rig_run *run, struct rig_register *reg, const struct rig_image *image,
                                     uint64_t paved_bytes)
{
    static const struct rig_image none;
    const uint64_t unit_bytes = run->geometry.unit_bytes;
    uint64_t initial_bytes = paved_bytes / unit_bytes * unit_bytes;
    if (image && image->model->extent_bytes > initial_bytes) /* the unit is no divisor of the host page */
        initial_bytes = (image->model->extent_bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
    if (initial_bytes > largest_length(run))
        initial_bytes = largest_length(run);
    const struct rig_outcome outcome = rig_lend(run, reg, image ? image : &none, initial_bytes, largest_length(run));
    if (outcome.kind != RIG_OUTCOME_OK || run->failed)
        return NULL;
    rig_compare_lease(run, &reg->held[0], RIG_OBSERVE_FULL);
    return &reg->held[0];
}

/* Something for the next lease to find, where the first part ends and where the last one does. */
static void sweep_dirty(struct rig_run *run, struct rig_lease *lease)
{
    const struct ref_memory *model = lease->model;
    if (model->initial_bytes && !run->failed)
        rig_write_stamps(run, lease, model->initial_bytes - 1, 1);
    if (model->length_bytes > model->initial_bytes && !run->failed)
        rig_write_stamps(run, lease, model->length_bytes - 1, 1);
}

/* To the end of the slot; the tail is compared without touching it, which would make the file as large. */
static void sweep_tail(struct rig_run *run, struct rig_lease *lease)
{
    const uint64_t room = largest_length(run) - lease->model->length_bytes;
    if (room == 0 || largest_length(run) > RIG_MAX_LENGTH_BYTES || run->failed)
        return;
    (void)rig_grow(run, lease, room);
    if (!run->failed)
        rig_compare_lease(run, lease, RIG_OBSERVE_QUIET);
}

/* Every slot at once, so that each is leased: first with what it is warm for, and made dirty; then with nothing at all. */
static void sweep(struct rig_run *run)
{
    struct rig_register *registers = run->registers; /* all are released; what is held here is freed whatever happens */
    _Static_assert(RIG_N_REGISTERS >= RIG_MAX_SLOTS, "a register for each slot");
    for (int round = 0; round < 2 && !run->failed; round++) {
        for (uint32_t i = 0; i < run->geometry.n_slots && !run->failed; i++) {
            const struct rig_slot *slot = &run->slots[i];
            const struct rig_image *image = round == 0 ? image_of(run, slot->image_generation) : NULL;
            struct rig_lease *lease = sweep_lease(run, &registers[i], image, slot->paved_bytes);
            if (lease)
                sweep_tail(run, lease);
            if (lease && round == 0)
                sweep_dirty(run, lease);
        }
        for (uint32_t i = 0; i < run->geometry.n_slots && !run->failed; i++)
            if (registers[i].held[0].model)
                (void)rig_release(run, &registers[i].held[0]);
    }
}

/* ---- giving back ---- */

static void check_unmapped(struct rig_run *run, uintptr_t begin, uintptr_t end)
{
    struct rig_vma vma;
    if (begin < end && rig_kernel_vma(begin, &vma) && vma.begin < end)
        rig_diverge(run, "leak", "mapping", "after closing, %ju bytes of the reservation are still mapped",
                    (uintmax_t)(vma.end < end ? vma.end : end) - (vma.begin > begin ? vma.begin : begin));
}

/* A slot that is lost may have become somebody else's: what is mapped there must stay. Here it is nobody's, and goes now. */
static void check_kept(struct rig_run *run, uintptr_t begin, uintptr_t end)
{
    struct rig_vma vma = {.end = begin};
    while (vma.end < end && rig_kernel_vma(vma.end, &vma) && vma.begin <= begin)
        begin = vma.end;
    if (begin < end)
        rig_diverge(run, "leak", "unmapped", "closing has unmapped a slot that may be somebody else's");
    else
        munmap((void *)(end - run->capacity_bytes), run->capacity_bytes);
}

/* An image that nobody drops goes with its pool. */
static void leave_an_image(struct rig_run *run)
{
    static const struct cow_segment data = {0, "\1", 1};
    void *image;
    if (rig_is_real(run) && run->geometry.max_bytes)
        (void)rig_same_result(run, COW_OK, run->ops->image_create(run->subject, 1, &data, 1, &image));
}

static void close_subject(struct rig_run *run)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    if (run->ops->range)
        run->ops->range(run->subject, &base, &length_bytes);
    leave_an_image(run);
    if (run->failed || !rig_same_result(run, COW_OK, run->ops->close(run->subject)))
        return;
    run->subject = NULL;
    if (run->options->foreign_faults) /* an munmap may have failed, too */
        return;
    const uintptr_t end = base + length_bytes;
    for (uint32_t i = 0; i < run->geometry.n_slots && length_bytes && run->capacity_bytes; i++) {
        const uintptr_t slot = end - (run->geometry.n_slots - i) * run->stride_bytes;
        if (run->slots[i].state != RIG_SLOT_LOST)
            continue;
        check_unmapped(run, base, slot);
        check_kept(run, slot, slot + run->capacity_bytes);
        base = slot + run->capacity_bytes;
    }
    check_unmapped(run, base, end);
}

static void give_back(struct rig_run *run)
{
    const char *broken = NULL;
    for (uint32_t i = 0; i < RIG_N_IMAGES; i++)
        if (run->images[i].subject)
            rig_drop(run, &run->images[i]);
    rig_flush(run, false);
    rig_check_calls(run);
    rig_check_statistics(run);
    if (!run->failed && run->ops->residue && (broken = run->ops->residue(run->subject)))
        rig_diverge(run, "leak", "residue", "%s", broken);
    if (!run->failed && run->ops->check && (broken = run->ops->check(run->subject)))
        rig_diverge(run, "invariant", "end", "%s", broken);
    if (!run->failed)
        close_subject(run);
}

void rig_end(struct rig_run *run)
{
    if (run->kernel) { /* from here on nothing fails: what failures have left behind must show */
        rig_faulty_disarm(run->kernel);
        rig_faulty_begin(run->kernel);
    }
    rig_observe(run, RIG_OBSERVE_FULL);
    for (uint32_t i = 0; i < RIG_N_IMAGES && !run->failed && run->ops->read_image; i++)
        if (run->images[i].subject)
            check_whole_image(run, &run->images[i]);
    rig_check_kernel_whole(run);
    rig_ask_a_neighbour(run);
    if (!run->failed && rig_is_real(run) && run->model.n_live)
        (void)rig_same_result(run, COW_BUSY, run->ops->close(run->subject));
    if (!run->failed)
        release_all(run);
    rig_close_pins(run);
    rig_check_calls(run);
    rig_check_discards(run);
    if (!run->failed && run->program->world.sweep)
        sweep(run);
    rig_check_calls(run);
    if (!run->failed)
        give_back(run);
}
