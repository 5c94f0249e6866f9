#!/usr/bin/env bash
# Compiles dunlin static, stripped and reproducible into the file named.
# GOOS, GOARCH and GOARM choose the board; VERSION and REVISION are built in.
#
# Inlining makes the program a twentieth larger. It stays on where messages pass,
# with what is called there, and is off in packages that work at the start, at a
# connect or once a second.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || { echo "usage: $0 OUTPUT" >&2; exit 2; }
ours=github.com/dunlin-mqtt/dunlin
cold=(
	"$ours/config/..." "$ours/cmd/..." "$ours/sensors/..." "$ours/serial/..." "$ours/broker/internal/auth"
	"$ours/broker/internal/listen" "$ours/broker/internal/guard"
	go.bug.st/... periph.io/...
	compress/... encoding/{asn1,base64,hex,json,pem} fmt log/... math/big net net/netip net/url
	os os/... path/... reflect strconv internal/strconv vendor/...
	crypto/tls crypto/x509/... crypto/{ecdh,ecdsa,ed25519,elliptic,hkdf,hmac,hpke,pbkdf2,rand,rsa} crypto/internal/{rand,sysrand}
	crypto/internal/fips140/{rsa,ecdsa,tls12,tls13,hkdf,hmac,drbg,ed25519,ecdh,mlkem,pbkdf2}
	golang.org/x/crypto/... golang.org/x/sys/... internal/fmtsort
)
flags=()
if [ "${GOARCH:-}" = arm ]; then
	# Kernels for ARMv6 and ARMv7 have pages of 4 KiB: no need to pad the file to the 64 KiB of others.
	rounding="-R 4096"
fi
for package in "${cold[@]}"; do flags+=("-gcflags=$package=-l"); done
CGO_ENABLED=0 go build -trimpath "${flags[@]}" \
	-ldflags "-s -w ${rounding:-} -X main.version=${VERSION:-0.1.0-dev} -X main.revision=${REVISION:-unknown} -X main.revised=$(git log -1 --format=%ct 2>/dev/null || true)" -o "$1.full" ./cmd/dunlin
if [ "${KEEP_LINES:-}" != 1 ]; then
	env -u GOOS -u GOARCH -u GOARM -u GOMIPS go run ./scripts/slim "$1.full" "$1"
	rm "$1.full"
else
	mv "$1.full" "$1"
fi
