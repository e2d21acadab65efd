/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Faults inside accessible memory that are not the guest's doing: the pool must say so, and never call them out of bounds. Each is
 * a real SIGBUS. Mounts are made in a namespace of the case's own, and go with it. */
#include "pressure.h"

#include "fixture.h"
#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#define N_PAGES 8u /* of the file behind an image */

struct ground {
    struct press_world world;
    struct cow_image *image;
    struct cow_instance instance;
    struct cow_memory memory;
    int fd;
};

/* ---- a slot that maps a file ---- */

static void fill_file(int fd, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at++) {
        const uint8_t byte = (uint8_t)(1 + at % 251);
        CHECK_EQ(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
}

/* The file is the image, from the begin of the memory on; behind it are zeros, and an extension of four pages. */
static void lend_file(struct ground *ground)
{
    const uint64_t page = ground->world.page_bytes, bytes = N_PAGES * page;
    const struct cow_file_range range = {.fd = ground->fd, .use = COW_FILE_VOUCHED, .length_bytes = bytes};
    const struct cow_instance_config config = {.initial_bytes = 12 * page, .max_bytes = 32 * page};
    struct cow_instance_config with_image = config;
    uint64_t old_bytes;
    fill_file(ground->fd, bytes);
    CHECK_EQ(cow_image_from_file(ground->world.pool, bytes, &range, &ground->image), COW_OK);
    with_image.image = ground->image;
    CHECK_EQ(cow_instantiate(ground->world.pool, &with_image, &ground->instance), COW_OK);
    CHECK_EQ(cow_instance_grow(ground->world.pool, ground->instance, 4 * page, &old_bytes), COW_OK);
    CHECK_EQ(cow_instance_memory(ground->world.pool, ground->instance, &ground->memory), COW_OK);
    memset(ground->memory.base + 9 * page, 0x99, page);  /* zero */
    memset(ground->memory.base + 13 * page, 0x99, page); /* extension */
}

/* ---- what a fault is ---- */

static bool can_store(uint8_t *at)
{
    const uint8_t bytes[16] = {0x77};
    struct rig_fault fault;
    rig_guest_set_range(at, 1);
    if (rig_guest_store(at, 1, bytes, &fault))
        return true;
    CHECK_EQ(fault.address, (uintptr_t)at);
    CHECK_EQ(fault.signal, SIGBUS);
    return false;
}

struct touch {
    const uint8_t *at;
    bool can;
};

static void touch(void *argument)
{
    struct touch *it = argument;
    it->can = press_can_touch(it->at);
}

/* A load and a store fault; it is the host's, at this place of this lease; and the trap module hands it on. */
static void expect_host_fault(const struct ground *ground, uint64_t at)
{
    uint8_t *address = ground->memory.base + at;
    struct touch it = {.at = address, .can = true};
    struct cow_location location = {0};
    CHECK(!press_can_touch(address));
    CHECK(!can_store(address));
    CHECK_EQ(cow_trap_call(ground->world.pool, touch, &it, &location), 0);
    CHECK(!it.can);
    location = cow_pool_locate(ground->world.pool, address);
    CHECK_EQ(location.place, COW_PLACE_HOST_FAULT);
    CHECK_EQ(location.offset_bytes, at);
    CHECK_EQ(location.slot, ground->memory.slot);
    CHECK_EQ(location.accessible_bytes, ground->memory.accessible_bytes);
    CHECK_EQ(location.instance.id, ground->instance.id);
}

/* The end of the memory is where it was: a fault there is a trap. */
static void expect_trap(const struct ground *ground)
{
    const struct touch it = {.at = ground->memory.base + ground->memory.accessible_bytes};
    struct touch copy = it;
    struct cow_location location = {0};
    CHECK_EQ(cow_trap_call(ground->world.pool, touch, &copy, &location), 1);
    CHECK_EQ(location.place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK_EQ(location.offset_bytes, ground->memory.accessible_bytes);
}

static bool page_is(const struct ground *ground, unsigned index, uint8_t byte)
{
    const uint8_t *page = ground->memory.base + index * ground->world.page_bytes;
    return page[0] == byte && memcmp(page, page + 1, ground->world.page_bytes - 1) == 0;
}

static bool page_is_file(const struct ground *ground, unsigned index)
{
    const uint64_t begin = index * ground->world.page_bytes;
    for (uint64_t at = begin; at < begin + ground->world.page_bytes; at++)
        if (ground->memory.base[at] != 1 + at % 251)
            return false;
    return true;
}

static void open_ground(struct ground *ground)
{
    press_open(&ground->world, 1);
    CHECK_EQ(cow_trap_install(), 0); /* after the guest's handlers: it hands on to them */
    lend_file(ground);
}

/* The slot lives on, with other images. */
static void close_ground(struct ground *ground)
{
    CHECK_EQ(cow_instance_release(ground->world.pool, ground->instance), COW_OK);
    cow_image_drop(ground->image);
    close(ground->fd);
    CHECK_EQ(cow_pool_flush(ground->world.pool), COW_OK);
    ground->world.n_descriptors--; /* there was the file */
    press_close(&ground->world);
}

/* ---- the file behind an image loses its end ---- */

void press_fault_truncated(void)
{
    struct ground ground = {.fd = memfd_create("regress-file", MFD_CLOEXEC)};
    open_ground(&ground);
    const uint64_t page = ground.world.page_bytes;
    memset(ground.memory.base + 1 * page, 0x99, page); /* stays */
    memset(ground.memory.base + 5 * page, 0x99, page); /* goes, though it was the guest's own */
    CHECK(page_is_file(&ground, 6));                   /* goes, and was clean */
    CHECK_EQ(ftruncate(ground.fd, (off_t)(4 * page)), 0);
    expect_host_fault(&ground, 5 * page + 7);
    expect_host_fault(&ground, 6 * page + 7);
    expect_host_fault(&ground, 7 * page);
    expect_trap(&ground);
    CHECK(page_is(&ground, 1, 0x99) && page_is_file(&ground, 3));
    CHECK(page_is(&ground, 9, 0x99) && page_is(&ground, 13, 0x99));
    CHECK_EQ(cow_instance_reset(ground.world.pool, ground.instance), COW_OK);
    CHECK_EQ(cow_instance_memory(ground.world.pool, ground.instance, &ground.memory), COW_OK);
    CHECK(page_is_file(&ground, 1) && page_is(&ground, 9, 0));
    expect_host_fault(&ground, 5 * page + 7); /* still: the image is what the file is */
    expect_trap(&ground);
    close_ground(&ground);
    press_note("clean and written pages fault beyond the file's new end, as the host's faults");
}

/* ---- a file system without room ---- */

static void write_word(const char *path, const char *format, unsigned id)
{
    char text[64];
    const int fd = open(path, O_WRONLY | O_CLOEXEC), n = snprintf(text, sizeof text, format, id, id);
    if (fd >= 0 && write(fd, text, (size_t)n) != n)
        CHECK_SKIP("no user namespace here that may mount");
    if (fd >= 0)
        close(fd);
}

/* A tmpfs of so many bytes at /tmp, that only this process sees. Who is not root becomes it in a namespace of his own. */
static void mount_small_tmpfs(uint64_t bytes)
{
    const unsigned uid = geteuid(), gid = getegid();
    char options[64];
    snprintf(options, sizeof options, "size=%" PRIu64, bytes);
    if (unshare(CLONE_NEWNS)) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
            CHECK_SKIP("no mount namespace here: needs root, or user namespaces");
        write_word("/proc/self/uid_map", "%u %u 1", uid);
        write_word("/proc/self/setgroups", "deny", 0);
        write_word("/proc/self/gid_map", "%u %u 1", gid);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options))
        CHECK_SKIP("no tmpfs may be mounted here");
}

