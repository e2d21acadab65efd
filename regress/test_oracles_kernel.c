/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence that the rig can report about what a guest does not see fires: which slot, how many kernel calls, images,
 * books, what is left behind, what the kernel reads and writes, and children. */
#include "lying.h"

#define POOL "cowpool-ops 1\npool slots=2 max=8P probe=none\n"

/* ---- placement ---- */

static uint32_t said_slot;

static int says_slot(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying())
        ret_memory->slot = said_slot == UINT32_MAX ? 1 - ret_memory->slot : said_slot;
    return result;
}

static void expect_misplaced(uint32_t slot, const char *program, const char *line, int op)
{
    liar.memory = says_slot;
    said_slot = slot;
    lying_expect(program, line, op);
}

static void test_oracles__a_slot_that_does_not_exist_is_seen(void)
{
    expect_misplaced(2, POOL "flush\ninstantiate i0 none", "divergence: placement instantiate nowhere", 1);
    CHECK(lying_says("slot 2 does not exist"));
}

static void test_oracles__a_slot_lent_twice_is_seen(void)
{
    expect_misplaced(UINT32_MAX, POOL "instantiate i0 none\nflush\ninstantiate i1 none",
                     "divergence: placement instantiate live", 2);
}

static void test_oracles__a_used_slot_where_there_was_a_bare_one_is_seen(void)
{
    expect_misplaced(UINT32_MAX, POOL "instantiate i0 none\nrelease i0\nflush\ninstantiate i0 none initial=2P",
                     "divergence: placement instantiate bare", 3);
}

static void test_oracles__a_slot_that_was_not_idle_longest_is_seen(void)
{
    expect_misplaced(UINT32_MAX,
                     POOL "instantiate i0 none\ninstantiate i1 none initial=2P\nrelease i0\nrelease i1\nflush\n"
                          "instantiate i0 none initial=3P",
                     "divergence: placement instantiate oldest", 5);
}

/* Really: another lease takes the warm slot for a moment. */
static int misses_the_warm_slot(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                                uint64_t *ret_handle)
{
    uint64_t other = 0;
    if (is_lying())
        CHECK_EQ(truth->instantiate(subject, image, initial_bytes, max_bytes, &other), COW_OK);
    const int result = truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (is_lying())
        CHECK_EQ(truth->release(subject, other), COW_OK);
    return result;
}

static void test_oracles__a_warm_slot_that_was_not_used_is_seen(void)
{
    liar.instantiate = misses_the_warm_slot;
    lying_expect(POOL "instantiate i0 none\nrelease i0\nflush\ninstantiate i0 none",
                 "divergence: placement instantiate warm", 3);
}

/* ---- kernel calls ---- */

static enum cow_call one_more;

static void counts_one_more(struct rig_subject *subject, uint64_t ret_n_calls[COW_N_CALLS])
{
    truth->calls(subject, ret_n_calls);
    ret_n_calls[one_more] += is_lying();
}

static void test_oracles__one_call_of_any_kind_too_many_is_seen(void)
{
    char line[64];
    for (int call = 0; call < COW_N_CALLS; call++) {
        liar.calls = counts_one_more;
        one_more = (enum cow_call)call;
        snprintf(line, sizeof line, "divergence: calls flush %s", cow_call_name(one_more));
        lying_expect(POOL "instantiate i0 none\nflush", line, 1);
        CHECK(lying_says("1 calls of "));
        CHECK(lying_says(", where 0 were expected"));
    }
}

static int resets_twice(struct rig_subject *subject, uint64_t handle)
{
    if (is_lying())
        CHECK_EQ(truth->reset(subject, handle), COW_OK);
    return truth->release(subject, handle);
}

static void test_oracles__a_reset_done_twice_is_seen(void)
{
    liar.release = resets_twice;
    lying_expect(POOL "instantiate i0 none\nflush\nrelease i0", "divergence: calls release madvise", 2);
}

static int pretends_to_reset(struct rig_subject *subject, uint64_t handle)
{
    return is_lying() ? COW_OK : truth->reset(subject, handle);
}

