/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The world that the machine presses on: one pool, the model beside it, and tenants. */
#include "pressure.h"

#include "guest.h"

#include <errno.h>
#include <stdarg.h>

#define GUARD_UNITS 8u

/* ---- the pool ---- */

/* In units. Two runs with a gap that is not joined, which ends in the middle of a page; and a small one. */
static void make_images(struct press_world *world)
{
    static const struct {
        unsigned extent, offset[2], length[2];
    } shapes[PRESS_N_IMAGES] = {[PRESS_TWO_RUNS] = {32, {0, 20}, {6, 5}}, [PRESS_SMALL] = {8, {2, 5}, {2, 1}}};
    for (int i = PRESS_TWO_RUNS; i < PRESS_N_IMAGES; i++) {
        const uint64_t unit = world->unit_bytes, extent_bytes = shapes[i].extent * unit - 100;
        struct cow_segment segments[2];
        for (int k = 0; k < 2; k++) {
            segments[k] = (struct cow_segment){shapes[i].offset[k] * unit, NULL, shapes[i].length[k] * unit - 50};
            uint8_t *bytes = malloc(segments[k].length_bytes);
            CHECK(bytes != NULL);
            for (uint64_t at = 0; at < segments[k].length_bytes; at++)
                bytes[at] = (uint8_t)(1 + (at * 7 + at / 251 + (uint64_t)i * 31) % 255);
            segments[k].bytes = bytes;
        }
        CHECK_EQ(cow_image_create(world->pool, extent_bytes, segments, 2, &world->images[i]), COW_OK);
        CHECK_EQ(ref_image_create(&world->model, extent_bytes, segments, 2, &world->image_models[i]), COW_OK);
        free((void *)(uintptr_t)segments[0].bytes);
        free((void *)(uintptr_t)segments[1].bytes);
    }
}

void press_open(struct press_world *world, uint32_t n_slots)
{
    world->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!world->unit_bytes)
        world->unit_bytes = world->page_bytes;
    const struct cow_pool_config config = {.growth = COW_GROWTH_TRUNCATE,
                                           .reset = COW_RESET_DISCARD,
                                           .n_slots = n_slots,
                                           .max_bytes = PRESS_MAX_UNITS * world->unit_bytes,
                                           .guard_bytes = GUARD_UNITS * world->unit_bytes,
                                           .image_join_bytes = 1};
    world->n_slots = n_slots;
    world->model = (struct ref_pool){.n_slots = n_slots,
                                     .max_bytes = config.max_bytes,
                                     .unit_bytes = 1,
                                     .join_bytes = 1,
                                     .page_bytes = world->page_bytes};
    world->n_descriptors = process_n_descriptors();
    const int result = cow_pool_create(&config, &world->pool);
    if (result) {
        printf("not ok the pool cannot be made: %s\n", result < 0 ? strerror(-result) : cow_result_name(result));
        exit(1);
    }
    make_images(world);
    rig_guest_install();
}

static void check_pool(const struct press_world *world)
{
    const char *broken = cow_pool_check(world->pool);
    if (!broken)
        return;
    printf("not ok an invariant does not hold: %s\n", broken);
    exit(1);
}

static struct cow_stats stats_of(const struct press_world *world)
{
    struct cow_stats stats;
    CHECK_EQ(cow_pool_stats(world->pool, &stats), COW_OK);
    return stats;
}

/* Every slot that is not lost, with every image there is. */
static void lend_all(struct press_world *world)
{
    const uint32_t n = world->n_slots - (uint32_t)stats_of(world).n_lost;
    struct press_tenant *tenants = calloc(n + 1, sizeof *tenants);
    CHECK(tenants != NULL);
    for (enum press_image image = PRESS_NONE; image < PRESS_N_IMAGES; image++) {
        if (image != PRESS_NONE && !world->images[image])
            continue;
        for (uint32_t i = 0; i < n; i++) {
            CHECK(press_lend(world, &tenants[i], image, 33 * world->unit_bytes + world->lead_bytes));
            CHECK(press_grow(world, &tenants[i], 30 * world->unit_bytes - world->lead_bytes));
            press_write(world, &tenants[i]);
        }
        for (uint32_t i = 0; i < n; i++)
            CHECK(press_release(world, &tenants[i]));
    }
    free(tenants);
}

