/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* How fast a module becomes an image: reading it, per byte of the binary and of its data; and making the image, against the least
 * that could be done, in turns:
 *
 *     write   a memory file, one write(2) of the same bytes
 *     memcpy  a memory file, mapped, one memcpy of the same bytes
 *
 * Both are sealed and closed as the image is. Over two modules made here (16 MiB of data in one segment, and in segments
 * of 48 bytes with 16 bytes between them) and those that are named. Medians; ratios are of medians of one run. */
#include "cowpool.h"
#include "wasm_module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101 };

static const char usage[] = "usage: bench_image [--json OUT] [--rounds N] [FILE.wasm...]\n"
                            "  --json OUT  the figures there as well, a line of JSON for each module\n"
                            "  --rounds N  how often each is timed, 3 to 101 (21)\n";

struct module {
    const char *name;
    uint8_t *bytes;
    size_t n_bytes;
};

struct figures {
    double read, create, write, memcpy; /* seconds, medians */
    size_t n_segments;
    uint64_t data_bytes, image_bytes;
};

static void die(const char *name, const char *what)
{
    fprintf(stderr, "bench_image: %s: %s\n", name, what);
    exit(2);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- modules ---- */

static struct module make_module(const char *name, uint64_t data_bytes, uint64_t segment_bytes, uint64_t gap_bytes)
{
    struct module module = {.name = name};
    module.bytes = bench_module_of_segments(data_bytes, segment_bytes, gap_bytes, &module.n_bytes);
    if (!module.bytes)
        die(name, strerror(ENOMEM));
    return module;
}

static struct module read_module(const char *path)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        die(path, strerror(errno));
    struct module module = {path, malloc((size_t)status.st_size + 1), 0};
    if (!module.bytes)
        die(path, strerror(ENOMEM));
    for (ssize_t n = 1; n > 0; module.n_bytes += (size_t)n) {
        n = read(fd, module.bytes + module.n_bytes, (size_t)status.st_size - module.n_bytes);
        if (n < 0)
            die(path, strerror(errno));
    }
    close(fd);
    return module;
}

/* ---- the floors ---- */

static void seal_and_close(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) || close(fd))
        die("floor", strerror(errno));
}

