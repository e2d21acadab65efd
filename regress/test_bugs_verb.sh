#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make bugs, over patches made up of B27, which any program finds: what is found, and by which oracle; what is not, not reached or not
# fuzzed; the table and the records; that a run which was interrupted goes on where it stopped.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh
find_clang -fsanitize=fuzzer >/dev/null || { echo "skipped: no clang here links with libFuzzer" && exit 77; }
BUILD_DIR=$(realpath "${BUILD_DIR:-build}")
export BUILD_DIR PATCHES=$dir/patches OUT=$dir/out MUTANTS=no
json=$OUT/bugs.json

mkdir "$PATCHES"
cp regress/bugs/B27.patch "$PATCHES/"
header() { sed '/^--- a\//,$d' regress/bugs/B27.patch; }
# The line that B27 changes, and a pair of parentheses more: the same pool.
{ header && sed -n '/^--- a\//,$p' regress/bugs/B27.patch | sed '/^-[^-]/{ p; s/^-\(.*\) = \(.*\);/+\1 = (\2);/; p; d }; /^+[^+]/d'; } >"$PATCHES/Same.patch"
# Its line numbers are those of another pool: what counts is where it goes.
sed -i -E 's/^@@ -[0-9]+(.*) \+[0-9]+/@@ -2\1 +2/' "$PATCHES/Same.patch"
# What programs do not run: the handlers of embedders that have none.
sed '/^[a-z].* cow_trap_call(/,/^{/ s/^{/&\n    (void)0;/' impl/trap.c >"$dir/trap.c"
{ header && ! diff -U1 --label a/impl/trap.c --label b/impl/trap.c impl/trap.c "$dir/trap.c"; } >"$PATCHES/Far.patch"
sed 's/^Finds: .*/Finds: divergence: of another kind/' regress/bugs/B27.patch >"$PATCHES/Other.patch"
sed 's/^Finds: .*/&\nFuzz: no, it needs a "kernel" that lies/' regress/bugs/B27.patch >"$PATCHES/Lying.patch"
sed '/^@@/,$s/^ \(.*\)$/ \1 not there/' regress/bugs/B27.patch >"$PATCHES/Stale.patch"

# bugs CODE SETTING...: leaves what it said in $dir/said
bugs() {
    exits "$1" env "${@:2}" bash regress/bugs.sh >"$dir/said" 2>&1 || { cat "$dir/said" && return 1; }
}
says() { grep -qE -- "$1" "$dir/said" || { cat "$dir/said" && return 1; }; }
records() { grep -qE -- "$1" "$json" || { cat "$json" && return 1; }; }
refuses() { bugs 2 "${@:2}" && [[ $(wc -l <"$dir/said") == 1 ]] && says "^bugs: $1"; }

check "a bug that is not there" refuses "there is no .*/B0.patch" ONLY=B0
check "no bug at all" refuses "no bug is asked for" ONLY=" "
check "a time that is none" refuses "TIME=1m is not" TIME=1m
check "no trials" refuses "TRIALS=0 is not" TRIALS=0
mkdir "$dir/bin" # all tools but this
while IFS= read -r -d : place; do
    ln -s "$place"/* "$dir/bin/" 2>/dev/null || true
done <<<"$PATH:"
rm -f "$dir"/bin/*clang*
check "no clang" refuses "no clang here links with -fsanitize=fuzzer: run make deps" ONLY=B27 CLANG= PATH="$dir/bin"
check "a patch that does not apply" bugs 2 ONLY=Stale
check "is named" says '^bugs: .*/Stale.patch does not apply$'

number='[0-9]+' seconds='[0-9]+\.[0-9]{3}'
check "a bug is found" bugs 0 ONLY=B27 TRIALS=2
check "it has its row" says "^B27 +yes +[a-z]+/[^ ]+ +$number +$seconds +2/2 +$number +$number +$seconds  (trap|bytes|calls|host) "
check "all is well" says "^bugs: all 1 found by replay, 1 from no corpus; .*/bugs.json$"
trial="\{\"seed\":%d,\"limit\":60,\"found\":true,\"announced\":true,\"line\":\"divergence: [^\"]+\",\"executions\":$number,\"operations\":$number,\"seconds\":$seconds\}"
# shellcheck disable=SC2059
check "it has its record" records "^\{\"id\":\"B27\",\"effect\":\"[^\"]+\",\"reached\":true,\"replay\":\{\"found\":true,\"announced\":true,\"line\":\"divergence: [^\"]+\",\
\"program\":\"corpus/[^\"]+\",\"operations\":$number,\"seconds\":[0-9.]+\},\"not_fuzzed\":null,\"trials\":\[$(printf "$trial,$trial" 1 2)\],\
\"median\":\{\"executions\":$number,\"operations\":$number,\"seconds\":$seconds\}\}$"
is_json() { ! command -v python3 >/dev/null || python3 -m json.tool "$json"; }
check "which is JSON" is_json

known() { stat -c '%n %Y %i' "$OUT"/bugs/B27/{key,replay,trial-*}; }
before=$(known) said=$(cat "$dir/said")
check "again" bugs 0 ONLY=B27 TRIALS=2
check "what is known is not done again" test "$(known)" = "$before" -a "$(cat "$dir/said")" = "$said"

# interrupt: once the fuzzer looks for what it will not find
interrupt() {
    local code=0 i
    set -m
    ONLY="B27 Same" TIME=300 bash regress/bugs.sh >"$dir/said" 2>&1 &
    set +m
    for ((i = 0; i < 600; i++)); do
        [[ ! -s $OUT/bugs/Same/run/log ]] || break
        sleep 0.1
    done
    kill -INT -- "-$!"
    wait $! || code=$?
    [[ $code == 2 ]] && says '^B27 ' && says '^bugs: interrupted'
}
check "Ctrl-C ends it" interrupt
ended() { # what is killed need not be gone at once
    local i
    for ((i = 0; i < 100; i++)); do
        pgrep -af "$OUT" || return 0
        sleep 0.1
    done
    return 1
}
check "nothing runs any more" ended
check "what was found stays" records '^\{"id":"B27",.*"found":true'
check "what is as it was is not found" bugs 1 ONLY="Same B27" TIME=1
check "and named" says "^bugs: not found: Same by replay, Same from no corpus$"
check "it was reached" says '^Same +yes +- +- +- +0/1 +- +- +-  -$'
check "of the others nothing is done again" test "$(known)" = "$before"
check "so it is recorded" records '^\{"id":"Same",.*"reached":true,"replay":\{"found":false,.*"limit":1,"found":false,.*"median":null\},$'
check "with more time, it is looked for again" bugs 1 ONLY=Same TIME=2
check "for so long" records '"limit":2,"found":false'

check "the others" bugs 1 ONLY="Far,Other,Lying" TIME=1
check "a patch that no program reaches" says '^Far +no '
check "another oracle counts" says '^Other .* 1/1 '
check "and is shown" says '^ +replay: found by another oracle'
check "for each trial" says '^ +seed 1: found by another oracle: divergence: '
check "what is not fuzzed" says '^Lying .* - +- +- +-  '
check "says why" says '^ +not fuzzed: it needs a "kernel" that lies$'
check "there too, quoted" records '"not_fuzzed":"it needs a \\"kernel\\" that lies","trials":\[\],"median":null\}'
check "the one that is not found is named" says "^bugs: not found: Far by replay, Far from no corpus$"
sed -i '1s/$/, told otherwise/' "$PATCHES/B27.patch"
check "a patch that changed" bugs 0 ONLY=B27
check "is tried again" test "$(known)" != "$before"
exit $((n_failed > 0))
