# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The tables of results.json, for bench/bench.sh: awk -f bench/tables.awk build/bench/results.json

# field(NAME): of the row at hand; "" if it has none
function field(name,   from, rest) {
    from = index($0, "\"" name "\":")
    if (!from)
        return ""
    rest = substr($0, from + length(name) + 3)
    return substr(rest, 1, 1) == "\"" ? substr(rest, 2, index(substr(rest, 2), "\"") - 1) : substr(rest, 1, match(rest, /[,}]/) - 1)
}

function size_name(bytes) { return bytes + 0 >= 1048576 ? bytes / 1048576 " MiB" : bytes / 1024 " KiB" }

# three digits
function short(x) { return x >= 99.95 ? sprintf("%.0f", x) : x >= 9.995 ? sprintf("%.1f", x) : sprintf("%.2f", x) }

function microseconds(ns) { return short(ns / 1000) }

# the median, and half the distance of the quartiles, in percent of it
function with_spread(middle, q1, q3) {
    return microseconds(middle) (middle > 0 ? sprintf("±%.0f%%", 50 * (q3 - q1) / middle) : "")
}

# width in characters, not bytes: mawk counts bytes, and ± has two
function pad(text, width,   n) {
    n = length(text) - (index(text, "±") ? length("±") - 1 : 0)
    while (n++ < width)
        text = " " text
    return text
}

function act_name(   name) {
    name = (field("random") == 1 ? "random " : "") field("dirty_pages")
    if (field("reads") > 0)
        name = name " r" field("reads")
    if (field("grown_wasm_pages") > 0)
        name = name " g" field("grown_wasm_pages")
    return name
}

function once(list, name,   key) {
    key = list SUBSEP name
    if (key in listed)
        return
    listed[key] = 1
    lists[list, ++counts[list]] = name
}

field("bench") == "machine" {
    machine = field("command") " of " field("commit") " on " field("date") ", " field("seconds") " s: " field("cpu") ", " field("cpus") \
        " processors, " int(field("memory_kib") / 1048576 + .5) " GiB, Linux " field("kernel") ", load " field("load") ", wasmtime " field("wasmtime")
}

field("bench") == "cycle" {
    name = field("contender")
    images = field("images")
    table = images > 1 ? "alternating" : field("slots") "/" field("image_bytes") "/" field("threads")
    # Cells that differ in the slots only have a table of their own, too.
    act = images > 1 ? size_name(field("image_bytes")) ", " field("slots") (field("slots") == 1 ? " slot" : " slots") : act_name()
    once("tables", table)
    if (images == 1 && !((table, act) in listed)) {
        listed[table, act] = 1
        where = field("image_bytes") "/" field("threads")
        if (++n_acts[table] > n_acts[main_table[where]])
            main_table[where] = table # of this image and so many threads, the one with the most to compare
    }
    once("acts" table, act)
    once("contenders", name)
    kinds[name] = field("kind")
    bounds[name] = field("bounds")
    if (field("status") == "measured") {
        cost[table, name, act] = field("ns") + 0
        shown[table, name, act] = with_spread(field("ns"), field("ns_q1"), field("ns_q3"))
        tail[table, name, act] = field("p99_ns")
        faults[table, name, act] = field("minor_faults")
        was_measured[name] = 1
    } else if (!(name in reasons)) {
        reasons[name] = field("status") ": " field("reason")
    }
    if (field("status") != "measured" && field("status") != "skipped")
        bad[++n_bad] = name ", " act ": " field("status") ": " field("reason")
}

field("bench") == "slots" {
    key = size_name(field("image_bytes")) ", " field("slots") " slots"
    once("pools", key)
    once("owners" key, field("contender"))
    if (field("status") == "measured")
        pool_row[key, field("contender")] = pad(microseconds(field("create_ns")), 9) pad(microseconds(field("cold_ns")), 9) pad(microseconds(field("lease_ns")), 9) \
            pad(sprintf("%.1f", field("idle_bytes") / 1024), 9) pad(field("trimmed_bytes") == "" ? "-" : sprintf("%.1f", field("trimmed_bytes") / 1024), 9)
}

field("bench") == "rig" {
    rig_row[++n_rig] = sprintf("%-8s %-8s", field("unit"), field("observe")) (field("status") == "measured" \
        ? sprintf("%12.0f %12.0f %12.1f %12.1f", field("programs_per_s"), field("operations_per_s"), field("compared_bytes") / 1048576 / (field("programs") / 1), field("times_memcmp")) \
        : "  " field("status") ": " field("reason"))
}

# Whether NAME is one of WHICH: peers, peers with bounds, or the pool's fixed modes. Of wasmtime counts what is left when the module
# without a memory is subtracted.
function is_one_of(name, which) {
    if (which == "fixed")
        return name ~ /^cowpool .*\+(discard|copyback|deferred)$/
    return kinds[name] == "peer" && (name !~ /^wasmtime/ || name ~ / net$/) && (which == "peer" || bounds[name] == 1)
}

