/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The mutator as a library for AFL++ (AFL_CUSTOM_MUTATOR_LIBRARY; AFL++'s docs/custom_mutators.md): mutants and splices by whole
 * operations, and trimming by whole operations: halves, quarters, ... single ones, from the back, each time as long as the path
 * through the target stays the same. */
#include "afl_mutator.h"
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

enum { TRIM_DONE = 1 << 20 }; /* more steps than trimming ever takes */

struct afl_mutator {
    struct rig_random random;
    struct rig_program program, other;
    uint8_t bytes[RIG_BINARY_MAX_BYTES];
    /* Trimming: what AFL++ has kept so far, and the operations that the candidate lacks: [at, at + n). */
    struct rig_program kept;
    uint32_t at, n;
};

void *afl_custom_init(void *afl, unsigned seed)
{
    struct afl_mutator *it = calloc(1, sizeof *it);
    (void)afl;
    if (it)
        it->random.state = seed;
    return it;
}

void afl_custom_deinit(void *data)
{
    free(data);
}

static size_t encode(struct afl_mutator *it, const struct rig_program *program, size_t n_max, uint8_t **ret_bytes)
{
    const size_t n = rig_program_encode(program, it->bytes);
    *ret_bytes = it->bytes;
    return n < n_max ? n : n_max; /* a cut program is a program */
}

size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t n_bytes, uint8_t **ret_bytes, uint8_t *other_bytes,
                       size_t n_other_bytes, size_t n_max)
{
    struct afl_mutator *it = data;
    const size_t n_max_records = n_max / RIG_RECORD_BYTES;
    const uint32_t n_max_ops = n_max_records > RIG_MAX_OPS ? RIG_MAX_OPS
                               : n_max_records             ? (uint32_t)n_max_records - 1
                                                           : 0;
    rig_program_decode(bytes, n_bytes, &it->program);
    if (other_bytes && rig_random_below(&it->random, 8) == 0) {
        rig_program_decode(other_bytes, n_other_bytes, &it->other);
        rig_program_splice(&it->random, n_max_ops, &it->other, &it->program);
    }
    rig_program_mutate(&it->random, n_max_ops, &it->program);
    return encode(it, &it->program, n_max, ret_bytes);
}

/* ---- trimming ---- */

int32_t afl_custom_init_trim(void *data, uint8_t *bytes, size_t n_bytes)
{
    struct afl_mutator *it = data;
    rig_program_decode(bytes, n_bytes, &it->kept);
    it->n = it->kept.n_ops / 2;
    it->at = it->kept.n_ops - it->n;
    return it->n ? TRIM_DONE : 0;
}

size_t afl_custom_trim(void *data, uint8_t **ret_bytes)
{
    struct afl_mutator *it = data;
    it->program = it->kept;
    memmove(&it->program.ops[it->at], &it->program.ops[it->at + it->n],
            (it->program.n_ops - it->at - it->n) * sizeof *it->program.ops);
    it->program.n_ops -= it->n;
    return encode(it, &it->program, sizeof it->bytes, ret_bytes);
}

int32_t afl_custom_post_trim(void *data, uint8_t success)
{
    struct afl_mutator *it = data;
    if (success)
        it->kept = it->program;
    if (it->at >= it->n) { /* the ones before */
        it->at -= it->n;
        return 0;
    }
    it->n /= 2;
    if (it->n > it->kept.n_ops / 2)
        it->n = it->kept.n_ops / 2;
    it->at = it->kept.n_ops - it->n;
    return it->n ? 0 : TRIM_DONE;
}
