/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* To be copied: an allocator under the rig. This one maps once, grows by mprotect, wipes by madvise, and copies images. It has a bug, of a
 * kind that has been shipped: README.md says how the rig finds it, and regress/test_template.sh sees that it does. */
#include "ref.h"
#include "subject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct template
{
    struct rig_subject subject; /* first: a pointer to it is a pointer to all */
    struct rig_geometry geometry;
    uint8_t *range; /* guard, slot 0, guard, slot 1, guard ... */
    size_t range_bytes;
    struct slot {
        const struct ref_image *image;
        uint64_t initial_bytes;
        struct cow_memory memory;
        bool is_lent;
    } slots[];
};

static struct template *self(struct rig_subject *subject)
{
    return (struct template *)(void *)subject;
}

static struct slot *slot_of(struct rig_subject *subject, uint64_t handle)
{
    return &self(subject)->slots[handle - 1];
}

static int template_open(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    const uint64_t guard_bytes = geometry->stride_bytes - geometry->capacity_bytes;
    struct template *it = calloc(1, sizeof *it + geometry->n_slots * sizeof *it->slots);
    it->subject.ops = &rig_subject_template;
    it->geometry = *geometry;
    it->range_bytes = guard_bytes + geometry->n_slots * geometry->stride_bytes;
    it->range = mmap(NULL, it->range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (uint32_t i = 0; i < geometry->n_slots; i++)
        it->slots[i].memory = (struct cow_memory){it->range + guard_bytes + i * geometry->stride_bytes, .slot = i};
    *ret_subject = &it->subject;
    return it->range == MAP_FAILED ? -errno : COW_OK;
}

static int template_close(struct rig_subject *subject)
{
    const int result = munmap(self(subject)->range, self(subject)->range_bytes);
    free(subject);
    return result ? -errno : COW_OK;
}

static void template_range(struct rig_subject *subject, uintptr_t *ret_base, size_t *ret_length_bytes)
{
    *ret_base = (uintptr_t)self(subject)->range;
    *ret_length_bytes = self(subject)->range_bytes;
}

/* So much of the slot can be touched, and nothing else. */
static int set_length(const struct template *it, struct cow_memory *memory, uint64_t length_bytes)
{
    const uint64_t page_bytes = it->geometry.page_bytes,
                   end = (length_bytes + page_bytes - 1) / page_bytes * page_bytes;
    memory->length_bytes = length_bytes;
    memory->accessible_bytes = end;
    return mprotect(memory->base, end, PROT_READ | PROT_WRITE) ||
                   mprotect(memory->base + end, it->geometry.capacity_bytes - end, PROT_NONE)
               ? -errno
               : COW_OK;
}

static int begin(const struct template *it, struct slot *slot)
{
    const int result = set_length(it, &slot->memory, slot->initial_bytes);
    if (result == COW_OK && slot->image)
        memcpy(slot->memory.base, slot->image->bytes, slot->image->extent_bytes);
    return result;
}

static int wipe(struct slot *slot)
{
    const uint64_t dirty_bytes = slot->initial_bytes;
    return madvise(slot->memory.base, dirty_bytes, MADV_DONTNEED) ? -errno : COW_OK;
}

static int template_instantiate(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                                uint64_t *ret_handle)
{
    struct slot *slot = self(subject)->slots;
    while (slot->is_lent) /* trusts_caller: one is free */
        slot++;
    slot->is_lent = true;
    slot->image = image;
    slot->initial_bytes = initial_bytes;
    slot->memory.max_bytes = max_bytes;
    *ret_handle = slot->memory.slot + 1;
    return begin(self(subject), slot);
}

static int template_memory(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    *ret_memory = slot_of(subject, handle)->memory;
    return COW_OK;
}

static int template_grow(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    struct cow_memory *memory = &slot_of(subject, handle)->memory;
    *ret_old_bytes = memory->length_bytes;
    memset(memory->base + memory->length_bytes, 0, memory->accessible_bytes - memory->length_bytes); /* the slack */
    return set_length(self(subject), memory, memory->length_bytes + delta_bytes);
}

static int template_reset(struct rig_subject *subject, uint64_t handle)
{
    struct slot *slot = slot_of(subject, handle);
    const int result = wipe(slot);
    return result ? result : begin(self(subject), slot);
}

static int template_release(struct rig_subject *subject, uint64_t handle)
{
    struct slot *slot = slot_of(subject, handle);
    const int result = wipe(slot);
    slot->is_lent = false;
    return result ? result : set_length(self(subject), &slot->memory, 0);
}

const struct rig_subject_ops rig_subject_template = {
    .name = "template",
    .open = template_open,
    .close = template_close,
    .instantiate = template_instantiate,
    .memory = template_memory,
    .grow = template_grow,
    .reset = template_reset,
    .release = template_release,
    .access = rig_real_access,
    .write = rig_real_write,
    .host_read = rig_real_host_read,
    .host_write = rig_real_host_write,
    .trusts_caller = true,
    .range = template_range,
};
