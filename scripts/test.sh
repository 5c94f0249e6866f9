#!/usr/bin/env bash
# All tests with the race detector, then those of nested modules (clients that
# the product does not depend on).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin"
# The longest first: three of them run at a time, for they wait more than they compute.
CGO_ENABLED=1 go test -race -p 3 -parallel 4 -timeout 10m ./cmd/dunlin ./broker ./...
for nested in $(git ls-files '*/go.mod'); do
	echo "-- module $(dirname "$nested")"
	(cd "$(dirname "$nested")" && CGO_ENABLED=1 go test -race -timeout 10m ./...)
done
