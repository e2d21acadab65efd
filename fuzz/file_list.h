/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The programs that the arguments of a verb come to: files, and all that lies in directories, in the order of their names. */
#ifndef RIG_FILE_LIST_H
#define RIG_FILE_LIST_H

#include <stddef.h>

struct rig_file_list {
    char **paths;
    size_t n, n_allocated;
};

/* Adds a file, "-", or what is in a directory and may be a program. Returns 0, or 2 having said why on stderr. */
int rig_list_path(struct rig_file_list *list, const char *path);
void rig_list_free(struct rig_file_list *list);

#endif
