/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The rig's own manners: the same program gives the same verdict and hash, the model agrees with itself and the pool with the model,
 * expectations are checked, and nothing is left behind. */
#include "harness.h"
#include "process.h"
#include "run.h"

#include <sys/resource.h>

enum { N_PROGRAMS = 2000 };

static struct rig_verdict run_until(const struct rig_program *program, const struct rig_subject_ops *subject,
                                    uint32_t until)
{
    const struct rig_options options = {.subject = subject, .until = until};
    struct rig_verdict verdict;
    rig_run(program, &options, &verdict);
    return verdict;
}

/* The verdict of a program on which all must agree. */
static struct rig_verdict agree(const struct rig_program *program, const struct rig_subject_ops *subject)
{
    const struct rig_verdict verdict = run_until(program, subject, UINT32_MAX);
    if (verdict.kind != RIG_AGREE)
        printf("%s\n%s", verdict.line, verdict.report ? verdict.report : "");
    CHECK_EQ(verdict.kind, RIG_AGREE);
    CHECK(verdict.line[0] == 0 && verdict.report == NULL);
    return verdict;
}

static const struct rig_text *parse(const char *program)
{
    static struct rig_text text;
    struct rig_text_error error;
    if (rig_text_parse(program, strlen(program), &text, &error))
        printf("%u:%u: %s\n", error.line, error.column, error.what), exit(1);
    return &text;
}

static const struct rig_program *generate(uint64_t seed, uint32_t n_ops)
{
    static struct rig_program program;
    struct rig_random random = {seed};
    rig_program_generate(&random, n_ops, &program);
    return &program;
}

/* ---- agreement ---- */

static void test_rig__the_model_agrees_with_itself(void)
{
    for (uint64_t seed = 0; seed < N_PROGRAMS; seed++)
        (void)agree(generate(seed, 40), &rig_subject_model);
}

static void test_rig__the_pool_agrees_with_the_model(void)
{
    for (uint64_t seed = 0; seed < N_PROGRAMS; seed++)
        (void)agree(generate(seed, 40), &rig_subject_pool);
}

static void test_rig__any_bytes_are_a_program_on_which_all_agree(void)
{
    static struct rig_program program;
    struct rig_random random = {1};
    uint8_t bytes[64 * RIG_RECORD_BYTES];
    for (int i = 0; i < N_PROGRAMS / 4; i++) {
        const size_t n_bytes = rig_random_below(&random, sizeof bytes);
        for (size_t j = 0; j < n_bytes; j++)
            bytes[j] = (uint8_t)rig_random_next(&random);
        rig_program_decode(bytes, n_bytes, &program);
        (void)agree(&program, &rig_subject_pool);
    }
}

static void test_rig__a_program_without_operations_agrees_in_any_world(void)
{
    static struct rig_program program;
    struct rig_random random = {2};
    uint8_t header[RIG_RECORD_BYTES];
    for (int i = 0; i < N_PROGRAMS / 4; i++) {
        for (size_t j = 0; j < sizeof header; j++)
            header[j] = (uint8_t)rig_random_next(&random);
        rig_program_decode(header, sizeof header, &program);
        CHECK_EQ(program.n_ops, 0);
        CHECK_EQ(agree(&program, &rig_subject_pool).counters.n_operations, 0);
        (void)agree(&program, &rig_subject_model);
    }
}

/* ---- determinism ---- */

static void test_rig__the_same_program_gives_the_same_hash_and_counters(void)
{
    for (uint64_t seed = 0; seed < N_PROGRAMS / 8; seed++) {
        const struct rig_program *program = generate(seed, 60);
        const struct rig_verdict first = agree(program, &rig_subject_pool), again = agree(program, &rig_subject_pool);
        CHECK_EQ(first.state_hash, again.state_hash);
        CHECK(memcmp(&first.counters, &again.counters, sizeof first.counters) == 0);
    }
}

/* But for what the model as a subject cannot do: its memory is not the kernel's, and it has no children. */
static void test_rig__the_hash_is_of_the_model_and_not_of_the_subject(void)
{
    const struct rig_text *text =
        parse("cowpool-ops 1\npool slots=2\nimage A size=5000\ndata 4000 stamp 300\ninstantiate i0 A "
              "initial=2P\nstore i0 end-8 width=8\ngrow i0 +1P\nreuse i0 A initial=2P\nprobe i0 prev-1");
    CHECK_EQ(agree(&text->program, &rig_subject_pool).state_hash, agree(&text->program, &rig_subject_model).state_hash);
}

