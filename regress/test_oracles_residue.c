/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each suspicion about what a tenant leaves behind fires: bytes in free slots and in the files behind them, extension files that are too
 * long, resident pages. */
#include "lying_lease.h"

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
    const bool is_known = subject == lying_state.subject && truth->memory(subject, handle, &memory) == COW_OK;
    const int result = truth->release(subject, handle);
    if (is_lying() && is_known)
        after(&memory);
    return result;
}

static int reset_and_lie(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    const int result = truth->reset(subject, handle);
    if (is_lying() && subject == lying_state.subject && truth->memory(subject, handle, &memory) == COW_OK)
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

static void loads_and_brings_back(const struct cow_memory *memory)
{
    (void)*(const volatile uint8_t *)memory->base;
    brings_back_a_zero_byte(memory);
}

static void test_oracles__a_byte_that_stays_is_told_before_a_page_that_stays(void)
{
    liar.flush = lies_once;
    lie = keep;
    expect_after_release(loads_and_brings_back, "divergence: residue release zero", 7);
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
    if (subject == lying_state.subject && truth->memory(subject, handle, &memory) == COW_OK)
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
    RUN(test_oracles__an_extension_file_that_is_too_long_is_seen);
    RUN(test_oracles__a_byte_that_stays_in_a_free_slot_is_seen_with_who_wrote_it);
    RUN(test_oracles__a_byte_that_stays_is_told_before_a_page_that_stays);
    RUN(test_oracles__a_byte_in_the_file_behind_a_free_slot_is_seen);
    RUN(test_oracles__an_extension_file_of_a_free_slot_that_is_not_empty_is_seen);
    RUN(test_oracles__a_page_of_an_idle_slot_that_somebody_touches_is_seen);
    RUN(test_oracles__a_page_that_stays_resident_is_seen_far_behind);
    RUN(test_oracles__a_page_that_stays_resident_is_seen);
    RUN(test_oracles__a_file_that_stays_resident_is_seen);
    return 0;
}
