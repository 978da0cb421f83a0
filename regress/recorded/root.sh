#!/bin/sh
# root.sh suite folder program packages: makes the Debian that a test attacks,
# with these packages, unless it is there: then the program is in it. Needs root.
set -eu
PATH=$PATH:/usr/sbin:/sbin

suite=$1 root=$2 probe=$3 packages=$4
keys=/usr/share/keyrings/debian-archive-keyring.gpg

[ -x "$root$probe" ] && [ -x "$root/usr/sbin/rsyslogd" ] && exit 0

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
mv -T -- "$new" "$root" 2>/dev/null || [ -x "$root$probe" ]
