/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The binary form: records of RIG_RECORD_BYTES, of which the first is the header.
 *
 *   0 version   1 slots, and how the pool works   2 modes   3..5 disabled kinds, warm   6 fork, queue, resident   7..10 max   11..14 unit   15..18 guard   19 exact
 *
 *   (P1) Every byte string decodes to a program whose fields obey program.h; random bytes give mostly small numbers.
 *   (P2) Every program that holds nothing unbuilt has bytes that decode to it.
 *   (P3) Zero bytes are the default world. */
#include "record.h"
#include "shape.h"

#include <assert.h>
#include <string.h>

enum { HEAD_VERSION, HEAD_SLOTS, HEAD_MODES, HEAD_DISABLED, HEAD_FORK = 6, HEAD_SIZES, HEAD_EXACT = 19 };

#define FORK_MAGIC 0x60 /* one value of 32: a fork is slow, random bytes should hardly ever ask for one */
#define FORK_MASK 0xf8
#define RESIDENT_BIT 4             /* of the same byte; the two below it are the queue */
#define WARM_BIT RIG_BIT(RIG_FORK) /* of the disabled kinds: a fork is asked for, not disabled */
#define EXACT_MAGIC 0xf8
#define EXACT_MASK 0xf8 /* the three low bits say which of max, unit and guard are spelled out */

/* The upper four bits say how many slots, the lower ones how they grow and are reset. */
static const uint8_t slots_of[16] = {2, 2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 4, 5, 6, 7, 8};
static const struct {
    uint8_t growth, reset;
} ways_of[16] = {
    {RIG_GROWTH_TRUNCATE, RIG_RESET_DISCARD},  {RIG_GROWTH_SOFTWARE, RIG_RESET_DISCARD},
    {RIG_GROWTH_TRUNCATE, RIG_RESET_COPYBACK}, {RIG_GROWTH_TRUNCATE, RIG_RESET_DEFERRED},
    {RIG_GROWTH_TRUNCATE, RIG_RESET_ADAPTIVE}, {RIG_GROWTH_PROTECT, RIG_RESET_DISCARD},
    {RIG_GROWTH_PROTECT, RIG_RESET_COPYBACK},  {RIG_GROWTH_PROTECT, RIG_RESET_DEFERRED},
    {RIG_GROWTH_PROTECT, RIG_RESET_ADAPTIVE},  {RIG_GROWTH_GUARD, RIG_RESET_DISCARD},
    {RIG_GROWTH_GUARD, RIG_RESET_COPYBACK},    {RIG_GROWTH_GUARD, RIG_RESET_DEFERRED},
    {RIG_GROWTH_GUARD, RIG_RESET_ADAPTIVE},    {RIG_GROWTH_SOFTWARE, RIG_RESET_COPYBACK},
    {RIG_GROWTH_SOFTWARE, RIG_RESET_DEFERRED}, {RIG_GROWTH_SOFTWARE, RIG_RESET_ADAPTIVE},
};

/* The four modes share a byte, two bits each. */
static const struct rig_selector select_observe = {3, {0, 2, 3}};
static const struct rig_selector select_probe = {3, {0, 2, 3}};
static const struct rig_selector select_kernel = {2, {0, 3}};
static const struct rig_selector select_no_sweep = {2, {0, 3}};

/* ---- the sizes of the world ---- */

/* Bytes in [first, the next row's first) mean largest - (a 16-bit number % n_values), in this unit. */
struct preset {
    uint8_t first;
    uint8_t unit;
    uint32_t largest, n_values;
};
enum { N_SIZES = 3, N_PRESETS = 5 };
static const struct preset presets[N_SIZES][N_PRESETS] = {
    /* max */
    {{0x00, RIG_UNIT_P, 16, 16},
     {0xc0, RIG_UNIT_W, 2, 3},
     {0xd8, RIG_UNIT_BYTES, 0xffff, 0x10000},
     {0xf0, RIG_UNIT_P, 64, 65},
     {0xfc, RIG_UNIT_W, 8, 8}},
    /* unit */
    {{0x00, RIG_UNIT_P, 1, 1},
     {0x70, RIG_UNIT_BYTES, 1, 1},
     {0xc0, RIG_UNIT_W, 1, 1},
     {0xd8, RIG_UNIT_BYTES, 256, 256},
     {0xf0, RIG_UNIT_P, 4, 4}},
    /* guard */
    {{0x00, RIG_UNIT_P, 1, 1},
     {0xa0, RIG_UNIT_BYTES, 0, 1},
     {0xd0, RIG_UNIT_P, 16, 16},
     {0xf0, RIG_UNIT_W, 2, 2},
     {0xfc, RIG_UNIT_BYTES, 0xffff, 0x10000}},
};
static const uint32_t smallest[N_SIZES] = {0, 1, 0};

