#!/bin/sh
# check-includes.sh - fails on an #include that points upwards, or past what a folder may know.
#
# The table below is DESIGN's picture of the layers: what each folder may include beside itself. An
# entry is a folder or a single header. "<...>" entries name who alone may include a system header.
# Includes are written from the top ("asn1/bytes.h"), so that a line tells its layer.
set -u

rules='
asn1          -
crypto        asn1
mech/report   asn1 crypto
mech/names    asn1 crypto
mech/protocol asn1 crypto mech/report mech/names
mech/options  asn1 crypto mech/report mech/names
mech/net      asn1 crypto/tls.h mech/report mech/protocol/step.h
mech/store    asn1 crypto mech/report mech/names mech/protocol/credential.h mech/net/wait.h mech/net/fds.h mech/net/local.h
mech/login    asn1 crypto mech/report mech/names mech/protocol mech/options mech/net mech/store
mech          asn1 crypto mech
mech/spi      asn1 crypto mech
cli           asn1 crypto mech
<openssl/     crypto
<gssapi       mech/spi mech cli
<sys/socket.h mech/net mech/report mech mech/spi cli
<netdb.h      mech/net mech/report cli
<dlfcn.h      crypto mech/spi mech cli
'

# check DIR: prints each wrong include of the sources below DIR as file:line: reason.
check() {
    (cd "$1" && find asn1 crypto mech cli -name '*.[ch]' -o -name '*.def' 2>/dev/null | sort |
        while read -r file; do
            awk -v file="$file" -v rules="$rules" '
                function within(name, where) { return name == where || index(name, where "/") == 1 }
                BEGIN {
                    folder = file; sub("/[^/]*$", "", folder)
                    num = split(rules, lines, "\n")
                    for (i = 1; i <= num; i++) {
                        n = split(lines[i], word, " ")
                        if (n == 0) continue
                        if (substr(word[1], 1, 1) == "<") {
                            system_owner[word[1]] = " " lines[i] " "
                        } else if (within(folder, word[1]) && length(word[1]) > length(home)) {
                            home = word[1]; num_may = n - 1
                            for (j = 2; j <= n; j++) may[j - 1] = word[j]
                        }
                    }
                    if (home == "") { print file ": its folder is not in the table of layers"; exit }
                }
                /^[ \t]*#[ \t]*include[ \t]*</ {
                    for (header in system_owner)
                        if (index($0, header) && !index(system_owner[header], " " home " "))
                            print file ":" NR ": " home " has no business with " header
                }
                /^[ \t]*#[ \t]*include[ \t]*"/ {
                    split($0, part, "\""); name = part[2]; ok = name == "config.h"
                    target = name; sub("/[^/]*$", "", target)
                    # mech/process stands above the folders of mech: "mech" alone is no licence.
                    if (target == home || (home != "mech" && within(target, home))) ok = 1
                    for (i = 1; i <= num_may; i++) if (within(name, may[i])) ok = 1
                    if (name ~ /\.\./ || name !~ /\// && name != "config.h") ok = 0
                    if (within(target, "mech/spi") && home != "mech/spi" && home != "mech") ok = 0
                    if (!ok) print file ":" NR ": " home " may not include \"" name "\""
                }' "$file"
        done)
}

# The check is itself checked: a tree with one line of each kind that must and must not fail.
self_test() {
    dir=$(mktemp -d) || exit 99
    trap 'rm -rf "$dir"' EXIT
    mkdir -p "$dir/asn1" "$dir/crypto" "$dir/mech/net" "$dir/mech/protocol" "$dir/mech/spi" \
        "$dir/mech/stray" "$dir/cli"
    printf '#include "asn1/bytes.h"\n#include <string.h>\n#include "config.h"\n' >"$dir/asn1/good.c"
    printf '#include "mech/protocol/step.h"\n#include <sys/socket.h>\n' >"$dir/mech/net/good.c"
    printf '#include "mech/login/login.h"\n#include <gssapi/gssapi.h>\n' >"$dir/mech/spi/good.c"
    printf '#include "crypto/key.h"\n' >"$dir/asn1/bad1.c"
    printf '  #  include "mech/report/error.h"\n' >"$dir/crypto/bad2.h"
    printf '\n#include "mech/protocol/as.h"\n' >"$dir/mech/net/bad3.c"
    printf '#include "../net/wait.h"\n' >"$dir/mech/net/bad4.c"
    printf '#include "wait.h"\n' >"$dir/mech/net/bad5.c"
    printf '#include <openssl/evp.h>\n' >"$dir/mech/protocol/bad6.c"
    printf '#include <sys/socket.h>\n' >"$dir/mech/protocol/bad7.c"
    printf '#include "mech/protocolx/as.h"\n' >"$dir/mech/protocol/bad8.c"
    printf '#include "mech/spi/cred.h"\n' >"$dir/cli/bad9.c"
    printf 'int x;\n' >"$dir/mech/protocol/fine.c"
    found=$(check "$dir")
    names=$(printf '%s\n' "$found" | sed 's,.*/\([a-z0-9]*\)\.[ch]:.*,\1,' | sort | tr '\n' ' ')
    if [ "$names" != "bad1 bad2 bad3 bad4 bad5 bad6 bad7 bad8 bad9 " ]; then
        printf 'the check does not find what it must:\n%s\n' "$found"
        exit 99
    fi
}

self_test
wrong=$(check "${1:-${KB_SRCDIR:-.}}")
if [ -n "$wrong" ]; then
    printf '%s\n' "$wrong"
    exit 1
fi
