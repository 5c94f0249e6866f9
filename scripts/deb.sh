#!/usr/bin/env bash
# Tests the Debian package of this commit's release on an emulated arm64
# machine with systemd. A release of another commit is made anew.
set -euo pipefail
: "${VERSION:?run make deb-test}"
cd "$(dirname "$0")/.."
scripts/test-deps.sh guest
guest=$(scripts/guest.sh)
debs=(build/out/release/dunlin_*_arm64.deb)
[ "$(cat build/out/release.of 2>/dev/null)" = "$VERSION $REVISION" ] && [ -f "${debs[0]}" ] || {
	scripts/test-deps.sh release
	scripts/release.sh
	debs=(build/out/release/dunlin_*_arm64.deb)
}
exec go run ./scripts/deb -guest "$guest" "${debs[0]}"
