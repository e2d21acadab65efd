#!/usr/bin/env bash
# Whether an input takes the same way through the pool whatever ran before it in the same process, as persistent fuzzing needs:
# fuzz/stability.sh TARGET DIRECTORY. AFL++ runs all files there in one order and in another, and must see the same edges of each as
# often. Prints what differs; exit code 1 then, 2 if it cannot be told.
set -euo pipefail
target=$1 seeds=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mapfile -t files < <(find "$seeds" -type f -size +0 | LC_ALL=C sort)
((${#files[@]})) || { echo "stability: no input in $seeds" >&2 && exit 2; }

# run_all ORDER FILE...: AFL++ runs them by name; $dir/ORDER.edges/NUMBER-NAME holds the edges of each
run_all() {
    local order=$1 n=0 file
    mkdir "$dir/$order"
    for file in "${@:2}"; do
        cp "$file" "$dir/$order/$(printf %06d $n)-${file//\//-}"
        n=$((n + 1))
    done
    AFL_QUIET=1 AFL_SKIP_CPUFREQ=1 timeout 300 afl-showmap -q -t 10000 -i "$dir/$order" -o "$dir/$order.edges" -- "$target" \
        >"$dir/log" 2>&1 </dev/null || { tail -n 3 "$dir/log" >&2 && echo "stability: afl-showmap failed" >&2 && exit 2; }
}
run_all one "${files[@]}"
mapfile -t shuffled < <(printf '%s\n' "${files[@]}" | shuf --random-source=<(yes))
run_all other "${shuffled[@]}"

n_seen=0 n_differ=0
for edges in "$dir"/one.edges/*; do
    name=${edges##*/}
    other=("$dir"/other.edges/*-"${name#*-}")
    n_seen=$((n_seen + 1))
    if ! cmp -s "$edges" "${other[0]}"; then
        n_differ=$((n_differ + 1))
        echo "another way: ${name#*-}: $(diff "$edges" "${other[0]}" | grep -c '^[<>]') edges"
    fi
done
((n_seen == ${#files[@]})) || { echo "stability: only $n_seen of ${#files[@]} inputs ran" >&2 && exit 2; }
echo "stability: $((n_seen - n_differ)) of $n_seen inputs take the same way in another order"
((n_differ == 0))
