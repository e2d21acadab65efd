#!/usr/bin/env bash
# Installs what the builds and tests need and this machine lacks. Safe to run again: it tries what works, and is silent
# about packages that are there under another name. Exit 2, with the one line to type, where it may not install.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/toolchain.sh

# can CAPABILITY: whether this machine can do it now
can() {
    case $1 in
        cc) links cc -pthread ;;
        cmake) has_cmake ;;
        fuzzer) find_clang -fsanitize=fuzzer,address,undefined && find_clang -fsanitize=thread ;;
        afl) find_afl_clang -fsanitize=fuzzer && find_afl_clang -fsanitize=fuzzer -fsanitize=address,undefined ;;
        wabt) command -v wat2wasm && command -v wast2json && command -v wasm-objdump ;;
        symbolizer) compgen -c llvm-symbolizer ;;
        coverage) find_coverage_tools ;;
        perl) perl -MFindBin -MJSON::PP -e 1 ;;
        *) command -v "$1" ;;
    esac >/dev/null 2>&1
}
capabilities=(cc cmake ninja fuzzer symbolizer coverage clang-format clang-tidy strace git perl gdb wabt afl gnuplot)
# What only one verb needs, and not every system has, must not keep anybody from the rest.
is_optional() { [[ $1 == afl || $1 == coverage || $1 == gdb || $1 == gnuplot ]]; }

# packages MANAGER CAPABILITY: what to ask that package manager for
packages() {
    case $2:$1 in
        cc:apt) echo gcc libc6-dev ;;
        cc:dnf) echo gcc glibc-devel ;;
        cc:pacman) echo gcc ;;
        ninja:pacman) echo ninja ;;
        ninja:*) echo ninja-build ;;
        fuzzer:apt) echo clang ;;
        fuzzer:*) echo clang compiler-rt ;;
        afl:dnf) echo american-fuzzy-lop-clang ;;
        afl:*) echo afl++ ;;
        perl:dnf) echo perl-interpreter perl-FindBin perl-JSON-PP ;;
        symbolizer:* | coverage:*) echo llvm ;;
        clang-*:dnf) echo clang-tools-extra ;;
        clang-*:pacman) echo clang ;;
        gnuplot:apt) echo gnuplot-nox ;;
        gnuplot:dnf) echo gnuplot-minimal ;;
        *) echo "$2" ;;
    esac
}

find_missing() {
    local capability
    missing=()
    for capability in "${capabilities[@]}"; do
        can "$capability" || missing+=("$capability")
    done
}

# wanted MANAGER: the packages for all that is missing
wanted() {
    local capability
    for capability in "${missing[@]}"; do
        packages "$1" "$capability" | tr ' ' '\n'
    done | sort -u | tr '\n' ' '
}

# Debian keeps the runtimes of sanitizers and fuzzer in a package of their own, named after clang's version.
clang_runtime() {
    local version
    version=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    [[ -z $version ]] || apt-cache pkgnames "libclang-rt-$version-dev" | grep -x "libclang-rt-$version-dev" || true
}

find_missing
if ! ((${#missing[@]})); then
    echo "deps: everything is there"
    exit 0
fi
echo "deps: missing: ${missing[*]}"

if command -v apt-get >/dev/null; then
    as_root=()
    ((EUID == 0)) || as_root=(sudo -n)
    if ((EUID == 0)) || sudo -n true 2>/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends)
        "${as_root[@]}" apt-get update -q || true # the lists that are there may do
        read -ra names <<<"$(wanted apt)"
        # Together; where one has no such package, each for itself.
        "${install[@]}" "${names[@]}" || for name in "${names[@]}"; do "${install[@]}" "$name" || true; done
        can fuzzer || { runtime=$(clang_runtime) && [[ -n $runtime ]] && "${install[@]}" "$runtime"; } || true
        find_missing
    fi
fi
((${#missing[@]})) || exit 0

if command -v apt-get >/dev/null; then
    by_hand="sudo apt-get install $(wanted apt)"
    [[ " ${missing[*]} " != *" fuzzer "* ]] || by_hand+="libclang-rt-dev"
elif command -v dnf >/dev/null; then
    by_hand="sudo dnf install $(wanted dnf)"
elif command -v pacman >/dev/null; then
    by_hand="sudo pacman -S --needed $(wanted pacman)"
else
    by_hand="install by your system's means: $(wanted other)"
fi
echo "deps: cannot install ${missing[*]} from here; type: $by_hand" >&2
for capability in "${missing[@]}"; do
    is_optional "$capability" || exit 2
done
echo "deps: everything else is there; without afl there is no ENGINE=afl, without coverage no make coverage, without gdb no lockstep run --gdb, without gnuplot no plots"
