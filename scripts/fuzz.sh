#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (default 10s each);
# LONG is the time for those that read what strangers send.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
long=${LONG:-$time}
strangers=' FuzzDecode FuzzFrame FuzzMatch FuzzFilters FuzzNames FuzzWebSocketFrame FuzzUpgrade FuzzProxyHeader FuzzUsersFile FuzzACLFile '
n=0
for pkg in $(go list ./...); do
	dir=${pkg#github.com/dunlin-mqtt/dunlin}
	grep -qs '^func Fuzz' ".$dir"/*_test.go || continue
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' ".$dir"/*_test.go | awk '{print $2}'); do
		for=$time
		[[ $strangers != *" $target "* ]] || for=$long
		echo "-- $target in .$dir for $for"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$for" ".$dir" | tail -n 3
		n=$((n + 1))
	done
done
echo "$n fuzz targets, no failure"
