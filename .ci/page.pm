# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What our HTML pages share: their head, numbers for people, and the matrix of operations as heat maps. A page is one file that asks
# for nothing else: no script, no font, no network. In perl, as regress/mutate.pl is, since perl is there wherever git is.
package page;
use strict;
use warnings;
use utf8;
use Exporter 'import';
our @EXPORT = qw(text number short head foot results_map pairs_map);

# text WORDS: as HTML
sub text {
    my ($words) = @_;
    return '' unless defined $words;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#39;');
    $words =~ s/([&<>"'])/$entity{$1}/g;
    return $words;
}

# number 1234567: 1,234,567; short 1234567: 1.2 M. An undefined one is a dash.
sub number {
    my ($n) = @_;
    return '–' unless defined $n;
    my ($whole, $rest) = $n =~ /^(-?\d+)(.*)$/ or return text($n);
    1 while $whole =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return "$whole$rest";
}
sub short {
    my ($n, $blank) = (@_, '');
    return '–' unless defined $n;
    for my $unit (['G', 1e9], ['M', 1e6], ['k', 1e3]) {
        my ($name, $size) = @$unit;
        next if $n < $size;
        my $digits = $n < 10 * $size ? 1 : 0;
        return sprintf("%.${digits}f%s%s", int($n / $size * 10**$digits) / 10**$digits, $blank, $name);
    }
    return $n;
}

my $style = <<'END';
:root {
    color-scheme: light dark;
    --back: #fdfdfc; --card: #f3f3f0; --line: #dcdcd6; --text: #1c1d1f; --faint: #5d6066;
    --good: #176b3a; --good-back: #e2f3e8; --bad: #a11d1d; --bad-back: #fbe6e4; --odd: #7a5200; --odd-back: #fbf0d6;
    --a: #1f66b0; --b: #a8500f; --link: #1a5a9e;
    --h1: #e3eefa; --h2: #c6dcf3; --h3: #9cc5ea; --h4: #6aa6d8; --h5: #2f73b5; --h6: #124a80;
    --t1: #1b1b1b; --t2: #1b1b1b; --t3: #1b1b1b; --t4: #101010; --t5: #fff; --t6: #fff;
}
@media (prefers-color-scheme: dark) {
    :root {
        --back: #141517; --card: #1d1f22; --line: #34373c; --text: #e6e6e3; --faint: #a0a4ab;
        --good: #7fd6a0; --good-back: #14301f; --bad: #ff9d94; --bad-back: #3b1917; --odd: #f0c766; --odd-back: #342808;
        --a: #6cb2f5; --b: #f0a060; --link: #86bdf2;
        --h1: #16283a; --h2: #1d3a57; --h3: #245180; --h4: #3a78b5; --h5: #6aaee6; --h6: #b3dcff;
        --t1: #e8e8e8; --t2: #f0f0f0; --t3: #fff; --t4: #fff; --t5: #0b0b0b; --t6: #0b0b0b;
    }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 72rem; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 4rem; background: var(--back); color: var(--text);
    font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--faint); margin: 0 0 1rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.75rem 0 .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .4rem 0 .8rem; max-width: 44rem; }
a { color: var(--link); }
.faint { color: var(--faint); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .875em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem .9rem; overflow-x: auto; margin: .5rem 0 1rem; }
.verdict { border-radius: .6rem; padding: 1.1rem 1.3rem; margin: 0 0 1rem; background: var(--odd-back); border-left: .4rem solid var(--odd); }
.verdict strong { display: block; font-size: clamp(1.4rem, 5vw, 2rem); line-height: 1.2; color: var(--odd); }
.verdict ul { margin: .5rem 0 0; padding-left: 1.2rem; }
.verdict p { margin: .35rem 0 0; }
.good { background: var(--good-back); border-color: var(--good); } .good strong { color: var(--good); }
.bad { background: var(--bad-back); border-color: var(--bad); } .bad strong { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.75rem, 1fr)); gap: .75rem; margin: 0; }
.tiles div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.tiles dt { color: var(--faint); font-size: .875rem; }
.tiles dd { margin: 0; font-variant-numeric: tabular-nums; }
.tiles dd:nth-of-type(1) { font-size: 1.5rem; line-height: 1.3; font-weight: 600; }
.tiles dd + dd { color: var(--faint); font-size: .8125rem; line-height: 1.35; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .5rem 1.5rem; }
figure { margin: .75rem 0 0; } figcaption { font-weight: 600; font-size: .9375rem; }
figcaption i { font-style: normal; font-weight: 400; white-space: nowrap; } figcaption i::before { content: "●\00a0"; }
.a::before { color: var(--a); } .b::before { color: var(--b); }
figure svg { display: block; width: 100%; max-width: 32rem; height: auto; }
.scroll { overflow-x: auto; margin: .5rem 0 0; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; font-size: .8125rem; vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; }
tbody th { font-weight: 500; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
.is-good { color: var(--good); } .is-bad { color: var(--bad); font-weight: 600; } .is-odd { color: var(--odd); }
.map { border-collapse: separate; border-spacing: 2px; font-size: .75rem; line-height: 1.2; }
.map th, .map td { border: 0; padding: .28rem .35rem; }
.map thead td { background: none; }
.map thead th { padding: 0 0 .25rem; height: 6.2rem; text-align: center; }
.map thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.map tbody th { position: sticky; padding-left: 0; left: 0; background: var(--back); padding-right: .6rem; z-index: 1; }
.map td { min-width: 2.6rem; text-align: center; border-radius: .2rem; background: var(--card); }
.pairs td { min-width: 1.55rem; padding: .28rem 0; }
.map .h1 { background: var(--h1); color: var(--t1); } .map .h2 { background: var(--h2); color: var(--t2); }
.map .h3 { background: var(--h3); color: var(--t3); } .map .h4 { background: var(--h4); color: var(--t4); }
.map .h5 { background: var(--h5); color: var(--t5); } .map .h6 { background: var(--h6); color: var(--t6); }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--link); }
.finding { border-left: .25rem solid var(--bad); padding-left: 1rem; margin: 1.25rem 0; }
.finding.gone { border-color: var(--good); }
footer { margin-top: 3.5rem; border-top: 1px solid var(--line); padding-top: .8rem; color: var(--faint); font-size: .875rem; }
@media (max-width: 40rem) { th, td { padding-right: .5rem; } tbody th { white-space: normal; } .map tbody th { white-space: nowrap; } }
@media print { .scroll, pre { overflow: visible; white-space: pre-wrap; } details::details-content { display: block; } }
END

