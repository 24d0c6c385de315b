#!/usr/bin/env bash
# Brings up a validator node's double, an S3 server and the worker, makes one backup and looks at it. All of it stays up, keeps its
# files in .demo, and goes with `make demo-down`. Run it through `make demo`, which installs and builds what is needed first.
#
# DEMO_PROJECT (splice-validator) is the node's Compose project, DEMO_FILL_MB (50) the data that it starts with.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bucket=canton-backups
key=demo-key-id

# free_port PREFERRED prints that port when nobody listens there, else any free one.
free_port() {
	local port=$1
	while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((20000 + RANDOM % 12000)) # below the ports that the kernel hands out
	done
	printf '%s\n' "$port"
}

# s3 METHOD PATH sends a signed request to the S3 server. The key goes by standard input: arguments can be read by all users.
s3() {
	printf 'user = "%s:%s"\n' "$key" "$secret" | curl --silent --fail --config - --aws-sigv4 aws:amz:auto:s3 \
		--header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --request "$1" --output /dev/null "$endpoint$2"
}

clear_the_way() {
	local folder home
	end worker
	end s3
	home=$demo/home/.canton
	for folder in $(node_folders); do
		case $folder in
			"$home"/*) ;;
			*)
				node_is_double || die "a node named $project runs here already (from $folder), and it is no double: the demo keeps away from it. Use another name: DEMO_PROJECT=demo make demo"
				[ ! -d "$folder" ] || die "another demo runs from $folder: end it with make demo-down there, or use another name: DEMO_PROJECT=demo make demo"
				;;
		esac
	done
	node_is_double || die "volumes of a node named $project are on this machine, and it is no double: the demo keeps away from it. Use another name: DEMO_PROJECT=demo make demo"
	if ! docker volume inspect "${project}_postgres-splice" >/dev/null 2>&1 || ! [ -e "$home/testbed.json" ]; then
		remove_node # of a run that was killed half-way, or of a checkout that is gone
	fi
}

start_node() {
	say "starting a validator node's double: PostgreSQL, participant, validator app, nginx (the first time builds images: a few minutes)"
	"${GO:-go}" run -C "$repository" ./testbed/cmd/testbed up -dir "$demo/home" -project "$project" -fill "${DEMO_FILL_MB:-50}" >"$demo/node.txt"
	sed 's/^/  /' "$demo/node.txt" >&2
}

start_s3() {
	mkdir -p "$demo/s3"
	say "starting an S3 server on $endpoint"
	launch s3 ROOT_ACCESS_KEY="$key" ROOT_SECRET_KEY="$secret" "$repository/.tools/bin/versitygw" --port "127.0.0.1:$s3_port" --region auto posix "$demo/s3"
	await "the S3 server's first answer" 30 s3 s3 GET /
	[ -d "$demo/s3/$bucket" ] || s3 PUT "/$bucket"
}

write_settings() {
	(umask 077 && cat >"$conf.new" <<-CONF && mv "$conf.new" "$conf"
		# Settings of the demo, written by make demo.
		NETWORK=devnet
		NODE_NAME=demo
		COMPOSE_PROJECT=$project
		BACKUP_TYPE=r2
		R2_BUCKET=$bucket
		R2_ENDPOINT=$endpoint
		R2_ACCESS_KEY=$key
		R2_SECRET_KEY=$secret
		RETENTION_DAYS=1
		BACKUP_DIR=$demo/home/.canton/backups
		TEMPORAL_PORT=$temporal_port
		TEMPORAL_UI_PORT=$ui_port
		HEALTH_ADDRESS=127.0.0.1:$health_port
	CONF
	)
	cat >"$demo/env" <<-ENV
		# Points canton-backup at the demo: . .demo/env
		export CANTON_BACKUP_CONF='$conf'
		unset TEMPORAL_ADDRESS TEMPORAL_PROFILE TEMPORAL_CONFIG_FILE TEMPORAL_API_KEY TEMPORAL_NAMESPACE
	ENV
}

start_worker() {
	say "starting the worker with Temporal inside"
	: >"$demo/worker.log"
	launch worker "$repository/bin/canton-backup-worker"
	await "\"worker is ready\"" 60 worker grep -q 'worker is ready' "$demo/worker.log"
}

# show COMMAND... prints a command line as an operator types it, then runs it.
show() {
	printf '\n$ %s\n' "$*" >&2
	(cd "$repository" && . "$demo/env" && "$@")
}

mkdir -p "$repository/.tools" "$demo/home/.canton"
chmod 700 "$demo" "$demo/home" "$demo/home/.canton"
lock
project=$(kept COMPOSE_PROJECT "${DEMO_PROJECT:-splice-validator}")
[ "$project" = "${DEMO_PROJECT:-$project}" ] || die "the demo here has a node named $project: make demo-down first"
clear_the_way
secret=$(kept R2_SECRET_KEY "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')")
s3_port=$(free_port "$(kept R2_ENDPOINT :7070 | sed 's/.*://')")
temporal_port=$(free_port "$(kept TEMPORAL_PORT 7233)")
ui_port=$(free_port "$(kept TEMPORAL_UI_PORT 8233)")
health_port=$(free_port "$(kept HEALTH_ADDRESS :8234 | sed 's/.*://')")
endpoint=http://127.0.0.1:$s3_port

start_node
start_s3
write_settings
start_worker
show bin/canton-backup backup --reason demo
show bin/canton-backup list
show bin/canton-backup verify
show bin/canton-backup status

cat >&2 <<END

The demo is up and stays up.
  status     http://127.0.0.1:$health_port
  Web UI     http://127.0.0.1:$ui_port
  try it     . .demo/env; bin/canton-backup status
  settings   .demo/home/.canton/toolkit.conf
  logs       .demo/home/.canton/logs/backup.log (runs), .demo/worker.log, .demo/s3.log
  bucket     .demo/s3/$bucket
  stop it    make demo-down
END
