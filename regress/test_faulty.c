/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The kernel that fails on request: which call fails, with what, what it has done then, and the books that are kept. */
#include "../fuzz/faulty.h" /* not the one beside this file */
#include "harness.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct rig_faulty kernel;
static const struct cow_sys_table *const table = &kernel.table;

static size_t page(void)
{
    return table->host_page_bytes(table);
}

/* ---- what is armed ---- */

static void begin(void)
{
    rig_faulty_init(&kernel);
    rig_faulty_begin(&kernel);
}

static uint8_t error_named(const char *name)
{
    uint8_t i = 0;
    while (strcmp(rig_error_name[i], name) != 0)
        i++;
    return i;
}

static void arm_error(enum rig_call call, uint32_t nth, bool for_ever, const char *name)
{
    const struct rig_op op = {.kind = RIG_FAULT,
                              .choice = (uint8_t)call,
                              .forever = for_ever,
                              .form = RIG_FAULT_ERROR,
                              .error = error_named(name),
                              .len.n = nth};
    rig_faulty_arm(&kernel, &op);
}

static void arm_short(enum rig_call call, uint32_t n_bytes)
{
    const struct rig_op op = {
        .kind = RIG_FAULT, .choice = (uint8_t)call, .form = RIG_FAULT_SHORT, .len.n = 1, .len2.n = n_bytes};
    rig_faulty_arm(&kernel, &op);
}

static void arm_lie(enum rig_call call)
{
    const struct rig_op op = {.kind = RIG_FAULT, .choice = (uint8_t)call, .form = RIG_FAULT_LIE, .len.n = 1};
    rig_faulty_arm(&kernel, &op);
}

/* ---- calls ---- */

static int map(enum cow_where where, void *at, enum cow_map what, uint8_t **ret_at)
{
    void *mapped = NULL;
    const int result = table->mmap(table, at, page(), what, where, -1, 0, &mapped);
    *ret_at = mapped;
    return result;
}

static uint8_t *map_zero(void)
{
    uint8_t *at;
    CHECK_EQ(map(COW_WHERE_ANY, NULL, COW_MAP_ZERO, &at), 0);
    return at;
}

static void unmap(uint8_t *at)
{
    CHECK_EQ(table->munmap(table, at, page()), 0);
}

static int open_file(void)
{
    const int fd = table->memfd_create(table, "test");
    CHECK(fd >= 0);
    return fd;
}

static int64_t write_pieces(int fd, const char *first, const char *second)
{
    const struct iovec pieces[] = {{(void *)(uintptr_t)first, strlen(first)},
                                   {(void *)(uintptr_t)second, strlen(second)}};
    return table->pwrite(table, fd, pieces, 2, 0);
}

/* Whether the kernel can read there: 1, 0, or -1 where nothing is mapped at all. */
static int is_readable(const uint8_t *at)
{
    unsigned char resident;
    const int fd = memfd_create("probe", MFD_CLOEXEC);
    const int readable = pwrite(fd, at, 1, 0) == 1;
    close(fd);
    return readable || mincore((void *)(uintptr_t)at, page(), &resident) == 0 ? readable : -1;
}

/* ---- which call fails ---- */

static void test_faulty__the_nth_call_of_its_kind_fails_once(void)
{
    begin();
    uint8_t *at = map_zero();
    const int fd = open_file();
    arm_error(RIG_CALL_MADVISE, 3, false, "EIO");
    for (int i = 1; i <= 6; i++) {
        CHECK_EQ(table->ftruncate(table, fd, page()), 0);
        CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), i == 3 ? -EIO : 0);
        CHECK_EQ(kernel.n_fired, i >= 3);
    }
    CHECK_EQ(kernel.n_calls, 14);
    CHECK_EQ(table->close(table, fd), 0);
    unmap(at);
}

