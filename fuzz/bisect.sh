#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Which commit made a program fail: make bisect ENTRY=file [GOOD=rev] [BAD=HEAD]. Without GOOD it looks for a commit at which the
# program agrees, 1, 2, 4, 8 ... before BAD. Commits are built beside everything, in a repository that borrows this one's objects: nothing here
# changes, and what is not committed is not looked at. Commits are skipped that do not build, or whose tool does not know
# something in the program. Any failure counts, whichever its line.
# Exit code: 0 found; 2 wrong use, or it cannot be told.
set -euo pipefail
cd "$(dirname "$0")/.."

give_up() {
    echo "bisect: $*" >&2
    exit 2
}

[[ -n ${ENTRY-} ]] || give_up "say which: make bisect ENTRY=file [GOOD=rev] [BAD=HEAD]"
[[ -r $ENTRY && -f $ENTRY ]] || give_up "cannot read $ENTRY"
command -v git >/dev/null || give_up "there is no git here"
prefix=$(git rev-parse --show-prefix) || give_up "$PWD is no git checkout"
[[ -z $prefix ]] || give_up "$PWD is not the top of its git checkout"
name() { git log -1 --format='%h %s' "$1"; }
# commit REV: its hash
commit() { git rev-parse --quiet --verify "$1^{commit}" || give_up "no such commit: $1"; }
bad=$(commit "${BAD:-HEAD}")
good=${GOOD:+$(commit "$GOOD")}
[[ -z $good ]] || git merge-base --is-ancestor "$good" "$bad" || give_up "GOOD=$GOOD is no ancestor of BAD=${BAD:-HEAD}"
hint=''
[[ -z $(git status --porcelain --untracked-files=no) ]] || hint="; what is not committed here is not looked at"

export dir
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cp "$ENTRY" "$dir/entry"
objects=$(realpath "$(git rev-parse --git-path objects)") shallow=$(realpath "$(git rev-parse --git-path shallow)")
# Whoever runs us from a hook has set where the repository is; and whoever has hooks for all of his means other ones.
mapfile -t variables < <(git rev-parse --local-env-vars)
unset "${variables[@]}"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init -q -b bisect "$dir/tree"
cd "$dir/tree"
echo "$objects" >.git/objects/info/alternates
[[ ! -e $shallow ]] || cp "$shallow" .git/shallow

# try: the commit that is checked out. 0 the program agrees, 1 it fails, 125 that cannot be told; with a line about it.
try() {
    local code=0 word='' what=''
    if ! .ci/build.sh release lockstep >"$dir/log" 2>&1; then
        code=125 what="   (does not build)"
    else
        build/lockstep run --timeout 20 "$dir/entry" >"$dir/out" 2>"$dir/log" </dev/null || code=$?
        case $code in
            0) ! grep -q '^SKIPPED ' "$dir/log" || { code=125 && what="   (cannot run it here)"; } ;;
            2) code=125 what="   (does not know something in it)" ;;
            *) code=1 what="   ($(head -n 1 "$dir/out" | sed 's/ in [^ ]*$//'))" ;;
        esac
    fi
    case $code in 0) word=agrees ;; 1) word=fails ;; *) word=skipped ;; esac
    printf '%-8s %s%s\n' $word "$(git log -1 --format='%h %s')" "$what"
    return $code
}
# try_at COMMIT: the same of that one, into `result`
try_at() {
    git checkout -q --detach "$1"
    result=0
    try || result=$?
}

try_at "$bad"
case $result in
    0) give_up "the program does not fail at BAD, $(name "$bad")$hint" ;;
    125) sed 's/^/    /' "$dir/log" | tail -n 20 >&2 && give_up "it cannot be told at BAD, $(name "$bad")" ;;
esac
line=$(head -n 1 "$dir/out" | sed 's/ in [^ ]*$//')
# Bytes mean another program in another version, and what a text expects may be out of date.
if build/lockstep show "$dir/entry" >"$dir/text" 2>/dev/null && ! build/lockstep run "$dir/text" >/dev/null 2>&1; then
    mv "$dir/text" "$dir/entry"
fi

if [[ -n $good ]]; then
    try_at "$good"
    case $result in
        1) give_up "the program fails at GOOD too, $(name "$good")" ;;
        125) give_up "it cannot be told at GOOD, $(name "$good")" ;;
    esac
fi
# Back by ever more commits, over those that cannot be told. If none agrees: what lies between the last that fails and those.
oldest=$(($(git rev-list --first-parent --count "$bad") - 1)) from=$bad fails=0 skipped='' n=0
while [[ -z $good ]]; do
    if ((n < oldest)); then
        n=$((n ? 2 * n : 1))
        ((n < oldest)) || n=$oldest
    else
        [[ -n $skipped ]] || give_up "the program passes at no commit that was tried, down to the first: $(name "$from~$oldest")"
        ((skipped - fails > 1)) || give_up "the program fails down to $(name "$bad"), before which it cannot be told: say GOOD=rev"
        n=$(((fails + skipped) / 2)) oldest=0
    fi
    try_at "$from~$n"
    case $result in
        0) good=$(git rev-parse HEAD) ;;
        1) bad=$(git rev-parse HEAD) fails=$n && ((oldest == 0)) || skipped='' ;;
        *) ((oldest)) && skipped=${skipped:-$n} || skipped=$n ;;
    esac
done

git bisect start "$bad" "$good" >/dev/null
if ! grep -q '^# first bad commit: ' .git/BISECT_LOG; then
    { declare -f try && echo try; } >"$dir/try" # an exported function does not get through every sh
    git bisect run bash "$dir/try" 2>&1 | grep -E '^(agrees|fails|skipped) ' || true
fi
found=$(sed -nE 's/^# first bad commit: \[([0-9a-f]+)\].*/\1/p' .git/BISECT_LOG)
if [[ -z $found ]]; then
    sed -nE 's/^# possible first bad commit: \[([0-9a-f]+)\].*/\1/p' .git/BISECT_LOG |
        xargs -r git log --no-walk --format='    %h %s' >&2
    give_up "one of these, but those between could not be tried"
fi
printf '\nthe first commit at which it fails:\n\n'
git log -1 --stat "$found"
printf '\nwith BAD it is: %s\n' "$line"
