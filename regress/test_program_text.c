/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The text form: what it says, how errors name their place, and that both forms are of one thing. */
#include "harness.h"
#include "program.h"

#define HEAD "cowpool-ops 1\n"
#define N_RANDOM 100000
#define N_GENERATED 10000

static struct rig_text text, again;
static struct rig_text_error error;

static int parse(const char *source)
{
    return rig_text_parse(source, strlen(source), &text, &error);
}

static char *print(const struct rig_text *of)
{
    char *printed = NULL;
    size_t n;
    FILE *memory = open_memstream(&printed, &n);
    CHECK(memory != NULL);
    rig_print_program(memory, &of->program, of, of->expect);
    fclose(memory);
    return printed;
}

static void check_prints(const char *source, const char *expected)
{
    int failed = parse(source);
    if (failed)
        printf("%s%u:%u: %s\n", source, error.line, error.column, error.what);
    CHECK(!failed);
    char *printed = print(&text);
    CHECK_STRINGS(printed, expected);
    free(printed);
}

static void check_error(const char *source, uint32_t line, uint32_t column, const char *what)
{
    CHECK_EQ(parse(source), -1);
    CHECK_STRINGS(error.what, what);
    CHECK_EQ(error.line, line);
    CHECK_EQ(error.column, column);
}

/* ---- what there is ---- */

static void test_text__every_operation_prints_as_it_was_written(void)
{
    static const char *const ops[] = {
        "image A size=9000",
        "image H size=9000 like=A",
        "image C size=1W samefile=B",
        "image D size=1W copyfile=A",
        "data 0 bytes 01 fe 03",
        "data 4090 stamp 16",
        "data 1P zero 2K",
        "drop A",
        "instantiate i0 none",
        "instantiate i7 H initial=4P",
        "instantiate i0 none initial=0 max=0",
        "reuse i0~3 A max=1G",
        "store i0 end-8 width=8",
        "load i7~1 start-3 width=16",
        "fill i0 end-4 to=acc",
        "fill i0 end-4 len=4 byte=0",
        "copy i0 prev from=1025 len=4",
        "init i1 image+1 segment=63 from=4 len=8",
        "scribble i0 end to=acc",
        "hostread i0 0 len=10",
        "hostwrite i0 max-1 len=10M",
        "probe i0 slot-1",
        "grow i0 +2P",
        "grow i0 to=max",
        "grow i0 huge",
        "reset i0",
        "release i0~2",
        "flush",
        "fork",
        "fork store i0 end-1",
        "advise i0 0 len=1P cold",
        "advise i0 0 to=end pageout",
        "advise i0 end-1 len=1 willneed",
        "pin i0",
        "unpin i0 0 to=end",
        "pin i0 4096 len=1P",
        "schedule 0 7 0",
        "fault mmap nth=3 forever error=ENOMEM",
        "fault pwrite nth=1 short=4",
        "fault process_madvise nth=1 lie",
        "@7 store i1 0 width=1",
    };
    char source[200];
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        const char *pool = strncmp(ops[i], "fork", 4) ? "" : "pool enable=all\n";
        snprintf(source, sizeof source, HEAD "%s%s\n", pool, ops[i]);
        check_prints(source, source);
        CHECK_EQ(text.program.n_ops, 1);
        CHECK_EQ(text.line[0], *pool ? 3 : 2);
    }
}

static void test_text__every_expectation_prints_as_it_was_written(void)
{
    static const char *const expects[] = {"ok",    "ok=4P",        "trap prev-1", "trap 4096", "refused image-longer",
                                          "stale", "error ENOMEM", "error E2BIG", "noop"};
    char source[200];
    for (size_t i = 0; i < sizeof expects / sizeof expects[0]; i++) {
        snprintf(source, sizeof source, HEAD "%-33s -> %s\n", "release i0", expects[i]);
        check_prints(source, source);
        CHECK(text.expect[0].kind != RIG_EXPECT_NOTHING);
    }
}

