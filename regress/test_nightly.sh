#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# make nightly, in a copy of the tree, for two seconds with one engine: what its page shows is what its JSON says, in a browser where
# there is one; then with the canary switched off; then, with a bug in the pool, until Ctrl-C. Of the first night once more what is
# made of it with other histories: one in which a floor falls, a damaged one, a long one.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
. .ci/toolchain.sh
. regress/harness.sh
find_clang -fsanitize=fuzzer >/dev/null || { echo "skipped: no clang here links with libFuzzer" && exit 77; }
perl -MFindBin -MJSON::PP -e 1 2>/dev/null || { echo "skipped: no perl with JSON::PP here" && exit 77; }
browser=''
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [[ -n $browser ]] || browser=$(command -v $name || true)
done

# ---- the copy: without what evolved, two historic bugs, and quickly compiled ----
tree=$dir/tree
mkdir -p "$tree/regress/bugs" "$tree/corpus"
cp -r .ci CMakeLists.txt CMakePresets.json bench fuzz impl reference "$tree/"
cp -r regress/{programs,uncovered.txt,bugs.gnuplot,bugs.sh,patched.sh,reached.sh,harness.sh,test_canary.sh} regress/{test_guest,interfere,liar,pressure}.c "$tree/regress/"
cp regress/bugs/{B27,M10}.patch "$tree/regress/bugs/"
cp -r corpus/{edges,motifs,pairs,shapes} "$tree/corpus/"
cd "$tree"
sed -i 's/"-O2"/"-O0"/' CMakePresets.json
out=build/nightly json=build/nightly/nightly.json history=var/nightly/history.jsonl

# night CODE SETTING...: leaves what it said in $dir/said
night() {
    exits "$1" env ENGINES=libfuzzer SANITIZERS=none JOBS=1 SEED=1 TIME=2 "${@:2}" bash .ci/nightly.sh >"$dir/said" 2>&1 || { cat "$dir/said" && return 1; }
}
# field NAME.NAME... [FILE]: of the JSON; of an array how many it has
field() {
    perl -MJSON::PP -e 'my $it = decode_json(do { local (@ARGV, $/) = $ARGV[1]; <> });
        $it = ref $it eq "ARRAY" ? $it->[$_] : $it->{$_} for split /\./, $ARGV[0]; print ref $it eq "ARRAY" ? scalar @$it : $it // "null"' "$1" "${2:-$json}"
}
is() { [[ $(field "$1" "${3:-$json}") == "$2" ]] || { echo "$1 is $(field "$1" "${3:-$json}"), not $2" && tail -n 2 "$dir/said" && return 1; }; }
says() { grep -qE -- "$1" "$dir/said" || { cat "$dir/said" && return 1; }; }

