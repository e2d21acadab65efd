/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the cases of `make pressure` share: a pool with the model beside it, tenants that use it one after the other, and hooks at
 * the places where the machine presses. A case that ends well leaves a note of what it saw; one that cannot be had here
 * is CHECK_SKIPped. */
#ifndef REGRESS_PRESSURE_H
#define REGRESS_PRESSURE_H

#include "cowpool.h"
#include "harness.h"
#include "process.h"
#include "ref.h"

#include <stdbool.h>
#include <stdint.h>

/* A lease, and what its memory must hold. */
struct press_tenant {
    struct cow_instance instance;
    struct cow_memory memory; /* as it was told last; the base outlives the lease */
    uint64_t paved_bytes;     /* E */
    struct ref_memory *model; /* NULL: not lent */
};

enum press_image { PRESS_NONE, PRESS_TWO_RUNS, PRESS_SMALL, PRESS_N_IMAGES };

struct press_world {
    /* To be chosen before press_open(); zero is a sensible world. */
    uint64_t unit_bytes;            /* slots are PRESS_MAX_UNITS long; 0: a host page */
    uint64_t lead_bytes;            /* that every initial length is longer */
    int errors[3];                  /* that calls of the pool may return, since the machine presses */
    void (*begin_call)(void *self); /* before each of them, and ... */
    void (*end_call)(void *self);   /* ... behind it: the model and the test itself are not pressed */
    void (*press)(struct press_world *world,
                  const struct press_tenant *tenant); /* on what a tenant holds, or has left */
    void *self;                                       /* of the hooks */

    struct cow_pool *pool;
    struct cow_image *images[PRESS_N_IMAGES];
    uint32_t n_slots;
    uint64_t page_bytes;
    uint8_t *slots_base;        /* NULL until something was lent */
    unsigned n_calls, n_failed; /* calls of the pool that might fail; that did */

    struct ref_pool model;
    struct ref_image *image_models[PRESS_N_IMAGES];
    int n_descriptors; /* before there was a pool */
    unsigned salt;     /* no two writes are alike */
};

#define PRESS_MAX_UNITS 64u

/* A pool of n_slots with both images; nothing presses yet. */
void press_open(struct press_world *world, uint32_t n_slots);
/* Nothing presses any more: every slot is fit for every image, and closing leaves nothing behind. */
void press_close(struct press_world *world);

/* Each calls the pool, holds it to the model, and compares every byte and the ends of the memory. false: the pool answered with
 * one of world->errors, and kept its word about that. */
bool press_lend(struct press_world *world, struct press_tenant *tenant, enum press_image image, uint64_t initial_bytes);
bool press_grow(struct press_world *world, struct press_tenant *tenant, uint64_t delta_bytes);
bool press_reset(struct press_world *world, struct press_tenant *tenant); /* false: the lease is over */
bool press_release(struct press_world *world, struct press_tenant *tenant);
void press_drop(struct press_world *world, enum press_image image);
bool press_flush(struct press_world *world);
void press_expect(const struct press_world *world, const struct press_tenant *tenant);

/* Of every four host pages one is written with bytes that tell their place, one with zeros, one with what many pages hold, and
 * one stays clean. So does the slack, which is nobody's. */
void press_write(struct press_world *world, struct press_tenant *tenant);

/* Tenants of all kinds, one after the other in one slot, a neighbour beside them; pressed on before every reset and release, and
 * after it. */
void press_life(struct press_world *world);

/* One byte, as a guest. false: a fault. */
bool press_can_touch(const uint8_t *at);

/* /proc/self/pagemap of the page at an address (Documentation/admin-guide/mm/pagemap.rst). */
#define PRESS_SWAPPED (UINT64_C(1) << 62)
#define PRESS_PRESENT (UINT64_C(1) << 63)
#define PRESS_FRAME ((UINT64_C(1) << 55) - 1) /* 0 without CAP_SYS_ADMIN */
uint64_t press_pagemap(const void *address);

/* The number behind a word of a /proc or /sys file, or -1; NULL: the first one in it. */
long press_number(const char *path, const char *word);

/* What the case saw, in a line. */
void press_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the cases ---- */

void press_swap(void), press_swap_reclaim(void);
void press_ksm_advised(void), press_ksm_process(void);
void press_huge_pages(void);
void press_locked_before(void), press_locked_after(void), press_locked_slot(void), press_locked_limit(void);
void press_fault_truncated(void), press_fault_full(void), press_fault_poisoned(void);
void press_limit_descriptors(void), press_limit_file_size(void), press_limit_address_space(void),
    press_limit_data(void);
void press_limit_mappings(void), press_overcommit(void);

#endif
