/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The kernel border. Everything the pool asks of the operating system goes through one typed table, given per pool, so
 * that a test can put a failing or lying kernel underneath. No other file of impl/ includes <sys/mman.h>, reads errno,
 * or retries after EINTR.
 *
 * Contract of every call: the result, or 0, or -errno; a call that fails has changed nothing, except that a failed fixed
 * mapping leaves its range unknown (mmap(2): the old mapping may be gone), and that a failed mprotect or madvise may have done a
 * part of its range. Addresses, lengths and offsets are multiples of the host page, but for reads and writes; lengths are not zero.
 * A mapping of no file has -1 and 0 for its descriptor and offset (mmap(2)). `self` is the table itself: a wrapper embeds it in a
 * larger struct. */
#ifndef COW_SYS_H
#define COW_SYS_H

#include "cowpool.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>

/* What a mapping is. */
enum cow_map {
    COW_MAP_RESERVED, /* private, no access, no commit charge: keeps the range from everybody else */
    COW_MAP_ZERO,     /* private anonymous, read and write, MAP_NORESERVE */
    COW_MAP_IMAGE,    /* private copy-on-write view of a file, read and write, MAP_NORESERVE */
    COW_MAP_SHARED,   /* shared view of a file, read and write; access past the end of the file raises SIGBUS */
    COW_MAP_VIEW,     /* private view of a file, to be read only */
};

/* What the guest may do to pages that are mapped (mprotect(2)). */
enum cow_access {
    COW_ACCESS_NONE,
    COW_ACCESS_WRITE, /* read and write */
};

enum cow_where {
    COW_WHERE_ANY,       /* the kernel chooses; `at` is ignored */
    COW_WHERE_FIXED,     /* at `at`, replacing what is there (MAP_FIXED) */
    COW_WHERE_NOREPLACE, /* at `at`, or -EEXIST (MAP_FIXED_NOREPLACE) */
};

enum cow_advice {
    COW_ADVICE_DISCARD,        /* MADV_DONTNEED: private pages return to the file's bytes, or to zero */
    COW_ADVICE_DISCARD_LOCKED, /* MADV_DONTNEED_LOCKED, Linux 5.18: the same for locked memory, where DONTNEED is EINVAL */
    COW_ADVICE_DONT_FORK,      /* MADV_DONTFORK */
    COW_ADVICE_DONT_DUMP,      /* MADV_DONTDUMP */
    COW_ADVICE_NO_HUGE,        /* MADV_NOHUGEPAGE; 0 where the kernel has no huge pages */
    COW_ADVICE_WIPE_ON_FORK, /* MADV_WIPEONFORK, Linux 4.14: reads zero in a child */
    COW_ADVICE_GUARD,   /* MADV_GUARD_INSTALL, Linux 6.13: the pages go, and access to them raises SIGSEGV. -EINVAL for
                                locked memory, and of older kernels */
    COW_ADVICE_UNGUARD, /* MADV_GUARD_REMOVE: what was guarded can be accessed, and reads zero */
};

/* What can no longer be done to a file (fcntl(2), F_GET_SEALS). */
enum cow_seal {
    COW_SEAL_WRITE = 1,
    COW_SEAL_SHRINK = 2,
    COW_SEAL_GROW = 4,
    COW_SEAL_SEAL = 8, /* add seals */
    COW_SEALS_ALL = 15,
};

/* Where a page is that the process has for itself. */
enum cow_where_pages {
    COW_PAGES_PRESENT = 1,
    COW_PAGES_SWAPPED = 2,
};

/* A stretch of such pages. */
struct cow_stretch {
    uint8_t *begin, *end;
    bool
        is_zero_page; /* was only read, where nothing was mapped; or was found to hold zeros, and is shared now (KSM) */
};

