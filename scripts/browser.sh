#!/usr/bin/env bash
# The page in a real browser: what is committed is what ui/ gives, then
# ui/test/browser.mjs against the real program and a real mosquitto. SHOTS=dir
# keeps pictures of every page.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin"
scripts/test-deps.sh browser
(cd ui && { [ -d node_modules/playwright-core ] && [ node_modules -nt package-lock.json ] || npm ci --silent --ignore-scripts; })
scripts/page.sh check
scripts/compile.sh build/out/dunlin
SHOTS="${SHOTS:-}" timeout 1200 node ui/test/browser.mjs "$PWD/build/out/dunlin"
