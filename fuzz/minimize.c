/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Minimising: fewer operations first (here), simpler ones next (simplify.c), and all over again while anything helps. Each step
 * is a candidate; only what is lighter and still fails is kept, so that it ends. */
#include "minimize.h"
#include "shape.h"

#include <string.h>

uint32_t rig_count_operations(const struct rig_program *program)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++)
        n += program->ops[i].kind != RIG_IMAGE && program->ops[i].kind != RIG_DATA;
    return n;
}

bool rig_shrink_try(struct rig_shrink *shrink)
{
    const struct rig_minimizer *minimizer = shrink->minimizer;
    uint32_t op;
    for (uint32_t i = 0; i < shrink->candidate.n_ops; i++) { /* an offset that has become 0 has no sign and no unit */
        shrink->candidate.ops[i].at = rig_at_normal(shrink->candidate.ops[i].at);
        shrink->candidate.ops[i].other = rig_at_normal(shrink->candidate.ops[i].other);
    }
    if (minimizer->is_over(minimizer->context) || rig_weight(&shrink->candidate) >= rig_weight(&shrink->best) ||
        rig_program_unbuilt(&shrink->candidate) || !minimizer->fails(minimizer->context, &shrink->candidate, &op))
        return false;
    shrink->best = shrink->candidate;
    shrink->op = op;
    return true;
}

/* ---- removing operations ---- */

struct selection {
    bool has[RIG_MAX_OPS];
};

static bool try_without(struct rig_shrink *shrink, const struct selection *gone)
{
    const struct rig_program *best = &shrink->best;
    struct rig_program *candidate = &shrink->candidate;
    candidate->world = best->world;
    candidate->n_ops = 0;
    for (uint32_t i = 0; i < best->n_ops; i++)
        if (!gone->has[i])
            candidate->ops[candidate->n_ops++] = best->ops[i];
    return candidate->n_ops < best->n_ops && rig_shrink_try(shrink);
}

/* [begin, end); data belongs to the image before it, and goes with it. */
static void select_range(const struct rig_shrink *shrink, uint32_t begin, uint32_t end, struct selection *ret)
{
    const struct rig_program *best = &shrink->best;
    for (uint32_t i = begin; i < end && i < best->n_ops; i++)
        ret->has[i] = true;
    if (end > 0 && end <= best->n_ops && (best->ops[end - 1].kind == RIG_IMAGE || best->ops[end - 1].kind == RIG_DATA))
        while (end < best->n_ops && best->ops[end].kind == RIG_DATA && best->ops[begin].kind == RIG_IMAGE)
            ret->has[end++] = true;
}

/* What comes behind the failure cannot have caused it; what the end of the program does then may hide it. */
static void cut(struct rig_shrink *shrink)
{
    if (shrink->op >= shrink->best.n_ops || shrink->op + 1 == shrink->best.n_ops)
        return;
    shrink->candidate = shrink->best;
    shrink->candidate.n_ops = shrink->op + 1;
    if (rig_shrink_try(shrink))
        return;
    shrink->candidate = shrink->best;
    shrink->candidate.n_ops = shrink->op + 1;
    shrink->candidate.world.sweep = 0;
    (void)rig_shrink_try(shrink);
}

static bool has_register(const struct rig_op *op)
{
    switch (op->kind) {
    case RIG_IMAGE:
    case RIG_DATA:
    case RIG_DROP:
    case RIG_FLUSH:
    case RIG_FORK:
    case RIG_SCHEDULE:
    case RIG_FAULT:
        return false;
    default:
        return true;
    }
}

