#!/bin/sh
# demo.sh - builds Kerbside and shows a login: an unmodified curl gets a page behind Kerberos, with no
# kinit, no ticket cache and no krb5.conf. Everything runs on loopback in a throw-away realm (MIT's
# KDC, Apache with mod_auth_gssapi) and is gone afterwards. Installs what is missing (apt-get).
set -e
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
tests/install.sh demo
build=${KB_BUILD:-$here/build-demo}
mkdir -p "$build"
quietly() {
    "$@" >"$build/demo-build.log" 2>&1 || {
        tail -n 40 "$build/demo-build.log"
        echo "demo.sh: $1 failed" >&2
        exit 1
    }
}
echo "Building in $build ..."
[ configure -nt configure.ac ] || quietly autoreconf -fi
cd "$build"
[ -f Makefile ] || quietly "$here/configure"
quietly make -j"$(nproc)"
KB_BUILDDIR=$build exec /usr/bin/python3 -B "$here/tests/realm/demo.py"
