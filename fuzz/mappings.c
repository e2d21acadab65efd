/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What must be mapped in the subject's range, by the rig's own books, and what is.
 *
 *     a slot      | image: private file | zero: private anonymous ... E | extension                              | guard |
 *         truncate                                                       | a shared file, from its begin           |
 *         protect                                                        | private anonymous: open, then nothing   |
 *         guard                                                          | the same, and open as far as the window |
 *     bare, retired | nothing that could be accessed                                                               | guard |
 *
 * The range of a subject that is laid out like the pool: a page of its own, a guard, and slot after slot up to the end. */
#include "kernel_view.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- images: where their data must be mapped, from the operations that made them ---- */

struct rig_layout {
    struct rig_layout *next;
    uint32_t generation, n_runs;
    const struct ref_image *model;
    uint64_t inode;
    struct {
        uint64_t begin, end, file_offset;
    } runs[COW_IMAGE_MAX_RUNS];
};

static void mark_pages(const struct rig_image *image, uint64_t page_bytes, uint8_t *has_data)
{
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const struct cow_segment *segment = &image->segments[i];
        const uint64_t end = segment->offset_bytes + segment->length_bytes;
        for (uint64_t page = segment->offset_bytes / page_bytes; segment->length_bytes && page * page_bytes < end;
             page++)
            has_data[page] = 1;
    }
}

/* Our own copy holds the runs one behind the other; of somebody's file each byte is where it was. */
static void lay_out(struct rig_run *run, const struct rig_image *image, bool is_copy, struct rig_layout *layout)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    const uint64_t n_pages = (image->model->extent_bytes + page_bytes - 1) / page_bytes;
    uint8_t *has_data = rig_buffer(run, n_pages);
    uint64_t file_bytes = 0;
    memset(has_data, 0, n_pages);
    mark_pages(image, page_bytes, has_data);
    for (uint64_t at = 0; at < n_pages * page_bytes; at += page_bytes) {
        const uint64_t end = layout->n_runs ? layout->runs[layout->n_runs - 1].end : 0;
        if (!has_data[at / page_bytes])
            continue;
        if ((layout->n_runs == 0 || at > end + run->geometry.join_bytes) && layout->n_runs < COW_IMAGE_MAX_RUNS)
            layout->runs[layout->n_runs++].begin = at;
        layout->runs[layout->n_runs - 1].end = at + page_bytes;
    }
    for (uint32_t i = 0; i < layout->n_runs; i++) {
        layout->runs[i].file_offset =
            is_copy ? file_bytes
                    : image->file->range.file_offset_bytes + (layout->runs[i].begin - image->file->range.offset_bytes);
        file_bytes += layout->runs[i].end - layout->runs[i].begin;
    }
}

void rig_note_image(struct rig_run *run, const struct rig_image *image)
{
    const bool is_copy = !image->is_of_file || image->is_copied || !run->ops->image_from_file;
    struct stat status = {.st_ino = 0};
    struct rig_layout *layout = rig_allocate(run, sizeof *layout);
    layout->next = run->layouts;
    layout->generation = image->generation;
    layout->model = image->model;
    lay_out(run, image, is_copy, layout);
    run->layouts = layout;
    run->n_mapped_bytes += (int64_t)rig_view_bytes(run, image->generation);
    if (!rig_is_real(run))
        return;
    const int fd = is_copy ? run->ops->image_file(run->subject, image->subject) : image->file->range.fd;
    (void)fstat(fd, &status); /* no file, then no inode is the right one */
    layout->inode = status.st_ino;
}

static const struct rig_layout *layout_of(const struct rig_run *run, uint32_t image_generation)
{
    const struct rig_layout *layout = run->layouts;
    while (layout && layout->generation != image_generation)
        layout = layout->next;
    return layout;
}

uint64_t rig_view_bytes(const struct rig_run *run, uint32_t image_generation)
{
    const struct rig_layout *layout = layout_of(run, image_generation);
    if (!rig_copies_back(run) || !layout || layout->n_runs == 0)
        return 0;
    const uint64_t last_bytes = layout->runs[layout->n_runs - 1].end - layout->runs[layout->n_runs - 1].begin;
    return layout->runs[layout->n_runs - 1].file_offset + last_bytes - layout->runs[0].file_offset;
}

const struct ref_image *rig_mapped_image(const struct rig_run *run, uint32_t slot)
{
    const struct rig_layout *layout = layout_of(run, run->slots[slot].image_generation);
    return layout ? layout->model : NULL;
}

/* ---- what must be mapped ---- */

enum backing { NOTHING, ZERO, IMAGE, EXTENSION };

struct part {
    struct rig_vma vma;
    const char *place; /* for the stable line; NULL: anybody may have mapped something there */
    uint32_t slot;
};

