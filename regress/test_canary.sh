#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The canary: the fuzzer, from no corpus, finds a bug that was planted in the pool. Counted in programs run, not in seconds: with the same
# seed it takes the same way every time. M10 is the one of the historic bugs that takes it longest: over SEED=1 to 20 half of the runs of this
# test needed fewer than 1400 programs, none more than 11182.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh
. fuzz/engine_libfuzzer.sh
. regress/patched.sh
patch=$PWD/regress/bugs/M10.patch max_runs=60000 seed=${SEED:-1}
trap 'stop_fuzzer; rm -rf "$dir"' EXIT

clang=$(find_clang -fsanitize=fuzzer) || { echo "skipped: no clang here links with libFuzzer" && exit 77; }
check "the target is built" .ci/build.sh fuzz fuzz_program
use_fuzz_build "$PWD/build/fuzz"
planted() { apply "$patch" "$dir/tree" && build_target "$patch" "$dir/tree"; }
check "a bug is planted" planted

# Without weighing inputs by their time, what the engine does depends on its seed only.
try() { look "$1" "$dir/run" -entropic_scale_per_exec_time=0 -seed=$seed -runs="$2" && tail -n 20 "$dir/run/log"; }
found() { try "$dir/tree/fuzz_program" $max_runs && finds "$patch" "$(grep -m 1 -a '^divergence: ' "$dir/run/log")"; }
check "it is found, under a line that its patch announces" found
echo "   after $executions programs, $operations operations"
((n_failed == 0)) || exit 1
n_runs=$executions
not_found() { try build/fuzz/fuzz_program "$n_runs" && [[ -z $(ls "$dir/run/found") && $executions -ge $n_runs ]]; }
check "and where it was not planted, as many programs find nothing" not_found
exit $((n_failed > 0))
