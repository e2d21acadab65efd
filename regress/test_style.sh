#!/usr/bin/env bash
# Every C file is laid out as .clang-format says. `make format` makes it so.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh

format=$(find_clang_tool clang-format) || {
    echo "skipped: no clang-format $cow_clang_tools_version here"
    exit 77
}
find impl reference fuzz bench regress -name '*.[ch]' -print0 | sort -z | xargs -0 "$format" --dry-run -Werror
