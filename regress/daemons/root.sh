#!/bin/sh
# root.sh [suite [folder]]: makes the Debian that the test in this folder
# attacks, with Postfix, saslauthd, Dovecot, sshd and rsyslog, unless it is
# there. Needs root.
set -eu
PATH=$PATH:/usr/sbin:/sbin

suite=${1:-bookworm}
root=${2:-${ROOT:-/var/tmp/ban_smtpd-daemons-$suite}}
packages=postfix,sasl2-bin,libsasl2-modules,dovecot-core,dovecot-imapd,dovecot-pop3d
packages=$packages,dovecot-submissiond,dovecot-managesieved,dovecot-sieve
packages=$packages,openssh-server,openssh-client,rsyslog,openssl
keys=/usr/share/keyrings/debian-archive-keyring.gpg

[ -x "$root/usr/sbin/sshd" ] && [ -x "$root/usr/sbin/rsyslogd" ] && exit 0

fail() {
	echo "root.sh: $1" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "not root"
command -v debootstrap >/dev/null || fail "no debootstrap"
command -v apt-get >/dev/null || fail "no apt-get, which knows the mirror"
[ -f "$keys" ] || fail "no $keys"
[ -e "$root" ] && fail "$root is there, but is not what this script makes"

# The mirror and the proxy are those that apt is set up with. The one for
# security updates has no whole suite.
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	sed -n 's/^Debian //p' | sed 1q)
[ "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
	grep '/debian/*$' | sed 1q) || true
[ "$mirror" ] || fail "apt has no Debian mirror"
proxy=
eval "$(apt-config shell proxy Acquire::http::Proxy)"
[ -z "$proxy" ] || export http_proxy="$proxy"
# Postfix would ask what it is to be.
export DEBIAN_FRONTEND=noninteractive

# Made under another name and then renamed: a folder with the right name is
# whole, also when two of these run at once.
# debootstrap's mounts are in a namespace of their own, and vanish with it; so do
# the daemons that a package starts.
new=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf -- "$new" "$new.log"' EXIT
trap 'exit 1' HUP INT TERM
if ! unshare --mount --uts --pid --fork debootstrap --variant=minbase --keyring="$keys" --include="$packages" \
	"$suite" "$new" "$mirror" >"$new.log" 2>&1; then
	tail -n 5 "$new.log" >&2
	fail "debootstrap cannot make $suite"
fi
rm -rf -- "$new"/var/cache/apt/archives/*.deb
chmod 755 "$new"
mv -T -- "$new" "$root" 2>/dev/null || [ -x "$root/usr/sbin/sshd" ]
