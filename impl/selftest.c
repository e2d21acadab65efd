/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "selftest.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Three pages in three kinds of mappings, and the files behind them. */
struct bench {
    struct cow_sys sys;
    size_t page_bytes;
    int image_fd, extension_fd, scratch_fd;
    uint8_t *image, *zero, *extension;
    enum cow_growth growth;
    enum cow_reset reset;
};

enum { N_GROWTHS = COW_GROWTH_SOFTWARE + 1, N_RESETS = COW_RESET_ADAPTIVE + 1 };

#define PATTERN 0x5a
#define DIRT 0xa5

static int all_bytes_are(const uint8_t *bytes, size_t n, uint8_t value)
{
    return bytes[0] == value && memcmp(bytes, bytes + 1, n - 1) == 0;
}

static int64_t write_bytes(struct bench *bench, int fd, const uint8_t *bytes, size_t n_bytes, uint64_t offset_bytes)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n_bytes};
    return cow_sys_pwrite(&bench->sys, fd, &piece, 1, offset_bytes);
}

/* Whether the kernel itself can read the page, as it must or must not: an access that would fault gives EFAULT and no signal
 * (write(2)). COW_KERNEL if it is not so. */
static int test_readable(struct bench *bench, const uint8_t *page, bool is_readable)
{
    const int64_t n = write_bytes(bench, bench->scratch_fd, page, 1, 0);
    if (n == (is_readable ? 1 : -EFAULT))
        return COW_OK;
    return n < 0 && n != -EFAULT ? (int)n : COW_KERNEL;
}

static int discard(struct bench *bench, uint8_t *page)
{
    const int result = cow_sys_madvise(&bench->sys, page, bench->page_bytes, COW_ADVICE_DISCARD);
    return result == -EINVAL ? cow_sys_madvise(&bench->sys, page, bench->page_bytes, COW_ADVICE_DISCARD_LOCKED)
                             : result;
}

/* Private pages return to what they were: image bytes, or zero. */
static int test_discard(struct bench *bench, uint8_t *page, uint8_t before)
{
    int result = test_readable(bench, page, true);
    if (result)
        return result;
    if (!all_bytes_are(page, bench->page_bytes, before))
        return COW_KERNEL;
    memset(page, DIRT, bench->page_bytes);
    result = discard(bench, page);
    if (result)
        return result;
    return all_bytes_are(page, bench->page_bytes, before) ? COW_OK : COW_KERNEL;
}

/* The file's end is the end of what can be touched, and what a shrink took away stays away. */
static int test_extension(struct bench *bench)
{
    int result = test_readable(bench, bench->extension, false);
    if (!result)
        result = cow_sys_ftruncate(&bench->sys, bench->extension_fd, bench->page_bytes);
    if (!result)
        result = test_readable(bench, bench->extension, true);
    if (!result)
        result = test_readable(bench, bench->extension + bench->page_bytes, false);
    if (result)
        return result;
    memset(bench->extension, DIRT, bench->page_bytes);
    result = cow_sys_ftruncate(&bench->sys, bench->extension_fd, 0);
    if (!result)
        result = test_readable(bench, bench->extension, false);
    if (!result)
        result = cow_sys_ftruncate(&bench->sys, bench->extension_fd, bench->page_bytes);
    if (!result)
        result = test_readable(bench, bench->extension, true);
    if (result)
        return result;
    return all_bytes_are(bench->extension, bench->page_bytes, 0) ? COW_OK : COW_KERNEL;
}

static int set_access(struct bench *bench, uint8_t *page, enum cow_access access)
{
    struct cow_sys *sys = &bench->sys;
    if (bench->growth == COW_GROWTH_PROTECT)
        return cow_sys_mprotect(sys, page, bench->page_bytes, access);
    return cow_sys_madvise(sys, page, bench->page_bytes,
                           access == COW_ACCESS_WRITE ? COW_ADVICE_UNGUARD : COW_ADVICE_GUARD);
}

