#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# lockstep run --gdb stops where it says, and the commands of impl/cowpool-gdb.py tell what is true of a pool: in a live process, in
# a core, and of a pool whose books are wrong.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh

skip() { echo "skipped: $*" && exit 77; }
command -v gdb >/dev/null || skip "there is no gdb here"
gdb -q -batch -ex 'python print(1)' 2>&1 | grep -qx 1 || skip "this gdb has no Python"
gdb -q -batch -ex run --args "$(command -v true)" 2>&1 | grep -q 'exited normally' || skip "gdb may not run processes here"
! grep -q '^COW_SANITIZE:[A-Z]*=.' "${BUILD_DIR:-build}/CMakeCache.txt" || skip "another build does this: sanitizers do not like to be traced"
page=$(getconf PAGESIZE)
gdb=(gdb -q -batch -ex 'set width 0')

# refuses MESSAGE COMMAND...: exit 2, nothing on stdout, one line on stderr that says this
refuses() {
    local message=$1
    shift
    exits 2 "$@" >"$dir/out" 2>"$dir/err" </dev/null && [[ ! -s $dir/out && $(wc -l <"$dir/err") == 1 ]] &&
        grep -qF -- "$message" "$dir/err" || { cat "$dir/out" "$dir/err" && return 1; }
}
# shows REGEX...: each matches a line of what gdb said
shows() {
    local regex
    for regex; do
        grep -aqE -- "$regex" "$dir/gdb" || { echo "no line '$regex' in:" && cat "$dir/gdb" && return 1; }
    done
}
# tell COMMANDS ARGUMENTS...: these gdb commands at each stop, one a line
tell() {
    printf 'set width 0\n%b\nkill\n' "$1" >"$dir/commands"
    shift
    "$lockstep" run --gdb "$@" <"$dir/commands" >"$dir/gdb" 2>&1
}

cat >"$dir/two.ops" <<'END'
cowpool-ops 1
pool slots=2 max=4P
image A size=1P
data 0 bytes 01
instantiate i0 A initial=2P
grow i0 +1P
reset i0
release i0
END

# ---- where it stops ----
check "it stops before operation 4" tell 'print run->op\nup\ncow-slot 0' --until 4 "$dir/two.ops"
check "of which it has not begun" shows '= 4$' "accessible_bytes +$((3 * page)) " "length_bytes +$((3 * page)) "
check "when operation 3 is done and told" shows '3 +grow i0 \+1P +-> ok=3P'
check "it stops before the end" tell 'print run->op\ncow-slots' --until 6 "$dir/two.ops"
check "when all operations are done" shows '= 6$' '^ +0  IDLE ' '^ +1  BARE '
check "it stops where something diverges" tell 'bt 1' --subject template corpus/motifs/grown-secret.ops
check "which is where the report is made" shows '^(\(gdb\) )*#0 +rig_diverge_byte '
check "it stops where something crashes" tell 'set var cow_fork_pools->slots[0].image = (struct cow_image *)16\ncontinue\nbt' --until 4 "$dir/two.ops"
check "above what did it" shows '#0 +hand_on ' '<signal handler called>' ' bucket_of | cow_slot_| cow_shard_'
check "it stops nowhere else" tell '' corpus/edges/access-width-1.ops
check "not at traps" shows 'exited normally' '-> trap '

# ---- what the commands say ----
check "a pool is told" tell 'cow-pool\ncow-slots\ncow-slot 0\ncow-slot 1\ncow-slot 2\ncow-slot' --until 4 "$dir/two.ops"
check "with its geometry, slots and images" shows "capacity_bytes +$((4 * page)) " '^slots: 1 BARE, 1 LIVE$' '^image 0x[0-9a-f]+: 1 run$'
check "with its invariants" shows '^invariants: all hold'
check "a slot is told" shows 'slot 0: LIVE' 'lease +0x[1-9a-f]' "paved_bytes +$((2 * page)) " '  \(S2\) LIVE: '
check "with what is mapped there" shows "\\+0x0 +\\.\\. \\+0x$(printf %x "$page") +rw-p /memfd:cowpool-image"
check "another slot is in another state" shows 'slot 1: BARE' '  \(S5\) BARE: ' '---p'
check "a slot that is not there is refused" shows 'slot 2: the pool has 2 slots, from 0' 'which slot\?'
fields() { # all that are no links between slots
    local name
    for name in $(sed -n '/^struct cow_slot {/,/^};/p' impl/slot.h | sed 's|/\*.*||; /struct cow_slot \*/d' | grep -oE '[a-z_]+;' | tr -d ';'); do
        [[ $name == state ]] || shows "^  $name[. ]" || return 1
    done
}
check "all fields are told" fields
check "a broken pool is told" tell "set var cow_fork_pools->slots[0].length_bytes = $page\ncow-pool" --until 4 "$dir/two.ops"
check "by the invariant that is broken" shows '^(\(gdb\) )*invariants: \(S[0-9]\) '
no_pool() {
    "${gdb[@]}" -x impl/cowpool-gdb.py -ex 'break main' -ex run -ex cow-slots --args "$lockstep" --version >"$dir/gdb" 2>&1 || true
    shows '^this process has no pool$'
}
check "nothing where there is no pool" no_pool

# ---- cores ----
core() { "${gdb[@]}" -x impl/cowpool-gdb.py -ex cow-pool -ex cow-slots -ex 'cow-slot 0' "$lockstep" "$1" >"$dir/gdb" 2>&1; }
check "gdb can save a core" tell "generate-core-file $dir/saved" --until 4 "$dir/two.ops"
check "a core that gdb saved can be read" core "$dir/saved"
check "it tells of the pool" shows '^slots: 1 BARE, 1 LIVE$' '^ +0  LIVE ' '^slot 0: LIVE$' '^invariants: not walked'
if [[ $(</proc/sys/kernel/core_pattern) =~ ^[|/] ]]; then
    echo "skipped: a core by the kernel, since cores are taken elsewhere here"
else
    die() { # at a bug that is planted by gdb, when it has gone
        printf 'set var cow_fork_pools->slots[0].image = (struct cow_image *)16\nhandle SIGSEGV nostop pass\ndelete\ncall (int)setrlimit(4, (unsigned long [2]){-1, -1})\ndetach\n' >"$dir/commands"
        (cd "$dir" && ulimit -c unlimited && "$lockstep" run --until 4 --gdb two.ops <commands >gdb 2>&1)
        for ((i = 0; i < 50; i++)); do
            for file in "$dir"/core*; do [[ ! -s $file ]] || return 0; done
            sleep 0.1
        done
        cat "$dir/gdb" && return 1
    }
    check "the kernel saves a core" die
    check "which can be read" core "$(echo "$dir"/core*)"
    check "and tells what was mapped" shows '^slot 0: IDLE$' "\\+0x0 +\\.\\. \\+0x$(printf %x "$page") +rw-\\? /memfd:cowpool-image"
    check "though the pointer that it died of cannot be followed" shows 'unreadable: '
fi

# ---- what cannot be ----
mkdir "$dir/empty"
check "without gdb" refuses "gdb cannot be run" env PATH="$dir/empty" "$lockstep" run --gdb "$dir/two.ops"
check "behind the end" refuses "there is no operation 7 to stop before: it has 6" "$lockstep" run --gdb --until 7 "$dir/two.ops"
check "two programs" refuses "--gdb takes one program" "$lockstep" run --gdb "$dir/two.ops" "$dir/two.ops"
check "the standard input" refuses "gdb reads there" "$lockstep" run --gdb -
exit $((n_failed > 0))
