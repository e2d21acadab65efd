#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The kill matrix: `make bugs [ONLY="B1 M7"] [TIME=60] [TRIALS=1] [MUTANTS=no]`. Puts each historic bug of regress/bugs back into the
# pool, in a directory of its own below build/bugs; has the corpus replayed, and the fuzzer look for it from no corpus, TRIALS times
# for TIME seconds at most. A bug whose header says `Fuzz: no, REASON` is replayed only. Ends with the mechanical mutants of
# regress/mutants.sh, if all bugs were asked for. Prints a table, writes build/bugs.json and, where gnuplot is, build/bugs.svg.
# What is known of the same pool, rig and corpus is not done again: a run that was interrupted goes on where it stopped.
# Exit code: 0 all found; 1 some not, which are named; 2 could not do it, in one line why.
# PATCHES=DIR, OUT=DIR and BUILD_DIR=DIR are for its test: other patches, another place than build, a build that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh
. fuzz/engine_libfuzzer.sh
. regress/patched.sh
. regress/reached.sh
export LC_ALL=C
shopt -s nullglob
ulimit -S -c 0

give_up() {
    echo "bugs: $*" >&2
    exit 2
}
trials=${TRIALS:-1} time=${TIME:-60} out=$(realpath -m "${OUT:-build}") patches_dir=${PATCHES:-regress/bugs}
[[ $time =~ ^[1-9][0-9]{0,5}$ ]] || give_up "TIME=$time is not a number of seconds from 1 up"
[[ $trials =~ ^[1-9][0-9]{0,2}$ ]] || give_up "TRIALS=$trials is not a number from 1 to 999"
if [[ -n ${ONLY-} ]]; then
    read -ra bugs <<<"${ONLY//,/ }"
else
    mapfile -t bugs < <(printf '%s\n' "$patches_dir"/*.patch | sed 's/.*\///; s/\.patch$//' | sort -V)
fi
((${#bugs[@]})) || give_up "no bug is asked for, or there is none in $patches_dir"
case ${MUTANTS:-yes} in yes | no) ;; *) give_up "MUTANTS=$MUTANTS: there are yes and no" ;; esac
for bug in "${bugs[@]}"; do
    [[ -f $patches_dir/$bug.patch ]] || give_up "there is no $patches_dir/$bug.patch"
done
clang=$(find_clang -fsanitize=fuzzer) || give_up "no clang here links with -fsanitize=fuzzer: run make deps"
{ mkdir -p "$out/bugs" && touch "$out/bugs/.writable" && rm "$out/bugs/.writable"; } 2>/dev/null || give_up "cannot write into $out/bugs"

# ---- what is shown while it runs ----
ticker=''
quiet() {
    [[ -n $ticker ]] || return 0
    kill "$ticker" 2>/dev/null || true
    { wait "$ticker"; } 2>/dev/null || true
    ticker=''
    printf '\r\e[K'
}
# doing WORDS: on a terminal, a line that tells for how long already
doing() {
    quiet
    [[ -t 1 ]] || return 0
    (
        trap - EXIT INT TERM HUP
        for ((seconds = 0; ; seconds++)); do
            printf '\r%s, %d s\e[K' "$*" "$seconds"
            sleep 1
        done
    ) &
    ticker=$!
}
trap 'stop_fuzzer; quiet' EXIT
trap 'quiet; give_up "interrupted; what is known is kept, and the same again goes on there"' INT TERM HUP

# sure WORDS COMMAND...: what must work; what it prints is shown if it does not
sure() {
    local words=$1
    shift
    "$@" >"$out/bugs/log" 2>&1 || { quiet && tail -n 40 "$out/bugs/log" >&2 && give_up "$words"; }
}
build=$(realpath -m "${BUILD_DIR:-build}")
doing "building"
[[ -n ${BUILD_DIR-} ]] || sure "the build failed" .ci/build.sh release lockstep
sure "the build failed" .ci/build.sh fuzz fuzz_program
use_tool_build "$build"
use_fuzz_build "$PWD/build/fuzz"

# ---- one bug: what is found out lies in its room, in a file for each step which is there whole or not; tabs separate its fields ----
# hash PATH...: of all contents there but documents
hash() { find "$@" -type f ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16; }
code_hash=$(hash impl fuzz reference CMakeLists.txt CMakePresets.json)-$("$clang" --version | sha256sum | cut -c 1-8)
corpus_hash=$(hash corpus)
mapfile -t corpus < <(find corpus -name '*.ops' | sort)

# keep FILE FIELD...
keep() {
    local IFS=$'\t'
    echo "${*:2}" >"$1.new" && mv "$1.new" "$1"
}

# prepare PATCH ROOM: the room, with the patched tool and target in ROOM/tree
prepare() {
    local key
    key="$code_hash $(sha256sum <"$1" | cut -c 1-16)"
    [[ $(cat "$2/key" 2>/dev/null) != "$key" ]] || return 0
    rm -rf "$2"
    mkdir -p "$2"
    sure "$1 does not apply" apply "$(realpath "$1")" "$2/tree"
    sure "$1 does not compile" build_patched "$1" "$2/tree"
    sure "$1 does not compile" build_target "$1" "$2/tree"
    keep "$2/key" "$key"
}

# replay PATCH ROOM: ROOM/replay: corpus_hash reached found line program operations seconds
replay() {
    local reached found=no line=- program=- operations=- seconds=- place words before=()
    local -A crashes=()
    [[ $(cut -f 1 "$2/replay" 2>/dev/null) != "$corpus_hash" ]] || return 0
    reach "$1" "$2"
    # The first with a line that the patch announces, or else the first.
    while IFS=$'\t' read -r place words; do
        [[ $found != yes ]] || continue
        [[ $words != crash:* ]] || crashes[$place]=yes
        [[ $found != no ]] || found=other program=$place line=$words
        ! finds "$1" "$words" || found=yes program=$place line=$words
    done < <(disagreements "$2/tree" "${corpus[@]}")
    if [[ $found != no ]]; then
        # How much until then: all programs up to it once more, but for those that crash, which would leave no counts.
        for place in "${corpus[@]}"; do
            [[ -n ${crashes[$place]-} ]] || before+=("$place")
            [[ $place != "$program" ]] || break
        done
        read -r operations seconds < <({ ((!${#before[@]})) || "$2/tree/lockstep" run --json "${before[@]}" 2>/dev/null || true; } |
            sed -nE 's/^\{.*"operations":([0-9]+),.*"seconds":([0-9.]+),.*/\1 \2/p' | grep . || echo 0 0)
    fi
    keep "$2/replay" "$corpus_hash" "$reached" "$found" "$line" "$program" "$operations" "$seconds"
}

