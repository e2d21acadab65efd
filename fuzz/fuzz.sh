#!/usr/bin/env bash
# Fuzzes for a while and files what it finds: `make fuzz [TIME=60] [CORPUS=none|DIR] [SEED=n] [SANITIZE=none|address]`.
# Starts from corpus/ and regress/programs, evolves in var/libfuzzer (kept for next time), files into findings/.
# Exit code: 0 nothing found, also after Ctrl-C; 1 something found; 2 could not fuzz, in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."

# make dies of the Ctrl-C that its child survives. So, in a terminal's foreground, run as a job of our own: then the
# terminal sends Ctrl-C here only. (Fields of proc(5) stat: our process group, and the terminal's foreground group.)
read -ra stat </proc/self/stat
if [[ ${stat[4]} == "${stat[7]}" && -z ${COW_FUZZ_JOB-} ]]; then
    set -m
    COW_FUZZ_JOB=1 bash fuzz/fuzz.sh
    exit
fi

give_up() {
    echo "fuzz: $*" >&2
    exit 2
}

time=${TIME:-60} jobs=${JOBS:-1} engine_name=${ENGINE:-libfuzzer} corpus=${CORPUS-} seed=${SEED-} sanitize=${SANITIZE:-none}
[[ $time =~ ^[1-9][0-9]{0,8}$ ]] || give_up "TIME=$time is not a number of seconds from 1 up"
[[ $jobs =~ ^[1-9][0-9]{0,3}$ ]] || give_up "JOBS=$jobs is not a number from 1 up"
[[ $seed =~ ^([1-9][0-9]{0,8})?$ ]] || give_up "SEED=$seed is not a number from 1 to 999999999"
case $engine_name in
    libfuzzer) ;;
    afl) give_up "ENGINE=afl is not built yet" ;;
    *) give_up "ENGINE=$engine_name: there is libfuzzer" ;;
esac
((jobs == 1)) || give_up "JOBS=$jobs: more than one is not built yet"
case $sanitize in
    none) preset=fuzz ;;
    address) preset=fuzz-asan ;;
    *) give_up "SANITIZE=$sanitize: there are none and address" ;;
esac
if [[ -n $corpus && $corpus != none ]]; then
    [[ -d $corpus ]] || give_up "CORPUS=$corpus is no directory"
    [[ -n $(find "$corpus" -type f -print -quit) ]] || give_up "CORPUS=$corpus holds no file"
fi

# ---- what is needed: room, tools, seeds ----
run='' engine=''
clean_up() {
    # The engine leads a group of its own: with this nothing it started outlives us.
    [[ -z $engine ]] || kill -KILL -- "-$engine" 2>/dev/null || true
    [[ -z $run ]] || rm -rf "$run"
}
trap clean_up EXIT
stop=''
trap 'stop=yes' INT TERM HUP

for dir in var/libfuzzer findings build; do
    { mkdir -p "$dir" && touch "$dir/.writable" && rm "$dir/.writable"; } 2>/dev/null || give_up "cannot write into $dir"
done
run=$(mktemp -d "$PWD/var/run.XXXXXX" 2>/dev/null) || give_up "cannot make a directory in var"
head -c 1048576 /dev/zero >"$run/room" 2>/dev/null || give_up "no space left in var"
rm "$run/room"

# built SCRIPT-ARGUMENT...: builds, showing the output on a terminal, else only when it fails
built() {
    if [[ -t 1 ]]; then
        .ci/build.sh "$@"
    else
        echo "building $1"
        .ci/build.sh "$@" >"$run/build.log" 2>&1 || { cat "$run/build.log" >&2 && return 1; }
    fi
}
. .ci/toolchain.sh
has_clang=-fsanitize=fuzzer
[[ $sanitize == none ]] || has_clang+=,address,undefined
find_clang "$has_clang" >/dev/null || give_up "no clang here links with $has_clang: run make deps"
if ! { built release lockstep seeds && built "$preset" fuzz_program; }; then
    [[ -z $stop ]] || give_up "interrupted while building"
    give_up "the build failed"
fi

inputs=("$PWD/var/libfuzzer" "$PWD/build/seeds")
if [[ $corpus == none ]]; then
    inputs=("$run/corpus")
elif [[ -n $corpus ]]; then
    inputs=("$PWD/var/libfuzzer" "$(realpath "$corpus")")
    if [[ -n $(find "$corpus" -name '*.ops' -print -quit) ]]; then
        fuzz/seeds.sh build/lockstep "$run/seeds" "$corpus" || give_up "CORPUS=$corpus holds a program that does not assemble"
        inputs[1]=$run/seeds
    fi
