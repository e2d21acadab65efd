#!/usr/bin/env bash
# Two readers of Wasm binaries, lockstep's and wabt's, say the same of every module: the same memory and the same segments with the
# same bytes, or both refuse it. Differences that are known and right are listed below, each with its reason; any other fails.
# Usage: regress/test_wasm_readers.sh [DIRECTORY...]   (default: the modules that fuzz/wasm_seeds.sh assembles)
set -euo pipefail
. "$(dirname "$0")/harness.sh"
export LC_ALL=C

for tool in wat2wasm wast2json wasm-objdump wasm-validate; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool here: make deps" && exit 77; }
done

# ---- the differences that are known ----

# wabt_refuses MESSAGE SECTION: why wabt 1.0.32 refuses what lockstep reads. SECTION is the id of the one where it stopped.
wabt_refuses() {
    case $1 in
        "malformed memory limits flag: "[89] | "malformed memory limits flag: 1"[0-5])
            echo "wabt does not know custom page sizes" && return ;;
        "invalid utf-8 encoding: "*)
            echo "wabt looks at the characters of names" && return ;;
        "function signature count != function body count") # told at the very end, when there is no code section
            echo "wabt reads sections that lockstep skips" && return ;;
    esac
    case $2:$1 in
        [0134789]:* | 10:* | 13:* | 6:*) # globals only matter when an offset names one
            echo "wabt reads sections that lockstep skips" ;;
        2:"invalid global type: "* | 2:*"elem type"*)
            echo "wabt does not know types of garbage collection" ;;
        2:*"table"*)
            echo "wabt does not know tables that are shared or 64-bit" ;;
        2:*"index"*)
            echo "wabt knows which types there are" ;;
    esac
}

# wabt_accepts LINE SECTION: why lockstep refuses what wabt 1.0.32 reads and has nothing against. LINE is what lockstep says.
wabt_accepts() {
    case $2:$1 in
        *:"refused wasm-unknown "*) echo "lockstep does not know what a proposal may have added" ;;
        *:"refused wasm-malformed "*": a data count, and no data section") echo "wabt does not miss the data that was counted" ;;
        11:"refused wasm-malformed "*": a data segment of no known kind") echo "wabt takes flags of element segments in data" ;;
        [25]:"refused wasm-leb128 "*": an integer with more bits than its type has") echo "wabt cuts 64-bit limits off" ;;
    esac
}

# Not an error since version 3.0 of the specification: an offset may name the module's own globals.
not_an_error='initializer expression can only reference an imported global'

# ---- constant expressions, as wasm-objdump traces them ----

# What is on the stack is "TYPE VALUE"; a value is a number, `runtime` (an imported global decides), or `invalid`.
calculate() { # OPERATION OPERAND OPERAND
    local type=${1%.*} a=${2#* } b=${3#* }
    [[ ${2% *} == "$type" && ${3% *} == "$type" && $a != invalid && $b != invalid ]] || { echo "$type invalid" && return; }
    [[ $a != runtime && $b != runtime ]] || { echo "$type runtime" && return; }
    case ${1#*.} in
        add) a=$((a + b)) ;;
        sub) a=$((a - b)) ;;
        mul) a=$((a * b)) ;;
        *) a=invalid ;;
    esac
    [[ $type == i64 || $a == invalid ]] || a=$((a & 0xffffffff))
    echo "$type $a"
}

