/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each suspicion about the other ways to grow and to reset fires: what a subject tells of a lease's pages, slots that wait, and what is
 * left of what was only shut. */
#include "lying_lease.h"

/* ---- what became of a lease's pages ---- */

static struct cow_stats before;
enum claim { NOTHING, LET_GO, COPIED, FELL_BACK };
static enum claim claim;

/* Of the reset that has happened since it says what the test wants. */
static int tells_otherwise(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    const int result = truth->stats(subject, ret_stats);
    const uint64_t n = ret_stats->n_let_go + ret_stats->n_copied + ret_stats->n_fell_back;
    if (!is_lying() || n == before.n_let_go + before.n_copied + before.n_fell_back) {
        before = *ret_stats;
        return result;
    }
    ret_stats->n_let_go = before.n_let_go + (claim == LET_GO);
    ret_stats->n_copied = before.n_copied + (claim == COPIED);
    ret_stats->n_fell_back = before.n_fell_back + (claim == FELL_BACK);
    return result;
}

static void expect_told(enum claim told, const char *modes, const char *operations, const char *line)
{
    char program[500];
    snprintf(program, sizeof program, "cowpool-ops 1\npool slots=1 max=8P %s probe=none observe=final sweep=no\n%s",
             modes, operations);
    liar.stats = tells_otherwise;
    liar.calls = NULL; /* which are others, if it is true */
    liar.residency = NULL;
    liar.check = NULL;
    claim = told;
    lying_expect(program, line, LYING_ANYWHERE);
}

static void test_oracles__pages_that_were_not_copied_over_are_seen(void)
{
    const char *small = "instantiate i0 none initial=1P\nflush\nreset i0\nrelease i0",
               *too_many =
                   "instantiate i0 none initial=8P\nfill i0 0 to=end\n" /* and 19 resets: the next one lets go */
                   "reset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\n"
                   "reset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\nreset i0\n"
                   "reset i0\nreset i0\nreset i0\nflush\nreset i0",
               *pinned = "instantiate i0 none initial=1P\nstore i0 0 width=8\npin i0\nflush\nreset i0\nrelease i0";
    expect_told(LET_GO, "reset=copyback", small, "divergence: reset reset let-go");
    expect_told(FELL_BACK, "reset=copyback", small, "divergence: reset reset fell-back");
    expect_told(NOTHING, "reset=copyback", small, "divergence: reset reset nothing");
    expect_told(LET_GO, "reset=adaptive", small, "divergence: reset reset let-go");
    expect_told(LET_GO, "reset=adaptive", "instantiate i0 none initial=4P\nfill i0 0 to=end\nflush\nreset i0",
                "divergence: reset reset let-go"); /* all of them were needed: they must be kept */
    expect_told(COPIED, "reset=adaptive", too_many, "divergence: reset reset copied");
    expect_told(COPIED, "reset=copyback", pinned, "divergence: reset reset copied");
    CHECK(lying_says("they were given to the kernel"));
    expect_told(LET_GO, "reset=copyback", pinned, "divergence: reset reset let-go");
}

/* ---- slots that wait ---- */

/* One that was promised to be cleaned first: the slot that waits, where another was never used. */
static int takes_one_that_waits(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying())
        ret_memory->slot = 0;
    return result;
}

static void test_oracles__a_slot_that_is_lent_while_it_waits_is_seen(void)
{
    liar.memory = takes_one_that_waits;
    lying_expect("cowpool-ops 1\npool slots=2 max=4P reset=deferred queue=3 probe=none observe=final sweep=no\n"
                 "flush\ninstantiate i0 none initial=1P\nrelease i0\ninstantiate i0 none initial=2P",
                 "divergence: placement instantiate queued", 3);
}

/* One that nobody has used yet, where as many are warm as may be. */
static int takes_a_bare_one(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying() && ret_memory->length_bytes == 2 * lying_page())
        ret_memory->slot = 1;
    return result;
}

static void test_oracles__a_bare_slot_lent_where_enough_are_warm_is_seen(void)
{
    liar.memory = takes_a_bare_one;
    lying_expect("cowpool-ops 1\npool slots=2 max=4P warm=1 probe=none observe=final sweep=no\n"
                 "flush\ninstantiate i0 none initial=1P\nrelease i0\ninstantiate i0 none initial=2P",
                 "divergence: placement instantiate idle", 3);
}

/* ---- a trim ---- */

static bool has_trimmed;

static int leaves_all_pages(struct rig_subject *subject)
{
    has_trimmed = is_lying();
    return has_trimmed ? truth->flush(subject) : truth->trim(subject);
}

static int counts_a_trim(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    const int result = truth->stats(subject, ret_stats);
    ret_stats->n_trims += has_trimmed;
    return result;
}