static void test_faulty__or_from_there_on_for_ever_until_it_is_armed_anew(void)
{
    begin();
    const int fd = open_file();
    arm_error(RIG_CALL_FTRUNCATE, 2, true, "ENOSPC");
    for (int i = 1; i <= 20; i++)
        CHECK_EQ(table->ftruncate(table, fd, 0), i >= 2 ? -ENOSPC : 0);
    CHECK_EQ(kernel.n_fired, 19);
    CHECK_EQ(kernel.n_fired_in_all, 19);
    CHECK(rig_faulty_explains(&kernel, -ENOSPC));
    arm_error(RIG_CALL_FTRUNCATE, 2, false, "EIO");
    CHECK_EQ(table->ftruncate(table, fd, 0), 0);
    CHECK_EQ(table->ftruncate(table, fd, 0), -EIO);
    CHECK_EQ(table->ftruncate(table, fd, 0), 0);
    arm_error(RIG_CALL_FTRUNCATE, 1, true, "EIO");
    kernel.any = (struct rig_armed){.nth = 1, .for_ever = true};
    rig_faulty_disarm(&kernel);
    CHECK_EQ(table->ftruncate(table, fd, 0), 0);
    CHECK_EQ(table->close(table, fd), 0);
}

/* The error of the kind wins over the one for any call; of several kinds each has its own. */
static void test_faulty__kinds_are_counted_apart(void)
{
    begin();
    uint8_t *at = map_zero();
    const int fd = open_file();
    kernel.any = (struct rig_armed){.nth = 3};
    arm_error(RIG_CALL_MADVISE, 2, false, "EIO");
    arm_error(RIG_CALL_FTRUNCATE, 3, false, "EFBIG");
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), 0);
    CHECK_EQ(table->ftruncate(table, fd, 0), 0);
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), -EIO);
    CHECK_EQ(table->ftruncate(table, fd, 0), 0);
    CHECK_EQ(table->ftruncate(table, fd, 0), -EFBIG);
    CHECK_EQ(kernel.n_fired, 2);
    CHECK_EQ(table->close(table, fd), 0);
    unmap(at);
}

static void test_faulty__every_errno_that_programs_name_is_that_errno(void)
{
    begin();
    const int fd = open_file();
    for (unsigned i = 0; i < RIG_N_ERRORS; i++) {
        arm_error(RIG_CALL_FTRUNCATE, 1, false, rig_error_name[i]);
        const int result = table->ftruncate(table, fd, 0);
        CHECK(result < 0);
        CHECK_STRINGS(strerrorname_np(-result), rig_error_name[i]);
    }
    CHECK_EQ(table->close(table, fd), 0);
}

/* A fault for any call, as a sweep plans it. */
static void test_faulty__without_an_errno_a_call_fails_as_it_usually_does(void)
{
    begin();
    uint8_t *at = map_zero(), *other;
    const int fd = open_file();
    kernel.any = (struct rig_armed){.nth = 1, .for_ever = true};
    CHECK_EQ(map(COW_WHERE_ANY, NULL, COW_MAP_ZERO, &other), -ENOMEM);
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), -ENOMEM);
    CHECK_EQ(table->ftruncate(table, fd, 0), -ENOSPC);
    CHECK_EQ(table->memfd_create(table, "x"), -EMFILE);
    CHECK_EQ(table->seal(table, fd), -EMFILE);
    CHECK_EQ(table->duplicate(table, fd), -EMFILE);
    CHECK_EQ(write_pieces(fd, "a", "b"), -ENOSPC);
    CHECK_EQ(table->pread(table, fd, &other, 1, 0), -EIO);
    CHECK_EQ(table->munmap(table, at, page()), -ENOMEM);
    CHECK_EQ(table->close(table, fd), 0);
    rig_faulty_end(&kernel);
}

static void test_faulty__children_meet_no_faults(void)
{
    begin();
    uint8_t *at = map_zero();
    arm_error(RIG_CALL_MADVISE, 1, true, "EIO");
    kernel.suspended = true;
    const uint32_t n_calls = kernel.n_calls;
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), 0);
    CHECK_EQ(kernel.n_calls, n_calls);
    kernel.suspended = false;
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), -EIO);
    unmap(at);
}

