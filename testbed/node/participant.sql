-- The participant's schema: the tables that a backup tool reads, under their real names, and the ones that make the bulk.
CREATE SCHEMA IF NOT EXISTS participant;
SET search_path TO participant;

CREATE TABLE flyway_schema_history (
    installed_rank integer PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL, checksum integer, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time integer NOT NULL, success boolean NOT NULL);
INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success) VALUES
    (1, '1.1', 'initial', 'SQL', 'V1_1__initial.sql', 1101, current_user, 40, true),
    (2, '2.0', 'lapi 3.0', 'SQL', 'V2_0__lapi_3.0.sql', 1102, current_user, 21, true),
    (3, '6.3', 'lookup by hash', 'SQL', 'V6_3__lookup_by_hash.sql', 1103, current_user, 7, true);

-- No primary key, as in the real schema: a second load appends a second row, silently.
CREATE TABLE lapi_parameters (
    participant_id varchar NOT NULL, ledger_end bigint, ledger_end_sequential_id bigint, ledger_end_string_interning_id integer,
    ledger_end_publication_time bigint, participant_pruned_up_to_inclusive bigint);
CREATE TABLE lapi_ledger_end_synchronizer_index (
    synchronizer_id integer NOT NULL, sequencer_timestamp bigint, repair_timestamp bigint, repair_counter bigint, record_time bigint NOT NULL);
CREATE TABLE lapi_events_activate_contract (
    event_sequential_id bigint NOT NULL, event_offset bigint NOT NULL, update_id bytea, contract_id bytea, record_time bigint, create_argument bytea);
CREATE INDEX lapi_events_activate_contract_offset ON lapi_events_activate_contract (event_offset);
CREATE TABLE lapi_string_interning (internal_id integer PRIMARY KEY, external_string text NOT NULL);
CREATE TABLE lapi_users (
    internal_id serial PRIMARY KEY, user_id varchar(256) NOT NULL UNIQUE, primary_party varchar(512), created_at bigint NOT NULL,
    is_deactivated boolean NOT NULL DEFAULT false, resource_version bigint NOT NULL DEFAULT 0, identity_provider_id varchar(255));
CREATE TABLE lapi_user_rights (
    user_internal_id integer NOT NULL REFERENCES lapi_users (internal_id) ON DELETE CASCADE, user_right integer NOT NULL,
    for_party varchar(512), granted_at bigint NOT NULL);
CREATE TABLE lapi_identity_provider_config (
    identity_provider_id varchar(255) PRIMARY KEY, issuer varchar NOT NULL UNIQUE, jwks_url varchar NOT NULL,
    is_deactivated boolean NOT NULL DEFAULT false, audience varchar);

CREATE TABLE common_node_id (identifier varchar(300) NOT NULL, namespace varchar(300) NOT NULL, PRIMARY KEY (identifier, namespace));
CREATE TABLE common_crypto_private_keys (
    key_id varchar(300) PRIMARY KEY, wrapper_key_id varchar(300), purpose char(1) NOT NULL, data bytea NOT NULL, name varchar(300));
CREATE TABLE common_kms_metadata_store (fingerprint varchar(300) PRIMARY KEY, kms_key_id varchar(300) NOT NULL, purpose smallint NOT NULL);
CREATE TABLE common_topology_transactions (
    id bigserial PRIMARY KEY, store_id varchar(300) NOT NULL, sequenced bigint NOT NULL, valid_from bigint NOT NULL, instance bytea NOT NULL);
CREATE TABLE common_sequenced_events (
    synchronizer_idx integer NOT NULL, sequenced_event bytea NOT NULL, type varchar(3) NOT NULL, ts bigint NOT NULL,
    sequencer_counter bigint NOT NULL, trace_context bytea NOT NULL, ignore boolean NOT NULL DEFAULT false,
    PRIMARY KEY (synchronizer_idx, ts));
ALTER TABLE common_sequenced_events ALTER COLUMN sequenced_event SET STORAGE EXTERNAL;

CREATE TABLE par_contracts (contract_id bytea PRIMARY KEY, instance bytea NOT NULL, package_id varchar(300) NOT NULL, template_id varchar NOT NULL);
CREATE TABLE par_dars (main_package_id varchar PRIMARY KEY, data bytea NOT NULL, description varchar, name varchar NOT NULL, version varchar NOT NULL);
CREATE TABLE par_daml_packages (package_id varchar PRIMARY KEY, data bytea NOT NULL, name varchar NOT NULL, version varchar NOT NULL, uploaded_at bigint);
CREATE TABLE par_synchronizer_connection_configs (
    synchronizer_alias varchar NOT NULL, physical_synchronizer_id varchar, config bytea NOT NULL, status char(1) NOT NULL DEFAULT 'A');
CREATE TABLE par_pruning_schedules (
    lock char(1) PRIMARY KEY DEFAULT 'X', cron varchar NOT NULL, max_duration bigint NOT NULL, retention bigint NOT NULL,
    prune_internally_only boolean NOT NULL DEFAULT false);

CREATE SCHEMA IF NOT EXISTS debug;
CREATE VIEW debug.lapi_parameters AS SELECT participant_id, ledger_end FROM participant.lapi_parameters;
