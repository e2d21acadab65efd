/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "cycle.h"

#include <stdlib.h>

enum { N_RANDOM = 1 << 16 }; /* offsets; then it begins again */

/* Bytes that do not all fall into the same set of a cache. */
static uint64_t byte_of_page(const struct bench_world *world, uint64_t page)
{
    return page * world->page_bytes + page * 64 % world->page_bytes;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* No page twice in a set. */
static void draw_set(const struct bench_world *world, uint64_t *set, uint64_t *seed)
{
    const uint64_t n_pages = world->work.image_bytes / world->page_bytes;
    for (unsigned i = 0; i < world->work.n_dirty; i++) {
        unsigned j = 0;
        set[i] = byte_of_page(world, next_random(seed) % n_pages);
        while (set[j] != set[i])
            j++;
        i -= j < i; /* once more */
    }
}

const char *bench_plan_open(struct bench_plan *plan, const struct bench_world *world)
{
    const struct bench_work *work = &world->work;
    const uint64_t n_pages = work->image_bytes / world->page_bytes;
    uint64_t seed = 0x9e3779b97f4a7c15;
    plan->n_sets = 1;
    while (work->is_random && plan->n_sets * work->n_dirty < N_RANDOM)
        plan->n_sets *= 2;
    plan->dirty = calloc((size_t)plan->n_sets * work->n_dirty + 1, sizeof *plan->dirty);
    plan->reads = calloc(work->n_reads + 1, sizeof *plan->reads);
    if (!plan->dirty || !plan->reads)
        return bench_why("calloc");
    if (work->is_random)
        for (unsigned i = 0; i < plan->n_sets; i++)
            draw_set(world, plan->dirty + (size_t)i * work->n_dirty, &seed);
    else
        for (unsigned i = 0; i < work->n_dirty; i++)
            plan->dirty[i] = byte_of_page(world, i * n_pages / work->n_dirty);
    for (unsigned i = 0; i < work->n_reads; i++) /* half way to the next page that is written, where there is one */
        plan->reads[i] = byte_of_page(world, (2 * (uint64_t)i + 1) * n_pages / (2 * (uint64_t)work->n_reads));
    return NULL;
}

void bench_plan_close(struct bench_plan *plan)
{
    free(plan->dirty);
    free(plan->reads);
}
