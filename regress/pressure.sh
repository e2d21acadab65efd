#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The pool under the real machine: `make pressure [ONLY='case ...'] [PRESSURE_OVERCOMMIT=1]`. Brings the machine into the state that
# each case of build/pressure needs, runs it, and puts everything back, after Ctrl-C too; what a killed run left is put
# back by the next one. One line for each case; ends with the tally `N passed, N failed, N skipped`.
# Exit code: 0; 1 when a case failed or the machine is not as it was; 2 for what could not be run.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
where=build/pressure.d
ksm=/sys/kernel/mm/ksm thp=/sys/kernel/mm/transparent_hugepage
swap_mib=128

give_up() {
    echo "pressure: $*" >&2
    exit 2
}

# ---- undoing ----
# Commands, one a line, each written down before what it undoes is done; so each must do no harm when there is nothing to undo, since
# a signal came between, or a second time. After a reboot they would be wrong: a file for each boot.
undo_file=$where/undo-$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo boot)

will_undo() { printf '%q %q %q\n' "$1" "$2" "${3-}" >>"$undo_file"; }

# The one chosen of "a [b] c", else all.
value_of() {
    local value
    value=$(cat "$1") || return 1
    [[ ! $value =~ \[(.*)\] ]] || value=${BASH_REMATCH[1]}
    echo "$value"
}

put_back() { [[ $(value_of "$1") == "$2" ]] || echo "$2" >"$1"; } # FILE VALUE
reset_zram() { [[ $(cat "$1/disksize") == 0 ]] || echo 1 >"$1/reset"; }
remove() { rm -f "$1"; }
remove_dir() { ! [[ -d $1 ]] || rmdir "$1"; }
swap_off() { # FILE OR DEVICE
    ! awk '{ print $1 }' /proc/swaps | grep -qxF -- "${1// /\\040}" || swapoff "$1"
}

