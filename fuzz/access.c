/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Operations that read or write a memory: guest instructions, bulk instructions, host code, the kernel. */
#include "state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct rig_outcome noop = {.kind = RIG_OUTCOME_NOOP};
static const struct rig_outcome ok = {.kind = RIG_OUTCOME_OK};
static const struct rig_outcome out_of_bounds = {.kind = RIG_OUTCOME_REFUSED, .refusal = RIG_BOUNDS};

/* ---- places ---- */

int64_t rig_resolve(const struct rig_run *run, const struct rig_lease *lease, struct rig_at at)
{
    const struct ref_memory *model = lease->model;
    const uint64_t edges[RIG_N_EDGES] = {
        [RIG_EDGE_START] = 0,
        [RIG_EDGE_IMAGE] = model->image ? model->image->data_end_bytes : 0,
        [RIG_EDGE_END] = model->length_bytes,
        [RIG_EDGE_ACC] = ref_accessible_bytes(model),
        [RIG_EDGE_MAX] = model->max_bytes,
        [RIG_EDGE_SLOT] = run->stride_bytes,
        [RIG_EDGE_PREV] = lease->previous_bytes,
    };
    const int64_t offset = (int64_t)rig_size_bytes(run, at.offset); /* below 2^58 */
    return (int64_t)edges[at.edge] + (at.minus ? -offset : offset);
}

/* [*ret_offset, + *ret_length) of a range; false when it ends before it begins. */
static bool resolve_range(const struct rig_run *run, const struct rig_lease *lease, const struct rig_op *op,
                          int64_t *ret_offset, uint64_t *ret_length_bytes)
{
    const int64_t begin = rig_resolve(run, lease, op->at);
    const int64_t end =
        op->form == RIG_RANGE_TO ? rig_resolve(run, lease, op->other) : begin + (int64_t)rig_size_bytes(run, op->len);
    *ret_offset = begin;
    *ret_length_bytes = (uint64_t)(end - begin);
    return end >= begin;
}

bool rig_resolve_cut_range(const struct rig_run *run, const struct rig_lease *lease, const struct rig_op *op,
                           uint64_t limit, uint64_t *ret_offset, uint64_t *ret_length_bytes)
{
    int64_t begin;
    uint64_t length_bytes;
    if (!resolve_range(run, lease, op, &begin, &length_bytes))
        return false;
    int64_t end = begin + (int64_t)length_bytes;
    begin = begin < 0 ? 0 : begin;
    end = end > (int64_t)limit ? (int64_t)limit : end;
    if (begin >= end)
        return false;
    *ret_offset = (uint64_t)begin;
    *ret_length_bytes = (uint64_t)(end - begin);
    return true;
}

static bool is_in_bounds(const struct rig_lease *lease, int64_t offset, uint64_t length_bytes)
{
    const uint64_t size = lease->model->length_bytes;
    return offset >= 0 && (uint64_t)offset <= size && length_bytes <= size - (uint64_t)offset;
}

/* ---- both sides at once ---- */

/* What does not turn out to be slack is the model's too. */
static void write_both(struct rig_run *run, struct rig_lease *lease, uint64_t offset, const uint8_t *bytes,
                       uint64_t length_bytes)
{
    struct ref_memory *model = lease->model;
    const uint64_t room = offset < model->length_bytes ? model->length_bytes - offset : 0;
    const uint64_t visible = length_bytes < room ? length_bytes : room;
    if (length_bytes == 0)
        return;
    rig_note_write(run, lease->generation, lease->slot, offset, length_bytes);
    rig_guest_watch(&run->landing, &run->fault);
    run->ops->write(run->subject, lease->handle, offset, bytes, length_bytes);
    rig_guest_end_watch();
    run->changed = run->changed || (visible && memcmp(model->bytes + offset, bytes, visible) != 0);
    ref_scribble(model, offset, bytes, length_bytes);
}

void rig_write_stamps(struct rig_run *run, struct rig_lease *lease, uint64_t offset, uint64_t length_bytes)
{
    uint8_t *bytes = rig_buffer(run, length_bytes);
    rig_stamp_range(run, lease, offset, bytes, length_bytes);
    write_both(run, lease, offset, bytes, length_bytes);
}

/* ---- guest instructions ---- */

