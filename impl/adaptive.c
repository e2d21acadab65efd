/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "adaptive.h"

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool cow_history_add(struct cow_history *history, const struct cow_copies *copies)
{
    const uint64_t n_private = copies->n_private, cost = copies->is_whole ? COW_COST_WHOLE : COW_COST_COPY;
    const uint64_t n_new = copies->is_whole ? 0 : n_private - lesser(n_private, history->n_private);
    if (copies->is_audit) { /* those since the last time were taken to be like that one, and are like this one by now */
        history->wasted += (n_private - lesser(n_private, copies->n_differing)) * COW_COST_COMPARE;
        if (copies->n_differing < history->n_hot)
            history->wasted += (history->n_hot - copies->n_differing) * cost * (COW_AUDIT_EVERY - 1);
        history->n_hot = copies->n_differing;
    } else { /* what was not there before, this lease has written to */
        history->n_hot = greater(history->n_hot, n_new);
    }
    history->n_most = greater(history->n_most, history->n_hot);
    history->n_private = n_private;
    history->n_leases++;
    if (n_private > history->n_hot)
        history->wasted += (n_private - history->n_hot) * cost;
    if (history->n_hot > n_new)
        history->n_spared += history->n_hot - n_new;
    /* What letting go would cost: the faults of some leases, and of as many pages as have been of use since, at most of all. */
    const uint64_t patience = COW_PATIENCE >> history->n_in_vain;
    const uint64_t n_faults = lesser(patience * history->n_most + history->n_spared, n_private);
    if (history->wasted <= n_faults * COW_COST_FAULT + COW_COST_DROP)
        return false;
    if (history->n_spared * COW_COST_FAULT >= history->wasted / 2)
        history->n_in_vain = 0;
    else if (history->n_in_vain < COW_MOST_IN_VAIN)
        history->n_in_vain++;
    cow_history_forget(history);
    return true;
}
