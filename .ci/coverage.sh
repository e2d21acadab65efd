#!/usr/bin/env bash
# What the tests run of impl/: `make coverage`. Builds it with counters (clang), runs the tests, the replay of all programs and a sweep
# of failing calls, and says how many lines and branches were met, and which lines were not. Those that nothing can reach stand in
# regress/uncovered.txt, with the reason. Beside the lines stands what the programs met: which operation had which results, and which
# followed which. Leaves build/coverage/index.html, build/coverage/operations.html and build/coverage.json.
# TESTS=no: what programs alone run, in some seconds: no tests, nothing has to be met, and what it leaves lies in build/coverage/programs.
# PROGRAMS="DIR..": beside corpus/ and regress/programs, these are replayed.
# Exit code: 0; 1 when a test fails, the list names what is not there, or (unless tests were skipped, which may have met it) a line
# is neither met nor in the list, or fewer than 95 % of the branches are met; 2 when something is missing here.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh
export LC_ALL=C
dir=build/coverage shown=build/coverage json=build/coverage.json with_tests=yes
read -ra programs <<<"corpus regress/programs ${PROGRAMS-}"

give_up() {
    echo "coverage: $*" >&2
    exit 2
}
case ${TESTS:-yes} in
    yes) ;;
    no) with_tests='' shown=$dir/programs json=$dir/programs.json ;;
    *) give_up "TESTS=$TESTS: there are yes and no" ;;
esac
tools=$(find_coverage_tools) || give_up "no clang here counts what runs, or llvm-cov and llvm-profdata of its version are missing: run \`make deps\`"
read -r clang cov profdata <<<"$tools"
export CLANG=$clang

targets=()
[[ -n $with_tests ]] || targets=(lockstep)
if [[ -t 1 ]]; then
    .ci/build.sh coverage "${targets[@]}" || give_up "the build failed"
else
    echo "building coverage"
    words=$(.ci/build.sh coverage "${targets[@]}" 2>&1) || { echo "$words" >&2 && give_up "the build failed"; }
fi

# ---- running ----

# A profile for each process: %p; %c keeps it up to date, so that children that _exit, and processes that abort, count too.
raw=$dir/profiles status=0
rm -rf "$raw"
export LLVM_PROFILE_FILE=$PWD/$raw/%p-%m%c.profraw
log=$(mktemp)
trap 'rm -rf "$log" "$raw"' EXIT
n_skipped=0
# Not in here: test_sweep takes all programs, and compiles a pool with a mistake in it; a part of them does, below. In
# test_foreign_faults the calls fail that keep the profile up to date, too.
if [[ -n $with_tests ]]; then
    echo "testing"
    ctest --test-dir $dir -j "$(nproc)" -LE source -E '^test_(sweep|foreign_faults)$' --no-tests=error --output-on-failure --no-label-summary >"$log" 2>&1 || status=1
    ((status == 0)) || { grep -vE '^ *Start | Passed ' "$log" | cut -c 1-200 | tail -n 100; }
    n_skipped=$(grep -cF '***Skipped' "$log" || true)
fi
echo "replaying"
mkdir -p "$shown"
$dir/lockstep run --json --matrix "${programs[@]}" >"$log" || status=1
matrix=$(tail -n 1 "$log" | sed -n 's/.*,"matrix":\(.*\),"timing":.*/\1/p')
echo "sweeping"
$dir/lockstep sweep corpus/edges corpus/motifs || status=1
"$profdata" merge -sparse "$raw" -o $dir/all.profdata

# ---- looking ----

binaries=("$dir/lockstep")
for binary in "$dir"/test_*; do
    [[ -z $with_tests || ! -f $binary || ! -x $binary ]] || binaries+=(-object "$binary")
done
look() {
    "$cov" "$1" "${binaries[@]}" -instr-profile $dir/all.profdata "${@:2}" impl 2>"$log" || { cat "$log" >&2 && give_up "$cov failed"; }
}
look show -format=html -show-branches=count -show-instantiations=false -output-dir=$shown
look export -format=lcov >$dir/lcov.info
look export -skip-functions | sed 's/{"branches":/\n&/g' >$dir/branches

percent() { # TOTAL MET: with one digit behind the point, never rounded up
    local tenths=$(($2 * 1000 / $1))
    echo "$((tenths / 10)).$((tenths % 10))"
}
told=$(awk -f .ci/coverage.awk -v root="$PWD/" regress/uncovered.txt $dir/branches $dir/lcov.info)
read -r n_lines lines_met n_branches branches_met n_left lines_excused branches_excused n_stale left <<<"${told##*$'\n'}"

# ---- telling ----

summary="impl/: lines $(percent "$n_lines" "$lines_met") % ($lines_met of $n_lines), branches $(percent "$n_branches" "$branches_met") % ($branches_met of $n_branches)"
[[ -z $matrix ]] || summary+="; operations: $(sed -E 's/.*"pairs":([0-9]+),"states":([0-9]+),"results":([0-9]+).*/\1 pairs in \2 states, \3 results at an edge/' <<<"$matrix")"
echo "$summary"
if [[ -n $with_tests ]]; then
    sed '$d; s/^/  /' <<<"$told"
    echo "excused in regress/uncovered.txt: $lines_excused lines, $branches_excused branches"
fi
((n_skipped == 0)) || echo "tests that were skipped here, and may have met more: $n_skipped"
cat >$json.new <<END
{"lines":{"count":$n_lines,"covered":$lines_met,"excused":$lines_excused,"uncovered":$left},"branches":{"count":$n_branches,"covered":$branches_met,"excused":$branches_excused},"skipped_tests":$n_skipped,"operations":${matrix:-null}}
END
mv $json.new $json

# The matrix in a page of its own; the index of the lines names it.
beside=''
if [[ -z $matrix ]]; then
    echo "no matrix of operations: the programs did not run to their end"
elif perl -MJSON::PP -e 1 2>/dev/null; then
    perl .ci/operations_page.pl "$summary" <<<"$matrix" >$shown/operations.html
    sed -i '0,/<\/h4>/ s|</h4>|&<p><a href="operations.html">What the programs did: operations, their results, and which followed which</a></p>|' $shown/index.html
    beside="; operation by operation: $shown/operations.html"
else
    beside="; no page of operations: no perl with JSON::PP here"
fi
echo "line by line: $shown/index.html$beside; figures: $json"

if [[ -n $with_tests ]]; then
    ((n_stale == 0)) || status=1
    ((n_skipped > 0 || (n_left == 0 && branches_met * 100 >= n_branches * 95))) || status=1
fi
exit "$status"
