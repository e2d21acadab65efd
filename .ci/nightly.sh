#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What the nightly job does, the same on a laptop: `make nightly [TIME=600] [JOBS=processors] [ENGINES="libfuzzer afl"]
# [SANITIZERS="none address"] [SEED=n] [SHARE=5] [EVOLVED=DIR] [HISTORY=var/nightly/history.jsonl] [OUT=build/nightly]`.
# Builds the target for each engine and sanitizer, fuzzes with each for its part of TIME seconds, from corpus/ and from what evolved
# (in var/, where EVOLVED is added), prunes that, distils, replays everything, looks whether old findings still fail, counts what the programs
# run of impl/, has the canary found, puts SHARE historic bugs back, others each night, and compares with last night. Leaves
# OUT/index.html, one page that needs nothing else, OUT/nightly.json, of which it is made, OUT/corpus, what was distilled; and a
# line in HISTORY. The tree itself stays as it is. Ctrl-C: what is known until then, and a page that says so.
# Exit code: 0; 1 something was found, the canary is off, or a floor fell; 2 it could not run, or not to the end.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

# Ctrl-C in a terminal's foreground comes here only: see fuzz/fuzz.sh.
read -ra stat </proc/self/stat
if [[ ${stat[4]} == "${stat[7]}" && -z ${COW_NIGHTLY_JOB-} ]]; then
    set -m
    COW_NIGHTLY_JOB=1 bash .ci/nightly.sh
    exit
fi

give_up() {
    echo "nightly: $*" >&2
    exit 2
}

# Code 1 is for what was found.
set -E
trap 'give_up "line $LINENO: $BASH_COMMAND"' ERR

# ---- what is wanted ----
time=${TIME:-600} jobs=${JOBS:-$(nproc)} seed=${SEED-} share=${SHARE:-5} evolved=${EVOLVED-}
history=$(realpath -m "${HISTORY:-var/nightly/history.jsonl}") out=$(realpath -m "${OUT:-build/nightly}")
read -ra engines <<<"${ENGINES:-libfuzzer afl}"
read -ra sanitizers <<<"${SANITIZERS:-none address}"
[[ $time =~ ^[1-9][0-9]{0,8}$ ]] || give_up "TIME=$time is not a number of seconds from 1 up"
[[ $jobs =~ ^[1-9][0-9]{0,2}$ ]] || give_up "JOBS=$jobs is not a number from 1 to 999"
[[ $seed =~ ^([1-9][0-9]{0,8})?$ ]] || give_up "SEED=$seed is not a number from 1 to 999999999"
[[ $share =~ ^[0-9]{1,4}$ ]] || give_up "SHARE=$share is not a number of historic bugs"
for engine in "${engines[@]}"; do
    [[ $engine == libfuzzer || $engine == afl ]] || give_up "ENGINES=$engine: there are libfuzzer and afl"
done
for sanitize in "${sanitizers[@]}"; do
    [[ $sanitize == none || $sanitize == address ]] || give_up "SANITIZERS=$sanitize: there are none and address"
done
[[ -z $evolved || -d $evolved ]] || give_up "EVOLVED=$evolved is no directory"
[[ ! -d $history ]] || give_up "HISTORY=$history is a directory"
perl -MJSON::PP -MFindBin -e 1 2>/dev/null || give_up "no perl with JSON::PP here: run make deps"
# The verbs underneath read some of the same names.
unset TIME JOBS SEED OUT ENGINE TARGET SANITIZE CORPUS MUTATOR ONLY TRIALS PATCHES MUTANTS TESTS PROGRAMS BUILD_DIR SOURCE_DIR LOCKSTEP
. .ci/toolchain.sh

work=$out/work
# What lies there is replaced.
[[ -z $(ls -A "$out" 2>/dev/null) || -d $work ]] || give_up "OUT=$out is not empty, and holds no night"
for dir in "$out" "$(dirname "$history")" var findings; do
    { mkdir -p "$dir" && touch "$dir/.writable" && rm "$dir/.writable"; } 2>/dev/null || give_up "cannot write into $dir"
done
exec 9<"$out"
flock -n 9 || give_up "another make nightly is at work in $out"
rm -rf "$work" "$out/nightly.json" "$out/index.html"
mkdir "$work"
ls findings >"$work/known" 2>/dev/null || true

