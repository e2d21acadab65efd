/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "growth.h"

int cow_growth_map(const struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    uint8_t *begin = slot->base + slot->paved_bytes;
    const uint64_t bytes = geometry->capacity_bytes - slot->paved_bytes;
    return bytes ? cow_sys_map_fixed(sys, begin, bytes, COW_MAP_SHARED, slot->extension_fd, 0) : 0;
}

int cow_growth_move(struct cow_slot *slot, struct cow_sys *sys, uint64_t extension_bytes)
{
    if (extension_bytes == slot->extension_bytes)
        return 0;
    const int result = cow_sys_ftruncate(sys, slot->extension_fd, extension_bytes);
    if (!result)
        slot->extension_bytes = extension_bytes;
    return result;
}
