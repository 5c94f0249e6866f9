# Sourced by scripts that fetch packages of Debian for another machine. Nothing is
# installed, and this machine's apt and dpkg are left alone.

# The mirror that this machine itself uses.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | head -1 || true)
[ -n "$mirror" ] || { echo "${0##*/}: no mirror of Debian in this machine's apt sources" >&2; exit 1; }

# packages makes ready, in a folder of its own, to fetch packages for an
# architecture from a release and its component.
packages() { # architecture release component
	state=$(mktemp -d)
	trap 'rm -rf "$state"' EXIT
	mkdir -p "$state"/{lists/partial,cache/archives/partial}
	touch "$state/status"
	foreign=$1
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $2 $3" >"$state/sources.list"
	apt apt-get -qq update
}

# apt runs apt-get or apt-cache on them. What it downloads is in $state.
apt() {
	local tool=$1
	shift
	(cd "$state" && "$tool" -o APT::Architecture="$foreign" -o APT::Architectures="$foreign" -o Dir::State="$state" -o Dir::State::Lists="$state/lists" \
		-o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources.list" \
		-o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@")
}
