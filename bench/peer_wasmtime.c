/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* wasmtime itself: its shared library, named by COWPOOL_WASMTIME, through its C API, with the pooling allocator. A cycle makes a store,
 * instantiates a module that was linked before (the quickest way the API has), looks up its memory, and deletes the store.
 * variant[0]: KiB to keep resident (linear_memory_keep_resident), -1 for the image and all it may grow to; variant[1]: without a memory,
 * all else the same: what is to be subtracted, since store and instance are no part of the others.
 *
 * What the C API of the pinned version cannot switch on: finding dirty pages with PAGEMAP_SCAN (pagemap_scan), memory protection keys. */
#include "contender.h"
#include "wasm_module.h"
#include "wasmtime_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wasmtime {
    struct wt_api api;
    const struct bench_world *world;
    int has_memory;
    struct wt_engine *engine;
    struct wt_module *modules[BENCH_MAX_IMAGES];
    struct wt_pre *pres[BENCH_MAX_IMAGES];
};

/* What a lease keeps. */
struct wt_lease {
    struct wt_store *store;
    struct wt_memory memory;
};
_Static_assert(sizeof(struct wt_lease) <= sizeof(((struct bench_lease *)0)->of), "a lease has room for it");

static const char *load(struct wt_api *api)
{
    static char why[400];
    const char *path = getenv("COWPOOL_WASMTIME");
    if (!path || !*path)
        return "absent: fetch it with `make peers`, or name a libwasmtime.so in COWPOOL_WASMTIME";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, sizeof why, "absent: %s", dlerror());
        return why;
    }
#define WT(result, name, arguments)                                                                                    \
    api->name = (result(*) arguments)(uintptr_t)dlsym(library, #name);                                                 \
    if (!api->name)                                                                                                    \
        return "absent: " #name " is not in the library of COWPOOL_WASMTIME";
    WT_FUNCTIONS(WT)
#undef WT
    return NULL;
}

static const char *explain(const struct wasmtime *wasmtime, const char *what, struct wt_error *error)
{
    static _Thread_local char why[400];
    struct wt_bytes message;
    if (!error)
        return NULL;
    wasmtime->api.wasmtime_error_message(error, &message);
    snprintf(why, sizeof why, "%s: %.*s", what, (int)message.n_bytes, message.bytes);
    for (char *at = why; *at; at++)
        if (*at == '\n' || *at == '"')
            *at = ' ';
    return why;
}

static struct wt_engine *make_engine(const struct wasmtime *wasmtime, int keep_kibibytes)
{
    const struct wt_api *api = &wasmtime->api;
    const struct bench_work *work = &wasmtime->world->work;
    const uint64_t most_bytes = work->image_bytes + (uint64_t)BENCH_MAX_GROWN * BENCH_WASM_PAGE_BYTES;
    struct wt_pooling *pooling = api->wasmtime_pooling_allocation_config_new();
    struct wt_config *config = api->wasm_config_new();
    api->wasmtime_pooling_allocation_config_total_core_instances_set(pooling, work->n_slots);
    api->wasmtime_pooling_allocation_config_total_memories_set(pooling, work->n_slots);
    api->wasmtime_pooling_allocation_config_total_tables_set(pooling, 1);
    api->wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pooling, work->n_slots);
    api->wasmtime_pooling_allocation_config_max_memory_size_set(pooling, most_bytes);
    api->wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(
        pooling, keep_kibibytes < 0 ? most_bytes : (size_t)keep_kibibytes << 10);
    api->wasmtime_pooling_allocation_config_decommit_batch_size_set(pooling, 1);
    api->wasmtime_pooling_allocation_strategy_set(config, pooling);
    api->wasmtime_pooling_allocation_config_delete(pooling);
    api->wasmtime_config_memory_reservation_set(config, BENCH_SLOT_BYTES);
    api->wasmtime_config_memory_guard_size_set(config, BENCH_GUARD_BYTES);
    api->wasmtime_config_memory_init_cow_set(config, true);
    api->wasmtime_config_parallel_compilation_set(config, false); /* no threads of its own beside what is measured */
    return api->wasm_engine_new_with_config(config);
}