static void test_oracles__a_reset_that_was_not_done_is_seen_though_nothing_had_been_written(void)
{
    liar.reset = pretends_to_reset;
    lying_expect(POOL "instantiate i0 none\nflush\nreset i0", "divergence: calls reset madvise", 2);
    CHECK(lying_says("0 calls of madvise, where 1 were expected"));
}

/* The right slot, in the right state, but paved anew. */
static int forgets_that_it_is_warm(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                                   uint64_t *ret_handle)
{
    uint64_t other = 0;
    if (is_lying()) {
        CHECK_EQ(truth->instantiate(subject, NULL, 0, 0, &other), COW_OK);
        CHECK_EQ(truth->release(subject, other), COW_OK);
    }
    return truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
}

static void test_oracles__a_fast_path_that_was_not_taken_is_seen(void)
{
    liar.instantiate = forgets_that_it_is_warm;
    lying_expect("cowpool-ops 1\npool slots=1\ninstantiate i0 none\nflush\nreuse i0 none",
                 "divergence: calls reuse mmap", 2);
    liar.instantiate = forgets_that_it_is_warm;
    lying_expect("cowpool-ops 1\npool slots=1 observe=final\ninstantiate i0 none\nflush\nrelease i0",
                 "divergence: calls end mmap", 3);
}

/* ---- images ---- */

#define IMAGES "image A size=1P\ndata 8 bytes 01 02 03\nimage B size=1P\ndata 8 bytes 01 07 03\nflush\n"

/* The same bytes, but written there: the page is a private copy. */
static int copies_the_image(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                            uint64_t *ret_handle)
{
    const int result = lying_instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (is_lying() && image)
        *(volatile uint8_t *)lying_at(8) = 1;
    return result;
}

static void test_oracles__an_image_that_is_copied_and_not_mapped_is_seen(void)
{
    liar.instantiate = copies_the_image;
    lying_expect(POOL IMAGES "instantiate i0 A", "divergence: mapping instantiate image", 5);
}

static int makes_another_image(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                               size_t n_segments, void **ret_image)
{
    const struct cow_segment other = {8, "\x01\x02\x04", 3};
    return truth->image_create(subject, extent_bytes, is_lying() ? &other : segments, n_segments, ret_image);
}

static void test_oracles__an_image_that_changed_is_seen_though_nobody_uses_it(void)
{
    liar.image_create = makes_another_image;
    lying_expect(POOL "flush\nimage A size=1P\ndata 8 bytes 01 02 03", "divergence: image end changed", 3);
}

static void *image_a, *image_b;

static int notes_images(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                        size_t n_segments, void **ret_image)
{
    const int result = truth->image_create(subject, extent_bytes, segments, n_segments, ret_image);
    image_a = image_b;
    image_b = *ret_image;
    return result;
}

static int lends_the_other_image(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                                 uint64_t *ret_handle)
{
    return lying_instantiate(subject, is_lying() && image == image_a ? image_b : image, initial_bytes, max_bytes,
                             ret_handle);
}

static void test_oracles__another_image_is_seen_and_named(void)
{
    liar.image_create = notes_images;
    liar.instantiate = lends_the_other_image;
    lying_expect(POOL IMAGES "instantiate i0 A", "divergence: bytes instantiate image", 5);
    CHECK(lying_says("image B holds the byte found at this offset"));
    CHECK(lying_says("\n  model    02 03 00 "));
    CHECK(lying_says("\n  pool     07 03 00 "));
    CHECK(lying_says("\nwhere it lies:\n  slot "));
    CHECK(lying_says("live, maps an image"));
    CHECK(lying_says("private file\n"));
    CHECK(lying_says("the page: present"));
}

/* ---- tenants ---- */

static uint64_t stale_offset; /* where bytes survive, or appear, behind the pool's back */

/* The reset takes place, and eight bytes come back. */
static int keeps_bytes(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    uint8_t bytes[8];
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    const bool keeps = is_lying() && memory.accessible_bytes > stale_offset;
    if (keeps)
        memcpy(bytes, memory.base + stale_offset, sizeof bytes);
    const int result = truth->release(subject, handle);
    if (keeps)
        memcpy(memory.base + stale_offset, bytes, sizeof bytes);
    return result;
}

