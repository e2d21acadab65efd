/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A stack machine for constant expressions. It follows types as validation does (3.3 "Instructions"), and values as far as they are
 * known before the module runs. */
#include "wasm_expression.h"

#include <string.h>

enum { MAX_DEPTH = 64 };

enum opcode {
    OP_END = 0x0b,
    OP_GLOBAL_GET = 0x23,
    OP_I32_CONST = 0x41,
    OP_I64_CONST = 0x42,
    OP_F32_CONST = 0x43,
    OP_F64_CONST = 0x44,
    OP_I32_ADD = 0x6a,
    OP_I32_SUB = 0x6b,
    OP_I32_MUL = 0x6c,
    OP_I64_ADD = 0x7c,
    OP_I64_SUB = 0x7d,
    OP_I64_MUL = 0x7e,
    OP_LAST_PLAIN = 0xc4, /* i64.extend32_s; what follows came with proposals */
    OP_REF_NULL = 0xd0,
    OP_REF_IS_NULL = 0xd1,
    OP_REF_FUNC = 0xd2,
    OP_PREFIX_GC = 0xfb,
    OP_PREFIX_BULK = 0xfc,
    OP_PREFIX_VECTOR = 0xfd,
};

enum { TYPE_ANY = 0, TYPE_F32 = 0x7d, TYPE_F64 = 0x7c, TYPE_V128 = 0x7b, TYPE_REF = 0x64 };

struct machine {
    struct cow_wasm_cursor *cursor;
    const struct cow_wasm_globals *globals;
    const uint8_t *instruction; /* where the one at work begins */
    struct cow_wasm_places places;
    bool has_lost; /* values lie under those of the stack: there were too many */
    unsigned n;
    struct cow_wasm_value stack[MAX_DEPTH];
};

static void refuse(struct machine *machine, int refusal, const char *what)
{
    cow_wasm_fail(machine->cursor, refusal, machine->instruction, what);
}

static void push(struct machine *machine, uint8_t type, bool is_known, uint64_t bits)
{
    if (machine->n == MAX_DEPTH) { /* as array.new_fixed may take, of which nothing is asked; an address takes few */
        machine->n = MAX_DEPTH / 2;
        memmove(machine->stack, machine->stack + MAX_DEPTH / 2, sizeof machine->stack / 2);
        machine->has_lost = true;
    }
    machine->stack[machine->n++] = (struct cow_wasm_value){.type = type, .is_known = is_known, .bits = bits};
}

static struct cow_wasm_value pop(struct machine *machine, uint8_t type)
{
    static const struct cow_wasm_value nothing;
    if (machine->n == 0 && machine->has_lost)
        refuse(machine, COW_WASM_UNKNOWN, "a constant expression deeper than this reader goes");
    if (machine->n == 0) {
        refuse(machine, COW_WASM_INVALID, "an instruction lacks its operands");
        return nothing;
    }
    const struct cow_wasm_value value = machine->stack[--machine->n];
    if (value.type != type && value.type != TYPE_ANY)
        refuse(machine, COW_WASM_INVALID, "an operand of another type");
    return value;
}

/* 4.3.2 "Integer Operations": modulo 2^32 or 2^64. */
static void calculate(struct machine *machine, uint8_t opcode)
{
    const bool is_64 = opcode >= OP_I64_ADD;
    const uint8_t type = is_64 ? COW_WASM_I64 : COW_WASM_I32;
    const struct cow_wasm_value b = pop(machine, type), a = pop(machine, type);
    uint64_t bits = 0;
    switch (opcode) {
    case OP_I32_ADD:
    case OP_I64_ADD:
        bits = a.bits + b.bits;
        break;
    case OP_I32_SUB:
    case OP_I64_SUB:
        bits = a.bits - b.bits;
        break;
    default:
        bits = a.bits * b.bits;
        break;
    }
    push(machine, type, a.is_known && b.is_known, is_64 ? bits : (uint32_t)bits);
}

static void get_global(struct machine *machine)
{
    const uint32_t index = cow_wasm_u32(machine->cursor);
    struct cow_wasm_value value = {.type = TYPE_ANY};
    if (machine->globals && index >= machine->globals->n) {
        refuse(machine, COW_WASM_INVALID, "there is no such global, or not yet");
        return;
    }
    if (machine->globals)
        value = machine->globals->values[index];
    if (value.is_mutable)
        refuse(machine, COW_WASM_INVALID, "a mutable global is no constant");
    if (!value.is_known && !machine->places.runtime)
        machine->places.runtime = machine->instruction;
    push(machine, value.type, value.is_known, value.bits);
}

/* The constant ones (3.3.15) are struct.new, array.new and array.new_fixed with their variants, ref.i31, any.convert_extern and
 * back. They leave one reference. How many operands they take only the type section tells: here, all there are. */
