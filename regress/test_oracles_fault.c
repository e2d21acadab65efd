/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence that the rig can report about what a subject makes of kernel calls that fail, and about pages that the kernel
 * still refers to, fires. Run honestly, each of these programs agrees: then the pool does fail, or absorbs, rightly. */
#include "lying.h"
#include "sys/sys.h"

#include <sys/ioctl.h>

#define POOL "cowpool-ops 1\npool slots=2 max=8P probe=none\n"
#define POOL3 "cowpool-ops 1\npool slots=3 max=8P probe=none\n"
#define ONE_SLOT "cowpool-ops 1\npool slots=1 max=8P probe=none\n"
/* The pool discards by another advice after an EINVAL: the fault is met, and nothing fails. */
#define ABSORBED "fault madvise nth=1 error=EINVAL\n"
#define FAILS "fault madvise nth=1 error=EIO\n"

/* ---- in which state a slot is ---- */

static uint32_t first_said, n_said;
static enum rig_slot_state said;

static enum rig_slot_state says_state(struct rig_subject *subject, uint32_t slot)
{
    const bool is_about = is_lying() && slot - first_said < n_said;
    return is_about ? said : truth->slot_state(subject, slot);
}

static void expect_state(uint32_t first, uint32_t n, enum rig_slot_state state, const char *program, const char *line)
{
    liar.slot_state = says_state;
    first_said = first;
    n_said = n;
    said = state;
    lying_expect(program, line, LYING_ANYWHERE);
}

static void test_oracles__a_slot_that_a_fault_must_not_change_is_seen(void)
{
    static const char program[] = POOL "instantiate i0 none\nflush\n" ABSORBED "reset i0";
    expect_state(0, 1, RIG_SLOT_BARE, program, "divergence: fault reset bare");
    CHECK(lying_says("a kernel call has failed, and slot 0, which was live, is bare"));
    expect_state(0, 1, RIG_SLOT_IDLE, program, "divergence: fault reset idle");
    expect_state(0, 1, RIG_SLOT_RETIRED, program, "divergence: fault reset retired");
    expect_state(0, 1, RIG_SLOT_LOST, program, "divergence: fault reset lost");
    expect_state(1, 1, RIG_SLOT_IDLE, program, "divergence: fault reset idle");
    CHECK(lying_says("a kernel call has failed, and slot 1, which was bare, is idle"));
    expect_state(1, 1, RIG_SLOT_LIVE, program, "divergence: fault reset live");
}

static void test_oracles__an_idle_slot_that_a_fault_must_not_change_is_seen(void)
{
    static const char program[] =
        POOL "instantiate i0 none\ninstantiate i1 none\nrelease i1\nflush\n" ABSORBED "reset i0";
    expect_state(1, 1, RIG_SLOT_BARE, program, "divergence: fault reset bare");
    CHECK(lying_says("a kernel call has failed, and slot 1, which was idle, is bare"));
    expect_state(1, 1, RIG_SLOT_LIVE, program, "divergence: fault reset live");
}

static void test_oracles__two_slots_out_of_service_by_one_operation_are_seen(void)
{
    expect_state(1, 2, RIG_SLOT_RETIRED, POOL3 "instantiate i0 none\nflush\n" FAILS "instantiate i1 none",
                 "divergence: fault instantiate retired");
    CHECK(lying_says("slot 2, which was bare, is retired"));
}

static void test_oracles__a_slot_out_of_service_that_the_operation_was_not_about_is_seen(void)
{
    expect_state(1, 1, RIG_SLOT_RETIRED, POOL "instantiate i0 none\nflush\n" ABSORBED "reset i0",
                 "divergence: fault reset retired");
    CHECK(lying_says("slot 1, which was bare, is retired"));
    expect_state(1, 1, RIG_SLOT_RETIRED,
                 POOL "instantiate i0 none\nflush\nfault ftruncate nth=1 error=EIO\ngrow i0 +1P",
                 "divergence: fault grow retired");
    /* An idle slot, while there is a bare one. */
    expect_state(1, 1, RIG_SLOT_RETIRED,
                 POOL3 "instantiate i0 none\ninstantiate i1 none\nrelease i1\nflush\n" FAILS
                       "instantiate i1 none initial=2P",
                 "divergence: fault instantiate retired");
    CHECK(lying_says("slot 1, which was idle, is retired"));
}

