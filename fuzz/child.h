/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Work that may crash, hang or be stopped by a sanitizer is done in a child; what became of it is a value. */
#ifndef RIG_CHILD_H
#define RIG_CHILD_H

#include "run.h"

#define RIG_SANITIZER_EXIT_CODE 99 /* which the tool asks the sanitizers for (verb_run.c) */

enum rig_ending_kind { RIG_ENDED, RIG_TIMED_OUT, RIG_KILLED, RIG_SANITIZED };
struct rig_ending {
    enum rig_ending_kind kind;
    int code; /* ENDED: what the work returned, 0 to 2; KILLED: the signal */
};
/* Runs work(context) in a child, and waits. Whoever wants a time limit sets an alarm(2) in the work. Returns 0, or 2 having
 * said on stderr that there can be no child. */
int rig_child_run(int (*work)(void *context), void *context, struct rig_ending *ret_ending);
/* "timeout after 5 seconds", "signal 11 (Segmentation fault)", "a sanitizer's report". */
void rig_ending_print(FILE *out, const struct rig_ending *ending, unsigned timeout_seconds);

/* What became of one program in a process of its own. */
struct rig_trial {
    bool fails;     /* diverges or crashes */
    bool is_unable; /* this machine cannot run it; .line says why */
    uint32_t op;    /* of a divergence; UINT32_MAX of a crash: nobody knows */
    char line
        [160]; /* "divergence: ..." as rig_verdict.line, "crash: signal 11 (Segmentation fault)"; "" when all agree */
};
/* The child says nothing and leaves no core file. Returns 0, or 2 having said why on stderr. */
int rig_child_try(const struct rig_program *program, const struct rig_subject_ops *subject, unsigned timeout_seconds,
                  struct rig_trial *ret_trial);

#endif
