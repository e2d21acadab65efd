#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The allocator that people copy, fuzz/subject_template.c: the rig finds the bug in it, as fuzz/README.md says word for word. Mended by
# one line it agrees with the model on all programs there are, so that what it is built upon can be trusted.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
. regress/patched.sh
use_tool_build "$(realpath "${BUILD_DIR:-build}")"

# ---- the walk-through ----
# walk SECTION: each command in it, behind a `$`, prints what stands behind it there. Blank lines do not count.
walk() {
    local line n=0
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            n=$((n + 1)) line=${line#'$ '}
            : >"$dir/shown.$n"
            (eval "${line//build\/lockstep/\$lockstep}") 2>&1 </dev/null | sed '/^$/d' >"$dir/said.$n"
        elif ((n)); then
            echo "$line" >>"$dir/shown.$n"
        fi
    done < <(awk -v title="## $1" '/^## / { inside = $0 == title; behind = 0 }
        inside && sub(/^    /, "") { behind += /^\$ /; if (behind) print }
        inside && /^[A-Z]/ { behind = 0 }' fuzz/README.md)
    ((n)) || { echo "there is no command in that section" && return 1; }
    for (( ; n; n--)); do
        diff "$dir/shown.$n" "$dir/said.$n" || return 1
    done
}

in_vain() { # it diverges, and says so by a stable line
    exits 1 "$lockstep" run --subject=template "$@" >"$dir/line" 2>"$dir/report" && grep -q '^divergence: bytes ' "$dir/line"
}
check "the rig finds the bug" in_vain corpus
check "in the empty program too" in_vain <(echo cowpool-ops 1)
# By a tool that is quick enough not to tell of its progress, on pages of the size that is shown.
if [[ -z $sanitizers && $(getconf PAGESIZE) == 4096 ]]; then
    check "as fuzz/README.md says" walk "Put your own allocator under the rig"
fi

# ---- the one line ----
mkdir -p "$dir/fuzz"
sed 's/dirty_bytes = slot->initial_bytes;/dirty_bytes = slot->memory.accessible_bytes;/' fuzz/subject_template.c >"$dir/fuzz/subject_template.c"
one_line() { [[ $(diff fuzz/subject_template.c "$dir/fuzz/subject_template.c" | grep -c '^>') == 1 ]]; }
agrees() {
    "$dir/lockstep" run --subject=template corpus regress/programs 2>"$dir/said" || { tail -n 40 "$dir/said" && return 1; }
    "$lockstep" run corpus regress/programs 2>"$dir/pool" && cmp <(cut -d ' ' -f 1-4 "$dir/said") <(cut -d ' ' -f 1-4 "$dir/pool")
}
check "one line mends it" one_line
check "which compiles" "${compile[@]}" ${sanitizers:+"-fsanitize=$sanitizers" -fno-sanitize-recover=all} -Ifuzz -Ireference \
    "$dir/fuzz/subject_template.c" "${rig[@]}" -pthread -o "$dir/lockstep"
check "and agrees, on as many programs and operations as the pool" agrees
exit $((n_failed > 0))
