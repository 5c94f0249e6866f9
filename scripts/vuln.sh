#!/usr/bin/env bash
# Looks for known vulnerabilities in what dunlin calls, with the Go team's
# govulncheck. It needs their database: https://vuln.go.dev, or a copy of it in
# VULNDB (file:///path). A database out of reach is told, and is no pass.
set -uo pipefail
cd "$(dirname "$0")/.."
tool=golang.org/x/vuln/cmd/govulncheck@v1.1.4
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install "$tool" 2>"$bin/log" || { cat "$bin/log" >&2; echo "NOT CHECKED: $tool cannot be installed here" >&2; exit 1; }
args=()
[ -z "${VULNDB:-}" ] || args=(-db "$VULNDB")
GOOS=linux "$bin/govulncheck" "${args[@]}" ./... 2>&1 | tee "$bin/out"
code=${PIPESTATUS[0]}
case $code in
0) echo "no known vulnerability is called" ;;
3) echo "vulnerabilities are called: see above" >&2 ;; # govulncheck's code for it
*)
	echo "NOT CHECKED: govulncheck did not get to the end. Run it where https://vuln.go.dev can be reached, or with VULNDB=file:///path of a copy." >&2
	;;
esac
exit "$code"