# The least of them; its name in best_name.
function best(table, act, which,   i, name, least) {
    least = -1
    best_name = ""
    for (i = 1; i <= counts["contenders"]; i++) {
        name = lists["contenders", i]
        if ((table, name, act) in cost && is_one_of(name, which) && (least < 0 || cost[table, name, act] < least)) {
            least = cost[table, name, act]
            best_name = name
        }
    }
    return least
}

function ratio_row(table, which,   i, act, of, row) {
    row = sprintf("%-27s", which == "floor" ? "  / floor" : which == "fixed" ? "  / best fixed mode" : "  / best " (which == "peer" ? "peer" : "bounded peer"))
    for (i = 1; i <= counts["acts" table]; i++) {
        act = lists["acts" table, i]
        of = which == "floor" ? cost[table, "floor", act] : best(table, act, which)
        row = row pad(of > 0 && (table, subject, act) in cost ? short(cost[table, subject, act] / of) "x" : "-", width)
    }
    print row
}

function name_row(table, which,   i, row) {
    row = sprintf("%-27s", "    which is")
    for (i = 1; i <= counts["acts" table]; i++) {
        best(table, lists["acts" table, i], which)
        gsub(/madvise\+| net$|\+memcpy$/, "", best_name)
        sub(/wasmtime keep=/, "wasmt. ", best_name)
        sub(/ keep=/, " ", best_name)
        row = row pad(best_name, width)
    }
    print row
}

function print_table(table, what,   i, j, name, act, row, is_empty) {
    width = table == "alternating" ? 18 : 13
    row = sprintf("%-27s", what == "tail" ? "us, p99" : "us")
    for (j = 1; j <= counts["acts" table]; j++)
        row = row pad(lists["acts" table, j], width)
    print row
    for (i = 1; i <= counts["contenders"]; i++) {
        name = lists["contenders", i]
        if (what == "tail" && name ~ / net$/)
            continue
        row = sprintf("%-27s", name)
        is_empty = 1
        for (j = 1; j <= counts["acts" table]; j++) {
            act = lists["acts" table, j]
            if ((table, name, act) in cost)
                is_empty = 0
            row = row pad(!((table, name, act) in cost) ? "-" : what == "tail" ? microseconds(tail[table, name, act]) : shown[table, name, act], width)
        }
        if (!is_empty)
            print row
    }
    if (what == "tail")
        return
    print subject
    ratio_row(table, "floor")
    ratio_row(table, "peer")
    name_row(table, "peer")
    ratio_row(table, "bounded")
    name_row(table, "bounded")
    ratio_row(table, "fixed")
}

# Of one act, by the number of slots.
function print_slots(image_bytes, threads, act,   i, j, n, name, table, row, list, is_empty) {
    n = 0
    for (i = 1; i <= counts["tables"]; i++)
        if (split(lists["tables", i], part, "/") == 3 && part[2] == image_bytes && part[3] == threads && (lists["tables", i], "floor", act) in cost)
            list[++n] = part[1]
    if (n < 2)
        return
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j - 1] + 0 > list[j] + 0; j--) {
            row = list[j]; list[j] = list[j - 1]; list[j - 1] = row
        }
    printf "\nby the number of slots: image %s, %s, %s\n", size_name(image_bytes), act, threads == 1 ? "1 thread" : threads " threads"
    row = sprintf("%-27s", "us")
    for (j = 1; j <= n; j++)
        row = row pad(list[j], 13)
    print row
    for (i = 1; i <= counts["contenders"]; i++) {
        name = lists["contenders", i]
        row = sprintf("%-27s", name)
        is_empty = 1
        for (j = 1; j <= n; j++) {
            table = list[j] "/" image_bytes "/" threads
            if ((table, name, act) in cost)
                is_empty = 0
            row = row pad((table, name, act) in cost ? shown[table, name, act] : "-", 13)
        }
        if (!is_empty)
            print row
    }
}

# ---- what the pool is to reach ----

function cost_of(name, image_bytes, threads, act,   table) {
    table = main_table[image_bytes "/" threads]
    return (table, name, act) in cost ? cost[table, name, act] : 0
}

# held(TITLE, RATIO, MOST, WHERE): a cell in which it is reached if the ratio is at most that
function held(title, ratio, most, where) {
    if (!(title in n_held))
        targets[++n_targets] = title
    n_tried[title]++
    n_held[title] += ratio <= most
    where = sprintf("%7sx of %sx  %s", short(ratio), short(most), where)
    if (ratio > most)
        missed[title, n_tried[title] - n_held[title]] = where
    if (n_tried[title] == 1 || ratio / most > worst[title]) {
        worst[title] = ratio / most
        worst_at[title] = where
    }
}

