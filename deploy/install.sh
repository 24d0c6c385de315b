#!/usr/bin/env bash
# Installs, upgrades or uninstalls canton-backup on this host: install.sh install|uninstall. Run it through `sudo make install`.
#
# PREFIX (/usr/local)  where bin/ is that the programs go to
# OWNER                the user whose ~/.canton holds the settings and who may use Docker. Asked for at the first install only, where the user
#                      that called sudo is the default. root must be named
# DESTDIR              a folder to put the files into instead of /, for a package: nothing is configured, enabled or started then
#
# Running it again changes what is old: the files are replaced by rename, a running worker is restarted, and takes up what it was doing.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${PREFIX:-/usr/local}
dest=${DESTDIR:-}
owner=${OWNER:-}
unit=canton-backup-worker
programs=(canton-backup canton-backup-worker)
units=$dest/etc/systemd/system
dropin=$units/$unit.service.d/10-owner.conf

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
live() { [ -z "$dest" ]; }
systemd() { live && [ -d /run/systemd/system ]; }

# place MODE SOURCE TARGET: under another name first, so that a program that runs is not written into, and nobody sees half of it.
place() {
	mkdir -p "$(dirname "$3")"
	install -m "$1" "$2" "$3.new"
	mv -f "$3.new" "$3"
}

# The programs are those of bin/. Root often has no Go: then they must have been built before, and be no older than the sources.
build() {
	local program stale=
	for program in "${programs[@]}"; do
		if [ ! -x "$repository/bin/$program" ]; then
			stale="bin/$program is missing"
		elif [ -d "$repository/.git" ] && [ -n "$(find "$repository" -name .tools -prune -o \( -name '*.go' ! -name '*_test.go' -o -name go.mod \) -newer "$repository/bin/$program" -print -quit)" ]; then
			stale="bin/$program is older than the sources"
		fi
	done
	if [ -z "$stale" ]; then return; fi
	command -v "${GO:-go}" >/dev/null || die "$stale: run make build first, as a user who has Go"
	say "building"
	make -C "$repository" build
}

# users_in prints the last User= of the unit's drop-ins, which is the one that holds. Arguments narrow down the files, as those of find do.
users_in() {
	[ -d "$units/$unit.service.d" ] || return 0
	find "$units/$unit.service.d" -name '*.conf' "$@" -print0 | sort -z | xargs -0r sed -n 's/^[[:space:]]*User[[:space:]]*=[[:space:]]*//p' | tail -n 1
}

# known_owner prints whom an earlier install, or the operator's own drop-in, has the worker run as.
known_owner() {
	local user
	if systemd && [ "$(systemctl show --property LoadState --value "$unit")" = loaded ]; then
		user=$(systemctl show --property User --value "$unit")
		printf '%s\n' "${user:-root}"
	else
		users_in
	fi
}

find_owner() {
	local named=$owner other
	owner=${owner:-$(known_owner)}
	owner=${owner:-${SUDO_USER:-}}
	[ -n "$owner" ] || die "whose ~/.canton is it? sudo make install OWNER=<user>"
	if [ "$owner" = root ] && [ -z "$named" ]; then
		die "the worker would run as root, on root's ~/.canton. Say whose it is: sudo make install OWNER=<user>, or, if root is meant, OWNER=root"
	fi
	# The settings would be made in one home and read in another.
	other=$(users_in ! -path "$dropin")
	if [ -n "$other" ] && [ "$other" != "$owner" ]; then
		die "your own drop-in says User=$other, which would win over $owner: sudo make install OWNER=$other, or take it out: sudo systemctl edit $unit"
	fi
	if live; then
		id "$owner" >/dev/null 2>&1 || die "there is no user $owner"
		home=$(getent passwd "$owner" | cut -d: -f6)
		case " $(id -nG "$owner") " in
			*' root '* | *' docker '*) ;;
			*) say "warning: $owner is not in the group docker: sudo usermod -aG docker $owner" ;;
		esac
	fi
}

as_owner() { runuser -u "$owner" -- env HOME="$home" USER="$owner" LOGNAME="$owner" "$@"; }

unit_files() {
	local work
	work=$(mktemp -d)
	sed "s|^ExecStart=/usr/local/|ExecStart=$prefix/|" "$repository/deploy/systemd/$unit.service" >"$work/unit"
	printf '# Written by install.sh. Your own changes: systemctl edit %s\n[Service]\nUser=%s\n' "$unit" "$owner" >"$work/owner"
	place 0644 "$work/unit" "$units/$unit.service"
	place 0644 "$work/owner" "$dropin"
	rm -rf "$work"
}

# settings makes the settings file unless there is one, and tells whether the settings are good.
settings() {
	if [ ! -e "$home/.canton/toolkit.conf" ]; then
		as_owner "$prefix/bin/canton-backup" config init >&2
		return 1
	fi
	as_owner "$prefix/bin/canton-backup" config check >&2
}

do_install() {
	local program good=true
	find_owner
	build
	for program in "${programs[@]}"; do place 0755 "$repository/bin/$program" "$dest$prefix/bin/$program"; done
	unit_files
	say "installed $("$dest$prefix/bin/canton-backup" version | head -n 1) to $dest$prefix/bin, unit $unit for $owner"
	live || return 0
	settings || good=
	if systemd; then
		systemctl daemon-reload
		systemctl enable --quiet "$unit"
		if systemctl is-active --quiet "$unit"; then
			say "restarting the worker: running steps give way and are taken up again"
			systemctl restart "$unit"
		elif [ -n "$good" ]; then
			systemctl start "$unit"
		fi
	else
		say "systemd does not run here: start $prefix/bin/canton-backup-worker by other means"
	fi
	if [ -z "$good" ]; then
		say "next: edit $home/.canton/toolkit.conf, then as $owner: canton-backup config check; canton-backup doctor; sudo systemctl start $unit"
	else
		say "next, as $owner: canton-backup doctor"
	fi
}

do_uninstall() {
	local program
	if systemd; then
		systemctl disable --now --quiet "$unit" 2>/dev/null || : # it may not be there
	fi
	owner=${owner:-$(known_owner)}
	rm -f "$units/$unit.service" "$dropin"
	if ! rmdir "$units/$unit.service.d" 2>/dev/null && [ -d "$units/$unit.service.d" ]; then say "your own changes stay in $units/$unit.service.d"; fi
	for program in "${programs[@]}"; do rm -f "$dest$prefix/bin/$program"; done
	if systemd; then
		systemctl daemon-reload
		systemctl reset-failed "$unit" 2>/dev/null || : # it may not have failed
	fi
	say "removed. Settings, sets, logs and Temporal's history stay in ~${owner:-<user>}/.canton (and BACKUP_DIR): what restores a node needs no program of ours"
}

live && [ "$(id -u)" != 0 ] && die "run it as root: sudo make ${1:-install}"
case ${1:-} in
	install) do_install ;;
	uninstall) do_uninstall ;;
	*) die "usage: install.sh install|uninstall" ;;
esac