/* What is shut cannot be touched, and stays so when it is discarded; opened again it reads zero. */
static int test_access(struct bench *bench, uint8_t *page)
{
    memset(page, DIRT, bench->page_bytes);
    int result = bench->growth == COW_GROWTH_PROTECT ? discard(bench, page) : 0; /* markers take the page with them */
    if (!result)
        result = set_access(bench, page, COW_ACCESS_NONE);
    if (result == -EINVAL && bench->growth == COW_GROWTH_GUARD)
        return COW_UNSUPPORTED; /* before Linux 6.13, or in locked memory */
    if (!result)
        result = test_readable(bench, page, false);
    if (!result)
        result = discard(bench, page);
    if (!result)
        result = test_readable(bench, page, false);
    if (!result)
        result = set_access(bench, page, COW_ACCESS_WRITE);
    if (!result)
        result = test_readable(bench, page, true);
    if (result)
        return result;
    return all_bytes_are(page, bench->page_bytes, 0) ? COW_OK : COW_KERNEL;
}

/* Private pages are found. A kernel that cannot look is no liar: the pool goes without. */
static int test_scan(struct bench *bench)
{
    const struct cow_sys_table *table = bench->sys.table;
    const int fd = table->open_pagemap(table);
    struct cow_stretch stretch = {.begin = NULL};
    uint8_t *walked = bench->image;
    if (fd < 0)
        return COW_OK;
    bench->image[0] = DIRT;
    const int n = cow_sys_pagemap_scan(&bench->sys, fd, bench->image, bench->page_bytes,
                                       COW_PAGES_PRESENT | COW_PAGES_SWAPPED, &stretch, 1, &walked);
    (void)cow_sys_close(&bench->sys, fd);
    const bool is_found = n == 1 && stretch.begin == bench->image && stretch.end == bench->image + bench->page_bytes &&
                          !stretch.is_zero_page;
    return n < 0 || is_found ? COW_OK : COW_KERNEL;
}

/* What is said to be done by one call is done for all. */
static int test_batch(struct bench *bench)
{
    const struct cow_sys_table *table = bench->sys.table;
    const struct iovec pages[] = {{bench->zero, bench->page_bytes}, {bench->image, bench->page_bytes}};
    const int fd = table->open_process(table);
    if (fd < 0)
        return COW_OK;
    memset(bench->zero, DIRT, bench->page_bytes);
    memset(bench->image, DIRT, bench->page_bytes);
    const int64_t n = cow_sys_process_madvise(&bench->sys, fd, pages, 2, COW_ADVICE_DISCARD);
    (void)cow_sys_close(&bench->sys, fd);
    if (n != (int64_t)(2 * bench->page_bytes))
        return COW_OK; /* locked memory, or a kernel that does this for other processes only */
    return all_bytes_are(bench->zero, bench->page_bytes, 0) && all_bytes_are(bench->image, bench->page_bytes, PATTERN)
               ? COW_OK
               : COW_KERNEL;
}

static int test_seal(struct bench *bench)
{
    const uint8_t byte = DIRT;
    const int64_t n = write_bytes(bench, bench->image_fd, &byte, 1, 0);
    if (n == -EPERM)
        return COW_OK;
    return n < 0 ? (int)n : COW_KERNEL;
}

static int map(struct bench *bench, enum cow_map what, int fd, size_t n_pages, uint8_t **ret_page)
{
    void *mapped;
    const int result =
        cow_sys_mmap(&bench->sys, NULL, n_pages * bench->page_bytes, what, COW_WHERE_ANY, fd, 0, &mapped);
    if (!result)
        *ret_page = mapped;
    return result;
}

static int open_file(struct bench *bench, int *ret_fd)
{
    const int fd = cow_sys_memfd_create(&bench->sys, "cowpool-selftest");
    if (fd >= 0)
        *ret_fd = fd;
    return fd < 0 ? fd : 0;
}

