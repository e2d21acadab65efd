/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence that the rig can report about traps fires: one that is missing (there really is memory), one at a wrong
 * address, one attributed wrongly, and one where nothing may trap, in a guest's access or in the rig's own. */
#include "lying.h"

#define TRAP_POOL "cowpool-ops 1\npool slots=2 max=8P guard=2P probe=all\n"
#define NO_PROBES "cowpool-ops 1\npool slots=2 max=8P probe=none\n"
#define UNSEEN "cowpool-ops 1\npool slots=2 max=8P probe=none observe=final\n"

static uint64_t handle_before;
static int64_t where; /* the access to lie about; INT64_MAX: each */

static bool is_lying_about(const struct rig_access *access)
{
    return is_lying() && (where == INT64_MAX || access->offset == where);
}

/* ---- missing traps ---- */

/* The pages that the access needs are there. */
static void lets_through(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    struct cow_memory memory;
    if (is_lying_about(access) && truth->memory(subject, handle, &memory) == COW_OK)
        lying_put_page(memory.base + access->offset + access->width - 1);
    truth->access(subject, handle, access);
}

static void expect_missing(int64_t offset, const char *program, const char *place)
{
    char line[128];
    liar.access = lets_through;
    where = offset;
    snprintf(line, sizeof line, "divergence: trap %s", place);
    lying_expect(program, line, LYING_ANYWHERE);
    CHECK(lying_says("must trap, and did not (accessible: "));
}

#define TWO_PAGES TRAP_POOL "flush\ninstantiate i0 none initial=2P"

static void test_oracles__memory_right_behind_the_accessible_end_is_seen(void)
{
    expect_missing(2 * (int64_t)lying_page(), TWO_PAGES, "instantiate beyond");
}

static void test_oracles__memory_in_the_guard_before_is_seen(void)
{
    expect_missing(-1, TWO_PAGES, "instantiate before");
}

static void test_oracles__memory_in_the_last_byte_of_the_guard_behind_is_seen(void)
{
    expect_missing(10 * (int64_t)lying_page() - 1, TWO_PAGES, "instantiate guard");
}

static void test_oracles__memory_between_the_accessible_end_and_the_guard_is_seen(void)
{
    expect_missing(6 * (int64_t)lying_page(), TWO_PAGES, "instantiate beyond");
}

static void test_oracles__memory_up_to_the_end_of_the_tenant_before_is_seen(void)
{
    static const char tenants[] = "instantiate i0 none initial=2P\ngrow i0 +2P\nflush\nreuse i0 none initial=1P";
    char program[256];
    for (int i = 0; i < 2; i++) {
        snprintf(program, sizeof program, "cowpool-ops 1\npool slots=1 probe=%s\n%s", i ? "all" : "rotate", tenants);
        expect_missing(4 * (int64_t)lying_page() - 1, program, "reuse previous");
    }
}

static void test_oracles__a_program_s_own_access_that_does_not_trap_is_seen(void)
{
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nprobe i0 acc", "probe beyond");
    CHECK(lying_says("a 1-byte load at offset "));
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nstore i0 end width=8", "store beyond");
    CHECK(lying_says("a 8-byte store at offset "));
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nload i0 start-1 width=1",
                   "load before");
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nload i0 slot-4 width=4", "load guard");
}

static void test_oracles__a_straddling_access_that_does_not_trap_is_seen(void)
{
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nload i0 end-4 width=8", "load inside");
    expect_missing(INT64_MAX, NO_PROBES "instantiate i0 none initial=2P\nflush\nstore i0 end-1 width=2",
                   "store inside");
}

/* 64 operations that change nothing: the rotation comes to every place by itself. */
static void test_oracles__rotating_probes_come_to_every_place(void)
{
    const int64_t page = (int64_t)lying_page();
    const int64_t places[] = {2 * page, 4 * page - 1, -1, 2 * page + 7 * page / 2, 9 * page - 1};
    static const char *const names[] = {"previous", "previous", "before", "beyond", "guard"};
    char program[2048] = "cowpool-ops 1\npool slots=1 max=8P guard=1P probe=rotate\n"
                         "instantiate i0 none initial=4P\nreuse i0 none initial=2P\n";
    char line[64];
    for (size_t i = 0, n = strlen(program); i < 64; i++)
        n += (size_t)snprintf(program + n, sizeof program - n, "flush\n");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(line, sizeof line, "flush %s", names[i]);
        expect_missing(places[i], program, line);
    }
}