static struct rig_outcome load_or_store(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    struct rig_access access = {.kind = op->kind == RIG_STORE ? RIG_ACCESS_STORE : RIG_ACCESS_LOAD,
                                .width = op->kind == RIG_PROBE ? 1 : op->width};
    const int64_t lowest = rig_lowest_offset(run), highest = (int64_t)run->stride_bytes - (int64_t)access.width;
    access.offset = rig_resolve(run, lease, op->at);
    access.offset = access.offset < lowest ? lowest : access.offset > highest ? highest : access.offset;
    if (access.offset < lowest) /* a slot narrower than the access */
        return noop;
    const bool is_inside = is_in_bounds(lease, access.offset, access.width);
    if (access.kind == RIG_ACCESS_STORE && is_inside)
        rig_stamp_range(run, lease, (uint64_t)access.offset, access.bytes, access.width);
    const struct rig_outcome outcome = rig_guest_access(run, lease, &access);
    if (outcome.kind != RIG_OUTCOME_OK || run->failed)
        return outcome;
    uint8_t *model_bytes = lease->model->bytes + access.offset;
    if (access.kind == RIG_ACCESS_STORE) {
        rig_note_write(run, lease->generation, lease->slot, (uint64_t)access.offset, access.width);
        memcpy(model_bytes, access.bytes, access.width);
        run->changed = true;
    } else if (memcmp(model_bytes, access.bytes, access.width) != 0) {
        uint64_t i = 0;
        while (model_bytes[i] == access.bytes[i])
            i++;
        rig_diverge_byte(run, lease, (uint64_t)access.offset + i, access.bytes + i, access.width - i);
    }
    return outcome;
}

/* ---- bulk instructions: the engine checks the range, then host code does the work ---- */

static struct rig_outcome fill(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    int64_t offset;
    uint64_t length_bytes;
    if (!resolve_range(run, lease, op, &offset, &length_bytes))
        return noop;
    if (!is_in_bounds(lease, offset, length_bytes))
        return out_of_bounds;
    if (!op->has_byte) {
        rig_write_stamps(run, lease, (uint64_t)offset, length_bytes);
        return ok;
    }
    uint8_t *bytes = rig_buffer(run, length_bytes);
    memset(bytes, op->byte, length_bytes);
    write_both(run, lease, (uint64_t)offset, bytes, length_bytes);
    return ok;
}

static struct rig_outcome copy(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    const int64_t to = rig_resolve(run, lease, op->at), from = rig_resolve(run, lease, op->other);
    const uint64_t length_bytes = rig_size_bytes(run, op->len);
    if (!is_in_bounds(lease, to, length_bytes) || !is_in_bounds(lease, from, length_bytes))
        return out_of_bounds;
    uint8_t *bytes = rig_buffer(run, length_bytes);
    memcpy(bytes, lease->model->bytes + from, length_bytes);
    write_both(run, lease, (uint64_t)to, bytes, length_bytes);
    return ok;
}

static struct rig_outcome init(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    const struct rig_image *image = &lease->image;
    const int64_t to = rig_resolve(run, lease, op->at);
    const uint64_t from = rig_size_bytes(run, op->len2), length_bytes = rig_size_bytes(run, op->len);
    if (!image->subject || image->n_segments == 0)
        return noop;
    const struct cow_segment *segment = &image->segments[op->segment % image->n_segments];
    if (from > segment->length_bytes || length_bytes > segment->length_bytes - from ||
        !is_in_bounds(lease, to, length_bytes))
        return out_of_bounds;
    write_both(run, lease, (uint64_t)to, (const uint8_t *)segment->bytes + from, length_bytes);
    return ok;
}

struct rig_outcome rig_operate_guest(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    switch (op->kind) {
    case RIG_FILL:
        return fill(run, op, lease);
    case RIG_COPY:
        return copy(run, op, lease);
    case RIG_INIT:
        return init(run, op, lease);
    default:
        return load_or_store(run, op, lease);
    }
}

/* ---- host code and the kernel ---- */

/* A misbehaving engine writes where the hardware lets it: slack too. */
static struct rig_outcome scribble(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    uint64_t offset, length_bytes;
    if (!rig_resolve_cut_range(run, lease, op, ref_accessible_bytes(lease->model), &offset, &length_bytes))
        return noop;
    rig_write_stamps(run, lease, offset, length_bytes);
    return ok;
}

/* A memory file: pipes and sockets report EFAULT after they have written some. */
static int scratch_file(struct rig_run *run)
{
    if (run->scratch_fd < 0)
        run->scratch_fd = memfd_create("lockstep-host", MFD_CLOEXEC);
    return run->scratch_fd;
}

/* How many bytes the kernel may have moved: at most those in bounds, and none is an error. False: a divergence. */
static bool check_count(struct rig_run *run, int64_t n, uint64_t in_bounds)
{
    if ((n == -EFAULT && in_bounds == 0) || (n < 0 && run->options->foreign_faults))
        return true;
    if (n > 0 && (uint64_t)n <= in_bounds)
        return true;
    rig_diverge(run, "host", n < 0 ? "error" : "count",
                "the kernel moved %jd bytes (errno %d) where %ju are accessible", (intmax_t)(n < 0 ? -1 : n),
                n < 0 ? (int)-n : 0, (uintmax_t)in_bounds);
    return false;
}

static bool is_slack(const struct ref_memory *model, uint64_t at)
{
    return at >= model->length_bytes && at < ref_slack_end_bytes(model);
}

