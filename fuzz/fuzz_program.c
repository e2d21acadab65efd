/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The fuzz target: any bytes are a program; pool and model must agree. A divergence is printed and aborts, so that the engine
 * saves the input. With RIG_COUNTERS in the environment, what was done is counted in that file, for the live line. */
#include "run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX};
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