/* A store that traps late: the part before the accessible end has been written. */
static void tears(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    truth->access(subject, handle, access);
    if (is_lying() && access->kind == RIG_ACCESS_STORE && access->trapped)
        *lying_at(access->offset) ^= 0x55;
}

static void test_oracles__a_trapping_store_that_wrote_something_is_seen(void)
{
    liar.access = tears;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nstore i0 end-4 width=8",
                 "divergence: bytes store zero", 2);
}

/* ---- where a trap is ---- */

static void traps_elsewhere(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    truth->access(subject, handle, access);
    access->trap_offset += is_lying() && access->trapped;
}

static void test_oracles__a_wrong_address_of_a_trap_is_seen(void)
{
    liar.access = traps_elsewhere;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nprobe i0 acc",
                 "divergence: trap-address probe beyond", 2);
    CHECK(lying_says(", not at "));
    liar.access = traps_elsewhere;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nload i0 acc-1 width=2",
                 "divergence: trap-address load inside", 2);
    liar.access = traps_elsewhere;
    lying_expect(TWO_PAGES, "divergence: trap-address instantiate beyond", 1);
}

static void locates_inside(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    truth->access(subject, handle, access);
    if (is_lying() && access->trapped)
        access->trap_place = COW_PLACE_HOST_FAULT;
}

static void test_oracles__a_trap_that_the_pool_does_not_own_up_to_is_seen(void)
{
    liar.access = locates_inside;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nprobe i0 acc", "divergence: locate probe beyond", 2);
    CHECK(lying_says("is attributed to place 2, not to out of bounds"));
}

/* ---- traps where nothing may trap ---- */

static void forbids(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    if (is_lying())
        lying_protect(lying_at(access->offset), PROT_NONE);
    truth->access(subject, handle, access);
}

/* The same address, but through the handle of the instance in the slot before. */
static void asks_through_another_handle(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    const int64_t stride = 9 * (int64_t)lying_page();
    access->offset += is_lying() ? stride : 0;
    truth->access(subject, is_lying() ? handle_before : handle, access);
    access->offset -= is_lying() ? stride : 0;
    access->trap_offset -= is_lying() ? stride : 0;
}

static int notes_the_handle_before(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                                   uint64_t *ret_handle)
{
    handle_before = lying_state.handle;
    return lying_instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
}

static void test_oracles__a_trap_that_is_attributed_to_another_instance_is_seen(void)
{
    liar.access = asks_through_another_handle;
    liar.instantiate = notes_the_handle_before;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\ninstantiate i1 none initial=2P\nflush\nprobe i1 acc",
                 "divergence: locate probe beyond", 3);
    CHECK(lying_says("is attributed to place 0, not to out of bounds"));
}

static void test_oracles__an_access_in_bounds_that_traps_is_seen(void)
{
    liar.access = forbids;
    lying_expect(UNSEEN "instantiate i0 none initial=2P\nflush\nload i0 8 width=8",
                 "divergence: trap-unexpected load inside", 2);
    liar.access = forbids;
    lying_expect(UNSEEN "instantiate i0 none initial=2P\nflush\nstore i0 end-8 width=8",
                 "divergence: trap-unexpected store inside", 2);
}

static int forbids_first_page(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lying_protect(lying_at(0), PROT_NONE);
    return result;
}

static void test_oracles__a_fault_while_the_rig_compares_is_seen(void)
{
    liar.flush = forbids_first_page;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush", "divergence: trap-unexpected flush inside", 1);
    CHECK(lying_says("signal 11 at offset 0 of an instance of "));
    CHECK(lying_says("accessible memory is not accessible"));
}

static void forbids_writing(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                            uint64_t length_bytes)
{
    if (is_lying())
        lying_protect(lying_at((int64_t)offset), PROT_READ);
    truth->write(subject, handle, offset, bytes, length_bytes);
}

