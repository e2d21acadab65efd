#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# lockstep doctor: its table, its JSON, its exit codes, and what it says on a machine that gives too little.
set -euo pipefail
. "$(dirname "$0")/harness.sh"

# says REGEX FILE
says() { grep -qE -- "$1" "$2" || { cat "$2" && return 1; }; }

cd "$dir"
check "the pool works here" exits 0 "$lockstep" doctor
cp stdout table
for line in kernel limits build pool modes; do
    check "there is a section: $line" says "^$line\$" table
done
check "it names the kernel" says "$(uname -r)" table
check "memory files are there" says '^  ok  memfd_create ' table
check "the pool keeps its word" says '^  ok  against the model ' table
check "the founding growth works" says '^  ok  growth=truncate +works here' table
check "the founding reset works" says '^  ok  reset=discard +works here' table
for mode in growth=protect reset=copyback reset=deferred reset=adaptive; do
    check "$mode works, whatever the kernel lacks" says "^  ok  $mode +works here" table
done
check "growth=guard works where there are markers" says '^  (ok  growth=guard +works here|no  growth=guard +.*unsupported)' table
check "it ends with the verdict" says '^The pool works here\.$' <(tail -n 1 table)

check "--json gives one line" exits 0 "$lockstep" doctor --json
cp stdout json
check "of JSON" test "$(wc -l <json)" = 1
if command -v python3 >/dev/null; then
    check "that parses, and says the same" python3 - json table <<'END'
import json, sys
findings = json.load(open(sys.argv[1]))
table = open(sys.argv[2]).read()
assert findings["works"] is True
sections = ["kernel", "limits", "build", "pool", "modes"]
assert sorted(findings) == sorted(sections + ["works"]), findings.keys()
for section in sections:
    for name, finding in findings[section].items():
        assert set(finding) == {"ok", "says"} and finding["ok"] in (True, False, None)
        word = {True: "ok", False: "no", None: "  "}[finding["ok"]]
        assert f"  {word}  {name:<27} {finding['says']}" in table, (section, name)
END
else
    echo "no python3 here: the JSON was not parsed"
fi

check "an unknown option is wrong use" exits 2 "$lockstep" doctor --jsno
cp stderr message
check "and is named" says "no such option: '--jsno'" message
check "--help helps" exits 0 "$lockstep" doctor --help

# With few descriptors the pool cannot be made. The loader needs some, a sanitizer's runtime more.
few() { (ulimit -n 5 && exits 1 "$lockstep" doctor "$@"); }
check "without descriptors it exits with 1" few
cp stdout table
check "and says that there are too few" says '^  no  RLIMIT_NOFILE +soft 5, hard 5: one descriptor a slot, about 0 slots' table
check "and what to do" says 'raise it: ulimit -n' table
check "and what the pool says" says '^  no  a small one +Too many open files' table
check "and that no mode works" says '^  no  growth=truncate +the pool does not work here' table
check "and ends with the verdict" says '^The pool does NOT work here\.$' <(tail -n 1 table)
check "its JSON says so too" few --json
cp stdout json
check "in its first word" says '^\{"works":false,' json

# A sanitizer's shadow does not fit into a small address space.
if ! "$lockstep" doctor | grep -qE '^ +sanitizers +(address|thread|memory)'; then
    small() { (ulimit -v 4000000 && exits 0 "$lockstep" doctor); }
    check "in a small address space small pools work" small
    cp stdout table
    check "and large ones are said not to" says '^  no  two slots of 4 GiB \+ 4 GiB +Cannot allocate memory' table
    check "and the limit is named" says '^  no  RLIMIT_AS +4096000000' table
fi
exit $((n_failed > 0))
