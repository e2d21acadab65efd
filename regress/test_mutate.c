/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The mutator makes programs and nothing else, whatever it is given, and does each of the things it is there for. */
#include "harness.h"

#include "mutate.h"
#include "program.h"

#include <stdbool.h>

enum { N_MUTANTS = 1000000, N_TEXT = 64 /* one in as many is tried as text too */ };

static bool is_same_in_binary(const struct rig_program *program)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES];
    static struct rig_program again;
    const size_t n_bytes = rig_program_encode(program, bytes);
    rig_program_decode(bytes, n_bytes, &again);
    return rig_program_equal(program, &again);
}

static bool is_same_in_text(const struct rig_program *program)
{
    static struct rig_text text;
    struct rig_text_error error;
    char *printed = NULL;
    size_t n_printed = 0;
    FILE *memory = open_memstream(&printed, &n_printed);
    rig_print_program(memory, program, NULL, NULL);
    fclose(memory);
    const bool is_same =
        rig_text_parse(printed, n_printed, &text, &error) == 0 && rig_program_equal(program, &text.program);
    free(printed);
    return is_same;
}

static uint32_t count_kind(const struct rig_program *program, unsigned kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++)
        n += program->ops[i].kind == kind;
    return n;
}

static void check_program(const struct rig_program *program, uint32_t n_max_ops)
{
    CHECK(program->n_ops <= n_max_ops);
    CHECK(rig_program_unbuilt(program) == NULL);
    CHECK(!rig_program_lies(program));
    CHECK(count_kind(program, RIG_FORK) <= 1);
    for (uint32_t i = 0; i < program->n_ops; i++)
        CHECK(program->world.enabled & RIG_BIT(program->ops[i].kind));
    CHECK(is_same_in_binary(program));
}

/* Bytes that are no program of anybody's, long and short, now and then. */
static void take_random_bytes(struct rig_random *random, struct rig_program *ret_program)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES];
    const size_t n_bytes = rig_random_below(random, sizeof bytes + 1);
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)rig_random_next(random);
    if (n_bytes > RIG_RECORD_BYTES && rig_random_below(random, 2))
        memset(bytes, 0, RIG_RECORD_BYTES); /* the default world */
    rig_program_decode(bytes, n_bytes, ret_program);
}

static void test_mutate__a_million_mutants_are_programs(void)
{
    static struct rig_program program, other;
    struct rig_random random = {1};
    uint32_t n_ops_seen = 0;
    for (uint32_t i = 0; i < N_MUTANTS; i++) {
        const uint32_t n_max_ops = i % 3 ? RIG_MAX_OPS : rig_random_below(&random, RIG_MAX_OPS + 1);
        if (i % 97 == 0)
            take_random_bytes(&random, &program);
        if (i % 331 == 0)
            rig_program_generate(&random, 60, &program);
        if (i % 50 == 7)
            other = program;
        if (i % 10 == 0)
            rig_program_splice(&random, n_max_ops, &other, &program);
        else
            rig_program_mutate(&random, n_max_ops, &program);
        check_program(&program, n_max_ops);
        if (i % N_TEXT == 0)
            CHECK(is_same_in_text(&program));
        n_ops_seen = program.n_ops > n_ops_seen ? program.n_ops : n_ops_seen;
    }
    CHECK_EQ(n_ops_seen, RIG_MAX_OPS);
}

static void test_mutate__the_same_chance_the_same_mutant(void)
{
    static struct rig_program start, a, b;
    struct rig_random random = {5};
    rig_program_generate(&random, 60, &start);
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct rig_random one = {seed}, two = {seed};
        a = b = start;
        rig_program_mutate(&one, RIG_MAX_OPS, &a);
        rig_program_mutate(&two, RIG_MAX_OPS, &b);
        CHECK(rig_program_equal(&a, &b));
        CHECK_EQ(one.state, two.state);
    }
}

/* What changed between two programs, as far as it can be told. */
struct effects {
    uint32_t n_longer, n_shorter, n_permuted, n_retargeted, n_tweaked, n_world, n_swarm, n_repeated, n_same, n_failing,
        n_empty;
    uint32_t n_failing_creation, n_holding_nothing, n_moved, n_new;
};