static void test_oracles__a_fault_while_host_code_writes_is_seen(void)
{
    liar.write = forbids_writing;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nfill i0 8 len=8",
                 "divergence: trap-unexpected fill inside", 2);
}

/* The base of a slot that nobody holds. */
static int another_base(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int64_t other = 9 * (int64_t)lying_page();
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying())
        ret_memory->base += ret_memory->slot == 0 ? other : -other;
    return result;
}

static void test_oracles__a_fault_in_no_live_instance_is_seen(void)
{
    liar.memory = another_base;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush", "divergence: trap-unexpected flush elsewhere", 1);
}

/* ---- where memories are ---- */

static void test_oracles__two_memories_at_one_base_are_seen(void)
{
    liar.memory = another_base;
    lying_expect(UNSEEN "instantiate i0 none initial=2P\nflush\ninstantiate i1 none",
                 "divergence: base instantiate overlap", 2);
    CHECK(lying_says("the one that i0 holds"));
}

static int base_one_page_further(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying() && ret_memory->slot == 1)
        ret_memory->base += lying_page();
    return result;
}

static void test_oracles__a_guard_that_nobody_reserved_is_seen(void)
{
    liar.memory = base_one_page_further;
    lying_expect(UNSEEN "instantiate i0 none\nflush\ninstantiate i1 none", "divergence: base instantiate outside", 2);
}

static int base_before_the_pool(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    const int result = truth->memory(subject, handle, ret_memory);
    if (result == COW_OK && is_lying())
        ret_memory->base -= 2 * lying_page();
    return result;
}

static void test_oracles__a_guard_before_that_nobody_reserved_is_seen(void)
{
    liar.memory = base_before_the_pool;
    lying_expect(UNSEEN "flush\ninstantiate i0 none", "divergence: base instantiate outside", 1);
}

/* Idle memory that cannot be read any more: nobody touches it until the sweep. */
static int forbids_idle_memory(struct rig_subject *subject, uint64_t handle)
{
    struct cow_memory memory;
    CHECK_EQ(truth->memory(subject, handle, &memory), COW_OK);
    const int result = truth->release(subject, handle);
    if (is_lying())
        lying_protect(memory.base, PROT_NONE);
    return result;
}

static void test_oracles__a_fault_in_the_sweep_is_seen_and_leaks_nothing(void)
{
    liar.release = forbids_idle_memory;
    lying_expect(NO_PROBES "instantiate i0 none initial=2P\nflush\nrelease i0",
                 "divergence: trap-unexpected end inside", 3);
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__memory_right_behind_the_accessible_end_is_seen);
    RUN(test_oracles__memory_in_the_guard_before_is_seen);
    RUN(test_oracles__memory_in_the_last_byte_of_the_guard_behind_is_seen);
    RUN(test_oracles__memory_between_the_accessible_end_and_the_guard_is_seen);
    RUN(test_oracles__memory_up_to_the_end_of_the_tenant_before_is_seen);
    RUN(test_oracles__a_program_s_own_access_that_does_not_trap_is_seen);
    RUN(test_oracles__a_straddling_access_that_does_not_trap_is_seen);
    RUN(test_oracles__rotating_probes_come_to_every_place);
    RUN(test_oracles__a_trapping_store_that_wrote_something_is_seen);
    RUN(test_oracles__a_wrong_address_of_a_trap_is_seen);
    RUN(test_oracles__a_trap_that_the_pool_does_not_own_up_to_is_seen);
    RUN(test_oracles__a_trap_that_is_attributed_to_another_instance_is_seen);
    RUN(test_oracles__an_access_in_bounds_that_traps_is_seen);
    RUN(test_oracles__a_fault_while_the_rig_compares_is_seen);
    RUN(test_oracles__a_fault_while_host_code_writes_is_seen);
    RUN(test_oracles__a_fault_in_no_live_instance_is_seen);
    RUN(test_oracles__two_memories_at_one_base_are_seen);
    RUN(test_oracles__a_guard_that_nobody_reserved_is_seen);
    RUN(test_oracles__a_guard_before_that_nobody_reserved_is_seen);
    RUN(test_oracles__a_fault_in_the_sweep_is_seen_and_leaks_nothing);
    return 0;
}
