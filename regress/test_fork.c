/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What fork() makes of a pool: the child has none, its address range stays occupied, and the parent does not notice. */
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <signal.h>
#include <sys/syscall.h>

enum { N_SLOTS = 5, N_PAGES = 8 };

/* Slot 0 is live, 1 idle and warm, 2 stripped of a dropped image, 3 and 4 bare. */
static struct cow_pool *pool;
static struct cow_image *image, *dropped;
static struct cow_instance live;
static uint8_t *base; /* of the live instance */

static void open_pool(void)
{
    const uint64_t page = fixture_page();
    struct cow_instance idle, stripped;
    uint64_t old_bytes;
    pool = fixture_pool(N_SLOTS, N_PAGES);
    image = fixture_image(pool, page, 0, 7, 100);
    dropped = fixture_image(pool, page, 0, 8, 100);
    CHECK_EQ(fixture_lend(pool, image, 2 * page, N_PAGES * page, &live), COW_OK);
    CHECK_EQ(fixture_lend(pool, image, 2 * page, N_PAGES * page, &idle), COW_OK);
    CHECK_EQ(fixture_lend(pool, dropped, page, N_PAGES * page, &stripped), COW_OK);
    CHECK_EQ(cow_instance_release(pool, idle), COW_OK);
    CHECK_EQ(cow_instance_release(pool, stripped), COW_OK);
    cow_image_drop(dropped);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, live, page, &old_bytes), COW_OK);
    base = fixture_memory(pool, live).base;
    memset(base, 0xab, 3 * page);
}

