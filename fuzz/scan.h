/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading one line of text: the tokens that both the pool line and the operations are made of.
 * Every function that returns int returns 0 and has moved on, or -1 with *error filled in. */
#ifndef RIG_SCAN_H
#define RIG_SCAN_H

#include "program.h"

struct rig_scan {
    const char *begin; /* of the line */
    const char *at;    /* where the next token is looked for */
    const char *end;   /* of the line, or of what stands before its comment */
    uint32_t line;     /* 1-based */
    struct rig_text_error *error;
};

/* Fills in *error: "expected <what>, found '<the token here>'". Always -1. */
int rig_scan_expected(const struct rig_scan *scan, const char *what);
/* The same with a sentence of the caller's. */
int rig_scan_fail(const struct rig_scan *scan, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Leave out blanks; then whether the line is at its end. */
bool rig_scan_is_end(struct rig_scan *scan);
/* If the next token is this word, or begins with this key: goes behind it. */
bool rig_scan_word(struct rig_scan *scan, const char *word);
bool rig_scan_key(struct rig_scan *scan, const char *key);
/* 0 if a token ends here; a token that goes on is not what was expected. */
int rig_scan_close(const struct rig_scan *scan, const char *what);
/* One of names (ends with NULL): its index; -1 with *error set if it is none. */
int rig_scan_choice(struct rig_scan *scan, const char *const *names, const char *what);

/* These are whole tokens, or what follows a key in one. */
int rig_scan_number(struct rig_scan *scan, uint32_t min, uint32_t max, uint32_t *ret_n);
int rig_scan_size(struct rig_scan *scan, struct rig_size *ret_size);
int rig_scan_at(struct rig_scan *scan, struct rig_at *ret_at);
int rig_scan_ref(struct rig_scan *scan, uint8_t *ret_reg, uint8_t *ret_age);
int rig_scan_image(struct rig_scan *scan, uint8_t *ret_image);
int rig_scan_hex(struct rig_scan *scan, uint8_t *ret_byte);
/* Letters of the class, at most n_ret - 1 of them, as a string. */
int rig_scan_name(struct rig_scan *scan, const char *what, const char *letters, char *ret_name, size_t n_ret);

/* An operation with everything that belongs to it, but no lane and no expectation (op_text.c). *ret_op is zero before. */
int rig_scan_op(struct rig_scan *scan, struct rig_op *ret_op);

#endif
