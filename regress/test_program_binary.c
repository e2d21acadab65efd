/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The binary form: every byte string is a program, every program has its bytes. */
#include "harness.h"
#include "minimize.h"
#include "program.h"

#include <stddef.h>

#define N_RANDOM 100000
#define N_GENERATED 10000

#define RECORD ((size_t)RIG_RECORD_BYTES)

static struct rig_program program, again;
static uint8_t bytes[RIG_BINARY_MAX_BYTES + 100];

static size_t random_bytes(struct rig_random *random, size_t max)
{
    size_t n = rig_random_below(random, (uint32_t)max + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)rig_random_next(random);
    return n;
}

static void check_round_trip(void)
{
    static uint8_t encoded[RIG_BINARY_MAX_BYTES];
    size_t n = rig_program_encode(&program, encoded);
    CHECK_EQ(n, (1 + program.n_ops) * RECORD);
    CHECK_EQ(rig_binary_version(encoded, n), RIG_VERSION);
    memset(&again, 0xee, sizeof again);
    rig_program_decode(encoded, n, &again);
    CHECK(rig_program_equal(&program, &again));
}

static void check_size(struct rig_size size)
{
    CHECK(size.n <= RIG_MAX_N);
    CHECK(size.unit < RIG_N_UNITS);
    CHECK(size.n || size.unit == RIG_UNIT_BYTES);
}

static void check_at(struct rig_at at)
{
    CHECK(at.edge < RIG_N_EDGES);
    CHECK(at.minus <= (at.offset.n > 0));
    check_size(at.offset);
}

static void check_ranges(const struct rig_op *op, uint32_t enabled)
{
    CHECK(op->kind < RIG_N_KINDS);
    CHECK(enabled & 1u << op->kind);
    CHECK(op->reg < RIG_N_REGISTERS && op->age <= RIG_MAX_AGE && op->lane == 0);
    CHECK(op->image < RIG_N_IMAGES ||
          (op->image == RIG_NO_IMAGE && (op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE)));
    CHECK(op->other_image < RIG_N_IMAGES && op->segment <= RIG_MAX_SEGMENT && op->n_literal <= sizeof op->literal);
    if (op->kind == RIG_STORE || op->kind == RIG_LOAD)
        CHECK(op->width && op->width <= 16 && !(op->width & (op->width - 1)));
    else
        CHECK_EQ(op->width, 0);
    CHECK(op->kind != RIG_FAULT || op->form != RIG_FAULT_LIE); /* lies are written by people */
    check_at(op->at);
    check_at(op->other);
    check_size(op->len);
    check_size(op->len2);
}

static void test_binary__random_bytes_decode_to_programs_within_bounds_that_encode_back(void)
{
    struct rig_random random = {1};
    for (int i = 0; i < N_RANDOM; i++) {
        size_t n = random_bytes(&random, i % 50 ? 600 : sizeof bytes);
        rig_program_decode(bytes, n, &program);
        size_t n_ops = n < 2 * RECORD ? 0 : n / RECORD - 1;
        CHECK_EQ(program.n_ops, n_ops > RIG_MAX_OPS ? RIG_MAX_OPS : n_ops);
        CHECK(!rig_program_unbuilt(&program));
        CHECK(program.world.n_slots >= 1 && program.world.n_slots <= RIG_MAX_SLOTS);
        CHECK(program.world.unit.n >= 1);
        check_size(program.world.max);
        check_size(program.world.guard);
        CHECK((program.world.enabled & RIG_ALWAYS_ENABLED) == RIG_ALWAYS_ENABLED);
        for (uint32_t k = 0; k < program.n_ops; k++)
            check_ranges(&program.ops[k], program.world.enabled);
        check_round_trip();
    }
}

static void test_binary__generated_programs_encode_back(void)
{
    struct rig_random random = {2};
    for (uint32_t i = 0; i < N_GENERATED; i++) {
        rig_program_generate(&random, i % (RIG_MAX_OPS + 1), &program);
        CHECK_EQ(program.n_ops, i % (RIG_MAX_OPS + 1));
        check_round_trip();
    }
}

