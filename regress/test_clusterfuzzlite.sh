#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# .clusterfuzzlite/build.sh in empty directories, with the environment that OSS-Fuzz gives it (infra/base-images/base-builder), for each
# engine and sanitizer; then what their base-runner would reject (bad_build_check, test_all.py, run_fuzzer, coverage): names,
# instrumentation, edges, seeds, options, libraries. Last, each of these checks is seen failing.
# CFL_ALL=1: with UBSan too, which takes half a minute more. ONLY='libfuzzer-address ...': these builds only.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh

clang=$(find_clang -fsanitize=fuzzer) || { echo "skipped: no clang here links with libFuzzer" && exit 77; }
for tool in wat2wasm objdump readelf; do
    command -v $tool >/dev/null || { echo "skipped: no $tool here" && exit 77; }
done
targets=()
for source in fuzz/fuzz_*.c; do
    targets+=("$(basename "${source%.c}")")
done
read -ra room <<<"$(sanitizer_prefix)"
mkdir -p "$dir/src" "$dir/work"
ln -s "$PWD" "$dir/src/cowpool"
cp .clusterfuzzlite/build.sh "$dir/src/"

# ---- building ----
base='-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION'
fatal=array-bounds,bool,builtin,enum,float-divide-by-zero,function,integer-divide-by-zero,null,object-size,return,returns-nonnull-attribute
fatal+=,shift,signed-integer-overflow,unreachable,vla-bound,vptr
declare -A flags=(
    [address]='-fsanitize=address -fsanitize-address-use-after-scope'
    [undefined]="-fsanitize=$fatal,unsigned-integer-overflow -fno-sanitize-recover=$fatal"
    [memory]='-fsanitize=memory -fsanitize-memory-track-origins'
    [coverage]='-fprofile-instr-generate -fcoverage-mapping -pthread -Wl,--no-as-needed -Wl,-ldl -Wl,-lm -Wno-unused-command-line-argument'
)

# build ENGINE SANITIZER: into $dir/ENGINE-SANITIZER
build() {
    local engine=$1 sanitizer=$2 cc=$clang cxx=${clang/clang/clang++} library=-fsanitize=fuzzer cflags="$base ${flags[$2]}"
    if [[ $engine == afl ]]; then
        cc=$afl_clang cxx=${afl_clang/%fast/fast++}
        library=$(dirname "$(command -v afl-fuzz)")/../lib/afl/libAFLDriver.a
        [[ -e $library ]] || library=-fsanitize=fuzzer
    elif [[ $sanitizer != coverage ]]; then
        cflags+=' -fsanitize=fuzzer-no-link'
    fi
    mkdir "$dir/$engine-$sanitizer"
    (cd "$dir/src/cowpool" && env -u MAKEFLAGS -u LDFLAGS AFL_QUIET=1 SRC="$dir/src" WORK="$dir/work" OUT="$dir/$engine-$sanitizer" \
        FUZZING_ENGINE="$engine" SANITIZER="$sanitizer" ARCHITECTURE="$(uname -m)" FUZZING_LANGUAGE=c CC="$cc" CXX="$cxx" CFLAGS="$cflags" \
        CXXFLAGS="$cflags" LIB_FUZZING_ENGINE="$library" bash -eu "$dir/src/build.sh")
}

# ---- what is rejected: each prints why, and fails. In a subshell, to be left from anywhere: `set -e` does not hold in a condition ----
reject() { echo "rejected: $*" && exit 1; }

machine() { readelf -h "$1" | grep 'Machine:'; }

