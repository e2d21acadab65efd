/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the kernel does with pages behind a tenant's back: swap, KSM, huge pages. The switches of the machine are the script's
 * business; here it is only watched whether they had an effect. */
#include "pressure.h"

#include <errno.h>
#include <sys/prctl.h>

/* Constants that an older libc may lack (asm-generic/mman-common.h, linux/prctl.h). */
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

/* ---- swap ---- */

static struct {
    uint64_t n_image, n_zero, n_extension; /* pages that were out when a slot was reset */
    uint64_t n_left;                       /* private pages that were still out after that */
} swap;

static uint64_t count_swapped(const struct press_world *world, const uint8_t *begin, uint64_t n_bytes)
{
    uint64_t n = 0;
    for (uint64_t at = 0; at < n_bytes; at += world->page_bytes)
        n += (press_pagemap(begin + at) & PRESS_SWAPPED) != 0;
    return n;
}

/* The sum of a line of smaps over the mappings that lie in a range whole. */
static uint64_t smaps_bytes(const uint8_t *begin, uint64_t n_bytes, const char *key)
{
    struct process_mapping mapping;
    bool is_inside = false;
    uint64_t kib = 0;
    for (const char *line = process_read("/proc/self/smaps"); *line; line = process_next_line(line)) {
        if (process_parse(line, &mapping))
            is_inside = mapping.begin >= (uintptr_t)begin && mapping.end <= (uintptr_t)begin + n_bytes;
        if (is_inside && strncmp(line, key, strlen(key)) == 0)
            kib += strtoull(line + strlen(key), NULL, 10);
    }
    return kib * 1024;
}

static void count_out(struct press_world *world, const struct press_tenant *tenant)
{
    const uint8_t *base = tenant->memory.base;
    const uint64_t n_private = count_swapped(world, base, tenant->paved_bytes);
    if (!tenant->model) {
        swap.n_left += n_private;
        return;
    }
    if (!tenant->model->image)
        swap.n_zero += n_private;
    else if (tenant->model->image == world->image_models[PRESS_TWO_RUNS])
        swap.n_image += count_swapped(world, base, 6 * world->unit_bytes); /* in the first run */
    /* pagemap does not tell of shared files */
    swap.n_extension +=
        smaps_bytes(base + tenant->paved_bytes, PRESS_MAX_UNITS * world->unit_bytes - tenant->paved_bytes, "Swap:") /
        world->page_bytes;
}

/* A page that was just written is on its way to the lists that the kernel takes pages from: it is asked more than once. */
static void page_out(struct press_world *world, const struct press_tenant *tenant)
{
    uint64_t n_out = UINT64_MAX;
    if (!tenant->model)
        count_out(world, tenant);
    for (int i = 0; i < 20; i++) {
        const uint64_t n_before = n_out;
        if (madvise(tenant->memory.base, tenant->memory.accessible_bytes, MADV_PAGEOUT))
            CHECK_SKIP("this kernel has no MADV_PAGEOUT (Linux 5.4)");
        n_out = count_swapped(world, tenant->memory.base, tenant->paved_bytes);
        if (n_out == n_before)
            break;
        usleep(1000);
    }
    if (tenant->model)
        count_out(world, tenant);
}

static void expect_swap(void)
{
    CHECK_EQ(swap.n_left, 0);
    if (!swap.n_image || !swap.n_zero || !swap.n_extension) {
        printf("skipped: not all went to swap: %" PRIu64 " pages of images, %" PRIu64 " zero, %" PRIu64
               " of extensions\n",
               swap.n_image, swap.n_zero, swap.n_extension);
        exit(77);
    }
    press_note("reset while in swap: %" PRIu64 " pages of images, %" PRIu64 " zero, %" PRIu64 " of extensions",
               swap.n_image, swap.n_zero, swap.n_extension);
}

void press_swap(void)
{
    struct press_world world = {.press = page_out};
    press_open(&world, 2);
    press_life(&world);
    press_close(&world);
    expect_swap();
}