struct cow_sys_table {
    const char *name; /* "linux" */
    int (*mmap)(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at);
    int (*munmap)(const struct cow_sys_table *self, void *at, size_t length_bytes);
    int (*madvise)(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_advice advice);
    /* The same advice for many ranges, by process (see open_process). How many bytes were done: may be fewer than asked, never more,
     * and then nothing says why (process_madvise(2)). */
    int64_t (*process_madvise)(const struct cow_sys_table *self, int process_fd, const struct iovec *ranges,
                               size_t n_ranges, enum cow_advice advice);
    int (*mprotect)(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_access access);
    int (*ftruncate)(const struct cow_sys_table *self, int fd, uint64_t length_bytes);
    /* A sealable, close-on-exec, non-executable (where the kernel knows that) memory file. Returns the descriptor. */
    int (*memfd_create)(const struct cow_sys_table *self, const char *name);
    /* Adds F_SEAL_WRITE|SHRINK|GROW|SEAL (fcntl(2)): from here on nobody can change the file. */
    int (*seal)(const struct cow_sys_table *self, int fd);
    /* Writes the pieces one behind the other. How many bytes were written: may be fewer than asked, never more. */
    int64_t (*pwrite)(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n_pieces,
                      uint64_t offset_bytes);
    /* How many bytes were read: may be fewer than asked, 0 at the end of the file, never more. */
    int64_t (*pread)(const struct cow_sys_table *self, int fd, void *ret_bytes, size_t length_bytes,
                     uint64_t offset_bytes);
    /* The pages of [at, at + length_bytes) that are no file's, but the process's own, and are there (enum cow_where_pages, or-ed):
     * ascending, as stretches (ioctl(2), PAGEMAP_SCAN, Linux 6.7), and how many; n_max is at least 1. *ret_end: how far it came,
     * which is not the end if n_max was not enough. */
    int (*pagemap_scan)(const struct cow_sys_table *self, int pagemap_fd, uint8_t *at, size_t length_bytes,
                        unsigned where, struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end);
    /* Descriptors of this process, for the two above, close-on-exec: pidfd_open(2), and of /proc/self/pagemap. */
    int (*open_process)(const struct cow_sys_table *self);
    int (*open_pagemap)(const struct cow_sys_table *self);
    /* Another descriptor of the same open file, close-on-exec (fcntl(2), F_DUPFD_CLOEXEC). Returns it. */
    int (*duplicate)(const struct cow_sys_table *self, int fd);
    int (*close)(const struct cow_sys_table *self, int fd);
    /* Questions; they are not counted. */
    int64_t (*file_bytes)(const struct cow_sys_table *self, int fd);
    /* enum cow_seal, or-ed; or -errno: -EINVAL of a file that knows no seals. */
    int (*seals)(const struct cow_sys_table *self, int fd);
    /* Whether host pages of it can be mapped one by one: a regular file, and not of huge pages. 1, 0, or -errno. */
    int (*has_host_pages)(const struct cow_sys_table *self, int fd);
    /* The first stretch of data that ends behind offset_bytes; both ends are the end of the file when there is none. Where the file
     * system knows no holes all is data. The position of the open file is what it was. */
    int (*next_data)(const struct cow_sys_table *self, int fd, uint64_t offset_bytes, uint64_t *ret_begin_bytes,
                     uint64_t *ret_end_bytes);
    size_t (*host_page_bytes)(const struct cow_sys_table *self);
    /* Raises the soft limit of descriptors by n, as far as the hard limit allows; best effort. */
    void (*raise_descriptor_limit)(const struct cow_sys_table *self, uint64_t n);
};

extern const struct cow_sys_table cow_sys_linux;

/* A table with counters: one per shard, so that counting does not make threads meet. Counters are relaxed: they order
 * nothing, and are summed when somebody asks. And a mapping to spare, for when the process can have no more (vm.max_map_count). */
struct cow_sys {
    const struct cow_sys_table *table;
    atomic_uint_fast64_t n_calls[COW_N_CALLS];
    void *_Atomic spare; /* or NULL */
    size_t spare_bytes;  /* 0: there is none to be had; written before anybody else knows of it */
    int spare_fd;        /* what it maps. Of a file, so that the kernel does not make one of it and its neighbours */
};

static inline void cow_sys_count(struct cow_sys *sys, enum cow_call call)
{
    atomic_fetch_add_explicit(&sys->n_calls[call], 1, memory_order_relaxed);
}

static inline int cow_sys_mmap(struct cow_sys *sys, void *at, size_t length_bytes, enum cow_map what,
                               enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    cow_sys_count(sys, COW_CALL_MMAP);
    return sys->table->mmap(sys->table, at, length_bytes, what, where, fd, offset_bytes, ret_at);
}

/* Replaces [at, at + length_bytes). */
static inline int cow_sys_map_fixed(struct cow_sys *sys, void *at, size_t length_bytes, enum cow_map what, int fd,
                                    uint64_t offset_bytes)
{
    void *mapped;
    return cow_sys_mmap(sys, at, length_bytes, what, COW_WHERE_FIXED, fd, offset_bytes, &mapped);
}

