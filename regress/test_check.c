/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The walker over the invariants, told a lie: each time one thing in the books is wrong, and cow_pool_check() must say which. Then
 * the checks that abort: each is given what it must not let pass. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "invariant.h"
#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

enum { N_SLOTS = 6, N_SHARDS = 2 }; /* slot i is of shard i % 2 */

/* Slot 0 is live and has grown, slots 1 and 2 are idle, the others bare. */
static struct {
    uint64_t page;
    struct cow_pool *pool;
    struct cow_shard *shard; /* that of slots 0, 2 and 4 */
    struct cow_slot *live, *idle, *bare;
    struct cow_image *copy, *sealed, *vouched; /* copy has two runs, and slots 0 and 2 map it */
    struct cow_instance instance;
    int sealed_fd, short_fd, unsealed_fd, sparse_fd;
    struct cow_sys_table mute; /* answers no question about a file */
} w;

static int no_seals(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return -EIO;
}

static int64_t no_length(const struct cow_sys_table *self, int fd)
{
    return no_seals(self, fd);
}

static int64_t no_bytes(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

static int no_next_data(const struct cow_sys_table *self, int fd, uint64_t offset_bytes, uint64_t *ret_begin_bytes,
                        uint64_t *ret_end_bytes)
{
    *ret_begin_bytes = *ret_end_bytes = offset_bytes;
    return no_seals(self, fd);
}

/* A file of n_pages full ones. */
static int make_file(uint64_t n_pages)
{
    const int fd = memfd_create("callers-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    for (uint64_t i = 0; i < n_pages; i++)
        CHECK_EQ(pwrite(fd, "\x99", 1, (off_t)(i * w.page)), 1);
    CHECK_EQ(ftruncate(fd, (off_t)(n_pages * w.page)), 0);
    return fd;
}

static struct cow_image *make_image(int fd, enum cow_file_use use)
{
    const struct cow_file_range range = {.fd = fd, .length_bytes = 2 * w.page, .use = use};
    struct cow_image *image = NULL;
    CHECK_EQ(cow_image_from_file(w.pool, 2 * w.page, &range, &image), COW_OK);
    return image;
}

static struct cow_instance lend(uint32_t shard_hint, const struct cow_image *image, uint64_t initial_bytes)
{
    const struct cow_instance_config config = {
        .image = image, .initial_bytes = initial_bytes, .max_bytes = 10 * w.page, .shard_hint = shard_hint};
    struct cow_instance instance;
    CHECK_EQ(cow_instantiate(w.pool, &config, &instance), COW_OK);
    return instance;
}

static void open_world(void)
{
    w.page = fixture_page();
    const struct cow_pool_config config = {FOUNDING_MODES,        .n_slots = N_SLOTS,   .max_bytes = 16 * w.page,
                                           .guard_bytes = w.page, .n_shards = N_SHARDS, .image_join_bytes = 1};
    const struct cow_segment segments[] = {{0, "\x07", 1}, {3 * w.page, "\x08", 1}};
    uint64_t old_bytes;
    CHECK_EQ(cow_pool_create(&config, &w.pool), COW_OK);
    CHECK_EQ(cow_image_create(w.pool, 4 * w.page, segments, 2, &w.copy), COW_OK);
    w.sealed_fd = make_file(2);
    CHECK_EQ(fcntl(w.sealed_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    w.short_fd = make_file(1);
    w.unsealed_fd = make_file(2);
    w.sparse_fd = make_file(1);
    CHECK_EQ(ftruncate(w.sparse_fd, (off_t)(2 * w.page)), 0);
    w.sealed = make_image(w.sealed_fd, COW_FILE_GUARDED);
    w.vouched = make_image(w.unsealed_fd, COW_FILE_VOUCHED);
    w.instance = lend(0, w.copy, 4 * w.page);
    const struct cow_instance second = lend(0, w.copy, 5 * w.page), third = lend(1, w.vouched, 2 * w.page);
    CHECK_EQ(cow_instance_grow(w.pool, w.instance, 2 * w.page, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_release(w.pool, second) | cow_instance_release(w.pool, third), COW_OK);
    w.shard = &w.pool->shards[0];
    w.live = &w.pool->slots[0];
    w.idle = &w.pool->slots[2];
    w.bare = &w.pool->slots[4];
    w.mute = cow_sys_linux;
    w.mute.seals = no_seals;
    w.mute.file_bytes = no_length;
    w.mute.next_data = no_next_data;
    CHECK(w.live->state == COW_SLOT_LIVE && w.idle->state == COW_SLOT_IDLE && w.bare->state == COW_SLOT_BARE);
    CHECK(w.copy->origin == COW_IMAGE_COPY && w.sealed->origin == COW_IMAGE_SEALED && w.copy->n_runs == 2);
    CHECK(cow_pool_check(w.pool) == NULL);
}

static void close_world(void)
{
    CHECK_EQ(cow_instance_release(w.pool, w.instance), COW_OK);
    CHECK_EQ(cow_pool_close(w.pool), COW_OK);
    CHECK_EQ(close(w.sealed_fd) | close(w.short_fd) | close(w.unsealed_fd) | close(w.sparse_fd), 0);
}

/* Does one thing to the books, hears what the walker says, and takes it back: `place` is what it is done to. */
#define EXPECT_BROKEN(sentence, place, value)                                                                          \
    do {                                                                                                               \
        const __typeof__(place) was = (place);                                                                         \
        (place) = (value);                                                                                             \
        const char *said = cow_pool_check(w.pool);                                                                     \
        (place) = was;                                                                                                 \
        CHECK_STRINGS(said ? said : "nothing", sentence);                                                              \
        CHECK(cow_pool_check(w.pool) == NULL);                                                                         \
    } while (0)

/* ---- the walker ---- */

static void test_check__slots(void)
{
    static const char valid[] = "(S2) a handle is valid exactly while its slot is live";
    static const char lengths[] = "(S2) initial <= length <= maximum <= the pool's does not hold";
    static const char end[] = "(S2) the accessible end is not the length rounded up";
    static const char bare[] = "(S4, S5) a bare or retired slot holds an image";
    open_world();
    EXPECT_BROKEN(valid, w.live->lease, 0);
    EXPECT_BROKEN(valid, w.idle->lease, w.idle->last_handle);
    EXPECT_BROKEN("(H1) a live slot's handle does not name it", w.live->lease, w.live->lease ^ 1);
    EXPECT_BROKEN("(H1) a live slot's handle is not the last that it was given", w.live->last_handle,
                  w.live->last_handle - 1);
    EXPECT_BROKEN(lengths, w.live->initial_bytes, w.live->length_bytes + 1);
    EXPECT_BROKEN(lengths, w.live->max_bytes, w.live->length_bytes - 1);
    EXPECT_BROKEN(lengths, w.live->max_bytes, w.pool->max_bytes + 1);
    EXPECT_BROKEN("(S3) the extension does not begin at the initial length rounded up", w.live->initial_bytes, w.page);
    EXPECT_BROKEN(end, w.live->accessible_bytes, w.live->accessible_bytes + w.page);
    EXPECT_BROKEN(end, w.live->length_bytes, w.live->length_bytes - w.page);
    EXPECT_BROKEN("(S1) a slot that is not live has accessible bytes", w.idle->accessible_bytes, 1);
    EXPECT_BROKEN(bare, w.bare->image, w.copy);
    EXPECT_BROKEN(bare, w.bare->paved_bytes, w.page);
    EXPECT_BROKEN("(S4) a lost slot is mapped", w.idle->lost, true);
    EXPECT_BROKEN("(S4) a lost slot is mapped", w.live->lost, true);
    EXPECT_BROKEN("(S1) an idle slot is open past its initial part", w.idle->extension_bytes, w.page);
    EXPECT_BROKEN("(S2) the accessible end is not a whole number of host pages", w.live->extension_bytes, 1);
    EXPECT_BROKEN("(S2) an extension file is not as long as the books say", w.live->extension_bytes, w.page);
    EXPECT_BROKEN("(S2) an extension file is not as long as the books say", w.bare->extension_fd, -1);
    EXPECT_BROKEN("(S2) a window of guard markers reaches past the capacity", w.live->window_bytes,
                  w.pool->geometry.capacity_bytes);
    EXPECT_BROKEN("(S7) a slot waits to be cleaned, and is clean", w.idle->state, COW_SLOT_QUEUED);
    EXPECT_BROKEN("(S7) a slot that does not wait is still to be cleaned", w.idle->must_discard, true);
    EXPECT_BROKEN("(S1) a slot keeps more pages than it has", w.idle->private_bytes, w.idle->paved_bytes + w.page);
    close_world();
}

static void test_check__lists(void)
{
    static const char other[] = "(D1) a slot is in the list of another state",
                      list[] = "(D1) a list of slots is broken";
    static const char warm[] = "(D2) idle slots and warm slots are not the same";
    open_world();
    struct cow_slot_list *lists = w.shard->lists;
    EXPECT_BROKEN("(D4) a shard miscounts what is idle or waits, or what idle slots keep", w.shard->n_idle, 0);
    EXPECT_BROKEN("(D4) a shard miscounts what is idle or waits, or what idle slots keep", w.shard->n_queued, 1);
    EXPECT_BROKEN("(D4) a shard miscounts what is idle or waits, or what idle slots keep", w.shard->idle_bytes, w.page);
    EXPECT_BROKEN("(P1) a slot is in the list of another shard", lists[COW_SLOT_BARE].first, &w.pool->slots[3]);
    EXPECT_BROKEN(other, w.bare->state, COW_SLOT_RETIRED);
    EXPECT_BROKEN(other, w.bare->lost, true);
    EXPECT_BROKEN(other, lists[COW_SLOT_LIVE].first, w.live);
    EXPECT_BROKEN(list, w.bare->previous, w.bare);
    EXPECT_BROKEN(list, w.bare->next, w.bare);
    EXPECT_BROKEN(list, lists[COW_SLOT_IDLE].last, NULL);
    struct cow_slot *none[N_SLOTS] = {NULL}, *bare[N_SLOTS] = {w.bare, w.bare, w.bare, w.bare, w.bare, w.bare};
    CHECK(w.shard->n_buckets <= N_SLOTS);
    EXPECT_BROKEN(warm, w.shard->buckets, none);
    EXPECT_BROKEN(warm, w.shard->buckets, bare);
    EXPECT_BROKEN("(D1) a slot is in no list and not lent", lists[COW_SLOT_BARE], ((struct cow_slot_list){NULL, NULL}));
    EXPECT_BROKEN("(D1) the count of live instances is wrong", w.shard->n_live, 2);
    close_world();
}

static void test_check__images(void)
{
    static const char runs[] = "(I1) the runs of an image touch, overlap, or are not whole host pages";
    static const char file[] = "(I2) the file of an image is not its runs", seals[] = "(I3) an image is not sealed";
    static const char hole[] = "(I2) the file of an image has a hole";
    open_world();
    struct cow_run *first = &w.copy->runs[0], *second = &w.copy->runs[1];
    EXPECT_BROKEN("(I1) an image has too many runs", w.copy->n_runs, COW_IMAGE_MAX_RUNS + 1);
    EXPECT_BROKEN(runs, second->offset_bytes, w.page);
    EXPECT_BROKEN(runs, second->length_bytes, 0);
    EXPECT_BROKEN(runs, first->offset_bytes, 1);
    EXPECT_BROKEN(file, second->file_offset_bytes, 0);
    EXPECT_BROKEN(file, w.copy->file_bytes, 3 * w.page);
    EXPECT_BROKEN(file, w.sealed->file_bytes, 3 * w.page);
    EXPECT_BROKEN(file, w.copy->fd, w.short_fd);
    EXPECT_BROKEN(hole, w.copy->fd, w.sparse_fd);
    CHECK_EQ(pwrite(w.sparse_fd, "\x99", 1, (off_t)w.page), 1);
    CHECK_EQ(fallocate(w.sparse_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)w.page), 0);
    EXPECT_BROKEN(hole, w.copy->fd, w.sparse_fd); /* now at its begin */
    EXPECT_BROKEN(file, w.copy->fd, -1);
    EXPECT_BROKEN(seals, w.copy->fd, w.sealed_fd);
    EXPECT_BROKEN(seals, w.sealed->fd, w.unsealed_fd);
    EXPECT_BROKEN("(I5) the file behind an image ends before it", w.sealed->fd, w.short_fd);
    EXPECT_BROKEN("(I4) an image is not referred to as often as it says", w.copy->refs, 4);
    close_world();
}

static void test_check__the_list_of_images(void)
{
    static const char list[] = "(I6) the list of images is broken";
    static const char counted[] = "(I6) the images are not those that are counted";
    open_world();
    EXPECT_BROKEN(list, w.copy->link, &w.copy->next);
    EXPECT_BROKEN(list, w.sealed->number, w.vouched->number);
    EXPECT_BROKEN(list, w.sealed->number, w.copy->number);
    EXPECT_BROKEN(list, w.pool->images.n_made, w.vouched->number - 1);
    EXPECT_BROKEN(counted, w.vouched->next, NULL);
    EXPECT_BROKEN(counted, w.pool->images.n_held, 2);
    EXPECT_BROKEN(counted, w.pool->images.held_bytes, w.page);
    EXPECT_BROKEN(counted, w.pool->images.dead_bytes, w.page);
    close_world();
}

static void test_check__a_question_without_an_answer_proves_nothing(void)
{
    open_world();
    w.pool->sys.table = &w.mute;
    CHECK(cow_pool_check(w.pool) == NULL);
    w.mute.file_bytes = cow_sys_linux.file_bytes;
    CHECK(cow_pool_check(w.pool) == NULL);
    w.mute.file_bytes = no_bytes; /* that is an answer */
    const char *said = cow_pool_check(w.pool);
    CHECK_STRINGS(said ? said : "nothing", "(S2) an extension file is not as long as the books say");
    w.pool->sys.table = &cow_sys_linux;
    close_world();
}

/* ---- the checks that abort ---- */

static int aborts(int (*function)(void))
{
    const struct rlimit no_core = {0, 0};
    CHECK_EQ(setrlimit(RLIMIT_CORE, &no_core), 0);
    return process_in_child(function) == -SIGABRT;
}

static int drop_twice(void)
{
    cow_image_bury(w.copy); /* as cow_image_drop() in a process that is no child; slots hold it still */
    cow_image_bury(w.copy);
    return 0;
}

static int let_go_of_one_that_was_not_dropped(void)
{
    cow_image_unref(w.sealed);
    return 0;
}

static int pave(struct cow_slot *slot, uint64_t paved_bytes)
{
    return cow_slot_pave(slot, &w.pool->geometry, &w.shard->sys, NULL, paved_bytes);
}

static int pave_a_live_slot(void)
{
    return pave(w.live, w.page);
}

static int pave_a_lost_slot(void)
{
    w.bare->lost = true;
    return pave(w.bare, w.page);
}

static int pave_more_than_there_is(void)
{
    return pave(w.bare, w.pool->geometry.capacity_bytes + w.page);
}

static int strip_a_live_slot(void)
{
    return cow_slot_strip(w.live, &w.pool->geometry, &w.shard->sys);
}

static int lend_slot(struct cow_slot *slot)
{
    cow_slot_lend(slot, &w.pool->geometry, &(struct cow_instance_config){.max_bytes = w.page}, 42);
    return 0;
}

static int lend_a_bare_slot(void)
{
    return lend_slot(w.bare);
}

static int lend_a_slot_that_is_still_grown(void)
{
    w.idle->extension_bytes = w.page;
    return lend_slot(w.idle);
}

static int reset_an_idle_slot(void)
{
    enum cow_cleaned how;
    return cow_slot_reset(w.idle, &w.pool->geometry, &w.pool->cleaning, &w.shard->sys, &how);
}

static int end_an_idle_slot(void)
{
    enum cow_cleaned how;
    return cow_slot_end(w.idle, &w.pool->geometry, &w.pool->cleaning, &w.shard->sys, &how);
}

static void test_check__what_would_mix_up_tenants_aborts(void)
{
    open_world();
    CHECK(aborts(drop_twice));
    CHECK(aborts(let_go_of_one_that_was_not_dropped));
    CHECK(aborts(pave_a_live_slot));
    CHECK(aborts(pave_a_lost_slot));
    CHECK(aborts(pave_more_than_there_is));
    CHECK(aborts(strip_a_live_slot));
    CHECK(aborts(lend_a_bare_slot));
    CHECK(aborts(lend_a_slot_that_is_still_grown));
    CHECK(aborts(reset_an_idle_slot));
    CHECK(aborts(end_an_idle_slot));
    close_world();
}

int main(void)
{
    RUN(test_check__slots);
    RUN(test_check__lists);
    RUN(test_check__images);
    RUN(test_check__the_list_of_images);
    RUN(test_check__a_question_without_an_answer_proves_nothing);
    RUN(test_check__what_would_mix_up_tenants_aborts);
    return 0;
}
