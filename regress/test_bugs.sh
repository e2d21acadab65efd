#!/usr/bin/env bash
# Puts each historic bug of regress/bugs back into the pool and watches it being found: by its witness, and by corpus/ without
# the witness, each time with the line that the patch announces: a divergence, or a crash. Unpatched, the witnesses agree. Also
# holds the patches to their form: small, saying where the bug was and what it breaks, and each in the table of README.md.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
build=$(realpath "${BUILD_DIR:-build}") lockstep=$(realpath "${LOCKSTEP:-build/lockstep}")
max_changed_lines=14 max_witness_ops=8

skip() {
    echo "skipped: $*"
    exit 77
}

. regress/patched.sh
use_tool_build "$build"
[[ -z $sanitizers ]] || skip "another build does this: a sanitizer's report would hide the line"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n_failed=0

# form PATCH: prints what is wrong with how it is written
form() {
    local patch=$1 key invariant
    for key in Source Effect Breaks Oracle Finds Witness; do
        [[ $(says "$key" "$patch" | grep -c .) == 1 ]] || echo "its header has no line '$key:', or more than one"
    done
    ! says Fuzz "$patch" | grep -vxE 'no, .+' || echo "what is not fuzzed says 'Fuzz: no, REASON'"
    for invariant in $(says Breaks "$patch" | grep -oE '\([A-Z][0-9]+\)'); do
        grep -rqF " $invariant " impl || echo "there is no invariant $invariant in impl"
    done
    # Of unchanged lines: one before the first change and behind the last one, up to two between changes.
    awk -v most="$max_changed_lines" '
        function close_hunk() { if (in_hunk && (!changed || leading != 1 || run != 1)) bad = 1 }
        /^--- a\// { close_hunk(); in_hunk = 0; is_diff = 1; next }
        /^\+\+\+ b\// { next }
        /^@@/ { close_hunk(); in_hunk = 1; changed = leading = run = 0; next }
        in_hunk && /^[-+]/ { if (!changed) leading = run; if (run > 2) bad = 1; run = 0; changed = 1; n++; next }
        in_hunk && /^( |$)/ { run++ }
        END {
            close_hunk()
            if (bad) print "its context is not one line"
            if (!is_diff || n == 0 || n > most) print "it changes " n + 0 " lines: 1 to " most " are wanted"
        }' "$patch"
    # Nothing else: a patch that adapts a test or the rig proves nothing.
    ! grep -E '^(---|\+\+\+) ' "$patch" | grep -vE '^(--- a|\+\+\+ b)/impl/[^ ]+\.[ch]$' || echo "it touches more than impl/"
}

# witness_form PATCH WITNESS
witness_form() {
    local n_ops
    [[ -f $2 ]] || { echo "its witness $2 does not exist" && return; }
    [[ $(basename "$2") == "$(basename "$1" .patch | tr '[:upper:]' '[:lower:]')"-*.ops ]] || echo "its witness is not named after it"
    n_ops=$(grep -cvE '^ *(#|$|cowpool-ops |pool |needs |image |data )' "$2" || true)
    ((n_ops <= max_witness_ops)) || echo "its witness has $n_ops operations: at most $max_witness_ops"
    [[ $(sed -n 2p "$2") == '# '* ]] || echo "its witness does not begin with the story"
    "$lockstep" fmt --check "$2" >/dev/null || echo "its witness is not as lockstep fmt writes it"
    "$lockstep" run "$2" >"$dir/out" 2>"$dir/err" || echo "its witness does not agree on the unpatched pool: $(tail -n 1 "$dir/err")"
    ! grep -q SKIPPED "$dir/err" || echo "its witness was skipped here"
}

# try PATCH DIRECTORY: prints what is wrong, if anything is; leaves the table's columns in DIRECTORY/row
try() {
    local patch witness line n_found dir=$2
    patch=$(realpath "$1") witness=$(says Witness "$1")
    form "$patch"
    witness_form "$patch" "$witness"
    apply "$patch" "$dir/tree" >"$dir/log" 2>&1 || { echo "it does not apply" && cat "$dir/log" && return; }
    build_patched "$patch" "$dir/tree" >"$dir/log" 2>&1 || { echo "it does not compile" && cat "$dir/log" && return; }

    line=$(disagreements "$dir/tree" "$witness" | cut -f 2)
    finds "$patch" "$line" || echo "its witness says '$line', not '$(says Finds "$patch")'"
    # A program whose divergence leaves its pool open costs descriptors; not so many that the others could not run.
    n_found=$(disagreements "$dir/tree" "${corpus[@]}" | cut -f 2 | tee "$dir/said" | grep -cxE "$(says Finds "$patch")" || true)
    ((n_found)) || echo "no program of corpus finds it$(sed '1s/^/; the first other line is: /;2,$d' "$dir/said")"
    echo "$n_found ${line:-nothing}" >"$dir/row"
}

mapfile -t corpus < <(find corpus -name '*.ops' | LC_ALL=C sort)
shopt -s nullglob
patches=(regress/bugs/*.patch)
((${#patches[@]})) || { echo "not ok: there is no patch in regress/bugs" && exit 1; }
for patch in "${patches[@]}"; do
    id=$(basename "$patch" .patch)
    mkdir "$dir/$id"
    try "$patch" "$dir/$id" >"$dir/$id/complaints" 2>&1 &
    while (($(jobs -rp | wc -l) >= $(nproc))); do
        wait -n || true # what it did not get done shows below
    done
done
wait
for patch in "${patches[@]}"; do
    id=$(basename "$patch" .patch) verdict=ok n_found=0 line=
    row="| $id | $(head -n 1 "$patch") | $(says Effect "$patch") | $(says Oracle "$patch") | $(basename "$(says Witness "$patch")" .ops) |"
    grep -qxF "$row" regress/bugs/README.md || echo "regress/bugs/README.md has no row: $row" >>"$dir/$id/complaints"
    if [[ -s $dir/$id/complaints || ! -s $dir/$id/row ]]; then
        verdict="not ok"
        n_failed=$((n_failed + 1))
    fi
    [[ ! -s $dir/$id/row ]] || read -r n_found line <"$dir/$id/row"
    printf '%-6s %-4s %3s of %s corpus programs   %s\n' "$verdict" "$id" "$n_found" "${#corpus[@]}" "$line"
    sed 's/^/       /' "$dir/$id/complaints"
done
echo "bugs: $((${#patches[@]} - n_failed)) of ${#patches[@]} found"
exit $((n_failed > 0))
