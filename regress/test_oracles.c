/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence that the rig can report about what a guest sees (results, lengths, bytes, traps) fires when the subject
 * lies about it. What only the kernel sees is in test_oracles_kernel.c. */
#include "lying.h"

#define POOL "cowpool-ops 1\npool slots=1 max=8P probe=none\n"
#define FINAL_POOL "cowpool-ops 1\npool slots=1 max=8P probe=none observe=final\n"

/* ---- results ---- */

static int image_too_large(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                           size_t n_segments, void **ret_image)
{
    if (is_lying())
        return COW_IMAGE_LARGE;
    return truth->image_create(subject, extent_bytes, segments, n_segments, ret_image);
}

static void test_oracles__an_image_refused_without_reason_is_seen(void)
{
    liar.image_create = image_too_large;
    lying_expect(POOL "flush\nimage A size=1P", "divergence: result image want=ok got=image-large", 1);
    CHECK(lying_says("the model says ok, the subject image-large ("));
}

static int image_of_any_size(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                             size_t n_segments, void **ret_image)
{
    return truth->image_create(subject, is_lying() ? 0 : extent_bytes, segments, n_segments, ret_image);
}

static void test_oracles__an_image_that_must_be_refused_is_seen(void)
{
    liar.image_create = image_of_any_size;
    lying_expect(POOL "flush\nimage A size=9P", "divergence: result image want=image-large got=ok", 1);
}

static int no_memory_left(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                          uint64_t *ret_handle)
{
    return is_lying() ? -12 : truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
}

static void test_oracles__an_error_that_nobody_injected_is_seen(void)
{
    liar.instantiate = no_memory_left;
    lying_expect(POOL "flush\ninstantiate i0 none", "divergence: result instantiate want=ok got=error", 1);
    CHECK(lying_says("the subject error (-12)"));
}

static int ends_at_once(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                        uint64_t *ret_handle)
{
    const int result = truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (is_lying())
        CHECK_EQ(truth->release(subject, *ret_handle), COW_OK);
    return result;
}

static void test_oracles__a_new_handle_that_is_stale_is_seen(void)
{
    liar.instantiate = ends_at_once;
    lying_expect(POOL "flush\ninstantiate i0 none", "divergence: result instantiate want=ok got=stale", 1);
}

static int forgets_live_handles(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    return is_lying() ? COW_STALE : truth->memory(subject, handle, ret_memory);
}

static void test_oracles__a_live_handle_that_went_stale_is_seen(void)
{
    liar.memory = forgets_live_handles;
    lying_expect(FINAL_POOL "instantiate i0 none\nflush\nload i0 0 width=1",
                 "divergence: result load want=ok got=stale", 2);
    liar.memory = forgets_live_handles;
    lying_expect(POOL "instantiate i0 none\nflush", "divergence: result flush want=ok got=stale", 1);
}

static int knows_every_handle(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    return is_lying() ? COW_OK : result;
}

static void test_oracles__a_stale_handle_that_works_is_seen(void)
{
    liar.memory = knows_every_handle;
    lying_expect(FINAL_POOL "instantiate i0 none\nrelease i0\nflush\nload i0 0 width=1",
                 "divergence: result load want=stale got=ok", 3);
}

static int grows_never(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    return is_lying() ? COW_LIMIT : truth->grow(subject, handle, delta_bytes, ret_old_bytes);
}

static int grows_always(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    const int result = truth->grow(subject, handle, delta_bytes, ret_old_bytes);
    return is_lying() ? COW_OK : result;
}

static void test_oracles__a_wrong_answer_of_grow_is_seen(void)
{
    liar.grow = grows_never;
    lying_expect(POOL "instantiate i0 none\nflush\ngrow i0 +1P", "divergence: result grow want=ok got=limit", 2);
    liar.grow = grows_always;
    lying_expect(POOL "instantiate i0 none max=2P\nflush\ngrow i0 +2P", "divergence: result grow want=limit got=ok", 2);
    liar.grow = grows_always;
    lying_expect(POOL "instantiate i0 none max=2P\nflush\ngrow i0 huge", "divergence: result grow want=limit got=ok",
                 2);
}

