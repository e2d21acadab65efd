/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The lock-step runner: one program, one subject, the model beside it, and the oracles after every operation. */
#ifndef RIG_RUN_H
#define RIG_RUN_H

#include "matrix.h"
#include "program.h"
#include "subject.h"

/* No memory of a program grows beyond this: an operation that asks for more is a no-op on both sides. */
#define RIG_MAX_LENGTH_BYTES (UINT64_C(64) << 20)

/* Gaps of data that the rig's pools join: one host page, so that both sides of the rule are in reach of small images. */
#define RIG_JOIN_PAGES 1

/* How much of a memory beyond its initial length has guard markers, with growth=guard: so that programs grow past it. */
#define RIG_WINDOW_PAGES 3

/* Memories of at most so much are copied back whole, with reset=copyback and adaptive. */
#define RIG_WHOLE_PAGES 2

struct rig_kind_counters {
    uint64_t n_ok, n_refused, n_noop, n_trapped, n_failed;
};

struct rig_counters {
    uint64_t n_programs, n_operations, n_effective, n_traps, n_resets, n_reuses, n_grows, n_divergences, n_skipped;
    uint64_t n_faults;         /* kernel calls that were made to fail */
    uint64_t n_foreign;        /* operations that failed by no fault of the program */
    uint64_t n_unmade;         /* subjects that foreign faults did not let be made */
    uint64_t n_erasing_resets; /* resets and releases that erased at least one byte that differed from the image */
    struct rig_kind_counters kinds[RIG_N_KINDS];
    uint64_t n_results[RIG_N_KINDS][RIG_N_RESULTS]; /* of operations that did not do nothing */
};

void rig_counters_add(struct rig_counters *sum, const struct rig_counters *counters);

enum rig_verdict_kind {
    RIG_AGREE,
    RIG_DIVERGED,
    RIG_OUTDATED, /* an expectation does not fit the model */
    RIG_UNABLE,   /* the machine cannot run it (no permission, no memory) */
};

struct rig_verdict {
    enum rig_verdict_kind kind;
    uint32_t op;         /* which operation; n_ops at the end of the program */
    char line[128];      /* "divergence: bytes reuse image": stable, to deduplicate by */
    char *report;        /* for people; NULL when all agree. The caller frees it */
    uint64_t state_hash; /* of everything that the model can see, operation by operation */
    struct rig_counters counters;
};

/* The nth call of any kind that an operation makes fails, or falls short, and if it is for ever all calls behind it. */
struct rig_planned_fault {
    uint32_t op; /* program->n_ops: the creation of the pool */
    uint32_t nth;
    bool for_ever;
    bool is_short; /* of a pwrite */
    int error;     /* a negative errno; 0: one that is usual for the call */
};

/* Which kernel calls an operation made. */
enum { RIG_MAX_CALLS_LOGGED = 30 };
struct rig_call_log {
    uint8_t n;                           /* at most 255 */
    uint8_t kinds[RIG_MAX_CALLS_LOGGED]; /* enum rig_call of the first ones */
};

/* The same as a planned fault, by fault operations to be put before the operation that it is of. */
struct rig_told_fault {
    uint32_t n_ops;
    struct rig_op ops[RIG_N_CALLS];
};
/* Puts them there. Where there is no room, the last operations of the program go. */
void rig_put_told_fault(struct rig_program *program, uint32_t op, const struct rig_told_fault *told);

struct rig_run; /* state.h */
struct rig_options {
    const struct rig_subject_ops *subject;
    /* Called before each operation, and once more before the end of the program; or NULL. Of use to subjects. */
    void (*before)(const struct rig_run *run);
    FILE *trace;         /* a line for each operation, or NULL */
    uint32_t until;      /* run only operations before this one; UINT32_MAX: all */
    uint64_t most_bytes; /* no more operations once instances, summed over operations, came to this; 0: all */
    const struct rig_expect *expect;       /* of a text, or NULL */
    struct rig_expect *ret_expect;         /* what the model says, or NULL */
    struct rig_matrix *matrix;             /* what was met is added, or NULL */
    const struct rig_planned_fault *fault; /* or NULL */
    struct rig_call_log *ret_calls;        /* for each operation, and the pool's creation behind them; or NULL */
    struct rig_told_fault *ret_told;       /* the planned fault, if a call ran into it; or NULL */
    /* Somebody else makes kernel calls fail: a failure needs no fault of the program, and kernel calls are not counted. What the text
     * expects is not looked at. */
    bool foreign_faults;
};

void rig_run(const struct rig_program *program, const struct rig_options *options, struct rig_verdict *ret_verdict);

#endif
