/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_clock bench_clock = {0, 1, 0};

int bench_compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_quantile(double *values, unsigned n_values, double q)
{
    if (!n_values)
        return 0;
    qsort(values, n_values, sizeof *values, bench_compare_doubles);
    return values[(unsigned)(q * (n_values - 1) + 0.5)];
}

/* Whether the kernel says of the counter that neither frequency nor sleep changes its speed. */
static int has_steady_counter(void)
{
    int is_steady = 0;
#ifdef __x86_64__
    char line[8192];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && !is_steady && fgets(line, sizeof line, file))
        is_steady = strncmp(line, "flags", 5) == 0 && strstr(line, " constant_tsc") && strstr(line, " nonstop_tsc");
    if (file)
        fclose(file);
#endif
    return is_steady;
}

void bench_clock_open(void)
{
    enum { N_STAMPS = 1001 };
    double gaps[N_STAMPS];
    bench_clock.is_counter = has_steady_counter();
    const uint64_t begin_ticks = bench_stamp(), begin = bench_nanoseconds();
    while (bench_nanoseconds() - begin < 20000000)
        ;
    bench_clock.ns_per_tick = (double)(bench_nanoseconds() - begin) / (double)(bench_stamp() - begin_ticks);
    for (unsigned i = 0; i < N_STAMPS; i++) {
        const uint64_t stamp = bench_stamp();
        gaps[i] = (double)(bench_stamp() - stamp);
    }
    bench_clock.stamp_ticks = bench_quantile(gaps, N_STAMPS, 0.5);
}
