/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Does the kernel keep its word? Some emulators and sandboxes accept MADV_DONTNEED and do nothing, or give zeros where a
 * file's bytes belong; a pool on such a kernel hands one tenant another's bytes. */
#ifndef COW_SELFTEST_H
#define COW_SELFTEST_H

#include "sys/sys.h"

/* COW_OK, COW_KERNEL, or the errno of a call that failed. Leaves nothing behind. For cow_sys_linux the good result is
 * remembered for the life of the process; any other table is tested every time. */
int cow_selftest(const struct cow_sys_table *table, enum cow_growth growth, enum cow_reset reset);

#endif
