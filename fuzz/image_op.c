/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Making an image from an `image` operation and the `data` operations right behind it. */
#include "state.h"

#include <string.h>

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
    if (!other->file && !(other->file = rig_make_file(run, other->model)))
        return false;
    image->file = other->file;
    image->segments = image->file->segments;
    image->n_segments = image->file->n_segments;
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
    if (op->form == RIG_FORM_PLAIN && run->program->world.kernel == RIG_KERNEL_EACH)
        rig_make_image_of_wasm(run, extent_bytes, &image, model);
    if (run->failed) {
        if (model == COW_OK)
            ref_image_free(image.model);
        return noop;
    }
    const int subject = rig_asks(run, model) ? create_on_subject(run, extent_bytes, &image) : model;
    /* A foreign failure may come before the refusal is found. */
    const bool is_fault =
        rig_is_fault(run, model, subject) || (run->options->foreign_faults && model > 0 && subject < 0);
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
