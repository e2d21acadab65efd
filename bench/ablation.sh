#!/usr/bin/env bash
# What the mutator by operations is worth: bench/ablation.sh [TRIALS=10] [LIMIT=20] [JOBS=2] [BUGS="B1 B4"] [OUT=build/bench/ablation.tsv]
# Puts each historic bug of regress/bugs back into the pool, and has each engine look for it from an empty corpus, with our mutator and
# with the engine's own by bytes, TRIALS times each, for LIMIT seconds at most; JOBS trials at a time. One line of OUT for each:
#     bug  engine  mutator  trial  found|none  inputs  operations
# What is there already is not done again. Ends with the tables of fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh
trials=${TRIALS:-10} limit=${LIMIT:-20} jobs=${JOBS:-2} out=$(realpath -m "${OUT:-build/bench/ablation.tsv}")
mkdir -p "$(dirname "$out")" build/ablation
touch "$out"
if [[ -n ${BUGS-} ]]; then
    read -ra bugs <<<"$BUGS"
else
    mapfile -t bugs < <(basename -a -s .patch regress/bugs/*.patch | sort -V)
fi

# build_trees BUG: build/ablation/BUG, patched, with the target of both engines
build_trees() {
    local tree=build/ablation/$1
    [[ ! -e $tree/.built ]] || return 0
    rm -rf "$tree"
    git clone -q --shared . "$tree"
    (
        cd "$tree"
        git apply "regress/bugs/$1.patch"
        .ci/build.sh fuzz fuzz_program
        .ci/build.sh afl fuzz_program rig_mutator
    ) >build/ablation/"$1".log 2>&1 || { tail -n 20 build/ablation/"$1".log >&2 && return 2; }
    touch "$tree/.built"
}

# trial BUG ENGINE MUTATOR NUMBER: one line
trial() {
    local tree=$PWD/build/ablation/$1 dir found=none inputs operations
    ! grep -q "^$1	$2	$3	$4	" "$out" || return 0
    dir=$(mktemp -d)
    export RIG_COUNTERS=$dir/counters RIG_MUTATOR=$3
    head -c 4096 /dev/zero >"$RIG_COUNTERS"
    mkdir "$dir/corpus" "$dir/found"
    if [[ $2 == libfuzzer ]]; then
        timeout -k 1 $((limit + 5)) "$tree/build/fuzz/fuzz_program" "$dir/corpus" -max_total_time="$limit" -max_len=5140 -len_control=0 \
            -entropic_scale_per_exec_time=1 -timeout=10 -seed=$((1000 * $4 + 7)) -artifact_prefix="$dir/found/" >"$dir/log" 2>&1 </dev/null || true
        [[ -z $(find "$dir/found" -type f ! -name 'slow-unit-*') ]] || found=found
    else
        printf '\001' >"$dir/corpus/none"
        [[ $3 == bytes ]] || export AFL_CUSTOM_MUTATOR_LIBRARY=$tree/build/afl/rig_mutator.so
        [[ $3 == operations ]] || export AFL_DISABLE_TRIM=1
        env -u ASAN_OPTIONS AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 AFL_FAST_CAL=1 \
            AFL_BENCH_UNTIL_CRASH=1 timeout -k 1 $((limit + 5)) afl-fuzz -i "$dir/corpus" -o "$dir/out" -t 1000 -G 5140 -V "$limit" -- \
            "$tree/build/afl/fuzz_program" >"$dir/log" 2>&1 </dev/null || true
        # A seed that crashes, as an empty program may, it only tells of.
        [[ -z $(find "$dir/out" -path '*/crashes/id:*' 2>/dev/null) ]] && ! grep -qa 'results in a crash' "$dir/log" || found=found
    fi
    read -r inputs operations < <(od -An -v -tu8 -w16 -N16 "$RIG_COUNTERS")
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$found" "$inputs" "$operations" >>"$out"
    rm -rf "$dir"
}
export -f trial
export out limit

for bug in "${bugs[@]}"; do
    echo "building $bug"
    build_trees "$bug"
done
for bug in "${bugs[@]}"; do
    echo "fuzzing for $bug"
    for ((i = 1; i <= trials; i++)); do
        printf '%s\0' "$bug libfuzzer operations $i" "$bug libfuzzer bytes $i" "$bug afl operations $i" "$bug afl bytes $i"
    done | xargs -0 -P "$jobs" -I{} bash -c 'trial {}'
done

# Of each cell: the median, the quartiles around it, and how many found it if not all. Where fewer than half did, the median is not
# known: "-".
table() { # TITLE COLUMN
    printf '\n| %s | libFuzzer, operations | libFuzzer, bytes | AFL++, operations | AFL++, bytes |\n|---|--:|--:|--:|--:|\n' "$1"
    sort -t$'\t' -k1,1V "$out" | awk -F'\t' -v column="$2" '
        { key = $1 SUBSEP $2 SUBSEP $3; n_all[key]++ }
        !($1 in known) { known[$1] = 1; bugs[++n_bugs] = $1 }
        $5 == "found" { value[key, ++n[key]] = $column + 0 }
        function sort_cell(key,   i, j, t) {
            for (i = 2; i <= n[key]; i++)
                for (j = i; j > 1 && value[key, j - 1] > value[key, j]; j--) {
                    t = value[key, j]; value[key, j] = value[key, j - 1]; value[key, j - 1] = t
                }
        }
        function quantile(key, q,   i) { i = int(q * (n_all[key] - 1)) + 1; return i <= n[key] ? value[key, i] : "-" }
        function cell(key) {
            sort_cell(key)
            return quantile(key, .5) " (" quantile(key, .25) " to " quantile(key, .75) ")" \
                (n[key] < n_all[key] ? ", " n[key] + 0 " of " n_all[key] : "")
        }
        END {
            for (i = 1; i <= n_bugs; i++)
                printf "| %s | %s | %s | %s | %s |\n", bugs[i], cell(bugs[i] SUBSEP "libfuzzer" SUBSEP "operations"),
                    cell(bugs[i] SUBSEP "libfuzzer" SUBSEP "bytes"), cell(bugs[i] SUBSEP "afl" SUBSEP "operations"),
                    cell(bugs[i] SUBSEP "afl" SUBSEP "bytes")
        }'
}
table "inputs until it is found" 6
table "operations until it is found" 7