static inline int cow_sys_munmap(struct cow_sys *sys, void *at, size_t length_bytes)
{
    cow_sys_count(sys, COW_CALL_MUNMAP);
    return sys->table->munmap(sys->table, at, length_bytes);
}

static inline int cow_sys_madvise(struct cow_sys *sys, void *at, size_t length_bytes, enum cow_advice advice)
{
    cow_sys_count(sys, COW_CALL_MADVISE);
    return sys->table->madvise(sys->table, at, length_bytes, advice);
}

static inline int cow_sys_mprotect(struct cow_sys *sys, void *at, size_t length_bytes, enum cow_access access)
{
    cow_sys_count(sys, COW_CALL_MPROTECT);
    return sys->table->mprotect(sys->table, at, length_bytes, access);
}

static inline int64_t cow_sys_process_madvise(struct cow_sys *sys, int process_fd, const struct iovec *ranges,
                                              size_t n_ranges, enum cow_advice advice)
{
    cow_sys_count(sys, COW_CALL_PROCESS_MADVISE);
    return sys->table->process_madvise(sys->table, process_fd, ranges, n_ranges, advice);
}

static inline int cow_sys_pagemap_scan(struct cow_sys *sys, int pagemap_fd, uint8_t *at, size_t length_bytes,
                                       unsigned where, struct cow_stretch *ret_stretches, size_t n_max,
                                       uint8_t **ret_end)
{
    cow_sys_count(sys, COW_CALL_PAGEMAP_SCAN);
    return sys->table->pagemap_scan(sys->table, pagemap_fd, at, length_bytes, where, ret_stretches, n_max, ret_end);
}

static inline int cow_sys_ftruncate(struct cow_sys *sys, int fd, uint64_t length_bytes)
{
    cow_sys_count(sys, COW_CALL_FTRUNCATE);
    return sys->table->ftruncate(sys->table, fd, length_bytes);
}

static inline int cow_sys_memfd_create(struct cow_sys *sys, const char *name)
{
    cow_sys_count(sys, COW_CALL_MEMFD_CREATE);
    return sys->table->memfd_create(sys->table, name);
}

static inline int cow_sys_seal(struct cow_sys *sys, int fd)
{
    cow_sys_count(sys, COW_CALL_FCNTL);
    return sys->table->seal(sys->table, fd);
}

static inline int64_t cow_sys_pwrite(struct cow_sys *sys, int fd, const struct iovec *pieces, size_t n_pieces,
                                     uint64_t offset_bytes)
{
    cow_sys_count(sys, COW_CALL_PWRITE);
    return sys->table->pwrite(sys->table, fd, pieces, n_pieces, offset_bytes);
}

static inline int64_t cow_sys_pread(struct cow_sys *sys, int fd, void *ret_bytes, size_t length_bytes,
                                    uint64_t offset_bytes)
{
    cow_sys_count(sys, COW_CALL_PREAD);
    return sys->table->pread(sys->table, fd, ret_bytes, length_bytes, offset_bytes);
}

static inline int cow_sys_duplicate(struct cow_sys *sys, int fd)
{
    cow_sys_count(sys, COW_CALL_FCNTL);
    return sys->table->duplicate(sys->table, fd);
}

static inline int cow_sys_close(struct cow_sys *sys, int fd)
{
    cow_sys_count(sys, COW_CALL_CLOSE);
    return sys->table->close(sys->table, fd);
}

/* Makes sure that there is a mapping to spare, if there can be one. Children have no use for it. */
static inline void cow_sys_save(struct cow_sys *sys)
{
    void *spare, *none = NULL;
    if (sys->spare_bytes == 0 || atomic_load_explicit(&sys->spare, memory_order_relaxed) ||
        cow_sys_mmap(sys, NULL, sys->spare_bytes, COW_MAP_IMAGE, COW_WHERE_ANY, sys->spare_fd, 0, &spare))
        return;
    /* The exchange fails when another thread was faster. */
    if (cow_sys_madvise(sys, spare, sys->spare_bytes, COW_ADVICE_DONT_FORK) ||
        !atomic_compare_exchange_strong_explicit(&sys->spare, &none, spare, memory_order_relaxed, memory_order_relaxed))
        (void)cow_sys_munmap(sys, spare, sys->spare_bytes);
}

/* Gives it up. False: there was none. */
static inline bool cow_sys_spend(struct cow_sys *sys)
{
    void *spare = atomic_exchange_explicit(&sys->spare, NULL, memory_order_relaxed);
    return spare && cow_sys_munmap(sys, spare, sys->spare_bytes) == 0;
}

#endif
