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
head(i) = system("grep '^\"' '".data."' | sed -n ".(i + 1)."p")
name(i) = system("echo '".head(i)."' | cut -d'\"' -f2")
number(i) = int(word(head(i), words(head(i))))
# The floor black, the pool in strong lines and warm colours; wasmtime violet, the others blue and green.
array shades[15] = [0x000000, 0xd00000, 0xff9000, 0xe0c000, 0xd06090, 0x80c0ff, 0x0050d0, 0x00d0d0, 0x008080, 0x40a000, 0x006000, 0x90c060, 0x9000c0, 0xb060e0, 0xd0a0f0]
shade(i) = shades[number(i)]
width(i) = number(i) == 2 ? 3 : number(i) <= 5 ? 2 : 1
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
plot for [i = 0:n - 1] data index i using (at($1)):2:3:4 title name(i) lw width(i) lc rgb shade(i)
