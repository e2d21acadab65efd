/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The table for Linux, where this kernel does not go by itself: older kernels, interrupted calls, errors of questions. The linker
 * puts the functions below between all of this program and the C library (CMakeLists.txt). */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "sys/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/vfs.h>

/* ---- what the C library says ---- */

/* The next n calls of it fail with this errno; those after that are what they were. */
struct rigged {
    int n, error;
};
static struct rigged on_mmap, on_madvise, on_ftruncate, on_memfd_create, on_pwritev, on_pread, on_close, on_fstatfs,
    on_getrlimit;
static int lseek_errors[SEEK_HOLE + 1]; /* by whence: what it fails with, or 0 */
static int sigaction_fails_for;         /* a signal */
static unsigned memfd_flags;            /* of the last memfd_create */

static bool fails(struct rigged *it)
{
    if (it->n == 0)
        return false;
    it->n--;
    errno = it->error;
    return true;
}

void *__real_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t length, int advice);
int __wrap_madvise(void *at, size_t length, int advice);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
ssize_t __real_pwritev(int fd, const struct iovec *pieces, int n, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int n, off_t offset);
ssize_t __real_pread(int fd, void *bytes, size_t n, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t offset);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_fstatfs(int fd, struct statfs *status);
int __wrap_fstatfs(int fd, struct statfs *status);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_getrlimit(int resource, struct rlimit *limit);
int __wrap_getrlimit(int resource, struct rlimit *limit);
int __real_setrlimit(int resource, const struct rlimit *limit);
int __wrap_setrlimit(int resource, const struct rlimit *limit);
int __real_sigaction(int number, const struct sigaction *action, struct sigaction *previous);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *previous);

/* Before Linux 4.17 nobody knew MAP_FIXED_NOREPLACE: the address was a hint, and what was there stayed. */
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    return __real_mmap(at, length, protection, fails(&on_mmap) ? flags & ~0x100000 : flags, fd, offset);
}

int __wrap_madvise(void *at, size_t length, int advice)
{
    return fails(&on_madvise) ? -1 : __real_madvise(at, length, advice);
}

int __wrap_ftruncate(int fd, off_t length)
{
    return fails(&on_ftruncate) ? -1 : __real_ftruncate(fd, length);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    memfd_flags = flags;
    return fails(&on_memfd_create) ? -1 : __real_memfd_create(name, flags);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int n, off_t offset)
{
    return fails(&on_pwritev) ? -1 : __real_pwritev(fd, pieces, n, offset);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t offset)
{
    return fails(&on_pread) ? -1 : __real_pread(fd, bytes, n, offset);
}

int __wrap_close(int fd)
{
    const int result = __real_close(fd); /* the descriptor goes whatever it says (close(2)) */
    return fails(&on_close) ? -1 : result;
}

int __wrap_fstatfs(int fd, struct statfs *status)
{
    return fails(&on_fstatfs) ? -1 : __real_fstatfs(fd, status);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    if (!lseek_errors[whence])
        return __real_lseek(fd, offset, whence);
    errno = lseek_errors[whence];
    return -1;
}

static struct rlimit limit_told, limit_set;

int __wrap_getrlimit(int resource, struct rlimit *limit)
{
    if (resource != RLIMIT_NOFILE)
        return __real_getrlimit(resource, limit);
    *limit = limit_told;
    return fails(&on_getrlimit) ? -1 : 0;
}

int __wrap_setrlimit(int resource, const struct rlimit *limit)
{
    if (resource != RLIMIT_NOFILE)
        return __real_setrlimit(resource, limit);
    limit_set = *limit;
    return 0;
}

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *previous)
{
    return number == sigaction_fails_for ? -1 : __real_sigaction(number, action, previous);
}

/* ---- mappings ---- */

static const struct cow_sys_table *const sys = &cow_sys_linux;

