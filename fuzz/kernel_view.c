/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "kernel_view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/fs.h since Linux 6.11; written out because build machines have older headers. */
struct procmap_query {
    uint64_t size, query_flags, query_addr;
    uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_IOCTL _IOWR('f', 17, struct procmap_query)
enum { PROCMAP_READABLE = 1, PROCMAP_WRITABLE = 2, PROCMAP_SHARED = 8, PROCMAP_COVERING_OR_NEXT = 16 };

static int maps_fd = -1, pagemap_fd = -1; /* opened once and kept */

static int open_own(const char *path, int *fd)
{
    if (*fd < 0)
        *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd;
}

void rig_kernel_forget(void)
{
    if (maps_fd >= 0)
        close(maps_fd);
    if (pagemap_fd >= 0)
        close(pagemap_fd);
    maps_fd = pagemap_fd = -1;
}

/* ---- mappings ---- */

static bool parse_vma(const char *line, struct rig_vma *vma)
{
    unsigned long begin, end, offset, inode;
    char permissions[5], device[16];
    if (sscanf(line, "%lx-%lx %4s %lx %15s %lu", &begin, &end, permissions, &offset, device, &inode) != 6)
        return false;
    *vma = (struct rig_vma){
        .begin = begin,
        .end = end,
        .readable = permissions[0] == 'r',
        .writable = permissions[1] == 'w',
        .shared = permissions[3] == 's',
        .file_backed = inode != 0,
        .file_offset = offset,
        .inode = inode,
    };
    return true;
}

static bool find_in_maps(uintptr_t address, struct rig_vma *ret_vma)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps))
        found = parse_vma(line, ret_vma) && ret_vma->end > address;
    if (maps)
        fclose(maps);
    return found;
}

/* 1: it is there, or the next one is; 0: there is none; -1: an older kernel, which cannot be asked. */
static int query(uintptr_t address, struct rig_vma *ret_vma)
{
    static bool is_missing;
    struct procmap_query query = {.size = sizeof query, .query_flags = PROCMAP_COVERING_OR_NEXT, .query_addr = address};
    if (is_missing || open_own("/proc/self/maps", &maps_fd) < 0)
        return -1;
    if (ioctl(maps_fd, PROCMAP_QUERY_IOCTL, &query)) {
        is_missing = errno != ENOENT;
        return is_missing ? -1 : 0;
    }
    *ret_vma = (struct rig_vma){
        .begin = query.vma_start,
        .end = query.vma_end,
        .readable = query.vma_flags & PROCMAP_READABLE,
        .writable = query.vma_flags & PROCMAP_WRITABLE,
        .shared = query.vma_flags & PROCMAP_SHARED,
        .file_backed = query.inode != 0,
        .file_offset = query.vma_offset,
        .inode = query.inode,
    };
    return 1;
}

bool rig_kernel_vma(uintptr_t address, struct rig_vma *ret_vma)
{
    const int found = query(address, ret_vma);
    return found < 0 ? find_in_maps(address, ret_vma) : found;
}

/* "VmFlags: rd wr mr mw me dc dd nh \n" (proc_pid_smaps(5)) */
static unsigned parse_flags(const char *line)
{
    static const char *const names[] = {" dc ", " dd ", " nh ", " wf "}; /* bit by bit */
    unsigned flags = 0;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        flags |= strstr(line, names[i]) ? 1U << i : 0;
    return flags;
}

/* In smaps a mapping has a line as in maps, then what is told of it, line by line, each with a name in capitals. */
static void walk_text(uintptr_t begin, uintptr_t end, enum rig_walk how, rig_see_vma *see, void *context)
{
    char line[512], buffer[1 << 14];
    struct rig_vma vma = {.begin = 0};
    FILE *text = fopen(how == RIG_WALK_FLAGS ? "/proc/self/smaps" : "/proc/self/maps", "re");
    if (text)
        setvbuf(text, buffer, _IOFBF, sizeof buffer); /* not a kilobyte at a time */
    while (text && vma.begin < end && fgets(line, sizeof line, text)) {
        const bool is_named = line[0] >= 'A' && line[0] <= 'Z';
        const bool is_whole = is_named ? strncmp(line, "VmFlags:", 8) == 0 : parse_vma(line, &vma);
        if (is_named && is_whole)
            vma.flags = parse_flags(line);
        if (is_whole && is_named == (how == RIG_WALK_FLAGS) && vma.begin < end && vma.end > begin)
            see(context, &vma);
    }
    if (text)
        fclose(text);
}

