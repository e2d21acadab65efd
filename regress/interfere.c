/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Runs a command in which some kernel calls fail: a seccomp(2) filter answers those whose arguments match, for good and for all its
 * children. It needs no privilege, and leaves the command none. For `lockstep run --foreign-faults`. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define THIS_MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define THIS_MACHINE AUDIT_ARCH_AARCH64
#endif

static const char usage[] =
    "usage: interfere RULE ... -- COMMAND [ARGUMENT ...]\n"
    "\n"
    "RULE is CALL:ERROR[:ARGUMENT[&MASK]=VALUE]..., with arguments counted from 0; all that it says must hold.\n"
    "\n"
    "  madvise:ENOMEM:2=4                 every madvise(..., MADV_DONTNEED)\n"
    "  ftruncate:ENOSPC:1&0x3000=0x2000   an ftruncate to some lengths, and not to others\n";

static const struct {
    const char *name;
    long number;
} calls[] = {
    {"madvise", SYS_madvise},   {"ftruncate", SYS_ftruncate}, {"memfd_create", SYS_memfd_create},
    {"fcntl", SYS_fcntl},       {"mmap", SYS_mmap},           {"munmap", SYS_munmap},
    {"mprotect", SYS_mprotect}, {"pwritev", SYS_pwritev},
};

__attribute__((noreturn)) static void die(const char *what, const char *which)
{
    fprintf(stderr, "interfere: %s%s\n", what, which);
    exit(2);
}

/* ---- the filter ---- */

enum { MAX_INSTRUCTIONS = 1024 };
static struct sock_filter filter[MAX_INSTRUCTIONS];
static unsigned short n_instructions;

static void add(unsigned short code, uint32_t operand)
{
    if (n_instructions == MAX_INSTRUCTIONS)
        die("too many rules", "");
    filter[n_instructions++] = (struct sock_filter){.code = code, .k = operand};
}

/* If what is loaded is anything else, the rule does not match: a jump to where it will end. */
static void require(uint32_t value)
{
    add(BPF_JMP | BPF_JEQ | BPF_K, value);
}

static void require_half(uint32_t offset, uint32_t mask, uint32_t value)
{
    if (mask == 0)
        return;
    add(BPF_LD | BPF_W | BPF_ABS, offset);
    add(BPF_ALU | BPF_AND | BPF_K, mask);
    require(value);
}

/* The lower half comes first: both machines are little-endian. */
static void require_argument(unsigned i, uint64_t mask, uint64_t value)
{
    const uint32_t offset = (uint32_t)offsetof(struct seccomp_data, args) + 8 * i;
    require_half(offset, (uint32_t)mask, (uint32_t)value);
    require_half(offset + 4, (uint32_t)(mask >> 32), (uint32_t)(value >> 32));
}

static void end_rule(unsigned first, int error)
{
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
    for (unsigned i = first; i < n_instructions; i++)
        if (BPF_CLASS(filter[i].code) == BPF_JMP)
            filter[i].jf = (uint8_t)(n_instructions - 1 - i);
    if (n_instructions - first > UINT8_MAX)
        die("a rule says too much", "");
}

/* ---- rules ---- */

static int error_of(const char *name)
{
    for (int error = 1; error < 256; error++) {
        const char *other = strerrorname_np(error);
        if (other && strcmp(other, name) == 0)
            return error;
    }
    die("no such error: ", name);
}

static uint32_t number_of(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return (uint32_t)calls[i].number;
    die("no such call here: ", name);
}

static uint64_t take_number(const char **at, const char *rest)
{
    char *end;
    errno = 0;
    const uint64_t value = strtoull(*at, &end, 0);
    if (errno || end == *at || **at == '-')
        die("a number is missing or too large: ", rest);
    *at = end;
    return value;
}

/* ARGUMENT[&MASK]=VALUE */
static void add_condition(const char *text)
{
    const char *at = text;
    uint64_t mask = UINT64_MAX;
    const uint64_t argument = take_number(&at, text);
    if (*at == '&') {
        at++;
        mask = take_number(&at, text);
    }
    if (argument > 5 || *at != '=')
        die("not ARGUMENT[&MASK]=VALUE: ", text);
    at++;
    const uint64_t value = take_number(&at, text);
    if (*at || (value & ~mask))
        die("a value that cannot be: ", text);
    require_argument((unsigned)argument, mask, value);
}

static void add_rule(char *text)
{
    char *rest = text;
    const char *call = strsep(&rest, ":"), *error = strsep(&rest, ":");
    const unsigned first = n_instructions;
    if (!error)
        die("not CALL:ERROR: ", text);
    add(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr));
    require(number_of(call));
    for (const char *condition; (condition = strsep(&rest, ":"));)
        add_condition(condition);
    end_rule(first, error_of(error));
}

/* ---- the command ---- */

/* With no_new_privs, what is executed cannot get any of it back, not even as root. */
static void drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, none))
        die("cannot give up privileges: ", strerror(errno));
}

int main(int n_arguments, char **arguments)
{
    int i = 1;
    add(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, arch));
    filter[n_instructions++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_MACHINE, 1, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    for (; i < n_arguments && strcmp(arguments[i], "--") != 0; i++)
        add_rule(arguments[i]);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (i + 1 >= n_arguments || i == 1) {
        fputs(usage, stderr);
        return 2;
    }
    const struct sock_fprog program = {.len = n_instructions, .filter = filter};
    drop_privileges();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        die("no filter can be put on here: ", strerror(errno));
    execvp(arguments[i + 1], arguments + i + 1);
    die("cannot run: ", arguments[i + 1]);
}
