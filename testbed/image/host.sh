#!/usr/bin/env bash
# Builds a host's double from Debian's packages: host.sh SUITE TAG. It boots systemd and has what canton-backup needs of a host, but for an
# engine: that of the machine is lent to it.
# The name of this image carries a digest of this file, so an edit here rebuilds it (about 60 s).
set -euo pipefail
suite=$1 tag=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# No login prompts on a console that is not there.
slim='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*
chroot "$1" systemctl mask getty.target console-getty.service systemd-logind.service'

mmdebstrap --variant=minbase --quiet \
	--include=systemd,systemd-sysv,dbus,rsync,openssh-client,ca-certificates,curl,jq,make,procps,bash \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --customize-hook="$slim" \
	"$suite" "$work/root.tar"
docker import "$work/root.tar" "$tag" >/dev/null