/* ---- what a fault explains ---- */

static void test_faulty__a_fault_explains_its_own_error_in_its_own_operation(void)
{
    begin();
    const int fd = open_file();
    CHECK(!rig_faulty_explains(&kernel, -EIO));
    arm_error(RIG_CALL_FTRUNCATE, 1, false, "EIO");
    CHECK(!rig_faulty_explains(&kernel, -EIO)); /* not met yet */
    (void)table->ftruncate(table, fd, 0);
    arm_error(RIG_CALL_FTRUNCATE, 1, false, "EFBIG");
    (void)table->ftruncate(table, fd, 0);
    CHECK(rig_faulty_explains(&kernel, -EIO));
    CHECK(rig_faulty_explains(&kernel, -EFBIG));
    CHECK(!rig_faulty_explains(&kernel, -ENOSPC));
    CHECK(!rig_faulty_explains(&kernel, 0));
    CHECK(!rig_faulty_explains(&kernel, COW_FULL));
    rig_faulty_begin(&kernel);
    CHECK(!rig_faulty_explains(&kernel, -EIO));
    CHECK_EQ(table->close(table, fd), 0);
}

static void test_faulty__what_is_short_or_a_lie_may_lead_to_any_error(void)
{
    begin();
    const int fd = open_file();
    arm_short(RIG_CALL_PWRITE, 1);
    (void)write_pieces(fd, "ab", "cd");
    CHECK(rig_faulty_explains(&kernel, -EIO));
    CHECK(!rig_faulty_explains(&kernel, COW_FULL));
    rig_faulty_begin(&kernel);
    CHECK(!rig_faulty_explains(&kernel, -EIO));
    arm_lie(RIG_CALL_FTRUNCATE);
    (void)table->ftruncate(table, fd, 0);
    CHECK(rig_faulty_explains(&kernel, -EPERM));
    CHECK_EQ(table->close(table, fd), 0);
}

/* ---- what a call that fails has done ---- */

static void test_faulty__a_call_that_fails_has_done_nothing(void)
{
    begin();
    uint8_t *at = map_zero(), *other;
    const int fd = open_file(), n_descriptors = process_n_descriptors();
    uint8_t bytes[10] = {7};
    *at = 7;
    CHECK_EQ(table->ftruncate(table, fd, 10), 0);
    kernel.any = (struct rig_armed){.nth = 1, .for_ever = true, .error = -EIO};
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), -EIO);
    CHECK_EQ(*at, 7);
    CHECK_EQ(table->ftruncate(table, fd, 20), -EIO);
    CHECK_EQ(write_pieces(fd, "ab", "cdefghijklmnop"), -EIO);
    CHECK_EQ(table->file_bytes(table, fd), 10);
    CHECK_EQ(table->pread(table, fd, bytes, sizeof bytes, 0), -EIO);
    CHECK_EQ(bytes[0], 7);
    CHECK_EQ(table->seal(table, fd), -EIO);
    CHECK_EQ(table->seals(table, fd), 0);
    CHECK_EQ(table->duplicate(table, fd), -EIO);
    CHECK_EQ(table->memfd_create(table, "x"), -EIO);
    CHECK_EQ(map(COW_WHERE_ANY, NULL, COW_MAP_ZERO, &other), -EIO);
    CHECK_EQ(table->munmap(table, at, page()), -EIO);
    CHECK_EQ(is_readable(at), 1);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(table->close(table, fd), 0);
    rig_faulty_end(&kernel);
    CHECK_EQ(is_readable(at), -1);
}

static void test_faulty__a_fixed_mapping_that_fails_keeps_what_was_there_only_with_enomem(void)
{
    begin();
    uint8_t *at = map_zero(), *other;
    *at = 7;
    arm_error(RIG_CALL_MMAP, 1, false, "ENOMEM");
    CHECK_EQ(map(COW_WHERE_FIXED, at, COW_MAP_ZERO, &other), -ENOMEM);
    CHECK_EQ(*at, 7);
    arm_error(RIG_CALL_MMAP, 1, false, "EIO");
    CHECK_EQ(map(COW_WHERE_NOREPLACE, at, COW_MAP_ZERO, &other), -EIO);
    CHECK_EQ(*at, 7);
    arm_error(RIG_CALL_MMAP, 1, false, "EIO");
    CHECK_EQ(map(COW_WHERE_FIXED, at, COW_MAP_ZERO, &other), -EIO);
    CHECK_EQ(is_readable(at), 0);
    unmap(at);
}

