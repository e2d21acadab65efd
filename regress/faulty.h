/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A kernel that fails on request, or does not keep its word: a table that wraps the built-in one and keeps books of
 * what was opened and mapped through it. For one thread. */
#ifndef REGRESS_FAULTY_H
#define REGRESS_FAULTY_H

#include "sys/sys.h"

#include <stdbool.h>
#include <stdint.h>

enum faulty_lie {
    FAULTY_HONEST,
    FAULTY_MADVISE_DOES_NOTHING,
    FAULTY_MADVISE_GIVES_ZERO, /* where image bytes belong */
    FAULTY_FTRUNCATE_DOES_NOTHING,
    FAULTY_FTRUNCATE_KEEPS_BYTES, /* the file never gets shorter */
    FAULTY_FTRUNCATE_BRINGS_BACK, /* what gets longer does not read zero at its end */
    FAULTY_SEAL_DOES_NOTHING,
    FAULTY_PWRITE_IS_SHORT, /* no lie: the contract allows it */
    FAULTY_PWRITE_WRITES_NOTHING,
    FAULTY_PWRITE_DOES_NOTHING, /* and says that it has written everything */
    FAULTY_PWRITE_CLAIMS_MORE,  /* than it was given, if that is more than a byte */
    FAULTY_MMAP_DOES_NOTHING,   /* nothing that could be touched is mapped */
    FAULTY_PREAD_IS_SHORT,      /* no lie either */
    FAULTY_PREAD_ENDS_EARLY,
    FAULTY_PREAD_CLAIMS_MORE, /* than it was asked for */
};

struct faulty {
    struct cow_sys_table table; /* first: `self` is this */
    enum faulty_lie lie;
    unsigned fail_at;   /* the call that fails, counted down: 1 is the next; 0 none */
    bool for_ever;      /* and all after it */
    bool leaves_hole;   /* a fixed mapping that fails has removed what was there (mmap(2)) */
    bool misses_locked; /* DISCARD is EINVAL, as for locked memory */
    int error;          /* what a failing call returns */
    unsigned only;      /* 1 << enum cow_call: what may fail; 0 everything */
    unsigned n_failed;
    int n_open;               /* descriptors */
    int64_t n_mapped_bytes;   /* by mappings at a place of the kernel's choice, less what was unmapped */
    int64_t n_unmapped_bytes; /* of these, by an munmap that failed */
};

static inline struct faulty *faulty_of(const struct cow_sys_table *table)
{
    return (struct faulty *)(uintptr_t)table;
}

static inline bool faulty_fails(struct faulty *it, enum cow_call call)
{
    if (it->fail_at == 0 || (it->only && !(it->only & 1u << call)))
        return false;
    if (it->fail_at > 1) {
        it->fail_at--;
        return false;
    }
    if (!it->for_ever)
        it->fail_at = 0;
    it->n_failed++;
    return true;
}

static int faulty_mmap(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                       enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_MMAP)) {
        if (it->leaves_hole && where == COW_WHERE_FIXED)
            (void)cow_sys_linux.munmap(&cow_sys_linux, at, length_bytes);
        return it->error;
    }
    if (it->lie == FAULTY_MMAP_DOES_NOTHING) {
        what = COW_MAP_RESERVED;
        fd = -1;
        offset_bytes = 0;
    }
    const int result = cow_sys_linux.mmap(&cow_sys_linux, at, length_bytes, what, where, fd, offset_bytes, ret_at);
    if (!result && where == COW_WHERE_ANY)
        it->n_mapped_bytes += (int64_t)length_bytes;
    return result;
}

static int faulty_munmap(const struct cow_sys_table *self, void *at, size_t length_bytes)
{
    struct faulty *it = faulty_of(self);
    const bool fails = faulty_fails(it, COW_CALL_MUNMAP);
    it->n_mapped_bytes -= (int64_t)length_bytes;
    it->n_unmapped_bytes += fails ? (int64_t)length_bytes : 0;
    /* It would stay mapped for good: the books remember that, the test process does without. */
    const int result = cow_sys_linux.munmap(&cow_sys_linux, at, length_bytes);
    return fails ? it->error : result;
}

static int faulty_madvise(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_advice advice)
{
    struct faulty *it = faulty_of(self);
    void *mapped;
    if (faulty_fails(it, COW_CALL_MADVISE))
        return it->error;
    if (it->misses_locked && advice == COW_ADVICE_DISCARD)
        return -22; /* EINVAL */
    if (advice == COW_ADVICE_DISCARD && it->lie == FAULTY_MADVISE_DOES_NOTHING)
        return 0;
    if (advice == COW_ADVICE_DISCARD && it->lie == FAULTY_MADVISE_GIVES_ZERO)
        return cow_sys_linux.mmap(&cow_sys_linux, at, length_bytes, COW_MAP_ZERO, COW_WHERE_FIXED, -1, 0, &mapped);
    return cow_sys_linux.madvise(&cow_sys_linux, at, length_bytes, advice);
}

