#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make bisect, over histories that are made up: one of this very project, and one whose commits are quickly built, of two files
# of the pool and what there is of the rest. A historic bug is planted among commits that change nothing, do not build, or do not know
# the program. Whoever asks finds nothing changed.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
. regress/patched.sh
command -v git >/dev/null || { echo "skipped: there is no git here" && exit 77; }
use_tool_build "$(realpath "${BUILD_DIR:-build}")"
[[ -z $sanitizers ]] || { echo "skipped: another build does this" && exit 77; }
source=$PWD program=$PWD/regress/programs/b1-image-stays.ops bug=$PWD/regress/bugs/B1.patch
export TMPDIR=$dir/tmp GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=test
mkdir "$TMPDIR"

# ---- what is asked ----
state() { git status --porcelain --ignored && git for-each-ref && git worktree list && find .git -type f | sort && cat .git/HEAD; }
# bisect CODE SETTING...: in the repository that is the working directory; what it said is in $dir/said
bisect() {
    local code=$1 before
    shift
    before=$(state)
    exits "$code" env "$@" bash fuzz/bisect.sh >"$dir/said" 2>&1 || { cat "$dir/said" && return 1; }
    [[ $(state) == "$before" ]] || { echo "the repository has changed" && diff <(echo "$before") <(state); return 1; }
    [[ -z $(ls "$TMPDIR") ]] || { echo "something is left in $TMPDIR: $(ls "$TMPDIR")" && return 1; }
}
says() {
    local regex
    for regex; do
        grep -qE -- "$regex" "$dir/said" || { echo "no line '$regex' in:" && cat "$dir/said" && return 1; }
    done
}
refuses() { bisect 2 "${@:2}" && [[ $(grep -c '^bisect: ' "$dir/said") == 1 ]] && says "^bisect: $1"; }

# ---- histories ----
# keep MESSAGE: a commit, and a tag of its first word
keep() { git add -A && git commit -qm "$1" && git tag "${1%% *}"; }
begin() { mkdir "$dir/$1" && cd "$dir/$1" && git init -q -b main && echo /build/ >.gitignore && mkdir fuzz .ci && cp "$source/fuzz/bisect.sh" fuzz/; }

begin quick
cp -r "$source/impl" .
cat >.ci/build.sh <<END
mkdir -p build && $(printf '%q ' "${compile[@]}") impl/names.c $(patched_sources "$bug" | xargs) $(printf '%q ' "${rig[@]}") -pthread -o build/lockstep
END
cp .ci/build.sh "$dir/build.sh"
printf '#!/bin/sh\nmkdir -p build && printf "#!/bin/sh\\nexit 2\\n" >build/lockstep && chmod +x build/lockstep\n' >.ci/build.sh
chmod +x .ci/build.sh
keep "old has a tool that does not know the program"
{ echo '#!/bin/sh' && cat "$dir/build.sh"; } >.ci/build.sh
keep "good knows it"
echo >text && keep "text is about text"
echo '#error no' >>impl/names.c && keep "unbuilt does not build"
git checkout -q text -- impl && keep "mended builds again"
git apply "$bug" && keep "planted has the bug"
echo >>text && keep "later is about text"
echo >>text && keep "last is about text"
git checkout -q -b other text
git apply "$bug" && echo '#error no' >>impl/names.c && keep "both does not build, and has the bug"
git checkout -q text -- impl/names.c && keep "then builds, and has it still"
git checkout -q main
echo >>text # not committed

check "the commit is found" bisect 0 ENTRY="$program"
check "by its name" says '^    planted has the bug$' '^ impl/[a-z]+\.c ' '^with BAD it is: divergence: '
check "going back first, over what does not build" says '^fails    [0-9a-f]+ later ' '^skipped  [0-9a-f]+ unbuilt .*does not build' '^agrees   [0-9a-f]+ mended '
check "between two commits" bisect 0 ENTRY="$program" GOOD=mended BAD=later
check "it is the same" says '^    planted has the bug$'
"$lockstep" asm "$program" -o "$dir/input"
check "a binary program" bisect 0 ENTRY="$dir/input" GOOD=mended BAD=planted
check "finds it too" says '^    planted has the bug$'
check "where the commit before does not build" refuses "one of these, but those between could not be tried" ENTRY="$program" GOOD=text BAD=then
check "both are named" says '^    [0-9a-f]+ both does' '^    [0-9a-f]+ then builds'

check "no program" refuses "say which" ENTRY=
check "a program that cannot be read" refuses "cannot read /nowhere" ENTRY=/nowhere
check "a commit that is none" refuses "no such commit: nothing" ENTRY="$program" GOOD=nothing
check "commits in the wrong order" refuses "GOOD=last is no ancestor of BAD=good" ENTRY="$program" GOOD=last BAD=good
check "a program that does not fail" refuses "the program does not fail at BAD, .* mended builds again; what is not committed" ENTRY="$program" BAD=mended
check "one that always did" refuses "the program fails at GOOD too, .* planted has the bug" ENTRY="$program" GOOD=planted
check "a commit that does not build" refuses "it cannot be told at BAD, .* unbuilt does" ENTRY="$program" BAD=unbuilt
check "which says why" says '#error no'
check "one that does not know it" refuses "it cannot be told at GOOD, .* old has" ENTRY="$program" GOOD=old
git checkout -q -f -b young old && git checkout -q good -- . && git apply "$bug" && keep "young knows it, and has the bug"
check "none before which it is known" refuses "the program fails down to .* young knows it, .*, before which it cannot be told" ENTRY="$program"
git checkout -q -f --orphan alone planted && keep "alone is the first of all"
check "no commit at which it passes" refuses "the program passes at no commit that was tried, down to the first: .* alone" ENTRY="$program"
git checkout -q main
mkdir "$dir/plain" && cp -r fuzz "$dir/plain"
not_here() {
    exits 2 env ENTRY="$program" GIT_CEILING_DIRECTORIES="$dir" bash "$dir/plain/fuzz/bisect.sh" >"$dir/said" 2>&1 &&
        says '^bisect: .*/plain is no git checkout$'
}
check "no checkout" not_here

# ---- Ctrl-C, in the middle of a build ----
printf '#!/bin/sh\ntouch "%s/begun" && sleep 600\n' "$dir" >.ci/build.sh
keep "slow takes its time"
interrupt() {
    local code=0 before
    before=$(state)
    ENTRY=$program setsid env --default-signal=INT bash fuzz/bisect.sh >"$dir/said" 2>&1 &
    until [[ -e $dir/begun ]]; do sleep 0.1; done
    kill -INT -- -$!
    wait $! || code=$?
    [[ $code == 130 && -z $(ls "$TMPDIR") && $(state) == "$before" ]] || { echo "exit code $code" && ls "$TMPDIR" && cat "$dir/said" && return 1; }
}
check "Ctrl-C leaves nothing" interrupt

# ---- this project, as it is ----
begin whole
cp -r "$source"/{CMakeLists.txt,CMakePresets.json,.ci,impl,reference,fuzz,bench,regress} .
keep "base is this project"
git apply "$bug" && keep "planted has the bug"
echo >>CMakeLists.txt && keep "last is about text"
check "the commit is found by this project's own build" bisect 0 ENTRY="$program" GOOD=base
check "in its history" says '^    planted has the bug$' '^agrees   [0-9a-f]+ base '
exit $((n_failed > 0))
