#!/usr/bin/env bash
# Fetches what `make bench` compares the pool with and cannot build itself: `make peers`. That is wasmtime's shared library with its C
# API, which its Python package carries (10 MB, from PyPI, once), into var/peers. Prints where it is; `make bench` finds it there.
# Another one: COWPOOL_WASMTIME=FILE make bench.
# Exit code: 0, or 2 in one line why.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
where=var/peers version=50.0.1

give_up() {
    echo "peers: $*" >&2
    exit 2
}
case $(uname -m) in
    x86_64) sha256=cc14c3a17654e0394e0225b11813532ef0cd7bd1e222a0c5494cdedaabeddac4 ;;
    aarch64) sha256=675484e525c028dc02762b777f1db4477ea70caa3fec6775426daff4d64edfb1 ;;
    *) give_up "wasmtime $version is not pinned for $(uname -m): build it, and name the library in COWPOOL_WASMTIME" ;;
esac
library=$where/libwasmtime-$version-${sha256:0:8}.so
if [[ -f $library ]]; then
    echo "$library"
    exit 0
fi

python=$(command -v python3 || command -v python) || give_up "no python3 here to fetch wasmtime's package with"
"$python" -m pip --version >/dev/null 2>&1 || give_up "no pip here (Debian, Ubuntu: apt-get install python3-pip)"
{ mkdir -p $where && tmp=$(mktemp -d "$where/.fetch.XXXXXX"); } 2>/dev/null || give_up "cannot write into $where"
trap 'rm -rf "$tmp"' EXIT
trap 'give_up "interrupted"' INT TERM HUP
echo "fetching wasmtime $version" >&2
words=$("$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$tmp" "wasmtime==$version" 2>&1) ||
    give_up "pip cannot download wasmtime $version: $(tail -n 1 <<<"$words")"
wheels=("$tmp"/wasmtime-"$version"-*.whl)
[[ ${#wheels[@]} == 1 && -f ${wheels[0]} ]] || give_up "pip brought no wheel of wasmtime $version"
sha256sum --check --status - <<<"$sha256  ${wheels[0]}" || give_up "wasmtime $version has not the sha256 expected; not kept"
# The library has a place of its own for each system in there.
"$python" - "${wheels[0]}" "$tmp" <<'END' || give_up "cannot unpack wasmtime $version"
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
for name, to in ("_libwasmtime.so", "library"), ("LICENSE", "license"):
    members = [member for member in wheel.namelist() if member.endswith("/" + name)]
    open(sys.argv[2] + "/" + to, "wb").write(wheel.read(members[0]))
END
mv "$tmp/license" "$where/LICENSE.wasmtime"
mv "$tmp/library" "$library"
echo "$library"
