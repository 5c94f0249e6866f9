#!/usr/bin/env bash
# Makes both images twice and wants the same bytes, then boots them in QEMU.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
scripts/test-deps.sh
scripts/test-deps.sh image
cd build/image
for board in rpi pizero; do
	go run . -board $board -plain -out ../out/image-again >/dev/null
	rm -f ../out/image/dunlin-*-$board.img ../out/image/dunlin-*-$board.slot
	go run . -board $board -out ../out/image
	for file in ../out/image/dunlin-*-$board.img ../out/image/dunlin-*-$board.slot; do
		cmp "$file" "../out/image-again/${file##*/}" || { echo "two images of one commit differ" >&2; exit 1; }
	done
done
rm -rf ../out/image-again
stat -c '%10s  %n' ../out/image/*.xz
most=$((48 * 1024 * 1024))
for file in ../out/image/*.xz; do
	[ "$(stat -c %s "$file")" -le $most ] || { echo "$file is larger than 48 MiB" >&2; exit 1; }
done
exec go run ./boottest -images ../out/image
