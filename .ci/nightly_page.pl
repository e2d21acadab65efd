#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The page of a night: nightly_page.pl NIGHTLY.JSON >INDEX.HTML. It shows what .ci/nightly_judge.pl wrote, verdict first, and asks for
# nothing else. gnuplot makes the plots; without it there is only the table of nights.
use strict;
use warnings;
use utf8;
use File::Temp;
use FindBin;
use JSON::PP;
use lib $FindBin::Bin;
use page;

binmode STDOUT, ':utf8';
my ($file) = @ARGV;
open my $in, '<', $file or die "nightly: cannot read $file: $!\n";
my $night = decode_json(do { local $/; <$in> });
my ($figures, $corpus) = @{$night}{qw(figures corpus)};
my @nights = @{$night->{nights}};
my @before = @nights[0 .. $#nights - 1];

sub duration {
    my ($seconds) = @_;
    return $seconds < 120 ? "$seconds s" : $seconds < 7200 ? sprintf('%d min', ($seconds + 30) / 60) : sprintf('%.1f h', $seconds / 3600);
}
sub count { my ($n, $one, $many) = @_; return number($n) . ' ' . ($n == 1 ? $one : $many) }
sub percent { my ($percent) = @_; return defined $percent ? sprintf('%.2f %%', $percent) : '–' }
# row CELL...: of a table; what is a number is set like one, and a reference is HTML already
sub row {
    my ($first, @cells) = @_;
    my $html = '<tr><th scope="row">' . text($first) . '</th>';
    for my $cell (@cells) {
        my $class = !ref $cell && $cell =~ /^(–|-?[\d,.]+( %| s)?)$/ ? ' class="n"' : '';
        $html .= "<td$class>" . (ref $cell ? $$cell : text($cell)) . '</td>';
    }
    return "$html</tr>\n";
}
# table LABEL HEADS ROW...: heads that begin with # are of numbers
sub table {
    my ($label, $heads, @rows) = @_;
    my $html = qq(<div class="scroll" tabindex="0" role="region" aria-label="$label"><table>\n<thead><tr>);
    $html .= /^#(.*)/ ? qq(<th scope="col" class="n">$1</th>) : qq(<th scope="col">$_</th>) for @$heads;
    return join '', $html, "</tr></thead>\n<tbody>\n", @rows, "</tbody></table></div>\n";
}

# ---- plots ----

# The colours that .ci/nightly.gnuplot names, and the page's.
my %colour = ('1,1,1' => '--line', '1,1,2' => '--faint', '1,1,3' => '--line', '2,2,1' => '--a', '2,2,2' => '--b');
my $n_plots = 0;

# label 1250000: 1.25 M
sub label {
    my ($n) = @_;
    my ($unit, $size) = $n >= 1e9 ? (' G', 1e9) : $n >= 1e6 ? (' M', 1e6) : $n >= 1e4 ? (' k', 1e3) : ('', 1);
    return sprintf '%.10g%s', $n / $size, $unit;
}

# plot CAPTION WORDS NAME [NAME]: these figures over the last nights; nothing without gnuplot
sub plot {
    my ($caption, $words, @names) = @_;
    my @shown = grep { my $it = $_; grep { defined $it->{$_} } @names } @nights;
    @shown = @shown[-60 .. -1] if @shown > 60;
    return '' unless @shown;
    my ($first, $last) = ($shown[0]{night}, $shown[-1]{night});
    my $step = int(($last - $first) / 8) + 1;
    my $data = join '', map { my $it = $_; join(' ', $it->{night}, map { $it->{$_} // '-' } @names) . "\n" } @shown;
    my @values = sort { $a <=> $b } grep { defined } map { my $it = $_; map { $it->{$_} } @names } @shown;
    my ($low, $high) = @values[0, -1];
    my $room = ($high - $low) * 0.15 || abs($high) * 0.1 || 1;
    $low = $low >= 0 && $low < $room ? 0 : $low - $room;
    $high += $room;
    my $tic = 10**int(log(($high - $low) / 4) / log(10) - ($high - $low < 4));
    $tic *= (grep { ($high - $low) / ($_ * $tic) <= 5 } 1, 2, 5, 10)[0];
    my $tics = join ', ', map { '"' . label($_ * $tic) . '" ' . $_ * $tic } int($low / $tic) + ($low > 0) .. int($high / $tic);
    my $script = File::Temp->new;
    print $script "first = $first; last = $last; step = $step\n", "load '$FindBin::Bin/nightly.gnuplot'\n";
    print $script "set yrange [$low:$high]\nset ytics ($tics)\n\$data << END\n${data}END\n";
    print $script 'plot ', join(', ', map { "\$data using 1:" . ($_ + 2) . " with linespoints ls " . ($_ + 1) } 0 .. $#names), "\n";
    close $script;
    my $svg = `gnuplot $script 2>/dev/null` // '';
    $svg =~ s/^.*?(?=<svg\b)//s or return '';
    # Several in one page: names of their own, colours of the page, and no scripts or comments.
    $n_plots++;
    $svg =~ s/<(title|desc)>.*?<\/\1>//gs;
    $svg =~ s/<!--.*?-->//gs;
    $svg =~ s/\b(id=|href=)(["'])(#?)/$1$2${3}plot$n_plots-/g;
    $svg =~ s/\burl\(#/url(#plot$n_plots-/g;
    $svg =~ s/ (fill|stroke|color)\s*=\s*(["'])\s*rgb\(\s*(\d+),\s*(\d+),\s*(\d+)\s*\)\2/" style=\"$1:" . ($colour{"$3,$4,$5"} ? "var($colour{\"$3,$4,$5\"})" : 'currentColor') . '"'/ge;
    $svg =~ s/<svg\b/<svg role="img" aria-label="@{[text($caption)]}, over the nights"/;
    $svg =~ s/\n\s*\n+/\n/g;
    return "<figure><figcaption>$caption$words</figcaption>\n$svg</figure>\n";
}
my $plots = join '', plot('Operations', '', 'operations'),
    plot('Coverage of impl/, %', ' <i class="a">lines</i> <i class="b">branches</i>', 'lines', 'branches'),
    plot('Pairs of operations, with a state', '', 'states'),
    plot('Corpus: programs that distilling kept', '', 'entries');

# ---- what each part says ----

sub verdict {
    my $n = grep { $_->{status} ne 'fails no more' } @{$night->{findings}};
    my ($class, $words) = @{{
        ok => [good => 'All is well'],
        failed => [bad => $n ? count($n, 'finding', 'findings') : 'Not well'],
        unable => ['', @{$night->{fuzz}} ? 'Not all of it could run' : 'It could not run'],
        interrupted => ['', 'Interrupted'],
        running => ['', 'Not at its end'],
    }->{$night->{verdict}}};
    my @list = ((grep { !/^\d+ findings?$/ } @{$night->{reasons}}), @{$night->{unable}});
    my $html = qq(<div class="verdict $class" role="status"><strong>$words</strong>\n);
    $html .= "<p>It was interrupted; this is what was known until then.</p>\n" if $night->{state} eq 'interrupted';
    $html .= "<p>The night is still under way, or was ended from outside; this is what was known until then.</p>\n" if $night->{state} eq 'running';
    $html .= '<p>' . text("Pool and model agreed in each of " . number($figures->{operations}) . " operations; the canary was found.") . "</p>\n" if $night->{verdict} eq 'ok';
    $html .= '<ul>' . join('', map { '<li>' . text($_) . "</li>\n" } @list) . "</ul>\n" if @list;
    return "$html</div>\n";
}

sub tile {
    my ($what, $value, $words, $is_bad) = @_;
    return '<div><dt>' . text($what) . ($is_bad ? '</dt><dd class="is-bad">' : '</dt><dd>') . text($value) . '</dd><dd>' . text($words) . "</dd></div>\n";
}
sub change {
    my ($name, $digits) = @_;
    my ($last) = grep { defined $_->{$name} } reverse @before;
    return '' unless $last && defined $figures->{$name};
    my $change = sprintf "%+.${digits}f", $figures->{$name} - $last->{$name};
    $change =~ s/^-/−/;
    return $change =~ /[1-9]/ ? ", $change since last time" : ', as last time';
}
sub tiles {
    my @bugs = @{$night->{bugs}};
    my $found = grep { $_->{replay}{found} } @bugs;
    my $canary = $night->{canary};
    return '<dl class="tiles">' . join('', 
        tile('Operations', short($figures->{operations}, ' '), defined $figures->{programs} ? 'in ' . count($figures->{programs}, 'program', 'programs') : 'not fuzzed'),
        tile('Lines of impl/', percent($figures->{lines}), defined $figures->{lines} ? 'run by programs' . change('lines', 2) : 'not counted'),
        tile('Pairs with a state', number($figures->{states}), defined $figures->{states} ? 'of operations' . change('states', 0) : 'not counted'),
        tile('Corpus', number($corpus->{entries}), defined $corpus->{entries} ? 'evolved programs' . change('entries', 0) : 'not distilled'),
        tile('Canary', !$canary ? '–' : $canary->{status} eq 'ok' ? 'found' : 'off', !$canary ? 'not asked' : 'a planted bug, from no corpus', $canary && $canary->{status} ne 'ok'),
        tile('Historic bugs', @bugs ? "$found of " . @bugs : '–', @bugs ? 'put back, found by replay' : 'none was put back', $found < @bugs),
    ) . "</dl>\n";
}

sub findings {
    my @findings = @{$night->{findings}} or return $night->{fuzz}[0] ? "<p>None.</p>\n" : "<p>Nothing was looked for.</p>\n";
    my $html = '';
    for my $finding (@findings) {
        my $gone = $finding->{status} eq 'fails no more' ? ' gone' : '';
        $html .= qq(<section class="finding$gone"><h3>) . text($finding->{line}) . qq(</h3>\n<p><span class="@{[$gone ? 'is-good' : 'is-bad']}">$finding->{status}</span> · <code>)
            . text($finding->{key}) . "</code></p>\n";
        $html .= '<p>' . ($finding->{is_minimal} ? 'The smallest program that fails so' : 'The program') . ":</p>\n<pre tabindex=\"0\">" . text($finding->{program}) . "</pre>\n" if $finding->{program};
        $html .= "<p>To see it fail:</p>\n<pre tabindex=\"0\">" . text($finding->{reproduce}) . "</pre>\n";
        $html .= "<details><summary>The report</summary><pre tabindex=\"0\">" . text($finding->{report}) . "</pre></details>\n" if $finding->{report};
        $html .= "</section>\n";
    }
    return $html;
}

sub nights_table {
    my @rows;
    for my $it (reverse @nights > 30 ? @nights[-30 .. -1] : @nights) {
        my $class = $it->{verdict} eq 'ok' ? 'is-good' : $it->{verdict} eq 'failed' ? 'is-bad' : 'is-odd';
        push @rows, row($it->{night}, $it->{at} =~ s/T(\d\d:\d\d).*/ $1/r, \qq(<span class="$class">$it->{verdict}</span>), number($it->{operations}), percent($it->{lines}),
            percent($it->{branches}), number($it->{states}), number($it->{entries}), number($it->{features}), number(scalar @{$it->{findings} // []}), $it->{commit} // '');
    }
    my $table = table('The nights', ['night', 'UTC', 'verdict', '#operations', '#lines', '#branches', '#states', '#corpus', '#features', '#findings', 'commit'], @rows);
    my $words = @nights > 30 ? 'The last 30 of ' . @nights . ' nights' : count(scalar @nights, 'night', 'nights') . ', as a table';
    return $plots ? "<details><summary>$words</summary>$table</details>\n" : $table;
}

sub floors {
    my @floors = @{$night->{floors}} or return '<p>' . text($night->{history_note} || 'Nothing was compared.') . "</p>\n";
    return table('Floors', ['', '', '#tonight', '#before', '#at least', 'margin'], map { row($_->{what}, $_->{held} ? \'<span class="is-good">held</span>' : \'<span class="is-bad">fell</span>',
        number($_->{now}), number($_->{before}), number($_->{least}), $_->{margin}) } @floors);
}

sub fuzzing {
    my @runs = @{$night->{fuzz}} or return "<p>No engine ran.</p>\n";
    return table('Fuzzing', ['engine', 'sanitizer', '', '#seconds', '#programs', '#operations', '#per second', '#effective', '#traps', '#coverage', '#inputs', 'seed'],
        map { row($_->{engine}, $_->{sanitize} eq 'address' ? 'address, undefined' : $_->{sanitize}, status($_->{status}), number($_->{seconds}), number($_->{programs}), number($_->{operations}),
            number($_->{operations_per_second}), defined $_->{effective_percent} ? "$_->{effective_percent} %" : '–', number($_->{traps}), number($_->{coverage}), number($_->{corpus}), $_->{seed} // '–') } @runs);
}
sub status {
    my ($status) = @_;
    my $class = $status eq 'ok' ? 'is-good' : $status eq 'failed' ? 'is-bad' : 'is-odd';
    return \qq(<span class="$class">$status</span>);
}

sub bugs {
    my @bugs = @{$night->{bugs}} or return "<p>None was put back.</p>\n";
    my @rows;
    for my $bug (@bugs) {
        my ($trial) = grep { $_->{found} } @{$bug->{trials}};
        my $from_none = defined $bug->{not_fuzzed} ? \'<span class="faint">not fuzzed</span>' : $trial ? number($trial->{operations}) . " operations, $trial->{seconds} s"
            : \'<span class="is-odd">not found</span>';
        push @rows, row($bug->{id}, $bug->{effect}, $bug->{replay}{found} ? $bug->{replay}{program} =~ s/^corpus\///r : \'<span class="is-bad">not found</span>', $from_none,
            ($bug->{replay}{line} // '') =~ s/^divergence: //r);
    }
    return table('Historic bugs', ['', 'what it does', 'found by replay, in', 'from no corpus, after', 'as'], @rows);
}

sub skipped {
    my @skipped = @{$night->{skipped}} or return "<p>Nothing.</p>\n";
    return table('Skipped', ['', 'why'], map { row($_->{what}, $_->{why}) } @skipped);
}

# ---- the page ----

my $when = $night->{at} =~ s/T(\d\d:\d\d).*/ $1 UTC/r;
my $findings_first = @{$night->{findings}} ? "<h2>Findings</h2>\n" . findings() : '';
my $findings_later = $findings_first ? '' : "<h2>Findings</h2>\n" . findings();
my $changed = $night->{changed_files} ? ', with ' . count($night->{changed_files}, 'changed file', 'changed files') : '';
my $note = $night->{history_note} && @{$night->{floors}} ? '<p>' . text($night->{history_note}) . "</p>\n" : '';
my $no_plots = $plots ? '' : "<p>No plots: no gnuplot here (make deps).</p>\n";
my $maps = $night->{matrix} ? <<"END" : "<p>The programs were not replayed to their end.</p>\n";
<p>How often each operation had which result, over all programs of the corpus. <i>nothing</i>: the program's state gave it nothing to do. <i>error</i>: a kernel call
was made to fail. An empty place is a result that an operation never had; not every operation can have each.</p>
@{[results_map($night->{matrix})]}
<details><summary>What followed what on a slot</summary>
<p>Down, the operation before. The number says in how many states of the slot: no live lease, or one that has grown or not, was written or not,
has an image or not; 9 at most.</p>
@{[pairs_map($night->{matrix})]}
</details>
END
print head("cowpool, night $night->{night}: $night->{verdict}"), <<"END", foot();
<header>
<h1>cowpool, night $night->{night} · $when</h1>
@{[verdict()]}
</header>
<main>
@{[tiles()]}
$findings_first
<h2>Over the nights</h2>
$note$no_plots<div class="plots">
$plots</div>
@{[nights_table()]}
<h2>What the operations met</h2>
$maps
$findings_later
<h2>Floors</h2>
@{[floors()]}
<h2>Fuzzing</h2>
@{[fuzzing()]}
<h2>Historic bugs, put back</h2>
@{[bugs()]}
<h2>Skipped</h2>
@{[skipped()]}
<h2>Steps</h2>
@{[table('Steps', ['', '', '#seconds', ''], map { row($_->{name}, status($_->{status}), number($_->{seconds}), $_->{words}) } @{$night->{steps}})]}
</main>
<footer>
<p>Commit @{[text($night->{commit} || 'unknown')]}$changed. @{[text($night->{kernel})]}, @{[text($night->{machine})]}; @{[duration($night->{seconds})]}
in all, @{[duration($night->{time})]} of them for fuzzing.</p>
<p>The same again: <code>make nightly TIME=$night->{time} JOBS=$night->{jobs}</code>. All of this is in <code>nightly.json</code>, beside this page.</p>
</footer>
END
