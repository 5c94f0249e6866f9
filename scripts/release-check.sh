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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Every binary says its version and checks a configuration.
printf 'mqtt: {listeners: [{bind: "127.0.0.1:1883", anonymous: true}]}\ndevices: [{name: host, driver: system}]\n' >"$work/dunlin.yaml"
for pair in amd64= arm64=aarch64 armv7=arm armv6=arm armv5=arm riscv64=riscv64 mipsle=mipsel; do
	bin=$out/bin/dunlin-linux-${pair%%=*} emulator=${pair#*=}
	run=("$bin")
	[ -z "$emulator" ] || run=("qemu-$emulator-static" "$bin")
	"${run[@]}" version | grep -qF "$VERSION" || die "${run[*]} version"
	"${run[@]}" check "$work/dunlin.yaml" >/dev/null || die "${run[*]} check"
	ok "dunlin-linux-${pair%%=*} starts"
done
size=$(stat -c %s "$out/bin/dunlin-linux-armv6")
[ "$size" -le 9000000 ] || die "the ARMv6 binary has $size bytes, more than 9000000"
ok "ARMv6 binary: $size bytes"

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
lintian --fail-on error "$out"/*_amd64.deb || die "lintian"
ok "lintian finds no error"
for script in postinst prerm postrm; do sh -n "build/package/$script"; done
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
