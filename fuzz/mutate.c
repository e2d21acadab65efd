/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "mutate.h"

#include <string.h>

/* Makes a gap of n operations at `at`, or as many as there is room for; returns how many. */
static uint32_t open_gap(struct rig_program *program, uint32_t at, uint32_t n, uint32_t n_max_ops)
{
    const uint32_t room = n_max_ops > program->n_ops ? n_max_ops - program->n_ops : 0;
    n = n < room ? n : room;
    memmove(&program->ops[at + n], &program->ops[at], (program->n_ops - at) * sizeof *program->ops);
    program->n_ops += n;
    return n;
}

static void delete_range(struct rig_program *program, uint32_t at, uint32_t n)
{
    memmove(&program->ops[at], &program->ops[at + n], (program->n_ops - at - n) * sizeof *program->ops);
    program->n_ops -= n;
}

/* Somewhere in the program, more often near its end: what comes late meets the richest state. */
static uint32_t pick_place(struct rig_random *random, const struct rig_program *program)
{
    const uint32_t a = rig_random_below(random, program->n_ops + 1), b = rig_random_below(random, program->n_ops + 1);
    return a > b ? a : b;
}

static uint32_t pick_length(struct rig_random *random, uint32_t most)
{
    const uint32_t n = 1 + rig_random_below(random, 4) * rig_random_below(random, 4);
    return n < most ? n : most;
}

/* A few operations of a generated program; the registers and images they name are the same few everywhere. */
static void insert_generated(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program)
{
    static struct rig_program donor;
    rig_program_generate(random, 48, &donor);
    if (donor.n_ops == 0)
        return;
    const uint32_t from = rig_random_below(random, donor.n_ops), place = pick_place(random, program);
    const uint32_t n = open_gap(program, place, pick_length(random, donor.n_ops - from), n_max_ops);
    memcpy(&program->ops[place], &donor.ops[from], n * sizeof *donor.ops);
}

static void duplicate(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program)
{
    static struct rig_op copy[RIG_MAX_OPS];
    const uint32_t from = rig_random_below(random, program->n_ops), n = pick_length(random, program->n_ops - from);
    const uint32_t place = pick_place(random, program);
    memcpy(copy, &program->ops[from], n * sizeof *copy);
    memcpy(&program->ops[place], copy, open_gap(program, place, n, n_max_ops) * sizeof *copy);
}

static void swap(struct rig_random *random, struct rig_program *program)
{
    struct rig_op *a = &program->ops[rig_random_below(random, program->n_ops)],
                  *b = &program->ops[rig_random_below(random, program->n_ops)];
    const struct rig_op kept = *a;
    *a = *b;
    *b = kept;
}

static void retarget(struct rig_random *random, struct rig_program *program)
{
    struct rig_op *op = &program->ops[rig_random_below(random, program->n_ops)];
    if (op->kind != RIG_IMAGE && op->kind != RIG_DATA && op->kind != RIG_DROP && op->kind != RIG_FLUSH &&
        op->kind != RIG_FORK)
        op->reg = (uint8_t)rig_random_below(random, 3);
}

static void change_world(struct rig_random *random, struct rig_program *program)
{
    static struct rig_program donor;
    rig_program_generate(random, 1, &donor);
    const uint32_t enabled = program->world.enabled; /* the operations there are stay possible */
    program->world = donor.world;
    program->world.enabled = enabled;
}

/* A fork costs as much as some hundred other operations: one, in one mutant of eight, is enough. */
static void thin_out_forks(struct rig_random *random, struct rig_program *program)
{
    uint32_t n_forks = rig_random_below(random, 8) != 0;
    for (uint32_t i = 0; i < program->n_ops; i++)
        if (program->ops[i].kind == RIG_FORK && n_forks++)
            delete_range(program, i--, 1);
}

static void mutate_once(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program)
{
    if (program->n_ops == 0) {
        rig_program_generate(random, 8 + rig_random_below(random, 56), program);
        return;
    }
    switch (rig_random_below(random, 12)) {
    case 0:
        delete_range(program, rig_random_below(random, program->n_ops), 1);
        return;
    case 1: {
        const uint32_t at = rig_random_below(random, program->n_ops);
        delete_range(program, at, pick_length(random, program->n_ops - at));
        return;
    }
    case 2:
        swap(random, program);
        return;
    case 3:
        retarget(random, program);
        return;
    case 4:
        change_world(random, program);
        return;
    case 5:
    case 6:
        duplicate(random, n_max_ops, program);
        return;
    default:
        insert_generated(random, n_max_ops, program);
    }
}

void rig_program_mutate(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program)
{
    mutate_once(random, n_max_ops, program);
    thin_out_forks(random, program);
}
