/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A forked child: what it must not have, and where it must not interfere. */
#include "kernel_view.h"
#include "state.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- somebody else's fork handler, which runs before the pool's and maps a page in what is a hole by then ---- */

static struct {
    void *at; /* NULL: it does nothing */
    int fd;   /* by which the page is known */
} intruder;

static void intrude(void)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (intruder.at &&
        mmap(intruder.at, page_bytes, PROT_NONE, MAP_PRIVATE | MAP_FIXED_NOREPLACE, intruder.fd, 0) != intruder.at)
        intruder.at = NULL; /* the place is taken: of an address that is only reserved, the child has that much */
}

/* Children's handlers run in the order in which they were registered. */
__attribute__((constructor)) static void register_intruder(void)
{
    (void)pthread_atfork(NULL, NULL, intrude);
}

/* Somewhere in the slot of the lease. */
static void invite(const struct rig_run *run, const struct rig_lease *lease)
{
    const uint64_t page_bytes = run->geometry.page_bytes, n_pages = run->capacity_bytes / page_bytes;
    intruder.at = NULL;
    if (!run->ops->range || !lease->model || n_pages == 0)
        return;
    intruder.fd = memfd_create("rig-intruder", MFD_CLOEXEC);
    if (intruder.fd >= 0)
        intruder.at = lease->base + (run->op * UINT64_C(2654435761) % n_pages) * page_bytes;
}

static bool is_still_there(void)
{
    struct rig_vma vma;
    struct stat status;
    const uintptr_t at = (uintptr_t)intruder.at;
    return rig_kernel_vma(at, &vma) && vma.begin <= at && fstat(intruder.fd, &status) == 0 &&
           vma.inode == status.st_ino;
}

/* ---- the child ---- */

static const char *child(struct rig_run *run, const struct rig_lease *lease, struct rig_subject *neighbour,
                         const struct rig_op *op)
{
    uint8_t bytes[16] = {0xee};
    struct rig_fault fault;
    uint64_t handle = 0;
    rig_kernel_forget();
    if (op->form == RIG_FORK_STORE && lease->model) {
        const int64_t offset = rig_resolve(run, lease, op->at);
        if (offset >= 0 && offset < (int64_t)run->stride_bytes &&
            rig_guest_store(lease->base + offset, 1, bytes, &fault))
            return "a child can write to a slot";
    }
    const char *broken = run->kernel ? run->kernel->breach : NULL; /* by fork handlers */
    if (!broken)
        broken = run->ops->in_child(run->subject, lease->handle);
    if (!broken && neighbour)
        broken = run->ops->in_child(neighbour, 0);
    if (!broken && neighbour) { /* it may have pools of its own */
        struct rig_subject *own = rig_open_neighbour(run, &handle);
        rig_close_neighbour(run, own, handle);
        broken = run->failed ? "a child cannot have a pool of its own" : NULL;
    }
    return !broken && intruder.at && !is_still_there() ? "a child has lost what another fork handler had mapped"
                                                       : broken;
}

/* Interrupted by the engine's timer, and begun again. */
static size_t read_all(int fd, char *ret_said, size_t size)
{
    size_t n_said = 0;
    for (ssize_t n; (n = read(fd, ret_said + n_said, size - 1 - n_said)) > 0 || (n < 0 && errno == EINTR);)
        n_said += n > 0 ? (size_t)n : 0;
    return n_said;
}

struct rig_outcome rig_fork(struct rig_run *run, const struct rig_op *op)
{
    char said[128] = "";
    int ends[2], status;
    const struct rig_lease *lease = rig_pick_lease(run, op);
    if (!run->ops->in_child || pipe(ends))
        return (struct rig_outcome){.kind = RIG_OUTCOME_NOOP};
    invite(run, lease);
    uint64_t handle = 0;
    struct rig_subject *neighbour = rig_open_neighbour(run, &handle);
    if (run->kernel)
        run->kernel->suspended = true; /* fork handlers make calls too */
    const pid_t pid = fork();
    if (run->kernel)
        run->kernel->suspended = pid == 0;
    if (pid == 0) {
        const char *broken = child(run, lease, neighbour, op);
        _exit(broken && write(ends[1], broken, strlen(broken)) >= 0 ? 1 : 0);
    }
    rig_close_neighbour(run, neighbour, handle);
    if (intruder.at)
        close(intruder.fd);
    intruder.at = NULL;
    close(ends[1]);
    const size_t n_said = pid < 0 ? 0 : read_all(ends[0], said, sizeof said);
    close(ends[0]);
    if (pid < 0)
        return (struct rig_outcome){.kind = RIG_OUTCOME_NOOP};
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) || n_said)
        rig_diverge(run, "fork", "child", "%s", n_said ? said : "the child crashed");
    return (struct rig_outcome){.kind = RIG_OUTCOME_OK};
}
