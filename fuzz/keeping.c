/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Which pages a slot keeps behind its tenant, and whether an adaptive pool was right to keep them: the account of adaptive.h, done once
 * more, with what the kernel told the pool and with the rig's own look at those pages before the image was copied over them. */
#include "state.h"

#include <string.h>

enum {
    COPY = 160,
    WHOLE = 100,
    COMPARE = 76,
    DROP = 1000,
    FAULT = 1950,
    LEASES = 8
}; /* as in adaptive.h: costs, and how many for one comparison */

static bool is_as_image(const struct ref_image *image, uint64_t offset, const uint8_t *page, uint64_t page_bytes)
{
    for (uint64_t i = 0; i < page_bytes; i++)
        if (page[i] != (image && offset + i < image->extent_bytes ? image->bytes[offset + i] : 0))
            return false;
    return true;
}

/* The kernel tells of a page, or it is copied over without asking. */
static void see(void *context, const uint8_t *page)
{
    struct rig_run *run = context;
    const uint64_t offset = (uintptr_t)page - rig_slot_base(run, run->scanned.slot);
    run->scanned.n_private++;
    run->scanned.n_differing +=
        !is_as_image(rig_mapped_image(run, run->scanned.slot), offset, page, run->geometry.page_bytes);
}

void rig_begin_scans(struct rig_run *run, uint32_t slot)
{
    const struct rig_slot *it = &run->slots[slot];
    const bool is_small = it->paved_bytes <= run->geometry.whole_bytes, /* which is never weighed */
        is_nearly_all = it->kept_bytes * 8 >= it->paved_bytes * 7;
    const uint64_t page_bytes = run->geometry.page_bytes;
    run->scanned.slot = slot;
    run->scanned.n_private = run->scanned.n_differing = 0;
    run->scanned.is_whole = rig_copies_back(run) && (is_small || is_nearly_all);
    if (is_small)
        run->scanned.n_private = it->paved_bytes / page_bytes;
    for (uint64_t at = 0; run->scanned.is_whole && !is_small && at < it->paved_bytes; at += page_bytes)
        see(run, (const uint8_t *)rig_slot_base(run, slot) + at);
    if (run->kernel) {
        run->kernel->see_page = see;
        run->kernel->context = run;
    }
}

void rig_end_scans(struct rig_run *run)
{
    if (run->kernel)
        run->kernel->see_page = NULL;
    run->slots[run->scanned.slot].kept_bytes = run->scanned.n_private * run->geometry.page_bytes;
}

/* Pages that are kept and were not needed cost a copy each; as soon as that comes to more than the faults would of those that were,
 * letting go had been better. */
bool rig_lets_go(const struct rig_run *run, struct rig_history *history)
{
    const uint64_t n = run->scanned.n_private;
    const uint64_t n_new = n > history->n_private && !run->scanned.is_whole ? n - history->n_private : 0;
    const uint64_t cost = run->scanned.is_whole ? WHOLE : COPY;
    if (++history->n_leases % LEASES == 0) {
        const uint64_t n_hot = run->scanned.n_differing;
        history->wasted += (n - n_hot) * COMPARE;
        if (history->n_hot >
            n_hot) /* the leases since the last comparison were like this one, and were taken to be like that one */
            history->wasted += (history->n_hot - n_hot) * (LEASES - 1) * cost;
        history->n_hot = n_hot;
    } else if (history->n_hot < n_new) {
        history->n_hot = n_new;
    }
    if (history->n_most < history->n_hot)
        history->n_most = history->n_hot;
    history->n_private = n;
    history->wasted += n > history->n_hot ? (n - history->n_hot) * cost : 0;
    history->n_spared += history->n_hot > n_new ? history->n_hot - n_new : 0;
    static const uint64_t patience[] = {4, 2, 1, 0};
    const uint64_t n_faults = patience[history->n_in_vain] * history->n_most + history->n_spared;
    if (history->wasted <= (n_faults < n ? n_faults : n) * FAULT + DROP)
        return false;
    if (history->n_spared * FAULT >= history->wasted / 2) /* it was worth trying, and will be again */
        history->n_in_vain = 0;
    else
        history->n_in_vain += history->n_in_vain < 3;
    return true;
}
