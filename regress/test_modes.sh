#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every program that is kept agrees with the model in each way to grow and to reset, whatever it says itself; and a guest cannot tell them
# apart: all end in the same state, but for programs in which what a mode does may show (calls that fail, pins, children).
set -euo pipefail
. "$(dirname "$0")/harness.sh"
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

# Programs of which nothing depends on the mode.
mapfile -t plain < <(grep -rLE '^(fault|pin|fork) ' corpus regress/programs --include='*.ops' | LC_ALL=C sort)

agree_in() { "$lockstep" run --set "growth=$1" --set "reset=$2" corpus regress/programs; }

# hash GROWTH RESET PROGRAM...: of all their states
hash() {
    "$lockstep" run --json --set "growth=$1" --set "reset=$2" "${@:3}" 2>/dev/null | grep -oE '"state_hash":"[0-9a-f]+"'
}
ends_alike_in() {
    local it
    it=$(hash "$1" "$2" "${plain[@]}")
    [[ -n $it && $it == "$first" ]] && return
    for program in "${plain[@]}"; do
        [[ $(hash "$1" "$2" "$program") == "$(hash "$like" discard "$program")" ]] || echo "another state: $program"
    done
    return 1
}

check "there are programs in which the mode may not show" test "${#plain[@]}" -gt 100
for growth in truncate protect guard software; do
    # With bounds in software accesses between the length and the slot's end are refused, not trapped: that shows.
    like=truncate
    [[ $growth != software ]] || like=software
    first=$(hash "$like" discard "${plain[@]}")
    for reset in discard copyback deferred adaptive; do
        if printf 'cowpool-ops 1\npool growth=%s reset=%s\n' "$growth" "$reset" >"$dir/empty.ops" &&
            "$lockstep" run "$dir/empty.ops" >"$dir/told" 2>&1; then
            check "all agree with growth=$growth reset=$reset" agree_in "$growth" "$reset"
            check "and end as with $like and discard" ends_alike_in "$growth" "$reset"
        else
            echo "not here: growth=$growth reset=$reset: $(tail -n 1 "$dir/told")"
        fi
    done
done
exit $((n_failed > 0))
