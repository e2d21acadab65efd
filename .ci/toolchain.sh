# shellcheck shell=bash
# Which tools this machine has; sourced by the other scripts. Everything is tried, nothing is guessed from names.

# The style and the checks of this tree are those of one version of the clang tools: another one disagrees in details.
cow_clang_tools_version=14

# links COMPILER FLAG...: whether it makes a program with these flags
links() {
    local dir status=0 source='int main(void) { return 0; }'
    [[ "$*" != *fuzzer* ]] || source='int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return b && n ? 0 : 0; }'
    command -v "$1" >/dev/null || return 1
    dir=$(mktemp -d)
    printf '%s\n' "$source" >"$dir/probe.c"
    "$@" -std=gnu11 "$dir/probe.c" -o "$dir/probe" >/dev/null 2>&1 || status=1
    rm -r "$dir"
    return "$status"
}

# find_clang FLAG...: prints the first clang that links with these flags
find_clang() {
    local name
    for name in ${CLANG:-} clang clang-{22..14}; do
        if links "$name" "$@"; then
            echo "$name"
            return
        fi
    done
    return 1
}

# find_afl_clang FLAG...: prints AFL++'s compiler, if it makes fuzz targets with these flags and the engine is there too
find_afl_clang() {
    local name=${AFL_CLANG:-afl-clang-fast} dir status=0
    command -v "$name" >/dev/null && command -v afl-fuzz >/dev/null || return 1
    dir=$(mktemp -d)
    echo 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return b && n ? 0 : 0; }' >"$dir/probe.c"
    # Without its own driver it quietly links another engine's. This string is what afl-fuzz looks for.
    AFL_QUIET=1 "$name" "$@" "$dir/probe.c" -o "$dir/probe" >/dev/null 2>&1 && grep -q '##SIG_AFL_PERSISTENT##' "$dir/probe" || status=1
    rm -r "$dir"
    ((status == 0)) && echo "$name"
}

# find_coverage_tools: prints the first clang that counts what runs, and the llvm-cov and llvm-profdata that read its profiles: those of
# its version, and only those
find_coverage_tools() {
    local clang version cov profdata
    clang=$(find_clang -fprofile-instr-generate -fcoverage-mapping) || return
    version=$("$clang" -dumpversion | cut -d. -f1)
    for cov in "$("$clang" -print-prog-name=llvm-cov)" "llvm-cov-$version" llvm-cov; do
        profdata=${cov%llvm-cov*}llvm-profdata${cov##*llvm-cov}
        if "$cov" --version 2>/dev/null | grep -q "version $version\." && command -v "$profdata" >/dev/null; then
            echo "$clang $cov $profdata"
            return
        fi
    done
    return 1
}

# find_clang_tool clang-format|clang-tidy: prints its name, of the version this tree is written for
find_clang_tool() {
    local name
    for name in "$1-$cow_clang_tools_version" "$1"; do
        if "$name" --version 2>/dev/null | grep -q "version $cow_clang_tools_version\."; then
            echo "$name"
            return
        fi
    done
    return 1
}

has_cmake() {
    local version
    version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')
    [[ -n $version && $(printf '%s\n' 3.20 "$version" | sort -V | head -n 1) == 3.20 ]]
}

# Prints a command prefix that makes room for sanitizers' shadow memory. Where the kernel randomises mappings by more
# than 28 bits, older runtimes find their place taken now and then: "unexpected memory mapping", or a crash at start.
sanitizer_prefix() {
    local bits=28
    [[ ! -r /proc/sys/vm/mmap_rnd_bits ]] || bits=$(</proc/sys/vm/mmap_rnd_bits)
    if ((bits > 28)) && setarch -R true 2>/dev/null; then
        echo setarch -R
    fi
}
