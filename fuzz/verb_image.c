/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* lockstep image: what the image of a WebAssembly module looks like. */
#include "module.h"
#include "program_file.h"
#include "verb_options.h"
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char usage[] =
    "usage: lockstep image [--memory N] [--json | --segments | --memory-out OUT] FILE...\n"
    "Reads core WebAssembly binaries, makes an image of each one's active data segments, and lends it once.\n"
    "For each file: the memory's type, its segments, the dense runs that they make, the bytes of file memory that the "
    "image\n"
    "takes, and the mappings of a slot. Or why there is no image, and at which byte of the file.\n"
    "  --memory N        of memory number N, imported ones first (0)\n"
    "  --json            one line of JSON for each file\n"
    "  --segments        the memory's type and each segment: one line each\n"
    "  --memory-out OUT  writes what an instance holds, all or nothing; for one file\n"
    "Exit code 2 if a file could not be read, or was refused.\n";

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_SEGMENTS, FORMAT_MEMORY };

struct image_options {
    enum format format;
    uint32_t memory_index;
    const char *out_path;
};

/* ---- for people ---- */

/* 1023, 4.0 KiB, 13.3 MiB: at most 10 characters. */
static const char *human(uint64_t n_bytes, char text[16])
{
    static const char *const units[] = {"", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    double n = (double)n_bytes;
    unsigned unit = 0;
    for (; n >= 1024 && unit < 6; unit++)
        n /= 1024;
    snprintf(text, 16, unit ? "%.1f%s" : "%.0f%s", n, units[unit]);
    return text;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_kind(FILE *out, const struct cow_wasm_memory *memory)
{
    if (memory->is_imported)
        fputs(" imported", out);
    if (memory->is_shared)
        fputs(" shared", out);
    if (memory->is_64)
        fputs(" 64", out);
    if (memory->page_bytes != 65536)
        fprintf(out, " pages of %" PRIu64, memory->page_bytes);
}

static void print_head(int name_width)
{
    printf("%-*s  %10s  %10s  %8s  %8s  %10s  %4s  %10s  %8s\n", name_width, "module", "minimum", "maximum", "segments",
           "others", "data", "runs", "image", "mappings");
}

static void print_refusal(const char *path, int name_width, const struct rig_module *module)
{
    printf("%-*s  refused: %s", name_width, base_name(path), cow_result_name(module->result));
    if (!module->is_read)
        printf(" at byte %zu (%#zx)", module->error.offset_bytes, module->error.offset_bytes);
    printf(": %s\n", module->error.what);
}

static void print_row(const char *path, int name_width, const struct rig_module *module)
{
    const struct cow_wasm_memory *memory = &module->wasm.memory;
    char texts[4][16];
    if (module->result != COW_OK) {
        print_refusal(path, name_width, module);
        return;
    }
    const char *maximum = memory->maximum_bytes == UINT64_MAX ? "none" : human(memory->maximum_bytes, texts[1]);
    printf("%-*s  %10s  %10s  %8zu  %8zu  %10s  %4u  %10s  %8u", name_width, base_name(path),
           human(memory->minimum_bytes, texts[0]), maximum, module->wasm.n_segments, module->wasm.n_other_segments,
           human(rig_module_data_bytes(module), texts[2]), module->n_runs, human(module->image_bytes, texts[3]),
           module->n_mappings);
    print_kind(stdout, memory);
    putchar('\n');
}

/* ---- for programs ---- */

static void print_json_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
            printf("\\u%04x", (unsigned)(unsigned char)*text);
        else
            putchar(*text);
    putchar('"');
}

static const char *truth(int is_true)
{
    return is_true ? "true" : "false";
}

static void print_json_memory(const struct rig_module *module, uint32_t memory_index)
{
    const struct cow_wasm_memory *memory = &module->wasm.memory;
    printf(",\"memory\":{\"index\":%" PRIu32 ",\"imported\":%s,\"minimum_bytes\":%" PRIu64 ",\"maximum_bytes\":",
           memory_index, truth(memory->is_imported), memory->minimum_bytes);
    if (memory->maximum_bytes == UINT64_MAX)
        fputs("null", stdout);
    else
        printf("%" PRIu64, memory->maximum_bytes);
    printf(",\"page_bytes\":%" PRIu64 ",\"is_64\":%s,\"shared\":%s}", memory->page_bytes, truth(memory->is_64),
           truth(memory->is_shared));
    printf(",\"segments\":%zu,\"other_segments\":%zu,\"data_bytes\":%" PRIu64, module->wasm.n_segments,
           module->wasm.n_other_segments, rig_module_data_bytes(module));
}

static void print_json(const char *path, const struct rig_module *module, uint32_t memory_index)
{
    fputs("{\"file\":", stdout);
    print_json_text(path);
    if (module->is_read)
        print_json_memory(module, memory_index);
    else
        fputs(",\"memory\":null", stdout);
    if (module->result == COW_OK) {
        fputs(",\"runs\":[", stdout);
        for (uint32_t i = 0; i < module->n_runs; i++)
            printf("%s{\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", i ? "," : "", module->runs[i].offset_bytes,
                   module->runs[i].length_bytes);
        printf("],\"image_bytes\":%" PRIu64 ",\"mappings\":%" PRIu32 ",\"refusal\":null}\n", module->image_bytes,
               module->n_mappings);
        return;
    }
    printf(",\"refusal\":{\"name\":\"%s\",\"offset\":%zu,\"what\":", cow_result_name(module->result),
           module->error.offset_bytes);
    print_json_text(module->error.what);
    fputs("}}\n", stdout);
}

static void print_segments(const struct rig_module *module)
{
    const struct cow_wasm_memory *memory = &module->wasm.memory;
    if (module->result != COW_OK) {
        printf("refused %s at %zu: %s\n", cow_result_name(module->result), module->error.offset_bytes,
               module->error.what);
        return;
    }
    printf("memory %" PRIu64, memory->minimum_bytes);
    if (memory->maximum_bytes == UINT64_MAX)
        fputs(" none", stdout);
    else
        printf(" %" PRIu64, memory->maximum_bytes);
    printf(" %" PRIu64 "%s%s%s\n", memory->page_bytes, memory->is_imported ? " imported" : "",
           memory->is_shared ? " shared" : "", memory->is_64 ? " 64" : "");
    for (size_t i = 0; i < module->wasm.n_segments; i++)
        printf("segment %zu offset %" PRIu64 " bytes %" PRIu64 " at %td\n", i, module->wasm.segments[i].offset_bytes,
               module->wasm.segments[i].length_bytes,
               (const char *)module->wasm.segments[i].bytes - (const char *)module->binary);
}

static int write_memory(const char *path, const struct rig_module *module, const char *out_path)
{
    struct cow_memory memory;
    if (module->result != COW_OK) {
        print_refusal(path, 0, module);
        return 2;
    }
    struct rig_write write = rig_write_begin(out_path, stderr);
    if (write.out && cow_instance_memory(module->pool, module->instance, &memory) == COW_OK)
        fwrite(memory.base, 1, memory.length_bytes, write.out);
    return rig_write_end(&write, stderr);
}

/* ---- the verb ---- */

static int show(const char *path, const struct image_options *options, int name_width)
{
    struct rig_module module;
    /* Segments are what the reader says: a module of which no image can be made has them too. */
    int result = options->format == FORMAT_SEGMENTS ? rig_module_read(path, options->memory_index, &module, stderr)
                                                    : rig_module_load(path, options->memory_index, &module, stderr);
    if (result == 0 && options->format == FORMAT_TABLE)
        print_row(path, name_width, &module);
    else if (result == 0 && options->format == FORMAT_JSON)
        print_json(path, &module, options->memory_index);
    else if (result == 0 && options->format == FORMAT_SEGMENTS)
        print_segments(&module);
    else if (result == 0)
        result = write_memory(path, &module, options->out_path);
    if (module.result != COW_OK)
        result = 2;
    rig_module_end(&module);
    return result;
}

static bool take_option(int argc, char **argv, int *at, struct image_options *options)
{
    const char *value;
    uint64_t index = 0;
    if (strcmp(argv[*at], "--json") == 0)
        return (options->format = FORMAT_JSON) != 0;
    if (strcmp(argv[*at], "--segments") == 0)
        return (options->format = FORMAT_SEGMENTS) != 0;
    if ((value = rig_value_of("--memory-out", argc, argv, at))) {
        options->format = FORMAT_MEMORY;
        options->out_path = value;
        return *value != '\0';
    }
    if (!(value = rig_value_of("--memory", argc, argv, at)))
        return false;
    const bool is_good = rig_parse_count(value, UINT32_MAX, &index);
    options->memory_index = (uint32_t)index;
    return is_good;
}

int rig_verb_image(int argc, char **argv)
{
    struct image_options options = {.format = FORMAT_TABLE};
    int n_files = 0, name_width = 0, result = 0;
    if (rig_asks_for_help(argc, argv, usage))
        return 0;
    for (int i = 1; i < argc; i++) {
        const int width = (int)strlen(base_name(argv[i]));
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[++n_files] = argv[i]; /* files move to the front: options go */
            name_width = width > name_width ? width : name_width;
        } else if (!take_option(argc, argv, &i, &options)) {
            return rig_wrong_use("image", "wrong option or value: ", argv[i]);
        }
    }
    if (n_files == 0)
        return rig_wrong_use("image", "no file given", "");
    if (options.format == FORMAT_MEMORY && n_files != 1)
        return rig_wrong_use("image", "--memory-out takes one file", "");
    if (options.format == FORMAT_TABLE)
        print_head(name_width);
    for (int i = 1; i <= n_files; i++) {
        const int one = show(argv[i], &options, name_width);
        result = one > result ? one : result;
    }
    if (fflush(stdout) != 0)
        result = rig_wrong_use("image", "cannot write: ", strerror(errno));
    return result;
}
