/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "guest.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

static struct {
    uintptr_t base, end;         /* faults in [base, end) may be ours */
    volatile sig_atomic_t armed; /* a guest instruction is about to run */
    sigjmp_buf *landing;         /* of a watch, or NULL */
    struct rig_fault *landing_fault;
    struct rig_fault fault; /* the last one that was expected */
    struct sigaction previous_segv, previous_bus;
    bool installed;
} guest;

/* ---- the instructions ----
 * rig_load_N(at, bytes) and rig_store_N(at, bytes): 0, or 1 after a fault. Each adds (instruction, fix-up) to a table. */

int rig_load_1(const void *at, void *bytes), rig_load_2(const void *at, void *bytes),
    rig_load_4(const void *at, void *bytes);
int rig_load_8(const void *at, void *bytes), rig_load_16(const void *at, void *bytes);
int rig_store_1(void *at, const void *bytes), rig_store_2(void *at, const void *bytes),
    rig_store_4(void *at, const void *bytes);
int rig_store_8(void *at, const void *bytes), rig_store_16(void *at, const void *bytes);

#define RIG_TABLE_ROW ".pushsection rig_fixups,\"aw\"\n .balign 8\n .quad 1b\n .quad 2f\n .popsection\n"
#define RIG_FUNCTION(name, body)                                                                                       \
    ".text\n .p2align 4\n .type " name ", %function\n .globl " name "\n" name ":\n" body ".size " name ", . - " name   \
    "\n"

#if defined __x86_64__ && !defined RIG_PORTABLE_GUEST
/* rdi: guest address, rsi: bytes. */
#define RIG_LOAD(n, move, reg)                                                                                         \
    RIG_FUNCTION("rig_load_" #n, "1: " move " (%rdi), %" reg "\n" RIG_TABLE_ROW move " %" reg                          \
                                 ", (%rsi)\n xorl %eax, %eax\n ret\n2: movl $1, %eax\n ret\n")
#define RIG_STORE(n, move, reg)                                                                                        \
    RIG_FUNCTION("rig_store_" #n, move " (%rsi), %" reg "\n1: " move " %" reg ", (%rdi)\n" RIG_TABLE_ROW               \
                                       "xorl %eax, %eax\n ret\n2: movl $1, %eax\n ret\n")
__asm__(RIG_LOAD(1, "movb", "al") RIG_LOAD(2, "movw", "ax") RIG_LOAD(4, "movl", "eax") RIG_LOAD(8, "movq", "rax")
            RIG_LOAD(16, "movdqu", "xmm0"));
__asm__(RIG_STORE(1, "movb", "al") RIG_STORE(2, "movw", "ax") RIG_STORE(4, "movl", "eax") RIG_STORE(8, "movq", "rax")
            RIG_STORE(16, "movdqu", "xmm0"));
#define RIG_HAS_FIXUPS 1
static uintptr_t *instruction_pointer(ucontext_t *context)
{
    return (uintptr_t *)&context->uc_mcontext.gregs[REG_RIP];
}
#elif defined __aarch64__ && !defined RIG_PORTABLE_GUEST
/* x0: guest address, x1: bytes. */
#define RIG_LOAD(n, load, store, reg)                                                                                  \
    RIG_FUNCTION("rig_load_" #n, "1: " load " " reg ", [x0]\n" RIG_TABLE_ROW store " " reg                             \
                                 ", [x1]\n mov w0, #0\n ret\n2: mov w0, #1\n ret\n")
#define RIG_STORE(n, load, store, reg)                                                                                 \
    RIG_FUNCTION("rig_store_" #n, load " " reg ", [x1]\n1: " store " " reg ", [x0]\n" RIG_TABLE_ROW                    \
                                       "mov w0, #0\n ret\n2: mov w0, #1\n ret\n")
__asm__(RIG_LOAD(1, "ldrb", "strb", "w2") RIG_LOAD(2, "ldrh", "strh", "w2") RIG_LOAD(4, "ldr", "str", "w2")
            RIG_LOAD(8, "ldr", "str", "x2") RIG_LOAD(16, "ldr", "str", "q0"));
__asm__(RIG_STORE(1, "ldrb", "strb", "w2") RIG_STORE(2, "ldrh", "strh", "w2") RIG_STORE(4, "ldr", "str", "w2")
            RIG_STORE(8, "ldr", "str", "x2") RIG_STORE(16, "ldr", "str", "q0"));
#define RIG_HAS_FIXUPS 1
static uintptr_t *instruction_pointer(ucontext_t *context)
{
    return (uintptr_t *)&context->uc_mcontext.pc;
}
#else
#define RIG_HAS_FIXUPS 0
static sigjmp_buf portable_landing;
/* Volatile accesses and a jump: slower, and the signal mask has to be restored. */
#define RIG_PORTABLE(n, type)                                                                                          \
    int rig_load_##n(const void *at, void *bytes)                                                                      \
    {                                                                                                                  \
        if (sigsetjmp(portable_landing, 1))                                                                            \
            return 1;                                                                                                  \
        type value = *(const volatile type *)at;                                                                       \
        memcpy(bytes, &value, n);                                                                                      \
        return 0;                                                                                                      \
    }                                                                                                                  \
    int rig_store_##n(void *at, const void *bytes)                                                                     \
    {                                                                                                                  \
        type value;                                                                                                    \
        if (sigsetjmp(portable_landing, 1))                                                                            \
            return 1;                                                                                                  \
        memcpy(&value, bytes, n);                                                                                      \
        *(volatile type *)at = value;                                                                                  \
        return 0;                                                                                                      \
    }
