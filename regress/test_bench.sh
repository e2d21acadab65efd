#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make bench in its smallest size: every row is there, measured, or skipped with the reason; who does not do the work is refused, by
# name; what cannot be written or understood is said in one line. No figure is looked at but for being one.
set -euo pipefail
. "$(dirname "$0")/harness.sh"
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
build=$(realpath "${BUILD_DIR:-build}")
export LC_ALL=C BENCH=$build OUT=$dir/out SIZE=smallest
unset QUICK BENCH_WITHOUT_RESET

# says REGEX FILE
says() { grep -qE -- "$1" "$2" || { tail -n 40 "$2" && return 1; }; }
rows() { grep -E '^\{' "$1" | sed 's/,$//'; }

check "it runs" exits 0 bench/bench.sh
results=$OUT/results.json
cp "$dir/stdout" "$dir/tables"
check "what it prints is what it keeps" says '^What cowpool.* is to reach' "$OUT/tables.txt"
check "the pool is in its tables" says '^cowpool +[0-9]' "$dir/tables"

# ---- the form ----
is_array() {
    [[ $(head -n 1 "$1") == '[' && $(tail -n 1 "$1") == ']' ]] && ! sed '1d;$d' "$1" | sed '$d' | grep -qvE '^\{.*\},$' &&
        sed '1d;$d' "$1" | tail -n 1 | grep -qE '^\{.*\}$'
}
check "the results are an array, a row a line" is_array "$results"
if command -v python3 >/dev/null; then
    check "that parses" python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$results"
fi
each_is_measured_or_says_why() {
    ! rows "$1" | grep -vE '"bench":"(machine|image)"' |
        grep -vE '"status":"measured".*":[0-9]|"status":"skipped","reason":"[^"]{8,}"'
}
check "each row is measured, or skipped with the reason" each_is_measured_or_says_why "$results"

# ---- every contender in every cell ----
# The names as the table of contenders has them, and what is left of those from which something is subtracted.
names() {
    grep -oE '^    \{"[^"]+"' bench/contenders.c | sed -E 's/.*"(.*)"/\1/'
    grep -oE '^    \{"wasmtime keep=[^"]+"' bench/contenders.c | sed -E 's/.*"(.*)"/\1 net/'
}
names | sort >"$dir/names"
check "there are contenders" test "$(wc -l <"$dir/names")" -ge 20
# cells: "CELL<tab>CONTENDER"
rows "$results" | grep '"bench":"cycle"' |
    sed -E 's/.*"contender":"([^"]*)","kind":"[^"]*","bounds":[01],(.*),"status".*/\2\t\1/' >"$dir/cells"
cut -f 1 "$dir/cells" | sort -u >"$dir/cell_names"
check "cells with and without growth, by 1 and 2 threads, and of two images" test "$(wc -l <"$dir/cell_names")" = 6
all_in_each_cell() {
    local cell
    while read -r cell; do
        diff "$dir/names" <(grep -F "$cell	" "$dir/cells" | cut -f 2 | sort) || { echo "in $cell" && return 1; }
    done <"$dir/cell_names"
}
check "every contender is in each of them, once" all_in_each_cell
# What needs nothing that a kernel may not have is measured everywhere.
measured_everywhere() {
    local name
    for name in floor cowpool "cowpool again" "cowpool truncate+discard" madvise+ftruncate madvise+mprotect malloc+memcpy mmap+memcpy; do
        [[ $(rows "$results" | grep -F '"bench":"cycle"' | grep -F "\"contender\":\"$name\"," | grep -c '"status":"measured"') == 6 ]] ||
            { echo "$name is not" && return 1; }
    done
}
check "floor, pool and the plain peers are measured in all of them" measured_everywhere
check "images" test "$(rows "$results" | grep -c '"bench":"image"')" = 2
check "slots" test "$(rows "$results" | grep -c '"bench":"slots"')" -ge 18
check "the rig, by geometry and observer" test "$(rows "$results" | grep -c '"bench":"rig"')" = 9
check "the machine comes first" test "$(rows "$results" | head -n 1 | grep -c '"bench":"machine".*"command":"make bench')" = 1

# ---- who is absent ----
absent_is_told() {
    COWPOOL_WASMTIME=$dir/none.so "$build/bench_cycle" --size smallest --cell images=2 --contender 'wasmtime keep=0' --json "$1" 2>/dev/null
    [[ $(grep -c '"status":"skipped","reason":"absent: ' "$1") == 2 ]]
}
check "a library that is not there is told of" absent_is_told "$dir/absent"

# ---- who does not do the work ----
refused() { # CONTENDER
    local code=0
    BENCH_WITHOUT_RESET=$1 "$build/bench_cycle" --size smallest --contender "$1" --json "$dir/refused" 2>"$dir/told" || code=$?
    [[ $code == 1 ]] || { echo "exit code $code" && return 1; }
    grep -F "\"contender\":\"$1\"," "$dir/refused" | grep -vE '"status":"refused","reason":"[^"]*(byte at|accessible|bytes, the image)' &&
        echo "not refused" && return 1
    [[ $(grep -cF "\"contender\":\"$1\"," "$dir/refused") == 6 ]] && grep -qF "$1: " "$dir/told"
}
for name in madvise+mprotect madvise+ftruncate floor; do
    check "without its reset, $name is refused in every cell" refused "$name"
done
check "it is in the tables as not counted, and the exit code tells" exits 1 env BENCH_WITHOUT_RESET=madvise+mprotect bench/bench.sh
cp "$dir/stdout" "$dir/tables"
check "by name and with the byte" says '^NOT COUNTED: madvise\+mprotect, .*refused: the byte at' "$dir/tables"

# ---- wrong use ----
for program in bench_cycle bench_slots bench_memcmp bench_image; do
    check "$program: wrong use" exits 2 "$build/$program" --wrong
done
check "no such size" exits 2 env SIZE=enormous bench/bench.sh
check "nowhere to write to" exits 2 env OUT=/proc/nothing bench/bench.sh
check "that keeps the results there were" is_array "$results"
exit $((n_failed > 0))
