/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The report of a divergence: what people see. */
#include "state.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *rig_result_name(int result)
{
    return result == RIG_BOUNDS ? "bounds" : cow_result_name(result);
}

static const char *op_name(const struct rig_run *run)
{
    return run->op < run->program->n_ops ? rig_kind_name[run->program->ops[run->op].kind] : "end";
}

/* The program up to the divergence, with numbers as in the trace. */
static void print_program(FILE *out, const struct rig_run *run)
{
    struct rig_program head = *run->program;
    head.n_ops = 0;
    fputs("\nthe program so far:\n", out);
    rig_print_program(out, &head, NULL, NULL);
    for (uint32_t i = 0; i <= run->op && i < run->program->n_ops; i++) {
        fprintf(out, "%s%3u  ", i == run->op ? ">" : " ", i);
        rig_print_op(out, &run->program->ops[i]);
        fputc('\n', out);
    }
    if (run->op >= run->program->n_ops)
        fputs(">     (the end: everything is released, swept and closed)\n", out);
}

static FILE *begin_report(struct rig_run *run, const char *kind, const char *place, char **text, size_t *size)
{
    struct rig_verdict *verdict = run->verdict;
    FILE *out = open_memstream(text, size);
    run->failed = true;
    verdict->kind = RIG_DIVERGED;
    verdict->op = run->op;
    verdict->counters.n_divergences++;
    snprintf(verdict->line, sizeof verdict->line, "divergence: %s %s %s", kind, op_name(run), place);
    if (out)
        fprintf(out, "%s\nat operation %u (%s), subject %s\n\n", verdict->line, run->op, op_name(run), run->ops->name);
    return out;
}

static void tell_suspicion(FILE *out, const struct rig_run *run)
{
    if (run->suspicion.report)
        fprintf(out, "\nbefore that, at operation %u: %s\n", run->suspicion.op, run->suspicion.line);
}

static void finish_report(struct rig_run *run, FILE *out, char **text)
{
    if (!out)
        return;
    tell_suspicion(out, run);
    print_program(out, run);
    fclose(out);
    run->verdict->report = *text;
}

void rig_diverge(struct rig_run *run, const char *kind, const char *place, const char *format, ...)
{
    char *text = NULL;
    size_t size = 0;
    va_list arguments;
    if (run->failed)
        return;
    FILE *out = begin_report(run, kind, place, &text, &size);
    if (out) {
        va_start(arguments, format);
        vfprintf(out, format, arguments);
        va_end(arguments);
        fputc('\n', out);
    }
    finish_report(run, out, &text);
}

/* ---- what waits for something worse ---- */

void rig_suspect(struct rig_run *run, const char *kind, const char *place, const char *format, ...)
{
    struct rig_verdict *suspicion = &run->suspicion;
    size_t size = 0;
    va_list arguments;
    if (run->failed || suspicion->report)
        return;
    *suspicion = (struct rig_verdict){.kind = RIG_DIVERGED, .op = run->op};
    snprintf(suspicion->line, sizeof suspicion->line, "divergence: %s %s %s", kind, op_name(run), place);
    FILE *out = open_memstream(&suspicion->report, &size);
    if (!out)
        return;
    fprintf(out, "%s\nat operation %u (%s), subject %s\n\n", suspicion->line, run->op, op_name(run), run->ops->name);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
    print_program(out, run);
    fclose(out);
}

void rig_settle(struct rig_run *run)
{
    struct rig_verdict *suspicion = &run->suspicion;
    if (run->failed || run->verdict->kind != RIG_AGREE || !suspicion->report) {
        free(suspicion->report);
    } else {
        run->verdict->kind = suspicion->kind;
        run->verdict->op = run->op = suspicion->op;
        run->verdict->report = suspicion->report;
        memcpy(run->verdict->line, suspicion->line, sizeof suspicion->line);
        run->verdict->counters.n_divergences++;
    }
    suspicion->report = NULL;
}

/* ---- bytes ---- */

