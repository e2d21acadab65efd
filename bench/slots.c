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
    slots->images[slot] = (uint8_t)image;
    return NULL;
}

const char *bench_slots_open(struct bench_slots *slots, const struct bench_world *world, uint64_t stride_bytes)
{
    const unsigned n_threads = world->work.n_threads;
    *slots = (struct bench_slots){.world = world, .stride_bytes = stride_bytes};
    slots->n_slots = (world->work.n_slots + n_threads - 1) / n_threads * n_threads;
    slots->images = calloc(slots->n_slots, sizeof *slots->images);
    slots->fds = malloc(slots->n_slots * sizeof *slots->fds);
    slots->base =
        mmap(NULL, slots->n_slots * stride_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!slots->images || !slots->fds || slots->base == MAP_FAILED)
        return bench_why("memory for the slots");
    for (unsigned i = 0; i < slots->n_slots; i++) {
        const char *why = map_image(slots, i, 0);
        if (why)
            return why;
        slots->fds[i] = -1;
    }
    for (unsigned i = 0; i < n_threads; i++)
        slots->rings[i].next = i;
    return NULL;
}

void bench_slots_close(struct bench_slots *slots)
{
    for (unsigned i = 0; i < slots->n_slots; i++)
        if (slots->fds[i] >= 0)
            close(slots->fds[i]);
    munmap(slots->base, slots->n_slots * slots->stride_bytes);
    free(slots->images);
    free(slots->fds);
}

const char *bench_slots_take(struct bench_slots *slots, struct bench_lease *lease)
{
    unsigned *next = &slots->rings[lease->thread].next;
    lease->slot = *next;
    *next += slots->world->work.n_threads;
    if (*next >= slots->n_slots)
        *next = lease->thread;
    lease->base = bench_slot_base(slots, lease->slot);
    lease->length_bytes = slots->world->work.image_bytes;
    return slots->images[lease->slot] == lease->image ? NULL : map_image(slots, lease->slot, lease->image);
}