static int fill_image(struct bench *bench)
{
    int result = map(bench, COW_MAP_ZERO, -1, 1, &bench->zero);
    if (!result)
        result = test_readable(bench, bench->zero, true);
    if (result)
        return result;
    memset(bench->zero, PATTERN, bench->page_bytes);
    for (size_t done = 0; done < bench->page_bytes;) { /* short counts are no lie (write(2)) */
        const int64_t n = write_bytes(bench, bench->image_fd, bench->zero + done, bench->page_bytes - done, done);
        if (n <= 0 || (size_t)n > bench->page_bytes - done)
            return n < 0 ? (int)n : COW_KERNEL;
        done += (size_t)n;
    }
    const int64_t file_bytes = bench->sys.table->file_bytes(bench->sys.table, bench->image_fd);
    if (file_bytes != (int64_t)bench->page_bytes) /* to read behind its end would be SIGBUS */
        return file_bytes < 0 ? (int)file_bytes : COW_KERNEL;
    result = discard(bench, bench->zero);
    return result ? result : cow_sys_seal(&bench->sys, bench->image_fd);
}

static int set_up(struct bench *bench)
{
    int result = open_file(bench, &bench->image_fd);
    if (!result && bench->growth == COW_GROWTH_TRUNCATE)
        result = open_file(bench, &bench->extension_fd);
    if (!result)
        result = open_file(bench, &bench->scratch_fd);
    if (!result)
        result = fill_image(bench);
    if (!result)
        result = map(bench, COW_MAP_IMAGE, bench->image_fd, 1, &bench->image);
    if (!result && bench->growth == COW_GROWTH_TRUNCATE)
        result = map(bench, COW_MAP_SHARED, bench->extension_fd, 2, &bench->extension);
    return result;
}

static int run(struct bench *bench)
{
    int result = test_discard(bench, bench->zero, 0);
    if (!result)
        result = test_discard(bench, bench->image, PATTERN);
    if (!result && bench->growth == COW_GROWTH_TRUNCATE)
        result = test_extension(bench);
    if (!result && (bench->growth == COW_GROWTH_PROTECT || bench->growth == COW_GROWTH_GUARD))
        result = test_access(bench, bench->zero);
    if (!result && (bench->reset == COW_RESET_COPYBACK || bench->reset == COW_RESET_ADAPTIVE))
        result = test_scan(bench);
    if (!result && (bench->reset == COW_RESET_DEFERRED || bench->reset == COW_RESET_ADAPTIVE))
        result = test_batch(bench);
    if (!result)
        result = test_seal(bench);
    return result;
}

static void tear_down(struct bench *bench)
{
    if (bench->image)
        (void)cow_sys_munmap(&bench->sys, bench->image, bench->page_bytes);
    if (bench->zero)
        (void)cow_sys_munmap(&bench->sys, bench->zero, bench->page_bytes);
    if (bench->extension)
        (void)cow_sys_munmap(&bench->sys, bench->extension, 2 * bench->page_bytes);
    for (int *fd = (int[]){bench->image_fd, bench->extension_fd, bench->scratch_fd, -2}; *fd != -2; fd++)
        if (*fd >= 0)
            (void)cow_sys_close(&bench->sys, *fd);
}

int cow_selftest(const struct cow_sys_table *table, enum cow_growth growth, enum cow_reset reset)
{
    /* Relaxed: at worst two threads test at the same time. */
    static atomic_bool linux_is_good[N_GROWTHS][N_RESETS];
    struct bench bench = {.sys.table = table,
                          .page_bytes = table->host_page_bytes(table),
                          .image_fd = -1,
                          .extension_fd = -1,
                          .scratch_fd = -1,
                          .growth = growth,
                          .reset = reset};
    if (table == &cow_sys_linux && atomic_load_explicit(&linux_is_good[growth][reset], memory_order_relaxed))
        return COW_OK;
    int result = set_up(&bench);
    if (!result)
        result = run(&bench);
    tear_down(&bench);
    if (table == &cow_sys_linux && result == COW_OK)
        atomic_store_explicit(&linux_is_good[growth][reset], true, memory_order_relaxed);
    return result;
}