static void check_file(int fd, const char *expected)
{
    char bytes[16] = "";
    CHECK_EQ(pread(fd, bytes, sizeof bytes - 1, 0), (ssize_t)strlen(expected));
    CHECK_STRINGS(bytes, expected);
    CHECK_EQ(ftruncate(fd, 0), 0);
}

static void test_faulty__a_short_write_has_written_that_much(void)
{
    static const char all[] = "abcde";
    char expected[8];
    begin();
    const int fd = open_file();
    for (uint32_t n = 0; n <= 7; n++) {
        arm_short(RIG_CALL_PWRITE, n);
        const int64_t n_written = write_pieces(fd, "ab", "cde");
        CHECK_EQ(n_written, n < 5 ? n : 5);
        snprintf(expected, sizeof expected, "%.*s", (int)n_written, all);
        check_file(fd, expected);
        CHECK_EQ(write_pieces(fd, "x", "yz"), 3);
        check_file(fd, "xyz");
    }
    arm_short(RIG_CALL_FTRUNCATE, 1); /* nothing else can be short */
    CHECK_EQ(table->ftruncate(table, fd, 10), 0);
    CHECK_EQ(table->file_bytes(table, fd), 10);
    CHECK_EQ(kernel.n_fired, 8);
    CHECK_EQ(table->close(table, fd), 0);
}

static void test_faulty__a_short_read_has_read_that_much(void)
{
    begin();
    const int fd = open_file();
    CHECK_EQ(write_pieces(fd, "ab", "cde"), 5);
    for (uint32_t n = 0; n <= 7; n++) {
        char bytes[8] = "", expected[8] = "";
        memcpy(expected, "bcde", n < 4 ? n : 4);
        arm_short(RIG_CALL_PREAD, n);
        CHECK_EQ(table->pread(table, fd, bytes, 4, 1), n < 4 ? n : 4);
        CHECK_STRINGS(bytes, expected);
        CHECK_EQ(table->pread(table, fd, bytes, 4, 0), 4);
        CHECK_STRINGS(bytes, "abcd");
    }
    CHECK_EQ(kernel.n_fired, 8);
    CHECK_EQ(table->close(table, fd), 0);
}

/* ---- lies ---- */

static void test_faulty__a_lie_about_memory_has_done_nothing(void)
{
    begin();
    uint8_t *at = map_zero(), *other;
    *at = 7;
    arm_lie(RIG_CALL_MADVISE);
    CHECK_EQ(table->madvise(table, at, page(), COW_ADVICE_DISCARD), 0);
    CHECK_EQ(*at, 7);
    arm_lie(RIG_CALL_MMAP);
    CHECK_EQ(map(COW_WHERE_FIXED, at, COW_MAP_ZERO, &other), 0);
    CHECK(other == at && *at == 7);
    arm_lie(RIG_CALL_MMAP);
    CHECK_EQ(map(COW_WHERE_ANY, NULL, COW_MAP_ZERO, &other), 0);
    CHECK_EQ(is_readable(other), 0);
    unmap(other);
    arm_lie(RIG_CALL_MUNMAP);
    unmap(at);
    CHECK_EQ(*at, 7);
    CHECK_EQ(kernel.n_fired, 4);
    rig_faulty_end(&kernel);
    CHECK_EQ(is_readable(at), -1);
}

