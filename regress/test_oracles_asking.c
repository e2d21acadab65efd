/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence about what a program does not ask for itself fires: images of Wasm binaries, pools that are left to themselves, pools
 * beside the program's, and a pool that breaks what it has promised to the kernel's table. */
#include "lying.h"
#include "sys/sys.h"

#define POOL "cowpool-ops 1\npool slots=2 max=8P probe=none kernel=each sweep=no\n"
#define IMAGE "flush\nimage A size=5000\ndata 100 stamp 20"
#define NOTHING "cowpool-ops 1\npool slots=1"

/* ---- images of Wasm binaries ---- */

static enum binary_lie { A_BYTE_LESS, A_REASON, REFUSES } wrong;

static int makes_another(struct rig_subject *subject, const void *binary, size_t binary_bytes, void **ret_image,
                         struct cow_wasm_memory *ret_memory, struct cow_wasm_error *ret_error)
{
    const int result = truth->image_from_wasm(subject, binary, binary_bytes, ret_image, ret_memory, ret_error);
    if (!is_lying())
        return result;
    if (wrong == A_BYTE_LESS && ret_memory)
        ret_memory->minimum_bytes--;
    if (wrong == A_REASON && result == COW_OK && ret_error)
        ret_error->what = "all is well";
    return wrong == REFUSES && !ret_memory && result == COW_OK ? COW_IMAGE_LARGE : result;
}

static void expect_of_binary(enum binary_lie lie, const char *line)
{
    wrong = lie;
    liar.image_from_wasm = makes_another;
    lying_expect(POOL IMAGE, line, 1);
}

static void test_oracles__another_image_of_a_binary_is_seen(void)
{
    expect_of_binary(A_BYTE_LESS, "divergence: image image wasm-memory");
    expect_of_binary(A_REASON, "divergence: image image wasm-error");
    CHECK(lying_says("an image was made of a binary, and an error is told"));
    expect_of_binary(REFUSES, "divergence: result image want=ok got=image-large");
}

static int of_nothing(struct rig_subject *subject, const void *binary, size_t binary_bytes, void **ret_image,
                      struct cow_wasm_memory *ret_memory, struct cow_wasm_error *ret_error)
{
    struct cow_wasm_error error;
    return truth->image_from_wasm(subject, binary, binary_bytes, ret_image, ret_memory,
                                  is_lying() && ret_error ? &error : ret_error);
}

static void test_oracles__a_binary_that_is_refused_without_a_reason_is_seen(void)
{
    liar.image_from_wasm = of_nothing;
    lying_expect(POOL IMAGE, "divergence: image image wasm-error", 1);
    CHECK(lying_says("a binary was refused, and nobody says why"));
}

/* ---- pools that are left to themselves ---- */

static int tells_another_growth(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    const int result = truth->stats(subject, ret_stats);
    if (lying_state.armed)
        ret_stats->growth = COW_GROWTH_TRUNCATE;
    return result;
}

static void test_oracles__another_way_to_grow_than_the_usual_one_is_seen(void)
{
    liar.stats = tells_another_growth;
    lying_expect(NOTHING, "divergence: statistics end modes", LYING_ANYWHERE);
}

static int tells_of_larger_images(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    const int result = truth->stats(subject, ret_stats);
    if (lying_state.armed && ret_stats->image_bytes)
        ret_stats->image_bytes += 4096;
    return result;
}

static void test_oracles__an_image_that_takes_more_than_it_should_is_seen(void)
{
    liar.stats = tells_of_larger_images;
    lying_expect(NOTHING, "divergence: statistics end image_bytes", LYING_ANYWHERE);
}

static int tells_of_copies(struct rig_subject *subject, struct cow_stats *ret_stats)
{
    static uint64_t n;
    const int result = truth->stats(subject, ret_stats);
    if (lying_state.armed)
        ret_stats->n_copied = ++n;
    return result;
}

static void test_oracles__pages_that_could_not_be_found_and_were_copied_over_are_seen(void)
{
    liar.stats = tells_of_copies;
    lying_expect(NOTHING, "divergence: reset end usual", LYING_ANYWHERE);
}

static int makes_any_pool(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    struct rig_geometry other = *geometry;
    if (lying_state.armed && other.sys && other.growth == COW_GROWTH_GUARD)
        other.growth = COW_GROWTH_PROTECT;
    return truth->open(&other, ret_subject);
}