static void do_gc(struct machine *machine)
{
    enum {
        STRUCT_NEW,
        STRUCT_NEW_DEFAULT,
        ARRAY_NEW = 6,
        ARRAY_NEW_DEFAULT,
        ARRAY_NEW_FIXED,
        ANY_CONVERT_EXTERN = 26,
        REF_I31 = 28
    };
    const uint32_t opcode = cow_wasm_u32(machine->cursor);
    const bool is_struct = opcode <= STRUCT_NEW_DEFAULT, is_array = opcode >= ARRAY_NEW && opcode <= ARRAY_NEW_FIXED;
    if (!is_struct && !is_array && !(opcode >= ANY_CONVERT_EXTERN && opcode <= REF_I31))
        refuse(machine, COW_WASM_UNKNOWN, "an instruction that is not known in constant expressions");
    if (is_struct || is_array)
        (void)cow_wasm_u32(machine->cursor); /* the type */
    if (opcode == ARRAY_NEW_FIXED)
        (void)cow_wasm_u32(machine->cursor); /* the length */
    machine->n = 0;
    machine->has_lost = false;
    push(machine, TYPE_REF, false, 0);
}

static void do_vector(struct machine *machine)
{
    enum { V128_CONST = 12 };
    if (cow_wasm_u32(machine->cursor) != V128_CONST)
        refuse(machine, COW_WASM_INVALID, "an instruction that is not constant");
    (void)cow_wasm_skip(machine->cursor, 16);
    push(machine, TYPE_V128, false, 0);
}

/* References and floating point: only their form and their type matter. */
static void do_other(struct machine *machine, uint8_t opcode)
{
    switch (opcode) {
    case OP_F32_CONST:
        (void)cow_wasm_skip(machine->cursor, 4);
        push(machine, TYPE_F32, false, 0);
        break;
    case OP_F64_CONST:
        (void)cow_wasm_skip(machine->cursor, 8);
        push(machine, TYPE_F64, false, 0);
        break;
    case OP_REF_NULL:
        cow_wasm_skip_heap_type(machine->cursor);
        push(machine, TYPE_REF, false, 0);
        break;
    case OP_REF_FUNC:
        (void)cow_wasm_u32(machine->cursor);
        push(machine, TYPE_REF, false, 0);
        break;
    case OP_PREFIX_GC:
        do_gc(machine);
        break;
    case OP_PREFIX_VECTOR:
        do_vector(machine);
        break;
    default:
        if (opcode <= OP_LAST_PLAIN || opcode == OP_REF_IS_NULL || opcode == OP_PREFIX_BULK)
            refuse(machine, COW_WASM_INVALID, "an instruction that is not constant");
        else
            refuse(machine, COW_WASM_UNKNOWN, "an instruction that is not known in constant expressions");
    }
}

static void do_instruction(struct machine *machine, uint8_t opcode)
{
    switch (opcode) {
    case OP_I32_CONST:
        push(machine, COW_WASM_I32, true, (uint32_t)cow_wasm_signed(machine->cursor, 32));
        break;
    case OP_I64_CONST:
        push(machine, COW_WASM_I64, true, (uint64_t)cow_wasm_signed(machine->cursor, 64));
        break;
    case OP_GLOBAL_GET:
        get_global(machine);
        break;
    case OP_I32_ADD:
    case OP_I32_SUB:
    case OP_I32_MUL:
    case OP_I64_ADD:
    case OP_I64_SUB:
    case OP_I64_MUL:
        calculate(machine, opcode);
        break;
    default:
        do_other(machine, opcode);
    }
}

struct cow_wasm_value cow_wasm_expression(struct cow_wasm_cursor *cursor, const struct cow_wasm_globals *globals,
                                          struct cow_wasm_places *ret_places)
{
    static const struct cow_wasm_value other = {.type = TYPE_REF};
    struct machine machine;
    uint8_t opcode;
    machine.cursor = cursor; /* not an initialiser: it would clear the whole stack, for each segment */
    machine.globals = globals;
    machine.places = (struct cow_wasm_places){.last = cursor->at};
    machine.has_lost = false;
    machine.n = 0;
    for (;;) {
        machine.instruction = cursor->at;
        opcode = cow_wasm_byte(cursor);
        if (opcode == OP_END || cow_wasm_failed(cursor))
            break;
        do_instruction(&machine, opcode);
        machine.places.last = machine.instruction;
    }
    *ret_places = machine.places;
    if (machine.n != 1 || machine.has_lost)
        refuse(&machine, COW_WASM_INVALID, "a constant expression that does not leave one value");
    return machine.n == 1 && !cow_wasm_failed(cursor) ? machine.stack[0] : other;
}