# has_targets OUT: an executable for each fuzz/fuzz_*.c, of names that are allowed, and nothing that nobody expects there
has_targets() (
    local target file
    for target in "${targets[@]}"; do
        [[ $target =~ ^[A-Za-z0-9_-]+$ ]] || reject "$target has a letter that is not allowed"
        [[ -x $1/$target ]] && grep -q LLVMFuzzerTestOneInput "$1/$target" || reject "$target is no fuzz target"
        [[ $(machine "$1/$target") == $(machine /proc/self/exe) ]] || reject "$target is for another machine"
        [[ -s $1/$target.options && -s $1/${target}_seed_corpus.zip ]] || reject "$target comes without options or seeds"
    done
    for file in "$1"/*; do
        file=${file##*/} target=${file%.options} target=${target%.dict} target=${target%_seed_corpus.zip}
        [[ " ${targets[*]} " == *" $target "* ]] || reject "$file belongs to no target"
    done
)

# is_instrumented OUT SANITIZER: calls of each runtime, as many as there must be, and no more than there may
is_instrumented() (
    local target calls name n
    local -A min=([asan]=0 [msan]=0 [ubsan]=0) max=([asan]=0 [msan]=3 [ubsan]=200)
    case $2 in
        address) min[asan]=1000 max[asan]=inf ;;
        memory) min[msan]=1000 max[msan]=inf ;;
        undefined) min[ubsan]=169 max[ubsan]=inf ;;
    esac
    for target in "${targets[@]}"; do
        calls=$(objdump -dC "$1/$target" | grep -oE '(callq?|bl) +[0-9a-f]+ <__(asan|msan|ubsan)[^+]*' | sed 's/.*<__//' || true)
        for name in asan msan ubsan; do
            n=$(grep -c "^$name" <<<"$calls" || true)
            ((n >= min[$name])) || reject "$target calls $name's runtime $n times, it is not built with it"
            [[ ${max[$name]} == inf ]] || ((n <= max[$name])) || reject "$target calls $name's runtime $n times, it is built with it"
        done
        # UBSan's runtime calls itself often enough for that; so one that is called from outside, too.
        [[ $2 != undefined ]] || grep -q '^ubsan_handle_type_mismatch' <<<"$calls" || reject "$target has no check of UBSan's, it is not built with it"
    done
)

