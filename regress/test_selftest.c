/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The self-test (selftest.h): each lie of a kernel about what growth and reset are built upon is noticed by itself, and what is no lie is
 * not condemned. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum lie {
    HONEST,
    MAP_UNREADABLE,  /* private memory cannot be read */
    MAP_DIRTY,       /* an image has other bytes until it is discarded the first time */
    DISCARD_NOTHING, /* the n-th */
    SHUT_NOTHING,    /* mprotect, or guard markers */
    SHUT_LATE,       /* when it is discarded */
    SHUT_AND_KEEP,   /* the bytes come back when it is opened */
    OPEN_NOTHING,
    OPEN_WITH_BYTES,
    DISCARD_OPENS,     /* what was shut */
    SHRINK_ONLY_BYTES, /* they are zero, and the length is what it was */
    SHRINK_ONLY_LENGTH,
    GROW_TOO_FAR,
    GROW_ONCE,
    WRITE_NOTHING,  /* of the n-th single byte, and say so */
    WRITE_BY_BYTES, /* no lie */
    WRITE_CLAIM_MORE,
    BATCH_FIRST, /* process_madvise: only the first range is done, and both are claimed */
    BATCH_SECOND,
    BATCH_BUT_A_BYTE,
    BATCH_SHORT, /* the first range is done, and nothing else is claimed: no lie */
    BATCH_NO_PROCESS,
    SCAN_NONE,
    SCAN_ELSEWHERE,
    SCAN_TOO_LONG,
    SCAN_ZERO_PAGE,
    SCAN_ERROR, /* no lie */
    SCAN_NO_PAGEMAP,
};

static struct {
    struct cow_sys_table table; /* first: `self` is this */
    enum lie lie;
    int at, n_discards, n_grown, n_written;
    uint8_t *shut, kept[1 << 16];
    int (*shut_late)(uint8_t *at, bool opens);
} kernel;
static const struct cow_sys_table *const honest = &cow_sys_linux;
static size_t page;

static int my_mmap(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_map what, enum cow_where where,
                   int fd, uint64_t offset, void **ret_at)
{
    (void)self;
    const int result = honest->mmap(honest, at, n_bytes, what, where, fd, offset, ret_at);
    if (!result && kernel.lie == MAP_UNREADABLE && what == COW_MAP_IMAGE)
        CHECK_EQ(mprotect(*ret_at, n_bytes, PROT_NONE), 0);
    if (!result && kernel.lie == MAP_DIRTY && what == COW_MAP_IMAGE)
        memset(*ret_at, 0x99, n_bytes);
    return result;
}

static int set_access(uint8_t *at, bool opens, int (*really)(uint8_t *at, bool opens))
{
    if (kernel.lie == (opens ? OPEN_NOTHING : SHUT_NOTHING))
        return 0;
    if (!opens) {
        kernel.shut = at;
        memcpy(kernel.kept, at, page);
        kernel.shut_late = kernel.lie == SHUT_LATE ? really : NULL;
        if (kernel.shut_late)
            return 0;
    }
    const int result = really(at, opens);
    if (!result && opens && kernel.lie == OPEN_WITH_BYTES)
        at[page - 1] = 1;
    if (!result && opens && kernel.lie == SHUT_AND_KEEP)
        memcpy(at, kernel.kept, page);
    if (opens)
        kernel.shut = NULL;
    return result;
}

static int really_mark(uint8_t *at, bool opens)
{
    return honest->madvise(honest, at, page, opens ? COW_ADVICE_UNGUARD : COW_ADVICE_GUARD);
}

static int really_protect(uint8_t *at, bool opens)
{
    return honest->mprotect(honest, at, page, opens ? COW_ACCESS_WRITE : COW_ACCESS_NONE);
}

static int my_mprotect(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_access access)
{
    (void)self;
    CHECK_EQ(n_bytes, page);
    return set_access(at, access == COW_ACCESS_WRITE, really_protect);
}

