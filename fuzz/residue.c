/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a tenant leaves behind. From its end on, until it is lent again, nobody touches a slot: so nothing of its initial part may be
 * resident, unless the image was copied back into it, and what is, or lies in the files behind it, must be the image and zeros. Looked at before anything is loaded. */
#include "kernel_view.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* ---- bytes ---- */

/* The first byte that is not the image's, or not zero behind it; n_bytes if all are right. */
static uint64_t find_wrong(const struct ref_image *image, uint64_t offset, const uint8_t *bytes, uint64_t n_bytes)
{
    const uint64_t left = image && offset < image->extent_bytes ? image->extent_bytes - offset : 0;
    uint64_t i = left < n_bytes ? left : n_bytes;
    if (i && memcmp(bytes, image->bytes + offset, i) != 0)
        i = 0;
    while (i < n_bytes && bytes[i] == (image && offset + i < image->extent_bytes ? image->bytes[offset + i] : 0))
        i++;
    return i;
}

static void suspect_residue(struct rig_run *run, uint32_t slot, const struct ref_image *image, uint64_t offset,
                            uint8_t byte)
{
    const bool in_image = image && offset < image->data_end_bytes;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    fprintf(out, "slot %u is free, and holds %02x at offset %ju (0x%jx), where %02x belongs\n\nwho wrote it:\n", slot,
            byte, (uintmax_t)offset, (uintmax_t)offset, in_image ? image->bytes[offset] : 0);
    rig_print_writers(out, run, slot, 0, offset, byte);
    if (run->ops->describe) {
        fputs("\nwhere it lies:\n", out);
        run->ops->describe(run->subject, slot, offset, out);
    }
    fclose(out);
    rig_suspect(run, "residue", in_image ? "image" : "zero", "%s", text);
    free(text);
}

static void compare(struct rig_run *run, uint32_t slot, uint64_t offset, const uint8_t *bytes, uint64_t n_bytes)
{
    const struct ref_image *image = rig_mapped_image(run, slot);
    const uint64_t i = find_wrong(image, offset, bytes, n_bytes);
    if (i < n_bytes)
        suspect_residue(run, slot, image, offset + i, bytes[i]);
}

/* Pages that are not resident are the file's, or zero. Of a large image a piece is looked at, in turn. */
static void compare_file(struct rig_run *run, uint32_t slot, uint64_t begin, uint64_t end)
{
    enum { PIECE = 1 << 14 };
    const struct ref_image *image = rig_mapped_image(run, slot);
    const uint64_t data_end = image ? image->data_end_bytes : 0;
    end = end < data_end ? end : data_end;
    if (begin >= end)
        return;
    begin += run->op % ((end - begin + PIECE - 1) / PIECE) * PIECE;
    const uint64_t n = end - begin < PIECE ? end - begin : PIECE;
    uint8_t *bytes = rig_buffer(run, n);
    if (run->ops->peek(run->subject, slot, begin, bytes, n) == 0)
        compare(run, slot, begin, bytes, n);
}

/* ---- pages ---- */

/* The lease of a slot that is not idle is compared in any case. */
static void compare_pages(struct rig_run *run, uint32_t slot, uint64_t begin, uint64_t end, bool is_present)
{
    if (!rig_is_idle(&run->slots[slot]))
        return;
    if (is_present) {
        rig_guest_watch(&run->landing, &run->fault);
        compare(run, slot, begin, (const uint8_t *)rig_slot_base(run, slot) + begin, end - begin);
        rig_guest_end_watch();
    } else if (run->ops->peek) {
        compare_file(run, slot, begin, end);
    }
}

static void check_initial_part(struct rig_run *run, uint32_t slot, uint64_t begin, uint64_t end)
{
    enum { N_PAGES = 512 };
    uint8_t resident[N_PAGES];
    const uint64_t page_bytes = run->geometry.page_bytes;
    uint64_t n_resident = 0;
    for (uint64_t offset = begin; offset < end; offset += N_PAGES * page_bytes) {
        const uint64_t left = (end - offset) / page_bytes, n_pages = left < N_PAGES ? left : N_PAGES;
        if (run->ops->residency(run->subject, slot, offset, n_pages, resident))
            return; /* the kernel does not tell */
        for (uint64_t first = 0, next; first < n_pages; first = next) {
            const bool is_present = resident[first] & RIG_PAGE_PRESENT;
            for (next = first + 1; next < n_pages && (resident[next] ^ resident[first]) % 2 == 0;)
                next++;
            compare_pages(run, slot, offset + first * page_bytes, offset + next * page_bytes, is_present);
            n_resident += is_present ? next - first : 0;
        }
    }
    if (n_resident && !run->slots[slot].keeps_pages)
        rig_suspect(run, "resident", "initial",
                    "slot %u was wiped, and nobody has touched it since, but %ju of its %ju pages from offset %ju on "
                    "are resident",
                    slot, (uintmax_t)n_resident, (uintmax_t)((end - begin) / page_bytes), (uintmax_t)begin);
}

/* What a tenant grew into, and was shut again: whatever is left there would be seen when it is opened. (Where there is a guard marker,
 * there is nothing else; probes look for the markers.) */
static void check_shut_part(struct rig_run *run, uint32_t slot, uint64_t begin, uint64_t end)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    uint8_t resident;
    for (uint64_t offset = begin; offset < end && !run->failed; offset += page_bytes)
        if (run->ops->residency(run->subject, slot, offset, 1, &resident) == 0 && (resident & RIG_PAGE_PRESENT)) {
            rig_suspect(run, "resident", "extension",
                        "slot %u is free, and a page of what its last tenant grew into is resident, at offset %ju",
                        slot, (uintmax_t)offset);
            return;
        }
}

/* ---- when ---- */

void rig_check_idle(struct rig_run *run, uint32_t slot)
{
    const struct rig_slot *it = &run->slots[slot];
    if (!run->ops->residency || !rig_is_idle(it))
        return;
    check_initial_part(run, slot, 0, it->paved_bytes);
    if (run->geometry.growth != COW_GROWTH_TRUNCATE)
        check_shut_part(run, slot, it->paved_bytes + it->window_bytes, it->reached_bytes);
}

/* In place. What the subject has made of the slack since is its own business. */
static void check_reset(struct rig_run *run, const struct rig_lease *lease)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    if (!run->ops->residency)
        return;
    check_initial_part(run, lease->slot, 0, lease->model->initial_bytes / page_bytes * page_bytes);
    check_initial_part(run, lease->slot, ref_slack_end_bytes(lease->model), run->slots[lease->slot].paved_bytes);
}

void rig_check_discards(struct rig_run *run)
{
    const bool is_due =
        run->program->world.kernel == RIG_KERNEL_EACH || run->op >= run->program->n_ops || run->op % 4 == 1;
    if (!is_due || !rig_is_real(run))
        run->discarded = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots && !run->failed; i++)
        if (run->discarded >> i & 1) {
            rig_check_extension(run, i);
            rig_check_idle(run, i);
        }
    for (uint32_t i = 0; i < RIG_N_REGISTERS && !run->failed; i++)
        if (run->registers[i].held[0].model && run->discarded >> run->registers[i].held[0].slot & 1)
            check_reset(run, &run->registers[i].held[0]);
    run->discarded = 0;
}
