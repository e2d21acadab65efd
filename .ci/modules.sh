#!/usr/bin/env bash
# What published modules look like to cowpool: `make modules`. Fetches real ones (109 MB from the npm registry, once)
# into var/modules, shows what `lockstep image` reads in each, and has V8 check the memory that an instance gets, byte
# for byte. LOCKSTEP=FILE names a tool that is built already.
# Exit code: 0; 1 when V8 sees another memory; 2 could not fetch, build or run, in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
where=var/modules

# What we call the file, the package and exact version that has it, its path in there; below, its sha256. Those of one
# package stand together. tree-sitter-json, web-tree-sitter and duckdb-eh are there to be refused: they are linked at
# run time, and only their importer knows where their data lies. The memories of duckdb-coi and oxc-parser are shared,
# with passive segments only; that of wasi-adapter has no byte.
modules() {
    cat <<'END'
quickjs-0.32.0.wasm @jitl/quickjs-wasmfile-release-sync@0.32.0 dist/emscripten-module.wasm
    105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232
sqlite-3.41.2.wasm @sqlite.org/sqlite-wasm@3.41.2 sqlite-wasm/jswasm/sqlite3.wasm
    2d34bf9279985db154f98bfab9ffa289b014821873ed188b67e3a4c5d1b7faec
esbuild-0.28.2.wasm esbuild-wasm@0.28.2 esbuild.wasm
    b1831a5c0f6cf688034fb94d0419812f165ea316a3380d3fc00a151e562d2eaf
starlingmonkey-0.23.0.wasm @bytecodealliance/componentize-js@0.23.0 lib/starlingmonkey_embedding.wasm
    6094cd93d966f9bec9b01332db6e0eedbaf22f60b745c9f823f21e33cbd4d365
starlingmonkey-weval-0.23.0.wasm @bytecodealliance/componentize-js@0.23.0 lib/starlingmonkey_embedding_weval.wasm
    a6b0b3e86a05dad31481652cc1261c900ccd8558f5f88a7bc3e7b8a681391f53
splicer-0.23.0.wasm @bytecodealliance/componentize-js@0.23.0 lib/spidermonkey-embedding-splicer.core.wasm
    6190193dbfefc48afa9ff191af442e27c59741a4a2b62681b4c4943a8fa7c055
wasi-adapter-1.35.0.wasm @bytecodealliance/jco@1.35.0 lib/wasi_snapshot_preview1.reactor.wasm
    b857310c4753c8fafaa0f890e9ccf978dc3d9dbe8804b1125291a627485041d0
resvg-2.6.2.wasm @resvg/resvg-wasm@2.6.2 index_bg.wasm
    22bf6e9f9a100d972da0411a69c5ba504367fc1fa87b3b64e3f35e53926d2d70
as-sha256-1.2.5.wasm @chainsafe/as-sha256@1.2.5 build/optimized.wasm
    64307e954d4f197aee489e97db4324f92c133d09acd2b275fd2bafe6c6bba2d1
wasmoon-1.16.0.wasm wasmoon@1.16.0 dist/glue.wasm
    95f3f19ddb740125883bc41d5ec670cd0828e7b58c8bdad385323cbff497b55c
oxc-parser-0.154.0.wasm @oxc-parser/binding-wasm32-wasi@0.154.0 parser.wasm32-wasi.wasm
    7340aa8b373174b7db84bd6102e5f3646da4be49ae65d71ea4521348f91801a1
pyodide-314.0.7.wasm pyodide@314.0.7 pyodide.asm.wasm
    cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6
ruby-3.4-2.10.1.wasm @ruby/3.4-wasm-wasi@2.10.1 dist/ruby.wasm
    e64fa4c82cbbb62044648b0a15b96f3486ff3ecbab7bb7a3df11b4ee3e907ddc
php-8.3-3.1.56.wasm @php-wasm/node-8-3@3.1.56 asyncify/8_3_33/php_8_3.wasm
    a72af06ad960905d5d8dd5240203fc27bf05dc188410b6f310c603afd14c9b2f
duckdb-coi-1.32.0.wasm @duckdb/duckdb-wasm@1.32.0 dist/duckdb-coi.wasm
    dfddea58f142a4f61d3e63620cdc659358b5e77a63c1d5df0ec55b00eda03546
duckdb-eh-1.32.0.wasm @duckdb/duckdb-wasm@1.32.0 dist/duckdb-eh.wasm
    4c221bfa59c11f24dbd750e70c90b9252eca6eec5633936e6a2ec766e55fd879
tree-sitter-json-0.24.8.wasm tree-sitter-json@0.24.8 tree-sitter-json.wasm
    d2119fb98d5912719b13f9458574f8608d2d29dfbe45f6be1f860ea1fe2a2405
web-tree-sitter-0.27.1.wasm web-tree-sitter@0.27.1 web-tree-sitter.wasm
    beca80e44cccbf2299ed4d1e3fa6462a9a6fe818aeebf847547a392227ce4acc
END
}

