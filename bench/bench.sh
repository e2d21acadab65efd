#!/usr/bin/env bash
# Speed, as ratios within one run: `make bench [QUICK=1]`. Prints tables; build/bench/results.json has a line of JSON for each row.
# Real modules are measured as well where `make modules` has fetched some. Exit code: 0, or 2 in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob

give_up() {
    echo "bench: $*" >&2
    exit 2
}
rounds=21
[[ -z ${QUICK-} || $QUICK == 0 ]] || rounds=5
words=$(.ci/build.sh release bench_image lockstep 2>&1) || { echo "$words" >&2 && give_up "the build failed"; }
mkdir -p build/bench 2>/dev/null || give_up "cannot write into build/bench"

modules=()
for module in var/modules/*.wasm; do
    # What the reader refuses, and what has no data to lay out, has no time.
    ! build/lockstep image --json "$module" 2>/dev/null | grep -q '"image_bytes":[1-9]' || modules+=("$module")
done
echo "images from modules (data MiB: of its segments; all GB/s: the binary's; write, memcpy: the floors, see bench/bench_image.c)"
build/bench_image --rounds "$rounds" --json build/bench/results.json.new "${modules[@]}" || give_up "bench_image failed"
mv build/bench/results.json.new build/bench/results.json
echo "results: build/bench/results.json"
