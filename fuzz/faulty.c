/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "faulty.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct rig_faulty *self_of(const struct cow_sys_table *table)
{
    return (struct rig_faulty *)(uintptr_t)table;
}

/* ---- arming ---- */

/* The errnos that programs can name, in the order of rig_error_name. */
static const int named_errors[] = {
    EACCES, EAGAIN, EBADF,  EBUSY,  EEXIST, EFAULT, EFBIG,      EINTR, EINVAL, EIO,   EMFILE,
    ENFILE, ENODEV, ENOMEM, ENOSPC, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, ERANGE, ESRCH,
};

void rig_faulty_arm(struct rig_faulty *kernel, const struct rig_op *op)
{
    static const enum rig_failing ways[] = {
        [RIG_FAULT_ERROR] = RIG_FAILS, [RIG_FAULT_SHORT] = RIG_FALLS_SHORT, [RIG_FAULT_LIE] = RIG_LIES};
    kernel->calls[op->choice] = (struct rig_armed){
        .nth = op->len.n,
        .for_ever = op->forever,
        .how = ways[op->form],
        .error = -named_errors[op->error],
        .n_bytes = op->len2.n,
    };
}

void rig_faulty_disarm(struct rig_faulty *kernel)
{
    memset(kernel->calls, 0, sizeof kernel->calls);
    kernel->any.nth = 0;
}

void rig_faulty_begin(struct rig_faulty *kernel)
{
    kernel->n_calls = kernel->n_fired = 0;
    kernel->was_inexact = false;
    kernel->n_open_before = kernel->n_open;
    memset(kernel->n_of_call, 0, sizeof kernel->n_of_call);
}

bool rig_faulty_explains(const struct rig_faulty *kernel, int result)
{
    const uint32_t n = kernel->n_fired < RIG_MAX_FIRED ? kernel->n_fired : RIG_MAX_FIRED;
    for (uint32_t i = 0; i < n; i++)
        if (kernel->errors[i] == result)
            return true;
    return kernel->was_inexact && result < 0;
}

/* What the call is known to fail with where everything else is right. */
static int usual_error(enum rig_call call)
{
    static const int errors[RIG_N_CALLS] = {
        [RIG_CALL_MMAP] = ENOMEM,
        [RIG_CALL_MUNMAP] = ENOMEM,
        [RIG_CALL_MPROTECT] = ENOMEM,
        [RIG_CALL_MADVISE] = ENOMEM,
        [RIG_CALL_PROCESS_MADVISE] = ENOMEM,
        [RIG_CALL_FTRUNCATE] = ENOSPC,
        [RIG_CALL_MEMFD_CREATE] = EMFILE,
        [RIG_CALL_FCNTL] = EMFILE,
        [RIG_CALL_PWRITE] = ENOSPC,
        [RIG_CALL_PAGEMAP_SCAN] = ENOMEM,
        [RIG_CALL_PREAD] = EIO,
    };
    return -errors[call];
}

/* The fault that this call runs into, or NULL. */
static const struct rig_armed *trip(struct rig_armed *armed)
{
    if (armed->nth == 0)
        return NULL;
    if (--armed->nth > 0)
        return NULL;
    armed->nth = armed->for_ever; /* every call from here on, or never again */
    return armed;
}

static uint8_t name_of(int error)
{
    uint8_t i = 0;
    while (i + 1 < RIG_N_ERRORS && named_errors[i] != -error)
        i++;
    return i;
}

/* As the programs say it: what has failed for any call fails from now on for each kind, if it is for ever. */
static void tell(struct rig_faulty *kernel, const struct rig_armed *fault, enum rig_call call)
{
    for (unsigned i = 0; i < RIG_N_CALLS; i++) {
        struct rig_op *op = &kernel->told[kernel->n_told];
        if (i != call && !fault->for_ever)
            continue;
        *op = (struct rig_op){.kind = RIG_FAULT, .choice = (uint8_t)i, .forever = fault->for_ever};
        op->len.n = kernel->n_of_call[i] + (i != call);
        op->form = fault->how == RIG_FALLS_SHORT ? RIG_FAULT_SHORT : RIG_FAULT_ERROR;
        op->error =
            op->form == RIG_FAULT_ERROR ? name_of(fault->error ? fault->error : usual_error((enum rig_call)i)) : 0;
        op->len2.n = op->form == RIG_FAULT_SHORT ? (uint32_t)fault->n_bytes : 0;
        kernel->n_told++;
    }
}

