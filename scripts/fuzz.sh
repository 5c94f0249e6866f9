#!/usr/bin/env bash
# Runs every fuzz target, those of nested modules too, for the time given (default 10s each);
# LONG is the time for those that read what strangers send.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
long=${LONG:-$time}
strangers=' FuzzDecode FuzzFrame FuzzMatch FuzzFilters FuzzNames FuzzWebSocketFrame FuzzUpgrade FuzzProxyHeader FuzzUsersFile FuzzACLFile '
out=$(mktemp)
tests=$(mktemp)
trap 'rm -f "$out" "$tests"' EXIT

# once runs one target of the binary. Inputs are made smaller in 100 tries: by
# default each one that reaches new code takes up to a minute, and most of the
# time given with it, in which nothing new is tried. The engine sometimes fails for having
# reached the end of its own time, on a busy machine: that is no finding, and
# the caller tries again. A finding is shown whole and ends everything.
once() { # target time dir package
	if (cd "$3" && "$tests" -test.paniconexit0 -test.timeout 10m -test.run '^$' -test.fuzz "^$1\$" -test.fuzztime "$2" \
		-test.fuzzminimizetime 100x -test.fuzzcachedir "$cache/$4") >"$out" 2>&1; then
		tail -n 3 "$out"
		return 0
	fi
	if ! grep -qE 'Failing input|seed corpus entry|panic:' "$out"; then
		echo "no input failed, the fuzzing engine ended late: $(grep -m 1 context "$out" || tail -n 1 "$out")"
		return 1
	fi
	cat "$out"
	exit 1
}

n=0
top=$PWD
for target in $strangers; do
	git grep -qE "^func $target\(" -- '*_test.go' || { echo "there is no $target" >&2; exit 1; }
done
cache=$(go env GOCACHE)/fuzz # where go test -fuzz keeps what it found
for module in . $(git ls-files '*/go.mod' | xargs -n 1 dirname); do
	cd "$top/$module"
	packages=$(go list -f '{{.Dir}} {{.ImportPath}}' ./...)
	while read -r dir package; do
		grep -qs '^func Fuzz' "$dir"/*_test.go || continue
		go test -c -fuzz . -o "$tests" "$dir" # once for all targets of the package
		for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | awk '{print $2}'); do
			for=$time
			[[ $strangers != *" $target "* ]] || for=$long
			echo "-- $target in ${dir#"$top/"} for $for"
			once "$target" "$for" "$dir" "$package" || once "$target" "$for" "$dir" "$package" ||
				once "$target" 2000x "$dir" "$package" || exit 1
			n=$((n + 1))
		done
	done <<<"$packages"
done
echo "$n fuzz targets, no failure"