/* mincore(2). The case may have more mappings than anybody wants to read in /proc. */
static bool is_unmapped(uint8_t *page)
{
    unsigned char is_resident;
    return mincore(page, 1, &is_resident) && errno == ENOMEM;
}

void press_close(struct press_world *world)
{
    struct press_tenant first = {0};
    world->begin_call = world->end_call = NULL;
    memset(world->errors, 0, sizeof world->errors);
    CHECK_EQ(world->model.n_live, 0);
    lend_all(world);
    const uint64_t n_lost = stats_of(world).n_lost;
    if (n_lost < world->n_slots) {
        CHECK(press_lend(world, &first, PRESS_NONE, world->unit_bytes));
        CHECK(press_release(world, &first));
    }
    CHECK_EQ(cow_pool_close(world->pool), COW_OK);
    CHECK_EQ(process_n_descriptors(), world->n_descriptors);
    if (n_lost == 0) /* closing goes around what was lost */
        for (uint64_t at = 0; first.memory.base && at < PRESS_MAX_UNITS * world->unit_bytes; at += world->page_bytes)
            CHECK(is_unmapped(first.memory.base + at));
    for (int i = PRESS_TWO_RUNS; i < PRESS_N_IMAGES; i++)
        ref_image_free(world->image_models[i]);
}

/* ---- calls ---- */

static void begin(const struct press_world *world)
{
    if (world->begin_call)
        world->begin_call(world->self);
}

static void end(const struct press_world *world)
{
    if (world->end_call)
        world->end_call(world->self);
}

static uint64_t stride_of(const struct press_world *world)
{
    return (PRESS_MAX_UNITS + GUARD_UNITS) * world->unit_bytes;
}

/* Slots that an error took out of service are inaccessible, unless they are lost. */
static void expect_retired_out_of_reach(const struct press_world *world)
{
    const struct cow_stats stats = stats_of(world);
    uint64_t n_out_of_reach = 0;
    for (uint32_t i = 0; world->slots_base && i < world->n_slots; i++)
        n_out_of_reach += !press_can_touch(world->slots_base + i * stride_of(world));
    CHECK(!world->slots_base || n_out_of_reach >= stats.n_retired - stats.n_lost);
}

/* true: it went well. false: it failed as it may. */
static bool weigh(struct press_world *world, int result, const char *call)
{
    bool may_fail = false;
    for (size_t i = 0; i < sizeof world->errors / sizeof *world->errors; i++)
        may_fail |= result < 0 && result == world->errors[i];
    if (result == COW_FULL && world->errors[0]) { /* a slot may be lost for good */
        const struct cow_stats stats = stats_of(world);
        may_fail = stats.n_lost && stats.n_live + stats.n_lost == world->n_slots;
    }
    world->n_calls++;
    if (result == COW_OK)
        return true;
    if (!may_fail) {
        printf("not ok %s: %s\n", call, result < 0 ? strerror(-result) : cow_result_name(result));
        exit(1);
    }
    world->n_failed++;
    CHECK_EQ(stats_of(world).n_live, world->model.n_live);
    expect_retired_out_of_reach(world);
    check_pool(world);
    return false;
}

bool press_lend(struct press_world *world, struct press_tenant *tenant, enum press_image image, uint64_t initial_bytes)
{
    const struct cow_instance_config config = {
        .image = world->images[image], .initial_bytes = initial_bytes, .max_bytes = world->model.max_bytes};
    begin(world);
    const int result = cow_instantiate(world->pool, &config, &tenant->instance);
    end(world);
    tenant->model = NULL;
    if (!weigh(world, result, "cow_instantiate"))
        return false;
    CHECK_EQ(
        ref_instantiate(&world->model, world->image_models[image], initial_bytes, config.max_bytes, &tenant->model),
        COW_OK);
    tenant->paved_bytes = ref_accessible_bytes(tenant->model);
    CHECK_EQ(cow_instance_memory(world->pool, tenant->instance, &tenant->memory), COW_OK);
    world->slots_base = tenant->memory.base - tenant->memory.slot * stride_of(world);
    press_expect(world, tenant);
    return true;
}