static int faulty_ftruncate(const struct cow_sys_table *self, int fd, uint64_t length_bytes)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_FTRUNCATE))
        return it->error;
    const int64_t old_bytes = cow_sys_linux.file_bytes(&cow_sys_linux, fd);
    if (it->lie == FAULTY_FTRUNCATE_DOES_NOTHING ||
        (it->lie == FAULTY_FTRUNCATE_KEEPS_BYTES && old_bytes > (int64_t)length_bytes))
        return 0;
    const int result = cow_sys_linux.ftruncate(&cow_sys_linux, fd, length_bytes);
    if (it->lie == FAULTY_FTRUNCATE_BRINGS_BACK && !result && old_bytes < (int64_t)length_bytes)
        (void)cow_sys_linux.pwrite(&cow_sys_linux, fd, &(struct iovec){"\x42", 1}, 1, length_bytes - 1);
    return result;
}

static int faulty_memfd_create(const struct cow_sys_table *self, const char *name)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_MEMFD_CREATE))
        return it->error;
    const int fd = cow_sys_linux.memfd_create(&cow_sys_linux, name);
    it->n_open += fd >= 0;
    return fd;
}

static int faulty_seal(const struct cow_sys_table *self, int fd)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_FCNTL))
        return it->error;
    return it->lie == FAULTY_SEAL_DOES_NOTHING ? 0 : cow_sys_linux.seal(&cow_sys_linux, fd);
}

static int64_t faulty_pwrite(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n_pieces,
                             uint64_t offset_bytes)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_PWRITE))
        return it->error;
    if (it->lie == FAULTY_PWRITE_WRITES_NOTHING)
        return 0;
    int64_t n_bytes = 0;
    for (size_t i = 0; it->lie == FAULTY_PWRITE_DOES_NOTHING && i < n_pieces; i++)
        n_bytes += (int64_t)pieces[i].iov_len;
    if (n_bytes)
        return n_bytes;
    if (it->lie != FAULTY_PWRITE_IS_SHORT) {
        const int64_t n = cow_sys_linux.pwrite(&cow_sys_linux, fd, pieces, n_pieces, offset_bytes);
        return n + (it->lie == FAULTY_PWRITE_CLAIMS_MORE && n > 1);
    }
    /* All but the last piece, or a third of it if it is the only one. */
    struct iovec only = pieces[0];
    only.iov_len = only.iov_len > 1 ? only.iov_len / 3 + 1 : only.iov_len;
    return n_pieces > 1 ? cow_sys_linux.pwrite(&cow_sys_linux, fd, pieces, n_pieces - 1, offset_bytes)
                        : cow_sys_linux.pwrite(&cow_sys_linux, fd, &only, 1, offset_bytes);
}

static int64_t faulty_pread(const struct cow_sys_table *self, int fd, void *ret_bytes, size_t length_bytes,
                            uint64_t offset_bytes)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_PREAD))
        return it->error;
    if (it->lie == FAULTY_PREAD_ENDS_EARLY)
        return 0;
    if (it->lie == FAULTY_PREAD_IS_SHORT && length_bytes > 1)
        length_bytes = length_bytes / 3 + 1;
    const int64_t n = cow_sys_linux.pread(&cow_sys_linux, fd, ret_bytes, length_bytes, offset_bytes);
    return n + (it->lie == FAULTY_PREAD_CLAIMS_MORE && n > 0);
}

static int faulty_duplicate(const struct cow_sys_table *self, int fd)
{
    struct faulty *it = faulty_of(self);
    if (faulty_fails(it, COW_CALL_FCNTL))
        return it->error;
    const int duplicate = cow_sys_linux.duplicate(&cow_sys_linux, fd);
    it->n_open += duplicate >= 0;
    return duplicate;
}

static int faulty_close(const struct cow_sys_table *self, int fd)
{
    struct faulty *it = faulty_of(self);
    const bool fails = faulty_fails(it, COW_CALL_CLOSE);
    const int result = cow_sys_linux.close(&cow_sys_linux, fd); /* the descriptor goes whatever it says (close(2)) */
    it->n_open--;
    return fails ? it->error : result;
}

static inline struct faulty faulty_kernel(void)
{
    struct faulty it = {.table = cow_sys_linux};
    it.table.name = "faulty";
    it.table.mmap = faulty_mmap;
    it.table.munmap = faulty_munmap;
    it.table.madvise = faulty_madvise;
    it.table.ftruncate = faulty_ftruncate;
    it.table.memfd_create = faulty_memfd_create;
    it.table.seal = faulty_seal;
    it.table.pwrite = faulty_pwrite;
    it.table.pread = faulty_pread;
    it.table.duplicate = faulty_duplicate;
    it.table.close = faulty_close;
    return it;
}

#endif
