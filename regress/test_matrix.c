/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The matrix counts which operation followed which on a slot, in which state, and which result each had at which edge. */
#include "harness.h"

#include "run.h"

#include <stdlib.h>

static struct rig_matrix matrix;
static struct rig_counters counters; /* of the last run */

static void run_once_more(const char *operations)
{
    static struct rig_text text;
    struct rig_text_error error;
    struct rig_verdict verdict;
    char source[4000];
    const struct rig_options options = {.subject = &rig_subject_pool, .until = UINT32_MAX, .matrix = &matrix};
    snprintf(source, sizeof source, "cowpool-ops 1\npool slots=2 unit=1P max=16P\n%s", operations);
    CHECK_EQ(rig_text_parse(source, strlen(source), &text, &error), 0);
    rig_run(&text.program, &options, &verdict);
    CHECK_EQ(verdict.kind, RIG_AGREE);
    counters = verdict.counters;
    free(verdict.report);
}

static void run(const char *operations)
{
    memset(&matrix, 0, sizeof matrix);
    run_once_more(operations);
}

static unsigned sum_pairs(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof matrix.pairs; i++)
        sum += ((const uint8_t *)matrix.pairs)[i];
    return sum;
}

static void test_matrix__pairs_are_of_one_slot(void)
{
    run("instantiate i0 none initial=2P\ninstantiate i1 none initial=2P\nload i0 0 width=1\nload i1 0 width=1\n"
        "reset i0\nload i1 0 width=1\n");
    CHECK_EQ(matrix.pairs[RIG_INSTANTIATE][RIG_LOAD][1], 2);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_RESET][1], 1);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_LOAD][1], 1);
    CHECK_EQ(matrix.pairs[RIG_RESET][RIG_LOAD][1], 0);
    CHECK_EQ(sum_pairs(), 6);
}

static void test_matrix__states_of_a_slot(void)
{
    run("image A size=2P\ndata 0 stamp 9\ninstantiate i0 A initial=2P\nload i0 0 width=1\nstore i0 0 width=1\n"
        "load i0 0 width=1\ngrow i0 +1P\nload i0 0 width=1\nreset i0\nload i0 0 width=1\ngrow i0 +1P\nload i0 0 "
        "width=1\n");
    enum { IMAGE = 4, WRITTEN = 2, GROWN = 1 };
    CHECK_EQ(matrix.pairs[RIG_INSTANTIATE][RIG_LOAD][1 + IMAGE], 1);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_STORE][1 + IMAGE], 1);
    CHECK_EQ(matrix.pairs[RIG_STORE][RIG_LOAD][1 + IMAGE + WRITTEN], 1);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_GROW][1 + IMAGE + WRITTEN], 1);
    CHECK_EQ(matrix.pairs[RIG_GROW][RIG_LOAD][1 + IMAGE + WRITTEN + GROWN], 1);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_RESET][1 + IMAGE + WRITTEN + GROWN], 1);
    CHECK_EQ(matrix.pairs[RIG_RESET][RIG_LOAD][1 + IMAGE], 1);
    CHECK_EQ(matrix.pairs[RIG_GROW][RIG_LOAD][1 + IMAGE + GROWN], 1);
}

static void test_matrix__states_of_a_lease(void)
{
    run("image A size=2P\ndata 0 stamp 9\ninstantiate i0 A initial=4P\nrelease i0\ninstantiate i0 A "
        "initial=4P\nrelease i0\n"
        "instantiate i0 none initial=4P\nrelease i0\ninstantiate i0 none initial=4P\ngrow i0 +2P\nrelease i0\n"
        "instantiate i0 none initial=4P\n");
    enum { IMAGE = 4, WARM = 2, SHORTER = 1 };
    CHECK_EQ(matrix.pairs[RIG_IMAGE][RIG_INSTANTIATE][1 + IMAGE],
             1); /* the first operation of a slot follows none: IMAGE is 0 */
    CHECK_EQ(matrix.pairs[RIG_RELEASE][RIG_INSTANTIATE][1 + IMAGE + WARM], 1);
    CHECK_EQ(matrix.pairs[RIG_RELEASE][RIG_INSTANTIATE][1 + WARM], 1);
    CHECK_EQ(matrix.pairs[RIG_RELEASE][RIG_INSTANTIATE][1 + WARM + SHORTER], 1);
}

