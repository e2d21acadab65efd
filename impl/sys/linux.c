/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The table for Linux: one function per call, errno turned into a result, EINTR retried where the manual page says the
 * call may return it (ftruncate(2), read(2), write(2)). */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Constants that an older libc may lack (linux/memfd.h, asm-generic/mman-common.h, linux/fcntl.h, linux/magic.h). */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define LINUX_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int linux_mmap(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                      enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    static const struct {
        int protection, flags;
    } kinds[] = {
        [COW_MAP_RESERVED] = {PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
        [COW_MAP_ZERO] = {PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
        [COW_MAP_IMAGE] = {PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE},
        [COW_MAP_SHARED] = {PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE},
        [COW_MAP_VIEW] = {PROT_READ, MAP_PRIVATE | MAP_NORESERVE},
    };
    static const int places[] = {
        [COW_WHERE_ANY] = 0, [COW_WHERE_FIXED] = MAP_FIXED, [COW_WHERE_NOREPLACE] = MAP_FIXED_NOREPLACE};
    void *hint = where == COW_WHERE_ANY ? NULL : at;
    (void)self;
    void *mapped =
        mmap(hint, length_bytes, kinds[what].protection, kinds[what].flags | places[where], fd, (off_t)offset_bytes);
    if (mapped == MAP_FAILED)
        return -errno;
    if (hint && mapped != hint) { /* before Linux 4.17 NOREPLACE is only a hint */
        munmap(mapped, length_bytes);
        return -EEXIST;
    }
    *ret_at = mapped;
    return 0;
}

static int linux_munmap(const struct cow_sys_table *self, void *at, size_t length_bytes)
{
    (void)self;
    return munmap(at, length_bytes) ? -errno : 0;
}

static const int linux_advices[] = {
    [COW_ADVICE_DISCARD] = MADV_DONTNEED,    [COW_ADVICE_DISCARD_LOCKED] = MADV_DONTNEED_LOCKED,
    [COW_ADVICE_DONT_FORK] = MADV_DONTFORK,  [COW_ADVICE_DONT_DUMP] = MADV_DONTDUMP,
    [COW_ADVICE_NO_HUGE] = MADV_NOHUGEPAGE,  [COW_ADVICE_WIPE_ON_FORK] = MADV_WIPEONFORK,
    [COW_ADVICE_GUARD] = MADV_GUARD_INSTALL, [COW_ADVICE_UNGUARD] = MADV_GUARD_REMOVE,
};

static int linux_madvise(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_advice advice)
{
    (void)self;
    if (!madvise(at, length_bytes, linux_advices[advice]))
        return 0;
    if (advice == COW_ADVICE_NO_HUGE &&
        errno == EINVAL) /* a kernel without CONFIG_TRANSPARENT_HUGEPAGE has none to forbid */
        return 0;
    return -errno;
}

static int64_t linux_process_madvise(const struct cow_sys_table *self, int process_fd, const struct iovec *ranges,
                                     size_t n_ranges, enum cow_advice advice)
{
    (void)self;
    const long n = syscall(SYS_process_madvise, process_fd, ranges, n_ranges, linux_advices[advice], 0);
    return n < 0 ? -errno : n;
}

static int linux_mprotect(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_access access)
{
    (void)self;
    return mprotect(at, length_bytes, access == COW_ACCESS_WRITE ? PROT_READ | PROT_WRITE : PROT_NONE) ? -errno : 0;
}

static int linux_ftruncate(const struct cow_sys_table *self, int fd, uint64_t length_bytes)
{
    int failed;
    (void)self;
    do
        failed = ftruncate(fd, (off_t)length_bytes);
    while (failed && errno == EINTR);
    return failed ? -errno : 0;
}

static int linux_memfd_create(const struct cow_sys_table *self, const char *name)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    (void)self;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(name, flags);
    return fd < 0 ? -errno : fd;
}

static int linux_seal(const struct cow_sys_table *self, int fd)
{
    (void)self;
    return fcntl(fd, F_ADD_SEALS, LINUX_SEALS) ? -errno : 0;
}

static int64_t linux_pwrite(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n_pieces,
                            uint64_t offset_bytes)
{
    ssize_t n;
    (void)self;
    do
        n = pwritev(fd, pieces, (int)n_pieces, (off_t)offset_bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int64_t linux_pread(const struct cow_sys_table *self, int fd, void *ret_bytes, size_t length_bytes,
                           uint64_t offset_bytes)
{
    ssize_t n;
    (void)self;
    do
        n = pread(fd, ret_bytes, length_bytes, (off_t)offset_bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* MemorySanitizer knows what the kernel writes for the C library's calls, and not what lies behind a pointer in an argument. */
#if defined __has_feature
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define LINUX_HAS_WRITTEN(at, length_bytes) __msan_unpoison(at, length_bytes)
#endif
#endif
#ifndef LINUX_HAS_WRITTEN
#define LINUX_HAS_WRITTEN(at, length_bytes) ((void)0)
#endif

/* What the kernel calls struct pm_scan_arg and struct page_region (linux/fs.h, since 6.7): older headers lack them. */
struct scan_argument {
    uint64_t size, flags, begin, end, ret_walk_end, regions, n_regions, max_pages;
    uint64_t inverted_categories, all_of, any_of, told_categories;
};
struct scan_region {
    uint64_t begin, end, categories;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)
enum { SCAN_IS_FILE = 1 << 2, SCAN_IS_PRESENT = 1 << 3, SCAN_IS_SWAPPED = 1 << 4, SCAN_IS_ZERO_PAGE = 1 << 5 };

static int linux_pagemap_scan(const struct cow_sys_table *self, int pagemap_fd, uint8_t *at, size_t length_bytes,
                              unsigned where, struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end)
{
    enum { N_REGIONS = 64 };
    struct scan_region regions[N_REGIONS];
    struct scan_argument argument = {
        .size = sizeof argument,
        .begin = (uintptr_t)at,
        .end = (uintptr_t)at + length_bytes,
        .regions = (uintptr_t)regions,
        .n_regions = n_max < N_REGIONS ? n_max : N_REGIONS,
        .inverted_categories = SCAN_IS_FILE,
        .all_of = SCAN_IS_FILE, /* inverted: no page of a file */
        .any_of = (where & COW_PAGES_PRESENT ? SCAN_IS_PRESENT : 0) | (where & COW_PAGES_SWAPPED ? SCAN_IS_SWAPPED : 0),
        .told_categories = SCAN_IS_ZERO_PAGE,
    };
    (void)self;
    const int n = ioctl(pagemap_fd, SCAN_IOCTL, &argument);
    if (n < 0)
        return -errno;
    LINUX_HAS_WRITTEN(regions, (size_t)n * sizeof *regions);
    for (int i = 0; i < n; i++)
        ret_stretches[i] = (struct cow_stretch){.begin = at + (regions[i].begin - (uintptr_t)at),
                                                .end = at + (regions[i].end - (uintptr_t)at),
                                                .is_zero_page = regions[i].categories & SCAN_IS_ZERO_PAGE};
    *ret_end = at + (argument.ret_walk_end - (uintptr_t)at);
    return n;
}

static int linux_open_process(const struct cow_sys_table *self)
{
    (void)self;
    const long fd = syscall(SYS_pidfd_open, getpid(), 0);
    return fd < 0 ? -errno : (int)fd;
}

static int linux_open_pagemap(const struct cow_sys_table *self)
{
    (void)self;
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int linux_duplicate(const struct cow_sys_table *self, int fd)
{
    (void)self;
    const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return duplicate < 0 ? -errno : duplicate;
}

static int linux_close(const struct cow_sys_table *self, int fd)
{
    (void)self;
    /* After EINTR the descriptor is gone all the same on Linux (close(2)): a retry could close somebody else's. */
    return close(fd) && errno != EINTR ? -errno : 0;
}

static int64_t linux_file_bytes(const struct cow_sys_table *self, int fd)
{
    struct stat status;
    (void)self;
    return fstat(fd, &status) ? -errno : status.st_size;
}

static int linux_seals(const struct cow_sys_table *self, int fd)
{
    (void)self;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return -errno;
    return (seals & F_SEAL_WRITE ? COW_SEAL_WRITE : 0) | (seals & F_SEAL_SHRINK ? COW_SEAL_SHRINK : 0) |
           (seals & F_SEAL_GROW ? COW_SEAL_GROW : 0) | (seals & F_SEAL_SEAL ? COW_SEAL_SEAL : 0);
}

static int linux_has_host_pages(const struct cow_sys_table *self, int fd)
{
    struct stat status;
    struct statfs file_system;
    (void)self;
    if (fstat(fd, &status) || fstatfs(fd, &file_system))
        return -errno;
    return S_ISREG(status.st_mode) && file_system.f_type != HUGETLBFS_MAGIC;
}

/* lseek(2), SEEK_DATA: ENXIO when there is no data behind the offset. */
static int find_data(int fd, off_t offset, uint64_t *ret_begin_bytes, uint64_t *ret_end_bytes)
{
    off_t begin = lseek(fd, offset, SEEK_DATA);
    if (begin < 0 && errno == ENXIO)
        begin = lseek(fd, 0, SEEK_END);
    const off_t end = begin < 0 ? begin : lseek(fd, begin, SEEK_HOLE);
    if (end < 0 && (begin < 0 || errno != ENXIO))
        return -errno;
    *ret_begin_bytes = (uint64_t)begin;
    *ret_end_bytes = end < begin ? (uint64_t)begin : (uint64_t)end;
    return 0;
}

static int linux_next_data(const struct cow_sys_table *self, int fd, uint64_t offset_bytes, uint64_t *ret_begin_bytes,
                           uint64_t *ret_end_bytes)
{
    (void)self;
    const off_t position = lseek(fd, 0, SEEK_CUR);
    if (position < 0)
        return -errno;
    const int result = find_data(fd, (off_t)offset_bytes, ret_begin_bytes, ret_end_bytes);
    return lseek(fd, position, SEEK_SET) < 0 && !result ? -errno : result;
}

static size_t linux_host_page_bytes(const struct cow_sys_table *self)
{
    (void)self;
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void linux_raise_descriptor_limit(const struct cow_sys_table *self, uint64_t n)
{
    struct rlimit limit;
    (void)self;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return;
    limit.rlim_cur = limit.rlim_max - limit.rlim_cur < n ? limit.rlim_max : limit.rlim_cur + n;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* best effort: memfd_create says what is missing */
}

const struct cow_sys_table cow_sys_linux = {
    .name = "linux",
    .mmap = linux_mmap,
    .munmap = linux_munmap,
    .madvise = linux_madvise,
    .process_madvise = linux_process_madvise,
    .mprotect = linux_mprotect,
    .ftruncate = linux_ftruncate,
    .memfd_create = linux_memfd_create,
    .seal = linux_seal,
    .pwrite = linux_pwrite,
    .pread = linux_pread,
    .pagemap_scan = linux_pagemap_scan,
    .open_process = linux_open_process,
    .open_pagemap = linux_open_pagemap,
    .duplicate = linux_duplicate,
    .close = linux_close,
    .file_bytes = linux_file_bytes,
    .seals = linux_seals,
    .has_host_pages = linux_has_host_pages,
    .next_data = linux_next_data,
    .host_page_bytes = linux_host_page_bytes,
    .raise_descriptor_limit = linux_raise_descriptor_limit,
};