static int my_madvise(const struct cow_sys_table *self, void *at, size_t n_bytes, enum cow_advice advice)
{
    (void)self;
    CHECK_EQ(n_bytes, page);
    if (advice == COW_ADVICE_GUARD || advice == COW_ADVICE_UNGUARD)
        return set_access(at, advice == COW_ADVICE_UNGUARD, really_mark);
    if (advice == COW_ADVICE_DISCARD && kernel.lie == DISCARD_NOTHING && ++kernel.n_discards == kernel.at)
        return 0;
    const int result = honest->madvise(honest, at, n_bytes, advice);
    if (kernel.shut_late && at == kernel.shut)
        return kernel.shut_late(at, false);
    if (kernel.lie == DISCARD_OPENS && at == kernel.shut) {
        (void)really_mark(at, true);
        (void)really_protect(at, true);
    }
    return result;
}

static int my_ftruncate(const struct cow_sys_table *self, int fd, uint64_t n_bytes)
{
    static const uint8_t zeros[1 << 16];
    (void)self;
    kernel.n_grown += n_bytes > 0;
    if (kernel.lie == SHRINK_ONLY_BYTES && n_bytes == 0)
        return pwrite(fd, zeros, page, 0) == (ssize_t)page ? 0 : -EIO;
    if (kernel.lie == GROW_ONCE && kernel.n_grown > 1)
        return 0;
    if (kernel.lie == GROW_TOO_FAR)
        n_bytes *= 2;
    if (kernel.lie == SHRINK_ONLY_LENGTH && n_bytes == 0)
        CHECK_EQ(pread(fd, kernel.kept, page, 0), page);
    const int result = honest->ftruncate(honest, fd, n_bytes);
    if (kernel.lie == SHRINK_ONLY_LENGTH && kernel.n_grown > 1 && n_bytes)
        CHECK_EQ(pwrite(fd, kernel.kept, page, 0), page);
    return result;
}

static int64_t my_pwrite(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n,
                         uint64_t offset)
{
    (void)self;
    struct iovec piece = pieces[0];
    CHECK_EQ(n, 1);
    if (piece.iov_len == 1)
        return kernel.lie == WRITE_NOTHING && ++kernel.n_written == kernel.at
                   ? 0
                   : honest->pwrite(honest, fd, pieces, n, offset);
    if (kernel.lie == WRITE_BY_BYTES)
        piece.iov_len = 1;
    if (kernel.lie == WRITE_CLAIM_MORE && offset == 0)
        piece.iov_len = page / 2;
    const int64_t n_done = honest->pwrite(honest, fd, &piece, n, offset);
    return kernel.lie == WRITE_CLAIM_MORE && offset ? n_done + 1 : n_done;
}

static int64_t my_process_madvise(const struct cow_sys_table *self, int fd, const struct iovec *ranges, size_t n,
                                  enum cow_advice advice)
{
    (void)self;
    CHECK_EQ(n, 2);
    if (kernel.lie == BATCH_FIRST || kernel.lie == BATCH_SHORT)
        CHECK_EQ(honest->madvise(honest, ranges[0].iov_base, page, advice), 0);
    if (kernel.lie == BATCH_SECOND)
        CHECK_EQ(honest->madvise(honest, ranges[1].iov_base, page, advice), 0);
    if (kernel.lie == BATCH_SHORT)
        return (int64_t)page;
    if (kernel.lie == BATCH_FIRST || kernel.lie == BATCH_SECOND)
        return (int64_t)(2 * page);
    const int64_t n_done = honest->process_madvise(honest, fd, ranges, n, advice);
    if (kernel.lie == BATCH_BUT_A_BYTE)
        ((uint8_t *)ranges[kernel.at].iov_base)[page - 1] ^= 1;
    return n_done;
}

