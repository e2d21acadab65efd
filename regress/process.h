/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the kernel says of this process: its descriptors and its mappings. For tests; nothing here is of impl/. */
#ifndef REGRESS_PROCESS_H
#define REGRESS_PROCESS_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- descriptors ---- */

static inline int process_n_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = -3; /* "." and ".." and the directory itself */
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* How many descriptors have a target that contains `part`, e.g. "cowpool-extension". */
static inline int process_n_files(const char *part)
{
    int n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        char path[64], target[256];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        const ssize_t length = readlink(path, target, sizeof target - 1);
        if (length < 0)
            continue;
        target[length] = 0;
        n += strstr(target, part) != NULL;
    }
    return n;
}

/* ---- mappings ---- */

struct process_mapping {
    uintptr_t begin, end;
    char permissions[8];
    char name[96];
};

/* All of a /proc file, ending in 0, until the next call. No memory is taken for it: that could land in the very hole that a
 * test looks for. */
static inline const char *process_read(const char *path)
{
    static char text[4 << 20];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    for (ssize_t got = 1; fd >= 0 && got > 0; n += (size_t)(got > 0 ? got : 0))
        got = read(fd, text + n, sizeof text - 1 - n);
    if (fd >= 0)
        close(fd);
    text[n] = 0;
    return text;
}

/* The mapping that a line of /proc/self/maps or smaps tells of; false if it is no such line. */
static inline bool process_parse(const char *line, struct process_mapping *ret_mapping)
{
    int end = 0; /* of the inode; the name follows, if there is one */
    *ret_mapping = (struct process_mapping){0};
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %*s%n", &ret_mapping->begin, &ret_mapping->end,
               ret_mapping->permissions, &end) < 3)
        return false;
    const char *name = line + end + strspn(line + end, " ");
    memcpy(ret_mapping->name, name, strcspn(name, "\n") < 95 ? strcspn(name, "\n") : 95);
    return true;
}

static inline const char *process_next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

/* How many mappings have a name that contains `part`. */
static inline int process_n_mappings(const char *part)
{
    const char *maps = process_read("/proc/self/maps");
    struct process_mapping mapping;
    int n = 0;
    for (const char *line = maps; *line; line = process_next_line(line))
        n += process_parse(line, &mapping) && strstr(mapping.name, part);
    return n;
}

/* How many bytes of [begin, begin + n_bytes) are mapped with these permissions ("---p"); NULL: any. */
static inline uint64_t process_mapped_bytes(const void *begin, uint64_t n_bytes, const char *permissions)
{
    const char *maps = process_read("/proc/self/maps");
    const uintptr_t from = (uintptr_t)begin, to = from + n_bytes;
    struct process_mapping mapping;
    uint64_t bytes = 0;
    for (const char *line = maps; *line; line = process_next_line(line)) {
        if (!process_parse(line, &mapping) || (permissions && strcmp(mapping.permissions, permissions) != 0))
            continue;
        const uintptr_t low = mapping.begin > from ? mapping.begin : from, high = mapping.end < to ? mapping.end : to;
        bytes += low < high ? high - low : 0;
    }
    return bytes;
}

/* How many bytes of [begin, begin + n_bytes) lie in mappings with this flag of smaps' VmFlags ("dd": not dumped). */
static inline uint64_t process_flagged_bytes(const void *begin, uint64_t n_bytes, const char *flag)
{
    const char *maps = process_read("/proc/self/smaps");
    const uintptr_t from = (uintptr_t)begin, to = from + n_bytes;
    struct process_mapping mapping, current = {0};
    uint64_t bytes = 0;
    char word[8];
    snprintf(word, sizeof word, " %s ", flag);
    for (const char *line = maps; *line; line = process_next_line(line)) {
        if (process_parse(line, &mapping))
            current = mapping;
        if (strncmp(line, "VmFlags:", 8) != 0)
            continue;
        const char *found = strstr(line, word), *end = process_next_line(line);
        const uintptr_t low = current.begin > from ? current.begin : from, high = current.end < to ? current.end : to;
        bytes += found && found < end && low < high ? high - low : 0;
    }
    return bytes;
}

/* Whether smaps tells VmFlags at all, and the kernel has huge pages to forbid. */
static inline bool process_knows_flag(const char *flag)
{
    return strcmp(flag, "nh") != 0 || access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

/* Whether a byte can be read. The kernel tries: EFAULT and no signal. */
static inline bool process_can_read(const void *address)
{
    const int fd = memfd_create("regress-probe", MFD_CLOEXEC);
    const ssize_t n = pwrite(fd, address, 1, 0);
    close(fd);
    return n == 1;
}

/* The same for writing; what was there stays. Not for bytes that must stay untouched by a copy-on-write. */
static inline bool process_can_write(void *address)
{
    const int fd = memfd_create("regress-probe", MFD_CLOEXEC);
    const bool can = pwrite(fd, address, 1, 0) == 1 && pread(fd, address, 1, 0) == 1;
    close(fd);
    return can;
}

/* ---- children ---- */

/* How a child ended: its exit status, or minus the signal that killed it. */
static inline int process_wait(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return -1000;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Runs function in a forked child; what it returns is the exit status: 0, the line of a claim that failed, or 77. */
static inline int process_in_child(int (*function)(void))
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(function());
    return process_wait(child);
}

/* In functions that return an exit status: says what does not hold, and returns. */
#define CLAIM(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: in a child: %s\n", __FILE__, __LINE__, #condition);                                \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

#endif
