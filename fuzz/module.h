/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A WebAssembly module as the pool sees it: read, made into an image, and lent once to look at what the kernel maps. */
#ifndef RIG_MODULE_H
#define RIG_MODULE_H

#include "check.h"

#include <stdio.h>

struct rig_module {
    char *binary;
    size_t binary_bytes;
    int result;                  /* 0, or why there is no image */
    struct cow_wasm_error error; /* for a refusal: where and what */
    bool is_read;                /* wasm holds something, whatever became of the image */
    struct cow_wasm wasm;
    struct cow_pool *pool; /* of one slot; NULL without an image */
    struct cow_instance instance;
    struct cow_run_view runs[COW_IMAGE_MAX_RUNS];
    uint32_t n_runs;
    uint32_t n_mappings; /* of the slot, without its guard */
    uint64_t image_bytes;
};

/* Only cow_wasm_read(). Returns 0; or 2, with one line on err when the file cannot be read. A refusal is in ret->result. Either way it
 * must be given to rig_module_end(). */
int rig_module_read(const char *path, uint32_t memory_index, struct rig_module *ret, FILE *err);
/* The image and the instance as well. */
int rig_module_load(const char *path, uint32_t memory_index, struct rig_module *ret, FILE *err);
void rig_module_end(struct rig_module *module);

/* Bytes of all segments of the memory. */
uint64_t rig_module_data_bytes(const struct rig_module *module);

#endif
