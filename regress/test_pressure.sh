#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make pressure, as far as it leaves the machine alone: that the program knows its cases, and the script their needs; two real
# cases; and with a program that only pretends: verdicts, tally, exit codes, and that what was changed is put back, also after a
# signal and by the run after one that was killed.
set -euo pipefail
. "$(dirname "$0")/harness.sh"
pressure=$(realpath "${BUILD_DIR:-build}/pressure")
mkdir -p "$dir/here/regress" "$dir/here/build/pressure.d"
cp "$(dirname "$0")/pressure.sh" "$dir/here/regress/"
script=$dir/here/regress/pressure.sh
undo_file=$dir/here/build/pressure.d/undo-$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo boot)

# says REGEX FILE
says() { grep -qE -- "$1" "$2" || { cat "$2" && return 1; }; }

exits 2 "$pressure" >/dev/null 2>"$dir/usage"
check "the program says how it is used" says '^usage: pressure list' "$dir/usage"
exits 2 "$pressure" no-such-case 2>/dev/null
"$pressure" list >"$dir/list"
check "it lists its cases: a name, what it needs, a sentence" test "$(grep -cvP '^[a-z-]+\t[a-z -]+\t[^\t]{10,}$' "$dir/list")" = 0
check "no two of one name" test -z "$(cut -f 1 "$dir/list" | sort | uniq -d)"
while read -r need; do
    check "the script knows what '$need' is" says "^need_$need\\(\\) " "$script"
done < <(cut -f 2 "$dir/list" | tr ' ' '\n' | grep -vx -- - | sort -u)

PRESSURE=$pressure ONLY="fault-truncated limit-file-size" "$script" >"$dir/real" 2>&1 || true
if grep -q 'another one is running' "$dir/real"; then
    echo "skipped: make pressure is running on this machine"
    exit 77
fi
check "two real cases pass" says '^2 passed, 0 failed, 0 skipped$' "$dir/real"
check "a name that is none is refused" exits 2 env PRESSURE="$pressure" ONLY=nothing "$script"

# ---- a program that pretends ----
# Its last case does what a need of the script would, and stays.
cat >"$dir/fake" <<END
#!/usr/bin/env bash
case \$1 in
    list) printf '%s\t-\tpretends\n' good bad poor gone long ;;
    good) echo "all seen" ;;
    bad) echo "some words" && echo "not ok bytes differ" && exit 1 ;;
    poor) echo "skipped: no such thing here" && exit 77 ;;
    gone) kill -BUS \$\$ ;;
    long)
        echo "put_back $dir/switch [old]" >>"$undo_file"
        echo "remove $dir/rubbish" >>"$undo_file"
        echo new >"$dir/switch"
        echo \$\$ >"$dir/rubbish"
        exec sleep 1000
        ;;
esac
END
chmod +x "$dir/fake"
export PRESSURE=$dir/fake
check "what fails makes it fail" exits 1 env ONLY="good bad poor gone" "$script"
cp "$dir/stdout" "$dir/fakes"
check "ok, with what was seen" says '^ok +good +all seen$' "$dir/fakes"
check "FAILED, with what is wrong" says '^FAILED +bad +bytes differ$' "$dir/fakes"
check "skipped, with the reason" says '^skipped +poor +no such thing here$' "$dir/fakes"
check "killed, by what" says '^FAILED +gone +killed by signal 7$' "$dir/fakes"
check "the tally comes last" says '^1 passed, 2 failed, 1 skipped$' <(tail -n 1 "$dir/fakes")
check "what is skipped does not make it fail" exits 0 env ONLY="good poor" "$script"

# begin: starts the case that stays, in a process of its own; leaves its number in $script_pid
begin() {
    rm -f "$dir/rubbish"
    ONLY=long "$script" >"$dir/long" 2>&1 &
    script_pid=$!
    for _ in {1..200}; do
        [[ ! -s $dir/rubbish ]] || return 0
        sleep 0.05
    done
    cat "$dir/long"
    return 1
}
is_undone() { [[ $(cat "$dir/switch") == '[old]' && ! -e $dir/rubbish && ! -e $undo_file ]]; }

check "a case that stays is running" begin
stays=$(cat "$dir/rubbish")
kill -TERM "$script_pid"
check "a signal ends it" exits 143 wait "$script_pid"
check "and its case" exits 1 kill -0 "$stays"
check "what was changed is put back" is_undone

check "it is running again" begin
stays=$(cat "$dir/rubbish")
kill -KILL "$script_pid"
wait "$script_pid" 2>/dev/null || true
kill -KILL "$stays" # the real one goes with the script
check "the run after one that was killed begins by undoing" exits 0 env ONLY=good "$script"
cp "$dir/stderr" "$dir/told"
check "and says so" says 'undoing what a killed run has left' "$dir/told"
check "then the machine is as it was" is_undone
exit $((n_failed > 0))
