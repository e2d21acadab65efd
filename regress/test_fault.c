/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Every kernel call of every operation fails once, in turn, and then the first n succeed and all others fail. Each time
 * the other instances, the books and the reservation must be whole, the slot concerned retired, and no byte of the old
 * tenant ever visible again. The kernels that do not keep their word are in test_kernel.c. */
#include "faulty.h"
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>

enum { N_PAGES = 8, MAX_STEPS = 200 };

/* Slot 0 is lent to a bystander, slot 1 is what the operation is about. */
struct world {
    struct faulty kernel;
    struct cow_pool *pool;
    struct cow_image *first, *second, *made;
    struct cow_instance bystander, subject;
    uint8_t *base; /* of slot 1 */
    bool squatted; /* slot 1 was lost, and something else lives there now */
};

struct operation {
    void (*prepare)(struct world *world);
    int (*run)(struct world *world);
    void (*expect)(struct world *world, int result);
};

/* ---- the world ---- */

static void lend_dirty(struct world *world, const struct cow_image *image)
{
    const uint64_t page = fixture_page();
    uint64_t old_bytes;
    CHECK_EQ(fixture_lend(world->pool, image, 2 * page, N_PAGES * page, &world->subject), COW_OK);
    CHECK_EQ(cow_instance_grow(world->pool, world->subject, 3 * page, &old_bytes), COW_OK);
    memset(world->base, 0xee, 5 * page);
}

static void prepare_bare(struct world *world)
{
    world->subject.id = 42;
}

static void prepare_live(struct world *world)
{
    lend_dirty(world, world->first);
}

static void prepare_idle(struct world *world)
{
    lend_dirty(world, world->first);
    CHECK_EQ(cow_instance_release(world->pool, world->subject), COW_OK);
    world->subject.id = 42;
}

static void prepare_retired(struct world *world)
{
    lend_dirty(world, world->first);
    world->kernel.fail_at = 1;
    world->kernel.only = 1u << COW_CALL_FTRUNCATE; /* the file still holds the tenant's bytes */
    world->kernel.error = -ENOSPC;
    CHECK_EQ(cow_instance_release(world->pool, world->subject), -ENOSPC);
    world->kernel.only = 0;
    world->kernel.n_failed = 0;
    world->subject.id = 42;
}

static void prepare_dead(struct world *world)
{
    lend_dirty(world, world->second);
    CHECK_EQ(cow_instance_release(world->pool, world->subject), COW_OK);
    cow_image_drop(world->second);
    world->second = NULL;
}

static void open_world(struct world *world)
{
    const uint64_t page = fixture_page();
    uint64_t old_bytes;
    *world = (struct world){.kernel = faulty_kernel()};
    const struct cow_pool_config config = {FOUNDING_MODES,      .n_slots = 2,          .max_bytes = N_PAGES * page,
                                           .guard_bytes = page, .image_join_bytes = 1, .sys = &world->kernel.table};
    CHECK_EQ(cow_pool_create(&config, &world->pool), COW_OK);
    world->first = fixture_image(world->pool, page, 10, 7, 90);
    world->second = fixture_image(world->pool, 2 * page, page, 8, page);
    CHECK_EQ(fixture_lend(world->pool, world->first, 2 * page, N_PAGES * page, &world->bystander), COW_OK);
    CHECK_EQ(cow_instance_grow(world->pool, world->bystander, page, &old_bytes), COW_OK);
    memset(fixture_memory(world->pool, world->bystander).base, 0xb1, 3 * page);
    world->base = world->pool->slots[1].base;
}

static bool is_lost(const struct world *world)
{
    return world->pool->slots[1].lost;
}

static void check_world(const struct world *world)
{
    const struct cow_memory memory = fixture_memory(world->pool, world->bystander);
    const struct cow_geometry *geometry = &world->pool->geometry;
    CHECK(cow_pool_check(world->pool) == NULL);
    CHECK_EQ(memory.length_bytes, 3 * fixture_page());
    CHECK(fixture_all_are(memory.base, memory.length_bytes, 0xb1));
    CHECK_EQ(fixture_stats(world->pool).n_lost, is_lost(world));
    if (!is_lost(world)) /* no hole that somebody else's mmap could take */
        CHECK_EQ(process_mapped_bytes(geometry->reservation_base, geometry->reservation_bytes, NULL),
                 geometry->reservation_bytes);
}

