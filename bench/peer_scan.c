/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One scan and the copies: the kernel tells which pages of the image are no longer the file's (PAGEMAP_SCAN, Linux 6.7), and these are
 * copied back and stay resident. What wasmtime's pagemap_scan does, which its C API cannot switch on. Growth as wasmtime's: mprotect; what
 * was grown is given back by madvise.
 *
 * A page is dirty that is present or swapped out and not of the file; nothing is said of it being zero (KSM makes such pages of dirty ones). */
#include "slots.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* ioctl_pagemap_scan(2); in <linux/fs.h> of 6.7 and later. */
struct region {
    uint64_t begin, end, categories;
};
struct scan {
    uint64_t size, flags, begin, end, walk_end, regions, n_regions, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_REQUEST _IOWR('f', 16, struct scan)
enum { IS_FILE = 1 << 2, IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4, MOST_REGIONS = 512 };

struct scanner {
    struct bench_slots slots;
    int pagemap_fd;
};

/* Copies back what the scan finds in [begin, end) of the slot at base. */
static const char *restore(const struct scanner *scanner, uint8_t *base, const uint8_t *image)
{
    struct region regions[MOST_REGIONS];
    const uint64_t origin = (uint64_t)(uintptr_t)base, end = origin + scanner->slots.world->work.image_bytes;
    struct scan scan = {
        .size = sizeof scan,
        .begin = origin,
        .end = end,
        .regions = (uint64_t)(uintptr_t)regions,
        .n_regions = MOST_REGIONS,
        .category_inverted = IS_FILE,
        .category_mask = IS_FILE,
        .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
        .return_mask = IS_FILE,
    };
    while (scan.begin < end) {
        const int n = ioctl(scanner->pagemap_fd, SCAN_REQUEST, &scan);
        if (n < 0)
            return bench_why("PAGEMAP_SCAN");
        for (int i = 0; i < n; i++)
            memcpy(base + (regions[i].begin - origin), image + (regions[i].begin - origin),
                   regions[i].end - regions[i].begin);
        scan.begin = scan.walk_end;
    }
    return NULL;
}

static const char *scan_open(const struct bench_contender *contender, const struct bench_world *world, void **ret_state)
{
    struct scanner *scanner = malloc(sizeof *scanner);
    (void)contender;
    if (!scanner)
        return bench_why("malloc");
    *ret_state = scanner;
    scanner->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (scanner->pagemap_fd < 0)
        return bench_why("/proc/self/pagemap");
    const char *why = bench_slots_open(&scanner->slots, world, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES);
    return why ? why : restore(scanner, scanner->slots.base, world->images[0]); /* whether the kernel has it */
}

static const char *scan_instantiate(void *state, struct bench_lease *lease)
{
    return bench_slots_take(&((struct scanner *)state)->slots, lease);
}

static const char *scan_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    (void)state;
    if (mprotect(lease->base + lease->length_bytes, delta_bytes, PROT_READ | PROT_WRITE))
        return bench_why("mprotect");
    lease->length_bytes += delta_bytes;
    return NULL;
}

static const char *scan_release(void *state, struct bench_lease *lease)
{
    struct scanner *scanner = state;
    const struct bench_world *world = scanner->slots.world;
    const uint64_t image_bytes = world->work.image_bytes, grown_bytes = lease->length_bytes - image_bytes;
    bench_slots_give(&scanner->slots, lease);
    if (world->without_reset)
        return NULL;
    if (grown_bytes && (madvise(lease->base + image_bytes, grown_bytes, MADV_DONTNEED) ||
                        mprotect(lease->base + image_bytes, grown_bytes, PROT_NONE)))
        return bench_why("madvise or mprotect");
    return restore(scanner, lease->base, world->images[lease->image]);
}

static void scan_close(void *state)
{
    struct scanner *scanner = state;
    bench_slots_close(&scanner->slots);
    close(scanner->pagemap_fd);
    free(scanner);
}

const struct bench_peer bench_scan = {
    .has_bounds = 1,
    .open = scan_open,
    .instantiate = scan_instantiate,
    .grow = scan_grow,
    .release = scan_release,
    .close = scan_close,
};