static int fails_to_reset(struct rig_subject *subject, uint64_t handle)
{
    const int result = truth->reset(subject, handle);
    return is_lying() ? -5 : result;
}

static void test_oracles__a_reset_that_fails_is_seen(void)
{
    liar.reset = fails_to_reset;
    lying_expect(POOL "instantiate i0 none\nflush\nreset i0", "divergence: result reset want=ok got=error", 2);
}

static int releases_anything(struct rig_subject *subject, uint64_t handle)
{
    const int result = truth->release(subject, handle);
    return is_lying() ? COW_OK : result;
}

static void test_oracles__a_second_release_that_succeeds_is_seen(void)
{
    liar.release = releases_anything;
    lying_expect(POOL "instantiate i0 none\nrelease i0\nflush\nrelease i0",
                 "divergence: result release want=stale got=ok", 3);
    liar.release = releases_anything;
    lying_expect(POOL "instantiate i0 none\nreuse i0 none\nflush\nreuse i0~1 none",
                 "divergence: result reuse want=stale got=ok", 3);
}

static int fails_to_flush(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    return is_lying() ? -5 : result;
}

static void test_oracles__a_flush_that_fails_is_seen(void)
{
    liar.flush = fails_to_flush;
    lying_expect(POOL "flush", "divergence: result flush want=ok got=error", 0);
}

static int stays_busy(struct rig_subject *subject)
{
    return is_lying() ? COW_BUSY : truth->close(subject);
}

static void test_oracles__a_pool_that_does_not_close_is_seen(void)
{
    liar.close = stays_busy;
    lying_expect(POOL "flush", "divergence: result end want=ok got=busy", 1);
}

/* ---- lengths ---- */

static int (*lie_about)(struct cow_memory *memory);

static int wrong_memory(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    return result == COW_OK && is_lying() ? lie_about(ret_memory) : result;
}

static int longer(struct cow_memory *memory)
{
    memory->length_bytes++;
    return COW_OK;
}

static int more_accessible(struct cow_memory *memory)
{
    memory->accessible_bytes += lying_page();
    return COW_OK;
}

static int smaller_maximum(struct cow_memory *memory)
{
    memory->max_bytes--;
    return COW_OK;
}

