/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each suspicion about what the kernel holds for the pool fires: mappings, their flags, descriptors, files, resident pages, and
 * what tenants leave behind. The bytes that a guest sees are right in all of these, or nobody looks at them. */
#include "lying.h"

#include "kernel_view.h"

#define EACH "cowpool-ops 1\npool slots=2 max=8P probe=none observe=final kernel=each sweep=no\n"
#define END "cowpool-ops 1\npool slots=2 max=8P probe=none observe=final sweep=no\n"
/* The image has two pages of the same bytes; then there is zero memory up to 4P, and 2P are grown. */
#define IMAGE "image A size=2P\ndata 0 bytes 01 02 03\ndata 1P bytes 01 02 03\n"
#define LEASE IMAGE "instantiate i0 A initial=4P\ngrow i0 +2P\n"
/* The operation behind LEASE. With kernel=each it is followed by a look at the slot that is bare, and the next one by a look at the
 * lease's. Of programs that end with it the number of the end is the next one's. */
enum { FLUSH = 5, NEXT };

/* ---- at the flush ---- */

static void (*lie)(void);

static int lies_once(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lie();
    return result;
}

static void expect_at_flush(void (*do_lie)(void), const char *program, const char *line, int op)
{
    liar.flush = lies_once;
    lie = do_lie;
    lying_expect(program, line, op);
}

/* After an operation, and at the end alone. */
static void expect_mapping(void (*do_lie)(void), const char *place, int op)
{
    char line[64];
    snprintf(line, sizeof line, "divergence: mapping end %s", place);
    expect_at_flush(do_lie, END LEASE "flush", line, NEXT);
    snprintf(line, sizeof line, "divergence: mapping flush %s", place);
    expect_at_flush(do_lie, EACH LEASE "flush\nflush", line, op);
}

static uint8_t *page_at(int64_t n_pages)
{
    return lying_at(n_pages * (int64_t)lying_page());
}

/* A mapping in place of one of the lease's pages. */
static void put(int64_t page, int protection, int flags, int fd, int64_t file_page)
{
    uint8_t *at = page_at(page);
    CHECK(mmap(at, lying_page(), protection, flags | MAP_FIXED, fd, (off_t)(file_page * (int64_t)lying_page())) == at);
}

enum { RW = PROT_READ | PROT_WRITE };

/* ---- mappings ---- */

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

/* As if it was not sealed. */
static int copies_the_file(struct rig_subject *subject, uint64_t extent_bytes, int fd, uint64_t length_bytes,
                           void **ret_image)
{
    const struct cow_segment segment = {.bytes = "\1\2\3", .length_bytes = 3};
    if (is_lying())
        return truth->image_create(subject, extent_bytes, &segment, 1, ret_image);
    return truth->image_from_file(subject, extent_bytes, fd, length_bytes, ret_image);
}

static void test_oracles__a_file_that_is_copied_and_not_mapped_is_seen(void)
{
    liar.image_from_file = copies_the_file;
    liar.calls = NULL; /* which are more */
    lying_expect(END "image A size=1P\ndata 0 bytes 01 02 03\nflush\nimage B size=1P samefile=A\ninstantiate i0 B",
                 "divergence: mapping end image", 5);
}

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

/* ---- extension files ---- */

static void lengthens_the_file(void)
{
    CHECK_EQ(ftruncate(lying_file_at(page_at(4)), 3 * (off_t)lying_page()), 0);
}

static void test_oracles__an_extension_file_that_is_too_long_is_seen(void)
{
    liar.check = NULL; /* which sees it too */
    expect_at_flush(lengthens_the_file, EACH LEASE "flush\nflush", "divergence: extension flush length", NEXT);
    CHECK(lying_says(" bytes, not "));
    liar.check = NULL;
    expect_at_flush(lengthens_the_file, END LEASE "flush", "divergence: extension end length", NEXT);
}

/* ---- what stays behind ---- */

static void (*after)(const struct cow_memory *memory); /* the lease has ended, or was reset */