/* It was made to lose a slot before: that one must stay lost. */
static void test_oracles__a_lost_slot_that_comes_back_is_seen(void)
{
    expect_state(1, 1, RIG_SLOT_RETIRED,
                 POOL "instantiate i0 none\nfault mmap nth=1 forever error=EIO\ninstantiate i1 none\n"
                      "fault mmap nth=100 error=EIO\nflush\n" ABSORBED "reset i0",
                 "divergence: fault reset retired");
    CHECK(lying_says("slot 1, which was lost, is retired"));
}

static void test_oracles__a_slot_that_could_not_be_reset_and_stays_in_service_is_seen(void)
{
    expect_state(0, 1, RIG_SLOT_IDLE, POOL "instantiate i0 none\nflush\n" FAILS "release i0",
                 "divergence: fault release usable");
    CHECK(lying_says("slot 0 could not be reset, and is still in service"));
    expect_state(0, 1, RIG_SLOT_BARE, POOL "instantiate i0 none\nflush\n" FAILS "reuse i0 none",
                 "divergence: fault reuse usable");
    expect_state(0, 1, RIG_SLOT_LIVE, POOL "instantiate i0 none\nflush\n" FAILS "reset i0",
                 "divergence: fault reset usable");
}

/* ---- results ---- */

static int knows_every_handle(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    return is_lying() ? COW_OK : result;
}

static void test_oracles__a_handle_that_survives_a_failed_reset_is_seen(void)
{
    liar.memory = knows_every_handle;
    lying_expect(POOL "instantiate i0 none\nflush\n" FAILS "release i0", "divergence: result release want=stale got=ok",
                 3);
    liar.memory = knows_every_handle;
    lying_expect(POOL "instantiate i0 none\nflush\n" FAILS "reset i0", "divergence: result reset want=stale got=ok", 3);
}

static int another_result;

static int fails_otherwise(struct rig_subject *subject, uint64_t handle)
{
    const int result = truth->release(subject, handle);
    return is_lying() ? another_result : result;
}

static void test_oracles__an_error_that_no_fault_explains_is_seen(void)
{
    liar.release = fails_otherwise;
    another_result = -12; /* ENOMEM */
    lying_expect(POOL "instantiate i0 none\nflush\n" FAILS "release i0", "divergence: result release want=ok got=error",
                 3);
    liar.release = fails_otherwise;
    another_result = COW_FULL;
    lying_expect(POOL "instantiate i0 none\nflush\n" FAILS "release i0", "divergence: result release want=ok got=full",
                 3);
    liar.release = fails_otherwise;
    another_result = -22; /* EINVAL, but that was met by the operation before */
    lying_expect(POOL "instantiate i0 none\nflush\n" ABSORBED "reset i0\nrelease i0",
                 "divergence: result release want=ok got=error", 4);
}

/* Tries once more, with success, and says that it has failed. */
static int lends_and_fails(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                           uint64_t *ret_handle)
{
    const int result = truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (result < 0 && is_lying())
        CHECK_EQ(truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle), COW_OK);
    return result;
}

static int grows_and_fails(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    const int result = truth->grow(subject, handle, delta_bytes, ret_old_bytes);
    if (result < 0 && is_lying())
        CHECK_EQ(truth->grow(subject, handle, delta_bytes, ret_old_bytes), COW_OK);
    return result;
}

static void test_oracles__a_failure_that_has_an_effect_is_seen(void)
{
    liar.instantiate = lends_and_fails;
    lying_expect(POOL "flush\nfault mmap nth=1 error=ENOMEM\ninstantiate i0 none", "divergence: fault instantiate live",
                 2);
    liar.grow = grows_and_fails;
    lying_expect(POOL "instantiate i0 none\nflush\nfault ftruncate nth=1 error=ENOSPC\ngrow i0 +1P",
                 "divergence: length grow length", 3);
}

/* ---- what a failed operation leaves behind ---- */

static void open_something(void)
{
    CHECK(lying_state.sys->memfd_create(lying_state.sys, "lie") >= 0);
}

static void map_something(void)
{
    void *mapped;
    CHECK_EQ(lying_state.sys->mmap(lying_state.sys, NULL, lying_page(), COW_MAP_ZERO, COW_WHERE_ANY, -1, 0, &mapped),
             0);
}

static void (*leave)(void);

static int leaves_something_of_an_image(struct rig_subject *subject, uint64_t extent_bytes,
                                        const struct cow_segment *segments, size_t n_segments, void **ret_image)
{
    const int result = truth->image_create(subject, extent_bytes, segments, n_segments, ret_image);
    if (result < 0 && is_lying())
        leave();
    return result;
}

