/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "progress.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* At most so many edges are told of: more than any target here has. */
enum { COVERED_BYTES = 65536 };

struct shared {
    struct rig_progress counts;
    uint8_t covered[COVERED_BYTES];
};

/* Of AFL++'s runtime, where that is linked in: the hits of each edge in this run. */
extern uint8_t *__afl_area_ptr __attribute__((weak));
extern uint32_t __afl_map_size __attribute__((weak));

static struct shared *open_shared(void)
{
    static struct shared nowhere;
    const char *path = getenv("RIG_COUNTERS");
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *mapped = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof nowhere) == 0)
        mapped = mmap(NULL, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return mapped == MAP_FAILED ? &nowhere : mapped;
}

/* Bytes are only ever set: processes need not agree on anything. */
static void note_edges(uint8_t *covered)
{
    const uint32_t n_edges = &__afl_map_size && &__afl_area_ptr && __afl_area_ptr ? __afl_map_size : 0;
    for (uint32_t i = 0; i < n_edges && i < COVERED_BYTES; i++)
        if (__afl_area_ptr[i] && !covered[i])
            covered[i] = 1;
}

void rig_progress_add(const struct rig_progress *counts)
{
    static struct shared *shared;
    const uint64_t *from = (const uint64_t *)counts;
    _Static_assert(sizeof *counts % sizeof *from == 0, "counts are all uint64_t");
    const bool is_first = !shared; /* in this process: it covers what is done once only, which AFL++ leaves out too */
    if (is_first)
        shared = open_shared();
    uint64_t *to = (uint64_t *)&shared->counts;
    for (size_t i = 0; i < sizeof *counts / sizeof *from; i++)
        if (from[i])
            __atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
    if (!is_first)
        note_edges(shared->covered);
}
