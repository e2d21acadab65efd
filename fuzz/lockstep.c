/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep: the one tool. Finds the verb, and says what there is. */
#include "shape.h"
#include "verbs.h"

#include <string.h>

#define VERSION "0.1.0"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} verbs[] = {
    {"run", rig_verb_run, "run programs against pool and model, and compare"},
    {"sweep", rig_verb_sweep, "the same while one kernel call after the other fails"},
    {"show", rig_verb_show, "print a program, binary or text, as text"},
    {"asm", rig_verb_asm, "turn text into the binary form"},
    {"fmt", rig_verb_fmt, "spell text programs canonically, comments kept"},
    {"gen", rig_verb_gen, "make up programs that do something"},
    {"minimize", rig_verb_minimize, "the smallest program that fails the same way"},
    {"emit-c", rig_verb_emit_c, "a program as a C program against cowpool.h"},
    {"verify", rig_verb_verify, "which findings still fail"},
    {"image", rig_verb_image, "what the image of a WebAssembly module looks like"},
    {"doctor", rig_verb_doctor, "what this machine can do"},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static int help(void)
{
    fputs("usage: lockstep VERB [ARGUMENTS]\n\n", stdout);
    for (size_t i = 0; i < N_VERBS; i++)
        printf("  %-8s %s\n", verbs[i].name, verbs[i].what);
    fputs("\n'lockstep VERB --help' says how; 'lockstep help ops' lists the operations of programs.\n"
          "Exit codes: 0 all agree, 1 a divergence, 2 wrong use or unreadable input, 3 a crash.\n",
          stdout);
    return 0;
}

static void help_places(void)
{
    fputs("\n  ref   i0 .. i7; i0~1 is the handle that i0 held before\n"
          "  img   A .. H\n"
          "  SIZE  a number, decimal or 0x, and a unit: K, M, G, P (host pages) or W (64 KiB)\n"
          "  AT    a SIZE, or an edge:",
          stdout);
    for (unsigned edge = 0; edge < RIG_N_EDGES; edge++)
        printf(" %s", rig_edge_name[edge]);
    fputs("; with +SIZE or -SIZE behind it\n"
          "\nIn the pool line, 'enable=' (all, none, or names with ',' between them) says which operations may appear\n"
          "beside",
          stdout);
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++)
        if (RIG_ALWAYS_ENABLED & ~(uint32_t)RIG_UNBUILT_KINDS & RIG_BIT(kind))
            printf(" %s", rig_kind_name[kind]);
    fputs(". Without it: all but fork.\n", stdout);
}

static int help_ops(void)
{
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        const char *unbuilt = RIG_UNBUILT_KINDS & RIG_BIT(kind) ? " (not built yet)" : "";
        const char *blank = rig_kind_syntax[kind][0] ? " " : "";
        printf("  %s%s%s\n", rig_kind_name[kind], blank, rig_kind_syntax[kind]);
        printf("      %s%s\n", rig_kind_what[kind], unbuilt);
    }
    help_places();
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || (strcmp(verb, "help") == 0 && argc == 2))
        return help();
    if (strcmp(verb, "help") == 0 && argc == 3 && strcmp(argv[2], "ops") == 0)
        return help_ops();
    if (strcmp(verb, "--version") == 0) {
        puts("lockstep " VERSION);
        return 0;
    }
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (argc < 2)
        fputs("lockstep: no verb given (see 'lockstep --help')\n", stderr);
    else
        fprintf(stderr, "lockstep: no such verb: '%s' (see 'lockstep --help')\n", verb);
    return 2;
}
