/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How the accessible end of a slot moves. What lies past it is inaccessible:
 *
 *                E                      accessible            capacity
 *     truncate   | extension file, shared | past its end: SIGBUS      |    one ftruncate
 *     protect    | read and write         | PROT_NONE                 |    one mprotect
 *     guard      | read and write         | guard markers | PROT_NONE |    one madvise, within the window
 *                |<-------- window -------------------->|
 *     software   E is the capacity: there is nothing past it                nothing
 *
 * truncate: the file is mapped once and longer than it is; no call takes the address-space lock for writing once the slot is
 * paved. guard: growth splits no mapping (madvise(2), MADV_GUARD_INSTALL); markers cost page table for each page, so
 * only a window has them, and the rest is as with protect, which is the same with no window at all. Names follow slot.h. */
#ifndef COW_GROWTH_H
#define COW_GROWTH_H

#include "slot.h"

/* How many bytes from the slot's base on are to be anonymous, read and write, before cow_growth_map(). */
uint64_t cow_growth_writable_bytes(const struct cow_slot *slot, const struct cow_geometry *geometry);
/* Makes [paved_bytes, capacity) inaccessible, and ready to be opened. Nobody uses the slot yet. */
int cow_growth_map(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);
/* Moves the accessible end up to E + extension_bytes; no call if it is there. On an error nothing has changed; or *ret_torn is set: some
 * of what is past the accessible end is open. */
int cow_growth_open(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys,
                    uint64_t extension_bytes, bool *ret_torn);
/* How many bytes from the slot's base on a reset must discard before cow_growth_close(), which takes care of the others. */
uint64_t cow_growth_kept_bytes(const struct cow_slot *slot, const struct cow_geometry *geometry);
/* Moves the accessible end back to E; no call if it is there. On an error it is anywhere. */
int cow_growth_close(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);
/* The same when the guard markers are back already. */
int cow_growth_close_rest(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);

#endif