enum { MAX_PARTS = 2 + RIG_MAX_SLOTS * (2 * COW_IMAGE_MAX_RUNS + 3) };

/* The parts of one stretch of addresses, without gaps, and a walk along it. */
struct plan {
    struct rig_run *run;
    struct part parts[MAX_PARTS];
    size_t n_parts;
    uintptr_t begin, end;
    unsigned known_flags;    /* the flags that are looked at */
    const struct part *next; /* the walk has come to this part, and to this address in it */
    uintptr_t at;
};

static struct plan *begin_plan(struct rig_run *run, uintptr_t begin, enum rig_walk how)
{
    static struct plan plan; /* large */
    plan.run = run;
    plan.n_parts = 0;
    plan.begin = plan.end = plan.at = begin;
    plan.known_flags = how == RIG_WALK_FLAGS ? rig_kernel_known_flags() : 0;
    plan.next = plan.parts;
    return &plan;
}

static struct rig_vma *add(struct plan *plan, uint32_t slot, enum backing what, const char *place, uint64_t n_bytes)
{
    enum { FLAGS = RIG_VMA_DONTFORK | RIG_VMA_DONTDUMP | RIG_VMA_NOHUGE };
    static const struct rig_vma kinds[] = {
        [NOTHING] = {.flags = 0},
        [ZERO] = {.readable = true, .writable = true, .flags = FLAGS},
        [IMAGE] = {.readable = true, .writable = true, .file_backed = true, .flags = FLAGS},
        [EXTENSION] = {.readable = true, .writable = true, .shared = true, .file_backed = true, .flags = FLAGS},
    };
    struct part *part = &plan->parts[plan->n_parts];
    *part = (struct part){.vma = kinds[what], .place = place, .slot = slot};
    part->vma.begin = plan->end;
    part->vma.end = plan->end + n_bytes;
    part->vma.flags &= plan->known_flags;
    plan->n_parts += n_bytes > 0; /* else the next one takes its place */
    plan->end += n_bytes;
    return &part->vma;
}

/* A slot has one extension file, from the begin of the program to its end. */
static uint64_t extension_inode(struct rig_run *run, uint32_t slot)
{
    struct stat status = {.st_ino = 0};
    if (run->extension_inodes[slot] == 0 && fstat(run->ops->extension_file(run->subject, slot), &status) == 0)
        run->extension_inodes[slot] = status.st_ino;
    return run->extension_inodes[slot];
}

static void add_extension(struct plan *plan, uint32_t slot)
{
    const struct rig_run *run = plan->run;
    const uint64_t n_bytes = run->capacity_bytes - run->slots[slot].paved_bytes;
    if (run->geometry.growth == COW_GROWTH_TRUNCATE) {
        struct rig_vma *extension = add(plan, slot, EXTENSION, "extension", n_bytes);
        extension->inode = extension_inode(plan->run, slot);
        return;
    }
    uint64_t n_open = rig_extension_bytes(run, slot);
    if (n_open < run->slots[slot].window_bytes)
        n_open = run->slots[slot].window_bytes;
    (void)add(plan, slot, ZERO, "extension", n_open);
    /* It was open before, perhaps: then it has the flags of what can be. */
    (void)add(plan, slot, NOTHING, "extension", n_bytes - n_open);
}

static void add_paved(struct plan *plan, uint32_t slot)
{
    const struct rig_run *run = plan->run;
    const struct rig_layout *layout = layout_of(run, run->slots[slot].image_generation);
    uint64_t done = 0;
    for (uint32_t i = 0; layout && i < layout->n_runs; i++) {
        (void)add(plan, slot, ZERO, "zero", layout->runs[i].begin - done);
        struct rig_vma *image = add(plan, slot, IMAGE, "image", layout->runs[i].end - layout->runs[i].begin);
        image->inode = layout->inode;
        image->file_offset = layout->runs[i].file_offset;
        done = layout->runs[i].end;
    }
    (void)add(plan, slot, ZERO, "zero", run->slots[slot].paved_bytes - done);
    add_extension(plan, slot);
}

static void add_slot(struct plan *plan, uint32_t slot)
{
    const struct rig_run *run = plan->run;
    const enum rig_slot_state state = run->slots[slot].state;
    if (state == RIG_SLOT_IDLE || state == RIG_SLOT_QUEUED || state == RIG_SLOT_LIVE)
        add_paved(plan, slot);
    else
        (void)add(plan, slot, NOTHING, state == RIG_SLOT_LOST ? NULL : "bare", run->capacity_bytes);
    (void)add(plan, slot, NOTHING, "guard", run->stride_bytes - run->capacity_bytes);
}

/* ---- what is mapped ---- */

static uint64_t file_offset_at(const struct rig_vma *vma, uintptr_t at)
{
    return vma->file_offset + (at - vma->begin);
}

