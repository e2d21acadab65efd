/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A program: the world it runs in, and at most RIG_MAX_OPS operations. Two encodings of exactly this struct:
 * the binary form (program_binary.c), in which every byte string is a program, and the text form (program_text.c). */
#ifndef RIG_PROGRAM_H
#define RIG_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RIG_VERSION 1
#define RIG_MAX_OPS 256
#define RIG_N_REGISTERS 8
#define RIG_N_IMAGES 8
#define RIG_NO_IMAGE RIG_N_IMAGES /* "none" */
#define RIG_RECORD_BYTES 20
#define RIG_MAX_SLOTS 8
#define RIG_MAX_AGE 3
#define RIG_MAX_SEGMENT 63
#define RIG_MAX_LANES 8

/* A number as it is written: n bytes, KiB, MiB, GiB, host pages or 64 KiB pages. Resolved at run time. */
enum rig_unit { RIG_UNIT_BYTES, RIG_UNIT_K, RIG_UNIT_M, RIG_UNIT_G, RIG_UNIT_P, RIG_UNIT_W, RIG_N_UNITS };
#define RIG_MAX_N ((1u << 28) - 1) /* the largest n of a size in any unit */
struct rig_size {
    uint32_t n;
    uint8_t unit; /* enum rig_unit; BYTES when n is 0 */
};

enum rig_edge {
    RIG_EDGE_START,
    RIG_EDGE_IMAGE,
    RIG_EDGE_END,
    RIG_EDGE_ACC,
    RIG_EDGE_MAX,
    RIG_EDGE_SLOT,
    RIG_EDGE_PREV,
    RIG_N_EDGES
};

/* A place relative to an edge. A plain number is START plus it. */
struct rig_at {
    uint8_t edge;  /* enum rig_edge */
    uint8_t minus; /* 0 or 1; 0 when the offset is 0 */
    struct rig_size offset;
};

enum rig_kind {
#define RIG_OP(symbol, name, weight, built, syntax, what) RIG_##symbol,
#include "ops.def"
#undef RIG_OP
    RIG_N_KINDS
};

/* Which of the alternatives in its syntax an operation uses. */
enum rig_form {
    RIG_FORM_PLAIN = 0,
    RIG_IMAGE_LIKE = 1,     /* image: like=other */
    RIG_IMAGE_SAMEFILE = 2, /* image: samefile=other */
    RIG_IMAGE_COPYFILE = 3, /* image: copyfile=other */
    RIG_DATA_BYTES = 0,     /* data: n_literal bytes in literal[] */
    RIG_DATA_STAMP = 1,     /* data: `len` bytes */
    RIG_DATA_ZERO = 2,
    RIG_RANGE_LEN = 0,  /* a range: [at, at + len) */
    RIG_RANGE_TO = 1,   /* a range: [at, other) */
    RIG_GROW_BY = 0,    /* grow: +len */
    RIG_GROW_TO = 1,    /* grow: to=at */
    RIG_GROW_HUGE = 2,  /* grow: by nearly 2^64 */
    RIG_FORK_STORE = 1, /* fork: store ref at */
    RIG_FLUSH_TRIM = 1, /* flush: trim */
    RIG_PIN_WHOLE = 2,  /* pin, unpin: no range was given */
    RIG_FAULT_ERROR = 0,
    RIG_FAULT_SHORT = 1,
    RIG_FAULT_LIE = 2,
};

enum rig_advice { RIG_ADVICE_COLD, RIG_ADVICE_PAGEOUT, RIG_ADVICE_WILLNEED, RIG_N_ADVICES };

enum rig_call {
    RIG_CALL_MMAP,
    RIG_CALL_MUNMAP,
    RIG_CALL_MPROTECT,
    RIG_CALL_MADVISE,
    RIG_CALL_PROCESS_MADVISE,
    RIG_CALL_FTRUNCATE,
    RIG_CALL_MEMFD_CREATE,
    RIG_CALL_FCNTL,
    RIG_CALL_PWRITE,
    RIG_CALL_PAGEMAP_SCAN,
    RIG_CALL_PREAD,
    RIG_N_CALLS
};

