/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Making an image from an `image` operation and the `data` operations right behind it. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct rig_outcome noop = {.kind = RIG_OUTCOME_NOOP};

static uint64_t data_bytes(const struct rig_run *run, const struct rig_op *op)
{
    return op->form == RIG_DATA_BYTES ? op->n_literal : rig_size_bytes(run, op->len);
}

static void fill_data(struct rig_run *run, const struct rig_op *op, uint32_t op_number, uint64_t offset, uint8_t *bytes,
                      uint64_t n_bytes)
{
    if (op->form == RIG_DATA_BYTES)
        memcpy(bytes, op->literal, n_bytes);
    for (uint64_t i = 0; op->form == RIG_DATA_STAMP && i < n_bytes; i++)
        bytes[i] = rig_stamp(run->generation, op_number, offset + i, 0, 0);
}

/* The segments of the image that begins at this operation. False: too much data for the rig. */
static bool collect(struct rig_run *run, struct rig_image *image)
{
    const struct rig_program *program = run->program;
    const uint32_t first = run->op + 1;
    uint32_t end = first;
    while (end < program->n_ops && program->ops[end].kind == RIG_DATA)
        end++;
    image->segments = rig_allocate(run, (end - first) * sizeof *image->segments);
    for (uint32_t i = first; i < end; i++) {
        const struct rig_op *op = &program->ops[i];
        const uint64_t n_bytes = data_bytes(run, op), offset = rig_size_bytes(run, op->at.offset);
        if (n_bytes > RIG_MAX_LENGTH_BYTES)
            return false;
        uint8_t *bytes = rig_allocate(run, n_bytes);
        fill_data(run, op, i, offset, bytes, n_bytes);
        image->segments[image->n_segments++] = (struct cow_segment){offset, bytes, n_bytes};
    }
    return true;
}

/* ---- like=, samefile= and copyfile= ---- */

/* NULL: this machine has no descriptor or memory left for it; the program ends here, with no verdict about the pool. */
static struct rig_file *make_file(struct rig_run *run, const struct ref_image *model)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    uint64_t begin = 0;
    while (begin < model->data_end_bytes && !model->bytes[begin])
        begin++;
    begin = begin < model->data_end_bytes ? begin / page_bytes * page_bytes : 0;
    const uint64_t length_bytes = (model->data_end_bytes - begin + page_bytes - 1) / page_bytes * page_bytes;
    const uint64_t file_bytes = page_bytes + length_bytes + page_bytes;
    struct rig_file *file = rig_allocate(run, sizeof *file);
    uint8_t *bytes = rig_allocate(run, file_bytes);
    memset(bytes, 0xee, file_bytes);
    memset(bytes + page_bytes, 0, length_bytes);
    memcpy(bytes + page_bytes, model->bytes + begin, model->data_end_bytes - begin);
    file->bytes = bytes + page_bytes;
    file->range.fd = memfd_create("rig-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    file->range.file_offset_bytes = page_bytes;
    file->range.length_bytes = length_bytes;
    file->range.offset_bytes = begin;
    if (file->range.fd >= 0) {
        file->next = run->files;
        run->files = file;
        if (pwrite(file->range.fd, bytes, file_bytes, 0) == (ssize_t)file_bytes &&
            fcntl(file->range.fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0)
            return file;
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

/* Another image of the same data: the same segments again, or the file that holds what they come to. False: it cannot be had. */
static bool imitate(struct rig_run *run, const struct rig_op *op, struct rig_image *image)
{
    struct rig_image *other = &run->images[op->other_image];
    image->segments = other->segments;
    image->n_segments = other->n_segments;
    image->is_copied = op->form == RIG_IMAGE_COPYFILE;
    image->is_of_file = op->form == RIG_IMAGE_SAMEFILE || image->is_copied;
    if (!image->is_of_file)
        return true;
    if (!other->file)
        other->file = make_file(run, other->model);
    image->file = other->file;
    if (!image->file)
        return false;
    const struct cow_file_range *range = &image->file->range;
    image->n_segments = range->length_bytes > 0;
    image->segments = rig_allocate(run, sizeof *image->segments);
    image->segments[0] = (struct cow_segment){range->offset_bytes, image->file->bytes, range->length_bytes};
    return true;
}

static int create_on_subject(struct rig_run *run, uint64_t extent_bytes, struct rig_image *image)
{
    if (!run->ops->image_create) {
        image->subject = image->model;
        return COW_OK;
    }
    if (image->is_of_file && run->ops->image_from_file) {
        struct cow_file_range range = image->file->range;
        range.use = image->is_copied ? COW_FILE_COPIED : COW_FILE_GUARDED;
        return run->ops->image_from_file(run->subject, extent_bytes, &range, &image->subject);
    }
    return run->ops->image_create(run->subject, extent_bytes, image->segments, image->n_segments, &image->subject);
}

struct rig_outcome rig_make_image(struct rig_run *run, const struct rig_op *op)
{
    struct rig_image *letter = &run->images[op->image];
    struct rig_image image = {.generation = ++run->generation};
    const uint64_t extent_bytes = rig_size_bytes(run, op->len);
    if (letter->subject || extent_bytes > RIG_MAX_LENGTH_BYTES)
        return noop;
    if (op->form != RIG_FORM_PLAIN && !run->images[op->other_image].subject)
        return noop;
    if (op->form != RIG_FORM_PLAIN ? !imitate(run, op, &image) : !collect(run, &image))
        return noop;
    const int model = ref_image_create(&run->model, extent_bytes, image.segments, image.n_segments, &image.model);
    if (model == COW_OK)
        rig_expect_image(run, &image);
    const int subject = rig_asks(run, model) ? create_on_subject(run, extent_bytes, &image) : model;
    const bool is_fault = rig_is_fault(run, model, subject);
    if (is_fault || !rig_same_result(run, model, subject) || model != COW_OK) {
        if (model == COW_OK)
            ref_image_free(image.model);
        if (is_fault)
            return rig_failed_leaving_nothing(run, subject);
        return (struct rig_outcome){.kind = RIG_OUTCOME_REFUSED, .refusal = model};
    }
    rig_keep_image(run, image.model);
    rig_note_image(run, &image);
    run->changed = true;
    run->built_by = run->op + 1;
    *letter = image;
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK};
}

struct rig_outcome rig_account_data(struct rig_run *run, const struct rig_op *op)
{
    uint32_t i = run->op;
    while (i > 0 && run->program->ops[i].kind == RIG_DATA)
        i--;
    if (run->program->ops[i].kind != RIG_IMAGE || run->program->ops[i].form != RIG_FORM_PLAIN)
        return noop;
    run->changed = run->built_by == i + 1 && data_bytes(run, op) > 0;
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK};
}