static struct rig_size preset_size(const struct preset *preset, uint32_t raw)
{
    return rig_size_normal((struct rig_size){preset->largest - raw % preset->n_values, preset->unit});
}

/* Spelled out: the unit in the top four bits. */
static struct rig_size get_size(const uint8_t *bytes, unsigned which, unsigned is_exact)
{
    uint32_t raw = rig_get_u32(bytes);
    if (is_exact) {
        uint32_t n = raw & RIG_MAX_N;
        return rig_size_normal(
            (struct rig_size){n < smallest[which] ? smallest[which] : n, (uint8_t)((raw >> 28) % RIG_N_UNITS)});
    }
    unsigned row = N_PRESETS - 1;
    while (bytes[0] < presets[which][row].first)
        row--;
    return preset_size(&presets[which][row], raw >> 8 & 0xffff);
}

/* Returns whether it had to be spelled out. A preset where one fits: mutations of it stay sensible. */
static unsigned put_size(uint8_t *bytes, unsigned which, struct rig_size size)
{
    for (unsigned row = 0; row < N_PRESETS; row++) {
        const struct preset *preset = &presets[which][row];
        uint32_t raw = preset->largest - size.n;
        if (size.n > preset->largest || !rig_size_equal(preset_size(preset, raw), size))
            continue;
        rig_put_u32(bytes, preset->first | raw << 8);
        return 0;
    }
    assert(size.n <= RIG_MAX_N && size.n >= smallest[which]);
    rig_put_u32(bytes, (uint32_t)size.unit << 28 | size.n);
    return 1;
}

/* ---- the header ---- */

static uint32_t get_enabled(const uint8_t *head)
{
    uint32_t disabled = rig_get_u32(head + HEAD_DISABLED) & 0xffffff;
    uint32_t enabled = RIG_ALL_KINDS & ~disabled & ~RIG_BIT(RIG_FORK);
    if ((head[HEAD_FORK] & FORK_MASK) == FORK_MAGIC)
        enabled |= RIG_BIT(RIG_FORK);
    return enabled | RIG_ALWAYS_ENABLED;
}

static void put_enabled(uint8_t *head, uint32_t enabled, uint32_t warm)
{
    uint32_t disabled = RIG_ALL_KINDS & ~enabled & ~RIG_BIT(RIG_FORK);
    rig_put_u32(head + HEAD_DISABLED, disabled | (warm ? WARM_BIT : 0));
    head[HEAD_FORK] = enabled & RIG_BIT(RIG_FORK) ? FORK_MAGIC : 0;
}

static struct rig_world get_world(const uint8_t *head)
{
    struct rig_world world = rig_world_default();
    unsigned modes = head[HEAD_MODES];
    unsigned exact = (head[HEAD_EXACT] & EXACT_MASK) == EXACT_MAGIC ? head[HEAD_EXACT] & 7u : 0;
    struct rig_size *sizes[N_SIZES] = {&world.max, &world.unit, &world.guard};

    world.n_slots = slots_of[head[HEAD_SLOTS] >> 4];
    world.growth = ways_of[head[HEAD_SLOTS] & 15].growth;
    world.reset = ways_of[head[HEAD_SLOTS] & 15].reset;
    world.queue = head[HEAD_FORK] & RIG_MAX_QUEUE;
    world.warm = (rig_get_u32(head + HEAD_DISABLED) & WARM_BIT) != 0;
    if (head[HEAD_FORK] & RESIDENT_BIT)
        world.resident = (struct rig_size){RIG_RESIDENT_PAGES, RIG_UNIT_P};
    world.observe = rig_selected(&select_observe, modes & 3);
    world.probe = rig_selected(&select_probe, modes >> 2 & 3);
    world.kernel = rig_selected(&select_kernel, modes >> 4 & 3);
    world.sweep = !rig_selected(&select_no_sweep, modes >> 6 & 3);
    world.enabled = get_enabled(head);
    for (unsigned i = 0; i < N_SIZES; i++)
        *sizes[i] = get_size(head + HEAD_SIZES + 4 * (size_t)i, i, exact >> i & 1);
    return world;
}

