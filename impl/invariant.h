/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Checks that abort. COW_CHECK is on in every build: what it says must hold or a tenant may see another's bytes.
 * COW_DEBUG_CHECK is for builds with COW_DEBUG. The slow grade is cow_pool_check(). */
#ifndef COW_INVARIANT_H
#define COW_INVARIANT_H

#include <stdlib.h>

/* A statement, and not `condition ? (void)0 : abort()`: coverage takes what follows such an expression for unreachable. */
#define COW_CHECK(condition)                                                                                           \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)
#ifdef COW_DEBUG
#define COW_DEBUG_CHECK(condition) COW_CHECK(condition)
#else
#define COW_DEBUG_CHECK(condition) ((void)0)
#endif

#endif
