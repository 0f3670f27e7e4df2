#!/bin/sh
# check.sh - everything that must hold: builds with gcc and clang, all tests, the unit tests again
# under AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer and valgrind, the fuzz targets,
# and the distribution. Installs what is missing (apt-get). Builds anew below build-check/ (KB_BUILD:
# elsewhere).
# The last line is "N passed, N failed, N skipped"; the exit code is 1 where anything failed.
here=$(cd "$(dirname "$0")" && pwd)
root=${KB_BUILD:-$here/build-check}
jobs=$(nproc)
passed=0 failed=0 skipped=0 lld=
[ -x /usr/bin/python3 ] && python=/usr/bin/python3 || python=python3

summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] || exit 1
}
trap 'failed=$((failed + 1)); summary' HUP INT TERM

# stage TITLE COMMAND...: its output is shown only where it fails
stage() {
    title=$1
    shift
    mkdir -p "$root"
    log=$root/stage.log
    start=$(date +%s)
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1)) verdict=ok
    else
        failed=$((failed + 1)) verdict=FAILED
    fi
    echo "$verdict: $title ($(($(date +%s) - start)) s)"
    [ $verdict = ok ] || { tail -n 60 "$log" | sed 's/^/    /'; return 1; }
}

# tests TITLE NAME MAKE-ARGUMENTS...: make check there; every case in its logs is counted. One job more
# than there are cores, since many of them wait.
tests() {
    title=$1 dir=$root/$2
    shift 2
    start=$(date +%s)
    find "$dir/tests" -name '*.trs' -exec rm -f {} +
    make -C "$dir" -k -j$((jobs + 1)) check VERBOSE=1 "$@" >"$root/stage.log" 2>&1
    code=$?
    # shellcheck disable=SC2046  # three numbers
    set -- $("$python" -B "$here/tests/count.py" "$dir/tests" $code)
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    echo "$title: $1 passed, $2 failed, $3 skipped ($(($(date +%s) - start)) s)"
    find "$dir/tests" -name '*.trs' -exec grep -l '^:test-result: SKIP' {} + 2>/dev/null |
        sed 's|.*/tests/|    skipped: tests/|; s|\.trs$||'
    [ "$2" = 0 ] || tail -n 150 "$root/stage.log" | sed 's/^/    /'
}

# prepare NAME CONFIGURE-ARGUMENTS...: configures in the background, since that keeps one core busy.
# Dependencies are for a second build, which there is not: a fifth of the time. -g1 is lines for
# backtraces: a fifth of the compiler's time less than -g.
prepare() {
    name=$1
    shift
    rm -rf "${root:?}/$name"
    mkdir -p "$root/$name"
    (cd "$root/$name" && exec "$here/configure" --quiet --enable-werror \
        --disable-dependency-tracking "$@") \
        >"$root/$name/configure.log" 2>&1 &
    eval "pid_$name=\$!"
}

# build NAME TEST-CFLAGS MAKE-ARGUMENTS...: all, then the test programs. Theirs need not be fast where
# a sanitizer is looked for in our code: a third of the time.
build() {
    name=$1 cflags=$2
    shift 2
    eval "wait \$pid_$name"
    stage "build: $name" sh -e -c '
        cd "$2"; cat configure.log; [ "$1" = 0 ]
        jobs=$3 cflags=$4
        shift 4
        make "$jobs" all
        make "$jobs" check TESTS= CFLAGS="$cflags" "$@"
    ' build $? "$root/$name" -j$((jobs + 1)) "$cflags" "$@"
}

# distribution DIR: the tarball builds, installs and uninstalls, and it lacks no file of git's. So its
# tests are those of here, and are not built again.
distribution() {
    make -C "$1" -j"$jobs" distcheck XZ_OPT=-1 check_PROGRAMS= check_LIBRARIES= TESTS= \
        DISTCHECK_CONFIGURE_FLAGS="CFLAGS=-O1 --disable-dependency-tracking" || return
    [ -e .git ] || return 0 # a tarball itself
    tar -tf "$1"/kerbside-*.tar.xz | sed 's|^[^/]*/||' >"$root/shipped"
    git ls-files >"$root/committed" || return
    if grep -v '^\.' "$root/committed" | grep -v -x -F -f "$root/shipped"; then
        echo "These are in git, but not in the tarball (EXTRA_DIST in Makefile.am)."
        return 1
    fi
}

unit_tests() {
    make -s -C "$root/$1" print-unit-tests
}

# Those that start threads, or the threads of a KDC, or what waits in a thread for an address.
threaded_tests() {
    for test in $(unit_tests gcc); do
        ! grep -qE 'pthread_create|mockkdc|"mech/(net|login)/' "$test.c" || echo "$test"
    done
}

# Under valgrind and ThreadSanitizer, loops over every bit of a file go on by this many; under
# AddressSanitizer by 3, so that each octet has its turn.
stride=23

logins="tests/consumers/test_threads.py tests/spi/test_calls.py"

cd "$here" || exit 1
stage "packages" tests/install.sh check || { summary; exit 1; }
stage "autoreconf" autoreconf -fi || { summary; exit 1; }

CONFIG_SHELL=/bin/sh # make's too, then: dash starts faster than bash
export CONFIG_SHELL
prepare gcc CC=gcc CFLAGS="-O2 -g1"
if command -v clang >/dev/null; then
    # The sanitizer's library in every test program: lld takes a third of ld's time.
    ! command -v ld.lld >/dev/null || lld=LDFLAGS=-fuse-ld=lld
    prepare address CC=clang $lld CFLAGS="-O1 -g1" --enable-fuzzers --enable-sanitizers=address,undefined
else
    skipped=$((skipped + 1))
    echo "skipped: the fuzz targets, since clang is not here"
    prepare address CC=gcc CFLAGS="-O1 -g1" --enable-sanitizers=address,undefined
fi
prepare thread CC=gcc CFLAGS="-O1 -g1" --enable-sanitizers=thread

if build gcc "-O2 -g1"; then
    stage "peers (Heimdal's KDC, libfaketime)" tests/realm/peers.sh "$root/peers"
    KB_PEERS=$root/peers
    export KB_PEERS
    tests "make check" gcc KB_TEST_WHOLE=1 # here every value, not only what is at the ends of a range
    if command -v valgrind >/dev/null; then
        tests "unit tests under valgrind" gcc TESTS="$(unit_tests gcc)" KB_TEST_STRIDE=$stride \
            LOG_COMPILER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite"
    else
        skipped=$((skipped + 1))
    fi
    stage "make distcheck" distribution "$root/gcc"
fi
UBSAN_OPTIONS=print_stacktrace=1
TSAN_OPTIONS=second_deadlock_stack=1
export UBSAN_OPTIONS TSAN_OPTIONS
if build address "-O0 -g1"; then
    ! command -v clang >/dev/null ||
        stage "fuzz targets, some seconds each" make -C "$root/address" -j"$jobs" fuzz FUZZ_SECONDS=3
    tests "unit tests and logins under -fsanitize=address,undefined" address \
        TESTS="$(unit_tests address) $logins" KB_TEST_STRIDE=3
fi
threaded=$(threaded_tests)
examples=$(printf '%s\n' doc/examples/*.c | sed 's/\.c$//')
if build thread "-O0 -g1" check_PROGRAMS="$(echo tests/consumers/many tests/spi/calls $examples $threaded)"; then
    tests "tests with threads under -fsanitize=thread" thread TESTS="$threaded $logins" \
        KB_TEST_STRIDE=$stride check_PROGRAMS= check_LIBRARIES=
fi
summary
