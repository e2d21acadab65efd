/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep show and asm: programs from one form into another. */
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <string.h>
#include <unistd.h>

static const char show_help[] = "usage: lockstep show [--expect] FILE\n"
                                "Prints a program, binary or text, as text. FILE '-' is the standard input.\n"
                                "  --expect   behind each operation, what the model answers to it\n";

static const char asm_help[] =
    "usage: lockstep asm FILE [-o OUT]\n"
    "Turns text into the binary form that fuzzers mutate. Comments and expectations are lost.\n"
    "  -o OUT   writes there, all or nothing; otherwise to the standard output\n";

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1];
}

/* ---- show ---- */

static int show(const char *path, bool with_expect)
{
    static struct rig_text text;
    struct rig_write write = {.out = stdout};
    int result = rig_read_program(path, &text, stderr);
    if (!result && with_expect)
        result = rig_show_expect(&text);
    if (result)
        return result;
    rig_print_program(write.out, &text.program, &text, text.expect);
    return rig_write_end(&write, stderr);
}

int rig_verb_show(int argc, char **argv)
{
    const char *path = NULL;
    bool with_expect = false;
    if (rig_asks_for_help(argc, argv, show_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--expect") == 0)
            with_expect = true;
        else if (is_option(argv[i]))
            return rig_wrong_use(argv[0], "no such option: ", argv[i]);
        else if (path)
            return rig_wrong_use(argv[0], "one file at a time: ", argv[i]);
        else
            path = argv[i];
    }
    return path ? show(path, with_expect) : rig_wrong_use(argv[0], "no file given", "");
}

/* ---- asm ---- */

static int assemble(const char *path, const char *out_path)
{
    static struct rig_text text;
    static uint8_t bytes[RIG_BINARY_MAX_BYTES];
    int result = rig_read_program(path, &text, stderr);
    if (result)
        return result;
    const char *unbuilt = rig_program_unbuilt(&text.program);
    if (unbuilt) {
        fprintf(stderr, "%s: '%s' is not built yet: there is no binary form of it\n", path, unbuilt);
        return 2;
    }
    struct rig_write write = rig_write_begin(out_path, stderr);
    size_t n_bytes = rig_program_encode(&text.program, bytes);
    if (write.out)
        fwrite(bytes, 1, n_bytes, write.out);
    return rig_write_end(&write, stderr);
}

int rig_verb_asm(int argc, char **argv)
{
    const char *path = NULL, *out_path = NULL;
    if (rig_asks_for_help(argc, argv, asm_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            out_path = argv[++i];
        else if (is_option(argv[i]))
            return rig_wrong_use(argv[0], "no such option, or nothing behind it: ", argv[i]);
        else if (path)
            return rig_wrong_use(argv[0], "one file at a time: ", argv[i]);
        else
            path = argv[i];
    }
    if (!path)
        return rig_wrong_use(argv[0], "no file given", "");
    if (!out_path && isatty(STDOUT_FILENO))
        return rig_wrong_use(argv[0], "binary output to a terminal; use -o", "");
    return assemble(path, out_path);
}
