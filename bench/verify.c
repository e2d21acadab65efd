/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "verify.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char words[200];

/* Whether the kernel can read there: it says so without a signal. */
static int is_accessible(const uint8_t *at)
{
    char byte;
    int fds[2], is = 0;
    if (pipe(fds))
        return 0;
    if (write(fds[1], at, 1) == 1)
        is = read(fds[0], &byte, 1) == 1;
    close(fds[0]);
    close(fds[1]);
    return is;
}

static const char *compare(const struct bench_contender *contender, const struct bench_world *world,
                           const struct bench_lease *lease)
{
    const uint8_t *image = world->images[lease->image];
    if (lease->length_bytes != world->work.image_bytes) {
        snprintf(words, sizeof words, "a lease begins with %ju bytes, the image has %ju",
                 (uintmax_t)lease->length_bytes, (uintmax_t)world->work.image_bytes);
        return words;
    }
    if (memcmp(lease->base, image, lease->length_bytes) != 0) {
        uint64_t at = 0;
        while (lease->base[at] == image[at])
            at++;
        snprintf(words, sizeof words, "the byte at %ju of a new lease is %02x, of the image %02x", (uintmax_t)at,
                 lease->base[at], image[at]);
        return words;
    }
    if (contender->peer->has_bounds && is_accessible(lease->base + lease->length_bytes))
        return "what lies behind the length of a new lease is accessible";
    return NULL;
}

static const char *compare_grown(const struct bench_lease *lease, uint64_t old_bytes)
{
    for (uint64_t at = old_bytes; at < lease->length_bytes; at++) {
        if (lease->base[at]) {
            snprintf(words, sizeof words, "the byte at %ju, just grown, is %02x", (uintmax_t)at, lease->base[at]);
            return words;
        }
    }
    return NULL;
}

/* Whole host pages: those that a cycle writes; and some more, of whoever has no oracle. */
static void stain(const struct bench_contender *contender, const struct bench_world *world,
                  const struct bench_lease *lease, uint64_t old_bytes)
{
    const uint64_t page_bytes = world->page_bytes, n_pages = world->work.image_bytes / page_bytes;
    for (unsigned i = 0; i < world->work.n_dirty; i++)
        memset(lease->base + lease->dirty_bytes[i] / page_bytes * page_bytes, BENCH_STAIN, page_bytes);
    for (uint64_t at = old_bytes; at < lease->length_bytes; at += BENCH_WASM_PAGE_BYTES)
        memset(lease->base + at, BENCH_STAIN, page_bytes);
    if (contender->kind == BENCH_FLOOR)
        return;
    for (uint64_t i = 0, page = 7; i < 24; i++, page += 7919)
        lease->base[page % n_pages * page_bytes + i] = BENCH_STAIN;
    lease->base[old_bytes - 1] = BENCH_STAIN;
    lease->base[lease->length_bytes - 1] = BENCH_STAIN;
}

static const char *try_lease(const struct bench_contender *contender, const struct bench_world *world, void *state,
                             struct bench_lease *lease)
{
    const struct bench_peer *peer = contender->peer;
    const char *why = peer->instantiate(state, lease);
    if (!why)
        why = compare(contender, world, lease);
    if (why)
        return why;
    const uint64_t old_bytes = lease->length_bytes;
    if (world->work.n_grown) {
        why = peer->grow(state, lease, world->work.n_grown);
        if (!why && contender->kind != BENCH_FLOOR)
            why = compare_grown(lease, old_bytes);
        if (why)
            return why;
    }
    stain(contender, world, lease, old_bytes);
    return peer->release(state, lease);
}

const char *bench_verify(const struct bench_contender *contender, const struct bench_world *world,
                         const struct bench_plan *plan, int *ret_is_absent)
{
    struct bench_world small = *world;
    void *state = NULL;
    small.work.n_slots = small.work.n_threads;
    const char *why = contender->peer->open(contender, &small, &state);
    *ret_is_absent = why != NULL;
    if (why || contender->kind == BENCH_NO_PEER)
        return why;
    const unsigned n_leases = (world->work.image_bytes > 1 << 20 ? 3 : 6) * world->work.n_images;
    for (unsigned i = 0; !why && i < n_leases; i++) {
        struct bench_lease lease = {
            .thread = i % small.work.n_threads,
            .image = i / (2 * small.work.n_threads) %
                     small.work.n_images, /* twice the same: mapping another one would reset, too */
            .dirty_bytes = plan->dirty + (size_t)(i & (plan->n_sets - 1)) * small.work.n_dirty,
        };
        why = try_lease(contender, &small, state, &lease);
    }
    if (!why)
        why = bench_verify_after(contender, &small, state);
    contender->peer->close(state);
    return why;
}

const char *bench_verify_after(const struct bench_contender *contender, const struct bench_world *world, void *state)
{
    const uint64_t most_bytes = UINT64_C(32) << 20;
    const char *why = NULL;
    if (contender->kind == BENCH_NO_PEER)
        return NULL;
    for (unsigned i = 0; !why && i < world->work.n_slots && i * world->work.image_bytes < most_bytes; i++) {
        struct bench_lease lease = {
            .thread = i % world->work.n_threads,
            .image = i / world->work.n_threads % world->work.n_images,
            .dirty_bytes = NULL,
        };
        why = contender->peer->instantiate(state, &lease);
        if (!why)
            why = compare(contender, world, &lease);
        if (!why && contender->kind != BENCH_FLOOR)
            why = contender->peer->release(state, &lease);
    }
    return why;
}