/* Lends slot 1 again with this much initial memory, grown to the maximum: image bytes and zero, nothing else. */
static void sweep_with(struct world *world, const struct cow_image *image, uint64_t initial_bytes)
{
    const uint64_t max_bytes = N_PAGES * fixture_page();
    uint64_t old_bytes;
    if (is_lost(world)) {
        CHECK_EQ(fixture_lend(world->pool, image, initial_bytes, max_bytes, &world->subject), COW_FULL);
        return;
    }
    CHECK_EQ(fixture_lend(world->pool, image, initial_bytes, max_bytes, &world->subject), COW_OK);
    CHECK_EQ(cow_instance_grow(world->pool, world->subject, max_bytes - initial_bytes, &old_bytes), COW_OK);
    const struct cow_memory memory = fixture_memory(world->pool, world->subject);
    CHECK(memory.base == world->base);
    CHECK(fixture_is_image(&memory, 10, image ? 7 : 0, 90));
    memset(memory.base, 0xdd, max_bytes);
    CHECK_EQ(cow_instance_release(world->pool, world->subject), COW_OK);
    CHECK(cow_pool_check(world->pool) == NULL);
}

static void sweep(struct world *world)
{
    const uint64_t page = fixture_page();
    const struct cow_stats before = fixture_stats(world->pool);
    const bool retired = world->pool->slots[1].state == COW_SLOT_RETIRED;
    if (is_lost(world)) { /* somebody else moves in */
        world->squatted = mmap(world->base, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                               0) == world->base;
        CHECK(world->squatted);
        memset(world->base, 0x99, page);
    }
    if (before.n_live == 2)
        CHECK_EQ(cow_instance_release(world->pool, world->subject), COW_OK);
    sweep_with(world, NULL, page);
    const struct cow_stats after = fixture_stats(world->pool);
    CHECK_EQ(after.n_repaved - before.n_repaved, retired && !is_lost(world));
    CHECK_EQ(after.n_retired, is_lost(world));
    sweep_with(world, world->first, page);
    sweep_with(world, NULL, 0);
    sweep_with(world, NULL, N_PAGES * page);
    sweep_with(world, NULL, 2 * page);
}

static void check_books(struct world *world, uint64_t lost_bytes)
{
    CHECK_EQ(world->kernel.n_open, 0);
    CHECK_EQ(world->kernel.n_mapped_bytes, lost_bytes);
    if (world->squatted)
        CHECK(fixture_all_are(world->base, fixture_page(), 0x99));
    if (lost_bytes)
        munmap(world->base, lost_bytes);
}

static void close_world(struct world *world)
{
    const uint64_t lost_bytes = is_lost(world) ? world->pool->geometry.capacity_bytes : 0;
    CHECK_EQ(cow_instance_release(world->pool, world->bystander), COW_OK);
    CHECK_EQ(cow_pool_close(world->pool), COW_OK);
    check_books(world, lost_bytes);
}

/* Lets call number n fail. Returns how many calls did. */
static unsigned step(const struct operation *operation, struct faulty fault)
{
    struct world world;
    open_world(&world);
    operation->prepare(&world);
    world.kernel.fail_at = fault.fail_at;
    world.kernel.for_ever = fault.for_ever;
    world.kernel.leaves_hole = fault.leaves_hole;
    world.kernel.error = fault.error;
    const int result = operation->run(&world);
    world.kernel.fail_at = 0;
    const unsigned n_failed = world.kernel.n_failed;
    CHECK(result == 0 || (n_failed && result == fault.error));
    CHECK(fault.for_ever || !is_lost(&world));
    check_world(&world);
    operation->expect(&world, result);
    sweep(&world);
    check_world(&world);
    close_world(&world);
    return n_failed;
}

static void walk(const struct operation *operation)
{
    const int errors[] = {-EIO, -ENOMEM, -EINVAL};
    for (unsigned variant = 0; variant < 4; variant++)
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            struct faulty fault = {
                .fail_at = 1, .for_ever = variant & 1, .leaves_hole = variant & 2, .error = errors[i]};
            while (step(operation, fault) && fault.fail_at < MAX_STEPS)
                fault.fail_at++;
            CHECK(fault.fail_at < MAX_STEPS);
        }
}