static void test_oracles__bytes_of_the_tenant_before_are_seen_with_who_wrote_them(void)
{
    liar.release = keeps_bytes;
    stale_offset = lying_page();
    lying_expect(
        "cowpool-ops 1\npool slots=1\ninstantiate i0 none initial=2P\nstore i0 1P width=8\nstore i0 8 width=4\n"
        "flush\nreuse i0 none initial=2P",
        "divergence: bytes reuse zero", 4);
    CHECK(lying_says("8 bytes differ of an instance of "));
    CHECK(lying_says("\n  model    00 00 00 00 00 00 00 00 "));
    CHECK(lying_says(
        "\nwho wrote it:\n  an earlier tenant of the slot wrote this place in operation 1: store i0 1P width=8 "
        "  <- the byte found is that one's\n"));
    CHECK(lying_says("\n   1  store i0 1P width=8\n"));
    CHECK(!strstr(lying_state.report, "no operation wrote this place"));
}

/* Where nobody looks at the kernel's side of it. */
static void test_oracles__a_byte_left_in_an_idle_slot_is_seen_by_the_sweep_alone(void)
{
    static const char program[] =
        "cowpool-ops 1\npool slots=2 sweep=%s\ninstantiate i0 none initial=2P\nstore i0 1P width=8\n"
        "flush\nrelease i0\ninstantiate i0 none initial=3P";
    char text[256];
    liar.release = keeps_bytes;
    liar.extension_file = NULL;
    stale_offset = lying_page();
    snprintf(text, sizeof text, program, "yes");
    lying_expect(text, "divergence: bytes end zero", 5);
    liar.release = keeps_bytes;
    liar.extension_file = NULL;
    snprintf(text, sizeof text, program, "no");
    const struct rig_verdict verdict = lying_run(text, true);
    CHECK_EQ(verdict.kind, RIG_AGREE);
    lying_begin(truth);
}

static void test_oracles__a_byte_left_in_any_idle_slot_is_seen_by_the_sweep(void)
{
    static const char program[] =
        POOL "instantiate i0 none initial=2P\ninstantiate i1 none initial=2P\nstore i%d 1P width=8\n"
             "flush\nrelease i0\nrelease i1";
    char text[256];
    stale_offset = lying_page();
    for (int i = 0; i < 2; i++) {
        liar.release = keeps_bytes;
        snprintf(text, sizeof text, program, i);
        lying_expect(text, "divergence: bytes end zero", 6);
    }
}

/* All of it is leased at once: there is nothing to grow, and to look at then. */
static void test_oracles__a_byte_left_in_a_slot_that_cannot_grow_is_seen_by_the_sweep(void)
{
    liar.release = keeps_bytes;
    stale_offset = lying_page();
    lying_expect(POOL "instantiate i0 none initial=8P\nstore i0 1P width=8\nflush\nrelease i0",
                 "divergence: bytes end zero", 4);
}

/* Only an instance of that image sees it: for any other one the slot is mapped anew. */
static void test_oracles__a_byte_left_behind_an_image_is_seen_by_the_sweep(void)
{
    liar.release = keeps_bytes;
    stale_offset = lying_page();
    lying_expect(POOL IMAGES "instantiate i0 A initial=2P\nstore i0 1P width=8\nrelease i0",
                 "divergence: bytes end zero", 8);
}

/* The extension file keeps a page: it comes back when somebody grows. */
static int keeps_the_file(struct rig_subject *subject, uint64_t handle)
{
    const uint8_t byte = 0x55;
    struct cow_memory memory;
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    const int result = truth->release(subject, handle);
    if (is_lying())
        CHECK_EQ(pwrite(lying_file_at(memory.base + 7 * lying_page()), &byte, 1, 100), 1);
    return result;
}

static void test_oracles__a_byte_left_in_an_extension_file_is_seen_by_the_sweep(void)
{
    liar.release = keeps_the_file;
    lying_expect(POOL "instantiate i0 none initial=2P\nflush\nrelease i0", "divergence: bytes end grown", 3);
}

