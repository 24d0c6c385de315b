# Shared by up.sh and down.sh: where the demo lives, what is its own, and how its parts end. Source it, do not run it.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
demo=$repository/.demo
conf=$demo/home/.canton/toolkit.conf

# kept NAME DEFAULT prints a value of the last demo's settings: name, ports and credentials stay what they were.
kept() {
	local value
	value=$(sed -n "s/^$1=//p" "$conf" 2>/dev/null | tail -n 1)
	printf '%s\n' "${value:-$2}"
}

say() { printf 'demo: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# lock keeps a second `make demo` or `make demo-down` of this checkout out while one is at work. Background processes get no copy
# of the descriptor: a worker that lives on would hold it for ever.
lock() {
	exec 9>"$repository/.tools/demo.lock"
	flock --nonblock 9 || die "another make demo or make demo-down is at work here"
}

# ours PID: the process carries this demo's mark in its environment. A pid file alone may name, after a reboot, whoever has that pid now.
ours() {
	[ -n "$1" ] && grep -qzxF "CANTON_BACKUP_DEMO=$demo" "/proc/$1/environ" 2>/dev/null
}

# pid NAME prints the pid of the part when it runs and is ours.
pid() {
	local recorded
	recorded=$(cat "$demo/$1.pid" 2>/dev/null || :)
	if ours "$recorded"; then printf '%s\n' "$recorded"; fi
}

# launch NAME COMMAND... runs a part in a session of its own, so that it outlives make and the terminal. It gets this environment
# and no other: a setting exported in the caller's shell would override toolkit.conf.
launch() {
	local name=$1
	shift
	setsid env -i CANTON_BACKUP_DEMO="$demo" HOME="$demo/home" PATH="$PATH" ${DOCKER_HOST:+DOCKER_HOST="$DOCKER_HOST"} "$@" \
		</dev/null >>"$demo/$name.log" 2>&1 9>&- &
	printf '%s\n' $! >"$demo/$name.pid"
	# Until it is the program itself, it is still a copy of this shell and has no mark.
	until ours $! || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
}

# end NAME: asks the part to end, waits up to 45 s, then insists.
end() {
	local name=$1 running tick
	running=$(pid "$name")
	if [ -n "$running" ]; then
		kill -TERM "$running" 2>/dev/null || :
		for tick in $(seq 450); do
			ours "$running" || break
			if [ "$tick" = 450 ]; then
				say "$name (pid $running) does not end, killing it"
				kill -KILL "$running" 2>/dev/null || :
			fi
			sleep 0.1
		done
		say "ended $name (pid $running)"
	fi
	rm -f "$demo/$name.pid"
}

# await WHAT SECONDS NAME COMMAND... repeats the command until it succeeds. When the part NAME ends first, its log tells why.
await() {
	local what=$1 limit=$2 name=$3 deadline
	shift 3
	deadline=$(($(date +%s) + limit))
	until "$@" >/dev/null 2>&1; do
		if [ -z "$(pid "$name")" ]; then
			tail -n 15 "$demo/$name.log" >&2
			die "$name ended before $what; all of its log: $demo/$name.log"
		fi
		[ "$(date +%s)" -lt "$deadline" ] || die "$what did not come within $limit s; see $demo/$name.log"
		sleep 0.2
	done
}

# node_folders prints the folders from which containers of our project were started, one a line.
node_folders() {
	docker ps --all --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u
}

# node_is_double: everything that stands under the project's name was made by the testbed, so that it may be removed.
node_is_double() {
	local all double
	all=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$project" | sort)
	double=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter label=canton-backup.testbed.owner | sort)
	[ "$all" = "$double" ] || return 1
	all=$(docker volume ls --quiet --filter "label=com.docker.compose.project=$project" | sort)
	double=$(docker volume ls --quiet --filter "label=com.docker.compose.project=$project" --filter label=canton-backup.testbed.owner | sort)
	[ "$all" = "$double" ]
}

# remove_node removes containers, volumes and networks of the double, found by their labels.
remove_node() {
	local label
	for label in "com.docker.compose.project=$project" "canton-backup.testbed.project=$project"; do
		docker ps --all --quiet --filter "label=$label" --filter label=canton-backup.testbed.owner | xargs -r docker rm --force --volumes >/dev/null
		docker volume ls --quiet --filter "label=$label" --filter label=canton-backup.testbed.owner | xargs -r docker volume rm --force >/dev/null
		docker network ls --quiet --filter "label=$label" --filter label=canton-backup.testbed.owner | xargs -r docker network rm >/dev/null
	done
}
