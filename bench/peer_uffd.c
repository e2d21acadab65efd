/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* userfaultfd in missing mode, the backend that the founding design was measured against (wasmtime once had it): the memory is anonymous,
 * each page of the image is copied in by a thread that serves the faults, one for each thread that runs guests. Growth is one mprotect; a
 * reset one madvise over all that was accessible, and one mprotect if the memory grew. */
#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

struct uffd {
    struct bench_slots slots;
    struct server {
        struct uffd *uffd;
        pthread_t thread;
        int fd, stop_fd, is_running;
    } servers[BENCH_MAX_THREADS];
    uint8_t *leased_images; /* of each slot: which image its faults are served from */
};

static const uint64_t grown_most_bytes = BENCH_MAX_GROWN * (uint64_t)BENCH_WASM_PAGE_BYTES;

static void serve_fault(const struct server *server, uint64_t address)
{
    struct uffd *uffd = server->uffd;
    const struct bench_world *world = uffd->slots.world;
    const uint64_t page_bytes = world->page_bytes, page = address & ~(page_bytes - 1);
    const uint64_t from_base = page - (uint64_t)(uintptr_t)uffd->slots.base;
    const uint64_t slot = from_base / uffd->slots.stride_bytes, offset = from_base % uffd->slots.stride_bytes;
    if (offset < world->work.image_bytes) {
        const unsigned image = __atomic_load_n(&uffd->leased_images[slot], __ATOMIC_ACQUIRE);
        struct uffdio_copy copy = {
            .dst = page, .src = (uint64_t)(uintptr_t)world->images[image] + offset, .len = page_bytes};
        ioctl(server->fd, UFFDIO_COPY, &copy);
    } else {
        struct uffdio_zeropage zero = {.range = {.start = page, .len = page_bytes}};
        ioctl(server->fd, UFFDIO_ZEROPAGE, &zero);
    }
}

static void *serve(void *argument)
{
    const struct server *server = argument;
    struct pollfd ready[] = {{.fd = server->fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};
    struct uffd_msg message;
    while (poll(ready, 2, -1) >= 0 || errno == EINTR) {
        if (ready[1].revents)
            return NULL;
        while (read(server->fd, &message, sizeof message) == (ssize_t)sizeof message)
            if (message.event == UFFD_EVENT_PAGEFAULT)
                serve_fault(server, message.arg.pagefault.address);
    }
    return NULL;
}

static const char *open_server(struct uffd *uffd, struct server *server)
{
    struct uffdio_api api = {.api = UFFD_API};
    server->uffd = uffd;
    server->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (server->fd < 0)
        server->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (server->fd < 0 || server->stop_fd < 0)
        return bench_why("userfaultfd");
    if (ioctl(server->fd, UFFDIO_API, &api))
        return bench_why("UFFDIO_API");
    return NULL;
}

/* Anonymous memory instead of the file that the slots were made with. */
static const char *open_slot(struct uffd *uffd, unsigned slot)
{
    const uint64_t image_bytes = uffd->slots.world->work.image_bytes, length_bytes = image_bytes + grown_most_bytes;
    uint8_t *base = bench_slot_base(&uffd->slots, slot);
    struct uffdio_register range = {.range = {.start = (uint64_t)(uintptr_t)base, .len = length_bytes},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (mmap(base, length_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        return bench_why("mmap");
    if (ioctl(uffd->servers[slot % uffd->slots.world->work.n_threads].fd, UFFDIO_REGISTER, &range))
        return bench_why("UFFDIO_REGISTER");
    return mprotect(base + image_bytes, grown_most_bytes, PROT_NONE) ? bench_why("mprotect") : NULL;
}

static const char *uffd_open(const struct bench_contender *contender, const struct bench_world *world, void **ret_state)
{
    struct uffd *uffd = calloc(1, sizeof *uffd);
    (void)contender;
    if (!uffd)
        return bench_why("calloc");
    *ret_state = uffd;
    const char *why = bench_slots_open(&uffd->slots, world, BENCH_SLOT_BYTES + BENCH_GUARD_BYTES);
    uffd->leased_images = calloc(uffd->slots.n_slots, 1);
    if (!why && !uffd->leased_images)
        why = bench_why("calloc");
    for (unsigned i = 0; !why && i < world->work.n_threads; i++)
        why = open_server(uffd, &uffd->servers[i]);
    for (unsigned i = 0; !why && i < uffd->slots.n_slots; i++)
        why = open_slot(uffd, i);
    return why;
}

/* A slot has no image of its own here: its pages are all gone, and come from whichever is leased. */
static const char *uffd_instantiate(void *state, struct bench_lease *lease)
{
    struct uffd *uffd = state;
    struct server *server = &uffd->servers[lease->thread];
    const unsigned image = lease->image;
    if (!server->is_running) { /* by the thread that it is to serve: it stays on its processor */
        server->is_running = !pthread_create(&server->thread, NULL, serve, server);
        if (!server->is_running)
            return "pthread_create failed";
    }
    lease->image = 0; /* what the slots were made with, and stay */
    const char *why = bench_slots_take(&uffd->slots, lease);
    lease->image = image;
    __atomic_store_n(&uffd->leased_images[lease->slot], (uint8_t)image, __ATOMIC_RELEASE);
    return why;
}

static const char *uffd_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const uint64_t delta_bytes = (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    (void)state;
    if (mprotect(lease->base + lease->length_bytes, delta_bytes, PROT_READ | PROT_WRITE))
        return bench_why("mprotect");
    lease->length_bytes += delta_bytes;
    return NULL;
}

static const char *uffd_release(void *state, struct bench_lease *lease)
{
    struct uffd *uffd = state;
    const struct bench_world *world = uffd->slots.world;
    const uint64_t image_bytes = world->work.image_bytes;
    lease->image = 0; /* as when it was taken */
    bench_slots_give(&uffd->slots, lease);
    if (world->without_reset)
        return NULL;
    if (madvise(lease->base, lease->length_bytes, MADV_DONTNEED))
        return bench_why("madvise");
    if (lease->length_bytes > image_bytes &&
        mprotect(lease->base + image_bytes, lease->length_bytes - image_bytes, PROT_NONE))
        return bench_why("mprotect");
    return NULL;
}

static void uffd_close(void *state)
{
    struct uffd *uffd = state;
    for (unsigned i = 0; i < uffd->slots.world->work.n_threads; i++) {
        const uint64_t one = 1;
        if (uffd->servers[i].is_running && write(uffd->servers[i].stop_fd, &one, sizeof one) == (ssize_t)sizeof one)
            pthread_join(uffd->servers[i].thread, NULL);
        close(uffd->servers[i].fd);
        close(uffd->servers[i].stop_fd);
    }
    bench_slots_close(&uffd->slots);
    free(uffd->leased_images);
    free(uffd);
}

const struct bench_peer bench_uffd = {
    .has_bounds = 1,
    .open = uffd_open,
    .instantiate = uffd_instantiate,
    .grow = uffd_grow,
    .release = uffd_release,
    .close = uffd_close,
};