static int my_scan(const struct cow_sys_table *self, int fd, uint8_t *at, size_t n_bytes, unsigned where,
                   struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end)
{
    (void)self;
    const int n = honest->pagemap_scan(honest, fd, at, n_bytes, where, ret_stretches, n_max, ret_end);
    if (n != 1)
        return n;
    ret_stretches->begin -= kernel.lie == SCAN_ELSEWHERE ? page : 0;
    ret_stretches->end += kernel.lie == SCAN_TOO_LONG ? page : 0;
    ret_stretches->is_zero_page |= kernel.lie == SCAN_ZERO_PAGE;
    return kernel.lie == SCAN_NONE ? 0 : kernel.lie == SCAN_ERROR ? -ENOTTY : n;
}

static int my_open_process(const struct cow_sys_table *self)
{
    (void)self;
    return kernel.lie == BATCH_NO_PROCESS ? -EPERM : honest->open_process(honest);
}

static int my_open_pagemap(const struct cow_sys_table *self)
{
    (void)self;
    return kernel.lie == SCAN_NO_PAGEMAP ? -EACCES : honest->open_pagemap(honest);
}

static int verdict(enum lie lie, int at, enum cow_growth growth, enum cow_reset reset)
{
    memset(&kernel, 0, sizeof kernel);
    kernel.table = *honest;
    kernel.table.mmap = my_mmap;
    kernel.table.mprotect = my_mprotect;
    kernel.table.madvise = my_madvise;
    kernel.table.ftruncate = my_ftruncate;
    kernel.table.pwrite = my_pwrite;
    kernel.table.process_madvise = my_process_madvise;
    kernel.table.pagemap_scan = my_scan;
    kernel.table.open_process = my_open_process;
    kernel.table.open_pagemap = my_open_pagemap;
    kernel.lie = lie;
    kernel.at = at;
    const int n_descriptors = process_n_descriptors();
    const int result = cow_selftest(&kernel.table, growth, reset);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    return result;
}

static void check_refused(const enum lie *lies, size_t n, enum cow_growth growth, enum cow_reset reset)
{
    CHECK_EQ(verdict(HONEST, 0, growth, reset), COW_OK);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(verdict(lies[i], 0, growth, reset), COW_KERNEL);
}

static void test_selftest__private_memory(void)
{
    const enum lie lies[] = {MAP_UNREADABLE, MAP_DIRTY, WRITE_CLAIM_MORE};
    check_refused(lies, sizeof lies / sizeof *lies, COW_GROWTH_SOFTWARE, COW_RESET_DISCARD);
    CHECK_EQ(verdict(WRITE_BY_BYTES, 0, COW_GROWTH_SOFTWARE, COW_RESET_DISCARD), COW_OK);
    for (int at = 1; at <= 4; at++) /* whether zero is readable, twice, and an image; whether it can be written to */
        CHECK_EQ(verdict(WRITE_NOTHING, at, COW_GROWTH_SOFTWARE, COW_RESET_DISCARD), COW_KERNEL);
    for (int at = 1; at <= 3; at++) /* of memory that is zero, twice, and of an image */
        CHECK_EQ(verdict(DISCARD_NOTHING, at, COW_GROWTH_SOFTWARE, COW_RESET_DISCARD), COW_KERNEL);
    CHECK_EQ(verdict(DISCARD_NOTHING, 4, COW_GROWTH_SOFTWARE, COW_RESET_DISCARD), COW_OK); /* nobody asks */
}

static void test_selftest__extension_files(void)
{
    const enum lie lies[] = {SHRINK_ONLY_BYTES, SHRINK_ONLY_LENGTH, GROW_TOO_FAR, GROW_ONCE};
    check_refused(lies, sizeof lies / sizeof *lies, COW_GROWTH_TRUNCATE, COW_RESET_DISCARD);
}

static void check_access(enum cow_growth growth)
{
    const enum lie lies[] = {SHUT_NOTHING, SHUT_LATE, OPEN_NOTHING, OPEN_WITH_BYTES, DISCARD_OPENS};
    check_refused(lies, sizeof lies / sizeof *lies, growth, COW_RESET_DISCARD);
}

static void test_selftest__access(void)
{
    check_access(COW_GROWTH_PROTECT);
}

