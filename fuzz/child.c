/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int rig_child_run(int (*work)(void *context), void *context, struct rig_ending *ret_ending)
{
    int status;
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "lockstep: cannot fork: %s\n", strerror(errno));
        return 2;
    }
    if (pid == 0) {
        signal(SIGINT, SIG_DFL); /* whatever the parent does about Ctrl-C */
        exit(work(context));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 2)
        *ret_ending = (struct rig_ending){RIG_ENDED, WEXITSTATUS(status)};
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        *ret_ending = (struct rig_ending){RIG_TIMED_OUT, 0};
    else if (WIFSIGNALED(status))
        *ret_ending = (struct rig_ending){RIG_KILLED, WTERMSIG(status)};
    else
        *ret_ending = (struct rig_ending){RIG_SANITIZED, 0};
    return 0;
}

void rig_ending_print(FILE *out, const struct rig_ending *ending, unsigned timeout_seconds)
{
    if (ending->kind == RIG_TIMED_OUT)
        fprintf(out, "timeout after %u seconds", timeout_seconds);
    else if (ending->kind == RIG_KILLED)
        fprintf(out, "signal %d (%s)", ending->code, strsignal(ending->code));
    else if (ending->kind == RIG_SANITIZED)
        fputs("a sanitizer's report", out);
}

/* ---- one program ---- */

struct trial_work {
    const struct rig_program *program;
    const struct rig_subject_ops *subject;
    unsigned timeout_seconds;
    struct rig_trial *trial; /* shared with the parent */
};

static void be_quiet(void)
{
    const struct rlimit none = {0, 0};
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)setrlimit(RLIMIT_CORE, &none);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        close(nowhere);
    }
}

static int try(void *context)
{
    const struct trial_work *work = context;
    const struct rig_options options = {.subject = work->subject, .until = UINT32_MAX};
    struct rig_verdict verdict;
    be_quiet();
    alarm(work->timeout_seconds);
    rig_run(work->program, &options, &verdict);
    work->trial->fails = verdict.kind == RIG_DIVERGED;
    work->trial->is_unable = verdict.kind == RIG_UNABLE;
    work->trial->op = verdict.op;
    if (verdict.kind != RIG_AGREE)
        snprintf(work->trial->line, sizeof work->trial->line, "%s", verdict.line);
    free(verdict.report);
    return 0;
}

static void note_crash(const struct rig_ending *ending, unsigned timeout_seconds, struct rig_trial *trial)
{
    FILE *out = fmemopen(trial->line, sizeof trial->line, "w");
    trial->fails = true;
    trial->is_unable = false;
    trial->op = UINT32_MAX;
    if (!out)
        return;
    fputs("crash: ", out);
    rig_ending_print(out, ending, timeout_seconds);
    fclose(out);
}

int rig_child_try(const struct rig_program *program, const struct rig_subject_ops *subject, unsigned timeout_seconds,
                  struct rig_trial *ret_trial)
{
    struct rig_ending ending;
    struct rig_trial *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "lockstep: no memory: %s\n", strerror(errno));
        return 2;
    }
    struct trial_work work = {program, subject, timeout_seconds, shared};
    const int result = rig_child_run(try, &work, &ending);
    if (result == 0 && ending.kind != RIG_ENDED)
        note_crash(&ending, timeout_seconds, shared);
    *ret_trial = *shared;
    munmap(shared, sizeof *shared);
    return result;
}