void rig_kernel_walk(uintptr_t begin, uintptr_t end, enum rig_walk how, rig_see_vma *see, void *context)
{
    struct rig_vma vma = {.end = begin};
    int found = how == RIG_WALK_FLAGS ? -1 : 1;
    while (found > 0 && vma.end < end) {
        found = query(vma.end, &vma);
        if (found > 0 && vma.begin < end)
            see(context, &vma);
    }
    if (found < 0)
        walk_text(begin, end, how, see, context);
}

static void see_flags(void *context, const struct rig_vma *vma)
{
    *(unsigned *)context |= vma->flags;
}

unsigned rig_kernel_known_flags(void)
{
    static const int advices[] = {MADV_DONTFORK, MADV_DONTDUMP, MADV_NOHUGEPAGE, MADV_WIPEONFORK};
    static bool is_tried;
    static unsigned known;
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = is_tried ? MAP_FAILED : mmap(NULL, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return known;
    is_tried = true;
    /* The kernel itself: a C library that lies to the subject would lie here, too. */
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        (void)syscall(SYS_madvise, page, page_bytes, advices[i]);
    rig_kernel_walk((uintptr_t)page, (uintptr_t)page + page_bytes, RIG_WALK_FLAGS, see_flags, &known);
    munmap(page, page_bytes);
    return known;
}

/* ---- descriptors ---- */

static int count_entries(void)
{
    int n = -3; /* ".", ".." and the directory itself */
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return -1;
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

int rig_kernel_n_descriptors(void)
{
    struct stat status;
    /* Since Linux 6.2 the size of this directory is the number of open descriptors. */
    const int n = !stat("/proc/self/fd", &status) && status.st_size > 0 ? (int)status.st_size : count_entries();
    return n - (maps_fd >= 0) - (pagemap_fd >= 0);
}

/* ---- pages ---- */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61)

int rig_kernel_residency(const void *address, uint64_t n_pages, uint64_t page_bytes, uint8_t *ret_pages)
{
    uint64_t entries[64];
    uint64_t first = (uintptr_t)address / page_bytes;
    if (open_own("/proc/self/pagemap", &pagemap_fd) < 0)
        return -errno;
    while (n_pages) {
        const uint64_t n = n_pages < 64 ? n_pages : 64;
        const ssize_t n_read = pread(pagemap_fd, entries, n * sizeof *entries, (off_t)(first * sizeof *entries));
        if (n_read != (ssize_t)(n * sizeof *entries))
            return n_read < 0 ? -errno : -EIO;
        for (uint64_t i = 0; i < n; i++)
            *ret_pages++ = (uint8_t)((entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) ? RIG_PAGE_PRESENT : 0) |
                                     (entries[i] & PAGEMAP_FILE ? RIG_PAGE_FILE : 0));
        first += n;
        n_pages -= n;
    }
    return 0;
}

void rig_kernel_print(FILE *out, const void *begin, const void *end, const void *page, uint64_t page_bytes)
{
    char line[512];
    uint8_t state = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        struct rig_vma vma;
        if (parse_vma(line, &vma) && vma.end > (uintptr_t)begin && vma.begin < (uintptr_t)end)
            fprintf(out, "    %c +0x%-8jx .. +0x%-8jx %s%s%s%s\n",
                    (uintptr_t)page >= vma.begin && (uintptr_t)page < vma.end ? '>' : ' ',
                    vma.begin > (uintptr_t)begin ? (uintmax_t)(vma.begin - (uintptr_t)begin) : 0,
                    (uintmax_t)((vma.end < (uintptr_t)end ? vma.end : (uintptr_t)end) - (uintptr_t)begin),
                    vma.readable ? "r" : "-", vma.writable ? "w " : "- ", vma.shared ? "shared " : "private ",
                    vma.file_backed ? "file" : "anonymous");
    }
    if (maps)
        fclose(maps);
    if (rig_kernel_residency(page, 1, page_bytes, &state) == 0)
        fprintf(out, "    the page: %s%s\n", state & RIG_PAGE_PRESENT ? "present" : "not present",
                state & RIG_PAGE_FILE ? ", a file's or shared" : "");
}
