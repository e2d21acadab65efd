/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The names, the shapes and the default world: what both encodings of a program have in common. */
#include "shape.h"

#include <string.h>

_Static_assert((RIG_ALL_KINDS & ~RIG_ALWAYS_ENABLED) >> 24 == 0,
               "the binary header has three bytes to disable kinds with");

const char *const rig_kind_name[RIG_N_KINDS] = {
#define RIG_OP(symbol, name, weight, built, syntax, what) name,
#include "ops.def"
#undef RIG_OP
};

const char *const rig_kind_syntax[RIG_N_KINDS] = {
#define RIG_OP(symbol, name, weight, built, syntax, what) syntax,
#include "ops.def"
#undef RIG_OP
};

const char *const rig_kind_what[RIG_N_KINDS] = {
#define RIG_OP(symbol, name, weight, built, syntax, what) what,
#include "ops.def"
#undef RIG_OP
};

const char *const rig_edge_name[RIG_N_EDGES] = {"start", "image", "end", "acc", "max", "slot", "prev"};

const char *const rig_call_name[RIG_N_CALLS] = {
    "mmap",         "munmap", "mprotect", "madvise",      "process_madvise", "ftruncate",
    "memfd_create", "fcntl",  "pwrite",   "pagemap_scan", "pread",
};

const char *const rig_advice_name[RIG_N_ADVICES] = {"cold", "pageout", "willneed"};

const char *const rig_error_name[RIG_N_ERRORS + 1] = {
    "EACCES", "EAGAIN", "EBADF",  "EBUSY",  "EEXIST", "EFAULT", "EFBIG",      "EINTR", "EINVAL", "EIO",   "EMFILE",
    "ENFILE", "ENODEV", "ENOMEM", "ENOSPC", "ENOSYS", "ENOTTY", "EOPNOTSUPP", "EPERM", "ERANGE", "ESRCH", NULL,
};

const char rig_unit_letter[RIG_N_UNITS + 1] = "\0KMGPW";

const char *const rig_need_name[] = {"guard", "scan", "batch", "fork", NULL};

const char *const rig_expect_name[RIG_N_EXPECTS] = {"", "ok", "ok=", "trap", "refused", "stale", "error", "noop"};

const uint8_t rig_shape[RIG_N_KINDS][RIG_MAX_PARTS] = {
    [RIG_IMAGE] = {RIG_PART_IMAGE, RIG_PART_EXTENT, RIG_PART_LIKE},
    [RIG_DATA] = {RIG_PART_CONTENTS},
    [RIG_DROP] = {RIG_PART_IMAGE},
    [RIG_INSTANTIATE] = {RIG_PART_REF, RIG_PART_TENANT, RIG_PART_LIMITS},
    [RIG_REUSE] = {RIG_PART_REF, RIG_PART_TENANT, RIG_PART_LIMITS},
    [RIG_STORE] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_WIDTH},
    [RIG_LOAD] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_WIDTH},
    [RIG_FILL] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SPAN, RIG_PART_BYTE},
    [RIG_COPY] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_FROM, RIG_PART_LEN},
    [RIG_INIT] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SEGMENT, RIG_PART_FROM_SIZE, RIG_PART_LEN},
    [RIG_SCRIBBLE] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SPAN},
    [RIG_HOSTREAD] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SPAN},
    [RIG_HOSTWRITE] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SPAN},
    [RIG_PROBE] = {RIG_PART_REF, RIG_PART_AT},
    [RIG_GROW] = {RIG_PART_REF, RIG_PART_GROWTH},
    [RIG_RESET] = {RIG_PART_REF},
    [RIG_RELEASE] = {RIG_PART_REF},
    [RIG_FLUSH] = {RIG_PART_TRIM},
    [RIG_FORK] = {RIG_PART_CHILD},
    [RIG_ADVISE] = {RIG_PART_REF, RIG_PART_AT, RIG_PART_SPAN, RIG_PART_ADVICE},
    [RIG_PIN] = {RIG_PART_REF, RIG_PART_PINNED},
    [RIG_UNPIN] = {RIG_PART_REF, RIG_PART_PINNED},
    [RIG_SCHEDULE] = {RIG_PART_LANES},
    [RIG_FAULT] = {RIG_PART_FAULT},
};

static const char *const growths[] = {"truncate", "protect", "guard", "software", NULL};
static const char *const resets[] = {"discard", "copyback", "deferred", "adaptive", NULL};
static const char *const observes[] = {"full", "quiet", "final", NULL};
static const char *const probes[] = {"rotate", "all", "none", NULL};
static const char *const kernels[] = {"end", "each", NULL};
static const char *const answers[] = {"no", "yes", NULL};

#define AT(field) offsetof(struct rig_world, field)
const struct rig_key rig_keys[RIG_N_KEYS] = {
    {"slots=", RIG_KEY_SMALL, AT(n_slots), 1, RIG_MAX_SLOTS, NULL},
    {"lanes=", RIG_KEY_SMALL, AT(n_lanes), 1, RIG_MAX_LANES, NULL},
    {"max=", RIG_KEY_SIZE, AT(max), 0, 0, NULL},
    {"unit=", RIG_KEY_SIZE, AT(unit), 1, 0, NULL},
    {"guard=", RIG_KEY_SIZE, AT(guard), 0, 0, NULL},
    {"resident=", RIG_KEY_SIZE, AT(resident), 0, 0, NULL},
    {"queue=", RIG_KEY_NUMBER, AT(queue), 0, RIG_MAX_N, NULL},
    {"warm=", RIG_KEY_NUMBER, AT(warm), 0, RIG_MAX_N, NULL},
    {"growth=", RIG_KEY_CHOICE, AT(growth), 0, 0, growths},
    {"reset=", RIG_KEY_CHOICE, AT(reset), 0, 0, resets},
    {"observe=", RIG_KEY_CHOICE, AT(observe), 0, 0, observes},
    {"probe=", RIG_KEY_CHOICE, AT(probe), 0, 0, probes},
    {"kernel=", RIG_KEY_CHOICE, AT(kernel), 0, 0, kernels},
    {"sweep=", RIG_KEY_CHOICE, AT(sweep), 0, 0, answers},
    {"enable=", RIG_KEY_ENABLE, AT(enabled), 0, 0, NULL},
};
#undef AT

