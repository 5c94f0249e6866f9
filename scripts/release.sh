#!/usr/bin/env bash
# Makes a release in build/out/release/: a binary for every board, packages
# (deb, rpm, apk, ipk), a container image, the licences, a list of what is
# inside, checksums. The same commit gives the same bytes.
set -euo pipefail
: "${VERSION:?run make release}"
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
out=${1:-build/out/release}
rm -rf "$out" build/out/release.of
mkdir -p "$out/bin" "$out/doc"

compile() { # name goarch variant
	local GOOS=linux GOARCH=$2 GOARM=$3 GOMIPS=softfloat
	export GOOS GOARCH GOARM GOMIPS
	scripts/compile.sh "$out/bin/dunlin-$1"
}
compile linux-amd64 amd64 ''
compile linux-arm64 arm64 ''
compile linux-armv7 arm 7
compile linux-armv6 arm 6
compile linux-armv5 arm 5
compile linux-riscv64 riscv64 ''
compile linux-mipsle mipsle ''

go mod download
go build -o build/out/release-tool ./scripts/release
of_package=$(build/out/release-tool version deb "$VERSION")
build/out/release-tool licences "$out/bin/dunlin-linux-arm64" >"$out/LICENCES.txt"
build/out/release-tool copyright "$out/bin/dunlin-linux-arm64" >"$out/doc/copyright"
build/out/release-tool sbom "$out/bin/dunlin-linux-arm64" >"$out/dunlin-$VERSION.spdx.json"
scripts/compile.sh build/out/dunlin-host
build/out/dunlin-host help --man | gzip -9n >"$out/doc/dunlin.1.gz"
build/out/dunlin-host completion bash >"$out/doc/completion.bash"
sed -e 's,PROGRAM,/usr/bin/dunlin,; s,CONFIG,/etc/dunlin/dunlin.yaml,; s,USER,dunlin,' cmd/dunlin/dunlin.service >"$out/doc/dunlin.service"
gzip -9n <CHANGELOG.md >"$out/doc/CHANGELOG.md.gz"
gzip -9n >"$out/doc/changelog.gz" <<-TEXT
dunlin (${of_package/-/\~}) unstable; urgency=medium

  * What changed is in CHANGELOG.md.gz beside this file.

 -- The dunlin authors <dunlin@users.noreply.github.com>  $(date -uRd "@$SOURCE_DATE_EPOCH")
TEXT

(cd build/tools && go build -o ../out/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm)
export OUT=$out
# An apk has its scripts with the times of their files.
touch -d "@$SOURCE_DATE_EPOCH" build/package/alpine.*
package() { # format, nfpm's architecture, binary, its system
	VERSION=$(build/out/release-tool version "$1" "$VERSION") PKG_ARCH=$2 BINARY=$3 build/out/nfpm package -p "$1" -t "$out/" -f "build/package/nfpm${4:+-$4}.yaml" >build/out/nfpm.log || { cat build/out/nfpm.log >&2; return 1; }
}
# dpkg-deb packs a fifth smaller than nfpm does, and knows no field License.
repack() { # deb
	local dir
	dir=$(mktemp -d)
	dpkg-deb -R "$1" "$dir/root"
	sed -i '/^License:/d' "$dir/root/DEBIAN/control"
	dpkg-deb --root-owner-group -Zxz -z9 -b "$dir/root" "$1" >/dev/null
	rm -rf "$dir"
}
# Debian's armhf means ARMv7, Raspberry Pi OS's ARMv6: the v6 binary runs on both.
for pair in amd64=linux-amd64 arm64=linux-arm64 armhf=linux-armv6 arm5=linux-armv5 riscv64=linux-riscv64; do
	package deb "${pair%=*}" "${pair#*=}"
done
for deb in "$out"/*.deb; do repack "$deb"; done
for pair in amd64=linux-amd64 arm64=linux-arm64 arm7=linux-armv7; do
	package rpm "${pair%=*}" "${pair#*=}"
done
for pair in amd64=linux-amd64 arm64=linux-arm64 arm7=linux-armv7; do
	package apk "${pair%=*}" "${pair#*=}" alpine
done
for pair in amd64=linux-amd64 arm64=linux-arm64 arm7=linux-armv7 mipsle=linux-mipsle; do
	package ipk "${pair%=*}" "${pair#*=}" openwrt
done

containers=()
for arch in amd64 arm64 armv7 armv6 riscv64; do containers+=("$arch=$out/bin/dunlin-linux-$arch"); done
build/out/release-tool oci "$out/dunlin-$VERSION-oci.tar" /etc/ssl/certs/ca-certificates.crt "$out/LICENCES.txt" "${containers[@]}"

(cd "$out" && find . -type f ! -path './doc/*' ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
(cd "$out" && stat -c '  %10s  %n' bin/* *.deb *.rpm *.apk *.ipk *.tar *.json)
[ "$out" != build/out/release ] && [ "$out" != "$PWD/build/out/release" ] || echo "$VERSION ${REVISION:-unknown}" >build/out/release.of