# ---- what a page shows ----
# shown PAGE: its text as a reader sees it, cells behind tabs, with all details open; into $dir/text. In a browser also how it is laid
# out, wide and narrow, light and dark: one line of JSON for each, into $dir/layout.
shown() {
    local scheme
    : >"$dir/layout"
    if [[ -n $browser ]]; then
        {
            echo '<!DOCTYPE html><body><script type="text/plain" id="page">' && cat "$1" && echo '</script><script>'
            cat <<'END'
const told = [];
const light = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map(n => n / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const back = (view, element) => {
    for (; element; element = element.parentElement)
        if (view.getComputedStyle(element).backgroundColor != 'rgba(0, 0, 0, 0)')
            return view.getComputedStyle(element).backgroundColor;
};
const look = (frame) => {
    const view = frame.contentWindow, root = frame.contentDocument.documentElement;
    root.querySelectorAll('details').forEach(it => it.open = true);
    let least = 99, where = '';
    for (const element of root.querySelectorAll('body, body *:not(svg *)')) {
        if (![...element.childNodes].some(it => it.nodeType == 3 && it.textContent.trim()))
            continue;
        const [a, b] = [light(view.getComputedStyle(element).color), light(back(view, element))].sort((a, b) => b - a);
        if ((a + 0.05) / (b + 0.05) < least)
            least = (a + 0.05) / (b + 0.05), where = element.className + ' ' + element.textContent.slice(0, 20);
    }
    told.push({width: view.innerWidth, dark: view.matchMedia('(prefers-color-scheme: dark)').matches, overflow: root.scrollWidth - root.clientWidth,
        back: light(view.getComputedStyle(root.ownerDocument.body).backgroundColor) < 0.1 ? 'dark' : 'light', contrast: least, where,
        plots: [...root.querySelectorAll('svg')].filter(it => it.getBoundingClientRect().height > 100).length});
    if (told.length < 2)
        return;
    const pre = document.createElement('pre');
    pre.textContent = told.map(it => 'layout ' + JSON.stringify(it)).join('\n') + '\n' + root.ownerDocument.body.innerText.replace(/^/gm, 'text ');
    document.body.append(pre);
};
for (const width of [360, 1280]) {
    const frame = document.createElement('iframe');
    frame.style = `width: ${width}px; height: 900px; border: 0`;
    frame.srcdoc = document.getElementById('page').textContent;
    frame.onload = () => look(frame);
    document.body.append(frame);
}
END
            echo '</script>'
        } >"$dir/probe.html"
        for scheme in 0 1; do
            timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                --disable-component-update --disable-sync --user-data-dir="$dir/profile" --blink-settings=preferredColorScheme=$scheme \
                --dump-dom "file://$dir/probe.html" >"$dir/dom" 2>"$dir/browser.log" || true
            perl -CSD -ne 's/^.*<pre>(?=layout )//; s/<\/pre>.*//; s/&lt;/</g; s/&gt;/>/g; s/&nbsp;/ /g; s/&amp;/&/g; print if s/^layout //' "$dir/dom" >>"$dir/layout"
        done
        perl -CSD -ne 's/<\/pre>.*//; s/&lt;/</g; s/&gt;/>/g; s/&nbsp;/ /g; s/&amp;/&/g; print if s/^text //' "$dir/dom" >"$dir/text"
        [[ ! -s $dir/text ]] || return 0
        echo "   $browser shows nothing: $(grep -m 1 . "$dir/browser.log")"
    fi
    perl -CSD -0777 -ne 's/<(head|svg)\b.*?<\/\1>//gs; s/<\/t[hd]>(?=<t)/\t/g; s/<[^>]*>//g; s/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#39;/\x27/g; s/&amp;/&/g; print' "$1" >"$dir/text"
}

# shows_json JSON: the page's text has each thing that the JSON tells, each where it belongs
shows_json() {
    perl -CSDA -Mutf8 -MJSON::PP -e '
        my ($night, $text) = (JSON::PP->new->decode(do { local (@ARGV, $/) = $ARGV[0]; <> }), do { local (@ARGV, $/) = $ARGV[1]; <> });
        my $flat = $text =~ s/\s+/ /gr;
        my ($n, $n_wrong) = (0, 0);
        sub want { my ($words, $what) = @_; $n++; return if index($flat, $words =~ s/\s+/ /gr) >= 0; print "not shown: $what: $words\n"; $n_wrong++ }
        sub commas { my ($n) = @_; return "–" unless defined $n; 1 while $n =~ s/^(\d+)(\d{3})/$1,$2/; $n }
        sub line { my ($what, @cells) = @_; $n++; my $cells = join "\t", @cells; return if grep { s/^\s+|\s+$//gr eq $cells } split /\n/, $text; print "no row: $what: @cells\n"; $n_wrong++ }
        my %title = (ok => "All is well", unable => "could run", interrupted => "Interrupted", running => "Not at its end");
        want($title{$night->{verdict}} // (@{$night->{findings}} ? @{$night->{findings}} . " finding" : "Not well"), "verdict");
        want("night $night->{night}", "number");
        want($_, "reason") for @{$night->{reasons}}, @{$night->{unable}};
        want("interrupted", "state") if $night->{state} eq "interrupted";
        for my $finding (@{$night->{findings}}) {
            want($finding->{$_}, "finding") for qw(line key status reproduce program);
        }
        for my $operation (@{$night->{matrix} ? $night->{matrix}{operations} : []}) {
            my %count = %{$operation->{results}};
            my @cells = map { my $n = $_; $n < 1000 ? $n : $n < 10000 ? sprintf("%.1fk", int($n / 100) / 10) : int($n / 1000) . "k" } values %count;
            my @row = map { [split /\t/] } grep { /^\s*$operation->{name}\t/ } split /\n/, $text;
            $n++;
            next if grep { join(" ", sort grep { /\S/ } @{$_}[1 .. $#$_]) eq join(" ", sort @cells) } @row;
            print "no row of results: $operation->{name}: @cells\n";
            $n_wrong++;
        }
        line("floor", $_->{what}, $_->{held} ? "held" : "fell", commas($_->{now}), commas($_->{before}), commas($_->{least}), $_->{margin}) for @{$night->{floors}};
        line("skipped", $_->{what}, $_->{why}) for @{$night->{skipped}};
        line("step", $_->{name}, $_->{status}, $_->{seconds}, $_->{words} ne "" ? $_->{words} : ()) for @{$night->{steps}};
        for my $it (@{$night->{nights}}) {
            want(join(" ", $it->{night}, $it->{at} =~ /^(\S+)T(\d\d:\d\d)/, $it->{verdict}, commas($it->{operations})), "night") if $it->{night} > $night->{night} - 30;
        }
        want("$_->{id} $_->{effect}", "historic bug") for @{$night->{bugs}};
        want(commas($_->{operations}) . " " . commas($_->{operations_per_second}), "fuzzing") for grep { $_->{operations} } @{$night->{fuzz}};
        print "$n things looked for\n";
        exit($n_wrong > 0 || $n < 12)' "$1" "$dir/text"
}

# one_file PAGE: it asks for nothing, and runs nothing
one_file() { ! grep -nE '<(script|link[^>]*stylesheet|img|iframe)|@import|url\((["'"'"']?)https?:|(src|href)=["'"'"']https?:' "$1"; }

# laid_out PLOTS: in a browser, narrow and wide, dark and light: nothing sticks out, all text can be read, that many plots
laid_out() {
    perl -MJSON::PP -e '
        my @layouts = map { decode_json($_) } <STDIN>;
        my $n_wrong = @layouts != 4;
        for (@layouts) {
            next if $_->{overflow} <= 0 && $_->{contrast} >= 4.5 && $_->{back} eq ($_->{dark} ? "dark" : "light") && $_->{plots} == $ARGV[0];
            print JSON::PP->new->canonical->encode($_), "\n";
            $n_wrong++;
        }
        my %seen = map { ($_->{width} . ($_->{dark} ? " dark" : " light")) => 1 } @layouts;
        exit($n_wrong > 0 || join(",", sort keys %seen) ne "1280 dark,1280 light,360 dark,360 light")' "$1" <"$dir/layout"
}
n_plots=0
! command -v gnuplot >/dev/null || n_plots=4
[[ -n $browser ]] || echo "   no Chromium here: pages are read, not shown"

# shows SENTENCE PAGE [PLOTS]: three checks
shows() {
    shown "$2"
    check "$1: the page shows what the JSON says" shows_json "${2%/*}/nightly.json"
    check "$1: and is one file" one_file "$2"
    [[ ! -s $dir/layout ]] || check "$1: and can be read, wide and narrow, light and dark" laid_out "${3:-$n_plots}"
}

# ---- what cannot be ----
# refuses SENTENCE SETTING...: exit 2, one line which says this, nothing begun
refuses() { night 2 "${@:2}" && [[ $(wc -l <"$dir/said") == 1 ]] && says "^nightly: $1" && [[ ! -e $out && ! -e var ]]; }
check "a time that is none" refuses "TIME=1m is not" TIME=1m
check "an unknown engine" refuses "ENGINES=honk: there are libfuzzer and afl" ENGINES=honk
check "an unknown sanitizer" refuses "SANITIZERS=memory: there are none and address" SANITIZERS="none memory"
check "a corpus that is not there" refuses "EVOLVED=nowhere is no directory" EVOLVED=nowhere
check "a place with other things in it" refuses "OUT=.* is not empty, and holds no night" OUT=.
check "a history that is a directory" refuses "HISTORY=.*/impl is a directory" HISTORY=impl

# ---- a night in which all is well ----
mkdir "$dir/evolved"
cp regress/programs/b40-reset-to-image-end.ops "$dir/evolved/"
check "a night" night 0 SHARE=1 EVOLVED="$dir/evolved"
check "all is well" says '^nightly: night 1, .*; all is well$'
check "it says so" is verdict ok
check "it restored what was given" grep -q 'restore.*1 inputs of .* were not in var yet' $out/work/steps
check "it fuzzed" test "$(field figures.operations)" -gt 1000
check "it distilled" test "$(field corpus.entries)" = "$(find $out/corpus -name '*.ops' | wc -l)"
check "into its own place" test ! -e corpus/evolved
check "it replayed that too" test "$(field replay.programs)" = "$(find corpus regress/programs $out/corpus -name '*.ops' | wc -l)"
check "the canary was found" is canary.status ok
check "the first of two historic bugs was put back" is bugs.0.id B27
check "and found" is bugs.0.replay.found 1
check "the night is written down" is night 1 $history
shows "all is well" $out/index.html
cp -r $out "$dir/first"
cp $history "$dir/history"
sed -i "s|\"effect\":\"[^\"]*\"|\"effect\":\"it's <i>odd</i> \& \\\\\"told\\\\\"\"|" "$dir/first/work/bugs.json" # for the pages below

# ---- with the canary switched off ----
# Its patch changes nothing any more but a line of the reader of Wasm binaries, to the same.
sed '/^[a-z].* cow_wasm_read(/,/^{/ s/^{/&\n    (void)0;/' impl/wasm.c >"$dir/wasm.c"
sed -i '/^--- a\//,$d' regress/bugs/M10.patch
! diff -U1 --label a/impl/wasm.c --label b/impl/wasm.c impl/wasm.c "$dir/wasm.c" >>regress/bugs/M10.patch
check "a canary that does not sing fails the night" night 1 SHARE=0 SEEDS=1
check "for that alone" is reasons 1
check "it says so" says '^nightly: night 2, .*; the canary is off: '
check "it was planted, and not found" says '^not ok it is found'
check "the second night has one before it" is nights 2
check "nothing fell" test "$(grep -c '"held" : false' $json)" = 0
check "but was compared" test "$(field floors)" -ge 4
shows "the canary is off" $out/index.html

# ---- with a bug in the pool, until Ctrl-C ----
GIT_CEILING_DIRECTORIES=$dir git apply regress/bugs/B27.patch 2>/dev/null || patch -p1 -F0 --batch --silent -i regress/bugs/B27.patch
interrupt() {
    local code=0 i
    set -m
    ENGINES=libfuzzer SANITIZERS=none JOBS=1 TIME=2 bash .ci/nightly.sh >"$dir/said" 2>&1 &
    set +m
    for ((i = 0; i < 3000; i++)); do
        ! grep -q 'nightly: distilling' "$dir/said" || break
        sleep 0.1
    done
    kill -INT -- "-$!"
    wait $! || code=$?
    [[ $code == 1 ]] || { cat "$dir/said" && return 1; }
}
before=$(cksum <$history)
check "Ctrl-C ends it, and what was found counts" interrupt
check "it says so" says '^nightly: night 3, .*; interrupted; [1-9][0-9]* findings?$'
check "no night is written down" test "$(cksum <$history)" = "$before"
check "a finding is there" grep -q '^divergence: ' findings/*/report.txt
check "with its smallest program" grep -q '^cowpool-ops' "findings/$(field findings.0.key)/minimal.ops"
check "nothing runs any more" test -z "$(pgrep -f "$tree/build")"
shows "interrupted" $out/index.html

# ---- the first night, with other histories ----
# again CODE HISTORY: what is made of it
again() {
    rm -rf "$dir/again" && cp -r "$dir/first" "$dir/again" && sed -i '/^\(night\|history\)\t/d' "$dir/again/work/facts" &&
        perl .ci/nightly_judge.pl "$dir/again" "$1" begin 0 >"$dir/said" && shift &&
        exits "$1" perl .ci/nightly_judge.pl "$dir/again" "${@:2}" 5 >>"$dir/said" &&
        perl .ci/nightly_page.pl "$dir/again/nightly.json" >"$dir/again/index.html"
}
rm -rf findings
# with NAME FACTOR: the history with this figure changed
with() { perl -pe "s/(\"$1\":)([0-9.]+)/\$1 . int(\$2 * $2)/e" "$dir/history"; }
for figure in entries features states results lines branches; do
    with $figure 2 >"$dir/$figure"
    check "half as many $figure as last night: a floor fell" again "$dir/$figure" 1 "$dir/$figure" ended
    check "and is named" says "; a floor fell: [^;]*$"
    check "the night is written down all the same" test "$(wc -l <"$dir/$figure")" = 2
done
shows "a floor fell" "$dir/again/index.html"
sed -i 's/^fuzz: [0-9]* s,/fuzz: 40 s,/' "$dir/first/work/fuzz-libfuzzer-none.log" # of two seconds speed is not compared
cp "$dir/history" "$dir/rates"
check "a night without a rate to compare with" again "$dir/rates" 0 "$dir/rates" ended
tail -n 1 "$dir/rates" | sed -E 's/("libfuzzer none":)/\19/' >"$dir/faster"
check "some nine times the operations per second last night: a floor fell" again "$dir/faster" 1 "$dir/faster" ended
check "and is named too" says '; a floor fell: operations per second, libfuzzer none: '
cp "$dir/history" "$dir/same"
check "the same as last night" again "$dir/same" 0 "$dir/same" ended
check "interrupted with nothing found" again "$dir/same" 2 "$dir/same" interrupted
shows "nothing found until then" "$dir/again/index.html"

{ head -c 40 "$dir/history" && echo && cat "$dir/history" && echo '{"night":"x"}'; } >"$dir/damaged"
cp "$dir/damaged" "$dir/copy"
check "a damaged history does not matter" again "$dir/damaged" 0 "$dir/damaged" ended
check "it is told" says '^nightly: 2 of 3 lines of .*/damaged could not be read'
check "what could be read goes on" test "$(wc -l <"$dir/damaged")" = 2
check "all of it is kept" cmp "$dir/damaged.damaged" "$dir/copy"
shows "a damaged history" "$dir/again/index.html"
check "is told there too" grep -q "2 of 3 lines" "$dir/text"

perl -ne 'for my $n (1 .. 450) { print s/"night":\d+/"night":$n/r }' "$dir/history" >"$dir/long"
check "a long history" again "$dir/long" 0 "$dir/long" ended
check "is kept bounded" test "$(wc -l <"$dir/long")" = 400
check "and goes on counting" is night 451 <(tail -n 1 "$dir/long")
shows "a long history" "$dir/again/index.html"
exit $((n_failed > 0))
