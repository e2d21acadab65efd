/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Counting what programs met, and showing it. */
#include "matrix.h"

#include "state.h"

#include <string.h>

static void bump(uint8_t *counter)
{
    if (*counter < UINT8_MAX)
        ++*counter;
}

int rig_result_class(const struct rig_outcome *outcome)
{
    if (outcome->kind == RIG_OUTCOME_TRAP)
        return RIG_BOUNDS + 1;
    return outcome->kind == RIG_OUTCOME_ERROR ? RIG_BOUNDS + 2 : outcome->refusal;
}

static bool has_lease(const struct rig_op *op)
{
    return op->kind != RIG_IMAGE && op->kind != RIG_DATA && op->kind != RIG_DROP && op->kind != RIG_FLUSH &&
           op->kind != RIG_FORK && op->kind != RIG_FAULT && op->kind != RIG_INSTANTIATE;
}

static bool writes(const struct rig_op *op)
{
    return op->kind == RIG_STORE || op->kind == RIG_FILL || op->kind == RIG_COPY || op->kind == RIG_INIT ||
           op->kind == RIG_SCRIBBLE || op->kind == RIG_HOSTWRITE;
}

void rig_matrix_before(struct rig_run *run, const struct rig_op *op)
{
    struct rig_met *met = &run->met;
    met->slot = -1;
    met->state = 0;
    if (!run->options->matrix || !has_lease(op))
        return;
    const struct rig_lease *lease = rig_pick_lease(run, op);
    if (!lease->model)
        return;
    met->slot = (int)lease->slot;
    met->state = (uint8_t)(1 + (lease->model->length_bytes > lease->model->initial_bytes) +
                           2 * met->is_written[lease->slot] + 4 * (lease->image.subject != NULL));
}

/* The slot that was lent is known only now. */
static void see_lease(struct rig_run *run, const struct rig_op *op)
{
    const struct rig_lease *lease = &run->registers[op->reg].held[0];
    if (!lease->model)
        return;
    const bool is_shorter = ref_accessible_bytes(lease->model) < lease->previous_bytes;
    run->met.slot = (int)lease->slot;
    run->met.state =
        (uint8_t)(1 + is_shorter + 2 * run->slots[lease->slot].was_warm + 4 * (lease->image.subject != NULL));
}

void rig_matrix_after(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome)
{
    struct rig_matrix *matrix = run->options->matrix;
    struct rig_met *met = &run->met;
    if (!matrix || outcome->kind == RIG_OUTCOME_NOOP)
        return;
    const int result = rig_result_class(outcome);
    bump(&matrix->results[op->kind][op->at.edge][result]);
    if (op->kind == RIG_INSTANTIATE && outcome->kind == RIG_OUTCOME_OK)
        see_lease(run, op);
    uint8_t *last_kind = met->slot < 0 ? &met->last_kind : &met->last_of_slot[met->slot];
    bump(&matrix->pairs[*last_kind][op->kind][met->state]);
    *last_kind = met->last_kind = op->kind;
    if (met->slot >= 0 && outcome->kind == RIG_OUTCOME_OK) {
        const bool is_new = op->kind == RIG_INSTANTIATE || op->kind == RIG_REUSE || op->kind == RIG_RESET;
        met->is_written[met->slot] = !is_new && (met->is_written[met->slot] || writes(op));
    }
}

/* ---- for people ---- */

static unsigned count_states(const uint8_t counters[RIG_N_SLOT_STATES])
{
    unsigned n = 0;
    for (unsigned i = 0; i < RIG_N_SLOT_STATES; i++)
        n += counters[i] > 0;
    return n;
}

static bool is_built(unsigned kind)
{
    return !(RIG_UNBUILT_KINDS & RIG_BIT(kind));
}