static void test_faulty__a_lie_about_a_file_has_done_nothing(void)
{
    begin();
    const int fd = open_file();
    arm_lie(RIG_CALL_FTRUNCATE);
    CHECK_EQ(table->ftruncate(table, fd, 10), 0);
    CHECK_EQ(table->file_bytes(table, fd), 0);
    arm_lie(RIG_CALL_PWRITE);
    CHECK_EQ(write_pieces(fd, "ab", "cde"), 5);
    CHECK_EQ(table->file_bytes(table, fd), 0);
    char byte = 7;
    arm_lie(RIG_CALL_PREAD);
    CHECK(table->pread(table, fd, &byte, 1, 0) == 1 && byte == 7);
    arm_lie(RIG_CALL_FCNTL);
    CHECK_EQ(table->seal(table, fd), 0);
    CHECK_EQ(table->seals(table, fd), 0);
    CHECK_EQ(table->ftruncate(table, fd, 10), 0);
    arm_lie(RIG_CALL_FCNTL);
    const int duplicate = table->duplicate(table, fd);
    CHECK(duplicate >= 0);
    CHECK_EQ(table->file_bytes(table, duplicate), 0);
    CHECK_EQ(table->close(table, duplicate), 0);
    arm_lie(RIG_CALL_MEMFD_CREATE);
    const int unsealable = open_file();
    CHECK(table->seal(table, unsealable) < 0);
    CHECK_EQ(table->close(table, unsealable), 0);
    CHECK_EQ(kernel.n_fired, 6);
    CHECK_EQ(table->close(table, fd), 0);
}

/* ---- books ---- */

static void test_faulty__scans_have_little_room_swapped_pages_and_zero_pages(void)
{
    begin();
    void *mapped;
    CHECK_EQ(table->mmap(table, NULL, 8 * page(), COW_MAP_ZERO, COW_WHERE_ANY, -1, 0, &mapped), 0);
    uint8_t *at = mapped, *walked = at;
    struct cow_stretch found[8];
    const int fd = table->open_pagemap(table);
    at[0] = at[3 * page()] = 1;
    at[6 * page()] = 0;
    int n = fd < 0 ? -1
                   : table->pagemap_scan(table, fd, at, 8 * page(), COW_PAGES_PRESENT | COW_PAGES_SWAPPED, found, 8,
                                         &walked);
    if (n >= 0) { /* else this kernel cannot look */
        CHECK_EQ(n, 2);
        CHECK(walked < at + 8 * page());
        CHECK(!found[0].is_zero_page && found[0].begin == at);
        n = table->pagemap_scan(table, fd, at, 8 * page(), COW_PAGES_PRESENT, found, 8, &walked);
        CHECK_EQ(n, 1); /* of two that are next to even and odd addresses one is swapped out */
        CHECK_EQ(table->pagemap_scan(table, fd, at + 6 * page(), page(), COW_PAGES_PRESENT | COW_PAGES_SWAPPED, found,
                                     8, &walked),
                 1);
        CHECK(found[0].is_zero_page);
    }
    CHECK(fd < 0 || table->close(table, fd) == 0);
    CHECK_EQ(table->munmap(table, at, 8 * page()), 0);
}

static int scan(uint8_t *at, size_t n_pages, int fd, struct cow_stretch *found, size_t n_max, uint8_t **ret_end)
{
    return table->pagemap_scan(table, fd, at, n_pages * page(), COW_PAGES_PRESENT | COW_PAGES_SWAPPED, found, n_max,
                               ret_end);
}

