/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Mutexes. With COW_DEBUG they know their holder: one that is let go by somebody else aborts, and so does one that is taken twice. A
 * lock that is forgotten shows without a second thread. */
#ifndef COW_LOCK_H
#define COW_LOCK_H

#include "invariant.h"

#include <pthread.h>

#if defined COW_DEBUG && defined PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP
#define COW_LOCK_FREE PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP
#else
#define COW_LOCK_FREE PTHREAD_MUTEX_INITIALIZER
#endif

/* 0, or -errno. */
static inline int cow_lock_init(pthread_mutex_t *lock)
{
#ifdef COW_DEBUG
    pthread_mutexattr_t attributes;
    int result = -pthread_mutexattr_init(&attributes);
    if (!result)
        result = -pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    return result ? result : -pthread_mutex_init(lock, &attributes);
#else
    return -pthread_mutex_init(lock, NULL);
#endif
}

static inline void cow_lock(pthread_mutex_t *lock)
{
    const int result = pthread_mutex_lock(lock);
    COW_DEBUG_CHECK(!result);
    (void)result;
}

static inline void cow_unlock(pthread_mutex_t *lock)
{
    const int result = pthread_mutex_unlock(lock);
    COW_DEBUG_CHECK(!result);
    (void)result;
}

#endif
