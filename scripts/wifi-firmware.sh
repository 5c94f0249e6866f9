#!/usr/bin/env bash
# Fetches the firmware of Broadcom's radios, a package of Debian, and unpacks
# it into build/out/wifi-firmware.
set -euo pipefail
cd "$(dirname "$0")/.."
package=firmware-brcm80211 version=20250410-2 release=trixie out=build/out/wifi-firmware
sum=266cc703e2299f5253fd1ff9a1fd625d85a2c8e5a88b1a65fcc190ac384ce3d7
[ "$(cat "$out/version" 2>/dev/null)" = $version ] && exit 0
. scripts/debian.sh
packages "$(dpkg --print-architecture)" $release non-free-firmware
apt apt-get -qq download "$package=$version"
rm -rf "$out"
mkdir -p "$out"
echo "$sum  $(echo "$state/$package"_*.deb)" | sha256sum -c --quiet
dpkg-deb -x "$state/$package"_*.deb "$out"
echo $version >"$out/version"
