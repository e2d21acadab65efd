/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The kernel behind the subject's back: advice about pages, and references that kernel I/O keeps to them (vmsplice(2) into a pipe). Who
 * reads the pipe later must find bytes of the lease that was pinned: those of the moment, or, where page and pipe were still one,
 * those that it held in the end. Never the next tenant's. */
#include "state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* As many pages as a pipe holds unless told otherwise (pipe(7)). */
enum { MAX_PAGES = 16, MAX_PINS = 8 };

struct rig_pin {
    struct rig_pin *next;
    int read_end;
    uint32_t generation;
    uint64_t offset, length_bytes;
    uint8_t *then, *finally; /* what the lease held when it was pinned; and in the end: NULL until then */
};

static const struct rig_outcome noop = {.kind = RIG_OUTCOME_NOOP};
static const struct rig_outcome ok = {.kind = RIG_OUTCOME_OK};

static uint8_t *copy(struct rig_run *run, const struct rig_lease *lease, uint64_t offset, uint64_t length_bytes)
{
    return memcpy(rig_allocate(run, length_bytes), lease->model->bytes + offset, length_bytes);
}

/* [*ret_offset, + *ret_length) of the operation, cut to the length; false when nothing is left of it. */
static bool find_range(const struct rig_run *run, const struct rig_op *op, const struct rig_lease *lease,
                       uint64_t *ret_offset, uint64_t *ret_length_bytes)
{
    *ret_offset = 0;
    *ret_length_bytes = lease->model->length_bytes;
    if (op->kind == RIG_PIN && op->form == RIG_PIN_WHOLE)
        return *ret_length_bytes > 0;
    return rig_resolve_cut_range(run, lease, op, lease->model->length_bytes, ret_offset, ret_length_bytes);
}

static struct rig_outcome advise(const struct rig_run *run, const struct rig_op *op, const struct rig_lease *lease)
{
    static const int advices[RIG_N_ADVICES] = {[RIG_ADVICE_COLD] = 20 /* MADV_COLD */,
                                               [RIG_ADVICE_PAGEOUT] = 21 /* MADV_PAGEOUT, both Linux 5.4 */,
                                               [RIG_ADVICE_WILLNEED] = MADV_WILLNEED};
    const uint64_t page_bytes = run->geometry.page_bytes;
    uint64_t offset, length_bytes;
    if (!find_range(run, op, lease, &offset, &length_bytes))
        return noop;
    const uint64_t begin = offset / page_bytes * page_bytes;
    const uint64_t end = (offset + length_bytes + page_bytes - 1) / page_bytes * page_bytes;
    /* A kernel that does not know the advice has not followed it. */
    (void)madvise(lease->base + begin, end - begin, advices[op->choice]);
    return ok;
}

/* ---- pins ---- */

uint32_t rig_count_pins(const struct rig_run *run)
{
    uint32_t n = 0;
    for (const struct rig_pin *pin = run->pins; pin; pin = pin->next)
        n++;
    return n;
}

static struct rig_outcome pin(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    uint64_t offset, length_bytes;
    int ends[2];
    if (rig_count_pins(run) == MAX_PINS || !find_range(run, op, lease, &offset, &length_bytes) ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return noop;
    const uint64_t room = MAX_PAGES * page_bytes - offset % page_bytes;
    struct iovec piece = {.iov_base = lease->base + offset, .iov_len = length_bytes < room ? length_bytes : room};
    const ssize_t n = vmsplice(ends[1], &piece, 1, SPLICE_F_NONBLOCK);
    close(ends[1]);
    if (n <= 0) {
        close(ends[0]);
        return noop;
    }
    struct rig_pin *it = rig_allocate(run, sizeof *it);
    *it = (struct rig_pin){.next = run->pins,
                           .read_end = ends[0],
                           .generation = lease->generation,
                           .offset = offset,
                           .length_bytes = (uint64_t)n,
                           .then = copy(run, lease, offset, (uint64_t)n)};
    run->pins = it;
    run->changed = true;
    if (run->ops->taint) { /* as whoever uses vmsplice must */
        lease->is_tainted = true;
        (void)rig_same_result(run, COW_OK, run->ops->taint(run->subject, lease->handle));
    }
    return ok;
}

void rig_settle_pins(struct rig_run *run, const struct rig_lease *lease)
{
    for (struct rig_pin *pin = run->pins; pin; pin = pin->next)
        if (pin->generation == lease->generation && !pin->finally)
            pin->finally = copy(run, lease, pin->offset, pin->length_bytes);
}

/* Reads the pipe out and compares. */
static void let_go(struct rig_run *run, const struct rig_pin *pin)
{
    uint8_t *bytes = rig_buffer(run, pin->length_bytes);
    uint64_t n = 0;
    ssize_t n_read = 1;
    while (n < pin->length_bytes && (n_read = read(pin->read_end, bytes + n, pin->length_bytes - n)) > 0)
        n += (uint64_t)n_read;
    close(pin->read_end);
    if (n != pin->length_bytes)
        rig_diverge(run, "pin", "count", "%ju bytes were pinned, %ju came back", (uintmax_t)pin->length_bytes,
                    (uintmax_t)n);
    for (uint64_t i = 0; i < n && !run->failed; i++)
        if (bytes[i] != pin->then[i] && bytes[i] != pin->finally[i])
            rig_diverge(
                run, "pin", "bytes",
                "a pinned byte of generation %u, at offset %ju, came back as %02x: it was %02x, and %02x in the end",
                pin->generation, (uintmax_t)(pin->offset + i), bytes[i], pin->then[i], pin->finally[i]);
}

static struct rig_outcome unpin(struct rig_run *run, const struct rig_lease *lease)
{
    struct rig_pin **link = &run->pins, *pin;
    bool any = false;
    if (lease->model)
        rig_settle_pins(run, lease); /* so far */
    while ((pin = *link)) {
        if (pin->generation != lease->generation || run->failed) {
            link = &pin->next;
            continue;
        }
        *link = pin->next;
        let_go(run, pin);
        any = true;
    }
    run->changed = run->changed || any;
    return any ? ok : noop;
}

struct rig_outcome rig_operate_pin(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    if (!run->ops->range) /* its memory is not real */
        return noop;
    if (op->kind == RIG_UNPIN)
        return unpin(run, lease);
    return op->kind == RIG_PIN ? pin(run, op, lease) : advise(run, op, lease);
}

void rig_close_pins(struct rig_run *run)
{
    struct rig_pin *pin;
    while (!run->failed && (pin = run->pins)) { /* every lease has ended, and so every pin is settled */
        run->pins = pin->next;
        let_go(run, pin);
    }
}

void rig_free_pins(struct rig_run *run)
{
    for (const struct rig_pin *pin = run->pins; pin; pin = pin->next)
        close(pin->read_end);
    run->pins = NULL;
}
