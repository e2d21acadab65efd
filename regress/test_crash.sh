#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# A bug of the pool that crashes is still a crash: the rig, which lives through the faults that it expects, must not swallow
# one that it does not. Three bugs are planted into a copy of impl/ (a null dereference, a touch of a slot's own guard, an
# endless loop); the fuzzing engine must report each and save the input, and lockstep run must exit with 3 and name the program.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
lockstep=$(realpath "${LOCKSTEP:-build/lockstep}")

clang=$(find_clang "-fsanitize=fuzzer,address,undefined") || {
    echo "skipped: no clang here links with libFuzzer and sanitizers"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n_failed=0

fail() {
    echo "not ok $*"
    n_failed=$((n_failed + 1))
}

# ---- the planted bugs ----
cp -r impl reference fuzz "$dir/"
cat >"$dir/planted.c" <<'END'
    {   static char *volatile planted_null;
        const uint64_t planted = delta_bytes / pool->geometry.page_bytes;
        if (planted == 3)
            *planted_null = 1;
        if (planted == 5)
            *(volatile uint8_t *)(slot->base + pool->geometry.stride_bytes - 1) = 1;
        for (volatile int planted_forever = planted == 7; planted_forever;)
            ; }
END
sed -i "/^int cow_instance_grow/,/^}/{/const uint64_t old_bytes = /r $dir/planted.c
}" "$dir/impl/instance.c"
grep -q planted_null "$dir/impl/instance.c" || { echo "not ok: cow_instance_grow() has changed: plant the bugs elsewhere" && exit 1; }
cat >"$dir/none.ops" <<'END'
cowpool-ops 1
instantiate i0 none initial=1P
END
i=3
for bug in null guard loop; do
    { cat "$dir/none.ops" && echo "grow i0 +${i}P"; } >"$dir/$bug.ops"
    mkdir "$dir/$bug"
    "$lockstep" asm "$dir/$bug.ops" -o "$dir/$bug/input"
    "$lockstep" run "$dir/$bug.ops" 2>/dev/null || fail "without the planted bug, $bug.ops must agree"
    i=$((i + 2))
done

# ---- builds, two at a time: what a preset adds is in its flags ----
build() {
    local name=$1 compiler=$2
    shift 2
    local sources=("$dir"/impl/*.c "$dir"/impl/sys/*.c "$dir"/reference/*.c) file
    for file in "$dir"/fuzz/*.c; do
        case ${name%%-*}:${file##*/} in
            fuzz:fuzz_program.c) sources+=("$file") ;;
            fuzz:verb_* | fuzz:lockstep.c | *:fuzz_*) ;;
            *) sources+=("$file") ;;
        esac
    done
    "$compiler" -std=gnu11 -D_GNU_SOURCE -DCOW_DEBUG=1 -g1 -O0 "$@" \
        -I"$dir/impl" -I"$dir/impl/include" -I"$dir/reference" -I"$dir/fuzz" "${sources[@]}" -pthread -o "$dir/$name" 2>"$dir/$name.log"
}
export UBSAN_OPTIONS=print_stacktrace=1
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)
build fuzz-plain "$clang" -fsanitize=fuzzer &
first=$!
build fuzz-asan "$clang" -fsanitize=fuzzer "${sanitize[@]}" || fail "building: $(cat "$dir/fuzz-asan.log")"
wait "$first" || fail "building: $(cat "$dir/fuzz-plain.log")"
build lockstep-plain "${CC:-cc}" -DCOW_HOSTILE=1 &
first=$!
build lockstep-asan "$clang" "${sanitize[@]}" || fail "building: $(cat "$dir/lockstep-asan.log")"
wait "$first" || fail "building: $(cat "$dir/lockstep-plain.log")"
((n_failed == 0)) || exit 1
read -ra room <<<"$(sanitizer_prefix)"

# ---- the engine reports, and saves the input ----
# Only a loop may run into its limit: telling of a crash can take a busy machine many seconds.
limit() { [[ $1 == loop ]] && echo 2 || echo 120; }

# engine BUILD BUG ARTIFACT REGEX
engine() {
    local name=$1 bug=$2 artifact=$3 regex=$4 saved="$dir/$1-$2" code=0 files
    mkdir "$saved"
    "${room[@]}" "$dir/$name" -timeout="$(limit "$bug")" -artifact_prefix="$saved/" -runs=10 "$dir/$bug" >"$saved.log" 2>&1 || code=$?
    files=("$saved/$artifact"-*)
    if ((code == 0)) || ! grep -qE "$regex" "$saved.log" || [[ ${#files[@]} != 1 ]] || ! cmp "${files[0]}" "$dir/$bug/input"; then
        fail "$name reports $bug and saves the input (exit code $code, saved: $(ls "$saved"))"
        tail -n 40 "$saved.log"
    else
        echo "ok $name reports $bug and saves the input"
    fi
}
for name in fuzz-plain fuzz-asan; do
    engine "$name" null crash 'SEGV|deadly signal|null pointer'
    engine "$name" guard crash 'SEGV|deadly signal'
    engine "$name" loop timeout 'libFuzzer: timeout'
done
mkdir "$dir/none"
"$lockstep" asm "$dir/none.ops" -o "$dir/none/input"
"${room[@]}" "$dir/fuzz-asan" -runs=1 "$dir/none" >"$dir/none.log" 2>&1 ||
    fail "what does not touch a planted bug must pass: $(cat "$dir/none.log")"

# ---- lockstep run says 3, and which program ----
# tool BUILD BUG REGEX
tool() {
    local name=$1 bug=$2 regex=$3 code=0
    "${room[@]}" "$dir/$name" run --timeout "$(limit "$bug")" "$dir/none.ops" "$dir/$bug.ops" "$dir/none.ops" >"$dir/stdout" 2>"$dir/stderr" || code=$?
    if ((code != 3)) || ! grep -qE "^crash: ($regex) in $dir/$bug.ops\$" "$dir/stdout"; then
        fail "$name run exits with 3 for $bug (exit code $code)"
        cat "$dir/stdout" "$dir/stderr"
    else
        echo "ok $name run exits with 3 for $bug"
    fi
}
tool lockstep-plain null 'signal 11 \(Segmentation fault\)'
tool lockstep-plain guard 'signal 11 \(Segmentation fault\)'
tool lockstep-asan null "a sanitizer's report"
tool lockstep-asan guard "a sanitizer's report"
grep -q SEGV "$dir/stderr" || fail "the sanitizer's report names the fault"
for name in lockstep-plain lockstep-asan; do
    tool "$name" loop 'timeout after 2 seconds'
done
exit $((n_failed > 0))
