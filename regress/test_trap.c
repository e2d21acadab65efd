/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Whose an address is, and what cow_trap_call() makes of a fault there. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <setjmp.h>
#include <signal.h>

/* ---- locate ---- */

static void expect_place(const struct cow_pool *pool, const void *address, struct cow_location expected)
{
    const struct cow_location location = cow_pool_locate(pool, address);
    CHECK_EQ(location.place, expected.place);
    CHECK_EQ(location.slot, expected.slot);
    CHECK_EQ(location.offset_bytes, expected.offset_bytes);
    CHECK_EQ(location.accessible_bytes, expected.accessible_bytes);
    CHECK_EQ(location.instance.id, expected.instance.id);
}

static void test_locate__every_place_of_the_picture(void)
{
    const uint64_t page = fixture_page();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 3, .max_bytes = 4 * page,
                                           .guard_bytes = 2 * page};
    struct cow_pool *pool = NULL;
    struct cow_instance a, b;
    uint64_t old_bytes;
    int elsewhere = 0;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    const uint8_t *reservation = pool->geometry.reservation_base, *end = reservation + pool->geometry.reservation_bytes;
    CHECK_EQ(fixture_lend(pool, NULL, page, 4 * page, &a), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 0, 4 * page, &b), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, a, 5, &old_bytes), COW_OK); /* accessible: two pages */
    const uint8_t *base = fixture_memory(pool, a).base;
    const struct cow_location nowhere = {.place = COW_PLACE_ELSEWHERE, .slot = COW_NO_SLOT};
    const struct cow_location before = {.place = COW_PLACE_OUT_OF_BOUNDS, .slot = COW_NO_SLOT};
    const struct cow_location inside = {COW_PLACE_HOST_FAULT, 0, 0, 2 * page, a},
                              past = {COW_PLACE_OUT_OF_BOUNDS, 0, 0, 2 * page, a};
    const struct cow_location empty = {COW_PLACE_OUT_OF_BOUNDS, 1, 0, 0, b},
                              idle = {COW_PLACE_OUT_OF_BOUNDS, 2, 0, 0, {0}};
    const struct {
        const void *address;
        struct cow_location expected;
        uint64_t offset_bytes;
    } places[] = {
        {NULL, nowhere, 0},
        {&elsewhere, nowhere, 0},
        {reservation - 1, nowhere, 0},
        {reservation, nowhere, 0}, /* the cookie */
        {reservation + page - 1, nowhere, 0},
        {reservation + page, before, page}, /* the guard before the first slot */
        {base - 1, before, 3 * page - 1},
        {base, inside, 0},
        {base + page + 4, inside, page + 4},
        {base + page + 5, inside, page + 5}, /* slack: the hardware lets the guest touch it */
        {base + 2 * page - 1, inside, 2 * page - 1},
        {base + 2 * page, past, 2 * page},
        {base + 4 * page - 1, past, 4 * page - 1},
        {base + 4 * page, past, 4 * page}, /* its guard */
        {base + 6 * page - 1, past, 6 * page - 1},
        {base + 6 * page, empty, 0}, /* the next slot, whose memory has no bytes */
        {base + 12 * page - 1, empty, 6 * page - 1},
        {base + 12 * page, idle, 0},
        {end - 1, idle, 6 * page - 1},
        {end, nowhere, 0},
        {(const void *)UINTPTR_MAX, nowhere, 0},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct cow_location expected = places[i].expected;
        expected.offset_bytes = places[i].offset_bytes;
        expect_place(pool, places[i].address, expected);
    }
    CHECK_EQ(cow_instance_release(pool, a), COW_OK);
    expect_place(pool, base, (struct cow_location){COW_PLACE_OUT_OF_BOUNDS, 0, 0, 0, {0}});
    CHECK_EQ(cow_instance_release(pool, b), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- the trap module, in a process where it is installed ---- */

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t n_handed_on;
static void *volatile last_address;
static sigjmp_buf recover;

/* The handler that was there before: takes down what it was told, and leaves. */
static void note_and_leave(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    last_signal = signal_number;
    last_address = info->si_addr;
    n_handed_on++;
    siglongjmp(recover, 1);
}

static void store(void *address)
{
    *(volatile uint8_t *)address = 0x5a;
}

static void load(void *address)
{
    (void)*(volatile uint8_t *)address;
}

static void expect_trap(const struct cow_pool *pool, void (*function)(void *), uint8_t *address, uint32_t slot,
                        uint64_t offset_bytes)
{
    struct cow_location location = {0};
    CHECK_EQ(cow_trap_call(pool, function, address, &location), 1);
    CHECK_EQ(location.place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK_EQ(location.slot, slot);
    CHECK_EQ(location.offset_bytes, offset_bytes);
}

static void test_trap__says_the_exact_address_of_sigbus_and_sigsegv(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(2, 4);
    struct cow_instance instance;
    struct cow_location location = {.offset_bytes = 42};
    CHECK_EQ(fixture_lend(pool, NULL, page, 4 * page, &instance), COW_OK);
    uint8_t *base = fixture_memory(pool, instance).base;
    for (int round = 0; round < 3; round++) {           /* the signal is not left blocked */
        expect_trap(pool, store, base + page, 0, page); /* past the file's end: SIGBUS */
        expect_trap(pool, load, base + page + 1, 0, page + 1);
        expect_trap(pool, load, base + 4 * page - 1, 0, 4 * page - 1);
        expect_trap(pool, store, base + 4 * page, 0, 4 * page); /* the guard: SIGSEGV */
        expect_trap(pool, load, base + 5 * page - 1, 0, 5 * page - 1);
        expect_trap(pool, store, base + 5 * page, 1, 0);               /* a bare slot */
        expect_trap(pool, store, base - 1, COW_NO_SLOT, 2 * page - 1); /* the guard before the first */
    }
    CHECK_EQ(cow_trap_call(pool, store, base + page - 1, &location), 0);
    CHECK_EQ(location.offset_bytes, 42); /* written only for a trap */
    CHECK_EQ(base[page - 1], 0x5a);
    CHECK_EQ(fixture_memory(pool, instance).length_bytes, page);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    expect_trap(pool, store, base + page, 0, page); /* an idle slot, past what stays mapped for the next instance */
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

struct nested {
    struct cow_pool *outer, *inner;
    uint8_t *outer_address, *inner_address;
    struct cow_location location;
    int inner_result;
    bool went_on;
};

static void call_inner(void *argument)
{
    struct nested *nested = argument;
    nested->inner_result = cow_trap_call(nested->inner, store, nested->inner_address, &nested->location);
    nested->went_on = true;
    store(nested->outer_address);
}

static void test_trap__nests_and_the_innermost_call_on_the_pool_gets_it(void)
{
    struct cow_pool *pool = fixture_pool(1, 1), *other = fixture_pool(1, 1);
    struct cow_location location;
    struct nested nested = {pool, pool, pool->slots[0].base + 1, pool->slots[0].base, {0}, -1, false};
    CHECK_EQ(cow_trap_call(pool, call_inner, &nested, &location), 1);
    CHECK(nested.inner_result == 1 && nested.went_on);
    CHECK_EQ(nested.location.offset_bytes, 0);
    CHECK_EQ(location.offset_bytes, 1);
    /* A fault in the outer call's pool leaves the inner call, which serves another pool, as well. */
    nested = (struct nested){pool, other, pool->slots[0].base + 1, pool->slots[0].base + 2, {0}, -1, false};
    CHECK_EQ(cow_trap_call(pool, call_inner, &nested, &location), 1);
    CHECK(nested.inner_result == -1 && !nested.went_on);
    CHECK_EQ(location.offset_bytes, 2);
    expect_trap(other, store, other->slots[0].base, 0, 0); /* and leaves no trace */
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(cow_pool_close(other), COW_OK);
}

/* Outside the pool, or inside accessible memory: not the guest's fault, and the previous handler's business. */
static void expect_handed_on(const struct cow_pool *pool, void *address, int signal_number)
{
    struct cow_location location;
    const int n = n_handed_on;
    last_signal = 0;
    if (sigsetjmp(recover, 1) == 0) {
        if (pool)
            (void)cow_trap_call(pool, store, address, &location);
        else
            store(address);
        const bool store_went_through = true;
        CHECK(!store_went_through);
    }
    CHECK_EQ(n_handed_on, n + 1);
    CHECK_EQ(last_signal, signal_number);
    CHECK(last_address == address);
}

static void test_trap__other_faults_go_to_the_handler_before(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 4);
    struct cow_instance instance;
    CHECK_EQ(fixture_lend(pool, NULL, 0, 4 * page, &instance), COW_OK);
    uint8_t *base = fixture_memory(pool, instance).base;
    expect_handed_on(NULL, base, SIGBUS); /* in the pool, but in no cow_trap_call */
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* Each of these leaves a cow_trap_call by the handler's own jump, which the module cannot know of: so each in a child. */
static int null_dereference(void)
{
    struct cow_pool *pool = fixture_pool(1, 1);
    expect_handed_on(pool, (void *)16, SIGSEGV);
    return 0;
}

static int host_fault(void)
{
    const uint64_t page = fixture_page();
    struct cow_pool *pool = fixture_pool(1, 4);
    struct cow_instance instance;
    uint64_t old_bytes;
    if (fixture_lend(pool, NULL, 0, 4 * page, &instance) || cow_instance_grow(pool, instance, page, &old_bytes))
        return 1;
    /* As a memory error would: the page is accessible by the books, and faults. */
    if (ftruncate(pool->slots[0].extension_fd, 0))
        return 1;
    expect_handed_on(pool, fixture_memory(pool, instance).base, SIGBUS);
    return 0;
}

static void test_trap__null_dereferences_and_host_faults_go_to_the_handler_before(void)
{
    CHECK_EQ(process_in_child(null_dereference), 0);
    CHECK_EQ(process_in_child(host_fault), 0);
}

int main(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    RUN(test_locate__every_place_of_the_picture);
    action.sa_sigaction = note_and_leave;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    CHECK_EQ(cow_trap_install(), 0);
    CHECK_EQ(cow_trap_install(), 0); /* again: the module is not its own predecessor */
    RUN(test_trap__says_the_exact_address_of_sigbus_and_sigsegv);
    RUN(test_trap__nests_and_the_innermost_call_on_the_pool_gets_it);
    RUN(test_trap__other_faults_go_to_the_handler_before);
    RUN(test_trap__null_dereferences_and_host_faults_go_to_the_handler_before);
    return 0;
}
