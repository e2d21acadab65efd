/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Of wasmtime's C API, what the peer calls, declared here: neither its headers nor its library are needed to build. Types are opaque but
 * for two structures: a vector of bytes, and what is exported (its kind in a byte, at offset 8 a union; a memory in it is 24 bytes). */
#ifndef BENCH_WASMTIME_API_H
#define BENCH_WASMTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wt_config;
struct wt_engine;
struct wt_pooling;
struct wt_module;
struct wt_linker;
struct wt_pre;
struct wt_store;
struct wt_context;
struct wt_error;
struct wt_trap;

struct wt_bytes {
    size_t n_bytes;
    char *bytes;
};

struct wt_memory {
    uint64_t private[3];
};

struct wt_instance {
    uint64_t private[2];
};

enum { WT_EXTERN_GLOBAL = 1, WT_EXTERN_MEMORY = 3 };

struct wt_extern {
    uint8_t kind;
    union {
        struct wt_memory memory;
        uint64_t room[8];
    } of;
};

/* WT(result, name, arguments): the function of that name. */
#define WT_FUNCTIONS(WT)                                                                                               \
    WT(struct wt_config *, wasm_config_new, (void))                                                                    \
    WT(struct wt_engine *, wasm_engine_new_with_config, (struct wt_config *))                                          \
    WT(void, wasm_engine_delete, (struct wt_engine *))                                                                 \
    WT(void, wasmtime_config_parallel_compilation_set, (struct wt_config *, bool))                                     \
    WT(void, wasmtime_config_memory_reservation_set, (struct wt_config *, uint64_t))                                   \
    WT(void, wasmtime_config_memory_guard_size_set, (struct wt_config *, uint64_t))                                    \
    WT(void, wasmtime_config_memory_init_cow_set, (struct wt_config *, bool))                                          \
    WT(struct wt_pooling *, wasmtime_pooling_allocation_config_new, (void))                                            \
    WT(void, wasmtime_pooling_allocation_config_delete, (struct wt_pooling *))                                         \
    WT(void, wasmtime_pooling_allocation_config_total_core_instances_set, (struct wt_pooling *, uint32_t))             \
    WT(void, wasmtime_pooling_allocation_config_total_memories_set, (struct wt_pooling *, uint32_t))                   \
    WT(void, wasmtime_pooling_allocation_config_total_tables_set, (struct wt_pooling *, uint32_t))                     \
    WT(void, wasmtime_pooling_allocation_config_max_unused_warm_slots_set, (struct wt_pooling *, uint32_t))            \
    WT(void, wasmtime_pooling_allocation_config_decommit_batch_size_set, (struct wt_pooling *, size_t))                \
    WT(void, wasmtime_pooling_allocation_config_linear_memory_keep_resident_set, (struct wt_pooling *, size_t))        \
    WT(void, wasmtime_pooling_allocation_config_max_memory_size_set, (struct wt_pooling *, size_t))                    \
    WT(void, wasmtime_pooling_allocation_strategy_set, (struct wt_config *, const struct wt_pooling *))                \
    WT(struct wt_error *, wasmtime_module_new,                                                                         \
       (struct wt_engine *, const uint8_t *binary, size_t n_bytes, struct wt_module **))                               \
    WT(void, wasmtime_module_delete, (struct wt_module *))                                                             \
    WT(struct wt_linker *, wasmtime_linker_new, (struct wt_engine *))                                                  \
    WT(void, wasmtime_linker_delete, (struct wt_linker *))                                                             \
    WT(struct wt_error *, wasmtime_linker_instantiate_pre,                                                             \
       (const struct wt_linker *, const struct wt_module *, struct wt_pre **))                                         \
    WT(void, wasmtime_instance_pre_delete, (struct wt_pre *))                                                          \
    WT(struct wt_store *, wasmtime_store_new, (struct wt_engine *, void *, void (*)(void *)))                          \
    WT(struct wt_context *, wasmtime_store_context, (struct wt_store *))                                               \
    WT(void, wasmtime_store_delete, (struct wt_store *))                                                               \
    WT(struct wt_error *, wasmtime_instance_pre_instantiate,                                                           \
       (const struct wt_pre *, struct wt_context *, struct wt_instance *, struct wt_trap **))                          \
    WT(bool, wasmtime_instance_export_get,                                                                             \
       (struct wt_context *, const struct wt_instance *, const char *, size_t, struct wt_extern *))                    \
    WT(uint8_t *, wasmtime_memory_data, (const struct wt_context *, const struct wt_memory *))                         \
    WT(size_t, wasmtime_memory_data_size, (const struct wt_context *, const struct wt_memory *))                       \
    WT(struct wt_error *, wasmtime_memory_grow, (struct wt_context *, const struct wt_memory *, uint64_t, uint64_t *)) \
    WT(void, wasmtime_error_message, (const struct wt_error *, struct wt_bytes *))

struct wt_api {
#define WT(result, name, arguments) result(*name) arguments;
    WT_FUNCTIONS(WT)
#undef WT
};

#endif
