# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The plot of `make bugs`, for regress/bugs.sh, which sets terminal, output and `data`: the first block there has a line "BUG MEDIAN" for
# each bug, the second a line "N SECONDS LIMIT" for each trial of the Nth: the seconds of one that found it, the limit of one that did not.
set datafile missing "-"
set logscale y
set yrange [0.001:*]
set ylabel "seconds until it is found, from no corpus"
set style fill solid 0.3
set boxwidth 0.7
set xtics rotate by -60
set grid y
set key outside top center horizontal
plot data index 0 using 0:2:xtic(1) with boxes title "median", data index 1 using 1:2 with points pt 7 ps 0.4 title "a trial", \
    data index 1 using 1:3 with points pt 8 title "a trial that found nothing"