static void test_binary__nothing_and_zeros_are_the_default_world(void)
{
    struct rig_program normal = {.world = rig_world_default()};
    memset(bytes, 0, sizeof bytes);
    for (size_t n = 0; n < 2 * RECORD; n++) {
        rig_program_decode(n ? bytes : NULL, n, &program);
        CHECK(rig_program_equal(&program, &normal));
    }
    CHECK_EQ(rig_binary_version(NULL, 0), RIG_VERSION);
}

static void test_binary__changing_a_record_leaves_the_others_alone(void)
{
    static struct rig_program before;
    struct rig_random random = {3};
    for (int i = 0; i < 1000; i++) {
        memset(bytes, 0, RECORD);
        size_t n_bytes = 21 * RECORD;
        for (size_t k = RECORD; k < n_bytes; k++)
            bytes[k] = (uint8_t)rig_random_next(&random);
        rig_program_decode(bytes, n_bytes, &before);
        uint32_t changed = rig_random_below(&random, 20);
        bytes[(1 + changed) * RECORD + rig_random_below(&random, RECORD)] ^= 0xff;
        rig_program_decode(bytes, n_bytes, &program);
        program.ops[changed] = before.ops[changed];
        CHECK(rig_program_equal(&program, &before));
    }
}

static void check_n_survives(uint32_t n, unsigned unit)
{
    program = (struct rig_program){.world = rig_world_default(), .n_ops = 3};
    struct rig_size size = {n, n ? (uint8_t)unit : (uint8_t)RIG_UNIT_BYTES};
    program.world.max = size;
    program.world.guard = size;
    if (n)
        program.world.unit = size;
    program.ops[0] = (struct rig_op){.kind = RIG_IMAGE, .len = size};
    program.ops[1] = (struct rig_op){.kind = RIG_PROBE, .at = {.edge = RIG_EDGE_END, .minus = n > 0, .offset = size}};
    program.ops[2] = (struct rig_op){.kind = RIG_PROBE, .at = {.edge = RIG_EDGE_START, .minus = n > 0, .offset = size}};
    check_round_trip();
}

static void test_binary__every_number_has_bytes_in_every_unit(void)
{
    for (unsigned unit = 0; unit < RIG_N_UNITS; unit++) {
        for (uint32_t n = 0; n < 70000; n += n < 600 ? 1 : 97)
            check_n_survives(n, unit);
        check_n_survives(0xffff, unit);
        check_n_survives(0x10000, unit);
        check_n_survives(RIG_MAX_N, unit);
    }
}

static void test_binary__every_world_has_bytes(void)
{
    program = (struct rig_program){.world = rig_world_default()};
    for (unsigned i = 0; i < RIG_MAX_SLOTS * RIG_N_OBSERVES * RIG_N_PROBES * RIG_N_KERNELS * 2; i++) {
        unsigned rest = i;
        program.world.n_slots = (uint8_t)(1 + rest % RIG_MAX_SLOTS);
        program.world.observe = (uint8_t)((rest /= RIG_MAX_SLOTS) % RIG_N_OBSERVES);
        program.world.probe = (uint8_t)((rest /= RIG_N_OBSERVES) % RIG_N_PROBES);
        program.world.kernel = (uint8_t)((rest /= RIG_N_PROBES) % RIG_N_KERNELS);
        program.world.sweep = (uint8_t)(rest / RIG_N_KERNELS);
        check_round_trip();
    }
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        program.world.enabled = RIG_ALWAYS_ENABLED | RIG_BIT(kind);
        check_round_trip();
        program.world.enabled = RIG_ALL_KINDS & (RIG_ALWAYS_ENABLED | ~RIG_BIT(kind));
        check_round_trip();
    }
}

