/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the kernel says of this process: mappings, resident pages, open descriptors. Read without touching the memory. */
#ifndef RIG_KERNEL_VIEW_H
#define RIG_KERNEL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What may be set of a mapping beside its protection. */
enum rig_vma_flag { RIG_VMA_DONTFORK = 1, RIG_VMA_DONTDUMP = 2, RIG_VMA_NOHUGE = 4, RIG_VMA_WIPEONFORK = 8 };

struct rig_vma {
    uintptr_t begin, end;
    uint64_t file_offset, inode; /* of a file */
    unsigned flags;              /* enum rig_vma_flag, or-ed: by RIG_WALK_FLAGS alone */
    bool readable, writable, shared, file_backed;
};

/* The mapping that holds the address, or the next one above it. False: there is none. PROCMAP_QUERY where the kernel has it
 * (Linux 6.11), else /proc/self/maps. */
bool rig_kernel_vma(uintptr_t address, struct rig_vma *ret_vma);

/* Calls see() for each mapping that overlaps [begin, end), in ascending order. With flags it reads /proc/self/smaps, for which the
 * kernel walks through all pages of the process: as much as hundreds of other questions. There must be flags that are known. */
enum rig_walk { RIG_WALK_QUICK, RIG_WALK_FLAGS };
typedef void rig_see_vma(void *context, const struct rig_vma *vma);
void rig_kernel_walk(uintptr_t begin, uintptr_t end, enum rig_walk how, rig_see_vma *see, void *context);

/* The flags that this kernel has and tells of: tried once, with a page that is given all of them. */
unsigned rig_kernel_known_flags(void);

/* In a child: what was opened before shows the parent. */
void rig_kernel_forget(void);

/* How many descriptors are open, not counting those that this file keeps. */
int rig_kernel_n_descriptors(void);

enum {
    RIG_PAGE_PRESENT = 1, /* present or swapped: loading it changes nothing about what it holds */
    RIG_PAGE_FILE = 2,    /* its bytes are a file's, or shared */
};
/* One byte for each host page. Returns 0, or -errno when /proc/self/pagemap cannot be read. */
int rig_kernel_residency(const void *address, uint64_t n_pages, uint64_t page_bytes, uint8_t *ret_pages);

/* Lines of /proc/self/maps in the range, and the page's state, for a report. */
void rig_kernel_print(FILE *out, const void *begin, const void *end, const void *page, uint64_t page_bytes);

#endif
