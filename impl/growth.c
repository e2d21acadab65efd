/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "growth.h"

#include <errno.h>

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- protect and guard: ranges of the part beyond E ---- */

/* One call for what is in the window, and one for what is not. */
static int set_access(const struct cow_slot *slot, struct cow_sys *sys, uint64_t begin, uint64_t end,
                      enum cow_access access)
{
    uint8_t *const at = slot->base + slot->paved_bytes;
    const uint64_t in_window = lesser(end, slot->window_bytes);
    int result = 0;
    if (begin < in_window)
        result = cow_sys_madvise(sys, at + begin, in_window - begin,
                                 access == COW_ACCESS_WRITE ? COW_ADVICE_UNGUARD : COW_ADVICE_GUARD);
    if (begin < in_window)
        begin = in_window;
    if (!result && begin < end)
        result = cow_sys_mprotect(sys, at + begin, end - begin, access);
    return result;
}

/* ---- making ready ---- */

uint64_t cow_growth_writable_bytes(const struct cow_slot *slot, const struct cow_geometry *geometry)
{
    return slot->paved_bytes +
           lesser(geometry->window_bytes, geometry->capacity_bytes - slot->paved_bytes); /* no window: 0 */
}

static int map_reserved(const struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    const uint64_t begin = slot->paved_bytes + slot->window_bytes;
    if (begin == geometry->capacity_bytes)
        return 0;
    return cow_sys_map_fixed(sys, slot->base + begin, geometry->capacity_bytes - begin, COW_MAP_RESERVED, -1, 0);
}

static int map_guarded(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    int result = 0;
    slot->window_bytes = cow_growth_writable_bytes(slot, geometry) - slot->paved_bytes;
    if (slot->window_bytes)
        result = set_access(slot, sys, 0, slot->window_bytes, COW_ACCESS_NONE);
    if (result == -EINVAL) { /* locked memory (mlockall(2)) takes no markers: this slot goes without a window */
        slot->window_bytes = 0;
        result = 0;
    }
    return result ? result : map_reserved(slot, geometry, sys);
}

int cow_growth_map(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    uint8_t *begin = slot->base + slot->paved_bytes;
    const uint64_t bytes = geometry->capacity_bytes - slot->paved_bytes;
    if (geometry->growth != COW_GROWTH_TRUNCATE)
        return map_guarded(slot, geometry, sys);
    return bytes ? cow_sys_map_fixed(sys, begin, bytes, COW_MAP_SHARED, slot->extension_fd, 0) : 0;
}

/* ---- moving ---- */

int cow_growth_open(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys,
                    uint64_t extension_bytes, bool *ret_torn)
{
    int result;
    if (extension_bytes == slot->extension_bytes)
        return 0;
    if (geometry->growth == COW_GROWTH_TRUNCATE) {
        result = cow_sys_ftruncate(sys, slot->extension_fd, extension_bytes);
    } else {
        result = set_access(slot, sys, slot->extension_bytes, extension_bytes, COW_ACCESS_WRITE);
        if (result) /* it may have opened a part */
            *ret_torn = set_access(slot, sys, slot->extension_bytes, extension_bytes, COW_ACCESS_NONE) != 0;
    }
    if (!result)
        slot->extension_bytes = extension_bytes;
    return result;
}

uint64_t cow_growth_kept_bytes(const struct cow_slot *slot, const struct cow_geometry *geometry)
{
    /* A shrinking file, and a guard marker, take the pages with them. */
    const bool is_taken = geometry->growth == COW_GROWTH_TRUNCATE || slot->extension_bytes <= slot->window_bytes;
    return slot->paved_bytes + (is_taken ? 0 : slot->extension_bytes);
}

static int close_from(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys, uint64_t begin)
{
    int result = 0;
    if (slot->extension_bytes == 0)
        return 0;
    if (geometry->growth == COW_GROWTH_TRUNCATE)
        result = cow_sys_ftruncate(sys, slot->extension_fd, 0);
    else if (begin < slot->extension_bytes)
        result = set_access(slot, sys, begin, slot->extension_bytes, COW_ACCESS_NONE);
    if (!result)
        slot->extension_bytes = 0;
    return result;
}

int cow_growth_close(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    return close_from(slot, geometry, sys, 0);
}

int cow_growth_close_rest(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    return close_from(slot, geometry, sys, slot->window_bytes);
}
