# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# A plot of `make nightly`, for .ci/nightly_page.pl, which sets first, last and step (of the nights) and the tics, and
# plots lines "NIGHT VALUE [VALUE]", "-" for what is not known. The colours are names: the page puts its own in their place, for dark and light.
set terminal svg size 400,200 dynamic font "sans-serif,13"
set datafile missing "-"
set border 3 lc rgb "#010101"
set tics nomirror textcolor rgb "#010102"
set grid y lc rgb "#010103" lt 1 lw 0.5
set key off
set xlabel "night" textcolor rgb "#010102" offset 0,0.6
set xrange [first - 0.5:last + 0.5]
set xtics step
set lmargin 9
set rmargin 1.5
set tmargin 0.7
set bmargin 2.8
set style line 1 lc rgb "#020201" lw 2 pt 7 ps 0.55
set style line 2 lc rgb "#020202" lw 2 pt 7 ps 0.55