static uint64_t hash_of(const char *operations)
{
    char program[512];
    snprintf(program, sizeof program, "cowpool-ops 1\npool slots=2 unit=1 probe=none\n%s", operations);
    return agree(&parse(program)->program, &rig_subject_pool).state_hash;
}

/* All these differ by one thing that a guest can see. */
static void test_rig__the_hash_sees_lengths_bytes_leases_and_results(void)
{
    static const char *const programs[] = {
        "flush\n",
        "instantiate i0 none initial=0\n",
        "instantiate i0 none initial=1\n",
        "instantiate i0 none initial=2\n",
        "instantiate i0 none initial=8\n",
        "instantiate i0 none initial=9\n",
        "instantiate i0 none initial=16\n",
        "instantiate i1 none initial=16\n",
        "instantiate i0 none initial=16\ninstantiate i1 none initial=16\n",
        "instantiate i0 none initial=16\nfill i0 0 len=1 byte=1\n",
        "instantiate i0 none initial=16\nfill i0 1 len=1 byte=1\n",
        "instantiate i0 none initial=16\nfill i0 8 len=1 byte=1\n",
        "instantiate i0 none initial=16\nfill i0 15 len=1 byte=1\n",
        "instantiate i0 none initial=15\nfill i0 14 len=1 byte=1\n",
        "instantiate i0 none initial=15\nfill i0 14 len=1 byte=2\n",
        "instantiate i0 none initial=16\nrelease i0\n",
        "instantiate i0 none initial=16\nreset i0\n",
        "instantiate i0 none initial=16\ngrow i0 +0\n",
        "instantiate i0 none initial=16\ngrow i0 +1\n",
        "instantiate i0 none initial=16\nprobe i0 acc\n",
        "instantiate i0 none initial=16\nprobe i0 acc+1\n",
        "instantiate i0 none initial=16\nprobe i0 end\n",
    };
    enum { N = sizeof programs / sizeof *programs };
    uint64_t hashes[N];
    for (size_t i = 0; i < N; i++) {
        hashes[i] = hash_of(programs[i]);
        for (size_t j = 0; j < i; j++)
            if (hashes[i] == hashes[j])
                printf("the same hash:\n%s%s", programs[i], programs[j]), exit(1);
    }
}

/* ---- until, and what the text says ---- */

static void test_rig__until_runs_the_operations_before_it(void)
{
    static struct rig_program head;
    const struct rig_program *program = generate(7, 30);
    for (uint32_t until = 0; until <= 30; until++) {
        head = *program;
        head.n_ops = until;
        const struct rig_verdict verdict = run_until(program, &rig_subject_pool, until);
        CHECK_EQ(verdict.kind, RIG_AGREE);
        CHECK_EQ(verdict.counters.n_operations, until);
        if (until < 30 && program->ops[until].kind != RIG_DATA) /* data belongs to the image operation before it */
            CHECK_EQ(verdict.state_hash, agree(&head, &rig_subject_pool).state_hash);
    }
    CHECK_EQ(run_until(program, &rig_subject_pool, UINT32_MAX).counters.n_operations, 30);
}

static void test_rig__no_operation_follows_when_the_instances_came_to_so_many_bytes(void)
{
    static const uint64_t sums[] = {4 << 10, 8 << 10, 20 << 10, 32 << 10, 44 << 10};
    const struct rig_text *text =
        parse("cowpool-ops 1\npool slots=2 max=8K\ninstantiate i0 none initial=4K\nload i0 0 width=1\n"
              "instantiate i1 none initial=8K\nload i0 0 width=1\nload i0 0 width=1");
    for (uint32_t n = 0; n < 5; n++) {
        const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .most_bytes = sums[n]};
        struct rig_verdict verdict;
        rig_run(&text->program, &options, &verdict);
        CHECK_EQ(verdict.kind, RIG_AGREE);
        CHECK_EQ(verdict.counters.n_operations, n + 1);
    }
}

static void test_rig__what_the_model_answers_is_what_the_pool_is_expected_to(void)
{
    static struct rig_expect expect[RIG_MAX_OPS];
    struct rig_verdict verdict;
    for (uint64_t seed = 0; seed < N_PROGRAMS / 8; seed++) {
        const struct rig_program *program = generate(seed, 60);
        const struct rig_options ask = {.subject = &rig_subject_pool, .until = UINT32_MAX, .ret_expect = expect};
        const struct rig_options check = {.subject = &rig_subject_pool, .until = UINT32_MAX, .expect = expect};
        rig_run(program, &ask, &verdict);
        CHECK_EQ(verdict.kind, RIG_AGREE);
        rig_run(program, &check, &verdict);
        if (verdict.kind != RIG_AGREE)
            printf("seed %" PRIu64 ": %s\n", seed, verdict.line);
        CHECK_EQ(verdict.kind, RIG_AGREE);
    }
}

