/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A test program: static functions whose names are sentences, and a main that RUNs them and returns 0.
 * The first check that fails ends the program with 1; CHECK_SKIP ends it with 77. */
#ifndef REGRESS_HARNESS_H
#define REGRESS_HARNESS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *check_test_name = "main";

static inline void check_that(int is_true, const char *what, const char *file, int line)
{
    if (is_true)
        return;
    printf("not ok %s: %s:%d: %s\n", check_test_name, file, line, what);
    exit(1);
}

static inline void check_equal(intmax_t a, intmax_t b, const char *what, const char *file, int line)
{
    if (a == b)
        return;
    printf("not ok %s: %s:%d: %s: %" PRIdMAX " (%#jx) is not %" PRIdMAX " (%#jx)\n", check_test_name, file, line, what,
           a, (uintmax_t)a, b, (uintmax_t)b);
    exit(1);
}

static inline void check_equal_strings(const char *a, const char *b, const char *what, const char *file, int line)
{
    if (strcmp(a, b) == 0)
        return;
    printf("not ok %s: %s:%d: %s:\n%s\nis not\n%s\n", check_test_name, file, line, what, a, b);
    exit(1);
}

static inline void check_run(void (*test)(void), const char *name)
{
    check_test_name = name;
    test();
    printf("ok %s\n", name);
    fflush(stdout);
}

#define CHECK(condition) check_that(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) check_equal((intmax_t)(a), (intmax_t)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_STRINGS(a, b) check_equal_strings(a, b, #a " == " #b, __FILE__, __LINE__)
#define RUN(test) check_run(test, #test)
/* The machine lacks something: says what, and ends the whole program. */
#define CHECK_SKIP(reason) (printf("skipped: %s\n", reason), exit(77))

#endif
