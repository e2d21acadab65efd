#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What a pool's instance of each module of corpus/wasm holds is what V8 has in its memory right after instantiation; and what has
# no image, V8 refuses too, or there is a reason that it confirms.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
command -v node >/dev/null || { echo "skipped: no node here" && exit 77; }
command -v wat2wasm >/dev/null || { echo "skipped: no wat2wasm here: make deps" && exit 77; }

fuzz/wasm_seeds.sh "$dir/modules" >/dev/null
for module in "$dir"/modules/*.wasm; do # a memory of 4 GiB takes a quarter of a minute
    ! "$lockstep" image --json "$module" | grep -qE '"minimum_bytes":[0-9]{9,},.*"refusal":null' || rm "$module"
done
check "memory 0" node regress/witness.js "$lockstep" "$dir"/modules/*.wasm
cp "$dir/stdout" "$dir/verdicts"
tail -n 1 "$dir/verdicts"
n_equal=$(grep -c '^equal ' "$dir/verdicts" || true) n_refused=$(grep -c '^refused ' "$dir/verdicts" || true)
check "enough of them have an image" test "$n_equal" -ge 20
check "and enough are refused" test "$n_refused" -ge 60

# It can say no: a tool that flips a byte of the memory, and one that refuses what is good.
cat >"$dir/liar" <<END
#!/usr/bin/env bash
"$lockstep" "\$@" || exit
for ((i = 1; i <= \$#; i++)); do
    [[ \${!i} != --memory-out ]] || { j=\$((i + 1)) && printf x | dd of="\${!j}" bs=1 seek=1030 conv=notrunc status=none; }
done
END
cat >"$dir/coward" <<'END'
#!/usr/bin/env bash
echo '{"file":"x","memory":null,"refusal":{"name":"wasm-malformed","offset":8,"what":"so it says"}}'
exit 2
END
chmod +x "$dir/liar" "$dir/coward"
check "a byte that differs is seen" exits 1 node regress/witness.js "$dir/liar" "$dir/modules/memory-exported.wasm"
cp "$dir/stdout" "$dir/verdicts"
check "at its offset" grep -q 'at offset 1030 ' "$dir/verdicts"
check "a false refusal is seen" exits 1 node regress/witness.js "$dir/coward" "$dir/modules/memory-exported.wasm"
exit $((n_failed > 0))
