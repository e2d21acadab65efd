/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A fresh mapping for each instance: address space reserved by mmap, made accessible by mprotect, the image copied into it, all unmapped
 * in the end: what the runtime of wabt's wasm2c does. variant[0]: the image is mapped from its file instead of copied. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct fresh {
    const struct bench_world *world;
    int is_mapped;
};

static const char *fresh_open(const struct bench_contender *contender, const struct bench_world *world,
                              void **ret_state)
{
    struct fresh *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return bench_why("malloc");
    *fresh = (struct fresh){world, contender->variant[0]};
    *ret_state = fresh;
    return NULL;
}

static const char *fresh_instantiate(void *state, struct bench_lease *lease)
{
    const struct fresh *fresh = state;
    const uint64_t image_bytes = fresh->world->work.image_bytes;
    lease->length_bytes = image_bytes;
    lease->base =
        mmap(NULL, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (lease->base == MAP_FAILED)
        return bench_why("mmap");
    if (fresh->is_mapped) {
        if (mmap(lease->base, image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                 fresh->world->image_fds[lease->image], 0) == MAP_FAILED)
            return bench_why("mmap of an image");
    } else {
        if (mprotect(lease->base, image_bytes, PROT_READ | PROT_WRITE))
            return bench_why("mprotect");
        memcpy(lease->base, fresh->world->images[lease->image], image_bytes);
    }
    return NULL;
}

static const char *fresh_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    (void)state;
    if (mprotect(lease->base + lease->length_bytes, delta_bytes, PROT_READ | PROT_WRITE))
        return bench_why("mprotect");
    lease->length_bytes += delta_bytes;
    return NULL;
}

static const char *fresh_release(void *state, struct bench_lease *lease)
{
    (void)state;
    return munmap(lease->base, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES) ? bench_why("munmap") : NULL;
}

static void fresh_close(void *state)
{
    free(state);
}

const struct bench_peer bench_mmap = {
    .has_bounds = 1,
    .open = fresh_open,
    .instantiate = fresh_instantiate,
    .grow = fresh_grow,
    .release = fresh_release,
    .close = fresh_close,
};
