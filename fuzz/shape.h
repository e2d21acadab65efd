/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the operations and the pool line consist of: the tables that the binary form, the parser and the printer share.
 * An operation is a row of parts. Each of the three knows how to do every part, so a new operation is a row here and
 * in ops.def, and seldom a new part. */
#ifndef RIG_SHAPE_H
#define RIG_SHAPE_H

#include "program.h"

enum rig_part {
    RIG_PART_END,
    RIG_PART_IMAGE,     /* A                              image */
    RIG_PART_EXTENT,    /* size=SIZE                      len */
    RIG_PART_LIKE,      /* [like=B | samefile=B | copyfile=B]  form, other_image */
    RIG_PART_CONTENTS,  /* SIZE (bytes .. | stamp | zero) form, at.offset, len or literal */
    RIG_PART_REF,       /* i0~1                           reg, age */
    RIG_PART_TENANT,    /* A | none                       image */
    RIG_PART_LIMITS,    /* [initial=SIZE] [max=SIZE]      has_initial, len, has_max, len2 */
    RIG_PART_AT,        /* AT                             at */
    RIG_PART_WIDTH,     /* width=8                        width */
    RIG_PART_SPAN,      /* len=SIZE | to=AT               form, len or other */
    RIG_PART_BYTE,      /* [byte=N]                       has_byte, byte */
    RIG_PART_FROM,      /* from=AT                        other */
    RIG_PART_LEN,       /* len=SIZE                       len */
    RIG_PART_SEGMENT,   /* segment=N                      segment */
    RIG_PART_FROM_SIZE, /* from=SIZE                      len2 */
    RIG_PART_GROWTH,    /* +SIZE | to=AT | huge           form, len or other */
    RIG_PART_CHILD,     /* [store ref AT]                 form, reg, age, at */
    RIG_PART_ADVICE,    /* cold | pageout | willneed      choice */
    RIG_PART_PINNED,    /* [AT SPAN]                      form, at, len or other */
    RIG_PART_TRIM,      /* [trim]                         form */
    RIG_PART_FAULT,     /* CALL nth=N ..                  choice, len, forever, form, error or len2 */
    RIG_N_BINARY_PARTS, /* the parts from here on belong to operations that are not built: they exist in text only */
    RIG_PART_LANES = RIG_N_BINARY_PARTS, /* 0 1 0          n_literal, literal */
    RIG_N_PARTS
};
#define RIG_MAX_PARTS 6 /* with the END */
extern const uint8_t rig_shape[RIG_N_KINDS][RIG_MAX_PARTS];
extern const char *const rig_kind_syntax[RIG_N_KINDS];
extern const char *const rig_kind_what[RIG_N_KINDS];

extern const char rig_unit_letter[RIG_N_UNITS + 1];
extern const char *const rig_need_name[]; /* bit by bit; ends with NULL */
extern const char *const rig_expect_name[RIG_N_EXPECTS];

enum rig_key_type { RIG_KEY_SMALL, RIG_KEY_NUMBER, RIG_KEY_SIZE, RIG_KEY_CHOICE, RIG_KEY_ENABLE };
/* One "key=" of the pool line. */
struct rig_key {
    const char *name; /* with its '=' */
    enum rig_key_type type;
    size_t offset;              /* in struct rig_world: uint8_t, uint32_t, struct rig_size, uint8_t, uint32_t */
    uint32_t min, max;          /* SMALL, NUMBER; min of SIZE's n */
    const char *const *choices; /* CHOICE: ends with NULL */
};
#define RIG_N_KEYS 15
extern const struct rig_key rig_keys[RIG_N_KEYS]; /* in the order in which they are printed */

/* An n of 0 has no unit and no sign. */
struct rig_size rig_size_normal(struct rig_size size);
struct rig_at rig_at_normal(struct rig_at at);
bool rig_size_equal(struct rig_size a, struct rig_size b);
bool rig_at_equal(struct rig_at a, struct rig_at b);

#endif
