#!/usr/bin/env bash
# Entry point of postgres-splice: initialises the cluster, creates each database that a CREATE_DATABASE_* variable names, then runs
# the given command. On a bundle with the conflict check it refuses a second participant database.
set -euo pipefail

source /usr/local/bin/docker-entrypoint.sh

fail() {
	echo "ERROR: $*" >&2
	docker_temp_server_stop >/dev/null || :
	exit 1
}

query() {
	docker_process_sql --dbname postgres -XAtq "$@"
}

# create_database NAME creates it if it is missing. An empty name fails here, and the container ends: that is what
# happens to whoever starts postgres alone without PARTICIPANT_DB_NAME.
create_database() {
	local name=$1 others
	if [ -n "$(query --set name="$name" <<<"SELECT 1 FROM pg_database WHERE datname = :'name'")" ]; then
		return
	fi
	if [[ $name == *participant* && ${ENABLE_PARTICIPANT_DB_CONFLICT_CHECK:-false} == true ]]; then
		others=$(query <<<"SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'participant%'")
		if [ -n "$others" ]; then
			fail "Refusing to create participant database '$name' because the following participant database(s) already exist: $others"
		fi
	fi
	query --set name="$name" <<<'CREATE DATABASE :"name"' || fail "creating database '$name' failed"
	echo "created database '$name'"
}

docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = 0 ]; then
	exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
fi
if [ -z "$DATABASE_ALREADY_EXISTS" ]; then
	docker_verify_minimum_env
	docker_init_database_dir
	pg_setup_hba_conf "$@"
fi
docker_temp_server_start "$@"
for variable in $(compgen -e CREATE_DATABASE_); do
	create_database "${!variable}"
done
docker_temp_server_stop
exec "$@"