bool press_grow(struct press_world *world, struct press_tenant *tenant, uint64_t delta_bytes)
{
    uint64_t old_bytes = UINT64_MAX, model_old_bytes;
    begin(world);
    const int result = cow_instance_grow(world->pool, tenant->instance, delta_bytes, &old_bytes);
    end(world);
    const bool is_done = weigh(world, result, "cow_instance_grow");
    if (is_done) {
        CHECK_EQ(ref_grow(tenant->model, delta_bytes, &model_old_bytes), COW_OK);
        CHECK_EQ(old_bytes, model_old_bytes);
    } else {
        CHECK_EQ(old_bytes, UINT64_MAX);
    }
    CHECK_EQ(cow_instance_memory(world->pool, tenant->instance, &tenant->memory), COW_OK);
    press_expect(world, tenant);
    return is_done;
}

/* The lease is over: the handle is stale. */
static void end_lease(struct press_world *world, struct press_tenant *tenant)
{
    struct cow_memory memory;
    CHECK_EQ(cow_instance_memory(world->pool, tenant->instance, &memory), COW_STALE);
    CHECK_EQ(ref_release(tenant->model), COW_OK);
    tenant->model = NULL;
    const struct cow_location location = cow_pool_locate(world->pool, tenant->memory.base);
    CHECK_EQ(location.place, COW_PLACE_OUT_OF_BOUNDS);
    CHECK_EQ(location.slot, tenant->memory.slot);
}

bool press_reset(struct press_world *world, struct press_tenant *tenant)
{
    begin(world);
    const int result = cow_instance_reset(world->pool, tenant->instance);
    end(world);
    if (result < 0)
        end_lease(world, tenant);
    if (!weigh(world, result, "cow_instance_reset"))
        return false;
    CHECK_EQ(ref_reset(tenant->model), COW_OK);
    CHECK_EQ(cow_instance_memory(world->pool, tenant->instance, &tenant->memory), COW_OK);
    press_expect(world, tenant);
    return true;
}

bool press_release(struct press_world *world, struct press_tenant *tenant)
{
    begin(world);
    const int result = cow_instance_release(world->pool, tenant->instance);
    end(world);
    end_lease(world, tenant);
    const bool is_done = weigh(world, result, "cow_instance_release");
    check_pool(world);
    return is_done;
}

void press_drop(struct press_world *world, enum press_image image)
{
    cow_image_drop(world->images[image]);
    world->images[image] = NULL; /* the model's one stays: memories still refer to it */
}

bool press_flush(struct press_world *world)
{
    begin(world);
    const int result = cow_pool_flush(world->pool);
    end(world);
    return weigh(world, result, "cow_pool_flush");
}

/* ---- memory ---- */

bool press_can_touch(const uint8_t *at)
{
    uint8_t bytes[16];
    struct rig_fault fault;
    rig_guest_set_range(at, 1);
    return rig_guest_load(at, 1, bytes, &fault);
}

static void complain(const struct press_tenant *tenant, uint64_t at, const char *format, ...)
{
    va_list arguments;
    printf("not ok byte %#" PRIx64 " of slot %" PRIu32 " (length %#" PRIx64 ", E %#" PRIx64 ") ", at,
           tenant->memory.slot, tenant->model->length_bytes, tenant->paved_bytes);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    exit(1);
}

static void expect_bytes(const struct press_tenant *tenant)
{
    const uint8_t *bytes = tenant->memory.base, *model = tenant->model->bytes;
    static sigjmp_buf landing;
    struct rig_fault fault = {0};
    rig_guest_set_range(bytes, tenant->memory.accessible_bytes);
    if (sigsetjmp(landing, 1))
        complain(tenant, fault.address - (uintptr_t)bytes, "cannot be read: signal %d", fault.signal);
    rig_guest_watch(&landing, &fault);
    const uint64_t length = tenant->model->length_bytes;
    for (uint64_t at = 0; memcmp(bytes, model, length) != 0 && at < length; at++)
        if (bytes[at] != model[at])
            complain(tenant, at, "is %02x, must be %02x", bytes[at], model[at]);
    rig_guest_end_watch();
}

void press_expect(const struct press_world *world, const struct press_tenant *tenant)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(tenant->model), slot_bytes = world->model.max_bytes;
    CHECK_EQ(tenant->memory.length_bytes, tenant->model->length_bytes);
    CHECK_EQ(tenant->memory.accessible_bytes, accessible_bytes);
    expect_bytes(tenant);
    const uint64_t edges[] = {accessible_bytes, slot_bytes - 1, slot_bytes};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        if (edges[i] >= accessible_bytes && press_can_touch(tenant->memory.base + edges[i]))
            complain(tenant, edges[i], "can be touched");
}

