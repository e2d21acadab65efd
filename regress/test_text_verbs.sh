#!/usr/bin/env bash
# lockstep show, asm, fmt and gen: what they print, what they leave on disk, and how they exit.
set -euo pipefail
. "$(dirname "$0")/harness.sh"

# refuses MESSAGE VERB ARGUMENTS...: exit 2, and this one line
refuses() {
    local message=$1
    shift
    exits 2 "$lockstep" "$@" 2>"$dir/message" || return 1
    [[ $(wc -l <"$dir/message") == 1 ]] && grep -qF -- "$message" "$dir/message" || { cat "$dir/message" && return 1; }
}

same() { diff -u "$1" "$2"; }

cd "$dir"
printf '%s\n' 'cowpool-ops 1   # first' '  # a comment that stays  ' '' 'needs   fork' 'needs guard # why' \
    'pool  slots=1   max=0x10P' 'image   A size=0x10 # image' $' instantiate\ti0 A initial=1P -> ok' >messy.ops
cat >neat.ops <<'END'
cowpool-ops 1  # first
# a comment that stays

needs guard fork
# why
pool slots=1
image A size=16  # image
instantiate i0 A initial=1P       -> ok
END
sed -i 's/->ok/-> ok/; s/1P->/1P ->/' messy.ops

spells() { "$lockstep" fmt "$1" >formatted && same formatted "$2"; }
check "fmt keeps comments and spells the rest" spells messy.ops neat.ops
check "fmt changes nothing that is neat" spells neat.ops neat.ops
check "fmt --check finds what is not neat" exits 1 "$lockstep" fmt --check neat.ops messy.ops
check "fmt --check is content with neat files" exits 0 "$lockstep" fmt --check neat.ops
cp messy.ops written.ops
chmod 640 written.ops
check "fmt --write writes" "$lockstep" fmt --write written.ops neat.ops
check "fmt --write wrote it" same written.ops neat.ops
check "fmt --write keeps the permissions" test "$(stat -c %a written.ops)" = 640
check "fmt refuses what does not parse" refuses "bad.ops: No such file" fmt bad.ops

round_trip() {
    "$lockstep" gen --seed "$1" --ops 100 >gen.ops &&
        "$lockstep" asm gen.ops -o gen.bin && "$lockstep" show gen.bin >shown.ops && same gen.ops shown.ops &&
        "$lockstep" asm shown.ops | cmp - gen.bin && "$lockstep" fmt --check gen.ops
}
for seed in 1 2 3 4 5; do
    check "a generated program survives asm and show, seed $seed" round_trip $seed
done
check "gen --count writes one file for each seed" "$lockstep" gen --seed 7 --count 3 --out made
"$lockstep" gen --seed 8 >gen.ops
check "gen --count makes the programs that --seed makes" same made/gen-8.ops gen.ops
check "gen leaves nothing else behind" test "$(ls made | tr '\n' ' ')" = "gen-7.ops gen-8.ops gen-9.ops "

printf 'cowpool-ops 1\nstore i0 x width=1\n' >wrong.ops
printf 'cowpool-ops 1\nschedule 0 1\n' >later.ops
printf '\x07' >version.bin
check "errors name file, line and column" refuses "wrong.ops:2:10: expected an edge or a size, found 'x'" show wrong.ops
check "asm refuses what is not built" refuses "later.ops: 'schedule' is not built yet" asm later.ops -o out.bin
check "a refused asm leaves nothing behind" test ! -e out.bin
check "asm to where nothing can be written is refused" refuses "no/out.bin: No such file" asm gen.ops -o no/out.bin
check "an unknown version is refused" refuses "byte 0 is 7" show version.bin
check "a directory is refused" refuses "made: Is a directory" show made
check "a missing file is refused" refuses "nothing: No such file" asm nothing
check "show without a file is refused" refuses "no file given" show
check "an unknown verb is refused" refuses "no such verb: 'shwo'" shwo
check "gen refuses 257 operations" refuses "--ops" gen --ops 257
"$lockstep" gen --mutate gen.ops --seed 3 >mutant.ops
check "gen --mutate makes another program" exits 1 cmp -s gen.ops mutant.ops
check "that runs" "$lockstep" run mutant.ops
check "the same seed, the same mutant" cmp mutant.ops <("$lockstep" gen --mutate gen.ops --seed 3)
check "of a text or of its bytes" cmp mutant.ops <("$lockstep" asm gen.ops | "$lockstep" gen --mutate - --seed 3)
check "gen --mutate of nothing is refused" refuses "nothing: No such file" gen --mutate nothing
check "gen --mutate refuses what is not built" refuses "not built yet: schedule" gen --mutate later.ops
"$lockstep" asm gen.ops -o gen.bin
head -c 100000 /dev/zero | cat gen.bin - >long.bin
check "bytes beyond 257 records are ignored" "$lockstep" show long.bin
full() { [[ -e /dev/full ]] || return 0; exits 2 "$lockstep" show gen.bin >/dev/full; }
check "a full disk is an error" full
for verb in show asm fmt gen; do
    check "$verb --help helps" "$lockstep" $verb --help
done

exit $((n_failed > 0))