fi
mkdir -p "$run/corpus" "$run/found"

# ---- the engine ----
# The target maps this file and counts in it: little-endian u64s (programs, operations, effective, traps, divergences).
export RIG_COUNTERS=$run/counters
head -c 4096 /dev/zero >"$RIG_COUNTERS"
prefix=()
[[ $sanitize == none ]] || read -ra prefix <<<"$(sanitizer_prefix)"
# No length control: a program needs some twenty records before anything interesting can happen in it.
# Cheap inputs more often than those that drag megabytes along: some four times the operations a second.
setsid "${prefix[@]}" "build/$preset/fuzz_program" "${inputs[@]}" -max_total_time="$time" -max_len=5140 -len_control=0 \
    -entropic_scale_per_exec_time=1 -timeout=10 -rss_limit_mb=2048 -report_slow_units=60 -reload=0 -print_final_stats=1 -seed="${seed:-0}" \
    -artifact_prefix="$run/found/" >"$run/log" 2>&1 </dev/null &
engine=$!

# ---- the live line ----
# last_number WORD: the number behind WORD in the engine's last status line
last_number() { tail -c 8192 "$run/log" | grep -oE "\b$1: [0-9]+" | tail -n 1 | grep -oE '[0-9]+$' || echo 0; }

read_counters() { # into programs operations effective traps
    read -r programs operations effective traps _ \
        < <(od -An -v -tu8 -w40 -N40 "$RIG_COUNTERS") || true
}

begin_ms=$((${EPOCHREALTIME/[.,]/} / 1000))
before_ms=$begin_ms programs_before=0 effective_before=0
show_status() { # rates are those since the last call
    local now_ms=$((${EPOCHREALTIME/[.,]/} / 1000)) line
    local ms=$((now_ms > before_ms ? now_ms - before_ms : 1))
    read_counters
    printf -v line '%4d s  %d programs/s  %d effective operations/s  coverage %d  corpus %d  findings %d' \
        $(((now_ms - begin_ms) / 1000)) $(((programs - programs_before) * 1000 / ms)) \
        $(((effective - effective_before) * 1000 / ms)) "$(last_number cov)" "$(last_number corp)" \
        "$(find "$run/found" -type f ! -name 'slow-unit-*' | wc -l)"
    if [[ -t 1 ]]; then
        printf '\r%s\e[K' "$line"
    else
        echo "$line"
    fi
    before_ms=$now_ms programs_before=$programs effective_before=$effective
}

every_ms=10000
[[ ! -t 1 ]] || every_ms=900
echo "fuzzing for $time s with libFuzzer (SANITIZE=$sanitize), Ctrl-C stops"
while kill -0 "$engine" 2>/dev/null && [[ -z $stop ]]; do
    sleep 1 &
    wait $! || true
    ((${EPOCHREALTIME/[.,]/} / 1000 - before_ms < every_ms)) || show_status
done

# libFuzzer ends by itself at SIGTERM; a sanitizer's runtime has been seen to ignore it.
if [[ -n $stop ]]; then
    kill -TERM -- "-$engine" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$engine" 2>/dev/null || true
fi
status=0
{ wait "$engine"; } 2>/dev/null || status=$?
show_status
[[ ! -t 1 ]] || echo

# ---- the summary ----
seconds=$(((before_ms - begin_ms + 500) / 1000))
((seconds)) || seconds=1
used_seed=$(sed -n 's/^INFO: Seed: //p' "$run/log" | head -n 1)
percent=$((operations ? effective * 100 / operations : 0))
finding=$(find "$run/found" -type f ! -name 'slow-unit-*' | head -n 1)
[[ -z $stop ]] || echo "interrupted"
echo "fuzz: $seconds s, seed ${used_seed:-unknown}, $programs programs ($((programs / seconds))/s), $operations operations," \
    "$percent% effective ($((effective / seconds))/s), $traps traps, coverage $(last_number cov), corpus $(last_number corp)"
if [[ -n $finding ]]; then
    SANITIZE=$sanitize bash fuzz/triage.sh "$finding" "$run/log" "found by: make fuzz TIME=$time${corpus:+ CORPUS=$corpus} \
SEED=$used_seed SANITIZE=$sanitize, after $seconds s" && exit 1
    kept=$run run=''
    give_up "the finding could not be filed; it is kept in $kept"
fi
if ((status != 0)) && [[ -z $stop ]]; then
    tail -n 20 "$run/log" >&2
    give_up "the engine ended with status $status and left no input (its last lines are above)"
fi
echo "nothing found"
