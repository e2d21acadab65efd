#!/usr/bin/env bash
# Distils what the fuzzers evolved into corpus/evolved: `make corpus`. Takes var/*/program, corpus/evolved, and what people wrote (the
# rest of corpus/, and regress/programs); keeps what people wrote as it is, and of the others the smallest set that covers what all
# of them cover together, by libFuzzer's set cover on the plain build. Each is written as text with what the model answers, named by
# its content. Fails, naming the entry, when a text does not mean what the input meant. Twice in a row changes nothing.
# OUT=DIR: writes there instead, and the tree stays as it is.
# Exit code: 0; 2 in one line why, and corpus/evolved, or OUT, as it was.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob globstar
export LC_ALL=C
max_bytes=1500000 # of corpus/evolved; the whole corpus stays under 2 MB
out=${OUT:-corpus/evolved}
out=${out%/}
aside=$(dirname "$out")/.$(basename "$out")

give_up() {
    echo "corpus: $*" >&2
    exit 2
}
# What lies there is replaced.
[[ -z $(find "$out" -mindepth 1 ! -name '????????????????.ops' -print -quit 2>/dev/null) ]] || give_up "$out holds more than distilled programs"
. .ci/toolchain.sh
find_clang -fsanitize=fuzzer >/dev/null || give_up "no clang here links with -fsanitize=fuzzer: run make deps"
run=''
trap '[[ -z $run ]] || rm -rf "$run"' EXIT
trap 'give_up "interrupted; $out is as it was"' INT TERM HUP
mkdir -p var build 2>/dev/null && run=$(mktemp -d "$PWD/var/run.XXXXXX" 2>/dev/null) || give_up "cannot write into var"
{ .ci/build.sh release lockstep && .ci/build.sh fuzz fuzz_program; } >"$run/build.log" 2>&1 || { cat "$run/build.log" >&2 && give_up "the build failed"; }
lockstep=$PWD/build/lockstep engine=$PWD/build/fuzz/fuzz_program
export lockstep run

