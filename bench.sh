#!/bin/sh
# bench.sh [PARTS AND OPTIONS] - builds Kerbside and measures it beside MIT's own mechanism and bare
# OpenSSL (bench/README.md). Everything runs on loopback in a throw-away realm. Installs what is
# missing (apt-get). Without arguments everything is measured: some fifteen minutes.
set -e
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
tests/install.sh bench
build=${KB_BUILD:-$here/build-bench}
mkdir -p "$build"
quietly() {
    "$@" >"$build/bench-build.log" 2>&1 || {
        tail -n 40 "$build/bench-build.log"
        echo "bench.sh: $1 failed" >&2
        exit 1
    }
}
echo "Building in $build ..."
[ configure -nt configure.ac ] || quietly autoreconf -fi
cd "$build"
[ -f Makefile ] || quietly "$here/configure"
quietly make -j"$(nproc)"
exec make -s bench BENCH="$*"
