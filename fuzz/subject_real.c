/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What subjects have in common whose memories are this process's own: a guest is one instruction, a host is memmove, and the kernel
 * is asked by a file. And the list of all subjects. */
#include "guest.h"
#include "subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct rig_subject_ops *rig_find_subject(const char *name)
{
    static const struct rig_subject_ops *const subjects[] = {&rig_subject_pool, &rig_subject_model,
                                                             &rig_subject_template};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (strcmp(name, subjects[i]->name) == 0)
            return subjects[i];
    return NULL;
}

const struct rig_subject_ops *rig_default_subject(void)
{
    const char *name = getenv("RIG_SUBJECT");
    const struct rig_subject_ops *subject = name && *name ? rig_find_subject(name) : &rig_subject_pool;
    if (!subject) {
        fprintf(stderr, "RIG_SUBJECT=%s: no such subject (see 'lockstep run --help')\n", name);
        exit(2);
    }
    return subject;
}

/* A store of more than 8 bytes that straddles the accessible end may be torn by the processor, and narrower ones on machines
 * other than x86: a load first, as an engine does that wants whole stores. */
static bool must_load_first(const struct rig_access *access)
{
#if defined __x86_64__
    return access->width > 8;
#else
    return access->width > 1;
#endif
}

void rig_real_access(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    struct cow_memory memory;
    struct rig_fault fault;
    uint8_t scratch[16];
    bool done = false;
    if (subject->ops->memory(subject, handle, &memory) != COW_OK)
        return;
    uint8_t *at = memory.base + access->offset;
    if (access->kind == RIG_ACCESS_LOAD)
        done = rig_guest_load(at, access->width, access->bytes, &fault);
    else if (!must_load_first(access) || rig_guest_load(at, access->width, scratch, &fault))
        done = rig_guest_store(at, access->width, access->bytes, &fault);
    access->trapped = !done;
    access->trap_offset = done ? 0 : (int64_t)(fault.address - (uintptr_t)memory.base);
    access->trap_place = -1;
}

void rig_real_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                    uint64_t length_bytes)
{
    struct cow_memory memory;
    if (subject->ops->memory(subject, handle, &memory) == COW_OK)
        memmove(memory.base + offset, bytes, length_bytes);
}

int64_t rig_real_host_read(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes, int fd)
{
    struct cow_memory memory;
    if (subject->ops->memory(subject, handle, &memory) != COW_OK)
        return -EFAULT;
    const ssize_t n = pwrite(fd, memory.base + offset, length_bytes, 0);
    return n < 0 ? -errno : n;
}

int64_t rig_real_host_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                            int fd)
{
    struct cow_memory memory;
    if (subject->ops->memory(subject, handle, &memory) != COW_OK)
        return -EFAULT;
    const ssize_t n = pread(fd, memory.base + offset, length_bytes, 0);
    return n < 0 ? -errno : n;
}
