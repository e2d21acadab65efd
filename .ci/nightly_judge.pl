#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What a night has come to: nightly_judge.pl OUT HISTORY begin|running|ended|interrupted SECONDS, for .ci/nightly.sh. Reads what the
# steps left in OUT/work and the nights before in HISTORY, writes OUT/nightly.json, of which the page is made. `begin` only mends
# HISTORY and numbers the night. When it has ended, its line goes behind the others in HISTORY.
# Exit code: that of the night: 0; 1 something was found, the canary is off, or a floor fell; 2 it could not run, or not to the end.
use strict;
use warnings;
use File::Basename;
use JSON::PP;

my ($out, $history_file, $state, $seconds) = @ARGV;
my $work = "$out/work";
my $json = JSON::PP->new->canonical->utf8;

# Of fuzzing with one engine, for its speed to be compared.
my $min_seconds = 20;
# Lines that are kept: a year and more.
my $max_nights = 400;
# What must not fall below last night's, by how much: a part of it, or points of a percentage. Operations are counted per second of
# fuzzing; another machine, or a busy one, is no regression.
my @floors = (
    [operations => 'operations per second', 'factor', 1 / 3],
    [lines => 'lines of impl/ that programs run, %', 'points', 0.5],
    [branches => 'branches of impl/, %', 'points', 0.5],
    [states => 'pairs of operations, with a state', 'factor', 0.95],
    [results => 'results of operations, with an edge', 'factor', 0.95],
    [entries => 'programs that distilling kept', 'factor', 0.75],
    [features => 'features that these cover', 'factor', 0.95],
);

sub contents {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}
sub put {
    my ($file, $words) = @_;
    open my $to, '>', "$file.new" or die "nightly: cannot write $file: $!\n";
    print $to $words;
    close $to or die "nightly: cannot write $file: $!\n";
    rename "$file.new", $file or die "nightly: cannot write $file: $!\n";
}
sub json_in { my ($file) = @_; return eval { $json->decode(contents($file)) } }
sub table { return map { [split /\t/, $_, -1] } split /\n/, contents($_[0]) }

