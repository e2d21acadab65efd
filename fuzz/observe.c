/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Comparing lengths and every byte. `full` loads everything. Loading makes pages resident and can hide a bug, so `quiet` loads
 * only what is resident already, and reads the rest from the files behind it, or knows it to be zero. */
#include "kernel_view.h"
#include "state.h"

#include <string.h>

static void compare(struct rig_run *run, const struct rig_lease *lease, uint64_t offset, const uint8_t *subject_bytes,
                    uint64_t n_bytes)
{
    const uint8_t *model_bytes = lease->model->bytes + offset;
    if (n_bytes == 0 || memcmp(subject_bytes, model_bytes, n_bytes) == 0 || run->failed)
        return;
    uint64_t i = 0;
    while (subject_bytes[i] == model_bytes[i])
        i++;
    rig_diverge_byte(run, lease, offset + i, subject_bytes + i, n_bytes - i);
}

/* Pages that are not resident, in pieces of the buffer. */
static void compare_absent(struct rig_run *run, const struct rig_lease *lease, uint64_t offset, uint64_t n_bytes)
{
    enum { PIECE = 1 << 16 };
    uint8_t *bytes = rig_buffer(run, PIECE);
    for (uint64_t done = 0; done < n_bytes && !run->failed; done += PIECE) {
        const uint64_t n = n_bytes - done < PIECE ? n_bytes - done : PIECE;
        const int result = run->ops->peek(run->subject, lease->slot, offset + done, bytes, n);
        if (result && run->options->foreign_faults) /* nothing can be said of it */
            continue;
        if (result)
            rig_diverge(run, "peek", "file", "the file behind offset %ju cannot be read", (uintmax_t)(offset + done));
        else
            compare(run, lease, offset + done, bytes, n);
    }
}

static void compare_quietly(struct rig_run *run, const struct rig_lease *lease, const uint8_t *base)
{
    enum { N_PAGES = 512 };
    uint8_t resident[N_PAGES];
    const uint64_t page_bytes = run->geometry.page_bytes, length_bytes = lease->model->length_bytes;
    for (uint64_t offset = 0; offset < length_bytes && !run->failed; offset += N_PAGES * page_bytes) {
        const uint64_t left = (length_bytes - offset + page_bytes - 1) / page_bytes;
        const uint64_t n_pages = left < N_PAGES ? left : N_PAGES;
        if (run->ops->residency(run->subject, lease->slot, offset, n_pages, resident)) {
            run->failed = true;
            run->verdict->kind = RIG_UNABLE;
            strcpy(run->verdict->line, "observe=quiet needs /proc/self/pagemap, which cannot be read here");
            return;
        }
        for (uint64_t first = 0, next; first < n_pages; first = next) {
            for (next = first + 1; next < n_pages && (resident[next] ^ resident[first]) % 2 == 0;)
                next++;
            const uint64_t begin = offset + first * page_bytes, end = offset + next * page_bytes;
            const uint64_t n = (end < length_bytes ? end : length_bytes) - begin;
            if (resident[first] & RIG_PAGE_PRESENT)
                compare(run, lease, begin, base + begin, n);
            else
                compare_absent(run, lease, begin, n);
        }
    }
}

static bool compare_lengths(struct rig_run *run, const struct rig_lease *lease, struct cow_memory *ret_memory)
{
    const struct ref_memory *model = lease->model;
    if (!rig_same_result(run, COW_OK, run->ops->memory(run->subject, lease->handle, ret_memory)))
        return false;
    if (ret_memory->length_bytes != model->length_bytes)
        rig_diverge(run, "length", "length", "the length is %ju bytes, not %ju", (uintmax_t)ret_memory->length_bytes,
                    (uintmax_t)model->length_bytes);
    else if (ret_memory->accessible_bytes != ref_accessible_bytes(model))
        rig_diverge(run, "length", "accessible", "%ju bytes are accessible, not %ju",
                    (uintmax_t)ret_memory->accessible_bytes, (uintmax_t)ref_accessible_bytes(model));
    else if (ret_memory->max_bytes != model->max_bytes)
        rig_diverge(run, "length", "maximum", "the maximum is %ju bytes, not %ju", (uintmax_t)ret_memory->max_bytes,
                    (uintmax_t)model->max_bytes);
    else if (run->ops->range && ret_memory->base != lease->base) /* memory that is real */
        rig_suspect(run, "base", "moved", "the memory is %jd bytes from where it was lent",
                    (intmax_t)(ret_memory->base - lease->base));
    return !run->failed;
}

void rig_compare_lease(struct rig_run *run, const struct rig_lease *lease, enum rig_observe how)
{
    struct cow_memory memory;
    if (!compare_lengths(run, lease, &memory))
        return;
    rig_guest_watch(&run->landing, &run->fault);
    if (how == RIG_OBSERVE_QUIET && run->ops->residency && run->ops->peek)
        compare_quietly(run, lease, memory.base);
    else
        compare(run, lease, 0, memory.base, lease->model->length_bytes);
    rig_guest_end_watch();
}

void rig_observe(struct rig_run *run, enum rig_observe how)
{
    for (uint32_t i = 0; i < RIG_N_REGISTERS && !run->failed; i++)
        if (run->registers[i].held[0].model)
            rig_compare_lease(run, &run->registers[i].held[0], how);
}
