/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* One slot: a fixed address range, what is mapped there, and the memory of the instance that holds it.
 *
 *     base                         E                                              capacity        stride
 *     │ image (private memfd) │ zero │ extension: open, then inaccessible (growth.h) │ guard         │
 *     │<------ initial part -------->│<-- open -->│                                 │ PROT_NONE     │
 *     │<------ accessible ----------------------->│
 *
 *     BARE ──pave──> IDLE ──lend──> LIVE ──reset──> IDLE, or QUEUED ──flush──> IDLE          IDLE ──strip──> BARE
 *        any ──an error, or handles used up──> RETIRED ──repave──> IDLE          RETIRED, lost: for good
 *
 * FROM -> TO            by
 * BARE, IDLE -> IDLE    cow_slot_pave        IDLE -> LIVE          cow_slot_lend
 * LIVE -> IDLE, QUEUED  cow_slot_end         LIVE -> LIVE          cow_slot_reset, cow_slot_grow
 * IDLE -> QUEUED        cow_slot_trim        QUEUED -> IDLE        cow_slot_clean_many
 * IDLE -> BARE          cow_slot_strip       RETIRED -> IDLE       cow_slot_pave
 * any -> RETIRED        cow_slot_retire, which the failing transitions call
 *
 * (S1) IDLE: [0, E) reads as the image over zero, nothing past E is accessible, and all of it will read zero when it is.
 * (S2) LIVE: accessible = E + extension_bytes, a whole number of host pages: bytes past an unaligned end of a file survive a
 *      shrink and a grow.
 * (S3) The extension begins at E, the initial length rounded up: bytes of [image end, E) in a shared file would survive both
 *      the madvise and the ftruncate that reset the slot.
 * (S4) RETIRED: the whole capacity is inaccessible again; if even that mapping failed, and again after the shard's spare one was
 *      given up, the slot is lost, is never mapped or unmapped again, and stays out of every list. A slot whose handles ran
 *      out is lost too, but its range is kept.
 * (S5) BARE: as RETIRED, but nothing went wrong: the slot never held an image, or was stripped of a dead one.
 * (S6) Every mapping in [0, capacity) made by pave carries DONTFORK, DONTDUMP and no huge pages: a fixed mapping loses what was set
 *      before, and a huge page of the extension would be accessible past the file's end.
 * (S7) QUEUED: what the last tenant left may still be there, and nobody is lent it before cow_slot_clean_many(). */
#ifndef COW_SLOT_H
#define COW_SLOT_H

#include "adaptive.h"
#include "image.h"

enum cow_slot_state { COW_SLOT_BARE, COW_SLOT_IDLE, COW_SLOT_QUEUED, COW_SLOT_LIVE, COW_SLOT_RETIRED };

struct cow_slot {
    /* Read by anybody, at any time: relaxed, since a reader only compares or reports them. `lease` is the handle of
     * the live instance or 0; whoever takes it out owns the end of the lease. */
    atomic_uint_fast64_t lease;
    atomic_uint_fast64_t accessible_bytes; /* 0 unless LIVE */

    /* Owned by the instance's thread while LIVE, else by the shard's lock or by whoever took the slot from a list. */
    enum cow_slot_state state;
    bool lost;                /* never used again */
    bool has_hole;            /* its range could not be kept: something else may be mapped there by now */
    int extension_fd;         /* growth truncate; else -1 */
    uint64_t extension_bytes; /* how much past E is open: whole host pages. As long is the extension file */
    uint64_t
        window_bytes; /* of IDLE and LIVE slots: how much past E is under guard markers, or was before it was opened */
    uint64_t paved_bytes; /* E, of IDLE and LIVE slots */
    uint64_t initial_bytes;
    uint64_t length_bytes;
    uint64_t max_bytes;
    struct cow_image *image; /* what [0, E) maps; NULL: zero. Holds a reference */
    uint64_t last_handle;
    uint64_t private_bytes;     /* IDLE, QUEUED: pages of its own in [0, E) that the last reset has kept */
    struct cow_history history; /* of them */
    bool must_discard;          /* QUEUED: [0, E) is to be let go */
    bool tainted; /* LIVE: the kernel may hold on to pages, they must not be written to for the next tenant */
    uint8_t *base;

    bool listed; /* in a list: guarded by the shard's lock, and so is everything above while it is true */
    struct cow_slot *next, *previous;           /* in the shard's list of its state */
    struct cow_slot *warm_next, *warm_previous; /* in the shard's bucket of its image and E */
};

/* The same for all slots of a pool, from its creation on. */
struct cow_cleaning {
    enum cow_reset reset;
    uint64_t whole_bytes;    /* an initial part of at most this is copied whole */
    uint64_t resident_bytes; /* adaptive: how much the idle slots of a shard may keep */
    uint64_t defer_bytes;    /* adaptive: a slot that was copied, and has grown by more, does not wait */
    uint32_t queue_slots;    /* how many slots of a shard wait until they are cleaned together */
    int pagemap_fd;          /* -1: page tables cannot be scanned */
    int process_fd;          /* -1: slots cannot be cleaned together, only one by one */
};

/* What becomes of a slot's private pages. */
enum cow_cleaned {
    COW_LET_GO,
    COW_COPIED,
    COW_FELL_BACK, /* let go, where they should have been copied */
    COW_N_CLEANED
};

int cow_slot_open(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys, uint8_t *base);
void cow_slot_close(struct cow_slot *slot, struct cow_sys *sys);

/* Maps image, zero and extension for an initial part of E = paved_bytes. On an error the slot is RETIRED; or, BARE or RETIRED and
 * short of mappings, as it was. */
int cow_slot_pave(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys,
                  struct cow_image *image, uint64_t paved_bytes);
/* Begins the lease `handle` of an IDLE slot. */
void cow_slot_lend(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_instance_config *config,
                   uint64_t handle);
/* COW_LIMIT, or the errno of a kernel call: the slot is as it was; or RETIRED, if what the call had begun could not be undone. */
int cow_slot_grow(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys,
                  uint64_t delta_bytes);
/* Makes (S1) true and keeps the lease. On an error the slot is RETIRED. */
int cow_slot_reset(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                   struct cow_sys *sys, enum cow_cleaned *ret_how);
/* The same for a slot whose lease was taken out: it becomes IDLE, or QUEUED. */
int cow_slot_end(struct cow_slot *slot, const struct cow_geometry *geometry, const struct cow_cleaning *cleaning,
                 struct cow_sys *sys, enum cow_cleaned *ret_how);
/* An IDLE slot is to let go of its pages: it becomes QUEUED. */
void cow_slot_trim(struct cow_slot *slot);
/* At most COW_RESET_AT_ONCE slots that are QUEUED become IDLE, or, each that could not be cleaned, RETIRED. The first errno. */
int cow_slot_clean_many(struct cow_slot *const *slots, uint32_t n_slots, const struct cow_geometry *geometry,
                        const struct cow_cleaning *cleaning, struct cow_sys *sys);
/* Lets go of the image: IDLE to BARE. On an error the slot is RETIRED. */
int cow_slot_strip(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);
void cow_slot_retire(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys);

static inline bool cow_slot_is_warm_for(const struct cow_slot *slot, const struct cow_image *image,
                                        uint64_t paved_bytes)
{
    return slot->image == image && slot->paved_bytes == paved_bytes;
}

#endif
