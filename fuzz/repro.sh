#!/usr/bin/env bash
# Replays one program, text or binary, operation by operation: make repro ENTRY=file [SANITIZE=none|address]. What another target's
# input is (TARGET=text, wasm, ...; a finding says it by itself), that target reads again.
# Exit code: lockstep's (0 agrees, 1 diverges, 2 unreadable, 3 crashed), also where it is not lockstep.
set -euo pipefail
cd "$(dirname "$0")/.."

give_up() {
    echo "repro: $*" >&2
    exit 2
}

[[ -n ${ENTRY-} ]] || give_up "say which: make repro ENTRY=file"
[[ -r $ENTRY && -f $ENTRY ]] || give_up "cannot read $ENTRY"
# Only what lies in findings/<key>/ has this file beside it.
target=${TARGET:-$(cat "$(dirname "$ENTRY")/target" 2>/dev/null || echo program)}
case $target in
    program) what=lockstep plain=release sanitized=asan ;;
    *) what=fuzz_$target plain=fuzz sanitized=fuzz-asan ;;
esac
[[ -e fuzz/fuzz_$target.c ]] || give_up "TARGET=$target: there is no fuzz/fuzz_$target.c"
case ${SANITIZE:-none} in
    none) preset=$plain ;;
    address) preset=$sanitized ;;
    *) give_up "SANITIZE=$SANITIZE: there are none and address" ;;
esac
dir=build/$preset
[[ $preset != release ]] || dir=build
if [[ -t 2 ]]; then
    .ci/build.sh "$preset" "$what" >&2 || exit 2
else
    log=$(.ci/build.sh "$preset" "$what" 2>&1) || { echo "$log" >&2 && exit 2; }
fi
[[ $target != program ]] || exec "$dir/lockstep" run --trace "$ENTRY"

. .ci/toolchain.sh
prefix=() status=0
[[ $preset != *asan ]] || read -ra prefix <<<"$(sanitizer_prefix)"
said=$("${prefix[@]}" "$dir/$what" -timeout=10 "$ENTRY" 2>&1 </dev/null) || status=$?
printf '%s\n' "$said"
((status == 0)) || { grep -qaE '^fuzz_[a-z]+: ' <<<"$said" && exit 1; } || exit 3