# number_after TEXT LINE: the decimal number that follows
number_after() {
    local rest=${2#*"$1"}
    echo "${rest%%[!0-9]*}"
}

# on_instruction LINE
on_instruction() {
    local i
    case $1 in
        OnI32ConstExpr* | OnI64ConstExpr*)
            i=${1##*0x} i=${i%%[!0-9a-f]*}
            stack+=("i${1:3:2} $((16#$i))") ;;
        OnGlobalGetExpr*) i=$(number_after "index: " "$1") && stack+=("${globals[i]-none invalid}") ;;
        OnBinaryExpr*)
            i=${1#*\"}
            if ((${#stack[@]} < 2)); then
                stack=("none invalid")
            else
                stack=("${stack[@]::${#stack[@]}-2}" "$(calculate "${i%%\"*}" "${stack[-2]}" "${stack[-1]}")")
            fi
            ;;
        OnEndExpr) ;;
        *) stack+=("other 0") ;;
    esac
}

# result: what an expression leaves
result() { if ((${#stack[@]} == 1)); then echo "${stack[0]}"; else echo "none invalid"; fi; }

# follow_trace FILE: theirs[] becomes "OFFSET LENGTH" of memory 0's active segments, is_invalid 1 if an offset does not validate.
follow_trace() {
    local line i global='' memory=0 offset=passive in_expression=0
    local -a stack=() globals=()
    theirs=() is_invalid=0
    while IFS=' ' read -r line; do
        case $line in
            OnImportGlobal*)
                i=${line##*type: }
                globals+=("${i%%,*} $([[ $line == *"mutable: true"* ]] && echo invalid || echo runtime)") ;;
            BeginGlobal\(*) global=$line ;;
            BeginDataSegment\(*) memory=$(number_after "memory_index: " "$line") offset=passive ;;
            BeginGlobalInitExpr* | BeginDataSegmentInitExpr*) stack=() in_expression=1 ;;
            EndGlobalInitExpr*)
                in_expression=0 i=${global##*type: } i=${i%%,*}
                offset=$(result)
                [[ ${offset% *} == "$i" && $global == *"mutable: false"* ]] || offset="$i invalid"
                globals+=("$offset") ;;
            EndDataSegmentInitExpr*) in_expression=0 offset=$(result) ;;
            OnDataSegmentData*)
                [[ $offset != passive ]] || continue
                [[ $offset == "${address_types[memory]-} "* ]] || offset="none invalid"
                [[ $offset != *invalid ]] || is_invalid=1
                [[ $memory != 0 ]] || theirs+=("${offset#* } $(number_after "size:" "$line")") ;;
            On*Expr*) ((in_expression == 0)) || on_instruction "$line" ;;
        esac
    done <"$1"
}

# ---- both readings ----

# follow_details FILE: memory[] and address_types[] are what wasm-objdump -x prints of memories, contents[] the bytes of segments.
follow_details() {
    local line i=0 in_data=0
    memory=() address_types=() contents=()
    while IFS= read -r line; do
        if [[ $line =~ ^' - memory['([0-9]+)'] pages: initial='(-?[0-9]+)(' max='(-?[0-9]+))?(' shared')?(' i64')?(' <- '.*)?$ ]]; then
            i=${BASH_REMATCH[1]}
            memory[i]="${BASH_REMATCH[2]} ${BASH_REMATCH[4]:-none} ${BASH_REMATCH[7]:+ imported}${BASH_REMATCH[5]}"
            address_types[i]=i32
            [[ -z ${BASH_REMATCH[6]} ]] || memory[i]+=' 64' address_types[i]=i64
        elif [[ $line == 'Data['* ]]; then
            in_data=1
        elif [[ $in_data == 1 && $line =~ ^' - segment['[0-9]+'] '('<'.*'> ')?(memory=([0-9]+)|passive) ]]; then
            i=${#contents[@]}
            [[ ${BASH_REMATCH[3]} == 0 ]] && contents+=('') || i=none
        elif [[ $in_data == 1 && $i != none && $line =~ ^'  - '[0-9a-f]+': '(.{40}) ]]; then
            line=${BASH_REMATCH[1]}
            contents[i]+=${line// /}
        fi
    done <"$1"
}

# bytes_of PAGES: modulo 2^64, as long as nothing larger than that is valid
bytes_of() { if [[ $1 == none || $1 == 281474976710656 ]]; then echo none; else printf %u $(($1 * 65536)); fi; }

# is_above A B: as unsigned numbers of 64 bits
is_above() { (($1 - (1 << 63) > $2 - (1 << 63))); }

# what_wabt_reads: the lines that lockstep would print, but for `at FILEOFFSET`
what_wabt_reads() {
    local minimum maximum rest segment offset i=0
    IFS=' ' read -r minimum maximum rest <<<"${memory[0]}"
    echo "memory $(bytes_of "$minimum") $(bytes_of "$maximum") 65536${rest:+ $rest}"
    for segment in "${theirs[@]}"; do
        offset=${segment% *}
        [[ $offset == [a-z]* ]] || offset=$(printf %u "$offset")
        echo "offset $offset bytes ${segment#* } ${contents[i]}"
        i=$((i + 1))
    done
}

# what_lockstep_reads FILE: the same, with the bytes that lie where it says
what_lockstep_reads() {
    local all line
    local -a field
    all=$(od -An -v -tx1 "$1" | tr -d ' \n')
    while read -r line; do
        read -ra field <<<"$line"
        if [[ $line == "segment "*" offset "*" bytes "*" at "* ]]; then
            line="offset ${field[3]} bytes ${field[5]} ${all:2 * field[7]:2 * field[5]}"
        fi
        echo "$line"
    done <<<"$mine"
}

# section_at FILE OFFSET: the id of the section that the byte before it belongs to; `none` in the header
section_at() {
    local at=8 id=none size shift
    local -a byte
    read -ra byte <<<"$(od -An -v -tu1 "$1" | tr '\n' ' ')"
    while ((at < $2 && at < ${#byte[@]})); do
        id=${byte[at]} size=0 shift=0
        for ((at++; byte[at] >= 128; at++, shift += 7)); do
            size=$((size | (byte[at] & 127) << shift))
        done
        at=$((at + 1 + (size | byte[at] << shift)))
    done
    echo "$id"
}

# objections: what wabt's validation has against $file
objections() { wasm-validate "${features[@]}" "$file" 2>&1 | grep -a error: | grep -av "$not_an_error"; }
objections_to_memories() { objections | grep -aE 'pages \(|shared memor'; }

# wabt_agrees: wabt has something against the module for which lockstep said $mine, though it could read it
wabt_agrees() {
    local segment offset minimum=${memory[0]%% *}
    case $mine in
        "refused wasm-no-memory "*) [[ -z ${memory[0]} ]] && return ;;
        "refused image-large "*) printf '%s\n' "${memory[@]}" | grep -q '^281474976710656 ' && return ;;
        "refused wasm-runtime "*) [[ " ${theirs[*]}" == *" runtime "* ]] && return ;;
        "refused image-bounds "*)
            minimum=$((minimum * 65536))
            for segment in "${theirs[@]}"; do
                offset=${segment% *}
                [[ $offset != runtime ]] || continue
                is_above "$offset" "$minimum" || is_above "${segment#* }" $((minimum - offset)) && return
            done
            ;;
        *) ((is_invalid)) && return ;;
    esac
    [[ $mine == "refused wasm-"* && -n $(objections) ]]
}

# compare FILE: prints `agreed`, `refused`, `explained REASON`, or `differs` and both answers; one line
compare() {
    local file=$1 work=$dir/$BASHPID mine code error word reason=''
    local -a memory address_types contents theirs
    mine=$("$lockstep" image --segments "$file" 2>&1)
    code=$?
    # It aborts at an empty expression, which the shell around it would tell.
    (wasm-objdump --debug -x "$file" >"$work.details" 2>"$work.trace" || true) 2>/dev/null
    error=$(grep -aEm1 '^[0-9a-f]{7,}: error: ' "$work.trace")
    follow_details <(tr -d '\0' <"$work.details")
    follow_trace <(tr -d '\0' <"$work.trace")
    rm "$work.details" "$work.trace"
    case $code:$mine in
        0:*)
            if [[ -n $error ]]; then
                reason=$(wabt_refuses "${error#*: error: }" "$(section_at "$file" $((16#${error%%:*})))")
            else
                mine=$(what_lockstep_reads "$file") error=$(what_wabt_reads && objections_to_memories)
                [[ $mine != "$error" ]] || { echo agreed && return; }
            fi
            ;;
        "2:refused "*" at "*": "*)
            if [[ -n $error ]] || wabt_agrees; then echo refused && return; fi
            word=${mine#* at }
            reason=$(wabt_accepts "$mine" "$(section_at "$file" $((${word%%:*} + 1)))")
            error="reads it, and has nothing against it"
            ;;
        *) error="does not matter" ;;
    esac
    if [[ -n $reason ]]; then
        echo "explained $reason"
    else
        mine=${mine:0:2000} error=${error:0:2000}
        echo "differs $file: lockstep, exit code $code: ${mine//$'\n'/; } | wabt: ${error//$'\n'/; }"
    fi
}

