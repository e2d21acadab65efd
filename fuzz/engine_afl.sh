# shellcheck shell=bash disable=SC2034,SC2154
# AFL++ for fuzz/fuzz.sh, to be sourced. Each of JOBS instances has a directory of its own below var/afl/TARGET, named after this
# host; what other directories hold there, an instance takes over now and then, by itself.
engine_name=AFL++ engine_preset=afl engine_words='' engine_failed=''
logs=()
own=$(uname -n | tr -c 'A-Za-z0-9_\n' _ | cut -c 1-20)

engine_check() {
    local flags=(-fsanitize=fuzzer ${sanitizers:+"-fsanitize=$sanitizers"})
    find_afl_clang "${flags[@]}" >/dev/null || give_up "no AFL++ here makes targets with ${flags[*]}: run make deps"
}

# The instances begin anew, with the inputs that the old ones had. These stay aside until that is done.
put_old_aside() {
    local dir
    exec 8<"$evolved"
    flock -n 8 || give_up "another make fuzz is at work in $evolved"
    for dir in "$evolved/$own"-[0-9]*; do
        [[ -d $dir ]] || continue
        mkdir -p "$evolved/.old"
        mv "$dir" "$evolved/.old/$(basename "$dir").$(now_ms)"
    done
}

# start_job JOB AFL-FUZZ-ARGUMENT...
start_job() {
    local job=$1
    shift
    logs[job]=$run/found/$job.log
    # It sets the sanitizers' options itself, so that reports are crashes. Anybody else's would stand in its way.
    setsid "${prefix[@]}" env -u ASAN_OPTIONS -u UBSAN_OPTIONS afl-fuzz -i "$run/inputs" -o "$evolved" -t 1000 -G "$max_bytes" -V "$time" "$@" -- "$binary" \
        >"${logs[job]}" 2>&1 </dev/null 3<&- 8<&- &
    pids[job]=$!
}

engine_start() {
    local job options=() max_bytes limits=fuzz/fuzz_$target.options
    [[ -e $limits ]] || limits=fuzz/fuzz.options
    max_bytes=$(sed -n 's/^max_len = //p' "$limits")
    [[ -n $(find "$run/inputs" -type f -print -quit) ]] || printf '%b' "$none" >"$run/inputs/none"
    put_old_aside
    export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1
    export AFL_FAST_CAL=1 # to begin with, three runs of each input do
    export AFL_SYNC_TIME=1 # minutes between looks at what other instances have; its 20 are longer than a session
    export AFL_HANG_TMOUT=10000 # -t is what a busy machine may need; a finding takes as long as libFuzzer's
    if [[ $target == program && $mutator == operations ]]; then
        # Our own mutator, and sometimes AFL++'s; trimming by whole operations.
        export AFL_CUSTOM_MUTATOR_LIBRARY=$PWD/build/${presets[0]}/rig_mutator.so
    else
        export AFL_DISABLE_TRIM=1 # to cut bytes out moves all that is behind, and a slow input keeps it busy for a minute
    fi
    [[ ! -e fuzz/fuzz_$target.dict ]] || options+=(-x "fuzz/fuzz_$target.dict")
    for ((job = 1; job <= jobs; job++)); do
        # A fixed seed makes it blind to how long inputs take, to be repeatable; so none, unless asked for.
        # A main instance goes through its queue in order; alone, that is the slower way.
        start_job $job "${options[@]}" ${seed:+-s $((seed + job - 1))} "$( ((job == 1 && jobs > 1)) && echo -M || echo -S)" "$own-$job"
    done
}

engine_tick() { engine_runs; } # false when all have ended

engine_end() {
    local job status stability
    for job in "${!pids[@]}"; do
        status=0
        { wait "${pids[job]}"; } 2>/dev/null || status=$?
        ((status == 0)) || engine_failed=${logs[job]}
    done
    pids=()
    # Unless it had come to fuzzing, what was put aside is still needed.
    ! grep -qa 'All set and ready to roll' "$run/found/1.log" || rm -rf "$evolved/.old"
    stability=$(sed -n 's/^stability *: *//p' "$evolved/$own"-[0-9]*/fuzzer_stats 2>/dev/null | sort -n | head -n 1 || true)
    [[ -z $stability ]] || engine_words=", stability $stability"
}

# files DIRECTORY-NAME: those that the instances keep there
files() { find "$evolved/$own"-[0-9]*/"$1" -maxdepth 1 -type f -name 'id:*' 2>/dev/null; }

engine_numbers() { # into coverage n_corpus n_findings
    local job n
    coverage=$(tail -c +49 "$RIG_COUNTERS" | tr -d '\0' | wc -c)
    n_corpus=0
    for job in "${!logs[@]}"; do
        n=$(find "$evolved/$own-$job/queue" -maxdepth 1 -type f -name 'id:*' 2>/dev/null | wc -l)
        ((n <= n_corpus)) || n_corpus=$n
    done
    n_findings=$({ files crashes; files hangs; dead_seeds crash; } | wc -l || true)
}

# dead_seeds crash|timeout: what it told of when it first ran all inputs, and left out
dead_seeds() {
    local job name
    for job in "${!logs[@]}"; do
        sed -n "s/.*Test case '\(id:[^']*\)' results in a $1.*/\1/p" "${logs[job]}" | while IFS= read -r name; do
            echo "$evolved/$own-$job/queue/$name"
        done
    done
}

# readable INPUT COPY: a program as the tool reads it: with the version in its first byte, which is mutated like any other, and
# which the target looks over
readable() {
    if [[ $target == program ]]; then
        { printf '%b' "\\0$version" && tail -c +2 "$1"; } >"$2"
    else
        cp "$1" "$2"
    fi
}

most_findings=100 # per session: where much is broken it saves thousands, all for a few reasons

engine_findings() { # "input<tab>the log that tells of it", a line for each; without a log, a replay will tell
    local input copy sum n=0 n_left=0 version=''
    local -A seen=()
    [[ $target != program ]] || version=$(echo 'cowpool-ops 1' | build/lockstep asm - | od -An -to1 -N1 | tr -d ' ')
    while IFS= read -r input; do
        if ((n >= most_findings)); then
            n_left=$((n_left + 1))
            continue
        fi
        copy=$run/found/finding-$n
        readable "$input" "$copy"
        sum=$(sha256sum <"$copy")
        [[ -z ${seen[$sum]-} ]] || continue
        seen[$sum]=1
        # What took too long once, and does not when asked again, is a busy machine.
        [[ $input == */crashes/* ]] || ! timeout -k 1 10 "${prefix[@]}" "$binary" "$copy" >/dev/null 2>&1 </dev/null || continue
        n=$((n + 1))
        printf '%s\t%s\n' "$copy" "$copy.log"
    done < <(dead_seeds crash; files crashes; files hangs; dead_seeds timeout)
    ((n_left == 0)) || echo "$n_left more inputs were saved, and not looked at: $evolved/$own-*/crashes" >&2
}
