/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How the accessible end of a slot moves. The one mode so far is `truncate`: the part past E is a shared mapping of a file
 * of the slot's own, mapped once and longer than the file; its end is the accessible end, and an access past it raises
 * SIGBUS (mmap(2)). No call here takes the address-space lock for writing once the slot is paved.
 * Names follow slot.h. */
#ifndef COW_GROWTH_H
#define COW_GROWTH_H

#include "slot.h"

/* Maps [paved_bytes, capacity). */
int cow_growth_map(const struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);
/* Moves the accessible end to E + extension_bytes; no call if it is there. On an error nothing has changed. */
int cow_growth_move(struct cow_slot *slot, struct cow_sys *sys, uint64_t extension_bytes);

#endif
