#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What every workflow must be, whoever lints it: actions pinned to a commit, with the version behind; no rights but those that a job
# names; a limit of time; and nothing run but make's verbs and scripts of .ci/. Last, each of these is seen failing.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
shopt -s nullglob

# complaints DIRECTORY: what is wrong with its workflows, as file:line: what; a line with counts; false if anything is
complaints() {
    local files=("$1"/*.yml "$1"/*.yaml) verbs status=0
    verbs=$(sed -n 's/^\.PHONY: //p' Makefile)
    ((${#files[@]})) || { echo "$1: no workflow" && return 1; }
    awk -v verbs=" $verbs " '
        function complain(what) { print FILENAME ":" FNR ": " what; n_complaints++ }
        function end_job() {
            if (job == "") return
            if (!has_rights) complain("job " job " has no permissions of its own")
            if (!has_limit) complain("job " job " has no timeout-minutes")
        }
        function end_file() {
            end_job(); job = ""
            if (name == "") return
            if (!is_shut) { print name ": no `permissions: {}` on top"; n_complaints++ }
            if (!is_grouped) { print name ": no concurrency group"; n_complaints++ }
            if (!n_jobs_here) { print name ": no job"; n_complaints++ }
        }
        # A command line: each word a verb or a variable, or a script that is there.
        function check_command(command,    words, n, i, is_told) {
            n_runs++
            n = split(command, words, " ")
            if (words[1] ~ /^\.ci\/[a-z_]+\.(sh|pl)$/) {
                if (system("test -x " words[1]) != 0) complain("no script " words[1])
            } else if (words[1] == "make") {
                for (i = 2; i <= n; i++)
                    if (words[i] !~ /^[A-Z]+=[A-Za-z0-9_.\/-]+$/) {
                        if (words[i] !~ /^[a-z]+$/ || index(verbs, " " words[i] " ") == 0) complain("make has no verb " words[i])
                        else is_told = 1
                    }
                if (!is_told) complain("make is not told what to do")
            } else
                complain("runs neither make nor a script of .ci/: " command)
            if (command ~ /[$;&|<>`(]/) complain("a command for make or .ci/ only, without a shell: " command)
        }
        FNR == 1 { end_file(); name = FILENAME; is_shut = is_grouped = in_jobs = n_jobs_here = 0; unanswered = "" }
        /^[ ]*#/ { next }
        /\t/ { complain("a tab") }
        # A checkout keeps the token for whoever comes behind it, unless it is told not to.
        unanswered != "" && /persist-credentials: false/ { unanswered = "" }
        unanswered != "" && /^      - / { complain(unanswered); unanswered = "" }
        /^[a-z]/ { in_jobs = /^jobs:/; in_group = /^concurrency:/ }
        /^permissions: \{\}$/ { is_shut = 1 }
        in_group && /^  group: ./ { is_grouped = 1 }
        /pull_request_target|workflow_run/ { complain("a trigger that gives rights to what others wrote") }
        in_jobs && /^  [a-z-]+:$/ { end_job(); job = $1; sub(/:$/, "", job); has_rights = has_limit = 0; n_jobs++; n_jobs_here++ }
        in_jobs && /^    permissions:$/ { has_rights = 1 }
        in_jobs && /^    timeout-minutes: [1-9][0-9]*$/ { has_limit = 1 }
        /: write([ -]|$)|write-all/ && !/^      issues: write/ { complain("a right to write") }
        /uses:/ {
            n_uses++
            line = $0
            sub(/^.*uses: */, "", line)
            if (line !~ /^[A-Za-z0-9_.\/-]+@[0-9a-f]+ # v[0-9.]+$/ || length(substr(line, index(line, "@") + 1, index(line, " ") - index(line, "@") - 1)) != 40)
                complain("not pinned to a commit, with its version behind: " line)
            at = line; sub(/@.*/, "", at)
            split(at, parts, "/"); at = parts[1] "/" parts[2]
            of = line; sub(/^[^@]*@/, "", of)
            if (at in pinned && pinned[at] != of) complain(at " is another version elsewhere: " pinned[at])
            pinned[at] = of
            if (line ~ /^actions\/checkout@/) unanswered = "a checkout that leaves its token behind"
        }
        /run:/ {
            line = $0
            sub(/^.*run: */, "", line)
            sub(/ +#.*/, "", line)
            check_command(line)
        }
        END {
            if (unanswered != "") complain(unanswered)
            end_file()
            if (!n_jobs || !n_uses || !n_runs) { print "nothing was looked at"; n_complaints++ }
            print n_jobs + 0 " jobs, " n_uses + 0 " actions, " n_runs + 0 " commands: " n_complaints + 0 " complaints"
            exit n_complaints > 0
        }' "${files[@]}" || status=1
    return "$status"
}
check "the workflows are in order" complaints .github/workflows
cat "$dir/stdout"

# ---- the check itself: each of these spoils a copy, and must be told of ----
# spoiled WHY SED-COMMAND [FILE]
spoiled() {
    local copy=$dir/workflows
    rm -rf "$copy"
    cp -r .github/workflows "$copy"
    sed -i -E "$2" "$copy/${3:-nightly.yml}"
    ! cmp -s "$copy/${3:-nightly.yml}" ".github/workflows/${3:-nightly.yml}" || { echo "nothing was spoiled" && return 1; }
    ! complaints "$copy" >"$dir/said" || { cat "$dir/said" && echo "nobody complained" && return 1; }
    grep -qF -- "$1" "$dir/said" || { cat "$dir/said" && return 1; }
}
check "a version in the place of a commit" spoiled 'not pinned' 's/(uses: actions\/checkout)@[0-9a-f]+ # (v.*)/\1@\2/'
check "half of a commit" spoiled 'not pinned' 's/(download-artifact@[0-9a-f]{20})[0-9a-f]+/\1/'
check "a commit without its version" spoiled 'not pinned' 's/(save@[0-9a-f]{40}).*/\1/'
check "two versions of one action" spoiled 'another version' 's/(restore@)[0-9a-f]{4}/\10000/'
check "rights for all jobs" spoiled 'no `permissions: {}`' 's/^permissions: \{\}/permissions: read-all/'
check "a job without rights of its own" spoiled 'job issues has no permissions' '/^  issues:/,$ s/^    permissions:/    env:/'
check "a right to write" spoiled 'a right to write' 's/^      contents: read/      contents: write/'
check "no limit of time" spoiled 'job nightly has no timeout-minutes' '/timeout-minutes: 330/d'
check "no group" spoiled 'no concurrency group' 's/^  group:/  croup:/'
check "a shell" spoiled 'without a shell' 's/run: make deps nightly/run: make deps nightly || true/'
check "an expression in a command" spoiled 'without a shell' 's/(run: make deps nightly)/\1 TIME=${{ inputs.time }}/'
check "several lines" spoiled 'neither make nor' 's/run: make deps nightly/run: |/'
check "another command" spoiled 'neither make nor' 's/run: make deps/run: cmake/'
check "a verb that there is not" spoiled 'no verb nachts' 's/make deps nightly/make deps nachts/'
check "no verb at all" spoiled 'not told what to do' 's/make deps nightly/make TIME=3/'
check "a script that there is not" spoiled 'no script' 's/nightly_issues\.pl/nightly_tissues.pl/'
check "a token that stays" spoiled 'leaves its token' 's/persist-credentials: false/persist-credentials: true/'
check "a trigger with rights" spoiled 'gives rights' 's/pull_request:/pull_request_target:/' pull-request.yml
mkdir "$dir/none"
check "no workflow" exits 1 complaints "$dir/none"
((n_failed == 0)) || exit 1
