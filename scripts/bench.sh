#!/usr/bin/env bash
# The benchmark (scripts/bench/doc.go) with its results in build/out/bench/.
# ROUNDS, SCALE, SCENARIOS, BROKERS and BROKER ('name=command') may be set; so
# may DUNLIN, another binary than that of this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scripts/test-deps.sh
mkdir -p build/out/bench
out=$top/build/out/bench/$(date +%Y%m%d-%H%M%S).jsonl
args=(-rounds "${ROUNDS:-5}" -scale "${SCALE:-1}" -out "$out" -brokers "${BROKERS:-dunlin mosquitto mochi}")
[ -z "${BROKER:-}" ] || args+=(-broker "$BROKER")
[ -z "${JUDGE:-}" ] || args+=("-judge=$JUDGE")
cd scripts/bench
go build -o "$top/build/out/dunlin-bench" .
echo "results: $out" >&2
# shellcheck disable=SC2086 # a list of scenarios
exec "$top/build/out/dunlin-bench" -C "$PWD" "${args[@]}" ${SCENARIOS:-}
