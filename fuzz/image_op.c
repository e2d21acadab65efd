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

struct rig_outcome rig_make_image(struct rig_run *run, const struct rig_op *op)
{
    struct rig_image *letter = &run->images[op->image];
    struct rig_image image = {.generation = ++run->generation};
    const uint64_t extent_bytes = rig_size_bytes(run, op->len);
    if (letter->subject || extent_bytes > RIG_MAX_LENGTH_BYTES)
        return noop;
    if (op->form == RIG_IMAGE_LIKE) { /* the same bytes, another object */
        image.segments = run->images[op->other_image].segments;
        image.n_segments = run->images[op->other_image].n_segments;
        if (!run->images[op->other_image].subject)
            return noop;
    } else if (!collect(run, &image)) {
        return noop;
    }
    const int model = ref_image_create(&run->model, extent_bytes, image.segments, image.n_segments, &image.model);
    if (model == COW_OK)
        rig_expect_image(run, &image);
    const int subject =
        run->ops->image_create(run->subject, extent_bytes, image.segments, image.n_segments, &image.subject);
    if (!rig_same_result(run, model, subject) || model != COW_OK) {
        if (model == COW_OK)
            ref_image_free(image.model);
        return (struct rig_outcome){.kind = RIG_OUTCOME_REFUSED, .refusal = model};
    }
    rig_keep_image(run, image.model);
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
