/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each suspicion about what the kernel holds for the pool fires: mappings, their flags, descriptors, images, and the pool's books while
 * instances are live. */
#include "lying_lease.h"

#include "kernel_view.h"

/* ---- mappings ---- */

/* After an operation, and at the end alone. */
static void expect_mapping(void (*do_lie)(void), const char *place, int op)
{
    char line[64];
    snprintf(line, sizeof line, "divergence: mapping end %s", place);
    expect_at_flush(do_lie, END LEASE "flush", line, NEXT);
    snprintf(line, sizeof line, "divergence: mapping flush %s", place);
    expect_at_flush(do_lie, EACH LEASE "flush\nflush", line, op);
}

/* A mapping in place of one of the lease's pages. */
static void put(int64_t page, int protection, int flags, int fd, int64_t file_page)
{
    uint8_t *at = page_at(page);
    CHECK(mmap(at, lying_page(), protection, flags | MAP_FIXED, fd, (off_t)(file_page * (int64_t)lying_page())) == at);
}

enum { RW = PROT_READ | PROT_WRITE };

static void opens_a_bare_slot(void) /* the other one; a stride is 9 pages */
{
    const bool is_first = lying_memory().slot == 0;
    lying_protect(page_at(is_first ? 9 : -9), PROT_READ);
}

static void opens_a_guard(void)
{
    lying_protect(page_at(8), PROT_READ);
}

static void opens_the_first_guard(void)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(lying_state.subject, &base, &length_bytes);
    lying_protect((const uint8_t *)base + lying_page(), RW);
}

static void forbids_the_cookie(void)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(lying_state.subject, &base, &length_bytes);
    lying_protect((const uint8_t *)base, PROT_READ);
}

static void leaves_a_hole(void)
{
    CHECK_EQ(munmap(page_at(8), lying_page()), 0);
}

static void test_oracles__memory_that_must_not_be_accessible_is_seen(void)
{
    expect_mapping(opens_a_bare_slot, "bare", FLUSH);
    CHECK(lying_says(
        "slot 1, bare at offset 0: r- private anonymous is mapped, where there must be -- private anonymous"));
    expect_mapping(opens_a_guard, "guard", NEXT);
    expect_at_flush(opens_the_first_guard, END LEASE "flush", "divergence: mapping end guard", NEXT);
    CHECK(lying_says("slot 0, guard at offset -"));
    expect_at_flush(forbids_the_cookie, END LEASE "flush", "divergence: mapping end cookie", NEXT);
}

static void test_oracles__a_hole_in_the_reservation_is_seen(void)
{
    expect_mapping(leaves_a_hole, "guard", NEXT);
    CHECK(lying_says("nothing at all is mapped, where there must be -- private anonymous"));
}

/* ---- slots that are out of service ---- */

/* Its second page. */
static void opens_the_last_slot(void)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(lying_state.subject, &base, &length_bytes);
    lying_put_page((const uint8_t *)base + length_bytes - 8 * lying_page());
}

static void test_oracles__a_retired_slot_that_can_be_accessed_is_seen(void)
{
    expect_at_flush(opens_the_last_slot,
                    "cowpool-ops 1\npool slots=1 max=8P probe=none sweep=no\ninstantiate i0 none\n"
                    "fault madvise nth=1 error=ENOMEM\nrelease i0\nflush",
                    "divergence: mapping end bare", 4);
    CHECK(lying_says("retired, maps no image"));
}

static void test_oracles__what_lies_in_a_lost_slot_is_nobodys_business(void)
{
    liar.flush = lies_once;
    lie = opens_the_last_slot;
    const struct rig_verdict verdict =
        lying_run("cowpool-ops 1\npool slots=2 max=8P probe=none sweep=no kernel=each\ninstantiate i0 none\n"
                  "fault mmap nth=1 forever error=EINVAL\ninstantiate i1 none\nflush\nflush",
                  true);
    CHECK_EQ(verdict.kind, RIG_AGREE);
    lying_begin(truth);
}

/* ---- the parts of a slot ---- */

