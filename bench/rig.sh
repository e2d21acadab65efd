#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The rig's own speed: bench/rig.sh BUILD_DIR N_PROGRAMS N_ROUNDS. Prints a line of JSON for each geometry (what lengths are
# multiples of) and observer (what is compared after each operation): programs and operations a second of `lockstep run` over generated
# programs, and how many times as long it takes as a bare memcmp of the bytes that it compares. Medians of rounds in turns.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
build=$1 n_programs=$2 n_rounds=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Programs are taken as they are generated, of each geometry the first ones; only the observer is set.
"$build/lockstep" gen --count $((n_programs * 12)) --out "$dir/all" >/dev/null
for geometry in page wasm bytes; do
    case $geometry in
        page) is='!/ unit=/ || / unit=[0-9]+P( |$)/' ;;
        wasm) is='/ unit=[0-9]+W( |$)/' ;;
        bytes) is='/ unit=[0-9]+( |$)/' ;;
    esac
    mapfile -t files < <(awk "/^pool/ && ($is) { print FILENAME }" "$dir"/all/*.ops | head -n "$n_programs" || true)
    ((${#files[@]})) || { echo "rig.sh: no generated program has the geometry '$geometry'" >&2 && exit 2; }
    for observe in full quiet final; do
        mkdir -p "$dir/$geometry.$observe"
        for file in "${files[@]}"; do
            sed -E "/^pool/ { s/ observe=[a-z]+//; s/\$/ observe=$observe/ }" "$file" >"$dir/$geometry.$observe/${file##*/}"
        done
    done
done

mkdir "$dir/runs"
# tell STATUS REASON: the row of the programs at hand, which have no figures
tell() {
    printf '{"bench":"rig","unit":"%s","observe":"%s","status":"%s","reason":"%s"}\n' "${name%.*}" "${name#*.}" "$1" "${2//\"/}"
}

# A rig that finds something has other things to do than to be measured.
for ((round = 0; round < n_rounds; round++)); do
    for programs in "$dir"/*.{full,quiet,final}; do
        name=${programs##*/}
        [[ ! -e $dir/runs/$name.failed ]] || continue
        "$build/lockstep" run --json --in-process --repeat 3 "$programs" 2>"$dir/words" | tail -n 1 >>"$dir/runs/$name" ||
            head -n 1 "$dir/words" >"$dir/runs/$name.failed"
    done
done

for programs in "$dir"/*.{full,quiet,final}; do
    name=${programs##*/}
    if [[ -e $dir/runs/$name.failed ]]; then
        tell failed "$(cat "$dir/runs/$name.failed")"
        continue
    fi
    # Where something else stands before memcmp, as in builds with sanitizers, nothing is told.
    told=$(LD_PRELOAD="$build/count_memcmp.so" "$build/lockstep" run --in-process "$programs" 2>&1 >/dev/null | grep '^memcmp ' || true)
    if [[ -z $told || $told == "memcmp 0 "* ]]; then
        tell skipped "in this build memcmp cannot be counted"
        continue
    fi
    read -r _ n_calls n_bytes <<<"$told"
    floor=$("$build/bench_memcmp" "$n_bytes" "$n_calls")
    sed -E 's/.*"programs":([0-9]+),"operations":([0-9]+),.*"seconds":([0-9.]+).*/\3 \1 \2/' "$dir/runs/$name" | sort -g |
        awk -v unit="${name%.*}" -v observe="${name#*.}" -v bytes="$n_bytes" -v floor="$floor" '
            { seconds[NR] = $1; programs = $2; operations = $3 }
            END {
                middle = seconds[int((NR + 1) / 2)]
                printf "{\"bench\":\"rig\",\"unit\":\"%s\",\"observe\":\"%s\",\"status\":\"measured\",\"programs\":%d,\"operations\":%d,", unit, observe, programs / 3, operations / 3
                printf "\"programs_per_s\":%.1f,\"operations_per_s\":%.1f,", programs / middle, operations / middle
                printf "\"compared_bytes\":%d,\"memcmp_s\":%.9f,\"times_memcmp\":%.2f,", bytes, floor, middle / 3 / floor
                printf "\"s\":%.6f,\"s_min\":%.6f,\"s_max\":%.6f,\"rounds\":%d}\n", middle / 3, seconds[1] / 3, seconds[NR] / 3, NR
            }'
done
