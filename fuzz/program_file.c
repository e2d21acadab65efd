/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Programs as files. */
#include "program_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *read_stream(const char *path, FILE *in, size_t max_bytes, size_t *ret_n_bytes, FILE *err)
{
    size_t n = 0, capacity = 4096;
    char *bytes = malloc(capacity);
    while (bytes) {
        n += fread(bytes + n, 1, capacity - n - 1, in);
        if (n + 1 < capacity)
            break;
        capacity *= 2;
        char *larger = capacity > max_bytes ? NULL : realloc(bytes, capacity);
        if (!larger)
            free(bytes);
        bytes = larger;
    }
    if (!bytes) {
        fprintf(err, "%s: larger than %zu MiB\n", path, max_bytes >> 20);
        return NULL;
    }
    if (ferror(in)) {
        fprintf(err, "%s: %s\n", path, strerror(errno));
        free(bytes);
        return NULL;
    }
    bytes[n] = 0;
    *ret_n_bytes = n;
    return bytes;
}

char *rig_read_file(const char *path, size_t max_bytes, size_t *ret_n_bytes, FILE *err)
{
    if (strcmp(path, "-") == 0)
        return read_stream("standard input", stdin, max_bytes, ret_n_bytes, err);
    FILE *in = fopen(path, "rb");
    if (!in) {
        fprintf(err, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    char *bytes = read_stream(path, in, max_bytes, ret_n_bytes, err);
    fclose(in);
    return bytes;
}

bool rig_is_text(const char *bytes, size_t n_bytes)
{
    static const char begin[] = "cowpool-ops";
    return n_bytes >= sizeof begin - 1 && memcmp(bytes, begin, sizeof begin - 1) == 0;
}

static int parse(const char *path, const char *bytes, size_t n_bytes, struct rig_text *ret, FILE *err)
{
    struct rig_text_error error;
    if (rig_is_text(bytes, n_bytes)) {
        if (!rig_text_parse(bytes, n_bytes, ret, &error))
            return 0;
        fprintf(err, "%s:%u:%u: %s\n", path, error.line, error.column, error.what);
        return 2;
    }
    unsigned version = rig_binary_version((const uint8_t *)bytes, n_bytes);
    if (version != RIG_VERSION) {
        fprintf(err, "%s: neither text (that begins with 'cowpool-ops') nor binary of version %d (byte 0 is %u)\n",
                path, RIG_VERSION, version);
        return 2;
    }
    memset(ret, 0, sizeof *ret);
    rig_program_decode((const uint8_t *)bytes, n_bytes, &ret->program);
    return 0;
}

int rig_read_program(const char *path, struct rig_text *ret, FILE *err)
{
    size_t n_bytes;
    char *bytes = rig_read_file(path, RIG_MAX_PROGRAM_FILE_BYTES, &n_bytes, err);
    if (!bytes)
        return 2;
    int result = parse(path, bytes, n_bytes, ret, err);
    free(bytes);
    return result;
}

static FILE *open_temporary(const char *path, char *temporary)
{
    struct stat old;
    mode_t mask = umask(0);
    umask(mask);
    int descriptor = mkstemp(temporary);
    if (descriptor < 0)
        return NULL;
    /* mkstemp's files are private; this one is to be like any other, or like the one it replaces. */
    mode_t mode = stat(path, &old) == 0 ? old.st_mode & 07777 : 0666 & ~mask;
    FILE *out = fchmod(descriptor, mode) == 0 ? fdopen(descriptor, "wb") : NULL;
    if (!out) {
        close(descriptor);
        unlink(temporary);
    }
    return out;
}

struct rig_write rig_write_begin(const char *path, FILE *err)
{
    struct rig_write write = {.out = stdout, .path = path};
    if (!path)
        return write;
    size_t n = strlen(path) + sizeof ".XXXXXX";
    write.temporary = malloc(n);
    if (write.temporary)
        snprintf(write.temporary, n, "%s.XXXXXX", path);
    write.out = write.temporary ? open_temporary(path, write.temporary) : NULL;
    if (!write.out) {
        fprintf(err, "%s: %s\n", path, strerror(errno));
        free(write.temporary);
        write.temporary = NULL;
    }
    return write;
}

int rig_write_end(struct rig_write *write, FILE *err)
{
    if (!write->out)
        return 2;
    bool failed = fflush(write->out) != 0 || ferror(write->out);
    if (write->path) {
        failed = fclose(write->out) != 0 || failed;
        failed = failed || rename(write->temporary, write->path) != 0;
    }
    if (failed) {
        fprintf(err, "%s: %s\n", write->path ? write->path : "standard output", strerror(errno));
        if (write->path)
            unlink(write->temporary);
    }
    free(write->temporary);
    *write = (struct rig_write){0};
    return failed ? 2 : 0;
}
