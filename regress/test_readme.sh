#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The C code in README.md compiles, and every call in it succeeds.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
{
    printf '#include "cowpool.h"\n#include <stdio.h>\n#include <sys/mman.h>\n#include <unistd.h>\nint main(void)\n{\n'
    printf 'uint8_t bytes[100] = {7};\nconst uint64_t n = sizeof bytes;\n'
    printf 'const uint8_t wasm[] = {0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 1}; const size_t wasm_bytes = sizeof wasm;\n'
    printf 'const int fd = memfd_create("readme", 0); if (ftruncate(fd, 8192 + (1 << 20))) return 1;\n'
    # Behind each statement that sets `result`: a check of it.
    sed -n '/^```c$/,/^```$/p' README.md | grep -v '^```' |
        sed -E '/(^| )result = /s|;.*|; if (result) { printf("line: %s\\n", cow_result_name(result)); return 1; }|'
    printf 'return memory.length_bytes == 17 * 65536 ? cow_pool_close(pool) : 1;\n}\n'
} >"$dir/readme.c"
grep -c 'cow_result_name' "$dir/readme.c" | grep -qx 7 || { echo "not the seven calls that were expected" && exit 1; }
read -ra compile <<<"${CC:-cc}"
"${compile[@]}" -std=gnu11 -D_GNU_SOURCE -w -Iimpl -Iimpl/include "$dir/readme.c" impl/*.c impl/sys/*.c -lpthread -o "$dir/readme"
"$dir/readme"
echo "ok the code in README.md does what it says"

# The fuzz target in fuzz/README.md, on a few inputs: none; a byte at the begin and one at the end; two that overlap; too far.
{
    sed -n '/^```c$/,/^```$/p' fuzz/README.md | grep -v '^```'
    printf 'int main(void)\n{\n'
    for input in '' '0,0,1' '0,0,1,255,255,1' '0,0,9,0,1,3' '255,255,255'; do
        printf '{ const uint8_t input[] = {%s}; LLVMFuzzerTestOneInput(input, sizeof input); }\n' "$input"
    done
    printf 'return 0;\n}\n'
} >"$dir/target.c"
"${compile[@]}" -std=gnu11 -D_GNU_SOURCE -w -Iimpl -Iimpl/include -Ireference -Ifuzz "$dir/target.c" impl/*.c impl/sys/*.c reference/*.c fuzz/progress.c \
    -lpthread -o "$dir/target"
"$dir/target"
echo "ok the target in fuzz/README.md does what it says"
