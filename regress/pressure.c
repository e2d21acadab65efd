/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The pool under the real machine: `pressure CASE` runs one case, in a process that is poisoned by it; pressure.sh runs them all and
 * brings the machine into the state that each needs.
 * Exit code: 0 and what was seen; 1 and "not ok ..."; 77 and "skipped: ..."; 2 wrong use. */
#include "pressure.h"

#include <signal.h>
#include <sys/prctl.h>

static const struct {
    const char *name;
    const char *needs; /* of the script: words of pressure.sh */
    void (*run)(void);
    const char *about;
} cases[] = {
    {"swap", "swap", press_swap, "pages are swapped out when a slot is reset, released, idle"},
    {"swap-reclaim", "swap cgroup", press_swap_reclaim, "the same, and all else of the process (memory cgroup)"},
    {"ksm-advised", "ksm", press_ksm_advised, "pages of zeros and equal pages are merged (MADV_MERGEABLE)"},
    {"ksm-process", "ksm", press_ksm_process, "the same, asked for by the process (PR_SET_MEMORY_MERGE)"},
    {"huge-pages", "huge", press_huge_pages, "the kernel uses huge pages wherever it may"},
    {"locked-before", "-", press_locked_before, "mlockall, then the pool"},
    {"locked-after", "-", press_locked_after, "the pool, then mlockall"},
    {"locked-slot", "-", press_locked_slot, "a tenant's memory is locked, whole or in part"},
    {"locked-limit", "-", press_locked_limit, "a locked process that may lock no more (RLIMIT_MEMLOCK)"},
    {"fault-truncated", "-", press_fault_truncated, "a file behind an image is truncated"},
    {"fault-full", "-", press_fault_full, "a file behind an image has holes, and its tmpfs is full"},
    {"fault-poisoned", "-", press_fault_poisoned, "pages are lost to memory errors (userfaultfd's poison)"},
    {"limit-descriptors", "-", press_limit_descriptors, "no descriptors (RLIMIT_NOFILE)"},
    {"limit-file-size", "-", press_limit_file_size, "no longer files (RLIMIT_FSIZE)"},
    {"limit-address-space", "-", press_limit_address_space, "no address space (RLIMIT_AS)"},
    {"limit-data", "-", press_limit_data, "no writable private memory (RLIMIT_DATA)"},
    {"limit-mappings", "-", press_limit_mappings, "no mappings (vm.max_map_count)"},
    {"overcommit", "overcommit", press_overcommit, "no memory is promised twice (vm.overcommit_memory = 2)"},
};

#define N_CASES (sizeof cases / sizeof *cases)

static int list(void)
{
    for (size_t i = 0; i < N_CASES; i++)
        printf("%s\t%s\t%s\n", cases[i].name, cases[i].needs, cases[i].about);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    for (size_t i = 0; argc == 2 && i < N_CASES; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            prctl(PR_SET_PDEATHSIG,
                  SIGKILL); /* nothing of it may outlive the script, which unmakes what it stands on */
            alarm(300);     /* one that hangs has failed */
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "usage: pressure list, or pressure CASE with one of its names\n");
    return 2;
}