/* ---- what is expected ---- */

static void expect_retired(struct world *world, uint64_t n_failed_resets)
{
    const struct cow_stats stats = fixture_stats(world->pool);
    CHECK_EQ(world->pool->slots[1].state, COW_SLOT_RETIRED);
    CHECK_EQ(stats.n_live, 1);
    CHECK_EQ(stats.n_retired, 1);
    CHECK_EQ(stats.n_failed_resets, n_failed_resets);
    if (!is_lost(world))
        CHECK_EQ(process_mapped_bytes(world->base, N_PAGES * fixture_page(), "---p"), N_PAGES * fixture_page());
}

/* A bare slot that could not even be cut out of the reservation is as it was. */
static void expect_bare(struct world *world)
{
    const struct cow_stats stats = fixture_stats(world->pool);
    CHECK_EQ(world->pool->slots[1].state, COW_SLOT_BARE);
    CHECK_EQ(stats.n_live, 1);
    CHECK_EQ(stats.n_retired, 0);
    CHECK_EQ(process_mapped_bytes(world->base, N_PAGES * fixture_page(), "---p"), N_PAGES * fixture_page());
}

static void expect_stale(struct world *world)
{
    struct cow_memory memory;
    CHECK_EQ(cow_instance_memory(world->pool, world->subject, &memory), COW_STALE);
    CHECK_EQ(cow_instance_release(world->pool, world->subject), COW_STALE);
    CHECK_EQ(cow_pool_locate(world->pool, world->base).instance.id, 0);
    CHECK_EQ(cow_pool_locate(world->pool, world->base).accessible_bytes, 0);
}

static void expect_lent(struct world *world, int result, uint64_t offset_bytes, uint8_t value, uint64_t n_bytes)
{
    if (result) {
        CHECK_EQ(world->subject.id, 42);
        CHECK_EQ(cow_pool_locate(world->pool, world->base).instance.id, 0);
        if (world->pool->slots[1].state == COW_SLOT_BARE)
            expect_bare(world);
        else
            expect_retired(world, fixture_stats(world->pool).n_failed_resets);
        return;
    }
    const struct cow_memory memory = fixture_memory(world->pool, world->subject);
    CHECK_EQ(memory.length_bytes, 2 * fixture_page());
    CHECK(fixture_is_image(&memory, offset_bytes, value, n_bytes));
    CHECK(!process_can_read(memory.base + memory.accessible_bytes));
}

static void expect_lent_zero(struct world *world, int result)
{
    expect_lent(world, result, 0, 0, 0);
}

static void expect_lent_second(struct world *world, int result)
{
    expect_lent(world, result, fixture_page(), 8, fixture_page());
}

static void expect_grown(struct world *world, int result)
{
    const uint64_t page = fixture_page(), length_bytes = (result ? 5 : 7) * page;
    const struct cow_memory memory = fixture_memory(world->pool, world->subject);
    CHECK_EQ(memory.length_bytes, length_bytes);
    CHECK_EQ(memory.accessible_bytes, length_bytes);
    CHECK(fixture_all_are(memory.base, 5 * page, 0xee));
    CHECK(fixture_all_are(memory.base + 5 * page, length_bytes - 5 * page, 0));
    CHECK(!process_can_read(memory.base + length_bytes));
    CHECK_EQ(fixture_stats(world->pool).n_grows, result ? 2 : 3);
    CHECK_EQ(fixture_stats(world->pool).n_retired, 0);
}

static void expect_reset(struct world *world, int result)
{
    if (result) {
        expect_stale(world);
        expect_retired(world, 1);
        return;
    }
    const struct cow_memory memory = fixture_memory(world->pool, world->subject);
    CHECK_EQ(memory.length_bytes, 2 * fixture_page());
    CHECK(fixture_is_image(&memory, 10, 7, 90));
}

static void expect_released(struct world *world, int result)
{
    expect_stale(world);
    if (result)
        expect_retired(world, 1);
    else
        CHECK_EQ(fixture_stats(world->pool).n_resets, 1);
}

static void expect_flushed(struct world *world, int result)
{
    CHECK_EQ(fixture_stats(world->pool).dead_image_bytes, 0); /* a retired slot has let go as well */
    CHECK_EQ(process_n_files("cowpool-image"), 1);
    if (result)
        expect_retired(world, 0);
}

