#!/usr/bin/env bash
# Installs packages from the machine's own apt sources. Services that come along
# are never started: tests start their own on a loopback port.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
missing=("$@")
[ ${#missing[@]} -eq 0 ] && exit 0

command -v apt-get >/dev/null || {
	echo "This needs ${missing[*]}, and there is no apt-get to install them: install them by hand" >&2
	exit 1
}
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "This needs ${missing[*]}: run 'apt-get install ${missing[*]}' as root" >&2; exit 1; }
	sudo=(sudo)
fi
# Debian starts a service when its package is installed, unless policy-rc.d
# says no. Ours says so only while this script runs, and only if there is none.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
ours=("$log")
trap '"${sudo[@]}" rm -f "${ours[@]}"' EXIT
if [ ! -e $policy ]; then
	ours+=($policy)
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
	"${sudo[@]}" chmod 755 $policy
fi
install() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }
echo "installing ${missing[*]}"
if ! install >"$log" 2>&1; then
	"${sudo[@]}" apt-get update >>"$log" 2>&1 && install >>"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi
if [ -d /run/systemd/system ] && [[ " ${missing[*]} " == *" mosquitto "* ]]; then
	"${sudo[@]}" systemctl disable --now mosquitto.service >/dev/null 2>&1 || true
fi