static void test_oracles__what_a_failed_operation_leaves_behind_is_seen(void)
{
    static const char program[] = POOL "flush\nfault fcntl nth=1 error=EMFILE\nimage A size=1P\ndata 0 bytes 01";
    liar.image_create = leaves_something_of_an_image;
    leave = open_something;
    lying_expect(program, "divergence: leak image descriptor", 2);
    CHECK(lying_says("a failed operation has left 1 descriptors open"));
    liar.image_create = leaves_something_of_an_image;
    leave = map_something;
    lying_expect(program, "divergence: leak image mapping", 2);
    CHECK(lying_says("a failed operation has left 4096 bytes mapped") || lying_page() != 4096);
}

static int leaves_something_of_a_reset(struct rig_subject *subject, uint64_t handle)
{
    const int result = truth->reset(subject, handle);
    if (is_lying())
        leave();
    return result;
}

static void test_oracles__a_mapping_left_by_an_operation_that_absorbed_a_fault_is_seen(void)
{
    liar.reset = leaves_something_of_a_reset;
    leave = map_something;
    lying_expect(POOL "instantiate i0 none\nflush\n" ABSORBED "reset i0", "divergence: leak reset mapping", 3);
}

/* Lies at once: nothing can be flushed before it is there. */
static int leaves_something_of_opening(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    const int result = lying_open(geometry, ret_subject);
    if (result && lying_state.armed && geometry->sys) /* the one of the program, not one that is refused before */
        leave();
    return result;
}

static void test_oracles__what_a_failed_opening_leaves_behind_is_seen(void)
{
    liar.open = leaves_something_of_opening;
    leave = open_something;
    lying_expect("cowpool-ops 1\nfault mmap nth=1 error=ENOMEM\nflush", "divergence: leak fault descriptor", 0);
    liar.open = leaves_something_of_opening;
    leave = map_something;
    lying_expect("cowpool-ops 1\nfault memfd_create nth=1 error=EMFILE\nflush", "divergence: leak fault mapping", 0);
}

static int leaves_something_of_closing(struct rig_subject *subject)
{
    if (is_lying())
        map_something();
    return truth->close(subject);
}

static void test_oracles__a_mapping_outside_of_the_reservation_is_seen_at_the_end(void)
{
    liar.close = leaves_something_of_closing;
    lying_expect(POOL "instantiate i0 none\nflush\n" ABSORBED "reset i0", "divergence: leak end mapping", 4);
    CHECK(lying_says("after closing, "));
}

/* ---- a slot that may be somebody else's ---- */

static uint8_t *lost_slot;
static uint64_t n_unmapped_pages; /* at its end */

static int notes_the_slot(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lost_slot = lying_at(0);
    return result;
}

static int unmaps_all(struct rig_subject *subject)
{
    const int result = truth->close(subject);
    const uint64_t n_bytes = n_unmapped_pages * lying_page();
    if (is_lying())
        CHECK_EQ(munmap(lost_slot + 8 * lying_page() - n_bytes, n_bytes), 0);
    return result;
}

static void test_oracles__a_lost_slot_that_closing_unmaps_is_seen(void)
{
    static const uint64_t n_pages[] = {1, 8};
    for (size_t i = 0; i < sizeof n_pages / sizeof *n_pages; i++) {
        liar.flush = notes_the_slot;
        liar.close = unmaps_all;
        n_unmapped_pages = n_pages[i];
        lying_expect(ONE_SLOT "instantiate i0 none\nflush\nrelease i0\nfault mmap nth=1 forever error=EIO\n"
                              "instantiate i0 none initial=2P",
                     "divergence: leak end unmapped", 5);
    }
}

/* ---- a kernel that does not keep its word ---- */

/* The rig leaves the kernel to a subject that diverged: here it is kept for leak detectors. */
static const struct cow_sys_table *kept[8];
static size_t n_kept;

/* The subject does not look: it works on the real kernel, which keeps its word. */
static int does_not_test(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    struct rig_geometry real = *geometry;
    if (lying_state.armed && geometry->sys) {
        CHECK(n_kept < sizeof kept / sizeof *kept);
        kept[n_kept++] = geometry->sys;
        real.sys = NULL;
    }
    return lying_open(&real, ret_subject);
}

