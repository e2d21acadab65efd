/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "shard.h"

#include "lock.h"

#include <errno.h>
#include <stdlib.h>

int cow_shard_init(struct cow_shard *shard, const struct cow_sys_table *table, uint32_t n_slots, uint32_t warm_slots)
{
    int result;
    *shard = (struct cow_shard){.n_buckets = 1, .warm_slots = warm_slots, .sys.table = table};
    while (shard->n_buckets < n_slots)
        shard->n_buckets *= 2;
    shard->buckets = calloc(shard->n_buckets, sizeof *shard->buckets);
    if (!shard->buckets)
        return -ENOMEM;
    result = cow_lock_init(&shard->lock);
    if (result)
        free(shard->buckets);
    return result;
}

void cow_shard_destroy(struct cow_shard *shard)
{
    free(shard->buckets);
    pthread_mutex_destroy(&shard->lock);
}

/* ---- lists and buckets; the lock is held ---- */

static void list_append(struct cow_slot_list *list, struct cow_slot *slot)
{
    slot->next = NULL;
    slot->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = slot;
    list->last = slot;
}

static void list_remove(struct cow_slot_list *list, struct cow_slot *slot)
{
    *(slot->previous ? &slot->previous->next : &list->first) = slot->next;
    *(slot->next ? &slot->next->previous : &list->last) = slot->previous;
}

static struct cow_slot **bucket_of(struct cow_shard *shard, const struct cow_image *image, uint64_t paved_bytes)
{
    /* Fibonacci hashing. By the image's number, not its address: the same calls take the same ways in every run. */
    const uint64_t mixed = ((image ? image->number << 33 : 0) ^ paved_bytes) * UINT64_C(0x9e3779b97f4a7c15);
    return &shard->buckets[(mixed >> 32) & (shard->n_buckets - 1)];
}

/* In front, or behind the first if it has no pages to give: whoever comes takes one that has. */
static void bucket_insert(struct cow_shard *shard, struct cow_slot *slot)
{
    struct cow_slot **bucket = bucket_of(shard, slot->image, slot->paved_bytes), *first = *bucket;
    const bool is_second = first && slot->private_bytes == 0 && first->private_bytes;
    slot->warm_previous = is_second ? first : NULL;
    slot->warm_next = is_second ? first->warm_next : first;
    if (slot->warm_next)
        slot->warm_next->warm_previous = slot;
    *(is_second ? &first->warm_next : bucket) = slot;
}

static void bucket_remove(struct cow_shard *shard, struct cow_slot *slot)
{
    *(slot->warm_previous ? &slot->warm_previous->warm_next : bucket_of(shard, slot->image, slot->paved_bytes)) =
        slot->warm_next;
    if (slot->warm_next)
        slot->warm_next->warm_previous = slot->warm_previous;
}

static struct cow_slot *find_warm(struct cow_shard *shard, const struct cow_image *image, uint64_t paved_bytes)
{
    struct cow_slot *slot = *bucket_of(shard, image, paved_bytes);
    while (slot && !cow_slot_is_warm_for(slot, image, paved_bytes))
        slot = slot->warm_next;
    return slot;
}

/* Takes it out of its lists (D1, D2). NULL is allowed. */
static struct cow_slot *take(struct cow_shard *shard, struct cow_slot *slot)
{
    if (!slot)
        return NULL;
    list_remove(&shard->lists[slot->state], slot);
    slot->listed = false;
    if (slot->state == COW_SLOT_IDLE) {
        bucket_remove(shard, slot);
        shard->idle_bytes -= slot->private_bytes;
        shard->n_idle--;
    }
    shard->n_queued -= slot->state == COW_SLOT_QUEUED;
    return slot;
}

/* ---- the shard ---- */

struct cow_slot *cow_shard_take(struct cow_shard *shard, const struct cow_image *image, uint64_t paved_bytes)
{
    cow_lock(&shard->lock);
    struct cow_slot *slot = find_warm(shard, image, paved_bytes);
    if (!slot)
        slot = shard->lists[shard->n_idle < shard->warm_slots ? COW_SLOT_BARE : COW_SLOT_IDLE].first;
    slot = take(shard, slot);
    cow_unlock(&shard->lock);
    return slot;
}

struct cow_slot *cow_shard_take_retired(struct cow_shard *shard)
{
    cow_lock(&shard->lock);
    struct cow_slot *slot = take(shard, shard->lists[COW_SLOT_RETIRED].first);
    cow_unlock(&shard->lock);
    return slot;
}

struct cow_slot *cow_shard_take_idle(struct cow_shard *shard)
{
    cow_lock(&shard->lock);
    struct cow_slot *slot = take(shard, shard->lists[COW_SLOT_IDLE].first);
    cow_unlock(&shard->lock);
    return slot;
}

