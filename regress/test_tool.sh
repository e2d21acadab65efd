#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The manners of lockstep run: exit codes, what it says about wrong input, what it skips, its JSON, and that it is deterministic.
# The verbs that turn programs into other forms have test_text_verbs.sh.
set -euo pipefail
lockstep=$(realpath "${LOCKSTEP:-build/lockstep}")
corpus=$(realpath "${SOURCE_DIR:-$(dirname "$0")/..}/corpus")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n_failed=0

# check SENTENCE COMMAND...
check() {
    local sentence=$1
    shift
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $sentence"
    else
        echo "not ok $sentence"
        cat "$dir/log"
        n_failed=$((n_failed + 1))
    fi
}

# run CODE ARGUMENTS...: this exit code; leaves ./stdout and ./stderr
run() {
    local expected=$1 code=0
    shift
    "$lockstep" "$@" >"$dir/stdout" 2>"$dir/stderr" || code=$?
    [[ $code == "$expected" ]] || { echo "exit code $code, expected $expected: $*" && cat "$dir/stdout" "$dir/stderr" && return 1; }
}

# refuses MESSAGE ARGUMENTS...: exit 2, nothing on stdout, one line on stderr that says this
refuses() {
    local message=$1
    shift
    run 2 "$@" && [[ ! -s $dir/stdout && $(grep -vcE '^[01] programs, ' "$dir/stderr") == 1 ]] &&
        grep -qF -- "$message" "$dir/stderr" || { cat "$dir/stdout" "$dir/stderr" && return 1; }
}

has() { grep -qE -- "$2" "$dir/$1" || { cat "$dir/$1" && return 1; }; }
field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/" "$dir/stdout"; }

cd "$dir"
program() { printf 'cowpool-ops 1\n%b' "$2" >"$1"; }
mkdir empty dir dir/inner
program good.ops 'instantiate i0 none initial=2P -> ok\nstore i0 end-8 width=8 -> ok\ngrow i0 +1P -> ok=3P\nprobe i0 acc -> trap acc\nreuse i0 none\nrelease i0~1 -> stale\n'
cp good.ops dir/inner/one.ops
cp good.ops dir/two.ops
echo 'no program' >dir/README.md
echo '# nor is this' >dir/inner/script

# ---- wrong use ----
check "run with nothing is wrong use" refuses "no program given" run
check "an empty directory is wrong use" refuses "empty: there is no program in this directory" run empty
check "a missing file is named" refuses "nothing.ops: No such file or directory" run nothing.ops
check "an unknown option is named" refuses "'--tarce'" run --tarce good.ops
check "a number that is none is refused" refuses "'--until'" run --until x good.ops
check "an option without its value is refused" refuses "'--repeat'" run good.ops --repeat
check "repeating nothing is refused" refuses "wrong option or value: '0'" run --repeat 0 good.ops
check "an unknown subject is refused" refuses "'--subject=poll'" run --subject=poll good.ops
check "no verb is wrong use" refuses "no verb given"
check "an unknown verb is wrong use" refuses "no such verb: 'rnu'" rnu
if ((EUID != 0)); then
    cp good.ops secret.ops && chmod 0 secret.ops
    check "a file that cannot be read is named" refuses "secret.ops: Permission denied" run secret.ops
fi
ln -s loop.ops loop.ops
check "a link to itself is named" refuses "loop.ops: Too many levels of symbolic links" run loop.ops
for verb in run show asm fmt gen minimize emit-c verify doctor; do
    check "$verb --help is on stdout" run 0 $verb --help
    check "$verb --help begins with its usage" has stdout "^usage: lockstep $verb"
done
check "lockstep --help lists the verbs" run 0 --help
check "all of them" has stdout '^  doctor '
check "lockstep help ops lists the operations" run 0 help ops
check "and says which are to come" has stdout 'pin .*'
check "--version is one line" run 0 --version

# ---- wrong programs ----
program bad.ops 'instantiate i0 none\nstore i0 0 width=3\n'
check "a malformed line is file:line:column and what was expected" refuses "bad.ops:3:12: expected 'width=' and 1, 2, 4, 8 or 16, found 'width=3'" run bad.ops
program bad.ops 'instantiate i9 none\n'
check "so is a register that does not exist" refuses "bad.ops:2:13: expected " run bad.ops
program bad.ops 'pool slots=1 slots=2\n'
check "so is a key given twice" refuses "bad.ops:2:" run bad.ops
printf 'cowpool-ops 2\n' >bad.ops
check "so is another version of the text" refuses "bad.ops:1:13: expected version 1" run bad.ops
printf '\377\001\002' >version.bin
check "another version of the binary form is refused" refuses "version.bin: neither text" run version.bin
mkdir beside && cp good.ops beside && echo 'what is this' >beside/one.ops
check "so is what is called a program, in a directory too" refuses "beside/one.ops: neither text" run beside
: >nothing.bin
check "an empty file is an empty program" run 0 run nothing.bin
program lanes.ops 'instantiate i0 none\nschedule 0 1\n'
check "an operation that is not built is refused by its name" refuses "lanes.ops: uses schedule, which is not built yet" run lanes.ops
check "and has no binary form" refuses "lanes.ops: 'schedule' is not built yet" asm lanes.ops -o out.bin
program guard.ops "pool warm=2\n"
check "so is a mode that is not built" refuses "uses warm= above 1, which is not built yet" run guard.ops
program old.ops 'instantiate i0 none\n# why\ngrow i0 +1P -> ok=9P\n'
check "an expectation out of date is file:line and what the model says" refuses \
    "old.ops:4: the expectation of operation 1 is out of date: the model says 'ok=2P'" run old.ops

