/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What lockstep doctor asks the kernel. Every question is a trial, and leaves nothing behind. */
#ifndef RIG_DOCTOR_H
#define RIG_DOCTOR_H

enum doctor_feature {
    DOCTOR_MEMFD,
    DOCTOR_SEALING,
    DOCTOR_NOEXEC_SEAL,
    DOCTOR_DONTNEED_LOCKED,
    DOCTOR_WIPEONFORK,
    DOCTOR_GUARD_PRIVATE,
    DOCTOR_GUARD_SHARED,
    DOCTOR_PAGEMAP,
    DOCTOR_PAGEMAP_SCAN,
    DOCTOR_PROCESS_MADVISE,
    DOCTOR_PROCMAP_QUERY,
    DOCTOR_N_FEATURES
};

#define DOCTOR_BROKEN (-1) /* the call succeeds and does not do what it says */
/* 0: the kernel can. Else the errno that says it cannot, or DOCTOR_BROKEN. */
int doctor_try(enum doctor_feature feature);

#endif
