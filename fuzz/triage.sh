#!/usr/bin/env bash
# Files a finding: TARGET=NAME SANITIZE=none|address fuzz/triage.sh INPUT ENGINE-LOG HOW-IT-WAS-FOUND
# A report is shown once: the keys that were are remembered in the file SHOWN, if there is one. Where the log is missing and needed,
# the words of REPLAY, with the input behind, make it.
# findings/<key>/{input,target,program.ops,minimal.ops,repro.c,report.txt} is written aside and renamed: whole or not there, and never
# overwritten. One finding for each stable line: meeting it again adds a line to its `hits`.
set -euo pipefail
cd "$(dirname "$0")/.."
input=$1 log=$2 how=$3 target=${TARGET:-program}
lockstep=build/lockstep aside=$(mktemp -d findings/.new.XXXXXX)
trap 'rm -rf "$aside"' EXIT

# ---- the stable line: of the replay if that diverges too, else of the engine's own report ----
# What a target says of a broken promise begins so.
promise='^(divergence|fuzz_[a-z]+): '

# frames: up to three functions of ours, the innermost first: of the first stack in the log that has any
frames() {
    awk '$1 ~ /^#[0-9]+$/ && $2 ~ /^0x/ {
            if ($3 != "in" || $5 !~ /\/(impl|reference|fuzz)\/[^ ]+\.[ch](:|$)/)
                next
            for (place = $5; match(place, /\/(impl|reference|fuzz)\//); )
                place = substr(place, RSTART + 1)
            sub(/:.*/, "", place)
            printf "%s%s (%s)", n++ ? ", " : "", $4, place
            if (n == 3)
                exit
            next
        }
        n { exit }' "$log"
}

# crash_line: "crash: <what the engine's or sanitizer's summary calls it> in <frames>"
crash_line() {
    local summary place
    summary=$(sed -n 's/^SUMMARY: //p' "$log" | head -n 1 | sed -E 's/ \(.*\)$//; s/ in $//; s/[^ ]*\/((impl|reference|fuzz)\/)/\1/')
    place=$(frames)
    # Where a timeout or a full memory strikes is chance.
    if [[ -n $place && $summary != *timeout* && $summary != *out-of-memory* ]]; then
        # Without the line that the summary names, and without numbers of leaked bytes: these change with every edit.
        summary=$(sed -E 's/ (impl|reference|fuzz)\/.*$//; s/ in .*$//; s/[0-9]+ byte\(s\) leaked.*/leak/' <<<"$summary")" in $place"
    fi
    echo "crash: ${summary:-unknown, see the report}"
}

status=0
touch "$aside/out" "$aside/err"
if [[ $target == program ]]; then
    # The group hides only what bash itself says of a process that crashed.
    { timeout -k 1 60 "$lockstep" run "$input" >"$aside/out" 2>"$aside/err" </dev/null || status=$?; } 2>/dev/null
    # Its last lines name a file that is about to move.
    sed -i "/^reproduce: /d; \\|^$input: |d" "$aside/err"
fi
line=$(head -n 1 "$aside/out")
if [[ $status != 1 || -z $line ]]; then
    [[ -e $log ]] || { $REPLAY "$input" >"$log" 2>&1 </dev/null || true; } 2>/dev/null
    line=$(grep -m 1 -aE "$promise" "$log" | sed 's/:$//' || true)
    [[ -n $line ]] || line=$(crash_line)
    # It takes what the same process did before: the rig or the pool has kept something that it must not.
    [[ $target != program || $status != 0 || $line != divergence:* ]] || line="unstable: $line"
fi

report() {
    local replay="${RIG_SUBJECT:+RIG_SUBJECT=$RIG_SUBJECT }make repro ENTRY=findings/$key/input"
    [[ ${SANITIZE:-none} == none ]] || replay+=" SANITIZE=$SANITIZE"
    echo "$line"
    echo
    if [[ $line == unstable:* ]]; then
        echo "It fails only after what ran before it in the same process: alone, in a fresh one, pool and model agree."
        echo "Then it is our bug: something of the rig or the pool lasts from one program to the next."
        echo
    fi
    echo "$how"
    case $target:$status in
        program:0) echo "reproduce: $replay (build/lockstep alone finds nothing wrong: see the engine's report)" ;;
        program:[!1]*) echo "reproduce: $replay (build/lockstep ends with status $status)" ;;
        *) echo "reproduce: $replay" ;;
    esac
    if [[ -s $aside/minimal.err ]]; then
        printf '\n---- the minimal program ----\n'
        cat "$aside/minimal.err"
    elif [[ -s $aside/err ]]; then
        printf '\n---- the replay ----\n'
        cat "$aside/err"
    fi
    [[ -s $log ]] || return 0 # not asked: the replay told
    printf '\n---- the engine ----\n'
    # From the first thing that went wrong on; progress before it says nothing.
    sed -nE "/$promise|^==[0-9]+==|runtime error: /,\$p" "$log" | head -n 200
}

# The first page of the report; the engine's stack only where the replay has no story of its own.
show() {
    echo "$key" >>"${SHOWN:-/dev/null}"
    awk '/^---- the (replay|minimal program)/ { told = 1 } /^---- the engine/ && told { exit } { print }' "findings/$key/report.txt" | head -n 40
    echo "finding: findings/$key"
}

# ---- the smallest program, if the finding is a program that fails by itself ----
. fuzz/smaller.sh
trap : INT # Ctrl-C ends the minimising early, not the filing
minimise() {
    [[ $target == program && $status == [13] ]] || return 0
    smaller "$lockstep" "$input" "$aside" "$key" || return 0
    { timeout -k 1 60 "$lockstep" run "$aside/minimal.ops" >/dev/null 2>"$aside/minimal.err" </dev/null || true; } 2>/dev/null
    sed -i "/^reproduce: /d; /^1 programs, /d; \\|^$aside/minimal.ops: |d" "$aside/minimal.err"
}

# ---- file it ----
slug=$(tr '[:upper:]' '[:lower:]' <<<"$line" | tr -cs 'a-z0-9\n' '-' | cut -c 1-60)
slug=${slug#-}
key=${slug%-}-$(sha256sum "$input" | cut -c 1-8)
for known in findings/"${slug%-}"-*/; do
    if [[ -f $known/report.txt && $(head -n 1 "$known/report.txt") == "$line" ]]; then
        echo "$(date -u +%FT%TZ) $(sha256sum "$input" | cut -c 1-64) $how" >>"$known/hits"
        key=$(basename "$known")
        ! grep -qxF "$key" "${SHOWN:-/dev/null}" 2>/dev/null || exit 0
        echo "found again, hit $(wc -l <"$known/hits") after the first, which is kept: findings/$key"
        show
        exit 0
    fi
done
cp "$input" "$aside/input"
echo "$target" >"$aside/target"
[[ $target == program ]] && "$lockstep" show "$input" >"$aside/program.ops" 2>/dev/null || rm -f "$aside/program.ops"
minimise
report >"$aside/report.txt"
rm -f "$aside"/{out,err,minimal.err}
chmod 755 "$aside"
mv -T "$aside" "findings/$key"
show
