#!/usr/bin/env bash
# The smallest program that fails the same way: make minimize ENTRY=file. Of a finding (ENTRY=findings/<key>, or a file in it)
# it becomes that finding's minimal.ops, with repro.c beside it; of any other program it is printed.
# Exit code: 0; 2 wrong use, unreadable, or a program that does not fail.
set -euo pipefail
cd "$(dirname "$0")/.."
. fuzz/smaller.sh

give_up() {
    echo "minimize: $*" >&2
    exit 2
}

[[ -n ${ENTRY-} ]] || give_up "say which: make minimize ENTRY=file"
entry=${ENTRY%/}
[[ ! -d $entry ]] || entry+=/input
[[ -r $entry && -f $entry ]] || give_up "cannot read $entry"
log=$(.ci/build.sh release lockstep 2>&1) || { echo "$log" >&2 && exit 2; }
trap : INT # the tool ends with what it has

directory=$(realpath "$(dirname "$entry")")
if [[ ${directory%/*} != "$PWD/findings" ]]; then
    build/lockstep minimize "$entry"
    exit
fi
smaller build/lockstep "$entry" "$directory" "${directory##*/}" || exit 2
echo "written: findings/${directory##*/}/minimal.ops"
