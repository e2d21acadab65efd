#!/usr/bin/env bash
# Makes Wasm binaries from the texts in corpus/wasm: fuzz/wasm_seeds.sh OUT [some]
# NAME.wasm for each NAME.wat; NAME.0.wasm, NAME.1.wasm, ... for the modules of each NAME.wast, which are there for what the text
# format cannot say. Only what changed is assembled again; binaries whose text is gone go too. Exit 2 without wabt.
# `some` is for systems whose wabt is older than what the texts use: what it cannot read is left out, and counted.
set -euo pipefail
shopt -s nullglob
texts=$(dirname "$0")/../corpus/wasm

out=$1 some=${2-}
assembler=$(command -v wat2wasm) && command -v wast2json >/dev/null || {
    echo "no wat2wasm or wast2json here: run \`make deps\`" >&2
    exit 2
}
mkdir -p "$out"
new=$(mktemp -d "$out/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
# Not checked: some texts are meant to be invalid, and wabt 1.0.32 takes a module's own global in an offset for a mistake.
options=(--enable-all --no-check)

# is_old SEED TEXT
is_old() { [[ ! -e $1 || $2 -nt $1 || $assembler -nt $1 ]]; }

n_unreadable=0
# unreadable SEED: may be where it is left out; an older one goes too
unreadable() {
    unset "wanted[$1]"
    n_unreadable=$((n_unreadable + 1))
    [[ $some == some ]]
}

declare -A wanted=()
n_made=0
for text in "$texts"/*.wat; do
    seed=$out/$(basename "${text%.wat}").wasm
    wanted[$seed]=1
    if is_old "$seed" "$text"; then
        wat2wasm "${options[@]}" --debug-names "$text" -o "$new/seed" || { unreadable "$seed" && continue || exit 1; }
        mv "$new/seed" "$seed"
        n_made=$((n_made + 1))
    fi
done
for text in "$texts"/*.wast; do
    name=$(basename "${text%.wast}")
    first=$out/$name.0.wasm
    if is_old "$first" "$text"; then
        wast2json "${options[@]}" "$text" -o "$new/$name.json" || { rm -f "$new"/* && unreadable "$first" && continue || exit 1; }
        rm -f "$out/$name".[0-9]*.wasm "$new/$name.json"
        n_made=$((n_made + $(ls "$new" | wc -l)))
        for seed in "$new"/*; do # the first one last: it tells that all are there
            [[ $seed == "$new/$name.0.wasm" ]] || mv "$seed" "$out/"
        done
        mv "$new/$name.0.wasm" "$first"
    fi
    for seed in "$out/$name".[0-9]*.wasm; do
        wanted[$seed]=1
    done
done
n_gone=0
for seed in "$out"/*; do
    if [[ -z ${wanted[$seed]-} ]]; then
        rm "$seed"
        n_gone=$((n_gone + 1))
    fi
done
echo "wasm seeds: ${#wanted[@]} in $out ($n_made new, $n_gone gone)$( ((n_unreadable == 0)) || echo ", $n_unreadable texts that this wabt cannot read left out")"
((${#wanted[@]}))
