#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Builds the fuzz targets as ClusterFuzzLite and OSS-Fuzz want them, with $CC, $CXX, $CFLAGS, $CXXFLAGS and $LIB_FUZZING_ENGINE, for
# one engine and sanitizer. Into $OUT, for each fuzz_NAME: fuzz_NAME, fuzz_NAME.options, fuzz_NAME_seed_corpus.zip, and fuzz_NAME.dict
# where there is one. What is built on the way stays in $WORK. regress/test_clusterfuzzlite.sh runs it as they do.
set -euo pipefail
: "${SRC:?where cowpool is}" "${OUT:?the directory for the targets}" "${WORK:?a directory for what is built on the way}" "${LIB_FUZZING_ENGINE:?what targets are linked with}"
cd "$SRC/cowpool"

# configure_and_build DIRECTORY PRESET CMAKE-BUILD-ARGUMENT...
configure_and_build() {
    cmake --preset "$2" -B "$1"
    cmake --build "$1" -j "$(nproc)" "${@:3}"
}

# ---- the targets ----
targets=(fuzz/fuzz_*.c)
targets=("${targets[@]##*/}")
targets=("${targets[@]%.c}")
build=$WORK/${FUZZING_ENGINE:-engine}-${SANITIZER:-none}
rm -rf "$build" # other flags in the environment are no reason for cmake to build anew
configure_and_build "$build" oss-fuzz --target "${targets[@]}"

# ---- their seeds, by the tool, which nobody fuzzes: plain ----
(
    unset CFLAGS CXXFLAGS LDFLAGS
    export AFL_NOOPT=1 # should $CC be AFL++'s
    configure_and_build "$WORK/tool" release --target lockstep
)
seeds=$WORK/seeds
fuzz/seeds.sh "$WORK/tool/lockstep" "$seeds/fuzz_program" corpus regress/programs
fuzz/wasm_seeds.sh "$seeds/fuzz_wasm" some
mkdir -p "$seeds/fuzz_text"
find corpus regress/programs -name '*.ops' | while IFS= read -r text; do
    cp "$text" "$seeds/fuzz_text/${text//\//-}"
done

# What another target starts from is files of corpus/NAME, if there are any; it may have options, or shares those of others.
for target in "${targets[@]}"; do
    options=fuzz/$target.options
    [[ -e $options ]] || options=fuzz/fuzz.options
    cp "$build/$target" "$OUT/"
    cp "$options" "$OUT/$target.options"
    [[ ! -e fuzz/$target.dict ]] || cp "fuzz/$target.dict" "$OUT/"
    zip=$OUT/${target}_seed_corpus.zip from=$seeds/$target
    [[ -d $from ]] || from=corpus/${target#fuzz_}
    rm -f "$zip"
    [[ -d $from ]] || continue
    # cmake packs, since it is there. Names without ./ in front.
    (cd "$from" && find . -type f -printf '%P\n' | sort >"$WORK/seeds.list" && cmake -E tar cf "$zip" --format=zip --files-from="$WORK/seeds.list")
done
