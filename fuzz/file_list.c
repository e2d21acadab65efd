/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "file_list.h"

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

/* What lies beside programs and is none: documents, and the text modules of corpus/wasm. */
static bool is_beside(const char *name)
{
    return name[0] == '.' || strstr(name, ".md") || strstr(name, ".wat") || strstr(name, ".wast");
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
        if (!is_beside(entries[i]->d_name) && asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0 && result == 0)
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
