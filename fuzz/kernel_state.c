/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the kernel holds for the subject, against what it must hold by the rig's own books: mappings and their flags (mappings.c), what
 * tenants leave behind (residue.c), and here descriptors, extension files, and when all this is looked at: after operations one
 * slot in turn, at the end of the program everything. Nothing of it is a wrong byte yet; so it is a suspicion, which waits
 * for one. */
#include "kernel_view.h"
#include "state.h"

#include <sys/stat.h>

/* Unless the program says kernel=each: operations, of which one is followed by a look at the kernel. */
enum { EVERY = 16 };

bool rig_is_real(const struct rig_run *run)
{
    /* Where somebody makes calls of the process fail, the answers are worth nothing. */
    return run->ops->range && run->ops->image_file && run->ops->extension_file && run->subject &&
           !run->options->foreign_faults;
}

bool rig_is_idle(const struct rig_slot *slot)
{
    return slot->state == RIG_SLOT_IDLE;
}

/* ---- descriptors ---- */

/* Of images that are held, and of dropped ones that slots still map. */
static uint32_t count_image_files(const struct rig_run *run)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < RIG_N_IMAGES; i++)
        n += run->images[i].subject && run->images[i].model->n_runs;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        bool is_first = run->slots[i].image_is_dead && run->slots[i].image_has_file;
        for (uint32_t j = 0; j < i; j++)
            is_first = is_first && run->slots[j].image_generation != run->slots[i].image_generation;
        n += is_first;
    }
    return n;
}

static uint32_t count_own_files(const struct rig_run *run)
{
    uint32_t n = rig_count_pins(run) + (run->scratch_fd >= 0);
    for (const struct rig_file *file = run->files; file; file = file->next)
        n++;
    return n;
}

/* Each slot has an extension file, with growth=truncate. */
static uint32_t count_pool_files(const struct rig_run *run)
{
    return (run->geometry.growth == COW_GROWTH_TRUNCATE ? run->geometry.n_slots : 0) +
           (run->ops->n_own_files ? run->ops->n_own_files(run->subject) : 0);
}

static void check_descriptors(struct rig_run *run)
{
    const int expected =
        run->n_descriptors + (int)(count_pool_files(run) + count_image_files(run) + count_own_files(run));
    const int n = rig_kernel_n_descriptors();
    if (n != expected)
        rig_suspect(run, "leak", "descriptor",
                    "%d descriptors are open, and %d must be: %u of the pool, %u of images, %u of the rig", n, expected,
                    count_pool_files(run), count_image_files(run), count_own_files(run));
}

/* ---- extension files ---- */

uint64_t rig_extension_bytes(const struct rig_run *run, uint32_t slot)
{
    if (run->slots[slot].state == RIG_SLOT_QUEUED)
        return run->slots[slot].queued_bytes;
    for (uint32_t i = 0; i < RIG_N_REGISTERS; i++) {
        const struct rig_lease *lease = &run->registers[i].held[0];
        if (lease->model && lease->slot == slot)
            return ref_accessible_bytes(lease->model) - run->slots[slot].paved_bytes;
    }
    return 0;
}

void rig_check_extension(struct rig_run *run, uint32_t slot)
{
    const uint64_t expected = rig_extension_bytes(run, slot);
    const enum rig_slot_state state = run->slots[slot].state;
    struct stat status;
    if (state == RIG_SLOT_RETIRED || state == RIG_SLOT_LOST) /* whatever failed, the file may be longer than empty */
        return;
    if (!rig_is_real(run) || run->geometry.growth != COW_GROWTH_TRUNCATE ||
        fstat(run->ops->extension_file(run->subject, slot), &status))
        return;
    if (status.st_size && state != RIG_SLOT_LIVE && state != RIG_SLOT_QUEUED)
        rig_suspect(run, "residue", "extension", "slot %u is free, and its extension file has %jd bytes", slot,
                    (intmax_t)status.st_size);
    else if ((uint64_t)status.st_size != expected)
        rig_suspect(run, "extension", "length", "the extension file of slot %u has %jd bytes, not %ju", slot,
                    (intmax_t)status.st_size, (uintmax_t)expected);
    else if (expected == 0 && status.st_blocks)
        rig_suspect(run, "resident", "extension",
                    "the extension file of slot %u is empty, and holds %jd bytes of memory", slot,
                    (intmax_t)status.st_blocks * 512);
}

/* ---- when ---- */

static void check_slot(struct rig_run *run, uint32_t slot, enum rig_walk how)
{
    rig_check_mappings_of(run, slot, how);
    rig_check_extension(run, slot);
    rig_check_idle(run, slot);
}

static void check_one_image(struct rig_run *run, uint32_t number)
{
    enum { PIECE = 1 << 14 };
    const struct rig_image *image = &run->images[number % RIG_N_IMAGES];
    for (uint32_t i = 0; i < RIG_N_IMAGES && !image->subject; i++)
        image = &run->images[i];
    if (!image->subject || !run->ops->read_image)
        return;
    const uint64_t n_pieces = (image->model->extent_bytes + PIECE - 1) / PIECE;
    if (n_pieces)
        rig_check_image(run, image, number % n_pieces * PIECE, PIECE);
}

/* The operation has mapped the slot anew: its flags were lost with what was there before. To ask for them costs as much as all
 * other operations of a small program, so that is done now and then, and only of programs that say kernel=each. */
static bool is_mapped_anew(const struct rig_run *run, uint32_t slot)
{
    const struct rig_op *op = &run->program->ops[run->op];
    const struct rig_lease *lease = &run->registers[op->reg].held[0];
    return run->changed && (op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE) && lease->model &&
           lease->slot == slot && !run->slots[slot].was_warm;
}

void rig_check_kernel(struct rig_run *run)
{
    const bool each = run->program->world.kernel == RIG_KERNEL_EACH;
    if (run->failed || !rig_is_real(run) || (!each && run->op % EVERY != 7))
        return;
    const uint32_t point = each ? run->op : run->op / EVERY;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        const bool is_new = each && is_mapped_anew(run, i);
        if (is_new || i == point % run->geometry.n_slots)
            check_slot(run, i, is_new && point % 8 == 5 ? RIG_WALK_FLAGS : RIG_WALK_QUICK);
    }
    if (point % 4 == 1)
        check_descriptors(run);
    if (point % 2 == 0)
        check_one_image(run, point / 2);
}

void rig_check_kernel_whole(struct rig_run *run)
{
    const bool each = run->program->world.kernel == RIG_KERNEL_EACH;
    const char *broken;
    if (run->failed || !rig_is_real(run))
        return;
    rig_check_mappings(run, each ? RIG_WALK_FLAGS : RIG_WALK_QUICK);
    check_descriptors(run);
    if (run->ops->check && (broken = run->ops->check(run->subject)))
        rig_suspect(run, "invariant", "books", "%s", broken);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        rig_check_extension(run, i);
        rig_check_idle(run, i);
    }
}
