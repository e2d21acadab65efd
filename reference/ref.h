/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The model: what a pool of WebAssembly memories does, by malloc and memcpy. It shares nothing with the pool but the names of
 * refusals and the shape of a data segment, and makes no system call. Slow and obvious on purpose: when the pool and the model
 * disagree, a reader must be able to believe the model at first sight.
 *
 * It does not model where a memory is, nor the content of slack; it does model where an access traps, and, where bounds are checked in
 * software, what somebody who does not check them leaves above the length. */
#ifndef REF_H
#define REF_H

#include "cowpool.h"

#include <stdbool.h>

struct ref_pool {
    uint32_t n_slots;
    uint32_t n_live;
    uint64_t max_bytes;
    uint64_t unit_bytes;
    uint64_t join_bytes;
    uint64_t page_bytes;     /* the host's: it decides where the hardware can trap */
    bool bounds_in_software; /* then the hardware traps behind the largest memory only, whatever the length */
};

struct ref_image {
    uint64_t extent_bytes;
    uint64_t data_end_bytes; /* behind the last byte of data */
    uint32_t n_runs;         /* dense runs of data, in host pages */
    uint64_t run_bytes;      /* in all of them, joined gaps too */
    uint8_t *bytes;          /* extent_bytes of them */
};

struct ref_memory {
    struct ref_pool *pool;
    const struct ref_image *image; /* or NULL; must outlive the memory */
    uint64_t initial_bytes, length_bytes, max_bytes;
    uint64_t kept_bytes; /* at least length_bytes; above them, what was scribbled there */
    uint8_t *bytes;      /* kept_bytes of them */
};

/* All functions: COW_OK or a refusal, as cowpool.h says of the pool. A NULL memory is a stale handle. Out of heap aborts. */
int ref_image_create(const struct ref_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                     size_t n_segments, struct ref_image **ret_image);
void ref_image_free(struct ref_image *image);

int ref_instantiate(struct ref_pool *pool, const struct ref_image *image, uint64_t initial_bytes, uint64_t max_bytes,
                    struct ref_memory **ret_memory);
int ref_grow(struct ref_memory *memory, uint64_t delta_bytes, uint64_t *ret_old_bytes);
int ref_reset(struct ref_memory *memory);
int ref_release(struct ref_memory *memory);

uint64_t ref_accessible_bytes(const struct ref_memory *memory);
/* The same of any memory of this length. */
uint64_t ref_accessible_of(const struct ref_pool *pool, uint64_t length_bytes);
/* Where the slack ends that begins at the length: no further than the host page. */
uint64_t ref_slack_end_bytes(const struct ref_memory *memory);

/* Host code writes to what is accessible, without a look at the length. What it writes above the length is lost with bounds in
 * hardware (it is slack), and stays with bounds in software. */
void ref_scribble(struct ref_memory *memory, uint64_t offset, const uint8_t *bytes, uint64_t n_bytes);

/* What a guest access of width bytes at an offset from the memory's base does. */
enum ref_access { REF_ACCESS_OK, REF_ACCESS_REFUSED, REF_ACCESS_TRAP };
/* REFUSED: it touches slack, where the hardware cannot trap and an engine with such units checks in software. TRAP: at
 * *ret_trap_offset, the first byte that cannot be touched. Offsets below 0 lie in the guard before the memory. */
enum ref_access ref_access(const struct ref_memory *memory, int64_t offset, uint64_t width, int64_t *ret_trap_offset);

#endif
