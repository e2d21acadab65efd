# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Whether a replay of the corpus reaches a patch, for regress/bugs.sh, to be sourced: it does if it executes a line that the patch takes
# out, in the unpatched pool, or one that it puts in, in the patched one. Counted by clang's source-based coverage: it knows all
# lines of a statement, and its counters lie in a file while the program runs, so that an abort does not lose them.

# find_coverage_tools: into llvm_cov and llvm_profdata, those that belong to $clang
find_coverage_tools() {
    llvm_cov=$("$clang" -print-prog-name=llvm-cov) && llvm_profdata=$("$clang" -print-prog-name=llvm-profdata) &&
        command -v "$llvm_cov" >/dev/null && command -v "$llvm_profdata" >/dev/null
}

# count_lines TREE SOURCE...: replays the corpus on a tool with these sources of TREE, leaves "FILE:LINE COUNT" in TREE/lines
count_lines() {
    local tree=$1
    shift
    rm -f "$tree"/counting*
    (
        cd "$tree" && "$clang" "${compile[@]:1}" -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation "$@" \
            "${rig[@]}" -pthread -o counting
    ) || return 1
    LLVM_PROFILE_FILE="$tree/counting%c.profraw" "$tree/counting" run --timeout 20 corpus >/dev/null 2>&1 || true
    "$llvm_profdata" merge "$tree"/counting*.profraw -o "$tree/counting.profdata" &&
        "$llvm_cov" export -format=lcov -instr-profile="$tree/counting.profdata" "$tree/counting" >"$tree/counting.lcov" &&
        awk -F'[:,]' '
            $1 == "SF" { file = $0; sub(/^.*\/impl\//, "impl/", file) }
            $1 == "DA" { print file ":" $2, $3 }' "$tree/counting.lcov" >"$tree/lines"
}

# changed_lines - TREE: "FILE:LINE" of each line of impl/ that the patch in TREE takes out; with +, of each that it puts in. From what it has
# done, not from what it says: its line numbers are those of the pool that it was written for.
changed_lines() {
    { diff -rU0 impl "$2/impl" || true; } | awk -v sign="$1" '
        /^(---|\+\+\+) .*impl\// { if (substr($0, 1, 1) == sign) { file = $2; sub(/^.*\/impl\//, "impl/", file) } next }
        /^@@ / { split(sign == "-" ? $2 : $3, at, /[-+,]/); line = at[2]; next }
        substr($0, 1, 1) == sign { print file ":" line++ }'
}

# met COUNTS: whether one of the lines that it reads was executed: yes, no, or unknown if none of them is code
met() {
    awk -v counts="$1" '
        BEGIN { while ((getline < counts) > 0) count[$1] = $2 }
        $1 in count { is_code = 1; if (count[$1] > 0) is_met = 1 }
        END { print is_met ? "yes" : is_code ? "no" : "unknown" }'
}

# reach PATCH ROOM: into `reached`; the unpatched pool's counts are kept beside the room
reach() {
    local before unpatched=${2%/*}/unpatched sources
    reached=unknown
    find_coverage_tools || return 0
    if [[ $(cat "$unpatched/key" 2>/dev/null) != "$code_hash $corpus_hash" ]]; then
        rm -rf "$unpatched"
        mkdir -p "$unpatched"
        cp -r impl "$unpatched"
        sure "cannot count the lines that the corpus reaches" count_lines "$unpatched" impl/*.c impl/sys/*.c
        keep "$unpatched/key" "$code_hash $corpus_hash"
    fi
    before=$(changed_lines - "$2/tree" | met "$unpatched/lines")
    reached=$before
    [[ $before != yes ]] || return 0
    mapfile -t sources < <(patched_sources "$1")
    sure "cannot count the lines of $1 that the corpus reaches" count_lines "$2/tree" "${sources[@]}"
    reached=$(changed_lines + "$2/tree" | met "$2/tree/lines")
    [[ $reached != unknown ]] || reached=$before
}
