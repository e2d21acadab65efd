/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How a slot becomes equal to its image again. The one way so far is `discard`:
 *
 *     madvise(DONTNEED) over [0, E)      private pages go; the next access sees the image's bytes, or zero
 *     ftruncate(extension, 0)            only if the memory grew; the pages past E go, and access to them
 *
 * and nothing else: no mapping is made or removed, so the address-space lock is never taken for writing. */
#ifndef COW_RESET_H
#define COW_RESET_H

#include "slot.h"

/* Makes (S1) true for the contents. On an error they are unknown. */
int cow_reset_discard(struct cow_slot *slot, struct cow_sys *sys);

#endif
