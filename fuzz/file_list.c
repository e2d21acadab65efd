/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "file_list.h"

#include "program_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void add_path(struct rig_file_list *list, const char *path)
{
    if (list->n == list->n_allocated) {
        list->n_allocated = list->n_allocated ? 2 * list->n_allocated : 64;
        list->paths = realloc(list->paths, list->n_allocated * sizeof *list->paths);
        if (!list->paths)
            abort();
    }
    list->paths[list->n] = strdup(path);
    if (!list->paths[list->n++])
        abort();
}

/* Whether a file of a directory is one, or looks as if it should be: what lies beside programs (documents, scripts, modules) is left
 * out; what has their name, or cannot be read, is complained about later. */
static bool is_program(const char *path)
{
    char begin[16];
    const char *suffix = strrchr(path, '.');
    FILE *in = suffix && strcmp(suffix, ".ops") == 0 ? NULL : fopen(path, "re");
    if (!in)
        return true;
    const size_t n_bytes = fread(begin, 1, sizeof begin, in); /* none of a directory */
    fclose(in);
    return n_bytes == 0 || rig_is_text(begin, n_bytes) ||
           rig_binary_version((const uint8_t *)begin, n_bytes) == RIG_VERSION;
}

static int list_directory(struct rig_file_list *list, const char *path)
{
    struct dirent **entries;
    int result = 0;
    const int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    for (int i = 0; i < n; i++) {
        char *inner = NULL;
        if (entries[i]->d_name[0] != '.' && asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0 && result == 0 &&
            is_program(inner))
            result = rig_list_path(list, inner);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return result;
}

int rig_list_path(struct rig_file_list *list, const char *path)
{
    struct stat status = {.st_mode = S_IFREG}; /* "-" is the standard input */
    if (strcmp(path, "-") != 0 && stat(path, &status)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    if (S_ISDIR(status.st_mode))
        return list_directory(list, path);
    add_path(list, path);
    return 0;
}

void rig_list_free(struct rig_file_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->paths[i]);
    free(list->paths);
}