static void test_text__the_fields_are_where_they_belong(void)
{
    check_prints(HEAD "store i3~2 acc-0x10K width=4 -> trap end+1\n",
                 HEAD "store i3~2 acc-16K width=4        -> trap end+1\n");
    const struct rig_op *op = &text.program.ops[0];
    CHECK_EQ(op->kind, RIG_STORE);
    CHECK_EQ(op->reg, 3);
    CHECK_EQ(op->age, 2);
    CHECK_EQ(op->at.edge, RIG_EDGE_ACC);
    CHECK_EQ(op->at.minus, 1);
    CHECK_EQ(op->at.offset.n, 16);
    CHECK_EQ(op->at.offset.unit, RIG_UNIT_K);
    CHECK_EQ(op->width, 4);
    CHECK_EQ(text.expect[0].kind, RIG_EXPECT_TRAP);
    CHECK_EQ(text.expect[0].at.edge, RIG_EDGE_END);
    CHECK_EQ(text.expect[0].at.offset.n, 1);
    CHECK_EQ(parse(HEAD "instantiate i0 none max=3P"), 0);
    CHECK(!op->has_initial && op->has_max && op->len2.n == 3 && op->image == RIG_NO_IMAGE);
}

static void test_text__sizes_and_places_have_one_spelling(void)
{
    static const char *const places[][2] = {
        {"0x1000", "4096"}, {"start+5", "5"},   {"start-5", "start-5"}, {"start", "0"},      {"end-0", "end"},
        {"end+0K", "end"},  {"4096+8", "4104"}, {"4096-8", "4088"},     {"8-16", "start-8"}, {"1K+1", "1025"},
        {"2P+1P", "3P"},    {"5-0", "5"},       {"1P-0", "1P"},         {"0P", "0"},         {"0-3P", "start-3P"},
        {"7-7", "0"},       {"1K-1K", "0"},     {"1W-1", "65535"},      {"0xffK", "255K"},
    };
    char source[100], expected[100];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(source, sizeof source, HEAD "probe i0 %s\n", places[i][0]);
        snprintf(expected, sizeof expected, HEAD "probe i0 %s\n", places[i][1]);
        check_prints(source, expected);
    }
}

static void test_text__blanks_comments_and_a_missing_last_newline_do_not_matter(void)
{
    check_prints("cowpool-ops 1 # c\n\n \t# c\n\tneeds  guard#c\n needs fork hostpage=4K\n\npool  slots=1 # c\n\n "
                 "flush\t->  ok # \xc3\xa9",
                 HEAD "needs hostpage=4K guard fork\npool slots=1\nflush                             -> ok\n");
    CHECK_EQ(text.line[0], 9);
    CHECK_EQ(text.needs, RIG_NEED_GUARD | RIG_NEED_FORK);
    CHECK_EQ(text.need_hostpage.n, 4);
}

static void test_text__the_pool_line_says_what_is_not_the_default(void)
{
    check_prints(HEAD "pool sweep=yes guard=1P probe=rotate slots=2 queue=0 max=16P\n", HEAD);
    CHECK_EQ(text.program.world.enabled, (1u << RIG_N_KINDS) - 1 - (1u << RIG_FORK));
    check_prints(HEAD "pool\n", HEAD);
    const char *all = HEAD "pool slots=8 lanes=8 max=0 unit=1 guard=0 resident=1M queue=4 warm=3 growth=guard "
                           "reset=adaptive observe=quiet probe=none kernel=each sweep=no enable=all\n";
    check_prints(all, all);
}

static void test_text__enable_has_one_spelling(void)
{
    check_prints(HEAD "pool enable=store,release\n", HEAD "pool enable=none\n");
    check_prints(HEAD "pool enable=flush,probe,probe,store\nprobe i0 0\nstore i0 0 width=1\n",
                 HEAD "pool enable=probe,flush\nprobe i0 0\nstore i0 0 width=1\n");
    check_prints(
        HEAD
        "pool enable=drop,load,fill,copy,init,scribble,hostread,hostwrite,probe,reset,flush,advise,pin,unpin,fault\n",
        HEAD);
    check_prints(
        HEAD
        "pool "
        "enable=fork,drop,load,fill,copy,init,scribble,hostread,hostwrite,probe,reset,flush,advise,pin,unpin,fault\n",
        HEAD "pool enable=all\n");
    check_prints(HEAD "pool enable=fork\nfork\n", HEAD "pool enable=fork\nfork\n");
    check_prints(HEAD "pool enable=none\nschedule 0 1\n", HEAD "pool enable=none\nschedule 0 1\n");
}

/* ---- errors ---- */

static void test_text__unknown_edge_is_reported_with_its_column(void)
{
    check_error(HEAD "# c\nstore i0 eend-8 width=8\n", 3, 10, "expected an edge or a size, found 'eend-8'");
    check_error(HEAD "probe i0 ends", 2, 13, "expected '+', '-' or a blank after the place, found 's'");
}

