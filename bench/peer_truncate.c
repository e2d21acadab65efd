/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The founding design as a bare mechanism, without a pool's bookkeeping: beyond the image a shared memory file of the slot's own, empty
 * at first. Growth is one ftruncate; a reset one madvise, and one ftruncate if the memory grew. */
#include "slots.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *map_extension(struct bench_slots *slots, unsigned slot)
{
    const uint64_t image_bytes = slots->world->work.image_bytes;
    const int fd = memfd_create("bench-extension", MFD_CLOEXEC);
    if (fd < 0)
        return bench_why("memfd_create");
    slots->fds[slot] = fd;
    if (mmap(bench_slot_base(slots, slot) + image_bytes, BENCH_SLOT_BYTES - image_bytes, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
        return bench_why("mmap of an extension");
    return NULL;
}

static const char *truncate_open(const struct bench_contender *contender, const struct bench_world *world,
                                 void **ret_state)
{
    struct bench_slots *slots = malloc(sizeof *slots);
    struct rlimit limit;
    (void)contender;
    if (!slots)
        return bench_why("malloc");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    const char *why = bench_slots_open(slots, world, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES);
    for (unsigned i = 0; !why && i < slots->n_slots; i++)
        why = map_extension(slots, i);
    *ret_state = slots;
    return why;
}

static const char *truncate_instantiate(void *state, struct bench_lease *lease)
{
    return bench_slots_take(state, lease);
}

static const char *truncate_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const struct bench_slots *slots = state;
    lease->length_bytes += (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    if (ftruncate(slots->fds[lease->slot], (off_t)(lease->length_bytes - slots->world->work.image_bytes)))
        return bench_why("ftruncate");
    return NULL;
}

static const char *truncate_release(void *state, struct bench_lease *lease)
{
    struct bench_slots *slots = state;
    const uint64_t image_bytes = slots->world->work.image_bytes;
    bench_slots_give(slots, lease);
    if (slots->world->without_reset)
        return NULL;
    if (madvise(lease->base, image_bytes, MADV_DONTNEED))
        return bench_why("madvise");
    if (lease->length_bytes > image_bytes && ftruncate(slots->fds[lease->slot], 0))
        return bench_why("ftruncate");
    return NULL;
}

static void truncate_close(void *state)
{
    bench_slots_close(state);
    free(state);
}

const struct bench_peer bench_truncate = {
    .has_bounds = 1,
    .open = truncate_open,
    .instantiate = truncate_instantiate,
    .grow = truncate_grow,
    .release = truncate_release,
    .close = truncate_close,
};