static void print_pairs(FILE *out, const struct rig_matrix *matrix)
{
    unsigned n_pairs = 0, n_states = 0;
    fputs("pairs of operations on a slot: in how many states of it (down: the one before)\n             ", out);
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++)
        if (is_built(kind))
            fprintf(out, " %.4s", rig_kind_name[kind]);
    fputc('\n', out);
    for (unsigned before = 0; before < RIG_N_KINDS; before++) {
        if (!is_built(before))
            continue;
        fprintf(out, "%-13s", rig_kind_name[before]);
        for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
            if (!is_built(kind))
                continue;
            const unsigned n = count_states(matrix->pairs[before][kind]);
            const int width = (int)strnlen(rig_kind_name[kind], 4);
            fprintf(out, " %*.*s", width, n ? 1 : 0, &"0123456789"[n]);
            n_pairs += n > 0;
            n_states += n;
        }
        fputc('\n', out);
    }
    fprintf(out, "%u pairs, %u with a state\n", n_pairs, n_states);
}

static const char *result_name(unsigned result)
{
    return result == RIG_BOUNDS + 2 ? "error" : result == RIG_BOUNDS + 1 ? "trap" : rig_result_name((int)result);
}

static void print_results(FILE *out, const struct rig_matrix *matrix)
{
    unsigned n_results = 0;
    fputs("\nresults of each operation, and at which edges\n", out);
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++)
        for (unsigned result = 0; result < RIG_N_RESULTS; result++) {
            unsigned n = 0;
            for (unsigned edge = 0; edge < RIG_N_EDGES; edge++) {
                if (!matrix->results[kind][edge][result])
                    continue;
                if (!n++)
                    fprintf(out, "%-13s %-14s", rig_kind_name[kind], result_name(result));
                fprintf(out, " %s", rig_edge_name[edge]);
            }
            n_results += n;
            if (n)
                fputc('\n', out);
        }
    fprintf(out, "%u results with an edge\n", n_results);
}

void rig_matrix_print(FILE *out, const struct rig_matrix *matrix)
{
    print_pairs(out, matrix);
    print_results(out, matrix);
}

/* ---- for other tools ---- */

/* "NAME":N, with what stands before it; nothing for 0. */
static void print_member(FILE *out, const char **separator, const char *name, uint64_t n)
{
    if (!n)
        return;
    fprintf(out, "%s\"%s\":%ju", *separator, name, (uintmax_t)n);
    *separator = ",";
}

static void print_sums(FILE *out, const struct rig_matrix *matrix)
{
    unsigned n_pairs = 0, n_states = 0, n_results = 0;
    for (unsigned before = 0; before < RIG_N_KINDS; before++)
        for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
            const unsigned n = count_states(matrix->pairs[before][kind]);
            n_pairs += n > 0;
            n_states += n;
        }
    for (size_t i = 0; i < sizeof matrix->results; i++)
        n_results += ((const uint8_t *)matrix->results)[i] > 0;
    fprintf(out, "\"pairs\":%u,\"states\":%u,\"results\":%u", n_pairs, n_states, n_results);
}

static void print_operation(FILE *out, const struct rig_matrix *matrix, const struct rig_counters *counters,
                            unsigned kind)
{
    const char *separator = "";
    fprintf(out, "{\"name\":\"%s\",\"results\":{", rig_kind_name[kind]);
    for (unsigned result = 0; result < RIG_N_RESULTS; result++)
        print_member(out, &separator, result_name(result), counters->n_results[kind][result]);
    print_member(out, &separator, "nothing", counters->kinds[kind].n_noop);
    fputs("},\"followed_by\":{", out);
    separator = "";
    for (unsigned next = 0; next < RIG_N_KINDS; next++)
        print_member(out, &separator, rig_kind_name[next], count_states(matrix->pairs[kind][next]));
    fputs("}}", out);
}

void rig_matrix_print_json(FILE *out, const struct rig_matrix *matrix, const struct rig_counters *counters)
{
    const char *separator = ",\"operations\":[";
    fputc('{', out);
    print_sums(out, matrix);
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        if (!is_built(kind))
            continue;
        fputs(separator, out);
        print_operation(out, matrix, counters, kind);
        separator = ",";
    }
    fputs("]}", out);
}