static void test_selftest__scans(void)
{
    const enum lie lies[] = {SCAN_NONE, SCAN_ELSEWHERE, SCAN_TOO_LONG, SCAN_ZERO_PAGE};
    CHECK_EQ(verdict(SCAN_ERROR, 0, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), COW_OK);
    CHECK_EQ(verdict(SCAN_NO_PAGEMAP, 0, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), COW_OK);
    const int fd = honest->open_pagemap(honest);
    struct cow_stretch stretch;
    uint8_t *end;
    static uint8_t byte = 1;
    uint8_t *at = &byte - (uintptr_t)&byte % page;
    const bool can_scan =
        fd >= 0 && honest->pagemap_scan(honest, fd, at, page, COW_PAGES_PRESENT, &stretch, 1, &end) >= 0;
    CHECK(fd < 0 || close(fd) == 0);
    if (can_scan)
        check_refused(lies, sizeof lies / sizeof *lies, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK);
}

/* Before Linux 6.13 a process lets go of nothing of its own by it (process_madvise(2)); or it may not look at itself. */
static bool can_batch(void)
{
    void *at;
    CHECK_EQ(honest->mmap(honest, NULL, page, COW_MAP_ZERO, COW_WHERE_ANY, -1, 0, &at), 0);
    const int fd = honest->open_process(honest);
    const struct iovec range = {at, page};
    const bool can = fd >= 0 && honest->process_madvise(honest, fd, &range, 1, COW_ADVICE_DISCARD) == (int64_t)page;
    CHECK(fd < 0 || close(fd) == 0);
    CHECK_EQ(honest->munmap(honest, at, page), 0);
    return can;
}

static void test_selftest__many_at_once(void)
{
    const enum lie lies[] = {BATCH_FIRST, BATCH_SECOND};
    CHECK_EQ(verdict(BATCH_SHORT, 0, COW_GROWTH_SOFTWARE, COW_RESET_DEFERRED), COW_OK);
    CHECK_EQ(verdict(BATCH_NO_PROCESS, 0, COW_GROWTH_SOFTWARE, COW_RESET_DEFERRED), COW_OK);
    if (!can_batch())
        return;
    check_refused(lies, sizeof lies / sizeof *lies, COW_GROWTH_SOFTWARE, COW_RESET_DEFERRED);
    for (int at = 0; at < 2; at++)
        CHECK_EQ(verdict(BATCH_BUT_A_BYTE, at, COW_GROWTH_SOFTWARE, COW_RESET_DEFERRED), COW_KERNEL);
}

static void test_selftest__guard_markers(void)
{
    if (verdict(HONEST, 0, COW_GROWTH_GUARD, COW_RESET_DISCARD) == COW_UNSUPPORTED)
        CHECK_SKIP("no guard markers here");
    check_access(COW_GROWTH_GUARD);
    CHECK_EQ(verdict(SHUT_AND_KEEP, 0, COW_GROWTH_GUARD, COW_RESET_DISCARD), COW_KERNEL);
}

/* What is remembered of Linux is that it kept its word; neither that it could not answer, nor what others did. */
static void test_selftest__failures_are_not_remembered(void)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {0, limit.rlim_max};
    CHECK_EQ(verdict(HONEST, 0, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), COW_OK);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(cow_selftest(honest, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), -EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(cow_selftest(honest, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), COW_OK);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQ(cow_selftest(honest, COW_GROWTH_SOFTWARE, COW_RESET_COPYBACK), COW_OK); /* it asks no more */
    CHECK_EQ(cow_selftest(honest, COW_GROWTH_SOFTWARE, COW_RESET_DEFERRED), -EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
    page = fixture_page();
    RUN(test_selftest__private_memory);
    RUN(test_selftest__extension_files);
    RUN(test_selftest__access);
    RUN(test_selftest__scans);
    RUN(test_selftest__many_at_once);
    RUN(test_selftest__failures_are_not_remembered);
    RUN(test_selftest__guard_markers); /* last: it may be skipped */
    return 0;
}
