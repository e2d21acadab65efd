# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The plots of `make bench`, for bench/bench.sh, which sets output, `data` (by bench/plots.awk) and `plot_of`.
set terminal svg size 900,560 font "sans-serif,12" background "white"
set logscale y
set ylabel "microseconds a cycle, median and quartiles"
set grid y
set key outside right center
set style data yerrorlines
set pointsize 0.5
n = system("grep -c '^\"' '".data."'") + 0
# The pool in strong lines, the floor in black, the others thin.
name(i) = system("sed -n '/^\"/p' '".data."' | sed -n ".(i + 1)."p | tr -d '\"'")
width(i) = name(i)[1:7] eq "cowpool" ? 2 : 1
shade(i) = name(i) eq "floor" ? 0x000000 : name(i) eq "cowpool" ? 0xd00000 : name(i)[1:7] eq "cowpool" ? 0xe08000 + 9 * i : \
    name(i)[1:8] eq "wasmtime" ? 0x8000a0 + 2000 * i : 0x0060a0 + 700 * i
if (plot_of eq "dirty") {
    set title "image of 1 MiB, 1 thread, no growth"
    set xlabel "pages written in place"
    set logscale x 4
    set xrange [0.5:400]
    set xtics ("0" 0.6, "1" 1, "16" 16, "256" 256)
    at(x) = x < 1 ? 0.6 : x
}
if (plot_of eq "threads") {
    set title "image of 1 MiB, 16 pages written in place"
    set xrange [0.5:5.5]
    set xtics ("1 thread" 1, "2 threads" 2, "1 thread, grown" 4, "2 threads, grown" 5)
    at(x) = x
}
if (plot_of eq "slots") {
    set title "image of 64 KiB, 1 page written, 1 thread"
    set xlabel "slots"
    set logscale x
    set xrange [0.7:15000]
    at(x) = x
}
dash(i) = name(i)[1:7] eq "cowpool" || name(i) eq "floor" ? 1 : 2
plot for [i = 0:n - 1] data index i using (at($1)):2:3:4 title name(i) lw width(i) lc rgb shade(i) dt dash(i)
