/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int bench_size_of(const char *name, enum bench_size *ret_size)
{
    static const char *const names[] = {"smallest", "quick", "full"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_size = (enum bench_size)i;
            return 0;
        }
    }
    return -1;
}

const char *bench_status_name(enum bench_status status)
{
    static const char *const names[] = {"measured", "skipped", "refused", "failed"};
    return names[status];
}

const char *bench_kind_name(enum bench_kind kind)
{
    static const char *const names[] = {"floor", "cowpool", "peer", "subtracted"};
    return names[kind];
}

static const char *make_image_file(const uint8_t *bytes, uint64_t n_bytes, int *ret_fd)
{
    const int fd = memfd_create("bench-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return bench_why("memfd_create");
    *ret_fd = fd;
    for (uint64_t done = 0; done < n_bytes;) {
        const ssize_t n = write(fd, bytes + done, n_bytes - done);
        if (n < 0)
            return bench_why("write of an image");
        done += (uint64_t)n;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
               ? bench_why("sealing an image")
               : NULL;
}

const char *bench_world_open(struct bench_world *world, const struct bench_work *work)
{
    *world = (struct bench_world){.work = *work, .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
    for (unsigned i = 0; i < work->n_images; i++) {
        uint8_t *bytes = malloc(work->image_bytes);
        if (!bytes)
            return bench_why("malloc of an image");
        for (uint64_t at = 0; at < work->image_bytes; at++)
            bytes[at] = (uint8_t)(1 + (at * 2654435761u >> 7) % (199 + i));
        world->images[i] = bytes;
        const char *why = make_image_file(bytes, work->image_bytes, &world->image_fds[i]);
        if (why)
            return why;
    }
    return NULL;
}

void bench_world_close(struct bench_world *world)
{
    for (unsigned i = 0; i < world->work.n_images; i++) {
        close(world->image_fds[i]);
        free((void *)world->images[i]);
    }
}
