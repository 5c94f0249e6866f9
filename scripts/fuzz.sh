#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (default 10s each).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
n=0
for pkg in $(go list ./...); do
	dir=${pkg#github.com/dunlin-mqtt/dunlin}
	grep -qs '^func Fuzz' ".$dir"/*_test.go || continue
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' ".$dir"/*_test.go | awk '{print $2}'); do
		echo "-- $target in .$dir for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" ".$dir" | tail -n 3
		n=$((n + 1))
	done
done
echo "$n fuzz targets, no failure"