static void put_world(uint8_t *head, const struct rig_world *world)
{
    const struct rig_size sizes[N_SIZES] = {world->max, world->unit, world->guard};
    unsigned slots = 0, way = 0, exact = 0;
    while (slots_of[slots] != world->n_slots)
        slots++;
    while (ways_of[way].growth != world->growth || ways_of[way].reset != world->reset)
        way++;

    put_enabled(head, world->enabled, world->warm);
    head[HEAD_FORK] |= (uint8_t)(world->queue | (world->resident.n ? RESIDENT_BIT : 0));
    head[HEAD_VERSION] = RIG_VERSION;
    head[HEAD_SLOTS] = (uint8_t)(slots << 4 | way);
    head[HEAD_MODES] =
        (uint8_t)(rig_selecting(&select_observe, world->observe) | rig_selecting(&select_probe, world->probe) << 2 |
                  rig_selecting(&select_kernel, world->kernel) << 4 |
                  rig_selecting(&select_no_sweep, !world->sweep) << 6);
    for (unsigned i = 0; i < N_SIZES; i++)
        exact |= put_size(head + HEAD_SIZES + 4 * (size_t)i, i, sizes[i]) << i;
    head[HEAD_EXACT] = exact ? (uint8_t)(EXACT_MAGIC | exact) : 0;
}

/* ---- operations ---- */

static const uint16_t kind_weight[RIG_N_KINDS] = {
#define RIG_OP(symbol, name, weight, built, syntax, what) weight,
#include "ops.def"
#undef RIG_OP
};

#define RIG_OP(symbol, name, weight, built, syntax, what) +(weight)
_Static_assert(0
#include "ops.def"
                   == 256,
               "the weights are shares of a byte");
#undef RIG_OP

/* What each value of the kind byte means. A kind that the header disables becomes a store, so that its records stay
 * operations. */
static void map_kinds(uint32_t enabled, uint8_t ret_map[256])
{
    unsigned next = 0;
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        int meaning = enabled & RIG_BIT(kind) ? (int)kind : RIG_STORE;
        memset(ret_map + next, meaning, kind_weight[kind]);
        next += kind_weight[kind];
    }
}

static uint8_t first_of_kind(unsigned kind)
{
    unsigned first = 0;
    assert(kind_weight[kind] > 0);
    for (unsigned i = 0; i < kind; i++)
        first += kind_weight[i];
    return (uint8_t)first;
}

unsigned rig_binary_version(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes ? bytes[HEAD_VERSION]
                   : RIG_VERSION; /* nothing at all is an empty program: an engine starts with it */
}

void rig_program_decode(const uint8_t *bytes, size_t n_bytes, struct rig_program *ret_program)
{
    uint8_t head[RIG_RECORD_BYTES] = {0};
    uint8_t kinds[256];
    memset(ret_program, 0, sizeof *ret_program);
    if (n_bytes)
        memcpy(head, bytes, n_bytes < sizeof head ? n_bytes : sizeof head);
    ret_program->world = get_world(head);
    map_kinds(ret_program->world.enabled, kinds);

    size_t n_records = n_bytes / RIG_RECORD_BYTES;
    size_t n_ops = n_records > RIG_MAX_OPS ? RIG_MAX_OPS : n_records ? n_records - 1 : 0;
    ret_program->n_ops = (uint32_t)n_ops;
    for (size_t i = 0; i < n_ops; i++) {
        const uint8_t *record = bytes + (i + 1) * RIG_RECORD_BYTES;
        ret_program->ops[i].kind = kinds[record[0]];
        rig_record_get(record, &ret_program->ops[i]);
    }
}

size_t rig_program_encode(const struct rig_program *program, uint8_t ret_bytes[RIG_BINARY_MAX_BYTES])
{
    size_t n_bytes = (1 + (size_t)program->n_ops) * RIG_RECORD_BYTES;
    assert(!rig_program_unbuilt(program));
    memset(ret_bytes, 0, n_bytes);
    put_world(ret_bytes, &program->world);
    for (size_t i = 0; i < program->n_ops; i++) {
        uint8_t *record = ret_bytes + (i + 1) * RIG_RECORD_BYTES;
        record[0] = first_of_kind(program->ops[i].kind);
        rig_record_put(&program->ops[i], record);
    }
    return n_bytes;
}