static void expect_made(struct world *world, int result)
{
    const uint64_t page = fixture_page();
    uint8_t byte = 0;
    CHECK_EQ(process_n_files("cowpool-image") + process_n_files("callers-file"), result ? 2 : 3);
    CHECK_EQ(fixture_stats(world->pool).n_images, result ? 2 : 3);
    CHECK_EQ(fixture_stats(world->pool).image_bytes, (result ? 2 : 3) * page);
    CHECK((world->made == NULL) == (result != 0));
    if (world->made)
        CHECK(pread(world->made->fd, &byte, 1, 6) == 1 && byte == 9);
}

/* ---- the operations ---- */

static int lend_zero(struct world *world)
{
    return fixture_lend(world->pool, NULL, 2 * fixture_page(), N_PAGES * fixture_page(), &world->subject);
}

static int lend_second(struct world *world)
{
    return fixture_lend(world->pool, world->second, 2 * fixture_page(), N_PAGES * fixture_page(), &world->subject);
}

static int grow(struct world *world)
{
    uint64_t old_bytes = 42;
    const int result = cow_instance_grow(world->pool, world->subject, 2 * fixture_page(), &old_bytes);
    CHECK(old_bytes == (result ? 42 : 5 * fixture_page()));
    return result;
}

static int reset(struct world *world)
{
    return cow_instance_reset(world->pool, world->subject);
}

static int release(struct world *world)
{
    return cow_instance_release(world->pool, world->subject);
}

static int flush(struct world *world)
{
    return cow_pool_flush(world->pool);
}

static int make_image(struct world *world)
{
    const struct cow_segment segment = {6, "\x09", 1};
    return cow_image_create(world->pool, fixture_page(), &segment, 1, &world->made);
}

/* A memory of 4096 pages of one byte each; at 6, a byte 9. */
static int make_image_from_wasm(struct world *world)
{
    static const uint8_t binary[] = {0,    'a',  's', 'm', 1, 0, 0, 0,    5, 5,    1, 8,
                                     0x80, 0x20, 0,   11,  7, 1, 0, 0x41, 6, 0x0b, 1, 9};
    return cow_image_from_wasm(world->pool, binary, sizeof binary, 0, &world->made, NULL, NULL);
}

