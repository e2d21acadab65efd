# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Looks at pools from gdb, in a live process or in a core: gdb -x impl/cowpool-gdb.py ...

  cow-pool [POOL]     geometry, how many slots are in which state, images, and the first invariant that does not hold
  cow-slots [POOL]    a line for each slot
  cow-slot N [POOL]   one slot: all fields, its image, what the kernel maps there, and what must hold in its state

POOL is an expression; without it, the one pool that the process has. Nothing here knows the fields of a slot but by their names
and types, so that new ones show by themselves. The contents of slots are in no core (DONTDUMP).
"""
import collections
import os
import re
import struct

import gdb

Row = collections.namedtuple("Row", "begin end access offset path")
slot_header = os.path.join(os.path.dirname(os.path.realpath(__file__)), "slot.h")


def plural(n, what):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


def hexadecimal(value):
    return "0x%x" % int(value)


# ---- which pool ----

def pools():
    try:
        pool = gdb.parse_and_eval("cow_fork_pools")
    except gdb.error as error:
        raise gdb.GdbError("there is no pool to be seen: %s (is impl/fork.c linked in, with debug information?)" % error)
    while pool:
        yield pool
        pool = pool["next"]


def find_pool(expression):
    if expression:
        value = gdb.parse_and_eval(expression)
        target = value.type.strip_typedefs()
        target = target.target().unqualified().strip_typedefs() if target.code == gdb.TYPE_CODE_PTR else None
        if target is None or target.tag != "cow_pool":
            raise gdb.GdbError("'%s' is a %s, not a struct cow_pool *" % (expression, value.type))
        return value
    found = list(pools())
    if not found:
        raise gdb.GdbError("this process has no pool")
    if len(found) > 1:
        raise gdb.GdbError("which pool? %s" % ", ".join("(struct cow_pool *)" + hexadecimal(pool) for pool in found))
    return found[0]


def find_slot(pool, number):
    n_slots = int(pool["geometry"]["n_slots"])
    if not 0 <= number < n_slots:
        raise gdb.GdbError("slot %d: the pool has %s, from 0" % (number, plural(n_slots, "slot")))
    return pool["slots"][number]


# ---- values ----

def state_of(slot):
    name = str(slot["state"])
    name = name[len("COW_SLOT_"):] if name.startswith("COW_SLOT_") else name
    flags = [field.name for field in slot.type.fields()
             if field.type.strip_typedefs().code == gdb.TYPE_CODE_BOOL and field.name != "listed" and slot[field.name]]
    return " ".join([name] + flags)


def spell(name, value):
    code = value.type.strip_typedefs().code
    if code == gdb.TYPE_CODE_PTR:
        return hexadecimal(value) if value else "none"
    if name.endswith("_bytes"):
        return "%d (0x%x)" % (int(value), int(value))
    return hexadecimal(value) if name in ("lease", "last_handle") else str(value)


def is_link(field):
    """A place in a list of slots, of which nobody learns anything."""
    kind = field.type.strip_typedefs()
    return kind.code == gdb.TYPE_CODE_PTR and kind.target().strip_typedefs().tag == "cow_slot"


def print_fields(value, skip=(), prefix=""):
    for field in value.type.fields():
        kind = field.type.strip_typedefs().code
        if field.name in skip or is_link(field) or kind in (gdb.TYPE_CODE_UNION, gdb.TYPE_CODE_ARRAY):
            continue
        name = prefix + field.name
        if kind == gdb.TYPE_CODE_STRUCT:
            print_fields(value[field.name], prefix=name + ".")
        else:
            print("  %-20s %s" % (name, spell(field.name, value[field.name])))


def print_runs(image):
    try:  # whoever looks here may do so because the pointer is wrong
        for i in range(int(image["n_runs"])):
            run = image["runs"][i]
            begin, offset = int(run["offset_bytes"]), int(run["file_offset_bytes"])
            print("    +0x%-10x .. +0x%-10x of its file from 0x%x" % (begin, begin + int(run["length_bytes"]), offset))
    except gdb.MemoryError as error:
        print("    unreadable: %s" % error)


# ---- what the kernel maps ----

def live_rows(pid):
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            words = line.split(None, 5)
            begin, end = (int(word, 16) for word in words[0].split("-"))
            yield Row(begin, end, words[1], int(words[2], 16), words[5].strip() if len(words) > 5 else "")


def core_files():
    """(begin, end) -> (offset, path), of the mappings of files that the core names."""
    files = {}
    try:
        listed = gdb.execute("info proc mappings", to_string=True)
    except gdb.error:
        return files
    for line in listed.splitlines():
        match = re.match(r"\s*(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+)\s+(.*\S)", line)
        if match:
            files[int(match.group(1), 16), int(match.group(2), 16)] = int(match.group(3), 16), match.group(4)
    return files


def core_rows():
    """From the program headers of the core: they tell of mappings that were left out, too."""
    match = re.search(r"core dump file:\s*[`'](.*)', file type", gdb.execute("info files", to_string=True))
    if not match:
        return
    files = core_files()
    with open(match.group(1), "rb") as core:
        head = core.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return
        at, = struct.unpack_from("<Q", head, 32)
        size, n = struct.unpack_from("<HH", head, 54)
        core.seek(at)
        table = core.read(size * n)
    for i in range(n):
        kind, flags, _, begin, _, _, length, _ = struct.unpack_from("<IIQQQQQQ", table, i * size)
        if kind == 1:
            access = "".join(letter if flags & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
            offset, path = files.get((begin, begin + length), (0, ""))
            yield Row(begin, begin + length, access + "?", offset, path)


def is_live():
    return gdb.selected_inferior().pid > 0 and "core" not in (gdb.selected_inferior().connection.type
                                                              if gdb.selected_inferior().connection else "")


def print_rows(begin, end):
    try:
        rows = list(live_rows(gdb.selected_inferior().pid) if is_live() else core_rows())
    except OSError as error:
        print("    unknown: %s" % error)
        return
    inside = [row for row in rows if row.begin < end and row.end > begin]
    for row in inside:
        first, last = max(row.begin, begin), min(row.end, end)
        place = " from 0x%x" % (row.offset + first - row.begin) if row.path else ""
        print("    +0x%-10x .. +0x%-10x %s %s%s" % (first - begin, last - begin, row.access, row.path, place))
    if not inside:
        print("    nothing, as far as can be seen here")


# ---- invariants ----

def stated_invariants():
    """The numbered sentences of slot.h, which lies beside this file."""
    try:
        with open(slot_header) as header:
            comment = header.read().split("*/", 2)[1]
    except (OSError, IndexError):
        return []
    text = " ".join(line.strip().lstrip("*").strip() for line in comment.splitlines())
    return re.findall(r"\(S\d+\) .*?(?= \(S\d+\) [A-Z]|$)", text)


def print_walk(pool):
    if not is_live():
        print("invariants: not walked, since a core runs no code")
        return
    try:
        broken = gdb.parse_and_eval("(const char *)cow_pool_check((struct cow_pool *)%s)" % hexadecimal(pool))
    except gdb.error as error:
        print("invariants: not walked: %s" % error)
        return
    print("invariants: %s" % (broken.string() if broken else "all hold (cow_pool_check)"))


# ---- the commands ----

def arguments(text, at_most):
    words = gdb.string_to_argv(text)
    if len(words) > at_most:
        raise gdb.GdbError("too much: '%s'" % words[at_most])
    return words


class CowPool(gdb.Command):
    """cow-pool [POOL]: geometry, states of slots, images, invariants."""

    def __init__(self):
        super().__init__("cow-pool", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        pool = find_pool("".join(arguments(argument, 1)))
        geometry = pool["geometry"]
        print("pool %s" % hexadecimal(pool))
        print_fields(pool.dereference(), skip=("geometry", "slots", "shards", "images", "sys", "next", "link"))
        print_fields(geometry)
        states = collections.Counter(state_of(pool["slots"][i]) for i in range(int(geometry["n_slots"])))
        print("slots: %s" % ", ".join("%d %s" % (n, state) for state, n in sorted(states.items())))
        image = pool["images"]["first"]
        while image:
            print("image %s: %s" % (hexadecimal(image), plural(int(image["n_runs"]), "run")))
            print_runs(image)
            image = image["next"]
        print_walk(pool)


class CowSlots(gdb.Command):
    """cow-slots [POOL]: a line for each slot."""

    def __init__(self):
        super().__init__("cow-slots", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        pool = find_pool("".join(arguments(argument, 1)))
        print("%4s  %-14s %-16s %12s %12s %12s  %s" % ("slot", "state", "base", "E", "length", "accessible", "image"))
        for i in range(int(pool["geometry"]["n_slots"])):
            slot = pool["slots"][i]
            print("%4d  %-14s %-16s %12d %12d %12d  %s" % (
                i, state_of(slot), hexadecimal(slot["base"]), int(slot["paved_bytes"]), int(slot["length_bytes"]),
                int(slot["accessible_bytes"]), spell("image", slot["image"])))


class CowSlot(gdb.Command):
    """cow-slot N [POOL]: a slot, its image, its mappings, and what must hold in its state."""

    def __init__(self):
        super().__init__("cow-slot", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = arguments(argument, 2)
        if not words:
            raise gdb.GdbError("which slot? cow-slot N [POOL]")
        pool = find_pool(words[1] if len(words) > 1 else "")
        slot = find_slot(pool, int(gdb.parse_and_eval(words[0])))
        state = state_of(slot)
        print("slot %s: %s" % (words[0], state))
        print_fields(slot, skip=("state",))
        if slot["image"]:
            print("  its image:")
            print_runs(slot["image"])
        base = int(slot["base"])
        print("  mapped there, guard and all:")
        print_rows(base, base + int(pool["geometry"]["stride_bytes"]))
        for sentence in stated_invariants():
            if re.match(r"\(S\d+\) %s[:,]" % state.split()[0], sentence):
                print("  " + sentence)


CowPool()
CowSlots()
CowSlot()
