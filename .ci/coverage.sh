#!/usr/bin/env bash
# What the tests run of impl/: `make coverage`. Builds it with counters (clang), runs the tests, the replay of all programs and a sweep
# of failing calls, and says how many lines and branches were met, and which lines were not. Those that nothing can reach stand in
# regress/uncovered.txt, with the reason. Leaves build/coverage/index.html and build/coverage.json.
# Exit code: 0; 1 when a test fails, the list names what is not there, or (unless tests were skipped, which may have met it) a line
# is neither met nor in the list, or fewer than 95 % of the branches are met; 2 when something is missing here.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh
export LC_ALL=C
dir=build/coverage

give_up() {
    echo "coverage: $*" >&2
    exit 2
}
tools=$(find_coverage_tools) || give_up "no clang here counts what runs, or llvm-cov and llvm-profdata of its version are missing: run \`make deps\`"
read -r clang cov profdata <<<"$tools"
export CLANG=$clang

if [[ -t 1 ]]; then
    .ci/build.sh coverage || give_up "the build failed"
else
    echo "building coverage"
    words=$(.ci/build.sh coverage 2>&1) || { echo "$words" >&2 && give_up "the build failed"; }
fi

# ---- running ----

# A profile for each process: %p; %c keeps it up to date, so that children that _exit, and processes that abort, count too.
raw=$dir/profiles status=0
rm -rf "$raw"
export LLVM_PROFILE_FILE=$PWD/$raw/%p-%m%c.profraw
echo "testing"
log=$(mktemp)
trap 'rm -rf "$log" "$raw"' EXIT
# Not in here: test_sweep takes all programs, and compiles a pool with a mistake in it; a part of them does, below. In
# test_foreign_faults the calls fail that keep the profile up to date, too.
ctest --test-dir $dir -j "$(nproc)" -LE source -E '^test_(sweep|foreign_faults)$' --no-tests=error --output-on-failure --no-label-summary >"$log" 2>&1 || status=1
((status == 0)) || { grep -vE '^ *Start | Passed ' "$log" | cut -c 1-200 | tail -n 100; }
n_skipped=$(grep -cF '***Skipped' "$log" || true)
echo "sweeping"
$dir/lockstep sweep corpus/edges corpus/motifs || status=1
"$profdata" merge -sparse "$raw" -o $dir/all.profdata

# ---- looking ----

programs=("$dir/lockstep")
for program in "$dir"/test_*; do
    [[ ! -f $program || ! -x $program ]] || programs+=(-object "$program")
done
look() {
    "$cov" "$1" "${programs[@]}" -instr-profile $dir/all.profdata "${@:2}" impl 2>"$log" || { cat "$log" >&2 && give_up "$cov failed"; }
}
look show -format=html -show-branches=count -show-instantiations=false -output-dir=$dir
look export -format=lcov >$dir/lcov.info
look export -skip-functions | sed 's/{"branches":/\n&/g' >$dir/branches

percent() { # TOTAL MET: with one digit behind the point, never rounded up
    local tenths=$(($2 * 1000 / $1))
    echo "$((tenths / 10)).$((tenths % 10))"
}
told=$(awk -f .ci/coverage.awk -v root="$PWD/" regress/uncovered.txt $dir/branches $dir/lcov.info)
read -r n_lines lines_met n_branches branches_met n_left lines_excused branches_excused n_stale left <<<"${told##*$'\n'}"

echo "impl/: lines $(percent "$n_lines" "$lines_met") % ($lines_met of $n_lines), branches $(percent "$n_branches" "$branches_met") % ($branches_met of $n_branches)"
sed '$d; s/^/  /' <<<"$told"
echo "excused in regress/uncovered.txt: $lines_excused lines, $branches_excused branches"
((n_skipped == 0)) || echo "tests that were skipped here, and may have met more: $n_skipped"
cat >build/coverage.json.new <<END
{"lines":{"count":$n_lines,"covered":$lines_met,"excused":$lines_excused,"uncovered":$left},"branches":{"count":$n_branches,"covered":$branches_met,"excused":$branches_excused},"skipped_tests":$n_skipped}
END
mv build/coverage.json.new build/coverage.json
echo "line by line: $dir/index.html; figures: build/coverage.json"

((n_stale == 0)) || status=1
((n_skipped > 0 || (n_left == 0 && branches_met * 100 >= n_branches * 95))) || status=1
exit "$status"