/* Of a call that is made now: how it fails, if it does. *ret_error is then what it fails with. */
static const struct rig_armed *fail(struct rig_faulty *kernel, enum rig_call call, int *ret_error)
{
    if (kernel->suspended)
        return NULL;
    if (kernel->n_calls < RIG_MAX_CALLS_LOGGED)
        kernel->kinds[kernel->n_calls] = (uint8_t)call;
    kernel->n_calls++;
    kernel->n_of_call[call]++;
    const struct rig_armed *of_call = trip(&kernel->calls[call]), *of_any = trip(&kernel->any);
    const struct rig_armed *fault = of_call ? of_call : of_any;
    if (!fault || (fault->how == RIG_FALLS_SHORT && call != RIG_CALL_PWRITE && call != RIG_CALL_PREAD &&
                   call != RIG_CALL_PROCESS_MADVISE && call != RIG_CALL_PAGEMAP_SCAN))
        return NULL;
    if (fault == of_any && kernel->n_told == 0)
        tell(kernel, fault, call);
    *ret_error = fault->error ? fault->error : usual_error(call);
    if (kernel->n_fired < RIG_MAX_FIRED)
        kernel->errors[kernel->n_fired] = fault->how == RIG_FAILS ? *ret_error : 0;
    kernel->was_inexact = kernel->was_inexact || fault->how != RIG_FAILS;
    kernel->n_fired++;
    kernel->n_fired_in_all++;
    return fault;
}

/* ---- what the pool has promised (sys.h) ---- */

static void breach(const struct cow_sys_table *table, const char *what)
{
    struct rig_faulty *kernel = self_of(table);
    kernel->breach = kernel->breach ? kernel->breach : what;
}

static bool is_whole(uint64_t n)
{
    return n % cow_sys_linux.host_page_bytes(&cow_sys_linux) == 0;
}

static void demand_range(const struct cow_sys_table *table, const void *at, size_t length_bytes)
{
    if (length_bytes == 0)
        breach(table, "a call for a range of no bytes");
    else if (!is_whole((uintptr_t)at) || !is_whole(length_bytes))
        breach(table, "a call for a range that is not whole host pages");
}

static void demand_mapping(const struct cow_sys_table *table, enum cow_map what, int fd, uint64_t offset_bytes)
{
    const bool has_file = what != COW_MAP_RESERVED && what != COW_MAP_ZERO;
    if (has_file ? fd < 0 || !is_whole(offset_bytes) : fd != -1 || offset_bytes)
        breach(table, "a mapping of no file where there is one, or of one where there is none");
}

static void demand_bytes(const struct cow_sys_table *table, const struct iovec *pieces, size_t n_pieces)
{
    bool is_empty = n_pieces == 0;
    for (size_t i = 0; i < n_pieces; i++)
        is_empty = is_empty || pieces[i].iov_len == 0;
    if (is_empty)
        breach(table, "a call for no bytes");
}

/* ---- the table ---- */

/* In whole host pages. */
static size_t half_of(size_t length_bytes)
{
    const size_t page_bytes = cow_sys_linux.host_page_bytes(&cow_sys_linux);
    return length_bytes / 2 / page_bytes * page_bytes;
}

static int faulty_mmap(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                       enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    struct rig_faulty *kernel = self_of(self);
    int error;
    demand_range(self, where == COW_WHERE_ANY ? NULL : at, length_bytes);
    demand_mapping(self, what, fd, offset_bytes);
    const struct rig_armed *fault = fail(kernel, RIG_CALL_MMAP, &error);
    if (fault && fault->how == RIG_FAILS) {
        if (where == COW_WHERE_FIXED && error != -ENOMEM) /* a hole, in which somebody else's mapping has landed */
            (void)mmap(at, length_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        return error;
    }
    if (fault && where != COW_WHERE_ANY) { /* nothing was mapped, it says otherwise */
        *ret_at = at;
        return 0;
    }
    const int result = cow_sys_linux.mmap(&cow_sys_linux, at, length_bytes, fault ? COW_MAP_RESERVED : what, where,
                                          fault ? -1 : fd, fault ? 0 : offset_bytes, ret_at);
    if (!result && where == COW_WHERE_ANY)
        kernel->n_mapped_bytes += (int64_t)length_bytes;
    return result;
}

static int faulty_munmap(const struct cow_sys_table *self, void *at, size_t length_bytes)
{
    struct rig_faulty *kernel = self_of(self);
    int error;
    demand_range(self, at, length_bytes);
    const struct rig_armed *fault = fail(kernel, RIG_CALL_MUNMAP, &error);
    kernel->n_mapped_bytes -= (int64_t)length_bytes; /* a failure to unmap is nobody's leak */
    if (!fault)
        return cow_sys_linux.munmap(&cow_sys_linux, at, length_bytes);
    if (kernel->n_left < RIG_MAX_LEFT) {
        kernel->left[kernel->n_left].at = at;
        kernel->left[kernel->n_left++].length_bytes = length_bytes;
    }
    return fault->how == RIG_FAILS ? error : 0;
}

/* One that fails has done the first half, if it could do a part at all: guard markers are set and removed page by page. */
static int faulty_madvise(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_advice advice)
{
    int error;
    demand_range(self, at, length_bytes);
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_MADVISE, &error);
    const size_t half_bytes = half_of(length_bytes);
    if (!fault)
        return cow_sys_linux.madvise(&cow_sys_linux, at, length_bytes, advice);
    if (fault->how == RIG_FAILS && half_bytes && error != -EINVAL &&
        (advice == COW_ADVICE_GUARD || advice == COW_ADVICE_UNGUARD))
        (void)cow_sys_linux.madvise(&cow_sys_linux, at, half_bytes, advice);
    return fault->how == RIG_FAILS ? error : 0;
}