# ---- needs ----
program needs.ops 'needs hostpage=512K\ninstantiate i0 none\n'
check "a need that is unmet is no failure" run 0 run needs.ops good.ops --json
check "it is said" has stderr '^SKIPPED needs.ops: needs another host page'
check "and counted" has stdout '"programs":1,.*"skipped":1\}'

# ---- running ----
check "a program on which all agree exits with 0" run 0 run good.ops
check "and says so" has stderr '^1 programs, 6 operations, [0-9]+ effective: all agree$'
check "directories are walked, what is no program left out" run 0 run dir
check "all of them" has stderr '^2 programs, 12 operations'
check "- is the standard input" run 0 run - <good.ops
check "the model agrees with itself" run 0 run --subject=model good.ops
check "on all that is kept, whatever it cannot do" run 0 run --subject=model "$corpus"
check "--trace prints a line for each operation" run 0 run --trace good.ops
check "with its answer and a hash" has stdout '^  3  probe i0 acc   -> trap acc   #.* hash=[0-9a-f]{16}$'
check "the unreadable does not hide the others" run 2 run bad.ops good.ops
check "that are run all the same" has stderr '^1 programs, 6 operations, [0-9]+ effective: ERRORS'
check "but with --fail-fast" run 2 run --fail-fast good.ops old.ops good.ops dir
check "they are not" has stderr '^2 programs, [0-9]+ operations, [0-9]+ effective: ERRORS'

check "--json is the last line" run 0 run good.ops --json
shape='^\{"verdict":"agree","state_hash":"[0-9a-f]{16}","counters":\{("[a-z_]+":[0-9]+,?)+\},"timing":\{("[a-z_]+":[0-9.]+,?)+\}\}$'
check "of this shape" has stdout "$shape"
for counter in programs operations effective traps resets reuses grows divergences skipped; do
    check "that counts $counter" has stdout "\"$counter\":[0-9]"
done
check "it counts what the program does" has stdout '"programs":1,"operations":6,"effective":6,.*"reuses":1,.*"divergences":0,"skipped":0'
check "--json --matrix: the matrix is in that line" run 0 run good.ops --json --matrix
check "with what each operation answered" has stdout '"matrix":\{"pairs":[0-9]+,.*"operations":\[\{"name":"image".*\{"name":"probe","results":\{"trap":1\},.*\}\]\},"timing":'
check "--until runs the operations before" run 0 run --until 2 good.ops --json
check "and no more" has stdout '"operations":2,'
check "--repeat runs it again" run 0 run --repeat 3 good.ops --json
check "and counts that" has stdout '"programs":3,"operations":18,'

# ---- determinism ----
for seed in 1 2 3; do
    "$lockstep" gen --seed $seed --ops 200 >gen.ops
    "$lockstep" asm gen.ops -o gen.bin
    run 0 run gen.ops --json
    hash=$(field state_hash) effective=$(field effective)
    same() { run 0 run "$@" --json && [[ $(field state_hash) == "$hash" && $(field effective) == "$effective" ]]; }
    check "another run of program $seed gives the same hash" same gen.ops
    check "its binary form too" same gen.bin
    check "in the debugger's way too" same gen.ops --in-process
    if setarch -R true 2>/dev/null; then
        aslr() { setarch -R "$lockstep" run gen.ops --json >stdout 2>stderr && [[ $(field state_hash) == "$hash" ]]; }
        check "without address randomisation too" aslr
    fi
    "$lockstep" show --expect gen.ops >expect.ops
    check "what the model answers is no surprise for the pool, program $seed" same expect.ops
done
check "show --expect writes an answer for each operation" test "$(grep -c -- ' -> ' expect.ops)" = 200
program straddle.ops 'instantiate i0 none initial=2P\nload i0 end-2 width=8\nload i1 end-2 width=8\nload i0 slot+5P width=8\n'
check "show --expect says where a straddling load traps" run 0 show --expect straddle.ops
cp stdout straddle.ops
check "at the accessible end" has straddle.ops 'load i0 end-2 width=8 +-> trap acc'
check "and the pool thinks so too" run 0 run straddle.ops

# ---- nothing half-written ----
"$lockstep" asm good.ops -o out.bin
cp out.bin before.bin
mkdir room
check "asm to a directory that is none is refused" refuses "good.ops/out.bin: Not a directory" asm good.ops -o good.ops/out.bin
check "asm onto a directory is refused" refuses "room: Is a directory" asm good.ops -o room
if [[ -e /dev/full ]]; then
    full() { local code=0; "$lockstep" "$@" >/dev/full 2>stderr || code=$?; [[ $code == 2 ]]; }
    check "a full output of asm is an error" full asm good.ops
    check "a full output of show is an error" full show good.ops
    check "a full output of run --json is an error" full run --json good.ops
fi
# A file may not grow here: as on a full disk.
limited() { local code=0; (trap '' XFSZ && ulimit -f 0 && exec "$lockstep" asm good.ops -o out.bin) >/dev/null 2>&1 || code=$?; [[ $code == 2 ]]; }
check "asm that cannot write is an error" limited
check "and leaves the old file as it was" cmp out.bin before.bin
check "and nothing else" test "$(find . -name 'out.bin*' | wc -l)" = 1
exit $((n_failed > 0))
