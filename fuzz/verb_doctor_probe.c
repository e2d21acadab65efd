/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Trials of what this kernel can do, one function each: 0, an errno, or DOCTOR_BROKEN. */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Written out, because build machines have older headers than the kernels that programs run on. */
#define TRY_MFD_NOEXEC_SEAL 8U
#define TRY_MADV_DONTNEED_LOCKED 24
#define TRY_MADV_GUARD_INSTALL 102
#define TRY_MADV_GUARD_REMOVE 103
#define TRY_SYS_PIDFD_OPEN 434
#define TRY_SYS_PROCESS_MADVISE 440

struct page_region {
    uint64_t start, end, categories;
};
struct pm_scan_arg { /* linux/fs.h since Linux 6.7 */
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define TRY_PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define TRY_PAGE_IS_PRESENT (UINT64_C(1) << 3)

struct procmap_query { /* linux/fs.h since Linux 6.11 */
    uint64_t size, query_flags, query_addr;
    uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    uint64_t vma_name_addr, build_id_addr;
};
#define TRY_PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)

/* ---- two pages of memory, both written to ---- */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* NULL, with errno set, if there are none. */
static uint8_t *get_pages(int fd)
{
    const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    uint8_t *pages = mmap(NULL, 2 * page_bytes(), PROT_READ | PROT_WRITE, flags, fd, 0);
    if (pages == MAP_FAILED)
        return NULL;
    pages[0] = pages[page_bytes()] = 0x5a;
    return pages;
}

static void put_pages(uint8_t *pages)
{
    munmap(pages, 2 * page_bytes());
}

/* Runs a trial on two private pages. */
static int with_pages(int (*try)(uint8_t *pages))
{
    uint8_t *pages = get_pages(-1);
    if (!pages)
        return errno;
    const int result = try(pages);
    put_pages(pages);
    return result;
}

/* Runs a trial on a descriptor of that file. */
static int with_file(const char *path, int (*try)(int fd))
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int result = try(fd);
    close(fd);
    return result;
}

/* ---- memory files ---- */

static int try_memfd_flags(unsigned flags)
{
    const int fd = memfd_create("lockstep-doctor", MFD_CLOEXEC | flags);
    if (fd < 0)
        return errno;
    const int result = ftruncate(fd, (off_t)page_bytes()) ? errno : 0;
    close(fd);
    return result;
}

static int try_memfd(void)
{
    return try_memfd_flags(0);
}

static int try_noexec_seal(void)
{
    return try_memfd_flags(TRY_MFD_NOEXEC_SEAL);
}

static int try_sealing(void)
{
    const int fd = memfd_create("lockstep-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int result = 0;
    if (fd < 0)
        return errno;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        result = errno;
    else if (pwrite(fd, "x", 1, 0) >= 0 || errno != EPERM)
        result = DOCTOR_BROKEN;
    close(fd);
    return result;
}

/* ---- advice ---- */

static int discard_locked(uint8_t *pages)
{
    const bool is_locked = mlock(pages, page_bytes()) == 0; /* RLIMIT_MEMLOCK may forbid it: then the advice alone */
    const int result = madvise(pages, page_bytes(), TRY_MADV_DONTNEED_LOCKED) ? errno : pages[0] ? DOCTOR_BROKEN : 0;
    if (is_locked)
        munlock(pages, page_bytes());
    return result;
}

static int wipe_on_fork(uint8_t *pages)
{
    int status = 0;
    if (madvise(pages, page_bytes(), MADV_WIPEONFORK))
        return errno;
    const pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0)
        _exit(pages[0] == 0 && pages[page_bytes()] == 0x5a ? 0 : 1);
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : DOCTOR_BROKEN;
}

/* The kernel tries to read the page for us: EFAULT and no signal. */
static bool is_readable(const uint8_t *page)
{
    const int fd = memfd_create("lockstep-doctor", MFD_CLOEXEC);
    const bool can = fd >= 0 && pwrite(fd, page, 1, 0) == 1;
    if (fd >= 0)
        close(fd);
    return can;
}