# ---- the nights before: one object in each line ----
my (@nights, @damaged);
for my $line (split /\n/, contents($history_file)) {
    next if $line =~ /^\s*$/;
    my $night = eval { $json->decode($line) };
    my $is_whole = ref $night eq 'HASH' && ($night->{night} // '') =~ /^[1-9]\d{0,8}$/ && $night->{verdict} && ref($night->{rates} // {}) eq 'HASH';
    push @{$is_whole ? \@nights : \@damaged}, $is_whole ? $night : $line;
}
if ($state eq 'begin') {
    die "nightly: cannot read $history_file\n" if -e $history_file && !-r $history_file;
    my $words = @nights ? '' : 'There is no history yet: this is the first night, and there is nothing to compare it with.';
    if (@damaged) {
        my ($aside, $n) = ("$history_file.damaged", 1);
        $aside = "$history_file.damaged-" . ++$n while -e $aside;
        rename $history_file, $aside or die "nightly: cannot move $history_file aside: $!\n";
        put($history_file, join '', map { $json->encode($_) . "\n" } @nights);
        $words = sprintf '%d of %d lines of %s could not be read. It was moved aside to %s; what could be read goes on.', scalar @damaged,
            @damaged + @nights, $history_file, $aside;
        print "nightly: $words\n";
    }
    open my $facts, '>>', "$work/facts" or die "nightly: cannot write $work/facts: $!\n";
    printf $facts "night\t%d\nhistory\t%s\n", (@nights ? $nights[-1]{night} : 0) + 1, $words;
    close $facts or die "nightly: cannot write $work/facts: $!\n";
    exit 0;
}

# ---- what the steps left ----
my %fact = map { @$_ } table("$work/facts");
my @steps = map { my %step; @step{qw(name status seconds words)} = @$_; $step{seconds} += 0; \%step } table("$work/steps");
my %step = map { $_->{name} => $_ } @steps;

my @fuzz;
for my $step (grep { $_->{name} =~ /^fuzz \S+ \S+$/ && $_->{status} ne 'skipped' } @steps) {
    my (undef, $engine, $sanitize) = split / /, $step->{name};
    my $log = contents("$work/fuzz-$engine-$sanitize.log");
    my %run = (engine => $engine, sanitize => $sanitize, status => $step->{status});
    if ($log =~ /^fuzz: (\d+) s, seed (\w+), (\d+) programs \((\d+)\/s\), (\d+) operations, (\d+)% effective .*?, (\d+) traps, coverage (\d+), corpus (\d+)/m) {
        @run{qw(seconds seed programs programs_per_second operations effective_percent traps coverage corpus)} = ($1 + 0, $2, map { $_ + 0 } $3, $4, $5, $6, $7, $8, $9);
        $run{operations_per_second} = int($run{operations} / $run{seconds});
    }
    push @fuzz, \%run;
}

# ---- findings: of tonight's fuzzing, programs that do not agree, and old findings that still fail ----
my %is_known = map { $_->[0] => 1 } table("$work/known");
my %is_met = map { $_->[0] => 1 } table("$work/met");
my $verified = json_in("$work/verify.json");
my %verified = map { $_->{key} => $_ } @{$verified ? $verified->{findings} : []};
my @findings;
for my $key (sort { ($is_known{$a} // 0) <=> ($is_known{$b} // 0) || $a cmp $b } map { basename($_) } grep { -d } glob 'findings/*') {
    my $report = contents("findings/$key/report.txt") or next;
    my $told = $verified{$key};
    my $still = !!grep { ($told->{$_} // '') =~ /^(fails|other)$/ } 'input', 'program.ops', 'minimal.ops', 'program', 'minimal';
    next unless $is_met{$key} || $told;
    my ($line) = $report =~ /\A(.*)/;
    my ($reproduce) = $report =~ /^reproduce: (make repro [^(\n]*[^(\n ])/m;
    my $program = contents("findings/$key/minimal.ops") || contents("findings/$key/program.ops");
    push @findings, {
        key => $key, line => $line, program => $program, is_minimal => -e "findings/$key/minimal.ops" ? JSON::PP::true : JSON::PP::false,
        reproduce => $reproduce // "make repro ENTRY=findings/$key/input", report => substr($report, 0, 6000),
        status => !$is_known{$key} ? 'new' : $is_met{$key} ? 'met again' : $still ? 'still fails' : 'fails no more',
    };
}
my $replay = json_in("$work/replay.json");
my $replay_log = contents("$work/replay.log");
my %disagrees = map { /^(\S+): (divergence: .*)$/ ? ($1 => $2) : /^(crash: .*) in (\S+)$/ ? ($2 => $1) : () } split /\n/, $replay_log;
for my $file (sort keys %disagrees) {
    push @findings, {
        key => $file, line => $disagrees{$file}, program => substr(contents($file), 0, 6000), is_minimal => JSON::PP::false,
        reproduce => "make repro ENTRY=$file", report => '', status => 'a program that is kept',
    };
}
my @failing = grep { $_->{status} ne 'fails no more' } @findings;

# ---- figures ----
my (%figure, %corpus);
for my $run (grep { $_->{operations_per_second} } @fuzz) {
    $figure{$_} += $run->{$_} for qw(operations programs traps);
    # What ended early, or was mostly starting, says nothing about speed.
    $figure{rates}{"$run->{engine} $run->{sanitize}"} = $run->{operations_per_second} if $run->{status} eq 'ok' && $run->{seconds} >= $min_seconds;
}
my $distilled = contents("$work/distil.log");
if ($distilled =~ /^corpus: \d+ entries before, (\d+) now \((\d+) bytes\).* cover (\d+) features$/m) {
    %corpus = (entries => $1 + 0, bytes => $2 + 0, features => $3 + 0);
    $corpus{inputs} = $1 + 0 if $distilled =~ /^corpus: (\d+) inputs/m;
    @figure{qw(entries features)} = @corpus{qw(entries features)};
}
my $coverage = json_in("$work/coverage.json");
my $matrix = $replay ? $replay->{matrix} : undef;
for my $kind (grep { $coverage && $coverage->{$_}{count} } qw(lines branches)) {
    $figure{$kind} = int(10000 * $coverage->{$kind}{covered} / $coverage->{$kind}{count}) / 100;
}
@figure{qw(pairs states results)} = @{$matrix}{qw(pairs states results)} if $matrix;

# ---- floors: against the last night that has this figure ----
my @held;
sub hold {
    my ($what, $kind, $by, $now, $read) = @_;
    my ($before) = grep { defined $read->($_) } reverse @nights;
    return unless defined $now && $before;
    my $was = $read->($before);
    my $least = $kind eq 'points' ? $was - $by : $was * $by;
    $least = sprintf($kind eq 'points' ? '%.2f' : '%.0f', $least) + 0;
    push @held, { what => $what, now => $now, before => $was, night => $before->{night}, least => $least,
        margin => $kind eq 'points' ? "$by points less" : sprintf('%.0f %% of it', 100 * $by), held => $now >= $least ? JSON::PP::true : JSON::PP::false };
}
for my $floor (@floors) {
    my ($name, $what, $kind, $by) = @$floor;
    if ($name eq 'operations') {
        for my $with (sort keys %{$figure{rates} // {}}) {
            hold("$what, $with", $kind, $by, $figure{rates}{$with}, sub { $_[0]{rates}{$with} });
        }
    } else {
        hold($what, $kind, $by, $figure{$name}, sub { $_[0]{$name} });
    }
}

# ---- the kill matrix: what replay does not find is a failure; one search from no corpus may miss by chance ----
my $bugs = json_in("$work/bugs.json");
my (@missed, @unlucky);
for my $bug (@{$bugs ? $bugs->{bugs} : []}) {
    push @missed, $bug->{id} unless $bug->{replay}{found};
    push @unlucky, $bug->{id} if !defined $bug->{not_fuzzed} && !grep { $_->{found} } @{$bug->{trials}};
}
if ($step{bugs} && $step{bugs}{status} eq 'failed' && $bugs && !@missed) {
    @{$step{bugs}}{qw(status words)} = ('ok', 'found by replay; a minute from no corpus did not find ' . join(', ', @unlucky));
}

# ---- the verdict ----
sub count { my ($n, $one, $many) = @_; return $n == 1 ? "1 $one" : "$n $many" }
my (@reasons, @unable);
push @reasons, count(scalar @failing, 'finding', 'findings') if @failing;
push @reasons, 'the canary is off: ' . $step{canary}{words} if $step{canary} && $step{canary}{status} =~ /^(failed|unable)$/;
push @reasons, map { "a floor fell: $_->{what}: $_->{now}, and $_->{before} in night $_->{night}" } grep { !$_->{held} } @held;
push @reasons, map { "a floor of the corpus: $_" } $replay_log =~ /^ +LOW +(.*)$/mg;
push @reasons, "the replay: $step{replay}{words}" if $step{replay} && $step{replay}{status} eq 'failed' && !%disagrees && $replay_log !~ /^ +LOW /m;
push @reasons, "coverage: $step{coverage}{words}" if $step{coverage} && $step{coverage}{status} eq 'failed';
push @reasons, 'historic bugs that replay does not find: ' . join(', ', @missed) if @missed;
push @unable, map { "$_->{name}: $_->{words}" } grep { $_->{status} eq 'unable' && $_->{name} ne 'canary' } @steps;
my $verdict = $state eq 'running' ? 'running' : @reasons ? 'failed' : $state eq 'interrupted' ? 'interrupted' : @unable ? 'unable' : 'ok';
my $code = @reasons ? 1 : $verdict eq 'ok' ? 0 : 2;

my @skipped = map { { what => $_->{name}, why => $_->{words} } } grep { $_->{status} eq 'skipped' } @steps;
push @skipped, { what => 'all steps behind that', why => 'the night was interrupted' } if $state eq 'interrupted';
push @skipped, map { { what => "$_->{id}, from no corpus", why => $_->{not_fuzzed} } } grep { defined $_->{not_fuzzed} } @{$bugs ? $bugs->{bugs} : []};

my %night = (
    night => $fact{night} + 0, at => $fact{at}, verdict => $verdict, exit => $code, commit => $fact{commit} =~ s/ .*//r, time => $fact{time} + 0,
    findings => [map { $_->{key} } @failing], bugs => [map { $_->{id} } @{$bugs ? $bugs->{bugs} : []}], %figure,
);
put("$out/nightly.json", $json->pretty->indent_length(1)->encode({
    state => $state, verdict => $verdict, exit => $code, reasons => \@reasons, unable => \@unable, night => $night{night}, at => $fact{at},
    seconds => $seconds + 0, time => $fact{time} + 0, jobs => $fact{jobs} + 0, commit => $fact{commit}, changed_files => $fact{changed} + 0,
    kernel => $fact{kernel}, machine => $fact{machine}, figures => \%figure, fuzz => \@fuzz, corpus => \%corpus, coverage => $coverage,
    replay => $replay ? $replay->{counters} : undef, matrix => $matrix, findings => \@findings, floors => \@held, bugs => $bugs ? $bugs->{bugs} : [],
    canary => $step{canary}, skipped => \@skipped, steps => \@steps, history_note => $fact{history}, nights => [@nights, \%night],
}));
exit $code if $state eq 'running';

if ($state eq 'ended') {
    push @nights, \%night;
    shift @nights while @nights > $max_nights;
    $json->pretty(0);
    put($history_file, join '', map { $json->encode($_) . "\n" } @nights);
}
printf "nightly: night %d, %s, %s operations; %s\n", $night{night}, $fact{time} . ' s of fuzzing', $figure{operations} // 'no',
    $verdict eq 'ok' ? 'all is well' : join '; ', ($state eq 'interrupted' ? 'interrupted' : ()), @reasons, @unable;
exit $code;
