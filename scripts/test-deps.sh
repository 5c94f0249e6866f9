#!/usr/bin/env bash
# Installs what the tests need and what is not there yet; with "interop",
# "browser", "release", "board", "powercut", "image", "image-net" or "guest", also
# what these targets need.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
missing=()
command -v mosquitto >/dev/null || missing+=(mosquitto)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v c++ >/dev/null || missing+=(g++)
if [ "${1:-}" = interop ]; then
	/usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing+=(python3-paho-mqtt)
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
fi
if [ "${1:-}" = browser ]; then
	command -v chromium >/dev/null || missing+=(chromium fonts-dejavu-core)
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
fi
if [ "${1:-}" = release ]; then
	command -v qemu-arm-static >/dev/null || missing+=(qemu-user-static)
	command -v systemd-analyze >/dev/null || missing+=(systemd)
	command -v lintian >/dev/null || missing+=(lintian)
	[ -r /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
fi
if [ "${1:-}" = board ]; then
	command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
	command -v depmod >/dev/null || missing+=(kmod)
	command -v fdtput >/dev/null || missing+=(device-tree-compiler)
	command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
fi
if [ "${1:-}" = powercut ]; then
	command -v qemu-system-aarch64 >/dev/null || missing+=(qemu-system-arm)
	command -v debugfs >/dev/null || missing+=(e2fsprogs)
	command -v depmod >/dev/null || missing+=(kmod)
fi
if [ "${1:-}" = image ]; then
	command -v qemu-system-aarch64 >/dev/null || missing+=(qemu-system-arm)
	command -v mcopy >/dev/null || missing+=(mtools)
	command -v mkfs.vfat >/dev/null || missing+=(dosfstools)
	command -v mke2fs >/dev/null || missing+=(e2fsprogs)
	command -v xz >/dev/null || missing+=(xz-utils)
	command -v depmod >/dev/null || missing+=(kmod)
	[ -r /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
fi
if [ "${1:-}" = image-net ]; then
	command -v ip >/dev/null || missing+=(iproute2)
	command -v nsenter >/dev/null || missing+=(util-linux)
	command -v dnsmasq >/dev/null || missing+=(dnsmasq-base)
	command -v chronyd >/dev/null || missing+=(chrony)
	/usr/bin/python3 -c "import zeroconf" 2>/dev/null || missing+=(python3-zeroconf)
fi
if [ "${1:-}" = guest ]; then
	command -v qemu-system-aarch64 >/dev/null || missing+=(qemu-system-arm)
	command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
	command -v update-binfmts >/dev/null || missing+=(binfmt-support)
	command -v arch-test >/dev/null || missing+=(arch-test)
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	command -v depmod >/dev/null || missing+=(kmod)
	command -v cpio >/dev/null || missing+=(cpio)
	command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
fi
exec "$(dirname "$0")/apt.sh" "${missing[@]}"
