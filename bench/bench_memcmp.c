/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a bare memcmp of so many bytes in so many calls takes, both sides in the cache where they fit: bench_memcmp BYTES CALLS. Prints
 * seconds, the median of 5. */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    enum { N_ROUNDS = 5 };
    double seconds[N_ROUNDS];
    const unsigned long long n_bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    const unsigned long long n_calls = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (!n_calls || n_bytes / n_calls > 1 << 30)
        return fputs("usage: bench_memcmp BYTES CALLS\n", stderr), 2;
    const size_t size = (size_t)(n_bytes / n_calls);
    uint8_t *left = calloc(1, size + 1), *right = calloc(1, size + 1);
    int (*volatile compare)(const void *, const void *, size_t) = memcmp; /* not to be optimised away */
    int sum = 0;
    if (!left || !right) {
        fputs("bench_memcmp: no memory\n", stderr);
        exit(2);
    }
    memset(left, 1, size);
    memset(right, 1, size);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        const uint64_t begin = bench_nanoseconds();
        for (unsigned long long j = 0; j < n_calls; j++)
            sum |= compare(left, right, size);
        seconds[i] = 1e-9 * (double)(bench_nanoseconds() - begin);
    }
    printf("%.9f\n", bench_quantile(seconds, N_ROUNDS, 0.5));
    free(left);
    free(right);
    return sum;
}
