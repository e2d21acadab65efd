/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Touching guest memory as a guest does, and living through it.
 *
 * A guest access is one instruction with a label. When it faults, a handler finds the label in a table and moves the
 * instruction pointer to a fix-up, as kernels do for copies from user space: cheap, and it leaves the signal mask alone. Where that is
 * not written for the machine, the handler jumps (siglongjmp). While the rig compares whole memories, any instruction may fault
 * in them: then the handler jumps to the end of the program, which has found a divergence.
 *
 * Faults at other addresses, and faults when nothing was armed, go to the handlers that were there before: a fuzzing engine
 * still reports them and saves its input. */
#ifndef RIG_GUEST_H
#define RIG_GUEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Installs the handlers for SIGSEGV and SIGBUS, once. Called when the first program runs: an engine installs its own before. */
void rig_guest_install(void);

/* The address range in which faults are ours. */
void rig_guest_set_range(const void *base, size_t length_bytes);

struct rig_fault {
    uintptr_t address;
    int signal;
};

/* One load or store of 1, 2, 4, 8 or 16 bytes. false: it trapped, and *ret_fault says where; a store has written nothing. */
bool rig_guest_load(const uint8_t *at, unsigned width, uint8_t ret_bytes[16], struct rig_fault *ret_fault);
bool rig_guest_store(uint8_t *at, unsigned width, const uint8_t bytes[16], struct rig_fault *ret_fault);

/* From here until rig_guest_end_watch(), a fault in the range jumps to *landing with the fault in *ret_fault. */
void rig_guest_watch(sigjmp_buf *landing, struct rig_fault *ret_fault);
void rig_guest_end_watch(void);

#endif