compare_all() {
    local file
    features=(--enable-{exceptions,threads,tail-call,memory64,multi-memory,extended-const,relaxed-simd})
    for file in "$@"; do
        compare "$file"
    done
}
export -f wabt_refuses wabt_accepts calculate number_after on_instruction result follow_trace follow_details bytes_of is_above \
    what_wabt_reads what_lockstep_reads section_at objections objections_to_memories wabt_agrees compare compare_all
export lockstep dir not_an_error

# ---- all of them ----

seeds() { bash "$(dirname "$0")/../fuzz/wasm_seeds.sh" "$dir/seeds"; }

all_agree() {
    find "$@" -type f -print0 | sort -z | xargs -0 -n 20 -P "$(nproc)" bash -c 'compare_all "$@"' compare >"$dir/answers"
    ! grep -a '^differs' "$dir/answers"
}

# at_least NUMBER KIND
at_least() { n=$(grep -ac "^$2" "$dir/answers" || true) && ((n >= $1)) || { echo "only $n of them" && return 1; }; }

places=("$@")
if ((${#places[@]} == 0)); then
    check "the seeds can be assembled" seeds
    places=("$dir/seeds")
fi
check "both readers say the same of every module" all_agree "${places[@]}"
if (($# == 0)); then
    check "many are read alike" at_least 35 agreed
    check "many are refused by both" at_least 80 refused
fi
echo "$(wc -l <"$dir/answers") modules:"
sed 's/^differs .*/differs/' "$dir/answers" | sort | uniq -c | sort -rn

exit $((n_failed > 0))
