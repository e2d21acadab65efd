/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The fuzz target: any bytes are a program; pool and model must agree. A divergence is printed and aborts, so that the engine
 * saves the input. With RIG_COUNTERS in the environment, what was done is counted in that file, for the live line. */
#include "mutate.h"
#include "run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Coverage of our own, beside that of the pool's code: libFuzzer clears this section before each input and looks at it after. */
__attribute__((section("__libfuzzer_extra_counters"))) static struct rig_matrix matrix;

enum { COUNTERS_BYTES = 4096 };
static uint64_t nowhere[5];

static uint64_t *open_counters(void)
{
    const char *path = getenv("RIG_COUNTERS");
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *mapped = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, COUNTERS_BYTES) == 0)
        mapped = mmap(NULL, COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return mapped == MAP_FAILED ? nowhere : mapped;
}

static void publish(uint64_t *counters, const struct rig_counters *of_program)
{
    counters[0] += of_program->n_programs;
    counters[1] += of_program->n_operations;
    counters[2] += of_program->n_effective;
    counters[3] += of_program->n_traps;
    counters[4] += of_program->n_divergences;
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
    if (n_bytes > RIG_RECORD_BYTES && rig_random_below(&random, 5) == 0) {
        n_bytes = LLVMFuzzerMutate(bytes, n_bytes, n_max);
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .matrix = &matrix};
    static struct rig_program program;
    static uint64_t *counters;
    struct rig_verdict verdict;
    if (!counters)
        counters = open_counters();
    rig_program_decode(bytes, n_bytes, &program);
    rig_run(&program, &options, &verdict);
    publish(counters, &verdict.counters);
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
