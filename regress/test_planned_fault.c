/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Faults that are planned from outside, as lockstep sweep does: each kernel call of each operation can be met, alone or with all behind
 * it, and fault operations say the same. */
#include "harness.h"
#include "run.h"

static struct rig_text text;
static struct rig_call_log calls[RIG_MAX_OPS + 1], made[RIG_MAX_OPS + 1];

static void parse(void)
{
    static const char program[] =
        "cowpool-ops 1\npool slots=2 max=8P probe=none\nimage A size=2P\ndata 0 stamp 100\ndata 4000 stamp 200\n"
        "image B size=2P samefile=A\ninstantiate i0 A initial=3P\nfill i0 0 to=end\ngrow i0 +2P\nreset i0\n"
        "grow i0 +2P\ninstantiate i1 B initial=2P\nreuse i0 none initial=1P\nrelease i1\ndrop B\ndrop A\nflush\n"
        "instantiate i1 none initial=2P\nload i1 0 width=8";
    struct rig_text_error error;
    CHECK_EQ(rig_text_parse(program, strlen(program), &text, &error), 0);
}

/* How many calls were made to fail. */
static uint64_t run(const struct rig_program *program, const struct rig_planned_fault *fault,
                    struct rig_told_fault *told, struct rig_expect *answers)
{
    const struct rig_options options = {.subject = &rig_subject_pool,
                                        .until = UINT32_MAX,
                                        .fault = fault,
                                        .ret_told = told,
                                        .ret_expect = answers,
                                        .ret_calls = fault ? NULL : calls};
    struct rig_verdict verdict;
    rig_run(program, &options, &verdict);
    if (verdict.kind != RIG_AGREE)
        printf("%s\n%s", verdict.line, verdict.report ? verdict.report : "");
    CHECK_EQ(verdict.kind, RIG_AGREE);
    return verdict.counters.n_faults;
}

static bool is_same_answer(const struct rig_expect *a, const struct rig_expect *b)
{
    return a->kind == b->kind && a->size.n == b->size.n && strcmp(a->name, b->name) == 0;
}

/* What was told, put before the operation, comes to the same: as many calls fail, and all answers are the same. */
static void check_told(uint32_t op, const struct rig_told_fault *told, const struct rig_expect *answers,
                       uint64_t n_faults)
{
    static struct rig_program program;
    static struct rig_expect again[RIG_MAX_OPS];
    program = text.program;
    rig_put_told_fault(&program, op, told);
    const uint32_t at = op < text.program.n_ops ? op : 0, n = program.n_ops - text.program.n_ops;
    CHECK_EQ(run(&program, NULL, NULL, again), n_faults);
    for (uint32_t i = 0; i < text.program.n_ops; i++)
        CHECK(is_same_answer(&answers[i], &again[i < at ? i : i + n]));
}

/* Returns how many calls failed. */
static uint64_t fail(uint32_t op, uint32_t nth, bool for_ever, int error, struct rig_expect *ret_answer)
{
    static struct rig_expect answers[RIG_MAX_OPS];
    const struct rig_planned_fault fault = {.op = op, .nth = nth, .for_ever = for_ever, .error = error};
    struct rig_told_fault told = {0};
    const uint64_t n_faults = run(&text.program, &fault, &told, answers);
    CHECK_EQ(told.n_ops, n_faults == 0 ? 0 : for_ever ? RIG_N_CALLS : 1);
    if (n_faults)
        check_told(op, &told, answers, n_faults);
    *ret_answer = answers[op];
    return n_faults;
}

static void test_planned_fault__each_call_of_each_operation_can_be_met(void)
{
    struct rig_expect answer;
    uint32_t n_errors = 0;
    parse();
    CHECK_EQ(run(&text.program, NULL, NULL, NULL), 0);
    memcpy(made, calls, sizeof made);
    for (uint32_t op = 0; op <= text.program.n_ops; op++) {
        for (uint32_t nth = 1; nth <= made[op].n; nth++) {
            CHECK_EQ(fail(op, nth, false, 0, &answer), 1);
            n_errors += answer.kind == RIG_EXPECT_ERROR;
            CHECK_EQ(fail(op, nth, false, -11 /* EAGAIN */, &answer), 1);
            CHECK(fail(op, nth, true, 0, &answer) >= 1);
        }
        CHECK_EQ(fail(op, made[op].n + 1u, false, 0, &answer), 0);
    }
    CHECK(n_errors > 10);
}

/* Then the end of the program goes. */
static void test_planned_fault__there_is_always_room_for_what_is_told(void)
{
    static struct rig_program full, program;
    const struct rig_told_fault told = {.n_ops = RIG_N_CALLS, .ops = {{.kind = RIG_FAULT}}};
    full = (struct rig_program){.world = rig_world_default(), .n_ops = RIG_MAX_OPS};
    for (uint32_t i = 0; i < full.n_ops; i++)
        full.ops[i] = (struct rig_op){.kind = RIG_RESET};
    for (uint32_t op = 0; op <= full.n_ops; op++) {
        program = full;
        rig_put_told_fault(&program, op, &told);
        CHECK_EQ(program.n_ops, RIG_MAX_OPS);
        CHECK_EQ(rig_n_leading_faults(&program), op == full.n_ops);
        for (uint32_t i = 0; op < full.n_ops && i < op && i < RIG_MAX_OPS - RIG_N_CALLS; i++)
            CHECK_EQ(program.ops[i].kind, RIG_RESET);
    }
}

int main(void)
{
    RUN(test_planned_fault__each_call_of_each_operation_can_be_met);
    RUN(test_planned_fault__there_is_always_room_for_what_is_told);
    return 0;
}
