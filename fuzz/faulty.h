/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A kernel that fails on request, and whose answers are rewritten so that what is rare happens all the time (scans of page tables): a
 * table that wraps the built-in one. Faults are armed for one kind of call, or for all of them;
 * the nth call from there on fails, once or for ever. It keeps books of what is open and mapped through it, so that what a failed
 * operation leaves behind is seen. For one thread.
 *
 * What a call does that fails: nothing; except that mprotect, and madvise where it works page by page, have done the first half, and
 * that a fixed mapping that fails with anything but ENOMEM has removed what was there
 * before (mmap(2) leaves both possible), and somebody else maps something inaccessible there at once. One that is short has
 * done the first bytes (pwrite, pread), ranges (process_madvise), or stretches (pagemap_scan). One that lies has done nothing and says that it has. */
#ifndef RIG_FAULTY_H
#define RIG_FAULTY_H

#include "run.h"
#include "sys/sys.h"

#include <stdbool.h>

enum rig_failing { RIG_FAILS, RIG_FALLS_SHORT, RIG_LIES };

struct rig_armed {
    uint32_t nth; /* counted down: 1 is the next call; 0: not armed */
    bool for_ever;
    enum rig_failing how;
    int error;        /* what it fails with: a negative errno; 0: one that this kind of call is known for */
    uint64_t n_bytes; /* what a short call does */
};

enum { RIG_MAX_FIRED = 8, RIG_MAX_LEFT = 8 };

struct rig_faulty {
    struct cow_sys_table table; /* first: `self` is this */
    struct rig_armed calls[RIG_N_CALLS];
    struct rig_armed any;
    bool suspended;   /* nothing fails or is counted: in children */
    uint32_t n_calls; /* since the operation began, and: */
    uint32_t n_fired; /* faults that calls ran into */
    bool was_inexact; /* one of them was short or a lie: any error may follow from it */
    int errors[RIG_MAX_FIRED];
    uint64_t n_fired_in_all;
    uint32_t n_of_call[RIG_N_CALLS];     /* since the operation began */
    uint8_t kinds[RIG_MAX_CALLS_LOGGED]; /* enum rig_call of the first calls of the operation */
    struct rig_op
        told[RIG_N_CALLS]; /* fault operations that come to the same as `any` did when it first fired; see n_told */
    uint32_t n_told;
    int n_open_before;      /* when the operation began */
    int n_open;             /* descriptors that were opened through it and not closed */
    int64_t n_mapped_bytes; /* by mappings at a place of the kernel's choice, less what was unmapped */
    const char *breach;     /* the first promise of sys.h that a call did not keep; NULL: all did */
    void (*see_page)(void *context,
                     const uint8_t *page); /* NULL; or is told of each page but zero pages that a scan finds */
    void *context;
    struct {
        void *at;
        size_t length_bytes;
    } left[RIG_MAX_LEFT]; /* mapped still, since an munmap was made to fail */
    uint32_t n_left;
};

/* What a scan falls short of, or says that cannot be: short=1 and 2 are room for so many stretches, which is also all there ever is. */
enum rig_nonsense {
    RIG_SCAN_ROOM = 2,
    RIG_SCAN_BEFORE,        /* a stretch begins before what was asked for */
    RIG_SCAN_EMPTY,         /* ends where it begins */
    RIG_SCAN_BEYOND,        /* ends behind what was looked at */
    RIG_SCAN_BEGINS_INSIDE, /* or inside a page */
    RIG_SCAN_ENDS_INSIDE,
    RIG_SCAN_TOO_MANY,     /* more stretches than there was room for */
    RIG_SCAN_STANDS_STILL, /* nothing was found, and nothing was looked at */
    RIG_SCAN_GOES_TOO_FAR, /* or more than was asked for */
    RIG_SCAN_HALF,         /* the truth, of the first half; and so is what is larger */
};

/* A scan that succeeds: the truth, rewritten, or one of these. */
int rig_faulty_scan(const struct rig_faulty *kernel, uint64_t how, int pagemap_fd, uint8_t *at, size_t length_bytes,
                    unsigned where, struct cow_stretch *ret_stretches, size_t n_max, uint8_t **ret_end);

void rig_faulty_init(struct rig_faulty *kernel);
/* Arms what a fault operation says, in place of what is armed for that kind of call. */
void rig_faulty_arm(struct rig_faulty *kernel, const struct rig_op *op);
void rig_faulty_disarm(struct rig_faulty *kernel);
/* An operation begins. */
void rig_faulty_begin(struct rig_faulty *kernel);
/* Whether a fault of this operation may have led to this result. */
bool rig_faulty_explains(const struct rig_faulty *kernel, int result);
/* Unmaps what was left mapped. */
void rig_faulty_end(struct rig_faulty *kernel);

#endif
