/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The pool's descriptors, for kernel_state.c. */
#include "subject_pool.h"

int rig_pool_extension_file(struct rig_subject *subject, uint32_t slot)
{
    const struct rig_pool_subject *it = (const struct rig_pool_subject *)(const void *)subject;
    return cow_check_slot(it->pool, slot).extension_fd;
}

uint32_t rig_pool_n_own_files(struct rig_subject *subject)
{
    return cow_check_pool(((const struct rig_pool_subject *)(const void *)subject)->pool).n_files;
}

int rig_pool_taint(struct rig_subject *subject, uint64_t handle)
{
    const struct rig_pool_subject *it = (const struct rig_pool_subject *)(const void *)subject;
    return cow_instance_taint_io(it->pool, (struct cow_instance){handle});
}

bool rig_pool_must_discard(struct rig_subject *subject, uint32_t slot)
{
    return cow_check_slot(((const struct rig_pool_subject *)(const void *)subject)->pool, slot).must_discard;
}

uint64_t rig_pool_kept(struct rig_subject *subject, uint32_t slot)
{
    return cow_check_slot(((const struct rig_pool_subject *)(const void *)subject)->pool, slot).private_bytes;
}

uint64_t rig_pool_window(struct rig_subject *subject, uint32_t slot)
{
    const struct rig_pool_subject *it = (const struct rig_pool_subject *)(const void *)subject;
    return cow_check_slot(it->pool, slot).window_bytes;
}

int rig_pool_image_file(struct rig_subject *subject, void *image)
{
    struct cow_run_view runs[COW_IMAGE_MAX_RUNS];
    uint64_t file_offset;
    (void)subject;
    return cow_check_runs(image, runs) ? cow_check_image(image, runs[0].offset_bytes, &file_offset) : -1;
}
