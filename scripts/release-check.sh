#!/usr/bin/env bash
# Looks a release over as those who install it would: every binary starts, the
# packages hold what they should, the unit is hardened, and a second build from
# another folder with an empty cache gives the same bytes.
set -euo pipefail
: "${VERSION:?run make release-check}"
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin"
scripts/test-deps.sh release
out=$PWD/build/out/release
scripts/release.sh "$out"
passed=0
ok() { passed=$((passed + 1)); echo "ok   $*"; }
die() { echo "FAIL $*" >&2; exit 1; }
work=$(mktemp -d) running=
trap '[ -z "$running" ] || kill -KILL $running; rm -rf "$work"' EXIT

# Every binary says its version, checks a configuration, serves a message at
# each QoS and ends when it is told to. Other processors are emulated.
serves() { # name command...
	local name=$1 pid qos port=
	shift
	printf 'data_dir: %s\nhttp: {bind: ""}\nmqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}\nlog: {format: json}\ndevices: [{name: host, driver: system}]\n' "$work/$name" >"$work/$name.yaml"
	"$@" version | grep -qF "$VERSION" || die "$name: version"
	"$@" check "$work/$name.yaml" >/dev/null || die "$name: check"
	"$@" run -c "$work/$name.yaml" >"$work/$name.log" 2>&1 &
	pid=$! running=$!
	for _ in $(seq 300); do
		port=$(sed -nE 's/.*"msg":"listening".*"address":"127.0.0.1:([0-9]+)".*/\1/p' "$work/$name.log")
		[ -n "$port" ] && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.2
	done
	[ -n "$port" ] || { cat "$work/$name.log" >&2; die "$name does not listen"; }
	for qos in 0 1 2; do
		mosquitto_pub -V 5 -p "$port" -q $qos -r -t "smoke/$qos" -m "$name $qos" || { cat "$work/$name.log" >&2; die "$name: PUBLISH at QoS $qos"; }
		[ "$(mosquitto_sub -V 5 -p "$port" -q $qos -t "smoke/$qos" -C 1 -W 60)" = "$name $qos" ] || die "$name: SUBSCRIBE at QoS $qos"
	done
	mosquitto_sub -p "$port" -t 'dunlin/+/host/load_1m' -C 1 -W 60 | grep -qE '^[0-9.]+$' || die "$name: no value of its own"
	kill -TERM $pid
	wait $pid || { cat "$work/$name.log" >&2; die "$name ends with exit code $?"; }
	running=
	ok "$name starts, answers, publishes, ends"
}
for pair in amd64= arm64=aarch64 armv7=arm armv6=arm armv5=arm riscv64=riscv64 mipsle=mipsel; do
	bin=$out/bin/dunlin-linux-${pair%%=*} emulator=${pair#*=}
	run=("$bin")
	[ -z "$emulator" ] || run=("qemu-$emulator-static" "$bin")
	serves "dunlin-linux-${pair%%=*}" "${run[@]}"
done
size=$(stat -c %s "$out/bin/dunlin-linux-armv6")
[ "$size" -le 9000000 ] || die "the ARMv6 binary has $size bytes, more than 9000000"
ok "ARMv6 binary: $size bytes"

# What is said about a release: its sizes to two percent, and every module that is inside.
said() { # what file
	local size told
	size=$(stat -c %s "$2")
	told=$(sed -nE "s/^\| $1 \| ([0-9,]+) \|\$/\1/p" README.md | tr -d ,)
	[ -n "$told" ] && [ $((told > size ? told - size : size - told)) -le $((size / 50)) ] ||
		die "README.md says $1 has ${told:-no} bytes: it has $size"
}
for arch in amd64 arm64 armv7 armv6 riscv64; do said "linux $arch" "$out/bin/dunlin-linux-$arch"; done
said ".deb for arm64" "$(echo "$out"/*_arm64.deb)"
ok "the sizes in README.md"
for bin in "$out"/bin/*; do
	for dep in $(go version -m "$bin" | awk '$1 == "dep" {print $2 "@" $3}'); do
		grep -qF "\"pkg:golang/$dep\"" "$out"/*.spdx.json || die "$(basename "$bin") has $dep, the SBOM has not"
		grep -qF "${dep/@/ } (" "$out/LICENCES.txt" || die "no licence of $dep"
	done
done
for dep in $(sed -nE 's/^== ([^ ]+) ([^ ]+)$/\1@\2/p' ui/LICENSES.txt); do
	grep -qF "\"pkg:npm/$dep\"" "$out"/*.spdx.json || die "the page has $dep, the SBOM has not"
	grep -qF "${dep/@/ } (" "$out/doc/copyright" || die "the package has no licence of $dep"
done
ok "SBOM and licences name every module of every binary"

# The packages.
for deb in "$out"/*.deb; do
	size=$(stat -c %s "$deb")
	[ "$size" -le 3000000 ] || die "$deb has $size bytes, more than 3000000"
	dpkg-deb -c "$deb" >"$work/list"
	for path in ./usr/bin/dunlin ./lib/systemd/system/dunlin.service ./lib/udev/rules.d/60-dunlin.rules ./etc/dunlin/dunlin.yaml ./usr/share/man/man1/dunlin.1.gz ./usr/share/doc/dunlin/copyright; do
		grep -qE " $path\$" "$work/list" || die "$deb lacks $path"
	done
	[ "$(dpkg-deb -f "$deb" Architecture)" = "$(basename "$deb" .deb | sed 's/.*_//')" ] || die "$deb: architecture"
	dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles | grep -qx /etc/dunlin/dunlin.yaml || die "$deb: dunlin.yaml is no conffile"
	ok "$(basename "$deb"): $size bytes"
done
# Each system's init has its script, and none of another's.
archive() { # file member: a member of an apk, or of an ipk's data
	case $1 in *.apk) tar --warning=no-unknown-keyword -xzf "$1" -O "$2" ;; *) tar -xzf "$1" -O ./data.tar.gz | tar -xz -O "./$2" ;; esac
}
for file in "$out"/*.apk "$out"/*.ipk; do
	case $file in *.apk) tar --warning=no-unknown-keyword -tzf "$file" ;; *) tar -xzf "$file" -O ./data.tar.gz | tar -tz ;; esac | sed 's,^\./,,' >"$work/list"
	for path in usr/bin/dunlin etc/init.d/dunlin etc/dunlin/dunlin.yaml; do
		grep -qx "$path" "$work/list" || die "$file lacks $path"
	done
	grep -q '/LICENCES\.txt$' "$work/list" || die "$file lacks the licences"
	! grep -E 'systemd|udev|lintian' "$work/list" || die "$file has what its system has no use for"
	archive "$file" etc/init.d/dunlin | sh -n /dev/stdin || die "$file: the service's script"
done
for file in "$out"/*.ipk; do
	tar -xzf "$file" -O ./control.tar.gz | tar -xz -O ./conffiles | grep -qx /etc/dunlin/dunlin.yaml || die "$file: dunlin.yaml is no conffile"
	tar -xzf "$file" -O ./control.tar.gz | tar -xz -O ./control | grep -qx 'Require-User: dunlin:dunlin' || die "$file: no user"
done
for file in "$out"/*.apk; do
	[ "$(tar --warning=no-unknown-keyword -xzf "$file" -O .PKGINFO | grep -cv '^[a-z]* = ')" = 0 ] || die "$file: .PKGINFO has lines that apk does not read"
	tar --warning=no-unknown-keyword -xzf "$file" -O .PKGINFO | grep -qE '^pkgver = [0-9]+(\.[0-9]+)*(_(alpha|beta|pre|rc|git)[0-9]*)*$' || die "$file: its version is none of apk's"
done
ok "packages for Alpine and OpenWrt"
lintian --fail-on error "$out"/*_amd64.deb || die "lintian"
ok "lintian finds no error"
for script in postinst prerm postrm openwrt.postinst openwrt.prerm alpine.pre-install alpine.post-install alpine.pre-deinstall alpine.post-upgrade; do
	sh -n "build/package/$script"
done
"$out/bin/dunlin-linux-amd64" check build/package/dunlin.yaml >/dev/null || die "the configuration that is shipped"
ok "the configuration that is shipped"

# The unit.
mkdir -p "$work/root/usr/bin" "$work/root/etc/systemd/system"
cp "$out/bin/dunlin-linux-amd64" "$work/root/usr/bin/dunlin"
cp "$out/doc/dunlin.service" "$work/root/etc/systemd/system/"
systemd-analyze security --offline=true --threshold=20 "$work/root/etc/systemd/system/dunlin.service" >"$work/security" || die "systemd-analyze security: $(tail -n 1 "$work/security")"
ok "unit: $(tail -n 1 "$work/security" | sed 's/.*: //')"

(cd "$out" && sha256sum --quiet -c SHA256SUMS)
ok "checksums"

# Again, elsewhere, from nothing: one architecture is compiled anew, and all else is made of the same binaries.
git clone -q . "$work/elsewhere"
(cd "$work/elsewhere" && GOCACHE=$work/cache GOOS=linux GOARCH=arm GOARM=6 scripts/compile.sh "$work/again")
cmp "$work/again" "$out/bin/dunlin-linux-armv6" || die "the second build of the ARMv6 binary differs"
(cd "$work/elsewhere" && scripts/release.sh "$work/second" >/dev/null)
(cd "$work/second" && sha256sum --quiet -c "$out/SHA256SUMS") || die "two releases of one commit differ"
ok "two builds of one commit are the same bytes"
echo "$passed passed, 0 failed"
