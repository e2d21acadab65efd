/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Files that images are made of (samefile=, copyfile=): what is in them, and, once for each, the other ways to ask for an image of
 * one, with what the contract says of them.
 *
 *     file     |0xee|  (hole) |##data##|  (hole)  |##data##| ... |0xee|
 *     range         |<------------------------------------------>|           begins with a hole, if the image has room for one */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is in it ---- */

static bool is_zero(const uint8_t *bytes, uint64_t n_bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, n_bytes - 1) == 0;
}

/* The pages that hold anything, and gaps between them that are no longer than those that the pool joins. An empty segment at the
 * end of the range stands for the holes there: no image is shorter. */
static void find_data(struct rig_run *run, struct rig_file *file, const uint8_t *bytes)
{
    const uint64_t page_bytes = run->geometry.page_bytes, length_bytes = file->range.length_bytes;
    struct cow_segment *segments = rig_allocate(run, (length_bytes / page_bytes + 1) * sizeof *segments);
    uint32_t n = 0;
    for (uint64_t at = 0; at < length_bytes; at += page_bytes) {
        const uint64_t offset = file->range.offset_bytes + at;
        if (is_zero(bytes + at, page_bytes))
            continue;
        struct cow_segment *last = n ? &segments[n - 1] : NULL;
        if (last && offset <= last->offset_bytes + last->length_bytes + run->geometry.join_bytes)
            last->length_bytes = offset + page_bytes - last->offset_bytes;
        else
            segments[n++] = (struct cow_segment){offset, bytes + at, page_bytes};
    }
    segments[n++] = (struct cow_segment){file->range.offset_bytes + length_bytes, bytes + length_bytes, 0};
    file->segments = segments;
    file->n_segments = n;
}

static bool put(int fd, const void *bytes, uint64_t n_bytes, uint64_t at)
{
    return pwrite(fd, bytes, n_bytes, (off_t)at) == (ssize_t)n_bytes;
}

static bool write_file(const struct rig_file *file, const uint8_t *surroundings, uint64_t page_bytes)
{
    const struct cow_file_range *range = &file->range;
    const uint64_t begin = range->file_offset_bytes;
    bool is_done = put(range->fd, surroundings, page_bytes, begin - page_bytes) &&
                   put(range->fd, surroundings, page_bytes, begin + range->length_bytes);
    for (uint32_t i = 0; i < file->n_segments; i++) {
        const struct cow_segment *segment = &file->segments[i];
        is_done = is_done && put(range->fd, segment->bytes, segment->length_bytes,
                                 begin + (segment->offset_bytes - range->offset_bytes));
    }
    return is_done && fcntl(range->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0;
}

/* The whole pages of the image that its file is of. */
static void place_range(const struct ref_image *model, uint64_t page_bytes, struct cow_file_range *range)
{
    uint64_t begin = 0;
    while (begin < model->data_end_bytes && !model->bytes[begin])
        begin++;
    begin = begin < model->data_end_bytes ? begin / page_bytes * page_bytes : 0;
    begin -= begin ? page_bytes : 0;
    range->offset_bytes = begin;
    range->length_bytes = (model->data_end_bytes - begin + page_bytes - 1) / page_bytes * page_bytes;
    range->file_offset_bytes = page_bytes;
}

/* ---- other ways to ask ---- */

/* What there is of a range, read from the file: as an image of the model. */
static void make_model(struct rig_run *run, uint64_t extent_bytes, const struct cow_file_range *range,
                       struct rig_image *ret_image)
{
    uint8_t *bytes = rig_allocate(run, range->length_bytes);
    const struct cow_segment whole = {range->offset_bytes, bytes, range->length_bytes};
    const ssize_t n = pread(range->fd, bytes, range->length_bytes, (off_t)range->file_offset_bytes);
    *ret_image = (struct rig_image){.file = NULL};
    if (n == (ssize_t)range->length_bytes && !ref_image_create(&run->model, extent_bytes, &whole, 1, &ret_image->model))
        rig_keep_image(run, ret_image->model);
}

/* Whether the pool's file of the image is that one. */
static bool is_same_file(int fd, int other_fd)
{
    struct stat status, other_status;
    return fd >= 0 && fstat(fd, &status) == 0 && fstat(other_fd, &other_status) == 0 &&
           status.st_dev == other_status.st_dev && status.st_ino == other_status.st_ino;
}

/* What must come of asking: a refusal, an error, or an image that maps the file, or one that does not. */
enum { MAPPED = COW_N_REFUSALS, COPIED };

static void ask(struct rig_run *run, int want, uint64_t extent_bytes, struct cow_file_range range)
{
    struct rig_image image;
    if (run->failed)
        return;
    const int result = run->ops->image_from_file(run->subject, extent_bytes, &range, &image.subject);
    if (!rig_same_result(run, want == MAPPED || want == COPIED ? COW_OK : want, result) || result != COW_OK)
        return;
    void *subject = image.subject;
    make_model(run, extent_bytes, &range, &image);
    image.subject = subject;
    if (image.model)
        rig_check_image(run, &image, 0, extent_bytes);
    const int fd = run->ops->image_file(run->subject, subject);
    if (range.length_bytes && is_same_file(fd, range.fd) != (want == MAPPED))
        rig_diverge(run, "image", want == MAPPED ? "copied" : "mapped",
                    "an image of a file is a copy where it must not be, or none where it must");
    run->ops->image_drop(run->subject, subject);
}

/* Sealed in part only, or not at all: somebody could change it. */
static void ask_for_unsealed(struct rig_run *run, int seals)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    struct cow_file_range range = {.fd = memfd_create("rig-file", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (range.fd < 0)
        return;
    ask(run, COPIED, page_bytes, range); /* of no bytes */
    range.length_bytes = page_bytes;
    ask(run, COW_IMAGE_BOUNDS, page_bytes, range);
    if (put(range.fd, "data", 4, page_bytes - 4) && (!seals || !fcntl(range.fd, F_ADD_SEALS, seals))) {
        ask(run, COPIED, page_bytes, range);
        range.use = COW_FILE_VOUCHED;
        ask(run, MAPPED, page_bytes, range);
    }
    close(range.fd);
}

/* A file of a file system that knows no seals, and what is no file. */
static void ask_for_others(struct rig_run *run)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    struct cow_file_range range = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), .length_bytes = page_bytes};
    int ends[2];
    if (range.fd >= 0) {
        ask(run, COPIED, page_bytes, range);
        close(range.fd);
    }
    if (pipe2(ends, O_CLOEXEC))
        return;
    range = (struct cow_file_range){.fd = ends[0]};
    ask(run, COPIED, page_bytes, range); /* of no bytes */
    range.use = COW_FILE_VOUCHED;
    ask(run, -ENODEV, page_bytes, range);
    close(ends[0]);
    close(ends[1]);
}

