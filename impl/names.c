/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Names for people: refusals and kernel calls. */
#include "cowpool.h"

const char *cow_result_name(int result)
{
    static const char *const names[COW_N_REFUSALS] = {
        [COW_OK] = "ok",
        [COW_FULL] = "full",
        [COW_STALE] = "stale",
        [COW_FOREIGN] = "foreign",
        [COW_LIMIT] = "limit",
        [COW_UNALIGNED] = "unaligned",
        [COW_LENGTH] = "length",
        [COW_IMAGE_LONGER] = "image-longer",
        [COW_IMAGE_BOUNDS] = "image-bounds",
        [COW_IMAGE_SPARSE] = "image-sparse",
        [COW_IMAGE_LARGE] = "image-large",
        [COW_BUSY] = "busy",
        [COW_FORKED] = "forked",
        [COW_CONFIG] = "config",
        [COW_UNSUPPORTED] = "unsupported",
        [COW_KERNEL] = "kernel",
        [COW_WASM_FOREIGN] = "wasm-foreign",
        [COW_WASM_TEXT] = "wasm-text",
        [COW_WASM_COMPONENT] = "wasm-component",
        [COW_WASM_TRUNCATED] = "wasm-truncated",
        [COW_WASM_LEB128] = "wasm-leb128",
        [COW_WASM_MALFORMED] = "wasm-malformed",
        [COW_WASM_INVALID] = "wasm-invalid",
        [COW_WASM_NO_MEMORY] = "wasm-no-memory",
        [COW_WASM_RUNTIME] = "wasm-runtime",
        [COW_WASM_UNKNOWN] = "wasm-unknown",
    };
    if (result < 0)
        return "error";
    return result < COW_N_REFUSALS ? names[result] : "unknown";
}

const char *cow_call_name(enum cow_call call)
{
    static const char *const names[COW_N_CALLS] = {
        [COW_CALL_MMAP] = "mmap",
        [COW_CALL_MUNMAP] = "munmap",
        [COW_CALL_MADVISE] = "madvise",
        [COW_CALL_PROCESS_MADVISE] = "process_madvise",
        [COW_CALL_MPROTECT] = "mprotect",
        [COW_CALL_FTRUNCATE] = "ftruncate",
        [COW_CALL_MEMFD_CREATE] = "memfd_create",
        [COW_CALL_FCNTL] = "fcntl",
        [COW_CALL_PWRITE] = "pwrite",
        [COW_CALL_PREAD] = "pread",
        [COW_CALL_PAGEMAP_SCAN] = "pagemap_scan",
        [COW_CALL_CLOSE] = "close",
    };
    return (unsigned)call < COW_N_CALLS ? names[call] : "unknown";
}
