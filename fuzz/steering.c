/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "steering.h"

#include <string.h>

enum { N_COUNTERS = sizeof(struct rig_matrix) };

/* libFuzzer clears what lies in this section before each input, and looks at it after. */
__attribute__((section("__libfuzzer_extra_counters"))) static struct rig_matrix matrix;

/* AFL++ knows only edges, so each counter is one: its runtime, where that is linked in, numbers them as it numbers those of the
 * code, and is told of hits in its map. */
extern uint8_t *__afl_area_ptr __attribute__((weak));
void __sanitizer_cov_trace_pc_guard_init(uint32_t *begin, uint32_t *end) __attribute__((weak));
static uint32_t edges[N_COUNTERS];

/* As the code's own are, before the fork server starts and the map's size is told. */
__attribute__((constructor)) static void number_edges(void)
{
    if (&__afl_area_ptr && __sanitizer_cov_trace_pc_guard_init)
        __sanitizer_cov_trace_pc_guard_init(edges, edges + N_COUNTERS);
}

struct rig_matrix *rig_steering_begin(void)
{
    if (edges[0])
        memset(&matrix, 0, sizeof matrix);
    return &matrix;
}

void rig_steering_end(void)
{
    const uint8_t *counters = (const uint8_t *)&matrix;
    if (!edges[0] || !__afl_area_ptr)
        return;
    for (size_t i = 0; i < N_COUNTERS; i++)
        if (counters[i])
            __afl_area_ptr[edges[i]] = counters[i];
}
