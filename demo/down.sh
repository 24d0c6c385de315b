#!/usr/bin/env bash
# Ends what `make demo` started, and nothing else: the two processes, by pid and only if they are ours, the node's double with its
# volume and network, and .demo with all backups in it. It may be run twice, or after a demo that was killed half-way.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$repository/.tools"
lock
project=$(kept COMPOSE_PROJECT "${DEMO_PROJECT:-splice-validator}")

# node_is_of_this_demo: its containers were started from our folder, or it is what is left of one that our folder describes.
node_is_of_this_demo() {
	local folders
	folders=$(node_folders)
	if [ -z "$folders" ]; then
		[ -e "$demo/home/.canton/testbed.json" ]
	else
		! grep -qvF "$demo/home/.canton/" <<<"$folders"
	fi
}

end worker
end s3
if ! docker version >/dev/null 2>&1; then
	[ ! -d "$demo" ] || die "no Docker engine answers, so the node cannot be removed: start it and run make demo-down again"
elif node_is_of_this_demo && node_is_double; then
	remove_node
	say "removed the node $project with its volume"
fi
rm -rf "$demo"
say "down, .demo is gone"