static void test_binary__a_unit_of_zero_cannot_be_spelled_out(void)
{
    memset(bytes, 0, sizeof bytes);
    bytes[19] = 0xff;
    rig_program_decode(bytes, RECORD, &program);
    CHECK_EQ(program.world.max.n, 0);
    CHECK_EQ(program.world.guard.n, 0);
    CHECK_EQ(program.world.unit.n, 1);
}

static void test_binary__random_numbers_are_mostly_small(void)
{
    struct rig_random random = {4};
    uint32_t n = 0, n_small = 0;
    for (int i = 0; i < 2000; i++) {
        rig_program_decode(bytes, random_bytes(&random, 2000), &program);
        for (uint32_t k = 0; k < program.n_ops; k++) {
            if (program.ops[k].kind != RIG_PROBE)
                continue;
            n++;
            n_small += program.ops[k].at.offset.n <= 16;
        }
    }
    CHECK(n > 1000);
    CHECK(n_small * 2 > n);
}

static void test_binary__a_disabled_kind_becomes_a_store(void)
{
    uint32_t n_of[2][RIG_N_KINDS] = {{0}};
    for (unsigned disable = 0; disable < 2; disable++) {
        for (unsigned kind = 0; kind < 256; kind++) {
            memset(bytes, 0, sizeof bytes);
            memset(bytes + 3, disable ? 0xff : 0, 3);
            bytes[RECORD] = (uint8_t)kind;
            rig_program_decode(bytes, 2 * RECORD, &program);
            n_of[disable][program.ops[0].kind]++;
        }
    }
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        CHECK((RIG_UNBUILT_KINDS & 1 << kind) || kind == RIG_FORK || n_of[0][kind] > 0);
        CHECK((RIG_ALWAYS_ENABLED & 1u << kind) || n_of[1][kind] == 0);
    }
    CHECK_EQ(n_of[0][RIG_FORK], 0);
    CHECK_EQ(n_of[0][RIG_STORE], 38); /* 36, and 2 that would be forks */
    CHECK_EQ(n_of[1][RIG_IMAGE], 10);
    CHECK_EQ(program.world.enabled, RIG_ALWAYS_ENABLED);
}

static void test_binary__one_header_byte_in_32_enables_fork(void)
{
    unsigned n_forking = 0;
    memset(bytes, 0, sizeof bytes);
    bytes[RECORD] = 245;
    for (unsigned magic = 0; magic < 256; magic++) {
        bytes[6] = (uint8_t)magic;
        rig_program_decode(bytes, 2 * RECORD, &program);
        CHECK(program.ops[0].kind == (program.world.enabled & 1u << RIG_FORK ? RIG_FORK : RIG_STORE));
        n_forking += program.ops[0].kind == RIG_FORK;
        check_round_trip();
    }
    CHECK_EQ(n_forking, 8);
}

static void test_binary__whole_records_count_up_to_256(void)
{
    static const struct {
        size_t n_bytes;
        uint32_t n_ops;
    } cases[] = {{0, 0}, {19, 0}, {20, 0}, {39, 0}, {40, 1}, {59, 1}, {60, 2}, {5120, 255}, {5140, 256}, {5200, 256}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_program_decode(bytes, cases[i].n_bytes, &program);
        CHECK_EQ(program.n_ops, cases[i].n_ops);
    }
}

/* Flips a bit of each field in turn; `again` is its equal otherwise. */
#define CHECK_TELLS(field)                                                                                             \
    do {                                                                                                               \
        CHECK(rig_program_equal(&program, &again));                                                                    \
        again.field ^= 1;                                                                                              \
        CHECK(!rig_program_equal(&program, &again));                                                                   \
        again.field ^= 1;                                                                                              \
    } while (0)
#define CHECK_TELLS_SIZE(field)                                                                                        \
    do {                                                                                                               \
        CHECK_TELLS(field.n);                                                                                          \
        CHECK_TELLS(field.unit);                                                                                       \
    } while (0)
