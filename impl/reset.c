/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "reset.h"

#include "growth.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* ---- letting go ---- */

static int discard(const struct cow_slot *slot, struct cow_sys *sys, uint64_t begin, uint64_t end)
{
    int result;
    if (begin == end) /* a call with no length would be an error with some kernels, and is a waste with all */
        return 0;
    result = cow_sys_madvise(sys, slot->base + begin, end - begin, COW_ADVICE_DISCARD);
    /* Locked memory (mlockall(2)) refuses the plain advice with EINVAL and restores nothing; asking in this order keeps the
     * common case at one call. */
    return result == -EINVAL ? cow_sys_madvise(sys, slot->base + begin, end - begin, COW_ADVICE_DISCARD_LOCKED)
                             : result;
}

static void forget_private(struct cow_slot *slot)
{
    slot->private_bytes = 0;
    slot->must_discard = false;
    cow_history_forget(&slot->history);
}

int cow_reset_discard(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    const int result = discard(slot, sys, 0, cow_growth_kept_bytes(slot, geometry));
    if (result)
        return result;
    forget_private(slot);
    return cow_growth_close(slot, geometry, sys);
}

/* ---- copying over ---- */

/* Copies over one stretch; or, page by page, over what differs in it. */
static void copy_stretch(const struct cow_slot *slot, uint64_t page_bytes, const struct cow_stretch *stretch,
                         struct cow_copies *done)
{
    const uint64_t begin = (uint64_t)(stretch->begin - slot->base), end = (uint64_t)(stretch->end - slot->base);
    if (!done->is_audit || stretch->is_zero_page) {
        cow_image_copy(slot->image, slot->base, begin, end, stretch->is_zero_page);
        done->n_private += stretch->is_zero_page ? 0 : (end - begin) / page_bytes;
        return;
    }
    for (uint64_t at = begin; at < end; at += page_bytes) {
        done->n_private++;
        if (cow_image_equals(slot->image, slot->base, at, at + page_bytes))
            continue;
        done->n_differing++;
        cow_image_copy(slot->image, slot->base, at, at + page_bytes, false);
    }
}

/* Whether the kernel's answer can be: stretches in the range asked for, whole pages, ascending. Else nothing of it is believed. */
static bool is_sane(const struct cow_stretch *stretches, int n, uint8_t *begin, uint8_t *end, uint8_t *walked,
                    uint64_t page_bytes)
{
    const uint8_t *at = begin;
    for (int i = 0; i < n; at = stretches[i].end, i++)
        if (stretches[i].begin < at || stretches[i].end <= stretches[i].begin || stretches[i].end > walked ||
            (uint64_t)(stretches[i].begin - begin) % page_bytes || (uint64_t)(stretches[i].end - begin) % page_bytes)
            return false;
    return walked > begin && walked <= end;
}

static int copy_found(const struct cow_slot *slot, uint64_t page_bytes, const struct cow_cleaning *cleaning,
                      struct cow_sys *sys, struct cow_copies *done)
{
    enum { N_STRETCHES = 64 };
    struct cow_stretch stretches[N_STRETCHES];
    uint8_t *at = slot->base, *const end = slot->base + slot->paved_bytes;
    while (at < end) { /* the rest, if there were more stretches than there was room for */
        uint8_t *walked = at;
        const int n = cow_sys_pagemap_scan(sys, cleaning->pagemap_fd, at, (size_t)(end - at),
                                           COW_PAGES_PRESENT | COW_PAGES_SWAPPED, stretches, N_STRETCHES, &walked);
        if (n < 0)
            return n;
        if (n > N_STRETCHES || !is_sane(stretches, n, at, end, walked, page_bytes))
            return -EIO;
        for (int i = 0; i < n; i++)
            copy_stretch(slot, page_bytes, &stretches[i], done);
        at = walked;
    }
    return 0;
}

/* Makes [0, E) equal to the image by writing to it, and keeps the pages. On an error nothing is known of it. */
static int copy_back(struct cow_slot *slot, uint64_t page_bytes, const struct cow_cleaning *cleaning,
                     struct cow_sys *sys, struct cow_copies *done)
{
    if (!done->is_whole)
        return copy_found(slot, page_bytes, cleaning, sys, done);
    const struct cow_stretch all = {.begin = slot->base, .end = slot->base + slot->paved_bytes};
    copy_stretch(slot, page_bytes, &all, done);
    return 0;
}

/* Looking for pages costs more than it saves if there are few, or if nearly all will be found, as last time. */
static bool is_copied_whole(const struct cow_slot *slot, const struct cow_cleaning *cleaning)
{
    return slot->paved_bytes <= cleaning->whole_bytes ||
           slot->private_bytes >= slot->paved_bytes - slot->paved_bytes / COW_WHOLE_BUT;
}

/* ---- which of the two ---- */

/* Of [0, E) only: COW_COPIED, or why not. */
static enum cow_cleaned copy(struct cow_slot *slot, const struct cow_geometry *geometry,
                             const struct cow_cleaning *cleaning, struct cow_sys *sys)
{
    const bool adapts = cleaning->reset == COW_RESET_ADAPTIVE && slot->paved_bytes > cleaning->whole_bytes;
    struct cow_copies done = {.is_whole = is_copied_whole(slot, cleaning),
                              .is_audit = adapts && cow_history_is_audit(&slot->history)};
    if (slot->tainted || !cow_image_can_be_copied(slot->image) || (!done.is_whole && cleaning->pagemap_fd < 0) ||
        copy_back(slot, geometry->page_bytes, cleaning, sys, &done))
        return COW_FELL_BACK;
    slot->private_bytes = done.n_private * geometry->page_bytes;
    if (adapts && cow_history_add(&slot->history, &done))
        return COW_LET_GO;
    return COW_COPIED;
}

