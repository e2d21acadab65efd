/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* malloc and memcpy: what an engine does that checks every bound in software. Memory for all that it may grow to is taken at once. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>

static const char *malloc_open(const struct bench_contender *contender, const struct bench_world *world,
                               void **ret_state)
{
    (void)contender;
    *ret_state = (void *)world;
    return NULL;
}

static const char *malloc_instantiate(void *state, struct bench_lease *lease)
{
    const struct bench_world *world = state;
    const uint64_t grown_bytes = (uint64_t)world->work.n_grown * BENCH_WASM_PAGE_BYTES;
    lease->length_bytes = world->work.image_bytes;
    lease->base = malloc(lease->length_bytes + grown_bytes);
    if (!lease->base)
        return bench_why("malloc");
    memcpy(lease->base, world->images[lease->image], lease->length_bytes);
    return NULL;
}

static const char *malloc_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    (void)state;
    memset(lease->base + lease->length_bytes, 0, delta_bytes);
    lease->length_bytes += delta_bytes;
    return NULL;
}

static const char *malloc_release(void *state, struct bench_lease *lease)
{
    (void)state;
    free(lease->base);
    return NULL;
}

static void malloc_close(void *state)
{
    (void)state;
}

const struct bench_peer bench_malloc = {
    .open = malloc_open,
    .instantiate = malloc_instantiate,
    .grow = malloc_grow,
    .release = malloc_release,
    .close = malloc_close,
};
