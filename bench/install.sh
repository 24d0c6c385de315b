#!/usr/bin/env bash
# Installs the programs that the benchmark runs beside the product, from Debian: restic, rclone and zstd on this host, pgBackRest into
# .tools, from where its container gets it. What is there already is left alone.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pgbackrest=$repository/.tools/pgbackrest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() { printf 'install: %s\n' "$*" >&2; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; die "$1 failed"; }; }

missing=()
for name in restic rclone zstd; do
	command -v "$name" >/dev/null || missing+=("$name")
done
if [ ${#missing[@]} = 0 ] && [ -f "$pgbackrest/usr/bin/pgbackrest" ]; then exit; fi
[ "$(id -u)" = 0 ] && [ -x /usr/bin/apt-get ] || die "missing: ${missing[*]} pgbackrest. Run this as root on Debian."
quietly apt-get update -q
if [ ${#missing[@]} -gt 0 ]; then quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; fi
if [ ! -f "$pgbackrest/usr/bin/pgbackrest" ]; then
	# The program alone: its libraries come with PostgreSQL's image, which is of the same Debian.
	(cd "$work" && quietly apt-get download -q pgbackrest && quietly dpkg -x pgbackrest_*.deb "$work/unpacked")
	rm -rf "$pgbackrest"
	mv "$work/unpacked" "$pgbackrest"
fi
