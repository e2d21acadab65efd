/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A heap that has no memory left: all allocations of a call fail, then all but the first, and so on; or only that one. The linker puts the functions
 * below between this program and the C library (CMakeLists.txt). Each time the call must say -ENOMEM, and leave nothing: no block of
 * the heap, no descriptor, no mapping, and a pool that is as it was. And what lends, grows, resets and releases does not allocate at
 * all. */
#include "faulty.h"
#include "fixture.h"
#include "harness.h"
#include "process.h"

#include "pool.h"

#include <errno.h>

/* ---- the heap ---- */

static unsigned fail_at;           /* counted down: at 1 one fails; 0: none */
static bool fails_once;            /* or those behind it too */
static unsigned n_asked, n_failed; /* since the last reset_heap() */
static int64_t n_held;             /* blocks */

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void __real_free(void *block);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void __wrap_free(void *block);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

static bool is_out_of_memory(void)
{
    n_asked++;
    if (fail_at != 1) {
        fail_at -= fail_at > 1;
        return false;
    }
    fail_at = fails_once ? 0 : 1;
    n_failed++;
    return true;
}

void *__wrap_malloc(size_t n_bytes)
{
    void *block = is_out_of_memory() ? NULL : __real_malloc(n_bytes);
    n_held += block != NULL;
    return block;
}

void *__wrap_calloc(size_t n, size_t n_bytes)
{
    void *block = is_out_of_memory() ? NULL : __real_calloc(n, n_bytes);
    n_held += block != NULL;
    return block;
}

void __wrap_free(void *block)
{
    n_held -= block != NULL;
    __real_free(block);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    return is_out_of_memory() ? ENOMEM : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return is_out_of_memory() ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
}

static void reset_heap(unsigned next_fail_at)
{
    fail_at = next_fail_at;
    n_asked = n_failed = 0;
}

/* ---- creation ---- */

/* The handlers of fork() are registered but once in a process. */
static void create(unsigned n_handlers)
{
    unsigned n_allocations = 0;
    for (unsigned n = 1;; n++) {
        struct faulty kernel = faulty_kernel();
        const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 5, .max_bytes = 4 * fixture_page(),
                                               .n_shards = 3, .sys = &kernel.table};
        struct cow_pool *const untouched = (struct cow_pool *)&kernel;
        struct cow_pool *pool = untouched;
        const int n_descriptors = process_n_descriptors();
        const int64_t n_held_before = n_held;
        reset_heap(n);
        const int result = cow_pool_create(&config, &pool);
        fail_at = 0;
        n_allocations = n_asked;
        CHECK_EQ(result, n_failed ? -ENOMEM : COW_OK);
        CHECK((pool == untouched) == (result != COW_OK));
        CHECK(result || cow_pool_check(pool) == NULL);
        CHECK(result || cow_pool_close(pool) == COW_OK);
        CHECK_EQ(n_held, n_held_before);
        CHECK_EQ(kernel.n_open, 0);
        CHECK_EQ(kernel.n_mapped_bytes, 0);
        CHECK_EQ(process_n_descriptors(), n_descriptors);
        if (result == COW_OK)
            break;
    }
    /* The pool, its images' lock, its shards, of each the buckets and the lock, the slots, the handlers. */
    CHECK_EQ(n_allocations, 1 + 1 + 1 + 3 * 2 + 1 + n_handlers);
}

/* First of all tests. */
static void test_oom__creation(void)
{
    create(1);
    fails_once = true;
    create(0);
}

/* ---- what a pool makes ---- */

static struct faulty kernel;
static struct cow_pool *pool;
static struct cow_image *image;
static int sealed_fd, plain_fd, empty_fd;

