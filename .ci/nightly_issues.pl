#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# An issue for each thing that a night has found: nightly_issues.pl NIGHTLY.JSON, for .github/workflows/nightly.yml. By gh, which takes
# GH_TOKEN and GH_REPO from the environment; RUN_URL, if it is set, tells where the artefacts are.
# A finding's issue is known by a comment in its body, with the finding's stable line. If there is one, it is told that it was met
# again, and opened again if it was closed, but for what was closed as not planned. All else that failed the night has one issue.
# Exit code: 0; 2 what was found could not be told.
use strict;
use warnings;
use File::Temp;
use JSON::PP;

my $json = JSON::PP->new->utf8;
# Where much is broken it is for a few reasons: nobody reads more than so many new issues of one night.
my $max_new = 20;
my $max_program_bytes = 20000;

binmode $_, ':utf8' for *STDOUT, *STDERR;
sub give_up { print STDERR "nightly_issues: @_\n"; exit 2 }
my $file = shift // '';
open my $in, '<', $file or give_up("cannot read $file: $!");
my $night = eval { local $/; $json->decode(scalar <$in>) } or give_up("$file is no JSON: did make nightly come to its end?");

# ---- gh ----
# gh ARGUMENT...: what it prints; the last one, if a reference, is what it reads
sub gh {
    my @words = @_;
    my $body = ref $words[-1] ? ${pop @words} : '';
    my $aside = File::Temp->new;
    binmode $aside, ':utf8';
    print $aside $body;
    close $aside or give_up("cannot write $aside: $!");
    utf8::encode($_) for @words;
    open my $from, '-|', 'gh', @words, ($body eq '' ? () : ('--body-file', "$aside")) or give_up("cannot run gh: $!");
    my $printed = do { local $/; <$from> } // '';
    my $is_done = close $from;
    $is_done or give_up("gh @words[0, 1] failed");
    return $printed;
}

# ---- words ----
# A block in which nothing means anything, whatever it holds.
sub block {
    my ($text) = @_;
    $text = substr($text, 0, $max_program_bytes) . "\n(cut here)\n" if length $text > $max_program_bytes;
    $text =~ s/[^\t\n\x20-\x{10ffff}]/?/g;
    my ($longest) = sort { length $b <=> length $a } '``', $text =~ /(`+)/g;
    $text =~ s/\n?\z/\n/;
    return "$longest`\n$text$longest`\n";
}
sub code_span { my ($text) = @_; $text =~ tr/`\n/' /; return "`$text`" }
# An HTML comment ends at two dashes.
sub marker { my ($key) = @_; $key =~ s/-(?=-)/- /g; $key =~ tr/\n/ /; return "<!-- nightly: $key -->" }

my $run = $ENV{RUN_URL} // '';
my $when = "night $night->{night}, " . code_span($night->{commit}) . ($run ne '' ? ", $run" : '');

# ---- what there is to tell: key, title, words, and what a known issue has not been told yet ----
sub program_of {
    my ($finding) = @_;
    return '' if ($finding->{program} // '') eq '';
    my $is_kept = $finding->{key} =~ /\//; # a program of the tree
    return ($finding->{is_minimal} ? 'The smallest program that fails so' : 'The program that fails') .
        ($is_kept ? ' is ' . code_span($finding->{key}) : '') . ":\n\n" . block($finding->{program});
}
sub words_of {
    my ($finding) = @_;
    my ($by_text) = $finding->{reproduce} =~ /( SANITIZE=\w+)/;
    $by_text = 'make repro ENTRY=program.ops' . ($by_text // '');
    my $words = "Found in $when:\n\n" . block($finding->{line}) . "\n" . program_of($finding) . "\nTo reproduce it, at that commit:\n\n";
    if ($finding->{key} =~ /\//) {
        $words .= block($finding->{reproduce});
    } else {
        $words .= block($by_text) . "\nwith the program above in `program.ops`; or\n\n" if ($finding->{program} // '') ne '';
        $words .= block($finding->{reproduce}) . "\nwith the artefact `nightly` of that run unpacked in the tree.\n";
    }
    $words .= "\n<details><summary>The report</summary>\n\n" . block($finding->{report}) . "\n</details>\n" if ($finding->{report} // '') ne '';
    return $words;
}

my (@things, %is_told);
for my $finding (grep { $_->{status} ne 'fails no more' } @{$night->{findings} // []}) {
    next if $is_told{$finding->{line}}++; # several inputs, one mistake
    push @things, {key => $finding->{line}, title => "Nightly: $finding->{line}", words => words_of($finding), news => program_of($finding)};
}
my @reasons = ((grep { !/^\d+ findings?$/ } @{$night->{reasons} // []}), @{$night->{unable} // []});
if (@reasons) {
    my $list = join '', map { "- " . code_span($_) . "\n" } @reasons;
    push @things, {
        key => 'the night itself', title => 'Nightly: not all is as it should be', words => "Since $when:\n\n$list", news => $list,
    };
}
if (!@things) {
    print "nightly_issues: nothing to tell\n";
    exit 0;
}

# ---- tell it ----
gh(qw(label create nightly --force --color B60205 --description), 'found by the nightly job');
my $issues = eval { $json->decode(gh(qw(issue list --label nightly --state all --limit 1000 --json), 'number,state,stateReason,body')) }
    or give_up('gh issue list printed no JSON');
my $n_new = 0;
for my $thing (@things) {
    my $marker = marker($thing->{key});
    # The latest one first; an open one before any that is closed.
    my ($known) = sort { ($b->{state} eq 'OPEN') <=> ($a->{state} eq 'OPEN') || $b->{number} <=> $a->{number} }
        grep { $_->{body} =~ /^\Q$marker\E\r?$/m } @$issues;
    if (!$known) {
        if (++$n_new > $max_new) {
            print "nightly_issues: not opened, since $max_new were: $thing->{title}\n";
            next;
        }
        my $title = length $thing->{title} > 200 ? substr($thing->{title}, 0, 200) . '...' : $thing->{title};
        print gh('issue', 'create', '--label', 'nightly', '--title', $title, \"$marker\n$thing->{words}");
    } elsif ($known->{state} ne 'OPEN' && ($known->{stateReason} // '') eq 'NOT_PLANNED') {
        print "nightly_issues: left closed: #$known->{number}\n";
    } else {
        gh('issue', 'reopen', $known->{number}) if $known->{state} ne 'OPEN';
        my $body = $known->{body} =~ s/\r//gr;
        my $is_news = $thing->{news} ne '' && index($body, $thing->{news}) < 0;
        gh('issue', 'comment', $known->{number}, \("Again in $when.\n" . ($is_news ? "\n$thing->{news}" : '')));
        print "nightly_issues: met again: #$known->{number}\n";
    }
}
