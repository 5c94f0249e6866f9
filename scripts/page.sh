#!/usr/bin/env bash
# Builds the page from ui/ into cmd/dunlin/internal/page/dist. With "check" it
# only compares: what is committed must be what its sources give, and the page
# no more than 60 kB.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=cmd/dunlin/internal/page/dist out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p build/out
(cd ui && { [ -d node_modules/preact ] && [ node_modules -nt package-lock.json ] || npm ci --silent --ignore-scripts; })
(cd build/tools && go build -o ../out/esbuild github.com/evanw/esbuild/cmd/esbuild)
(cd ui && NODE_ENV=production ../build/out/esbuild src/app.jsx style.css --bundle --minify --format=esm --target=es2022 --charset=utf8 \
	--jsx=automatic --jsx-import-source=preact --legal-comments=none --log-level=warning --entry-names='[name]' --outdir="$out")
mv "$out/style.css" "$out/app.css"
hash() { sha256sum "$1" | cut -c1-12; }
sed "s/app.css?CSS/app.css?$(hash "$out/app.css")/; s/app.js?JS/app.js?$(hash "$out/app.js")/" ui/index.html >"$out/index.html"
total=0
for file in index.html app.js app.css; do
	if [ "${1:-}" = check ]; then
		gzip -dc "$dist/$file.gz" | cmp - "$out/$file" || { echo "$dist/$file.gz is not what ui/ gives: make page" >&2; exit 1; }
	else
		gzip -9nc "$out/$file" >"$dist/$file.gz"
	fi
	size=$(stat -c %s "$dist/$file.gz")
	printf '%-12s %6d bytes compressed\n' "$file" "$size"
	total=$((total + size))
done
echo "page: $total bytes of 60000"
[ $total -le 60000 ]
