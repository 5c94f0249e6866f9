#!/usr/bin/env bash
# Makes a machine with Debian and its systemd for QEMU, and prints the folder
# that has it: kernel, initrd and disk.ext4. It is kept in the user's cache
# under a name that is the hash of this recipe; making it takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
arch=arm64
kernels=build/out/kernels/$arch
scripts/kernels.sh $arch >&2
kernel=$(cat $kernels/version)
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunlin
out=$cache/guest-$arch-$( (cat scripts/guest.sh; echo "$kernel $release") | sha256sum | cut -c1-16)
mkdir -p "$cache"
exec 9>"$cache/guest.lock"
flock 9
[ -d "$out" ] && { echo "$out"; exit 0; }

[ "$(id -u)" = 0 ] || { echo "guest.sh: the second stage of Debian's installation wants root" >&2; exit 1; }
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Programs of the guest's architecture run here while its packages are set up.
if ! arch-test $arch >/dev/null; then
	mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	update-binfmts --enable qemu-aarch64
	arch-test $arch >&2
fi
. scripts/debian.sh
root=$work/root
mmdebstrap --quiet --architectures=$arch --variant=minbase --include=systemd,systemd-sysv,udev,dbus,busybox-static \
	--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	"$release" "$root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >&2

# As Debian's installer leaves it: a name, and an address (QEMU's network has no other).
echo barn >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tbarn\n' >"$root/etc/hosts"
printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$root/etc/systemd/network/lan.network"
wants=$root/etc/systemd/system/multi-user.target.wants
ln -sf /lib/systemd/system/systemd-networkd.service "$wants/"
for unit in serial-getty@ttyAMA0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# An emulated processor spends seconds on programs that make units for disks and terminals that are not here.
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/lib/systemd/system-generators/*; do
	ln -s /dev/null "$root/etc/systemd/system-generators/$(basename "$generator")"
done
# The agent takes a command a line from a port of the machine, and answers with its exit code and its output in base64.
cat >"$root/usr/local/sbin/agent" <<'SH'
#!/bin/bash
exec 3<>/dev/virtio-ports/agent
while read -r line <&3; do
	code=0
	out=$(bash -c "$line" 2>&1 3>&- </dev/null | base64 -w 0; exit "${PIPESTATUS[0]}") || code=$?
	echo "$code $out" >&3
done
SH
chmod 755 "$root/usr/local/sbin/agent"
cat >"$root/etc/systemd/system/agent.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
ExecStartPre=/bin/bash -c 'until [ -e /dev/virtio-ports/agent ]; do sleep 0.2; done'
ExecStart=/usr/local/sbin/agent
UNIT
ln -sf /etc/systemd/system/agent.service "$wants/"

# Of the kernel's modules, those of the emulated machine and what sensors want.
tree() { # folder module...: the files of modules and of what they need
	local to=$1
	shift
	for module in "$@"; do
		modprobe -S "$kernel" -d "$PWD/$kernels" --show-depends "$module" | awk '$1 == "insmod" {print $2}'
	done | awk '!seen[$0]++' | while read -r file; do
		mkdir -p "$to/$(dirname "${file#"$PWD/$kernels/"}")"
		cp "$file" "$to/${file#"$PWD/$kernels/"}"
		echo "/${file#"$PWD/$kernels/"}"
	done
}
tree "$root" virtio_net virtio_console virtio_rng i2c-dev i2c-gpio spidev gpio-mockup >/dev/null 2>&1 || true
cp "$kernels/lib/modules/$kernel"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$kernel/"
depmod -b "$root" "$kernel"

mkdir -p "$work/initrd/"{bin,proc,dev,new} "$work/out"
cp "$root/bin/busybox" "$work/initrd/bin/"
{
	printf '#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n'
	tree "$work/initrd" virtio_pci virtio_blk ext4 | sed 's,^,/bin/busybox insmod ,'
	printf 'until [ -b /dev/vda ]; do :; done\n/bin/busybox mount -t ext4 /dev/vda /new\nexec /bin/busybox switch_root /new /sbin/init\n'
} >"$work/initrd/init"
chmod 755 "$work/initrd/init"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/out/initrd"
cp "$kernels/boot/vmlinuz-$kernel" "$work/out/kernel"
truncate -s 700M "$work/out/disk.ext4"
mkfs.ext4 -q -O ^metadata_csum_seed -d "$root" "$work/out/disk.ext4"
rm -rf "$cache/guest-$arch-"*
mv "$work/out" "$out"
echo "$out"