static void test_text__what_is_not_the_first_line_is_reported(void)
{
    check_error("", 1, 1, "expected 'cowpool-ops 1', found the end of the line");
    check_error("flush\n", 1, 1, "expected 'cowpool-ops 1', found 'flush'");
    check_error("# c\n" HEAD, 1, 1, "expected 'cowpool-ops 1', found the end of the line");
    check_error("cowpool-ops\n", 1, 12, "expected version 1, found the end of the line");
    check_error("cowpool-ops 2\n", 1, 13, "expected version 1, found '2'");
    check_error("cowpool-ops 1 2\n", 1, 15, "expected the end of the line, found '2'");
}

static void test_text__bytes_that_no_editor_shows_are_reported(void)
{
    check_error("cowpool-ops 1\r\n", 1, 14, "expected lines that end in LF, found CR");
    check_error(HEAD "flush # \r\n", 2, 9, "expected lines that end in LF, found CR");
    CHECK_EQ(rig_text_parse(HEAD "flush\0\n", sizeof HEAD + 6, &text, &error), -1);
    CHECK_STRINGS(error.what, "expected text, found a NUL byte");
    CHECK_EQ(error.column, 6);
    check_error(HEAD "flu\xffsh\x7f\n", 2, 1, "expected an operation, found 'flu?sh?'");
}

static void test_text__limits_are_reported(void)
{
    static char source[sizeof HEAD + (RIG_MAX_OPS + 1) * sizeof "flush"];
    snprintf(source, sizeof source, HEAD "#%999d", 0);
    CHECK_EQ(parse(source), 0);
    snprintf(source, sizeof source, HEAD "#%1000d", 0);
    check_error(source, 2, 1001, "expected at most 1000 bytes in a line");

    size_t n = (size_t)snprintf(source, sizeof source, HEAD);
    for (int i = 0; i < RIG_MAX_OPS; i++)
        n += (size_t)snprintf(source + n, sizeof source - n, "flush\n");
    CHECK_EQ(parse(source), 0);
    CHECK_EQ(text.program.n_ops, RIG_MAX_OPS);
    snprintf(source + n, sizeof source - n, "flush\n");
    check_error(source, 258, 1, "expected at most 256 operations, found 'flush'");

    check_error(HEAD "data 0 stamp 268435456", 2, 14, "the number is too large: at most 268435455 here");
    check_error(HEAD "data 0 stamp 0xffffffffffffffffffff", 2, 14, "the number is too large: at most 268435455 here");
    check_error(HEAD "probe i0 200000000+200000000", 2, 10, "the number is too large: at most 268435455 here");
    check_error(HEAD "probe i0 1G+1", 2, 10, "the number is too large: at most 268435455 here");
}

static void test_text__pool_line_errors_are_reported(void)
{
    check_error(HEAD "pool slots=1 max=4P slots=2\n", 2, 21, "expected every key only once, found 'slots=2'");
    check_error(HEAD "pool slots=9\n", 2, 12, "the number is too large: at most 8 here");
    check_error(HEAD "pool slots=0\n", 2, 12, "the number is too small: at least 1 here");
    check_error(HEAD "pool unit=0\n", 2, 11, "expected a size of at least 1, found '0'");
    check_error(HEAD "pool max=\n", 2, 10, "expected a size, found the end of the line");
    check_error(HEAD "pool max= 4P\n", 2, 10, "expected a size, found the end of the line");
    check_error(HEAD "pool growth=shrink\n", 2, 13, "expected a value that this key knows, found 'shrink'");
    check_error(HEAD "pool size=4\n", 2, 6,
                "expected a key of the pool line, such as 'slots=' or 'max=', found 'size=4'");
    check_error(HEAD "pool enable=probe,blink\n", 2, 19,
                "expected 'all', 'none' or operations with ',' between them, found 'blink'");
    check_error(HEAD "pool\npool\n", 3, 1, "expected one 'pool' line, before the operations");
    check_error(HEAD "flush\npool slots=1\n", 3, 1, "expected one 'pool' line, before the operations");
    check_error(HEAD "pool\nneeds guard\n", 3, 1, "expected 'needs' before the pool line and the operations");
    check_error(HEAD "needs\n", 2, 6,
                "expected 'hostpage=', 'guard', 'scan', 'batch' or 'fork', found the end of the line");
    check_error(HEAD "needs hostpage=4K\nneeds hostpage=4K\n", 3, 7,
                "expected 'hostpage=' only once, found 'hostpage=4K'");
}

