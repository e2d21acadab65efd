/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Everybody who is measured, in the order of the tables. */
#include "contender.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char words[200];

const char *bench_why(const char *what)
{
    snprintf(words, sizeof words, "%s: %s", what, strerror(errno));
    return words;
}

const char *bench_why_result(const char *what, int result)
{
    if (result < 0)
        snprintf(words, sizeof words, "%s: %s", what, strerror(-result));
    else
        snprintf(words, sizeof words, "%s: %s", what, cow_result_name(result));
    return words;
}

/* The modes of reset, as numbers: one that this pool has not is skipped, with the pool's word for it. */
enum { UNNAMED = -1, DISCARD = COW_RESET_DISCARD, COPYBACK = 1, DEFERRED = 2, ADAPTIVE = 3 };
enum { TRUNCATE = COW_GROWTH_TRUNCATE, PROTECT = COW_GROWTH_PROTECT, GUARD = COW_GROWTH_GUARD };

#define POOL(name, growth, reset, what)                                                                                \
    {                                                                                                                  \
        name, &bench_pool, {growth, reset}, BENCH_POOL, what, NULL, (reset) >= DEFERRED || (growth) < 0                \
    }

const struct bench_contender bench_contenders[] = {
    {"floor",
     &bench_floor,
     {0},
     BENCH_FLOOR,
     "copies exactly the dirtied pages back; no kernel call, no bounds",
     NULL,
     0},
    POOL("cowpool", UNNAMED, 0, "as it comes: no mode named"),
    POOL("cowpool again", UNNAMED, 0, "the same once more: the noise"),
    {"cowpool reset in place",
     &bench_pool_in_place,
     {UNNAMED},
     BENCH_POOL,
     "the same instance again, by cow_instance_reset",
     NULL,
     0},
    POOL("cowpool truncate+discard", TRUNCATE, DISCARD, "the founding design"),
    POOL("cowpool truncate+copyback", TRUNCATE, COPYBACK, ""),
    POOL("cowpool truncate+deferred", TRUNCATE, DEFERRED, ""),
    POOL("cowpool truncate+adaptive", TRUNCATE, ADAPTIVE, ""),
    POOL("cowpool protect+discard", PROTECT, DISCARD, ""),
    POOL("cowpool protect+copyback", PROTECT, COPYBACK, ""),
    POOL("cowpool protect+deferred", PROTECT, DEFERRED, ""),
    POOL("cowpool protect+adaptive", PROTECT, ADAPTIVE, ""),
    POOL("cowpool guard+discard", GUARD, DISCARD, ""),
    POOL("cowpool guard+copyback", GUARD, COPYBACK, ""),
    POOL("cowpool guard+deferred", GUARD, DEFERRED, ""),
    POOL("cowpool guard+adaptive", GUARD, ADAPTIVE, ""),
    {"madvise+ftruncate", &bench_truncate, {0}, BENCH_PEER, "the founding design's kernel calls alone", NULL, 0},
    {"madvise+mprotect", &bench_protect, {0}, BENCH_PEER, "wasmtime's kernel calls alone", NULL, 0},
    {"madvise+mprotect keep=64K",
     &bench_protect,
     {64},
     BENCH_PEER,
     "the same, 64 KiB of the image copied back",
     NULL,
     0},
    {"scan+memcpy",
     &bench_scan,
     {0},
     BENCH_PEER,
     "PAGEMAP_SCAN and copies, mprotect: what wasmtime can do, but not by its C API",
     NULL,
     0},
    {"userfaultfd", &bench_uffd, {0}, BENCH_PEER, "missing mode, a thread serves the faults", NULL, 0},
    {"malloc+memcpy", &bench_malloc, {0}, BENCH_PEER, "no bounds", NULL, 0},
    {"mmap+memcpy", &bench_mmap, {0}, BENCH_PEER, "a fresh mapping each time, as wasm2c's runtime makes it", NULL, 0},
    {"mmap", &bench_mmap, {1}, BENCH_PEER, "the same, its image mapped from a file", NULL, 0},
    {"wasmtime keep=0",
     &bench_wasmtime,
     {0, 0},
     BENCH_PEER,
     "its pooling allocator, nothing kept resident",
     "wasmtime no memory",
     0},
    {"wasmtime keep=64K", &bench_wasmtime, {64, 0}, BENCH_PEER, "64 KiB kept resident", "wasmtime no memory", 0},
    {"wasmtime keep=all",
     &bench_wasmtime,
     {-1, 0},
     BENCH_PEER,
     "the whole memory kept resident",
     "wasmtime no memory",
     0},
    {"wasmtime no memory",
     &bench_wasmtime,
     {0, 1},
     BENCH_NO_PEER,
     "store and instance alone, of a module without a memory: subtracted above",
     NULL,
     0},
};
const size_t bench_n_contenders = sizeof bench_contenders / sizeof *bench_contenders;