static bool copies(const struct cow_cleaning *cleaning)
{
    return cleaning->reset == COW_RESET_COPYBACK || cleaning->reset == COW_RESET_ADAPTIVE;
}

/* What is past E, when [0, E) is clean. */
static int close_grown(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    const int result = discard(slot, sys, slot->paved_bytes, cow_growth_kept_bytes(slot, geometry));
    return result ? result : cow_growth_close(slot, geometry, sys);
}

int cow_reset_now(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                  struct cow_sys *sys, enum cow_cleaned *ret_how)
{
    *ret_how = copies(cleaning) ? copy(slot, geometry, cleaning, sys) : COW_LET_GO;
    return *ret_how == COW_COPIED ? close_grown(slot, geometry, sys) : cow_reset_discard(slot, geometry, sys);
}

int cow_reset_at_release(struct cow_slot *slot, const struct cow_geometry *geometry,
                         const struct cow_cleaning *cleaning, struct cow_sys *sys, enum cow_cleaned *ret_how)
{
    if (cleaning->reset == COW_RESET_DISCARD || cleaning->reset == COW_RESET_COPYBACK)
        return cow_reset_now(slot, geometry, cleaning, sys, ret_how);
    *ret_how = copies(cleaning) ? copy(slot, geometry, cleaning, sys) : COW_LET_GO;
    slot->must_discard = *ret_how != COW_COPIED && slot->paved_bytes > 0;
    /* Many pages would be cold when somebody gets them again, and long in coming back when many slots have many. */
    const bool has_much = slot->extension_bytes > cleaning->defer_bytes;
    return *ret_how == COW_COPIED && has_much ? close_grown(slot, geometry, sys) : 0;
}

/* ---- many ---- */

/* True if all is done: by one call, unless there are more bytes than the kernel looks at in one, which is as many as fit in an int
 * (process_madvise(2) is like readv(2) in this); a range that is longer goes by itself. */
static bool advise_all(struct cow_sys *sys, int process_fd, const struct iovec *ranges, size_t n_ranges,
                       enum cow_advice advice, uint64_t page_bytes)
{
    const uint64_t most_bytes = INT_MAX & ~(page_bytes - 1);
    for (size_t first = 0, next; first < n_ranges; first = next) {
        uint64_t n_bytes = 0;
        for (next = first; next < n_ranges && ranges[next].iov_len <= most_bytes - n_bytes; next++)
            n_bytes += ranges[next].iov_len;
        const int64_t n_done = next > first
                                   ? cow_sys_process_madvise(sys, process_fd, ranges + first, next - first, advice)
                                   : cow_sys_madvise(sys, ranges[next].iov_base, ranges[next].iov_len, advice);
        if (n_done != (int64_t)n_bytes)
            return false;
        next += next == first;
    }
    return true;
}

/* In two calls: all pages first, then markers where there are none any more, which needs no other flush of the TLB. */
static bool let_go_together(struct cow_slot *const *slots, uint32_t n_slots, const struct cow_geometry *geometry,
                            int process_fd, struct cow_sys *sys)
{
    struct iovec pages[COW_RESET_AT_ONCE], markers[COW_RESET_AT_ONCE];
    size_t n_pages = 0, n_markers = 0;
    for (uint32_t i = 0; i < n_slots; i++) {
        const struct cow_slot *slot = slots[i];
        const bool has_file = slot->extension_fd >= 0; /* and what is past E goes with its end */
        const uint64_t begin = slot->must_discard ? 0 : slot->paved_bytes;
        const uint64_t end = slot->paved_bytes + (has_file ? 0 : slot->extension_bytes);
        const uint64_t in_window =
            slot->extension_bytes < slot->window_bytes ? slot->extension_bytes : slot->window_bytes;
        if (begin < end)
            pages[n_pages++] = (struct iovec){slot->base + begin, end - begin};
        if (in_window)
            markers[n_markers++] = (struct iovec){slot->base + slot->paved_bytes, in_window};
    }
    return advise_all(sys, process_fd, pages, n_pages, COW_ADVICE_DISCARD, geometry->page_bytes) &&
           advise_all(sys, process_fd, markers, n_markers, COW_ADVICE_GUARD, geometry->page_bytes);
}

void cow_reset_many(struct cow_slot *const *slots, uint32_t n_slots, const struct cow_geometry *geometry,
                    const struct cow_cleaning *cleaning, struct cow_sys *sys, int *ret_results)
{
    const bool together =
        cleaning->process_fd >= 0 && let_go_together(slots, n_slots, geometry, cleaning->process_fd, sys);
    for (uint32_t i = 0; i < n_slots; i++) {
        struct cow_slot *slot = slots[i];
        if (together) {
            if (slot->must_discard)
                forget_private(slot);
            ret_results[i] = cow_growth_close_rest(slot, geometry, sys);
        } else {
            ret_results[i] =
                slot->must_discard ? cow_reset_discard(slot, geometry, sys) : close_grown(slot, geometry, sys);
        }
    }
}