/* A field that the kind and form of an operation do not use is zero. */
struct rig_op {
    uint8_t kind;        /* enum rig_kind */
    uint8_t lane;        /* 0; lanes are not built yet */
    uint8_t form;        /* enum rig_form */
    uint8_t reg;         /* 0 .. RIG_N_REGISTERS - 1 */
    uint8_t age;         /* 0: the register's handle; n: the handle it held n handles before; <= RIG_MAX_AGE */
    uint8_t image;       /* 0 .. RIG_N_IMAGES - 1 (A..H); instantiate and reuse also RIG_NO_IMAGE */
    uint8_t other_image; /* like=, samefile=, copyfile= */
    uint8_t width;       /* store, load: 1, 2, 4, 8 or 16 */
    uint8_t has_byte;    /* fill: byte= was given */
    uint8_t byte;
    uint8_t segment;     /* init: 0 .. RIG_MAX_SEGMENT */
    uint8_t has_initial; /* instantiate, reuse */
    uint8_t has_max;
    uint8_t choice;    /* advise: enum rig_advice; fault: enum rig_call */
    uint8_t error;     /* fault error=: index into rig_error_name */
    uint8_t forever;   /* fault: 0 or 1 */
    uint8_t n_literal; /* data bytes: 1 .. 8; schedule's lanes: 1 .. 8 */
    uint8_t literal[8];
    struct rig_at at;
    struct rig_at other; /* to=, from= (copy) */
    struct rig_size
        len; /* len=, +, size= (image), stamp and zero's length, initial=, nth=; data's offset is at.offset */
    struct rig_size len2; /* max=; init's from=; fault's short= */
};

enum rig_growth { RIG_GROWTH_TRUNCATE, RIG_GROWTH_PROTECT, RIG_GROWTH_GUARD, RIG_GROWTH_SOFTWARE, RIG_N_GROWTHS };
enum rig_reset { RIG_RESET_DISCARD, RIG_RESET_COPYBACK, RIG_RESET_DEFERRED, RIG_RESET_ADAPTIVE, RIG_N_RESETS };
enum rig_observe { RIG_OBSERVE_FULL, RIG_OBSERVE_QUIET, RIG_OBSERVE_FINAL, RIG_N_OBSERVES };
enum rig_probe { RIG_PROBE_ROTATE, RIG_PROBE_ALL, RIG_PROBE_NONE, RIG_N_PROBES };
enum rig_kernel { RIG_KERNEL_END, RIG_KERNEL_EACH, RIG_N_KERNELS };

struct rig_world {
    uint8_t n_slots; /* 1 .. RIG_MAX_SLOTS */
    uint8_t n_lanes; /* 1; more is not built yet */
    uint8_t growth, reset, observe, probe, kernel;
    uint8_t sweep;        /* 0 or 1 */
    struct rig_size max;  /* the pool's largest memory */
    struct rig_size unit; /* granule of lengths, at least 1 */
    struct rig_size guard;
    struct rig_size resident; /* 0: unset, as are the next two */
    uint32_t queue, warm;
    uint32_t enabled; /* bit k: operations of kind k may appear; swarm testing. Always holds RIG_ALWAYS_ENABLED,
                         RIG_FORK only when asked for */
};

/* What the binary form can say of these. */
#define RIG_MAX_QUEUE 3
#define RIG_MAX_WARM 1
#define RIG_RESIDENT_PAGES 2

struct rig_program {
    struct rig_world world;
    uint32_t n_ops;
    struct rig_op ops[RIG_MAX_OPS];
};

/* What the text form carries beside the program. */
enum rig_expect_kind {
    RIG_EXPECT_NOTHING,
    RIG_EXPECT_OK,
    RIG_EXPECT_OK_SIZE,
    RIG_EXPECT_TRAP,
    RIG_EXPECT_REFUSED,
    RIG_EXPECT_STALE,
    RIG_EXPECT_ERROR,
    RIG_EXPECT_NOOP,
    RIG_N_EXPECTS
};
struct rig_expect {
    uint8_t kind;
    struct rig_size size; /* OK_SIZE: grow's new length */
    struct rig_at at;     /* TRAP */
    char name[24];        /* REFUSED: a refusal's name; ERROR: an errno's name */
};
enum rig_need { RIG_NEED_GUARD = 1, RIG_NEED_SCAN = 2, RIG_NEED_BATCH = 4, RIG_NEED_FORK = 8 };
struct rig_text {
    struct rig_program program;
    struct rig_expect expect[RIG_MAX_OPS];
    uint32_t line[RIG_MAX_OPS];    /* 1-based line of each operation */
    uint32_t needs;                /* enum rig_need, or-ed */
    struct rig_size need_hostpage; /* n = 0: any */
};

/* ---- names and questions (program.c) ---- */

extern const char *const rig_kind_name[RIG_N_KINDS];
extern const char *const rig_edge_name[RIG_N_EDGES];
extern const char *const rig_call_name[RIG_N_CALLS];
extern const char *const rig_advice_name[RIG_N_ADVICES];
#define RIG_N_ERRORS 21
extern const char *const rig_error_name[RIG_N_ERRORS + 1]; /* the errnos a fault can inject; ends with NULL */