/* Of the image that the slot mapped before, a byte stays: only an instance of nothing sees it, and the program has none. */
static int leaves_some_image(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                             uint64_t *ret_handle)
{
    const int result = lying_instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (result == COW_OK && is_lying() && !image && initial_bytes > 9)
        *lying_at(9) = 2;
    return result;
}

static void test_oracles__a_byte_of_an_image_that_is_gone_is_seen_by_the_sweep(void)
{
    liar.instantiate = leaves_some_image;
    lying_expect(POOL IMAGES "instantiate i0 A", "divergence: bytes end zero", 6);
    CHECK(lying_says("image A holds the byte found at this offset"));
}

/* ---- books and remains ---- */

static int lengthens_the_file(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        CHECK_EQ(ftruncate(lying_file_at(lying_at((int64_t)lying_page())), (off_t)lying_page()), 0);
    return result;
}

static void test_oracles__a_broken_invariant_is_seen(void)
{
    liar.flush = lengthens_the_file;
    lying_expect("cowpool-ops 1\npool slots=1 kernel=each probe=none\ninstantiate i0 none initial=1P\nflush",
                 "divergence: invariant flush books", 1);
    CHECK(lying_says("(S2) an extension file is not as long as the books say"));
}

static const char *finds_the_books_wrong(struct rig_subject *subject)
{
    return is_lying() ? "(X1) one and one is three" : truth->check(subject);
}

static void test_oracles__a_broken_invariant_is_seen_at_the_end(void)
{
    liar.check = finds_the_books_wrong;
    lying_expect(POOL "flush", "divergence: invariant end end", 1);
    CHECK(lying_says("(X1) one and one is three"));
}

static uint64_t has_more_dead_bytes(struct rig_subject *subject)
{
    return truth->dead_bytes(subject) + is_lying();
}

static void test_oracles__a_wrong_statistic_of_dead_images_is_seen(void)
{
    liar.dead_bytes = has_more_dead_bytes;
    lying_expect(POOL "flush", "divergence: statistics flush dead-image-bytes", 0);
}

static size_t wrong_figure;

static int tells_one_more(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    const int result = truth->stats(subject, ret_stats);
    ((uint64_t *)(void *)ret_stats)[wrong_figure] += is_lying();
    return result;
}

static void test_oracles__a_wrong_statistic_is_seen(void)
{
    static const char *const names[] = {"n_slots",          "n_live",          "n_retired", "n_lost",
                                        "n_instantiations", "n_warm",          "n_repaved", "n_grows",
                                        "n_resets",         "n_failed_resets", "n_images",  "image_bytes"};
    for (wrong_figure = 0; wrong_figure < sizeof names / sizeof *names; wrong_figure++) {
        char line[80];
        liar.stats = tells_one_more;
        snprintf(line, sizeof line, "divergence: statistics flush %s", names[wrong_figure]);
        lying_expect(POOL "flush", line, 0);
    }
    liar.stats = tells_one_more;
    wrong_figure = offsetof(struct cow_stats, idle_bytes) / sizeof(uint64_t);
    lying_expect(POOL "flush", "divergence: statistics flush idle_bytes", 0);
    liar.stats = tells_one_more;
    wrong_figure = offsetof(struct cow_stats, n_trims) / sizeof(uint64_t);
    lying_expect(POOL "flush", "divergence: statistics flush n_trims", 0);
}

static int forgets_to_flush(struct rig_subject *subject)
{
    return lying_state.armed ? COW_OK : truth->flush(subject);
}

static void test_oracles__a_flush_that_does_nothing_is_seen(void)
{
    static const char program[] = "cowpool-ops 1\npool slots=1 sweep=no\nimage A size=1P\ndata 0 bytes 01\n"
                                  "instantiate i0 A\nrelease i0";
    liar.flush = forgets_to_flush;
    liar.stripped = NULL;
    lying_expect(program, "divergence: statistics end dead-image-bytes", 4);
    liar.flush = forgets_to_flush;
    liar.stripped = NULL;
    liar.dead_bytes = NULL;
    lying_expect(program, "divergence: leak end residue", 4);
    CHECK(lying_says("the kernel still maps a dropped image in an idle slot"));
    liar.flush = forgets_to_flush;
    lying_expect(POOL "image A size=1P\ndata 0 bytes 01\nreuse i0 A\nrelease i0\ndrop A\nflush",
                 "divergence: leak flush residue", 5);
}