/* One that fails has done the first half. */
static int faulty_mprotect(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_access access)
{
    struct rig_faulty *kernel = self_of(self);
    const size_t half_bytes = half_of(length_bytes);
    int error;
    demand_range(self, at, length_bytes);
    const struct rig_armed *fault = fail(kernel, RIG_CALL_MPROTECT, &error);
    if (!fault)
        return cow_sys_linux.mprotect(&cow_sys_linux, at, length_bytes, access);
    if (fault->how == RIG_FAILS && half_bytes)
        (void)cow_sys_linux.mprotect(&cow_sys_linux, at, half_bytes, access);
    return fault->how == RIG_FAILS ? error : 0;
}

/* Of a call that is short, what it does; the lie: all is done, and nothing. */
static int64_t faulty_process_madvise(const struct cow_sys_table *self, int process_fd, const struct iovec *ranges,
                                      size_t n_ranges, enum cow_advice advice)
{
    int error;
    int64_t n_all = 0;
    size_t n_done = 0;
    demand_bytes(self, ranges, n_ranges);
    for (size_t i = 0; i < n_ranges; i++)
        demand_range(self, ranges[i].iov_base, ranges[i].iov_len);
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_PROCESS_MADVISE, &error);
    if (!fault)
        return cow_sys_linux.process_madvise(&cow_sys_linux, process_fd, ranges, n_ranges, advice);
    if (fault->how == RIG_FAILS)
        return error;
    for (size_t i = 0; i < n_ranges; i++)
        n_all += (int64_t)ranges[i].iov_len;
    if (fault->how == RIG_LIES)
        return n_all;
    while (n_done < n_ranges && n_done < fault->n_bytes) /* so many ranges, of the process itself */
        n_done++;
    return n_done ? cow_sys_linux.process_madvise(&cow_sys_linux, process_fd, ranges, n_done, advice) : 0;
}

/* One that fails may have written how far it came (ioctl(2), PAGEMAP_SCAN). */
static int faulty_pagemap_scan(const struct cow_sys_table *self, int pagemap_fd, uint8_t *at, size_t length_bytes,
                               unsigned where, struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end)
{
    int error;
    demand_range(self, at, length_bytes);
    if (n_max == 0)
        breach(self, "a scan that has room for nothing");
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_PAGEMAP_SCAN, &error);
    if (fault && fault->how != RIG_FALLS_SHORT) {
        *ret_end = at + length_bytes; /* the lie: nothing was found */
        return fault->how == RIG_FAILS ? error : 0;
    }
    return rig_faulty_scan(self_of(self), fault ? fault->n_bytes : RIG_SCAN_ROOM, pagemap_fd, at, length_bytes, where,
                           ret_stretches, n_max, ret_end);
}

static int faulty_open_process(const struct cow_sys_table *self)
{
    const int fd = cow_sys_linux.open_process(&cow_sys_linux);
    self_of(self)->n_open += fd >= 0;
    return fd;
}

static int faulty_open_pagemap(const struct cow_sys_table *self)
{
    const int fd = cow_sys_linux.open_pagemap(&cow_sys_linux);
    self_of(self)->n_open += fd >= 0;
    return fd;
}

static int faulty_ftruncate(const struct cow_sys_table *self, int fd, uint64_t length_bytes)
{
    int error;
    if (!is_whole(length_bytes))
        breach(self, "a file that is not whole host pages");
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_FTRUNCATE, &error);
    if (!fault)
        return cow_sys_linux.ftruncate(&cow_sys_linux, fd, length_bytes);
    return fault->how == RIG_FAILS ? error : 0;
}

/* The lie: a file that cannot be sealed. */
static int faulty_memfd_create(const struct cow_sys_table *self, const char *name)
{
    struct rig_faulty *kernel = self_of(self);
    int error;
    const struct rig_armed *fault = fail(kernel, RIG_CALL_MEMFD_CREATE, &error);
    if (fault && fault->how == RIG_FAILS)
        return error;
    const int fd = fault ? memfd_create(name, MFD_CLOEXEC) : cow_sys_linux.memfd_create(&cow_sys_linux, name);
    kernel->n_open += fd >= 0;
    return fd;
}

