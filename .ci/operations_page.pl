#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The matrix of operations as a page: operations_page.pl SUMMARY <MATRIX >PAGE. MATRIX is that of `lockstep run --json --matrix`;
# .ci/coverage.sh puts the page beside the lines of the pool.
use strict;
use warnings;
use utf8;
use FindBin;
use JSON::PP;
use lib $FindBin::Bin;
use page;

binmode STDOUT, ':utf8';
my $matrix = decode_json(do { local $/; <STDIN> });
print head('cowpool: what the programs did'), <<"END", foot();
<h1>cowpool, coverage</h1>
<p>@{[text($ARGV[0])]}. <a href="index.html">Line by line</a>.</p>
<h2>Results of each operation</h2>
<p>How often, over all programs. <i>nothing</i>: the program's state gave it nothing to do. <i>error</i>: a kernel call was made to fail.
An empty place is a result that an operation never had; not every operation can have each.</p>
@{[results_map($matrix)]}
<h2>What followed what on a slot</h2>
<p>Down, the operation before. The number says in how many states of the slot: no live lease, or one that has grown or not, was written or not, has an image or not; 9 at most.</p>
@{[pairs_map($matrix)]}
END
