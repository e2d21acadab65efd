/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Reading arguments. */
#include "verb_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rig_wrong_use(const char *verb, const char *what, const char *which)
{
    fprintf(stderr, "lockstep %s: %s%s (see 'lockstep %s --help')\n", verb, what, which, verb);
    return 2;
}

bool rig_asks_for_help(int argc, char **argv, const char *help)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(help, stdout) >= 0;
    return false;
}

bool rig_parse_count(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno || *end || end == text || *text == '-' || value > max)
        return false;
    *ret = value;
    return true;
}

const char *rig_value_of(const char *name, int argc, char **argv, int *at)
{
    const size_t n = strlen(name);
    if (strncmp(argv[*at], name, n) != 0)
        return NULL;
    if (argv[*at][n] == '=')
        return argv[*at] + n + 1;
    return argv[*at][n] == '\0' && *at + 1 < argc ? argv[++*at] : NULL;
}