static void shares_the_zeros(void)
{
    put(3, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void forbids_writing(void)
{
    put(3, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void test_oracles__zero_memory_that_is_shared_or_read_only_is_seen(void)
{
    expect_mapping(shares_the_zeros, "zero", NEXT);
    expect_mapping(forbids_writing, "zero", NEXT);
}

static void copies_an_image_page(void)
{
    put(1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page_at(1), "\1\2\3", 3);
}

/* The bytes are the same. */
static void maps_the_first_page_twice(void)
{
    put(1, RW, MAP_PRIVATE, lying_file_at(page_at(1)), 0);
}

static void maps_a_file_of_the_same_bytes(void)
{
    const int fd = memfd_create("other", MFD_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "\1\2\3", 3, 0) == 3 && ftruncate(fd, (off_t)lying_page()) == 0);
    put(0, RW, MAP_PRIVATE, fd, 0);
    close(fd);
}

static void shares_the_image(void)
{
    const int fd = memfd_create("other", MFD_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "\1\2\3", 3, 0) == 3 && ftruncate(fd, (off_t)lying_page()) == 0);
    put(0, RW, MAP_SHARED, fd, 0);
    close(fd);
}

static void test_oracles__an_image_that_is_not_mapped_as_it_must_be_is_seen(void)
{
    static void (*const lies[])(void) = {copies_an_image_page, maps_the_first_page_twice, maps_a_file_of_the_same_bytes,
                                         shares_the_image};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        expect_mapping(lies[i], "image", NEXT);
}

/* At a point that comes without being asked for, too. */
static void test_oracles__a_wrong_mapping_is_seen_between_other_operations(void)
{
    expect_at_flush(shares_the_zeros, END LEASE "flush\nflush\nflush\nflush", "divergence: mapping flush zero", 7);
}

/* Two runs: what is mapped of the second one begins in the file where the first one ends. */
static void test_oracles__a_run_from_the_wrong_place_of_the_file_is_seen(void)
{
    expect_at_flush(maps_the_first_page_twice,
                    END "image A size=6P\ndata 0 bytes 01 02 03\ndata 1P bytes 01 02 03\ndata 4P bytes 04\n"
                        "instantiate i0 A\nflush",
                    "divergence: mapping end image", 6);
}

static int (*file_lie)(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                       void **ret_image);

static int lies_of_a_file(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_file_range *range,
                          void **ret_image)
{
    return is_lying() ? file_lie(subject, extent_bytes, *range, ret_image)
                      : truth->image_from_file(subject, extent_bytes, range, ret_image);
}

/* The sealed file of an image, and not one that is only tried. */
static bool is_of_image(uint64_t extent_bytes, const struct cow_file_range *range)
{
    return range->use == COW_FILE_GUARDED && range->offset_bytes + range->length_bytes == extent_bytes &&
           range->file_offset_bytes && range->length_bytes > lying_page();
}

/* As if it was not sealed. */
static int copies_the_file(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                           void **ret_image)
{
    range.use = is_of_image(extent_bytes, &range) ? COW_FILE_COPIED : range.use;
    return truth->image_from_file(subject, extent_bytes, &range, ret_image);
}

static void expect_of_file(int (*do_lie)(struct rig_subject *, uint64_t, struct cow_file_range, void **),
                           const char *line, int op)
{
    file_lie = do_lie;
    liar.image_from_file = lies_of_a_file;
    liar.calls = NULL; /* there may be others */
    lying_expect(END "image A size=2P\ndata 0 bytes 01 02 03\ndata 1P bytes 04\nflush\nimage B size=2P samefile=A\n"
                     "instantiate i0 B",
                 line, op);
}

static void test_oracles__a_file_that_is_copied_and_not_mapped_is_seen(void)
{
    expect_of_file(copies_the_file, "divergence: mapping end image", 6);
}

/* A file of its own, with the same bytes at the same places. */
static int maps_another_file(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                             void **ret_image)
{
    uint8_t bytes[1 << 13];
    if (!is_of_image(extent_bytes, &range) || range.length_bytes > sizeof bytes ||
        pread(range.fd, bytes, range.length_bytes, (off_t)range.file_offset_bytes) != (ssize_t)range.length_bytes)
        return truth->image_from_file(subject, extent_bytes, &range, ret_image);
    const int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK_EQ(pwrite(fd, bytes, range.length_bytes, (off_t)range.file_offset_bytes), (ssize_t)range.length_bytes);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    range.fd = fd;
    const int result = truth->image_from_file(subject, extent_bytes, &range, ret_image);
    close(fd);
    return result;
}

static void test_oracles__another_file_that_is_mapped_is_seen(void)
{
    expect_of_file(maps_another_file, "divergence: mapping end image", 6);
}

/* ---- the other ways to ask for an image of a file ---- */

static int maps_what_is_not_sealed(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                                   void **ret_image)
{
    range.use = range.use == COW_FILE_GUARDED ? COW_FILE_VOUCHED : range.use;
    return truth->image_from_file(subject, extent_bytes, &range, ret_image);
}

static int copies_what_is_vouched_for(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                                      void **ret_image)
{
    range.use = range.use == COW_FILE_VOUCHED ? COW_FILE_COPIED : range.use;
    return truth->image_from_file(subject, extent_bytes, &range, ret_image);
}

static int takes_any_length(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                            void **ret_image)
{
    range.length_bytes = range.length_bytes / lying_page() * lying_page();
    return truth->image_from_file(subject, extent_bytes, &range, ret_image);
}

static int copies_from_elsewhere(struct rig_subject *subject, uint64_t extent_bytes, struct cow_file_range range,
                                 void **ret_image)
{
    range.file_offset_bytes -= range.use == COW_FILE_COPIED ? lying_page() : 0;
    return truth->image_from_file(subject, extent_bytes, &range, ret_image);
}

static void test_oracles__other_ways_to_ask_for_an_image_of_a_file_are_tried(void)
{
    expect_of_file(maps_what_is_not_sealed, "divergence: image image mapped", 4);
    expect_of_file(copies_what_is_vouched_for, "divergence: image image copied", 4);
    expect_of_file(takes_any_length, "divergence: result image want=unaligned got=ok", 4);
    expect_of_file(copies_from_elsewhere, "divergence: image image changed", 4);
}

/* ---- making and closing ---- */

static int makes_a_pool_of_no_slots(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    struct rig_geometry changed = *geometry;
    static struct rig_subject *kept; /* for leak detectors: the rig does not know that it was made */
    changed.n_slots += lying_state.armed && changed.n_slots == 0;
    const int result = lying_open(&changed, ret_subject);
    kept = result == COW_OK && geometry->n_slots == 0 ? *ret_subject : kept;
    return result;
}

static int closes_what_is_in_use(struct rig_subject *subject)
{
    const int result = truth->close(subject);
    return is_lying() && result == COW_BUSY ? COW_OK : result;
}

static void test_oracles__impossible_pools_and_closing_too_early_are_tried(void)
{
    liar.open = makes_a_pool_of_no_slots;
    lying_expect(END "flush", "divergence: result flush want=config got=ok", 0);
    liar.close = closes_what_is_in_use;
    lying_expect(END "instantiate i0 none\nflush", "divergence: result end want=busy got=ok", 2);
}

/* ---- mappings of what was grown ---- */

static void keeps_the_growth_private(void)
{
    put(4, RW, MAP_PRIVATE, lying_file_at(page_at(4)), 0);
}

static void maps_the_growth_from_elsewhere(void)
{
    put(4, RW, MAP_SHARED, lying_file_at(page_at(4)), 1);
}

static void test_oracles__an_extension_that_is_not_mapped_as_it_must_be_is_seen(void)
{
    expect_mapping(keeps_the_growth_private, "extension", NEXT);
    expect_mapping(maps_the_growth_from_elsewhere, "extension", NEXT);
}

/* ---- flags ---- */

static int unset; /* by this advice */

static void unset_of_zeros(void)
{
    CHECK_EQ(madvise(page_at(3), lying_page(), unset), 0);
}

static void unset_of_the_cookie(void)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(lying_state.subject, &base, &length_bytes);
    CHECK_EQ(madvise((void *)base, lying_page(), MADV_KEEPONFORK), 0);
}

static int unsets_when_paved(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                             uint64_t *ret_handle)
{
    const int result = lying_instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (is_lying())
        CHECK_EQ(madvise(page_at(3), lying_page(), unset), 0);
    return result;
}

/* Read by hand: whether the kernel shows this of a page. */
static bool shows(int advice, const char *flag)
{
    char line[512];
    bool found = false;
    void *page = mmap(NULL, lying_page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)madvise(page, lying_page(), advice);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    while (smaps && fgets(line, sizeof line, smaps))
        found = found || (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag));
    if (smaps)
        fclose(smaps);
    munmap(page, lying_page());
    return found;
}

