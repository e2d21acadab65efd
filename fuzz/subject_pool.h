/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* cowpool as a subject, and what of it is in a file of its own. */
#ifndef RIG_SUBJECT_POOL_H
#define RIG_SUBJECT_POOL_H

#include "check.h"
#include "subject.h"

struct rig_pool_subject {
    struct rig_subject subject;
    struct cow_pool *pool;
    struct cow_pool_view view;
};

/* ---- subject_pool_kernel.c ---- */
int rig_pool_extension_file(struct rig_subject *subject, uint32_t slot);
uint32_t rig_pool_n_own_files(struct rig_subject *subject);
int rig_pool_taint(struct rig_subject *subject, uint64_t handle);
bool rig_pool_must_discard(struct rig_subject *subject, uint32_t slot);
uint64_t rig_pool_kept(struct rig_subject *subject, uint32_t slot);
uint64_t rig_pool_window(struct rig_subject *subject, uint32_t slot);
int rig_pool_image_file(struct rig_subject *subject, void *image);

#endif