static const char *class_of(const struct rig_lease *lease, const struct rig_run *run, uint64_t offset)
{
    const struct ref_memory *model = lease->model;
    const uint64_t page_bytes = run->geometry.page_bytes;
    if (model->image && offset < model->image->data_end_bytes)
        return "image";
    return offset < (model->initial_bytes + page_bytes - 1) / page_bytes * page_bytes ? "zero" : "grown";
}

/* "operation 3: store i0 end-8 width=8", or the sweep. */
static void print_writer(FILE *out, const struct rig_run *run, uint32_t op)
{
    if (op >= run->program->n_ops) {
        fputs("the sweep at the end", out);
        return;
    }
    fprintf(out, "operation %u: ", op);
    rig_print_op(out, &run->program->ops[op]);
}

void rig_print_writers(FILE *out, const struct rig_run *run, uint32_t slot, uint32_t generation, uint64_t offset,
                       uint8_t byte)
{
    bool found = false;
    for (uint32_t i = run->n_writes; i-- > 0;) {
        const struct rig_writer *write = &run->writes[i];
        if (write->slot != slot || offset < write->offset || offset - write->offset >= write->length_bytes)
            continue;
        const bool fits = byte && rig_stamp_fits(write->generation, write->op, offset, byte);
        fprintf(out, "  %s wrote this place in ",
                write->generation == generation ? "this instance" : "an earlier tenant of the slot");
        print_writer(out, run, write->op);
        fprintf(out, "%s\n", fits ? "   <- the byte found is that one's" : "");
        found = true;
    }
    for (uint32_t i = 0; i < RIG_N_IMAGES; i++)
        if (run->images[i].subject && offset < run->images[i].model->extent_bytes && byte &&
            run->images[i].model->bytes[offset] == byte) {
            fprintf(out, "  image %c holds the byte found at this offset\n", 'A' + (int)i);
            found = true;
        }
    if (!found)
        fputs("  no operation wrote this place of the slot\n", out);
}

static void print_window(FILE *out, const char *name, const uint8_t *bytes, uint64_t n_bytes)
{
    fprintf(out, "  %-8s", name);
    for (uint64_t i = 0; i < n_bytes && i < 16; i++)
        fprintf(out, " %02x", bytes[i]);
    fputc('\n', out);
}

static void print_place(FILE *out, const struct rig_run *run, const struct rig_lease *lease, uint64_t offset)
{
    const uint64_t page_bytes = run->geometry.page_bytes;
    if (run->ops->describe || run->ops->range)
        fputs("\nwhere it lies:\n", out);
    if (run->ops->describe)
        run->ops->describe(run->subject, lease->slot, offset, out);
    else if (run->ops->range)
        rig_kernel_print(out, lease->base, lease->base + run->stride_bytes,
                         lease->base + offset / page_bytes * page_bytes, page_bytes);
}

void rig_diverge_byte(struct rig_run *run, const struct rig_lease *lease, uint64_t offset, const uint8_t *subject_bytes,
                      uint64_t n_bytes)
{
    char *text = NULL;
    size_t size = 0;
    uint8_t window[16];
    uint64_t n_wrong = 0;
    if (run->failed)
        return;
    /* Copied and counted before anything below can touch the memory. */
    memcpy(window, subject_bytes, n_bytes < sizeof window ? n_bytes : sizeof window);
    for (uint64_t i = 0; i < n_bytes; i++)
        n_wrong += subject_bytes[i] != lease->model->bytes[offset + i];
    FILE *out = begin_report(run, "bytes", class_of(lease, run, offset), &text, &size);
    if (!out)
        return;
    fprintf(out, "%ju byte%s of an instance of %ju bytes (generation %u), the first at offset %ju (0x%jx):\n",
            (uintmax_t)n_wrong, n_wrong == 1 ? " differs" : "s differ", (uintmax_t)lease->model->length_bytes,
            lease->generation, (uintmax_t)offset, (uintmax_t)offset);
    print_window(out, "model", lease->model->bytes + offset, n_bytes);
    print_window(out, run->ops->name, window, n_bytes);
    fputs("\nwho wrote it:\n", out);
    rig_print_writers(out, run, lease->slot, lease->generation, offset, window[0]);
    print_place(out, run, lease, offset);
    finish_report(run, out, &text);
}
