/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep run --gdb: becomes gdb, which runs the same in one process, and stops where somebody wants to look. */
#include "program_file.h"
#include "state.h"
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For breakpoints: a program is about to do run->op. */
__attribute__((noinline)) void rig_before_operation(const struct rig_run *run)
{
    __asm__ volatile("" : : "r"(run) : "memory"); /* or it would be nothing, and have no argument */
}

static int cannot(const char *what, const char *why)
{
    fprintf(stderr, "lockstep run: --gdb: %s%s\n", what, why);
    return 2;
}

/* The program has an operation of that number, or ends there. */
static int check_until(const char *path, uint32_t until)
{
    static struct rig_text text;
    const int result = strcmp(path, "-") == 0 ? cannot("a program from the standard input: gdb reads there", "")
                                              : rig_read_program(path, &text, stderr);
    if (result || until == UINT32_MAX || until <= text.program.n_ops)
        return result;
    fprintf(stderr, "%s: there is no operation %u to stop before: it has %u\n", path, until, text.program.n_ops);
    return 2;
}

/* Beside the directory that the tool was built from, if that is still there. */
static const char *find_script(void)
{
#ifdef RIG_SOURCE_DIR
    static const char script[] = RIG_SOURCE_DIR "/impl/cowpool-gdb.py";
    if (access(script, R_OK) == 0)
        return script;
#endif
    fputs("lockstep run: --gdb: impl/cowpool-gdb.py is not where the tool was built: its commands are missing\n",
          stderr);
    return NULL;
}

int rig_run_under_gdb(int argc, char **argv, const char *path, uint32_t until)
{
    /* The faults that the rig lives through are none of gdb's business; hand_on() has those that it does not expect. */
    static const char *const commands[] = {"handle SIGSEGV SIGBUS nostop noprint pass", "break rig_diverge",
                                           "break rig_diverge_byte", "break rig_suspect", "break hand_on"};
    enum { N_COMMANDS = sizeof commands / sizeof *commands, N_OTHERS = 2 * N_COMMANDS + 20 };
    const char **words = calloc((size_t)argc + N_OTHERS, sizeof *words);
    char self[4096], stop[64];
    size_t n = 0;
    const ssize_t n_self = readlink("/proc/self/exe", self, sizeof self - 1);
    const int result = words && n_self > 0 ? check_until(path, until) : cannot("no memory or no /proc", "");
    if (result)
        return free(words), result;
    self[n_self] = '\0';
    words[n++] = "gdb";
    words[n++] = "-q";
    const char *script = find_script();
    if (script) {
        words[n++] = "-x";
        words[n++] = script;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        words[n++] = "-ex";
        words[n++] = commands[i];
    }
    if (until != UINT32_MAX) {
        snprintf(stop, sizeof stop, "break rig_before_operation if run->op == %u", until);
        words[n++] = "-ex";
        words[n++] = stop;
    }
    words[n++] = "-ex";
    words[n++] = "run";
    words[n++] = "--args";
    words[n++] = self;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--until") == 0)
            i++;
        else if (strcmp(argv[i], "--gdb") != 0)
            words[n++] = argv[i];
    words[n++] = "--in-process";
    words[n++] = "--trace";
    words[n++] = "--timeout";
    words[n++] = "0";
    execvp(words[0], (char **)(uintptr_t)words);
    return free(words), cannot("gdb cannot be run (make deps installs it): ", strerror(errno));
}
