/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep gen: programs out of nothing, or out of the shape of a module. */
#include "gen_module.h"
#include "gen_pairs.h"
#include "mutate.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char gen_help[] =
    "usage: lockstep gen [--seed N] [--ops N] [--count N --out DIR] [--wasm FILE [--memory N]]\n"
    "       lockstep gen --mutate FILE [--seed N] [--count N --out DIR]\n"
    "       lockstep gen --pairs --out DIR\n"
    "Prints a random program whose operations mostly have an effect. The same numbers give the same program.\n"
    "  --seed N    which one (1)\n"
    "  --ops N     how many operations, 0 to 256 (40)\n"
    "  --count N   how many programs, of the seeds from N on: DIR/gen-SEED.ops\n"
    "  --wasm FILE image A has the memory and the segments of this WebAssembly module, its biggest and an even sample "
    "of the\n"
    "              others; --ops counts the operations behind it\n"
    "  --memory N  of its memory number N (0)\n"
    "  --mutate F  a mutant of this program, as the fuzzers make them\n"
    "  --pairs     every ordered pair of operations instead, with what the model answers: corpus/pairs/ is made so\n"
    "  --out DIR   where to; made if it does not exist\n";

struct gen_options {
    uint64_t seed, n_ops, count;
    const char *directory;
    const char *module_path, *mutated_path;
    uint64_t memory_index;
    bool pairs;
    struct rig_program start; /* what every program begins with, or is a mutant of */
};

static int make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 2;
}

static int generate(const struct gen_options *options, uint64_t seed, const char *path)
{
    static struct rig_program program;
    struct rig_random random = {seed};
    struct rig_write write = rig_write_begin(path, stderr);
    if (write.out) {
        program = options->start;
        if (options->mutated_path)
            rig_program_mutate(&random, RIG_MAX_OPS, &program);
        else if (options->module_path)
            rig_program_continue(&random, (uint32_t)options->n_ops, &program);
        else
            rig_program_generate(&random, (uint32_t)options->n_ops, &program);
        rig_print_program(write.out, &program, NULL, NULL);
    }
    return rig_write_end(&write, stderr);
}

static int read_start(struct gen_options *options)
{
    static struct rig_text text;
    if (options->mutated_path) {
        const int unreadable = rig_read_program(options->mutated_path, &text, stderr);
        options->start = text.program;
        if (!unreadable && rig_program_unbuilt(&text.program))
            return rig_wrong_use("gen",
                                 "this program uses what is not built yet: ", rig_program_unbuilt(&text.program));
        return unreadable;
    }
    struct rig_module module;
    const char *why = NULL;
    int result = rig_module_read(options->module_path, (uint32_t)options->memory_index, &module, stderr);
    if (result == 0 && module.result == COW_OK)
        why = rig_program_from_module(&module, &options->start);
    else if (result == 0)
        why = module.error.what;
    if (why)
        fprintf(stderr, "%s: %s\n", options->module_path, why);
    rig_module_end(&module);
    return why ? 2 : result;
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
            return rig_wrong_use("gen", "the name is too long: ", options->directory);
        if (generate(options, seed, path))
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
        return rig_wrong_use("gen", "the name is too long: ", directory);
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

int rig_verb_gen(int argc, char **argv)
{
    static struct gen_options options = {.seed = 1, .n_ops = 40, .count = 1};
    if (rig_asks_for_help(argc, argv, gen_help))
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
            is_good = rig_parse_count(value, UINT64_MAX, &options.seed);
        else if (strcmp(argv[i], "--ops") == 0)
            is_good = rig_parse_count(value, RIG_MAX_OPS, &options.n_ops);
        else if (strcmp(argv[i], "--count") == 0)
            is_good = rig_parse_count(value, 1000000, &options.count);
        else if (strcmp(argv[i], "--memory") == 0)
            is_good = rig_parse_count(value, UINT32_MAX, &options.memory_index);
        else if (strcmp(argv[i], "--wasm") == 0 && (is_good = *value))
            options.module_path = value;
        else if (strcmp(argv[i], "--mutate") == 0 && (is_good = *value))
            options.mutated_path = value;
        else if (strcmp(argv[i], "--out") == 0 && (is_good = *value))
            options.directory = value;
        if (!is_good)
            return rig_wrong_use(argv[0], "no such option, or no good number behind it: ", argv[i]);
    }
    if ((options.module_path || options.mutated_path) && read_start(&options))
        return 2;
    if (options.pairs)
        return options.directory ? generate_pairs(options.directory)
                                 : rig_wrong_use(argv[0], "--pairs needs --out DIR", "");
    if (options.directory)
        return generate_all(&options);
    if (options.count != 1)
        return rig_wrong_use(argv[0], "--count needs --out DIR", "");
    return generate(&options, options.seed, NULL);
}