static const char *link_module(struct wasmtime *wasmtime, unsigned image)
{
    const struct wt_api *api = &wasmtime->api;
    const struct bench_world *world = wasmtime->world;
    size_t n_bytes;
    uint8_t *binary = wasmtime->has_memory ? bench_module_of_image(world->images[image], world->work.image_bytes,
                                                                   BENCH_MAX_GROWN, &n_bytes)
                                           : bench_module_of_image(NULL, 0, 0, &n_bytes);
    if (!binary)
        return bench_why("malloc");
    const char *why = explain(wasmtime, "wasmtime_module_new",
                              api->wasmtime_module_new(wasmtime->engine, binary, n_bytes, &wasmtime->modules[image]));
    free(binary);
    if (why)
        return why;
    struct wt_linker *linker = api->wasmtime_linker_new(wasmtime->engine);
    why = explain(wasmtime, "wasmtime_linker_instantiate_pre",
                  api->wasmtime_linker_instantiate_pre(linker, wasmtime->modules[image], &wasmtime->pres[image]));
    api->wasmtime_linker_delete(linker);
    return why;
}

static const char *wasmtime_open(const struct bench_contender *contender, const struct bench_world *world,
                                 void **ret_state)
{
    struct wasmtime *wasmtime = calloc(1, sizeof *wasmtime);
    if (!wasmtime)
        return bench_why("calloc");
    *ret_state = wasmtime;
    wasmtime->world = world;
    wasmtime->has_memory = !contender->variant[1];
    const char *why = load(&wasmtime->api);
    if (why)
        return why;
    wasmtime->engine = make_engine(wasmtime, contender->variant[0]);
    if (!wasmtime->engine)
        return "wasm_engine_new_with_config failed";
    for (unsigned i = 0; !why && i < world->work.n_images; i++)
        why = link_module(wasmtime, i);
    return why;
}

static const char *wasmtime_instantiate(void *state, struct bench_lease *lease)
{
    const struct wasmtime *wasmtime = state;
    const struct wt_api *api = &wasmtime->api;
    struct wt_lease *mine = (struct wt_lease *)lease->of.private;
    struct wt_instance instance;
    struct wt_extern exported;
    struct wt_trap *trap = NULL;
    mine->store = api->wasmtime_store_new(wasmtime->engine, NULL, NULL);
    struct wt_context *context = api->wasmtime_store_context(mine->store);
    struct wt_error *error =
        api->wasmtime_instance_pre_instantiate(wasmtime->pres[lease->image], context, &instance, &trap);
    if (error || trap)
        return error ? explain(wasmtime, "wasmtime_instance_pre_instantiate", error)
                     : "wasmtime_instance_pre_instantiate: a trap";
    if (!api->wasmtime_instance_export_get(context, &instance, "memory", 6, &exported))
        return "wasmtime_instance_export_get: nothing is exported as memory";
    if (!wasmtime->has_memory)
        return exported.kind == WT_EXTERN_GLOBAL ? NULL : "wasmtime_instance_export_get: not a global";
    if (exported.kind != WT_EXTERN_MEMORY)
        return "wasmtime_instance_export_get: not a memory";
    mine->memory = exported.of.memory;
    lease->base = api->wasmtime_memory_data(context, &mine->memory);
    lease->length_bytes = api->wasmtime_memory_data_size(context, &mine->memory);
    return NULL;
}

static const char *wasmtime_grow(void *state, struct bench_lease *lease, unsigned n_wasm_pages)
{
    const struct wasmtime *wasmtime = state;
    const struct wt_lease *mine = (const struct wt_lease *)lease->of.private;
    struct wt_context *context = wasmtime->api.wasmtime_store_context(mine->store);
    uint64_t old;
    const char *why = explain(wasmtime, "wasmtime_memory_grow",
                              wasmtime->api.wasmtime_memory_grow(context, &mine->memory, n_wasm_pages, &old));
    lease->length_bytes += (uint64_t)n_wasm_pages * BENCH_WASM_PAGE_BYTES;
    return why;
}

static const char *wasmtime_release(void *state, struct bench_lease *lease)
{
    const struct wasmtime *wasmtime = state;
    wasmtime->api.wasmtime_store_delete(((const struct wt_lease *)lease->of.private)->store);
    return NULL;
}

static void wasmtime_close(void *state)
{
    struct wasmtime *wasmtime = state;
    for (unsigned i = 0; i < BENCH_MAX_IMAGES; i++) {
        if (wasmtime->pres[i])
            wasmtime->api.wasmtime_instance_pre_delete(wasmtime->pres[i]);
        if (wasmtime->modules[i])
            wasmtime->api.wasmtime_module_delete(wasmtime->modules[i]);
    }
    if (wasmtime->engine)
        wasmtime->api.wasm_engine_delete(wasmtime->engine);
    free(wasmtime);
}

const struct bench_peer bench_wasmtime = {
    .has_bounds = 1,
    .open = wasmtime_open,
    .instantiate = wasmtime_instantiate,
    .grow = wasmtime_grow,
    .release = wasmtime_release,
    .close = wasmtime_close,
};