static int leaked = -1;

static int leaks_a_descriptor(struct rig_subject *subject, uint64_t handle)
{
    if (is_lying())
        leaked = dup(STDOUT_FILENO);
    return truth->release(subject, handle);
}

static void test_oracles__a_descriptor_left_open_is_seen(void)
{
    liar.release = leaks_a_descriptor;
    lying_expect(POOL "instantiate i0 none\nflush\nrelease i0", "divergence: leak end descriptor", 3);
    close(leaked);
}

/* When nothing looks at the kernel any more but the last count. */
static int leaks_while_closing(struct rig_subject *subject)
{
    if (is_lying())
        leaked = dup(STDOUT_FILENO);
    return truth->close(subject);
}

static void test_oracles__a_descriptor_left_open_by_closing_is_seen(void)
{
    liar.close = leaks_while_closing;
    lying_expect(POOL "flush", "divergence: leak end descriptor", 1);
    CHECK(lying_says(" descriptors were open before the program, "));
    close(leaked);
}

static void *left_behind;

static int leaves_a_mapping(struct rig_subject *subject)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(subject, &base, &length_bytes);
    const int result = truth->close(subject);
    void *last_page = (void *)(base + length_bytes - lying_page());
    if (is_lying())
        left_behind = mmap(last_page, lying_page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return result;
}

static void test_oracles__a_mapping_left_behind_is_seen(void)
{
    liar.close = leaves_a_mapping;
    lying_expect(POOL "flush", "divergence: leak end mapping", 1);
    CHECK_EQ(munmap(left_behind, lying_page()), 0);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__a_slot_that_does_not_exist_is_seen);
    RUN(test_oracles__a_slot_lent_twice_is_seen);
    RUN(test_oracles__a_used_slot_where_there_was_a_bare_one_is_seen);
    RUN(test_oracles__a_slot_that_was_not_idle_longest_is_seen);
    RUN(test_oracles__a_warm_slot_that_was_not_used_is_seen);
    RUN(test_oracles__one_call_of_any_kind_too_many_is_seen);
    RUN(test_oracles__a_reset_done_twice_is_seen);
    RUN(test_oracles__a_reset_that_was_not_done_is_seen_though_nothing_had_been_written);
    RUN(test_oracles__a_fast_path_that_was_not_taken_is_seen);
    RUN(test_oracles__an_image_that_is_copied_and_not_mapped_is_seen);
    RUN(test_oracles__an_image_that_changed_is_seen_though_nobody_uses_it);
    RUN(test_oracles__another_image_is_seen_and_named);
    RUN(test_oracles__bytes_of_the_tenant_before_are_seen_with_who_wrote_them);
    RUN(test_oracles__a_byte_left_in_an_idle_slot_is_seen_by_the_sweep_alone);
    RUN(test_oracles__a_byte_left_in_any_idle_slot_is_seen_by_the_sweep);
    RUN(test_oracles__a_byte_left_in_a_slot_that_cannot_grow_is_seen_by_the_sweep);
    RUN(test_oracles__a_byte_left_behind_an_image_is_seen_by_the_sweep);
    RUN(test_oracles__a_byte_left_in_an_extension_file_is_seen_by_the_sweep);
    RUN(test_oracles__a_byte_of_an_image_that_is_gone_is_seen_by_the_sweep);
    RUN(test_oracles__a_broken_invariant_is_seen);
    RUN(test_oracles__a_broken_invariant_is_seen_at_the_end);
    RUN(test_oracles__a_wrong_statistic_is_seen);
    RUN(test_oracles__a_wrong_statistic_of_dead_images_is_seen);
    RUN(test_oracles__a_flush_that_does_nothing_is_seen);
    RUN(test_oracles__a_descriptor_left_open_is_seen);
    RUN(test_oracles__a_descriptor_left_open_by_closing_is_seen);
    RUN(test_oracles__a_mapping_left_behind_is_seen);
    return 0;
}
