#!/usr/bin/env bash
# No built program under git, gofmt, go vet, and a compile of what only other systems build.
set -euo pipefail
cd "$(dirname "$0")/.."
large=$(git ls-files -z | xargs -0 -r sh -c 'find "$@" -prune -type f -size +256k' sh)
if [ -n "$large" ]; then
	printf 'larger than a source is; built and added by mistake?\n%s\n' "$large" >&2
	exit 1
fi
unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'not gofmt-ed:\n%s\n' "$unformatted" >&2
	exit 1
fi
go vet ./...
CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=6 go vet ./... # tests too: an int has 32 bits there
CGO_ENABLED=0 GOOS=linux GOARCH=riscv64 go build -o /dev/null ./cmd/dunlin
CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go vet ./cmd/dunlin ./serial ./sensors/... ./bridge
for nested in $(git ls-files '*/go.mod'); do
	(cd "$(dirname "$nested")" && go vet ./...)
done
echo "gofmt, vet and cross builds: clean"