static int release_and_lie(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    const int result = truth->release(subject, handle);
    if (is_lying())
        after(&memory);
    return result;
}

static int reset_and_lie(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    const int result = truth->reset(subject, handle);
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    if (is_lying())
        after(&memory);
    return result;
}

static void expect_after_release(void (*what)(const struct cow_memory *), const char *line, int op)
{
    liar.release = release_and_lie;
    after = what;
    lying_expect(EACH LEASE "fill i0 0 to=end\nflush\nrelease i0", line, op);
}

static void expect_at_the_end(void (*what)(const struct cow_memory *), const char *line)
{
    liar.release = release_and_lie;
    after = what;
    lying_expect(END LEASE "fill i0 0 to=end\nflush", line, 7);
}

static uint8_t kept[2]; /* of the image and of zero memory */

static void keep(void)
{
    kept[0] = *page_at(1);
    kept[1] = *page_at(3);
}

static void brings_back_an_image_byte(const struct cow_memory *memory)
{
    memory->base[lying_page()] = kept[0];
}

static void brings_back_a_zero_byte(const struct cow_memory *memory)
{
    memory->base[3 * lying_page()] = kept[1];
}

static void test_oracles__a_byte_that_stays_in_a_free_slot_is_seen_with_who_wrote_it(void)
{
    static const struct {
        void (*after)(const struct cow_memory *);
        const char *place;
    } lies[] = {{brings_back_an_image_byte, "image"}, {brings_back_a_zero_byte, "zero"}};
    char line[64];
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        liar.flush = lies_once;
        lie = keep;
        snprintf(line, sizeof line, "divergence: residue release %s", lies[i].place);
        expect_after_release(lies[i].after, line, 7);
        CHECK(lying_says("an earlier tenant of the slot wrote this place in operation 5: fill i0 0 to=end"));
        CHECK(lying_says("<- the byte found is that one's"));
        CHECK(lying_says("\nwhere it lies:\n  slot "));
        liar.flush = lies_once;
        lie = keep;
        snprintf(line, sizeof line, "divergence: residue end %s", lies[i].place);
        expect_at_the_end(lies[i].after, line);
    }
}

/* In the file behind: no page is resident. */
static int peeks_wrongly(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint8_t *ret_bytes,
                         uint64_t length_bytes)
{
    const int result = truth->peek(subject, slot, offset, ret_bytes, length_bytes);
    ret_bytes[2] ^= is_lying() ? 0x55 : 0;
    return result;
}

static void test_oracles__a_byte_in_the_file_behind_a_free_slot_is_seen(void)
{
    liar.peek = peeks_wrongly;
    lying_expect(EACH LEASE "flush\nrelease i0", "divergence: residue release image", 6);
    liar.peek = peeks_wrongly;
    lying_expect(END LEASE "flush", "divergence: residue end image", 6);
}

static void grows_again(const struct cow_memory *memory)
{
    CHECK_EQ(ftruncate(lying_file_at(memory->base + 4 * lying_page()), (off_t)lying_page()), 0);
}

static void test_oracles__an_extension_file_of_a_free_slot_that_is_not_empty_is_seen(void)
{
    liar.check = NULL;
    expect_after_release(grows_again, "divergence: residue release extension", 7);
    liar.check = NULL;
    expect_at_the_end(grows_again, "divergence: residue end extension");
}

/* ---- resident pages ---- */

static void loads_a_page(const struct cow_memory *memory)
{
    (void)*(const volatile uint8_t *)(memory->base + 2 * lying_page());
}

static uint8_t *somewhere; /* in the slot */

static void notes_where(const struct cow_memory *memory)
{
    somewhere = memory->base + 2 * lying_page();
}

static void loads_somewhere(void)
{
    if (somewhere)
        (void)*(const volatile uint8_t *)somewhere;
}

/* Not at the release, but when the slot had been idle for a while. */
static int notes_then_releases(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    notes_where(&memory);
    return truth->release(subject, handle);
}