/* A hole of the file is filled by whoever reads it, which takes a page of the file system. */
void press_fault_full(void)
{
    const uint64_t page = fixture_page();
    mount_small_tmpfs(24 * page);
    struct ground ground = {.fd = open("/tmp/file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    const int rest = open("/tmp/rest", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(ground.fd >= 0 && rest >= 0);
    open_ground(&ground);
    memset(ground.memory.base + 5 * page, 0x99, page);
    CHECK_EQ(fallocate(ground.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(4 * page), (off_t)(4 * page)), 0);
    for (off_t at = 0; pwrite(rest, "x", 1, at) == 1; at += (off_t)page)
        CHECK(at < (off_t)(1000 * page));
    CHECK_EQ(errno, ENOSPC);
    expect_host_fault(&ground, 6 * page + 7);
    expect_host_fault(&ground, 7 * page);
    expect_trap(&ground);
    CHECK(page_is_file(&ground, 3) && page_is(&ground, 5, 0x99));
    CHECK_EQ(cow_instance_reset(ground.world.pool, ground.instance), COW_OK);
    CHECK_EQ(cow_instance_memory(ground.world.pool, ground.instance, &ground.memory), COW_OK);
    expect_host_fault(&ground, 5 * page); /* the written page is given up: it is a hole of the image now */
    CHECK(page_is_file(&ground, 3) && page_is(&ground, 9, 0));
    CHECK_EQ(ftruncate(rest, 0), 0);
    CHECK(page_is(&ground, 5, 0) && page_is(&ground, 6, 0)); /* there is room again */
    close(rest);
    ground.world.n_descriptors--;
    close_ground(&ground);
    press_note("a hole that cannot be filled is a host's fault, and none when there is room again");
}

/* ---- a memory error ---- */

/* linux/userfaultfd.h of Linux 6.6; older headers have no poison. */
#define PRESS_UFFD_USER_MODE_ONLY 1
struct press_uffd_api {
    uint64_t api, features, ioctls;
};
struct press_uffd_range {
    uint64_t start, length;
};
struct press_uffd_register {
    struct press_uffd_range range;
    uint64_t mode, ioctls;
};
struct press_uffd_poison {
    struct press_uffd_range range;
    uint64_t mode;
    int64_t updated;
};
#define PRESS_UFFD_FEATURE_POISON (UINT64_C(1) << 14)
#define PRESS_UFFDIO_API _IOWR(0xaa, 0x3f, struct press_uffd_api)
#define PRESS_UFFDIO_REGISTER _IOWR(0xaa, 0x00, struct press_uffd_register)
#define PRESS_UFFDIO_UNREGISTER _IOR(0xaa, 0x01, struct press_uffd_range)
#define PRESS_UFFDIO_POISON _IOWR(0xaa, 0x08, struct press_uffd_poison)

/* The page's contents are lost, and every access is a memory error: what the kernel does when the hardware reports one. */
static void poison(int uffd, uint8_t *at, uint64_t page)
{
    struct press_uffd_register whole = {.range = {(uintptr_t)at, page}, .mode = 1};
    struct press_uffd_poison it = {.range = {(uintptr_t)at, page}};
    CHECK_EQ(ioctl(uffd, PRESS_UFFDIO_REGISTER, &whole), 0);
    CHECK_EQ(ioctl(uffd, PRESS_UFFDIO_POISON, &it), 0);
    CHECK_EQ(it.updated, (int64_t)page);
    CHECK_EQ(ioctl(uffd, PRESS_UFFDIO_UNREGISTER, &whole.range), 0);
}

static int open_uffd(void)
{
    struct press_uffd_api api = {.api = 0xaa, .features = PRESS_UFFD_FEATURE_POISON};
    const int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | PRESS_UFFD_USER_MODE_ONLY);
    if (uffd < 0)
        CHECK_SKIP("userfaultfd is refused here");
    if (ioctl(uffd, PRESS_UFFDIO_API, &api))
        CHECK_SKIP("this kernel poisons no pages on request (userfaultfd, Linux 6.6)");
    return uffd;
}

void press_fault_poisoned(void)
{
    const unsigned bad[] = {2, 10, 14}; /* of the image, zero, of the extension; none was touched */
    struct ground ground = {.fd = memfd_create("regress-file", MFD_CLOEXEC)};
    uint64_t old_bytes;
    open_ground(&ground);
    const int uffd = open_uffd();
    const uint64_t page = ground.world.page_bytes;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            poison(uffd, ground.memory.base + bad[i] * page, page);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            expect_host_fault(&ground, bad[i] * page + 7);
        expect_trap(&ground);
        CHECK(page_is_file(&ground, 1) && page_is_file(&ground, 3));
        CHECK_EQ(cow_instance_reset(ground.world.pool, ground.instance), COW_OK);
        CHECK_EQ(cow_instance_grow(ground.world.pool, ground.instance, 4 * page, &old_bytes), COW_OK);
        CHECK_EQ(cow_instance_memory(ground.world.pool, ground.instance, &ground.memory), COW_OK);
        CHECK(press_can_touch(ground.memory.base + 2 * page) && page_is_file(&ground, 2));
        CHECK(press_can_touch(ground.memory.base + 10 * page) && page_is(&ground, 10, 0));
        CHECK(press_can_touch(ground.memory.base + 14 * page) && page_is(&ground, 14, 0));
        CHECK_EQ(cow_instance_reset(ground.world.pool, ground.instance), COW_OK); /* untouched again */
        CHECK_EQ(cow_instance_grow(ground.world.pool, ground.instance, 4 * page, &old_bytes), COW_OK);
    }
    poison(uffd, ground.memory.base + 2 * page, page); /* the next tenant must not meet it */
    close(uffd);
    close_ground(&ground);
    press_note("pages of image, zero and extension that are lost: host's faults, until the next reset");
}
