#!/usr/bin/env bash
# Runs dunlin's ARMv7 program on emulated boards: board.sh [BOARD...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-deps.sh board
scripts/kernels.sh armhf
mkdir -p build/out/board
GOOS=linux GOARCH=arm GOARM=7 scripts/compile.sh build/out/board/dunlin
CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=7 go build -trimpath -ldflags '-s -w' -o build/out/board/guest ./scripts/board/guest
exec go run ./scripts/board "$@"
