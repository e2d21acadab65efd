/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Each divergence that the rig can report about what the kernel reads and writes for a guest, and about children, fires. */
#include "lying.h"

#include <pthread.h>
#include <signal.h>

#define FINAL_POOL "cowpool-ops 1\npool slots=1 max=8P probe=none observe=final\n"
#define FORK_POOL "cowpool-ops 1\npool slots=1 max=8P probe=none enable=all\n"
#define TWO_PAGES FINAL_POOL "instantiate i0 none initial=2P\nhostread i0 0 len=1\nflush\n"

/* ---- what the kernel reads and writes ---- */

static int64_t reads_in_the_guard(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                                  int fd)
{
    return truth->host_read(subject, handle, offset + (is_lying() ? 8 * lying_page() : 0), length_bytes, fd);
}

static int64_t writes_in_the_guard(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                                   int fd)
{
    return truth->host_write(subject, handle, offset + (is_lying() ? 8 * lying_page() : 0), length_bytes, fd);
}

static void test_oracles__memory_that_the_kernel_cannot_touch_is_seen(void)
{
    liar.host_read = reads_in_the_guard;
    lying_expect(TWO_PAGES "hostread i0 0 len=64", "divergence: host hostread error", 3);
    CHECK(lying_says("the kernel moved -1 bytes (errno 14) where 64 are accessible"));
    liar.host_write = writes_in_the_guard;
    lying_expect(TWO_PAGES "hostwrite i0 0 len=64", "divergence: host hostwrite error", 3);
}

static int has_a_page_too_many(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lying_put_page(lying_at(2 * (int64_t)lying_page()));
    return result;
}

static void test_oracles__memory_that_the_kernel_can_touch_past_the_end_is_seen(void)
{
    liar.flush = has_a_page_too_many;
    lying_expect(TWO_PAGES "hostread i0 end-8 len=64", "divergence: host hostread count", 3);
    CHECK(lying_says("the kernel moved 64 bytes"));
    liar.flush = has_a_page_too_many;
    lying_expect(TWO_PAGES "hostwrite i0 end-8 len=64", "divergence: host hostwrite count", 3);
    liar.flush = has_a_page_too_many;
    lying_expect(TWO_PAGES "hostread i0 end len=64", "divergence: host hostread count", 3);
}

/* The rig's own file swallows everything. */
static int loses_the_file(struct rig_subject *subject)
{
    char path[64], target[64];
    const int result = lying_flush(subject);
    for (int fd = 0; fd < 4096 && is_lying(); fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        if (strncmp(target, "/memfd:lockstep-host", 20) != 0)
            continue;
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(dup3(null, fd, O_CLOEXEC) == fd);
        close(null);
    }
    return result;
}

static void test_oracles__a_file_that_gives_back_less_is_seen(void)
{
    liar.flush = loses_the_file;
    lying_expect(TWO_PAGES "hostread i0 0 len=64", "divergence: host hostread file", 3);
}

static int64_t where;

static int pokes(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        *lying_at(where) ^= 0x55;
    return result;
}

static void test_oracles__other_bytes_read_by_the_kernel_are_seen(void)
{
    liar.flush = pokes;
    where = 63;
    lying_expect(TWO_PAGES "hostread i0 0 len=64", "divergence: host hostread bytes", 3);
}

/* The second page can be read only, so that the kernel stops before it; and it holds neither the old byte nor the new one. */
static int tears(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    uint8_t *second = is_first_lie() ? lying_at((int64_t)lying_page()) : NULL;
    if (second) {
        second[3] = 0x01;
        lying_protect(second, PROT_READ);
    }
    return result;
}

static void test_oracles__a_byte_that_is_neither_old_nor_new_is_seen(void)
{
    liar.flush = tears;
    lying_expect(TWO_PAGES "hostwrite i0 0 to=end", "divergence: host hostwrite torn", 3);
}

static int writes_less(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lying_protect(lying_at((int64_t)lying_page()), PROT_READ);
    return result;
}

static void test_oracles__a_short_count_is_no_divergence(void)
{
    liar.flush = writes_less;
    liar.extension_file = NULL; /* which switches off who looks at mappings */
    /* Without a sweep, which would write to the page. */
    const struct rig_verdict verdict =
        lying_run("cowpool-ops 1\npool slots=1 max=8P probe=none observe=final sweep=no\n"
                  "instantiate i0 none initial=2P\nhostread i0 0 len=1\nflush\n"
                  "hostwrite i0 0 to=end",
                  true);
    CHECK_EQ(verdict.kind, RIG_AGREE);
    lying_begin(truth);
}

/* ---- children ---- */

static const char *complains(struct rig_subject *subject, uint64_t handle)
{
    return is_lying() ? "a child was seen to weep" : truth->in_child(subject, handle);
}

