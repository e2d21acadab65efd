/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The trap module on top of no handler, an ignored signal, and a handler of the old kind: each in a child, which must end as
 * it would have without the module. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include <signal.h>
#include <sys/resource.h>

static struct cow_pool *pool;

static void store(void *address)
{
    *(volatile uint8_t *)address = 1;
}

/* In the child: the pool's own memory, so that there is something to trap; no core dumps. */
static struct cow_instance begin(void (*handler)(int))
{
    const struct rlimit none = {0, 0};
    struct cow_instance instance = {0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, handler);
    signal(SIGBUS, handler);
    pool = fixture_pool(1, 4);
    if (!pool || cow_trap_install() || fixture_lend(pool, NULL, 0, 4 * fixture_page(), &instance))
        _exit(2);
    return instance;
}

static void fault_in_call(void *address)
{
    struct cow_location location;
    (void)cow_trap_call(pool, store, address, &location);
}

static int segv_with_default(void)
{
    begin(SIG_DFL);
    fault_in_call((void *)16);
    return 3;
}

static int bus_with_default(void)
{
    const struct cow_instance instance = begin(SIG_DFL);
    store(fixture_memory(pool, instance).base); /* in no cow_trap_call */
    return 3;
}

static int segv_with_ignored(void)
{
    begin(SIG_IGN);
    fault_in_call((void *)16); /* the kernel does not let a fault be ignored */
    return 3;
}

static int bus_still_traps_after_another_was_sent(void)
{
    struct cow_location location;
    const struct cow_instance instance = begin(SIG_IGN);
    CLAIM(kill(getpid(), SIGBUS) == 0 && raise(SIGBUS) == 0); /* ignored, as before */
    CLAIM(cow_trap_call(pool, store, fixture_memory(pool, instance).base, &location) == 1);
    return 0;
}

static int segv_sent_with_default(void)
{
    begin(SIG_DFL);
    kill(getpid(), SIGSEGV);
    return 3;
}

static void exit_with_it(int signal_number)
{
    _exit(100 + signal_number);
}

static int segv_with_old_handler(void)
{
    begin(exit_with_it);
    fault_in_call((void *)16);
    return 3;
}

static int segv_sent_with_old_handler(void)
{
    begin(exit_with_it);
    raise(SIGSEGV);
    return 3;
}

static void test_trap__without_a_handler_before_the_process_dies_of_the_signal(void)
{
    CHECK_EQ(process_in_child(segv_with_default), -SIGSEGV);
    CHECK_EQ(process_in_child(bus_with_default), -SIGBUS);
    CHECK_EQ(process_in_child(segv_with_ignored), -SIGSEGV);
}

static void test_trap__a_handler_of_the_old_kind_is_called(void)
{
    CHECK_EQ(process_in_child(segv_with_old_handler), 100 + SIGSEGV);
    CHECK_EQ(process_in_child(segv_sent_with_old_handler), 100 + SIGSEGV);
}

static void test_trap__a_signal_that_was_sent_has_the_effect_it_had_before(void)
{
    CHECK_EQ(process_in_child(segv_sent_with_default), -SIGSEGV);
    CHECK_EQ(process_in_child(bus_still_traps_after_another_was_sent), 0);
}

int main(void)
{
    RUN(test_trap__without_a_handler_before_the_process_dies_of_the_signal);
    RUN(test_trap__a_handler_of_the_old_kind_is_called);
    RUN(test_trap__a_signal_that_was_sent_has_the_effect_it_had_before);
    return 0;
}