typedef uint16_t rig_u16 __attribute__((aligned(1)));
typedef uint32_t rig_u32 __attribute__((aligned(1)));
typedef uint64_t rig_u64 __attribute__((aligned(1)));
RIG_PORTABLE(1, uint8_t)
RIG_PORTABLE(2, rig_u16)
RIG_PORTABLE(4, rig_u32)
RIG_PORTABLE(8, rig_u64)
/* In halves, the lower first: so the address of a trap is the first byte that cannot be touched. */
int rig_load_16(const void *at, void *bytes)
{
    return rig_load_8(at, bytes) || rig_load_8((const uint8_t *)at + 8, (uint8_t *)bytes + 8);
}
int rig_store_16(void *at, const void *bytes)
{
    return rig_store_8(at, bytes) || rig_store_8((uint8_t *)at + 8, (const uint8_t *)bytes + 8);
}
#endif

#if RIG_HAS_FIXUPS
struct fixup {
    uintptr_t instruction, target;
};
/* The linker names a section's ends when its name is an identifier. */
extern const struct fixup __start_rig_fixups[], __stop_rig_fixups[];

static bool recover(ucontext_t *context)
{
    uintptr_t *pointer = instruction_pointer(context);
    for (const struct fixup *fixup = __start_rig_fixups; fixup < __stop_rig_fixups; fixup++)
        if (*pointer == fixup->instruction) {
            *pointer = fixup->target;
            return true;
        }
    return false;
}
#else
static bool recover(ucontext_t *context)
{
    (void)context;
    siglongjmp(portable_landing, 1);
}
#endif

/* ---- the handler ---- */

static void hand_on(int signal_number, siginfo_t *info, void *context)
{
    const struct sigaction *previous = signal_number == SIGSEGV ? &guest.previous_segv : &guest.previous_bus;
    if (previous->sa_flags & SA_SIGINFO)
        previous->sa_sigaction(signal_number, info, context);
    else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN)
        sigaction(signal_number, previous, NULL); /* the instruction runs again and faults for good */
    else
        previous->sa_handler(signal_number);
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
    const uintptr_t address = (uintptr_t)info->si_addr;
    const bool is_ours = info->si_code > 0 && address >= guest.base && address < guest.end;
    if (is_ours && guest.armed) {
        guest.armed = 0;
        guest.fault = (struct rig_fault){address, signal_number};
        if (recover(context))
            return;
    }
    if (is_ours && guest.landing) {
        sigjmp_buf *landing = guest.landing;
        guest.landing = NULL;
        *guest.landing_fault = (struct rig_fault){address, signal_number};
        siglongjmp(*landing, 1);
    }
    hand_on(signal_number, info, context);
}

void rig_guest_install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (guest.installed)
        return;
    action.sa_sigaction = handle;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &guest.previous_segv);
    sigaction(SIGBUS, &action, &guest.previous_bus);
    guest.installed = true;
}

void rig_guest_set_range(const void *base, size_t length_bytes)
{
    guest.base = (uintptr_t)base;
    guest.end = guest.base + length_bytes;
}

void rig_guest_watch(sigjmp_buf *landing, struct rig_fault *ret_fault)
{
    guest.landing_fault = ret_fault;
    guest.landing = landing;
}

void rig_guest_end_watch(void)
{
    guest.landing = NULL;
}

/* ---- accesses ---- */

static bool finish(int faulted, struct rig_fault *ret_fault)
{
    guest.armed = 0;
    if (faulted)
        *ret_fault = guest.fault;
    return !faulted;
}

bool rig_guest_load(const uint8_t *at, unsigned width, uint8_t ret_bytes[16], struct rig_fault *ret_fault)
{
    guest.armed = 1;
    switch (width) {
    case 1:
        return finish(rig_load_1(at, ret_bytes), ret_fault);
    case 2:
        return finish(rig_load_2(at, ret_bytes), ret_fault);
    case 4:
        return finish(rig_load_4(at, ret_bytes), ret_fault);
    case 8:
        return finish(rig_load_8(at, ret_bytes), ret_fault);
    default:
        return finish(rig_load_16(at, ret_bytes), ret_fault);
    }
}

bool rig_guest_store(uint8_t *at, unsigned width, const uint8_t bytes[16], struct rig_fault *ret_fault)
{
    guest.armed = 1;
    switch (width) {
    case 1:
        return finish(rig_store_1(at, bytes), ret_fault);
    case 2:
        return finish(rig_store_2(at, bytes), ret_fault);
    case 4:
        return finish(rig_store_4(at, bytes), ret_fault);
    case 8:
        return finish(rig_store_8(at, bytes), ret_fault);
    default:
        return finish(rig_store_16(at, bytes), ret_fault);
    }
}
