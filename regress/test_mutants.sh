#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The mutants that regress/mutate.pl makes: which, that their ids stay, and that each is the file but for one place. Also that what
# regress/mutants.equivalent lists exists. What kills them is make mutants' business.
set -euo pipefail
. "$(dirname "$0")/harness.sh"
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
export LC_ALL=C
mutate=$PWD/regress/mutate.pl
command -v perl >/dev/null || { echo "skipped: no perl here" && exit 77; }
# ---- a file that has one of everything ----
cat >"$dir/all.c" <<'C'
#include <stdio.h> /* a < b */
#define ADD(a, b) ((a) + (b)) \
    + 1
enum { ONE = 1, TWO = ONE + 1 };
static const int table[] = {0, 1, TWO - ONE};

int walk(struct slot *slot, int n) /* if (n < 1) return 0; */
{
    static const char *const names[] = {"a < b", [ONE] = "drop();"};
    int result = open_slot(slot, n);
    if (result)
        return result;
    for (int i = 0; i < n && !slot[i].ready; i++) {
        COW_CHECK(i >= 0 && !slot->lost);
        slot[i].at += n;
    }
    switch (n) {
    case TWO - 1:
        (void)names;
        break;
    }
    if (slot->ready == (n > 1))
        goto end;
    else
        free(slot);
    *slot = (struct slot){.at = -1, .ready = false};
end:
    return n ? '0' + n : 0;
}
C
cat >"$dir/expected" <<'LIST'
swap-1|slot, n|n, slot
negate-1|result|!(result)
ignore-1|if (result) return result;|;
negate-2|i < n && !slot[i].ready|!(i < n && !slot[i].ready)
constant-1|0|1
bound-1|<|<=
logic-1|&&|\|\|
not-1|!|
drop-1|slot[i].at += n;|;
sign-1|+=|-=
equal-1|==|!=
bound-2|>|>=
constant-2|1|0
drop-2|free(slot);|;
drop-3|*slot = (struct slot){.at = -1, .ready = false};|;
constant-3|1|0
constant-4|false|true
negate-3|n|!(n)
sign-2|+|-
constant-5|0|1
LIST
sed -i 's/\\|/|/g' "$dir/expected"

list() { (cd "$dir" && "$mutate" all.c) | tr '\t' '|'; }
has_these() { diff <(sed 's/^/all.c:walk:/' "$dir/expected") <(list | sed -E 's/\|[0-9]+\|/|/'); }
check "each operator where it belongs, and nowhere else" has_these
line_is_told() { [[ $(list | grep -F 'goto' || true) == '' && $(list | grep ':drop-1|') == 'all.c:walk:drop-1|15|'* ]]; }
check "with its line" line_is_told

# ids FILE: without the lines
ids() { (cd "$dir" && "$mutate" all.c | cut -f 1,3,4); }
stays() {
    local before
    before=$(ids)
    sed -i '4i int before(int a)\n{\n    return a + 1;\n}' "$dir/all.c"
    [[ $(ids | grep ':walk:') == "$before" && $(ids | grep -c ':before:') == 2 ]]
}
check "another function before it renumbers nothing" stays
refuses() { ! "$mutate" impl/slot.c impl/slot.c:no_such:drop-1 && ! "$mutate" impl/nothing.c && ! "$mutate"; }
check "what does not exist is refused" refuses

# ---- all of ours ----
files=(impl/*.[ch] impl/sys/*.[ch] reference/*.[ch])
for file in "${files[@]}"; do
    "$mutate" "$file"
done >"$dir/list"
are_unique() { [[ -s $dir/list && -z $(cut -f 1 "$dir/list" | sort | uniq -d) ]]; }
check "no id comes twice" are_unique

# Some from everywhere: made in that line, and the checks that abort are as they were.
made_as_listed() {
    local id line was becomes n=0
    while IFS=$'\t' read -r id line was becomes; do
        "$mutate" "${id%%:*}" "$id" >"$dir/mutant"
        [[ $(diff "${id%%:*}" "$dir/mutant" | sed -n 1p) =~ ^$line([,acd]|$) ]] || { echo "$id is not in line $line" && return 1; }
        [[ $(grep -E 'COW_(DEBUG_)?CHECK|^#' "$dir/mutant") == "$(grep -E 'COW_(DEBUG_)?CHECK|^#' "${id%%:*}")" ]] || { echo "$id" && return 1; }
        n=$((n + 1))
    done < <(awk 'NR % 27 == 1' "$dir/list")
    ((n > 50))
}
check "each is made as it is listed" made_as_listed

listed_exist() {
    local id reason
    while read -r id reason; do
        [[ -n $id && $id != '#'* ]] || continue
        grep -qxF -- "$id" <(cut -f 1 "$dir/list") || { echo "there is no mutant $id" && return 1; }
        [[ -n $reason ]] || { echo "no reason: $id" && return 1; }
    done <regress/mutants.equivalent
}
check "those that are listed as equivalent exist, and have a reason" listed_exist
exit $((n_failed > 0))
