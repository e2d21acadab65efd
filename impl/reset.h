/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How a slot becomes equal to its image again. A lease leaves two things behind: private pages in [0, E), and what it grew into.
 *
 *     private pages    let go:        madvise [0, E), the next access sees the image's bytes, or zero
 *                      copied over:   from the image, all of a small memory, or of one that kept nearly all, else those that a scan of
 *                                    the page table finds
 *     grown part       truncate       ftruncate to 0
 *                      protect        madvise, then mprotect
 *                      guard          madvise (guard markers), which takes the pages along
 *
 *                 in place                            at release
 *     discard     let go                              let go
 *     copyback    copied                              copied
 *     deferred    let go                              queued: let go with many others, in one call of process_madvise
 *     adaptive    copied, or let go (adaptive.h)      copied, or queued; what has grown is queued, too, unless it is all
 *                                                     that is left to do, and much
 *
 * Copying falls back to letting go where it would not be sound, or not work: when the guest's memory was lent to kernel I/O
 * (cow_instance_taint_io()), when the image is a file that its owner may truncate, when page tables cannot be scanned. */
#ifndef COW_RESET_H
#define COW_RESET_H

#include "slot.h"

/* Makes (S1) true for the contents, now. On an error they are unknown. */
int cow_reset_now(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                  struct cow_sys *sys, enum cow_cleaned *ret_how);
/* The same at the end of a lease; or only as much of it as is not done better with other slots: see cow_reset_is_due(). */
int cow_reset_at_release(struct cow_slot *slot, const struct cow_geometry *geometry,
                         const struct cow_cleaning *cleaning, struct cow_sys *sys, enum cow_cleaned *ret_how);
/* Whether cow_reset_many() is still to come. */
static inline bool cow_reset_is_due(const struct cow_slot *slot)
{
    return slot->must_discard || slot->extension_bytes;
}
/* Lets go of everything. */
int cow_reset_discard(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);
/* Makes (S1) true for slots that were queued: together if possible, else each by itself. ret_results[i] is what became of slot i. */
void cow_reset_many(struct cow_slot *const *slots, uint32_t n_slots, const struct cow_geometry *geometry,
                    const struct cow_cleaning *cleaning, struct cow_sys *sys, int *ret_results);
#define COW_RESET_AT_ONCE 32 /* slots, for the line above */

#endif
