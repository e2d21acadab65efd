#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The canary: the fuzzer, from no corpus, finds a bug that was planted in the pool: M10, which takes it hundreds of programs or thousands.
# Counted in programs, not in seconds, so that the same tree gives the same answer every time. Of the seeds from 1 to 20, each alone
# (SEEDS=1, SEEDS=2, ...), 15 found it within these runs when this was written; here one of eight is enough.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh
. fuzz/engine_libfuzzer.sh
. regress/patched.sh
patch=$PWD/regress/bugs/M10.patch max_runs=5000
read -ra seeds <<<"${SEEDS:-1 2 3 4 5 6 7 8}"
trap 'stop_fuzzer; rm -rf "$dir"' EXIT

clang=$(find_clang -fsanitize=fuzzer) || { echo "skipped: no clang here links with libFuzzer" && exit 77; }
check "the target is built" .ci/build.sh fuzz fuzz_program
use_fuzz_build "$PWD/build/fuzz"
planted() { apply "$patch" "$dir/tree" && build_target "$patch" "$dir/tree"; }
check "a bug is planted" planted

# Without weighing inputs by their time, what the engine does depends on its seed only.
try() { look "$1" "$dir/run" -entropic_scale_per_exec_time=0 -seed="$seed" -runs="$2"; }
something() { [[ -n $(ls "$dir/run/found") ]]; }
found() {
    for seed in "${seeds[@]}"; do
        try "$dir/tree/fuzz_program" "$max_runs" && ! something || break
    done
    tail -n 20 "$dir/run/log"
    finds "$patch" "$(grep -m 1 -a '^divergence: ' "$dir/run/log")"
}
check "it is found, under a line that its patch announces" found
((n_failed == 0)) || exit 1
n_runs=$executions
echo "   with seed $seed, after $n_runs programs, $operations operations"
not_found() { try build/fuzz/fuzz_program "$n_runs" && ! something && ((executions >= n_runs)) || { tail -n 20 "$dir/run/log" && return 1; }; }
check "where it was not planted, as many programs find nothing" not_found
exit $((n_failed > 0))
