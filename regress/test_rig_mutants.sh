#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Breaks the rig and the model, one small thing after the other, and watches the tests fail that are there for it. What is broken stands
# in regress/rig_mutants:
#
#   == what is broken
#   FILE KILLER...       tests, by name; the first that fails will do. `replay` is lockstep run over the corpus
#   - lines that stand in the file exactly once, whatever their indentation
#   + lines in place of them
#
# test_rig_mutants.sh [WORDS]: only the mutants with these words in them, each with what its killer says.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
build=$(realpath "${BUILD_DIR:-build}")
only=${1:-}
at_least=20

skip() {
    echo "skipped: $*"
    exit 77
}

# The mutated file is compiled like the others, but in a hurry.
option() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
[[ -z $(option COW_SANITIZE) ]] || skip "another build does this"
read -ra compile <<<"${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -w -Ifuzz -Iimpl -Ireference -Iimpl/include"
[[ $(option COW_DEBUG) != ON ]] || compile+=(-DCOW_DEBUG=1)
[[ $(option COW_HOSTILE) != ON ]] || compile+=(-DCOW_HOSTILE=1)
cc=${compile[*]}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# One directory for each mutant: title, file, killers, and the lines to be taken away and put there instead.
awk -v dir="$dir" '
    /^== / { n++; it = sprintf("%s/%03d", dir, n); system("mkdir " it); print substr($0, 4) >it "/title"; file = ""; next }
    /^#/ || /^$/ || !n { next }
    /^[-+]/ { print substr($0, 3) > (it "/" (/^-/ ? "old" : "new")); next }
    { file = $1; print file >it "/file"; $1 = ""; print >it "/killers" }' regress/rig_mutants/*

# change IT: the file with its lines replaced; they must be there, and once. Blanks at the ends of lines do not count.
change() {
    touch "$1/new"
    awk -v old="$1/old" -v new="$1/new" '
        function trim(line) { gsub(/^[ \t]+|[ \t]+$/, "", line); return line }
        BEGIN { while ((getline line <old) > 0) lines[++n_old] = trim(line) }
        { text[++n] = $0 }
        END {
            for (i = 1; i <= n; i++) {
                for (k = 0; k < n_old && trim(text[i + k]) == lines[k + 1]; k++) continue
                if (!n_old || k < n_old) { print text[i]; continue }
                n_found++
                while ((getline line <new) > 0) print line
                i += n_old - 1
            }
            if (n_found != 1) { print "its lines are there " n_found + 0 " times, not once" >"/dev/stderr"; exit 1 }
        }' "$(<"$1/file")"
}

# link KILLER OBJECT...: makes the killer, or the tool that it runs, with these objects in place of those of the build
link() {
    local killer=$1 objects=() object
    shift
    if [[ -f regress/$killer.c ]]; then
        objects=("$build/CMakeFiles/$killer.dir/regress/$killer.c.o")
    else
        for object in "$build"/CMakeFiles/lockstep.dir/fuzz/*.o; do
            [[ " $* " == *"/$(basename "$object" .c.o).o "* ]] || objects+=("$object")
        done
    fi
    $cc "${objects[@]}" "$@" "$build"/libcow_{rig,reference,impl}.a -pthread -o "${1%/*}/program"
}

# kill_by KILLER PROGRAM: how it ends
kill_by() {
    case $1 in
        replay) timeout 60 "$2" run corpus regress/programs ;;
        *) if [[ -f regress/$1.c ]]; then timeout 60 "$2"; else LOCKSTEP=$2 timeout 60 bash "regress/$1.sh"; fi ;;
    esac
}

# try IT: a line, ok or not
try() {
    local it=$1 title killer file status tried=() complaint=
    title=$(<"$it/title") file=$(<"$it/file")
    [[ -z $only || $title$(cat "$it"/{file,killers,old}) == *"$only"* ]] || return 0
    mkdir -p "$it/$(dirname "$file")"
    change "$it" >"$it/$file" 2>"$it/log" || complaint=$(<"$it/log")
    [[ -n $complaint ]] || $cc -c "$it/$file" -o "$it/$(basename "$file" .c).o" 2>"$it/log" ||
        complaint="it does not compile: $(grep -m 1 error "$it/log")"
    for killer in $(<"$it/killers"); do
        [[ -z $complaint ]] || break
        link "$killer" "$it"/*.o 2>"$it/log" || { complaint="it does not link: $(head -n 1 "$it/log")" && break; }
        status=0
        kill_by "$killer" "$it/program" >"$it/log" 2>&1 || status=$?
        if ((status != 0 && status != 77 && status != 124)); then
            printf 'ok     %-24s %s\n' "$killer" "$title"
            [[ -z $only ]] || tail -n 20 "$it/log" | sed 's/^/       /'
            rm -rf "$it"
            return
        fi
        tried+=("$killer ends with $status")
    done
    printf 'not ok %s: %s\n' "$title" "${complaint:-it survives: ${tried[*]}}"
}

# Honest: all these files, compiled like this, pass all these tests.
honest() {
    local file killer status=0 objects=()
    mkdir "$dir/honest"
    for file in $(cat "$dir"/*/file | sort -u); do
        objects+=("$dir/honest/$(basename "$file" .c).o")
        $cc -c "$file" -o "${objects[-1]}"
    done
    for killer in $(cat "$dir"/*/killers | tr ' ' '\n' | sort -u); do
        { link "$killer" "${objects[@]}" && kill_by "$killer" "$dir/honest/program"; } >"$dir/honest/log" 2>&1 ||
            { status=1 && echo "not ok $killer fails though nothing is broken:" && tail -n 5 "$dir/honest/log"; }
    done
    return $status
}

export -f change link kill_by try
export build cc only
mapfile -t mutants < <(printf '%s\n' "$dir"/[0-9]*)
[[ -n $only ]] || honest
printf '%s\n' "${mutants[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'try {}' | tee "$dir/report"
n_killed=$(grep -c '^ok' "$dir/report" || true) n_alive=$(grep -c '^not ok' "$dir/report" || true)
echo "mutants of the rig: $n_killed killed, $n_alive not"
((n_alive == 0 && n_killed > 0)) && { [[ -n $only ]] || ((n_killed >= at_least)); }
