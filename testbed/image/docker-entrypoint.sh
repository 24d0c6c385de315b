#!/usr/bin/env bash
# Entry point of the PostgreSQL image. It honours the variables of the official image that a validator uses
# (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD, PGDATA) and offers the
# functions under the official names, so that the bundle's postgres-entrypoint.sh runs on either image.
set -eu

_is_sourced() {
	[ "${BASH_SOURCE[0]}" != "$0" ]
}

docker_setup_env() {
	: "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:=}" "${POSTGRES_INITDB_ARGS:=}" "${POSTGRES_HOST_AUTH_METHOD:=}"
	: "${POSTGRES_DB:=$POSTGRES_USER}"
	export POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS POSTGRES_HOST_AUTH_METHOD
	DATABASE_ALREADY_EXISTS=
	if [ -s "$PGDATA/PG_VERSION" ]; then
		DATABASE_ALREADY_EXISTS=true
	fi
	export DATABASE_ALREADY_EXISTS
}

docker_create_db_directories() {
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA" || :
	if [ "$(id -u)" = 0 ]; then
		find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
	fi
}

docker_verify_minimum_env() {
	if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
		echo >&2 "Error: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to go without"
		exit 1
	fi
}

# An empty password file is refused by initdb, so the option goes when there is no password (trust). The arguments of the operator
# are shell words: eval takes them apart.
docker_init_database_dir() {
	if [ -n "$POSTGRES_PASSWORD" ]; then
		eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD")' "$POSTGRES_INITDB_ARGS" '"$@"'
	else
		eval 'initdb --username="$POSTGRES_USER"' "$POSTGRES_INITDB_ARGS" '"$@"'
	fi
}

pg_setup_hba_conf() {
	local method=$POSTGRES_HOST_AUTH_METHOD
	if [ -z "$method" ]; then
		method=$(postgres -C password_encryption "$@" 2>/dev/null || echo scram-sha-256)
	fi
	printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# The temporary server listens on the socket alone: a probe without -h sees it, the network does not.
docker_temp_server_start() {
	local options="-c listen_addresses='' -p 5432"
	if [ "${1:-}" = postgres ]; then shift; fi
	if [ $# -gt 0 ]; then options+=$(printf ' %q' "$@"); fi
	pg_ctl -D "$PGDATA" -o "$options" -w start
}

docker_temp_server_stop() {
	pg_ctl -D "$PGDATA" -m fast -w stop
}

docker_process_sql() {
	psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" "$@"
}

docker_setup_db() {
	if [ "$POSTGRES_DB" != postgres ]; then
		docker_process_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
	fi
}

docker_process_init_files() {
	local f
	for f; do
		case $f in
			*.sh) . "$f" ;;
			*.sql) docker_process_sql --dbname "$POSTGRES_DB" -f "$f" ;;
			*.sql.gz) gunzip -c "$f" | docker_process_sql --dbname "$POSTGRES_DB" ;;
		esac
	done
}

_main() {
	if [ "${1:0:1}" = - ]; then
		set -- postgres "$@"
	fi
	if [ "$1" = postgres ]; then
		docker_setup_env
		docker_create_db_directories
		if [ "$(id -u)" = 0 ]; then
			exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
		fi
		if [ -z "$DATABASE_ALREADY_EXISTS" ]; then
			docker_verify_minimum_env
			docker_init_database_dir
			pg_setup_hba_conf "$@"
			docker_temp_server_start "$@"
			docker_setup_db
			docker_process_init_files /docker-entrypoint-initdb.d/*
			docker_temp_server_stop
		fi
	fi
	exec "$@"
}

if ! _is_sourced; then
	_main "$@"
fi
