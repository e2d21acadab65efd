/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Images: data laid out in a file that does not change.
 *
 *     memory   0        |##run 0##|   (zero)   |#run 1#|  (zero)   extent
 *     copy     |##run 0##|#run 1#|                                             a sealed memfd, no holes, whole host pages
 *     caller's      ... |##run 0##|   (hole)   |#run 1#| ...                   his file, as it is
 *
 * Each dense run of data becomes one private mapping over anonymous zero memory. Data with a gap of at most join_bytes
 * between them share a run, and the gap is written out as zeros: it costs file memory once per image, where a run costs a
 * mapping or two in every slot.
 *
 * (I1) Runs are whole host pages, ascending, and do not touch or overlap; there are at most COW_IMAGE_MAX_RUNS.
 * (I2) The file of a copy is exactly the runs, one after the other, every byte of it written: reading a hole through a private
 *      mapping would allocate it in the shared file for good. No run over a caller's file has a hole.
 * (I3) A copy's file is sealed before the first mapping of it exists. A caller's file is sealed against writing and shrinking,
 *      unless he vouched for it.
 * (I4) refs = 1 for the caller until he drops it, plus 1 for each slot that maps the image. The object and its file
 *      go when the last of them does; so a mapped image's address is not reused, and its identity is its address.
 * (I5) A caller's file reaches to the end of the last run, unless he vouched for it.
 * (I6) The set lists every image, the newest first, each with a number of its own, and counts those that the caller holds and the bytes
 *      of all. */
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
    bool has_views;     /* images are copied back */
    uint64_t n_made;    /* images so far; guarded by the lock, as is all that follows */
    uint64_t n_held;    /* images not dropped, and what they and the others hold */
    uint64_t held_bytes;
    uint64_t dead_bytes;
};

enum cow_image_origin {
    COW_IMAGE_COPY,    /* a file of our own */
    COW_IMAGE_SEALED,  /* the caller's */
    COW_IMAGE_VOUCHED, /* the caller's, and he answers for it */
};

struct cow_image {
    struct cow_image_set *set;
    struct cow_image *next, **link; /* in the set's list */
    atomic_uint_fast64_t refs;      /* (I4) */
    atomic_bool dead;               /* dropped by the caller */
    enum cow_image_origin origin;
    uint64_t number; /* from 1 on, in the order of their making */
    int fd;          /* -1 when there are no runs */
    uint64_t extent_bytes;
    uint64_t file_bytes; /* of all runs */
    const uint8_t *view; /* the file from the first run's bytes on, for copying back; NULL: there is none */
    uint64_t view_bytes;
    uint32_t n_runs;
    struct cow_run runs[];
};

int cow_image_set_init(struct cow_image_set *set, struct cow_pool *pool, const struct cow_sys_table *table,
                       uint64_t page_bytes, uint64_t join_bytes, uint64_t max_bytes);
/* Frees all images, whoever refers to them. */
void cow_image_set_destroy(struct cow_image_set *set);

int cow_image_build(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_segment *segments,
                    size_t n_segments, struct cow_image **ret_image);
int cow_image_build_from_file(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_file_range *range,
                              struct cow_image **ret_image);

struct cow_image_plan;
/* Makes the object, which owns the file and has one reference, and lists it; fd is -1 when there are no runs. -ENOMEM: the file is
 * still the caller's. */
int cow_image_adopt(struct cow_image_set *set, uint64_t extent_bytes, const struct cow_image_plan *plan,
                    enum cow_image_origin origin, int fd, struct cow_image **ret_image);
void cow_image_ref(struct cow_image *image);
/* NULL is allowed. */
void cow_image_unref(struct cow_image *image);
/* Gives up the caller's reference and marks the image dead. */
void cow_image_bury(struct cow_image *image);

/* Copies the image over [begin, end) of a memory at base, or only its runs if the rest is zero already. Needs a view, or no runs. */
void cow_image_copy(const struct cow_image *image, uint8_t *base, uint64_t begin, uint64_t end, bool only_runs);
/* Whether [begin, end) of a memory at base is as the image. Needs a view, or no runs. */
bool cow_image_equals(const struct cow_image *image, const uint8_t *base, uint64_t begin, uint64_t end);
/* Whether it can be copied: not one that its owner may truncate. */
static inline bool cow_image_can_be_copied(const struct cow_image *image)
{
    return !image || image->n_runs == 0 || image->view;
}

/* Maps the runs over zero memory at base, which must be at least extent_bytes long. */
int cow_image_map(const struct cow_image *image, struct cow_sys *sys, uint8_t *base);

#endif