uint32_t cow_shard_take_queued(struct cow_shard *shard, struct cow_slot **ret_slots, uint32_t n_max)
{
    uint32_t n = 0;
    cow_lock(&shard->lock);
    for (; n < n_max && shard->lists[COW_SLOT_QUEUED].first; n++) {
        cow_shard_count(&shard->n_flushes_begun); /* under the lock: whoever misses the slot sees this */
        ret_slots[n] = take(shard, shard->lists[COW_SLOT_QUEUED].first);
    }
    cow_unlock(&shard->lock);
    return n;
}

struct cow_slot *cow_shard_take_to_trim(struct cow_shard *shard, uint64_t most_bytes)
{
    enum { LOOK_AT = 8 }; /* the list is long, and nearly all of it keeps pages, or nearly none does */
    struct cow_slot *slot = NULL;
    cow_lock(&shard->lock);
    if (shard->idle_bytes > most_bytes) {
        slot = shard->lists[COW_SLOT_IDLE].first;
        for (int i = 1; slot && slot->private_bytes == 0 && i < LOOK_AT; i++)
            slot = slot->next;
        if (!slot || slot->private_bytes == 0)
            slot = shard->lists[COW_SLOT_IDLE].last; /* the one that has just come */
        if (slot && slot->private_bytes == 0)
            slot = NULL;
        if (slot) {
            cow_shard_count(&shard->n_flushes_begun);
            (void)take(shard, slot);
        }
    }
    cow_unlock(&shard->lock);
    return slot;
}

uint32_t cow_shard_take_all_to_trim(struct cow_shard *shard, uint64_t most_bytes, struct cow_slot **ret_slots,
                                    uint32_t n_max)
{
    uint32_t n = 0;
    cow_lock(&shard->lock);
    for (struct cow_slot *slot = shard->lists[COW_SLOT_IDLE].first, *next;
         slot && n < n_max && shard->idle_bytes > most_bytes; slot = next) {
        next = slot->next;
        if (slot->private_bytes == 0)
            continue;
        cow_shard_count(&shard->n_flushes_begun);
        ret_slots[n++] = take(shard, slot);
    }
    cow_unlock(&shard->lock);
    return n;
}

bool cow_shard_take_if_dead(struct cow_shard *shard, struct cow_slot *slot)
{
    cow_lock(&shard->lock);
    const bool is_dead = slot->listed && slot->state == COW_SLOT_IDLE && slot->image &&
                         atomic_load_explicit(&slot->image->dead, memory_order_relaxed);
    if (is_dead) {
        cow_shard_count(&shard->n_flushes_begun); /* under the lock: whoever misses the slot sees this */
        (void)take(shard, slot);
    }
    cow_unlock(&shard->lock);
    return is_dead;
}

void cow_shard_put(struct cow_shard *shard, struct cow_slot *slot)
{
    if (slot->lost) {
        cow_shard_count(&shard->n_lost);
        return;
    }
    cow_lock(&shard->lock);
    list_append(&shard->lists[slot->state], slot);
    slot->listed = true;
    if (slot->state == COW_SLOT_IDLE) {
        bucket_insert(shard, slot);
        shard->idle_bytes += slot->private_bytes;
        shard->n_idle++;
    }
    shard->n_queued += slot->state == COW_SLOT_QUEUED;
    cow_unlock(&shard->lock);
}

uint32_t cow_shard_count_retired(struct cow_shard *shard)
{
    uint32_t n = 0;
    cow_lock(&shard->lock);
    for (const struct cow_slot *slot = shard->lists[COW_SLOT_RETIRED].first; slot; slot = slot->next)
        n++;
    cow_unlock(&shard->lock);
    return n;
}

/* Release, for instance.c's acquire: who sees the end also finds the slot in its list. */
void cow_shard_end_flush(struct cow_shard *shard)
{
    atomic_fetch_add_explicit(&shard->n_flushes_ended, 1, memory_order_release);
}

bool cow_shard_has_warm(struct cow_shard *shard, const struct cow_slot *slot)
{
    const struct cow_slot *other = *bucket_of(shard, slot->image, slot->paved_bytes);
    while (other && other != slot)
        other = other->warm_next;
    return other;
}

bool cow_shard_has_full_queue(struct cow_shard *shard, uint32_t queue_slots)
{
    cow_lock(&shard->lock);
    const bool is_full = shard->n_queued && shard->n_queued >= queue_slots;
    cow_unlock(&shard->lock);
    return is_full;
}

void cow_shard_count_waiting(struct cow_shard *shard, uint64_t *n_queued, uint64_t *idle_bytes)
{
    cow_lock(&shard->lock);
    *n_queued += shard->n_queued;
    *idle_bytes += shard->idle_bytes;
    cow_unlock(&shard->lock);
}
