/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The rig's guest instructions at the border of two pages, by both signals, and who gets the faults that are not its own. */
#include "guest.h"
#include "harness.h"
#include "process.h"

#include <signal.h>
#include <sys/mman.h>

static const unsigned widths[] = {1, 2, 4, 8, 16};
#define EACH_WIDTH(i) (size_t i = 0; i < sizeof widths / sizeof *widths; i++)

static size_t page_bytes;

/* [guard][page][what faults with this signal]; `page` and `end` are the borders. */
struct field {
    int signal;
    uint8_t *page, *end;
};

static struct field make_field(int signal)
{
    const int fd = memfd_create("regress-guest", MFD_CLOEXEC);
    uint8_t *base = mmap(NULL, 3 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const size_t n_bytes = signal == SIGBUS ? 2 * page_bytes : page_bytes;
    CHECK(base != MAP_FAILED && fd >= 0 && ftruncate(fd, (off_t)page_bytes) == 0);
    CHECK(mmap(base + page_bytes, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
    close(fd);
    rig_guest_install();
    rig_guest_set_range(base, 3 * page_bytes);
    return (struct field){signal, base + page_bytes, base + 2 * page_bytes};
}

static void end_field(struct field field)
{
    CHECK_EQ(munmap(field.page - page_bytes, 3 * page_bytes), 0);
}

/* ---- traps ---- */

static void test_guest__what_fits_is_read_and_written_exactly(void)
{
    const struct field field = make_field(SIGSEGV);
    const uint8_t bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    for
        EACH_WIDTH(i)
        {
            struct rig_fault fault;
            uint8_t read[16] = {0};
            uint8_t *at = field.end - widths[i];
            memset(field.page, 0x5a, page_bytes);
            CHECK(rig_guest_store(at, widths[i], bytes, &fault));
            CHECK(memcmp(at, bytes, widths[i]) == 0 && at[-1] == 0x5a);
            CHECK(rig_guest_load(at, widths[i], read, &fault));
            CHECK(memcmp(read, bytes, widths[i]) == 0);
            CHECK(widths[i] == 16 || read[widths[i]] == 0);
        }
    end_field(field);
}

/* Each width, from one that misses the page by everything to one that misses it by a byte. */
static void check_loads(struct field field)
{
    for
        EACH_WIDTH(i)
    for (unsigned n_inside = 0; n_inside < widths[i]; n_inside++) {
        struct rig_fault fault = {0, 0};
        uint8_t bytes[16];
        CHECK(!rig_guest_load(field.end - n_inside, widths[i], bytes, &fault));
        CHECK_EQ(fault.address, (uintptr_t)field.end);
        CHECK_EQ(fault.signal, field.signal);
    }
}

static void check_stores(struct field field)
{
    const uint8_t bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    for
        EACH_WIDTH(i)
    for (unsigned n_inside = 0; n_inside < widths[i]; n_inside++) {
        struct rig_fault fault = {0, 0};
        memset(field.end - 16, 0x5a, 16);
        CHECK(!rig_guest_store(field.end - n_inside, widths[i], bytes, &fault));
        CHECK_EQ(fault.address, (uintptr_t)field.end);
        CHECK_EQ(fault.signal, field.signal);
#if defined __x86_64__
        for (unsigned j = 1; j <= 16 && widths[i] <= 8; j++)
            CHECK_EQ(field.end[-(int)j], 0x5a);
#endif
    }
}

static void check_traps(int signal)
{
    const struct field field = make_field(signal);
    check_loads(field);
    check_stores(field);
    end_field(field);
}

static void test_guest__an_access_that_straddles_into_a_protected_page_traps_at_its_first_byte(void)
{
    check_traps(SIGSEGV);
}

static void test_guest__an_access_that_straddles_the_end_of_a_file_traps_at_its_first_byte(void)
{
    check_traps(SIGBUS);
}

static void test_guest__an_access_before_the_memory_traps_where_it_begins(void)
{
    const struct field field = make_field(SIGSEGV);
    for
        EACH_WIDTH(i)
        {
            struct rig_fault fault = {0, 0};
            uint8_t bytes[16];
            CHECK(!rig_guest_load(field.page - widths[i], widths[i], bytes, &fault));
            CHECK_EQ(fault.address, (uintptr_t)field.page - widths[i]);
            CHECK(!rig_guest_load(field.page - 1, widths[i], bytes, &fault));
            CHECK_EQ(fault.address, (uintptr_t)field.page - 1);
        }
    end_field(field);
}

/* 1 when it landed. */
static int touch_watched(uint8_t *at, struct rig_fault *ret_fault)
{
    static sigjmp_buf landing;
    if (sigsetjmp(landing, 1))
        return 1;
    rig_guest_watch(&landing, ret_fault);
    *(volatile uint8_t *)at = 1;
    rig_guest_end_watch();
    return 0;
}

/* Each twice, so that the signal mask is seen to be what it was. */
static void test_guest__a_watch_lands_with_the_address_each_time(void)
{
    for (int i = 0; i < 4; i++) {
        const struct field field = make_field(i % 2 ? SIGBUS : SIGSEGV);
        struct rig_fault fault = {0, 0};
        CHECK_EQ(touch_watched(field.end - 1, &fault), 0);
        CHECK_EQ(touch_watched(field.end + 5, &fault), 1);
        CHECK_EQ(fault.address, (uintptr_t)field.end + 5);
        CHECK_EQ(fault.signal, field.signal);
        check_loads(field);
        end_field(field);
    }
}

/* ---- faults that are somebody else's: each in a child, whose handlers nobody has touched yet ---- */

static uint8_t *elsewhere; /* an inaccessible page outside of the range */

static void with_info(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(signal_number == SIGSEGV && info->si_addr == elsewhere + 3 ? 42 : 43);
}

static void without_info(int signal_number)
{
    _exit(signal_number == SIGSEGV ? 44 : 45);
}

static struct field begin_child(void (*informed)(int, siginfo_t *, void *), void (*handler)(int))
{
    struct sigaction action = {.sa_flags = informed ? SA_SIGINFO : 0};
    if (informed)
        action.sa_sigaction = informed;
    else
        action.sa_handler = handler;
    CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGBUS, &action, NULL), 0);
    const struct field field = make_field(SIGSEGV);
    elsewhere = mmap(NULL, page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return field;
}

static int touches_elsewhere(void)
{
    begin_child(with_info, NULL);
    *(volatile uint8_t *)(elsewhere + 3) = 1;
    return 0;
}

static int loads_elsewhere(void)
{
    uint8_t bytes[16];
    struct rig_fault fault;
    begin_child(with_info, NULL);
    return rig_guest_load(elsewhere + 3, 1, bytes, &fault) ? 1 : 2;
}

static int touches_the_range_unarmed(void)
{
    const struct field field = begin_child(NULL, without_info);
    *(volatile uint8_t *)field.end = 1;
    return 0;
}

static int touches_the_range_by_default(void)
{
    const struct field field = begin_child(NULL, SIG_DFL);
    *(volatile uint8_t *)field.end = 1;
    return 0;
}

static int touches_the_end_of_a_file_by_default(void)
{
    begin_child(NULL, SIG_DFL);
    const struct field field = make_field(SIGBUS);
    *(volatile uint8_t *)field.end = 1;
    return 0;
}

/* Not a fault at all: the address in it means nothing, even while faults at any address are expected. */
static int sends_itself_a_signal(void)
{
    static sigjmp_buf landing;
    static struct rig_fault fault;
    begin_child(NULL, without_info);
    rig_guest_set_range(NULL, SIZE_MAX);
    if (sigsetjmp(landing, 1))
        return 1;
    rig_guest_watch(&landing, &fault);
    raise(SIGBUS);
    return 2;
}

static int installs_twice(void)
{
    begin_child(with_info, NULL);
    rig_guest_install();
    *(volatile uint8_t *)(elsewhere + 3) = 1;
    return 0;
}

static void test_guest__a_fault_outside_of_the_range_goes_to_the_handler_that_was_there(void)
{
    CHECK_EQ(process_in_child(touches_elsewhere), 42);
    CHECK_EQ(process_in_child(loads_elsewhere), 42);
    CHECK_EQ(process_in_child(installs_twice), 42);
}

static void test_guest__a_fault_in_the_range_that_nobody_expects_goes_there_too(void)
{
    CHECK_EQ(process_in_child(touches_the_range_unarmed), 44);
    CHECK_EQ(process_in_child(sends_itself_a_signal), 45);
}

static void test_guest__without_a_handler_the_signal_kills_as_it_always_did(void)
{
    CHECK_EQ(process_in_child(touches_the_range_by_default), -SIGSEGV);
    CHECK_EQ(process_in_child(touches_the_end_of_a_file_by_default), -SIGBUS);
}

int main(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    RUN(test_guest__a_fault_outside_of_the_range_goes_to_the_handler_that_was_there);
    RUN(test_guest__a_fault_in_the_range_that_nobody_expects_goes_there_too);
    RUN(test_guest__without_a_handler_the_signal_kills_as_it_always_did);
    RUN(test_guest__what_fits_is_read_and_written_exactly);
    RUN(test_guest__an_access_that_straddles_into_a_protected_page_traps_at_its_first_byte);
    RUN(test_guest__an_access_that_straddles_the_end_of_a_file_traps_at_its_first_byte);
    RUN(test_guest__an_access_before_the_memory_traps_where_it_begins);
    RUN(test_guest__a_watch_lands_with_the_address_each_time);
    return 0;
}