static uint8_t byte_of(const struct ref_memory *model, uint64_t at)
{
    return at < model->kept_bytes ? model->bytes[at] : 0;
}

/* Everywhere but in the slack, where there may be anything. */
static bool agree(const struct ref_memory *model, uint64_t offset, const uint8_t *bytes, uint64_t n_bytes)
{
    uint64_t i = 0;
    while (i < n_bytes && (is_slack(model, offset + i) || bytes[i] == byte_of(model, offset + i)))
        i++;
    return i == n_bytes;
}

static struct rig_outcome host_read(struct rig_run *run, struct rig_lease *lease, uint64_t offset,
                                    uint64_t length_bytes)
{
    const struct ref_memory *model = lease->model;
    const uint64_t accessible_bytes = ref_accessible_bytes(model),
                   room = offset < accessible_bytes ? accessible_bytes - offset : 0;
    const uint64_t in_bounds = length_bytes < room ? length_bytes : room;
    const int64_t n = run->ops->host_read(run->subject, lease->handle, offset, length_bytes, scratch_file(run));
    if (!check_count(run, n, in_bounds) || n < 0)
        return n < 0 ? out_of_bounds : ok;
    uint8_t *bytes = rig_buffer(run, (uint64_t)n);
    const ssize_t n_read = pread(run->scratch_fd, bytes, (size_t)n, 0);
    if (n_read < 0 && run->options->foreign_faults) /* nothing can be said of it */
        return ok;
    if (n_read != n)
        rig_diverge(run, "host", "file", "the file gave back less than was written to it");
    else if (!agree(model, offset, bytes, (uint64_t)n))
        rig_diverge(run, "host", "bytes", "the kernel read other bytes at offset %ju than the model holds",
                    (uintmax_t)offset);
    return ok;
}

/* Beyond the count each byte is old or new: the model takes over which. */
static void adopt(struct rig_run *run, struct rig_lease *lease, const uint8_t *base, uint64_t offset, uint8_t *bytes,
                  uint64_t n, uint64_t n_certain)
{
    struct ref_memory *model = lease->model;
    rig_guest_watch(&run->landing, &run->fault);
    for (uint64_t i = 0; i < n && !run->failed; i++) {
        const uint8_t old = byte_of(model, offset + i), now = i < n_certain ? bytes[i] : base[offset + i];
        if (now != old && now != bytes[i] && !is_slack(model, offset + i))
            rig_diverge(run, "host", "torn", "after a host write the byte at offset %ju is neither old nor new",
                        (uintmax_t)(offset + i));
        bytes[i] = now;
        run->changed = run->changed || (now != old && offset + i < model->length_bytes);
    }
    rig_guest_end_watch();
    if (n && !run->failed)
        ref_scribble(model, offset, bytes, n);
}

static struct rig_outcome host_write(struct rig_run *run, struct rig_lease *lease, uint8_t *base, uint64_t offset,
                                     uint64_t length_bytes)
{
    const uint64_t accessible_bytes = ref_accessible_bytes(lease->model),
                   room = offset < accessible_bytes ? accessible_bytes - offset : 0;
    const uint64_t in_bounds = length_bytes < room ? length_bytes : room;
    uint8_t *bytes = rig_buffer(run, length_bytes);
    rig_stamp_range(run, lease, offset, bytes, length_bytes);
    if (pwrite(scratch_file(run), bytes, length_bytes, 0) != (ssize_t)length_bytes)
        return noop; /* no memory for the file: nothing has happened yet */
    rig_note_write(run, lease->generation, lease->slot, offset, in_bounds);
    const int64_t n = run->ops->host_write(run->subject, lease->handle, offset, length_bytes, run->scratch_fd);
    if (check_count(run, n, in_bounds))
        adopt(run, lease, base, offset, bytes, in_bounds, n < 0 ? 0 : (uint64_t)n);
    return n < 0 ? out_of_bounds : ok;
}

struct rig_outcome rig_operate_host(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease)
{
    uint64_t offset, length_bytes;
    struct cow_memory memory;
    if (op->kind == RIG_SCRIBBLE)
        return scribble(run, op, lease);
    const uint64_t limit = run->stride_bytes < RIG_MAX_LENGTH_BYTES ? run->stride_bytes : RIG_MAX_LENGTH_BYTES;
    /* Without a guard, the bytes behind a full slot are another's: the kernel would be right to touch them. */
    if (!run->ops->host_read || !run->ops->host_write || scratch_file(run) < 0 ||
        !rig_resolve_cut_range(run, lease, op, limit, &offset, &length_bytes) ||
        run->ops->memory(run->subject, lease->handle, &memory) != COW_OK)
        return noop;
    return op->kind == RIG_HOSTREAD ? host_read(run, lease, offset, length_bytes)
                                    : host_write(run, lease, memory.base, offset, length_bytes);
}
