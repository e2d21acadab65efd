/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Files, ranges of them, and images, for the tests of images from files. */
#ifndef REGRESS_IMAGE_FILE_WORLD_H
#define REGRESS_IMAGE_FILE_WORLD_H

#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>
#include <sys/stat.h>

enum { N_PAGES = 64 };

static uint64_t page;

static inline struct cow_pool *open_pool(const struct cow_sys_table *sys)
{
    const struct cow_pool_config config = {
        FOUNDING_MODES,           .n_slots = 2, .max_bytes = N_PAGES * page, .guard_bytes = page,
        .image_join_bytes = page, .sys = sys};
    struct cow_pool *pool = NULL;
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
    return pool;
}

static inline void close_pool(struct cow_pool *pool)
{
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(cow_pool_close(pool), COW_OK);
}

static uint8_t byte_at(uint64_t file_offset)
{
    return (uint8_t)(1 + (file_offset / page * 7 + file_offset) % 255);
}

static inline void fill_page(int fd, uint64_t index)
{
    uint8_t *bytes = malloc(page);
    for (uint64_t i = 0; i < page; i++)
        bytes[i] = byte_at(index * page + i);
    CHECK_EQ(pwrite(fd, bytes, page, (off_t)(index * page)), (ssize_t)page);
    free(bytes);
}

/* A memory file of n_pages; those with a '#' in `map` hold data, the others are holes. */
static inline int make_file(const char *map, int seals)
{
    const int fd = memfd_create("callers-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, (off_t)(strlen(map) * page)), 0);
    for (uint64_t i = 0; map[i]; i++)
        if (map[i] == '#')
            fill_page(fd, i);
    if (seals)
        CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static inline struct cow_file_range range_of(int fd, enum cow_file_use use, uint64_t first_page, uint64_t n_pages,
                                             uint64_t memory_page)
{
    return (struct cow_file_range){.fd = fd,
                                   .use = use,
                                   .file_offset_bytes = first_page * page,
                                   .length_bytes = n_pages * page,
                                   .offset_bytes = memory_page * page};
}

static inline struct cow_image *make_image(struct cow_pool *pool, const struct cow_file_range *range)
{
    struct cow_image *image = NULL;
    CHECK_EQ(cow_image_from_file(pool, range->offset_bytes + range->length_bytes, range, &image), COW_OK);
    return image;
}

static inline struct cow_memory lend(struct cow_pool *pool, const struct cow_image *image,
                                     struct cow_instance *ret_instance)
{
    CHECK_EQ(fixture_lend(pool, image, cow_image_extent_bytes(image) + 9, N_PAGES * page, ret_instance), COW_OK);
    return fixture_memory(pool, *ret_instance);
}

/* The memory is the file's pages of `map` at memory_page, and zero elsewhere. */
static inline bool is_range(const struct cow_memory *memory, const char *map, const struct cow_file_range *range)
{
    const uint64_t first = range->file_offset_bytes / page;
    for (uint64_t i = 0; i < memory->length_bytes; i++) {
        const uint64_t in_range = i - range->offset_bytes; /* wraps before it */
        const bool is_data = in_range < range->length_bytes && map[first + in_range / page] == '#';
        if (memory->base[i] != (is_data ? byte_at(range->file_offset_bytes + in_range) : 0))
            return false;
    }
    return true;
}

/* Lends it twice in one slot, written over in between. */
static inline void expect_range(struct cow_pool *pool, const struct cow_image *image, const char *map,
                                const struct cow_file_range *range)
{
    struct cow_instance instance;
    for (int round = 0; round < 2; round++) {
        const struct cow_memory memory = lend(pool, image, &instance);
        CHECK(is_range(&memory, map, range));
        memset(memory.base, 0xee, memory.accessible_bytes);
        CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
        CHECK(is_range(&memory, map, range));
        memset(memory.base, 0xdd, memory.accessible_bytes);
        CHECK(cow_pool_check(pool) == NULL);
        CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    }
}

static inline void expect_result(struct cow_pool *pool, uint64_t extent_bytes, struct cow_file_range range,
                                 int expected)
{
    struct cow_image *const untouched = (struct cow_image *)pool, *image = untouched;
    const int n_descriptors = process_n_descriptors();
    CHECK_EQ(cow_image_from_file(pool, extent_bytes, &range, &image), expected);
    CHECK(image == untouched);
    CHECK_EQ(process_n_descriptors(), n_descriptors);
    CHECK_EQ(fixture_stats(pool).n_images, 0);
}

#endif
