#!/usr/bin/env bash
# clang-tidy has nothing to say, with the checks of .clang-tidy and the flags of the build.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh

tidy=$(find_clang_tool clang-tidy) || {
    echo "skipped: no clang-tidy $cow_clang_tools_version here"
    exit 77
}
# The build may be another compiler's: its warnings are its own business, and clang may not know their names.
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "${BUILD_DIR:-build}/compile_commands.json" | sort -u |
    xargs -r -d '\n' -P "$(nproc)" -n 1 "$tidy" -p "${BUILD_DIR:-build}" --quiet --extra-arg=-Wno-unknown-warning-option 2>&1 |
    { grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed [0-9]+ warnings|^Use -header-filter' || true; } >&2