# ---- what is shown and written down ----
begin=$EPOCHSECONDS
fact() { printf '%s\t%s\n' "$1" "${2//[$'\t\n']/ }" >>"$work/facts"; }
# note STEP ok|failed|skipped|unable|interrupted SECONDS WORDS
note() {
    printf '%s\t%s\t%d\t%s\n' "$1" "$2" "$3" "${4//[$'\t\n']/ }" >>"$work/steps"
    [[ $2 == ok || $2 == interrupted ]] || echo "nightly: $1: $2: $4"
}

# judge running|ended|interrupted: nightly.json and the page, of what is known so far; its code is that of the night
judge() {
    local code=0
    perl .ci/nightly_judge.pl "$out" "$history" "$1" $((EPOCHSECONDS - begin)) || code=$?
    perl .ci/nightly_page.pl "$out/nightly.json" >"$out/index.html.new" && mv "$out/index.html.new" "$out/index.html" || code=2
    return "$code"
}

stop='' child=''
trap 'stop=yes' INT TERM HUP
# However we end, nothing goes on behind us.
trap '[[ -z $child ]] || kill -KILL -- "-$child" 2>/dev/null || true' EXIT

# tended STEP WORDS COMMAND...: runs it, in a group of its own; shows what it says (of builds, only that they last), and after
# fifteen seconds of silence that it is still at work. Leaves what it said in work/STEP.log, how long it took in `seconds`; its exit code.
tended() {
    local step=$1 words=$2 log=$work/$1.log at=0 size told=$SECONDS since=$SECONDS code=0 ends=''
    shift 2
    echo "== nightly: $words"
    : >"$log"
    setsid "$@" >"$log" 2>&1 </dev/null 9<&- &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.3 &
        wait $! || true
        size=$(stat -c %s "$log")
        if [[ $step != build-* && $size -gt $at ]]; then
            tail -c "+$((at + 1))" "$log" | head -c $((size - at)) || true # tail may have more to say by now
            at=$size told=$SECONDS
        elif ((SECONDS - told >= 15)); then
            echo "   $words: $((SECONDS - since)) s"
            told=$SECONDS
        fi
        # It has time to file what it found.
        if [[ -n $stop && -z $ends ]]; then
            kill -TERM -- "-$child" 2>/dev/null || true
            ends=$((SECONDS + 120))
        fi
        [[ -z $ends ]] || ((SECONDS < ends)) || kill -KILL -- "-$child" 2>/dev/null || true
    done
    wait "$child" || code=$?
    child=''
    [[ $step == build-* ]] || tail -c "+$((at + 1))" "$log"
    seconds=$((SECONDS - since))
    return "$code"
}
# last_words STEP: the last line that it said, or why the engine gave up
last_words() {
    sed 's/\x1b\[[?0-9;]*[A-Za-z]//g' "$work/$1.log" | grep . | awk '/PROGRAM ABORT/ { why = $0 } { last = $0 } END { print why ? why : last }' || true
}

# ---- the steps: each notes what became of it ----
targets=() # "ENGINE SANITIZER PRESET" of those that were built

build_one() { # PRESET TARGET...
    local preset=$1 code=0
    tended "build-$preset" "building $preset" .ci/build.sh "$@" || code=$?
    if [[ -n $stop ]]; then
        note "build $preset" interrupted "$seconds" ''
    elif ((code)); then
        tail -n 20 "$work/build-$preset.log" >&2
        note "build $preset" unable "$seconds" "the build failed"
    else
        note "build $preset" ok "$seconds" ''
    fi
    return "$code"
}

build_all() {
    local engine sanitize preset flags
    build_one release lockstep seeds || return 0
    for engine in "${engines[@]}"; do
        for sanitize in "${sanitizers[@]}"; do
            [[ -z $stop ]] || return 0
            flags='' preset=fuzz
            [[ $engine == libfuzzer ]] || preset=afl
            [[ $sanitize == none ]] || flags=address,undefined preset+=-asan
            if [[ $engine == libfuzzer ]] && ! find_clang "-fsanitize=fuzzer${flags:+,$flags}" >/dev/null; then
                note "fuzz $engine $sanitize" skipped 0 "no clang here links with -fsanitize=fuzzer${flags:+,$flags}: make deps"
            elif [[ $engine == afl ]] && ! find_afl_clang -fsanitize=fuzzer ${flags:+"-fsanitize=$flags"} >/dev/null; then
                note "fuzz $engine $sanitize" skipped 0 "no AFL++ here makes targets with -fsanitize=fuzzer ${flags:+-fsanitize=$flags}: make deps"
            elif build_one $preset fuzz_program; then
                targets+=("$engine $sanitize $preset")
            fi
        done
    done
}