static int guard(uint8_t *pages)
{
    uint8_t *second = pages + page_bytes();
    if (madvise(second, page_bytes(), TRY_MADV_GUARD_INSTALL))
        return errno;
    if (is_readable(second) || !is_readable(pages))
        return DOCTOR_BROKEN;
    if (madvise(second, page_bytes(), TRY_MADV_GUARD_REMOVE))
        return errno;
    return is_readable(second) ? 0 : DOCTOR_BROKEN;
}

static int try_guard_shared(void)
{
    const int fd = memfd_create("lockstep-doctor", MFD_CLOEXEC);
    if (fd < 0)
        return errno;
    uint8_t *pages = ftruncate(fd, (off_t)(2 * page_bytes())) ? NULL : get_pages(fd);
    const int result = pages ? guard(pages) : errno;
    close(fd);
    if (pages)
        put_pages(pages);
    return result;
}

static int process_discard(uint8_t *pages)
{
    const struct iovec range = {pages, page_bytes()};
    const int pidfd = (int)syscall(TRY_SYS_PIDFD_OPEN, getpid(), 0);
    int result = 0;
    if (pidfd < 0)
        return errno;
    const long n = syscall(TRY_SYS_PROCESS_MADVISE, pidfd, &range, 1UL, MADV_DONTNEED, 0U);
    if (n < 0)
        result = errno;
    else if (n != (long)page_bytes() || pages[0])
        result = DOCTOR_BROKEN;
    close(pidfd);
    return result;
}

/* ---- /proc ---- */

static int read_pagemap(int fd)
{
    uint64_t entry = 0;
    uint8_t on_stack = 1; /* certainly present */
    const uint64_t page = (uintptr_t)&on_stack / page_bytes();
    if (pread(fd, &entry, sizeof entry, (off_t)(page * sizeof entry)) != (ssize_t)sizeof entry)
        return errno;
    return on_stack && entry >> 63 ? 0 : DOCTOR_BROKEN;
}

static int scan(int fd)
{
    struct page_region region = {0, 0, 0};
    uint8_t *pages = get_pages(-1);
    int result = 0;
    if (!pages)
        return errno;
    struct pm_scan_arg scan = {
        .size = sizeof scan,
        .start = (uintptr_t)pages,
        .end = (uintptr_t)pages + 2 * page_bytes(),
        .vec = (uintptr_t)&region,
        .vec_len = 1,
        .category_mask = TRY_PAGE_IS_PRESENT,
        .return_mask = TRY_PAGE_IS_PRESENT,
    };
    const int n = ioctl(fd, TRY_PAGEMAP_SCAN, &scan);
    if (n < 0)
        result = errno;
    else if (n != 1 || region.start != scan.start || region.end != scan.end)
        result = DOCTOR_BROKEN;
    put_pages(pages);
    return result;
}

static int query_mapping(int fd)
{
    const uint64_t address = (uintptr_t)&query_mapping;
    struct procmap_query query = {.size = sizeof query, .query_addr = address};
    if (ioctl(fd, TRY_PROCMAP_QUERY, &query))
        return errno;
    return query.vma_start <= address && address < query.vma_end ? 0 : DOCTOR_BROKEN;
}

int doctor_try(enum doctor_feature feature)
{
    switch (feature) {
    case DOCTOR_MEMFD:
        return try_memfd();
    case DOCTOR_SEALING:
        return try_sealing();
    case DOCTOR_NOEXEC_SEAL:
        return try_noexec_seal();
    case DOCTOR_DONTNEED_LOCKED:
        return with_pages(discard_locked);
    case DOCTOR_WIPEONFORK:
        return with_pages(wipe_on_fork);
    case DOCTOR_GUARD_PRIVATE:
        return with_pages(guard);
    case DOCTOR_GUARD_SHARED:
        return try_guard_shared();
    case DOCTOR_PAGEMAP:
        return with_file("/proc/self/pagemap", read_pagemap);
    case DOCTOR_PAGEMAP_SCAN:
        return with_file("/proc/self/pagemap", scan);
    case DOCTOR_PROCESS_MADVISE:
        return with_pages(process_discard);
    default:
        return with_file("/proc/self/maps", query_mapping);
    }
}
