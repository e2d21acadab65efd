/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A look inside for tests and the lock-step rig. Nothing here changes the pool; no other thread may use it meanwhile. */
#ifndef COW_CHECK_H
#define COW_CHECK_H

#include "cowpool.h"

#include <stdbool.h>

struct cow_slot_view {
    uint8_t *base;
    const struct cow_image *image;          /* what the slot maps, NULL for none */
    uint64_t paved_bytes;                   /* E, 0 when nothing is mapped */
    uint64_t private_bytes;                 /* of it: what the last reset has kept */
    uint64_t extension_bytes;               /* open past E: the length of the extension file */
    uint64_t window_bytes;                  /* past E: under guard markers, until opened */
    int extension_fd;                       /* -1: growth needs none */
    bool live, idle, queued, retired, lost; /* none of them: bare */
    bool must_discard;                      /* queued: its private pages too, not only what it grew into */
};

struct cow_pool_view {
    uint8_t *reservation_base;
    uint64_t reservation_bytes;
    uint64_t capacity_bytes; /* per slot, without its guard */
    uint64_t stride_bytes;
    uint64_t page_bytes;
    uint32_t n_slots;
    uint32_t n_files; /* open descriptors that are not a slot's or an image's */
};

struct cow_pool_view cow_check_pool(const struct cow_pool *pool);
struct cow_slot_view cow_check_slot(const struct cow_pool *pool, uint32_t slot);

/* The file behind offset_bytes of a slot: returns its descriptor and the place in it, or -1 where there is only zero memory. */
int cow_check_backing(const struct cow_pool *pool, uint32_t slot, uint64_t offset_bytes,
                      uint64_t *ret_file_offset_bytes);
/* The runs of an image, and how many. */
struct cow_run_view {
    uint64_t offset_bytes, length_bytes, file_offset_bytes;
};
uint32_t cow_check_runs(const struct cow_image *image, struct cow_run_view ret_runs[COW_IMAGE_MAX_RUNS]);
/* As cow_check_backing(), for an image. */
int cow_check_image(const struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_file_offset_bytes);

#endif
