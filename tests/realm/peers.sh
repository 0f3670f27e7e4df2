#!/bin/sh
# peers.sh DIR - test peers that must not be installed beside MIT's KDC, unpacked into DIR:
# Heimdal's KDC and KCM (its package conflicts with krb5-kdc) and libfaketime (for a KDC whose clock is
# wrong). Debian's packages by apt-get download; nothing outside DIR changes.
set -e
dir=$1
[ -n "$dir" ] || { echo "usage: peers.sh DIR" >&2; exit 2; }
[ -f "$dir/complete" ] && [ -f "$dir/heimdal/usr/sbin/kcm" ] && exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "peers.sh: no apt-get" >&2; exit 1; }

heimdal="heimdal-kdc heimdal-kcm heimdal-clients libasn1-8-heimdal libgssapi3-heimdal libhcrypto5-heimdal
    libhdb9-heimdal libheimbase1-heimdal libheimntlm0-heimdal libhx509-5-heimdal
    libkadm5clnt7-heimdal libkadm5srv8-heimdal libkdc2-heimdal libkrb5-26-heimdal
    libotp0-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal libkafs0-heimdal"
mkdir -p "$dir/debs" "$dir/heimdal" "$dir/faketime"
dir=$(cd "$dir" && pwd)
cd "$dir/debs"
# shellcheck disable=SC2086  # a list
apt-get -q download $heimdal libfaketime 2>&1 | grep -v 'unsandboxed as root' || true
for name in $heimdal libfaketime; do
    for deb in "$name"_*.deb; do
        [ -f "$deb" ] || { echo "peers.sh: $name could not be downloaded" >&2; exit 1; }
        case $name in libfaketime) to=faketime ;; *) to=heimdal ;; esac
        dpkg -x "$deb" "$dir/$to"
    done
done
rm -rf "$dir/debs"
touch "$dir/complete"
