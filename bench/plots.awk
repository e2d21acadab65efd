# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What bench/plots.gnuplot draws, of results.json: awk -v plot=dirty|threads|slots -f bench/plots.awk. A block for each contender, with its
# name as the title: x, median, quartiles (microseconds).
function field(name,   from, rest) {
    from = index($0, "\"" name "\":")
    if (!from)
        return ""
    rest = substr($0, from + length(name) + 3)
    return substr(rest, 1, 1) == "\"" ? substr(rest, 2, index(substr(rest, 2), "\"") - 1) : substr(rest, 1, match(rest, /[,}]/) - 1)
}

field("bench") != "cycle" || field("status") != "measured" || field("random") == 1 || field("reads") > 0 || field("images") > 1 { next }
field("kind") == "subtracted" || field("contender") ~ /^wasmtime/ && field("contender") !~ / net$/ || field("contender") ~ / again$/ { next }

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
    if (!(name in n))
        names[++n_names] = name
    xs[name, ++n[name]] = x + 0
    rows[name, n[name]] = x " " field("ns") / 1000 " " field("ns_q1") / 1000 " " field("ns_q3") / 1000
}

END {
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        for (j = 2; j <= n[name]; j++)
            for (k = j; k > 1 && xs[name, k - 1] > xs[name, k]; k--) {
                t = xs[name, k]; xs[name, k] = xs[name, k - 1]; xs[name, k - 1] = t
                t = rows[name, k]; rows[name, k] = rows[name, k - 1]; rows[name, k - 1] = t
            }
        printf "\"%s\"\n", name
        for (j = 1; j <= n[name]; j++)
            print rows[name, j]
        printf "\n\n"
    }
}
