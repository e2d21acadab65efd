/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "floors.h"

#include "state.h"

#include <stdlib.h>

void rig_tally_add(struct rig_tally *tally, const struct rig_verdict *verdict)
{
    if (tally->n_programs == tally->n_allocated) {
        tally->n_allocated = tally->n_allocated ? 2 * tally->n_allocated : 64;
        tally->n_effective = realloc(tally->n_effective, tally->n_allocated * sizeof *tally->n_effective);
        if (!tally->n_effective)
            abort();
    }
    tally->n_effective[tally->n_programs++] = verdict->counters.n_effective;
    rig_counters_add(&tally->sum, &verdict->counters);
    tally->state_hash = rig_hash(tally->state_hash, &verdict->state_hash, sizeof verdict->state_hash);
}

void rig_tally_free(struct rig_tally *tally)
{
    free(tally->n_effective);
}

static int compare_counts(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t median_effective(struct rig_tally *tally)
{
    qsort(tally->n_effective, tally->n_programs, sizeof *tally->n_effective, compare_counts);
    return tally->n_programs ? tally->n_effective[tally->n_programs / 2] : 0;
}

/* In thousandths, so that no floor needs a float. */
static int floor_share(FILE *out, const char *what, uint64_t part, uint64_t whole, uint64_t thousandths)
{
    const bool is_held = whole && part * 1000 >= whole * thousandths;
    fprintf(out, "  %-4s %s: %.1f %% (%ju of %ju), the floor is %.1f %%\n", is_held ? "ok" : "LOW", what,
            whole ? 100.0 * (double)part / (double)whole : 0.0, (uintmax_t)part, (uintmax_t)whole,
            (double)thousandths / 10);
    return !is_held;
}

/* Operations that can be refused: the rest can only succeed or do nothing. */
static bool is_fallible(unsigned kind)
{
    return kind != RIG_DATA && kind != RIG_DROP && kind != RIG_FLUSH && kind != RIG_FORK && kind != RIG_UNPIN &&
           kind != RIG_FAULT;
}

static bool is_built(unsigned kind)
{
    static const uint8_t built[RIG_N_KINDS] = {
#define RIG_OP(symbol, name, weight, built, syntax, what) built,
#include "ops.def"
#undef RIG_OP
    };
    return built[kind];
}

static int check_kinds(FILE *out, const struct rig_counters *sum)
{
    char what[64];
    int n_low = 0;
    for (unsigned kind = 0; kind < RIG_N_KINDS; kind++) {
        const struct rig_kind_counters *it = &sum->kinds[kind];
        const uint64_t n = it->n_ok + it->n_refused + it->n_noop + it->n_trapped;
        if (!is_built(kind))
            continue;
        snprintf(what, sizeof what, "%s that succeed", rig_kind_name[kind]);
        n_low += floor_share(out, what, it->n_ok, n, 10);
        snprintf(what, sizeof what, "%s that are refused or trap", rig_kind_name[kind]);
        if (is_fallible(kind))
            n_low += floor_share(out, what, it->n_refused + it->n_trapped, n, 2);
    }
    return n_low;
}

int rig_check_floors(FILE *out, struct rig_tally *tally)
{
    const struct rig_counters *sum = &tally->sum;
    const uint64_t median = median_effective(tally);
    int n_low = floor_share(out, "operations that are effective", sum->n_effective, sum->n_operations, 700);
    fprintf(out, "  %-4s the median program has %ju effective operations, the floor is 20\n",
            median >= 20 ? "ok" : "LOW", (uintmax_t)median);
    n_low += median < 20;
    n_low += floor_share(out, "resets that erase a byte", sum->n_erasing_resets, sum->n_resets, 300);
    n_low += floor_share(out, "kernel calls that fail, of faults", sum->n_faults, sum->kinds[RIG_FAULT].n_ok, 300);
    return n_low + check_kinds(out, sum);
}