static double time_write(const uint8_t *bytes, size_t n_bytes)
{
    const double begin = now();
    const int fd = memfd_create("floor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, bytes, n_bytes) != (ssize_t)n_bytes)
        die("floor", strerror(errno));
    seal_and_close(fd);
    return now() - begin;
}

static double time_memcpy(const uint8_t *bytes, size_t n_bytes)
{
    const double begin = now();
    const int fd = memfd_create("floor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)n_bytes))
        die("floor", strerror(errno));
    void *mapped = n_bytes ? mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : NULL;
    if (mapped == MAP_FAILED)
        die("floor", strerror(errno));
    if (n_bytes)
        memcpy(mapped, bytes, n_bytes);
    if (n_bytes)
        munmap(mapped, n_bytes);
    seal_and_close(fd);
    return now() - begin;
}

/* ---- measuring ---- */

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *times, size_t n)
{
    qsort(times, n, sizeof *times, compare_doubles);
    return times[n / 2];
}

static double time_create(struct cow_pool *pool, const struct cow_wasm *wasm, uint64_t *ret_image_bytes)
{
    struct cow_image *image;
    const double begin = now();
    if (cow_image_create(pool, wasm->memory.minimum_bytes, wasm->segments, wasm->n_segments, &image) != COW_OK)
        die("cow_image_create", "failed");
    *ret_image_bytes = cow_image_memory_bytes(image);
    cow_image_drop(image);
    return now() - begin;
}

static struct figures measure(const struct module *module, size_t n_rounds)
{
    double times[4][MAX_ROUNDS];
    struct figures figures = {.read = 0};
    struct cow_wasm wasm;
    struct cow_wasm_error error;
    struct cow_pool *pool;
    const int result = cow_wasm_read(module->bytes, module->n_bytes, 0, &wasm, &error);
    if (result != COW_OK)
        die(module->name, cow_result_name(result));
    const struct cow_pool_config config = {.n_slots = 1, .max_bytes = wasm.memory.minimum_bytes};
    if (cow_pool_create(&config, &pool) != COW_OK)
        die(module->name, "no pool can be made");
    for (size_t i = 0; i < wasm.n_segments; i++)
        figures.data_bytes += wasm.segments[i].length_bytes;
    figures.n_segments = wasm.n_segments;
    time_create(pool, &wasm, &figures.image_bytes);
    uint8_t *image = malloc(figures.image_bytes + 1);
    if (!image)
        die(module->name, strerror(ENOMEM));
    memset(image, 7, figures.image_bytes);
    for (size_t i = 0; i < n_rounds; i++) {
        struct cow_wasm again;
        const double begin = now();
        if (cow_wasm_read(module->bytes, module->n_bytes, 0, &again, &error) != COW_OK)
            die(module->name, "read differently");
        times[0][i] = now() - begin;
        cow_wasm_free(&again);
        times[1][i] = time_create(pool, &wasm, &figures.image_bytes);
        times[2][i] = time_write(image, figures.image_bytes);
        times[3][i] = time_memcpy(image, figures.image_bytes);
    }
    figures.read = median(times[0], n_rounds);
    figures.create = median(times[1], n_rounds);
    figures.write = median(times[2], n_rounds);
    figures.memcpy = median(times[3], n_rounds);
    free(image);
    cow_wasm_free(&wasm);
    cow_pool_close(pool);
    return figures;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_row(const struct module *module, const struct figures *it)
{
    const double data = (double)it->data_bytes, whole = (double)module->n_bytes;
    printf("%-33s %8zu %8.2f %8.2f %9.1f %8.1f %9.1f %8.1f %8.1f %6.2f %6.2f\n", base_name(module->name),
           it->n_segments, data / 1048576, (double)it->image_bytes / 1048576, 1e6 * it->read, data / it->read / 1e9,
           whole / it->read / 1e9, 1e6 * it->create, 1e6 * it->write, it->create / it->write, it->create / it->memcpy);
    fflush(stdout);
}

static void print_json(FILE *out, const struct module *module, const struct figures *it)
{
    fprintf(out,
            "{\"bench\":\"image\",\"module\":\"%s\",\"binary_bytes\":%zu,\"segments\":%zu,\"data_bytes\":%ju,"
            "\"image_bytes\":%ju,\"read_s\":%.9f,\"create_s\":%.9f,\"write_s\":%.9f,\"memcpy_s\":%.9f}\n",
            base_name(module->name), module->n_bytes, it->n_segments, (uintmax_t)it->data_bytes,
            (uintmax_t)it->image_bytes, it->read, it->create, it->write, it->memcpy);
}

static void run(struct module module, size_t n_rounds, FILE *json)
{
    const struct figures figures = measure(&module, n_rounds);
    print_row(&module, &figures);
    if (json)
        print_json(json, &module, &figures);
    free(module.bytes);
}

int main(int argc, char **argv)
{
    size_t n_rounds = 21;
    int n_files = 0;
    FILE *json = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return fputs(usage, stdout) < 0;
        if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = fopen(argv[++i], "w");
            if (!json)
                die(argv[i], strerror(errno));
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            n_rounds = strtoul(argv[++i], NULL, 10);
        } else if (argv[i][0] != '-') {
            argv[++n_files] = argv[i];
        } else {
            n_rounds = 0;
        }
    }
    if (n_rounds < 3 || n_rounds > MAX_ROUNDS)
        return fputs(usage, stderr), 2;
    printf("%-33s %8s %8s %8s %9s %8s %9s %8s %8s %6s %6s\n", "module", "segments", "data MiB", "imag MiB", "read us",
           "data GB/s", "all GB/s", "make us", "write us", "/write", "/memcpy");
    run(make_module("one segment", 16 << 20, 16 << 20, 0), n_rounds, json);
    run(make_module("segments of 48 bytes", 16 << 20, 48, 16), n_rounds, json);
    for (int i = 1; i <= n_files; i++)
        run(read_module(argv[i]), n_rounds, json);
    return json && fclose(json) ? 2 : 0;
}
