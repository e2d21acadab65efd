#!/usr/bin/env bash
# All tests, in every build this machine can make. Ends with the tally over all of them: `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh

passed=0 failed=0 skipped=0
notes=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bold='' plain=''
if [[ -t 1 ]]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi

heading() { printf '%s== %s%s\n' "$bold" "$*" "$plain"; }

skip() {
    notes+=("skipped: $1: $2")
    skipped=$((skipped + 1))
}

fail() {
    notes+=("failed: $1")
    failed=$((failed + 1))
}

# build PRESET [TARGET...]: a build that fails is a failed test; its output is shown only then, or on a terminal
build() {
    heading "${1/#ci/release}: building"
    if [[ -t 1 ]]; then
        .ci/build.sh "$@" && return
    else
        .ci/build.sh "$@" >"$log" 2>&1 && return
        cat "$log"
    fi
    fail "${1/#ci/release}: build"
    return 1
}

# last_words DIRECTORY TEST: the last line that a test printed: of a skipped one, why
last_words() {
    awk -v test="$2" '/^[0-9]+\/[0-9]+ Testing: / { mine = $3 == test }
        /^<end of output>/ { mine = 0 }
        mine && NF { last = $0 }
        END { sub(/^skipped: */, "", last); print last }' "$1/Testing/Temporary/LastTest.log"
}

# run_tests PRESET DIRECTORY CTEST_ARGUMENT...: runs, shows and counts them
run_tests() {
    local preset=$1 prefix=() results n_before=$failed
    heading "$preset: testing"
    [[ $preset != [at]san ]] || read -ra prefix <<<"$(sanitizer_prefix)"
    "${prefix[@]}" ctest --test-dir "$2" -j "$(nproc)" --no-tests=error --output-on-failure --no-label-summary "${@:3}" 2>&1 |
        tee "$log" || true
    # "12/40 Test  #7: test_pool ......   Passed    0.01 sec", or "***Failed", "***Skipped", "***Timeout", ...
    results=$(grep -E '^ *[0-9]+/[0-9]+ Test +#[0-9]+: ' "$log" || true)
    passed=$((passed + $(grep -cE ' Passed +[0-9.]+ sec' <<<"$results" || true)))
    while IFS= read -r name; do
        skip "$preset: $name" "$(last_words "$2" "$name")"
    done < <(grep -F '***Skipped' <<<"$results" | sed -E 's/.*#[0-9]+: ([^ ]+) .*/\1/')
    while IFS= read -r name; do
        fail "$preset: $name"
    done < <(grep -vE ' Passed +[0-9.]+ sec|\*\*\*Skipped|^$' <<<"$results" | sed -E 's/.*#[0-9]+: ([^ ]+) .*/\1/')
    if [[ -z $results ]] || { ((failed == n_before)) && ! grep -q '^100% tests passed' "$log"; }; then
        fail "$preset: ctest itself"
    fi
}

# over_seeds PRESET SWALLOW...: every fuzz target of that build swallows every seed once, by `SWALLOW... TARGET SEED...`
over_seeds() {
    local preset=$1 target told
    shift
    for target in "build/$preset"/fuzz_*; do
        [[ -f $target && -x $target ]] || continue
        told="$preset: ${target##*/} over the seeds"
        heading "$told"
        if "$@" "$target" "${seeds[@]}" >"$log" 2>&1; then
            grep -E '^#[0-9]+.*DONE' "$log" || true
            passed=$((passed + 1))
        else
            tail -n 60 "$log"
            fail "$told"
        fi
    done
}

# -runs=0: no fuzzing.
swallow_libfuzzer() {
    local found status=0
    found=$(mktemp -d)
    "$1" -runs=0 -timeout=10 -artifact_prefix="$found/" "${@:2}" || status=$?
    rm -r "$found"
    return "$status"
}

# It takes files, no directories.
swallow_afl() {
    local target=$1
    find "${@:2}" -type f -size +0 -print0 | timeout 300 xargs -0 "$target"
}

# What ran before an input in the same process makes no difference to it.
stays_stable() {
    heading "afl: fuzz_program over the seeds in another order"
    if fuzz/stability.sh build/afl/fuzz_program build/seeds; then
        passed=$((passed + 1))
    else
        fail "afl: an input takes another way when others ran before it"
    fi
}

# Every build tells the same of every program: verdict, hash of all states, counters.
compare_builds() {
    local directory told first=
    heading "the same verdicts, hashes and counters in every build"
    for directory in build build/hostile build/asan; do
        [[ -x $directory/lockstep ]] || continue
        told=$("$directory/lockstep" run --json corpus regress/programs 2>&1 | sed -n 's/,"timing".*//p' || true)
        printf '  %-14s %s\n' "$directory" "${told:0:60}"
        : "${first:=${told:-nothing at all}}"
        if [[ $told != "$first" ]]; then
            fail "$directory tells another story than build of the same programs"
            return
        fi
    done
    passed=$((passed + 1))
}

if build ci; then
    run_tests release build
fi
if build hostile; then
    run_tests hostile build/hostile -LE source
fi
if find_clang -fsanitize=address,undefined >/dev/null || links "${CC:-cc}" -fsanitize=address,undefined; then
    build asan && run_tests asan build/asan -LE source
else
    skip asan "no compiler here links with AddressSanitizer: make deps"
fi
compare_builds
if find_clang -fsanitize=thread >/dev/null; then
    build tsan && run_tests tsan build/tsan -L threads
else
    skip tsan "no clang here links with ThreadSanitizer: make deps"
fi
seeds=(build/seeds corpus)
! fuzz/wasm_seeds.sh build/wasm-seeds >/dev/null 2>&1 || seeds+=(build/wasm-seeds)
if find_clang -fsanitize=fuzzer >/dev/null; then
    build ci seeds && build fuzz && over_seeds fuzz swallow_libfuzzer
else
    skip fuzz "no clang here links with libFuzzer: make deps"
fi
if find_afl_clang -fsanitize=fuzzer >/dev/null; then
    if build ci seeds && build afl; then
        over_seeds afl swallow_afl
        stays_stable
    fi
else
    skip afl "no AFL++ here makes targets: make deps"
fi

((${#notes[@]} == 0)) || printf '%s\n' "${notes[@]}"
tally="$passed passed, $failed failed"
((skipped == 0)) || tally+=", $skipped skipped"
echo "$tally"
((failed == 0))
