/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The mutator as AFL++ calls it: mutants are programs of at most the size that is allowed, and trimming leaves what matters. */
#include "harness.h"

#include "afl_mutator.h"
#include "program.h"

static uint32_t count_kind(const uint8_t *bytes, size_t n_bytes, unsigned kind, uint32_t *ret_n_ops)
{
    static struct rig_program program;
    uint32_t n = 0;
    rig_program_decode(bytes, n_bytes, &program);
    for (uint32_t i = 0; i < program.n_ops; i++)
        n += program.ops[i].kind == kind;
    *ret_n_ops = program.n_ops;
    return n;
}

static size_t generate(uint64_t seed, uint32_t n_ops, uint8_t ret_bytes[RIG_BINARY_MAX_BYTES])
{
    static struct rig_program program;
    struct rig_random random = {seed};
    rig_program_generate(&random, n_ops, &program);
    return rig_program_encode(&program, ret_bytes);
}

static void test_afl_mutator__mutants_are_programs_that_fit(void)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES], other[RIG_BINARY_MAX_BYTES];
    const size_t n_bytes = generate(1, 60, bytes), n_other = generate(2, 200, other);
    void *mutator = afl_custom_init(NULL, 7);
    uint32_t n_ops, n_long = 0;
    CHECK(mutator != NULL);
    for (int i = 0; i < 20000; i++) {
        const size_t n_max = (size_t)(i % 3 ? RIG_BINARY_MAX_BYTES : i % 3000);
        uint8_t *mutant = NULL;
        const size_t n = afl_custom_fuzz(mutator, bytes, n_bytes, &mutant, i % 2 ? other : NULL, n_other, n_max);
        CHECK(mutant != NULL && n <= n_max);
        CHECK(n == 0 || rig_binary_version(mutant, n) == RIG_VERSION);
        count_kind(mutant, n, RIG_STORE, &n_ops);
        n_long += n_ops > 180; /* hardly anything but a splice with the other one is as long */
    }
    CHECK(n_long > 100);
    afl_custom_deinit(mutator);
}

/* Trims as long as the answer to "is there a flush left?" is yes. */
static void test_afl_mutator__trimming_leaves_what_matters(void)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES], kept[RIG_BINARY_MAX_BYTES];
    void *mutator = afl_custom_init(NULL, 1);
    uint32_t n_ops = 0, n_tried = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t n_bytes = generate(seed, 10 + (uint32_t)seed, bytes);
        if (!count_kind(bytes, n_bytes, RIG_FLUSH, &n_ops))
            continue;
        const int32_t n_steps = afl_custom_init_trim(mutator, bytes, n_bytes);
        uint32_t n_rounds = 0;
        for (int32_t at = 0; at < n_steps; n_rounds++) {
            uint8_t *candidate = NULL;
            const size_t n = afl_custom_trim(mutator, &candidate);
            const bool keeps = count_kind(candidate, n, RIG_FLUSH, &n_ops) > 0;
            CHECK(n < n_bytes);
            if (keeps)
                memcpy(kept, candidate, n_bytes = n);
            at = afl_custom_post_trim(mutator, keeps);
            CHECK(at >= 0 && n_rounds < 1000);
        }
        CHECK_EQ(count_kind(kept, n_bytes, RIG_FLUSH, &n_ops), 1);
        CHECK_EQ(n_ops, 1);
        n_tried++;
    }
    CHECK(n_tried > 50);
    CHECK_EQ(afl_custom_init_trim(mutator, bytes, RIG_RECORD_BYTES), 0); /* nothing to trim */
    afl_custom_deinit(mutator);
}

int main(void)
{
    RUN(test_afl_mutator__mutants_are_programs_that_fit);
    RUN(test_afl_mutator__trimming_leaves_what_matters);
    return 0;
}
