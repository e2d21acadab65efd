#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Each kind of divergence that the rig can report has a lie told to it: a kind that no test expects to fire could be dead.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

# The kind and the place where they stand in the source: rig_diverge(run, "kind", "place" or an expression, ...
kinds=$(cat fuzz/*.c | tr '\n' ' ' | grep -oE 'rig_(diverge|suspect)\((plan->)?run, *"[a-z-]+", *("[a-z-]+")?' | sed -E 's/.*run, *//; s/[",]//g; s/ *$//' | sort -u)
n_failed=0
while read -r kind place; do
    if ! grep -qE "\"divergence: $kind ([a-z%]+ )?$place" regress/test_oracles*.c; then
        echo "not ok no test expects 'divergence: $kind ... $place'"
        n_failed=$((n_failed + 1))
    fi
done <<<"$kinds"
echo "$(wc -l <<<"$kinds") kinds and places, $n_failed without a test"
((n_failed == 0))