# Into var/, where the engines keep what evolves; by content, so that twice is once.
restore() {
    local from=("$evolved") kept=var/libfuzzer/program before sum file
    mkdir -p "$kept"
    if [[ -n $evolved ]]; then
        [[ ! -d $evolved/libfuzzer && ! -d $evolved/afl ]] || from=("$evolved"/libfuzzer/program "$evolved"/afl/program/*/queue)
        before=$(find "$kept" -type f | wc -l)
        mkdir "$work/restored"
        fuzz/seeds.sh build/lockstep "$work/restored" "$evolved" >"$work/restore.log" 2>&1 || { note restore unable 0 "$(last_words restore)" && return; }
        while read -r sum file; do
            [[ -e $kept/$sum ]] || cp "$file" "$kept/$sum"
        done < <(find "$work/restored" "${from[@]}" -type f -size +0 -size -6144c ! -name '*.ops' ! -path '*/.state/*' -print0 2>/dev/null |
            xargs -0 -r sha1sum)
        note restore ok 0 "$(($(find "$kept" -type f | wc -l) - before)) inputs of $evolved were not in var yet"
    else
        note restore ok 0 "$(find "$kept" var/afl/program/*/queue -maxdepth 1 -type f 2>/dev/null | wc -l) inputs in var"
    fi
}

fuzz_all() {
    local i engine sanitize code
    for ((i = 0; i < ${#targets[@]}; i++)); do
        [[ -z $stop ]] || return 0
        read -r engine sanitize _ <<<"${targets[i]}"
        local part=$(((time * (i + 1)) / ${#targets[@]} - (time * i) / ${#targets[@]}))
        code=0
        tended "fuzz-$engine-$sanitize" "fuzzing with $engine, SANITIZE=$sanitize" env ENGINE="$engine" SANITIZE="$sanitize" TIME=$((part ? part : 1)) \
            JOBS="$jobs" SEED="$seed" bash fuzz/fuzz.sh || code=$?
        sed -n 's/^finding: findings\///p' "$work/fuzz-$engine-$sanitize.log" >>"$work/met"
        case $code in
            0) note "fuzz $engine $sanitize" "${stop:+interrupted}${stop:-ok}" "$seconds" '' ;;
            1) note "fuzz $engine $sanitize" failed "$seconds" "something was found" ;;
            *) note "fuzz $engine $sanitize" unable "$seconds" "$(last_words "fuzz-$engine-$sanitize")" ;;
        esac
        judge running >/dev/null || true
    done
}

# simply STEP WORDS NAME-OF-CODE-1 COMMAND...: a step whose code 1 is a failure, and any other than 0 means that it could not be done
simply() {
    local step=$1 words=$2 of_one=$3 code=0 status=ok
    shift 3
    [[ -z $stop ]] || return 0
    tended "$step" "$words" "$@" || code=$?
    case $code in
        0) ;;
        1) status=failed ;;
        *) status=unable ;;
    esac
    [[ -z $stop ]] || status=interrupted
    note "$step" $status "$seconds" "$([[ $status != failed ]] || echo "$of_one")$([[ $status != unable ]] || last_words "$step")"
    judge running >/dev/null || true
}

