#!/usr/bin/env bash
# Fuzzes for a while and files what it finds: `make fuzz [TARGET=program|text|wasm] [ENGINE=libfuzzer|afl] [TIME=60] [JOBS=1]
# [CORPUS=none|DIR] [SEED=n] [SANITIZE=none|address] [MUTATOR=operations|bytes]`. fuzz/README.md tells of targets and engines.
# Starts from the target's seeds and from what both engines evolved of it, evolves in var/ENGINE/TARGET, files into findings/.
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

# ---- what is wanted ----
target=${TARGET:-program} engine=${ENGINE:-libfuzzer} time=${TIME:-60} jobs=${JOBS:-1}
corpus=${CORPUS-} seed=${SEED-} sanitize=${SANITIZE:-none} mutator=${MUTATOR:-operations}
[[ $time =~ ^[1-9][0-9]{0,8}$ ]] || give_up "TIME=$time is not a number of seconds from 1 up"
[[ $jobs =~ ^[1-9][0-9]{0,2}$ ]] || give_up "JOBS=$jobs is not a number from 1 to 999"
[[ $seed =~ ^([1-9][0-9]{0,8})?$ ]] || give_up "SEED=$seed is not a number from 1 to 999999999"
case $target in # none: what AFL++, which needs an input, gets instead of nothing
    program) none='\001' ;;
    text) none='cowpool-ops 1\n' ;;
    wasm) none='\000asm\001\000\000\000' ;;
    *)
        [[ -e fuzz/fuzz_$target.c ]] || give_up "TARGET=$target: there is no fuzz/fuzz_$target.c"
        none='\001'
        ;;
esac
case $engine in
    libfuzzer | afl) ;;
    *) give_up "ENGINE=$engine: there are libfuzzer and afl" ;;
esac
case $sanitize in
    none | address) ;;
    *) give_up "SANITIZE=$sanitize: there are none and address" ;;
esac
case $mutator in
    operations) ;;
    bytes) export RIG_MUTATOR=bytes ;; # the engines' own, for comparison
    *) give_up "MUTATOR=$mutator: there are operations and bytes" ;;
esac
if [[ -n $corpus && $corpus != none ]]; then
    [[ -d $corpus ]] || give_up "CORPUS=$corpus is no directory"
    [[ -n $(find "$corpus" -type f -print -quit) ]] || give_up "CORPUS=$corpus holds no file"
fi
. .ci/toolchain.sh
. "fuzz/engine_$engine.sh"
sanitizers='' suffix=''
[[ $sanitize == none ]] || sanitizers=address,undefined suffix=-asan
engine_check

# ---- what is needed: room, tools, seeds ----
run=''
pids=() # of the engine's processes that run; each leads a group of its own, so that nothing which they started outlives us
engine_runs() {
    local pid
    for pid in "${pids[@]}"; do
        ! kill -0 "$pid" 2>/dev/null || return 0
    done
    return 1
}
kill_jobs() { # SIGNAL
    local pid
    for pid in "${pids[@]}"; do
        kill "-$1" -- "-$pid" 2>/dev/null || true
    done
}
clean_up() {
    kill_jobs KILL
    [[ -z $run ]] || rm -rf "$run"
}
trap clean_up EXIT
stop=''
trap 'stop=yes' INT TERM HUP

evolved=var/$engine/$target
for dir in "$evolved" findings build; do
    { mkdir -p "$dir" && touch "$dir/.writable" && rm "$dir/.writable"; } 2>/dev/null || give_up "cannot write into $dir"
done
# Until there were several targets, the program's corpus lay one level up.
mkdir -p var/libfuzzer/program && find var/libfuzzer -maxdepth 1 -type f -exec mv -n -t var/libfuzzer/program {} +
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
presets=("$engine_preset$suffix")
# Findings are replayed by libFuzzer's driver, which tells most of a crash; it is an engine's only where it is that engine.
if [[ $engine != libfuzzer ]] && find_clang "-fsanitize=fuzzer${sanitizers:+,$sanitizers}" >/dev/null; then
    presets+=("fuzz$suffix")
fi
failed=''
[[ $target != program ]] || built release lockstep seeds || failed=yes
for preset in "${presets[@]}"; do
    [[ -n $failed ]] || built "$preset" "fuzz_$target" || failed=yes
done
if [[ -n $failed ]]; then
    [[ -z $stop ]] || give_up "interrupted while building"
    give_up "the build failed"
fi
binary=$PWD/build/$engine_preset$suffix/fuzz_$target

# make_seeds: into $run/seeds
make_seeds() {
    local from=(corpus regress/programs)
    [[ -z $corpus ]] || from=("$(realpath "$corpus")")
    case $target in
        program)
            if [[ -z $corpus ]]; then
                from=(build/seeds)
            elif [[ -n $(find "$corpus" -name '*.ops' -print -quit) ]]; then
                fuzz/seeds.sh build/lockstep "$run/assembled" "$corpus" || give_up "CORPUS=$corpus holds a program that does not assemble"
                from=("$run/assembled")
            fi
            ;;
        text) [[ -n $corpus ]] || from+=(-name '*.ops') ;;
        wasm)
            if [[ -z $corpus ]]; then
                fuzz/wasm_seeds.sh build/wasm-seeds >"$run/build.log" 2>&1 || give_up "$(tail -n 1 "$run/build.log")"
                from=(build/wasm-seeds)
            fi
            ;;
        *)
            mkdir -p "$run/none"
            [[ -n $corpus ]] || from=("$run/none")
            [[ -n $corpus || ! -d corpus/$target ]] || from=("corpus/$target")
            ;;
    esac
    gather "$run/seeds" "${from[@]}"
}

