/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "adaptive.h"

bool cow_history_add(struct cow_history *history, uint64_t n_private, bool was_compared, uint64_t n_differing)
{
    if (was_compared)
        history->n_hot = n_differing;
    else if (history->n_leases == 0) /* after nothing, all that is there is needed */
        history->n_hot = n_private;
    history->n_leases++;
    if (n_private > history->n_hot)
        history->wasted += (n_private - history->n_hot) * COW_COST_COPY;
    if (history->wasted <= history->n_hot * COW_COST_FAULT + COW_COST_DROP)
        return false;
    *history = (struct cow_history){.n_leases = 0};
    return true;
}
