/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The life of a slot. The picture, the states and the invariants are in slot.h. */
#include "slot.h"

#include "growth.h"
#include "invariant.h"
#include "reset.h"

#include <errno.h>
#include <string.h>

int cow_slot_open(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys, uint8_t *base)
{
    const bool has_file = geometry->growth == COW_GROWTH_TRUNCATE;
    const int fd = has_file ? cow_sys_memfd_create(sys, "cowpool-extension") : -1;
    if (has_file && fd < 0)
        return fd;
    *slot = (struct cow_slot){.state = COW_SLOT_BARE, .extension_fd = fd, .base = base};
    return 0;
}

void cow_slot_close(struct cow_slot *slot, struct cow_sys *sys)
{
    if (slot->extension_fd >= 0)
        (void)cow_sys_close(sys, slot->extension_fd); /* the descriptor is gone whatever it says (close(2)) */
    slot->extension_fd = -1;
}

/* ---- what is mapped ---- */

static int map_reserved(const struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    if (geometry->capacity_bytes == 0)
        return 0;
    int result = cow_sys_map_fixed(sys, slot->base, geometry->capacity_bytes, COW_MAP_RESERVED, -1, 0);
    if (result == -ENOMEM &&
        cow_sys_spend(sys)) /* even a mapping in the place of others is refused where there are too many */
        result = cow_sys_map_fixed(sys, slot->base, geometry->capacity_bytes, COW_MAP_RESERVED, -1, 0);
    if (!result) /* as the guard behind it, so that the kernel makes one mapping of both; nothing depends on it */
        (void)cow_sys_madvise(sys, slot->base, geometry->capacity_bytes, COW_ADVICE_DONT_DUMP);
    return result;
}

static void forget_image(struct cow_slot *slot)
{
    cow_image_unref(slot->image);
    slot->image = NULL;
    slot->paved_bytes = slot->window_bytes = slot->private_bytes = 0;
    slot->history = (struct cow_history){.n_leases = 0};
    slot->must_discard = false;
}

void cow_slot_retire(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    atomic_store_explicit(&slot->lease, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->accessible_bytes, 0, memory_order_relaxed);
    slot->state = COW_SLOT_RETIRED;
    /* At once: after a failed fixed mapping there may be a hole, and somebody else's mmap may be on its way to it. */
    slot->has_hole = map_reserved(slot, geometry, sys) != 0;
    cow_sys_save(sys);                         /* one for many has made room */
    slot->lost = slot->lost || slot->has_hole; /* (S4) */
    forget_image(slot);
}

/* On the whole capacity, the extension too: a huge page of a file reaches past the file's end, and so would the guest. */
static int set_attributes(const struct cow_slot *slot, uint64_t length_bytes, struct cow_sys *sys)
{
    static const enum cow_advice advices[] = {COW_ADVICE_DONT_FORK, COW_ADVICE_DONT_DUMP, COW_ADVICE_NO_HUGE};
    int result = 0;
    for (size_t i = 0; i < sizeof advices / sizeof *advices && !result; i++)
        result = cow_sys_madvise(sys, slot->base, length_bytes, advices[i]);
    return result;
}

/* A bare or retired slot is one mapping with its guards. Cutting it out may need a mapping more than there are (vm.max_map_count):
 * better to meet that here, where a failure changes nothing, than half-way through paving, where it would cost the slot. */
static int cut_out(const struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    if (slot->state == COW_SLOT_IDLE || geometry->capacity_bytes == 0)
        return 0;
    return cow_sys_madvise(sys, slot->base, geometry->capacity_bytes, COW_ADVICE_DONT_FORK);
}

static int map_all(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    int result = 0;
    if (geometry->capacity_bytes == 0)
        return 0;
    const uint64_t zero_bytes = cow_growth_writable_bytes(slot, geometry);
    if (zero_bytes)
        result = cow_sys_map_fixed(sys, slot->base, zero_bytes, COW_MAP_ZERO, -1, 0);
    if (!result && slot->image)
        result = cow_image_map(slot->image, sys, slot->base);
    if (!result)
        result = cow_growth_map(slot, geometry, sys);
    return result ? result : set_attributes(slot, geometry->capacity_bytes, sys); /* (S6) */
}

/* For an image of the same E: what lies past it is as it must be (S1), and stays. */
static int map_initial(const struct cow_slot *slot, struct cow_sys *sys)
{
    if (slot->paved_bytes == 0)
        return 0;
    int result = cow_sys_map_fixed(sys, slot->base, slot->paved_bytes, COW_MAP_ZERO, -1, 0);
    if (!result && slot->image)
        result = cow_image_map(slot->image, sys, slot->base);
    return result ? result : set_attributes(slot, slot->paved_bytes, sys); /* (S6) */
}

int cow_slot_pave(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys,
                  struct cow_image *image, uint64_t paved_bytes)
{
    COW_CHECK(slot->state != COW_SLOT_LIVE && slot->state != COW_SLOT_QUEUED && !slot->lost &&
              paved_bytes <= geometry->capacity_bytes);
    int result = cut_out(slot, geometry, sys);
    if (result)
        return result;
    const bool keeps_rest = slot->state == COW_SLOT_IDLE && slot->paved_bytes == paved_bytes;
    const uint64_t window_bytes = keeps_rest ? slot->window_bytes : 0;
    forget_image(slot);
    if (slot->state == COW_SLOT_RETIRED && slot->extension_fd >= 0) /* whatever failed, it may be longer than empty */
        result = cow_sys_ftruncate(sys, slot->extension_fd, 0);
    if (!result) {
        slot->extension_bytes = 0;
        slot->image = image;
        slot->paved_bytes = paved_bytes;
        if (image)
            cow_image_ref(image);
        slot->window_bytes = window_bytes;
        result = keeps_rest ? map_initial(slot, sys) : map_all(slot, geometry, sys);
    }
    if (result)
        cow_slot_retire(slot, geometry, sys);
    else
        slot->state = COW_SLOT_IDLE;
    return result;
}