static void test_oracles__a_page_of_an_idle_slot_that_somebody_touches_is_seen(void)
{
    liar.release = notes_then_releases;
    expect_at_flush(loads_somewhere, EACH LEASE "release i0\nflush\nflush\nflush", "divergence: resident flush initial",
                    LYING_ANYWHERE);
    liar.release = notes_then_releases;
    expect_at_flush(loads_somewhere, END LEASE "release i0\nflush", "divergence: resident end initial", 7);
}

static void loads_a_far_page(const struct cow_memory *memory)
{
    (void)*(const volatile uint8_t *)(memory->base + 599 * lying_page());
}

static void test_oracles__a_page_that_stays_resident_is_seen_far_behind(void)
{
    liar.release = release_and_lie;
    after = loads_a_far_page;
    lying_expect("cowpool-ops 1\npool slots=1 max=600P probe=none observe=final kernel=each sweep=no\n"
                 "instantiate i0 none initial=600P\nflush\nrelease i0",
                 "divergence: resident release initial", 2);
}

static void allocates_past_the_end(const struct cow_memory *memory)
{
    CHECK_EQ(fallocate(lying_file_at(memory->base + 4 * lying_page()), FALLOC_FL_KEEP_SIZE, 0, (off_t)lying_page()), 0);
}

static void test_oracles__a_page_that_stays_resident_is_seen(void)
{
    expect_after_release(loads_a_page, "divergence: resident release initial", 7);
    expect_at_the_end(loads_a_page, "divergence: resident end initial");
    liar.reset = reset_and_lie;
    after = loads_a_page;
    lying_expect(EACH LEASE "flush\nreset i0", "divergence: resident reset initial", 6);
}

static void test_oracles__a_file_that_stays_resident_is_seen(void)
{
    expect_after_release(allocates_past_the_end, "divergence: resident release extension", 7);
    expect_at_the_end(allocates_past_the_end, "divergence: resident end extension");
    liar.reset = reset_and_lie;
    after = allocates_past_the_end;
    lying_expect(EACH LEASE "flush\nreset i0", "divergence: resident reset extension", 6);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__memory_that_must_not_be_accessible_is_seen);
    RUN(test_oracles__a_hole_in_the_reservation_is_seen);
    RUN(test_oracles__zero_memory_that_is_shared_or_read_only_is_seen);
    RUN(test_oracles__an_image_that_is_not_mapped_as_it_must_be_is_seen);
    RUN(test_oracles__a_wrong_mapping_is_seen_between_other_operations);
    RUN(test_oracles__a_run_from_the_wrong_place_of_the_file_is_seen);
    RUN(test_oracles__a_file_that_is_copied_and_not_mapped_is_seen);
    RUN(test_oracles__an_extension_that_is_not_mapped_as_it_must_be_is_seen);
    RUN(test_oracles__the_flags_are_those_that_the_kernel_shows);
    RUN(test_oracles__a_flag_that_a_mapping_lacks_is_seen);
    RUN(test_oracles__a_descriptor_too_many_is_seen_before_the_end);
    RUN(test_oracles__a_broken_invariant_is_seen_while_instances_are_live);
    RUN(test_oracles__an_image_that_changed_is_seen_before_the_end);
    RUN(test_oracles__an_extension_file_that_is_too_long_is_seen);
    RUN(test_oracles__a_byte_that_stays_in_a_free_slot_is_seen_with_who_wrote_it);
    RUN(test_oracles__a_byte_in_the_file_behind_a_free_slot_is_seen);
    RUN(test_oracles__an_extension_file_of_a_free_slot_that_is_not_empty_is_seen);
    RUN(test_oracles__a_page_of_an_idle_slot_that_somebody_touches_is_seen);
    RUN(test_oracles__a_page_that_stays_resident_is_seen_far_behind);
    RUN(test_oracles__a_page_that_stays_resident_is_seen);
    RUN(test_oracles__a_file_that_stays_resident_is_seen);
    return 0;
}
