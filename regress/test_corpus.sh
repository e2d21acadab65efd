#!/usr/bin/env bash
# Every program that is kept, in corpus/ and regress/programs/: its text is canonical and says exactly what its binary form says, it
# runs the same way twice, and all of them together do enough for their agreement to mean something.
set -euo pipefail
. "$(dirname "$0")/harness.sh"
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

mapfile -t files < <(find corpus regress/programs -name '*.ops' | LC_ALL=C sort)
mapfile -t evolved < <(find corpus/evolved -name '*.ops' | LC_ALL=C sort) # by fuzzers; people wrote the others
mapfile -t written < <(printf '%s\n' "${files[@]}" | grep -v '^corpus/evolved/')

# round_trip FILE...: text, binary, text, binary. Prints the names of files that did not survive it.
round_trip() {
    local file bare
    for file in "$@"; do
        bare=$dir/${file//\//-}
        # What the binary form does not hold: comments, expectations, needs.
        sed -E 's/ *(#|->).*//; /^$/d; /^needs /d' "$file" >"$bare.bare"
        "$lockstep" asm "$file" -o "$bare.bin" && "$lockstep" show "$bare.bin" >"$bare.shown" &&
            "$lockstep" asm "$bare.shown" | cmp - "$bare.bin" && diff -u "$bare.bare" "$bare.shown" ||
            echo "not the same program: $file"
    done
}
export -f round_trip
export lockstep dir

all_round_trip() {
    local report
    report=$(printf '%s\0' "${files[@]}" | xargs -0 -n 20 -P "$(nproc)" bash -c 'round_trip "$@"' round_trip 2>&1)
    [[ -z $report ]] || { echo "$report" && return 1; }
}

short_enough() {
    local n_bytes
    n_bytes=$(cat "${files[@]}" | wc -c)
    ((n_bytes < 2000000)) || { echo "$n_bytes bytes of programs: distil them" && return 1; }
}

# The last line of a run, without its timing.
says() { "$lockstep" run --json "${files[@]}" 2>/dev/null | sed 's/,"timing".*//'; }
runs_alike() {
    local once again
    once=$(says) again=$(says)
    [[ $once == "$again" && $once == *'"verdict":"agree"'* ]] || { printf '%s\n' "$once" "$again" && return 1; }
}

observed_by() {
    local n
    n=$(grep -lE "^pool .*observe=$1" "${written[@]}" | wc -l)
    ((4 * n >= ${#written[@]})) || { echo "only $n of ${#written[@]} programs" && return 1; }
}

named_by_content() {
    local file hash
    for file in "${evolved[@]}"; do
        hash=$(sha256sum <"$file")
        [[ $(basename "$file") == "${hash:0:16}.ops" ]] || { echo "not what it was when it was named: $file" && return 1; }
    done
}

# Each has what the model answers (a stale answer fails the runs below), and does something.
means_something() {
    local file
    for file in "${evolved[@]}"; do
        grep -q ' -> ' "$file" || { echo "no expectations: $file" && return 1; }
        "$lockstep" run --json "$file" 2>/dev/null | grep -qE '"effective":([89]|[0-9]{2,}),' ||
            { echo "does next to nothing, or not what it says: $file" && return 1; }
    done
}

pairs_are_generated() { "$lockstep" gen --pairs --out "$dir/pairs" && diff -r corpus/pairs "$dir/pairs"; }

check "there are programs" test "${#files[@]}" -gt 100
check "all of them are canonical text" "$lockstep" fmt --check "${files[@]}"
check "all of them are the same program in both forms" all_round_trip
check "all of them together are short" short_enough
check "two runs say the same" runs_alike
check "they do enough to mean something" "$lockstep" run --floors "${files[@]}"
check "what has evolved is named by its content" named_by_content
check "and each of it does something, as it says" means_something
check "a quarter of them is watched without touching" observed_by quiet
check "a quarter of them is looked at only in the end" observed_by final
check "corpus/pairs is what gen --pairs makes" pairs_are_generated

exit $((n_failed > 0))
