/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep emit-c: a program as C, for people who have the pool and not the rig. */
#include "emit_c.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <string.h>

static const char emit_c_help[] =
    "usage: lockstep emit-c [-o OUT] FILE\n"
    "Prints a standalone C program that does what this program does, text or binary, against cowpool.h, and checks "
    "each result,\n"
    "length, trap, kernel call and byte against what the model says. Its first comment tells how to compile it.\n"
    "  -o OUT   writes there, all or nothing; otherwise to the standard output\n"
    "Exit codes: 0 here it is; 2 wrong use, unreadable input, or a program that C cannot express (fork, faults, "
    "threads).\n";

static int emit(const char *path, const char *out_path)
{
    static struct rig_text text;
    int result = rig_read_program(path, &text, stderr);
    if (result)
        return result;
    const char *refused = rig_emit_c_refuses(&text.program);
    if (refused) {
        fprintf(stderr, "%s: uses %s, which a C program against cowpool.h cannot do\n", path, refused);
        return 2;
    }
    struct rig_write write = rig_write_begin(out_path, stderr);
    if (write.out)
        result = rig_emit_c(&text.program, out_path ? out_path : "repro.c", write.out);
    return rig_write_end(&write, stderr) ? 2 : result;
}

int rig_verb_emit_c(int argc, char **argv)
{
    const char *path = NULL, *out_path = NULL;
    if (rig_asks_for_help(argc, argv, emit_c_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            out_path = argv[++i];
        else if (argv[i][0] == '-' && argv[i][1])
            return rig_wrong_use(argv[0], "no such option, or nothing behind it: ", argv[i]);
        else if (path)
            return rig_wrong_use(argv[0], "one file at a time: ", argv[i]);
        else
            path = argv[i];
    }
    return path ? emit(path, out_path) : rig_wrong_use(argv[0], "no file given", "");
}
