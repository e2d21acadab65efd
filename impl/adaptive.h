/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Whether a slot should keep its private pages and have the image copied back into them, or let them go: a pure function of counters.
 *
 * A page that is kept costs one copy in every lease, whether the guest writes to it or not; a page that is let go costs a fault in
 * the next lease that writes to it. Only leases that find the pages kept can be counted: how many private pages there are is
 * seen each time, how many of them differ from the image only by comparing, which is done every few leases.
 * So, as with skis that are rented until the rent is what they cost: copies of pages that did not need it add up, until they have
 * cost as much as the faults of those that did would; then all are let go, and the next lease shows which are needed. A slot whose
 * pages were kept in vain, several times in a row, is waited for less and less: tenants write to other pages each time.
 * The costs are constants, in nanoseconds, of the order that `make bench` shows for the floor, scan+memcpy and madvise+mprotect: their
 * ratios matter, and clocks would make the same calls behave differently each time. */
#ifndef COW_ADAPTIVE_H
#define COW_ADAPTIVE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    COW_COST_SCAN = 1100,  /* finding private pages */
    COW_COST_COPY = 160,   /* of a page, finding it included */
    COW_COST_WHOLE = 100,  /* of a page, when all of them are copied and nobody looks for them */
    COW_COST_COMPARE = 76, /* of a page that does not differ */
    COW_COST_DROP = 1000,  /* letting go: one call for many slots, and its share of what that does to other threads */
    COW_COST_FAULT = 1950, /* of a page that was let go: the write fault, and its share of being unmapped */
    COW_AUDIT_EVERY = 8,   /* leases, of which one is compared */
    COW_PATIENCE = 4,      /* leases whose faults are borne as waste; half as many each time pages were kept in vain */
    COW_MOST_IN_VAIN = 3,  /* then none are */
    COW_WHOLE_BUT = 8,     /* a slot that keeps all but an eighth of its pages is copied whole */
};

/* Of one slot, since its pages were let go. All zero: it has none, and never had. */
struct cow_history {
    uint32_t n_leases;
    uint64_t n_private; /* pages that the last lease left behind */
    uint64_t n_hot;     /* how many of them a lease changes, as far as is known */
    uint64_t n_most;    /* and has changed at most */
    uint64_t n_spared;  /* page faults that did not happen, since the pages were there */
    uint64_t wasted;    /* on copies of other pages */
    uint32_t n_in_vain; /* how often, by now, they had spared less than half of their cost; not forgotten with them */
};

/* Their pages were let go. */
static inline void cow_history_forget(struct cow_history *history)
{
    *history = (struct cow_history){.n_in_vain = history->n_in_vain};
}

/* What was done about the pages of a lease. */
struct cow_copies {
    uint64_t n_private;   /* pages that were found; all of them, if nobody looked */
    uint64_t n_differing; /* from the image, if they were compared */
    bool is_whole;        /* nobody looked */
    bool is_audit;        /* they were compared */
};

/* Whether the lease that ends now is to be compared. */
static inline bool cow_history_is_audit(const struct cow_history *history)
{
    return history->n_leases % COW_AUDIT_EVERY == COW_AUDIT_EVERY - 1;
}

/* A lease has ended. True: let the pages go; they are forgotten. */
bool cow_history_add(struct cow_history *history, const struct cow_copies *copies);

#endif
