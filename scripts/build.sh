#!/usr/bin/env bash
# Builds dunlin static and stripped for every supported board into build/out/
# and prints version, revision and size of each.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/out
printf 'dunlin %s, revision %s, %s\n' "$VERSION" "$REVISION" "$(go env GOVERSION)"
one() { # name goos goarch goarm
	local out="build/out/dunlin-$1"
	GOOS=$2 GOARCH=$3 GOARM=${4-} scripts/compile.sh "$out"
	local size
	size=$(stat -c %s "$out")
	printf '  %-28s %10d bytes  %5.2f MB\n' "$out" "$size" "$(awk "BEGIN{print $size/1000000}")"
}
one linux-amd64 linux amd64
one linux-arm64 linux arm64
one linux-armv7 linux arm 7
one linux-armv6 linux arm 6
one linux-riscv64 linux riscv64
