#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Makes every small change of regress/mutate.pl in the pool and in the model, one at a time, and looks for what notices it: `make mutants`.
# First the replay of all programs; then the same in a hostile pool, with sanitizers, which know of leaks; then the sweep over some of
# them; then the tests of that file. Each of these stops at the first that ends otherwise than it should: a divergence, a crash, a
# hang, or another hash where the model was changed.
#
#     ONLY=REGEX   only the mutants whose id it matches: impl/slot.c, cow_slot_grow, 'reference/.*:bound'
#     JOBS=n       so many at a time (1)
#     BY=replay    only these of replay, asan, sweep and tests: the first is quick, the others take a minute for what survives
#     FRESH=1      forget what is known
#
# What is known is kept in build/mutants, one file for each mutant, and holds as long as the changed file is the same; what was not killed is
# tried again when the programs or the tests have changed. Ctrl-C loses nothing. Ends with a table, and with build/mutants.json.
#
# regress/mutants.equivalent lists mutants that nothing can notice, with the reason: they must exist, and survive.
# Exit code: 0; 1 if one survives that is not listed, if the list is wrong, or if replay kills too few; 2 in one line why not.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
shopt -s extglob nullglob
least_percent=95 most_listed_percent=10
replay=(run --fail-fast --json --timeout 20 corpus regress/programs)

give_up() {
    echo "mutants: $*" >&2
    exit 2
}

# What programs cannot reach is left to the tests: the reader of Wasm binaries has its own fuzz target; the handlers of the trap
# module are an embedder's; the checks of the checker, which is an oracle, and of the self-test are there for pools and kernels
# that are broken; what sys/linux.c makes of errors: the calls that fail in programs fail in front of it.
is_driven_by_programs() { [[ $1 != impl/@(wasm*|trap|check|selftest|names|sys/linux).[ch] ]]; }

# But half of the checker answers the oracles, and every pool begins with the self-test: some of what is changed there programs notice.
is_met_by_programs() { [[ $1 != impl/@(wasm*|trap|names|sys/linux).[ch] ]]; }

# tests_of FILE: the quick ones first
tests_of() {
    case $1 in
        impl/wasm*) echo test_wasm test_wasm_offsets test_wasm_whole ;;
        impl/trap.c) echo test_trap test_trap_default test_sys test_threads_trap ;;
        impl/fork.c) echo test_fork test_oom test_pool test_threads test_fork_race ;;
        impl/check.c) echo test_check test_pool test_instance test_image test_kernel test_fork test_reset test_queue test_oracles_kernel test_fault ;;
        impl/image*) echo test_image test_image_file test_image_kernel test_oom test_fault test_threads ;;
        impl/adaptive.*) echo test_adaptive test_reset ;;
        impl/handle.*) echo test_handle test_instance ;;
        impl/shard.*) echo test_shard test_queue test_instance test_pool test_reset test_oom test_threads test_fault ;;
        impl/locate.c) echo test_oracles_locate test_instance test_trap ;;
        impl/names.c) echo test_pool test_image test_sys ;;
        impl/selftest.c) echo test_selftest test_kernel test_reset test_environment test_fault ;;
        impl/sys/*) echo test_sys test_selftest test_reset test_queue test_environment test_instance test_pool test_kernel test_image test_image_file test_fork test_fault ;;
        reference/*) echo test_oracles test_oracles_host test_oracles_traps test_rig ;;
        *) echo test_reset test_queue test_instance test_pool test_kernel test_check test_oom test_environment test_image test_fork test_trap test_handle test_threads test_fault ;;
    esac
}

n_complaints=0
complain() {
    echo "mutants: $*" >&2
    n_complaints=$((n_complaints + 1))
}

# is_asked KILLER
is_asked() { [[ " ${BY:-replay asan sweep tests} " == *" $1 "* ]]; }

# ---- one mutant ----

# compile DIRECTORY FILE: that file of DIRECTORY; if it is a header, all of the pool. The objects are DIRECTORY/*.o.
compile() {
    local sources=("$2")
    [[ $2 != *.h ]] || sources=(impl/*.c impl/sys/*.c)
    (cd "$1" && "${compiler[@]}" -iquote "$root/impl" -iquote "$root/impl/sys" -iquote "$root/impl/include" -iquote "$root/reference" -c "${sources[@]}")
}

# objects DIRECTORY: what the compiler made, as one string; original FILE: where the same of the unchanged file is kept
objects() { cat "$1"/*.o | cksum; }
original() { echo "$state/objects/$(tr / % <<<"${1/%*.h/headers}")"; }

# link PROGRAM FILE: that program of the build with the changed objects; of the archives the linker takes only what is missing.
# A test may contain a file of the pool, and may stand between the pool and the C library.
link() {
    local objects=("$build/CMakeFiles/$1.dir"/*/*.o "$dir"/*.o) wraps
    if grep -qsE "^#include \"(.*/)?${2##*/}\"" "regress/$1.c"; then
        "${compiler[@]}" -iquote "$dir/${2%/*}" -iquote "$dir/impl" -iquote regress -Ifuzz -Iimpl -Iimpl/include -Ireference -c "regress/$1.c" -o "$dir/contains" || return
        objects=("$dir/contains")
    fi
    mapfile -t wraps < <(nm "${objects[0]}" | sed -n 's/.* T __wrap_/-Wl,--wrap=/p')
    "${compiler[@]}" "${wraps[@]}" "${objects[@]}" "$build"/libcow_{rig,reference,impl}.a -pthread -o "$dir/$1"
} >"$dir/log" 2>&1

