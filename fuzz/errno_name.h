/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* "ENOMEM" of ENOMEM. Before glibc 2.32, which is what OSS-Fuzz builds with, only of what a program can name (rig_error_name). */
#ifndef RIG_ERRNO_NAME_H
#define RIG_ERRNO_NAME_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* NULL: it has no name. */
static inline const char *rig_errno_name(int error)
{
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
    return strerrorname_np(error);
#else
#define RIG_NAME(constant)                                                                                             \
    case constant:                                                                                                     \
        return #constant;
    switch (error) {
        RIG_NAME(EACCES)
        RIG_NAME(EAGAIN)
        RIG_NAME(EBADF)
        RIG_NAME(EBUSY)
        RIG_NAME(EEXIST)
        RIG_NAME(EFAULT)
        RIG_NAME(EFBIG)
        RIG_NAME(EINTR)
        RIG_NAME(EINVAL)
        RIG_NAME(EIO)
        RIG_NAME(EMFILE)
        RIG_NAME(ENFILE)
        RIG_NAME(ENODEV)
        RIG_NAME(ENOMEM)
        RIG_NAME(ENOSPC)
        RIG_NAME(ENOSYS)
        RIG_NAME(ENOTTY)
        RIG_NAME(EOPNOTSUPP)
        RIG_NAME(EPERM)
        RIG_NAME(ERANGE)
        RIG_NAME(ESRCH)
    default:
        return NULL;
    }
#undef RIG_NAME
#endif
}

#endif
