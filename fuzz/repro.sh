#!/usr/bin/env bash
# Replays one program, text or binary, operation by operation: make repro ENTRY=file [SANITIZE=none|address].
# Exit code: lockstep's (0 agrees, 1 diverges, 2 unreadable, 3 crashed).
set -euo pipefail
cd "$(dirname "$0")/.."

case ${SANITIZE:-none} in
    none) preset=release dir=build ;;
    address) preset=asan dir=build/asan ;;
    *) echo "repro: SANITIZE=$SANITIZE: there are none and address" >&2 && exit 2 ;;
esac
[[ -n ${ENTRY-} ]] || { echo "repro: say which: make repro ENTRY=file" >&2 && exit 2; }
[[ -r $ENTRY && -f $ENTRY ]] || { echo "repro: cannot read $ENTRY" >&2 && exit 2; }
if [[ -t 2 ]]; then
    .ci/build.sh "$preset" lockstep >&2 || exit 2
else
    log=$(.ci/build.sh "$preset" lockstep 2>&1) || { echo "$log" >&2 && exit 2; }
fi
"$dir/lockstep" run --trace "$ENTRY"
