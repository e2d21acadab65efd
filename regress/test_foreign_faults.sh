#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# lockstep run --foreign-faults, while something outside makes kernel calls of the process fail: strace one in so many, a seccomp filter
# those with certain arguments. Operations may fail, pools may not be made and slots be retired; no byte may be wrong, and nothing
# may crash. Each case says what has to have failed, so that none can pass with nothing done.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
interfere=$(realpath "${BUILD_DIR:-build}/interfere")
page=$(getconf PAGESIZE)
sanitize=$(sed -n 's/^COW_SANITIZE:[A-Z]*=//p' "${BUILD_DIR:-build}/CMakeCache.txt")
n_cases=0

# ---- one case ----

# foreign COMMAND...: all agree under it; leaves in $n_operations and $n_pools how much failed
foreign() {
    local code=0
    "$@" "$lockstep" run --foreign-faults "${programs[@]}" >"$dir/out" 2>"$dir/err" || code=$?
    read -r n_operations n_pools < <(sed -nE 's/^([0-9]+) operations failed, ([0-9]+) pools could not be made$/\1 \2/p' "$dir/err") || true
    [[ $code == 0 && -n $n_operations ]] || { echo "exit code $code" && sort "$dir/out" | uniq -c && tail -n 20 "$dir/err" && return 1; }
}

# fails WHAT COMMAND...: operations, pools or nothing, and no wrong byte
fails() {
    local what=$1 n_operations='' n_pools=''
    shift
    foreign "$@" || return 1
    echo "$n_operations operations, $n_pools pools" >"$dir/told"
    case $what in
        operations) ((n_operations)) ;;
        pools) ((n_pools)) ;;
        nothing) ((n_operations + n_pools == 0)) ;;
    esac || { echo "$(cat "$dir/told") failed: that is not '$what'" && return 1; }
}

# tell CASE COMMAND...
tell() {
    local case=$1
    n_cases=$((n_cases + 1))
    shift
    if "$@" >"$dir/stdout"; then
        printf 'ok     %-72s %s\n' "$case" "$(cat "$dir/told")"
    else
        printf 'not ok %s\n' "$case"
        cat "$dir/stdout"
        n_failed=$((n_failed + 1))
    fi
}

# ---- seccomp ----

programs=(corpus/edges corpus/motifs regress/programs)
[[ -n $sanitize ]] || programs=(corpus regress/programs)

# filtered WHAT RULE...
filtered() { tell "seccomp ${*:2}" fails "$1" "$interfere" "${@:2}" --; }

if "$interfere" madvise:ENOMEM -- true 2>"$dir/err"; then
    # MADV_DONTNEED; the self-test discards single pages. EINVAL is what locked memory says: MADV_DONTNEED_LOCKED follows.
    filtered pools madvise:ENOMEM:2=4
    filtered operations "madvise:ENOMEM:2=4:1&$page=0"
    filtered nothing madvise:EINVAL:2=4
    filtered operations "madvise:EINVAL:2=4:1&$page=0" madvise:EINVAL:2=24
    # MADV_DONTFORK, MADV_DONTDUMP, MADV_NOHUGEPAGE; a kernel without huge pages says EINVAL.
    filtered operations madvise:ENOMEM:2=10
    filtered operations "madvise:EAGAIN:2=16:1&$((2 * page))=0"
    filtered operations madvise:ENOMEM:2=15
    filtered nothing madvise:EINVAL:2=15
    # By length, 0 of it too.
    filtered operations "ftruncate:ENOSPC:1&$((3 * page))=$((2 * page))"
    filtered operations "ftruncate:EFBIG:1&$((4 * page))=$((4 * page))"
    filtered pools ftruncate:ENOSPC:1=0
    # A kernel without memory files; one before Linux 6.3, which does not know MFD_NOEXEC_SEAL.
    filtered pools memfd_create:ENOSYS
    filtered nothing memfd_create:EINVAL:1=11
    # F_ADD_SEALS, F_DUPFD_CLOEXEC, F_GET_SEALS.
    filtered pools fcntl:EPERM:1=1033
    filtered operations fcntl:EMFILE:1=1030
    filtered operations fcntl:EIO:1=1034
    filtered nothing fcntl:EINVAL:1=1034
    # Of two pieces.
    filtered operations pwritev:ENOSPC:2=2
    if [[ -z $sanitize ]]; then # a sanitizer's runtime dies without
        # MAP_FIXED|MAP_NORESERVE, which the loader does not use: by length; the shared ones; PROT_NONE, which keeps the range of a
        # retired slot: it is lost.
        filtered operations "mmap:ENOMEM:3&0x4010=0x4010:1&$((3 * page))=$((2 * page))"
        filtered operations "mmap:EAGAIN:3&0x4011=0x4011"
        filtered operations "mmap:ENOMEM:3&0x4010=0x4010:2=0"
        filtered operations "madvise:ENOMEM:2=4:1&$page=0" "mmap:ENOMEM:3&0x4010=0x4010:2=0"
        filtered operations munmap:ENOMEM
    fi
    check "without --foreign-faults the same is a divergence" \
        exits 1 "$interfere" "madvise:ENOMEM:2=4:1&$page=0" -- "$lockstep" run corpus/motifs
else
    echo "no seccomp here: $(cat "$dir/err")"
fi

# ---- strace: slower, so not all programs ----

programs=(corpus/edges corpus/motifs regress/programs)

# traced WHAT CALL ERROR WHEN: how often is counted anew in each process
traced() {
    tell "strace $2:error=$3:when=$4" fails "$1" "${strace[@]}" -e "trace=$2" -e "inject=$2:error=$3:when=$4"
    grep -q INJECTED "$dir/calls" || { echo "not ok strace has made nothing fail" && n_failed=$((n_failed + 1)); }
}

strace=(strace -f -qq -o "$dir/calls")
if [[ -n $sanitize ]]; then
    echo "strace: another build does this: here it would make calls of the sanitizer fail"
elif ! command -v strace >/dev/null; then
    echo "no strace here"
elif ! strace -qq -o /dev/null -e inject=getppid:error=EPERM true 2>/dev/null; then
    echo "strace may not trace here (ptrace is forbidden), or cannot make calls fail"
else
    ! strace -f --seccomp-bpf -qq -o /dev/null true 2>/dev/null || strace+=(--seccomp-bpf) # it is faster
    traced pools madvise ENOMEM 2+3
    traced operations madvise ENOMEM 7+5
    traced operations madvise EINVAL 2+3
    traced operations madvise EINVAL 7+5
    traced operations madvise EAGAIN 30+17
    for when in 7+5 30+17; do
        traced operations ftruncate ENOSPC "$when"
        traced operations memfd_create EMFILE "$when"
        traced operations fcntl EPERM "$when"
    done
    traced operations ftruncate EFBIG 40+1
    traced nothing ftruncate EINTR 2+3
    traced operations mmap ENOMEM 40+7
fi

((n_failed == 0)) || exit 1
((n_cases)) || { echo "skipped: neither seccomp nor strace can be used here" && exit 77; }
