#!/usr/bin/env bash
# Starts the validator of this bundle. The flags, what is mandatory among them and what is lost when one is left out are those of the
# real bundle; "flavour" beside this file tells which generation it is.
set -euo pipefail

script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flavour=$(cat "$script_dir/flavour")

usage() {
	echo "Usage: $0 -s <sponsor_sv_address> -o <onboarding_secret> -p <party_hint> [-m <migration_id>] [-a] [-b] [-c <scan_address>]" >&2
	echo "    [-C <host_scan_address>] [-q <sequencer_address>] [-n <network_name>] [-i <identities_dump>] [-P <participant_id>] [-w] [-E] [-k]" >&2
}

die() { echo "$*" >&2; exit 1; }

require() {
	usage
	die "$1"
}

options='has:c:C:t:o:n:bq:m:Mp:P:i:wlE'
if [ "$flavour" = current ]; then options='has:c:C:t:o:n:bq:m:p:P:i:wlEBu:S:T:kg'; fi

sponsor='' scan='' host_scan='' secret=undefined party='' migration='' participant='' dump='' network='' sequencer='' target_traffic=''
auth=0 trust_single=0 wait=0 bft=0 conflict_check=true
while getopts "$options" flag; do
	case $flag in
		h) usage; exit 0 ;;
		a) auth=1 ;;
		s) sponsor=$OPTARG ;;
		c) scan=$OPTARG ;;
		C) host_scan=$OPTARG ;;
		t) target_traffic=$OPTARG ;;
		o) secret=$OPTARG ;;
		n) network=$OPTARG ;;
		b) trust_single=1 ;;
		q) sequencer=$OPTARG ;;
		m) migration=$OPTARG ;;
		M) ;; # a major upgrade: the testbed migrates nothing
		p) party=$OPTARG ;;
		P) participant=$OPTARG ;;
		i) dump=$OPTARG ;;
		w) wait=1 ;;
		E) HOST_BIND_IP=0.0.0.0; export HOST_BIND_IP ;;
		B) bft=1 ;;
		u | S | T) ;;
		k) conflict_check=false ;;
		l | g) die "-$flag is not part of the testbed" ;;
		*) usage; exit 1 ;;
	esac
done

[ -n "$sponsor" ] || require "Please provide the address of the sponsoring SV with -s"
[ "$secret" != undefined ] || require "Please provide the onboarding secret with -o: it may be empty once the validator is onboarded"
[ -n "$party" ] || require "Please provide a party hint with -p"
if [ "$flavour" = legacy ] && [ -z "$migration" ]; then require "Please provide the migration id with -m"; fi
if [ -n "$migration" ] && ! [[ $migration =~ ^[0-9]+$ ]]; then require "The migration id must be a number"; fi
if [ "$trust_single" = 1 ] && [ -z "$sequencer" ]; then require "-b needs the address of a sequencer with -q"; fi
if [ -n "$dump" ] && [ -z "$participant" ]; then require "-i needs a new participant identifier with -P"; fi

export SPONSOR_SV_ADDRESS=$sponsor
export SCAN_ADDRESS=${scan:-${sponsor/https:\/\/sv/https:\/\/scan}}
export ONBOARDING_SECRET=$secret
export PARTY_HINT=$party
export PARTICIPANT_IDENTIFIER=${participant:-$party}
export MIGRATION_ID=$migration
export ENABLE_PARTICIPANT_DB_CONFLICT_CHECK=$conflict_check
export SEQUENCER_ADDRESS=$sequencer
if [ -n "$target_traffic" ]; then export TARGET_TRAFFIC_THROUGHPUT=$target_traffic; fi
if [ "$flavour" = current ]; then export PARTICIPANT_DB_NAME="participant${migration:+-$migration}"; fi
export IMAGE_TAG=${IMAGE_TAG:-$(cat "$script_dir/../../VERSION")}

compose_files=(-f "$script_dir/compose-traffic-topups.yaml")
if [ "$auth" = 0 ]; then compose_files+=(-f "$script_dir/compose-disable-auth.yaml"); fi
if [ "$trust_single" = 1 ]; then compose_files+=(-f "$script_dir/compose-trust-single.yaml"); fi
if [ "$bft" = 1 ]; then compose_files+=(-f "$script_dir/compose-bft-custom.yaml"); fi
if [ -n "$network" ]; then
	export DOCKER_NETWORK=$network
	compose_files+=(-f "$script_dir/compose-onvpn-network.yaml")
fi
if [ -n "$dump" ]; then
	VALIDATOR_PARTICIPANT_IDENTITIES_DUMP=$(realpath "$dump")
	export VALIDATOR_PARTICIPANT_IDENTITIES_DUMP
	compose_files+=(-f "$script_dir/compose-restore-from-id.yaml")
fi

# Nothing starts without Scan: a restore's last step depends on the network being reachable from this host.
names=''
for try in $(seq "${TESTBED_SCAN_TRIES:-30}"); do
	if names=$(curl -sSLf "${host_scan:-$SCAN_ADDRESS}/api/scan/v0/splice-instance-names"); then break; fi
	echo "Scan does not answer (try $try), trying again in 10 s" >&2
	sleep 10
done
[ -n "$names" ] || die "Scan at ${host_scan:-$SCAN_ADDRESS} does not answer"
instance() { jq -er ".$1" <<<"$names"; }
SPLICE_APP_UI_NETWORK_NAME=$(instance network_name)
SPLICE_APP_UI_AMULET_NAME=$(instance amulet_name)
SPLICE_APP_UI_NAME_SERVICE_NAME=$(instance name_service_name)
export SPLICE_APP_UI_NETWORK_NAME SPLICE_APP_UI_AMULET_NAME SPLICE_APP_UI_NAME_SERVICE_NAME

arguments=()
if [ "$wait" = 1 ]; then arguments+=(--wait --wait-timeout 600); fi
# exec: whoever ends this script ends compose with it.
exec docker compose -f "$script_dir/compose.yaml" "${compose_files[@]}" up -d "${arguments[@]}"
