# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The pool with a patch of regress/bugs in it, to be sourced at the top of the tree: the patched files are compiled anew, and linked with
# what a build directory has of everything else. That costs seconds where a whole build costs a minute.

# says KEY PATCH: what its header says under that key
says() { sed -n "/^--- a\//q; s/^$1: //p" "$2"; }

# apply PATCH INTO: makes INTO, with impl/ patched. Both tools that people use must take it, exactly where it says.
apply() {
    local tool n_tools=0
    for tool in "git apply" "patch -p1 -F0 --batch --silent -i"; do
        command -v "${tool%% *}" >/dev/null || continue
        rm -rf "$2"
        mkdir -p "$2"
        cp -r impl "$2"
        # git shall not take it for a part of a repository around it.
        (cd "$2" && GIT_CEILING_DIRECTORIES=$(dirname "$PWD") $tool "$1") || return 1
        n_tools=$((n_tools + 1))
    done
    ((n_tools))
}

# option BUILD NAME: what it was configured with
option() { sed -n "s/^$2:[A-Z]*=//p" "$1/CMakeCache.txt"; }

# use_tool_build BUILD: patched sources are compiled as it says of itself, into `compile` and `sanitizers`
use_tool_build() {
    sanitizers=$(option "$1" COW_SANITIZE)
    read -ra compile <<<"${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -g -w -Iimpl -Iimpl/include"
    [[ $(option "$1" COW_DEBUG) != ON ]] || compile+=(-DCOW_DEBUG=1)
    [[ $(option "$1" COW_HOSTILE) != ON ]] || compile+=(-DCOW_HOSTILE=1)
    # The rig as it was built, and behind it the unpatched pool, of which the linker takes the files that were not compiled anew.
    rig=("$1"/CMakeFiles/lockstep.dir/fuzz/*.o "$1"/libcow_{rig,reference,impl}.a)
}

# patched_sources PATCH: the files that it changes; all of the pool when it changes a header
patched_sources() {
    if grep -q '^+++ b/.*\.h$' "$1"; then
        printf '%s\n' impl/*.c impl/sys/*.c
    else
        sed -n 's/^+++ b\///p' "$1" | grep '\.c$'
    fi
}

# build_patched PATCH TREE: makes TREE/lockstep, the patched tool
build_patched() {
    local sources
    mapfile -t sources < <(patched_sources "$1")
    (cd "$2" && "${compile[@]}" "${sources[@]}" "${rig[@]}" -pthread -o lockstep)
}

# finds PATCH LINE: whether this stable line is one that the patch announces
finds() { [[ $2 =~ ^($(says Finds "$1"))$ ]]; }

# disagreements TREE PROGRAM...: "PROGRAM<tab>LINE" of each that does not agree with TREE/lockstep, in their order. A crash ends a
# run, and another one begins behind it.
disagreements() {
    local tree=$1 programs=("${@:2}") crash
    while ((${#programs[@]})); do
        "$tree/lockstep" run --timeout 20 "${programs[@]}" >"$tree/out" 2>"$tree/err" </dev/null || true
        sed -nE 's/^([^ ]+): (divergence: .*)$/\1\t\2/p' "$tree/err"
        crash=$(grep -m 1 '^crash: ' "$tree/out") || return 0
        printf '%s\t%s\n' "${crash##* in }" "${crash% in *}"
        while [[ ${programs[0]} != "${crash##* in }" ]]; do
            programs=("${programs[@]:1}")
        done
        programs=("${programs[@]:1}")
    done
}

# ---- the fuzz target ----

# use_fuzz_build BUILD: the same for the target; `clang` is the compiler of that build
use_fuzz_build() {
    fuzz_compile=("$clang" -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-omit-frame-pointer -w -Iimpl -Iimpl/include)
    [[ $(option "$1" COW_DEBUG) != ON ]] || fuzz_compile+=(-DCOW_DEBUG=1)
    fuzz_rig=("$1"/CMakeFiles/fuzz_program.dir/fuzz/*.o "$1"/libcow_{rig,check,reference,impl}.a)
}

# build_target PATCH TREE: makes TREE/fuzz_program
build_target() {
    local source sources instrument
    mapfile -t sources < <(patched_sources "$1")
    for source in "${sources[@]}"; do
        instrument=-fsanitize=fuzzer-no-link
        [[ $source != impl/check.c ]] || instrument='' # it does not steer: fuzz/targets.cmake
        (cd "$2" && "${fuzz_compile[@]}" $instrument -c "$source" -o "$source.o") || return 1
    done
    (cd "$2" && "$clang" "${sources[@]/%/.o}" "${fuzz_rig[@]}" -fsanitize=fuzzer -pthread -o fuzz_program)
}

fuzzer=''
stop_fuzzer() {
    [[ -n $fuzzer ]] || return 0
    { kill -KILL -- "-$fuzzer" && wait "$fuzzer"; } 2>/dev/null || true
}

# look TARGET ROOM OPTION...: fuzzes from no corpus until something is found or the options end it. Into `executions`, `operations`
# and `ms`; ROOM/log is what it said, ROOM/found/* what it found. False if it could not fuzz, or was stopped.
look() {
    local target=$1 room=$2 status=0 begin options
    shift 2
    libfuzzer_options program
    rm -rf "$room"
    mkdir -p "$room/corpus" "$room/found"
    head -c 65584 /dev/zero >"$room/counters"
    begin=${EPOCHREALTIME/[.,]/}
    # A group of its own, for whoever ends us; symbols would take longer than many a search.
    RIG_COUNTERS=$room/counters UBSAN_OPTIONS=symbolize=0 setsid "$target" "$room/corpus" "${options[@]}" \
        -artifact_prefix="$room/found/" "$@" >"$room/log" 2>&1 </dev/null &
    fuzzer=$!
    wait "$fuzzer" || status=$?
    ms=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000))
    stop_fuzzer
    fuzzer=''
    find "$room/found" -name 'slow-unit-*' -delete
    read -r executions operations < <(od -An -v -tu8 -w16 -N16 "$room/counters")
    ((status == 0)) || [[ -n $(ls "$room/found") ]]
}

# stable_line TOOL INPUT LOG: what the tool says of an input that was found, without the file; if it says nothing, what the engine did
stable_line() {
    local line
    line=$({ timeout -k 1 60 "$1" run --timeout 20 "$2" 2>/dev/null </dev/null || true; } | head -n 1)
    [[ $line != crash:* ]] || line=${line% in *}
    [[ -n $line ]] || line=$(grep -m 1 -aE '^divergence: ' "$3" || true)
    [[ -n $line ]] || line="crash: $(sed -n 's/^SUMMARY: //p' "$3" | head -n 1)"
    echo "$line"
}
