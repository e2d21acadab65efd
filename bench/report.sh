#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Puts the results of the last `make bench` into bench/README.md: bench/report.sh [OUT=build/bench]. The tables go between the markers there,
# the plots to bench/plots/. To measure and report anew, on a machine that has nothing else to do: make peers bench && bench/report.sh
# Exit code: 0, or 2 in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-build/bench} readme=bench/README.md

give_up() {
    echo "report: $*" >&2
    exit 2
}
[[ -f $out/tables.txt ]] || give_up "no results in $out: run \`make bench\` first"
grep -q '^<!-- results -->$' $readme && grep -q '^<!-- end of results -->$' $readme || give_up "$readme has not the two markers"
# The plots are of the same run, or of none.
mkdir -p bench/plots
for plot in dirty threads slots; do
    [[ -f $out/$plot.svg && ! $out/$plot.svg -ot $out/results.json ]] || give_up "$out/$plot.svg is not of the last run: install gnuplot, run \`make bench\` again"
    sed 's/[ \t]*$//' "$out/$plot.svg" >"bench/plots/$plot.svg"
done
awk -v tables="$out/tables.txt" '
    /^<!-- results -->$/ {
        print
        print "\n```"
        while ((getline line < tables) > 0) {
            sub(/ +$/, "", line)
            print line
        }
        print "```\n"
        is_old = 1
    }
    /^<!-- end of results -->$/ { is_old = 0 }
    !is_old
' $readme >$readme.new
mv $readme.new $readme
echo "report: $readme has the results of: $(head -n 1 "$out/tables.txt")"
