#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The workflows under actionlint and zizmor, where there is one of them. CONTRIBUTING.md says how to get them.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh

n_linters=0
if command -v actionlint >/dev/null; then
    check "actionlint has nothing to say" actionlint -no-color .github/workflows/*.yml
    sed 's/runs-on:/runs_on:/' .github/workflows/nightly.yml >"$dir/bad.yml"
    check "of what is broken, it has" exits 1 actionlint -no-color "$dir/bad.yml"
    n_linters=$((n_linters + 1))
fi
if command -v zizmor >/dev/null; then
    check "zizmor has nothing to say" zizmor --offline --no-progress .github
    sed 's/make deps nightly/make deps nightly TIME=${{ inputs.time }}/' .github/workflows/nightly.yml >"$dir/bad.yml"
    check "of a command that others can write, it has" grep -q template-injection <(zizmor --offline --no-progress "$dir/bad.yml" 2>&1 || true)
    n_linters=$((n_linters + 1))
fi
((n_failed == 0)) || exit 1
((n_linters)) || { echo "skipped: neither actionlint nor zizmor here" && exit 77; }
