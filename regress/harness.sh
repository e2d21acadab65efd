# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What test scripts share, to be sourced: the tool, a directory of their own, and sentences that are ok or not.
lockstep=$(realpath "${LOCKSTEP:-build/lockstep}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n_failed=0

# check SENTENCE COMMAND...: leaves what it printed in $dir/stdout and $dir/stderr
check() {
    local sentence=$1
    shift
    if "$@" >"$dir/stdout" 2>"$dir/stderr"; then
        echo "ok $sentence"
    else
        echo "not ok $sentence"
        cat "$dir/stdout" "$dir/stderr"
        n_failed=$((n_failed + 1))
    fi
}

# exits CODE COMMAND...
exits() {
    local expected=$1 code=0
    shift
    "$@" || code=$?
    [[ $code == "$expected" ]] || { echo "exit code $code, expected $expected: $*" && return 1; }
}
