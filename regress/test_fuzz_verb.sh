#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make fuzz, in a copy of the tree with a bug in the pool (B40) and one in the text target: each engine finds them, alone and as
# several jobs; both file them under the same line, once; Ctrl-C leaves what there is; what cannot be is refused in one line.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh

engines=() missing=()
find_clang -fsanitize=fuzzer >/dev/null && engines+=(libfuzzer) || missing+=("no clang here links with libFuzzer")
find_afl_clang -fsanitize=fuzzer >/dev/null && engines+=(afl) || missing+=("no AFL++ here makes targets")
if ((${#engines[@]} == 0)); then
    echo "skipped: ${missing[0]}"
    exit 77
fi

# ---- the copy: few seeds, and quickly compiled ----
tree=$dir/tree
mkdir -p "$tree/regress/programs" "$tree/corpus/motifs" "$dir/witness" "$dir/planted"
cp -r .ci CMakeLists.txt CMakePresets.json bench fuzz impl reference "$tree/"
cp regress/{test_guest,interfere,liar,pressure}.c "$tree/regress/" # which CMakeLists.txt names
cp regress/programs/b40-reset-to-image-end.ops "$dir/witness/"
patch=$PWD/regress/bugs/B40.patch
cd "$tree"
sed -i 's/"-O2"/"-O0"/' CMakePresets.json
export AFL_DONT_OPTIMIZE=1
patch -p1 -F0 --batch --silent -i "$patch" || GIT_CEILING_DIRECTORIES=$dir git apply "$patch"
sed -i '/^int LLVMFuzzerTestOneInput(.*)$/,/^}/s/^{$/{\n    if (n_bytes == 7 \&\& memcmp(bytes, "planted", 7) == 0)\n        fail("a planted promise", "");/' fuzz/fuzz_text.c
printf planted >"$dir/planted/input"
# It does no harm, and is a step away from it: the memory need only be longer than the image.
cat >corpus/motifs/near.ops <<'END'
cowpool-ops 1
pool slots=1 max=8P
image A size=100
data 10 bytes c0 ff ee
instantiate i0 A initial=1P
store i0 8 width=8
reuse i0 A initial=1P
END
cp corpus/motifs/near.ops "$dir/witness/"

# fuzz CODE SETTING...: leaves $dir/stdout and $dir/stderr by way of check
fuzz() {
    local expected=$1
    shift
    exits "$expected" env "$@" bash fuzz/fuzz.sh
}

# ---- what cannot be ----
# refuses SENTENCE SETTING...: exit 2, one line on stderr which says this, nothing begun
refuses() {
    local sentence=$1
    shift
    fuzz 2 "$@" 2>"$dir/refusal" && [[ $(wc -l <"$dir/refusal") == 1 ]] && grep -qF "fuzz: $sentence" "$dir/refusal" &&
        [[ ! -e var && ! -e findings ]] || { cat "$dir/refusal" && return 1; }
}
check "an unknown target" refuses "TARGET=pool: there is no fuzz/fuzz_pool.c" TARGET=pool
check "an unknown engine" refuses "ENGINE=honk: there are libfuzzer and afl" ENGINE=honk
check "a time that is none" refuses "TIME=1m is not" TIME=1m
check "no jobs" refuses "JOBS=0 is not" JOBS=0
check "a seed that is none" refuses "SEED=-1 is not" SEED=-1
check "an unknown sanitizer" refuses "SANITIZE=memory: there are none and address" SANITIZE=memory
check "a corpus that is not there" refuses "CORPUS=nowhere is no directory" CORPUS=nowhere
mkdir "$dir/empty"
check "a corpus of nothing" refuses "CORPUS=$dir/empty holds no file" CORPUS="$dir/empty"
mkdir "$dir/bin" # all tools but these
while IFS= read -r -d : place; do
    ln -s "$place"/* "$dir/bin/" 2>/dev/null || true
done <<<"$PATH:"
rm -f "$dir"/bin/*clang* "$dir"/bin/afl-*
check "no libFuzzer" refuses "no clang here links with -fsanitize=fuzzer: run make deps" PATH="$dir/bin" CLANG=
check "no AFL++" refuses "no AFL++ here makes targets with -fsanitize=fuzzer: run make deps" ENGINE=afl PATH="$dir/bin" AFL_CLANG=
for name in var findings; do
    touch "$name"
    for engine in "${engines[@]}"; do
        cannot_write() { fuzz 2 ENGINE=$engine 2>"$dir/refusal" && grep -qxE "fuzz: cannot write into (var/$engine/program|findings)" "$dir/refusal"; }
        check "$name that cannot be written" cannot_write
    done
    rm -rf "$name" var findings
done

# ---- what is found ----
shopt -s nullglob
says() { grep -qE -- "$1" "$dir/said" || { cat "$dir/said" && return 1; }; }
# finds SETTING...: exit 1; leaves what was said in $dir/said
finds() { fuzz 1 "$@" >"$dir/said" 2>&1 || { cat "$dir/said" && return 1; }; }

for engine in "${engines[@]}"; do
    check "$engine finds what a seed does" finds ENGINE=$engine TIME=2 CORPUS="$dir/witness"
    check "and says how it was found" says "^found by: make fuzz.* CORPUS=$dir/witness"
    check "under the line that every engine gives it" test -d findings/divergence-bytes-reuse-zero-*
    first=(findings/divergence-bytes-reuse-zero-*)
    [[ -e $dir/first ]] || cp -r "${first[0]}" "$dir/first"
    check "once, and the first is kept" diff -r -x hits "${first[@]}" "$dir/first"
    check "a broken promise is found" finds TARGET=text ENGINE=$engine TIME=2 CORPUS="$dir/planted"
    check "and told" says '^fuzz_text: a planted promise$'
    check "under this line" test -f findings/fuzz-text-a-planted-promise-*/report.txt
    check "a finding is replayed by its target" exits 1 env ENTRY="$(echo findings/fuzz-text-*/input)" bash fuzz/repro.sh
    rm -rf findings/fuzz-text-*/

    # From seeds that do no harm; after its time, whatever it found first.
    rm -rf var
    check "$engine finds what no seed does, in two jobs" finds ENGINE=$engine TIME=3 JOBS=2
    check "they have worked together" says '^fuzz: .*, [1-9][0-9]* programs'
    check "and found it" says '^finding: findings/divergence-'

    # Ctrl-C, which a terminal sends to all of a job.
    before=$(find findings -type f | sort | xargs cksum)
    set -m
    TARGET=text ENGINE=$engine bash fuzz/fuzz.sh >"$dir/said" 2>&1 &
    set +m
    for ((i = 0; i < 300; i++)); do
        [[ -z $(find var/$engine/text -type f -size +0 2>/dev/null | tail -n +20) ]] || break
        sleep 0.1
    done
    kill -INT -- "-$!"
    check "Ctrl-C stops $engine, with nothing found" exits 0 wait $!
    check "it says so" says '^interrupted$'
    check "what it evolved is there" test "$(find var/$engine/text -type f -size +0 | wc -l)" -gt 19
    check "nothing else is" test -z "$(find var -maxdepth 1 -name 'run.*')"
    check "no finding is touched" test "$(find findings -type f | sort | xargs cksum)" = "$before"
    check "nothing runs any more" test -z "$(pgrep -f "$tree/build")"
done

# Of the other builds one: its engine loads the mutator into a process that has no sanitizer.
if find_afl_clang -fsanitize=fuzzer -fsanitize=address,undefined >/dev/null; then
    check "AFL++ with sanitizers" finds ENGINE=afl SANITIZE=address TIME=2 CORPUS="$dir/witness"
    check "run programs" says "^fuzz: .*, [1-9][0-9]* programs"
fi

((${#missing[@]} == 0 || n_failed)) || { echo "skipped: ${missing[0]}" && exit 77; }
exit $((n_failed > 0))
