#!/usr/bin/env bash
# Makes the fuzzers' starting corpus from text programs: fuzz/seeds.sh LOCKSTEP OUT DIRECTORY...
# One binary seed for each .ops file; only what changed is assembled again; seeds whose text is gone go too.
set -euo pipefail
shopt -s nullglob globstar

lockstep=$1 out=$2
shift 2
mkdir -p "$out"

declare -A wanted=()
n_made=0
for dir in "$@"; do
    for text in "$dir"/**/*.ops; do
        seed=$out/$(tr '/' '-' <<<"${text%.ops}")
        wanted[$seed]=1
        # The tool decides what the bytes mean: a newer tool, newer seeds.
        if [[ ! -e $seed || $text -nt $seed || $lockstep -nt $seed ]]; then
            "$lockstep" asm "$text" >"$seed.new"
            mv "$seed.new" "$seed"
            n_made=$((n_made + 1))
        fi
    done
done
n_gone=0
for seed in "$out"/*; do
    if [[ -z ${wanted[$seed]-} ]]; then
        rm "$seed"
        n_gone=$((n_gone + 1))
    fi
done
echo "seeds: ${#wanted[@]} in $out ($n_made new, $n_gone gone)"
