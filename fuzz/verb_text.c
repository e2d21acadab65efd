/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep show, asm and gen: programs from one form into another, and out of nothing. */
#include "gen_pairs.h"
#include "program_file.h"
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char show_help[] = "usage: lockstep show [--expect] FILE\n"
                                "Prints a program, binary or text, as text. FILE '-' is the standard input.\n"
                                "  --expect   behind each operation, what the model answers to it\n";

static const char asm_help[] =
    "usage: lockstep asm FILE [-o OUT]\n"
    "Turns text into the binary form that fuzzers mutate. Comments and expectations are lost.\n"
    "  -o OUT   writes there, all or nothing; otherwise to the standard output\n";

static const char gen_help[] =
    "usage: lockstep gen [--seed N] [--ops N] [--count N --out DIR]\n"
    "       lockstep gen --pairs --out DIR\n"
    "Prints a random program whose operations mostly have an effect. The same numbers give the same program.\n"
    "  --seed N    which one (1)\n"
    "  --ops N     how many operations, 0 to 256 (40)\n"
    "  --count N   how many programs, of the seeds from N on: DIR/gen-SEED.ops\n"
    "  --pairs     every ordered pair of operations instead, with what the model answers: corpus/pairs/ is made so\n"
    "  --out DIR   where to; made if it does not exist\n";

static int wrong_use(const char *verb, const char *what, const char *which)
{
    fprintf(stderr, "lockstep %s: %s%s (see 'lockstep %s --help')\n", verb, what, which, verb);
    return 2;
}

static bool asks_for_help(int argc, char **argv, const char *help)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(help, stdout) >= 0;
    return false;
}

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
    if (asks_for_help(argc, argv, show_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--expect") == 0)
            with_expect = true;
        else if (is_option(argv[i]))
            return wrong_use(argv[0], "no such option: ", argv[i]);
        else if (path)
            return wrong_use(argv[0], "one file at a time: ", argv[i]);
        else
            path = argv[i];
    }
    return path ? show(path, with_expect) : wrong_use(argv[0], "no file given", "");
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
    if (asks_for_help(argc, argv, asm_help))
        return 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            out_path = argv[++i];
        else if (is_option(argv[i]))
            return wrong_use(argv[0], "no such option, or nothing behind it: ", argv[i]);
        else if (path)
            return wrong_use(argv[0], "one file at a time: ", argv[i]);
        else
            path = argv[i];
    }
    if (!path)
        return wrong_use(argv[0], "no file given", "");
    if (!out_path && isatty(STDOUT_FILENO))
        return wrong_use(argv[0], "binary output to a terminal; use -o", "");
    return assemble(path, out_path);
}

/* ---- gen ---- */

struct gen_options {
    uint64_t seed, n_ops, count;
    const char *directory;
    bool pairs;
};

static int make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 2;
}

static int generate(uint64_t seed, uint64_t n_ops, const char *path)
{
    static struct rig_program program;
    struct rig_random random = {seed};
    struct rig_write write = rig_write_begin(path, stderr);
    if (write.out) {
        rig_program_generate(&random, (uint32_t)n_ops, &program);
        rig_print_program(write.out, &program, NULL, NULL);
    }
    return rig_write_end(&write, stderr);
}

static int generate_all(const struct gen_options *options)
{
    char path[4096];
    if (make_directory(options->directory))
        return 2;
    for (uint64_t i = 0; i < options->count; i++) {
        uint64_t seed = options->seed + i;
        int n = snprintf(path, sizeof path, "%s/gen-%" PRIu64 ".ops", options->directory, seed);
        if (n < 0 || (size_t)n >= sizeof path)
            return wrong_use("gen", "the name is too long: ", options->directory);
        if (generate(seed, options->n_ops, path))
            return 2;
    }
    return 0;
}

static void print_pairs(FILE *out, const struct rig_pairs *pairs, const struct rig_text *text, unsigned first)
{
    const struct rig_program *program = &pairs->program;
    fprintf(out, "cowpool-ops %d\n# Every operation behind '%s', on what it left. Made by 'lockstep gen --pairs'.\n",
            RIG_VERSION, rig_kind_name[first]);
    rig_print_pool(out, &program->world);
    for (uint32_t i = 0; i < program->n_ops; i++) {
        if (pairs->begins[i])
            fprintf(out, "# %s, %s\n", rig_kind_name[first], rig_kind_name[pairs->begins[i] - 1]);
        rig_print_line(out, &program->ops[i], &text->expect[i]);
        fputc('\n', out);
    }
}

static int generate_pairs_file(const char *directory, enum rig_pair_world world, unsigned first)
{
    static struct rig_pairs pairs;
    static struct rig_text text;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s-%s.ops", directory, rig_kind_name[first], rig_pair_world_name[world]);
    if (n < 0 || (size_t)n >= sizeof path)
        return wrong_use("gen", "the name is too long: ", directory);
    rig_pairs_generate(world, first, &pairs);
    text = (struct rig_text){.program = pairs.program};
    if (rig_show_expect(&text))
        return 2;
    struct rig_write write = rig_write_begin(path, stderr);
    if (write.out)
        print_pairs(write.out, &pairs, &text, first);
    return rig_write_end(&write, stderr);
}

static int generate_pairs(const char *directory)
{
    int result = make_directory(directory);
    for (unsigned first = 0; first < RIG_N_KINDS; first++)
        for (unsigned world = 0; world < RIG_N_PAIR_WORLDS && !(RIG_UNBUILT_KINDS & RIG_BIT(first)); world++)
            result = result ? result : generate_pairs_file(directory, (enum rig_pair_world)world, first);
    return result;
}

static bool parse_count(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno || *end || end == text || *text == '-' || value > max)
        return false;
    *ret = value;
    return true;
}

int rig_verb_gen(int argc, char **argv)
{
    struct gen_options options = {.seed = 1, .n_ops = 40, .count = 1};
    if (asks_for_help(argc, argv, gen_help))
        return 0;
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--pairs") == 0) {
            options.pairs = true;
            i--;
            continue;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool is_good = false;
        if (strcmp(argv[i], "--seed") == 0)
            is_good = parse_count(value, UINT64_MAX, &options.seed);
        else if (strcmp(argv[i], "--ops") == 0)
            is_good = parse_count(value, RIG_MAX_OPS, &options.n_ops);
        else if (strcmp(argv[i], "--count") == 0)
            is_good = parse_count(value, 1000000, &options.count);
        else if (strcmp(argv[i], "--out") == 0 && (is_good = *value))
            options.directory = value;
        if (!is_good)
            return wrong_use(argv[0], "no such option, or no good number behind it: ", argv[i]);
    }
    if (options.pairs)
        return options.directory ? generate_pairs(options.directory)
                                 : wrong_use(argv[0], "--pairs needs --out DIR", "");
    if (options.directory)
        return generate_all(&options);
    if (options.count != 1)
        return wrong_use(argv[0], "--count needs --out DIR", "");
    return generate(options.seed, options.n_ops, NULL);
}