#define RIG_BIT(kind) (UINT32_C(1) << (kind))
#define RIG_ALL_KINDS (RIG_BIT(RIG_N_KINDS) - 1)
enum {
    RIG_UNBUILT_KINDS = 0
#define RIG_OP(symbol, name, weight, built, syntax, what) | ((built) ? 0 : 1 << RIG_##symbol)
#include "ops.def"
#undef RIG_OP
};
/* Swarm testing never takes these away: without them a program does little. Kinds that are not built are among them:
 * they are refused by name, not by the mask. */
#define RIG_ALWAYS_ENABLED                                                                                             \
    ((uint32_t)RIG_UNBUILT_KINDS | RIG_BIT(RIG_IMAGE) | RIG_BIT(RIG_DATA) | RIG_BIT(RIG_INSTANTIATE) |                 \
     RIG_BIT(RIG_REUSE) | RIG_BIT(RIG_STORE) | RIG_BIT(RIG_GROW) | RIG_BIT(RIG_RELEASE))

/* Sets what "growth=guard", or another choice of the pool line, says. False: there is no such choice. */
bool rig_world_set(struct rig_world *world, const char *setting);
/* How many of the first operations are faults: they are there before the pool is made. */
uint32_t rig_n_leading_faults(const struct rig_program *program);
/* Whether one of its faults is a lie. Then a divergence is the kernel's doing: only people write such programs. */
bool rig_program_lies(const struct rig_program *program);

/* The world of a program that says nothing: two slots of 16 host pages, everything looked at, all but fork enabled. */
struct rig_world rig_world_default(void);

/* Whether the runner can do it today. NULL, or the name of what is not built ("fault", "growth=guard"): static. */
const char *rig_program_unbuilt(const struct rig_program *program);

/* Field for field; operations past n_ops do not count. */
bool rig_op_equal(const struct rig_op *a, const struct rig_op *b);
bool rig_program_equal(const struct rig_program *a, const struct rig_program *b);

/* ---- binary form (program_binary.c) ---- */

/* Any bytes are a program: short input is zero-extended, a partial last record left out, the version not looked at. */
void rig_program_decode(const uint8_t *bytes, size_t n_bytes, struct rig_program *ret_program);
/* The version byte, for tools that must refuse what they do not know. */
unsigned rig_binary_version(const uint8_t *bytes, size_t n_bytes);
#define RIG_BINARY_MAX_BYTES ((1 + RIG_MAX_OPS) * RIG_RECORD_BYTES)
/* Bytes that decode to exactly this program. The program must be one that decode or parse made, and hold nothing
 * unbuilt. Returns how many bytes were written. */
size_t rig_program_encode(const struct rig_program *program, uint8_t ret_bytes[RIG_BINARY_MAX_BYTES]);

/* ---- text form (program_text.c) ---- */

struct rig_text_error {
    uint32_t line, column; /* 1-based */
    char what[160];        /* "expected a size, found 'x'" */
};
/* Returns 0, or -1 with *ret_error filled in; *ret_text is then worth nothing. */
int rig_text_parse(const char *text, size_t n_bytes, struct rig_text *ret_text, struct rig_text_error *ret_error);

/* ---- printing (program_print.c) ---- */

void rig_print_size(FILE *out, struct rig_size size);
void rig_print_at(FILE *out, struct rig_at at);
/* One operation without newline: "store i0 end-8 width=8". */
void rig_print_op(FILE *out, const struct rig_op *op);
void rig_print_expect(FILE *out, const struct rig_expect *expect);
/* The whole text: version line, needs and pool lines where they say something, operations. Canonical: printing what was
 * parsed from printed text gives the same bytes. `expect` may be NULL. */
void rig_print_program(FILE *out, const struct rig_program *program, const struct rig_text *needs_of,
                       const struct rig_expect *expect);
/* Its needs line and its pool line; nothing at all where there is nothing to say. */
void rig_print_needs(FILE *out, const struct rig_text *text);
void rig_print_pool(FILE *out, const struct rig_world *world);
/* An operation with its expectation, which may be NULL; without newline. */
void rig_print_line(FILE *out, const struct rig_op *op, const struct rig_expect *expect);

/* ---- generator (gen.c) ---- */

struct rig_random {
    uint64_t state;
};
uint64_t rig_random_next(struct rig_random *random);                  /* splitmix64 */
uint32_t rig_random_below(struct rig_random *random, uint32_t bound); /* 0 .. bound - 1 */
/* A program whose operations mostly have an effect: the generator keeps a sketch of what is live and what exists. */
void rig_program_generate(struct rig_random *random, uint32_t n_ops, struct rig_program *ret_program);
/* Adds n_ops to a program of images and stamped data only, whose unit is 1 or 1W, and whose sizes are written in it. */
void rig_program_continue(struct rig_random *random, uint32_t n_ops, struct rig_program *program);

#endif
