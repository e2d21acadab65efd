/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Data that names its writer. */
#include "state.h"

static uint8_t next_value(uint8_t value)
{
    return (uint8_t)(value == 255 ? 1 : value + 1);
}

/* 1 .. 255. Fills and host writes make thousands of stamps: no division, two multiplications. */
static uint8_t first_value(uint32_t generation, uint32_t op, uint64_t offset)
{
    const uint32_t writer = generation * 2654435761u ^ op * 2246822519u;
    const uint32_t mixed = (writer ^ (uint32_t)offset) * 3266489917u;
    return (uint8_t)(1 + ((mixed >> 16) * 255 >> 16));
}

uint8_t rig_stamp(uint32_t generation, uint32_t op, uint64_t offset, uint8_t image_byte, uint8_t old_byte)
{
    uint8_t value = first_value(generation, op, offset);
    while (value == image_byte || value == old_byte)
        value = next_value(value);
    return value;
}

bool rig_stamp_fits(uint32_t generation, uint32_t op, uint64_t offset, uint8_t byte)
{
    const uint8_t value = first_value(generation, op, offset);
    return byte == value || byte == next_value(value) || byte == next_value(next_value(value));
}

void rig_stamp_range(const struct rig_run *run, const struct rig_lease *lease, uint64_t offset, uint8_t *ret_bytes,
                     uint64_t length_bytes)
{
    const struct ref_memory *memory = lease->model;
    const struct ref_image *image = memory->image;
    for (uint64_t i = 0; i < length_bytes; i++) {
        const uint64_t at = offset + i;
        const uint8_t image_byte = image && at < image->extent_bytes ? image->bytes[at] : 0;
        const uint8_t old_byte = at < memory->kept_bytes ? memory->bytes[at] : 0;
        ret_bytes[i] = rig_stamp(lease->generation, run->op, at, image_byte, old_byte);
    }
}

void rig_note_write(struct rig_run *run, uint32_t generation, uint32_t slot, uint64_t offset, uint64_t length_bytes)
{
    if (run->n_writes < RIG_MAX_WRITES && length_bytes)
        run->writes[run->n_writes++] = (struct rig_writer){run->op, generation, slot, offset, length_bytes};
}
