#!/usr/bin/env bash
# Power cuts of a machine that runs dunlin (scripts/powercut/doc.go): STATES=300
# of them, then a dunlin that forgets to sync, which must be caught. Options go
# to the first run.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
scripts/test-deps.sh powercut
scripts/kernels.sh arm64
out=build/out/powercut
mkdir -p $out
scripts/compile.sh $out/offline
GOOS=linux GOARCH=arm64 scripts/compile.sh $out/dunlin
CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -ldflags '-s -w' -o $out/guest ./scripts/powercut/guest
go build -o $out/powercut ./scripts/powercut
go run ./scripts/mutants -list crash.txt -only ack-before-sync -overlay $out/mutant
CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -overlay $out/mutant/overlay.json -trimpath -ldflags '-s -w' -o $out/mutant/dunlin ./cmd/dunlin
$out/powercut -states "${STATES:-300}" -seconds "${SECONDS_OF_LOAD:-10}" -dunlin $out/dunlin -offline $out/offline -guest $out/guest "$@"
echo "and a dunlin that acknowledges before it syncs:"
$out/powercut -bad -states 20 -seconds 5 -dunlin $out/mutant/dunlin -offline $out/offline -guest $out/guest
