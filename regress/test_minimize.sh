#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What happens to a finding, with historic bugs put back into the pool: a long random program becomes a minimal one, that becomes a
# C program which fails on the patched pool and not on ours, triage files both, verify sees the bug come and go, promote writes
# the regress entry. Also: what each of these refuses.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
build=$(realpath "${BUILD_DIR:-build}")
max_ops=8

option() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
[[ -z $(option COW_SANITIZE) ]] || { echo "skipped: another build does this: a sanitizer's report would hide the line" && exit 77; }
read -ra cc <<<"${CC:-cc}"
compile=("${cc[@]}" -std=gnu11 -D_GNU_SOURCE -O1 -g -w -Iimpl -Iimpl/include)
[[ $(option COW_DEBUG) != ON ]] || compile+=(-DCOW_DEBUG=1)
[[ $(option COW_HOSTILE) != ON ]] || compile+=(-DCOW_HOSTILE=1)
rig=("$build"/CMakeFiles/lockstep.dir/fuzz/*.o "$build"/libcow_{rig,reference,impl}.a)

run() { "$@" >"$dir/out" 2>"$dir/err"; }
has() { grep -qE -- "$2" "$1" || { echo "no '$2' in:" && head -n 20 "$1" && return 1; }; }
# refuses MESSAGE COMMAND...: exit 2, nothing on stdout, one line on stderr that says this
refuses() {
    local message=$1 code=0
    shift
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    [[ $code == 2 && ! -s $dir/out && $(wc -l <"$dir/err") == 1 ]] && grep -qF -- "$message" "$dir/err" ||
        { echo "exit code $code, '$message' was expected" && cat "$dir/out" "$dir/err" && return 1; }
}

# ---- pools: ours in $dir/ours, patched ones in $dir/<patch> ----
mkdir "$dir/ours"
cp -r impl "$dir/ours"
plant() { # plant NAME SOURCE...: links the rig with these files of its tree
    local name=$1
    shift
    (cd "$dir/$name" && "${compile[@]}" "$@" "${rig[@]}" -pthread -o lockstep)
}
patched() { # patched NAME
    local sources
    mkdir "$dir/$1"
    cp -r impl "$dir/$1"
    (cd "$dir/$1" && GIT_CEILING_DIRECTORIES=$dir git apply -) <"regress/bugs/$1.patch"
    mapfile -t sources < <(sed -n 's/^+++ b\///p' "regress/bugs/$1.patch" | grep '\.c$')
    ! grep -q '^+++ b/.*\.h$' "regress/bugs/$1.patch" || sources=(impl/*.c impl/sys/*.c)
    plant "$1" "${sources[@]}"
}

# long_program NAME: the first random one of 200 operations that the patched pool diverges on, as the patch says; in NAME/long.ops
long_program() {
    local finds seed code
    finds=$(sed -n 's/^Finds: //p' "regress/bugs/$1.patch")
    for seed in {1..100}; do
        "$lockstep" gen --seed "$seed" --ops 200 >"$dir/$1/long.ops"
        code=0
        "$dir/$1/lockstep" run "$dir/$1/long.ops" >"$dir/$1/line" 2>/dev/null || code=$?
        grep -qE '^divergence: (resident|residue|calls) ' "$dir/$1/line" && continue # a C program does not look there
        [[ $code != 1 ]] || ! grep -qE "^($finds)$" "$dir/$1/line" || return 0
    done
    echo "no program of the first 100 seeds"
    return 1
}
n_ops() { grep -cvE '^ *(#|$|cowpool-ops |pool |needs |image |data )' "$1" || true; }
is_small() { local n && n=$(n_ops "$1") && ((n > 0 && n <= max_ops)) || { cat "$1" && return 1; }; }
diverges_alike() { exits 1 "$dir/$1/lockstep" run "$2" >"$dir/line" 2>/dev/null && cmp "$dir/line" "$dir/$1/line"; }

# c_program TREE FILE CODE REGEX: compiles by the command in the file's own first comment, in this tree's root
c_program() {
    local command
    command=$(sed -n '1s|^// cc |'"${cc[*]}"' |p' "$2")
    (cd "$dir/$1" && exits "$3" bash -c "$command" >c.out) && has "$dir/$1/c.out" "$4"
}

# ---- the way of a bug, end to end ----
for bug in B18 B40 B43 M10; do
    patched "$bug"
    tool=$dir/$bug/lockstep min=$dir/$bug/min.ops
    check "$bug: there is a long program that diverges" long_program "$bug"
    check "$bug: it can be minimised" "$tool" minimize -o "$min" "$dir/$bug/long.ops"
    check "$bug: to at most $max_ops operations" is_small "$min"
    check "$bug: with the same stable line" diverges_alike "$bug" "$min"
    check "$bug: which its comment names" grep -qxF "# $(cat "$dir/$bug/line")" "$min"
    check "$bug: it is spelled canonically" "$lockstep" fmt --check "$min"
    check "$bug: on our pool it agrees" "$lockstep" run "$min"
    "$tool" minimize "$dir/$bug/long.ops" >"$dir/again.ops" 2>/dev/null
    check "$bug: another time, on stdout, it is the same" cmp "$min" "$dir/again.ops"
    check "$bug: it becomes a C program" "$tool" emit-c -o "$dir/$bug/repro.c" "$min"
    check "$bug: that fails on the patched pool" c_program "$bug" "$dir/$bug/repro.c" 1 '^(operation [0-9]+, |the end: )'
    [[ $bug != B18 ]] || check "$bug: because of what the kernel still maps" has "$dir/$bug/c.out" 'still maps a dropped image'
    check "$bug: and not on ours" c_program ours "$dir/$bug/repro.c" 0 '^ok$'
    "$lockstep" emit-c "$min" | tail -n +2 >"$dir/again.c"
    check "$bug: our tool makes the same one" cmp "$dir/again.c" <(tail -n +2 "$dir/$bug/repro.c")
done

# An image without data has no file: nothing is wrong there but the count of kernel calls.
printf 'cowpool-ops 1\nimage A size=0\ninstantiate i0 A\ndrop A\nrelease i0\nflush\n' >"$dir/calls.ops"
"$lockstep" emit-c -o "$dir/calls.c" "$dir/calls.ops"
check "a C program counts kernel calls" c_program B18 "$dir/calls.c" 1 '^operation 4, flush: 0 calls of mmap, expected were 1$'
check "as our pool makes them" c_program ours "$dir/calls.c" 0 '^ok$'

for program in software-grown-secret trim-everything warm-enough; do
    "$lockstep" emit-c -o "$dir/$program.c" "corpus/motifs/$program.ops"
    check "$program becomes a C program that agrees" c_program ours "$dir/$program.c" 0 '^ok$'
done

# ---- a crash, and a hang ----
mkdir "$dir/crash"
cp -r impl "$dir/crash"
sed -i '/^int cow_instance_grow/,/^}/s/.*const uint64_t old_bytes = .*/&\n    if (delta_bytes == 3 * pool->geometry.page_bytes) *(volatile int *)0 = 1;\n    for (volatile int forever = delta_bytes == 7 * pool->geometry.page_bytes; forever;) ;/' "$dir/crash/impl/instance.c"
plant crash impl/instance.c
story='image A size=2P\ndata 0 bytes 01\ninstantiate i1 none initial=1P\nstore i1 0 width=8\ninstantiate i0 A initial=2P\nfill i0 0 to=end\n'
printf 'cowpool-ops 1\n%bgrow i0 +3P\nreset i1\nrelease i0\n' "$story" >"$dir/null.ops"
printf 'cowpool-ops 1\n%bgrow i0 +7P\nreset i1\nrelease i0\n' "$story" >"$dir/loop.ops"
check "a crash can be minimised" "$dir/crash/lockstep" minimize -o "$dir/min.ops" "$dir/null.ops"
check "to its two operations" test "$(grep -cE '^(instantiate|grow) ' "$dir/min.ops") $(n_ops "$dir/min.ops")" = "2 2"
check "the comment says which death it is" grep -qx '# crash: signal 11 (Segmentation fault)' "$dir/min.ops"
check "a hang too; interrupted, what there is gets written" run timeout --preserve-status -s INT 4 \
    "$dir/crash/lockstep" minimize --timeout 1 -o "$dir/min.ops" "$dir/loop.ops"
check "and says so" has "$dir/err" 'interrupted: the smallest so far'
check "it is a program that hangs" exits 3 "$dir/crash/lockstep" run --timeout 1 "$dir/min.ops"
check "it is smaller" test "$(wc -l <"$dir/min.ops")" -lt "$(($(wc -l <"$dir/loop.ops") + 1))"

# ---- triage, verify, promote: in a tree of their own, whose builds are ready ----
mkdir -p "$dir/tree/"{.ci,build,findings,regress/programs}
cp -r fuzz "$dir/tree"
printf '#!/bin/sh\n' >"$dir/tree/.ci/build.sh"
chmod +x "$dir/tree/.ci/build.sh"
pool() { cp "$1" "$dir/tree/build/lockstep"; } # which one is built
in_tree() { (cd "$dir/tree" && "$@"); }
echo 'divergence: whatever the engine saw' >"$dir/log"
"$lockstep" asm "$dir/B40/long.ops" -o "$dir/input"

pool "$dir/B40/lockstep"
check "triage files a finding" run in_tree bash fuzz/triage.sh "$dir/input" "$dir/log" "found by: a test"
finding=$(echo "$dir"/tree/findings/*) key=$(basename "$finding")
check "with everything that belongs to one" test "$(cd "$finding" && echo *)" = "input minimal.ops program.ops report.txt repro.c target"
check "its report begins with the stable line" cmp <(head -n 1 "$finding/report.txt") "$dir/B40/line"
check "and shows the minimal program's" has "$finding/report.txt" '^---- the minimal program ----$'
check "which is the one that minimize makes" cmp "$finding/minimal.ops" "$dir/B40/min.ops"
check "the C program knows its place" has "$finding/repro.c" "^// cc .* findings/$key/repro\.c "
check "triage meets it again" run in_tree bash fuzz/triage.sh "$dir/input" "$dir/log" "found by: a test"
check "and counts that" test "$(wc -l <"$finding/hits")" = 1
check "verify sees it fail" exits 1 run in_tree build/lockstep verify findings
check "in all three forms" has "$dir/out" "^fails +fails +fails +$key   $(<"$dir/B40/line")"
check "verify has JSON" exits 1 run in_tree build/lockstep verify --json findings
check "of one line" has "$dir/out" '^\{"findings":\[\{"key":".*","line":"divergence: .*","input":"fails","program":"fails","minimal":"fails"\}\],"failing":1,"errors":0\}$'

rm "$finding/minimal.ops" "$finding/repro.c"
check "promote wants a minimal program" refuses "has no minimal.ops" in_tree env KEY="$key" STORY=x fuzz/promote.sh
check "make minimize of a finding" in_tree env ENTRY="findings/$key/input" fuzz/minimize.sh
check "puts it there" cmp "$finding/minimal.ops" "$dir/B40/min.ops"
check "and the C program" test -s "$finding/repro.c"
check "make minimize of another program" run in_tree env ENTRY="$dir/B40/long.ops" fuzz/minimize.sh
check "prints it" cmp "$dir/out" "$dir/B40/min.ops"

check "promote wants a story" refuses "say what went wrong" in_tree env KEY="$key" STORY=' ' fuzz/promote.sh
check "and a key" refuses "say which" in_tree env STORY=x fuzz/promote.sh
check "of a finding" refuses "there is no finding" in_tree env KEY=nothing STORY=x fuzz/promote.sh
check "and a decent name" refuses "small letters" in_tree env KEY="$key" STORY=x NAME=../x fuzz/promote.sh
check "promote while the bug is there" run in_tree env KEY="$key" STORY='Reset stopped too early.' fuzz/promote.sh
check "warns" has "$dir/out" 'make check stays red'
entry=$(echo "$dir"/tree/regress/programs/*.ops)
check "the entry begins with the story" test "$(sed -n 2p "$entry")" = '# Reset stopped too early.'
check "has what the model answers" has "$entry" '^instantiate .* -> ok$'
check "is spelled canonically" "$lockstep" fmt --check "$entry"
check "agrees on our pool" "$lockstep" run "$entry"
check "fails on the patched one" exits 1 "$dir/B40/lockstep" run "$entry"
cp "$entry" "$dir/entry"
check "it is not written over" refuses "exists: choose another name" in_tree env KEY="$key" STORY=y fuzz/promote.sh
check "and is as it was" cmp "$entry" "$dir/entry"
check "under another name it can be had again" in_tree env KEY="$key" STORY=y NAME=another fuzz/promote.sh
check "nothing else is left there" test "$(ls -A "$dir/tree/regress/programs" | wc -l)" = 2

pool "$lockstep"
check "without the bug verify sees none fail" run in_tree build/lockstep verify findings
check "in any form" has "$dir/out" "^agrees +agrees +agrees +$key "
check "what only the engine saw" run in_tree bash fuzz/triage.sh "$dir/input" "$dir/log" "found by: a test"
unstable=$(echo "$dir"/tree/findings/unstable-*)
check "is filed as unstable" test "$(head -n 1 "$unstable/report.txt")" = 'unstable: divergence: whatever the engine saw'
check "and the report says what that means" has "$unstable/report.txt" '^It fails only after what ran before it in the same process'

cat >"$dir/log" <<'LOG'
==7==ERROR: AddressSanitizer: SEGV on unknown address 0x000000000000
    #0 0x7f01 in __interceptor_memcpy (/usr/lib/libasan.so+0x12)
    #1 0x5602 in cow_instance_grow /home/x/fuzz/cowpool/impl/instance.c:160:9
    #2 0x5703 in cow_sys_ftruncate /home/x/fuzz/cowpool/impl/sys/linux.c:16:9
    #3 0x5804 in rig_grow /home/x/fuzz/cowpool/fuzz/operate.c:140:9
    #4 0x5805 in run_once /home/x/fuzz/cowpool/fuzz/run.c:140:9

    #1 0x5602 in somebody_else /home/x/fuzz/cowpool/impl/pool.c:160:9
SUMMARY: AddressSanitizer: SEGV /home/x/fuzz/cowpool/impl/instance.c:160:9 in cow_instance_grow
LOG
check "a crash" run in_tree bash fuzz/triage.sh "$dir/input" "$dir/log" "found by: a test"
check "has up to three functions of ours in its line, and no line numbers" has "$dir/out" \
    '^crash: AddressSanitizer: SEGV in cow_instance_grow \(impl/instance\.c\), cow_sys_ftruncate \(impl/sys/linux\.c\), rig_grow \(fuzz/operate\.c\)$'
sed -i 's/:160:9/:161:9/' "$dir/log"
check "so that it is known again after an edit" run in_tree bash fuzz/triage.sh "$dir/input" "$dir/log" "found by: a test"
check "as a hit" has "$dir/out" '^found again, hit 1 after the first'

# ---- refusals ----
printf 'cowpool-ops 1\n' >"$dir/empty.ops"
check "an empty program has nothing to minimise" refuses "does not diverge" "$lockstep" minimize "$dir/empty.ops"
check "nor has one that agrees" refuses "does not diverge" "$lockstep" minimize "$dir/B40/long.ops"
check "minimize wants a file" refuses "no file given" "$lockstep" minimize
check "that is there" refuses "nothing.ops: No such file" "$lockstep" minimize "$dir/nothing.ops"
check "and a sensible timeout" refuses "not a number of seconds" "$lockstep" minimize --timeout 0 "$dir/empty.ops"
for line in 'fork' 'fault mmap nth=1 error=ENOMEM' 'schedule 0' 'advise i0 0 len=1P cold' 'pin i0' 'unpin i0'; do
    printf 'cowpool-ops 1\npool enable=all\n%s\n' "$line" >"$dir/refused.ops"
    check "emit-c refuses ${line%% *} by name" refuses "uses ${line%% *}, which" "$lockstep" emit-c "$dir/refused.ops"
done
check "emit-c onto a directory is refused" refuses "Is a directory" "$lockstep" emit-c -o "$dir/tree" "$dir/B40/min.ops"
check "verify wants a directory" refuses "no directory given" "$lockstep" verify
check "that is there" refuses "No such file or directory" "$lockstep" verify "$dir/nothing"
mkdir "$dir/tree/findings/broken"
check "a finding without a report is an error" exits 2 run "$lockstep" verify "$dir/tree/findings"
check "that is said" has "$dir/err" 'broken/report.txt: No such file'
exit $((n_failed > 0))
