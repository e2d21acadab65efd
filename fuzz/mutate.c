/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The mutations, and how often each is chosen. */
#include "mutate.h"
#include "record.h"

#include <string.h>

struct mutation {
    struct rig_random *random;
    struct rig_program *program;
    uint32_t n_max_ops;
};

static uint32_t below(const struct mutation *mutation, uint32_t n)
{
    return rig_random_below(mutation->random, n);
}

/* ---- places ---- */

static uint32_t some_op(const struct mutation *mutation)
{
    return below(mutation, mutation->program->n_ops);
}

/* Somewhere in the program, more often near its end: what comes late meets the richest state. */
static uint32_t some_place(const struct mutation *mutation)
{
    const uint32_t n = mutation->program->n_ops + 1, a = below(mutation, n), b = below(mutation, n);
    return a > b ? a : b;
}

/* From one to ten, short ones more often. */
static uint32_t some_length(const struct mutation *mutation, uint32_t most)
{
    const uint32_t n = 1 + below(mutation, 4) * below(mutation, 4);
    return n < most ? n : most;
}

/* Makes a gap of n operations at `at`, or as many as there is room for; returns how many. */
static uint32_t open_gap(const struct mutation *mutation, uint32_t at, uint32_t n)
{
    struct rig_program *program = mutation->program;
    const uint32_t room = mutation->n_max_ops > program->n_ops ? mutation->n_max_ops - program->n_ops : 0;
    n = n < room ? n : room;
    memmove(&program->ops[at + n], &program->ops[at], (program->n_ops - at) * sizeof *program->ops);
    program->n_ops += n;
    return n;
}

static void remove_ops(struct rig_program *program, uint32_t at, uint32_t n)
{
    memmove(&program->ops[at], &program->ops[at + n], (program->n_ops - at - n) * sizeof *program->ops);
    program->n_ops -= n;
}

static void insert_copies(const struct mutation *mutation, uint32_t at, const struct rig_op *ops, uint32_t n)
{
    static struct rig_op copy[RIG_MAX_OPS]; /* ops may lie in the program itself */
    memcpy(copy, ops, n * sizeof *ops);
    memcpy(&mutation->program->ops[at], copy, open_gap(mutation, at, n) * sizeof *copy);
}

/* ---- the mutations ---- */

/* A few operations of a generated program; the registers and images they name are the same few everywhere. */
static void insert(const struct mutation *mutation)
{
    static struct rig_program donor;
    rig_program_generate(mutation->random, 48, &donor);
    const uint32_t from = below(mutation, donor.n_ops);
    insert_copies(mutation, some_place(mutation), &donor.ops[from], some_length(mutation, donor.n_ops - from));
}

static void delete_one(const struct mutation *mutation)
{
    remove_ops(mutation->program, some_op(mutation), 1);
}

static void delete_range(const struct mutation *mutation)
{
    const uint32_t at = some_op(mutation);
    remove_ops(mutation->program, at, some_length(mutation, mutation->program->n_ops - at));
}

static void duplicate(const struct mutation *mutation)
{
    const uint32_t from = some_op(mutation), n = some_length(mutation, mutation->program->n_ops - from);
    insert_copies(mutation, some_place(mutation), &mutation->program->ops[from], n);
}

/* Again and again what happened once: a slot that is lent, dirtied, grown and lent again shows what one round hides. */
static void repeat(const struct mutation *mutation)
{
    const uint32_t from = some_op(mutation), n = some_length(mutation, mutation->program->n_ops - from);
    for (uint32_t i = 1 + below(mutation, 6); i > 0; i--)
        insert_copies(mutation, from + n, &mutation->program->ops[from], n);
}

static void move(const struct mutation *mutation)
{
    struct rig_op moved[RIG_MAX_OPS];
    struct rig_program *program = mutation->program;
    const uint32_t from = some_op(mutation), n = some_length(mutation, program->n_ops - from);
    memcpy(moved, &program->ops[from], n * sizeof *moved);
    remove_ops(program, from, n);
    insert_copies(mutation, some_place(mutation), moved, n);
}