/* One thing is wrong of each, and what is there is not told; behind the last one come two that are right, of the first half. */
static void test_faulty__scans_answer_what_cannot_be(void)
{
    void *mapped;
    begin();
    CHECK_EQ(table->mmap(table, NULL, 8 * page(), COW_MAP_ZERO, COW_WHERE_ANY, -1, 0, &mapped), 0);
    uint8_t *const at = mapped, *const end = at + 8 * page();
    const int fd = table->open_pagemap(table);
    for (uint32_t way = 3; fd >= 0 && way <= 12; way++) {
        struct cow_stretch found[4], *it = &found[0];
        uint8_t *walked = NULL;
        at[0] = at[6 * page()] = 1;
        arm_short(RIG_CALL_PAGEMAP_SCAN, way);
        const int n = scan(at, 8, fd, found, 4, &walked);
        if (n < 0)
            break; /* this kernel cannot look */
        CHECK_EQ(n, way <= 7 || way >= 11 ? 1 : way == 8 ? 5 : 0);
        CHECK(walked == (way == 9 ? at : way == 10 ? end + page() : way >= 11 ? at + 4 * page() : end));
        if (way >= 11) {
            CHECK(it->begin == at && it->end == at + page());
        } else if (n == 1) {
            CHECK_EQ(it->begin < at, way == 3);
            CHECK_EQ(it->end <= it->begin, way == 4);
            CHECK_EQ(it->end > walked, way == 5);
            CHECK_EQ((uintptr_t)it->begin % page() != 0, way == 6);
            CHECK_EQ((uintptr_t)it->end % page() != 0, way == 7);
        }
    }
    CHECK(fd < 0 || table->close(table, fd) == 0);
    CHECK_EQ(table->munmap(table, at, 8 * page()), 0);
}

static const char *breach_of(int64_t result)
{
    const char *breach = kernel.breach;
    (void)result;
    kernel.breach = NULL;
    return breach;
}

static void test_faulty__what_the_table_does_not_allow_is_noted(void)
{
    static const char range[] = "a call for a range that is not whole host pages", none[] = "a call for no bytes",
                      file[] = "a mapping of no file where there is one, or of one where there is none";
    char byte = 0;
    void *mapped;
    begin();
    uint8_t *at = map_zero();
    const int fd = open_file();
    const struct iovec nothing = {&byte, 0};
    CHECK(!kernel.breach);
    CHECK_STRINGS(breach_of(table->madvise(table, at, 0, COW_ADVICE_DISCARD)), "a call for a range of no bytes");
    CHECK_STRINGS(breach_of(table->madvise(table, at, 1, COW_ADVICE_DONT_DUMP)), range);
    CHECK_STRINGS(breach_of(table->mprotect(table, at + 1, page(), COW_ACCESS_WRITE)), range);
    CHECK_STRINGS(breach_of(table->munmap(table, at + 1, page())), range);
    CHECK_STRINGS(breach_of(table->pwrite(table, fd, &nothing, 1, 0)), none);
    CHECK_STRINGS(breach_of(table->pwrite(table, fd, &nothing, 0, 0)), none);
    CHECK_STRINGS(breach_of(table->pread(table, fd, &byte, 0, 0)), none);
    CHECK_STRINGS(breach_of(table->process_madvise(table, -1, &nothing, 0, COW_ADVICE_DISCARD)), none);
    CHECK_STRINGS(breach_of(table->ftruncate(table, fd, 1)), "a file that is not whole host pages");
    CHECK_STRINGS(breach_of(table->close(table, -1)), "closing what is no descriptor");
    kernel.n_open++;
    CHECK_STRINGS(breach_of(table->mmap(table, at, page(), COW_MAP_ZERO, COW_WHERE_FIXED, 0, 0, &mapped)), file);
    CHECK_STRINGS(breach_of(table->mmap(table, at, page(), COW_MAP_RESERVED, COW_WHERE_FIXED, -1, page(), &mapped)),
                  file);
    CHECK_STRINGS(breach_of(table->mmap(table, at, page(), COW_MAP_IMAGE, COW_WHERE_FIXED, -1, 0, &mapped)), file);
    CHECK_STRINGS(breach_of(table->mmap(table, at, page(), COW_MAP_IMAGE, COW_WHERE_FIXED, fd, 1, &mapped)), file);
    CHECK_EQ(table->close(table, fd), 0);
    unmap(at);
    CHECK(!kernel.breach);
}

