# What was not met of impl/: awk -f coverage.awk -v root=DIRECTORY/ regress/uncovered.txt BRANCHES LCOV; for coverage.sh. LCOV is what
# llvm-cov exports, for lines and functions; BRANCHES its JSON, cut before each {"branches": lcov's branches have no columns, and a
# file that is compiled twice has its branches twice.
# Prints a line for each line and branch that was not met and is not in the list, and for what is wrong with the list. Then, as
# the last one: lines, those met, branches, those met, lines left, lines and branches excused, entries that are stale, and the lines
# left as an array of JSON. (llvm-cov's own sums are of the best copy of each function, where one is compiled more than once.)

function trim(line) { gsub(/^[ \t]+|[ \t]+$/, "", line); return line }

# As an entry of the list names it: impl/FILE FUNCTION: TEXT
function name_of(n, at) {
    for (at = n; at > 0 && !(at in begins); at--)
        ;
    return file " " begins[at] ": " text[n]
}

# Line n is one that was not met, or has this many branches that were not.
function report(n, is_line, n_branches, name) {
    name = name_of(n)
    if (name in entries) {
        is_used[name] = 1
        n_excused_lines += is_line
        n_excused_branches += n_branches
        return
    }
    print file ":" n ": " (is_line ? "not met: " : "not both ways: ") text[n]
    if (is_line)
        left[++n_left] = "\"" file ":" n "\""
}

function end_file(n, line) {
    for (n = 0; (getline line < (root file)) > 0;)
        text[++n] = trim(line)
    close(root file)
    for (n = 1; n in text; n++) {
        n_seen[name_of(n)]++
        if (n in is_unmet || (file, n) in n_unmet_branches)
            report(n, n in is_unmet, n_unmet_branches[file, n] + 0)
    }
    split("", text); split("", begins); split("", is_unmet)
}

# [line, column, end line, end column, times true, times false, ...], ... of a file, or of a macro at this place of the file
function add_branches(list, place, n, i, branch, field) {
    n = split(list, branch, /\],\[/)
    for (i = 1; i <= n; i++) {
        split(branch[i], field, ",")
        is_in_macro = place != ""
        split(is_in_macro ? place : branch[i], at, ",")
        key = at[1] SUBSEP at[2] SUBSEP (is_in_macro ? field[1] SUBSEP field[2] : "")
        if (!(key in line_of))
            keys[++n_keys] = key
        line_of[key] = at[1]
        n_true[key] += field[5]
        n_false[key] += field[6]
    }
}

function end_branches(name, i, unmet) {
    sub(/.*\/impl\//, "impl/", name)
    for (i = 1; i <= n_keys; i++) {
        unmet = (n_true[keys[i]] == 0) + (n_false[keys[i]] == 0)
        n_branches += 2
        n_branches_met += 2 - unmet
        if (unmet)
            n_unmet_branches[name, line_of[keys[i]]] += unmet
    }
    split("", line_of); split("", n_true); split("", n_false); n_keys = 0
}

FNR == 1 { input++ }
input == 1 && /^[^# \t]/ { entry = $0; entries[entry] = FNR }
input == 1 && /^[ \t]+[^ \t]/ { has_reason[entry] = 1 }

input == 2 && /^\{"branches":\[\[/ {
    list = substr($0, length("{\"branches\":[[") + 1)
    place = match($0, /"source_region":\[[0-9]+,[0-9]+/) ? substr($0, RSTART + 17, RLENGTH - 17) : ""
    add_branches(substr(list, 1, index(list, "]]") - 1), place)
}
input == 2 && match($0, /"filename":"[^"]*"/) { end_branches(substr($0, RSTART + 12, RLENGTH - 13)) }

input == 3 { split(substr($0, index($0, ":") + 1), field, ",") }
input == 3 && /^SF:/ { file = substr($0, 4); sub(/.*\/impl\//, "impl/", file) }
input == 3 && /^FN:/ { sub(/.*:/, "", field[2]); begins[field[1]] = field[2] }
input == 3 && /^DA:/ && field[2] == 0 { is_unmet[field[1]] = 1 }
input == 3 && /^DA:/ { n_lines++; n_lines_met += field[2] > 0 }
input == 3 && /^end_of_record/ { end_file() }

END {
    for (entry in entries) {
        wrong = !has_reason[entry] ? "no reason is given" : !n_seen[entry] ? "there is no such line" : \
            n_seen[entry] > 1 ? "there is more than one such line" : ""
        n_stale += wrong != ""
        if (!wrong && !is_used[entry])
            wrong = "was met this time"
        if (wrong)
            print "regress/uncovered.txt:" entries[entry] ": " wrong ": " entry
    }
    for (i = 1; i <= n_left; i++)
        json = json (i > 1 ? "," : "") left[i]
    print n_lines, n_lines_met, n_branches, n_branches_met, n_left + 0, n_excused_lines + 0, n_excused_branches + 0, n_stale + 0, "[" json "]"
}