static void test_text__operation_errors_are_reported(void)
{
    check_error(HEAD "stor i0 0 width=1\n", 2, 1, "expected an operation, found 'stor'");
    check_error(HEAD "image I size=1\n", 2, 7, "expected an image A .. H, found 'I'");
    check_error(HEAD "image A\n", 2, 8, "expected 'size=', found the end of the line");
    check_error(HEAD "store i8 0 width=1\n", 2, 7, "expected a register i0 .. i7, found 'i8'");
    check_error(HEAD "store i0~4 0 width=1\n", 2, 10, "the number is too large: at most 3 here");
    check_error(HEAD "store i0 0 width=3\n", 2, 12, "expected 'width=' and 1, 2, 4, 8 or 16, found 'width=3'");
    check_error(HEAD "store i0 4X width=1\n", 2, 11, "expected '+', '-' or a blank after the place, found 'X'");
    check_error(HEAD "store i0 1P-8 width=1\n", 2, 10,
                "expected an edge or a single size, found host pages and bytes added up");
    check_error(HEAD "data 0 bytes 1\n", 2, 14, "expected two hex digits, found '1'");
    check_error(HEAD "data 0 bytes\n", 2, 13, "expected two hex digits, found the end of the line");
    check_error(HEAD "data 0 bytes 012\n", 2, 16, "expected a blank after two hex digits, found '2'");
    check_error(HEAD "data 0 bytes 01 02 03 04 05 06 07 08 09\n", 2, 38,
                "expected at most 8 bytes in a record, found '09'");
    check_error(HEAD "fill i0 0 len=4 byte=256\n", 2, 22, "the number is too large: at most 255 here");
    check_error(HEAD "grow i0 2P\n", 2, 9, "expected '+', 'to=' or 'huge', found '2P'");
    check_error(HEAD "init i0 0 segment=64 from=0 len=1\n", 2, 19, "the number is too large: at most 63 here");
    check_error(HEAD "flush -> fine\n", 2, 10,
                "expected 'ok', 'ok=', 'trap', 'refused', 'stale', 'error' or 'noop', found 'fine'");
    check_error(HEAD "flush -> error enomem\n", 2, 16, "expected the name of an errno, found 'enomem'");
    check_error(HEAD "flush -> ok ok\n", 2, 13, "expected the end of the line after: flush [trim], found 'ok'");
    check_error(HEAD "reset i0 i1\n", 2, 10, "expected '->' or the end of the line after: reset ref, found 'i1'");
    check_error(HEAD "@8 flush\n", 2, 2, "the number is too large: at most 7 here");
    check_error(HEAD "fault open nth=1 lie\n", 2, 7, "expected a kernel call, found 'open'");
    check_error(HEAD "fault mmap nth=0 lie\n", 2, 16, "the number is too small: at least 1 here");
    check_error(HEAD "fault mmap nth=1 error=EWHAT\n", 2, 24, "expected the name of an errno, found 'EWHAT'");
}

static void test_text__an_operation_that_is_not_enabled_is_reported(void)
{
    check_error(HEAD "fork\n", 2, 1, "'fork' needs 'enable=all' or 'enable=..,fork' in the pool line");
    check_error(HEAD "pool enable=fork\n  probe i0 0\n", 3, 3,
                "expected an operation that the pool line's 'enable=' lists, found 'probe'");
}

/* ---- what is not built ---- */

static void test_text__what_is_not_built_is_named(void)
{
    static const char *const cases[][2] = {
        {"pool lanes=2", "lanes"},
        {"@1 flush", "lanes"},
        {"pool resident=1", "resident= other than 2P"},
        {"pool queue=4", "queue= above 3"},
        {"pool warm=2", "warm= above 1"},
        {"schedule 0", "schedule"},
    };
    char source[100];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(source, sizeof source, HEAD "%s\n", cases[i][0]);
        CHECK_EQ(parse(source), 0);
        CHECK(rig_program_unbuilt(&text.program) != NULL);
        CHECK_STRINGS(rig_program_unbuilt(&text.program), cases[i][1]);
    }
    CHECK_EQ(parse(HEAD "flush\n"), 0);
    CHECK(rig_program_unbuilt(&text.program) == NULL);
}

/* ---- both forms ---- */

