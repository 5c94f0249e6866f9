#!/usr/bin/env bash
# Fetches the firmware of Broadcom's radios, a package of Debian, and unpacks
# it into build/out/wifi-firmware. Nothing is installed, and this machine's apt
# and dpkg are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
package=firmware-brcm80211 version=20250410-2 release=trixie out=build/out/wifi-firmware
sum=266cc703e2299f5253fd1ff9a1fd625d85a2c8e5a88b1a65fcc190ac384ce3d7
[ "$(cat "$out/version" 2>/dev/null)" = $version ] && exit 0
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/{lists/partial,cache/archives/partial}
touch "$state/status"
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | head -1 || true)
[ -n "$mirror" ] || { echo "wifi-firmware.sh: no mirror of Debian in this machine's apt sources" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release non-free-firmware" >"$state/sources.list"
foreign() {
	apt-get -o Dir::State="$state" -o Dir::State::Lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
		-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}
foreign -qq update
(cd "$state" && foreign -qq download "$package=$version")
rm -rf "$out"
mkdir -p "$out"
echo "$sum  $(echo "$state/$package"_*.deb)" | sha256sum -c --quiet
dpkg-deb -x "$state/$package"_*.deb "$out"
echo $version >"$out/version"
