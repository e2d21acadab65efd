/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The floors: programs that do enough hold them all, and each way of doing too little is told. */
#include "harness.h"

#include "floors.h"

enum { N_PROGRAMS = 9 };
static struct rig_verdict verdicts[N_PROGRAMS];

/* Of each kind as many as the floors ask for, and not one more. */
static void do_just_enough(void)
{
    memset(verdicts, 0, sizeof verdicts);
    for (uint32_t i = 0; i < N_PROGRAMS; i++) {
        struct rig_counters *counters = &verdicts[i].counters;
        counters->n_programs = 1;
        counters->n_effective = i < N_PROGRAMS / 2 ? 1 : 20; /* the median has 20 */
    }
    struct rig_counters *all = &verdicts[0].counters;
    const uint64_t n_effective = N_PROGRAMS / 2 + (N_PROGRAMS - N_PROGRAMS / 2) * 20;
    all->n_operations = n_effective * 10 / 7;
    all->n_resets = 1000;
    all->n_erasing_resets = 300;
    all->n_faults = 3;
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++)
        if (!(RIG_UNBUILT_KINDS & RIG_BIT(kind)))
            all->kinds[kind] = (struct rig_kind_counters){.n_ok = 10, .n_refused = 1, .n_trapped = 1, .n_noop = 988};
}

/* How many floors are not held; what is said of them goes to *ret_said. */
static int check(char **ret_said)
{
    struct rig_tally tally = {0};
    size_t n = 0;
    FILE *out = open_memstream(ret_said, &n);
    for (uint32_t i = 0; i < N_PROGRAMS; i++)
        rig_tally_add(&tally, &verdicts[i]);
    const int n_low = rig_check_floors(out, &tally);
    fclose(out);
    rig_tally_free(&tally);
    return n_low;
}

static void expect_low(const char *words)
{
    char *said;
    const char *line = NULL;
    CHECK_EQ(check(&said), words != NULL);
    for (const char *low = said; (low = strstr(low, "LOW ")); low++)
        line = low;
    if (words)
        CHECK(line && strncmp(line + 5, words, strlen(words)) == 0);
    free(said);
}

static void test_floors__programs_that_do_enough_hold_them(void)
{
    do_just_enough();
    expect_low(NULL);
}

static void test_floors__too_few_effective_operations_are_told(void)
{
    do_just_enough();
    verdicts[3].counters.n_operations = 1;
    expect_low("operations that are effective: 69.");
    do_just_enough();
    verdicts[N_PROGRAMS - 1].counters.n_effective += 1;
    verdicts[N_PROGRAMS / 2].counters.n_effective -= 1;
    expect_low("the median program has 19 effective operations");
}

static void test_floors__too_few_resets_that_erase_are_told(void)
{
    do_just_enough();
    verdicts[0].counters.n_erasing_resets--;
    expect_low("resets that erase a byte: 29.9 % (299 of 1000)");
}

static void test_floors__too_few_faults_that_are_met_are_told(void)
{
    do_just_enough();
    verdicts[0].counters.n_faults--;
    expect_low("kernel calls that fail, of faults: 20.0 % (2 of 10)");
}

static void test_floors__a_kind_that_seldom_succeeds_is_told(void)
{
    do_just_enough();
    verdicts[0].counters.kinds[RIG_GROW].n_ok--;
    verdicts[0].counters.kinds[RIG_GROW].n_noop++;
    expect_low("grow that succeed: 0.9 % (9 of 1000)");
}

static void test_floors__a_kind_that_is_seldom_refused_is_told(void)
{
    do_just_enough();
    verdicts[0].counters.kinds[RIG_GROW].n_refused--;
    verdicts[0].counters.kinds[RIG_GROW].n_noop++;
    expect_low("grow that are refused or trap: 0.1 % (1 of 1000)");
    do_just_enough();
    verdicts[0].counters.kinds[RIG_FLUSH].n_refused--; /* which never is */
    expect_low(NULL);
}

static void test_floors__nothing_at_all_is_too_little(void)
{
    char *said;
    memset(verdicts, 0, sizeof verdicts);
    CHECK(check(&said) > 2 * RIG_N_KINDS / 2);
    CHECK(strstr(said, "ok ") == NULL);
    free(said);
}

int main(void)
{
    RUN(test_floors__programs_that_do_enough_hold_them);
    RUN(test_floors__too_few_effective_operations_are_told);
    RUN(test_floors__too_few_resets_that_erase_are_told);
    RUN(test_floors__too_few_faults_that_are_met_are_told);
    RUN(test_floors__a_kind_that_seldom_succeeds_is_told);
    RUN(test_floors__a_kind_that_is_seldom_refused_is_told);
    RUN(test_floors__nothing_at_all_is_too_little);
    return 0;
}
