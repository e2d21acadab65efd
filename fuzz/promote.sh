#!/usr/bin/env bash
# A finding becomes a regress entry: make promote KEY=key STORY='what went wrong' [NAME=file-name].
# Takes findings/<key>/minimal.ops, puts the story first, adds what the model answers, and writes regress/programs/<name>.ops. Never
# over another one. Exit code: 0, or 2 and one line why not.
set -euo pipefail
cd "$(dirname "$0")/.."

give_up() {
    echo "promote: $*" >&2
    exit 2
}

key=${KEY-} story=${STORY-}
key=${key%/} key=${key#findings/}
[[ -n $key ]] || give_up "say which: make promote KEY=key STORY='what went wrong'"
[[ $key != *[/.]* && -d findings/$key ]] || give_up "there is no finding findings/$key"
[[ $story =~ [^[:space:]] ]] || give_up "say what went wrong: STORY='...' becomes the first comment"
[[ -f findings/$key/minimal.ops ]] || give_up "findings/$key has no minimal.ops: make minimize ENTRY=findings/$key/input"
name=${NAME:-$(sed -E 's/-[0-9a-f]{8}$//' <<<"$key")}
[[ $name =~ ^[a-z0-9][a-z0-9-]*$ ]] || give_up "NAME=$name: small letters, digits and '-'"
target=regress/programs/$name.ops
[[ ! -e $target ]] || give_up "$target exists: choose another name, NAME=..."

log=$(.ci/build.sh release lockstep 2>&1) || { echo "$log" >&2 && exit 2; }
aside=$(mktemp "regress/programs/.new.XXXXXX")
trap 'rm -f "$aside" "$aside".*' EXIT
answers=$(build/lockstep show --expect "findings/$key/minimal.ops" 2>&1) || give_up "what the model answers cannot be told: $(tail -n 1 <<<"$answers")"
{
    head -n 1 <<<"$answers"
    fold -s -w 118 <<<"$story" | sed 's/[[:space:]]*$//; s/^/# /'
    tail -n +2 <<<"$answers"
} >"$aside"
build/lockstep fmt --write "$aside" || give_up "the story cannot stand in a program"
status=0
build/lockstep run "$aside" >"$aside.out" 2>"$aside.err" || status=$?
((status != 2)) || give_up "the program does not agree with what the model answers: $(tail -n 1 "$aside.err")"
chmod 644 "$aside"
ln -T "$aside" "$target" 2>/dev/null || give_up "$target cannot be written" # never over one that came meanwhile
echo "written: $target"
((status == 0)) || echo "it fails on this pool ($(head -n 1 "$aside.out" | sed "s| in $aside||")): make check stays red until the bug is gone"