# Last done, first undone. What fails is said, and left for the next run.
undo() {
    local command left=()
    [[ -s $undo_file ]] || return 0
    while IFS= read -r command; do
        eval "$command" 2>"$where/stderr" || {
            echo "pressure: cannot undo: $command: $(tail -n 1 "$where/stderr")" >&2
            left=("$command" "${left[@]}")
        }
    done < <(tac "$undo_file")
    : >"$undo_file"
    ((${#left[@]} == 0)) || { printf '%s\n' "${left[@]}" >"$undo_file" && return 1; }
}

# switch FILE VALUE: writes it, and remembers what was there
switch() {
    local was
    was=$(value_of "$1") 2>/dev/null || return 1
    [[ $was != "$2" ]] || return 0
    will_undo put_back "$1" "$was"
    { echo "$2" >"$1"; } 2>/dev/null
}

# What could be left changed, as the kernel tells it.
fingerprint() {
    local file
    for file in $ksm/* $thp/{enabled,shmem_enabled} /proc/sys/vm/{overcommit_memory,max_map_count} /sys/block/zram*/disksize; do
        case ${file##*/} in
            advisor_mode | merge_across_nodes | run | use_zero_pages | pages_to_scan | sleep_millisecs | smart_scan | disksize | \
                enabled | shmem_enabled | overcommit_memory | max_map_count) echo "$file $(cat "$file" 2>/dev/null)" ;;
        esac
    done
    awk '{ print $1, $2, $3, $5 }' /proc/swaps
    find /sys/fs/cgroup -maxdepth 2 -name 'cowpool-pressure*' 2>/dev/null || true
}

# ---- what cases need ----
# need_X: brings it about, or returns 1 with $reason. Whatever it did half-way is undone as well.

is_root() {
    [[ $EUID == 0 ]] || { reason="not root" && return 1; }
}

swap_on() { # FILE OR DEVICE: with the highest priority, so that what goes out goes there
    mkswap "$1" >/dev/null 2>"$where/stderr" || return 1
    will_undo swap_off "$1"
    swapon -p 32767 "$1" 2>"$where/stderr"
}

swap_file() {
    will_undo remove "$where/swap"
    (umask 077 && head -c "${swap_mib}M" /dev/zero >"$where/swap") 2>"$where/stderr" || return 1
    swap_on "$PWD/$where/swap"
}

swap_zram() {
    local device
    for device in /sys/block/zram*; do
        [[ $(cat "$device/disksize" 2>/dev/null) == 0 ]] || continue
        will_undo reset_zram "$device"
        { echo "${swap_mib}M" >"$device/disksize"; } 2>/dev/null || return 1
        swap_on "/dev/${device##*/}"
        return
    done
    return 1
}

need_swap() {
    is_root || return 1
    swap_file && return
    reason="no swap, and no free zram: $(tail -n 1 "$where/stderr")" # what a file was refused for
    swap_zram
}

need_cgroup() {
    local root
    root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
    if [[ -z $root ]]; then
        root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
        grep -qw memory "$root/cgroup.subtree_control" 2>/dev/null || { reason="no memory cgroups here" && return 1; }
    fi
    export PRESSURE_CGROUP=$root/cowpool-pressure-$$
    will_undo remove_dir "$PRESSURE_CGROUP"
    mkdir "$PRESSURE_CGROUP" 2>/dev/null || { reason="no cgroup may be made in $root" && return 1; }
}

need_ksm() {
    local knob
    is_root || return 1
    [[ -e $ksm/use_zero_pages ]] || { reason="this kernel has no KSM, or none with zero pages" && return 1; }
    # Only what makes it quick may be missing.
    for knob in "advisor_mode none" "smart_scan 0" "pages_to_scan 10000" "sleep_millisecs 1"; do
        [[ ! -e $ksm/${knob% *} ]] || switch "$ksm/${knob% *}" "${knob#* }" || true
    done
    { switch $ksm/use_zero_pages 1 && switch $ksm/run 1; } || { reason="KSM cannot be switched on" && return 1; }
}

need_huge() {
    is_root || return 1
    [[ -e $thp/shmem_enabled ]] || { reason="this kernel has no huge pages" && return 1; }
    { switch $thp/enabled always && switch $thp/shmem_enabled force; } || { reason="huge pages cannot be switched on" && return 1; }
}

need_overcommit() {
    [[ ${PRESSURE_OVERCOMMIT-} == 1 ]] || { reason="other processes may fail meanwhile: PRESSURE_OVERCOMMIT=1 allows it" && return 1; }
    is_root || return 1
    switch /proc/sys/vm/overcommit_memory 2 || { reason="vm.overcommit_memory cannot be changed" && return 1; }
}

# ---- running ----

child=''
leave() {
    local code=$?
    trap '' INT TERM HUP
    trap - EXIT
    [[ -z $child ]] || kill -KILL "$child" 2>/dev/null || true
    [[ -z $child ]] || wait "$child" 2>/dev/null || true
    undo || code=1
    rm -f "$where/stderr" "$where/output" "$where/before" "$where/after"
    [[ -s $undo_file ]] || rm -f "$undo_file"
    exit "$code"
}

passed=0 failed=0 skipped=0
tell() { # VERDICT NAME WORDS
    [[ ! -t 1 ]] || printf '\r\e[K'
    printf '%-8s %-20s %s\n' "$@"
}

run() { # NAME NEEDS
    local name=$1 need code=0 words reason=''
    for need in ${2/#-/}; do
        "need_$need" || {
            undo || true
            skipped=$((skipped + 1))
            tell skipped "$name" "$reason"
            return
        }
    done
    # In the background, so that a signal to this script ends the wait at once.
    "$pressure" "$name" >"$where/output" 2>&1 &
    child=$!
    { wait "$child" || code=$?; } 2>/dev/null # bash would tell of a signal
    child=''
    words=$(grep -v '^$' "$where/output" | tail -n 1 || true)
    undo || code=1 words="the machine could not be put back"
    case $code in
        0) passed=$((passed + 1)) && tell ok "$name" "$words" ;;
        77) skipped=$((skipped + 1)) && tell skipped "$name" "${words#skipped: }" ;;
        *)
            ((code < 128)) || words="killed by signal $((code - 128))${words:+: $words}"
            failed=$((failed + 1))
            tell FAILED "$name" "${words#not ok }"
            ;;
    esac
}

pressure=${PRESSURE-}
if [[ -z $pressure ]]; then
    words=$(.ci/build.sh release pressure 2>&1) || { echo "$words" >&2 && give_up "the build failed"; }
    pressure=build/pressure
fi
[[ -x $pressure ]] || give_up "there is no program $pressure"
mkdir -p "$where" 2>/dev/null || give_up "cannot write into build"
if command -v flock >/dev/null; then
    exec 9</proc/sys/vm/overcommit_memory # one for the whole machine
    flock -n 9 || give_up "another one is running on this machine"
fi
cases=$("$pressure" list)
for name in ${ONLY-}; do
    cut -f 1 <<<"$cases" | grep -qxF -- "$name" || give_up "there is no case '$name': $(cut -f 1 <<<"$cases" | paste -sd ' ')"
done

trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
[[ ! -s $undo_file ]] || echo "pressure: undoing what a killed run has left" >&2
undo || give_up "the machine is still as a killed run left it: $undo_file"
fingerprint >"$where/before"
while IFS=$'\t' read -r name needs about; do
    [[ -z ${ONLY-} || " $ONLY " == *" $name "* ]] || continue
    [[ ! -t 1 ]] || printf '%-8s %-20s %s' ... "$name" "$about"
    run "$name" "$needs"
done <<<"$cases"
fingerprint >"$where/after"
if ! cmp -s "$where/before" "$where/after"; then
    failed=$((failed + 1))
    tell FAILED "the machine" "it is not as it was: $(diff "$where/before" "$where/after" | grep '^[<>]' | paste -sd ' ')"
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
