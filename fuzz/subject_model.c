/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The model as a subject: the rig must agree with itself. Also the smallest example of a subject. */
#include "subject.h"

#include "ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct model_slot {
    struct ref_memory *memory; /* NULL when it is not lent */
    uint64_t handle;
};

/* A dropped image stays until the end: a live memory may need it for reset. */
struct model_image {
    struct ref_image *image;
    struct model_image *next;
};

struct model {
    struct rig_subject subject;
    struct ref_pool pool;
    struct model_image *images;
    uint64_t n_leases;
    struct model_slot slots[];
};

static struct model *model_of(struct rig_subject *subject)
{
    return (struct model *)(void *)subject;
}

static struct model_slot *find(struct model *model, uint64_t handle)
{
    for (uint32_t i = 0; i < model->pool.n_slots; i++)
        if (model->slots[i].memory && model->slots[i].handle == handle)
            return &model->slots[i];
    return NULL;
}

static int model_open(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    struct model *model = calloc(1, sizeof *model + geometry->n_slots * sizeof *model->slots);
    if (!model)
        return -ENOMEM;
    model->subject.ops = &rig_subject_model;
    model->pool = (struct ref_pool){
        .n_slots = geometry->n_slots,
        .max_bytes = geometry->max_bytes,
        .unit_bytes = geometry->unit_bytes,
        .join_bytes = geometry->join_bytes,
        .page_bytes = geometry->page_bytes,
        .bounds_in_software = geometry->growth == COW_GROWTH_SOFTWARE,
    };
    *ret_subject = &model->subject;
    return 0;
}

static int model_close(struct rig_subject *subject)
{
    struct model *model = model_of(subject);
    struct model_image *next;
    if (model->pool.n_live)
        return COW_BUSY;
    for (struct model_image *it = model->images; it; it = next) {
        next = it->next;
        ref_image_free(it->image);
        free(it);
    }
    free(model);
    return 0;
}

static int model_image_create(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                              size_t n_segments, void **ret_image)
{
    struct model *model = model_of(subject);
    struct model_image *it = malloc(sizeof *it);
    if (!it)
        return -ENOMEM;
    const int result = ref_image_create(&model->pool, extent_bytes, segments, n_segments, &it->image);
    if (result != COW_OK) {
        free(it);
        return result;
    }
    it->next = model->images;
    model->images = it;
    *ret_image = it->image;
    return COW_OK;
}

static void model_image_drop(struct rig_subject *subject, void *image)
{
    (void)subject;
    (void)image;
}

static int model_instantiate(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                             uint64_t *ret_handle)
{
    struct model *model = model_of(subject);
    struct ref_memory *memory;
    const int result = ref_instantiate(&model->pool, image, initial_bytes, max_bytes, &memory);
    for (uint32_t i = 0; result == COW_OK; i++)
        if (!model->slots[i].memory) {
            model->slots[i] = (struct model_slot){memory, ++model->n_leases};
            *ret_handle = model->n_leases;
            break;
        }
    return result;
}

static int model_memory(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    struct model *model = model_of(subject);
    const struct model_slot *slot = find(model, handle);
    if (!slot)
        return COW_STALE;
    *ret_memory = (struct cow_memory){
        .base = slot->memory->bytes,
        .length_bytes = slot->memory->length_bytes,
        .accessible_bytes = ref_accessible_bytes(slot->memory),
        .max_bytes = slot->memory->max_bytes,
        .slot = (uint32_t)(slot - model->slots),
    };
    return COW_OK;
}

static int model_grow(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    const struct model_slot *slot = find(model_of(subject), handle);
    return ref_grow(slot ? slot->memory : NULL, delta_bytes, ret_old_bytes);
}

static int model_reset(struct rig_subject *subject, uint64_t handle)
{
    const struct model_slot *slot = find(model_of(subject), handle);
    return ref_reset(slot ? slot->memory : NULL);
}

static int model_release(struct rig_subject *subject, uint64_t handle)
{
    struct model_slot *slot = find(model_of(subject), handle);
    const int result = ref_release(slot ? slot->memory : NULL);
    if (slot)
        slot->memory = NULL;
    return result;
}

static int model_flush(struct rig_subject *subject)
{
    (void)subject;
    return COW_OK;
}

static void model_access(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    struct ref_memory *memory = find(model_of(subject), handle)->memory;
    const enum ref_access outcome = ref_access(memory, access->offset, access->width, &access->trap_offset);
    access->trapped = outcome == REF_ACCESS_TRAP;
    access->trap_place = -1;
    if (outcome == REF_ACCESS_OK && access->kind == RIG_ACCESS_LOAD)
        memcpy(access->bytes, memory->bytes + access->offset, access->width);
    else if (outcome == REF_ACCESS_OK)
        memcpy(memory->bytes + access->offset, access->bytes, access->width);
}

static void model_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                        uint64_t length_bytes)
{
    ref_scribble(find(model_of(subject), handle)->memory, offset, bytes, length_bytes);
}

/* How many of the bytes from offset on lie below an end. */
static uint64_t room(uint64_t offset, uint64_t end, uint64_t length_bytes)
{
    const uint64_t n = offset < end ? end - offset : 0;
    return n < length_bytes ? n : length_bytes;
}

/* There is no kernel in the model: what is accessible is moved, slack reads as zero. */
static int64_t model_host_read(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                               int fd)
{
    const struct ref_memory *memory = find(model_of(subject), handle)->memory;
    const uint64_t n = room(offset, ref_accessible_bytes(memory), length_bytes);
    const uint64_t n_kept = room(offset, memory->kept_bytes, n);
    if (n == 0)
        return -EFAULT;
    if (ftruncate(fd, 0) || (n_kept && pwrite(fd, memory->bytes + offset, n_kept, 0) != (ssize_t)n_kept) ||
        ftruncate(fd, (off_t)n))
        return -errno;
    return (int64_t)n;
}

static int64_t model_host_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                                int fd)
{
    struct ref_memory *memory = find(model_of(subject), handle)->memory;
    const uint64_t n = room(offset, ref_accessible_bytes(memory), length_bytes);
    uint8_t *bytes = malloc(n ? n : 1);
    int64_t result = n ? (int64_t)n : -EFAULT;
    if (!bytes || pread(fd, bytes, n, 0) != (ssize_t)n)
        result = -errno;
    else if (n)
        ref_scribble(memory, offset, bytes, n);
    free(bytes);
    return result;
}

const struct rig_subject_ops rig_subject_model = {
    .name = "model",
    .bounds_in_software = true,
    .open = model_open,
    .close = model_close,
    .image_create = model_image_create,
    .image_drop = model_image_drop,
    .instantiate = model_instantiate,
    .memory = model_memory,
    .grow = model_grow,
    .reset = model_reset,
    .release = model_release,
    .flush = model_flush,
    .trim = model_flush,
    .access = model_access,
    .write = model_write,
    .host_read = model_host_read,
    .host_write = model_host_write,
};