static int make_file(uint64_t n_bytes, int seals)
{
    const int fd = memfd_create("callers-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, "\x09", n_bytes, 6), n_bytes);
    CHECK_EQ(ftruncate(fd, (off_t)fixture_page()), 0);
    CHECK_EQ(seals ? fcntl(fd, F_ADD_SEALS, seals) : 0, 0);
    return fd;
}

static void open_world(void)
{
    kernel = faulty_kernel();
    const struct cow_pool_config config = {FOUNDING_MODES, .n_slots = 2, .max_bytes = 4 * fixture_page(),
                                           .sys = &kernel.table};
    sealed_fd = make_file(1, F_SEAL_WRITE | F_SEAL_SHRINK);
    plain_fd = make_file(1, 0);
    empty_fd = make_file(0, F_SEAL_WRITE | F_SEAL_SHRINK);
    CHECK_EQ(cow_pool_create(&config, &pool), COW_OK);
}

static void close_world(void)
{
    CHECK_EQ(cow_pool_close(pool), COW_OK);
    CHECK_EQ(close(sealed_fd) | close(plain_fd) | close(empty_fd), 0);
}

static int make_of_segments(void)
{
    const struct cow_segment segments[] = {{20, "\x01\x02", 2}, {6, "\x09", 1}, {21, "\x03", 1}};
    return cow_image_create(pool, fixture_page(), segments, 3, &image);
}

static int make_of_nothing(void)
{
    return cow_image_create(pool, fixture_page(), NULL, 0, &image);
}

static int make_of_file(int fd)
{
    const struct cow_file_range range = {.fd = fd, .length_bytes = fixture_page()};
    return cow_image_from_file(pool, fixture_page(), &range, &image);
}

static int make_of_sealed_file(void)
{
    return make_of_file(sealed_fd);
}

static int make_of_plain_file(void)
{
    return make_of_file(plain_fd);
}

static int make_of_empty_file(void)
{
    return make_of_file(empty_fd);
}

static int make_of_empty_file_by_copying(void)
{
    const struct cow_file_range range = {.fd = empty_fd, .length_bytes = fixture_page(), .use = COW_FILE_COPIED};
    return cow_image_from_file(pool, fixture_page(), &range, &image);
}

/* A memory of 4096 pages of one byte each; at what a global says, which is 6, a byte 9. */
static int make_of_wasm(void)
{
    static const uint8_t binary[] = {0, 'a', 's',  'm', 1,    0, 0,    0,  5, 5, 1, 8,    0x80, 0x20, 0, 6,
                                     6, 1,   0x7f, 0,   0x41, 6, 0x0b, 11, 7, 1, 0, 0x23, 0,    0x0b, 1, 9};
    return cow_image_from_wasm(pool, binary, sizeof binary, 0, &image, NULL, NULL);
}

static void walk(int (*make)(void), unsigned n_expected)
{
    open_world();
    for (unsigned n = 1;; n++) {
        const int64_t n_held_before = n_held;
        const int n_open = kernel.n_open, n_descriptors = process_n_descriptors();
        const int64_t n_mapped_bytes = kernel.n_mapped_bytes;
        image = NULL;
        reset_heap(n);
        const int result = make();
        fail_at = 0;
        CHECK_EQ(result, n_failed ? -ENOMEM : COW_OK);
        CHECK(cow_pool_check(pool) == NULL);
        CHECK((image == NULL) == (result != COW_OK));
        CHECK_EQ(fixture_stats(pool).n_images, result == COW_OK);
        if (image)
            cow_image_drop(image);
        CHECK_EQ(n_held, n_held_before);
        CHECK_EQ(kernel.n_open, n_open);
        CHECK_EQ(kernel.n_mapped_bytes, n_mapped_bytes);
        CHECK_EQ(process_n_descriptors(), n_descriptors);
        if (result != COW_OK)
            continue;
        CHECK_EQ(n_asked, n_expected);
        break;
    }
    close_world();
}

static void make_images(void)
{
    walk(make_of_segments, 3); /* the order of the segments, the buffer of the writer, the image */
    walk(make_of_nothing, 2);
    walk(make_of_sealed_file, 1);
    walk(make_of_plain_file, 2);
    walk(make_of_empty_file, 1);
    walk(make_of_empty_file_by_copying, 1);
    walk(make_of_wasm, 5); /* its segments, its globals, and the three of an image */
}

static void test_oom__images(void)
{
    fails_once = false;
    make_images();
    fails_once = true;
    make_images();
}

/* ---- what allocates nothing ---- */

static void test_oom__instances_need_no_memory(void)
{
    struct cow_instance instance;
    uint64_t old_bytes;
    open_world();
    CHECK_EQ(make_of_segments(), COW_OK);
    reset_heap(1);
    CHECK_EQ(fixture_lend(pool, image, fixture_page(), 2 * fixture_page(), &instance), COW_OK);
    CHECK_EQ(cow_instance_grow(pool, instance, fixture_page(), &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_reset(pool, instance), COW_OK);
    CHECK_EQ(cow_instance_release(pool, instance), COW_OK);
    cow_image_drop(image);
    CHECK_EQ(cow_pool_flush(pool), COW_OK);
    CHECK(cow_pool_check(pool) == NULL);
    CHECK_EQ(n_asked, 0);
    fail_at = 0;
    close_world();
}

int main(void)
{
    RUN(test_oom__creation);
    RUN(test_oom__images);
    RUN(test_oom__instances_need_no_memory);
    return 0;
}