static void test_oracles__the_flags_are_those_that_the_kernel_shows(void)
{
    unsigned shown = 0;
    shown |= shows(MADV_DONTFORK, " dc ") ? RIG_VMA_DONTFORK : 0;
    shown |= shows(MADV_DONTDUMP, " dd ") ? RIG_VMA_DONTDUMP : 0;
    shown |= shows(MADV_NOHUGEPAGE, " nh ") ? RIG_VMA_NOHUGE : 0;
    shown |= shows(MADV_WIPEONFORK, " wf ") ? RIG_VMA_WIPEONFORK : 0;
    CHECK_EQ(rig_kernel_known_flags(), shown);
}

static void expect_unset(enum rig_vma_flag flag, int advice, const char *name)
{
    char line[64];
    unset = advice;
    if (!(rig_kernel_known_flags() & flag)) {
        printf("# this kernel does not tell of %s\n", name);
        return;
    }
    snprintf(line, sizeof line, "divergence: flags end %s", name);
    expect_at_flush(unset_of_zeros,
                    "cowpool-ops 1\npool slots=1 max=8P probe=none kernel=each sweep=no\n" LEASE "flush", line, NEXT);
    CHECK(lying_says(", zero at offset "));
    snprintf(line, sizeof line, "divergence: flags instantiate %s", name);
    liar.instantiate = unsets_when_paved;
    lying_expect(EACH IMAGE "flush\nflush\ninstantiate i0 none initial=4P\nflush", line, 5);
}