/* Everything about one register, one image, or of one kind. */
static void remove_unrelated(struct rig_shrink *shrink)
{
    for (unsigned reg = RIG_N_REGISTERS; reg-- > 0;) {
        struct selection gone = {{false}};
        for (uint32_t i = 0; i < shrink->best.n_ops; i++)
            gone.has[i] = has_register(&shrink->best.ops[i]) && shrink->best.ops[i].reg == reg;
        (void)try_without(shrink, &gone);
    }
    for (unsigned image = RIG_N_IMAGES; image-- > 0;) {
        struct selection gone = {{false}};
        for (uint32_t i = 0; i < shrink->best.n_ops; i++) {
            const struct rig_op *op = &shrink->best.ops[i];
            if (op->kind == RIG_IMAGE && op->image == image)
                select_range(shrink, i, i + 1, &gone);
            gone.has[i] = gone.has[i] || (op->kind == RIG_DROP && op->image == image);
        }
        (void)try_without(shrink, &gone);
    }
    for (unsigned kind = RIG_N_KINDS; kind-- > 0;) {
        struct selection gone = {{false}};
        for (uint32_t i = 0; i < shrink->best.n_ops; i++)
            gone.has[i] = shrink->best.ops[i].kind == kind;
        (void)try_without(shrink, &gone);
    }
}

/* Ranges, halves first and single operations last, from the back: what is late depends on what is early. */
static void remove_ranges(struct rig_shrink *shrink)
{
    uint32_t length = 1;
    while (2 * length < shrink->best.n_ops)
        length *= 2;
    for (; length > 0; length /= 2)
        for (uint32_t end = shrink->best.n_ops; end > 0; end = end > length ? end - length : 0) {
            struct selection gone = {{false}};
            select_range(shrink, end > length ? end - length : 0, end, &gone);
            (void)try_without(shrink, &gone);
            end = end < shrink->best.n_ops ? end : shrink->best.n_ops;
        }
}

/* Two that need each other: a grow and its store, a lease and its release. Only when few are left: these are many. */
static void remove_pairs(struct rig_shrink *shrink)
{
    enum { FEW = 24 };
    for (uint32_t second = shrink->best.n_ops; second-- > 1 && shrink->best.n_ops <= FEW;)
        for (uint32_t first = second; first-- > 0 && second < shrink->best.n_ops;) {
            struct selection gone = {{false}};
            select_range(shrink, second, second + 1, &gone);
            select_range(shrink, first, first + 1, &gone);
            (void)try_without(shrink, &gone);
        }
}

/* `release` and the `instantiate` behind it are one `reuse`. */
static void merge_releases(struct rig_shrink *shrink)
{
    for (uint32_t i = 0; i < shrink->best.n_ops; i++) {
        const struct rig_op *release = &shrink->best.ops[i];
        uint32_t next = i + 1;
        while (next < shrink->best.n_ops &&
               (shrink->best.ops[next].kind != RIG_INSTANTIATE || shrink->best.ops[next].reg != release->reg))
            next++;
        if (release->kind != RIG_RELEASE || next == shrink->best.n_ops)
            continue;
        struct rig_program *candidate = &shrink->candidate;
        *candidate = shrink->best;
        candidate->ops[next].kind = RIG_REUSE;
        memmove(candidate->ops + i, candidate->ops + i + 1, (--candidate->n_ops - i) * sizeof *candidate->ops);
        (void)rig_shrink_try(shrink);
    }
}

void rig_minimize(const struct rig_minimizer *minimizer, struct rig_program *program, uint32_t op)
{
    static struct rig_shrink shrink; /* large */
    uint64_t before;
    shrink = (struct rig_shrink){.minimizer = minimizer, .best = *program, .op = op};
    memset(shrink.best.ops + program->n_ops, 0, (RIG_MAX_OPS - program->n_ops) * sizeof *program->ops);
    do {
        before = rig_weight(&shrink.best);
        cut(&shrink);
        remove_unrelated(&shrink);
        remove_ranges(&shrink);
        remove_pairs(&shrink);
        merge_releases(&shrink);
        rig_simplify(&shrink);
    } while (rig_weight(&shrink.best) < before && !minimizer->is_over(minimizer->context));
    *program = shrink.best;
}
