#!/usr/bin/env bash
# Builds one preset of CMakePresets.json, configuring it first where needed: .ci/build.sh PRESET [TARGET...]
# A preset cannot choose by what the machine has; this does: ninja if there is one, clang for what only clang can do.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh

preset=$1
shift
dir=build/$preset
case $preset in release | ci) dir=build ;; esac

has_cmake || { echo "no cmake of at least 3.20: run \`make deps\`" >&2 && exit 2; }

flags=()
case $preset in
    asan) flags=("-fsanitize=address,undefined") ;;
    tsan) flags=(-fsanitize=thread) ;;
    coverage) flags=(-fprofile-instr-generate -fcoverage-mapping) ;;
    fuzz) flags=(-fsanitize=fuzzer) ;;
    fuzz-asan) flags=("-fsanitize=fuzzer,address,undefined") ;;
    afl) flags=(-fsanitize=fuzzer) ;;
    afl-asan) flags=(-fsanitize=fuzzer "-fsanitize=address,undefined") ;;
esac
compiler=${CC:-cc}
if [[ $preset == afl* ]]; then
    compiler=$(find_afl_clang "${flags[@]}") || { echo "no AFL++ here makes targets with ${flags[*]}: run \`make deps\`" >&2 && exit 2; }
    export AFL_QUIET=1
elif ((${#flags[@]})); then
    if clang=$(find_clang "${flags[@]}"); then
        compiler=$clang
    elif [[ $preset != asan ]] || ! links "$compiler" "${flags[@]}"; then
        echo "no clang here links with ${flags[*]}: run \`make deps\`" >&2
        exit 2
    fi
fi
# CC may carry words of its own (CC="ccache gcc"): cmake knows how to read that from the environment.
export CC=$compiler

generator=()
! command -v ninja >/dev/null || generator=(-G Ninja)

# What the directory was configured for. `ci` is `release` with -Werror, in the same place: good enough for both.
stamp="$compiler ${generator[*]} $PWD $(cksum <CMakePresets.json)"
was=$(cat "$dir/.configured" 2>/dev/null || true)
if [[ $was != "$preset $stamp" && ! ($preset == release && $was == "ci $stamp") ]]; then
    rm -rf "$dir/CMakeCache.txt" "$dir/CMakeFiles" "$dir/.configured"
    mkdir -p "$dir"
    echo "configuring $preset with $compiler"
    if ! cmake --preset "$preset" "${generator[@]}" >"$dir/configure.log" 2>&1; then
        cat "$dir/configure.log" >&2
        exit 2
    fi
    echo "$preset $stamp" >"$dir/.configured"
fi

unset MAKEFLAGS MAKELEVEL # a make underneath is on its own
targets=()
for target in "$@"; do
    targets+=(--target "$target")
done
echo "building $preset"
cmake --build "$dir" -j "$(nproc)" "${targets[@]}"