give_up() {
    echo "modules: $*" >&2
    exit 2
}
tmp=''
trap '[[ -z $tmp ]] || rm -rf "$tmp"' EXIT
trap 'give_up "interrupted; what was fetched is kept"' INT TERM HUP

is_there() { # FILE SHA256
    [[ -f $1 ]] && sha256sum --check --status - <<<"$2  $1" 2>/dev/null
}

# fetch_package NAME@VERSION: into $tmp/package.tgz
fetch_package() {
    local words code=0
    echo "fetching $1"
    rm -rf "$tmp/pack"
    mkdir "$tmp/pack"
    words=$(npm pack "$1" --pack-destination "$tmp/pack" --ignore-scripts --loglevel=error --no-update-notifier \
        --fetch-retries=1 2>&1 >/dev/null) || code=$?
    if ((code)); then
        code=$(grep -oE -m 1 'code E[A-Z0-9_]+' <<<"$words" || echo "exit code $code")
        case ${code#code } in
            ENOSPC) give_up "no space left for $1" ;;
            E404 | ETARGET) give_up "the npm registry has no $1" ;;
            ENOTFOUND | EAI_AGAIN | ECONN* | ENETUNREACH | EHOSTUNREACH | *TIMEDOUT | *TIMEOUT)
                give_up "npm does not reach its registry (${code#code }): no network?"
                ;;
            *) give_up "npm pack $1 failed ($code): $(head -n 2 <<<"$words" | tail -n 1)" ;;
        esac
    fi
    mv "$tmp/pack"/*.tgz "$tmp/package.tgz"
}

# extract PATH SHA256 FILE NAME@VERSION: from $tmp/package.tgz; FILE is there whole or not at all
extract() {
    local words
    words=$(tar -xzOf "$tmp/package.tgz" "package/$1" 2>&1 >"$tmp/file") || case $words in
        *'Not found in archive'*) give_up "$4 has no $1" ;;
        *'No space left'* | *'Wrote only'*) give_up "no space left in $where" ;;
        *) give_up "cannot unpack $1 of $4: ${words%%$'\n'*}" ;;
    esac
    is_there "$tmp/file" "$2" || give_up "$1 of $4 has not the sha256 expected; not kept"
    mv -f "$tmp/file" "$3"
}

# ---- the files ----
{ mkdir -p $where && tmp=$(mktemp -d "$where/.fetch.XXXXXX"); } 2>/dev/null || give_up "cannot write into $where"
files=() fetched=''
while read -r file spec path && read -r sha256; do
    files+=("$where/$file")
    ! is_there "$where/$file" "$sha256" || continue
    if [[ $fetched != "$spec" ]]; then
        command -v npm >/dev/null || give_up "no npm here to fetch $file with (Debian, Ubuntu: apt-get install npm)"
        fetch_package "$spec" </dev/null
        fetched=$spec
    fi
    extract "$path" "$sha256" "$where/$file" "$spec"
done < <(modules)

# ---- the tool, and what it says ----
lockstep=${LOCKSTEP-}
if [[ -z $lockstep ]]; then
    lockstep=build/lockstep
    if [[ -t 1 ]]; then
        .ci/build.sh release lockstep || give_up "the build failed"
    else
        echo "building release"
        words=$(.ci/build.sh release lockstep 2>&1) || { echo "$words" >&2 && give_up "the build failed"; }
    fi
fi
status=0
"$lockstep" image "${files[@]}" || status=$? # 2: some were refused, as they should
((status == 0 || status == 2)) || give_up "$lockstep image ended with exit code $status"

# ---- the witness ----
if ! command -v node >/dev/null; then
    echo "skipped: the comparison with V8: no node here (Debian, Ubuntu: apt-get install nodejs)"
    exit 0
fi
echo
echo "the same memories by V8 (Node.js $(node --version)):"
node regress/witness.js "$lockstep" "${files[@]}"
