#!/usr/bin/env bash
# The arrows of the house, from the includes: who may know whom, who may talk to the kernel, how long files and functions
# may be. Prints file:line: what is wrong, for each finding; exit 1 if there is one.
set -euo pipefail
cd "${1:-${SOURCE_DIR:-$(dirname "$0")/..}}"
shopt -s nullglob
n_findings=0

complain() {
    echo "$1: $2"
    n_findings=$((n_findings + 1))
}

# includes FILE...: "file:line header", the header with its <> or ""
includes() {
    [[ $# == 0 ]] || awk '/^[ \t]*#[ \t]*include/ { sub(/^[^<"]*/, ""); sub(/[>"].*$/, "&"); print FILENAME ":" FNR, $1 }' "$@"
}

# allow ROOM-DESCRIPTION REGEX FILE...: every include of these files matches
allow() {
    local what=$1 regex=$2 place header
    shift 2
    while read -r place header; do
        [[ $header =~ ^($regex)$ ]] || complain "$place" "$what must not include $header"
    done < <(includes "$@")
}

# forbid ROOM-DESCRIPTION REGEX FILE...: no include of these files matches
forbid() {
    local what=$1 regex=$2 place header
    shift 2
    while read -r place header; do
        [[ ! $header =~ ^($regex)$ ]] || complain "$place" "$what must not include $header"
    done < <(includes "$@")
}

# names DIRECTORY...: a regex of the headers that lie there, as another file would write them
names() {
    local dir file regex='"()"'
    for dir in "$@"; do
        for file in "$dir"/*.h "$dir"/*.def; do
            regex+="|\"${file#"$dir"/}\""
        done
    done
    echo "$regex"
}

impl=(impl/*.[ch])
border=(impl/sys/*.[ch])
model=(reference/*.[ch])
rig=(fuzz/*.[ch])

# impl knows nothing of the rig, and only its border knows the kernel's memory calls.
allow "impl" "<.*>|\"sys/sys.h\"|$(names impl impl/include)" "${impl[@]}"
forbid "impl outside impl/sys" '<(sys/mman|sys/syscall|sys/resource|linux/.*)\.h>' "${impl[@]}" impl/include/*.h
allow "the kernel border" "<.*>|$(names impl/sys)|\"cowpool.h\"" "${border[@]}"

# pool -> shard -> slot, reset, growth -> image -> sys
forbid "an image" '"(slot|growth|reset|shard|pool|instance)\.h"' impl/image.[ch] impl/geometry.[ch] impl/handle.[ch]
forbid "a slot" '"(shard|pool|instance)\.h"' impl/slot.[ch] impl/growth*.[ch] impl/reset*.[ch]
forbid "a shard" '"(pool|instance)\.h"' impl/shard.[ch]

# The model is malloc and memcpy: the C library, and nothing that reaches the kernel by another way.
allow "the model" '<(assert|ctype|errno|inttypes|limits|stdalign|stdbool|stddef|stdint|stdio|stdlib|string)\.h>|"cowpool\.h"|"ref[a-z_]*\.h"' \
    "${model[@]}"

# The rig sees of impl the public header, the checker and the type of the table.
allow "the rig" "<.*>|$(names fuzz)|\"(cowpool|check|sys/sys|ref[a-z_]*)\\.h\"" "${rig[@]}"

# A benchmark is an embedder like any other.
allow "a benchmark" "<.*>|\"cowpool\.h\"|$(names bench)" bench/*.[ch]

# errno is read at the border only. (The constants are <errno.h>'s too: the include itself is fine.)
while IFS= read -r place; do
    complain "$place" "errno belongs to impl/sys"
done < <([[ ${#impl[@]} == 0 ]] || awk '
    /^[ \t]*#[ \t]*include/ { next }
    {   line = $0
        gsub(/\/\*.*\*\//, "", line)
        if (line ~ /^ ?\*|^\/\*/) next
        sub(/\/[*\/].*/, "", line)
        if (line ~ /(^|[^A-Za-z0-9_])errno([^A-Za-z0-9_]|$)/) print FILENAME ":" FNR
    }' "${impl[@]}")

# Length: a file 600 lines, a function 80, from the line its name begins on to its closing brace.
while IFS= read -r finding; do
    complain "${finding%% *}" "${finding#* }"
done < <(find impl reference fuzz bench regress -name '*.[ch]' -print0 | sort -z | xargs -0 -r awk '
    function close_file() { if (name && last > 600) print name ":600 is a file of " last " lines: at most 600" }
    FNR == 1 { close_file(); name = FILENAME; head = 0 }
    { last = FNR }
    /^[A-Za-z_]/ && !head { head = FNR; text = ""; body = 0 }
    head && !body { text = text $0; if ($0 ~ /{[ \t]*$/) body = 1; else if ($0 ~ /[;}][ \t]*(\/\*.*)?$/) head = 0 }
    /^}/ && head {
        if (text ~ /\(/ && text !~ /=[^(]*{/ && FNR - head + 1 > 80)
            print FILENAME ":" head " is a function of " FNR - head + 1 " lines: at most 80"
        head = 0
    }
    END { close_file() }')

echo "layers: $n_findings findings in $((${#impl[@]} + ${#border[@]} + ${#model[@]} + ${#rig[@]})) files"
((n_findings == 0))