static void *map(void *at, enum cow_where where, int expected)
{
    void *mapped = at;
    CHECK_EQ(sys->mmap(sys, at, fixture_page(), COW_MAP_ZERO, where, -1, 0, &mapped), expected);
    return mapped;
}

static void test_sys__a_place_that_is_taken_is_not_replaced(void)
{
    uint8_t *page = map(NULL, COW_WHERE_ANY, 0);
    *page = 42;
    CHECK(map(page, COW_WHERE_NOREPLACE, -EEXIST) == page);
    const int n_mappings = process_n_mappings("");
    on_mmap = (struct rigged){.n = 1};
    CHECK(map(page, COW_WHERE_NOREPLACE, -EEXIST) == page);
    CHECK_EQ(on_mmap.n, 0);
    CHECK_EQ(process_n_mappings(""), n_mappings); /* what it got instead is gone */
    CHECK_EQ(*page, 42);
    CHECK_EQ(sys->munmap(sys, page, fixture_page()), 0);
    CHECK(map(page, COW_WHERE_NOREPLACE, 0) == page);
    CHECK_EQ(sys->munmap(sys, page, fixture_page()), 0);
    CHECK_EQ(sys->munmap(sys, page + 1, fixture_page()), -EINVAL);
}

static void test_sys__a_kernel_without_huge_pages_has_none_to_forbid(void)
{
    uint8_t *page = map(NULL, COW_WHERE_ANY, 0);
    on_madvise = (struct rigged){2, EINVAL};
    CHECK_EQ(sys->madvise(sys, page, fixture_page(), COW_ADVICE_NO_HUGE), 0);
    CHECK_EQ(sys->madvise(sys, page, fixture_page(), COW_ADVICE_DISCARD), -EINVAL);
    on_madvise = (struct rigged){1, ENOMEM};
    CHECK_EQ(sys->madvise(sys, page, fixture_page(), COW_ADVICE_NO_HUGE), -ENOMEM);
    CHECK_EQ(sys->munmap(sys, page, fixture_page()), 0);
}

/* ---- a mapping to spare ---- */

static struct cow_sys saving;
static char faster; /* what another thread has saved while the mapping was made */

static int map_too_late(const struct cow_sys_table *self, void *at, size_t length_bytes, enum cow_map what,
                        enum cow_where where, int fd, uint64_t offset_bytes, void **ret_at)
{
    atomic_store(&saving.spare, &faster);
    return sys->mmap(self, at, length_bytes, what, where, fd, offset_bytes, ret_at);
}

static void test_sys__one_mapping_is_saved_and_no_more(void)
{
    struct cow_sys_table late = cow_sys_linux;
    saving = (struct cow_sys){.table = sys};
    const int n_mappings = process_n_mappings("regress-sys");
    cow_sys_save(&saving); /* there is none to be had */
    CHECK(!saving.spare && !cow_sys_spend(&saving));
    CHECK_EQ(saving.n_calls[COW_CALL_MMAP], 0);
    saving.spare_bytes = fixture_page();
    saving.spare_fd = sys->memfd_create(sys, "regress-sys");
    cow_sys_save(&saving);
    cow_sys_save(&saving);
    CHECK_EQ(process_n_mappings("regress-sys"), n_mappings + 1);
    CHECK_EQ(saving.n_calls[COW_CALL_MMAP], 1);
    CHECK(cow_sys_spend(&saving));
    CHECK(!cow_sys_spend(&saving));
    on_madvise = (struct rigged){1, ENOMEM}; /* a child would get it */
    cow_sys_save(&saving);
    CHECK(!saving.spare);
    late.mmap = map_too_late;
    saving.table = &late;
    cow_sys_save(&saving);
    CHECK(saving.spare == &faster);
    CHECK_EQ(process_n_mappings("regress-sys"), n_mappings);
    CHECK_EQ(sys->close(sys, saving.spare_fd), 0);
}

/* ---- files ---- */

