#!/usr/bin/env bash
# Builds the NATS server that bridges are tested against into build/out, once.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x build/out/nats-server ] && exit 0
GOBIN="$PWD/build/out" CGO_ENABLED=0 go install github.com/nats-io/nats-server/v2@v2.15.2
