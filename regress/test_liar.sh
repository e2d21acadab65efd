#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# A C library that lies: preloaded under lockstep, which is told nothing, it does the first N calls of a kind and says of all later ones
# that they are done. Somebody must notice, whatever the call and whatever the N; who it was is printed. LIAR=CALL:N[:WHICH[:HOW]]:
#   madvise    WHICH dontneed, dontfork, dontdump, nohugepage, wipeonfork          HOW (nothing is done), less: all but a page
#   ftruncate  WHICH grow, shrink                                                  HOW (nothing), less, more: by a page
#   mmap       WHICH reserved, zero, image, shared: what is mapped, with MAP_FIXED HOW (nothing), less, or with another offset, private,
#                                                                                  shared, anonymous, readonly
#   mprotect
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
liar=$(realpath "${BUILD_DIR:-build}/liar.so")
# Only those in which nothing else fails: the others test the kernel anew, each time a pool is made, and would notice at once.
mapfile -t programs < <(grep -rLE '^fault ' --include='*.ops' corpus regress/programs | sort)

# under LIE: leaves the exit code in $code, what was said in $dir, and how many calls and lies there were in $n_calls and $n_lies
under() {
    code=0 n_calls=some n_lies=some # who crashes does not tell
    LIAR=$1 LD_PRELOAD=$liar "$lockstep" run --fail-fast "${programs[@]}" >"$dir/out" 2>"$dir/err" || code=$?
    read -r n_calls n_lies < <(sed -nE 's/^liar: ([0-9]+) calls, ([0-9]+) lies$/\1 \2/p' "$dir/err" | sort -rn | head -n 1) || true
}

say() {
    printf '%-6s %-28s %s\n' "$@"
    [[ $1 == ok ]] || n_failed=$((n_failed + 1))
}

# noticed CALL N [WHICH [HOW]]
noticed() {
    local lie=$1:$2:${3-}:${4-} by
    under "$lie"
    by=$(sed -nE 's/^((divergence|crash): .*)/\1/p; s/.*( cannot be made here: refused as kernel)$/pool\1/p' "$dir/out" "$dir/err" | head -n 1)
    if [[ $code != 0 && -n $by ]]; then
        say ok "$lie" "$by"
    elif [[ $code == 0 && $n_lies == 0 ]]; then
        say ok "$lie" "no lie was told: $n_calls calls"
    else
        say 'not ok' "$lie" "exit code $code: $n_lies lies in $n_calls calls"
    fi
}

# The liar itself makes no difference.
for call in madvise ftruncate mmap mprotect; do
    under "$call:1000000000"
    if [[ $code == 0 && $n_lies == 0 ]]; then
        say ok "$call, all true" "$n_calls calls"
    else
        say 'not ok' "$call, all true" "exit code $code: $(tail -n 1 "$dir/err")"
    fi
done

# Nothing is done.
for n in 0 1 3 10 50 200; do
    noticed madvise $n
    for which in dontneed dontfork dontdump nohugepage wipeonfork; do
        noticed madvise $n $which
    done
    noticed ftruncate $n
    for which in grow shrink; do
        noticed ftruncate $n $which
    done
    noticed mmap $n
    for which in reserved zero image shared; do
        noticed mmap $n $which
    done
    noticed mprotect $n # which the pool does not call
done

# Something else is done.
for n in 0 10 200; do
    for which in dontneed dontfork dontdump nohugepage wipeonfork; do
        noticed madvise $n $which less
    done
    noticed ftruncate $n grow less
    noticed ftruncate $n grow more
    noticed ftruncate $n shrink more
    for which in reserved zero image shared; do
        noticed mmap $n $which less
    done
    for which in image shared; do
        noticed mmap $n $which offset
        noticed mmap $n $which anonymous
    done
    noticed mmap $n shared private
    noticed mmap $n image shared
    for which in zero image shared; do
        noticed mmap $n $which readonly
    done
done
exit $((n_failed > 0))