# stands RECORD: one that found it, if it took no longer than is allowed now; one that did not, if it looked for as long
stands() {
    [[ -e $1 ]] && awk -F'\t' -v time="$time" '{ exit !($3 == "no" ? $2 >= time : $7 <= time) }' "$1"
}

# trial PATCH ROOM SEED: ROOM/trial-SEED: seed limit found line executions operations seconds
trial() {
    local found=no line=- input
    ! stands "$2/trial-$3" || return 0
    look "$2/tree/fuzz_program" "$2/run" -max_total_time="$time" -seed="$3" ||
        { quiet && tail -n 20 "$2/run/log" >&2 && give_up "fuzzing for $1 failed and left no input (its last lines are above)"; }
    for input in "$2/run/found"/*; do
        cp "$input" "$2/found-$3"
        line=$(stable_line "$2/tree/lockstep" "$input" "$2/run/log")
        finds "$1" "$line" && found=yes || found=other
        [[ $line != crash:* ]] || executions=$((executions + 1)) # the target did not come to count it
    done
    keep "$2/trial-$3" "$3" "$time" "$found" "$line" "$executions" "$operations" "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    rm -rf "$2/run"
}

# ---- what came of it ----
# trials_of ROOM: their records
trials_of() {
    local seed
    for ((seed = 1; seed <= trials; seed++)); do
        cat "$1/trial-$seed" 2>/dev/null || true
    done
}

# median ROOM: executions, operations and seconds in the middle of the trials, each for itself; "- - -" if fewer than half found it
median() {
    local column values middle=$(((trials - 1) / 2))
    for column in 5 6 7; do
        mapfile -t values < <(trials_of "$1" | awk -F'\t' -v column=$column '$3 != "no" { print $column }' | sort -g)
        printf '%s ' "${values[middle]:--}"
    done
}

missed=() json=() # so far
row='%-5s %-7s %-27s %10s %7s  %5s %10s %10s %8s  %s\n'
# tell BUG: prints its row, with what is to be said below; adds to `missed` and `json`
tell() {
    local patch=$patches_dir/$1.patch room=$out/bugs/$1 reached found line program operations seconds fuzz n_found=- middle
    IFS=$'\t' read -r _ reached found line program operations seconds <"$room/replay"
    read -ra middle <<<"$(median "$room")"
    fuzz=$(says Fuzz "$patch")
    [[ $found != no ]] || missed+=("$1 by replay")
    if [[ -z $fuzz ]]; then
        n_found=$(trials_of "$room" | awk -F'\t' '$3 != "no"' | wc -l)/$trials
        [[ ${middle[0]} != - ]] || missed+=("$1 from no corpus")
    fi
    program=${program#corpus/}
    [[ $seconds == - ]] || seconds=$(printf %.3f "$seconds")
    # shellcheck disable=SC2059
    printf "$row" "$1" "$reached" "${program%.ops}" "$operations" "$seconds" "$n_found" "${middle[@]}" "${line#divergence: }"
    [[ $found != other ]] || echo "      replay: found by another oracle than the patch announces"
    trials_of "$room" | awk -F'\t' '$3 == "other" { print "      seed " $1 ": found by another oracle: " $4 }'
    [[ -z $fuzz ]] || echo "      not fuzzed: ${fuzz#no, }"
    json+=("$({ cat "$room/replay" && trials_of "$room"; } |
        id=$1 effect=$(says Effect "$patch") fuzz=${fuzz#no, } middle=${middle[*]} awk -F'\t' '
        function string(words) { gsub(/[\\"]/, "\\\\&", words); return words == "-" ? "null" : "\"" words "\"" }
        function number(word) { return word == "-" ? "null" : word }
        function found() { return "\"found\":" ($3 == "no" ? "false" : "true") ",\"announced\":" ($3 == "yes" ? "true" : "false") ",\"line\":" string($4) }
        NR == 1 {
            printf "{\"id\":%s,\"effect\":%s,\"reached\":%s,", string(ENVIRON["id"]), string(ENVIRON["effect"]), \
                $2 == "unknown" ? "null" : $2 == "yes" ? "true" : "false"
            printf "\"replay\":{%s,\"program\":%s,\"operations\":%s,\"seconds\":%s},", found(), string($5), number($6), number($7)
            printf "\"not_fuzzed\":%s,\"trials\":[", ENVIRON["fuzz"] ? string(ENVIRON["fuzz"]) : "null"
            next
        }
        {
            printf "%s{\"seed\":%d,\"limit\":%d,%s,\"executions\":%d,\"operations\":%d,\"seconds\":%s}", (NR > 2 ? "," : ""), \
                $1, $2, found(), $5, $6, $7
        }
        END {
            split(ENVIRON["middle"], middle, " ")
            if (middle[1] == "-")
                print "],\"median\":null}"
            else
                print "],\"median\":{\"executions\":" middle[1] ",\"operations\":" middle[2] ",\"seconds\":" middle[3] "}}"
        }')")
}

# write_json [MUTANTS]: what is known so far, a line for each bug
write_json() {
    local IFS=,
    {
        printf '{"time":%d,"trials":%d,"bugs":[\n' "$time" "$trials"
        printf '%s' "${json[*]/#/$'\n'}" | tail -n +2
        printf '\n],"mutants":'
        cat "${1-/dev/null}" 2>/dev/null | grep . || echo null
        echo '}'
    } >"$out/bugs.json.new"
    mv "$out/bugs.json.new" "$out/bugs.json"
}

# plot: out/bugs.svg
plot() {
    local bug n=0 middle
    command -v gnuplot >/dev/null || { echo "no plot: no gnuplot here (Debian, Ubuntu: apt-get install gnuplot-nox)" && return; }
    {
        for bug in "${fuzzed[@]}"; do
            read -ra middle <<<"$(median "$out/bugs/$bug")"
            echo "$bug ${middle[2]}"
        done
        printf '\n\n'
        for bug in "${fuzzed[@]}"; do
            trials_of "$out/bugs/$bug" | awk -F'\t' -v n="$n" '{ print n, $3 == "no" ? "- " $2 : $7 " -" }'
            n=$((n + 1))
        done
    } >"$out/bugs/seconds"
    gnuplot -e "set terminal svg size $((200 + 22 * n)),420; set output '$out/bugs.svg'; data = '$out/bugs/seconds'" regress/bugs.gnuplot \
        2>"$out/bugs/log" && echo "plot: ${out#"$PWD/"}/bugs.svg" || echo "no plot: gnuplot failed: $(grep -m 1 . "$out/bugs/log")"
}

# ---- all of them ----
fuzzed=() n_bugs=0
quiet
printf '%-41s%-24s%s\n' '' 'replay, until found' 'from no corpus, in the median'
# shellcheck disable=SC2059
printf "$row" bug reached program operations seconds found executions operations seconds line
for bug in "${bugs[@]}"; do
    patch=$patches_dir/$bug.patch room=$out/bugs/$bug
    of="$bug ($((++n_bugs)) of ${#bugs[@]})"
    doing "$of: building"
    prepare "$patch" "$room"
    doing "$of: replaying the corpus"
    replay "$patch" "$room"
    if [[ -z $(says Fuzz "$patch") ]]; then
        fuzzed+=("$bug")
        for ((seed = 1; seed <= trials; seed++)); do
            doing "$of: fuzzing from no corpus, trial $seed of $trials"
            trial "$patch" "$room" "$seed"
        done
    fi
    quiet
    tell "$bug"
    write_json
done
plot

# The mechanical mutants: a verb of its own, which prints its table, leaves mutants.json and ends with codes like ours.
code=0
if [[ -z ${ONLY-} && ${MUTANTS:-yes} == yes && -f regress/mutants.sh ]]; then
    echo
    OUT=$out bash regress/mutants.sh || code=$?
    ((code > 1)) || write_json "$out/mutants.json"
fi
if ((${#missed[@]})); then
    printf -v list ', %s' "${missed[@]}"
    echo "bugs: not found: ${list:2}"
    exit $((code > 1 ? code : 1))
fi
echo "bugs: all ${#bugs[@]} found by replay, ${#fuzzed[@]} from no corpus; ${out#"$PWD/"}/bugs.json"
exit "$code"