static void test_oracles__a_promise_about_children_that_is_broken_is_seen(void)
{
    liar.in_child = complains;
    lying_expect(FORK_POOL "instantiate i0 none\nflush\nfork", "divergence: fork fork child", 2);
    CHECK(lying_says("a child was seen to weep"));
}

static const char *dies(struct rig_subject *subject, uint64_t handle)
{
    if (is_lying())
        raise(SIGKILL);
    return truth->in_child(subject, handle);
}

static void test_oracles__a_child_that_dies_is_seen(void)
{
    liar.in_child = dies;
    lying_expect(FORK_POOL "instantiate i0 none\nflush\nfork", "divergence: fork fork child", 2);
    CHECK(lying_says("the child crashed"));
}

/* All slots at once, whoever has mapped something there. */
static const char *takes_over(struct rig_subject *subject, uint64_t handle)
{
    uintptr_t base = 0;
    size_t length_bytes = 0;
    truth->range(subject, &base, &length_bytes);
    if (is_lying())
        (void)mmap((void *)(base + lying_page()), length_bytes - lying_page(), PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return truth->in_child(subject, handle);
}

static void test_oracles__a_child_that_takes_what_another_handler_has_mapped_is_seen(void)
{
    liar.in_child = takes_over;
    lying_expect(FORK_POOL "instantiate i0 none\nflush\nfork", "divergence: fork fork child", 2);
    CHECK(lying_says("a child has lost what another fork handler had mapped"));
}

/* What becomes of the slot's first page in a child, behind the pool's own handler: that runs first, being older. */
enum { CHILD_HONEST, CHILD_WRITES, CHILD_READS, CHILD_HOLE };
static int how_to_change;
static uint8_t *child_page; /* NULL while honest */

static void change_child(void)
{
    static const int protections[] = {[CHILD_WRITES] = PROT_READ | PROT_WRITE, [CHILD_READS] = PROT_READ};
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (child_page && how_to_change == CHILD_HOLE)
        munmap(child_page, lying_page());
    else if (child_page && how_to_change)
        (void)mmap(child_page, lying_page(), protections[how_to_change], flags, -1, 0);
}

static int changes_children(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    child_page = is_first_lie() ? lying_at(0) : NULL;
    return result;
}

/* In every child from now on. The program runs honestly first, so that the pool's own handler is the older one. */
static void expect_child(int how, const char *program, const char *words)
{
    static bool is_registered;
    if (!is_registered)
        CHECK_EQ(lying_run(program, false).kind, RIG_AGREE);
    if (!is_registered)
        CHECK_EQ(pthread_atfork(NULL, NULL, change_child), 0);
    is_registered = true;
    liar.flush = changes_children;
    how_to_change = how;
    lying_expect(program, "divergence: fork fork child", 2);
    how_to_change = CHILD_HONEST;
    CHECK(lying_says(words));
}

static void test_oracles__a_child_that_can_write_to_a_slot_is_seen(void)
{
    expect_child(CHILD_WRITES, FORK_POOL "instantiate i0 none\nflush\nfork store i0 8", "a child can write to a slot");
}

static void test_oracles__a_child_that_can_read_a_slot_is_seen(void)
{
    expect_child(CHILD_READS, FORK_POOL "instantiate i0 none\nflush\nfork store i0 8", "a child can read a slot");
}

static void test_oracles__a_child_with_a_hole_where_the_pool_is_is_seen(void)
{
    expect_child(CHILD_HOLE, FORK_POOL "instantiate i0 none\nflush\nfork", "a child has a hole where the pool is");
}

int main(void)
{
    lying_begin(&rig_subject_pool);
    RUN(test_oracles__memory_that_the_kernel_cannot_touch_is_seen);
    RUN(test_oracles__memory_that_the_kernel_can_touch_past_the_end_is_seen);
    RUN(test_oracles__a_file_that_gives_back_less_is_seen);
    RUN(test_oracles__other_bytes_read_by_the_kernel_are_seen);
    RUN(test_oracles__a_byte_that_is_neither_old_nor_new_is_seen);
    RUN(test_oracles__a_short_count_is_no_divergence);
    RUN(test_oracles__a_promise_about_children_that_is_broken_is_seen);
    RUN(test_oracles__a_child_that_dies_is_seen);
    RUN(test_oracles__a_child_that_takes_what_another_handler_has_mapped_is_seen);
    RUN(test_oracles__a_child_that_can_write_to_a_slot_is_seen);
    RUN(test_oracles__a_child_that_can_read_a_slot_is_seen);
    RUN(test_oracles__a_child_with_a_hole_where_the_pool_is_is_seen);
    return 0;
}
