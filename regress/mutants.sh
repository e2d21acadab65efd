#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Makes every small change of regress/mutate.pl in the pool and in the model, one at a time, and looks for what notices it: `make mutants`.
# First the replay of all programs, then the sweep over them, then the tests of that file. Each of these stops at the first that ends
# otherwise than it should: a divergence, a crash, a hang, or another hash where the model was changed.
#
#     ONLY=REGEX   only the mutants whose id it matches: impl/slot.c, cow_slot_grow, 'reference/.*:bound'
#     JOBS=n       so many at a time (1)
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
least_percent=95 most_listed_percent=10
replay=(run --fail-fast --json --timeout 20 corpus regress/programs)

give_up() {
    echo "mutants: $*" >&2
    exit 2
}

# What programs cannot reach is not measured by them: the reader of Wasm binaries has its own fuzz target; the handlers of the trap
# module are an embedder's; the checks of the checker, which is an oracle, and of the self-test are there for pools and kernels that are broken.
is_driven_by_programs() { [[ $1 != impl/@(wasm*|trap|check|selftest|names).[ch] ]]; }

# tests_of FILE: the quick ones first
tests_of() {
    case $1 in
        impl/wasm*) echo test_wasm test_wasm_offsets test_wasm_whole ;;
        impl/trap.c) echo test_trap test_trap_default test_threads_trap ;;
        impl/fork.c) echo test_fork test_pool test_threads test_fork_race ;;
        impl/check.c) echo test_pool test_instance test_image test_kernel test_oracles test_oracles_kernel test_fault ;;
        impl/image*) echo test_image test_image_file test_fault ;;
        impl/handle.*) echo test_handle test_instance ;;
        impl/selftest.c) echo test_kernel test_environment test_fault ;;
        reference/*) echo test_oracles test_oracles_host test_oracles_traps test_rig ;;
        *) echo test_instance test_pool test_kernel test_environment test_image test_image_file test_fork test_trap test_handle test_threads test_fault ;;
    esac
}

n_complaints=0
complain() {
    echo "mutants: $*" >&2
    n_complaints=$((n_complaints + 1))
}

# ---- one mutant ----

# compile DIRECTORY FILE: that file of DIRECTORY, or if it is a header all of the pool; the objects are DIRECTORY/*.o
compile() {
    local sources=("$2")
    [[ $2 != *.h ]] || sources=(impl/*.c impl/sys/*.c)
    (cd "$1" && "${compiler[@]}" -iquote "$root/impl" -iquote "$root/impl/sys" -iquote "$root/impl/include" -iquote "$root/reference" -c "${sources[@]}")
}

# objects DIRECTORY: what the compiler made, as one string
objects() { cat "$1"/*.o | cksum; }

# killed_by SECONDS COMMAND...: runs it, what it prints into $dir/out; true if it does not end with 0. Leaves nothing running.
killed_by() {
    local limit=$1 status=0
    shift
    setsid timeout -k 1 "$limit" "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    running=$!
    wait "$running" || status=$?
    stop
    ((status == 0)) || echo "status $status" >>"$dir/out"
    return $((status == 0))
}

# stop: what a mutant forked goes with it
stop() {
    [[ -z ${running-} ]] || kill -KILL -- "-$running" 2>/dev/null || true
    running=''
}

# why: the first line of what was printed
why() { head -n 1 "$dir/out" | cut -c 1-200; }

# verdict ID FILE: prints invalid, equivalent, replay, sweep, tests or survives, and by what it was killed
verdict() {
    local file=$2 test limit
    mkdir -p "$dir/$(dirname "$file")"
    [[ $file != *.h ]] || cp -r impl "$dir" # the headers beside a file come before all others
    cp "$dir/mutated" "$dir/$file"
    compile "$dir" "$file" >"$dir/log" 2>&1 || { echo invalid && return; }
    [[ $(objects "$dir") != "$(<"$state/$(tr / % <<<"${file/%*.h/all}").objects")" ]] || { echo equivalent && return; }

    link lockstep || { echo invalid && return; }
    ! killed_by 60 "$dir/lockstep" "${replay[@]}" || { echo "replay	$(why)" && return; }
    if [[ $file == reference/* && $(tail -n 1 "$dir/out" | told) != "$(<"$state/told")" ]]; then
        echo "replay	another hash or counter" && return
    fi
    if is_driven_by_programs "$file"; then
        ! killed_by 200 bash -c 'for program in "${@:2}"; do "$1" sweep --timeout 20 "$program" || exit; done' sweep "$dir/lockstep" \
            "${swept[@]}" || { echo "sweep	$(why)" && return; }
    fi
    for test in $(tests_of "$file"); do
        limit=$(sed -n "s/^$test //p" "$state/good-tests")
        [[ -n $limit ]] || continue
        link "$test" || { echo invalid && return; }
        ! killed_by "$limit" "$dir/$test" || { echo "tests	$test: $(grep -vE '^ok' "$dir/err" "$dir/out" -h | head -n 1)" && return; }
    done
    echo survives
}

# link PROGRAM: that program of the build with the changed objects; of the archives the linker takes only what is missing
link() {
    local objects=("$build/CMakeFiles/$1.dir"/*/*.o)
    "${compiler[@]}" "$dir"/*.o "${objects[@]}" "$build"/libcow_{rig,reference,impl}.a -pthread -o "$dir/$1" >"$dir/log" 2>&1
}

# told: of the JSON what does not depend on the time
told() { sed 's/,"timing".*//'; }

