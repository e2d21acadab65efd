/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What fork() does to a pool. The child must not share a tenant's memory with the parent: an extension file is shared, and a
 * truncate on one side would empty it on the other. So slots are not inherited (MADV_DONTFORK), which leaves holes in
 * the child's copy of the reservation; a handler that runs in the child before fork() returns there fills them with
 * inaccessible memory, and closes the extension descriptors. The cookie (P2) makes every later call a refusal. */
#ifndef COW_FORK_H
#define COW_FORK_H

#include "pool.h"

/* Puts the pool on the process's list. 0 or -ENOMEM. */
int cow_fork_enroll(struct cow_pool *pool);
void cow_fork_withdraw(struct cow_pool *pool);

/* Between these two no fork begins in this process: a slot that is being paved is mapped before it is marked DONTFORK, and a child
 * that came between would share the extension file. Held over kernel calls, by many threads at once; of the other locks only
 * the image set's is taken under it. */
void cow_fork_hold_off(void);
void cow_fork_allow(void);

#endif