# has_libraries OUT: only what is in the base image, found without help
has_libraries() (
    local target library
    for target in "${targets[@]}"; do
        while read -r library; do
            [[ $library =~ ^(libc|libm|libdl|librt|libresolv|libpthread|libgcc_s|libstdc\+\+|ld-linux-[a-z0-9-]+)\.so\.[0-9]+$ ]] || reject "$target needs $library"
        done < <(readelf -d "$1/$target" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
        [[ $(readelf -d "$1/$target") != *R*PATH* ]] || reject "$target looks for libraries where it was built"
    done
)

# has_options OUT: a section, and flags that the engine knows, with numbers; limits not above the defaults there
has_options() (
    local target line name value
    local -A most=([max_len]=1048576 [timeout]=25 [rss_limit_mb]=2560)
    for target in "${targets[@]}"; do
        [[ $(grep -v '^#' "$1/$target.options" | head -n 1) == '[libfuzzer]' ]] || reject "$target.options does not begin with [libfuzzer]"
        while IFS= read -r line; do
            [[ $line =~ ^([a-z_]+)\ =\ ([0-9]+)$ ]] || reject "$target.options: cannot read: $line"
            name=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
            grep -qE "^ ${name}[[:space:]]" "$dir/flags" || reject "$target.options: the engine has no -$name"
            [[ -z ${most[$name]-} ]] || ((0 < value && value <= most[$name])) || reject "$target.options: $name is $value, more than ${most[$name]}"
        done < <(grep -v '^#' "$1/$target.options" | tail -n +2)
        for name in "${!most[@]}"; do
            grep -q "^$name = " "$1/$target.options" || reject "$target.options: no $name"
        done
    done
)

# has_seeds OUT: zips that unpack, into files that hold something; left in OUT.seeds/TARGET
has_seeds() (
    local target most
    rm -rf "$1.seeds"
    for target in "${targets[@]}"; do
        mkdir -p "$1.seeds/$target"
        (cd "$1.seeds/$target" && cmake -E tar xf "$1/${target}_seed_corpus.zip") || reject "the seeds of $target do not unpack"
        # cmake can do without the directory at the end, unzip cannot.
        [[ $(tail -c 22 "$1/${target}_seed_corpus.zip" | head -c 4 | od -An -tx1) == ' 50 4b 05 06' ]] || reject "the seeds of $target do not unpack"
        [[ -n $(find "$1.seeds/$target" -type f -print -quit) ]] || reject "$target has no seeds"
        [[ -z $(find "$1.seeds/$target" -type f ! -size +0 -print -quit) ]] || reject "$target has an empty seed"
        most=$(sed -n 's/^max_len = //p' "$1/$target.options")
        [[ -z $(find "$1.seeds/$target" -type f -size +"$most"c -print -quit) ]] || reject "$target has a seed that is longer than its max_len"
    done
)

# in_runner OUT TARGET ARGUMENT...: as run_fuzzer runs it, in OUT, with the sanitizers' options of there
in_runner() {
    local out=$1 target=$2 common='strip_path_prefix=/workspace/:symbolize=1:dedup_token_length=3' options
    mapfile -t options < <(sed -n 's/^\([a-z_]*\) = /-\1=/p' "$out/$target.options")
    (
        cd "$out"
        export MSAN_OPTIONS="print_stats=1:$common" UBSAN_OPTIONS="print_stacktrace=1:print_summary=1:silence_unsigned_overflow=1:$common"
        export ASAN_OPTIONS="alloc_dealloc_mismatch=0:allocator_may_return_null=1:allocator_release_to_os_interval_ms=500"
        ASAN_OPTIONS+=":check_malloc_usable_size=0:detect_container_overflow=1:detect_odr_violation=0:detect_leaks=${leaks:-1}:detect_stack_use_after_return=1"
        ASAN_OPTIONS+=":fast_unwind_on_fatal=0:handle_abort=1:handle_segv=1:handle_sigill=1:max_uar_stack_size_log=16:print_scariness=1"
        ASAN_OPTIONS+=":quarantine_size_mb=10:strict_memcmp=1:use_sigaltstack=1:$common"
        env -u OUT -u SRC -u WORK LLVM_PROFILE_FILE="${profile:-/dev/null}" "${room[@]}" "./$target" -rss_limit_mb=2560 -timeout=25 "${@:3}" "${options[@]}" </dev/null
    )
}

# starts OUT SANITIZER: a few inputs, with enough edges
starts() (
    local target edges
    for target in "${targets[@]}"; do
        in_runner "$1" "$target" -seed=1337 -runs=4 >"$dir/log" 2>&1 || { cat "$dir/log" && reject "$target ends with an error"; }
        grep -q 'Done 4 runs' "$dir/log" || { cat "$dir/log" && reject "$target ends by itself"; }
        [[ $2 != coverage ]] || continue
        ! grep -q 'no interesting inputs were found' "$dir/log" || reject "$target is not instrumented for coverage"
        edges=$(sed -nE 's/^INFO: Loaded [0-9]+ modules? .*\(([0-9]+) inline 8-bit counters.*/\1/p' "$dir/log")
        ((${edges:-0} >= 100)) || reject "$target has ${edges:-no} edges: only a part of it is instrumented"
    done
)

# swallows_seeds OUT: every one of them
swallows_seeds() (
    local target n
    for target in "${targets[@]}"; do
        n=$(find "$1.seeds/$target" -type f | wc -l)
        in_runner "$1" "$target" -runs=0 "$1.seeds/$target" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log" && reject "a seed of $target crashes"; }
        grep -qE "Done ($n|$((n + 1))) runs" "$dir/log" || { tail -n 5 "$dir/log" && reject "$target did not run all of its $n seeds"; }
    done
)

# measures_coverage OUT: what its seeds ran of impl/ can be told
measures_coverage() (
    local tools target source
    read -ra tools <<<"$(find_coverage_tools)"
    for target in "${targets[@]}"; do
        source=impl/reset.c
        [[ $target != fuzz_wasm ]] || source=impl/wasm.c
        [[ $target != fuzz_text ]] || source=fuzz/program_text.c
        profile=$dir/profraw in_runner "$1" "$target" -runs=0 "$1.seeds/$target" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log" && reject "a seed of $target crashes"; }
        "${tools[2]}" merge -o "$dir/profdata" "$dir/profraw"
        "${tools[1]}" report "$1/$target" -instr-profile="$dir/profdata" "$(realpath "$source")" >"$dir/report"
        # Covered are the regions that were not missed: the second and third number of the last line.
        awk '$1 == "TOTAL" { n = $2 - $3 } END { exit !(n >= 10) }' "$dir/report" || { cat "$dir/report" && reject "the seeds of $target ran nothing of $source"; }
    done
)

# fuzzes_with_afl OUT: afl-fuzz goes through a few seeds, and then some
fuzzes_with_afl() (
    local target
    for target in "${targets[@]}"; do
        rm -rf "$dir/few" "$dir/afl"
        mkdir "$dir/few"
        find "$1.seeds/$target" -type f | sort | head -n 3 | xargs cp -t "$dir/few"
        AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_FAST_CAL=1 AFL_FORKSRV_INIT_TMOUT=30000 \
            ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0 "${room[@]}" afl-fuzz -m none -t 5000+ -E 200 -i "$dir/few" -o "$dir/afl" -- "$1/$target" \
            >"$dir/log" 2>&1 </dev/null || { tail -n 20 "$dir/log" && reject "afl-fuzz cannot fuzz $target"; }
        grep -q 'All set and ready to roll' "$dir/log" || { tail -n 20 "$dir/log" && reject "afl-fuzz does not start with $target"; }
        ! grep -qE 'target binary (crashed|terminated)' "$dir/log" || reject "$target ends before its first input"
        [[ -z $(find "$dir/afl" -path '*/crashes/id:*' -print -quit) ]] || reject "$target crashes"
    done
)

# ---- each build ----
builds=(libfuzzer-address libfuzzer-memory libfuzzer-coverage)
[[ -z ${CFL_ALL-} ]] || builds+=(libfuzzer-undefined)
if afl_clang=$(find_afl_clang -fsanitize=fuzzer -fsanitize=address); then
    builds+=(afl-address)
else
    echo "not tried: AFL++, which is not here"
fi
read -ra builds <<<"${ONLY:-${builds[*]}}"
leaks=1
# LeakSanitizer cannot work where somebody traces.
[[ $(sed -n 's/^TracerPid:\s*//p' /proc/self/status) == 0 ]] || leaks=0

for name in "${builds[@]}"; do
    engine=${name%%-*} sanitizer=${name#*-}
    out=$dir/elsewhere/$name
    if [[ $sanitizer == coverage ]] && ! find_coverage_tools >/dev/null; then
        echo "not tried: $name, since no llvm-cov here is of the compiler's version"
        continue
    fi
    if ! links "$clang" "-fsanitize=fuzzer${sanitizer:+,$sanitizer}" && [[ $sanitizer != coverage ]]; then
        echo "not tried: $name, with which no clang here links"
        continue
    fi
    n_before=$n_failed
    check "$name: built" build "$engine" "$sanitizer"
    ((n_failed == n_before)) || continue
    mkdir -p "$dir/elsewhere"
    mv "$dir/$name" "$out" # what knows where it was built, fails
    [[ -s $dir/flags ]] || "${room[@]}" "$out/fuzz_text" -help=1 >"$dir/flags" 2>&1 || true
    check "$name: the targets are there" has_targets "$out"
    [[ $engine != libfuzzer ]] || check "$name: instrumented by this sanitizer only" is_instrumented "$out" "$sanitizer"
    check "$name: no library of elsewhere" has_libraries "$out"
    [[ $engine != libfuzzer ]] || check "$name: options" has_options "$out"
    check "$name: seeds" has_seeds "$out"
    case $name in
        *-coverage) check "$name: coverage can be told" measures_coverage "$out" ;;
        libfuzzer-*)
            check "$name: starts, with enough edges" starts "$out" "$sanitizer"
            check "$name: all seeds run" swallows_seeds "$out"
            ;;
        afl-*) check "$name: afl-fuzz fuzzes" fuzzes_with_afl "$out" ;;
    esac
