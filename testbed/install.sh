#!/usr/bin/env bash
# Installs what the testbed, the tests and the demo need beside Go: Debian packages, a Docker engine where none answers,
# the Compose plugin, two S3 servers and tctl. What is there already is left alone; a second run takes a second.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
compose_version=v5.0.2
versitygw_version=v1.8.0
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
tctl_version=v1.15.2
work=$(mktemp -d)
policy=
trap 'rm -rf "$work" ${policy:+"$policy"}' EXIT

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
is_debian_root() { [ "$(id -u)" = 0 ] && [ -x /usr/bin/apt-get ]; }

apt_updated=
apt_install() {
	is_debian_root || die "missing packages: $*. Install them as root and run this again."
	if [ -z "$apt_updated" ]; then
		apt-get update -q >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; die "apt-get update failed"; }
		apt_updated=true
	fi
	say "installing $*"
	# A package that starts its own service would take a port of the machine, 22 or 9090: the tests start their own.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 0755 "$policy"
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$work/apt.log" 2>&1 ||
		{ cat "$work/apt.log" >&2; die "apt-get install failed"; }
	if [ -n "$policy" ]; then rm "$policy"; policy=; fi
	# Nor shall the next boot start it.
	local name service
	for name in "$@"; do
		case $name in
			openssh-server) service=ssh ;;
			prometheus | prometheus-alertmanager) service=$name ;;
			*) continue ;;
		esac
		update-rc.d "$service" disable >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; die "update-rc.d $service disable failed"; }
	done
}

packages() {
	local missing=() name
	for name in rsync openssh-server openssh-client mmdebstrap jq curl zstd gzip age gnupg ca-certificates \
		chromium fonts-dejavu-core prometheus prometheus-alertmanager; do
		case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null || :) in
			'install ok installed') ;;
			*) missing+=("$name") ;;
		esac
	done
	if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}"; fi
}

engine() {
	if docker version >/dev/null 2>&1; then return; fi
	is_debian_root || die "no Docker engine answers: start one, or add yourself to its group, and run this again."
	if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then apt_install docker.io; fi
	say "starting dockerd"
	local pid=
	if [ -d /run/systemd/system ]; then
		systemctl start docker
	else
		setsid nohup dockerd >/var/log/dockerd-testbed.log 2>&1 </dev/null &
		pid=$!
	fi
	for _ in $(seq 60); do
		if docker version >/dev/null 2>&1; then return; fi
		# Ours may have ended because another one is starting: that one is in the pid file.
		if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null && ! kill -0 "$(cat /var/run/docker.pid 2>/dev/null)" 2>/dev/null; then
			die "dockerd ended: $(tail -n 1 /var/log/dockerd-testbed.log)"
		fi
		sleep 1
	done
	die "dockerd does not answer after 60 s: see its log (/var/log/dockerd-testbed.log or journalctl -u docker)"
}

# go_tool PACKAGE@VERSION TARGET: builds the program and puts it at TARGET.
go_tool() {
	command -v go >/dev/null || die "Go is missing: see the go line of go.mod for the version"
	say "building $1 (a few minutes at the first time)"
	(cd "$work" && GOBIN="$work/bin" nice go install "$1" >"$work/go.log" 2>&1) || { cat "$work/go.log" >&2; die "go install $1 failed"; }
	mkdir -p "$(dirname "$2")"
	install -m 0755 "$work"/bin/* "$2.new"
	mv "$2.new" "$2"
	rm -rf "${work:?}/bin"
}

# The plugin goes into a machine-wide folder for root: tests run with a HOME of their own.
compose() {
	if docker compose version >/dev/null 2>&1; then return; fi
	local plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
	if [ "$(id -u)" = 0 ]; then plugins=/usr/local/lib/docker/cli-plugins; fi
	go_tool "github.com/docker/compose/v5/cmd@$compose_version" "$plugins/docker-compose"
	docker compose version >/dev/null || die "the Compose plugin in $plugins does not run"
}

# Two of different makers: what one forgives, the other may not. MinIO tags no versions for Go, so its last state is named.
s3_servers() {
	if [ ! -x "$repository/.tools/bin/versitygw" ]; then
		go_tool "github.com/versity/versitygw/cmd/versitygw@$versitygw_version" "$repository/.tools/bin/versitygw"
	fi
	if [ ! -x "$repository/.tools/bin/minio" ]; then
		go_tool "github.com/minio/minio@$minio_version" "$repository/.tools/bin/minio"
	fi
}

# tctl, for operators who still use it: no release of its own can be had as a module, the server's repository carried it up to this version.
# Its dependencies reach into the runtime in a way that the linker has to be told to allow.
tctl_client() {
	if [ -x "$repository/.tools/bin/tctl" ]; then return; fi
	GOFLAGS="-ldflags=-checklinkname=0" go_tool "go.temporal.io/server/cmd/tools/cli@$tctl_version" "$repository/.tools/bin/tctl"
}

packages
engine
compose
s3_servers
tctl_client
