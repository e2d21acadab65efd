/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The optional trap module: handlers that turn an out-of-bounds access of a guest into a return of cow_trap_call(). */
#include "cowpool.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

struct trap_frame {
    const struct cow_pool *pool;
    struct trap_frame *outer;
    struct cow_location location;
    sigjmp_buf resume;
};

/* The calls under way on this thread, innermost first. Initial-exec: a handler must not allocate thread-local storage. */
static _Thread_local struct trap_frame *volatile trap_frames __attribute__((tls_model("initial-exec")));

static struct sigaction trap_previous_segv, trap_previous_bus;

/* Only what the kernel says of an access has an address; a signal that was sent (kill(2)) has none. */
static int is_access(const siginfo_t *info)
{
    return info->si_code > 0;
}

/* What would have happened without us. */
static void hand_on(int signal_number, siginfo_t *info, void *context)
{
    const struct sigaction *previous = signal_number == SIGSEGV ? &trap_previous_segv : &trap_previous_bus;
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signal_number, info, context);
    } else if (previous->sa_handler == SIG_DFL || (previous->sa_handler == SIG_IGN && is_access(info))) {
        sigaction(signal_number, previous, NULL); /* the access runs again, and the kernel does what it does */
        if (!is_access(info))
            raise(signal_number); /* comes when this handler returns: until then it is blocked */
    } else if (previous->sa_handler != SIG_IGN) {
        previous->sa_handler(signal_number);
    }
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
    for (struct trap_frame *frame = is_access(info) ? trap_frames : NULL; frame; frame = frame->outer) {
        const struct cow_location location = cow_pool_locate(frame->pool, info->si_addr);
        if (location.place == COW_PLACE_HOST_FAULT)
            break;
        if (location.place == COW_PLACE_OUT_OF_BOUNDS) {
            frame->location = location;
            siglongjmp(frame->resume, 1);
        }
    }
    hand_on(signal_number, info, context);
}

static int trap_install_result;

static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = handle;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, &trap_previous_segv) || sigaction(SIGBUS, &action, &trap_previous_bus))
        trap_install_result = -EINVAL; /* the only error that sigaction(2) has for a good pointer */
}

int cow_trap_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    return trap_install_result;
}

int cow_trap_call(const struct cow_pool *pool, void (*function)(void *argument), void *argument,
                  struct cow_location *ret_location)
{
    struct trap_frame frame = {.pool = pool, .outer = trap_frames};
    /* With the signal mask: the handler runs with its signal blocked, and leaves by a jump. */
    if (sigsetjmp(frame.resume, 1)) {
        trap_frames = frame.outer;
        *ret_location = frame.location;
        return 1;
    }
    trap_frames = &frame;
    function(argument);
    trap_frames = frame.outer;
    return 0;
}
