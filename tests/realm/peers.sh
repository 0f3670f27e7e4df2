#!/bin/sh
# peers.sh DIR - test peers that must not be installed beside MIT's KDC, unpacked into DIR:
# Heimdal's KDC and KCM (its package conflicts with krb5-kdc), sssd's KCM (which would start with the
# system) and libfaketime (for a KDC whose clock is wrong). Debian's packages by apt-get download;
# nothing outside DIR changes.
set -e
dir=$1
[ -n "$dir" ] || { echo "usage: peers.sh DIR" >&2; exit 2; }
[ -f "$dir/complete" ] && [ -f "$dir/heimdal/usr/sbin/kcm" ] &&
    [ -f "$dir/sssd/usr/libexec/sssd/sssd_kcm" ] && exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "peers.sh: no apt-get" >&2; exit 1; }

heimdal="heimdal-kdc heimdal-kcm heimdal-clients libasn1-8-heimdal libgssapi3-heimdal libhcrypto5-heimdal
    libhdb9-heimdal libheimbase1-heimdal libheimntlm0-heimdal libhx509-5-heimdal
    libkadm5clnt7-heimdal libkadm5srv8-heimdal libkdc2-heimdal libkrb5-26-heimdal
    libotp0-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal libkafs0-heimdal"
sssd="sssd-kcm sssd-common libbasicobjects0 libc-ares2 libcollection4 libdhash1 libini-config5
    libjansson4 libldb2 liblmdb0 libnl-3-200 libnl-route-3-200 libpath-utils1 libpopt0 libref-array1
    libsss-certmap0 libsss-idmap0 libtalloc2 libtdb1 libtevent0"
mkdir -p "$dir/debs" "$dir/heimdal" "$dir/sssd" "$dir/faketime"
dir=$(cd "$dir" && pwd)
cd "$dir/debs"
# shellcheck disable=SC2086  # a list
apt-get -q download $heimdal $sssd libfaketime 2>&1 | grep -v 'unsandboxed as root' || true
unpack() {
    to=$1
    shift
    for name; do
        for deb in "$name"_*.deb; do
            [ -f "$deb" ] || { echo "peers.sh: $name could not be downloaded" >&2; exit 1; }
            dpkg -x "$deb" "$dir/$to"
        done
    done
}
# shellcheck disable=SC2086  # lists
{
    unpack heimdal $heimdal
    unpack sssd $sssd
    unpack faketime libfaketime
}
rm -rf "$dir/debs"
touch "$dir/complete"
