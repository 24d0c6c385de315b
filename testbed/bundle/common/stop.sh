#!/usr/bin/env bash
# Stops the validator of this bundle: removes its containers and keeps its volumes. The message names a volume that does not exist,
# as the real script does.
set -euo pipefail

script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# compose wants values for what it is about to remove.
for variable in SPONSOR_SV_ADDRESS SCAN_ADDRESS ONBOARDING_SECRET PARTY_HINT PARTICIPANT_IDENTIFIER MIGRATION_ID PARTICIPANT_DB_NAME \
	ENABLE_PARTICIPANT_DB_CONFLICT_CHECK SEQUENCER_ADDRESS IMAGE_TAG DOCKER_NETWORK SPLICE_APP_UI_NETWORK_NAME \
	SPLICE_APP_UI_AMULET_NAME SPLICE_APP_UI_NAME_SERVICE_NAME; do
	export "$variable="
done
export IMAGE_TAG=none VALIDATOR_PARTICIPANT_IDENTITIES_DUMP=v

docker compose -f "$script_dir/compose.yaml" -f "$script_dir/compose-restore-from-id.yaml" down
echo "The validator is stopped. Its data is persisted in the compose_postgres-splice volume."
