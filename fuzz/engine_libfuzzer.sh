# shellcheck shell=bash disable=SC2034,SC2154
# libFuzzer for fuzz/fuzz.sh, to be sourced. JOBS processes evolve one directory, and read there what the others find.
# Each ends with its first finding. A lone one's is the session's end; of several, each begins again, with another seed, unless it
# died of what it starts from: then it would for ever.
engine_name=libFuzzer engine_preset=fuzz engine_words='' engine_failed=''
logs=() # of each job's latest process
n_started=0

engine_check() {
    local flags="-fsanitize=fuzzer${sanitizers:+,$sanitizers}"
    find_clang "$flags" >/dev/null || give_up "no clang here links with $flags: run make deps"
    # Known beforehand, so that it can be told and given again.
    [[ -n $seed ]] || seed=$((RANDOM * 30000 + RANDOM + 1))
}

# libfuzzer_options TARGET: into `options`, how it is fuzzed whoever asks and for how long
libfuzzer_options() {
    local limits=fuzz/fuzz_$1.options
    [[ -e $limits ]] || limits=fuzz/fuzz.options
    mapfile -t options < <(sed -n 's/^\([a-z_]*\) = /-\1=/p' "$limits")
    [[ ! -e fuzz/fuzz_$1.dict ]] || options+=(-dict="fuzz/fuzz_$1.dict")
}

# start_job JOB
start_job() {
    local left=$((time - ($(now_ms) - begin_ms) / 1000)) options
    ((left > 0)) || left=1
    local found=$run/found/$n_started
    logs[$1]=$found.log
    mkdir "$found"
    libfuzzer_options "$target"
    setsid "${prefix[@]}" "$binary" "$evolved" "$run/inputs" -max_total_time="$left" "${options[@]}" \
        -reload=$((jobs > 1)) -seed=$(((seed + n_started - 1) % 4294967295 + 1)) -artifact_prefix="$found/" >"$found.log" 2>&1 </dev/null 3<&- &
    pids[$1]=$!
    n_started=$((n_started + 1))
}

engine_start() {
    local job
    for ((job = 0; job < jobs; job++)); do
        start_job $job
    done
}

# reap JOB: takes note of how its process ended
reap() {
    local status=0
    { wait "${pids[$1]}"; } 2>/dev/null || status=$?
    unset "pids[$1]"
    ((status == 0)) || [[ -n $(artifacts "${logs[$1]%.log}") ]] || engine_failed=${logs[$1]}
    return "$status"
}

# engine_tick: false when all have ended
engine_tick() {
    local job
    for job in "${!pids[@]}"; do
        ! kill -0 "${pids[job]}" 2>/dev/null || continue
        if ! reap "$job" && [[ -z $engine_failed ]] && ((jobs > 1 && time * 1000 > $(now_ms) - begin_ms)) &&
            grep -qE '^#[0-9]+[[:space:]]INITED' "${logs[job]}"; then
            start_job "$job"
        fi
    done
    ((${#pids[@]}))
}

engine_end() {
    local job
    for job in "${!pids[@]}"; do
        reap "$job" || true
    done
}

# artifacts DIRECTORY: the inputs that are findings
artifacts() { find "$1" -type f ! -name 'slow-unit-*'; }

# largest WORD: the largest number behind WORD in the jobs' last status lines
largest() {
    local log
    for log in "${logs[@]}"; do
        tail -c 8192 "$log" | grep -oE "\b$1: [0-9]+" | tail -n 1 || true
    done | sed 's/.* //' | sort -n | tail -n 1 | grep . || echo 0
}

engine_numbers() { # into coverage n_corpus n_findings
    coverage=$(largest cov)
    n_corpus=$(largest corp)
    n_findings=$(artifacts "$run/found" | grep -cv '\.log$' || true)
}

engine_findings() { # "input<tab>the log that tells of it", a line for each
    local input
    while IFS= read -r input; do
        printf '%s\t%s\n' "$input" "${input%/*}.log"
    done < <(artifacts "$run/found" | grep -v '\.log$' | sort)
}