static void test_oracles__a_kernel_that_lies_and_is_accepted_is_seen(void)
{
    static const char *const calls[] = {"madvise", "ftruncate", "fcntl", "pwrite"};
    char program[128];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        liar.open = does_not_test;
        snprintf(program, sizeof program, POOL "fault %s nth=1 forever lie", calls[i]);
        lying_expect(program, "divergence: kernel fault accepted", 0);
        CHECK(lying_says("the subject was made on a kernel that does not keep its word"));
    }
}

/* ---- pages that the kernel refers to ---- */

static int drains_a_byte(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    char byte;
    for (int fd = 0; fd < 4096 && is_first_lie(); fd++) {
        struct stat status;
        int n_waiting = 0;
        if (!fstat(fd, &status) && S_ISFIFO(status.st_mode) && (fcntl(fd, F_GETFL) & O_NONBLOCK) &&
            !ioctl(fd, FIONREAD, &n_waiting) && n_waiting > 0)
            CHECK_EQ(read(fd, &byte, 1), 1);
    }
    return result;
}

static void test_oracles__a_pinned_byte_that_does_not_come_back_is_seen(void)
{
    liar.flush = drains_a_byte;
    lying_expect(POOL "instantiate i0 none initial=2P\npin i0 0 len=100\nflush\nunpin i0",
                 "divergence: pin unpin count", 3);
    CHECK(lying_says("100 bytes were pinned, 99 came back"));
    liar.flush = drains_a_byte;
    lying_expect(POOL "instantiate i0 none initial=2P\npin i0\nflush", "divergence: pin end count", 3);
}

/* A reset that writes zeros, where it should let go of the pages: the next tenant has those that are pinned. */
static int wipes_in_place(struct rig_subject *subject, uint64_t handle)
{
    if (!is_lying())
        return truth->release(subject, handle);
    memset(lying_at(0), 0, lying_memory().length_bytes);
    return COW_OK;
}

static int lends_the_same(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                          uint64_t *ret_handle)
{
    if (!is_lying())
        return lying_instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    *ret_handle = lying_state.handle;
    return COW_OK;
}

static void test_oracles__a_pinned_page_that_another_tenant_has_is_seen(void)
{
    liar.release = wipes_in_place;
    liar.instantiate = lends_the_same;
    lying_expect(
        ONE_SLOT
        "instantiate i0 none\nfill i0 0 len=1 byte=0\npin i0\nflush\nreuse i0 none\nstore i0 8 width=8\nunpin i0~1",
        "divergence: pin unpin bytes", 6);
    CHECK(lying_says("a pinned byte of generation 1, at offset 8, came back as "));
    CHECK(lying_says(": it was 00, and 00 in the end"));
    liar.release = wipes_in_place;
    liar.instantiate = lends_the_same;
    lying_expect(ONE_SLOT "instantiate i0 none\nstore i0 8 width=8\npin i0\nflush\nreuse i0 none",
                 "divergence: pin end bytes", 5);
    CHECK(lying_says(", at offset 8, came back as 00: it was "));
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__a_slot_that_a_fault_must_not_change_is_seen);
    RUN(test_oracles__an_idle_slot_that_a_fault_must_not_change_is_seen);
    RUN(test_oracles__two_slots_out_of_service_by_one_operation_are_seen);
    RUN(test_oracles__a_slot_out_of_service_that_the_operation_was_not_about_is_seen);
    RUN(test_oracles__a_lost_slot_that_comes_back_is_seen);
    RUN(test_oracles__a_slot_that_could_not_be_reset_and_stays_in_service_is_seen);
    RUN(test_oracles__a_handle_that_survives_a_failed_reset_is_seen);
    RUN(test_oracles__an_error_that_no_fault_explains_is_seen);
    RUN(test_oracles__a_failure_that_has_an_effect_is_seen);
    RUN(test_oracles__what_a_failed_operation_leaves_behind_is_seen);
    RUN(test_oracles__a_mapping_left_by_an_operation_that_absorbed_a_fault_is_seen);
    RUN(test_oracles__what_a_failed_opening_leaves_behind_is_seen);
    RUN(test_oracles__a_mapping_outside_of_the_reservation_is_seen_at_the_end);
    RUN(test_oracles__a_lost_slot_that_closing_unmaps_is_seen);
    RUN(test_oracles__a_kernel_that_lies_and_is_accepted_is_seen);
    RUN(test_oracles__a_pinned_byte_that_does_not_come_back_is_seen);
    RUN(test_oracles__a_pinned_page_that_another_tenant_has_is_seen);
    return 0;
}
