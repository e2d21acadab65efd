#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# .ci/nightly_issues.pl with a gh that keeps issues in a file: one issue for each stable line, with its program and the command that
# reproduces it; met again, it is told so, not opened once more.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. regress/harness.sh
perl -MJSON::PP -MFile::Temp -e 1 2>/dev/null || { echo "skipped: no perl with JSON::PP here" && exit 77; }

# ---- a gh of our own: only what is asked of it, and refusals of all else ----
mkdir "$dir/bin"
export ISSUES=$dir/issues.json PATH=$dir/bin:$PATH RUN_URL=https://example.invalid/runs/7
cat >"$dir/bin/gh" <<'END'
#!/usr/bin/env perl
use strict;
use warnings;
use JSON::PP;
my $json = JSON::PP->new->utf8->canonical->pretty;
sub slurp { open my $in, '<', $_[0] or die "gh: $_[0]: $!\n"; local $/; return scalar <$in> }
my $issues = -e $ENV{ISSUES} ? $json->decode(slurp($ENV{ISSUES})) : [];
utf8::decode($_) for @ARGV;
my ($noun, $verb, @rest) = @ARGV;
die "gh: HTTP 403: Resource not accessible by integration\n" if $ENV{FORBIDDEN};
sub option { my ($name) = @_; for (0 .. $#rest - 1) { return $rest[$_ + 1] if $rest[$_] eq $name } die "gh: no $name\n" }
sub body { my $body = slurp(option('--body-file')); utf8::decode($body); return $body }
sub numbered { my ($issue) = grep { $_->{number} == $rest[0] } @$issues; return $issue // die "gh: no issue $rest[0]\n" }
if ("$noun $verb" eq 'label create') {
} elsif ("$noun $verb" eq 'issue list') {
    option('--label') eq 'nightly' && option('--state') eq 'all' or die "gh: not all would be listed\n";
    my @fields = split /,/, option('--json');
    print $json->encode([map { my $issue = $_; +{map { $_ => $issue->{$_} } @fields} } @$issues]);
} elsif ("$noun $verb" eq 'issue create') {
    option('--label') eq 'nightly' or die "gh: it would not be listed\n";
    push @$issues, {number => 1 + @$issues, state => 'OPEN', stateReason => '', title => option('--title'), body => body(), comments => []};
    print "https://example.invalid/issues/", scalar @$issues, "\n";
} elsif ("$noun $verb" eq 'issue comment') {
    push @{numbered()->{comments}}, body();
} elsif ("$noun $verb" eq 'issue reopen') {
    numbered()->{state} = 'OPEN';
} else {
    die "gh: unknown command: @ARGV\n";
}
open my $to, '>', $ENV{ISSUES} or die;
print $to $json->encode($issues);
END
chmod +x "$dir/bin/gh"

# issue NUMBER FIELD: of the kept ones; n_issues; set_issue NUMBER FIELD VALUE
issue() { perl -MJSON::PP -0777 -ne 'BEGIN { ($n, $f) = splice @ARGV, 0, 2 } binmode STDOUT, ":utf8"; $v = decode_json($_)->[$n - 1]{$f}; print ref $v ? join("\n----\n", @$v) : $v' "$1" "$2" "$ISSUES"; }
n_issues() { perl -MJSON::PP -0777 -ne 'print scalar @{decode_json($_)}' "$ISSUES"; }
n_comments() { perl -MJSON::PP -0777 -ne 'BEGIN { $n = shift } print scalar @{decode_json($_)->[$n - 1]{comments}}' "$1" "$ISSUES"; }
set_issue() {
    perl -MJSON::PP -0777 -i -ne 'BEGIN { ($n, $f, $e) = splice @ARGV, 0, 3 } $i = decode_json($_); for ($i->[$n - 1]{$f}) { eval $e; die $@ if $@ } print encode_json($i)' "$1" "$2" "$3" "$ISSUES"
}

# night FINDINGS [REASONS [UNABLE]]: a nightly.json
night() {
    cat >"$dir/nightly.json" <<END
{ "night": 3, "commit": "abcdef0 A subject with a \`tick\`", "verdict": "failed", "findings": [$1], "reasons": [${2-}], "unable": [${3-}] }
END
}
finding() { # KEY LINE PROGRAM STATUS
    printf '{"key": "%s", "line": "%s", "program": "%s", "is_minimal": true, "reproduce": "make repro ENTRY=findings/%s/input SANITIZE=address", "report": "the report", "status": "%s"}' \
        "$1" "$2" "$3" "$1" "$4"
}
tell() { .ci/nightly_issues.pl "$dir/nightly.json"; }
says() { # NUMBER FIELD WORDS
    grep -qF -- "$3" <<<"$(issue "$1" "$2")" || { issue "$1" "$2" && echo "(no: $3)" && return 1; }
}
equal() { [[ $1 == "$2" ]] || { echo "$1, expected $2" && return 1; }; }

program='cowpool-ops 1\nimage A size=2P\ninstantiate i0 A\n'
zero=$(finding zero-1111 'divergence: bytes end zero' "$program" new)
night "$zero, $(finding zero-2222 'divergence: bytes end zero' "$program" new), $(finding gone-3333 'divergence: leak' "$program" 'fails no more'),
    $(finding wasm-4444 'fuzz_wasm: two --> readings' '' new)" '"3 findings", "the canary is off: it flew"'
check "three issues are opened" tell
check "one for each line, none for what fails no more, one for the night" equal "$(n_issues)" 3
check "its title is the line" equal "$(issue 1 title)" 'Nightly: divergence: bytes end zero'
check "it holds the program" says 1 body 'instantiate i0 A'
check "and the command for it" says 1 body 'make repro ENTRY=program.ops SANITIZE=address'
check "and the command for the artefact" says 1 body 'make repro ENTRY=findings/zero-1111/input SANITIZE=address'
check "and where the artefact is" says 1 body "$RUN_URL"
check "and the commit, which cannot end its quotation" says 1 body "\`abcdef0 A subject with a 'tick'\`"
check "a line cannot end the comment that marks it" says 2 body '<!-- nightly: fuzz_wasm: two - -> readings -->'
check "what has no program says only how to reproduce it" exits 1 says 2 body program.ops
check "the night's own says what else failed" says 3 body 'the canary is off: it flew'
check "and does not count findings" exits 1 says 3 body '3 findings'

# ---- again ----
set_issue 1 body 's/\n/\r\n/g' # as a browser sends it
check "the same again" tell
check "opens nothing" equal "$(n_issues)" 3
check "but says so" equal "$(n_comments 1) $(n_comments 2) $(n_comments 3)" '1 1 1'
check "in a line, without what is known" exits 1 says 1 comments 'instantiate i0 A'
night "$(finding zero-5555 'divergence: bytes end zero' 'cowpool-ops 1\nshorter\n' new)"
check "with another program" tell
check "which is told" says 1 comments shorter
check "others are left alone" equal "$(n_comments 1) $(n_comments 2) $(n_comments 3)" '2 1 1'

# ---- closed ones ----
set_issue 1 state '$_ = "CLOSED"'
set_issue 1 stateReason '$_ = "COMPLETED"'
check "what was closed, and comes again" tell
check "is opened again" equal "$(issue 1 state) $(n_issues)" 'OPEN 3'
set_issue 1 state '$_ = "CLOSED"'
set_issue 1 stateReason '$_ = "NOT_PLANNED"'
check "what nobody plans to mend" tell
check "is left alone" equal "$(issue 1 state) $(n_comments 1)" 'CLOSED 3'

# ---- what could go wrong ----
night "$(finding tick-6666 'divergence: tïcks' 'a ```` b\n</details>\n' new)"
check "a program with backticks" tell
check "is quoted with more of them" says 4 body '`````'
check "a line that is not of ASCII stays what it was" equal "$(issue 4 title)" 'Nightly: divergence: tïcks'
many=''
for i in {1..30}; do
    many+="${many:+,}$(finding "many-$i" "divergence: number $i" "$program" new)"
done
night "$many"
check "thirty findings: the last ten are only named" grep -q 'not opened.*divergence: number 30' <(tell)
check "and twenty have issues" equal "$(n_issues)" 24
night "$(finding ./corpus/a.ops 'divergence: old' "$program" 'a program that is kept')"
check "a program of the tree" tell
check "is named" says 25 body '`./corpus/a.ops`'
night '' '' '"fuzz: no engine can fuzz here"'
check "a night that could not run" tell
check "is told in the night's own" says 3 comments 'no engine can fuzz here'
night ''
n=$(n_issues)
check "a good night" env FORBIDDEN=1 .ci/nightly_issues.pl "$dir/nightly.json"
check "asks for nothing" equal "$(n_issues)" "$n"
night "$zero"
check "without leave it exits with 2" exits 2 env FORBIDDEN=1 .ci/nightly_issues.pl "$dir/nightly.json"
check "and says so" grep -q '^nightly_issues: gh label create failed' <(FORBIDDEN=1 .ci/nightly_issues.pl "$dir/nightly.json" 2>&1 || true)
check "without a night, too" exits 2 .ci/nightly_issues.pl "$dir/none.json"
((n_failed == 0)) || exit 1
