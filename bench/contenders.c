/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Everybody who is measured, in the order of the tables; bench/README.md says what each does. */
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

enum {
    TRUNCATE = COW_GROWTH_TRUNCATE,
    PROTECT = COW_GROWTH_PROTECT,
    GUARD = COW_GROWTH_GUARD,
    SOFTWARE = COW_GROWTH_SOFTWARE
};
enum {
    DISCARD = COW_RESET_DISCARD,
    COPYBACK = COW_RESET_COPYBACK,
    DEFERRED = COW_RESET_DEFERRED,
    ADAPTIVE = COW_RESET_ADAPTIVE
};

const struct bench_contender bench_contenders[] = {
    {"floor", &bench_floor, {0}, BENCH_FLOOR, NULL},
    {"cowpool", &bench_pool, {COW_GROWTH_DEFAULT, COW_RESET_DEFAULT}, BENCH_POOL, NULL},
    {"cowpool again", &bench_pool, {COW_GROWTH_DEFAULT, COW_RESET_DEFAULT}, BENCH_POOL, NULL},
    {"cowpool reset in place", &bench_pool_in_place, {COW_GROWTH_DEFAULT, COW_RESET_DEFAULT}, BENCH_POOL, NULL},
    {"cowpool truncate+discard", &bench_pool, {TRUNCATE, DISCARD}, BENCH_POOL, NULL},
    {"cowpool truncate+copyback", &bench_pool, {TRUNCATE, COPYBACK}, BENCH_POOL, NULL},
    {"cowpool truncate+deferred", &bench_pool, {TRUNCATE, DEFERRED}, BENCH_POOL, NULL},
    {"cowpool truncate+adaptive", &bench_pool, {TRUNCATE, ADAPTIVE}, BENCH_POOL, NULL},
    {"cowpool protect+discard", &bench_pool, {PROTECT, DISCARD}, BENCH_POOL, NULL},
    {"cowpool protect+copyback", &bench_pool, {PROTECT, COPYBACK}, BENCH_POOL, NULL},
    {"cowpool protect+deferred", &bench_pool, {PROTECT, DEFERRED}, BENCH_POOL, NULL},
    {"cowpool protect+adaptive", &bench_pool, {PROTECT, ADAPTIVE}, BENCH_POOL, NULL},
    {"cowpool guard+discard", &bench_pool, {GUARD, DISCARD}, BENCH_POOL, NULL},
    {"cowpool guard+copyback", &bench_pool, {GUARD, COPYBACK}, BENCH_POOL, NULL},
    {"cowpool guard+deferred", &bench_pool, {GUARD, DEFERRED}, BENCH_POOL, NULL},
    {"cowpool guard+adaptive", &bench_pool, {GUARD, ADAPTIVE}, BENCH_POOL, NULL},
    {"cowpool software+adaptive", &bench_pool_software, {SOFTWARE, ADAPTIVE}, BENCH_POOL, NULL},
    {"madvise+ftruncate", &bench_truncate, {0}, BENCH_PEER, NULL},
    {"madvise+mprotect", &bench_protect, {0}, BENCH_PEER, NULL},
    {"madvise+mprotect keep=64K", &bench_protect, {64}, BENCH_PEER, NULL},
    {"scan+memcpy", &bench_scan, {0}, BENCH_PEER, NULL},
    {"userfaultfd", &bench_uffd, {0}, BENCH_PEER, NULL},
    {"malloc+memcpy", &bench_malloc, {0}, BENCH_PEER, NULL},
    {"mmap+memcpy", &bench_mmap, {0}, BENCH_PEER, NULL},
    {"mmap", &bench_mmap, {1}, BENCH_PEER, NULL},
    {"wasmtime keep=0", &bench_wasmtime, {0, 0}, BENCH_PEER, "wasmtime no memory"},
    {"wasmtime keep=64K", &bench_wasmtime, {64, 0}, BENCH_PEER, "wasmtime no memory"},
    {"wasmtime keep=all", &bench_wasmtime, {-1, 0}, BENCH_PEER, "wasmtime no memory"},
    {"wasmtime no memory", &bench_wasmtime, {0, 1}, BENCH_NO_PEER, NULL},
};
const size_t bench_n_contenders = sizeof bench_contenders / sizeof *bench_contenders;
