#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Speed of pool and rig, as ratios within one run: `make bench [QUICK=1]`; bench/README.md says what is measured. Prints tables;
# build/bench/results.json has all figures, build/bench/*.svg plots of them where there is gnuplot. What there are no means for here is
# named in both with the reason. wasmtime is measured where `make peers` has fetched it, or COWPOOL_WASMTIME names its library; real
# modules, where `make modules` has fetched some.
#     SIZE=smallest   as little as possible: for a test that looks at the results' form
#     BENCH=DIR       benchmarks that are built already; OUT=DIR another place for the results
# Exit code: 0; 1 if a contender failed or was refused; 2 in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
shopt -s nullglob

give_up() {
    echo "bench: $*" >&2
    exit 2
}
size=${SIZE:-full}
[[ -z ${QUICK-} || $QUICK == 0 ]] || size=quick
case $size in
    smallest) image_rounds=3 rig_programs=2 rig_rounds=1 ;;
    quick) image_rounds=5 rig_programs=40 rig_rounds=3 ;;
    full) image_rounds=21 rig_programs=100 rig_rounds=9 ;;
    *) give_up "SIZE=$size: smallest, quick or full" ;;
esac
build=${BENCH:-build} out=${OUT:-build/bench}
if [[ -z ${BENCH-} ]]; then
    echo "building release"
    words=$(.ci/build.sh release bench_image bench_cycle bench_slots bench_memcmp count_memcmp lockstep 2>&1) ||
        { echo "$words" >&2 && give_up "the build failed"; }
fi
mkdir -p "$out" 2>/dev/null || give_up "cannot write into $out"
part=$(mktemp -d "$out/.run.XXXXXX") || give_up "cannot write into $out"
trap 'rm -rf "$part"' EXIT
trap 'give_up "interrupted; results.json is as it was"' INT TERM HUP

if [[ -z ${COWPOOL_WASMTIME-} ]]; then
    for library in var/peers/libwasmtime-*.so; do
        export COWPOOL_WASMTIME=$PWD/$library
    done
fi
modules=()
if [[ $size != smallest ]]; then
    for module in var/modules/*.wasm; do
        # What the reader refuses, and what has no data to lay out, has no time.
        ! "$build/lockstep" image --json "$module" 2>/dev/null | grep -q '"image_bytes":[1-9]' || modules+=("$module")
    done
fi

# progress WORDS: which part is next
progress() { echo "bench: $*" >&2; }

# run PROGRAM ARGUMENT...: exit code 1 is a contender's; the others' go on all the same
status=0
run() {
    local code=0
    "$@" || code=$?
    ((code < 2)) || give_up "$1 ended with exit code $code"
    ((code == 0)) || status=1
}
SECONDS=0
progress "images from modules"
run "$build/bench_image" --rounds "$image_rounds" --json "$part/1" "${modules[@]}" >"$part/images"
progress "the rig"
bench/rig.sh "$build" "$rig_programs" "$rig_rounds" >"$part/2" || give_up "bench/rig.sh failed"
if grep -m 1 '"status":"failed"' "$part/2" >&2; then
    status=1
fi
progress "slots"
run "$build/bench_slots" --size "$size" --json "$part/3"
progress "cycles"
run "$build/bench_cycle" --size "$size" --json "$part/4"

# ---- what was measured, where ----
version=$(sed -nE 's/.*libwasmtime-([0-9.]+)-.*/\1/p' <<<"${COWPOOL_WASMTIME-}")
cpu=$(sed -nE 's/^model name[ \t]*: //p' /proc/cpuinfo | head -n 1)
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
command="make bench"
[[ $size == full ]] || command+=" $([[ $size == quick ]] && echo QUICK=1 || echo "SIZE=$size")"
# The load at the end is partly its own.
printf '{"bench":"machine","command":"%s","commit":"%s","date":"%s","seconds":%d,"cpu":"%s","cpus":%d,"memory_kib":%d,"kernel":"%s","page_bytes":%d,"load":"%s","wasmtime":"%s"}\n' \
    "$command" "$commit" "$(date -u +%F)" "$SECONDS" "${cpu:-$(uname -m)}" "$(nproc)" "$(sed -nE 's/^MemTotal: *([0-9]+).*/\1/p' /proc/meminfo)" \
    "$(uname -r)" "$(getconf PAGESIZE)" "$(cut -d' ' -f1-3 /proc/loadavg)" "${version:-$([[ -n ${COWPOOL_WASMTIME-} ]] && echo "of COWPOOL_WASMTIME" || echo absent)}" >"$part/0"

# An array, a row a line: written aside, then renamed.
{
    echo '['
    cat "$part"/[0-4] | sed '$!s/$/,/'
    echo ']'
} >"$part/results.json"
awk -f bench/tables.awk "$part/results.json" >"$part/tables.txt"
{
    echo "images from modules (data MiB: of its segments; all GB/s: the binary's; write, memcpy: the floors, see bench/bench_image.c)"
    cat "$part/images"
} >>"$part/tables.txt"
mv "$part/tables.txt" "$part/results.json" "$out/"
cat "$out/tables.txt"

# ---- plots ----
if command -v gnuplot >/dev/null; then
    for plot in dirty threads slots; do
        awk -v plot="$plot" -f bench/plots.awk "$out/results.json" >"$part/$plot"
        if [[ ! -s $part/$plot ]]; then
            echo "no plot: nothing of this run for $plot.svg"
        elif gnuplot -e "data = '$part/$plot'; plot_of = '$plot'; set output '$part/$plot.svg'" bench/plots.gnuplot 2>"$part/log"; then
            mv "$part/$plot.svg" "$out/"
            echo "plot: $out/$plot.svg"
        else
            echo "no plot: gnuplot failed: $(grep -m 1 . "$part/log")"
        fi
    done
else
    echo "no plots: no gnuplot here (Debian, Ubuntu: apt-get install gnuplot-nox)"
fi
echo "results: $out/results.json"
exit "$status"