/* ---- swap, of all that is in a memory cgroup ---- */

static bool write_to_cgroup(const char *file, const char *text)
{
    const char *path = getenv("PRESSURE_CGROUP");
    char name[512];
    snprintf(name, sizeof name, "%s/%s", path ? path : "", file);
    const int fd = open(name, O_WRONLY | O_CLOEXEC);
    /* What is to be reclaimed is more than there is: an error of that is none. */
    const bool can = fd >= 0 && (write(fd, text, strlen(text)) > 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return can;
}

/* By the kernel's own choice, page tables, models and images too. */
static void reclaim(struct press_world *world, const struct press_tenant *tenant)
{
    if (!tenant->model)
        count_out(world, tenant);
    for (int i = 0; i < 2; i++) /* what was used since the last time is spared at first */
        if (!write_to_cgroup("memory.reclaim", "1G") && !write_to_cgroup("memory.force_empty", "1"))
            CHECK_SKIP("the cgroup takes neither memory.reclaim nor memory.force_empty");
    if (tenant->model)
        count_out(world, tenant);
}

void press_swap_reclaim(void)
{
    struct press_world world = {.press = reclaim};
    if (!write_to_cgroup("cgroup.procs", "0"))
        CHECK_SKIP("PRESSURE_CGROUP names no cgroup that this process may join");
    press_open(&world, 2);
    press_life(&world);
    press_close(&world);
    expect_swap();
}

/* ---- KSM ---- */

static struct {
    bool by_advice;
    uint64_t n_zero_in_image, n_zero, n_shared; /* pages that KSM had replaced when a slot was reset */
    unsigned n_waits;
} ksm;

/* The frame of the kernel's page of zeros. */
static uint64_t zero_frame(const struct press_world *world)
{
    const uint8_t *page = mmap(NULL, world->page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    const uint8_t byte = *(const volatile uint8_t *)page;
    const uint64_t frame = press_pagemap(page) & PRESS_FRAME;
    munmap((void *)(uintptr_t)page, world->page_bytes);
    if (byte || !frame)
        CHECK_SKIP("/proc/self/pagemap tells no frames: needs CAP_SYS_ADMIN");
    return frame;
}

static bool page_holds_only(const struct press_world *world, const struct press_tenant *tenant, uint64_t at,
                            uint8_t byte)
{
    const uint8_t *model = tenant->model->bytes + at;
    return at + world->page_bytes <= tenant->model->length_bytes && model[0] == byte &&
           memcmp(model, model + 1, world->page_bytes - 1) == 0;
}

static uint64_t frame_of(const uint8_t *at)
{
    const uint64_t entry = press_pagemap(at);
    return entry & PRESS_PRESENT ? entry & PRESS_FRAME : 0;
}

struct merged {
    uint64_t n_zero_in_image, n_zero, n_shared;
    uint64_t n_to_do; /* pages of zeros or of 0xc7 that have a frame of their own */
};

/* Pages of zeros that were written are the kernel's one by now; those of 0xc7 are one that they share. */
static struct merged count_merged(const struct press_world *world, const struct press_tenant *tenant, uint64_t zero)
{
    const uint64_t run_bytes[] = {6 * world->unit_bytes, 20 * world->unit_bytes, 25 * world->unit_bytes};
    const bool has_image = tenant->model->image == world->image_models[PRESS_TWO_RUNS];
    uint64_t shared = 0;
    struct merged merged = {0};
    for (uint64_t at = 0; at < tenant->paved_bytes; at += world->page_bytes) {
        const uint64_t frame = frame_of(tenant->memory.base + at);
        if (frame && page_holds_only(world, tenant, at, 0)) {
            const bool in_image = has_image && (at < run_bytes[0] || (at >= run_bytes[1] && at < run_bytes[2]));
            merged.n_zero += frame == zero;
            merged.n_zero_in_image += frame == zero && in_image;
            merged.n_to_do += frame != zero;
        } else if (frame && page_holds_only(world, tenant, at, 0xc7)) {
            merged.n_shared += frame == shared;
            merged.n_to_do += shared && frame != shared;
            shared = shared ? shared : frame;
        }
    }
    return merged;
}

static void merge(struct press_world *world, const struct press_tenant *tenant)
{
    const uint64_t zero = zero_frame(world);
    struct merged merged;
    if (!tenant->model)
        return;
    if (ksm.by_advice && madvise(tenant->memory.base, tenant->paved_bytes, MADV_MERGEABLE))
        CHECK_SKIP("this kernel has no KSM (MADV_MERGEABLE)");
    for (;; ksm.n_waits++) { /* in all up to half a minute; what is not merged by then is not waited for */
        merged = count_merged(world, tenant, zero);
        if (!merged.n_to_do || ksm.n_waits >= 3000)
            break;
        usleep(10000);
    }
    ksm.n_zero_in_image += merged.n_zero_in_image;
    ksm.n_zero += merged.n_zero;
    ksm.n_shared += merged.n_shared;
}

static void live_with_ksm(void)
{
    struct press_world world = {.press = merge};
    if (press_number("/sys/kernel/mm/ksm/run", NULL) != 1)
        CHECK_SKIP("KSM does not run");
    press_open(&world, 2);
    press_life(&world);
    press_close(&world);
    if (!ksm.n_zero_in_image || !ksm.n_shared)
        CHECK_SKIP("KSM merged no pages of zeros in an image's place, or none at all");
    press_note("reset while merged: %" PRIu64 " pages of zeros (%" PRIu64 " where the image has bytes), %" PRIu64
               " shared ones",
               ksm.n_zero, ksm.n_zero_in_image, ksm.n_shared);
}

void press_ksm_advised(void)
{
    ksm.by_advice = true;
    live_with_ksm();
}

void press_ksm_process(void)
{
    if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
        CHECK_SKIP("prctl(PR_SET_MEMORY_MERGE) is refused here (Linux 6.4, CAP_SYS_RESOURCE)");
    live_with_ksm();
}

/* ---- huge pages ---- */

static void expect_no_huge(struct press_world *world, const struct press_tenant *tenant)
{
    static const char *const keys[] = {"AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        CHECK_EQ(smaps_bytes(tenant->memory.base, PRESS_MAX_UNITS * world->unit_bytes, keys[i]), 0);
}

/* Whether memory that does not forbid it gets one. */
static bool gives_huge(size_t huge, int flags, const char *key)
{
    uint8_t *begin = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    CHECK(begin != MAP_FAILED);
    memset(begin + (-(uintptr_t)begin & (huge - 1)), 1, huge);
    const long kib = press_number("/proc/self/smaps_rollup", key);
    munmap(begin, 2 * huge);
    return kib * 1024 >= (long)huge;
}

/* The kernel would use them wherever an address and a file's offset are both multiples of one. A lead makes it so for
 * the extension, whose huge pages would reach past the end of the file. */
void press_huge_pages(void)
{
    const long huge = press_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", NULL);
    struct press_world world = {.unit_bytes = UINT64_C(512) << 10, .press = expect_no_huge};
    struct press_tenant first = {0};
    if (huge <= 0 || (uint64_t)huge > 4 * world.unit_bytes)
        CHECK_SKIP("this kernel has no huge pages, or none of at most 2 MiB");
    if (!gives_huge((size_t)huge, MAP_PRIVATE, "AnonHugePages:") ||
        !gives_huge((size_t)huge, MAP_SHARED, "ShmemPmdMapped:"))
        CHECK_SKIP("the kernel gave no huge page where it may");
    press_open(&world, 2);
    CHECK(press_lend(&world, &first, PRESS_NONE, 0));
    CHECK(press_release(&world, &first));
    world.lead_bytes = -((uintptr_t)first.memory.base + 32 * world.unit_bytes) & ((uint64_t)huge - 1);
    press_life(&world);
    press_close(&world);
    press_note("the kernel gives them to memory and to files, but not to slots");
}
