/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* wasmtime's mechanism without wasmtime: beyond the image anonymous memory that cannot be accessed. Growth is one mprotect; a reset one
 * madvise over all that was accessible, and one mprotect if the memory grew. variant[0]: so many KiB of the image are copied back
 * instead, and stay resident (its linear_memory_keep_resident). */
#include "slots.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct protect {
    struct bench_slots slots;
    uint64_t keep_bytes;
};

static const char *protect_open(const struct bench_contender *contender, const struct bench_world *world,
                                void **ret_state)
{
    struct protect *protect = malloc(sizeof *protect);
    if (!protect)
        return bench_why("malloc");
    *ret_state = protect;
    protect->keep_bytes = (uint64_t)contender->variant[0] << 10;
    if (protect->keep_bytes > world->work.image_bytes)
        protect->keep_bytes = world->work.image_bytes;
    return bench_slots_open(&protect->slots, world, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES);
}

static const char *protect_instantiate(void *state, struct bench_lease *lease)
{
    return bench_slots_take(&((struct protect *)state)->slots, lease);
}

static const char *protect_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    (void)state;
    if (mprotect(lease->base + lease->length_bytes, delta_bytes, PROT_READ | PROT_WRITE))
        return bench_why("mprotect");
    lease->length_bytes += delta_bytes;
    return NULL;
}

static const char *protect_release(void *state, struct bench_lease *lease)
{
    struct protect *protect = state;
    const struct bench_world *world = protect->slots.world;
    const uint64_t keep_bytes = protect->keep_bytes, image_bytes = world->work.image_bytes;
    bench_slots_give(&protect->slots, lease);
    if (world->without_reset)
        return NULL;
    memcpy(lease->base, world->images[lease->image], keep_bytes);
    if (lease->length_bytes > keep_bytes &&
        madvise(lease->base + keep_bytes, lease->length_bytes - keep_bytes, MADV_DONTNEED))
        return bench_why("madvise");
    if (lease->length_bytes > image_bytes &&
        mprotect(lease->base + image_bytes, lease->length_bytes - image_bytes, PROT_NONE))
        return bench_why("mprotect");
    return NULL;
}

static void protect_close(void *state)
{
    bench_slots_close(&((struct protect *)state)->slots);
    free(state);
}

const struct bench_peer bench_protect = {
    .has_bounds = 1,
    .open = protect_open,
    .instantiate = protect_instantiate,
    .grow = protect_grow,
    .release = protect_release,
    .close = protect_close,
};
