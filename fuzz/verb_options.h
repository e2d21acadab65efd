/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the verbs have in common in reading their arguments. */
#ifndef RIG_VERB_OPTIONS_H
#define RIG_VERB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Says on stderr what is wrong, and where help is. Returns 2. */
int rig_wrong_use(const char *verb, const char *what, const char *which);
/* Prints help if --help or -h is among the arguments. */
bool rig_asks_for_help(int argc, char **argv, const char *help);
/* A number from 0 to max, decimal or 0x, and nothing else. */
bool rig_parse_count(const char *text, uint64_t max, uint64_t *ret);
/* What stands behind an option, as in `--name VALUE` and `--name=VALUE`; then *at is the last argument that was used. NULL if
 * argument *at is another option, or has no value. */
const char *rig_value_of(const char *name, int argc, char **argv, int *at);

#endif