static void test_oracles__each_wrong_length_is_seen(void)
{
    static const struct {
        int (*lie)(struct cow_memory *memory);
        const char *line;
    } lies[] = {
        {longer, "divergence: length flush length"},
        {more_accessible, "divergence: length flush accessible"},
        {smaller_maximum, "divergence: length flush maximum"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        liar.memory = wrong_memory;
        lie_about = lies[i].lie;
        lying_expect(POOL "instantiate i0 none initial=2P\nflush", lies[i].line, 1);
    }
}

static void test_oracles__a_wrong_length_is_seen_at_the_end_too(void)
{
    liar.memory = wrong_memory;
    lie_about = longer;
    lying_expect(FINAL_POOL "instantiate i0 none initial=1P\nflush", "divergence: length end length", 2);
}

/* To where the same bytes are. */
static int elsewhere(struct cow_memory *memory)
{
    static uint8_t zeros[1 << 17];
    CHECK(memory->length_bytes <= sizeof zeros);
    memory->base = zeros;
    return COW_OK;
}

static void test_oracles__a_memory_that_has_moved_is_seen(void)
{
    liar.memory = wrong_memory;
    lie_about = elsewhere;
    lying_expect("cowpool-ops 1\npool slots=1 sweep=no\ninstantiate i0 none initial=2P\nflush",
                 "divergence: base flush moved", 1);
}

static int wrong_old_length(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    const int result = truth->grow(subject, handle, delta_bytes, ret_old_bytes);
    *ret_old_bytes += result == COW_OK && is_lying();
    return result;
}

static void test_oracles__a_wrong_old_length_is_seen(void)
{
    liar.grow = wrong_old_length;
    lying_expect(POOL "instantiate i0 none initial=1P\nflush\ngrow i0 +1P", "divergence: length grow old", 2);
}

/* ---- bytes ---- */

static int64_t where; /* the byte that the next lies change */

static int pokes(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        *lying_at(where) ^= 0x55;
    return result;
}

static void load_lies(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    truth->access(subject, handle, access);
    if (is_lying() && access->kind == RIG_ACCESS_LOAD)
        access->bytes[3] ^= 0x55;
}

#define IMAGE_ZERO_GROWN                                                                                               \
    "image A size=2P\ndata 8 bytes 01 02 03 04 05 06 07 08\ninstantiate i0 A initial=3P\ngrow i0 +1P\nflush\n"

static void test_oracles__a_wrong_byte_of_a_load_is_seen(void)
{
    liar.access = load_lies;
    lying_expect(FINAL_POOL IMAGE_ZERO_GROWN "load i0 8 width=8", "divergence: bytes load image", 5);
    CHECK(lying_says("1 byte differs of an instance of "));
    CHECK(lying_says("the first at offset 11 (0xb):"));
    CHECK(lying_says("\n  model    04 05 06 07 08\n  pool     51 05 06 07 08\n"));
    CHECK(lying_says("\nwho wrote it:\n  no operation wrote this place of the slot\n"));
    liar.access = load_lies;
    lying_expect(FINAL_POOL IMAGE_ZERO_GROWN "load i0 2P width=4", "divergence: bytes load zero", 5);
    liar.access = load_lies;
    lying_expect(FINAL_POOL IMAGE_ZERO_GROWN "load i0 end-16 width=16", "divergence: bytes load grown", 5);
}

/* Where to poke, and what class of place that is. */
static void poke_everywhere(const char *world, const char *format)
{
    const struct {
        uint64_t offset;
        const char *place;
    } pokes_at[] = {
        {9, "image"}, {3 * lying_page() - 1, "zero"}, {3 * lying_page(), "grown"}, {4 * lying_page() - 1, "grown"}};
    char program[512], line[128];
    for (size_t i = 0; i < sizeof pokes_at / sizeof *pokes_at; i++) {
        liar.flush = pokes;
        where = (int64_t)pokes_at[i].offset;
        snprintf(program, sizeof program, "cowpool-ops 1\npool slots=1 max=8P probe=none %s\n" IMAGE_ZERO_GROWN, world);
        snprintf(line, sizeof line, "divergence: bytes %s %s", format, pokes_at[i].place);
        lying_expect(program, line, LYING_ANYWHERE);
    }
}

static void test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_full_observer(void)
{
    poke_everywhere("observe=full", "flush");
}

static void test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_quiet_observer(void)
{
    poke_everywhere("observe=quiet", "flush");
}

static void test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_final_observer(void)
{
    poke_everywhere("observe=final", "end");
}

/* The newest instance is poked: it is the only one, or one of many. */
static void test_oracles__a_wrong_byte_of_an_instance_in_any_register_is_seen(void)
{
    char program[256];
    for (int i = 0; i < RIG_N_REGISTERS; i++) {
        liar.flush = pokes;
        where = 5;
        snprintf(program, sizeof program,
                 "cowpool-ops 1\npool slots=2 probe=none\ninstantiate i%d none\ninstantiate i%d none\nflush",
                 (i + 1) % RIG_N_REGISTERS, i);
        lying_expect(program, "divergence: bytes flush zero", 2);
    }
}

/* Into the file, so that no page of the memory becomes resident. */
static int pokes_the_file(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    const uint8_t byte = 0x55;
    if (is_first_lie())
        CHECK_EQ(pwrite(lying_file_at(lying_at(where)), &byte, 1, where % (int64_t)lying_page()), 1);
    return result;
}

static void test_oracles__a_wrong_byte_of_a_page_that_is_not_resident_is_seen_by_the_quiet_observer(void)
{
    liar.flush = pokes_the_file;
    where = 3 * (int64_t)lying_page() + 7;
    lying_expect("cowpool-ops 1\npool slots=1 max=8P probe=none observe=quiet\n" IMAGE_ZERO_GROWN,
                 "divergence: bytes flush grown", 4);
    CHECK(lying_says("the page: not present"));
}

static int peeks_wrongly(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint8_t *ret_bytes,
                         uint64_t length_bytes)
{
    const int result = truth->peek(subject, slot, offset, ret_bytes, length_bytes);
    ret_bytes[9] ^= is_lying() ? 0x55 : 0;
    return result;
}

static void test_oracles__a_wrong_byte_of_an_untouched_image_is_seen_by_the_quiet_observer(void)
{
    liar.peek = peeks_wrongly;
    lying_expect("cowpool-ops 1\npool slots=1 probe=none observe=quiet\n" IMAGE_ZERO_GROWN,
                 "divergence: bytes flush image", 4);
}

static int cannot_peek(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint8_t *ret_bytes,
                       uint64_t length_bytes)
{
    return is_lying() ? -5 : truth->peek(subject, slot, offset, ret_bytes, length_bytes);
}

static void test_oracles__a_file_that_cannot_be_read_is_seen(void)
{
    liar.peek = cannot_peek;
    lying_expect("cowpool-ops 1\npool slots=1 probe=none observe=quiet\n" IMAGE_ZERO_GROWN,
                 "divergence: peek flush file", 4);
}

/* The model holds no pages and no files: what needs neither fires all the same. */
static void test_oracles__lies_of_a_subject_that_is_no_pool_are_seen(void)
{
    lying_begin(&rig_subject_model);
    liar.memory = wrong_memory;
    lie_about = longer;
    lying_expect(POOL "instantiate i0 none\nflush", "divergence: length flush length", 1);
    liar.flush = pokes;
    where = 5;
    lying_expect(POOL "instantiate i0 none\nflush", "divergence: bytes flush zero", 1);
    CHECK(lying_says("\n  model    00 00 "));
    liar.release = releases_anything;
    lying_expect(POOL "flush\nrelease i0", "divergence: result release want=stale got=ok", 1);
    lying_begin(&rig_subject_pool);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__an_image_refused_without_reason_is_seen);
    RUN(test_oracles__an_image_that_must_be_refused_is_seen);
    RUN(test_oracles__an_error_that_nobody_injected_is_seen);
    RUN(test_oracles__a_new_handle_that_is_stale_is_seen);
    RUN(test_oracles__a_live_handle_that_went_stale_is_seen);
    RUN(test_oracles__a_stale_handle_that_works_is_seen);
    RUN(test_oracles__a_wrong_answer_of_grow_is_seen);
    RUN(test_oracles__a_reset_that_fails_is_seen);
    RUN(test_oracles__a_second_release_that_succeeds_is_seen);
    RUN(test_oracles__a_flush_that_fails_is_seen);
    RUN(test_oracles__a_pool_that_does_not_close_is_seen);
    RUN(test_oracles__each_wrong_length_is_seen);
    RUN(test_oracles__a_wrong_length_is_seen_at_the_end_too);
    RUN(test_oracles__a_memory_that_has_moved_is_seen);
    RUN(test_oracles__a_wrong_old_length_is_seen);
    RUN(test_oracles__a_wrong_byte_of_a_load_is_seen);
    RUN(test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_full_observer);
    RUN(test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_quiet_observer);
    RUN(test_oracles__a_wrong_byte_of_each_kind_of_place_is_seen_by_the_final_observer);
    RUN(test_oracles__a_wrong_byte_of_an_instance_in_any_register_is_seen);
    RUN(test_oracles__a_wrong_byte_of_a_page_that_is_not_resident_is_seen_by_the_quiet_observer);
    RUN(test_oracles__a_wrong_byte_of_an_untouched_image_is_seen_by_the_quiet_observer);
    RUN(test_oracles__a_file_that_cannot_be_read_is_seen);
    RUN(test_oracles__lies_of_a_subject_that_is_no_pool_are_seen);
    return 0;
}