static void check_same_after_text(void)
{
    char *printed = print(&text);
    int failed = rig_text_parse(printed, strlen(printed), &again, &error);
    if (failed)
        printf("%s%u:%u: %s\n", printed, error.line, error.column, error.what);
    CHECK(!failed);
    CHECK(rig_program_equal(&text.program, &again.program));
    char *reprinted = print(&again);
    CHECK_STRINGS(reprinted, printed);
    free(reprinted);
    free(printed);
}

static void test_text__random_bytes_survive_the_text_form(void)
{
    struct rig_random random = {5};
    uint8_t bytes[20 * RIG_RECORD_BYTES];
    memset(&text, 0, sizeof text);
    for (int i = 0; i < N_RANDOM; i++) {
        size_t n = rig_random_below(&random, sizeof bytes + 1);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)rig_random_next(&random);
        rig_program_decode(bytes, n, &text.program);
        check_same_after_text();
    }
}

static void test_text__generated_programs_survive_the_text_form(void)
{
    struct rig_random random = {6};
    memset(&text, 0, sizeof text);
    for (uint32_t i = 0; i < N_GENERATED; i++) {
        rig_program_generate(&random, i % 100, &text.program);
        check_same_after_text();
    }
}

static void check_fault(const char *call, uint32_t nth, const char *forever, const char *outcome)
{
    static uint8_t bytes[RIG_BINARY_MAX_BYTES];
    char source[200];
    snprintf(source, sizeof source, HEAD "fault %s nth=%u %s%s\n", call, nth, forever, outcome);
    check_prints(source, source);
    rig_program_decode(bytes, rig_program_encode(&text.program, bytes), &again.program);
    CHECK(rig_program_equal(&text.program, &again.program));
    CHECK_EQ(rig_program_lies(&again.program), strcmp(outcome, "lie") == 0);
    CHECK_EQ(rig_n_leading_faults(&again.program), 1);
}

static void test_text__every_fault_is_the_same_in_both_forms(void)
{
    static const uint32_t nths[] = {1, 2, 255, 256, RIG_MAX_N};
    static const char *const others[] = {"short=0", "short=1", "short=4097", "lie"};
    char outcome[32];
    for (unsigned call = 0; call < RIG_N_CALLS; call++)
        for (unsigned i = 0; i < 2 * sizeof nths / sizeof *nths; i++) {
            const char *forever = i % 2 ? "forever " : "";
            for (unsigned error_i = 0; rig_error_name[error_i]; error_i++) {
                snprintf(outcome, sizeof outcome, "error=%s", rig_error_name[error_i]);
                check_fault(rig_call_name[call], nths[i / 2], forever, outcome);
            }
            for (unsigned other = 0; other < sizeof others / sizeof *others; other++)
                check_fault(rig_call_name[call], nths[i / 2], forever, others[other]);
        }
}

static void test_text__the_same_seed_generates_the_same_program(void)
{
    struct rig_random a = {7}, b = {7}, c = {8};
    rig_program_generate(&a, 100, &text.program);
    rig_program_generate(&b, 100, &again.program);
    CHECK(rig_program_equal(&text.program, &again.program));
    rig_program_generate(&c, 100, &again.program);
    CHECK(!rig_program_equal(&text.program, &again.program));
}

int main(void)
{
    RUN(test_text__every_operation_prints_as_it_was_written);
    RUN(test_text__every_expectation_prints_as_it_was_written);
    RUN(test_text__the_fields_are_where_they_belong);
    RUN(test_text__sizes_and_places_have_one_spelling);
    RUN(test_text__blanks_comments_and_a_missing_last_newline_do_not_matter);
    RUN(test_text__the_pool_line_says_what_is_not_the_default);
    RUN(test_text__enable_has_one_spelling);
    RUN(test_text__unknown_edge_is_reported_with_its_column);
    RUN(test_text__what_is_not_the_first_line_is_reported);
    RUN(test_text__bytes_that_no_editor_shows_are_reported);
    RUN(test_text__limits_are_reported);
    RUN(test_text__pool_line_errors_are_reported);
    RUN(test_text__operation_errors_are_reported);
    RUN(test_text__an_operation_that_is_not_enabled_is_reported);
    RUN(test_text__what_is_not_built_is_named);
    RUN(test_text__every_fault_is_the_same_in_both_forms);
    RUN(test_text__random_bytes_survive_the_text_form);
    RUN(test_text__generated_programs_survive_the_text_form);
    RUN(test_text__the_same_seed_generates_the_same_program);
    return 0;
}
