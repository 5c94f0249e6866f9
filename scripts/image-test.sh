#!/usr/bin/env bash
# Makes both images, the one for Pi 3 to 5 twice and wants the same bytes, and
# boots them in QEMU.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
scripts/test-deps.sh
scripts/test-deps.sh image
cd build/image
go test -count=1 $(go list ./... | grep -v /network) # what image-net does not run
rm -rf ../out/image
go run . -board rpi -plain -out ../out/image-again >/dev/null
for board in rpi pizero; do go run . -board $board -out ../out/image; done
for file in ../out/image/dunlin-*-rpi.{img,slot,dunlin-update}; do
	cmp "$file" "../out/image-again/${file##*/}" || { echo "two images of one commit differ" >&2; exit 1; }
done
rm -rf ../out/image-again
stat -c '%10s  %n' ../out/image/*.xz
most=$((48 * 1024 * 1024))
for file in ../out/image/*.xz; do
	[ "$(stat -c %s "$file")" -le $most ] || { echo "$file is larger than 48 MiB" >&2; exit 1; }
done
exec go run ./boottest -images ../out/image