# Of what evolved, by both engines, only what adds anything, lest it grow from night to night, and from host to host.
prune() {
    local kept=var/libfuzzer/program all=() dir
    .ci/build.sh fuzz fuzz_program >"$work/merge.log" 2>&1 || { tail -n 3 "$work/merge.log" && return 2; }
    for dir in "$kept" var/afl/program/*/queue; do
        [[ ! -d $dir ]] || all+=("$dir")
    done
    rm -rf "$work/pruned"
    mkdir "$work/pruned"
    build/fuzz/fuzz_program -merge=1 -timeout=10 -rss_limit_mb=2048 -max_len=5140 "$work/pruned" "${all[@]}" >"$work/merge.log" 2>&1 </dev/null ||
        { tail -n 3 "$work/merge.log" && return 2; }
    echo "prune: $(find "$work/pruned" -type f | wc -l) of $(find "${all[@]}" -maxdepth 1 -type f | wc -l) inputs add something"
    rm -rf "$kept.old"
    mv "$kept" "$kept.old" && mv "$work/pruned" "$kept" && rm -rf "$kept.old" || return 2
    [[ -d var/afl/program ]] || return 0
    exec 8<var/afl/program # as fuzz/engine_afl.sh does: nobody is at work there
    ! flock -n 8 || rm -rf var/afl/program/*-[0-9]*
}

replay() {
    local code programs=(corpus regress/programs)
    [[ -z $(ls "$out/corpus" 2>/dev/null) ]] || programs+=("$out/corpus")
    build/lockstep run --json --matrix --floors "${programs[@]}" 2>&1 >"$work/replay.out" | grep -v '^ *ok  ' # floors that are held
    code=${PIPESTATUS[0]}
    tail -n 1 "$work/replay.out" >"$work/replay.json"
    sed -n 's/^crash: /&/p' "$work/replay.out"
    return $((code ? 1 : 0)) # whatever it is, it is wrong
}

verify() {
    local code=0
    build/lockstep verify --json findings >"$work/verify.json" || code=$?
    return "$code"
}

coverage() {
    local code=0 also=''
    [[ ! -d $out/corpus ]] || also=$out/corpus
    TESTS=no PROGRAMS=$also bash .ci/coverage.sh || code=$?
    ((code > 1)) || cp build/coverage/programs.json "$work/coverage.json"
    return "$code"
}

canary() {
    local code=0
    bash regress/test_canary.sh || code=$?
    return $((code ? 1 : 0)) # skipped is off, too
}
export out work
export -f prune replay verify coverage canary

kill_share() {
    local all n first i bugs=() night
    mapfile -t all < <(printf '%s\n' regress/bugs/*.patch | sed 's/.*\///; s/\.patch$//' | sort -V)
    n=${#all[@]} night=$(sed -n 's/^night\t//p' "$work/facts")
    ((share)) || { note bugs skipped 0 "SHARE=0" && return; }
    first=$(((night - 1) * share % n))
    for ((i = 0; i < share && i < n; i++)); do
        bugs+=("${all[(first + i) % n]}")
    done
    fact share "${bugs[*]}"
    simply bugs "putting back ${bugs[*]}" "not all are found" env ONLY="${bugs[*]}" OUT="$out/kill" MUTANTS=no bash regress/bugs.sh
    [[ ! -e $out/kill/bugs.json ]] || cp "$out/kill/bugs.json" "$work/bugs.json"
}

# ---- the night ----
fact at "$(date -u +%FT%TZ)"
fact time "$time"
fact jobs "$jobs"
fact kernel "$(uname -sr)"
fact machine "$(uname -m), $(nproc) processors"
fact commit "$(git -c core.quotePath=off log -1 --format='%h %s' 2>/dev/null || true)"
fact changed "$(git status --porcelain 2>/dev/null | grep -vc '^??' || true)"
rm -rf "$out/kill/bugs.json" "$out/corpus"
perl .ci/nightly_judge.pl "$out" "$history" begin 0 || exit 2
build_all
if [[ -z $stop ]] && ((!${#targets[@]})); then
    note fuzz unable 0 "no engine can fuzz here"
elif [[ -z $stop ]]; then
    judge running >/dev/null || true
    restore
    fuzz_all
    if find_clang -fsanitize=fuzzer >/dev/null; then
        simply prune "pruning what evolved" '' bash -c prune
        simply distil "distilling" '' env OUT="$out/corpus" bash fuzz/corpus.sh
    else
        note distil skipped 0 "no clang here links with -fsanitize=fuzzer: make deps"
    fi
    simply replay "replaying everything" "not all agree, or they do too little" bash -c replay
    if [[ -z $(ls findings 2>/dev/null) ]]; then
        note verify ok 0 "there are no findings"
    else
        simply verify "looking at all findings" "some still fail" bash -c verify
    fi
    if find_coverage_tools >/dev/null; then
        simply coverage "counting what the programs run of impl/" "a program or a sweep failed" bash -c coverage
    else
        note coverage skipped 0 "no clang here counts what runs, or llvm-cov of its version is missing: make deps"
    fi
    simply canary "the canary" "a bug that was planted is not found, or could not be looked for" bash -c canary
    [[ -n $stop ]] || kill_share
fi
state=ended
[[ -z $stop ]] || state=interrupted
code=0
judge $state || code=$?
echo "page: ${out#"$PWD/"}/index.html"
exit "$code"
