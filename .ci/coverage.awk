# What was not met of impl/: awk -f coverage.awk -v root=DIRECTORY/ regress/uncovered.txt lcov.info; for coverage.sh.
# Prints a line for each line and branch that was not met and is not in the list, and for what is wrong with the list. Then, as
# the last one: lines left, lines and branches excused, entries that are stale, and the lines left as an array of JSON.

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
    print file ":" n ": " (is_line ? "" : "not both ways: ") text[n]
    if (is_line)
        left[++n_left] = "\"" file ":" n "\""
}

function end_file(n, line) {
    for (n = 0; (getline line < (root file)) > 0;)
        text[++n] = trim(line)
    close(root file)
    for (n = 1; n in text; n++) {
        n_seen[name_of(n)]++
        if (n in is_unmet || n in n_unmet)
            report(n, n in is_unmet, n_unmet[n] + 0)
    }
    split("", text); split("", begins); split("", is_unmet); split("", n_unmet)
}

FNR == NR && /^[^# \t]/ { entry = $0; entries[entry] = FNR }
FNR == NR && /^[ \t]+[^ \t]/ { has_reason[entry] = 1 }
FNR == NR { next }

{ split(substr($0, index($0, ":") + 1), field, ",") }
/^SF:/ { file = substr($0, 4); sub(/.*\/impl\//, "impl/", file) }
/^FN:/ { sub(/.*:/, "", field[2]); begins[field[1]] = field[2] }
/^DA:/ && field[2] == 0 { is_unmet[field[1]] = 1 }
/^BRDA:/ && field[4] + 0 == 0 { n_unmet[field[1]]++ }
/^end_of_record/ { end_file() }

END {
    for (entry in entries) {
        wrong = !has_reason[entry] ? "no reason is given" : !n_seen[entry] ? "there is no such line" : \
            n_seen[entry] > 1 ? "there is more than one such line" : ""
        n_stale += wrong != ""
        if (!wrong && !is_used[entry])
            wrong = "was met, and needs no excuse"
        if (wrong)
            print "regress/uncovered.txt:" entries[entry] ": " wrong ": " entry
    }
    for (i = 1; i <= n_left; i++)
        json = json (i > 1 ? "," : "") left[i]
    print n_left + 0, n_excused_lines + 0, n_excused_branches + 0, n_stale + 0, "[" json "]"
}
