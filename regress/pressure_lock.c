/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Locked memory: MADV_DONTNEED is refused there, and restores nothing (madvise(2)). */
#include "pressure.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

/* 0, or what a reset of locked memory returns on a kernel without the advice for it: then the slot is retired. */
static int locked_error(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(probe != MAP_FAILED);
    const int error = madvise(probe, page, MADV_DONTNEED_LOCKED) ? -errno : 0;
    munmap(probe, page);
    return error;
}

/* There the self-test fails too, if all memory of the process is locked before there is a pool. */
static void need_pool_in_locked_process(void)
{
    if (locked_error())
        CHECK_SKIP("before Linux 5.18 there is no pool in a locked process");
}

static void lock_all(int flags)
{
    if (mlockall(flags))
        CHECK_SKIP("mlockall is refused here (RLIMIT_MEMLOCK)");
}

static uint64_t locked_bytes(void)
{
    return (uint64_t)press_number("/proc/self/status", "VmLck:") * 1024;
}

static void end_locked(struct press_world *world, uint64_t bytes)
{
    if (world->errors[0])
        munlockall(); /* without the advice no slot could be fit */
    press_close(world);
    if (!bytes)
        CHECK_SKIP("nothing was locked");
    press_note("%" PRIu64 " KiB were locked; %u of %u calls failed", bytes / 1024, world->n_failed, world->n_calls);
}

void press_locked_before(void)
{
    struct press_world world = {0};
    need_pool_in_locked_process();
    lock_all(MCL_CURRENT | MCL_FUTURE);
    press_open(&world, 2);
    press_life(&world);
    end_locked(&world, locked_bytes());
}

static void lock_everything(struct press_world *world, const struct press_tenant *tenant)
{
    (void)world;
    (void)tenant;
    lock_all(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

void press_locked_after(void)
{
    struct press_world world = {.press = lock_everything, .errors = {locked_error()}};
    press_open(&world, 2);
    press_life(&world);
    end_locked(&world, locked_bytes());
}

/* All of a tenant's memory, or its middle: then a reset meets both kinds. */
static void lock_slot(struct press_world *world, const struct press_tenant *tenant)
{
    static bool whole;
    uint8_t *base = tenant->memory.base;
    uint64_t *n_bytes = world->self;
    whole = !whole;
    if (!tenant->model)
        return;
    const uint64_t skip = whole ? 0 : 3 * world->page_bytes;
    if (mlock(base + skip, tenant->memory.accessible_bytes - 2 * skip))
        CHECK_SKIP("mlock is refused here (RLIMIT_MEMLOCK)");
    *n_bytes = locked_bytes() > *n_bytes ? locked_bytes() : *n_bytes;
}

void press_locked_slot(void)
{
    uint64_t n_bytes = 0;
    struct press_world world = {.press = lock_slot, .self = &n_bytes, .errors = {locked_error()}};
    press_open(&world, 2);
    press_life(&world);
    end_locked(&world, n_bytes);
}

/* ---- no more may be locked ---- */

/* RLIMIT_MEMLOCK is for those without this capability. */
static void drop_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    CHECK_EQ(syscall(SYS_capget, &header, data), 0);
    data[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
    CHECK_EQ(syscall(SYS_capset, &header, data), 0);
}

static void limit_locked(uint64_t bytes)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

static void begin_limit(void *self)
{
    (void)self;
    limit_locked(0);
}

static void end_limit(void *self)
{
    (void)self;
    limit_locked(RLIM_INFINITY);
}

/* Every new mapping is refused with EAGAIN (mmap(2)), also one that replaces another. */
void press_locked_limit(void)
{
    struct press_world world = {.begin_call = begin_limit, .end_call = end_limit, .errors = {-EAGAIN}};
    need_pool_in_locked_process();
    limit_locked(RLIM_INFINITY);
    lock_all(MCL_FUTURE | MCL_ONFAULT);
    press_open(&world, 4);
    drop_capability();
    press_life(&world);
    struct cow_stats stats;
    CHECK_EQ(cow_pool_stats(world.pool, &stats), COW_OK);
    press_close(&world);
    if (!world.n_failed)
        CHECK_SKIP("the limit refused nothing");
    press_note("%u of %u calls failed with EAGAIN; %" PRIu64 " of 4 slots were lost", world.n_failed, world.n_calls,
               stats.n_lost);
}
