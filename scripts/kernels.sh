#!/usr/bin/env bash
# Fetches Debian's newest kernel for a board's architecture and unpacks it into
# build/out/kernels/ARCH, with its version in a file. Nothing is installed, and
# this machine's apt and dpkg are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:?usage: kernels.sh armhf|armel|arm64} out=build/out/kernels
case $arch in
armhf) image=linux-image-armmp ;;
armel) image=linux-image-rpi ;;
arm64) image=linux-image-arm64 ;;
*) echo "no kernel is known for $arch" >&2; exit 2 ;;
esac
[ -f "$out/$arch/version" ] && exit 0
export PATH="$PATH:/usr/sbin:/sbin"

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/{lists/partial,cache/archives/partial} "$out"
touch "$state/status"
# The mirror and the release that this machine itself uses.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | head -1 || true)
[ -n "$mirror" ] || { echo "kernels.sh: no mirror of Debian in this machine's apt sources" >&2; exit 1; }
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$state/sources.list"
foreign() { # apt-get or apt-cache, for the board's architecture
	local tool=$1
	shift
	"$tool" -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State="$state" -o Dir::State::Lists="$state/lists" \
		-o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources.list" \
		-o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}
foreign apt-get -qq update
package=$(foreign apt-cache depends "$image" | awk '/Depends: linux-image/{print $2; exit}')
[ -n "$package" ] || { echo "$mirror has no $image for $arch" >&2; exit 1; }
(cd "$state" && foreign apt-get -qq download "$package")
rm -rf "${out:?}/$arch"
mkdir -p "$out/$arch"
dpkg-deb -x "$state/$package"_*.deb "$out/$arch"
version=${package#linux-image-}
depmod -b "$out/$arch" "$version"
echo "$version" >"$out/$arch/version"
