#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# lockstep sweep: over all programs that are kept, whichever kernel call fails, pool and model agree (in the slower builds, over the
# edges); over the edges in four of the other ways to grow and reset, too. A pool that takes a failed reset for a reset (B7) is found
# with a program that has no fault in it, and what is written down shows the same by itself.
set -euo pipefail
. "$(dirname "$0")/harness.sh"
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/patched.sh
build=$(realpath "${BUILD_DIR:-build}")

swept=(corpus regress/programs)
[[ -z $(option "$build" COW_SANITIZE) && $(option "$build" COW_HOSTILE) != ON ]] || swept=(corpus/edges regress/programs)
list() { find "${swept[@]}" -name '*.ops' -printf '%s %p\0' | sort -znr | cut -zd' ' -f2-; }

# Each processor takes some, the long ones first. Ends with what was counted.
all_agree() { # OPTION...
    list | xargs -0 -n 12 -P "$(nproc)" "$lockstep" sweep --json "$@" >"$dir/told" 2>"$dir/reports" ||
        { grep -v ': all agree$' "$dir/reports" | head -n 60 && return 1; }
    awk -F'[{:,}]' -v files="$(list | tr -cd '\0' | wc -c)" '
        { for (i = 1; i < NF; i++) { if ($i == "\"programs\"") n += $(i + 1); if ($i == "\"faults\"") faults += $(i + 1) } }
        !/"verdict":"agree"/ { bad = 1 }
        END { print n " programs, " faults " failing kernel calls"; exit bad || n != files || faults < 10 * n }' "$dir/told"
}

cat >"$dir/plain.ops" <<'PROGRAM'
cowpool-ops 1
pool slots=1 max=2P
instantiate i0 none initial=1P
store i0 0 width=8
reset i0
load i0 0 width=8
PROGRAM

make_b7() {
    use_tool_build "$build"
    apply "$PWD/regress/bugs/B7.patch" "$dir/tree" && build_patched "$PWD/regress/bugs/B7.patch" "$dir/tree"
}
is_found() { exits 1 "$dir/tree/lockstep" sweep --out "$dir/found" "$dir/plain.ops" && ls "$dir/found"/*.ops; }
reproduces() {
    local program
    for program in "$dir/found"/*.ops; do
        grep -q '^fault madvise ' "$program" && exits 1 "$dir/tree/lockstep" run "$program" &&
            "$lockstep" run "$program" || return 1
    done
}
refuses() { # SENTENCE ARGUMENT...
    exits 2 "$lockstep" sweep "${@:2}" 2>&1 | grep -F "$1"
}

check "help" "$lockstep" sweep --help
check "nothing given is refused" refuses "no program given"
check "an unknown option is refused" refuses "wrong option or value: --twice" --twice
printf 'cowpool-ops 9\n' >"$dir/wrong.ops"
check "what is no program is refused" refuses "expected version 1" "$dir/wrong.ops"
check "a program without faults agrees" "$lockstep" sweep "$dir/plain.ops"
if [[ -z $(option "$build" COW_SANITIZE) ]]; then
    check "a pool that ignores failed resets can be made" make_b7
    check "on it, the same program does not" is_found
    check "what is written down does not either, and agrees on the pool" reproduces
fi
check "every program agrees, whichever call fails" all_agree
tail -n 1 "$dir/stdout"
if [[ ${swept[0]} == corpus ]]; then
    swept=(corpus/edges)
    for modes in "guard adaptive" "protect deferred" "truncate copyback" "software adaptive"; do
        check "so do the edges with growth=${modes% *} reset=${modes#* }" \
            all_agree --set "growth=${modes% *}" --set "reset=${modes#* }"
        tail -n 1 "$dir/stdout"
    done
fi
exit $((n_failed > 0))
