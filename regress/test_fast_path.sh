#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The kernel calls of a warm cycle, seen from outside by strace: one madvise, and two ftruncate if the memory grew. Nothing else.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

skip() {
    echo "skipped: $*"
    exit 77
}

command -v strace >/dev/null || skip "no strace here"
strace -qq -o /dev/null true 2>/dev/null || skip "strace may not trace here (ptrace is forbidden)"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -Iimpl -Iimpl/include regress/fast_path_loop.c impl/*.c impl/sys/*.c -pthread -o "$dir/loop"

# expect MODE CALL...: what every round does, in order
expect() {
    local mode=$1 n_rounds=10
    shift
    strace -f -qq -o "$dir/trace" "$dir/loop" "$mode" "$n_rounds"
    # Between the markers, without the process id: the call, and of its arguments those that matter.
    sed -n '/fast-path-begin/,/fast-path-end/p' "$dir/trace" | sed '1d;$d' | sed -E '
        s/^[0-9]+ +//
        s/^madvise\(0x[0-9a-f]+, ([0-9]+), (MADV_[A-Z_]+)\) += 0$/madvise \1 \2/
        s/^ftruncate\([0-9]+, ([0-9]+)\) += 0$/ftruncate \1/' >"$dir/seen"
    for ((i = 0; i < n_rounds; i++)); do
        printf '%s\n' "$@"
    done >"$dir/expected"
    if ! diff -u "$dir/expected" "$dir/seen"; then
        echo "not ok $mode: the calls of $n_rounds rounds are not those expected"
        exit 1
    fi
    echo "ok $mode: $# calls a round"
}

page=$(getconf PAGESIZE)
expect plain "madvise $((2 * page)) MADV_DONTNEED"
expect grow "ftruncate $((3 * page))" "madvise $((2 * page)) MADV_DONTNEED" "ftruncate 0"
expect reset "madvise $((2 * page)) MADV_DONTNEED" "madvise $((2 * page)) MADV_DONTNEED"
