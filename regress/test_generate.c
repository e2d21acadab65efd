/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The generator makes what bugs of this family need: each of its rarer choices turns up, and none where it would mean nothing. */
#include "harness.h"

#include "mutate.h"
#include "program.h"

#include <stdbool.h>
#include <string.h>

enum { N_PROGRAMS = 20000, N_OPS = 60, PAGE_BYTES = 4096 };

static struct {
    uint32_t faults[RIG_N_CALLS];
    uint32_t errors[RIG_N_CALLS];   /* of those: with an errno */
    uint32_t telling[RIG_N_CALLS];  /* of those: with the one that the pool takes for more than a failure */
    uint32_t followed[RIG_N_CALLS]; /* of those: with the failure of what is done instead behind it */
    uint32_t shorts[RIG_N_CALLS];   /* counts that fall short */
    uint32_t zero_pages;            /* fills of a whole page with zeros */
    uint32_t far;                   /* data at least two pages behind all the image had before */
} seen;

static const char *const telling_error[RIG_N_CALLS] = {
    [RIG_CALL_MMAP] = "ENOMEM", [RIG_CALL_MADVISE] = "EINVAL", [RIG_CALL_FCNTL] = "EINVAL"};

/* What the pool does where the call fails. */
static unsigned instead_of(unsigned call)
{
    const bool is_of_memory =
        call == RIG_CALL_PROCESS_MADVISE || call == RIG_CALL_PAGEMAP_SCAN || call == RIG_CALL_MPROTECT;
    return is_of_memory ? RIG_CALL_MADVISE : RIG_CALL_MMAP;
}

static bool is_failure(const struct rig_op *op)
{
    return op->kind == RIG_FAULT && op->form == RIG_FAULT_ERROR;
}

static void note_fault(const struct rig_op *op, const struct rig_op *next)
{
    seen.faults[op->choice]++;
    seen.shorts[op->choice] += op->form == RIG_FAULT_SHORT;
    if (!is_failure(op))
        return;
    seen.errors[op->choice]++;
    seen.telling[op->choice] +=
        telling_error[op->choice] && strcmp(rig_error_name[op->error], telling_error[op->choice]) == 0;
    seen.followed[op->choice] += next && is_failure(next) && next->choice == instead_of(op->choice);
}

/* A mode's calls fail in that mode only. */
static void check_fault(const struct rig_op *op, const struct rig_world *world)
{
    if (op->choice == RIG_CALL_MPROTECT)
        CHECK(world->growth != RIG_GROWTH_TRUNCATE);
    if (op->choice == RIG_CALL_PAGEMAP_SCAN)
        CHECK(world->reset != RIG_RESET_DISCARD);
    if (op->choice == RIG_CALL_PROCESS_MADVISE)
        CHECK(world->reset >= RIG_RESET_DEFERRED);
}

static bool is_zero_page(const struct rig_op *op)
{
    return op->at.edge == RIG_EDGE_START && op->at.offset.n % PAGE_BYTES == 0 && op->form == RIG_RANGE_LEN &&
           op->len.n == PAGE_BYTES && op->has_byte && op->byte == 0;
}

static void note_data(const struct rig_op *op, uint32_t *data_end)
{
    const uint32_t begin = op->at.offset.n, end = begin + (op->form == RIG_DATA_BYTES ? op->n_literal : op->len.n);
    seen.far += *data_end && begin >= *data_end + 2 * PAGE_BYTES;
    if (end > *data_end)
        *data_end = end;
}

static void note_program(const struct rig_program *program)
{
    uint32_t data_end = 0; /* of the newest image */
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const struct rig_op *op = &program->ops[i];
        if (op->kind == RIG_IMAGE)
            data_end = 0;
        if (op->kind == RIG_DATA)
            note_data(op, &data_end);
        if (op->kind == RIG_FILL)
            seen.zero_pages += is_zero_page(op);
        if (op->kind == RIG_FAULT) {
            check_fault(op, &program->world);
            note_fault(op, i + 1 < program->n_ops ? op + 1 : NULL);
        }
    }
}

/* The seed is fixed: so are the counts, and each bound is about half of what they are. */
static void test_generate__rare_choices_turn_up(void)
{
    static struct rig_program program;
    struct rig_random random = {1};
    for (uint32_t i = 0; i < N_PROGRAMS; i++) {
        rig_program_generate(&random, N_OPS, &program);
        note_program(&program);
    }
    for (unsigned call = 0; call < RIG_N_CALLS; call++) {
        CHECK(seen.faults[call] > 800 && seen.errors[call] > 400);
        CHECK(seen.followed[call] > 150);
        CHECK(!telling_error[call] || 2 * seen.telling[call] > seen.errors[call]);
    }
    CHECK(seen.shorts[RIG_CALL_PWRITE] > 800 && seen.shorts[RIG_CALL_PREAD] > 400);
    CHECK(seen.shorts[RIG_CALL_PROCESS_MADVISE] > 700 && seen.shorts[RIG_CALL_PAGEMAP_SCAN] > 450);
    CHECK(seen.zero_pages > 4000);
    CHECK(seen.far > 1600); /* by chance alone: 1115 */
}

int main(void)
{
    RUN(test_generate__rare_choices_turn_up);
    return 0;
}
