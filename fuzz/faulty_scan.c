/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What scans of page tables answer: the truth, rewritten so that what a kernel may do at any time, and seldom does, it does all the
 * time; and, on request, what no kernel may say. */
#include "faulty.h"

#include <string.h>

static size_t page(void)
{
    return cow_sys_linux.host_page_bytes(&cow_sys_linux);
}

/* Every other page is swapped out, and pages of zeros are shared (KSM) and look like pages that nobody has written to. */
static int answer_strangely(int n, unsigned where, struct cow_stretch *stretches)
{
    const size_t page_bytes = page();
    int n_told = 0;
    for (int i = 0; i < n; i++) {
        struct cow_stretch it = stretches[i];
        const bool is_one_page = (size_t)(it.end - it.begin) == page_bytes;
        const bool is_swapped = is_one_page && (uintptr_t)it.begin / page_bytes % 2;
        if (!(where & (is_swapped ? COW_PAGES_SWAPPED : COW_PAGES_PRESENT)))
            continue;
        it.is_zero_page =
            it.is_zero_page || (is_one_page && it.begin[0] == 0 && memcmp(it.begin, it.begin + 1, page_bytes - 1) == 0);
        stretches[n_told++] = it;
    }
    return n_told;
}

static void show_pages(const struct rig_faulty *kernel, const struct cow_stretch *stretches, int n)
{
    for (int i = 0; i < n && kernel->see_page; i++)
        for (const uint8_t *at = stretches[i].begin; at < stretches[i].end; at += page())
            if (!stretches[i].is_zero_page)
                kernel->see_page(kernel->context, at);
}

/* One thing of it cannot be, and nothing that was there is told: whoever believes it leaves what he should have found. */
static int answer_nonsense(enum rig_nonsense what, uint8_t *at, size_t length_bytes, struct cow_stretch *ret_stretches,
                           size_t n_max, uint8_t **ret_end)
{
    const size_t page_bytes = page();
    uint8_t *const end = at + length_bytes;
    *ret_end = what == RIG_SCAN_STANDS_STILL ? at : what == RIG_SCAN_GOES_TOO_FAR ? end + page_bytes : end;
    ret_stretches[0] = (struct cow_stretch){.begin = end - page_bytes, .end = end};
    switch (what) {
    case RIG_SCAN_BEFORE:
        ret_stretches[0].begin = at - page_bytes;
        break;
    case RIG_SCAN_EMPTY:
        ret_stretches[0].begin = end;
        break;
    case RIG_SCAN_BEYOND:
        ret_stretches[0].end = end + page_bytes;
        break;
    case RIG_SCAN_BEGINS_INSIDE:
        ret_stretches[0].begin++;
        break;
    case RIG_SCAN_ENDS_INSIDE:
        ret_stretches[0].end--;
        break;
    case RIG_SCAN_TOO_MANY:
        return (int)n_max + 1;
    default: /* stands still, or goes too far */
        return 0;
    }
    return 1;
}

int rig_faulty_scan(const struct rig_faulty *kernel, uint64_t how, int pagemap_fd, uint8_t *at, size_t length_bytes,
                    unsigned where, struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end)
{
    const size_t half_bytes = length_bytes / 2 / page() * page(), n_room = n_max;
    if (how > RIG_SCAN_ROOM && how < RIG_SCAN_HALF)
        return answer_nonsense((enum rig_nonsense)how, at, length_bytes, ret_stretches, n_max, ret_end);
    if (how >= RIG_SCAN_HALF && half_bytes) /* what is left has to be asked for */
        length_bytes = half_bytes;
    how = how < 1 ? 1 : how < RIG_SCAN_ROOM ? how : RIG_SCAN_ROOM;
    n_max = n_max < how ? n_max : how;
    int n =
        cow_sys_linux.pagemap_scan(&cow_sys_linux, pagemap_fd, at, length_bytes, where, ret_stretches, n_max, ret_end);
    n = n < 0 ? n : answer_strangely(n, where, ret_stretches);
    show_pages(kernel, ret_stretches, n);
    for (size_t i = n < 0 ? 0 : (size_t)n; i < n_room; i++) /* nobody may look there */
        ret_stretches[i] = (struct cow_stretch){.begin = at, .end = at + length_bytes + (SIZE_MAX >> 4)};
    return n;
}
