#!/usr/bin/env bash
# Runs every fuzz target, those of nested modules too, for the time given (default 10s each);
# LONG is the time for those that read what strangers send.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
long=${LONG:-$time}
strangers=' FuzzDecode FuzzFrame FuzzMatch FuzzFilters FuzzNames FuzzWebSocketFrame FuzzUpgrade FuzzProxyHeader FuzzUsersFile FuzzACLFile '
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# once runs one target. The engine sometimes fails for having reached the end of
# its own time, on a busy machine: that is no finding, and the caller tries
# again. A finding is shown whole and ends everything.
once() { # target time dir
	if go test -run '^$' -fuzz "^$1\$" -fuzztime "$2" "$3" >"$out" 2>&1; then
		tail -n 3 "$out"
		return 0
	fi
	if ! grep -qE 'Failing input|seed corpus entry|panic:|build failed|setup failed' "$out"; then
		echo "no input failed, the fuzzing engine ended late: $(grep -m 1 context "$out" || tail -n 1 "$out")"
		return 1
	fi
	cat "$out"
	exit 1
}

n=0
top=$PWD
for module in . $(git ls-files '*/go.mod' | xargs -n 1 dirname); do
	cd "$top/$module"
	for dir in $(go list -f '{{.Dir}}' ./...); do
		grep -qs '^func Fuzz' "$dir"/*_test.go || continue
		for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | awk '{print $2}'); do
			for=$time
			[[ $strangers != *" $target "* ]] || for=$long
			echo "-- $target in ${dir#"$top/"} for $for"
			once "$target" "$for" "$dir" || once "$target" "$for" "$dir" || once "$target" 2000x "$dir" || exit 1
			n=$((n + 1))
		done
	done
done
echo "$n fuzz targets, no failure"