# head TITLE: up to the body's first line
sub head {
    my ($title) = @_;
    return <<"END";
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@{[text($title)]}</title>
<link rel="icon" href="data:,">
<style>
$style</style>
</head>
<body>
END
}
sub foot { return "</body>\n</html>\n" }

# ---- the matrix, as `lockstep run --json --matrix` tells it ----

sub map_of {
    my ($class, $label, $columns, $rows) = @_;
    my $html = qq(<div class="scroll" tabindex="0" role="region" aria-label="$label">\n<table class="$class">\n<thead><tr><td></td>);
    $html .= qq(<th scope="col"><span>@{[text($_)]}</span></th>) for @$columns;
    $html .= "</tr></thead>\n<tbody>\n";
    for my $row (@$rows) {
        my ($name, @cells) = @$row;
        $html .= qq(<tr><th scope="row">@{[text($name)]}</th>) . join('', @cells) . "</tr>\n";
    }
    return "$html</tbody>\n</table>\n</div>\n";
}

# results_map MATRIX: how often each operation had which result; a shade for each power of ten
sub results_map {
    my ($matrix) = @_;
    my %place = (ok => -5, nothing => -4, trap => -3, bounds => -2, stale => -1, error => 1);
    my %is_met;
    $is_met{$_} = 1 for map { keys %{$_->{results}} } @{$matrix->{operations}};
    my @results = sort { ($place{$a} // 0) <=> ($place{$b} // 0) || $a cmp $b } keys %is_met;
    my @rows;
    for my $operation (@{$matrix->{operations}}) {
        my @cells;
        for my $result (@results) {
            my $n = $operation->{results}{$result} or push(@cells, '<td></td>'), next;
            my $shade = length $n < 6 ? length $n : 6;
            push @cells, qq(<td class="h$shade" title="$operation->{name}, $result: @{[number($n)]}">@{[short($n)]}</td>);
        }
        push @rows, [$operation->{name}, @cells];
    }
    return map_of('map results', 'Results of each operation', \@results, \@rows);
}

# pairs_map MATRIX: in how many states of its slot an operation followed another one, at most 9
sub pairs_map {
    my ($matrix) = @_;
    my @names = map { $_->{name} } @{$matrix->{operations}};
    my @shades = (0, 1, 2, 3, 3, 4, 4, 5, 5, 6);
    my @rows;
    for my $operation (@{$matrix->{operations}}) {
        my @cells;
        for my $next (@names) {
            my $n = $operation->{followed_by}{$next};
            push @cells, $n ? qq(<td class="h$shades[$n > 9 ? 9 : $n]" title="$operation->{name}, then $next">$n</td>) : '<td></td>';
        }
        push @rows, [$operation->{name}, @cells];
    }
    return map_of('map pairs', 'Pairs of operations', \@names, \@rows);
}

1;
