/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A kernel that answers questions about somebody's file as it seldom does, or as it never may: what the pool makes of it. */
#include "state.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file has four pages, of which the two in the middle are asked for:
 *
 *     |  1  |  2  |  3  |  4  |
 *           |<- the range ->|      */
struct answer {
    int has_host_pages, seals, next; /* the last: to the first question for data; and where that is, in pages */
    uint64_t data, hole;
    int want;
    uint8_t bytes[2]; /* of the image's pages, if there is to be one */
};

static struct {
    const struct answer *answer;
    uint64_t page_bytes;
    uint32_t n_asked;
    bool writes_too_much;
} script;

static int answer_has_host_pages(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return script.answer->has_host_pages;
}

static int answer_seals(const struct cow_sys_table *self, int fd)
{
    (void)self;
    (void)fd;
    return script.answer->seals;
}

static int answer_next_data(const struct cow_sys_table *self, int fd, uint64_t offset_bytes, uint64_t *ret_begin_bytes,
                            uint64_t *ret_end_bytes)
{
    (void)self;
    (void)fd;
    (void)offset_bytes;
    const bool is_first = script.n_asked++ == 0;
    *ret_begin_bytes = (is_first ? script.answer->data : 4) * script.page_bytes;
    *ret_end_bytes = (is_first ? script.answer->hole : 4) * script.page_bytes;
    return is_first ? script.answer->next : 0;
}

static int64_t answer_pwrite(const struct cow_sys_table *self, int fd, const struct iovec *pieces, size_t n_pieces,
                             uint64_t offset_bytes)
{
    (void)self;
    const int64_t n = cow_sys_linux.pwrite(&cow_sys_linux, fd, pieces, n_pieces, offset_bytes);
    return n + (n > 0 && script.writes_too_much);
}

static void check_bytes(struct rig_run *run, struct rig_subject *subject, void *image, const uint8_t *bytes)
{
    const uint64_t length_bytes = 2 * script.page_bytes;
    struct cow_memory memory;
    uint64_t handle;
    if (!rig_same_result(run, COW_OK, run->ops->instantiate(subject, image, length_bytes, length_bytes, &handle)) ||
        !rig_same_result(run, COW_OK, run->ops->memory(subject, handle, &memory)))
        return;
    for (int i = 0; i < 2 && !run->failed; i++)
        (void)rig_same_result(run, bytes[i],
                              *((const volatile uint8_t *)memory.base + (uint64_t)i * script.page_bytes));
    if (!run->failed && rig_same_result(run, COW_OK, run->ops->release(subject, handle)))
        run->ops->image_drop(subject, image);
}

static void ask(struct rig_run *run, struct rig_subject *subject, int fd, const struct answer *answer)
{
    const struct cow_file_range range = {
        .fd = fd, .file_offset_bytes = script.page_bytes, .length_bytes = 2 * script.page_bytes};
    void *image;
    if (run->failed)
        return;
    script.answer = answer;
    script.n_asked = 0;
    const int result = run->ops->image_from_file(subject, 2 * script.page_bytes, &range, &image);
    if (rig_same_result(run, answer->want, result) && result == COW_OK)
        check_bytes(run, subject, image, answer->bytes);
}

static int make_file(void)
{
    const int fd = memfd_create("rig-script", MFD_CLOEXEC);
    for (uint8_t i = 0; fd >= 0 && i < 4; i++) {
        const uint8_t byte = (uint8_t)(i + 1);
        if (pwrite(fd, &byte, 1, (off_t)(i * script.page_bytes)) != 1 ||
            ftruncate(fd, (off_t)((i + 1) * script.page_bytes)))
            abort();
    }
    return fd;
}

void rig_ask_of_files(struct rig_run *run)
{
    static const struct answer answers[] = {
        {1, 0, 0, 1, 3, COW_OK, {2, 3}},  {0, 0, 0, 1, 3, COW_OK, {2, 3}}, /* not of host pages: copied */
        {1, 0, 0, 0, 2, COW_OK, {2, 0}},                                   /* begins before the range, and ends in it */
        {1, 0, 0, 2, 4, COW_OK, {0, 3}},                                   /* begins in it, and ends behind it */
        {1, 0, 0, 3, 4, COW_OK, {0, 0}},                                   /* begins behind it */
        {1, 0, 0, 2, 2, COW_OK, {0, 0}},                                   /* holds nothing */
        {-EIO, 0, 0, 1, 3, -EIO, {0, 0}}, {1, -EPERM, 0, 1, 3, -EPERM, {0, 0}},
        {1, 0, -EIO, 1, 2, -EIO, {0, 0}}, {1, 0, 0, 0, 1, -EIO, {0, 0}}, /* ends where the question begins */
        {1, 0, 0, 2, 1, -EIO, {0, 0}},                                   /* or before it begins itself */
        {1, 0, 0, 3, 2, COW_OK, {0, 0}},                                 /* that, too, but behind the range */
    };
    struct cow_sys_table table = cow_sys_linux;
    struct rig_geometry geometry = run->geometry;
    struct rig_subject *subject;
    script.page_bytes = run->geometry.page_bytes;
    table.name = "script";
    table.has_host_pages = answer_has_host_pages;
    table.seals = answer_seals;
    table.next_data = answer_next_data;
    table.pwrite = answer_pwrite;
    geometry.sys = &table;
    geometry.n_slots = geometry.n_shards = 1;
    geometry.max_bytes = 2 * script.page_bytes;
    geometry.unit_bytes = 1;
    const int fd = make_file();
    if (fd < 0 || !run->ops->image_from_file || !rig_same_result(run, COW_OK, run->ops->open(&geometry, &subject)))
        return;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        ask(run, subject, fd, &answers[i]);
    script.writes_too_much = true;
    ask(run, subject, fd, &(struct answer){.has_host_pages = 1, .data = 1, .hole = 3, .want = -EIO});
    script.writes_too_much = false;
    if (!run->failed)
        (void)rig_same_result(run, COW_OK, run->ops->close(subject));
    close(fd);
}
