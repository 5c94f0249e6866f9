#!/usr/bin/env bash
# Makes the image, or with IMAGE=built takes what make image-test has made, and
# updates it in QEMU: CUTS=200 power cuts looked at, BOOTS=3 of them booted;
# NETWORK=1 sends the updates to the guest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
scripts/test-deps.sh
scripts/test-deps.sh image
cd build/image
if [ "${IMAGE:-}" != built ]; then
	rm -f ../out/image/dunlin-*-rpi.*
	go run . -board rpi -plain -out ../out/image
fi
exec go run ./updatetest -images ../out/image -cuts "${CUTS:-200}" -boots "${BOOTS:-3}" ${NETWORK:+-network}