# try ID: writes its file in build/mutants, unless that still holds; prints its verdict
try() {
    local id=$1 file=${1%%:*} result hash known
    result=$state/results/$(tr / % <<<"$id")
    dir=$(mktemp -d)
    trap 'stop; rm -rf "$dir"' EXIT
    trap 'exit 2' INT TERM
    regress/mutate.pl "$file" "$id" >"$dir/mutated"
    hash=$(cksum <"$dir/mutated")
    if [[ -e $result ]]; then
        IFS=$'\t' read -r known _ <"$result"
        case $(cut -f 2 "$result") in
            survives | tests) hash+=" $killers" ;;
        esac
        if [[ $known == "$hash" ]]; then
            cut -f 2 "$result"
            return
        fi
        hash=$(cksum <"$dir/mutated")
    fi
    known=$(verdict "$id" "$file")
    case $known in
        survives | tests*) hash+=" $killers" ;;
    esac
    printf '%s\t%s\n' "$hash" "$known" >"$dir/result"
    mv "$dir/result" "$result"
    echo "${known%%	*}"
}

setup() {
    shopt -s extglob nullglob
    swept=(regress/programs/*.ops corpus/{motifs,edges}/*.ops)
    root=$PWD build=$PWD/build state=$PWD/build/mutants
    # As the build is compiled, but for what the debugger wants: equal code shall be equal bytes. Swapped arguments of other types
    # are no mutants.
    read -ra compiler <<<"${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -fno-omit-frame-pointer -w -Werror=int-conversion -Werror=incompatible-pointer-types"
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
setup
jobs=${JOBS:-1} only=${ONLY-}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || give_up "JOBS=$jobs is no number of processes"
[[ -z ${FRESH-} ]] || rm -rf "$state"
mkdir -p "$state/results"

# What the unchanged tree says.
build/lockstep "${replay[@]}" 2>"$state/log" | told >"$state/told" || { cat "$state/log" >&2 && give_up "the unchanged pool and model do not agree"; }
export killers
killers=$(find corpus regress/programs regress/test_*.c fuzz -type f -print0 | sort -z | xargs -0 cat | cksum | cut -d ' ' -f 1)

files=(impl/*.[ch] impl/sys/*.[ch] reference/*.[ch])
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for file in "${files[@]}" all; do
    rm -rf "$dir"/*
    mkdir -p "$dir/impl/sys" "$dir/reference"
    cp impl/*.[ch] "$dir/impl" && cp impl/sys/*.[ch] "$dir/impl/sys" && cp reference/*.[ch] "$dir/reference" && cp -r impl/include "$dir/impl"
    [[ $file != *.h ]] || continue
    compile "$dir" "${file/#all/all.h}" 2>"$state/log" || { cat "$state/log" >&2 && give_up "$file does not compile"; }
    objects "$dir" >"$state/$(tr / % <<<"$file").objects"
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
for test in $(cut -d : -f 1 "$state/wanted" | uniq | while read -r file; do tests_of "$file"; done | tr ' ' '\n' | sort -u); do
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
declare -A n_of=([survives]=0 [replay]=0 [sweep]=0 [tests]=0 [equivalent]=0 [invalid]=0)
trap 'echo; echo "mutants: interrupted after $n_done of $n; what is known is kept: the same command goes on"; kill "$xargs"; exit 2' INT TERM
exec 3< <(exec xargs -a "$state/wanted" -d '\n' -n 1 -P "$jobs" bash "$0" --try)
xargs=$!
while read -r what <&3; do
    n_done=$((n_done + 1)) n_of[$what]=$((n_of[$what] + 1))
    if [[ -t 1 ]]; then
        printf '\r%d of %d mutants, %d s: %d killed by replay, %d by sweep, %d by tests, %d survive \e[K' "$n_done" "$n" $((SECONDS - begin)) \
            "${n_of[replay]}" "${n_of[sweep]}" "${n_of[tests]}" "${n_of[survives]}"
    fi
done
[[ ! -t 1 ]] || echo
((n_done == n)) || give_up "only $n_done of $n were tried"
trap - INT TERM

# ---- the list of those that nothing can notice ----

while read -r id reason; do
    [[ -n $id && $id != '#'* ]] || continue
    cut -f 1 "$state/list" | grep -qxF -- "$id" || { complain "$id is listed, and there is no such mutant" && continue; }
    [[ -n $reason ]] || complain "$id is listed without a reason"
    grep -qxF -- "$id" "$state/wanted" || continue
    what=$(cut -f 2 "$state/results/$(tr / % <<<"$id")")
    [[ $what == survives ]] || complain "$id is listed, and $what: take it out of the list"
    echo "$id"
done <regress/mutants.equivalent >"$state/listed"

# ---- table and JSON ----

# All that were wanted: id, verdict, by what, line, what was there, what took its place.
(cd "$state/results" && find . -type f -printf '%f\n' | xargs -d '\n' awk '{ id = FILENAME; gsub(/%/, "/", id); print id "\t" $0 }') |
    awk -F'\t' -v OFS='\t' '
        FILENAME ~ /listed$/ { listed[$1] = 1; next }
        FILENAME ~ /wanted$/ { wanted[$1] = 1; next }
        FILENAME == "-" { what[$1] = $3; by[$1] = $4; next }
        wanted[$1] { print $1, what[$1] == "survives" && listed[$1] ? "listed" : what[$1], by[$1], $2, $3, $4 }
    ' "$state/listed" "$state/wanted" - "$state/list" >"$state/verdicts"

driven=$(for file in "${files[@]}"; do ! is_driven_by_programs "$file" || echo "$file"; done)
awk -F'\t' -v driven="$driven" -v json=build/mutants.json '
    function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/[\001-\037]/, " ", text); return "\"" text "\"" }
    function percent(file,   counted) {
        counted = n[file, "all"] - n[file, "equivalent"] - n[file, "listed"]
        return counted ? int(1000 * (n[file, "replay"] + n[file, "sweep"]) / counted) / 10 : 100
    }
    function row(name, file) {
        printf "%-24s %7d %11d %7d %7d %7d %7d %10d %8.1f%%\n", name, n[file, "all"], n[file, "equivalent"], n[file, "listed"], n[file, "replay"], n[file, "sweep"], n[file, "tests"], n[file, "survives"], percent(file)
    }
    function as_json(file,   i, what, text) {
        for (i = 1; i <= split("all equivalent listed replay sweep tests survives", what, " "); i++)
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
        mutants = mutants (mutants ? ",\n" : "") sprintf("{\"id\":%s,\"verdict\":%s,\"by\":%s,\"line\":%d,\"was\":%s,\"becomes\":%s}", quoted($1), quoted($2), quoted($3), $4, quoted($5), quoted($6))
    }
    END {
        head = sprintf("%-24s %7s %11s %7s %7s %7s %7s %10s %9s", "", "mutants", "equal code", "listed", "replay", "sweep", "tests", "surviving", "by replay")
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

awk -F'\t' '$2 == "survives" { printf "survives: %s   line %d: %s   ->   %s\n", $1, $4, $5, $6 }' "$state/verdicts"
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