static void test_oracles__a_flag_that_a_mapping_lacks_is_seen(void)
{
    expect_unset(RIG_VMA_DONTFORK, MADV_DOFORK, "dontfork");
    expect_unset(RIG_VMA_DONTDUMP, MADV_DODUMP, "dontdump");
    expect_unset(RIG_VMA_NOHUGE, MADV_HUGEPAGE, "nohugepage");
    if (rig_kernel_known_flags() & RIG_VMA_WIPEONFORK)
        expect_at_flush(unset_of_the_cookie, EACH "instantiate i0 none\nflush", "divergence: flags end wipeonfork", 2);
}

/* ---- descriptors ---- */

static int leaked = -1;

static void opens_a_file(void)
{
    leaked = dup(STDOUT_FILENO);
}

/* As many are open after the program as were before it. */
static int closes_the_file(struct rig_subject *subject)
{
    if (is_lying())
        close(leaked);
    return truth->close(subject);
}

static void test_oracles__a_descriptor_too_many_is_seen_before_the_end(void)
{
    liar.close = closes_the_file;
    expect_at_flush(opens_a_file, EACH LEASE "flush", "divergence: leak flush descriptor", FLUSH);
    CHECK(lying_says(" descriptors are open, and "));
    liar.close = closes_the_file;
    expect_at_flush(opens_a_file, END LEASE "flush", "divergence: leak end descriptor", NEXT);
    CHECK(lying_says(" descriptors are open, and "));
}

/* ---- books ---- */

static bool is_released; /* since the flush */

static void nothing_is_released(void)
{
    is_released = false;
}

static const char *finds_the_books_wrong(struct rig_subject *subject)
{
    return is_lying() && !is_released ? "(X1) one and one is three" : truth->check(subject);
}

static int notes_the_release(struct rig_subject *subject, uint64_t handle)
{
    is_released = true;
    return truth->release(subject, handle);
}

static void test_oracles__a_broken_invariant_is_seen_while_instances_are_live(void)
{
    liar.check = finds_the_books_wrong;
    liar.release = notes_the_release;
    expect_at_flush(nothing_is_released, END LEASE "flush", "divergence: invariant end books", NEXT);
}

/* ---- images ---- */

static int reads_another_image(struct rig_subject *subject, void *image, uint64_t offset, uint8_t *ret_bytes,
                               uint64_t length_bytes)
{
    const int result = truth->read_image(subject, image, offset, ret_bytes, length_bytes);
    ret_bytes[1] ^= is_lying() ? 0x55 : 0;
    return result;
}

static void test_oracles__an_image_that_changed_is_seen_before_the_end(void)
{
    liar.read_image = reads_another_image;
    lying_expect(EACH LEASE "flush\nflush", "divergence: image flush changed", NEXT);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__memory_that_must_not_be_accessible_is_seen);
    RUN(test_oracles__a_hole_in_the_reservation_is_seen);
    RUN(test_oracles__a_retired_slot_that_can_be_accessed_is_seen);
    RUN(test_oracles__what_lies_in_a_lost_slot_is_nobodys_business);
    RUN(test_oracles__zero_memory_that_is_shared_or_read_only_is_seen);
    RUN(test_oracles__an_image_that_is_not_mapped_as_it_must_be_is_seen);
    RUN(test_oracles__a_wrong_mapping_is_seen_between_other_operations);
    RUN(test_oracles__a_run_from_the_wrong_place_of_the_file_is_seen);
    RUN(test_oracles__a_file_that_is_copied_and_not_mapped_is_seen);
    RUN(test_oracles__another_file_that_is_mapped_is_seen);
    RUN(test_oracles__other_ways_to_ask_for_an_image_of_a_file_are_tried);
    RUN(test_oracles__impossible_pools_and_closing_too_early_are_tried);
    RUN(test_oracles__an_extension_that_is_not_mapped_as_it_must_be_is_seen);
    RUN(test_oracles__the_flags_are_those_that_the_kernel_shows);
    RUN(test_oracles__a_flag_that_a_mapping_lacks_is_seen);
    RUN(test_oracles__a_descriptor_too_many_is_seen_before_the_end);
    RUN(test_oracles__a_broken_invariant_is_seen_while_instances_are_live);
    RUN(test_oracles__an_image_that_changed_is_seen_before_the_end);
    return 0;
}
