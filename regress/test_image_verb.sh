#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# lockstep image and lockstep gen --wasm: what they print, for people and for programs, and what they refuse.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh

# Two memories: 2 pages, at most 3; and 1 page imported before it. Memory 1 holds "hello" at 1024, "!" at 70000, "HE" over the first.
magic='\x00asm\x01\x00\x00\x00'
import='\x02\x08\x01\x01m\x01n\x02\x00\x01' memory='\x05\x04\x01\x01\x02\x03'
hello='\x02\x01\x41\x80\x08\x0b\x05hello' mark='\x02\x01\x41\xf0\xa2\x04\x0b\x01!' over='\x02\x01\x41\x80\x08\x0b\x02HE'
passive='\x01\x03abc'
printf "$magic$import$memory\x0b\x24\x04$hello$mark$passive$over" >"$dir/good.wasm"
printf "$magic$memory\x0b\x0b\x01\x00\x41\x00\x0b\x05h" >"$dir/cut.wasm"
printf "$magic\x02\x08\x01\x01m\x01g\x03\x7f\x00$memory\x0b\x08\x01\x00\x23\x00\x0b\x02ab" >"$dir/runtime.wasm"
printf '\x00asm\x0d\x00\x01\x00' >"$dir/component.wasm"
printf '(module (memory 1))' >"$dir/text.wasm"
printf "$magic" >"$dir/no-memory.wasm"

says() { # PATTERN COMMAND...: its standard output holds a line like that
    local pattern=$1
    shift
    "$@" >"$dir/out" 2>"$dir/err" || true
    grep -qE -- "$pattern" "$dir/out" || { echo "no line '$pattern' in:" && cat "$dir/out" "$dir/err" && return 1; }
}
complains() { # PATTERN COMMAND...: exit code 2, one line on standard error
    local pattern=$1
    shift
    exits 2 "$@" >"$dir/out" 2>"$dir/err" && grep -qE -- "$pattern" "$dir/err" && [[ $(wc -l <"$dir/err") == 1 ]]
}
memory_is() { # HEX OFFSET FILE
    [[ $(od -An -v -tx1 -j "$2" -N 8 "$3" | tr -d ' \n') == "$1" ]]
}

check "the table has a row for each file" exits 2 "$lockstep" image --memory 1 "$dir"/{good,runtime}.wasm
check "with what people want to know" says '^good.wasm +128\.0 KiB +192\.0 KiB +3 +1 +8 +1 +' "$lockstep" image --memory=1 "$dir/good.wasm"
check "and why there is no image" says '^runtime.wasm +refused: wasm-runtime at byte 28 \(0x1c\): ' "$lockstep" image "$dir/runtime.wasm"
check "memories count from the imported ones" says '^memory 65536 none 65536 imported$' "$lockstep" image --segments "$dir/good.wasm"
check "segments in the module's order" says '^segment 2 offset 1024 bytes 2 at 60$' "$lockstep" image --segments --memory=1 "$dir/good.wasm"
check "JSON, of a good one" says '^\{"file":".*good.wasm","memory":\{"index":1,"imported":false,"minimum_bytes":131072,"maximum_bytes":196608,"page_bytes":65536,"is_64":false,"shared":false\},"segments":3,"other_segments":1,"data_bytes":8,"runs":\[\{"offset":0,"bytes":[0-9]+\}\],"image_bytes":[0-9]+,"mappings":[1-9][0-9]*,"refusal":null\}$' \
    "$lockstep" image --json --memory=1 "$dir/good.wasm"
check "JSON, of a refused one" says '"memory":null,"refusal":\{"name":"wasm-component","offset":4,"what":"' "$lockstep" image --json "$dir/component.wasm"
check "a refusal is exit code 2" exits 2 "$lockstep" image --json "$dir/component.wasm"
check "a good one is exit code 0" exits 0 "$lockstep" image "$dir/good.wasm"
check "a binary that is cut off" says 'refused: wasm-truncated at byte 23 ' "$lockstep" image "$dir/cut.wasm"
check "a text module" says 'refused: wasm-text at byte 0 ' "$lockstep" image "$dir/text.wasm"
check "no memory" says 'refused: wasm-no-memory at byte 8 ' "$lockstep" image "$dir/no-memory.wasm"

check "an instance's memory in a file" exits 0 "$lockstep" image --memory=1 --memory-out "$dir/memory" "$dir/good.wasm"
check "as long as the minimum" test "$(stat -c %s "$dir/memory")" == 131072
check "with later segments over earlier ones" memory_is 48456c6c6f000000 1024 "$dir/memory"
check "and data on the second page" memory_is 2100000000000000 70000 "$dir/memory"
check "none of a refused module" exits 2 "$lockstep" image --memory-out "$dir/none" "$dir/text.wasm"
check "and no file then" test ! -e "$dir/none"

check "no file given" complains 'no file given' "$lockstep" image
check "a file that is not there" complains 'absent: No such file' "$lockstep" image --json "$dir/absent"
check "an option that does not exist" complains "wrong option or value: --nothing" "$lockstep" image --nothing "$dir/good.wasm"
check "a memory that is no number" complains "wrong option or value: --memory=x" "$lockstep" image --memory=x "$dir/good.wasm"
check "a memory file that cannot be written" complains 'absent/x: No such file' "$lockstep" image --memory-out "$dir/absent/x" "$dir/good.wasm"
check "help" says '^usage: lockstep image' "$lockstep" image --help

"$lockstep" gen --wasm "$dir/good.wasm" --memory 1 --ops 50 --seed 5 >"$dir/gen.ops"
check "gen --wasm: the memory's extent and unit" grep -qx 'image A size=2W' "$dir/gen.ops"
check "gen --wasm: its segments" grep -qx 'data 70000 stamp 1' "$dir/gen.ops"
check "gen --wasm: in their order" test "$(sed -n 6p "$dir/gen.ops")" == 'data 1024 stamp 2'
check "gen --wasm: the same numbers, the same program" cmp "$dir/gen.ops" <("$lockstep" gen --wasm "$dir/good.wasm" --memory 1 --ops 50 --seed 5)
check "gen --wasm: another seed, another program" exits 1 cmp -s "$dir/gen.ops" <("$lockstep" gen --wasm "$dir/good.wasm" --memory 1 --ops 50 --seed 6)
for seed in {1..20}; do
    "$lockstep" gen --wasm "$dir/good.wasm" --memory 1 --ops 50 --seed "$seed" >"$dir/gen-$seed.ops"
done
check "gen --wasm: its programs agree" exits 0 "$lockstep" run "$dir"/gen-*.ops
check "gen --wasm: and do something" says '"effective":(8|9|1[0-9])[0-9][0-9],' "$lockstep" run --json "$dir"/gen-*.ops
check "gen --wasm of a refused module" complains 'runtime.wasm: an offset that' "$lockstep" gen --wasm "$dir/runtime.wasm"
check "gen --wasm of no file" complains 'absent: No such file' "$lockstep" gen --wasm "$dir/absent"
exit $((n_failed > 0))
