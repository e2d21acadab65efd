/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Slots that wait to be cleaned together: one flush of the TLB for all of them, where each by itself would interrupt every other
 * processor. Whoever needs a slot that is not warm, or puts the last one in that the queue has room for, does the work. */
#ifndef COW_QUEUE_H
#define COW_QUEUE_H

#include "pool.h"

/* Cleans all that wait in the shard. The first errno: the slot concerned is retired. */
int cow_queue_flush(struct cow_pool *pool, struct cow_shard *shard);
/* Idle slots of the shard let go of pages until all together keep at most so many bytes. The first errno, likewise. */
int cow_queue_trim(struct cow_pool *pool, struct cow_shard *shard, uint64_t most_bytes);
/* A slot was put that may have filled the queue, or keep more memory than it should: that is seen to. */
int cow_queue_see_to(struct cow_pool *pool, struct cow_shard *shard);

#endif
