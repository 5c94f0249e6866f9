#!/usr/bin/env bash
# Every client of scripts/interop against the real dunlin, over every
# transport, a bridge against a real NATS server, and Sparkplug payloads against
# a decoder that protoc generated. RACE=1 builds dunlin with the race detector; a race fails the
# test it happens in. RUN=pattern runs some tests only.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin" INTEROP=all RACE="${RACE:-}"
scripts/test-deps.sh interop
(cd scripts/interop/mqttjs && { [ -d node_modules/mqtt ] && [ node_modules -nt package-lock.json ] || npm ci --silent; })
scripts/nats.sh
go test -count=1 -run TestNATS ./bridge
(cd scripts/oracles && go test -count=1 -tags oracle -run TestSparkplug .) # what protoc generated reads it
cd scripts/interop
go build -o ../../build/out/interop-matrix ./matrix
[ "$RACE" != 1 ] || export CGO_ENABLED=1
go test -json -count=1 -timeout 15m -run "${RUN:-.}" . | ../../build/out/interop-matrix