static void test_oracles__pages_that_a_trim_leaves_are_seen(void)
{
    has_trimmed = false;
    liar.trim = leaves_all_pages;
    liar.stats = counts_a_trim;
    liar.calls = NULL; /* of which there are fewer */
    lying_expect("cowpool-ops 1\npool slots=1 max=4P reset=copyback probe=none observe=final kernel=each sweep=no\n"
                 "instantiate i0 none initial=2P\nfill i0 0 to=end\nrelease i0\nflush\nflush trim",
                 "divergence: resident flush initial", 4);
}

/* ---- bounds in software ---- */

static int64_t reads_a_page_further(struct rig_subject *subject, uint64_t handle, uint64_t offset,
                                    uint64_t length_bytes, int fd)
{
    return truth->host_read(subject, handle, offset + (is_lying() ? lying_page() : 0), length_bytes, fd);
}

static void test_oracles__what_the_kernel_reads_above_the_length_is_compared(void)
{
    liar.host_read = reads_a_page_further;
    lying_expect("cowpool-ops 1\npool slots=1 max=4P growth=software probe=none observe=final sweep=no\n"
                 "instantiate i0 none initial=1P\nscribble i0 2P len=8\nflush\nhostread i0 2P len=8",
                 "divergence: host hostread bytes", 3);
}

/* ---- what was only shut ---- */

static struct cow_memory grown;

/* Opened, written to, and shut again: nobody can see it before the next tenant grows. */
static void leaves_a_page(void)
{
    uint8_t *page = grown.base + 2 * lying_page();
    CHECK_EQ(mprotect(page, lying_page(), PROT_READ | PROT_WRITE), 0);
    *page = 1;
    CHECK_EQ(mprotect(page, lying_page(), PROT_NONE), 0);
}

static int notes_memory(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    if (subject == lying_state.subject && truth->memory(subject, handle, &memory) == COW_OK)
        grown = memory;
    return truth->release(subject, handle);
}

static void test_oracles__a_page_that_stays_behind_the_end_is_seen(void)
{
    liar.release = notes_memory;
    expect_at_flush(leaves_a_page,
                    "cowpool-ops 1\npool slots=1 max=8P growth=protect probe=none observe=final kernel=each sweep=no\n"
                    "instantiate i0 none initial=1P\ngrow i0 +2P\nrelease i0\nflush\nflush",
                    "divergence: resident flush extension", LYING_ANYWHERE);
    liar.release = notes_memory;
    expect_at_flush(leaves_a_page,
                    "cowpool-ops 1\npool slots=1 max=8P growth=protect probe=none observe=final sweep=no\n"
                    "instantiate i0 none initial=1P\ngrow i0 +2P\nrelease i0\nflush",
                    "divergence: resident end extension", LYING_ANYWHERE);
}

/* ---- mappings behind E ---- */

static void opens_what_is_past_the_end(void)
{
    CHECK_EQ(mprotect(page_at(6), lying_page(), PROT_READ | PROT_WRITE), 0);
}

static void test_oracles__access_behind_the_initial_length_is_seen(void)
{
    static const char protect[] =
        "cowpool-ops 1\npool slots=1 max=8P growth=protect probe=none observe=final sweep=no\n"
        "instantiate i0 none initial=4P\ngrow i0 +1P\nflush";
    static const char guard[] = "cowpool-ops 1\npool slots=1 max=8P growth=guard probe=none observe=final sweep=no\n"
                                "instantiate i0 none initial=1P\ngrow i0 +1P\nflush";
    expect_at_flush(opens_what_is_past_the_end, protect, "divergence: mapping end extension", LYING_ANYWHERE);
    expect_at_flush(opens_what_is_past_the_end, guard, "divergence: mapping end extension", LYING_ANYWHERE);
}

/* ---- descriptors of the pool's own ---- */

static uint32_t has_one_less(struct rig_subject *subject)
{
    return truth->n_own_files(subject) - is_lying();
}

static void test_oracles__a_file_of_the_pool_that_nobody_knows_of_is_seen(void)
{
    static const char *const modes[] = {"copyback", "deferred",
                                        "adaptive"}; /* of page tables, of the process, of both */
    char program[200];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        snprintf(program, sizeof program,
                 "cowpool-ops 1\npool slots=1 max=4P reset=%s probe=none observe=final sweep=no\nflush", modes[i]);
        liar.n_own_files = has_one_less;
        lying_expect(program, "divergence: leak end descriptor", LYING_ANYWHERE);
    }
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__pages_that_were_not_copied_over_are_seen);
    RUN(test_oracles__a_slot_that_is_lent_while_it_waits_is_seen);
    RUN(test_oracles__a_bare_slot_lent_where_enough_are_warm_is_seen);
    RUN(test_oracles__pages_that_a_trim_leaves_are_seen);
    RUN(test_oracles__what_the_kernel_reads_above_the_length_is_compared);
    RUN(test_oracles__a_page_that_stays_behind_the_end_is_seen);
    RUN(test_oracles__access_behind_the_initial_length_is_seen);
    RUN(test_oracles__a_file_of_the_pool_that_nobody_knows_of_is_seen);
    return 0;
}
