#!/usr/bin/env bash
# The image's network against real servers (DHCP, DNS, NTP, mDNS), in network
# namespaces that the test makes: nothing of this machine's network is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
[ "$(id -u)" -eq 0 ] || { echo "image-net.sh needs root, for namespaces of its own" >&2; exit 1; }
scripts/test-deps.sh image-net
cd build/image
IMAGE_NET=1 go test -count=1 -timeout 5m -run TestPeers -v ./network