static void test_matrix__results_at_edges(void)
{
    run("instantiate i0 none initial=2P max=3P\nstore i0 end-8 width=8\nstore i0 acc width=1\nload i0 prev width=1\n"
        "grow i0 +2P\ngrow i0 +1P\nrelease i0\nload i0 0 width=1\n");
    enum { TRAP = COW_N_REFUSALS + 1 };
    CHECK_EQ(matrix.results[RIG_STORE][RIG_EDGE_END][COW_OK], 1);
    CHECK_EQ(matrix.results[RIG_STORE][RIG_EDGE_ACC][TRAP], 1);
    CHECK_EQ(matrix.results[RIG_LOAD][RIG_EDGE_PREV][COW_OK], 1);
    CHECK_EQ(matrix.results[RIG_GROW][RIG_EDGE_START][COW_LIMIT], 1);
    CHECK_EQ(matrix.results[RIG_GROW][RIG_EDGE_START][COW_OK], 1);
    CHECK_EQ(matrix.results[RIG_LOAD][RIG_EDGE_START][COW_STALE], 1);
    CHECK_EQ(matrix.pairs[RIG_RELEASE][RIG_LOAD][0], 1); /* no live instance */
}

static void test_matrix__counters_stop_at_their_end(void)
{
    char operations[3000] = "instantiate i0 none\n";
    for (size_t i = 0, n = strlen(operations); i < 150; i++)
        n += (size_t)snprintf(operations + n, sizeof operations - n, "load i0 0 width=1\n");
    run(operations);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_LOAD][1], 149);
    run_once_more(operations);
    CHECK_EQ(matrix.pairs[RIG_LOAD][RIG_LOAD][1], 255);
    CHECK_EQ(matrix.results[RIG_LOAD][RIG_EDGE_START][COW_OK], 255);
    CHECK_EQ(matrix.results[RIG_INSTANTIATE][RIG_EDGE_START][COW_OK], 2);
}

static void test_matrix__is_printed(void)
{
    char *printed = NULL;
    size_t n = 0;
    run("instantiate i0 none initial=2P\nstore i0 end width=8\nstore i0 0 width=8\nstore i0 0 width=8\n");
    FILE *memory = open_memstream(&printed, &n);
    rig_matrix_print(memory, &matrix);
    fclose(memory);
    CHECK(strstr(printed, "\n3 pairs, 4 with a state\n") != NULL);
    CHECK(strstr(printed, "\nstore         trap           end\n") != NULL);
    CHECK(strstr(printed, "\nstore         ok             start\n") != NULL);
    CHECK(strstr(printed, "\n3 results with an edge\n") != NULL);
    free(printed);
}

static void test_matrix__is_told_to_other_tools(void)
{
    char *printed = NULL;
    size_t n = 0;
    run("image A size=2P\nimage A size=2P\ninstantiate i0 none initial=2P\nstore i0 acc width=8\nstore i0 0 width=8\n"
        "store i0 0 width=8\nrelease i0\nrelease i0\n");
    FILE *memory = open_memstream(&printed, &n);
    rig_matrix_print_json(memory, &matrix, &counters);
    fclose(memory);
    CHECK(strstr(printed, "{\"pairs\":6,\"states\":7,\"results\":6,\"operations\":[{\"name\":\"image\",\"results\":{"
                          "\"ok\":1,\"nothing\":1},"
                          "\"followed_by\":{\"image\":1,\"instantiate\":1}},{\"name\":\"data\",\"results\":{},"
                          "\"followed_by\":{}},") == printed);
    CHECK(strstr(
              printed,
              ",{\"name\":\"store\",\"results\":{\"ok\":2,\"trap\":1},\"followed_by\":{\"store\":2,\"release\":1}},") !=
          NULL);
    CHECK(strstr(printed, ",{\"name\":\"release\",\"results\":{\"ok\":1,\"stale\":1},") != NULL);
    CHECK(strstr(printed, "\"schedule\"") == NULL); /* which is not built */
    CHECK(strcmp(printed + n - 4, "}}]}") == 0);
    free(printed);
}

int main(void)
{
    RUN(test_matrix__pairs_are_of_one_slot);
    RUN(test_matrix__states_of_a_slot);
    RUN(test_matrix__states_of_a_lease);
    RUN(test_matrix__results_at_edges);
    RUN(test_matrix__counters_stop_at_their_end);
    RUN(test_matrix__is_printed);
    RUN(test_matrix__is_told_to_other_tools);
    return 0;
}
