#!/bin/sh
# install.sh build|demo|check|bench - Debian packages that a fresh machine lacks; nothing where all are there.
# As root or through sudo. No service is started, now or at the next boot, and no file of the
# machine's configuration is written by us (packages' own scripts write theirs).
set -e
build="gcc libc6-dev make autoconf automake pkg-config libkrb5-dev libssl-dev"
demo="$build curl python3 krb5-kdc krb5-admin-server krb5-user apache2-bin libapache2-mod-auth-gssapi"
check="$demo libcmocka-dev libjansson-dev python3-gssapi openssh-server openssh-client valgrind
    clang libclang-rt-14-dev lld git iproute2 tinyproxy xz-utils openssl python3-kdcproxy krb5-k5tls bind9 gdb tshark
    samba samba-ad-provision samba-dsdb-modules samba-vfs-modules ldb-tools"
bench="$build python3 krb5-kdc krb5-admin-server krb5-user valgrind strace gnuplot-nox"
case $1 in
build) wanted=$build ;;
demo) wanted=$demo ;;
check) wanted=$check ;;
bench) wanted=$bench ;;
*) echo "usage: install.sh build|demo|check|bench" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || {
    echo "install.sh: no Debian here; needed are what Debian calls:" $wanted >&2
    exit 0
}
missing=
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    command -v sudo >/dev/null || { echo "install.sh: as root: apt-get install$missing" >&2; exit 1; }
fi

# Packages ask policy-rc.d before they start a service; ours says no, and goes when we are done.
policy=/usr/sbin/policy-rc.d
ours=
undo() {
    [ -z "$ours" ] || $as_root rm -f $policy
}
trap undo EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e $policy ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
log=$(mktemp)
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "install.sh: apt-get $* failed" >&2
        exit 1
    }
}
echo "installing:$missing"
apt update
apt install --no-install-recommends $missing
rm -f "$log"

# A service that came with a package of ours stays off at the next boot as well.
if [ -d /run/systemd/system ]; then
    for unit in krb5-kdc:krb5-kdc krb5-admin-server:krb5-admin-server openssh-server:ssh tinyproxy:tinyproxy bind9:named \
        samba:smbd samba:nmbd samba:samba-ad-dc; do
        case " $missing " in
        *" ${unit%:*} "*) $as_root systemctl -q disable "${unit#*:}" || : ;;
        esac
    done
fi