static bool fits(const struct rig_vma *wanted, uintptr_t at, const struct rig_vma *vma)
{
    return vma && vma->readable == wanted->readable && vma->writable == wanted->writable &&
           vma->shared == wanted->shared && vma->inode == wanted->inode &&
           (vma->inode == 0 || file_offset_at(vma, at) == file_offset_at(wanted, at));
}

static void print_vma(FILE *out, const struct rig_vma *vma, uintptr_t at)
{
    if (!vma) {
        fputs("nothing at all", out);
        return;
    }
    fprintf(out, "%s%s %s %s", vma->readable ? "r" : "-", vma->writable ? "w" : "-", vma->shared ? "shared" : "private",
            vma->file_backed ? "file" : "anonymous");
    if (vma->file_backed)
        fprintf(out, " (inode %ju, from byte %ju)", (uintmax_t)vma->inode, (uintmax_t)file_offset_at(vma, at));
}

/* missing_flag: NULL when it is the mapping itself that is wrong. */
static void suspect(const struct plan *plan, const struct rig_vma *vma, const char *missing_flag)
{
    const struct part *part = plan->next;
    const int64_t offset = (int64_t)(plan->at - rig_slot_base(plan->run, part->slot));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    fprintf(out, "slot %u, %s at offset %jd: ", part->slot, part->place, (intmax_t)offset);
    print_vma(out, vma, plan->at);
    fprintf(out, missing_flag ? " is mapped, without %s" : " is mapped, where there must be%s",
            missing_flag ? missing_flag : " ");
    if (!missing_flag)
        print_vma(out, &part->vma, plan->at);
    if (plan->run->ops->describe) {
        fputs("\n\nwhere it lies:\n", out);
        plan->run->ops->describe(plan->run->subject, part->slot, (uint64_t)offset, out);
    }
    fclose(out);
    if (missing_flag)
        rig_suspect(plan->run, "flags", missing_flag, "%s", text);
    else
        rig_suspect(plan->run, "mapping", part->place, "%s", text);
    free(text);
}

static const char *name_of_lowest(unsigned flags)
{
    static const char *const names[] = {"dontfork", "dontdump", "nohugepage", "wipeonfork"}; /* bit by bit */
    unsigned i = 0;
    while (!(flags >> i & 1))
        i++;
    return names[i];
}

/* Up to an address, this is mapped; NULL: nothing. */
static void compare(struct plan *plan, uintptr_t end, const struct rig_vma *vma)
{
    while (plan->at < end && plan->at < plan->end) {
        const struct rig_vma *wanted = &plan->next->vma;
        if (plan->next->place && !fits(wanted, plan->at, vma))
            suspect(plan, vma, NULL);
        else if (vma && wanted->flags & ~vma->flags)
            suspect(plan, vma, name_of_lowest(wanted->flags & ~vma->flags));
        plan->at = wanted->end < end ? wanted->end : end;
        plan->next += plan->at == wanted->end;
    }
}

static void see(void *context, const struct rig_vma *vma)
{
    struct plan *plan = context;
    compare(plan, vma->begin, NULL);
    compare(plan, vma->end, vma);
}

static void walk(struct plan *plan)
{
    const enum rig_walk how = plan->known_flags ? RIG_WALK_FLAGS : RIG_WALK_QUICK;
    rig_kernel_walk(plan->begin, plan->end, how, see, plan);
    compare(plan, plan->end, NULL);
}

/* ---- one slot, or everything ---- */

static uintptr_t find_range(const struct rig_run *run, uintptr_t *ret_end)
{
    uintptr_t begin = 0;
    size_t length_bytes = 0;
    run->ops->range(run->subject, &begin, &length_bytes);
    *ret_end = begin + length_bytes;
    return begin;
}

uintptr_t rig_slot_base(const struct rig_run *run, uint32_t slot)
{
    uintptr_t end;
    (void)find_range(run, &end);
    return end - (run->geometry.n_slots - slot) * run->stride_bytes;
}

void rig_check_mappings_of(struct rig_run *run, uint32_t slot, enum rig_walk how)
{
    struct plan *plan = begin_plan(run, rig_slot_base(run, slot), how);
    add_slot(plan, slot);
    walk(plan);
}

void rig_check_mappings(struct rig_run *run, enum rig_walk how)
{
    uintptr_t end;
    struct plan *plan = begin_plan(run, find_range(run, &end), how);
    add(plan, 0, ZERO, "cookie", run->geometry.page_bytes)->flags = RIG_VMA_WIPEONFORK & plan->known_flags;
    (void)add(plan, 0, NOTHING, "guard", rig_slot_base(run, 0) - plan->end);
    for (uint32_t i = 0; i < run->geometry.n_slots; i++)
        add_slot(plan, i);
    walk(plan);
}
