# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What bench/plots.gnuplot draws, of results.json: awk -v plot=dirty|threads|slots -f bench/plots.awk. A block for each contender, with its
# name and number first: then x, median, quartiles (microseconds).
function field(name,   from, rest) {
    from = index($0, "\"" name "\":")
    if (!from)
        return ""
    rest = substr($0, from + length(name) + 3)
    return substr(rest, 1, 1) == "\"" ? substr(rest, 2, index(substr(rest, 2), "\"") - 1) : substr(rest, 1, match(rest, /[,}]/) - 1)
}

# Not everybody: the modes of the pool that a reader would choose between, and of the peers each kind once.
BEGIN {
    n_names = split("floor,cowpool,cowpool truncate+discard,cowpool guard+copyback,cowpool guard+deferred,madvise+ftruncate,madvise+mprotect," \
        "scan+memcpy,userfaultfd,malloc+memcpy,mmap+memcpy,mmap,wasmtime keep=0 net,wasmtime keep=64K net,wasmtime keep=all net", names, ",")
}

field("bench") != "cycle" || field("status") != "measured" || field("random") == 1 || field("reads") > 0 || field("images") > 1 { next }

{
    x = ""
    if (plot == "dirty" && field("image_bytes") == 1048576 && field("threads") == 1 && field("grown_wasm_pages") == 0)
        x = field("dirty_pages")
    if (plot == "threads" && field("image_bytes") == 1048576 && field("dirty_pages") == 16 && field("grown_wasm_pages") <= 1)
        x = field("threads") + 3 * field("grown_wasm_pages")
    if (plot == "slots" && field("image_bytes") == 65536 && field("threads") == 1 && field("dirty_pages") == 1 && field("grown_wasm_pages") == 0)
        x = field("slots")
    if (x == "")
        next
    name = field("contender")
    xs[name, ++n[name]] = x + 0
    rows[name, n[name]] = x " " field("ns") / 1000 " " field("ns_q1") / 1000 " " field("ns_q3") / 1000
}

END {
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        if (!n[name])
            continue
        for (j = 2; j <= n[name]; j++)
            for (k = j; k > 1 && xs[name, k - 1] > xs[name, k]; k--) {
                t = xs[name, k]; xs[name, k] = xs[name, k - 1]; xs[name, k - 1] = t
                t = rows[name, k]; rows[name, k] = rows[name, k - 1]; rows[name, k - 1] = t
            }
        printf "\"%s\" %d\n", name, i
        for (j = 1; j <= n[name]; j++) {
            if (plot == "threads" && j > 1 && xs[name, j] - xs[name, j - 1] > 1)
                print "" # the line ends here
            print rows[name, j]
        }
        printf "\n\n"
    }
}