# killed_by SECONDS COMMAND...: runs it; true if it does not end with 0. Leaves what it printed in $dir/out and $dir/err, and nothing running.
killed_by() {
    local status=0
    setsid timeout -k 1 "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    running=$!
    { wait "$running" || status=$?; } 2>/dev/null # bash tells of who was killed
    stop
    by=$(grep -m 1 -E '^(divergence|crash): ' "$dir/out") || by=$(grep -m 1 . "$dir/err") || by="status $status, $(grep -m 1 '^not ok' "$dir/out")"
    return $((status == 0))
}

# stop: what a mutant forked goes with it
stop() {
    [[ -z ${running-} ]] || kill -KILL -- "-$running" 2>/dev/null || true
    running=''
}

# Whether the unchanged tree still passes where the mutant was killed: somebody may be trying the limits of this machine.
is_sound() { setsid timeout -k 1 60 "$@" >"$dir/out" 2>&1 </dev/null; }

# find_program: sets `where` to the program that lockstep run complained of
find_program() {
    where=$(sed -n 's/^crash: .* in \([^ ]*\)$/\1/p' "$dir/out" && sed -En 's/^reproduce: make repro ENTRY=//p; s/^([^ :]*\.ops)[: ].*/\1/p' "$dir/err")
    where=${where%%$'\n'*}
}

