# shellcheck shell=bash
# The smallest program of a finding, and the same in C; sourced by triage.sh and minimize.sh.

# smaller LOCKSTEP PROGRAM DIRECTORY KEY: makes DIRECTORY/minimal.ops, and of the pool repro.c where C can express it. Says on stderr why not.
# Two minutes; Ctrl-C, too, leaves the smallest program so far.
smaller() {
    local lockstep=$1 program=$2 directory=$3 key=$4
    timeout --foreground -s INT "${MINIMIZE_TIME:-120}" "$lockstep" minimize -o "$directory/minimal.ops" "$program" </dev/null || return
    [[ ${RIG_SUBJECT:-pool} == pool ]] || return 0 # C is against cowpool.h
    if "$lockstep" emit-c "$directory/minimal.ops" >"$directory/repro.c.new" </dev/null; then
        sed -i "1s| repro\.c | findings/$key/repro.c |" "$directory/repro.c.new"
        mv "$directory/repro.c.new" "$directory/repro.c"
    else
        rm -f "$directory/repro.c.new"
    fi
}