static void test_oracles__guard_markers_where_there_are_none_are_seen(void)
{
    liar.open = makes_any_pool;
    lying_expect(NOTHING, "divergence: kernel end accepted", LYING_ANYWHERE);
}

/* ---- a pool beside it ---- */

static struct rig_subject *first;
static uint64_t first_handle, hidden_handle;

/* In the pool that is made beside the first one. */
static int lends_the_first(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                           uint64_t *ret_handle)
{
    const int result = truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (!lying_state.armed) {
        return result;
    } else if (!first) {
        first = subject;
        first_handle = *ret_handle;
    } else if (subject != first && result == COW_OK) {
        hidden_handle = *ret_handle;
        *ret_handle = first_handle;
    }
    return result;
}

static bool was_asked; /* the first pool, for the handle that was told of the other */

static int knows_its_handle(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    was_asked = was_asked || (hidden_handle && subject == first && handle == first_handle);
    return truth->memory(subject, handle, ret_memory);
}

/* When that was seen, what was hidden ends all the same. */
static int ends_what_it_hid(struct rig_subject *subject, uint64_t handle)
{
    const bool is_hidden = was_asked && subject != first && handle == first_handle;
    return truth->release(subject, is_hidden ? hidden_handle : handle);
}

static void test_oracles__a_handle_of_another_pool_that_is_good_is_seen(void)
{
    first = NULL;
    hidden_handle = 0;
    was_asked = false;
    liar.memory = knows_its_handle;
    liar.instantiate = lends_the_first;
    liar.release = ends_what_it_hid;
    lying_expect(POOL "instantiate i0 none\nflush", "divergence: result end want=stale got=ok", LYING_ANYWHERE);
}

/* ---- whose an address is ---- */

static struct cow_location nowhere(struct rig_subject *subject, uintptr_t address)
{
    struct cow_location location = truth->locate(subject, address);
    if (is_lying() && location.place == COW_PLACE_HOST_FAULT)
        location.place = COW_PLACE_OUT_OF_BOUNDS;
    return location;
}

static void test_oracles__a_host_fault_that_passes_for_a_trap_is_seen(void)
{
    liar.locate = nowhere;
    lying_expect(POOL "instantiate i0 none\nflush", "divergence: locate end wrong", LYING_ANYWHERE);
}

/* ---- what was only grown ---- */

static int grows_and_touches(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes,
                             uint64_t *ret_old_bytes)
{
    struct cow_memory memory;
    const int result = truth->grow(subject, handle, delta_bytes, ret_old_bytes);
    if (is_lying() && result == COW_OK && truth->memory(subject, handle, &memory) == COW_OK)
        memset(memory.base + *ret_old_bytes, 0, delta_bytes);
    return result;
}

static void test_oracles__a_growth_that_touches_what_is_new_is_seen(void)
{
    liar.grow = grows_and_touches;
    lying_expect("cowpool-ops 1\npool slots=1 max=8P probe=none observe=final sweep=no\n"
                 "instantiate i0 none\nflush\ngrow i0 +2P",
                 "divergence: resident grow grown", 2);
}

/* ---- what the pool has promised ---- */

static int breaks_a_promise(struct rig_subject *subject)
{
    const int result = truth->flush(subject);
    if (lying_state.armed)
        (void)lying_state.sys->ftruncate(lying_state.sys, -1, 1);
    return result;
}

static void test_oracles__a_call_that_the_table_does_not_allow_is_seen(void)
{
    liar.flush = breaks_a_promise;
    lying_expect(POOL "instantiate i0 none\nfault munmap nth=200 error=EIO\nflush", "divergence: kernel flush contract",
                 2);
    CHECK(lying_says("the pool has broken a promise of sys.h: a file that is not whole host pages"));
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__another_image_of_a_binary_is_seen);
    RUN(test_oracles__a_binary_that_is_refused_without_a_reason_is_seen);
    RUN(test_oracles__another_way_to_grow_than_the_usual_one_is_seen);
    RUN(test_oracles__an_image_that_takes_more_than_it_should_is_seen);
    RUN(test_oracles__pages_that_could_not_be_found_and_were_copied_over_are_seen);
    RUN(test_oracles__guard_markers_where_there_are_none_are_seen);
    RUN(test_oracles__a_handle_of_another_pool_that_is_good_is_seen);
    RUN(test_oracles__a_host_fault_that_passes_for_a_trap_is_seen);
    RUN(test_oracles__a_growth_that_touches_what_is_new_is_seen);
    RUN(test_oracles__a_call_that_the_table_does_not_allow_is_seen);
    return 0;
}
