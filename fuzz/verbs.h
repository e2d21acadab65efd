/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The verbs of the lockstep tool. Each gets its own name as argv[0], answers --help, and returns the exit code:
 * 0 all is well, 1 a divergence (or, for checks, a difference), 2 wrong use or unreadable input, 3 a crash. */
#ifndef RIG_VERBS_H
#define RIG_VERBS_H

#include "program.h"

int rig_verb_run(int argc, char **argv);      /* verb_run.c */
int rig_verb_sweep(int argc, char **argv);    /* verb_sweep.c */
int rig_verb_doctor(int argc, char **argv);   /* verb_doctor.c */
int rig_verb_show(int argc, char **argv);     /* verb_text.c */
int rig_verb_asm(int argc, char **argv);      /* verb_text.c */
int rig_verb_gen(int argc, char **argv);      /* verb_gen.c */
int rig_verb_image(int argc, char **argv);    /* verb_image.c */
int rig_verb_fmt(int argc, char **argv);      /* verb_fmt.c */
int rig_verb_minimize(int argc, char **argv); /* verb_minimize.c */
int rig_verb_emit_c(int argc, char **argv);   /* verb_emit_c.c */
int rig_verb_verify(int argc, char **argv);   /* verb_verify.c */

/* lockstep run --gdb, with the arguments of that verb (verb_gdb.c). Returns only in vain: 2, having said why. */
int rig_run_under_gdb(int argc, char **argv, const char *path, uint32_t until);
struct rig_run;
void rig_before_operation(const struct rig_run *run);

/* Sets every operation's expectation to what the model answers (verb_run.c). Returns 0, or 2 having said why. */
int rig_show_expect(struct rig_text *text);

#endif