# gather INTO DIRECTORY-OR-FIND-CRITERION...: copies what is there, each content once, and nothing empty
gather() {
    local into=$1
    shift
    mkdir -p "$into"
    find "$@" -type f -size +0 ! -path '*/.state/*' -print0 | xargs -0 -r sha256sum -- |
        awk '!seen[$1]++ { sub(/^[0-9a-f]+ [ *]/, ""); print }' | tr '\n' '\0' | xargs -0 -r cp --parents -t "$into" --
}

mkdir -p "$run/inputs" "$run/corpus" "$run/found"
if [[ $corpus != none ]]; then
    make_seeds
    dirs=("$run/seeds")
    for dir in "var/libfuzzer/$target" "var/afl/$target"/{,.old/}*/queue; do
        [[ ! -d $dir || $dir == "$evolved" ]] || dirs+=("$dir")
    done
    gather "$run/inputs" "${dirs[@]}"
else
    evolved=$run/corpus
fi

# ---- the engine ----
# The targets count in this file: see fuzz/progress.h.
export RIG_COUNTERS=$run/counters
head -c 65584 /dev/zero >"$RIG_COUNTERS"
prefix=()
[[ $sanitize == none ]] || read -ra prefix <<<"$(sanitizer_prefix)"

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
begin_ms=$(now_ms)
before_ms=$begin_ms programs_before=0 effective_before=0 unable=0

# ---- the live line ----
read_counters() { # into programs operations effective traps unable
    read -r programs operations effective traps _ unable < <(od -An -v -tu8 -w48 -N48 "$RIG_COUNTERS") || true
}

# What a target that only reads has no operations to show of is left out.
show_status() { # rates are those since the last call
    local now line rate
    now=$(now_ms)
    local ms=$((now > before_ms ? now - before_ms : 1))
    read_counters
    engine_numbers
    rate=$(((programs - programs_before) * 1000 / ms))
    if [[ $target == program ]]; then
        rate="$rate programs/s  $(((effective - effective_before) * 1000 / ms)) effective operations/s"
    else
        rate="$rate inputs/s"
    fi
    printf -v line '%4d s  %s  coverage %d  corpus %d  findings %d' \
        $(((now - begin_ms) / 1000)) "$rate" "$coverage" "$n_corpus" "$n_findings"
    if [[ -t 1 ]]; then
        printf '\r%s\e[K' "$line"
    else
        echo "$line"
    fi
    before_ms=$now programs_before=$programs effective_before=$effective
}

every_ms=10000
[[ ! -t 1 ]] || every_ms=900
setting="SANITIZE=$sanitize"
((jobs == 1)) || setting="JOBS=$jobs, $setting"
[[ $target == program ]] || setting="TARGET=$target, $setting"
echo "fuzzing for $time s with $engine_name ($setting), Ctrl-C stops"
engine_start
while [[ -z $stop ]] && engine_tick; do
    sleep 1 &
    wait $! || true
    (($(now_ms) - before_ms < every_ms)) || show_status
    ((!unable)) || break
done

# Engines end by themselves at SIGTERM, and write down what they have; a sanitizer's runtime has been seen to ignore it.
if [[ -n $stop ]] || ((unable)); then
    kill_jobs TERM
    for _ in {1..50}; do
        engine_runs || break
        sleep 0.1
    done
    kill_jobs KILL
fi
engine_end
show_status
[[ ! -t 1 ]] || echo

# ---- the summary ----
seconds=$(((before_ms - begin_ms + 500) / 1000))
((seconds)) || seconds=1
[[ -z $stop ]] || echo "interrupted"
words="fuzz: $seconds s, seed ${seed:-none}, "
if [[ $target == program ]]; then
    words+="$programs programs ($((programs / seconds))/s), $operations operations,"
    words+=" $((operations ? effective * 100 / operations : 0))% effective ($((effective / seconds))/s), $traps traps"
else
    words+="$programs inputs ($((programs / seconds))/s)"
fi
echo "$words, coverage $coverage, corpus $n_corpus$engine_words"
((!unable)) || give_up "this machine cannot run the programs: see \`build/lockstep doctor\`"

how="found by: make fuzz"
[[ $target == program ]] || how+=" TARGET=$target"
[[ $engine == libfuzzer ]] || how+=" ENGINE=$engine"
[[ $mutator == operations ]] || how+=" MUTATOR=$mutator"
((jobs == 1)) || how+=" JOBS=$jobs"
how+=" TIME=$time${corpus:+ CORPUS=$corpus}${seed:+ SEED=$seed} SANITIZE=$sanitize, after $seconds s"

# ---- the findings ----
replay="timeout -k 1 60 ${prefix[*]} build/${presets[-1]}/fuzz_$target"
[[ ${presets[-1]} != fuzz* ]] || replay+=" -timeout=10"
n_inputs=0
while IFS=$'\t' read -r -u 3 finding log; do
    if ! TARGET=$target SANITIZE=$sanitize SHOWN=$run/shown REPLAY=$replay bash fuzz/triage.sh "$finding" "$log" "$how" 3<&-; then
        kept=$run run=''
        give_up "a finding could not be filed; what was found is kept in $kept"
    fi
    n_inputs=$((n_inputs + 1))
done 3< <(engine_findings)
if ((n_inputs)); then
    ((n_inputs == 1)) || echo "findings: $(wc -l <"$run/shown"), of $n_inputs inputs"
    exit 1
fi
if [[ -n $engine_failed && -z $stop ]]; then
    sed 's/\x1b\[[?0-9;]*[A-Za-z]//g' "$engine_failed" | tail -n 20 >&2
    give_up "the engine failed and left no input (its last lines are above)"
fi
echo "nothing found"