static void swap(const struct mutation *mutation)
{
    struct rig_op *a = &mutation->program->ops[some_op(mutation)], *b = &mutation->program->ops[some_op(mutation)];
    const struct rig_op kept = *a;
    *a = *b;
    *b = kept;
}

static bool has_register(const struct rig_op *op)
{
    return op->kind != RIG_IMAGE && op->kind != RIG_DATA && op->kind != RIG_DROP && op->kind != RIG_FLUSH &&
           op->kind != RIG_FORK && op->kind != RIG_FAULT;
}

/* One operation, or all from there on: the same story about another instance. */
static void retarget(const struct mutation *mutation)
{
    struct rig_program *program = mutation->program;
    const uint32_t at = some_op(mutation), end = below(mutation, 4) ? at + 1 : program->n_ops;
    const uint8_t from = program->ops[at].reg, to = (uint8_t)below(mutation, 3);
    for (uint32_t i = at; i < end; i++)
        if (has_register(&program->ops[i]) && program->ops[i].reg == from)
            program->ops[i].reg = to;
}

/* Before everything else: making the subject meets it. */
static void fail_creation(const struct mutation *mutation)
{
    static const uint8_t calls[] = {RIG_CALL_MMAP,         RIG_CALL_MADVISE, RIG_CALL_FTRUNCATE,
                                    RIG_CALL_MEMFD_CREATE, RIG_CALL_FCNTL,   RIG_CALL_PWRITE};
    const struct rig_op op = {.kind = RIG_FAULT,
                              .choice = calls[below(mutation, sizeof calls)],
                              .error = rig_some_error(below(mutation, 256)),
                              .len = {1 + below(mutation, 8), RIG_UNIT_BYTES}};
    insert_copies(mutation, 0, &op, 1);
}

static void tweak(const struct mutation *mutation)
{
    rig_op_tweak(mutation->random, &mutation->program->world, &mutation->program->ops[some_op(mutation)]);
}

/* Another story in another world. What a corpus has grown out of it seldom leaves. */
static void start_over(const struct mutation *mutation)
{
    const uint32_t enabled = mutation->program->world.enabled | RIG_ALWAYS_ENABLED;
    rig_program_generate(mutation->random, 8 + below(mutation, 120), mutation->program);
    mutation->program->world.enabled = enabled;
}

/* ---- the world ---- */

static void take_world(const struct mutation *mutation)
{
    static struct rig_program donor;
    rig_program_generate(mutation->random, 1, &donor);
    donor.world.enabled = mutation->program->world.enabled;
    mutation->program->world = donor.world;
}

static void flip_header(const struct mutation *mutation)
{
    struct rig_world *world = &mutation->program->world;
    switch (below(mutation, 9)) {
    case 0:
        world->n_slots = (uint8_t)(1 + below(mutation, 3));
        break;
    case 1:
        world->observe = (uint8_t)below(mutation, RIG_N_OBSERVES);
        break;
    case 2:
        world->probe = (uint8_t)below(mutation, RIG_N_PROBES);
        break;
    case 3:
        world->kernel = (uint8_t)below(mutation, RIG_N_KERNELS);
        break;
    case 4:
        world->guard = (struct rig_size){below(mutation, 4), RIG_UNIT_P};
        world->guard.unit = world->guard.n ? RIG_UNIT_P : RIG_UNIT_BYTES;
        break;
    case 5: /* memories that can hold nothing: only what is behind them is left */
        world->max = (struct rig_size){0, RIG_UNIT_BYTES};
        break;
    case 6:
        world->growth = (uint8_t)below(mutation, RIG_N_GROWTHS);
        world->warm = below(mutation, RIG_MAX_WARM + 1);
        break;
    case 7:
        world->reset = (uint8_t)below(mutation, RIG_N_RESETS);
        world->queue = below(mutation, RIG_MAX_QUEUE + 1);
        break;
    default:
        world->sweep = below(mutation, 4) != 0;
    }
}

