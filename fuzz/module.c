/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Modules from files into a pool of their own. */
#include "module.h"

#include "kernel_view.h"
#include "program_file.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MODULE_BYTES ((size_t)1 << 30)

int rig_module_read(const char *path, uint32_t memory_index, struct rig_module *ret, FILE *err)
{
    *ret = (struct rig_module){.binary = NULL};
    ret->binary = rig_read_file(path, MAX_MODULE_BYTES, &ret->binary_bytes, err);
    if (!ret->binary)
        return 2;
    ret->result = cow_wasm_read(ret->binary, ret->binary_bytes, memory_index, &ret->wasm, &ret->error);
    ret->is_read = ret->result == COW_OK;
    return 0;
}

static uint32_t count_mappings(const struct cow_pool *pool)
{
    const uintptr_t base = (uintptr_t)cow_check_slot(pool, 0).base;
    const uintptr_t end = base + cow_check_pool(pool).capacity_bytes;
    struct rig_vma vma = {.end = base};
    uint32_t n = 0;
    while (vma.end < end && rig_kernel_vma(vma.end, &vma) && vma.begin < end)
        n++;
    return n;
}

static int make_image(struct rig_module *module)
{
    const uint64_t minimum_bytes = module->wasm.memory.minimum_bytes;
    const struct cow_pool_config config = {
        .n_slots = 1,
        .max_bytes = minimum_bytes < COW_MAX_MEMORY_BYTES ? minimum_bytes : COW_MAX_MEMORY_BYTES,
        .guard_bytes = 1, /* one host page */
    };
    struct cow_image *image;
    int result = cow_pool_create(&config, &module->pool);
    if (result == COW_OK)
        result = cow_image_create(module->pool, minimum_bytes, module->wasm.segments, module->wasm.n_segments, &image);
    if (result != COW_OK)
        return result;
    const struct cow_instance_config lease = {image, minimum_bytes, minimum_bytes, 0};
    module->n_runs = cow_check_runs(image, module->runs);
    module->image_bytes = cow_image_memory_bytes(image);
    result = cow_instantiate(module->pool, &lease, &module->instance);
    cow_image_drop(image);
    if (result == COW_OK)
        module->n_mappings = count_mappings(module->pool);
    return result;
}

int rig_module_load(const char *path, uint32_t memory_index, struct rig_module *ret, FILE *err)
{
    const int unreadable = rig_module_read(path, memory_index, ret, err);
    if (unreadable || !ret->is_read)
        return unreadable;
    ret->result = make_image(ret);
    if (ret->result < 0) {
        fprintf(err, "%s: no image could be made: %s\n", path, strerror(-ret->result));
        return 2;
    }
    if (ret->result != COW_OK)
        ret->error.what = "the module is fine, but no image can be made of its data";
    return 0;
}

void rig_module_end(struct rig_module *module)
{
    if (module->pool) {
        (void)cow_instance_release(module->pool, module->instance);
        (void)cow_pool_close(module->pool);
    }
    if (module->is_read)
        cow_wasm_free(&module->wasm);
    free(module->binary);
    *module = (struct rig_module){.binary = NULL};
}

uint64_t rig_module_data_bytes(const struct rig_module *module)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < module->wasm.n_segments; i++)
        n_bytes += module->wasm.segments[i].length_bytes;
    return n_bytes;
}