function weigh(image_bytes, threads, act,   pool, where, other, floor) {
    pool = cost_of(subject, image_bytes, threads, act)
    if (!pool)
        return
    where = size_name(image_bytes) ", " act ", " threads (threads == 1 ? " thread" : " threads")
    floor = cost_of("floor", image_bytes, threads, act)
    other = cost_of("scan+memcpy", image_bytes, threads, act)
    if (act ~ /^[0-9]+$/ && image_bytes <= 1048576 && floor > 0)
        held("in place, up to 1 MiB: 4 times the floor, or 2.5 us", pool / floor, 2500 / floor > 4 ? 2500 / floor : 4, where)
    if (act ~ /^[0-9]+$/ && image_bytes > 1048576 && other > 0)
        held("in place, 16 MiB: 1.2 times one scan and the copies", pool / other, 1.2, where)
    other = cost_of("madvise+mprotect", image_bytes, threads, act)
    if (act == "16" && image_bytes <= 1048576 && other > 0)
        held("in place, 16 pages: " (image_bytes == 65536 ? 15 : 7) " times as fast as madvise+mprotect, " size_name(image_bytes), pool / other, image_bytes == 65536 ? 1 / 15 : 1 / 7, where)
    if (act ~ /^[0-9]+ g1$/ && threads == 2 && image_bytes <= 1048576 && other > 0)
        held("grown by a page, 2 threads: 5 times as fast as madvise+mprotect", pool / other, 1 / 5, where)
    other = best(main_table[image_bytes "/" threads], act, "fixed")
    if (other > 0)
        held("within 1.5 times of the best fixed mode", pool / other, 1.5, where " (" best_name ")")
    other = cost_of(subject, image_bytes, 1, act)
    if (threads == 2 && other > 0)
        held("2 threads do 1.8 times the work of 1", pool / other, 2 / 1.8, where)
    other = least_of("wasmtime .* net", image_bytes, threads, act)
    if (other > 0)
        held("faster than wasmtime, net", pool / other, 1, where " (" best_name ")")
}

function least_of(regex, image_bytes, threads, act,   i, name, x, least) {
    least = 0
    for (i = 1; i <= counts["contenders"]; i++) {
        name = lists["contenders", i]
        x = name ~ regex ? cost_of(name, image_bytes, threads, act) : 0
        if (x > 0 && (!least || x < least)) {
            least = x
            best_name = name
        }
    }
    return least
}

function print_targets(   i, j, table, title) {
    for (i = 1; i <= counts["tables"]; i++) {
        table = lists["tables", i]
        if (split(table, part, "/") == 3 && main_table[part[2] "/" part[3]] == table)
            for (j = 1; j <= counts["acts" table]; j++)
                weigh(part[2] + 0, part[3], lists["acts" table, j])
    }
    if (!n_targets)
        return
    printf "\nWhat %s is to reach: in so many of the cells. Below, where not; or where it is closest: what is reached of what is allowed\n", subject
    for (i = 1; i <= n_targets; i++) {
        title = targets[i]
        printf "%s: %d of %d\n", title, n_held[title], n_tried[title]
        for (j = 1; j <= n_tried[title] - n_held[title]; j++)
            print "    missed " missed[title, j]
        if (n_tried[title] == n_held[title])
            print "           " worst_at[title]
    }
}

END {
    subject = "cowpool" # whose ratios are shown
    print machine
    print ""
    print "Cycles: instantiate, touch, grow, release. Columns: pages written in place (random: other ones each time); rN: N other pages read;"
    print "gN: grown by N Wasm pages, one host page of each written. Medians of rounds in turns; ± half the distance of the quartiles."
    for (i = 1; i <= counts["tables"]; i++) {
        table = lists["tables", i]
        split(table, part, "/")
        if (table != "alternating" && main_table[part[2] "/" part[3]] != table)
            continue # it differs in the slots: below
        print ""
        print table == "alternating" ? "two images in turn, 1 page written, 1 thread (in 1 slot each lease finds the other's: a module switch; there the floor maps the image, too)" : \
            "image " size_name(part[2]) ", " part[3] (part[3] == 1 ? " thread, " : " threads, ") part[1] " slots"
        print_table(table, "cost")
        if (part[2] == 1048576) {
            print ""
            print_table(table, "tail")
        }
    }
    for (i = 1; i <= 2; i++) {
        print_slots(65536, i, "1")
        print_slots(65536, i, "1 g1")
    }
    print_targets()
    print ""
    print "Slots: to make one; the first instantiate in it; a lease of each, all at once, 16 pages written; KiB that an idle one holds, and trimmed"
    for (i = 1; i <= counts["pools"]; i++) {
        key = lists["pools", i]
        printf "\n%-27s%9s%9s%9s%9s%9s\n", key, "make us", "cold us", "lease us", "idle KiB", "trimmed"
        for (j = 1; j <= counts["owners" key]; j++)
            if ((key, lists["owners" key, j]) in pool_row)
                printf "%-27s%s\n", lists["owners" key, j], pool_row[key, lists["owners" key, j]]
    }
    printf "\n%-8s %-8s%12s %12s %12s %12s\n", "rig:unit", "observe", "programs/s", "operations/s", "MiB/program", "/ memcmp"
    for (i = 1; i <= n_rig; i++)
        print rig_row[i]
    print ""
    for (i = 1; i <= counts["contenders"]; i++)
        if (!(lists["contenders", i] in was_measured) && lists["contenders", i] in reasons)
            print "not measured: " lists["contenders", i] ": " reasons[lists["contenders", i]]
    for (i = 1; i <= n_bad; i++)
        print "NOT COUNTED: " bad[i]
}
