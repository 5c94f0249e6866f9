#!/usr/bin/env bash
# One short round of dunlin alone: nothing may be lost, doubled or out of
# order. Times are not judged.
set -euo pipefail
cd "$(dirname "$0")/.."
ROUNDS=1 SCALE=0.05 JUDGE=false BROKERS=dunlin \
	SCENARIOS='start fanin0 fanin0-1k fanin1 fanin2 fanout0 fanout0-v5 fanout1 pairs0 pairs1 wildcard lat0 lat1 ret10k offline connect' \
	exec scripts/bench.sh