static int make_file(void)
{
    const int fd = sys->memfd_create(sys, "regress-sys");
    CHECK(fd >= 0);
    return fd;
}

static void test_sys__a_kernel_that_does_not_know_noexec_makes_files_too(void)
{
    on_memfd_create = (struct rigged){1, EINVAL};
    const int fd = make_file();
    CHECK_EQ(memfd_flags, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK_EQ(sys->seal(sys, fd), 0);
    CHECK_EQ(sys->seals(sys, fd), COW_SEALS_ALL);
    CHECK_EQ(sys->seal(sys, fd), -EPERM);
    CHECK_EQ(sys->close(sys, fd), 0);
    on_memfd_create = (struct rigged){2, EINVAL};
    CHECK_EQ(sys->memfd_create(sys, "regress-sys"), -EINVAL);
    on_memfd_create = (struct rigged){1, EMFILE}; /* is not asked again */
    CHECK_EQ(sys->memfd_create(sys, "regress-sys"), -EMFILE);
}

static void test_sys__interrupted_calls_are_made_again(void)
{
    const struct iovec piece = {.iov_base = "seven", .iov_len = 5};
    const int fd = make_file();
    char bytes[8] = "";
    on_ftruncate = on_pwritev = on_pread = (struct rigged){3, EINTR};
    CHECK_EQ(sys->ftruncate(sys, fd, 9), 0);
    CHECK_EQ(sys->file_bytes(sys, fd), 9);
    CHECK_EQ(sys->pwrite(sys, fd, &piece, 1, 2), 5);
    CHECK_EQ(sys->pread(sys, fd, bytes, 5, 2), 5);
    CHECK_STRINGS(bytes, "seven");
    CHECK_EQ(on_ftruncate.n + on_pwritev.n + on_pread.n, 0);
    on_ftruncate = on_pwritev = on_pread = (struct rigged){1, EIO};
    CHECK_EQ(sys->ftruncate(sys, fd, 1), -EIO);
    CHECK_EQ(sys->pwrite(sys, fd, &piece, 1, 2), -EIO);
    CHECK_EQ(sys->pread(sys, fd, bytes, 5, 2), -EIO);
    on_close = (struct rigged){1, EINTR}; /* and close is not, for the descriptor is gone */
    CHECK_EQ(sys->close(sys, fd), 0);
    CHECK_EQ(sys->close(sys, fd), -EBADF);
}

/* ---- questions ---- */

static void test_sys__questions_about_no_file_are_errors(void)
{
    uint64_t begin = 42, end = 42;
    struct cow_stretch stretch;
    uint8_t *walked;
    CHECK_EQ(sys->file_bytes(sys, -1), -EBADF);
    CHECK_EQ(sys->seals(sys, -1), -EBADF);
    CHECK_EQ(sys->has_host_pages(sys, -1), -EBADF);
    CHECK_EQ(sys->next_data(sys, -1, 0, &begin, &end), -EBADF);
    CHECK_EQ(sys->duplicate(sys, -1), -EBADF);
    CHECK_EQ(sys->pagemap_scan(sys, -1, NULL, 0, COW_PAGES_PRESENT, &stretch, 1, &walked), -EBADF);
    CHECK(begin == 42 && end == 42);
    const int fd = make_file();
    on_fstatfs = (struct rigged){1, EIO};
    CHECK_EQ(sys->has_host_pages(sys, fd), -EIO);
    CHECK_EQ(sys->has_host_pages(sys, fd), 1);
    CHECK_EQ(sys->close(sys, fd), 0);
}

/* What lseek does for one whence fails. */
static int look_without(int fd, int whence)
{
    uint64_t begin = 42, end = 42;
    lseek_errors[whence] = EIO;
    const int result = sys->next_data(sys, fd, 0, &begin, &end);
    lseek_errors[whence] = 0;
    CHECK(result == 0 || whence == SEEK_SET || (begin == 42 && end == 42));
    return result;
}

static void test_sys__data_is_looked_for_and_the_position_stays(void)
{
    const uint64_t page = fixture_page();
    const int fd = make_file();
    uint64_t begin, end;
    CHECK_EQ(sys->ftruncate(sys, fd, 3 * page), 0);
    CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
    CHECK_EQ(sys->next_data(sys, fd, 0, &begin, &end), 0);
    CHECK(begin == 3 * page && end == 3 * page);
    CHECK_EQ(look_without(fd, SEEK_END), -EIO);
    CHECK_EQ(pwrite(fd, "\x07", 1, (off_t)page), 1);
    CHECK_EQ(sys->next_data(sys, fd, 0, &begin, &end), 0);
    CHECK(begin == page && end == 2 * page);
    CHECK_EQ(look_without(fd, SEEK_END), 0);
    CHECK_EQ(look_without(fd, SEEK_DATA), -EIO);
    CHECK_EQ(look_without(fd, SEEK_HOLE), -EIO);
    CHECK_EQ(look_without(fd, SEEK_CUR), -EIO);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
    CHECK_EQ(look_without(fd, SEEK_SET), -EIO);
    lseek_errors[SEEK_SET] = ENOSPC; /* of two errors the first */
    CHECK_EQ(look_without(fd, SEEK_DATA), -EIO);
    lseek_errors[SEEK_SET] = 0;
    CHECK_EQ(sys->close(sys, fd), 0);
}

static void expect_limit(struct rlimit told, struct rlimit expected)
{
    limit_told = told;
    limit_set = (struct rlimit){42, 42};
    sys->raise_descriptor_limit(sys, 100);
    CHECK_EQ(limit_set.rlim_cur, expected.rlim_cur);
    CHECK_EQ(limit_set.rlim_max, expected.rlim_max);
}

static void test_sys__the_descriptor_limit_is_raised_only_if_it_is_known_and_there(void)
{
    const struct rlimit untouched = {42, 42};
    expect_limit((struct rlimit){10, 1000}, (struct rlimit){110, 1000});
    expect_limit((struct rlimit){950, 1000}, (struct rlimit){1000, 1000});
    expect_limit((struct rlimit){10, RLIM_INFINITY}, (struct rlimit){110, RLIM_INFINITY});
    expect_limit((struct rlimit){RLIM_INFINITY, RLIM_INFINITY}, untouched);
    on_getrlimit = (struct rigged){1, EFAULT};
    expect_limit((struct rlimit){10, 1000}, untouched);
}

/* ---- signals ---- */

static int install(void)
{
    CLAIM(cow_trap_install() == -EINVAL);
    CLAIM(cow_trap_install() == -EINVAL); /* the word stays */
    return 0;
}

static void test_sys__trap_handlers_that_cannot_be_installed_are_an_error(void)
{
    const int signals[] = {SIGSEGV, SIGBUS};
    for (size_t i = 0; i < 2; i++) {
        sigaction_fails_for = signals[i];
        CHECK_EQ(process_in_child(install), 0);
    }
    sigaction_fails_for = 0;
    CHECK_EQ(cow_trap_install(), 0);
}

int main(void)
{
    RUN(test_sys__a_place_that_is_taken_is_not_replaced);
    RUN(test_sys__a_kernel_without_huge_pages_has_none_to_forbid);
    RUN(test_sys__one_mapping_is_saved_and_no_more);
    RUN(test_sys__a_kernel_that_does_not_know_noexec_makes_files_too);
    RUN(test_sys__interrupted_calls_are_made_again);
    RUN(test_sys__questions_about_no_file_are_errors);
    RUN(test_sys__data_is_looked_for_and_the_position_stays);
    RUN(test_sys__the_descriptor_limit_is_raised_only_if_it_is_known_and_there);
    RUN(test_sys__trap_handlers_that_cannot_be_installed_are_an_error);
    return 0;
}
