#!/usr/bin/env bash
# Fetches Debian's newest kernel for a board's architecture and unpacks it into
# build/out/kernels/ARCH, with its version in a file.
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

. scripts/debian.sh
packages "$arch" "$(. /etc/os-release && echo "$VERSION_CODENAME")" main
package=$(apt apt-cache depends "$image" | awk '/Depends: linux-image/{print $2; exit}')
[ -n "$package" ] || { echo "$mirror has no $image for $arch" >&2; exit 1; }
apt apt-get -qq download "$package"
rm -rf "${out:?}/$arch"
mkdir -p "$out/$arch"
dpkg-deb -x "$state/$package"_*.deb "$out/$arch"
version=${package#linux-image-}
depmod -b "$out/$arch" "$version"
echo "$version" >"$out/$arch/version"