# ---- everything as the tool spells it: bytes that mean the same program become the same file ----
mkdir "$run"/{written,raw,evolved,text,chosen,alone,again,wrong}
# says FILE: the verdict, the hash of all states and the counters
says() { timeout -k 1 20 "$lockstep" run --json "$1" 2>/dev/null | sed 's/,"timing".*//'; }
spell() { # INPUT...: raw/NAME, text/NAME.ops and evolved/NAME, named by the text
    local input new=$run/new.$BASHPID told name n_operations n_effective
    for input in "$@"; do
        if [[ $input == *.ops ]]; then
            "$lockstep" asm "$input" >"$new"
        else # AFL++ mutates the version like any other byte; the target looks over it
            { printf '\001' && tail -c +2 "$input"; } >"$new"
        fi
        # What cannot be replayed here, or does next to nothing, is nothing to keep.
        timeout -k 1 20 "$lockstep" show --expect "$new" >"$new.ops" 2>/dev/null && told=$(says "$new.ops") || continue
        read -r n_operations n_effective < <(sed -E 's/.*"operations":([0-9]+),"effective":([0-9]+),.*/\1 \2/' <<<"$told")
        ((n_effective >= 8 && 10 * n_effective >= 7 * n_operations)) || continue
        name=$(sha256sum <"$new.ops")
        name=${name:0:16}
        [[ ! -e $run/text/$name.ops ]] || continue
        [[ $(says "$new") == "$told" ]] || echo "$input: its text runs otherwise" >"$run/wrong/$name"
        "$lockstep" asm "$new.ops" >"$run/evolved/$name"
        mv "$new" "$run/raw/$name"
        mv "$new.ops" "$run/text/$name.ops"
    done
}
export -f spell says
inputs=(var/libfuzzer/program/* var/afl/program/*/queue/id:* corpus/evolved/*.ops)
((${#inputs[@]})) || give_up "nothing has evolved yet: run make fuzz"
echo "corpus: ${#inputs[@]} inputs; a hundred take some seconds"
printf '%s\0' "${inputs[@]}" | xargs -0 -n 25 -P "$(nproc)" bash -c 'spell "$@"' spell
for file in "$run"/wrong/*; do
    give_up "$(cat "$file")"
done
echo "corpus: $(find "$run/text" -type f | wc -l) programs that do something"

# ---- set cover, on top of what people wrote ----
for file in corpus/**/*.ops regress/programs/*.ops; do
    [[ $file == corpus/evolved/* ]] ||
        "$lockstep" asm "$file" -o "$run/written/$(tr '/' '-' <<<"${file%.ops}")" || give_up "$file does not assemble"
done
# cover INTO FROM...: adds to INTO what covers more: another edge or another count of the matrix that is not zero. How often would keep
# many times as many.
cover() {
    "$engine" -set_cover_merge=1 -use_counters=0 -timeout=20 -rss_limit_mb=4096 -max_len=5140 "$@" >"$run/merge.log" 2>&1 </dev/null ||
        { tail -n 5 "$run/merge.log" >&2 && give_up "libFuzzer's merge failed"; }
}
# count_features DIRECTORY: what its files cover together
count_features() {
    rm -rf "$run/alone"
    mkdir "$run/alone"
    cover "$run/alone" "$1"
    sed -n 's/^MERGE-OUTER: [0-9]* new files with \([0-9]*\) new features added.*/\1/p' "$run/merge.log"
}
cp "$run"/written/* "$run/chosen"
cover "$run/chosen" "$run/evolved"
declare -A names=()
while read -r hash file; do
    names[$hash]=$(basename "$file") # libFuzzer names what it adds by its SHA-1
done < <(sha1sum "$run"/evolved/* </dev/null)
mkdir "$run"/{kept,kept-raw,kept-text}
for file in "$run"/chosen/*; do
    name=${names[$(basename "$file")]-}
    [[ -n $name ]] || continue
    cp "$run/text/$name.ops" "$run/kept-text"
    cp "$run/evolved/$name" "$run/kept"
    cp "$run/raw/$name" "$run/kept-raw"
done

# ---- what is kept means what the inputs meant ----
kept=("$run"/kept-text/*.ops)
n_bytes=$(cat "${kept[@]}" </dev/null | wc -c)
((n_bytes <= max_bytes)) || give_up "$n_bytes bytes would be kept, more than $max_bytes"
if [[ $(count_features "$run/kept") != "$(count_features "$run/kept-raw")" ]]; then
    for file in "$run"/kept/*; do
        mkdir -p "$run/one" "$run/other"
        cp "$file" "$run/one/it" && cp "$run/kept-raw/$(basename "$file")" "$run/other/it"
        [[ $(count_features "$run/one") == "$(count_features "$run/other")" ]] ||
            give_up "$(basename "$file").ops covers something else than the input that it was made of"
    done
    give_up "the texts cover something else than the inputs that they were made of"
fi

# ---- what is new, aside and then in place ----
rm -rf "$aside.new" "$aside.old"
{ mkdir -p "$out" && mkdir "$aside.new"; } 2>/dev/null || give_up "cannot write into $out"
before=$(find "$out" -name '*.ops' | wc -l)
if ((${#kept[@]})); then # else nothing adds to what people wrote
    cp "${kept[@]}" "$aside.new"
    chmod 644 "$aside.new"/*
fi
changes=$(diff -rq "$out" "$aside.new" | wc -l || true)
trap '' INT TERM HUP # these two belong together
mv "$out" "$aside.old"
mv "$aside.new" "$out"
rm -rf "$aside.old"
echo "corpus: $before entries before, ${#kept[@]} now ($n_bytes bytes), $changes changes; together with what people wrote they cover" \
    "$(count_features "$run/chosen") features"
