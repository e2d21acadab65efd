/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "reset.h"

#include "growth.h"

#include <errno.h>

static int discard(const struct cow_slot *slot, struct cow_sys *sys, uint64_t length_bytes)
{
    int result;
    if (length_bytes == 0) /* a call with no length would be an error with some kernels, and is a waste with all */
        return 0;
    result = cow_sys_madvise(sys, slot->base, length_bytes, COW_ADVICE_DISCARD);
    /* Locked memory (mlockall(2)) refuses the plain advice with EINVAL and restores nothing; asking in this order keeps the
     * common case at one call. */
    return result == -EINVAL ? cow_sys_madvise(sys, slot->base, length_bytes, COW_ADVICE_DISCARD_LOCKED) : result;
}

int cow_reset_discard(struct cow_slot *slot, const struct cow_geometry *geometry, struct cow_sys *sys)
{
    const int result = discard(slot, sys, cow_growth_kept_bytes(slot, geometry));
    return result ? result : cow_growth_close(slot, geometry, sys);
}
