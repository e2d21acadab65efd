/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "fork.h"

#include "lock.h"

#include <errno.h>

/* Outermost lock: pthread_atfork's prepare handler takes it, so that the list is whole in the child. */
static pthread_mutex_t cow_fork_lock = COW_LOCK_FREE;
static const pthread_mutex_t cow_fork_unlocked = COW_LOCK_FREE;
static struct cow_pool *cow_fork_pools;
/* Paving is reading, forking is writing; a fork goes first, or a busy pool would keep it waiting. */
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
static const pthread_rwlock_t cow_fork_unheld = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
#else
static const pthread_rwlock_t cow_fork_unheld = PTHREAD_RWLOCK_INITIALIZER;
#endif
static pthread_rwlock_t cow_fork_paving; /* cow_fork_unheld, written under cow_fork_once and in children */
static pthread_once_t cow_fork_once = PTHREAD_ONCE_INIT;
static int cow_fork_registered; /* pthread_atfork's result; written under cow_fork_once, then under cow_fork_lock */

void cow_fork_hold_off(void)
{
    COW_CHECK(
        !pthread_rwlock_rdlock(&cow_fork_paving)); /* EDEADLK: this thread has forked, and keeps others from paving */
}

void cow_fork_allow(void)
{
    pthread_rwlock_unlock(&cow_fork_paving);
}

static void before_fork(void)
{
    cow_lock(&cow_fork_lock);
    pthread_rwlock_wrlock(&cow_fork_paving);
}

static void after_fork_in_parent(void)
{
    pthread_rwlock_unlock(&cow_fork_paving);
    cow_unlock(&cow_fork_lock);
}

/* Occupies [at, at + bytes), but for what somebody has mapped there already: a fork handler that ran before this one, for
 * instance. Not MAP_FIXED, which would take it from him; halves where there is something, down to a host page. */
static void fill(struct cow_pool *pool, uint8_t *at, uint64_t bytes)
{
    const uint64_t page_bytes = pool->geometry.page_bytes;
    const uint64_t half_bytes = cow_round_up(bytes / 2, page_bytes);
    void *mapped;
    const int result = cow_sys_mmap(&pool->sys, at, bytes, COW_MAP_RESERVED, COW_WHERE_NOREPLACE, -1, 0, &mapped);
    if (result != -EEXIST || bytes == page_bytes)
        return;
    fill(pool, at, half_bytes);
    fill(pool, at + half_bytes, bytes - half_bytes);
}

static void seal_off(struct cow_pool *pool)
{
    const struct cow_geometry *geometry = &pool->geometry;
    cow_pool_close_files(pool);
    for (uint32_t i = 0; i < geometry->n_slots; i++) {
        struct cow_slot *slot = &pool->slots[i];
        /* A lost slot is what is left of a paved one: what it still maps is nobody's, and what it does not is a hole. */
        const bool may_have_holes = slot->state == COW_SLOT_IDLE || slot->state == COW_SLOT_QUEUED ||
                                    slot->state == COW_SLOT_LIVE || slot->has_hole;
        cow_slot_close(slot, &pool->sys);
        if (may_have_holes &&
            geometry->capacity_bytes) /* bare and retired slots are inherited as they are: inaccessible */
            fill(pool, slot->base, geometry->capacity_bytes);
    }
}

static void after_fork_in_child(void)
{
    for (struct cow_pool *pool = cow_fork_pools; pool; pool = pool->next)
        seal_off(pool);
    /* No unlocks: glibc knows who holds them by his thread's number, and that is another one here. */
    cow_fork_paving = cow_fork_unheld;
    cow_fork_lock = cow_fork_unlocked;
}

static void register_handlers(void)
{
    cow_fork_paving = cow_fork_unheld;
    cow_fork_registered = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int cow_fork_enroll(struct cow_pool *pool)
{
    pthread_once(&cow_fork_once, register_handlers);
    cow_lock(&cow_fork_lock);
    if (cow_fork_registered) /* there was no memory, and no pool since; now there may be some */
        register_handlers();
    const int result = cow_fork_registered;
    if (!result) {
        pool->next = cow_fork_pools;
        pool->link = &cow_fork_pools;
        if (cow_fork_pools)
            cow_fork_pools->link = &pool->next;
        cow_fork_pools = pool;
    }
    cow_unlock(&cow_fork_lock);
    return result;
}

void cow_fork_withdraw(struct cow_pool *pool)
{
    cow_lock(&cow_fork_lock);
    *pool->link = pool->next;
    if (pool->next)
        pool->next->link = pool->link;
    cow_unlock(&cow_fork_lock);
}
