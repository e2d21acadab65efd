/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images: data segments laid out in a sealed memfd.
 *
 *     memory   0        |##run 0##|   (zero)   |#run 1#|  (zero)   extent
 *     file     |##run 0##|#run 1#|                                             no holes, whole host pages
 *
 * Each dense run of data becomes one private mapping over anonymous zero memory. Data with a gap of at most join_bytes
 * between them share a run, and the gap is written out as zeros: it costs file memory once per image, where a run costs a
 * mapping or two in every slot.
 *
 * (I1) Runs are whole host pages, ascending, and do not touch or overlap; there are at most COW_IMAGE_MAX_RUNS.
 * (I2) The file is exactly the runs, one after the other, every byte of it written: reading a hole through a private mapping
 *      would allocate it in the shared file for good.
 * (I3) The file is sealed before the first mapping of it exists.
 * (I4) refs = 1 for the caller until he drops it, plus 1 for each slot that maps the image. The object and its file
 *      go when the last of them does; so a mapped image's address is not reused, and its identity is its address. */
#ifndef COW_IMAGE_H
#define COW_IMAGE_H

#include "geometry.h"
#include "sys/sys.h"

#include <pthread.h>
#include <stdbool.h>

struct cow_run {
    uint64_t offset_bytes; /* in the memory */
    uint64_t length_bytes;
    uint64_t file_offset_bytes;
};

/* The images of one pool. The lock guards the list and is a leaf: nothing is taken or called under it. */
struct cow_image_set {
    pthread_mutex_t lock;
    struct cow_image *first;
    struct cow_pool *pool;
    struct cow_sys sys;
    uint64_t page_bytes;
    uint64_t join_bytes;
    uint64_t max_bytes; /* the largest extent allowed */
    uint64_t n_held;    /* images not dropped, and what they and the others hold; guarded by the lock */
    uint64_t held_bytes;
    uint64_t dead_bytes;
};

struct cow_image {
    struct cow_image_set *set;
    struct cow_image *next, **link; /* in the set's list */
    atomic_uint_fast64_t refs;      /* (I4) */
    atomic_bool dead;               /* dropped by the caller */
    int fd;                         /* -1 when there are no runs */
    uint64_t extent_bytes;
    uint64_t file_bytes;
    uint32_t n_runs;
    struct cow_run runs[];
};

int cow_image_set_init(struct cow_image_set *set, struct cow_pool *pool, const struct cow_sys_table *table,
                       uint64_t page_bytes, uint64_t join_bytes, uint64_t max_bytes);
/* Frees all images, whoever refers to them. */
void cow_image_set_destroy(struct cow_image_set *set);

int cow_image_build(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_segment *segments,
                    size_t n_segments, struct cow_image **ret_image);
void cow_image_ref(struct cow_image *image);
/* NULL is allowed. */
void cow_image_unref(struct cow_image *image);
/* Gives up the caller's reference and marks the image dead. */
void cow_image_bury(struct cow_image *image);

/* Maps the runs over zero memory at base, which must be at least extent_bytes long. */
int cow_image_map(const struct cow_image *image, struct cow_sys *sys, uint8_t *base);

#endif
