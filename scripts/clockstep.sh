#!/usr/bin/env bash
# Runs the broker under a clock on the wall that the test sets, as NTP does: the
# copy of package time in which Now adds time.WallStep seconds, and has the
# monotonic clock in a bubble of testing/synctest, too. That clock, and timers,
# stay as they are. The same is done to devices. Then the whole program begins in 1970 and is told the time,
# while its readings wait for a server upstream.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/build/out/clockstep
time=$(go env GOROOT)/src/time/time.go
mkdir -p "$out"
sed 's/^\tsec, nsec, mono := runtimeNow()$/&\n\tif mono == 0 {\n\t\tmono = sec*1e9 + int64(nsec) + startNano + 1\n\t}\n\tsec += WallStep/' "$time" >"$out/time.go.set" # no package of the module
printf '\n// WallStep is how many seconds the clock on the wall was set by.\nvar WallStep int64\n' >>"$out/time.go.set"
[ "$(grep -c WallStep "$out/time.go.set")" = 3 ] || { echo "$time has changed: Now is not as this script knows it" >&2; exit 1; }
printf '{"Replace": {"%s": "%s"}}\n' "$time" "$out/time.go.set" >"$out/overlay.json"
go test -tags clockstep -overlay "$out/overlay.json" -count=1 -timeout 10m -v -run TestClockSteps "$@" ./broker ./cmd/dunlin ./sensors