static bool is_permutation(const struct rig_program *a, const struct rig_program *b)
{
    bool used[RIG_MAX_OPS] = {false};
    for (uint32_t i = 0; i < a->n_ops; i++) {
        uint32_t j = 0;
        while (j < b->n_ops && (used[j] || !rig_op_equal(&a->ops[i], &b->ops[j])))
            j++;
        if (j == b->n_ops)
            return false;
        used[j] = true;
    }
    return true;
}

static bool are_equal(const struct rig_op *a, const struct rig_op *b, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && rig_op_equal(&a[i], &b[i]))
        i++;
    return i == n;
}

static bool is_same_world(struct rig_world a, struct rig_world b)
{
    static struct rig_program one, other; /* without operations */
    one.world = a;
    other.world = b;
    return rig_program_equal(&one, &other);
}

/* Whether some stretch stands three times in a row. */
static bool has_motif(const struct rig_program *program)
{
    for (uint32_t n = 1; n <= 10; n++)
        for (uint32_t i = 0; i + 3 * n <= program->n_ops; i++)
            if (are_equal(&program->ops[i], &program->ops[i + n], n) &&
                are_equal(&program->ops[i], &program->ops[i + 2 * n], n))
                return true;
    return false;
}

static void note_effects(const struct rig_program *a, const struct rig_program *b, struct effects *effects)
{
    struct rig_world a_world = a->world, b_world = b->world;
    effects->n_swarm += a->world.enabled != b->world.enabled;
    effects->n_failing += rig_n_leading_faults(b) > rig_n_leading_faults(a);
    effects->n_empty += a->world.max.n > 0 && b->world.max.n == 0;
    a_world.enabled = b_world.enabled = 0;
    effects->n_world += !is_same_world(a_world, b_world);
    effects->n_longer += b->n_ops > a->n_ops;
    effects->n_shorter += b->n_ops < a->n_ops;
    effects->n_repeated += has_motif(b);
    effects->n_failing_creation += b->n_ops == a->n_ops + 1 && rig_n_leading_faults(b) > rig_n_leading_faults(a) &&
                                   are_equal(&b->ops[1], a->ops, a->n_ops);
    effects->n_holding_nothing += b->world.max.n == 0;
    uint32_t n_alike = 0;
    for (uint32_t i = 0; i < a->n_ops && i < b->n_ops; i++)
        n_alike += rig_op_equal(&a->ops[i], &b->ops[i]);
    const bool is_elsewhere =
        b->world.max.n && (a->world.max.n != b->world.max.n || a->world.max.unit != b->world.max.unit);
    effects->n_moved += is_elsewhere && n_alike == a->n_ops;
    effects->n_new += is_elsewhere && n_alike < 3;
    if (b->n_ops != a->n_ops)
        return;
    uint32_t n_changed = 0, n_retargeted = 0;
    for (uint32_t i = 0; i < a->n_ops; i++) {
        struct rig_op op = a->ops[i];
        op.reg = b->ops[i].reg;
        const bool is_changed = !rig_op_equal(&a->ops[i], &b->ops[i]);
        n_changed += is_changed;
        n_retargeted += is_changed && rig_op_equal(&op, &b->ops[i]);
    }
    if (n_changed == 0)
        effects->n_same++;
    else if (is_permutation(a, b))
        effects->n_permuted++;
    else if (n_changed == n_retargeted)
        effects->n_retargeted++;
    else if (n_changed == 1)
        effects->n_tweaked++;
}

static void test_mutate__each_mutation_happens(void)
{
    static struct rig_program start, mutant;
    struct rig_random random = {9};
    struct effects effects = {0};
    do
        rig_program_generate(&random, 40, &start);
    while (has_motif(&start));
    for (int i = 0; i < 20000; i++) {
        mutant = start;
        rig_program_mutate(&random, RIG_MAX_OPS, &mutant);
        note_effects(&start, &mutant, &effects);
    }
    CHECK(effects.n_longer > 5000 && effects.n_shorter > 1000);
    CHECK(effects.n_permuted > 1200 && effects.n_retargeted > 800 && effects.n_tweaked > 1000);
    CHECK(effects.n_world > 700 && effects.n_swarm > 50 && effects.n_repeated > 200);
    CHECK(effects.n_moved > 200 && effects.n_new > 700);
    CHECK(effects.n_failing_creation > 100 && effects.n_holding_nothing > 50);
    CHECK(effects.n_failing > 100 && effects.n_empty > 50);
    CHECK(effects.n_same < 4000); /* a header that changed, a swap with itself */
}