struct rig_world rig_world_default(void)
{
    return (struct rig_world){
        .n_slots = 2,
        .n_lanes = 1,
        .growth = RIG_GROWTH_TRUNCATE,
        .reset = RIG_RESET_DISCARD,
        .observe = RIG_OBSERVE_FULL,
        .probe = RIG_PROBE_ROTATE,
        .kernel = RIG_KERNEL_END,
        .sweep = 1,
        .max = {16, RIG_UNIT_P},
        .unit = {1, RIG_UNIT_P},
        .guard = {1, RIG_UNIT_P},
        .enabled = RIG_ALL_KINDS & ~RIG_BIT(RIG_FORK),
    };
}

bool rig_world_set(struct rig_world *world, const char *setting)
{
    for (const struct rig_key *key = rig_keys; key < rig_keys + RIG_N_KEYS; key++) {
        const size_t n = strlen(key->name);
        if (key->type != RIG_KEY_CHOICE || strncmp(setting, key->name, n) != 0)
            continue;
        for (uint8_t i = 0; key->choices[i]; i++)
            if (strcmp(setting + n, key->choices[i]) == 0) {
                *((uint8_t *)world + key->offset) = i;
                return true;
            }
    }
    return false;
}

static const char *world_unbuilt(const struct rig_world *world)
{
    if (world->n_lanes > 1)
        return "lanes";
    if (world->resident.n && !(world->resident.n == RIG_RESIDENT_PAGES && world->resident.unit == RIG_UNIT_P))
        return "resident= other than 2P";
    if (world->queue > RIG_MAX_QUEUE)
        return "queue= above 3";
    return world->warm > RIG_MAX_WARM ? "warm= above 1" : NULL;
}

const char *rig_program_unbuilt(const struct rig_program *program)
{
    const char *unbuilt = world_unbuilt(&program->world);
    for (uint32_t i = 0; i < program->n_ops && !unbuilt; i++) {
        const struct rig_op *op = &program->ops[i];
        if (RIG_UNBUILT_KINDS & RIG_BIT(op->kind))
            unbuilt = rig_kind_name[op->kind];
        else if (op->lane)
            unbuilt = "lanes";
    }
    return unbuilt;
}

uint32_t rig_n_leading_faults(const struct rig_program *program)
{
    uint32_t n = 0;
    while (n < program->n_ops && program->ops[n].kind == RIG_FAULT)
        n++;
    return n;
}

bool rig_program_lies(const struct rig_program *program)
{
    for (uint32_t i = 0; i < program->n_ops; i++)
        if (program->ops[i].kind == RIG_FAULT && program->ops[i].form == RIG_FAULT_LIE)
            return true;
    return false;
}

struct rig_size rig_size_normal(struct rig_size size)
{
    return (struct rig_size){.n = size.n, .unit = size.n ? size.unit : (uint8_t)RIG_UNIT_BYTES};
}

struct rig_at rig_at_normal(struct rig_at at)
{
    return (struct rig_at){.edge = at.edge, .minus = at.offset.n && at.minus, .offset = rig_size_normal(at.offset)};
}

bool rig_size_equal(struct rig_size a, struct rig_size b)
{
    return a.n == b.n && a.unit == b.unit;
}

bool rig_at_equal(struct rig_at a, struct rig_at b)
{
    return a.edge == b.edge && a.minus == b.minus && rig_size_equal(a.offset, b.offset);
}

static bool world_equal(const struct rig_world *a, const struct rig_world *b)
{
    return a->n_slots == b->n_slots && a->n_lanes == b->n_lanes && a->growth == b->growth && a->reset == b->reset &&
           a->observe == b->observe && a->probe == b->probe && a->kernel == b->kernel && a->sweep == b->sweep &&
           rig_size_equal(a->max, b->max) && rig_size_equal(a->unit, b->unit) && rig_size_equal(a->guard, b->guard) &&
           rig_size_equal(a->resident, b->resident) && a->queue == b->queue && a->warm == b->warm &&
           a->enabled == b->enabled;
}

bool rig_op_equal(const struct rig_op *a, const struct rig_op *b)
{
    /* The fields before `at` are single bytes: no padding among them. */
    return memcmp(a, b, offsetof(struct rig_op, literal) + sizeof a->literal) == 0 && rig_at_equal(a->at, b->at) &&
           rig_at_equal(a->other, b->other) && rig_size_equal(a->len, b->len) && rig_size_equal(a->len2, b->len2);
}

bool rig_program_equal(const struct rig_program *a, const struct rig_program *b)
{
    if (a->n_ops != b->n_ops || !world_equal(&a->world, &b->world))
        return false;
    for (uint32_t i = 0; i < a->n_ops; i++)
        if (!rig_op_equal(&a->ops[i], &b->ops[i]))
            return false;
    return true;
}