static void close_pool(void)
{
    const uint64_t page = fixture_page();
    uint64_t old_bytes;
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(fixture_memory(pool, live).length_bytes, 3 * page);
    CHECK(fixture_all_are(base, 3 * page, 0xab));
    CHECK_EQ(cow_instance_grow(pool, live, page, &old_bytes), COW_OK);
    CHECK(fixture_all_are(base + 3 * page, page, 0));
    CHECK_EQ(cow_instance_reset(pool, live), COW_OK);
    CHECK(fixture_all_are(base, 100, 7) && fixture_all_are(base + 100, 2 * page - 100, 0));
    CHECK_EQ(cow_instance_release(pool, live), COW_OK);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

/* ---- in the child; the exit status is 0 or the claim that failed ---- */

static int every_call_is_refused(void)
{
    const struct cow_instance_config config = {.max_bytes = 1};
    struct cow_instance instance = {42};
    struct cow_memory memory = {.length_bytes = 42};
    struct cow_stats stats = {.n_slots = 42};
    struct cow_image *made = NULL;
    uint64_t old_bytes = 42;
    CLAIM(cow_instantiate(pool, &config, &instance) == COW_FORKED);
    CLAIM(cow_instance_memory(pool, live, &memory) == COW_FORKED);
    CLAIM(cow_instance_grow(pool, live, 1, &old_bytes) == COW_FORKED);
    CLAIM(cow_instance_reset(pool, live) == COW_FORKED);
    CLAIM(cow_instance_release(pool, live) == COW_FORKED);
    CLAIM(cow_pool_flush(pool) == COW_FORKED);
    CLAIM(cow_pool_trim(pool, 0) == COW_FORKED);
    CLAIM(cow_pool_stats(pool, &stats) == COW_FORKED);
    CLAIM(cow_image_create(pool, 1, NULL, 0, &made) == COW_FORKED);
    CLAIM(cow_pool_check(pool) != NULL);
    CLAIM(cow_pool_locate(pool, base).place == COW_PLACE_ELSEWHERE);
    cow_image_drop(image); /* never fails, and does nothing */
    CLAIM(instance.id == 42 && memory.length_bytes == 42 && stats.n_slots == 42 && old_bytes == 42 && !made);
    CLAIM(cow_pool_close(pool) == COW_FORKED);
    return 0;
}

static int the_range_is_inaccessible_and_whole(void)
{
    const struct cow_geometry *geometry = &pool->geometry;
    const uint64_t page = geometry->page_bytes;
    CLAIM(process_mapped_bytes(geometry->reservation_base, geometry->reservation_bytes, NULL) ==
          geometry->reservation_bytes);
    CLAIM(process_mapped_bytes(geometry->reservation_base + page, geometry->reservation_bytes - page, "---p") ==
          geometry->reservation_bytes - page);
    return 0;
}

static int nothing_lands_in_the_range(void)
{
    const struct cow_geometry *geometry = &pool->geometry;
    const uintptr_t begin = (uintptr_t)geometry->reservation_base;
    int n_inside = 0;
    for (int i = 0; i < 2000; i++) {
        const size_t bytes = (size_t)(1 + i % N_PAGES) * geometry->page_bytes;
        void *mapped =
            mmap(NULL, bytes, i % 2 ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CLAIM(mapped != MAP_FAILED);
        n_inside += (uintptr_t)mapped - begin < geometry->reservation_bytes;
    }
    CLAIM(n_inside == 0);
    /* Even those that ask for a slot by its address. */
    for (uint32_t i = 0; i < N_SLOTS; i++)
        CLAIM(mmap(pool->slots[i].base, geometry->page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
              pool->slots[i].base);
    return 0;
}

static int extension_descriptors_are_closed(void)
{
    CLAIM(process_n_files("cowpool-extension") == 0);
    CLAIM(process_n_mappings("cowpool-") == 0);
    return 0;
}

static int close_unmaps_nothing(void)
{
    const struct cow_geometry geometry = pool->geometry;
    CLAIM(cow_pool_close(pool) == COW_FORKED);
    CLAIM(process_mapped_bytes(geometry.reservation_base, geometry.reservation_bytes, NULL) ==
          geometry.reservation_bytes);
    CLAIM(process_n_files("cowpool-") == 0);
    return 0;
}

static int a_pool_of_its_own_works(void)
{
    const struct cow_pool *parents = pool;
    struct cow_image *own = NULL;
    struct cow_instance instance;
    struct cow_pool *mine = fixture_pool(2, 4);
    CLAIM(mine && mine != parents);
    CLAIM((own = fixture_image(mine, 100, 0, 9, 100)));
    CLAIM(fixture_lend(mine, own, 100, 100, &instance) == COW_OK);
    CLAIM(fixture_all_are(fixture_memory(mine, instance).base, 100, 9));
    CLAIM(cow_instance_reset(pool, instance) == COW_FORKED);
    CLAIM(cow_pool_check(mine) == NULL);
    CLAIM(cow_instance_release(mine, instance) == COW_OK);
    CLAIM(cow_pool_close(pool) == COW_FORKED); /* in the middle of the list of pools */
    CLAIM(cow_pool_close(mine) == COW_OK);
    return 0;
}

static int a_grandchild_is_no_different(void)
{
    struct cow_pool *mine = fixture_pool(2, 4); /* between this and its parent's pool, both are forked */
    CLAIM(mine != NULL);
    CLAIM(process_in_child(every_call_is_refused) == 0);
    CLAIM(process_in_child(the_range_is_inaccessible_and_whole) == 0);
    CLAIM(process_in_child(nothing_lands_in_the_range) == 0);
    CLAIM(cow_pool_check(mine) == NULL);
    pool = mine;
    CLAIM(process_in_child(extension_descriptors_are_closed) == 0);
    CLAIM(cow_pool_close(mine) == COW_OK);
    return 0;
}

/* Whatever a child can reach by the parent's addresses and descriptors. */
static int does_its_worst(void)
{
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        CLAIM(!process_can_read(pool->slots[i].base) && !process_can_write(pool->slots[i].base));
        CLAIM(pool->slots[i].extension_fd == -1);
    }
    for (int fd = 3; fd < 256; fd++)
        (void)!ftruncate(fd, 0); /* an image's descriptor is still there: sealed */
    munmap(pool->geometry.reservation_base, pool->geometry.reservation_bytes);
    return 0;
}

/* ---- tests ---- */

static void in_child(int (*function)(void))
{
    open_pool();
    CHECK_EQ(process_in_child(function), 0);
    close_pool();
}

static void test_fork__every_call_in_the_child_is_refused(void)
{
    in_child(every_call_is_refused);
}

static void test_fork__the_slots_are_inaccessible_in_the_child(void)
{
    in_child(the_range_is_inaccessible_and_whole);
}

static void test_fork__nothing_can_land_in_the_childs_range(void)
{
    in_child(nothing_lands_in_the_range);
}

static void test_fork__the_child_does_not_keep_extension_files(void)
{
    in_child(extension_descriptors_are_closed);
}

static void test_fork__close_in_the_child_unmaps_nothing(void)
{
    in_child(close_unmaps_nothing);
}

static void test_fork__the_child_can_make_its_own_pool(void)
{
    in_child(a_pool_of_its_own_works);
}

static void test_fork__a_grandchild_is_refused_as_well(void)
{
    in_child(a_grandchild_is_no_different);
}

static void test_fork__the_parent_does_not_notice(void)
{
    in_child(does_its_worst);
}

/* No handler runs in such a child: all that there is, is the cookie. */
static void test_fork__a_child_by_a_raw_clone_is_refused_as_well(void)
{
    open_pool();
    const long child = syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(every_call_is_refused());
    CHECK(child > 0);
    CHECK_EQ(process_wait((pid_t)child), 0);
    close_pool();
}

static void test_fork__several_pools_and_closed_ones(void)
{
    struct cow_pool *pools[4];
    for (int i = 0; i < 4; i++)
        CHECK((pools[i] = fixture_pool(2, 2)) != NULL);
    CHECK_EQ(cow_pool_close(pools[1]), COW_OK); /* out of the middle, the end and the beginning of the list */
    CHECK_EQ(cow_pool_close(pools[0]), COW_OK);
    CHECK_EQ(cow_pool_close(pools[3]), COW_OK);
    open_pool();
    CHECK_EQ(process_in_child(extension_descriptors_are_closed), 0);
    CHECK_EQ(cow_pool_close(pools[2]), COW_OK);
    close_pool();
    CHECK_EQ(process_n_files("cowpool-"), 0);
}

int main(void)
{
    RUN(test_fork__every_call_in_the_child_is_refused);
    RUN(test_fork__the_slots_are_inaccessible_in_the_child);
    RUN(test_fork__nothing_can_land_in_the_childs_range);
    RUN(test_fork__the_child_does_not_keep_extension_files);
    RUN(test_fork__close_in_the_child_unmaps_nothing);
    RUN(test_fork__the_child_can_make_its_own_pool);
    RUN(test_fork__a_grandchild_is_refused_as_well);
    RUN(test_fork__the_parent_does_not_notice);
    RUN(test_fork__a_child_by_a_raw_clone_is_refused_as_well);
    RUN(test_fork__several_pools_and_closed_ones);
    return 0;
}
