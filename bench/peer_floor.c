/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The floor: no kernel call and no bounds; a reset copies exactly the pages back that were written, which an oracle knows. Nobody can do
 * less who hands out memory that was written to. */
#include "slots.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const uint64_t grown_most_bytes = BENCH_MAX_GROWN * (uint64_t)BENCH_WASM_PAGE_BYTES;

static const char *floor_open(const struct bench_contender *contender, const struct bench_world *world,
                              void **ret_state)
{
    struct bench_slots *slots = malloc(sizeof *slots);
    (void)contender;
    if (!slots)
        return bench_why("malloc");
    const char *why = bench_slots_open(slots, world, world->work.image_bytes + grown_most_bytes);
    for (unsigned i = 0; !why && i < slots->n_slots; i++)
        if (mprotect(bench_slot_base(slots, i) + world->work.image_bytes, grown_most_bytes, PROT_READ | PROT_WRITE))
            why = bench_why("mprotect");
    for (unsigned i = 0; !why && world->work.is_random && i < slots->n_slots; i++) {
        volatile uint8_t *base = bench_slot_base(slots, i);
        for (uint64_t at = 0; at < world->work.image_bytes; at += world->page_bytes)
            base[at] = base[at]; /* its own from now on, whichever pages are to come */
    }
    *ret_state = slots;
    return why;
}

static const char *floor_instantiate(void *state, struct bench_lease *lease)
{
    return bench_slots_take(state, lease);
}

static const char *floor_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    (void)state;
    lease->length_bytes += (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    return NULL;
}

static const char *floor_release(void *state, struct bench_lease *lease)
{
    struct bench_slots *slots = state;
    const struct bench_world *world = slots->world;
    const uint8_t *image = world->images[lease->image];
    bench_slots_give(slots, lease);
    if (world->without_reset)
        return NULL;
    for (unsigned i = 0; i < world->work.n_dirty; i++) {
        const uint64_t page = lease->dirty_bytes[i] & ~(world->page_bytes - 1);
        memcpy(lease->base + page, image + page, world->page_bytes);
    }
    for (uint64_t at = world->work.image_bytes; at < lease->length_bytes; at += BENCH_WASM_PAGE_BYTES)
        memset(lease->base + at, 0, world->page_bytes);
    return NULL;
}

static void floor_close(void *state)
{
    bench_slots_close(state);
    free(state);
}

const struct bench_peer bench_floor = {
    .open = floor_open,
    .instantiate = floor_instantiate,
    .grow = floor_grow,
    .release = floor_release,
    .close = floor_close,
};