#define CHECK_TELLS_AT(field)                                                                                          \
    do {                                                                                                               \
        CHECK_TELLS(field.edge);                                                                                       \
        CHECK_TELLS(field.minus);                                                                                      \
        CHECK_TELLS_SIZE(field.offset);                                                                                \
    } while (0)

static void test_binary__equality_tells_every_field_of_the_world(void)
{
    program = again = (struct rig_program){.world = rig_world_default(), .n_ops = 3};
    CHECK_TELLS(n_ops);
    CHECK_TELLS(world.n_slots);
    CHECK_TELLS(world.n_lanes);
    CHECK_TELLS(world.growth);
    CHECK_TELLS(world.reset);
    CHECK_TELLS(world.observe);
    CHECK_TELLS(world.probe);
    CHECK_TELLS(world.kernel);
    CHECK_TELLS(world.sweep);
    CHECK_TELLS_SIZE(world.max);
    CHECK_TELLS_SIZE(world.unit);
    CHECK_TELLS_SIZE(world.guard);
    CHECK_TELLS_SIZE(world.resident);
    CHECK_TELLS(world.queue);
    CHECK_TELLS(world.warm);
    CHECK_TELLS(world.enabled);
}

static void test_binary__equality_tells_every_field_of_an_operation(void)
{
    program = again = (struct rig_program){.world = rig_world_default(), .n_ops = 3};
    const size_t n_single = offsetof(struct rig_op, literal) + sizeof program.ops[0].literal; /* fields of one byte */
    for (size_t i = 0; i < n_single; i++) {
        ((uint8_t *)&again.ops[2])[i] ^= 1;
        CHECK(!rig_program_equal(&program, &again));
        ((uint8_t *)&again.ops[2])[i] ^= 1;
    }
    CHECK_TELLS_AT(ops[2].at);
    CHECK_TELLS_AT(ops[2].other);
    CHECK_TELLS_SIZE(ops[2].len);
    CHECK_TELLS_SIZE(ops[2].len2);
    again.ops[3].kind ^= 1;
    CHECK(rig_program_equal(&program, &again));
}

/* Byte by byte they may differ: between some fields there are bytes that nobody writes. */
static void test_binary__equal_worlds_weigh_the_same(void)
{
    static const size_t sizes[] = {offsetof(struct rig_world, max), offsetof(struct rig_world, unit),
                                   offsetof(struct rig_world, guard), offsetof(struct rig_world, resident)};
    program = again = (struct rig_program){.world = rig_world_default()};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rig_size *size = (struct rig_size *)(void *)((uint8_t *)&again.world + sizes[i]);
        for (size_t behind = offsetof(struct rig_size, unit) + sizeof size->unit; behind < sizeof *size; behind++)
            ((uint8_t *)size)[behind] ^= 0xff;
    }
    CHECK(rig_program_equal(&program, &again));
    CHECK_EQ(rig_weight(&again), rig_weight(&program));
}

int main(void)
{
    RUN(test_binary__equality_tells_every_field_of_the_world);
    RUN(test_binary__equality_tells_every_field_of_an_operation);
    RUN(test_binary__equal_worlds_weigh_the_same);
    RUN(test_binary__random_bytes_decode_to_programs_within_bounds_that_encode_back);
    RUN(test_binary__generated_programs_encode_back);
    RUN(test_binary__nothing_and_zeros_are_the_default_world);
    RUN(test_binary__changing_a_record_leaves_the_others_alone);
    RUN(test_binary__every_number_has_bytes_in_every_unit);
    RUN(test_binary__every_world_has_bytes);
    RUN(test_binary__a_unit_of_zero_cannot_be_spelled_out);
    RUN(test_binary__random_numbers_are_mostly_small);
    RUN(test_binary__a_disabled_kind_becomes_a_store);
    RUN(test_binary__one_header_byte_in_32_enables_fork);
    RUN(test_binary__whole_records_count_up_to_256);
    return 0;
}