static void test_faulty__a_change_of_access_that_fails_has_done_half(void)
{
    begin();
    void *mapped;
    CHECK_EQ(table->mmap(table, NULL, 2 * page(), COW_MAP_ZERO, COW_WHERE_ANY, -1, 0, &mapped), 0);
    uint8_t *at = mapped;
    arm_error(RIG_CALL_MPROTECT, 1, false, "ENOMEM");
    CHECK_EQ(table->mprotect(table, at, 2 * page(), COW_ACCESS_NONE), -ENOMEM);
    CHECK_EQ(is_readable(at), 0);
    CHECK_EQ(is_readable(at + page()), 1);
    CHECK_EQ(table->munmap(table, at, 2 * page()), 0);
}

static void test_faulty__books_of_what_is_open(void)
{
    begin();
    const int fd = open_file(), other = table->duplicate(table, fd);
    CHECK_EQ(kernel.n_open, 2);
    CHECK_EQ(kernel.n_open_before, 0);
    rig_faulty_begin(&kernel);
    CHECK_EQ(kernel.n_open_before, 2);
    arm_error(RIG_CALL_MEMFD_CREATE, 1, false, "EMFILE");
    arm_error(RIG_CALL_FCNTL, 1, false, "EMFILE");
    CHECK(table->memfd_create(table, "x") < 0 && table->duplicate(table, fd) < 0);
    CHECK_EQ(kernel.n_open, 2);
    CHECK_EQ(table->close(table, fd), 0);
    CHECK_EQ(table->close(table, other), 0);
    CHECK_EQ(kernel.n_open, 0);
}

static void test_faulty__books_of_what_is_mapped(void)
{
    begin();
    uint8_t *at = map_zero(), *other;
    CHECK_EQ(kernel.n_mapped_bytes, page());
    CHECK_EQ(map(COW_WHERE_FIXED, at, COW_MAP_RESERVED, &other), 0); /* in place of it */
    CHECK_EQ(kernel.n_mapped_bytes, page());
    arm_error(RIG_CALL_MMAP, 1, false, "ENOMEM");
    CHECK_EQ(map(COW_WHERE_ANY, NULL, COW_MAP_ZERO, &other), -ENOMEM);
    CHECK_EQ(kernel.n_mapped_bytes, page());
    arm_error(RIG_CALL_MUNMAP, 1, false, "ENOMEM"); /* who could not unmap has not leaked */
    CHECK_EQ(table->munmap(table, at, page()), -ENOMEM);
    CHECK_EQ(kernel.n_mapped_bytes, 0);
    CHECK_EQ(kernel.n_left, 1);
    rig_faulty_end(&kernel);
    CHECK_EQ(kernel.n_left, 0);
    CHECK_EQ(is_readable(at), -1);
}

int main(void)
{
    RUN(test_faulty__the_nth_call_of_its_kind_fails_once);
    RUN(test_faulty__or_from_there_on_for_ever_until_it_is_armed_anew);
    RUN(test_faulty__kinds_are_counted_apart);
    RUN(test_faulty__every_errno_that_programs_name_is_that_errno);
    RUN(test_faulty__without_an_errno_a_call_fails_as_it_usually_does);
    RUN(test_faulty__children_meet_no_faults);
    RUN(test_faulty__a_fault_explains_its_own_error_in_its_own_operation);
    RUN(test_faulty__what_is_short_or_a_lie_may_lead_to_any_error);
    RUN(test_faulty__a_call_that_fails_has_done_nothing);
    RUN(test_faulty__a_fixed_mapping_that_fails_keeps_what_was_there_only_with_enomem);
    RUN(test_faulty__a_short_write_has_written_that_much);
    RUN(test_faulty__a_short_read_has_read_that_much);
    RUN(test_faulty__a_lie_about_memory_has_done_nothing);
    RUN(test_faulty__a_lie_about_a_file_has_done_nothing);
    RUN(test_faulty__scans_have_little_room_swapped_pages_and_zero_pages);
    RUN(test_faulty__scans_answer_what_cannot_be);
    RUN(test_faulty__what_the_table_does_not_allow_is_noted);
    RUN(test_faulty__a_change_of_access_that_fails_has_done_half);
    RUN(test_faulty__books_of_what_is_open);
    RUN(test_faulty__books_of_what_is_mapped);
    return 0;
}