static int faulty_seal(const struct cow_sys_table *self, int fd)
{
    int error;
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_FCNTL, &error);
    if (!fault)
        return cow_sys_linux.seal(&cow_sys_linux, fd);
    return fault->how == RIG_FAILS ? error : 0;
}

/* The lie: the descriptor of another, empty file. */
static int faulty_duplicate(const struct cow_sys_table *self, int fd)
{
    struct rig_faulty *kernel = self_of(self);
    int error;
    const struct rig_armed *fault = fail(kernel, RIG_CALL_FCNTL, &error);
    if (fault && fault->how == RIG_FAILS)
        return error;
    const int duplicate =
        fault ? memfd_create("lockstep-lie", MFD_CLOEXEC) : cow_sys_linux.duplicate(&cow_sys_linux, fd);
    kernel->n_open += duplicate >= 0;
    return duplicate;
}

static int64_t write_some(int fd, const struct iovec *pieces, size_t n_pieces, uint64_t offset_bytes, uint64_t n_bytes)
{
    int64_t n_done = 0;
    for (size_t i = 0; i < n_pieces && n_bytes; i++) {
        struct iovec piece = pieces[i];
        piece.iov_len = piece.iov_len < n_bytes ? piece.iov_len : n_bytes;
        const int64_t n = cow_sys_linux.pwrite(&cow_sys_linux, fd, &piece, 1, offset_bytes + (uint64_t)n_done);
        if (n < 0)
            return n_done ? n_done : n;
        n_done += n;
        n_bytes -= (uint64_t)n;
        if ((size_t)n < piece.iov_len)
            break;
    }
    return n_done;
}

static int64_t faulty_pwrite(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n_pieces,
                             uint64_t offset_bytes)
{
    int error;
    int64_t n_all = 0;
    demand_bytes(self, pieces, n_pieces);
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_PWRITE, &error);
    if (!fault)
        return cow_sys_linux.pwrite(&cow_sys_linux, fd, pieces, n_pieces, offset_bytes);
    if (fault->how == RIG_FAILS)
        return error;
    if (fault->how == RIG_FALLS_SHORT)
        return write_some(fd, pieces, n_pieces, offset_bytes, fault->n_bytes);
    for (size_t i = 0; i < n_pieces; i++)
        n_all += (int64_t)pieces[i].iov_len;
    return n_all;
}

static int64_t faulty_pread(const struct cow_sys_table *self, int fd, void *ret_bytes, size_t length_bytes,
                            uint64_t offset_bytes)
{
    int error;
    if (length_bytes == 0)
        breach(self, "a call for no bytes");
    const struct rig_armed *fault = fail(self_of(self), RIG_CALL_PREAD, &error);
    if (fault && fault->how == RIG_FAILS)
        return error;
    if (fault && fault->how == RIG_LIES)
        return (int64_t)length_bytes;
    if (fault && fault->n_bytes < length_bytes)
        length_bytes = fault->n_bytes;
    return cow_sys_linux.pread(&cow_sys_linux, fd, ret_bytes, length_bytes, offset_bytes);
}

static int faulty_close(const struct cow_sys_table *self, int fd)
{
    self_of(self)->n_open--;
    if (fd < 0)
        breach(self, "closing what is no descriptor");
    return cow_sys_linux.close(&cow_sys_linux, fd);
}

void rig_faulty_init(struct rig_faulty *kernel)
{
    _Static_assert(sizeof named_errors / sizeof *named_errors == RIG_N_ERRORS, "an errno for each name");
    *kernel = (struct rig_faulty){.table = cow_sys_linux};
    kernel->table.name = "faulty";
    kernel->table.mmap = faulty_mmap;
    kernel->table.munmap = faulty_munmap;
    kernel->table.madvise = faulty_madvise;
    kernel->table.process_madvise = faulty_process_madvise;
    kernel->table.pagemap_scan = faulty_pagemap_scan;
    kernel->table.open_process = faulty_open_process;
    kernel->table.open_pagemap = faulty_open_pagemap;
    kernel->table.mprotect = faulty_mprotect;
    kernel->table.ftruncate = faulty_ftruncate;
    kernel->table.memfd_create = faulty_memfd_create;
    kernel->table.seal = faulty_seal;
    kernel->table.duplicate = faulty_duplicate;
    kernel->table.pwrite = faulty_pwrite;
    kernel->table.pread = faulty_pread;
    kernel->table.close = faulty_close;
}

void rig_faulty_end(struct rig_faulty *kernel)
{
    while (kernel->n_left > 0) {
        kernel->n_left--;
        (void)cow_sys_linux.munmap(&cow_sys_linux, kernel->left[kernel->n_left].at,
                                   kernel->left[kernel->n_left].length_bytes);
    }
}
