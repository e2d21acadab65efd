/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The smallest program that still fails. What failing means is the caller's. */
#ifndef RIG_MINIMIZE_H
#define RIG_MINIMIZE_H

#include "program.h"

struct rig_minimizer {
    /* Whether a candidate still fails as the program did, and at which operation: UINT32_MAX if nobody knows. */
    bool (*fails)(void *context, const struct rig_program *candidate, uint32_t *ret_op);
    /* Whether to be content with what there is. */
    bool (*is_over)(void *context);
    void *context;
};

/* Makes *program, which fails at operation `op`, as light as it gets by removing and simplifying: no single step that is known
 * here makes it lighter. Deterministic, unless it is ended early; *program fails at any time. */
void rig_minimize(const struct rig_minimizer *minimizer, struct rig_program *program, uint32_t op);

/* How many operations it has, without those that make images. */
uint32_t rig_count_operations(const struct rig_program *program);

/* ---- between minimize.c, simplify.c and weigh.c ---- */

struct rig_shrink {
    const struct rig_minimizer *minimizer;
    struct rig_program best, candidate;
    uint32_t op; /* where the best one fails */
};

/* How much a program is to read: an operation is more than anything about operations. */
uint64_t rig_weight(const struct rig_program *program);
/* The world that goes without saying; `fork` has to be enabled by name. */
struct rig_world rig_plain_world(const struct rig_program *program);
struct rig_key;
size_t rig_key_bytes(const struct rig_key *key); /* of its field in the world */
/* The candidate becomes the best, if it is lighter and still fails. */
bool rig_shrink_try(struct rig_shrink *shrink);
/* Simplifies what operations consist of, then the world. */
void rig_simplify(struct rig_shrink *shrink);

#endif