static void expect_outdated(const char *program, uint32_t op, const char *line)
{
    const struct rig_text *text = parse(program);
    const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .expect = text->expect};
    struct rig_verdict verdict;
    rig_run(&text->program, &options, &verdict);
    CHECK_STRINGS(verdict.line, line);
    CHECK_EQ(verdict.kind, RIG_OUTDATED);
    CHECK_EQ(verdict.op, op);
    CHECK_EQ(verdict.counters.n_divergences, 0);
    free(verdict.report);
}

#define OUTDATED(op, says) "the expectation of operation " #op " is out of date: the model says '" says "'"

static void test_rig__an_expectation_that_is_out_of_date_is_reported(void)
{
    expect_outdated("cowpool-ops 1\ninstantiate i0 none -> noop", 0, OUTDATED(0, "ok"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\ninstantiate i0 none -> ok", 1, OUTDATED(1, "noop"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\ngrow i0 +1P -> ok=3P", 1, OUTDATED(1, "ok=2P"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\nprobe i0 acc -> ok", 1, OUTDATED(1, "trap acc"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\nprobe i0 acc -> trap acc+1", 1, OUTDATED(1, "trap acc"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\nprobe i0 0 -> trap 0", 1, OUTDATED(1, "ok"));
    expect_outdated("cowpool-ops 1\nrelease i0 -> ok", 0, OUTDATED(0, "stale"));
    expect_outdated("cowpool-ops 1\ngrow i0 +1P -> refused limit", 0, OUTDATED(0, "stale"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\ngrow i0 huge -> refused full", 1,
                    OUTDATED(1, "refused limit"));
    expect_outdated("cowpool-ops 1\ninstantiate i0 none\ngrow i0 huge -> error EIO", 1, OUTDATED(1, "refused limit"));
}

/* ---- what the machine does not give ---- */

static int has_no_descriptors(void)
{
    const struct rlimit none = {0, 0};
    const struct rig_program *program = &parse("cowpool-ops 1\ninstantiate i0 none")->program;
    CLAIM(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const struct rig_verdict verdict = run_until(program, &rig_subject_pool, UINT32_MAX);
    CLAIM(verdict.kind == RIG_UNABLE);
    CLAIM(strcmp(verdict.line, "the pool cannot be made here: Too many open files") == 0);
    CLAIM(verdict.counters.n_operations == 0 && verdict.counters.n_divergences == 0);
    CLAIM(run_until(program, &rig_subject_model, UINT32_MAX).kind == RIG_AGREE);
    return 0;
}

static void test_rig__a_pool_that_cannot_be_made_is_no_divergence(void)
{
    CHECK_EQ(process_in_child(has_no_descriptors), 0);
}

/* ---- what is left ---- */

static void test_rig__a_thousand_programs_leave_nothing_behind(void)
{
    for (uint64_t seed = 0; seed < 50; seed++) /* what is opened or allocated once, is now */
        (void)agree(generate(seed, 40), &rig_subject_pool);
    const int n_descriptors = process_n_descriptors(), n_files = process_n_mappings("memfd:"),
              n_mappings = process_n_mappings("");
    for (uint64_t seed = 0; seed < 1000; seed++)
        (void)agree(generate(seed, 40), &rig_subject_pool);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(process_n_mappings("memfd:"), n_files);
    CHECK(process_n_mappings("") < n_mappings + 100); /* a sanitizer's heap grows by mappings */
}

int main(void)
{
    RUN(test_rig__a_pool_that_cannot_be_made_is_no_divergence);
    RUN(test_rig__the_same_program_gives_the_same_hash_and_counters);
    RUN(test_rig__the_hash_is_of_the_model_and_not_of_the_subject);
    RUN(test_rig__the_hash_sees_lengths_bytes_leases_and_results);
    RUN(test_rig__until_runs_the_operations_before_it);
    RUN(test_rig__no_operation_follows_when_the_instances_came_to_so_many_bytes);
    RUN(test_rig__what_the_model_answers_is_what_the_pool_is_expected_to);
    RUN(test_rig__an_expectation_that_is_out_of_date_is_reported);
    RUN(test_rig__the_model_agrees_with_itself);
    RUN(test_rig__the_pool_agrees_with_the_model);
    RUN(test_rig__any_bytes_are_a_program_on_which_all_agree);
    RUN(test_rig__a_program_without_operations_agrees_in_any_world);
    RUN(test_rig__a_thousand_programs_leave_nothing_behind);
    return 0;
}