# killed_in_asan FILE: the same replay in the build with sanitizers, and the changed file as hostile as it can be
killed_in_asan() {
    local objects=("$build"/asan/CMakeFiles/lockstep.dir/*/*.o) compiler=("${asan_compiler[@]}") part
    mkdir "$dir/asan"
    for part in "$dir"/@(impl|reference); do
        cp -r "$part" "$dir/asan"
    done
    compile "$dir/asan" "$1" >"$dir/log" 2>&1 || return
    "${compiler[@]}" "$dir"/asan/*.o "${objects[@]}" "$build"/asan/libcow_{rig,reference,impl}.a -pthread -o "$dir/asan/lockstep" || return
    killed_by 200 "${asan_prefix[@]}" "$dir/asan/lockstep" run --fail-fast --timeout 60 corpus regress/programs || return
    find_program
    by+=" $(grep -m 1 -oE '(ERROR: |runtime error: ).*' "$dir/err" || true)"
}

# told: of the JSON what does not depend on the time
told() { sed 's/,"timing".*//'; }

# judge FILE: what becomes of $dir/mutated. Sets `what`, `by`, and `where`: the program or test that killed it. False: try again.
judge() {
    local file=$1 test limit
    by='' where=''
    what=invalid
    mkdir -p "$dir/$(dirname "$file")"
    [[ $file != *.h ]] || cp -r impl "$dir" # the headers beside a file come before all others
    cp "$dir/mutated" "$dir/$file"
    compile "$dir" "$file" >"$dir/log" 2>&1 && link lockstep "$file" || return 0
    what=equivalent
    [[ $(objects "$dir") != "$(<"$(original "$file")")" ]] || return 0

    what=replay
    if is_asked replay && is_met_by_programs "$file" && killed_by 60 "$dir/lockstep" "${replay[@]}"; then
        find_program
        is_sound "$build/lockstep" run ${where:-corpus}
        return
    fi
    if is_asked replay && [[ $file == reference/* && $(tail -n 1 "$dir/out" | told) != "$(<"$state/told")" ]]; then
        by="another hash or counter"
        return 0
    fi
    what=asan
    if is_asked asan && [[ -x $build/asan/lockstep ]] && is_met_by_programs "$file" && killed_in_asan "$file"; then
        is_sound "${asan_prefix[@]}" "$build/asan/lockstep" run ${where:-corpus}
        return
    fi
    what=sweep
    for where in "${swept[@]}"; do
        is_asked sweep && is_driven_by_programs "$file" || break
        if killed_by 60 "$dir/lockstep" sweep --timeout 20 "$where"; then
            is_sound build/lockstep sweep "$where"
            return
        fi
    done
    what=tests
    for where in $(tests_of "$file"); do
        limit=$(sed -n "s/^$where //p" "$state/good-tests")
        is_asked tests && [[ -n $limit ]] || continue
        link "$where" "$file"
        if killed_by "$limit" "$dir/$where"; then
            is_sound "build/$where"
            return
        fi
    done
    what=survives where='' by=''
}

# Killers that have changed may kill what they did not.
hash_of() {
    case $1 in
        survives | tests) echo "$(cksum <"$dir/mutated") $killers" ;;
        *) cksum <"$dir/mutated" ;;
    esac
}

# try ID: writes what becomes of it, unless that is known; prints it
try() {
    local file=${1%%:*} result known
    result=$state/results/$(tr / % <<<"$1")
    dir=$(mktemp -d)
    trap 'stop; rm -rf "$dir"' EXIT
    trap 'exit 2' INT TERM
    regress/mutate.pl "$file" "$1" >"$dir/mutated"
    if [[ -e $result ]] && IFS=$'\t' read -r known what _ <"$result" && [[ $known == "$(hash_of "$what")" ]]; then
        echo "$what"
        return
    fi
    for ((attempt = 1; ; attempt++)); do
        ! judge "$file" || break
        ((attempt < 5)) || { complain "$1: what killed it, $where, fails on the unchanged tree too, again and again" && exit 2; }
        sleep 20
    done
    printf '%s\t%s\t%s\t%.200s\n' "$(hash_of "$what")" "$what" "$where" "${by//$'\t'/ }" >"$dir/result"
    mv "$dir/result" "$result"
    echo "$what"
}

setup() {
    root=$PWD build=$PWD/build state=$PWD/build/mutants
    # Without those that have faults of their own; what evolved takes many minutes.
    mapfile -t swept < <(grep -LE '^fault ' regress/programs/*.ops corpus/{motifs,edges}/*.ops)
    # As the build is compiled, but for what the debugger wants: equal code shall be equal bytes. Swapped arguments of other types
    # are no mutants.
    read -ra compiler <<<"${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -fno-omit-frame-pointer -Werror=int-conversion -Werror=incompatible-pointer-types -Werror=enum-conversion"
    asan_compiler=("$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' build/asan/CMakeCache.txt 2>/dev/null || true)" -std=gnu11 -D_GNU_SOURCE -DCOW_DEBUG=1 -DCOW_HOSTILE=1
        -O1 -g -fno-omit-frame-pointer -w -fsanitize=address,undefined -fno-sanitize-recover=all)
    . .ci/toolchain.sh
    read -ra asan_prefix <<<"$(sanitizer_prefix)"
    ulimit -S -c 0
}

if [[ ${1-} == --try ]]; then
    setup
    echo 1000 >/proc/self/oom_score_adj # a mutant that fills the memory goes before all others
    try "$2"
    exit
fi

# ---- all of them ----

command -v perl >/dev/null || give_up "there is no perl here: run make deps"
log=$(.ci/build.sh release 2>&1) || { echo "$log" >&2 && exit 2; }
if [[ ${BY-asan} == *asan* ]]; then
    .ci/build.sh asan lockstep >/dev/null 2>&1 || echo "mutants: no build with sanitizers here: what leaks is not noticed"
fi
setup
jobs=${JOBS:-1} only=${ONLY-}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || give_up "JOBS=$jobs is no number of processes"
[[ -z ${FRESH-} ]] || rm -rf "$state"
mkdir -p "$state/results"
rm -rf "$state/objects"

# What the unchanged tree says.
build/lockstep "${replay[@]}" 2>"$state/log" | told >"$state/told" || { cat "$state/log" >&2 && give_up "the unchanged pool and model do not agree"; }
export killers
killers=${BY-}$(find corpus regress/programs regress/test_*.c fuzz -type f -print0 | sort -z | xargs -0 cat | cksum | cut -d ' ' -f 1)

files=(reference/*.[ch] impl/*.[ch] impl/sys/*.[ch])
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp -r impl reference "$dir"
mkdir -p "$state/objects"
for file in "${files[@]}"; do
    [[ $file == *.c || ! -e $(original "$file") ]] || continue
    rm -f "$dir"/*.o
    compile "$dir" "$file" 2>"$state/log" || { cat "$state/log" >&2 && give_up "$file does not compile"; }
    objects "$dir" >"$(original "$file")"
done
for file in "${files[@]}"; do
    regress/mutate.pl "$file"
done >"$state/list"
grep -E -- "$only" <(cut -f 1 "$state/list") >"$state/wanted" || give_up "no mutant matches ONLY=$only"
n=$(wc -l <"$state/wanted")

# What the tests say of the unchanged tree, and how long they may take; a test that is skipped here says nothing.
if [[ $(head -n 1 "$state/good-tests" 2>/dev/null) != "$killers" ]]; then
    echo "$killers" >"$state/good-tests"
fi
for test in $(is_asked tests && cut -d : -f 1 "$state/wanted" | uniq | while read -r file; do tests_of "$file"; done | tr ' ' '\n' | sort -u); do
    ! grep -q "^$test " "$state/good-tests" || continue
    begin=$SECONDS status=0
    "build/$test" >"$state/log" 2>&1 || status=$?
    case $status in
        0) echo "$test $((10 + 4 * (SECONDS - begin)))" >>"$state/good-tests" ;;
        77) echo "mutants: $test is skipped here, and kills nothing" ;;
        *) cat "$state/log" >&2 && give_up "$test fails on the unchanged tree" ;;
    esac
done

begin=$SECONDS n_done=0
declare -A n_of=([survives]=0 [replay]=0 [asan]=0 [sweep]=0 [tests]=0 [equivalent]=0 [invalid]=0)
trap 'echo; echo "mutants: interrupted after $n_done of $n; what is known is kept: the same command goes on"; kill "$xargs"; exit 2' INT TERM
exec 3< <(exec xargs -a "$state/wanted" -d '\n' -n 1 -P "$jobs" bash "$0" --try)
xargs=$!
while read -r what <&3; do
    n_done=$((n_done + 1)) n_of[$what]=$((n_of[$what] + 1))
    if [[ -t 1 ]]; then
        printf '\r%d of %d mutants, %d s: %d killed by replay, %d by sweep, %d by tests, %d survive \e[K' "$n_done" "$n" $((SECONDS - begin)) \
            $((n_of[replay] + n_of[asan])) "${n_of[sweep]}" "${n_of[tests]}" "${n_of[survives]}"
    fi
done
[[ ! -t 1 ]] || echo
((n_done == n)) || give_up "only $n_done of $n were tried"
trap - INT TERM

# ---- the list of those that nothing can notice ----

while read -r id reason; do
    [[ -n $id && $id != '#'* ]] || continue
    grep -qxF -- "$id" <(cut -f 1 "$state/list") || { complain "$id is listed, and there is no such mutant" && continue; }
    [[ -n $reason ]] || complain "$id is listed without a reason"
    grep -qxF -- "$id" "$state/wanted" || continue
    what=$(cut -f 2 "$state/results/$(tr / % <<<"$id")")
    [[ $what == survives ]] || complain "$id is listed, and $what: take it out of the list"
    echo "$id"
done <regress/mutants.equivalent >"$state/listed"

# ---- table and JSON ----

# All that were wanted: id, verdict, killed in which program or test, by what, line, what was there, what took its place.
(cd "$state/results" && find . -type f -printf '%f\n' | xargs -d '\n' awk '{ id = FILENAME; gsub(/%/, "/", id); print id "\t" $0 }') |
    awk -F'\t' -v OFS='\t' '
        FILENAME ~ /listed$/ { listed[$1] = 1; next }
        FILENAME ~ /wanted$/ { wanted[$1] = 1; next }
        FILENAME == "-" { what[$1] = $3; where[$1] = $4; by[$1] = $5; next }
        wanted[$1] { print $1, what[$1] == "survives" && listed[$1] ? "listed" : what[$1], where[$1], by[$1], $2, $3, $4 }
    ' "$state/listed" "$state/wanted" - "$state/list" >"$state/verdicts"

driven=$(for file in "${files[@]}"; do ! is_driven_by_programs "$file" || echo "$file"; done)
awk -F'\t' -v driven="$driven" -v json=build/mutants.json '
    function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/[\001-\037]/, " ", text); return "\"" text "\"" }
    function percent(file,   counted) {
        counted = n[file, "all"] - n[file, "equivalent"] - n[file, "listed"]
        return counted ? int(1000 * (n[file, "replay"] + n[file, "asan"] + n[file, "sweep"]) / counted) / 10 : 100
    }
    function row(name, file) {
        printf "%-24s %7d %11d %7d %7d %7d %7d %7d %10d %8.1f%%\n", name, n[file, "all"], n[file, "equivalent"], n[file, "listed"], n[file, "replay"], n[file, "asan"], n[file, "sweep"], n[file, "tests"], n[file, "survives"], percent(file)
    }
    function as_json(file,   i, what, text) {
        for (i = 1; i <= split("all equivalent listed replay asan sweep tests survives", what, " "); i++)
            text = text (i > 1 ? "," : "") quoted(what[i]) ":" n[file, what[i]] + 0
        return "{" text "}"
    }
    function count(file) { n[file, $2]++; n[file, "all"]++ }
    BEGIN { split(driven, names, "\n"); for (i in names) is_driven[names[i]] = 1 }
    $2 == "invalid" { next }
    {
        file = $1; sub(/:.*/, "", file)
        if (!known[file]++) files[++n_files] = file
        count(file)
        count(is_driven[file] ? "driven" : "others")
        mutants = mutants (mutants ? ",\n" : "") sprintf("{\"id\":%s,\"verdict\":%s,\"in\":%s,\"by\":%s,\"line\":%d,\"was\":%s,\"becomes\":%s}", quoted($1), quoted($2), quoted($3), quoted($4), $5, quoted($6), quoted($7))
    }
    END {
        head = sprintf("%-24s %7s %11s %7s %7s %7s %7s %7s %10s %9s", "", "mutants", "equal code", "listed", "replay", "asan", "sweep", "tests", "surviving", "by replay")
        print "driven by programs" substr(head, 19)
        for (i = 1; i <= n_files; i++) if (is_driven[files[i]]) row(files[i], files[i])
        row("all of these", "driven")
        print "\ndriven by tests"
        for (i = 1; i <= n_files; i++) if (!is_driven[files[i]]) row(files[i], files[i])
        row("all of these", "others")
        printf "{\"driven_by_programs\":%s,\n\"driven_by_tests\":%s,\n\"percent_by_replay\":%s,\n\"files\":{", as_json("driven"), as_json("others"), percent("driven") >json
        for (i = 1; i <= n_files; i++) printf "%s%s:%s", (i > 1 ? ",\n" : ""), quoted(files[i]), as_json(files[i]) >json
        printf "},\n\"mutants\":[%s]}\n", mutants >json
    }' "$state/verdicts"

awk -F'\t' '$2 == "survives" { printf "survives: %s   line %d: %s   ->   %s\n", $1, $5, $6, $7 }' "$state/verdicts"
n_survive=$(awk -F'\t' '$2 == "survives"' "$state/verdicts" | wc -l)
((n_survive == 0)) || complain "$n_survive survive: kill them by a program (corpus/edges) or a test, or list them in regress/mutants.equivalent"
if [[ -z $only ]]; then
    percent=$(sed -n 's/^"percent_by_replay":\([0-9]*\).*/\1/p' build/mutants.json)
    ((percent >= least_percent)) || complain "replay kills $percent %, at least $least_percent % are wanted"
    n_listed=$(wc -l <"$state/listed")
    n_changed=$(awk -F'\t' '$2 !~ /^(invalid|equivalent)$/' "$state/verdicts" | wc -l)
    ((100 * n_listed <= most_listed_percent * n_changed)) || complain "$n_listed of $n_changed are listed, at most $most_listed_percent % should be"
fi
exit $((n_complaints > 0))
