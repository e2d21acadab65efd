#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The allocator that people copy, fuzz/subject_template.c: the rig finds the bug in it, as fuzz/README.md says word for word; without
# the bug it agrees with the model on all programs there are. So does what they build it upon: what the rig asks of a subject.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
. regress/patched.sh
use_tool_build "$(realpath "${BUILD_DIR:-build}")"
programs=(corpus regress/programs)

# walk SECTION: what the section prints behind its `$` is what these commands print, on both outputs
walk() {
    local command='' said=$dir/said shown=$dir/shown n=0 line
    while IFS= read -r line; do
        if [[ $line == '$ '* || -z $line && -z $command ]]; then
            ((n == 0)) || diff "$shown" "$said" || return 1
            command=${line#'$ '}
            : >"$shown"
            (bash -c "${command//build\/lockstep/$lockstep}") >"$said" 2>&1 </dev/null || true
            n=$((n + 1))
        else
            echo "$line" >>"$shown"
        fi
    done < <(awk -v title="## $1" '$0 == title { inside = 1; next } /^## / { inside = 0 } inside && /^    / { print substr($0, 5) }' fuzz/README.md)
    ((n)) || { echo "no command in that section" && return 1; }
    diff "$shown" "$said"
}