void press_write(struct press_world *world, struct press_tenant *tenant)
{
    uint8_t *const bytes = tenant->memory.base;
    const uint64_t length = tenant->memory.length_bytes, page = world->page_bytes;
    const uint64_t salt = ++world->salt;
    for (uint64_t at = 0; at < length; at++) {
        switch ((at / page + salt) % 4) {
        case 0:
            bytes[at] = (uint8_t)(1 + (at * 13 + at / page * 5 + salt * 29) % 255);
            break;
        case 1:
            bytes[at] = 0;
            break;
        case 2:
            bytes[at] = 0xc7;
            break;
        default:
            continue;
        }
        tenant->model->bytes[at] = bytes[at];
    }
    memset(bytes + length, 0xdb, tenant->memory.accessible_bytes - length);
}

/* ---- a life ---- */

static void press(struct press_world *world, const struct press_tenant *tenant)
{
    if (world->press)
        world->press(world, tenant);
}

struct stay {
    enum press_image image;
    uint64_t initial_bytes, delta_bytes;
};

/* From instantiate to release; each step only if the one before went well. Whether all did. */
static bool stay(struct press_world *world, struct press_tenant *guest, const struct stay *how)
{
    if (!press_lend(world, guest, how->image, how->initial_bytes))
        return false;
    for (int round = 0; round < 2; round++) {
        press_write(world, guest);
        if (press_grow(world, guest, how->delta_bytes))
            press_write(world, guest);
        press(world, guest);
        if (round == 1)
            break;
        press_expect(world, guest); /* it makes pages present again */
        press(world, guest);
        if (!press_reset(world, guest))
            return false;
    }
    const bool is_done = press_release(world, guest);
    press(world, guest);
    return is_done;
}

void press_life(struct press_world *world)
{
    const uint64_t unit = world->unit_bytes, lead = world->lead_bytes;
    const struct stay stays[] = {
        {PRESS_TWO_RUNS, lead + 32 * unit - 100, 16 * unit}, /* on a slot that was never used */
        {PRESS_TWO_RUNS, lead + 32 * unit - 100, 3 * unit},  /* warm */
        {PRESS_NONE, lead + 40 * unit, 20 * unit},           /* cold: another E, no image */
        {PRESS_SMALL, lead + 8 * unit + 1, 50 * unit},       /* cold, and much smaller */
        {PRESS_NONE, lead + 8 * unit + 1, 0},
        {PRESS_TWO_RUNS, lead + 40 * unit, 1}, /* cold */
    };
    struct press_tenant neighbour = {0}, guest = {0};
    const bool has_neighbour = press_lend(world, &neighbour, PRESS_TWO_RUNS, lead + 32 * unit);
    bool has_image = false;
    if (has_neighbour)
        press_write(world, &neighbour);
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        has_image = stay(world, &guest, &stays[i]) && stays[i].image == PRESS_TWO_RUNS;
        if (has_neighbour)
            press_expect(world, &neighbour);
        check_pool(world);
    }
    press_drop(world, PRESS_TWO_RUNS);
    if (press_flush(world) && has_image) /* the guest's slot has it no more; the neighbour keeps it */
        CHECK(!press_can_touch(guest.memory.base));
    stay(world, &guest, &stays[2]);
    if (has_neighbour) {
        press_expect(world, &neighbour);
        press(world, &neighbour);
        press_release(world, &neighbour);
    }
}

/* ---- looking at the machine ---- */

uint64_t press_pagemap(const void *address)
{
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;
    const off_t at = (off_t)((uintptr_t)address / (uintptr_t)sysconf(_SC_PAGESIZE) * sizeof entry);
    if (fd < 0 || pread(fd, &entry, sizeof entry, at) != (ssize_t)sizeof entry)
        CHECK_SKIP("/proc/self/pagemap cannot be read here");
    close(fd);
    return entry;
}

long press_number(const char *path, const char *word)
{
    const char *text = process_read(path);
    const char *found = word ? strstr(text, word) : text;
    found = found ? strpbrk(found, "0123456789") : NULL;
    return found ? strtol(found, NULL, 10) : -1;
}

void press_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}
