/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What AFL++ looks up by name in a mutator library; it ships no header for it. */
#ifndef RIG_AFL_MUTATOR_H
#define RIG_AFL_MUTATOR_H

#include <stddef.h>
#include <stdint.h>

void *afl_custom_init(void *afl, unsigned seed);
void afl_custom_deinit(void *data);
size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t n_bytes, uint8_t **ret_bytes, uint8_t *other_bytes,
                       size_t n_other_bytes, size_t n_max);
int32_t afl_custom_init_trim(void *data, uint8_t *bytes, size_t n_bytes);
size_t afl_custom_trim(void *data, uint8_t **ret_bytes);
int32_t afl_custom_post_trim(void *data, uint8_t success);

#endif