/* Swarm testing: a kind of operation goes or comes back. One that nearly always hides something (a reset, a load that makes pages
 * resident) must be absent sometimes. */
static void flip_swarm(const struct mutation *mutation)
{
    const uint32_t bit = RIG_BIT(below(mutation, RIG_N_KINDS));
    if (!(bit & (RIG_ALWAYS_ENABLED | RIG_UNBUILT_KINDS | RIG_BIT(RIG_FORK))))
        mutation->program->world.enabled ^= bit;
}

/* (M1): what the world disables is not there, and one fork, in one mutant of eight, is enough: it costs as much as some hundred
 * other operations. No lies: they would be found. */
static void obey_world(const struct mutation *mutation)
{
    struct rig_program *program = mutation->program;
    bool may_fork = (program->world.enabled & RIG_BIT(RIG_FORK)) && below(mutation, 8) == 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const bool is_fork = program->ops[i].kind == RIG_FORK;
        const bool is_lie = program->ops[i].kind == RIG_FAULT && program->ops[i].form == RIG_FAULT_LIE;
        const bool stays =
            is_fork ? may_fork : !is_lie && (program->world.enabled & RIG_BIT(program->ops[i].kind)) != 0;
        may_fork = may_fork && !is_fork;
        if (stays)
            program->ops[n++] = program->ops[i];
    }
    program->n_ops = n;
}

/* ---- choosing ---- */

static const struct {
    uint8_t weight;
    void (*mutate)(const struct mutation *mutation);
} mutations[] = {
    {40, insert},    {8, delete_one},  {8, delete_range}, {14, duplicate},    {6, repeat},
    {6, move},       {6, swap},        {8, retarget},     {14, start_over},   {20, tweak},
    {5, take_world}, {4, flip_header}, {1, flip_swarm},   {1, fail_creation},
};
enum { N_MUTATIONS = sizeof mutations / sizeof *mutations };

static void mutate_once(const struct mutation *mutation)
{
    uint32_t total = 0, i = 0;
    for (uint32_t j = 0; j < N_MUTATIONS; j++)
        total += mutations[j].weight;
    uint32_t ticket = below(mutation, total);
    while (ticket >= mutations[i].weight)
        ticket -= mutations[i++].weight;
    mutations[i].mutate(mutation);
}

void rig_program_mutate(struct rig_random *random, uint32_t n_max_ops, struct rig_program *program)
{
    const struct mutation mutation = {random, program, n_max_ops < RIG_MAX_OPS ? n_max_ops : RIG_MAX_OPS};
    uint32_t n_mutations = 1;
    while (n_mutations < 4 && below(&mutation, 4) == 0)
        n_mutations++;
    for (; n_mutations > 0; n_mutations--) {
        if (program->n_ops == 0)
            start_over(&mutation);
        else
            mutate_once(&mutation);
    }
    program->n_ops = program->n_ops < mutation.n_max_ops ? program->n_ops : mutation.n_max_ops;
    obey_world(&mutation);
}

void rig_program_splice(struct rig_random *random, uint32_t n_max_ops, const struct rig_program *other,
                        struct rig_program *program)
{
    const struct mutation mutation = {random, program, n_max_ops < RIG_MAX_OPS ? n_max_ops : RIG_MAX_OPS};
    const uint32_t begin = below(&mutation, other->n_ops + 1);
    program->n_ops = below(&mutation, program->n_ops + 1);
    insert_copies(&mutation, program->n_ops, &other->ops[begin], other->n_ops - begin);
    program->n_ops = program->n_ops < mutation.n_max_ops ? program->n_ops : mutation.n_max_ops;
    obey_world(&mutation);
}
