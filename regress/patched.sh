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

# use_tool_build BUILD: patched sources are compiled as it says of itself, into `compile` and `sanitizers`
use_tool_build() {
    option() { sed -n "s/^$2:[A-Z]*=//p" "$1/CMakeCache.txt"; }
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