static struct cow_file_range with(struct cow_file_range range, uint64_t file_offset_bytes, uint64_t length_bytes,
                                  uint64_t offset_bytes)
{
    range.file_offset_bytes = file_offset_bytes;
    range.length_bytes = length_bytes;
    range.offset_bytes = offset_bytes;
    return range;
}

static struct cow_file_range by(struct cow_file_range range, int use)
{
    range.use = (enum cow_file_use)use;
    return range;
}

static void ask_outside(struct rig_run *run, struct cow_file_range it, uint64_t end)
{
    const uint64_t page = run->geometry.page_bytes, max = run->geometry.max_bytes;
    const uint64_t file_bytes = it.file_offset_bytes + it.length_bytes + page;
    ask(run, COW_IMAGE_LARGE, max + 1, it);
    ask(run, COW_IMAGE_BOUNDS, end - 1, it);
    ask(run, COW_IMAGE_BOUNDS, end, with(it, page, -page, it.offset_bytes)); /* no sum may overflow */
    ask(run, COW_IMAGE_BOUNDS, end - 1, with(it, page, 0, end / page * page + page));
    ask(run, COPIED, it.offset_bytes, with(it, page, 0, it.offset_bytes));
    ask(run, COW_IMAGE_BOUNDS, max, with(it, file_bytes + page, 0, 0));
    ask(run, COPIED, max, with(it, file_bytes, 0, 0));
    ask(run, MAPPED, page, with(it, file_bytes - page, page, 0));
    if (max >= 2 * page)
        ask(run, COW_IMAGE_BOUNDS, 2 * page, with(it, file_bytes - page, 2 * page, 0));
}

static void ask_in_other_ways(struct rig_run *run, const struct rig_file *file)
{
    struct cow_file_range it = file->range;
    const uint64_t end = it.offset_bytes + it.length_bytes;
    if (!rig_is_real(run) || run->kernel || run->options->foreign_faults || it.length_bytes == 0 ||
        end > run->geometry.max_bytes)
        return;
    const uint32_t n_runs = file->n_segments - 1;
    const bool is_sparse = n_runs > COW_IMAGE_MAX_RUNS;
    ask(run, is_sparse ? COW_IMAGE_SPARSE : n_runs ? MAPPED : COPIED, end, by(it, COW_FILE_VOUCHED));
    ask(run, is_sparse ? COW_IMAGE_SPARSE : COPIED, end, by(it, COW_FILE_COPIED));
    ask(run, COW_CONFIG, end, by(it, COW_FILE_COPIED + 1));
    ask(run, COW_CONFIG, end, by(it, -1));
    ask(run, COW_UNALIGNED, end, with(it, it.file_offset_bytes + 1, it.length_bytes, it.offset_bytes));
    ask(run, COW_UNALIGNED, end, with(it, it.file_offset_bytes, it.length_bytes - 1, it.offset_bytes));
    ask(run, COW_UNALIGNED, end, with(it, it.file_offset_bytes, 0, it.offset_bytes + 1));
    ask_outside(run, it, end);
    ask_for_unsealed(run, 0);
    ask_for_unsealed(run, F_SEAL_WRITE);
    ask_for_unsealed(run, F_SEAL_SHRINK);
    ask_for_others(run);
    it.fd = -1;
    ask(run, -EBADF, end, it);
    rig_begin_calls(run); /* these were none of the operation's */
}

struct rig_file *rig_make_file(struct rig_run *run, const struct ref_image *model)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    struct rig_file *file = rig_allocate(run, sizeof *file);
    place_range(model, page_bytes, &file->range);
    uint8_t *bytes = rig_allocate(run, file->range.length_bytes), *surroundings = rig_buffer(run, page_bytes);
    memcpy(bytes, model->bytes + file->range.offset_bytes, model->data_end_bytes - file->range.offset_bytes);
    memset(surroundings, 0xee, page_bytes);
    find_data(run, file, bytes);
    file->range.fd = memfd_create("rig-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file->range.fd >= 0) {
        file->next = run->files;
        run->files = file;
        if (write_file(file, surroundings, page_bytes)) {
            ask_in_other_ways(run, file);
            return run->failed ? NULL : file;
        }
    }
    run->failed = true;
    run->verdict->kind = RIG_UNABLE;
    snprintf(run->verdict->line, sizeof run->verdict->line, "samefile= needs a memory file: %s", strerror(errno));
    return NULL;
}

void rig_close_files(struct rig_run *run)
{
    for (const struct rig_file *file = run->files; file; file = file->next)
        close(file->range.fd);
    run->files = NULL;
}