static int make_image_from_file(struct world *world, int seals)
{
    const uint64_t page = fixture_page();
    const int fd = memfd_create("callers-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, (off_t)page), 0);
    CHECK_EQ(pwrite(fd, "\x09", 1, 6), 1);
    CHECK_EQ(seals ? fcntl(fd, F_ADD_SEALS, seals) : 0, 0);
    const struct cow_file_range range = {.fd = fd, .length_bytes = page};
    const int result = cow_image_from_file(world->pool, page, &range, &world->made);
    CHECK_EQ(close(fd), 0);
    return result;
}

static int copy_file(struct world *world)
{
    return make_image_from_file(world, 0);
}

static int map_file(struct world *world)
{
    return make_image_from_file(world, F_SEAL_WRITE | F_SEAL_SHRINK);
}

static void test_fault__instantiate_on_a_bare_slot(void)
{
    walk(&(struct operation){prepare_bare, lend_zero, expect_lent_zero});
    walk(&(struct operation){prepare_bare, lend_second, expect_lent_second});
}

static void test_fault__instantiate_on_a_slot_of_another_image(void)
{
    walk(&(struct operation){prepare_idle, lend_zero, expect_lent_zero});
    walk(&(struct operation){prepare_idle, lend_second, expect_lent_second});
}

static void test_fault__instantiate_on_a_retired_slot(void)
{
    walk(&(struct operation){prepare_retired, lend_zero, expect_lent_zero});
    walk(&(struct operation){prepare_retired, lend_second, expect_lent_second});
}

static void test_fault__grow(void)
{
    walk(&(struct operation){prepare_live, grow, expect_grown});
}

static void test_fault__reset(void)
{
    walk(&(struct operation){prepare_live, reset, expect_reset});
}

static void test_fault__release(void)
{
    walk(&(struct operation){prepare_live, release, expect_released});
}

static void test_fault__flush(void)
{
    walk(&(struct operation){prepare_dead, flush, expect_flushed});
}

static void test_fault__image_create(void)
{
    walk(&(struct operation){prepare_bare, make_image, expect_made});
    walk(&(struct operation){prepare_bare, make_image_from_wasm, expect_made});
}

static void test_fault__image_from_file(void)
{
    walk(&(struct operation){prepare_bare, copy_file, expect_made});
    walk(&(struct operation){prepare_bare, map_file, expect_made});
}

/* Errors of munmap and close are nobody's to act on: close() succeeds, once. */
static void test_fault__close(void)
{
    for (unsigned for_ever = 0; for_ever < 2; for_ever++)
        for (unsigned n = 1, n_failed = 1; n_failed; n++) {
            struct world world;
            open_world(&world);
            prepare_idle(&world);
            CHECK_EQ(cow_instance_release(world.pool, world.bystander), COW_OK);
            world.kernel.fail_at = n;
            world.kernel.for_ever = for_ever;
            world.kernel.error = -EIO;
            CHECK_EQ(cow_pool_close(world.pool), COW_OK);
            n_failed = world.kernel.n_failed;
            check_books(&world, 0);
            CHECK(n < MAX_STEPS);
        }
}

/* Two slots retired by failed releases are taken only when the third, healthy one is not free. */
static void test_fault__a_retired_slot_is_taken_last(void)
{
    struct faulty kernel = faulty_kernel();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 3, .max_bytes = fixture_page(),
                                           .sys = &kernel.table};
    struct cow_pool *pool = NULL;
    struct cow_instance instances[3], extra;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instances[i]), COW_OK);
    kernel.error = -EIO;
    for (int i = 0; i < 3; i++) {
        kernel.fail_at = i < 2; /* slots 0 and 1 */
        CHECK_EQ(cow_instance_release(pool, instances[i]), i < 2 ? -EIO : COW_OK);
    }
    CHECK_EQ(fixture_lend(pool, NULL, 0, 1, &instances[2]), COW_OK); /* cold: another E */
    CHECK_EQ(fixture_memory(pool, instances[2]).slot, 2);
    for (int i = 0; i < 3; i++) { /* the fault stays: an error each time, never full, and no slot is used up */
        kernel.fail_at = 1;
        kernel.only = 1u << COW_CALL_FTRUNCATE;
        CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &extra), -EIO);
        CHECK_EQ(fixture_stats(pool).n_retired, 2);
        CHECK(cow_pool_check(pool) == NULL);
    }
    kernel.fail_at = 0;
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instances[0]), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &instances[1]), COW_OK);
    CHECK_EQ(fixture_lend(pool, NULL, 1, 1, &extra), COW_FULL);
    CHECK_EQ(fixture_stats(pool).n_repaved, 2);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(cow_instance_release(pool, instances[i]), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* A slot is lost when its range cannot be kept reserved, not when an advice about inaccessible memory fails. */
static void test_fault__advice_that_fails_for_ever_loses_no_slot(void)
{
    void (*const preparations[])(struct world *) = {prepare_bare, prepare_idle, prepare_retired};
    for (size_t i = 0; i < 3; i++) {
        struct world world;
        open_world(&world);
        preparations[i](&world);
        world.kernel.only = 1u << COW_CALL_MADVISE;
        world.kernel.fail_at = 1;
        world.kernel.for_ever = true;
        world.kernel.error = -ENOMEM;
        CHECK_EQ(lend_second(&world), -ENOMEM);
        CHECK_EQ(fixture_stats(world.pool).n_lost, 0);
        world.kernel.fail_at = 0;
        if (i == 0)
            expect_bare(&world);
        else
            expect_retired(&world, i == 2);
        check_world(&world);
        sweep(&world);
        close_world(&world);
    }
}

int main(void)
{
    RUN(test_fault__instantiate_on_a_bare_slot);
    RUN(test_fault__instantiate_on_a_slot_of_another_image);
    RUN(test_fault__instantiate_on_a_retired_slot);
    RUN(test_fault__grow);
    RUN(test_fault__reset);
    RUN(test_fault__release);
    RUN(test_fault__flush);
    RUN(test_fault__image_create);
    RUN(test_fault__image_from_file);
    RUN(test_fault__close);
    RUN(test_fault__advice_that_fails_for_ever_loses_no_slot);
    RUN(test_fault__a_retired_slot_is_taken_last);
    return 0;
}
