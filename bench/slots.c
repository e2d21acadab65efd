/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "slots.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *map_image(struct bench_slots *slots, unsigned slot, unsigned image)
{
    const struct bench_world *world = slots->world;
    if (mmap(bench_slot_base(slots, slot), world->work.image_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, world->image_fds[image], 0) == MAP_FAILED)
        return bench_why("mmap of an image");
    return NULL;
}

const char *bench_slots_open(struct bench_slots *slots, const struct bench_world *world, uint64_t stride_bytes)
{
    const unsigned n_threads = world->work.n_threads;
    *slots = (struct bench_slots){.world = world, .stride_bytes = stride_bytes};
    slots->n_slots = (world->work.n_slots + n_threads - 1) / n_threads * n_threads;
    slots->fds = malloc(slots->n_slots * sizeof *slots->fds);
    slots->base =
        mmap(NULL, slots->n_slots * stride_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!slots->fds || slots->base == MAP_FAILED)
        return bench_why("memory for the slots");
    for (unsigned i = 0; i < slots->n_slots; i++) {
        const char *why = map_image(slots, i, 0);
        if (why)
            return why;
        slots->fds[i] = -1;
    }
    for (unsigned thread = 0; thread < n_threads; thread++) {
        struct bench_idle *idle = &slots->idle[thread];
        for (unsigned image = 0; image < world->work.n_images; image++) {
            idle->slots[image] = calloc(slots->n_slots / n_threads, sizeof *idle->slots[image]);
            if (!idle->slots[image])
                return bench_why("calloc");
        }
        for (unsigned slot = thread; slot < slots->n_slots; slot += n_threads)
            idle->slots[0][idle->n_slots[0]++] = slot;
    }
    return NULL;
}

void bench_slots_close(struct bench_slots *slots)
{
    for (unsigned i = 0; i < slots->n_slots; i++)
        if (slots->fds[i] >= 0)
            close(slots->fds[i]);
    munmap(slots->base, slots->n_slots * slots->stride_bytes);
    for (unsigned thread = 0; thread < slots->world->work.n_threads; thread++)
        for (unsigned image = 0; image < BENCH_MAX_IMAGES; image++)
            free(slots->idle[thread].slots[image]);
    free(slots->fds);
}

const char *bench_slots_take(struct bench_slots *slots, struct bench_lease *lease)
{
    struct bench_idle *idle = &slots->idle[lease->thread];
    unsigned image = lease->image;
    for (unsigned i = 0; !idle->n_slots[image] && i < BENCH_MAX_IMAGES; i++)
        image = i; /* another one's, then */
    if (!idle->n_slots[image])
        return "no slot is idle";
    lease->slot = idle->slots[image][--idle->n_slots[image]];
    lease->base = bench_slot_base(slots, lease->slot);
    lease->length_bytes = slots->world->work.image_bytes;
    return image == lease->image ? NULL : map_image(slots, lease->slot, lease->image);
}

void bench_slots_give(struct bench_slots *slots, const struct bench_lease *lease)
{
    struct bench_idle *idle = &slots->idle[lease->thread];
    idle->slots[lease->image][idle->n_slots[lease->image]++] = lease->slot;
}
