#!/usr/bin/env bash
# What a new user does: clone, make run, and read this machine's values with
# mosquitto_sub. Port 1883 is taken by a mosquitto, so that the demo must move
# and say so.
set -euo pipefail
export PATH="$PATH:/usr/sbin"
cd "$(dirname "$0")/.."
scripts/test-deps.sh
top=$PWD
dir=$(mktemp -d)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	wait "${pids[@]}" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
mosquitto -p 1883 >/dev/null 2>&1 & # on loopback only, without a configuration
pids+=($!)
git clone -q "$top" "$dir/dunlin"
cd "$dir/dunlin"
setsid make run >"$dir/log" 2>&1 &
make=$!
pids+=($make)
port=
for _ in $(seq 600); do
	port=$(sed -nE 's/.*mosquitto_sub .*-p ([0-9]+).*/\1/p' "$dir/log" | head -n 1)
	[ -n "$port" ] && break
	kill -0 "$make" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
	sleep 0.2
done
[ -n "$port" ] || { echo "make run did not say where to connect:" >&2; cat "$dir/log" >&2; exit 1; }
timeout 5 mosquitto_sub -h 127.0.0.1 -p "$port" -t 'dunlin/#' -v >"$dir/seen" || true
grep -qE '/load_1m [0-9.]+$' "$dir/seen" || { echo "no load within 5 s" >&2; cat "$dir/seen" >&2; exit 1; }
grep -qE '/memory_[a-z_]+ [0-9.]+$' "$dir/seen" || { echo "no memory within 5 s" >&2; cat "$dir/seen" >&2; exit 1; }
demo=$(pgrep -g "$(ps -o pgid= -p "$make" | tr -d ' ')" -x dunlin || true)
[ -n "$demo" ] && kill -TERM "$demo"
wait "$make" || { echo "the demo did not end with exit 0" >&2; cat "$dir/log" >&2; exit 1; }
grep -q 'port 1883 is taken' "$dir/log" || { echo "the demo did not say that it moved" >&2; exit 1; }
echo "fresh clone: $(wc -l <"$dir/seen") values within 5 s on port $port"
