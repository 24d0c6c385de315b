#!/usr/bin/env bash
# Builds the base of the PostgreSQL image from Debian's packages: base.sh SUITE MAJOR TAG.
# The name of this image carries a digest of this file, so an edit here rebuilds it (about 45 s).
set -euo pipefail
suite=$1 major=$2 tag=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# postgres has uid 999 in the official image; files in volumes must keep their owner between the two.
add_user='echo "postgres:x:999:999::/var/lib/postgresql:/bin/bash" >>"$1/etc/passwd"
echo "postgres:x:999:" >>"$1/etc/group"
echo "postgres:!:1::::::" >>"$1/etc/shadow"'
# Debian would create and start a cluster of its own.
no_cluster='mkdir -p "$1/etc/postgresql-common" && echo create_main_cluster=false >"$1/etc/postgresql-common/createcluster.conf"'
slim='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*'

mmdebstrap --variant=minbase --quiet \
	--include="postgresql-$major,postgresql-client-$major,bash,gzip,zstd,procps" \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--essential-hook="$add_user" --essential-hook="$no_cluster" --customize-hook="$slim" \
	"$suite" "$work/root.tar"
docker import "$work/root.tar" "$tag" >/dev/null