done

# ---- the checks themselves ----
good=$dir/elsewhere/libfuzzer-address bad=$dir/elsewhere/bad
[[ -d $good ]] || exit "$((n_failed > 0))"
# rejects WHY CHECK ARGUMENT...: of a copy that `spoil` spoils
rejects() {
    rm -rf "$bad" "$bad.seeds"
    cp -r "$good" "$bad"
    cp -r "$good.seeds" "$bad.seeds"
    spoil
    if "${@:2}" >"$dir/said" 2>&1; then
        echo "nothing was rejected" && return 1
    fi
    grep -q "^rejected: .*$1" "$dir/said" || { cat "$dir/said" && return 1; }
}
# another_text FLAG...: a target with next to nothing in it, which does not like an `a`
another_text() {
    cat >"$dir/another.c" <<'END'
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const unsigned char *bytes, unsigned long n_bytes)
{
    if (n_bytes == 1 && bytes[0] == 'a')
        abort();
    return 0;
}
END
    "$clang" "$@" "$dir/another.c" -o "$bad/fuzz_text"
}
spoil() { another_text -fsanitize=fuzzer; }
check "a target without the sanitizer is rejected" rejects 'not built with it' is_instrumented "$bad" address
check "a target with few edges is rejected" rejects 'only a part' starts "$bad" address
spoil() { another_text -fsanitize=fuzzer,memory; }
check "a target with another sanitizer is rejected" rejects 'not built with it' is_instrumented "$bad" address
check "and told from the right one" rejects 'it is built with it' is_instrumented "$bad" none
spoil() { rm "$bad/fuzz_wasm"; }
check "a missing target is rejected" rejects 'no fuzz target' has_targets "$bad"
spoil() { touch "$bad/left.over"; }
check "what belongs to no target is rejected" rejects 'belongs to no target' has_targets "$bad"
spoil() { mkdir "$dir/void" && (cd "$dir/void" && cmake -E tar cf "$bad/fuzz_text_seed_corpus.zip" --format=zip .); }
check "a zip of nothing is rejected" rejects 'has no seeds' has_seeds "$bad"
spoil() { head -c 1000 "$good/fuzz_text_seed_corpus.zip" >"$bad/fuzz_text_seed_corpus.zip"; }
check "a broken zip is rejected" rejects 'do not unpack' has_seeds "$bad"
spoil() { sed -i 's/^timeout = .*/timeout = 600/' "$bad/fuzz_text.options"; }
check "a limit that is none is rejected" rejects 'timeout is 600' has_options "$bad"
spoil() { echo 'maximal_length = 7' >>"$bad/fuzz_text.options"; }
check "an option that the engine does not know is rejected" rejects 'no -maximal_length' has_options "$bad"
spoil() {
    echo 'int far; ' | "$clang" -shared -fPIC -x c - -o "$dir/libfar.so"
    another_text -fsanitize=fuzzer -Wl,--no-as-needed "$dir/libfar.so"
}
check "a library of elsewhere is rejected" rejects 'needs .*libfar' has_libraries "$bad"
spoil() { another_text -fsanitize=fuzzer && printf a >"$bad.seeds/fuzz_text/a"; }
check "a seed that crashes is rejected" rejects 'a seed of fuzz_text crashes' swallows_seeds "$bad"
((n_failed == 0)) || exit 1