/* Every part of every operation moves. */
static void test_mutate__a_tweak_reaches_every_operand(void)
{
    const struct rig_world world = rig_world_default();
    struct rig_random random = {3};
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        struct rig_op seen = {.kind = (uint8_t)kind}, op = seen;
        if (RIG_UNBUILT_KINDS & RIG_BIT(kind))
            continue;
        if (kind == RIG_STORE || kind == RIG_LOAD)
            op.width = 1;
        if (kind == RIG_DATA)
            op.form = RIG_DATA_STAMP;
        const struct rig_op begin = op;
        for (int i = 0; i < 4000; i++) {
            op = begin;
            for (int j = 0; j < 3; j++)
                rig_op_tweak(&random, &world, &op);
            CHECK_EQ(op.kind, kind);
            for (size_t k = 0; k < sizeof op; k++) /* which bytes ever differ */
                ((uint8_t *)&seen)[k] |= ((uint8_t *)&op)[k] ^ ((const uint8_t *)&begin)[k];
        }
        const bool has_place = kind == RIG_STORE || kind == RIG_LOAD || kind == RIG_FILL || kind == RIG_COPY ||
                               kind == RIG_INIT || kind == RIG_SCRIBBLE || kind == RIG_PROBE;
        CHECK(!has_place || (seen.reg && seen.age && seen.at.edge && seen.at.minus && seen.at.offset.n));
        CHECK((kind != RIG_STORE && kind != RIG_LOAD) || seen.width);
        CHECK((kind != RIG_FILL && kind != RIG_SCRIBBLE) || (seen.form && seen.len.n && seen.other.edge));
        CHECK(kind != RIG_GROW || (seen.form && seen.len.n && seen.len.unit && seen.other.edge));
        CHECK((kind != RIG_REUSE && kind != RIG_INSTANTIATE) ||
              (seen.image && seen.has_initial && seen.has_max && seen.len.n && seen.len2.n));
        CHECK(kind != RIG_FAULT ||
              (seen.choice && seen.len.n && seen.forever && seen.form && seen.error && seen.len2.n));
        CHECK(kind != RIG_ADVISE || (seen.choice && seen.at.edge && seen.form && seen.len.n && seen.other.edge));
        CHECK(kind != RIG_PIN || (seen.form && seen.at.edge && seen.len.n && seen.other.edge));
        CHECK(kind != RIG_IMAGE || (seen.image && seen.form && seen.other_image && seen.len.n));
    }
}

/* An end of the one behind a begin of the other, in the world of the first. */
static void test_mutate__a_splice_keeps_order(void)
{
    static struct rig_program a, b, spliced;
    struct rig_random random = {11};
    uint32_t n_mixed = 0;
    for (int i = 0; i < 2000; i++) {
        rig_program_generate(&random, 50, &a);
        rig_program_generate(&random, 50, &b);
        spliced = a;
        rig_program_splice(&random, RIG_MAX_OPS, &b, &spliced);
        CHECK(is_same_world(spliced.world, a.world));
        uint32_t n = 0;
        while (n < spliced.n_ops && n < a.n_ops && rig_op_equal(&spliced.ops[n], &a.ops[n]))
            n++;
        const uint32_t n_left = spliced.n_ops - n;
        CHECK(n_left <= b.n_ops);
        CHECK(are_equal(&spliced.ops[n], &b.ops[b.n_ops - n_left], n_left));
        n_mixed += n > 0 && n_left > 0;
    }
    CHECK(n_mixed > 1500);
}

int main(void)
{
    RUN(test_mutate__the_same_chance_the_same_mutant);
    RUN(test_mutate__each_mutation_happens);
    RUN(test_mutate__a_tweak_reaches_every_operand);
    RUN(test_mutate__a_splice_keeps_order);
    RUN(test_mutate__a_million_mutants_are_programs);
    return 0;
}
