/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* To be preloaded (ld.so(8), LD_PRELOAD): a C library whose madvise, ftruncate, mmap or mprotect says that all is done, when it has done
 * nothing, or not what was asked. For test_liar.sh, which tells what LIAR=CALL:N[:WHICH[:HOW]] means. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    const char *call, *which, *how; /* NULL: any of them; nothing is done */
    unsigned long n_honest;         /* so many first */
    atomic_ulong n_calls;
} lie;

__attribute__((constructor)) static void learn(void)
{
    char *rest = getenv("LIAR");
    rest = rest ? strdup(rest) : NULL;
    const char *call = strsep(&rest, ":"), *n = strsep(&rest, ":");
    char *end = NULL;
    if (!n || ((lie.n_honest = strtoul(n, &end, 10)), *end)) {
        fputs("liar: LIAR is not CALL:N[:WHICH[:HOW]]\n", stderr);
        _exit(2);
    }
    lie.which = strsep(&rest, ":");
    lie.how = strsep(&rest, ":");
    lie.call = call;
}

/* Of this process; who forks goes on counting. */
__attribute__((destructor)) static void tell(void)
{
    const unsigned long n = lie.n_calls;
    fprintf(stderr, "liar: %lu calls, %lu lies\n", n, n > lie.n_honest ? n - lie.n_honest : 0);
}

/* Whether this call is one to lie about. */
static bool lies(const char *call, const char *which)
{
    if (strcmp(lie.call, call) != 0 || (lie.which && *lie.which && strcmp(lie.which, which) != 0))
        return false;
    return lie.n_calls++ >= lie.n_honest;
}

static bool by(const char *how)
{
    return lie.how && strcmp(lie.how, how) == 0;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- advice ---- */

static const char *name_of(int advice)
{
    switch (advice) {
    case MADV_DONTNEED:
        return "dontneed";
    case MADV_DONTFORK:
        return "dontfork";
    case MADV_DONTDUMP:
        return "dontdump";
    case MADV_NOHUGEPAGE:
        return "nohugepage";
    case MADV_WIPEONFORK:
        return "wipeonfork";
    default: /* by the rig */
        return "other";
    }
}

int madvise(void *addr, size_t len, int advice)
{
    if (lies("madvise", name_of(advice))) {
        if (!by("less") || len <= page_bytes())
            return 0;
        len -= page_bytes();
    }
    return (int)syscall(SYS_madvise, addr, len, advice);
}

/* ---- the length of a file ---- */

int ftruncate(int fd, off_t length)
{
    struct stat status;
    const bool grows = fstat(fd, &status) || status.st_size < length;
    if (lies("ftruncate", grows ? "grow" : "shrink")) {
        if (by("more"))
            length += (off_t)page_bytes();
        else if (by("less") && length)
            length -= (off_t)page_bytes();
        else
            return 0;
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off_t length)
{
    return ftruncate(fd, length);
}

/* ---- mappings: only at fixed places, which whoever lies can name ---- */

static const char *kind_of(int protection, int flags)
{
    return protection == PROT_NONE ? "reserved"
           : flags & MAP_ANONYMOUS ? "zero"
           : flags & MAP_SHARED    ? "shared"
                                   : "image";
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if ((flags & MAP_FIXED) && lies("mmap", kind_of(prot, flags))) {
        if (by("offset"))
            offset += (off_t)page_bytes();
        else if (by("private"))
            flags = (flags & ~MAP_SHARED) | MAP_PRIVATE;
        else if (by("shared"))
            flags = (flags & ~MAP_PRIVATE) | MAP_SHARED;
        else if (by("anonymous"))
            flags |= MAP_ANONYMOUS; /* whatever the file */
        else if (by("readonly"))
            prot &= ~PROT_WRITE;
        else if (by("less") && len > page_bytes())
            len -= page_bytes();
        else
            return addr;
    }
    return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    return mmap(addr, len, prot, flags, fd, offset);
}

int mprotect(void *addr, size_t len, int prot)
{
    return lies("mprotect", "") ? 0 : (int)syscall(SYS_mprotect, addr, len, prot);
}
