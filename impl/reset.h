/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How a slot becomes equal to its image again. The one way so far is `discard`:
 *
 *     truncate     madvise [0, E)             then, only if the memory grew:    ftruncate to 0
 *     protect      madvise [0, accessible)                                      mprotect [E, accessible)
 *     guard        madvise [0, E)                                               madvise (guard markers) [E, accessible)
 *
 * Private pages go; the next access sees the image's bytes, or zero. */
#ifndef COW_RESET_H
#define COW_RESET_H

#include "slot.h"

/* Makes (S1) true for the contents. On an error they are unknown. */
int cow_reset_discard(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);

#endif
