#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Mechanical mutants of a C file: small changes that a test should notice.
#
#     regress/mutate.pl FILE        lists them: id, line, what is there, what takes its place, separated by tabs
#     regress/mutate.pl FILE ID     prints the file with that one made
#
# An id is FILE:FUNCTION:OPERATOR-ORDINAL, the ordinal counted in that function and of that operator: a change elsewhere
# renumbers nothing. Only bodies of functions are changed, and never comments, strings, lines of the preprocessor, labels
# of cases, or what stands in COW_CHECK() and COW_DEBUG_CHECK().
#
# In perl, since it needs no more than tokens and regular expressions and perl is there wherever git is; the mutation tools
# there are want a compiler of their own (Mull) or know lines only (universalmutator), and number mutants through the file.
use strict;
use warnings;

my ($file, $wanted) = @ARGV;
die "usage: regress/mutate.pl FILE [ID]\n" unless defined $file && @ARGV <= 2;
open my $in, '<', $file or die "$file: $!\n";
my $source = do { local $/; <$in> };

# ---- tokens: text, offset in the file; blanks, comments and the preprocessor's lines are none ----

my @tokens;
my $at_begin_of_line = 1;
while ($source =~ m{\G(?:
      (?<blank> \n | [ \t\f]+ | /\*.*?\*/ | //[^\n]* )
    | (?<directive> \# (?: \\\n | /\*.*?\*/ | [^\n] )* )
    | (?<token> [A-Za-z_]\w* | \.?\d (?: [eEpP][+-] | [\w.] )* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
              | <<= | >>= | \.\.\. | -> | \+\+ | -- | << | >> | <= | >= | == | != | && | \|\| | [-+*/%&|^]= | . )
    )}gcsx) {
    if (defined $+{directive}) {
        die "$file: a '#' in the middle of a line\n" unless $at_begin_of_line;
    } elsif (defined $+{token}) {
        push @tokens, { text => $+{token}, at => pos($source) - length $+{token} };
    }
    $at_begin_of_line = defined $+{blank} ? $at_begin_of_line || $+{blank} eq "\n" : 0;
}
my $n = @tokens;

sub text { $_[0] >= 0 && $_[0] < $n ? $tokens[$_[0]]{text} : '' }
sub is_name { text($_[0]) =~ /^[A-Za-z_]/ }

# What brackets what.
my (@open, @pair);
for my $i (0 .. $n - 1) {
    push @open, $i if text($i) =~ /^[(\[{]$/;
    if (text($i) =~ /^[)\]}]$/) {
        my $begin = pop @open // die "$file: unbalanced brackets\n";
        @pair[$begin, $i] = ($i, $begin);
    }
}

# ---- functions: a brace behind a parenthesis, outside all others ----

my @function; # of each token: the name of the function in whose body it is
for (my $i = 0; $i < $n; $i++) {
    next unless text($i) eq '{';
    if (text($i - 1) eq ')') {
        my $name = text($pair[$i - 1] - 1);
        @function[$i .. $pair[$i]] = ($name) x ($pair[$i] - $i + 1);
    }
    $i = $pair[$i];
}

# ---- what must not be touched ----

my @fixed;
for my $i (0 .. $n - 1) {
    if (text($i) =~ /^COW_(?:DEBUG_)?CHECK$/) {
        @fixed[$i .. $pair[$i + 1]] = (1) x ($pair[$i + 1] - $i + 1);
    } elsif (text($i) eq 'case') {
        for (my $j = $i; text($j) ne ':'; $j++) { $fixed[$j] = 1 }
    }
}

# ---- mutants ----

my (@mutants, %n_of);

# change OPERATOR, FIRST, LAST, BECOMES: the tokens first .. last become that text
sub change {
    my ($operator, $first, $last, $becomes) = @_;
    my $function = $function[$first] // return;
    return if grep { $fixed[$_] } $first .. $last;
    my $begin = $tokens[$first]{at};
    my $end = $tokens[$last]{at} + length text($last);
    my $id = "$file:$function:$operator-" . ++$n_of{"$function:$operator"};
    push @mutants, { id => $id, begin => $begin, end => $end, becomes => $becomes };
}

sub range { my ($first, $last) = @_;
    substr $source, $tokens[$first]{at}, $tokens[$last]{at} + length(text($last)) - $tokens[$first]{at} }

# The index of the first token from $i on, in steps of $step, that stands between brackets of its own level and matches; or of
# the bracket that ends the level.
sub seek_at_level {
    my ($i, $step, $regex) = @_;
    my ($opening, $closing) = $step > 0 ? (qr/^[(\[{]$/, qr/^[)\]}]$/) : (qr/^[)\]}]$/, qr/^[(\[{]$/);
    for (; $i >= 0 && $i < $n; $i += $step) {
        return $i if text($i) =~ $closing || text($i) =~ $regex;
        $i = $pair[$i] if text($i) =~ $opening;
    }
    die "$file: unbalanced brackets\n";
}

my $assignment = qr{^(?:=|[-+*/%&|^]=|<<=|>>=)$};
my $comparison = qr/^(?:<|<=|>|>=|==|!=)$/;
my %other_end = ('<' => '<=', '<=' => '<', '>' => '>=', '>=' => '>', '==' => '!=', '!=' => '==');
my %other_sign = ('+' => '-', '-' => '+', '+=' => '-=', '-=' => '+=');

# negate FIRST, LAST: a condition. One that is nothing but !x or a == b is the business of the operators below.
sub negate {
    my ($first, $last) = @_;
    return if $last < $first;
    my $simple = 1;
    my $n_comparisons = 0;
    for (my $i = $first; $i <= $last; $i++) {
        $simple = 0 if text($i) =~ /^(?:&&|\|\||\?|&|\||=)$/;
        $n_comparisons++ if text($i) =~ /^[!=]=$/;
        $i = $pair[$i] if text($i) =~ /^[(\[{]$/;
    }
    return if $simple && ($n_comparisons || text($first) eq '!');
    change('negate', $first, $last, '!(' . range($first, $last) . ')');
}

# A binary operator has an operand before it; a closing parenthesis may be a cast's, then what comes is a sign and no operator.
sub is_binary { text($_[0] - 1) =~ /[\w)\]'"]$/ && text($_[0] - 1) !~ /^(?:return|case)$/ }

sub mutate_condition {
    my ($i) = @_;
    if (text($i) =~ /^(?:if|while)$/) {
        negate($i + 2, $pair[$i + 1] - 1);
    } elsif (text($i) eq 'for') {
        my $first = seek_at_level($i + 2, 1, qr/^;$/) + 1;
        negate($first, seek_at_level($first, 1, qr/^;$/) - 1);
    } elsif (text($i) eq '?') {
        my $before = seek_at_level($i - 1, -1, qr/$assignment|^(?:[,;?:]|return)$/);
        negate($before + 1, $i - 1);
    }
}

sub mutate_operator {
    my ($i) = @_;
    my $it = text($i);
    change($it =~ /[!=]=/ ? 'equal' : 'bound', $i, $i, $other_end{$it}) if $it =~ $comparison;
    change('sign', $i, $i, $other_sign{$it}) if $other_sign{$it} && is_binary($i);
    change('logic', $i, $i, $it eq '&&' ? '||' : '&&') if $it =~ /^(?:&&|\|\|)$/;
    change('not', $i, $i, '') if $it eq '!';
    change('constant', $i, $i, $1 ? "0$2" : "1$2") if $it =~ /^([01])([uUlL]*)$/;
    change('constant', $i, $i, $it eq 'true' ? 'false' : 'true') if $it =~ /^(?:true|false)$/;
}

sub mutate_arguments {
    my ($i) = @_;
    return unless is_name($i) && text($i + 1) eq '(' && text($i) !~ /^(?:if|while|for|switch|return|sizeof)$/;
    my $end = $pair[$i + 1];
    my @arguments;
    for (my $first = $i + 2; $first < $end;) {
        my $behind = seek_at_level($first, 1, qr/^,$/);
        push @arguments, [$first, $behind - 1];
        $first = $behind + 1;
    }
    for my $k (0 .. $#arguments - 1) {
        my ($left, $right) = @arguments[$k, $k + 1];
        next if range(@$left) eq range(@$right);
        change('swap', $left->[0], $right->[1], range(@$right) . ', ' . range(@$left));
    }
}

my @in_for; # the semicolons between these parentheses end no statement
for my $i (0 .. $n - 1) {
    @in_for[$i + 1 .. $pair[$i + 1]] = (1) x ($pair[$i + 1] - $i) if text($i) eq 'for';
}

# A statement begins behind another one, or where a condition, a label or an `else` ends. What begins like one in an initialiser
# does not end like one.
sub begins_statement {
    my ($i) = @_;
    my $before = text($i - 1);
    return !$in_for[$i] if $before =~ /^(?:[;{}]|else|do)$/;
    return text($pair[$i - 1] - 1) =~ /^(?:if|while|for)$/ if $before eq ')';
    return $before eq ':' && text($i - 3) =~ /^[;{}]$/;
}

my $no_expression = qr/^(?:return|if|while|for|do|else|switch|case|default|break|continue|goto|const|static|struct|enum|union|
    unsigned|signed|int|long|char|void|bool|off_t|u?int\w*_t|s?size_t)$/x;

sub mutate_statement {
    my ($i) = @_;
    return unless begins_statement($i);
    if (text($i) eq 'if') { # an error, or another reason to stop, that is passed over
        my $body = $pair[$i + 1] + 1;
        my $end = seek_at_level($body, 1, qr/^;$/);
        change('ignore', $i, $end, ';') if text($body) =~ /^(?:return|goto|break|continue)$/ && text($end + 1) ne 'else';
    } elsif (text($i) !~ /^[;{}]$/ && text($i) !~ $no_expression && text($i + 1) ne ':' && !(is_name($i) && is_name($i + 1))) {
        # Something must happen in it: (void)argument; does nothing.
        my $end = seek_at_level($i, 1, qr/^;$/);
        my $happens = grep { text($_) =~ $assignment || text($_) =~ /^(?:\+\+|--)$/ || (is_name($_) && text($_ + 1) eq '(') } $i .. $end;
        change('drop', $i, $end, ';') if $happens && text($end) eq ';';
    }
}

for my $i (0 .. $n - 1) {
    next unless defined $function[$i];
    mutate_condition($i);
    mutate_operator($i);
    mutate_arguments($i);
    mutate_statement($i);
}

# ---- what is asked for ----

for my $mutant (@mutants) {
    if (!defined $wanted) {
        my $was = substr $source, $mutant->{begin}, $mutant->{end} - $mutant->{begin};
        my $line = 1 + (substr($source, 0, $mutant->{begin}) =~ tr/\n//);
        my $becomes = $mutant->{becomes};
        s/\s+/ /g for $was, $becomes;
        print join("\t", $mutant->{id}, $line, $was, $becomes), "\n";
    } elsif ($mutant->{id} eq $wanted) {
        print substr($source, 0, $mutant->{begin}), $mutant->{becomes}, substr($source, $mutant->{end});
        exit;
    }
}
die "$file: there is no mutant $wanted\n" if defined $wanted;
