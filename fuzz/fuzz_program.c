/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The fuzz target: any bytes are a program; pool and model must agree. A divergence is printed and aborts, so that the engine
 * saves the input. */
#include "mutate.h"
#include "progress.h"
#include "run.h"
#include "steering.h"

#include <stdlib.h>
#include <string.h>

static void count(const struct rig_verdict *verdict)
{
    const struct rig_counters *of_program = &verdict->counters;
    const struct rig_progress counts = {
        .n_inputs = of_program->n_programs,
        .n_operations = of_program->n_operations,
        .n_effective = of_program->n_effective,
        .n_traps = of_program->n_traps,
        .n_divergences = of_program->n_divergences,
        .n_unable = verdict->kind == RIG_UNABLE,
    };
    rig_progress_add(&counts);
}

/* Mostly whole operations, sometimes bytes. Every mutant carries the version, so that what is saved can be replayed by
 * the tool, which refuses others. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n_bytes, size_t n_max);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n_bytes, size_t n_max, unsigned seed);

static uint32_t max_ops(size_t n_max_bytes)
{
    const size_t n = n_max_bytes / RIG_RECORD_BYTES > 1 ? n_max_bytes / RIG_RECORD_BYTES - 1 : 0;
    return n < RIG_MAX_OPS ? (uint32_t)n : RIG_MAX_OPS;
}

static size_t encode(const struct rig_program *program, uint8_t *ret_bytes, size_t n_max)
{
    static uint8_t encoded[RIG_BINARY_MAX_BYTES];
    const size_t n_encoded = rig_program_encode(program, encoded);
    const size_t n = n_encoded < n_max ? n_encoded : n_max; /* a cut program is a program */
    memcpy(ret_bytes, encoded, n);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n_bytes, size_t n_max, unsigned seed)
{
    static struct rig_program program;
    struct rig_random random = {seed};
    const char *mutator = getenv("RIG_MUTATOR"); /* "bytes": the engine's own, to see what ours is worth */
    const bool is_bytewise = mutator && strcmp(mutator, "bytes") == 0;
    if (is_bytewise || (n_bytes > RIG_RECORD_BYTES && rig_random_below(&random, 5) == 0)) {
        n_bytes = LLVMFuzzerMutate(bytes, n_bytes, n_max);
        if (n_bytes)
            bytes[0] = RIG_VERSION;
        return n_bytes;
    }
    rig_program_decode(bytes, n_bytes, &program);
    rig_program_mutate(&random, max_ops(n_max), &program);
    return encode(&program, bytes, n_max);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *ret_bytes,
                                 size_t n_max, unsigned seed);

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *ret_bytes,
                                 size_t n_max, unsigned seed)
{
    static struct rig_program program, other;
    struct rig_random random = {seed};
    rig_program_decode(a, n_a, &program);
    rig_program_decode(b, n_b, &other);
    rig_program_splice(&random, max_ops(n_max), &other, &program);
    return encode(&program, ret_bytes, n_max);
}

int LLVMFuzzerInitialize(int *n_arguments, char ***arguments);

/* What the pool asks the kernel once in a process, for each way to grow and reset, is asked here, and not by whichever input comes
 * first. Nothing of it is left open. */
int LLVMFuzzerInitialize(int *n_arguments, char ***arguments)
{
    (void)n_arguments;
    (void)arguments;
    for (int growth = COW_GROWTH_TRUNCATE; growth <= COW_GROWTH_SOFTWARE; growth++)
        for (int reset = COW_RESET_DISCARD; reset <= COW_RESET_ADAPTIVE; reset++) {
            const struct cow_pool_config config = {
                .n_slots = 1, .growth = (enum cow_growth)growth, .reset = (enum cow_reset)reset};
            struct cow_pool *pool;
            if (cow_pool_create(&config, &pool) == COW_OK)
                (void)cow_pool_close(pool);
        }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/* Some two seconds: eight instances of 64 MiB, compared after each of 256 operations, would take longer than an engine waits. */
#define MOST_BYTES (UINT64_C(8) << 30)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    const struct rig_options options = {.subject = rig_default_subject(),
                                        .until = UINT32_MAX,
                                        .most_bytes = MOST_BYTES,
                                        .matrix = rig_steering_begin()};
    static struct rig_program program;
    struct rig_verdict verdict;
    rig_program_decode(bytes, n_bytes, &program);
    if (rig_program_lies(&program)) /* what it finds would not be the pool's fault */
        return 0;
    rig_run(&program, &options, &verdict);
    rig_steering_end();
    count(&verdict);
    if (verdict.kind == RIG_UNABLE) {
        fprintf(stderr, "lockstep: %s\n", verdict.line);
        exit(2);
    }
    if (verdict.kind != RIG_AGREE) {
        fprintf(stderr, "%s\n%s", verdict.line, verdict.report ? verdict.report : "");
        abort();
    }
    return 0;
}