int cow_slot_strip(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    COW_CHECK(slot->state == COW_SLOT_IDLE);
    const int result = map_reserved(slot, geometry, sys);
    if (result) {
        cow_slot_retire(slot, geometry, sys);
        return result;
    }
    forget_image(slot);
    slot->state = COW_SLOT_BARE;
    return 0;
}

/* ---- the lease ---- */

#ifdef COW_HOSTILE
/* Slack is unspecified: let it be as bad as it can. */
static void spoil_slack(const struct cow_slot *slot, uint64_t slack_end)
{
    memset(slot->base + slot->length_bytes, 0xdb, slack_end - slot->length_bytes);
}
#else
static void spoil_slack(const struct cow_slot *slot, uint64_t slack_end)
{
    (void)slot;
    (void)slack_end;
}
#endif

static void publish_length(struct cow_slot *slot, const struct cow_geometry *geometry, uint64_t length_bytes)
{
    const uint64_t accessible_bytes = cow_geometry_accessible(geometry, length_bytes);
    slot->length_bytes = length_bytes;
    COW_DEBUG_CHECK(accessible_bytes == slot->paved_bytes + slot->extension_bytes); /* (S2) */
    atomic_store_explicit(&slot->accessible_bytes, accessible_bytes, memory_order_relaxed);
    spoil_slack(slot, cow_round_up(length_bytes, geometry->page_bytes));
}

void cow_slot_lend(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_instance_config *config,
                   uint64_t handle)
{
    COW_CHECK(slot->state == COW_SLOT_IDLE && slot->extension_bytes == 0);
    slot->state = COW_SLOT_LIVE;
    slot->initial_bytes = config->initial_bytes;
    slot->max_bytes = config->max_bytes;
    slot->tainted = false;
    slot->last_handle = handle;
    publish_length(slot, geometry, config->initial_bytes);
    atomic_store_explicit(&slot->lease, handle, memory_order_relaxed);
}

int cow_slot_grow(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys, uint64_t delta_bytes)
{
    const uint64_t old_bytes = slot->length_bytes;
    if (delta_bytes > slot->max_bytes - old_bytes) /* max is at least the length: no sum that could overflow */
        return COW_LIMIT;
    const uint64_t new_bytes = old_bytes + delta_bytes;
    const uint64_t slack_end = cow_round_up(old_bytes, geometry->page_bytes);
    const uint64_t extension_bytes = cow_geometry_accessible(geometry, new_bytes) - slot->paved_bytes;
    bool is_torn = false;
    const int result = cow_growth_open(slot, geometry, sys, extension_bytes, &is_torn);
    if (is_torn)
        cow_slot_retire(slot, geometry, sys);
    if (result)
        return result;
    /* The slack becomes visible: nothing that was scribbled there may (memory.grow gives zeros). */
    const uint64_t zero_end = new_bytes < slack_end ? new_bytes : slack_end;
    memset(slot->base + old_bytes, 0, zero_end - old_bytes);
    publish_length(slot, geometry, new_bytes);
    return 0;
}

int cow_slot_reset(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                   struct cow_sys *sys, enum cow_cleaned *ret_how)
{
    COW_CHECK(slot->state == COW_SLOT_LIVE);
    const int result = cow_reset_now(slot, geometry, cleaning, sys, ret_how);
    if (result)
        cow_slot_retire(slot, geometry, sys);
    else
        publish_length(slot, geometry, slot->initial_bytes);
    return result;
}

int cow_slot_end(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                 struct cow_sys *sys, enum cow_cleaned *ret_how)
{
    COW_CHECK(slot->state == COW_SLOT_LIVE);
    const int result = cow_reset_at_release(slot, geometry, cleaning, sys, ret_how);
    atomic_store_explicit(&slot->accessible_bytes, 0, memory_order_relaxed);
    if (result)
        cow_slot_retire(slot, geometry, sys);
    else
        slot->state = cow_reset_is_due(slot) ? COW_SLOT_QUEUED : COW_SLOT_IDLE;
    return result;
}

/* ---- the queue ---- */

void cow_slot_trim(struct cow_slot *slot)
{
    COW_CHECK(slot->state == COW_SLOT_IDLE);
    slot->must_discard = true;
    slot->state = COW_SLOT_QUEUED;
}

int cow_slot_clean_many(struct cow_slot *const *slots, uint32_t n_slots, const struct cow_geometry *geometry,
                        const struct cow_cleaning *cleaning, struct cow_sys *sys)
{
    int results[COW_RESET_AT_ONCE], first_error = 0;
    COW_CHECK(n_slots <= COW_RESET_AT_ONCE);
    cow_reset_many(slots, n_slots, geometry, cleaning, sys, results);
    for (uint32_t i = 0; i < n_slots; i++) {
        COW_CHECK(slots[i]->state == COW_SLOT_QUEUED);
        if (results[i])
            cow_slot_retire(slots[i], geometry, sys);
        else
            slots[i]->state = COW_SLOT_IDLE;
        first_error = first_error ? first_error : results[i];
    }
    return first_error;
}
