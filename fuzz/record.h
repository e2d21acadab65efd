/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The pieces that records of the binary form are made of. */
#ifndef RIG_RECORD_H
#define RIG_RECORD_H

#include "program.h"

/* Values as ranges of a byte: v owns [first[v], first[v + 1]), so a value's weight is the width of its range. */
struct rig_selector {
    uint8_t n_values;
    uint8_t first[24];
};
uint8_t rig_selected(const struct rig_selector *selector, unsigned byte);
/* The lowest byte that selects the value. */
uint8_t rig_selecting(const struct rig_selector *selector, unsigned value);

uint32_t rig_get_u32(const uint8_t *bytes);
void rig_put_u32(uint8_t *bytes, uint32_t value);

/* An errno for a fault, as a byte means it: those that pools make a difference of have the larger shares. */
uint8_t rig_some_error(unsigned byte);

/* Everything but the kind, which the caller has set in an otherwise zero *op. */
void rig_record_get(const uint8_t *record, struct rig_op *op);
/* Everything but the kind, into a zero record. */
void rig_record_put(const struct rig_op *op, uint8_t *record);

#endif
